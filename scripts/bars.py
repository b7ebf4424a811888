"""Measure what the structure of a network costs, and what neuron models cost beside lif, and hold it against bars.

    python scripts/bars.py                          everything, to the terminal: some ten minutes
    python scripts/bars.py --write                  into docs/benchmarks.md as well
    python scripts/bars.py --only models            one of the tables

Run it with the Python that snnrun is installed for, on Linux. Every measurement is a process of its own on one core, and what is
measured is its processor time: on an idle machine that is the time it takes, and on a busy one still what it needs. The cases
of a table take turns, round by round, and what is compared is compared within a round. Exits with 1 where a bar is not held.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

try:
    import numpy as np
    import yaml
    from references import networks, processes, table
    from references.processes import say

    import snnrun
    from snnrun.models import neurons
except ModuleNotFoundError as error:
    print(f"bars.py: {error}: run it with the Python that snnrun is installed for", file=sys.stderr)
    sys.exit(2)

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
NEURONS = 4000
STEPS, LOOPS = 10_000, 3  # of a timed run, and how many of these in a process


class Bar(NamedTuple):
    """What a quantity may be at most: in seconds, or as a multiple of what it is in another case."""

    quantity: str
    most: float
    of: str | None = None


class Case(NamedTuple):
    name: str
    text: str  # network file
    bars: tuple[Bar, ...] = ()
    of: str | None = None  # the case that it is compared with
    runs: bool = True  # whether steps are timed


# ---- networks --------------------------------------------------------------------------------------------------------

LIF = "V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF"
START = "init: {V: {uniform: {low: -60 mV, high: -50 mV}}}"
EXPON = "synapse: {model: expon, tau: 5 ms}"


def populations(count: int, connected: bool) -> str:
    """So many populations of lif, with parameters of their own that make them spike about as often as one population of their
    means; all connected with all by one projection, or not at all; spikes recorded."""
    lines = ["duration: 1 s", "populations:"]
    for i in range(count):
        part = (i + 0.5) / count
        lines.append(f"  P{i}: {{model: lif, size: {NEURONS // count}, tau: {19 + 2 * part} ms, tau_ref: 2 ms, {LIF}, "
                     f"I_e: {112 + 6 * part} pA, {START}}}")  # fmt: skip
    every = ", ".join(f"P{i}" for i in range(count))
    if connected:
        lines.append(f"projections: {{e: {{pre: [{every}], post: [{every}], connect: {{rule: fixed_prob, p: 0.02}}, "
                     f"weight: 1 pA, delay: 1 ms, {EXPON}}}}}")  # fmt: skip
    return "\n".join([*lines, f"monitors: {{spikes: {{model: spikes, of: [{every}]}}}}"]) + "\n"


def receptors(count: int) -> str:
    """So many receptors on one population, that differ in tau."""
    lines = [f"  e{i}: {{pre: S, post: P, connect: {{rule: all_to_all}}, weight: 1 pA, delay: 1 ms, "
             f"synapse: {{model: expon, tau: {5 + i / 100} ms}}}}" for i in range(count)]  # fmt: skip
    head = ["duration: 1 s", "populations:", "  S: {model: poisson, size: 10, rate: 10 Hz}",
            f"  P: {{model: lif, size: 4, tau: 20 ms, {LIF}}}", "projections:"]  # fmt: skip
    return "\n".join([*head, *lines]) + "\n"


def monitors(count: int) -> str:
    """So many state monitors, each of one neuron."""
    head = f"duration: 1 s\npopulations:\n  P: {{model: lif, size: {4 * count}, tau: 20 ms, {LIF}, I_e: 110 pA}}\nmonitors:\n"
    return head + "\n".join(f'  m{i}: {{model: state, of: "P[{3 * i}]", variables: [V]}}' for i in range(count)) + "\n"


def projections(side: int) -> str:
    """A projection from each of so many populations to each of them."""
    lines = ["duration: 1 s", "populations:"]
    lines += [f"  P{i}: {{model: lif, size: 40, tau: 20 ms, {LIF}, I_e: 110 pA}}" for i in range(side)]
    lines += ["projections:"]
    more = f"connect: {{rule: fixed_indegree, n: 1}}, weight: 1 pA, delay: 1 ms, {EXPON}"
    lines += [f"  e{i}_{j}: {{pre: P{i}, post: P{j}, {more}}}" for i in range(side) for j in range(side)]
    return "\n".join(lines) + "\n"


LEAKY = """\
models:
  leaky:
    parameters: {tau: {default: 20 ms}, C: {default: 200 pF}, E: {default: -60 mV}, V_th: {default: -50 mV},
                 tau_ref: {default: 2 ms}}
    state: {V: {init: E}}
    equations: {dV/dt: (E - V) / tau + I / C}
    threshold: V >= V_th
    reset: {V: E}
    refractory: {time: tau_ref, hold: [V]}
    solver: exact
