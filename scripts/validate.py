"""Compare snnrun with NEST, Brian2, BrainPy and theory, and write docs/validation.md.

    python scripts/validate.py                      everything: some two hours on two cores, 16 GB
    python scripts/validate.py spikes theory        only these parts
    python scripts/validate.py page                 only write the page, from what is stored

Run it with the Python that snnrun is installed for, tests included, on Linux. The other simulators are installed into
environments of their own, in the versions that are compared, when they are first needed. What is found is stored in
tests/validation/stored, from where the page and the tests have it. Parts: spikes, ensembles, theory, convergence, precision,
slowness, scripts (those of snnrun export: docs/other-simulators.md).
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "validation")]

try:
    import convergence
    import ensembles
    import exported
    import jax
    import measures
    import page
    import precision
    import spikes
    import theory
    from references import processes
    from references.processes import say

    from snnrun import kernels
except ModuleNotFoundError as error:
    print(f"validate.py: {error}: run it with the Python that snnrun is installed for, with its tests", file=sys.stderr)
    sys.exit(2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, page; all, if not given")
    add("--networks", nargs="+", choices=list(ensembles.NETWORKS), metavar="NAME", help="of the ensembles; all, if not given")
    add("--environments", type=Path, default=processes.ENVIRONMENTS, metavar="DIR",
        help="folder with an environment for each simulator; made where there is none")  # fmt: skip
    add("--folder", type=Path, metavar="DIR", help="where runs of ensembles are kept, and not repeated where they are there")
    a = parser.parse_args()
    if unknown := set(a.parts) - {*PARTS, "page"}:
        parser.error(f"unknown part {' '.join(sorted(unknown))!r}: there are {', '.join(PARTS)}, page")
    if sys.platform != "linux":
        parser.error("the other simulators need Linux")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    try:
        kernels.choose("native")
        _validate(a)
    except (RuntimeError, OSError, kernels.Unavailable) as error:
        say(f"validate.py: {error}")
        return 1
    return 0


def _validate(a: argparse.Namespace) -> None:
    """Do the parts that are asked for, store what they find, and write the page."""
    with tempfile.TemporaryDirectory(prefix="snnrun-validate-") as folder:
        a.folder, a.scratch = a.folder or Path(folder), Path(folder)
        a.folder.mkdir(parents=True, exist_ok=True)
        for part in a.parts or [*PARTS]:
            if part != "page":
                say(f"{part} ...")
                page.store(part, PARTS[part](a))
    page.PAGE.write_text(page.render(page.stored()))
    say(f"written: {page.PAGE}")


def compare_spikes(a: argparse.Namespace) -> dict[str, Any]:
    """Every case with every simulator that can: pair -> what the comparison found."""
    found = {}
    for case, simulator in spikes.PAIRS:
        recorded, version, drawn = spikes.theirs(case, simulator, processes.environment(simulator, a.environments), a.scratch)
        spikes.store(case, simulator, recorded, version, drawn)
        agreement = spikes.compare(spikes.ours(case, "native"), recorded)
        found[f"{case}.{simulator}"] = {**agreement._asdict(), "version": version}
        say(f"  {case}, {version}: {agreement}")
    return found


def run_ensembles(a: argparse.Namespace) -> dict[str, Any]:
    """network -> simulator -> numbers by group and seed, and distances of distributions from those of snnrun."""
    found = page.stored().get("ensembles", {})
    for name in a.networks or ensembles.NETWORKS:
        measured: dict[str, list[dict[str, measures.Measured]]] = {}
        versions = {}
        for simulator in ensembles.simulators(name):
            python = sys.executable if simulator.startswith("snnrun") else processes.environment(simulator, a.environments)
            measured[simulator] = []
            for seed in ensembles.seeds(name, simulator):
                versions[simulator] = ensembles.simulate(name, simulator, seed, python, a.folder)
                measured[simulator].append(ensembles.measured(name, *ensembles.spikes(a.folder, name, simulator, seed)))
            say(f"  {name}, {simulator}: {len(measured[simulator])} runs")
        found[name] = {
            simulator: {"version": versions[simulator], "groups": _groups(runs, measured["snnrun"])}
            for simulator, runs in measured.items()
        }
        if ensembles.DOUBLE in measured:
            both = [
                [ensembles.spikes(a.folder, name, kind, seed) for kind in ("snnrun", ensembles.DOUBLE)]
                for seed in ensembles.seeds(name, ensembles.DOUBLE)
            ]
            found[name][ensembles.DOUBLE]["partings"] = [precision.parting(*pair)._asdict() for pair in both]
    return found


def _groups(runs: list[dict[str, measures.Measured]], ours: list[dict[str, measures.Measured]]) -> dict[str, Any]:
    """Numbers of runs by group and, where they are not ours, distances of distributions from those of ours."""
    found: dict[str, Any] = {}
    for group in runs[0]:
        found[group] = {"numbers": {name: [run[group].numbers[name] for run in runs] for name in measures.NUMBERS}}
        if ours is not runs:
            found[group]["distances"] = {
                name: measures.distances([run[group].samples[name] for run in ours], [run[group].samples[name] for run in runs])
                for name in measures.DISTRIBUTIONS
            }
    return found


def measure_theory(a: argparse.Namespace) -> list[dict[str, Any]]:
    """Neurons under noise, for several steps."""
    return [theory.driven(a.scratch, dt, 5200.0, 8000, "native")._asdict() for dt in (0.4, 0.2, 0.1, 0.05, 0.025)]


def measure_convergence(a: argparse.Namespace) -> dict[str, list[float]]:
    return convergence.errors(a.scratch, "native")


def measure_precision(a: argparse.Namespace) -> dict[str, float]:
    return precision.rounding(a.scratch, "native")


def measure_slowness(a: argparse.Namespace) -> dict[str, Any]:
    """float32 over dt / tau."""
    steps = 200_000
    ratios = precision.slowness(a.scratch, "native", steps)
    return {"steps": steps, "ratios": {f"{ratio:g}": found._asdict() for ratio, found in ratios.items()}}


def run_scripts(options: argparse.Namespace) -> dict[str, Any]:
    """Scripts for other simulators: case -> what the comparison with our run found."""
    found = {}
    for name, case in exported.CASES.items():
        outcome = exported.compare(case, processes.environment(case.simulator, options.environments), options.scratch)
        found[name] = {
            **outcome._asdict(),
            "compared": case.compared,
            "tolerance": case.tolerance,
            "agrees": outcome.agrees(case),
        }
        rates = ", ".join(f"{group} {a:.2f} and {b:.2f}" for group, (a, b) in outcome.rates.items())
        verdict = "agrees" if outcome.agrees(case) else "DIFFERS"
        say(f"  {name}: {verdict}; {outcome.ours} and {outcome.theirs} spikes, first that differs {outcome.first}; Hz: {rates}")
    return found


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "spikes": compare_spikes,
    "ensembles": run_ensembles,
    "theory": measure_theory,
    "convergence": measure_convergence,
    "precision": measure_precision,
    "slowness": measure_slowness,
    "scripts": run_scripts,
}

if __name__ == "__main__":
    sys.exit(main())
