"""What float32, the default, changes against float64: where two runs of one network part, and whether it matters.

Both runs have the same neurons, synapses and noise: those are drawn in whole numbers and float64, and sums of weights are whole
numbers in either. What differs is the rounding of V and of receptor variables. It moves V by some 1e-5 mV, until one of many
thousand crossings of a threshold falls into another step; from there a recurrent network goes its own way, as it would after
any change. So single spikes cannot agree for long, and statistics have to.
"""

from typing import Any, NamedTuple

import convergence
import networks
import numpy as np
from references import describe

from snnrun import lower, network

RATIOS = (0.1, 0.01, 1e-3, 2.5e-4, 1e-4, 1e-5, 1e-6, 1e-7)  # dt / tau
DT, REF, SPAN = 0.01, 2.0, 15.0  # ms, ms, mV
MARGINS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)  # mV by which neurons are driven above threshold


class Parting(NamedTuple):
    """Two runs of one seed."""

    time: float  # ms of the first spike that only one of the two has; the end of the run, if there is none
    before: int  # spikes that they share until then
    spikes: int  # of the run in float64
    shared: float  # part of all spikes, of both runs, that are the same to the step


def parting(single: tuple[Any, Any], double: tuple[Any, Any], dt: float = 0.1) -> Parting:
    """Compare two runs, each of them stamps in steps and neurons."""
    codes = [np.asarray(step, np.int64) * 2**32 + np.asarray(neuron, np.int64) for step, neuron in (single, double)]
    odd, common = np.setxor1d(*codes), np.intersect1d(*codes)
    end = max(int(code.max()) >> 32 for code in codes)
    first = int(odd.min()) >> 32 if len(odd) else end + 1
    before, total = int(np.searchsorted(common, first << 32)), len(odd) + len(common)
    return Parting(first * dt, before, len(codes[1]), len(common) / total)


def rounding(folder: Any, kernel: str, dt: float = 0.1) -> dict[str, float]:
    """Largest difference of V in mV between the precisions by case of `convergence`, over 32 ms below threshold."""
    runs, file = {}, folder / "rounding.yaml"
    for precision in ("float32", "float64"):
        text = convergence.text(dt).replace("precision: float64", f"precision: {precision}")
        file.write_text(text.replace("V_th: 1 V", "V_th: -40 mV"))  # a membrane of 1 V is left to float64
        samples = networks.run_plan(lower.lower(network.build(describe.load(file), folder), kernel=kernel)).samples
        runs[precision] = {population: values[:, 0].astype(float) for (_, population, _), values in samples.items()}
    return {
        case: float(np.abs(runs["float32"][name] - runs["float64"][name]).max())
        for case in (*convergence.EXACT, *convergence.FIRST_ORDER)
        for name in [convergence.population(case)]
    }


class Slowness(NamedTuple):
    """What one ratio dt / tau does to a run in float32."""

    kept: str  # precision that a membrane has there
    spikes: int  # of all neurons, by the closed form
    miscounted: int  # sum of differences from it
    first: float  # largest difference of a first spike from the closed form, as a part of the time to it
    first_double: float  # the same in float64
    expon: float  # largest error of x, as a part of its peak
    alpha: float
    linear: float  # largest difference of V from float64, mV
    frozen: float


def slowness(folder: Any, kernel: str, steps: int, ratios: tuple[float, ...] = RATIOS) -> dict[float, Slowness]:
    """Neurons and synapses of several dt / tau, against closed forms and float64.

    Each neuron is driven by one of MARGINS and begins at V_rest or, where it would not get to the threshold in half of the run,
    so far below the threshold that it does.
    """
    runs, file = {}, folder / "slowness.yaml"
    for ratio in ratios:
        rows = [f"{SPAN + margin!r},{-50.0 - _distance(ratio, margin, steps)!r}" for margin in MARGINS]
        (folder / f"{_name('N', ratio)}.csv").write_text("\n".join(["I_pA,V_mV", *rows]) + "\n")
    for precision in ("float32", "float64"):
        file.write_text(_slow_network(precision, steps, ratios))
        runs[precision] = networks.run_plan(lower.lower(network.build(describe.load(file), folder), kernel=kernel))
    return {ratio: _slowness(runs["float32"], runs["float64"], ratio, steps) for ratio in ratios}


def _name(kind: str, ratio: float) -> str:
    return f"{kind}{round(1 / ratio)}"


