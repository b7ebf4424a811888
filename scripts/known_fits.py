"""Fit networks to what they do themselves: the values that come out are known.

    python scripts/known_fits.py [einet] [brunel] [--workers 2]

Targets are means over runs with other seeds than those of the fit, tolerances what these differ by. Printed are the values that
were found beside the true ones, with their errors, and the number of runs.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from snnrun import fit
from snnrun.machine import available_threads
from snnrun.sweep.points import Point
from snnrun.trial import Trials

CONFIGS = Path(__file__).parents[1] / "configs"
MEASURES = ("rate", "cv", "fano", "synchrony")
REFERENCES = range(1000, 1064)  # seeds


class Case(NamedTuple):
    name: str
    tree: dict[str, Any]
    population: str  # of which is measured
    free: dict[str, dict[str, Any]]
    truth: dict[str, str]
    runs: int


def cases() -> list[Case]:
    einet = yaml.safe_load((CONFIGS / "einet.yaml").read_text())
    einet |= {"duration": "600 ms", "monitors": {"s": {"model": "spikes", "of": "N", "start": "100 ms"}}}
    brunel = yaml.safe_load((CONFIGS / "brunel_c.yaml").read_text())
    brunel |= {"duration": "600 ms", "monitors": {"s": {"model": "spikes", "of": "E", "start": "100 ms"}}}
    for name, size in (("E", 1000), ("I", 250)):  # a tenth, with weights that are ten times as large
        brunel["populations"][name]["size"] = size
    brunel["inputs"]["background"] |= {"rate": "2 kHz", "weight": "1 mV"}
    for name, n in (("exc", 100), ("inh", 25)):
        brunel["projections"][name]["connect"]["n"] = n
    weights = "projections.exc.weight", "projections.inh.weight"
    return [
        Case("einet", einet, "N", {
            weights[0]: {"low": "0.06 uS", "high": "6 uS", "scale": "log", "start": "0.3 uS"},
            weights[1]: {"low": "0.67 uS", "high": "67 uS", "scale": "log", "start": "14 uS"},
        }, {weights[0]: "0.6 uS", weights[1]: "6.7 uS"}, 400),
        Case("brunel", brunel, "E", {
            weights[0]: {"low": "0.1 mV", "high": "4 mV", "start": "2 mV"},
            weights[1]: {"low": "-12 mV", "high": "-1 mV", "start": "-2 mV"},
        }, {weights[0]: "1 mV", weights[1]: "-5 mV"}, 200),
    ]  # fmt: skip


def run(case: Case, folder: Path, workers: int) -> None:
    file = folder / f"{case.name}.yaml"
    file.write_text(yaml.safe_dump(case.tree, sort_keys=False))
    trials, found = Trials(file), {name: [] for name in MEASURES}
    terms = {name: fit.block.Term(name, name, case.population, 0.0, 1.0) for name in MEASURES}
    for seed in REFERENCES:
        trains = trials.run(trials.load(Point(0, case.truth, seed).overrides())).trains[case.population]
        for name, term in terms.items():
            found[name].append(term.of(trains))
    objective = {}
    for name, values in found.items():
        target, tolerance = statistics.mean(values), max(statistics.stdev(values), 0.01 * statistics.mean(values))
        unit = " Hz" if name == "rate" else ""
        objective[name] = {
            "model": name,
            "of": case.population,
            "target": f"{target:.6g}{unit}",
            "tolerance": f"{tolerance:.3g}{unit}",
        }
    block = {
        "free": case.free,
        "objective": objective,
        "limits": {"rate": "400 Hz"},
        "search": {"evaluations": case.runs, "population": 8},
    }
    file.write_text(yaml.safe_dump(case.tree | {"fit": block}, sort_keys=False))
    job = fit.Job(file, folder / case.name, fit.planned(file, []), [], workers)
    done = fit.run(job)
    print(f"{case.name}: {done.runs} runs, loss {done.chosen.loss:.2g}")
    for free, place in zip(job.fit.free, done.chosen.places, strict=True):
        truth = fit.block.units.parse(case.truth[free.path])[0]
        value = free.value(place)
        error = done.known.error.get(free.path, float("nan")) * free.slope(place)
        print(f"  {free.path}: {value:.5g} +- {error:.2g}, true {truth:.5g} ({value / truth - 1:+.1%})")
    if done.known.ridge:
        print(f"  determined only together: {done.known.loose}")


def main() -> None:
    every = cases()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *(case.name for case in every)], help="all if none is named")
    parser.add_argument("--workers", type=int, default=available_threads())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in every:
            if not arguments.names or case.name in arguments.names:
                run(case, Path(folder), arguments.workers)


if __name__ == "__main__":
    main()
