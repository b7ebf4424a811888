"""The verb that draws."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from snnrun import apart, terminal
from snnrun.cli import complete
from snnrun.cli.common import Quiet, Set, Verbose, expect_results, overrides_of, read_time, refuse, reporting
from snnrun.terminal import say

if TYPE_CHECKING:
    from snnrun.plot import Style

_OF_RESULTS = ("summary", "raster", "rate", "voltage", "state", "isi", "cv", "psd", "correlation", "positions")
_OF_CONNECTIVITY = ("degrees", "weights", "delays", "connectivity")


class _Wanted(NamedTuple):
    """Which picture goes where."""

    kind: str
    output: Path | None
    dpi: int
    quiet: bool


def plot(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="Results files; for connectivity a network file as well.",
            show_default=False,
            autocompletion=complete.files(*complete.RESULTS, *complete.NETWORKS),
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Picture: .png, .pdf or .svg.", show_default=False)
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND",
            help=f"{', '.join(_OF_RESULTS)}; of a network {', '.join(_OF_CONNECTIVITY)}.",
            autocompletion=complete.one_of(*_OF_RESULTS, *_OF_CONNECTIVITY),
        ),
    ] = "summary",
    pop: Annotated[
        list[str] | None,
        typer.Option("--pop", metavar="NAME", help="Only this population; may be repeated.", autocompletion=complete.populations),
    ] = None,
    t0: Annotated[str | None, typer.Option("--t0", metavar="TIME", help="From this time on, like '100 ms'.")] = None,
    t1: Annotated[str | None, typer.Option("--t1", metavar="TIME", help="Up to this time.")] = None,
    neurons: Annotated[
        str | None, typer.Option("--neurons", metavar="A:B", help="Neurons A to B - 1 of each population.")
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option("--variable", metavar="NAME", help="Of state, only this one; may be repeated.")
    ] = None,
    bin_: Annotated[str | None, typer.Option("--bin", metavar="TIME", help="Width of the bins of rates.")] = None,
    projection: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="NAME",
            help="Of a network, only this one; may be repeated.",
            autocompletion=complete.projections,
        ),
    ] = None,
    set_: Set = None,
    width: Annotated[
        str,
        typer.Option(
            "--width",
            metavar="WIDTH",
            help="screen, column (85 mm), page (178 mm), or like '120 mm'.",
            autocompletion=complete.one_of("screen", "column", "page"),
        ),
    ] = "screen",
    height: Annotated[str | None, typer.Option("--height", metavar="LENGTH", help="What the panels need if not given.")] = None,
    font: Annotated[str | None, typer.Option("--font", metavar="NAME", help="Like 'DejaVu Serif'.")] = None,
    font_size: Annotated[float | None, typer.Option("--font-size", min=3, max=40, metavar="POINTS", help="Of labels.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light on dark.")] = False,
    dpi: Annotated[int, typer.Option("--dpi", min=20, max=1200, metavar="N", help="Resolution of a PNG.")] = 150,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw results, or the connectivity of a network.

    Rasters, rates, voltages and statistics, of several runs in one picture as well; of a network what --kind degrees, weights,
    delays and connectivity show.
    """
    connected = kind in _OF_CONNECTIVITY
    with reporting(False), apart.child(*results, limited=not connected):
        from snnrun import connectivity
        from snnrun import plot as drawing
        from snnrun.results import Results

        wanted = _Wanted(kind, output, dpi, quiet)
        if output is not None:
            drawing.check_name(output)
        if kind not in drawing.KINDS and not connected:
            *others, last = (*drawing.KINDS, *connectivity.KINDS)
            refuse(f"--kind: {kind!r} is unknown", f"use {', '.join(others)} or {last}", False)
        high = None if height is None else drawing.inches_of("--height", height)
        style = drawing.Style(drawing.inches_of("--width", width), high, font, font_size, dark)
        if connected:
            if len(results) > 1:
                refuse(f"--kind {kind} is of one network", "name one file", False)
            _draw_connectivity(wanted, results[0], projection or [], set_ or [], style)
            return
        for path in results:
            expect_results(path, ", or draw it with --kind connectivity")
        window = read_time("--t0", t0), read_time("--t1", t1), _range(neurons), read_time("--bin", bin_)
        with ExitStack() as files:
            views = [
                drawing.View(
                    files.enter_context(Results(path)), tuple(pop or ()), *window, variables=tuple(variable or ())
                )
                for path in results
            ]  # fmt: skip
            target = output or drawing.picture_of(results[0], kind)
            drawing.save(drawing.draw(kind, views, style), target, dpi)
        if not quiet:
            say(str(target))


def _draw_connectivity(wanted: _Wanted, path: Path, chosen: list[str], texts: list[str], style: "Style") -> None:
    from snnrun import connectivity
    from snnrun import plot as drawing

    figure, note = connectivity.draw(wanted.kind, connectivity.load(path, overrides_of(texts, {})), chosen, style)
    target = wanted.output or drawing.picture_of(path, wanted.kind)
    drawing.save(figure, target, wanted.dpi)
    if not wanted.quiet:
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