"""
OWN_LIF = f"model: lif, tau: 20 ms, tau_ref: 2 ms, {LIF}, {START}"
# What neurons are, and a current of which they spike. Models of the folder that is not there yet are left out
MODELS = {
    "lif, exact": (OWN_LIF, 110),
    "lif, conductances": (OWN_LIF, 110),
    "lif by equations, exact": (f"model: leaky, {START}", 110),
    "izhikevich": ("model: izhikevich", 10),
    "adex": ("model: adex", 700),
    "hh": ("model: hh", 300),
}
EXACT, ONE = "lif, exact", "1 population"


def of_model(name: str) -> str:
    """Neurons of a model, each driven by a current of its own, and a few that fire at random onto all of them."""
    entry, current = MODELS[name]
    drive = f"I_e: {{uniform: {{low: {current} pA, high: {1.5 * current} pA}}}}"
    output = "output: {model: coba, E: 0 mV}, weight: 0.01 nS" if name == "lif, conductances" else "weight: 0.5 pA"
    return (
        f"duration: 1 s\n{LEAKY if 'leaky' in entry else ''}populations:\n  S: {{model: poisson, size: 100, rate: 20 Hz}}\n"
        f"  N: {{{entry}, size: {NEURONS}, {drive}}}\n"
        f"projections: {{e: {{pre: S, post: N, connect: {{rule: fixed_prob, p: 0.02}}, {output}, delay: 1 ms, {EXPON}}}}}\n"
        "monitors: {spikes: {model: spikes, of: N}}\n"
    )


STATIC, ON_BRUNEL = "expon", "brunel_c, apart"
KINETICS = {
    STATIC: "weight: 0.2 pA, synapse: {model: expon, tau: 5 ms}",
    "alpha": "weight: 0.2 pA, synapse: {model: alpha, tau: 2 ms}",
    "dual_expon": "weight: 0.2 pA, synapse: {model: dual_expon, tau_rise: 1 ms, tau_decay: 5 ms}",
    "expon, stp": "weight: 0.4 pA, synapse: {model: expon, tau: 5 ms}, stp: {U: 0.5, tau_d: 100 ms}",
    "expon, stdp by pairs": "weight: 0.2 pA, synapse: {model: expon, tau: 5 ms}, stdp: {A_plus: 0.002 pA, A_minus: 0.0021 pA, "
    "tau_plus: 20 ms, tau_minus: 20 ms, w_max: 0.4 pA}",
    "expon, mg_block": "weight: 0.004 nS, synapse: {model: expon, tau: 5 ms}, output: {model: mg_block}",
    "ampa": "weight: 0.004 nS, synapse: {model: ampa}, output: {model: coba, E: 0 mV}",
    "nmda": "weight: 0.001 nS, synapse: {model: nmda}, output: {model: coba, E: 0 mV}",
    "gap_junction": "weight: 0.01 nS, synapse: {model: gap_junction}",
    "nmda, all to all": "weight: 0.00002 nS, synapse: {model: nmda}, output: {model: coba, E: 0 mV}",
}


def of_synapse(name: str) -> str:
    """A recurrent network of lif whose synapses are of one kind, about as active with all of them."""
    rule = "all_to_all" if "all to all" in name else "fixed_indegree, n: 80"
    delay = "" if name == "gap_junction" else ", delay: 1 ms"
    drive = "I_e: {uniform: {low: 100 pA, high: 125 pA}}"
    return (
        f"duration: 1 s\npopulations:\n  N: {{model: lif, size: {NEURONS}, tau: 20 ms, tau_ref: 2 ms, {LIF}, {drive}, {START}}}\n"
        f"projections: {{e: {{pre: N, post: N, connect: {{rule: {rule}}}{delay}, {KINETICS[name]}}}}}\n"
        "monitors: {spikes: {model: spikes, of: N}}\n"
    )


def synapses() -> list[Case]:
    brunel = {}
    for sort in ("brunel_c", "brunel_stdp"):
        tree = yaml.safe_load(networks.make("brunel_stdp", 1.0, 1).text)
        if sort == "brunel_c":
            del tree["projections"]["plastic"]["stdp"]
        brunel[sort] = yaml.safe_dump(tree, sort_keys=False)
    return [
        *(Case(name, of_synapse(name), of=STATIC) for name in KINETICS),
        Case(ON_BRUNEL, brunel["brunel_c"], of=ON_BRUNEL),
        Case("brunel_stdp", brunel["brunel_stdp"], (Bar("step", 6.0, ON_BRUNEL),), ON_BRUNEL),
    ]


def structures() -> list[Case]:
    found = []
    for connected in (True, False):
        about = "" if connected else ", no synapses"
        one = f"{ONE}{about}"
        for count in (1, 10, 100, 1000):
            bars = (Bar("compile", 1.5, one), Bar("step", 1.3, one)) if count == 1000 else ()
            name = f"{count:,} populations{about}" if count > 1 else one
            found.append(Case(name, populations(count, connected), bars, one))
    return [
        *found,
        Case("1,000 receptors that differ in tau", receptors(1000), (Bar("compile", 3.0),)),
        Case("1,000 state monitors", monitors(1000), (Bar("compile", 3.0),)),
        Case("10,000 projections", projections(100), (Bar("read", 3.0),), runs=False),
    ]


def models() -> list[Case]:
    known = set(neurons.MODELS) | {"leaky"}
    there = [name for name, (entry, _) in MODELS.items() if entry.split(",")[0].removeprefix("model: ") in known]
    return [Case(name, of_model(name), of=EXACT) for name in there]


TABLES = {"structure": structures, "models": models, "synapses": synapses}


# ---- one measurement, in a process of its own ------------------------------------------------------------------------


class _Counting:
    """A sink that counts spikes."""

    spikes = 0

    def write(self, frame: Any) -> None:
        self.spikes += int(np.bitwise_count(frame.rows).sum())


class _Nowhere:
    def write(self, frame: Any) -> None: ...


def measure(path: Path, runs: bool) -> dict[str, float]:
    """Seconds to read and lower a network and to compile its step, and microseconds of a step; of the processor."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.devices()
    from snnrun import check, engine, lower, network

    began = time.process_time()
    loaded = check.load(path)
    plan = lower.lower(network.build(loaded.spec, path.parent), True, "native", 1)
    read = time.process_time()
    found = {"read": read - began}
    if not runs:
        return found
    engine.simulate(plan, engine.init(plan), 0, _Nowhere())
    found["compile"] = time.process_time() - read
    counting = _Counting()
    engine.simulate(plan, engine.init(plan), STEPS, counting)
    spiking = sum(p.size for p in plan.structure.populations if any(p.name == tap.population for tap in plan.structure.taps))
    if spiking:
        found["rate"] = counting.spikes / spiking / (STEPS * plan.structure.dt) * 1e3
    times = []
    for _ in range(LOOPS):
        state, began = engine.init(plan), time.process_time()
        engine.simulate(plan, state, STEPS, _Nowhere())
        times.append((time.process_time() - began) / STEPS * 1e6)
    return found | {"step": median(times)}


