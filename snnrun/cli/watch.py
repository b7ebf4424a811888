"""The verb that shows a run while it goes on, and how `simulate` starts it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from snnrun import terminal
from snnrun.cli.common import Quiet, ResultsFile, expect_results, read_time, refuse, reporting
from snnrun.terminal import say


def watch(
    results: ResultsFile,
    page: Annotated[bool, typer.Option("--page", help="As a page for a browser on this machine, until Ctrl-C.")] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="Of the page; any free one if not given.")
    ] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    window: Annotated[str, typer.Option("--window", metavar="TIME", help="How much of the run is shown.")] = "1 s",
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    quiet: Quiet = False,
) -> None:
    """Show a run while it goes on, on the terminal or as a page.

    On the terminal a raster and rates; with --page the page of `report`, for a browser on this machine.
    """
    with reporting(False):
        expect_results(results)
        span = read_time("--window", window)
        if span is None or not span > 0:
            refuse(f"--window: {window!r} is no time to be shown", "write it like 500 ms", False)
        from snnrun.results import Results

        if parent is None:
            Results(results).close()  # that there is such a file
        if page:
            _serve(results, port, open_)
            return
        from snnrun import watch as watching

        ended = watching.follow(results, lambda: parent is None or os.getppid() == parent, span)
        if not ended and parent is None and not quiet:
            terminal.warn(f"snnrun: nobody writes {results}: the run was stopped")


def _serve(results: Path, port: int, open_: bool) -> None:
    from snnrun.page import server

    def ready(address: str) -> None:
        say(address)
        sys.stdout.flush()
        if open_:
            import webbrowser

            webbrowser.open(address)

    with suppress(KeyboardInterrupt):
        server.serve(results, port, ready)


@contextmanager
def watched(output: Path, wanted: bool) -> Iterator[bool]:
    """Show the run that goes on within, by a process of its own; whether it is shown: only a terminal can."""
    if not wanted or not sys.stderr.isatty():
        yield False
        return
    command = [sys.executable, "-m", "snnrun", "watch", str(output), "--parent", str(os.getpid()), "--quiet"]
    try:
        viewer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:  # a viewer that has died, or hangs, is none of the run's concerns
        viewer.terminate()
        with suppress(subprocess.TimeoutExpired):
            viewer.wait(5)
