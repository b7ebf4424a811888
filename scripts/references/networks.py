"""The networks of the benchmark, as files for snnrun."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import potjans_diesmann
import yaml

CONFIGS = Path(__file__).parents[2] / "configs"
SCALING = tuple(f"einet_{size}" for size in (4_000, 16_000, 64_000, 160_000, 400_000))
PD14 = ("pd14_0.1", "pd14_0.3", "pd14_dc_0.3", "pd14_1", "pd14_dc_1")  # pd14_dc_0.1 falls silent: its drive is too weak
ALL = ("einet", "cuba", "brunel_c", "brunel_stdp", *PD14, *SCALING, "neurons")
GROUPS = {"all": ALL, "scaling": SCALING, "pd14": PD14}


class Unknown(ValueError):
    """A network that there is not."""


class Network(NamedTuple):
    name: str
    text: str  # network file
    about: str
    tolerance: float | None  # of the mean rate, relative to snnrun's; None: nobody is compared


def expand(names: list[str]) -> list[str]:
    """Names of networks, with groups resolved and each network once. Raises Unknown."""
    found = list(dict.fromkeys(name for given in names for name in GROUPS.get(given, (given,))))
    for name in found:
        kind(name)
    return found


def make(name: str, seconds: float, seed: int) -> Network:
    """The network of a name, with a duration. Raises Unknown."""
    sort, number = kind(name)
    if sort.startswith("pd14"):
        text = potjans_diesmann.text(number, number, "dc" if "dc" in sort else "poisson", 1e3, True)
        drive = "constant currents" if "dc" in sort else "Poisson trains"
        about = f"Potjans & Diesmann (2014) with {number:g} of the neurons and of the in-degrees, driven by {drive}"
        return Network(name, _changed(yaml.safe_load(text), seconds, seed), about, 0.10)
    config = {"scaled": "einet", "neurons": "einet", "brunel_stdp": "brunel_c"}.get(sort, sort)
    tree = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())
    tolerance = {"einet": 0.15, "cuba": 0.25, "brunel_c": 0.03, "brunel_stdp": 0.03, "scaled": 0.10, "neurons": None}[sort]
    if sort == "scaled":
        _scale(tree, int(number))
    if sort == "brunel_stdp":
        _make_plastic(tree)
    if sort == "neurons":
        tree = {key: value for key, value in tree.items() if key not in ("inputs", "projections")}
    about = {
        "einet": "E/I network with conductances, 4,000 neurons, p = 0.02, no delay",
        "cuba": "Vogels & Abbott with currents, 4,000 neurons, in-degree 64 + 16, delay 0.1 ms",
        "brunel_c": "Brunel (2000), 12,500 neurons, in-degree 1,000 + 250, delta synapses, delay 1.5 ms, Poisson trains",
        "brunel_stdp": "brunel_c with plastic synapses among excitatory neurons: pairs of spikes, no dependence on the weight",
        "scaled": f"einet with {int(number):,} neurons and in-degree 64 + 16, no delay",
        "neurons": "einet's 4,000 neurons with nothing to do: no drive, no synapses",
    }[sort]
    return Network(name, _changed(tree, seconds, seed), about, tolerance)


def kind(name: str) -> tuple[str, float]:
    """What a name means: einet, cuba, brunel_c, brunel_stdp, neurons, scaled, pd14, pd14_dc; and its scale. Raises Unknown."""
    if name in ("einet", "cuba", "brunel_c", "brunel_stdp", "neurons"):
        return name, 0.0
    if match := re.fullmatch(r"einet_([0-9]{2,9})", name):
        if int(match[1]) % 5 == 0:
            return "scaled", float(match[1])
    if match := re.fullmatch(r"(pd14|pd14_dc)(?:_([0-9]*\.?[0-9]+))?", name):
        if 0.005 <= (scale := float(match[2] or 1)) <= 1:
            return match[1], scale
    raise Unknown(f"unknown network {name!r}: there are {', '.join((*ALL, *GROUPS))}, einet_<size> and pd14[_dc]_<scale>")


def _changed(tree: dict[str, Any], seconds: float, seed: int) -> str:
    """A network file with this duration and seed that records all spikes and nothing else."""
    tree = {**tree, "duration": f"{seconds!r} s", "seed": seed}
    tree["monitors"] = {"spikes": {"model": "spikes", "of": list(tree["populations"])}}
    return yaml.safe_dump(tree, sort_keys=False)


def _make_plastic(tree: dict[str, Any]) -> None:
    """Brunel's network whose synapses among excitatory neurons change."""
    exc = tree["projections"].pop("exc")
    rule = {"A_plus": "0.001 mV", "A_minus": "0.00105 mV", "tau_plus": "20 ms", "tau_minus": "20 ms", "w_max": "0.2 mV"}
    apart = {"plastic": {**exc, "post": "E", "stdp": rule}, "exc": {**exc, "post": "I"}}
    tree["projections"] = apart | tree["projections"]


def _scale(tree: dict[str, Any], size: int) -> None:
    """EINet with another size and fixed in-degrees."""
    excitatory = size // 5 * 4
    tree["populations"]["N"]["size"] = size
    for name, selection, n in (("exc", f"N[:{excitatory}]", 64), ("inh", f"N[{excitatory}:]", 16)):
        tree["projections"][name].update(pre=selection, connect={"rule": "fixed_indegree", "n": n})
