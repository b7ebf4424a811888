"""The verb that summarises a results file."""

from typing import Annotated, Any

import typer

from snnrun import apart, terminal
from snnrun.cli.common import AsJson, Quiet, ResultsFile, Verbose, expect_results, print_json, reporting
from snnrun.terminal import say, several
from snnrun.units import show_time


def info(
    results: ResultsFile,
    digest: Annotated[bool, typer.Option("--digest", help="SHA-256 of every dataset: equal bits, equal digests.")] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the network file that was run.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Summarise results: what was run, with what, what was recorded."""
    with reporting(as_json), apart.child(results):
        expect_results(results)
        from snnrun.results import Results

        with Results(results) as found:
            if yaml:
                terminal.hand_over(found.yaml)
            elif digest:
                digests = found.digests()
                if as_json:
                    print_json(digests)
                else:
                    for name, value in sorted(digests.items()):
                        say(f"{value}  {name}")
            else:
                print_info(found, as_json)


def _extent(points: Any) -> str:
    """How far positions extend along each axis: `on 975 um x 975 um`."""
    from snnrun import units

    lengths = (points.max(axis=0) - points.min(axis=0)).tolist() if len(points) else []
    return f"on {' x '.join(units.show(float(f'{length:.4g}'), 'length') for length in lengths)}"


def print_info(found: Any, as_json: bool) -> None:
    counts = found.spike_counts()
    facts = {
        "file": str(found.path),
        "name": found.name,
        "complete": found.complete,
        "duration_ms": found.duration,
        "reached_ms": found.reached,
        "dt_ms": found.dt,
        "populations": {name: {"size": size, "model": model} for name, (size, model) in found.populations.items()},
        "monitors": found.monitors,
        "dimensions": found.placed,
        "spikes": {name: count.spikes for name, count in counts.items()},
        "rates_hz": {name: count.rate for name, count in counts.items()},
        "provenance": found.provenance,
    }
    if as_json:
        print_json(facts)
        return
    if found.complete:
        length, state = show_time(found.duration, 6), "complete"
    else:
        length = f"{show_time(found.reached, 6)} of {show_time(found.duration, 6)}"
        state = "incomplete: the run is going on, or was stopped"
    say(f"{found.path}: {facts['name']}, {length} in steps of {found.dt:g} ms, {state}")
    for name, (size, model) in found.populations.items():
        count = counts.get(name)
        heard = "" if count is None else f"  {count.spikes:,} spikes"
        if count is not None and count.stop > count.start:
            of = "" if count.size == size else f" of {count.size:,} neurons"
            whole = count.start == 0 and count.stop == found.reached
            window = "" if whole else f" from {show_time(count.start, 6)} to {show_time(count.stop, 6)}"
            heard += f"{of}{window}  {count.rate:.4g} Hz"
        where = f"  {_extent(found.positions(name))}" if name in found.placed else ""
        say(f"  population  {name}  {model}  {several(size, 'neuron')}{where}{heard}")
    for name, model in found.monitors.items():
        say(f"  monitor     {name}  {model}")
    for key, value in found.provenance.items():
        say(f"  {key:<22}{f'{value:.4g}' if isinstance(value, float) else value}")
