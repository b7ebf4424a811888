"""What a smaller step changes: nothing where the equations are linear, and half the error per half step with conductances.

One membrane is driven by a list of spikes, through each kind of synapse, and by a constant current; V is compared at whole
multiples of 0.4 ms, which all steps have in common. Without conductances it has a closed form; with them it is integrated to
1e-11 mV by the classical Runge-Kutta method between the arrivals.
"""

from typing import Any

import networks
import numpy as np
from numpy.typing import NDArray
from references import describe

from snnrun import lower, network

STEPS = tuple(0.4 / 2**i for i in range(8))  # ms
END, EVERY = 32.0, 0.4  # ms
SPIKES = {"exc": (0.8, 2.4, 2.8, 9.6, 20.0), "inh": (1.6, 6.0, 12.8)}  # ms
DELAY = 0.4  # ms
TAU, C, V_REST = 20.0, 200.0, -60.0  # ms, pF, mV
CURRENT = 50.0  # pA
EXC, INH = {"tau": 5.0, "E": 0.0, "weight": 6.0}, {"tau": 10.0, "E": -80.0, "weight": 20.0}  # ms, mV, nS
PSC, PSP = 40.0, 2.0  # pA, mV
EXACT = ("delta", "expon", "expon, tau_syn = tau", "alpha", "alpha, tau_syn = tau", "constant")
FIRST_ORDER = ("linear", "frozen")


def population(case: str) -> str:
    """The name of the neuron of a case."""
    return case.replace(", ", "_").replace(" = ", "_")


def text(dt: float) -> str:
    """One network with a neuron for each case."""
    names = {case: population(case) for case in (*EXACT, *FIRST_ORDER)}
    membrane = f"size: 1, model: lif, tau: {TAU} ms, C: {C} pF, V_rest: {V_REST} mV, V_reset: {V_REST} mV, V_th: 1 V"
    lines = ["precision: float64", f"dt: {dt!r} ms", f"duration: {END} ms", "populations:"]
    for source, times in SPIKES.items():
        lines.append(f"  {source}: {{model: spike_times, size: 1, times: [{', '.join(f'{t} ms' for t in times)}]}}")
    lines += [f"  {names[case]}: {{{membrane}}}" for case in EXACT]
    lines += [f"  {case}: {{{membrane}, conductance: {case}, I_e: {CURRENT} pA}}" for case in FIRST_ORDER]
    lines += ["inputs:", f"  push: {{model: constant, to: constant, current: {CURRENT} pA}}", "projections:"]
    for case in EXACT[:-1]:
        kind, _, equal = case.partition(", ")
        tau = "" if kind == "delta" else f", tau: {TAU if equal else EXC['tau']} ms"
        weight = f"{PSP} mV" if kind == "delta" else f"{PSC} pA"
        lines.append(_projection(f"to_{names[case]}", "exc", names[case], weight, f"{{model: {kind}{tau}}}", "null"))
    for source, of in (("exc", EXC), ("inh", INH)):
        synapse, output = f"{{model: expon, tau: {of['tau']} ms}}", f"{{model: coba, E: {of['E']} mV}}"
        lines.append(_projection(f"g_{source}", source, "[linear, frozen]", f"{of['weight']} nS", synapse, output))
    lines += ["monitors:", f"  V: {{model: state, of: [{', '.join(names.values())}], variables: [V], every: {EVERY} ms}}"]
    return "\n".join(line.replace(", output: null", "") for line in lines) + "\n"


def _projection(name: str, pre: str, post: str, weight: str, synapse: str, output: str) -> str:
    ends = f"pre: {pre}, post: {post}, connect: {{rule: all_to_all}}, delay: {DELAY} ms"
    return f"  {name}: {{{ends}, weight: {weight}, synapse: {synapse}, output: {output}}}"


def simulated(folder: Any, dt: float, kernel: str) -> dict[str, NDArray[np.float64]]:
    """V in mV of each case at multiples of 0.4 ms."""
    file = folder / "convergence.yaml"
    file.write_text(text(dt))
    samples = networks.run_plan(lower.lower(network.build(describe.load(file), folder), kernel=kernel)).samples
    return {case: samples["V", population(case), "V"][:, 0] for case in (*EXACT, *FIRST_ORDER)}


def closed_form(case: str) -> NDArray[np.float64]:
    """V of one of EXACT: the sum of the responses to all arrivals (Rotter & Diesmann, Biol. Cybern. 81, 1999)."""
    times = np.arange(round(END / EVERY)) * EVERY
    if case == "constant":
        return V_REST - CURRENT * TAU / C * np.expm1(-times / TAU)
    V = np.full(len(times), V_REST)
    for spike in SPIKES["exc"]:
        t = times - spike - DELAY
        after = t > -1e-9
        V[after] += _response(case, np.maximum(t[after], 0.0))
    return V


def _response(case: str, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """mV at t ms after one arrival."""
    kind, _, equal = case.partition(", ")
    membrane = np.exp(-t / TAU)
    if kind == "delta":
        return PSP * membrane
    tau = TAU if equal else EXC["tau"]
    synapse, rate = np.exp(-t / tau), 1 / tau - 1 / TAU
    if kind == "expon":
        return PSC / C * (t * membrane if equal else (membrane - synapse) / rate)
    shape = t**2 / 2 * membrane if equal else (membrane - synapse) / rate**2 - t * synapse / rate
    return PSC * np.e / (tau * C) * shape


def with_conductances(substeps: int = 64) -> NDArray[np.float64]:
    """V of the membrane with conductances, by `substeps` Runge-Kutta steps in each 0.4 ms."""
    y, h, found = np.array([V_REST, 0.0, 0.0]), EVERY / substeps, []
    leak, taus, reversal = C / TAU, np.array([EXC["tau"], INH["tau"]]), np.array([EXC["E"], INH["E"]])

    def slope(y: NDArray[np.float64]) -> NDArray[np.float64]:
        current = leak * (V_REST - y[0]) + y[1:] @ (reversal - y[0]) + CURRENT
        return np.concatenate([[current / C], -y[1:] / taus])

    for k in range(round(END / EVERY)):
        for place, (source, of) in enumerate((("exc", EXC), ("inh", INH)), start=1):
            y[place] += of["weight"] * sum(abs(k * EVERY - spike - DELAY) < 1e-9 for spike in SPIKES[source])
        found.append(y[0])
        for _ in range(substeps):
            a = slope(y)
            b = slope(y + h / 2 * a)
            c = slope(y + h / 2 * b)
            y = y + h / 6 * (a + 2 * b + 2 * c + slope(y + h * c))
    return np.array(found)


def errors(folder: Any, kernel: str) -> dict[str, list[float]]:
    """Largest error of V in mV by case, for each of STEPS."""
    found: dict[str, list[float]] = {case: [] for case in (*EXACT, *FIRST_ORDER)}
    true = {case: closed_form(case) for case in EXACT} | dict.fromkeys(FIRST_ORDER, with_conductances())
    for dt in STEPS:
        for case, V in simulated(folder, dt, kernel).items():
            found[case].append(float(np.abs(V - true[case]).max()))
    return found


def order(errors: list[float], last: int = 6) -> float:
    """Exponent p of error = const dt**p, by least squares over the smallest steps."""
    return float(np.polyfit(np.log(STEPS[-last:]), np.log(errors[-last:]), 1)[0])
