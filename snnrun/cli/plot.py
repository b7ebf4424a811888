"""The verb that draws."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import apart, terminal
from snnrun.cli.common import Quiet, Set, Verbose, overrides_of, read_time, refuse, reporting
from snnrun.terminal import say


def plot(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Results file; for connectivity a network file as well.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture: .png, .pdf or .svg.", show_default=False)
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="summary|raster|rate|voltage|degrees|weights|delays|matrix",
            help="What to draw; the last four are of connectivity.",
        ),
    ] = "summary",
    projection: Annotated[
        list[str] | None, typer.Option("--projection", metavar="NAME", help="Of connectivity, only this one; may be repeated.")
    ] = None,
    set_: Set = None,
    pop: Annotated[list[str] | None, typer.Option("--pop", metavar="NAME", help="Only this population; may be repeated.")] = None,
    t0: Annotated[str | None, typer.Option("--t0", metavar="TIME", help="From this time on, like '100 ms'.")] = None,
    t1: Annotated[str | None, typer.Option("--t1", metavar="TIME", help="Up to this time.")] = None,
    neurons: Annotated[
        str | None, typer.Option("--neurons", metavar="A:B", help="Neurons A to B - 1 of each population.")
    ] = None,
    bin_: Annotated[str | None, typer.Option("--bin", metavar="TIME", help="Width of the bins of rates.")] = None,
    dpi: Annotated[int, typer.Option("--dpi", min=20, max=1200, help="Resolution of a PNG.")] = 150,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw a raster, rates and voltages from a results file, or the connectivity of a network."""
    connected = kind in _OF_CONNECTIVITY
    with reporting(False), apart.child(results, limited=not connected):
        from snnrun import connectivity
        from snnrun import plot as drawing
        from snnrun.results import Results

        if output is not None:
            drawing.check_name(output)
        if connected:
            _draw_connectivity(kind, results, output, projection or [], set_ or [], dpi, quiet)
            return
        if kind not in drawing.KINDS:
            *others, last = (*drawing.KINDS, *connectivity.KINDS)
            refuse(f"--kind: {kind!r} is unknown", f"use {', '.join(others)} or {last}", False)
        with Results(results) as found:
            target = output or drawing.picture_of(results)
            view = drawing.View(
                found, tuple(pop or ()), read_time("--t0", t0), read_time("--t1", t1), _range(neurons), read_time("--bin", bin_)
            )  # fmt: skip
            drawing.save(drawing.draw(kind, found, view), target, dpi)
        if not quiet:
            say(str(target))


_OF_CONNECTIVITY = ("degrees", "weights", "delays", "matrix")


def _draw_connectivity(kind: str, path: Path, output: Path | None, chosen: list[str], texts: list[str], dpi: int,
                       quiet: bool) -> None:  # fmt: skip
    from snnrun import connectivity
    from snnrun import plot as drawing

    figure, note = connectivity.draw(kind, connectivity.load(path, overrides_of(texts, {})), chosen)
    target = output or connectivity.picture_of(path, kind)
    drawing.save(figure, target, dpi)
    if not quiet:
        if note:
            terminal.warn(f"snnrun: {note}")
        say(str(target))


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    if not colon or not low.strip().isdigit() or not high.strip().isdigit() or int(low) >= int(high):
        refuse(f"--neurons: {text!r} is not a range", "write 0:100", False)
    return int(low), int(high)
