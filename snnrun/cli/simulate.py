"""The verb that runs a network."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnrun import signals, terminal
from snnrun.cli import complete
from snnrun.cli.common import (
    VALUES,
    AsJson,
    Duration,
    Kernel,
    NetworkFile,
    NoMerge,
    Precision,
    Quiet,
    Seed,
    Set,
    Verbose,
    known,
    load,
    print_json,
    read_time,
    refuse,
    reporting,
)
from snnrun.cli.watch import watched
from snnrun.signals import Stop
from snnrun.terminal import say

if TYPE_CHECKING:
    from snnrun.request import Every


def simulate(
    context: typer.Context,
    file: NetworkFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Results file.")] = Path("results.h5"),
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    device: Annotated[
        str,
        typer.Option("--device", metavar="auto|cpu|gpu", help="Where to run.", autocompletion=complete.one_of(*VALUES["device"])),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, metavar="N", help="Threads; all there are if not given, and one for a small network."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no picture beside the results.")] = False,
    compress: Annotated[bool, typer.Option("--compress", help="Compress the results; some SONATA readers then fail.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint beside the results; begin where there is none.")
    ] = False,
    checkpoint_every: Annotated[
        str | None,
        typer.Option("--checkpoint-every", metavar="TIME", help="Write a checkpoint this often: 15m of wall time, or model:10s."),
    ] = None,
    max_walltime: Annotated[
        str | None,
        typer.Option("--max-walltime", metavar="TIME", help="Stop with a checkpoint after it, like 23.5h; auto asks Slurm."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show a raster and rates on the terminal meanwhile.")] = False,
    no_merge: NoMerge = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a network: results go to an HDF5 file, a picture beside it."""
    with reporting(as_json):
        known("device", device, as_json)
        known("kernel", kernel, as_json)
        stop = context.obj or Stop()
        every = None if checkpoint_every is None else _every(checkpoint_every)
        if max_walltime is not None:
            stop.limit(_limit(max_walltime, stop))
        loaded, texts = load(file, set_, seed, duration, precision, quiet)
        from snnrun import progress, run

        request = run.Request(loaded, output, texts, overwrite, kernel, device, threads, not no_plot, not no_merge, compress,
                              resume, every)  # fmt: skip
        watcher = run.Watcher() if quiet else progress.Progress(loaded.spec, verbose)
        try:
            with watched(output, watch) as shown:
                summary = run.simulate(request, run.Watcher() if shown else watcher, stop)
        except run.Ended as ended:
            refuse(str(ended), "--resume goes on from there", as_json, stop.code)
        finally:
            watcher.close()
        if as_json:
            print_json(summary._asdict())
        elif not quiet:
            _print_summary(summary, loaded.spec, verbose)


_WALL = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _wall(option: str, text: str) -> float:
    """Seconds of wall time in `15m`, `1.5 h`."""
    match = re.fullmatch(r"\s*([0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+)\s*(s|min|m|h|d)\s*", text)
    if match is None or not float(match[1]) > 0:
        refuse(f"{option}: {text!r} is no time", "write it like 90s, 15m or 23.5h", False)
    return float(match[1]) * _WALL[match[2]]


def _every(text: str) -> "Every":
    from snnrun.request import Every

    if not text.startswith("model:"):
        return Every(wall=_wall("--checkpoint-every", text))
    model = read_time("--checkpoint-every", text.removeprefix("model:"))
    if model is None or not model > 0:
        refuse(f"--checkpoint-every: {text!r} is no time", "write it like 15m, or model:10 s", False)
    return Every(model=model)


def _limit(text: str, stop: Stop) -> float:
    """Seconds from the start of the process that it may take."""
    if text != "auto":
        return _wall("--max-walltime", text)
    left = signals.time_left_in_slurm()
    return math.inf if left is None else stop.elapsed() + left


def _print_summary(summary: Any, spec: Any, verbose: bool) -> None:
    from snnrun import estimate

    if not math.isnan(summary.rate_hz):
        terminal.warn(f"{summary.spikes:,} spikes, {summary.rate_hz:.4g} Hz per recorded neuron")
    timings = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in summary.seconds.items())
    terminal.warn(f"{timings}  peak memory {estimate.size_text(summary.peak_memory_bytes)}".strip())
    say(str(summary.results))
    if summary.picture is not None:
        say(str(summary.picture))
