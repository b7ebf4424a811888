"""Each of NEST's neurons that `snnrun export nest` writes, in a small network: what it does in NEST, and what ours does.

Neurons get currents that differ, spikes of regular sources and, some of them, spikes of each other, all of which snnrun draws.
Where NEST steps as snnrun does every spike is the same. Where it integrates adaptively each spike has one of ours near it: these
are driven by the sources alone, since a network that feeds back parts from itself after any shift. Where spikes are random, their
numbers are compared.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import networks
import numpy as np

from snnrun import lower, network
from snnrun.convert import nest, script_files

HEAD = """
seed: 3
duration: {duration}
dt: {dt}
precision: float64
populations:
  S: {{model: regular, size: 40, period: {{uniform: {{low: 11 ms, high: 23 ms}}}}, phase: {{uniform: {{low: 1 ms, high: 9 ms}}}}}}
  N: {{size: {size}, {neuron}}}
projections:
{projections}
monitors: {{spikes: {{model: spikes, of: N}}, V: {{model: state, of: N, variables: [V]}}}}
"""
EDGES = """\
  {name}:
    pre: {pre}
    post: N
    connect: {{rule: fixed_indegree, n: {n}}}
    weight: {{uniform: {{low: {low}, high: {high}}}}}
    delay: {{uniform: {{low: 0.5 ms, high: 3 ms}}}}
    synapse: {{{synapse}}}
{output}"""


class Synapse(NamedTuple):
    text: str
    weights: str  # from, to
    E: str = ""  # of a conductance
    pre: str = "S"


class Row(NamedTuple):
    neuron: str
    synapses: list[Synapse]
    within: float = 0.0  # ms, with steps so small that our own error is less; 0: every spike is the same
    random: bool = False


class Outcome(NamedTuple):
    model: str  # NEST's
    ours: int
    theirs: int
    near: float  # the part of the spikes of both that have one of the other near them, or in the same step
    before: float  # mV, the largest difference of V before the first spike that is not in the same step

    def agrees(self, row: Row) -> bool:
        if row.random:
            return abs(self.ours - self.theirs) < 4 * np.sqrt(self.ours + self.theirs)
        return (
            self.near == 1 and self.before < 1e-6
            if not row.within
            else self.near >= 0.97 and abs(self.ours - self.theirs) <= 0.03 * self.ours
        )


def _between(low: str, high: str) -> str:
    return f"{{uniform: {{low: {low}, high: {high}}}}}"


def _at(low: str, high: str, current: str) -> str:
    return f"init: {{V: {_between(low, high)}}}, I_e: {current}"


_LIF = ("model: lif, C: 250 pF, tau: 11.3 ms, V_rest: -65 mV, V_reset: -64 mV, V_th: -50 mV, tau_ref: 1.5 ms, "
        + _at("-64 mV", "-51 mV", _between("250 pA", "420 pA")))  # fmt: skip
_DRIVEN = _LIF.replace("250 pA, high: 420 pA", "400 pA, high: 600 pA")
_ADEX = "model: adex, tau_ref: 1.5 ms, " + _at("-70 mV", "-55 mV", _between("600 pA", "900 pA"))
_TONIC = "model: adex, set: tonic, tau_ref: 1.5 ms, " + _at("-70 mV", "-55 mV", _between("450 pA", "750 pA"))
_IZHIKEVICH = "model: izhikevich, " + _at("-70 mV", "-60 mV", _between("5 pA", "12 pA"))
_HH = "model: hh, " + _at("-66 mV", "-60 mV", _between("500 pA", "900 pA"))
_TRAUB = "model: hh_traub, " + _at("-66 mV", "-60 mV", _between("300 pA", "700 pA"))
_MAT = "model: mat2, " + _at("-70 mV", "-55 mV", _between("500 pA", "800 pA"))
_SFA = "model: lif_cond_sfa_rr, " + _at("-70 mV", "-60 mV", _between("600 pA", "1200 pA"))
_GIF = "model: gif_escape, " + _at("-67 mV", "-50 mV", _between("100 pA", "160 pA"))
_LIVELY = "model: gif_escape, " + _at("-67 mV", "-50 mV", _between("300 pA", "400 pA"))
_GLIF = "model: GLIF, " + _at("-78 mV", "-60 mV", _between("300 pA", "500 pA"))

_JUMPS = [Synapse("model: delta", "0.5 mV, 1 mV"), Synapse("model: delta", "-1 mV, 0.5 mV", pre="N")]
_EXPON, _ALPHA = (
    [Synapse(f"model: {s}, tau: 3 ms", "20 pA, 60 pA"), Synapse(f"model: {s}, tau: 6 ms", "-40 pA, -20 pA", pre="N")]
    for s in ("expon", "alpha, normalize: area")
)
_ALONE = [synapse._replace(pre="S") for synapse in _ALPHA]
_MORE_EXPON, _MORE_ALPHA = (
    [*_EXPON, Synapse("model: expon, tau: 9 ms", "5 pA, 10 pA")],
    [*_ALPHA, Synapse("model: alpha, tau: 9 ms", "5 pA, 10 pA")],
)
_COND_EXPON, _COND_ALPHA, _COND_BETA = (
    [Synapse(f"model: {s}: 3 ms", "1 nS, 3 nS", "0 mV"), Synapse(f"model: {s}: 6 ms", "1 nS, 3 nS", "-80 mV")]
    for s in ("expon, tau", "alpha, tau", "dual_expon, tau_rise: 1 ms, tau_decay")
)
_MORE_COND = [[*two, two[0]._replace(text=two[0].text.replace("3 ms", "9 ms"), weights="0.2 nS, 0.4 nS")]
              for two in (_COND_EXPON, _COND_ALPHA, _COND_BETA)]  # fmt: skip

TABLE = {
    "iaf_psc_delta": Row(_LIF, _JUMPS),
    "iaf_psc_delta, refractory_input": Row(f"{_LIF}, refractory_input: true", _JUMPS),
    "iaf_psc_exp": Row(_LIF, _EXPON),
    "iaf_psc_exp_multisynapse": Row(_LIF, _MORE_EXPON),
    "iaf_psc_alpha": Row(_LIF, _ALPHA),
    "iaf_psc_alpha_multisynapse": Row(_LIF, _MORE_ALPHA),
    "iaf_cond_exp": Row(_DRIVEN, _COND_EXPON, 1.0),
    "iaf_cond_alpha": Row(_DRIVEN, _COND_ALPHA, 0.3),
    "iaf_cond_beta": Row(_DRIVEN, _COND_BETA, 0.3),
    "aeif_psc_delta": Row(_ADEX, [_JUMPS[0]], 0.5),
    "aeif_psc_exp": Row(_ADEX, [synapse._replace(pre="S") for synapse in _EXPON], 0.5),
    "aeif_psc_alpha": Row(_ADEX, _ALONE, 0.5),
    "aeif_cond_exp": Row(_TONIC, _COND_EXPON, 1.0),
    "aeif_cond_alpha": Row(_TONIC, _COND_ALPHA, 1.0),
    "aeif_cond_alpha_multisynapse": Row(_TONIC, _MORE_COND[1], 1.0),
    "aeif_cond_beta_multisynapse": Row(_TONIC, _MORE_COND[2], 1.0),
    "izhikevich": Row(_IZHIKEVICH, _JUMPS),
    "hh_psc_alpha": Row(_HH, _ALONE, 0.6),
    "hh_cond_exp_traub": Row(_TRAUB, _COND_EXPON, 0.6),
    "mat2_psc_exp": Row(_MAT, _EXPON),
    "iaf_cond_exp_sfa_rr": Row(_SFA, _COND_EXPON, 0.3),
    "gif_psc_exp": Row(_GIF, _EXPON, random=True),
    "gif_psc_exp_multisynapse": Row(_GIF, _MORE_EXPON, random=True),
    "gif_cond_exp": Row(_LIVELY, _COND_EXPON, random=True),
    "gif_cond_exp_multisynapse": Row(_LIVELY, _MORE_COND[0], random=True),
    **{f"glif_psc, glif{i}": Row(_GLIF.replace("GLIF", f"glif{i}"), _ALONE, 0.5) for i in range(1, 6)},
    **{f"glif_cond, glif{i}": Row(_GLIF.replace("GLIF", f"glif{i}"), _COND_ALPHA, 0.5) for i in range(1, 6)},
}


def text(row: Row) -> str:
    size = 400 if row.random else 20
    parts = []
    for i, synapse in enumerate(row.synapses):
        low, high = synapse.weights.split(", ")
        output = f"    output: {{model: coba, E: {synapse.E}}}\n" if synapse.E else ""
        n = 8 if synapse.pre == "S" else 6
        parts.append(EDGES.format(name=f"x{i}", pre=synapse.pre, n=n, low=low, high=high, synapse=synapse.text, output=output))
    return HEAD.format(
        duration="400 ms", dt="0.02 ms" if row.within else "0.1 ms", size=size, neuron=row.neuron, projections="".join(parts)
    )


def compare(row: Row, python: Path, folder: Path) -> Outcome:
    """What NEST and snnrun make of the network of a row. Raises RuntimeError."""
    loaded = networks.load(folder, text(row))
    recorded = networks.run_plan(lower.lower(network.build(loaded.spec, folder)))
    script, kept = folder / "script.py", folder / "kept.npz"
    found = nest.script(loaded, script, edges=True)
    script_files.write(found, script, True)
    done = subprocess.run([str(python), str(script), str(kept)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    theirs = np.load(kept)
    a = np.array(recorded.spikes["N"], np.int64).reshape(-1, 2)
    b = np.stack([np.rint(theirs["N.times"] / loaded.spec.dt).astype(np.int64), theirs["N.neurons"]], axis=1)
    model = next(line.split('"')[1] for line in found.text.split("\n") if "nest.CopyModel" in line or line.startswith("N = "))
    odd = set(map(tuple, a.tolist())) ^ set(map(tuple, b.tolist()))
    V = recorded.samples["V", "N", "V"][1:]
    first = min((step for step, _ in odd), default=len(V)) - 1  # the sample after the step of a spike has its reset
    before = np.abs(V[:first] - theirs["V.N.V"][:first][: len(V)]) if first < len(V) else np.abs(V - theirs["V.N.V"][: len(V)])
    steps = round(row.within / loaded.spec.dt)
    near = (_near(a, b, steps) + _near(b, a, steps)) / max(len(a) + len(b), 1)
    return Outcome(model, len(a), len(b), near, float(before.max(initial=0.0)))


def _near(a: np.ndarray, b: np.ndarray, steps: int) -> int:
    """How many spikes of a have one of b of the same neuron at most so many steps apart."""
    found = 0
    for neuron in np.unique(a[:, 1]):
        own, other = (np.sort(x[x[:, 1] == neuron, 0]) for x in (a, b))
        if len(other):
            at = np.searchsorted(other, own).clip(1, max(len(other) - 1, 1)) if len(other) > 1 else np.zeros(len(own), int)
            distance = np.minimum(np.abs(own - other[at]), np.abs(own - other[np.maximum(at - 1, 0)]))
            found += int(np.count_nonzero(distance <= steps))
    return found