def rounds(cases: list[Case], repeats: int) -> dict[str, list[dict[str, float]]]:
    """What each case gave in each round."""
    found: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    with tempfile.TemporaryDirectory(prefix="snnrun-bars-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "network.yaml"
        for repeat in range(repeats):
            for case in cases:
                path.write_text(case.text)
                given = json.dumps({"path": str(path), "runs": case.runs})
                one = processes.call([sys.executable, __file__, "--measure", given], 1, 600.0)
                if isinstance(one, str):
                    raise SystemExit(f"bars.py: {case.name}: {one}")
                found[case.name].append(one)
                say(f"round {repeat + 1}, {case.name}: {', '.join(f'{name} {value:.3g}' for name, value in one.items())}")
    return found


# ---- what came of it -------------------------------------------------------------------------------------------------


def value(found: dict[str, list[dict[str, float]]], case: str, quantity: str, of: str | None = None) -> float | None:
    """The median over the rounds of a quantity, or of its ratio to that of another case in the same round."""
    mine = [one.get(quantity) for one in found[case]]
    theirs = [1.0] * len(mine) if of is None else [one.get(quantity) for one in found[of]]
    return median(a / b for a, b in zip(mine, theirs, strict=True)) if None not in (*mine, *theirs) else None


def held(found: dict[str, list[dict[str, float]]], case: Case) -> list[tuple[str, bool]]:
    """Each bar of a case in words, and whether it is held."""
    said = []
    for bar in case.bars:
        measured = value(found, case.name, bar.quantity, bar.of)
        assert measured is not None
        unit = " s" if bar.of is None else " times"
        name = {"read": "check, build, lower", "compile": "compile", "step": "step"}[bar.quantity]
        said.append((f"{name} at most {bar.most:g}{unit}", measured <= bar.most))
    return said


def rows(found: dict[str, list[dict[str, float]]], cases: Iterable[Case], first: str) -> list[str]:
    """A table in Markdown."""
    cases = list(cases)
    barred = any(case.bars for case in cases)
    head = [first, "rate Hz", "check, build, lower s", "compile s", "µs per step", "compile, ratio", "step, ratio",
            *(["bar"] if barred else [])]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for case in cases:
        cells = [case.name]
        cells += [shown(value(found, case.name, quantity), digits) for quantity, digits in
                  (("rate", ".1f"), ("read", ".2f"), ("compile", ".2f"), ("step", ".2f"))]  # fmt: skip
        cells += [shown(case.of and value(found, case.name, quantity, case.of), ".2f") for quantity in ("compile", "step")]
        if barred:
            cells.append("; ".join(f"{words}: {'held' if good else 'NOT HELD'}" for words, good in held(found, case)) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def shown(number: Any, form: str) -> str:
    return "–" if number is None else format(number, form)


STRUCTURE = f"""\
{NEURONS:,} lif neurons in one population, or in many whose tau and I_e differ; 320,000 synapses, or none; all
spikes recorded. Ratios are to one population. The last three are tiny networks with much of one kind.
"""
OF_MODELS = f"""\
{NEURONS:,} neurons of one model, each with a current of its own, and 100 sources that fire at 20 Hz onto 2% of them; all spikes
recorded. Ratios are to {EXACT}.
"""
OF_SYNAPSES = f"""\
{NEURONS:,} lif neurons that fire by themselves, with 320,000 synapses among them of one kind (16 million between all pairs); all
spikes recorded. Ratios are to {STATIC}. The last two are Brunel's network with 12.5 million synapses, of which 10 million are
plastic, or none.
"""
MEASURED = """\
Medians over {rounds} rounds, in which all cases of a table take turns, each in a process of its own on one core; ratios are taken
within a round. Times are those of the processor, and those of compiling without the cache of compiled programs. The slowest round
of a case took {typical:.2f} times as long a step as the fastest (median), at most {worst:.2f} times. float32, the native kernel.

snnrun {version}, jax {jax}; {machine}. Written by `python scripts/bars.py --write`."""


def section(parts: dict[str, tuple[list[Case], dict[str, list[dict[str, float]]]]], repeats: int, machine: str) -> str:
    """The section of the page."""
    import jax

    texts = {"structure": (STRUCTURE, "network"), "models": (OF_MODELS, "model"), "synapses": (OF_SYNAPSES, "synapses")}
    lines = [table.BARS, ""]
    for name, (cases, found) in parts.items():
        text, first = texts[name]
        lines += [text, *rows(found, cases, first), ""]
    steps = [[one["step"] for one in of] for _, found in parts.values() for of in found.values() if "step" in of[0]]
    spreads = [max(times) / min(times) for times in steps]
    lines.append(
        MEASURED.format(rounds=repeats, typical=median(spreads), worst=max(spreads), version=snnrun.__version__,
                        jax=jax.__version__, machine=machine)
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> int:
    a = _arguments()
    if a.measure:
        given = json.loads(a.measure)
        print(json.dumps(measure(Path(given["path"]), given["runs"])))
        return 0
    machine = processes.machine()
    if a.core is not None:
        os.sched_setaffinity(0, {a.core})
    parts = {}
    for name in a.only or TABLES:
        cases = TABLES[name]()
        parts[name] = cases, rounds(cases, a.repeats)
    text = section(parts, a.repeats, machine)
    print(text, end="")
    if a.write:
        PAGE.write_text(table.with_bars(PAGE.read_text(), text))
    return 0 if all(good for cases, found in parts.values() for case in cases for _, good in held(found, case)) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", choices=tuple(TABLES), help="these tables")
    add("--repeats", type=int, default=5, metavar="N", help="rounds")
    add("--core", type=int, metavar="N", help="the processor to use; the first one, if not given")
    add("--write", action="store_true", help="into docs/benchmarks.md; needs all tables")
    add("--measure", metavar="JSON", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.write and a.only:
        parser.error("--write needs all tables")
    if a.repeats < 1:
        parser.error("--repeats must be positive")
    return a


if __name__ == "__main__":
    sys.exit(main())
