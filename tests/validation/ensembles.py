"""Networks that are compared by their statistics, over ensembles of seeds.

Here every simulator draws neurons, synapses and noise for itself, by its own means, so that connection rules, distributions and
Poisson trains are compared, too. Only parameters are shared. snnrun runs as users run it: from the command line, in float32,
with its native kernel.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import measures
import numpy as np
import potjans_diesmann
import yaml
from references import describe, processes

CONFIGS = Path(__file__).parents[2] / "configs"
TIMEOUT = 7200.0  # seconds


class Network(NamedTuple):
    about: str
    config: str  # in configs/, or pd14_<scale>
    changes: dict[str, Any]  # of the config: key.path -> value
    warmup: float  # ms that are left out
    span: float  # ms that are measured
    peers: tuple[str, ...]
    groups: dict[str, tuple[int, int]] | None = None  # ranges of neurons; the populations, if not given
    seeds: int = 10


REGIMES = {"brunel_a": (3, 20), "brunel_b": (6, 40), "brunel_c": (5, 20), "brunel_d": (4.5, 9)}  # g, external rate in kHz


def brunel(name: str) -> dict[str, Any]:
    """What makes a regime of Brunel's network: relative inhibition g, and the external rate per neuron."""
    g, rate = REGIMES[name]
    return {
        "projections.inh.weight": f"{-0.1 * g:g} mV", "inputs.background.rate": f"{rate:g} kHz",
        "populations.E.V_reset": "10 mV", "populations.I.V_reset": "10 mV",
    }  # fmt: skip


HALVES = {"E": (0, 3200), "I": (3200, 4000)}
DELAYED = {"projections.exc.delay": "0.1 ms", "projections.inh.delay": "0.1 ms"}
NETWORKS = {
    "einet": Network("E/I network with conductances, no delays", "einet", {}, 200, 1000, ("brian2", "brainpy"), HALVES, 40),
    "einet_0.1": Network("the same with delays of 0.1 ms, the shortest of NEST", "einet", DELAYED, 200, 1000, ("nest",), HALVES),
    "coba": Network("Vogels & Abbott, conductances, driven throughout: otherwise some graphs fall silent", "coba",
                    {"inputs.stimulus.stop": "1200 ms"}, 200, 1000, ("nest", "brian2")),
    "cuba": Network("Vogels & Abbott, currents", "cuba", {}, 200, 2000, ("nest", "brian2")),
    "brunel_a": Network("Brunel A, synchronous and regular", "brunel_c", brunel("brunel_a"), 100, 200, ("nest",), None, 4),
    "brunel_b": Network("Brunel B, fast oscillation", "brunel_c", brunel("brunel_b"), 200, 500, ("nest",), None, 13),
    "brunel_c": Network("Brunel C, asynchronous and irregular", "brunel_c", brunel("brunel_c"), 200, 500, ("nest",), None, 16),
    "brunel_d": Network("Brunel D, slow oscillation", "brunel_c", brunel("brunel_d"), 200, 500, ("nest",)),
    "pd14_0.1": Network("Potjans & Diesmann, a tenth of neurons and in-degrees", "pd14_0.1", {}, 500, 2000, ("nest",), None, 20),
    "pd14": Network("Potjans & Diesmann at full scale, Poisson trains", "pd14", {}, 500, 10_000, (), None, 4),
    "pd14_dc": Network("Potjans & Diesmann at full scale, constant drive", "pd14_dc", {}, 500, 10_000, ("nest",), None, 8),
}  # fmt: skip
DOUBLE = "snnrun, float64"
IN_DOUBLE = ("einet", "coba", "cuba", "brunel_c", "brunel_d", "pd14_0.1")
FULL_SCALE = ("pd14", "pd14_dc")  # minutes for each run
# fewer seeds: where a run takes most of an hour and 15 GB, and where fewer are enough
RARE = {("pd14_dc", "nest"): 1, ("einet", "brainpy"): 20, ("einet", DOUBLE): 20, ("pd14_0.1", "nest"): 10}


def text(name: str, seed: int) -> str:
    """The network file of a seed."""
    network = NETWORKS[name]
    if network.config.startswith("pd14_0"):
        scale = float(network.config.removeprefix("pd14_"))
        tree = yaml.safe_load(potjans_diesmann.text(scale, scale, "poisson", 1e3, True))
    else:
        tree = yaml.safe_load((CONFIGS / f"{network.config}.yaml").read_text())
    for key, value in network.changes.items():
        *path, last = key.split(".")
        parent = tree
        for part in path:
            parent = parent[part]
        assert last in parent, key
        parent[last] = value
    tree |= {"seed": seed, "duration": f"{network.warmup + network.span:g} ms"}
    tree["monitors"] = {"spikes": {"model": "spikes", "of": list(tree["populations"])}}
    return yaml.safe_dump(tree, sort_keys=False)


def seeds(name: str, simulator: str) -> range:
    return range(1, 1 + RARE.get((name, simulator), NETWORKS[name].seeds))


def simulators(name: str) -> list[str]:
    """Everything that runs a network."""
    return ["snnrun", *([DOUBLE] if name in IN_DOUBLE else []), *NETWORKS[name].peers]


def kept(folder: Path, name: str, simulator: str, seed: int) -> Path:
    """Where the spikes of a run are."""
    return folder / f"{name}.{simulator}.{seed}.npz".replace(", ", ".")


def simulate(name: str, simulator: str, seed: int, python: Path | str, folder: Path) -> str:
    """Keep the spikes of one run in a folder; returns the version of the simulator. A run of the same network is not repeated."""
    target, network = kept(folder, name, simulator, seed), text(name, seed)
    note, file, description = (target.with_suffix(suffix) for suffix in (".json", ".yaml", ".network.json"))
    if not note.exists() or not file.exists() or file.read_text() != network:
        note.unlink(missing_ok=True)
        file.write_text(network)
        description.write_text(json.dumps(describe.describe(file)))
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            request = {"network": str(description), "file": str(file), "folder": scratch, "threads": 1, "keep": str(target)}
            request |= {"snnrun": processes.own_snnrun(), "kernel": "native", "device": "cpu"}
            request["precision"] = "float64" if simulator == DOUBLE else "float32"  # of snnrun and BrainPy
            found = processes.run("snnrun" if simulator == DOUBLE else simulator, python, request, None, TIMEOUT)
        if isinstance(found, str) or "unsupported" in found:
            raise RuntimeError(f"{name} with {simulator}: {found}")
        note.write_text(json.dumps(found))
    return json.loads(note.read_text())["version"]


def spikes(folder: Path, name: str, simulator: str, seed: int) -> tuple[Any, Any]:
    """Stamps and neurons of a run that is kept."""
    arrays = np.load(kept(folder, name, simulator, seed))
    return arrays["step"], arrays["neuron"]


def groups(name: str) -> dict[str, tuple[int, int]]:
    """First and last neuron of what is measured apart."""
    given = NETWORKS[name].groups
    if given is not None:
        return given
    found, first = {}, 0
    for population, entry in yaml.safe_load(text(name, 1))["populations"].items():
        found[population] = first, first + entry["size"]
        first += entry["size"]
    return found


def measured(name: str, step: Any, neuron: Any) -> dict[str, measures.Measured]:
    """The measures of one run by group, from stamps in steps and neurons over all populations."""
    window = NETWORKS[name].warmup, NETWORKS[name].warmup + NETWORKS[name].span
    return {
        group: measures.measure(measures.trains(step, neuron, 0.1, first, last - first, *window))
        for group, (first, last) in groups(name).items()
    }
