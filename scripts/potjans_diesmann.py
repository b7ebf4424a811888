"""Write the network file of the cortical microcircuit of Potjans & Diesmann (Cereb. Cortex 24, 2014), at any scale.

    python scripts/potjans_diesmann.py > pd14.yaml
    python scripts/potjans_diesmann.py --scale 0.1 --drive dc > pd14_tenth.yaml

Parameters are those of the reference implementation (INM-6, microcircuit-PD14-model). Scaling (van Albada, Helias & Diesmann,
PLoS Comput. Biol. 11, 2015): the number of neurons is multiplied by `--scale`, in-degrees by `--in-degree` (the same, if not
given); weights grow by one over the square root of it, and a constant current makes up for the mean input that is lost.
"""

import argparse
import math

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZE = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)  # external in-degree
RATE = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # Hz, at full scale
V_MEAN = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)  # mV
V_STD = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)
PROBABILITY = (  # row: target, column: source
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    (0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443),
)
C, TAU, TAU_SYN, TAU_REF, V_REST, V_TH = 250.0, 10.0, 0.5, 2.0, -65.0, -50.0  # pF, ms, mV
PSP, INHIBITION, SPREAD = 0.15, -4.0, 0.1  # mV; relative to excitation; standard deviation of weights over their mean
EXTERNAL_RATE = 8.0  # Hz of one external source
SYNAPSE = "&synapse {model: expon, tau: 0.5 ms}"  # named where it is first used
DELAYS = {"E": (1.5, 0.75), "I": (0.75, 0.375)}  # ms


def psc_of_psp(psp: float) -> float:
    """The current in pA whose exponential decay makes a potential of this height in mV."""
    r = TAU_SYN / TAU
    peak = r ** (TAU_SYN / (TAU - TAU_SYN)) - r ** (TAU / (TAU - TAU_SYN))
    return psp * C * (TAU - TAU_SYN) / (TAU * TAU_SYN * peak)


def synapses(target: int, source: int) -> float:
    """Number of synapses of a projection at full scale, from the probability that a pair has at least one."""
    p, pairs = PROBABILITY[target][source], SIZE[target] * SIZE[source]
    return math.log(1.0 - p) / math.log((pairs - 1.0) / pairs)


def weight(target: str, source: str) -> float:
    """Mean weight in pA at full scale."""
    psc = psc_of_psp(PSP)
    if source.endswith("I"):
        return INHIBITION * psc
    return 2.0 * psc if (target, source) == ("L23E", "L4E") else psc


def number(value: float) -> str:
    return f"{value:.9g}"


def text(scale: float, in_degree: float, drive: str, duration: float, record: bool) -> str:
    psc = psc_of_psp(PSP)
    root = math.sqrt(in_degree)
    whole = scale == in_degree == 1
    lines = [
        "# yaml-language-server: $schema=snnrun.schema.json",
        "# Cortical microcircuit at "
        + ("full scale" if whole else f"a scale of {scale:g}")
        + f", {'Poisson' if drive == 'poisson' else 'constant'} drive",
        "# Potjans & Diesmann, Cereb. Cortex 24 (2014): "
        + (
            "77,169 neurons and 299 million synapses."
            if whole
            else f"{scale:g} of its neurons and {in_degree:g} of their in-degrees."
        ),
        "# Written by scripts/potjans_diesmann.py. The first 500 ms are warm-up.",
        "name: " + ("pd14" if drive == "poisson" else "pd14_dc"),
        "seed: 1",
        f"duration: {duration:g} ms",
        "dt: 0.1 ms",
        "populations:",
    ]
    sizes = [round(size * scale) for size in SIZE]
    for i, (name, size) in enumerate(zip(POPULATIONS, sizes, strict=True)):
        shared = "<<: *neuron, " if i else ""
        own = (
            ""
            if i
            else (
                f"model: lif, C: {C:g} pF, tau: {TAU:g} ms, tau_ref: {TAU_REF:g} ms, V_rest: {V_REST:g} mV, "
                f"V_reset: {V_REST:g} mV, V_th: {V_TH:g} mV, "
            )
        )
        init = f"init: {{V: {{normal: {{mean: {V_MEAN[i]} mV, std: {V_STD[i]} mV}}}}}}"
        lines.append(f"  {name}: {'&neuron ' if not i else ''}{{{shared}size: {size}, {own}{init}}}")
    lines.append("inputs:")
    for i, name in enumerate(POPULATIONS):
        lost = sum(
            weight(name, source) * synapses(i, j) / SIZE[i] * RATE[j] for j, source in enumerate(POPULATIONS) if PROBABILITY[i][j]
        )
        external = psc * EXTERNAL[i] * EXTERNAL_RATE
        if drive == "poisson":
            lost += external
            rate = EXTERNAL_RATE * 1e-3 * round(EXTERNAL[i] * in_degree)
            lines.append(
                f"  background_{name}: {{model: poisson, to: {name}, rate: {number(rate)} kHz, weight: {number(psc / root)} pA, "
                + (
                    "delay: 1.5 ms, synapse: &synapse {model: expon, tau: 0.5 ms}}"
                    if not i
                    else "delay: 1.5 ms, synapse: *synapse}"
                )
            )
        current = 1e-3 * TAU_SYN * (1.0 - root) * lost  # pA
        if drive == "dc":
            current += 1e-3 * TAU_SYN * external
        if current:
            lines.append(f"  current_{name}: {{model: constant, to: {name}, current: {number(current)} pA}}")
    lines.append("projections:")
    first = drive == "dc"
    for i, target in enumerate(POPULATIONS):
        for j, source in enumerate(POPULATIONS):
            if not PROBABILITY[i][j]:
                continue
            count = round(synapses(i, j) / SIZE[i] * in_degree * sizes[i])
            w = weight(target, source) / root
            mean, std = DELAYS[source[-1]]
            bound = "min" if w > 0 else "max"
            synapse = SYNAPSE if first else "*synapse"
            first = False
            lines += [
                f"  {target}_{source}:",
                f"    pre: {source}",
                f"    post: {target}",
                f"    connect: {{rule: fixed_total, n: {count}}}",
                f"    weight: {{normal: {{mean: {number(w)} pA, std: {number(SPREAD * abs(w))} pA, redraw: {{{bound}: 0 pA}}}}}}",
                f"    delay: {{normal: {{mean: {mean} ms, std: {std} ms, redraw: {{min: 0.05 ms}}}}}}",
                f"    synapse: {synapse}",
            ]
    if record:
        lines += ["monitors:", f"  spikes: {{model: spikes, of: [{', '.join(POPULATIONS)}]}}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="neurons, relative to the full network")
    parser.add_argument("--in-degree", type=float, help="in-degrees, relative to the full network; the scale, if not given")
    parser.add_argument("--drive", choices=("poisson", "dc"), default="poisson")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--no-record", action="store_true", help="record nothing")
    a = parser.parse_args()
    print(text(a.scale, a.scale if a.in_degree is None else a.in_degree, a.drive, a.duration, not a.no_record), end="")


if __name__ == "__main__":
    main()
