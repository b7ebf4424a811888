"""The verbs that run a network many times, and make tables and pictures of that."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from snnrun import terminal
from snnrun.cli import complete
from snnrun.cli.common import (
    AsJson,
    Duration,
    Kernel,
    Mistake,
    NetworkFile,
    Overwrite,
    Precision,
    Quiet,
    Seed,
    Set,
    Verbose,
    expect_text,
    known,
    overrides_of,
    print_json,
    refuse,
    reporting,
    warn_of,
)
from snnrun.cli.help import Default, Verb
from snnrun.signals import Stop
from snnrun.terminal import say

sweep = typer.Typer(cls=Default, help="Run a network for many values and seeds, and make a table.", no_args_is_help=True)


@sweep.command("run", cls=Verb)
def run_(
    context: typer.Context,
    file: NetworkFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of the table; NAME_sweep if not given.", show_default=False
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid", metavar="PATH=V,V,...", help="Values of one path; several are combined.", autocompletion=complete.paths
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="N", help="How many seeds of each point, or 3,5,8.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME", help="What is measured; all but correlation if not given. May be repeated."),
    ] = None,
    part: Annotated[
        str | None, typer.Option("--part", metavar="K/N", help="Only every N-th point, from the K-th on: for job arrays.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes; one per processor if not given.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the results file of each point.")] = False,
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run all points of a sweep that are not done yet."""
    with reporting(as_json) as outcome:
        known("kernel", kernel, as_json)
        stop = context.obj or Stop()
        expect_text(file)
        overrides = overrides_of(set_ or [], {"seed": seed, "duration": duration, "precision": precision})
        found = _points(file, overrides, grid or [], seeds, quiet)
        from snnrun import progress
        from snnrun import sweep as many
        from snnrun.machine import available_threads

        for name in measure or []:
            if name != "all" and name not in many.MEASURES:
                refuse(f"--measure: there is no {name!r}", f"there are {', '.join(many.MEASURES)}, and all", as_json)
        chosen = many.MEASURES if "all" in (measure or []) else tuple(measure or many.USUAL)
        folder = output or Path(f"{file.stem}_sweep")
        job = many.Job(
            file, folder, found, overrides, chosen, _part(part), workers or available_threads(), keep, kernel, overwrite
        )
        watcher = many.Silent() if quiet else progress.Points(file.stem, verbose)
        try:
            with stop.deferred():
                done = many.run(job, watcher, stop.requested)
        finally:
            watcher.close()
        stop.check()
        if as_json:
            print_json(done._asdict())
        elif not quiet:
            _say_outcome(done, folder)
        outcome["code"] = 1 if done.failed else 0
    if outcome["code"]:
        raise typer.Exit(outcome["code"])


def _points(file: Path, overrides: list[Any], grid: list[str], seeds: str | None, quiet: bool) -> Any:
    """The points that a file and options ask for."""
    from snnrun import check, document
    from snnrun.sweep import points

    read = document.read(file)
    loaded = check.of_document(read, file.stem, overrides)
    if loaded.warnings and not quiet:
        warn_of(loaded.document, loaded.warnings)
    axes = dict(_axis(text) for text in grid)
    block = read.tree.get(points.SECTION) if isinstance(read.tree, dict) else None
    return points.sweep(read, block, axes, _seeds(seeds), loaded.spec.seed)


def _axis(text: str) -> tuple[str, Any]:
    """Path and values of `populations.E.tau=10 ms,20 ms`, or of `...={low: 10 ms, high: 20 ms, points: 3}`."""
    from snnrun import document

    path, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not path or not values:
        raise Mistake(f"--grid: {text!r} is no PATH=VALUES", "write --grid populations.E.tau='10 ms,20 ms'")
    if values.startswith(("{low", "{high", "{points", "[")):
        label = f"--grid {path}"
        parsed = document.parse(document.Document(label, f"value: {values}", Path()))
        return path, parsed.tree["value"]
    return path, [part for part in _split(values)]


def _split(text: str) -> list[str]:
    """At the commas that are not within brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found]


def _seeds(text: str | None) -> Any:
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return int(text)
    if re.fullmatch(r"\s*[0-9]{1,18}(\s*,\s*[0-9]{1,18})*\s*,?\s*", text):
        return [int(part) for part in text.split(",") if part.strip()]
    raise Mistake(f"--seeds: {text!r} is no number of seeds", "write --seeds 5, or --seeds 3,5,8")


def _part(text: str | None) -> Any:
    from snnrun.sweep import Part

    if text is None:
        return Part()
    match = re.fullmatch(r"\s*([0-9]{1,7})\s*/\s*([0-9]{1,7})\s*", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise Mistake(f"--part: {text!r} is no part", "write --part 3/10 for the third of ten; the first one is 1/10")
    return Part(int(match[1]) - 1, int(match[2]))


def _say_outcome(done: Any, folder: Path) -> None:
    said = [f"{done.done:,} points done in {done.seconds:.1f} s"]
    said += [f"{done.before:,} were done before"] if done.before else []
    said += [f"{done.failed:,} failed"] if done.failed else []
    said += [f"{done.missing:,} of all are missing"] if done.missing else []
    terminal.warn(", ".join(said))
    say(str(done.table if done.table is not None else folder))


@sweep.command("collect", cls=Verb)
def collect_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that sweep has written to.", show_default=False)],
    parquet: Annotated[bool, typer.Option("--parquet", help="Write a Parquet file, too.")] = False,
    over: Annotated[
        list[str] | None, typer.Option("--over", metavar="PATH", help="Path along an axis of the picture; at most two.")
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no picture.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make the table of a sweep and a picture from its parts."""
    with reporting(False):
        from snnrun import sweep as many
        from snnrun.sweep import table

        given, found, target = many.collect(folder)
        written = [target]
        if parquet:
            written.append(target.with_suffix(".parquet"))
            table.as_parquet(written[-1], given, [found[number] for number in sorted(found)])
        if not no_plot:
            from snnrun.plot import sweeps

            picture = sweeps.draw(given, found, tuple(over or ()), folder / "sweep.png")
            written += [] if picture is None else [picture]
        done = sum(row["status"] == many.DONE for row in found.values())
        if not quiet:
            terminal.warn(f"{done:,} of {given.points:,} points are done")
        for path in written:
            say(str(path))
