"""A run that goes on, on a terminal: a raster of the last second and rates, read from its unfinished file.

It reads what the run has written and nothing else, in a process of its own: the run neither waits for it nor knows of it.
"""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from snnrun import terminal
from snnrun.results import Results, ResultsError, partial_path
from snnrun.results.store import busy
from snnrun.terminal import visible
from snnrun.units import show_time
from snnrun.view import View

EVERY = 1.0  # s between looks
WINDOW = 1000.0  # ms that are shown
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of a braille letter, by row and column
_BARS = " ▁▂▃▄▅▆▇█"
POPULATIONS = 12


class Look(NamedTuple):
    """What a look at a file has found."""

    text: Text
    complete: bool


def follow(path: Path, alive: Callable[[], bool], window: float = WINDOW) -> bool:
    """Show a run until it ends, or until nobody writes its file; False where it did not come to its end. Raises ResultsError."""
    console = Console(file=terminal.unguarded(sys.stderr))
    began, first = time.monotonic(), None
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False) as live:
        while True:
            running = alive() and (busy(partial_path(path)) or busy(path))
            try:
                with Results(path) as found:
                    first = (found.reached, time.monotonic()) if first is None else first
                    look = of(found, window, shutil.get_terminal_size(), first)
            except ResultsError:  # not there yet, or looked at while it changed
                if not alive() or not running and time.monotonic() - began > 3 * EVERY:
                    raise
                look = Look(Text("waiting for the run to begin ..."), False)
            live.update(look.text, refresh=True)
            if look.complete or not running and time.monotonic() - began > 3 * EVERY:
                return look.complete
            time.sleep(EVERY)


def of(results: Results, window: float, size: tuple[int, int], first: tuple[float, float] | None = None) -> Look:
    """What is shown of a run on a terminal of this size (columns, lines)."""
    reached, duration = results.reached, results.duration
    text = Text(overflow="crop", no_wrap=True)
    speed = ""
    if first is not None and time.monotonic() - first[1] > 2 * EVERY:
        speed = f"  {(reached - first[0]) * 1e-3 / (time.monotonic() - first[1]):.3g} x real time"
    text.append(visible(results.name), "bold")
    text.append(f"  {show_time(reached)} of {show_time(duration)}, {reached / duration if duration else 1:.0%}{speed}\n")
    if not reached > 0:
        return Look(text, results.complete)
    view = View(results, start=max(reached - window, 0.0))
    names = list(view.curves)[:POPULATIONS]
    width, lines = max(size[0] - 2, 20), max(size[1] - len(names) - 4, 4)
    if view.trains:
        for row in raster(view, width, min(lines, 24)):
            text.append_text(row)
            text.append("\n")
        text.append(f"{show_time(view.start):<{width - 10}}{show_time(view.stop):>10}\n", "dim")
    longest = max((len(visible(name)) for name in names), default=0)
    for name in names:
        curve = view.curves[name]
        mean = float(np.average(curve.values, weights=np.diff(curve.edges)))
        text.append(f"{visible(name):<{longest}}", view.colour(name))
        text.append(f" {mean:7.4g} Hz  {bars(curve.values, max(width - longest - 14, 5))}\n")
    return Look(text, results.complete)


def raster(view: View, width: int, height: int) -> list[Text]:
    """Spikes as dots of braille letters, populations stacked; a letter has the colour of the population with most of its dots."""
    trains = view.trains
    rows = sum(shown.high - shown.low for shown in trains.values())
    dots = np.zeros((len(trains), 4 * height, 2 * width), bool)
    first = 0
    for layer, shown in zip(dots, trains.values(), strict=True):
        place = (shown.train.neurons - shown.low + first) * (4 * height) // max(rows, 1)
        column = ((shown.train.times - view.start) / (view.stop - view.start) * 2 * width).astype(np.int64)
        layer[np.minimum(place, 4 * height - 1), np.minimum(column, 2 * width - 1)] = True
        first += shown.high - shown.low
    letters = dots.any(axis=0).reshape(height, 4, width, 2)
    codes = (letters * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    most = dots.reshape(len(trains), height, 4, width, 2).sum(axis=(2, 4)).argmax(axis=0)
    colours = [view.colour(name) for name in trains]
    found = []
    for line, owners in zip(codes.tolist(), most.tolist(), strict=True):
        text = Text(no_wrap=True)
        for code, owner in zip(line, owners, strict=True):
            text.append(chr(0x2800 + code), colours[owner])
        found.append(text)
    return found


def bars(values: NDArray[np.float64], width: int) -> str:
    """A course of values as letters, the last ones at the right; its highest is a full letter."""
    parts = [part.mean() for part in np.array_split(values, min(width, len(values)))] if len(values) else []
    most = max(parts, default=0.0)
    return "".join(_BARS[int(np.ceil(part / most * 8)) if most > 0 else 0] for part in parts)
