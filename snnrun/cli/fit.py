"""The verb that looks for values of a network file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from snnrun import terminal
from snnrun.cli.common import (
    AsJson,
    Duration,
    Kernel,
    NetworkFile,
    Overwrite,
    Precision,
    Quiet,
    Set,
    expect_text,
    known,
    overrides_of,
    print_json,
    reporting,
)
from snnrun.signals import Stop
from snnrun.terminal import say, visible

NEAR_MISS = 3  # exit code: the search has ended, and nothing is within all tolerances


def fit(
    context: typer.Context,
    file: NetworkFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of what is found; NAME_fit if not given.", show_default=False
        ),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=1, metavar="N", help="Runs at most, instead of those that the file says.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes; one per processor if not given.")
    ] = None,
    set_: Set = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    overwrite: Overwrite = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no picture.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look for values for which a network does what is wanted."""
    with reporting(as_json) as outcome:
        known("kernel", kernel, as_json)
        stop = context.obj or Stop()
        expect_text(file)
        overrides = overrides_of(set_ or [], {"duration": duration, "precision": precision})
        from snnrun import fit as fitting
        from snnrun import progress
        from snnrun.machine import available_threads

        found = fitting.planned(file, overrides)
        found = found if evaluations is None else found._replace(evaluations=evaluations)
        folder = output or Path(f"{file.stem}_fit")
        job = fitting.Job(file, folder, found, overrides, workers or available_threads(), kernel, overwrite)
        watcher = fitting.Silent() if quiet else progress.Generations(file.stem)
        try:
            with stop.deferred():
                done = fitting.run(job, watcher, stop.requested)
        finally:
            watcher.close()
        stop.check()
        if not no_plot:
            from snnrun.plot import fits

            fits.draw(found, folder / fitting.EVALUATIONS, done, folder / "fit.png")
        if as_json:
            print_json({"folder": folder, "values": done.chosen.values, "loss": done.chosen.loss, "within": done.within,
                        "runs": done.runs, "ridge": done.known.ridge})  # fmt: skip
        elif not quiet:
            _say_outcome(found, done, folder / fitting.BEST)
        outcome["code"] = 0 if done.within or done.known.ridge else NEAR_MISS
    if outcome["code"]:
        raise typer.Exit(outcome["code"])


def _say_outcome(fit: Any, done: Any, best: Path) -> None:
    terminal.warn(f"{done.runs:,} runs, {done.candidates:,} candidates; loss {done.chosen.loss:.3g}")
    for free, place in zip(fit.free, done.chosen.places, strict=True):
        error = done.known.error.get(free.path)
        sure = "" if error is None else f"  (+- {error * free.slope(place):.2g})" if error < 1 else "  (not determined)"
        terminal.warn(f"  {visible(free.path)} = {free.text(place)}{sure}")
    for term in fit.terms:
        value = done.chosen.measured[term.name]
        mark = "" if abs(value - term.target) <= term.tolerance else "  <- not within its tolerance"
        terminal.warn(f"  {visible(term.name)}: {value:.4g}, wanted {term.target:.4g} +- {term.tolerance:.3g}{mark}")
    for direction in done.known.loose:
        names = " and ".join(visible(path) for path in direction)
        said = f"{names} are determined only together: other values along a line serve as well"
        if len(direction) == 1:
            said = f"{names} is not determined: other values serve as well"
        terminal.warn(f"warning: {said}; add terms to the objective, or fix one of them")
    if not done.within and not done.known.ridge:
        terminal.warn("nothing that was tried is within all tolerances: widen the bounds, or allow more evaluations")
    say(str(best))
