"""Networks as scripts for other simulators: written, run there, and compared with the run of snnrun.

With the edges that snnrun draws, what is deterministic agrees spike for spike. Where the other simulator draws, or integrates
otherwise, mean rates of populations are compared.
"""

import subprocess
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import networks
import numpy as np

from snnrun import check, document, lower, network
from snnrun.convert import script_files as files

HERE = Path(__file__).parent
CONFIGS, OWN = HERE.parents[1] / "configs", HERE / "exported"
SPIKES, RATES = "spikes", "rates"
TIMEOUT = 1800.0  # seconds


class Case(NamedTuple):
    file: Path
    simulator: str
    edges: bool  # whether the script reads what snnrun draws
    compared: str  # spikes, or rates within a part of themselves
    tolerance: float = 0.0
    duration: str = ""


_SPIKES = (  # network, simulators, a shorter duration
    ("delta_pair", "nest brian2", ""),
    ("alpha_pair", "nest brian2", ""),
    ("ring", "nest brian2", ""),
    ("cuba", "nest brian2", "500 ms"),
    ("einet", "brian2", "500 ms"),
    ("vreeswijk_sompolinsky", "nest brian2", "200 ms"),
    ("vogels2011", "brian2", "100 ms"),
    ("plastic", "nest brian2", ""),
    ("plasticities", "nest brian2", ""),
    ("alphas", "nest brian2", ""),
    ("conductances", "brian2", ""),
)
_RATES = (  # network, simulators, tolerance, a shorter duration
    ("cuba", "nest brian2", 0.1, ""),
    ("einet", "nest brian2", 0.15, ""),
    ("coba", "nest brian2", 0.25, ""),
    ("brunel_c", "nest brian2", 0.03, "300 ms"),
    ("adex_ai", "nest brian2", 0.12, "300 ms"),
    ("izhikevich", "brian2", 0.2, ""),
    ("cuba_stdp", "nest", 0.1, "300 ms"),
    ("synfire", "nest", 0.15, ""),
    ("noisy", "nest brian2", 0.05, ""),
    ("correlated", "nest", 0.05, ""),
)


def _cases() -> dict[str, Case]:
    """By name, like cuba.nest.edges."""
    found = {}

    def add(name: str, simulators: str, edges: bool, compared: str, tolerance: float = 0.0, duration: str = "") -> None:
        file = next(folder / f"{name}.yaml" for folder in (CONFIGS, OWN) if (folder / f"{name}.yaml").exists())
        for simulator in simulators.split():
            case = Case(file, simulator, edges, compared, tolerance, duration)
            found[f"{name}.{simulator}.{'edges' if edges else 'drawn'}"] = case

    for name, simulators, duration in _SPIKES:
        add(name, simulators, True, SPIKES, duration=duration)
    for name, simulators, tolerance, duration in _RATES:
        add(name, simulators, False, RATES, tolerance, duration)
    return found


CASES = _cases()


class Outcome(NamedTuple):
    """What a comparison finds: spikes of both, and the first step that differs or the largest relative difference of rates."""

    ours: int
    theirs: int
    first: int | None
    rates: dict[str, tuple[float, float]]  # Hz, of each population: ours and theirs

    @property
    def difference(self) -> float:
        return max((abs(a - b) / max(a, b) for a, b in self.rates.values() if a or b), default=0.0)

    def agrees(self, case: Case) -> bool:
        return self.first is None if case.compared == SPIKES else self.difference <= case.tolerance


def loaded(case: Case) -> check.Loaded:
    """The network of a case; all its spikes are compared, so that all of them are recorded."""
    given = {"precision": "float64"} | ({"duration": case.duration} if case.duration else {})
    found = check.load(case.file, [document.Override((key,), value, f"--{key}") for key, value in given.items()])
    watched = tuple(dict.fromkeys(part for m in found.spec.monitors.values() if m.model == "spikes" for part in m.of))
    whole = tuple(dict.fromkeys(part.partition("[")[0] for part in watched))
    monitor = next(m for m in found.spec.monitors.values() if m.model == "spikes").model_copy(update={"of": whole})
    return found._replace(spec=found.spec.model_copy(update={"monitors": {"spikes": monitor}}))


def ours(case: Case) -> dict[str, np.ndarray]:
    """Spikes [step, neuron] of each population by snnrun."""
    found = loaded(case)
    recorded = networks.run_plan(lower.lower(network.build(found.spec, found.document.folder)))
    return {name: np.array(spikes, np.int64).reshape(-1, 2) for name, spikes in recorded.spikes.items()}


def theirs(case: Case, python: Path, folder: Path) -> dict[str, np.ndarray]:
    """The same by the script, in the environment of another simulator. Raises RuntimeError."""
    script, kept = folder / "script.py", folder / "kept.npz"
    found = loaded(case)
    files.write(import_module(f"snnrun.convert.{case.simulator}").script(found, script, case.edges), script, True)
    done = subprocess.run([str(python), str(script), str(kept)], capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{case.file.name} with {case.simulator}: {done.stderr[-2000:]}")
    arrays = np.load(kept)
    names = [key.removesuffix(".times") for key in arrays if key.endswith(".times")]
    steps = {name: np.rint(arrays[f"{name}.times"] / found.spec.dt).astype(np.int64) for name in names}
    return {name: np.stack([steps[name], arrays[f"{name}.neurons"]], axis=1) for name in names}


def compare(case: Case, python: Path, folder: Path) -> Outcome:
    """How far the runs agree."""
    spec = loaded(case).spec
    a, b = ours(case), theirs(case, python, folder)
    odd = [step for name in a for step, _ in set(map(tuple, a[name].tolist())) ^ set(map(tuple, b[name].tolist()))]
    scale = {name: 1e3 / spec.duration / spec.populations[name].size for name in a}
    rates = {name: (len(a[name]) * scale[name], len(b[name]) * scale[name]) for name in a}
    return Outcome(sum(map(len, a.values())), sum(len(b[name]) for name in a), min(odd, default=None), rates)