def _distance(ratio: float, margin: float, steps: int) -> float:
    """mV below threshold at which a neuron begins."""
    return min(SPAN, margin * float(np.expm1(min(ratio * (steps // 2 - 0.5), 100.0))))


def _every(ratio: float, steps: int) -> int:
    """Steps between two samples of a synapse: a tenth of tau, or less."""
    return max(min(round(0.1 / ratio), steps // 1000), 1)


def _slow_network(precision: str, steps: int, ratios: tuple[float, ...]) -> str:
    every = max(steps // 1000, 1) * DT
    lines = [f"precision: {precision}", f"dt: {DT} ms", f"duration: {steps * DT!r} ms", "populations:"]
    lines += [f"  S: {{model: spike_times, size: 1, times: [{DT} ms]}}"]
    for ratio in ratios:
        name, membrane = _name("N", ratio), f"model: lif, tau: {DT / ratio!r} ms, V_rest: -65 mV, V_reset: -65 mV"
        column = f"I_e: {{file: {name}.csv, column: I_pA}}, init: {{V: {{file: {name}.csv, column: V_mV}}}}"
        lines.append(f"  {name}: {{size: {len(MARGINS)}, {membrane}, V_th: -50 mV, R: 1 GOhm, tau_ref: {REF} ms, {column}}}")
        lines.append(f"  {_name('X', ratio)}: {{size: 1, {membrane}, V_th: -50 mV, R: 1 GOhm}}")
        for kind in convergence.FIRST_ORDER:
            lines.append(f"  {_name(kind, ratio)}: {{size: 9, {membrane}, V_th: -40 mV, R: 1 GOhm, conductance: {kind}}}")
    lines.append("inputs:")
    for kind in convergence.FIRST_ORDER:
        to = ", ".join(_name(kind, ratio) for ratio in ratios)
        gate = "synapse: {model: expon, tau: 5 ms}, output: {model: coba, E: 0 mV}"
        lines.append(f"  {kind}: {{model: poisson, to: [{to}], rate: 1 kHz, weight: 0.05 nS, {gate}}}")
    lines.append("projections:")
    for ratio in ratios:
        for kind in ("expon", "alpha"):
            synapse = f"synapse: {{model: {kind}, tau: {DT / ratio!r} ms}}"
            ends = f"pre: S, post: {_name('X', ratio)}, connect: {{rule: all_to_all}}, delay: {DT} ms"
            lines.append(f"  {_name(kind, ratio)}: {{{ends}, weight: 1 pA, {synapse}}}")
    lines += ["monitors:", f"  spikes: {{model: spikes, of: [{', '.join(_name('N', ratio) for ratio in ratios)}]}}"]
    for ratio in ratios:
        variables = ", ".join(f"{_name(kind, ratio)}.x" for kind in ("expon", "alpha"))
        of = f"of: {_name('X', ratio)}, variables: [{variables}], every: {_every(ratio, steps) * DT!r} ms"
        lines.append(f"  {_name('x', ratio)}: {{model: state, {of}}}")
    of = ", ".join(_name(kind, ratio) for kind in convergence.FIRST_ORDER for ratio in ratios)
    return "\n".join([*lines, f"  V: {{model: state, of: [{of}], variables: [V], every: {every!r} ms}}"]) + "\n"


def _slowness(single: Any, double: Any, ratio: float, steps: int) -> Slowness:
    name, margins = _name("N", ratio), np.array(MARGINS)
    begins = np.array([_distance(ratio, margin, steps) for margin in MARGINS])
    first = np.ceil(np.log1p(begins / margins) / ratio)
    interval = np.ceil(np.log1p(SPAN / margins) / ratio) + round(REF / DT)
    counts = np.where(first <= steps, 1 + (steps - first) // interval, 0).astype(int)
    off, late = {}, {}
    for run, of in (("single", single), ("double", double)):
        neurons = np.array([neuron for _, neuron in of.spikes[name]], int)
        stamps = np.array([stamp for stamp, _ in of.spikes[name]])
        off[run] = int(np.abs(np.bincount(neurons, minlength=len(margins)) - counts).sum())
        firsts = np.array([stamps[neurons == i][0] if (neurons == i).any() else np.inf for i in range(len(margins))])
        late[run] = float(np.max(np.abs(firsts - first) / first))
    x = {kind: _synapse_error(single, kind, ratio, steps) for kind in ("expon", "alpha")}
    V = {}
    for kind in convergence.FIRST_ORDER:
        key = ("V", _name(kind, ratio), "V")
        V[kind] = float(np.abs(single.samples[key].astype(np.float64) - double.samples[key]).max())
    kept = next(p.precision for p in single.plan.structure.populations if p.name == name)
    return Slowness(kept, int(counts.sum()), off["single"], late["single"], late["double"], x["expon"], x["alpha"], *V.values())


def _synapse_error(run: Any, kind: str, ratio: float, steps: int) -> float:
    """Largest error of x of a synapse of weight 1 that is reached at 2 dt, as a part of its largest value."""
    values = run.samples[_name("x", ratio), _name("X", ratio), f"{_name(kind, ratio)}.x"][:, 0].astype(np.float64)
    t = (np.arange(len(values)) * _every(ratio, steps) - 2.0) * ratio  # of tau
    expected = np.where(t < 0, 0.0, np.exp(-t) if kind == "expon" else np.e * t * np.exp(-t))
    return float(np.abs(values - expected).max() / expected.max())
