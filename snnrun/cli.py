"""The command line: what each verb takes and prints. No numerics, and no import of what a verb does not need."""

import errno
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import snnrun
from snnrun import apart, signals, terminal
from snnrun.signals import Stop, Stopped
from snnrun.terminal import say

if TYPE_CHECKING:
    from snnrun.document import Override
    from snnrun.request import Every

app = typer.Typer(
    name="snnrun",
    help="Simulate spiking neural networks that are described in one YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NetworkFile = Annotated[Path, typer.Argument(metavar="FILE", help="Network file (YAML).", show_default=False)]
ResultsFile = Annotated[Path, typer.Argument(metavar="RESULTS", help="Results file (HDF5).", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Replace a value of the file; may be given more than once."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Replace the seed.")]
Duration = Annotated[str | None, typer.Option("--duration", metavar="TIME", help="Replace the duration, like '2 s'.")]
Precision = Annotated[str | None, typer.Option("--precision", metavar="float32|float64", help="Replace the precision.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Kernel = Annotated[str, typer.Option("--kernel", metavar="auto|native|xla", help="Who delivers the spikes.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
NoMerge = Annotated[bool, typer.Option("--no-merge", help="Give every projection receptors of its own (for tests; slower).")]


def main(stop: Stop | None = None) -> None:
    """Run the command line; `stop` says whether a run is asked to stop."""
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files, whatever the user's notebooks draw with
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where there is no place for its cache, it does without
    with terminal.guarded():
        app(obj=stop)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"snnrun {snnrun.__version__}")
        raise typer.Exit


_VALUES = {"device": ("auto", "cpu", "gpu"), "kernel": ("auto", "native", "xla")}


def _known(option: str, value: str, as_json: bool) -> None:
    if value not in _VALUES[option]:
        *others, last = _VALUES[option]
        _stop(f"--{option}: {value!r} is unknown", f"use {', '.join(others)} or {last}", as_json)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def simulate(
    context: typer.Context,
    file: NetworkFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Results file.")] = Path("results.h5"),
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|gpu", help="Where to run.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads; all there are if not given, and one for a small network.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no picture beside the results.")] = False,
    compress: Annotated[bool, typer.Option("--compress", help="Compress the results; some SONATA readers then fail.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint beside the results; begin where there is none.")
    ] = False,
    checkpoint_every: Annotated[
        str | None,
        typer.Option("--checkpoint-every", metavar="15m|model:TIME", help="Write a checkpoint this often: wall or model time."),
    ] = None,
    max_walltime: Annotated[
        str | None,
        typer.Option("--max-walltime", metavar="23.5h|auto", help="Stop with a checkpoint in time; auto asks Slurm."),
    ] = None,
    no_merge: NoMerge = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a network: results go to an HDF5 file, a picture beside it."""
    with _reporting(as_json):
        _known("device", device, as_json)
        _known("kernel", kernel, as_json)
        stop = context.obj or Stop()
        every = None if checkpoint_every is None else _every(checkpoint_every)
        if max_walltime is not None:
            stop.limit(_limit(max_walltime, stop))
        loaded, texts = _load(file, set_, seed, duration, precision, quiet)
        from snnrun import progress, run

        request = run.Request(loaded, output, texts, overwrite, kernel, device, threads, not no_plot, not no_merge, compress,
                              resume, every)  # fmt: skip
        watcher = run.Watcher() if quiet else progress.Progress(loaded.spec, verbose)
        try:
            summary = run.simulate(request, watcher, stop)
        except run.Ended as ended:
            _stop(str(ended), "--resume goes on from there", as_json, stop.code)
        finally:
            watcher.close()
        if as_json:
            _print_json(summary._asdict())
        elif not quiet:
            _print_summary(summary, loaded.spec, verbose)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Network files (YAML).", show_default=False)],
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check network files and the data files that they name, without running anything; prints every mistake."""
    code, reports = 0, []
    with _reporting(as_json):
        _overrides(set_ or [], {})  # what is wrong with an option is said once
    for file in files:
        with _reporting(as_json, file, reports) as outcome:
            loaded, _ = _load(file, set_, None, None, None, quiet=True)
            _validated(file, loaded, reports, as_json, quiet)
        code = code or outcome["code"]
    if as_json:
        _print_json({"files": reports, "valid": not code})
    raise typer.Exit(code)


def _validated(file: Path, loaded: Any, reports: list[dict[str, Any]], as_json: bool, quiet: bool) -> None:
    """Say how large a sound file is, and what to beware of."""
    from snnrun import document, estimate, network

    found = network.examine(loaded.spec, loaded.document.folder)
    if found.faults:
        raise document.SpecError(found.faults, loaded.document)
    try:
        expected = estimate.estimate(loaded.spec, loaded.document.folder, longest=found.delays)
    except document.SpecError as error:  # of a file that was too large to be read before
        raise document.SpecError(error.faults, loaded.document) from None
    problem = estimate.too_large(expected)
    warnings = [*loaded.warnings, *found.warnings, *([problem] if problem is not None else [])]
    if found.unread:
        read = estimate.size_text(network.EXAMINED)
        hint = f"up to {read} are read in all; simulate reads them"
        warnings.append(document.Fault((), f"the values of {', '.join(found.unread)} were not checked", hint))
    if as_json:
        reports.append(
            {
                "file": str(file),
                "valid": True,
                "warnings": document.as_objects(loaded.document, warnings),
                "neurons": expected.neurons,
                "synapses": round(expected.total_synapses),
                "steps": expected.steps,
                "peak_bytes": round(expected.peak_bytes),
                "output_bytes_per_second": round(expected.output_bytes),
            }
        )
        return
    if warnings:
        _warn_of(loaded.document, warnings)
    if not quiet:
        say(
            f"{file}: valid. {expected.neurons:,} neuron{'s' if expected.neurons != 1 else ''}, "
            f"about {expected.total_synapses:,.0f} synapses, "
            f"{expected.steps:,} steps, at most {estimate.size_text(expected.peak_bytes)} of memory"
        )


@app.command()
def plan(
    file: NetworkFile,
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    no_merge: NoMerge = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what a network becomes: receptors and what was merged, pathways, delays, kernels, sizes."""
    with _reporting(as_json):
        _known("kernel", kernel, as_json)
        loaded, _ = _load(file, set_, seed, duration, precision, quiet)
        from snnrun import document, kernels, report

        try:
            described = report.describe(loaded.spec, loaded.document.folder, not no_merge, kernel)
        except document.SpecError as error:
            raise document.SpecError(error.faults, loaded.document) from None
        except kernels.Unavailable as reason:
            _stop(f"the native kernel {reason}", "use --kernel xla", as_json)
        if as_json:
            _print_json(described)
        else:
            for line in report.lines(described):
                say(line)


@app.command()
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
    with _reporting(False), apart.child(results, limited=not connected):
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
            _stop(f"--kind: {kind!r} is unknown", f"use {', '.join(others)} or {last}", False)
        with Results(results) as found:
            target = output or drawing.picture_of(results)
            view = drawing.View(
                found, tuple(pop or ()), _time("--t0", t0), _time("--t1", t1), _range(neurons), _time("--bin", bin_)
            )  # fmt: skip
            drawing.save(drawing.draw(kind, found, view), target, dpi)
        if not quiet:
            say(str(target))


_OF_CONNECTIVITY = ("degrees", "weights", "delays", "matrix")


def _draw_connectivity(kind: str, path: Path, output: Path | None, chosen: list[str], texts: list[str], dpi: int,
                       quiet: bool) -> None:  # fmt: skip
    from snnrun import connectivity
    from snnrun import plot as drawing

    figure, note = connectivity.draw(kind, connectivity.load(path, _overrides(texts, {})), chosen)
    target = output or connectivity.picture_of(path, kind)
    drawing.save(figure, target, dpi)
    if not quiet:
        if note:
            terminal.warn(f"snnrun: {note}")
        say(str(target))


export = typer.Typer(
    help="Write what was drawn or learnt into files: edges of a network, weights of a run.", no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
app.add_typer(export, name="export")
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
Edges = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="One projection: .csv or .npz; SONATA: .h5.", show_default=False),
]


@export.command("edges")
def export_edges(
    file: NetworkFile,
    output: Edges = None,
    projection: Annotated[
        list[str] | None, typer.Option("--projection", metavar="NAME", help="Only this one; may be repeated.")
    ] = None,
    set_: Set = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw the synapses of a network and write them into a file, which a network file can read."""
    with _reporting(as_json):
        from snnrun import export as writing

        loaded, _ = _load(file, set_, seed, None, None, quiet)
        target = output or Path(f"{file.stem}.edges.h5")
        found = writing.write(writing.drawn(loaded.spec, loaded.document, projection or []), target, overwrite)
        if as_json:
            _print_json({"output": str(target), "synapses": found})
        elif not quiet:
            for name, count in found.items():
                say(f"{name}: {count:,} synapses -> {target}")


@export.command("weights")
def export_weights(
    results: ResultsFile,
    output: Edges = None,
    monitor: Annotated[str | None, typer.Option("--monitor", metavar="NAME", help="Of this monitor.", show_default=False)] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights at the end of a run into a file, with which another network can begin."""
    with _reporting(as_json), apart.child(results):
        from snnrun import export as writing
        from snnrun.results import Results

        with Results(results) as found:
            weights = writing.last_weights(found, monitor)
        target = output or results.with_suffix(f".{weights.projection}.npz")
        written = writing.write([writing.of_weights(weights)], target, overwrite)
        if as_json:
            _print_json({"output": str(target), "synapses": written})
        elif not quiet:
            say(f"{weights.projection}: {written[weights.projection]:,} weights -> {target}")


@app.command()
def info(
    results: ResultsFile,
    digest: Annotated[bool, typer.Option("--digest", help="SHA-256 of every dataset: equal bits, equal digests.")] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the network file that was run.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Summarise a results file: what was run, with what, and what was recorded."""
    with _reporting(as_json), apart.child(results):
        from snnrun.results import Results

        with Results(results) as found:
            if yaml:
                terminal.hand_over(found.yaml)
            elif digest:
                digests = found.digests()
                if as_json:
                    _print_json(digests)
                else:
                    for name, value in sorted(digests.items()):
                        say(f"{value}  {name}")
            else:
                _print_info(found, as_json)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models: neurons, sources, synapses, outputs, inputs, plasticity."""
    from snnrun import explain

    if as_json:
        _print_json([entry._asdict() for entry in explain.table()])
    else:
        for line in explain.table_lines():
            say(line)


@app.command("explain")
def explain_(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or a file with models.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print a model: equations, parameters with units and defaults, solver, and what it was checked against."""
    from snnrun import explain
    from snnrun.models import own

    with _reporting(as_json):
        if Path(model).suffix in (".yaml", ".yml"):
            texts = {name: explain.of_model(found) for name, found in own.of_file(Path(model)).items()}
        elif model in explain.names():
            texts = {model: explain.lines(model)}
        else:
            from snnrun.document import nearest

            _stop(f"there is no model {model!r}", nearest(model, explain.names()) or "snnrun models lists them", as_json)
    if as_json:
        _print_json({name: "\n".join(lines) for name, lines in texts.items()})
        return
    for i, lines in enumerate(texts.values()):
        for line in ["", *lines] if i else lines:
            say(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file format, for editors."""
    from snnrun.schema import schema as described

    _print_json(described())


# ---- what the verbs share --------------------------------------------------------------------------------------------


def _load(file: Path, set_: list[str] | None, seed: int | None, duration: str | None, precision: str | None,
          quiet: bool) -> tuple[Any, list[str]]:  # fmt: skip
    """The checked file with its overrides, and these as texts. Prints warnings."""
    from snnrun import check

    if file.exists() and not file.is_file() and not file.is_dir():
        raise _Mistake(f"{file} is no regular file", "name a network file")
    overrides = _overrides(set_ or [], {"seed": seed, "duration": duration, "precision": precision})
    loaded = check.load(file, overrides)
    if loaded.warnings and not quiet:
        _warn_of(loaded.document, loaded.warnings)
    return loaded, [f"{'.'.join(map(str, item.path))}={item.value}" for item in overrides]


def _warn_of(found: Any, warnings: list[Any]) -> None:
    from snnrun import document

    for line in document.render(found, warnings, "warning").split("\n"):
        terminal.warn(line)


def _overrides(texts: list[str], options: dict[str, Any]) -> "list[Override]":
    from snnrun.document import Override

    found = []
    for number, text in enumerate(texts, 1):
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            _stop(f"--set: {text!r} has no {'path' if equals else '='}", "write --set populations.N.size=100", False)
        found.append(Override(tuple(part.strip() for part in path.split(".")), value.strip(), f"--set #{number}"))
    return found + [Override((key,), str(value), f"--{key}") for key, value in options.items() if value is not None]


def _time(option: str, text: str | None) -> float | None:
    from snnrun import units

    if text is None:
        return None
    try:
        return units.read(text, "time")
    except units.UnitError as error:
        return _stop(f"{option}: {error.message}", error.hint, False)


_WALL = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _wall(option: str, text: str) -> float:
    """Seconds of wall time in `15m`, `1.5 h`."""
    match = re.fullmatch(r"\s*([0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+)\s*(s|min|m|h|d)\s*", text)
    if match is None or not float(match[1]) > 0:
        _stop(f"{option}: {text!r} is no time", "write it like 90s, 15m or 23.5h", False)
    return float(match[1]) * _WALL[match[2]]


def _every(text: str) -> "Every":
    from snnrun.request import Every

    if not text.startswith("model:"):
        return Every(wall=_wall("--checkpoint-every", text))
    model = _time("--checkpoint-every", text.removeprefix("model:"))
    if model is None or not model > 0:
        _stop(f"--checkpoint-every: {text!r} is no time", "write it like 15m, or model:10 s", False)
    return Every(model=model)


def _limit(text: str, stop: Stop) -> float:
    """Seconds from the start of the process that it may take."""
    if text != "auto":
        return _wall("--max-walltime", text)
    left = signals.time_left_in_slurm()
    return math.inf if left is None else stop.elapsed() + left


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    if not colon or not low.strip().isdigit() or not high.strip().isdigit() or int(low) >= int(high):
        _stop(f"--neurons: {text!r} is not a range", "write 0:100", False)
    return int(low), int(high)


class _Mistake(Exception):
    """What is wrong with an option or a file that it names, and what to do."""

    def __init__(self, message: str, hint: str, code: int = 2) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


def _stop(message: str, hint: str, as_json: bool, code: int = 2) -> NoReturn:
    raise _Mistake(message, hint, code)


@contextmanager
def _reporting(as_json: bool, file: Path | None = None, reports: list[dict[str, Any]] | None = None) -> Iterator[dict[str, int]]:
    """Turn what can go wrong into a message and an exit code: 2 for what a user can mend, 1 for a run that failed.

    With `reports` what goes wrong with a file is one of several reports, and does not end the program.
    """
    outcome = {"code": 0}
    try:
        yield outcome
    except (typer.Exit, Stopped):
        raise
    except KeyboardInterrupt:
        terminal.warn("snnrun: interrupted; what was written so far stays in the .partial file")
        raise typer.Exit(130) from None
    except Exception as error:  # every kind is named in _explained, or raised again
        explained = _explained(error)
        if explained is None:
            raise
        lines, objects, outcome["code"] = explained
        if as_json and reports is not None:
            reports.append({"file": str(file), "valid": False, "errors": objects})
        elif as_json:
            _print_json({"valid": False, "errors": objects})
        else:
            for line in lines:
                terminal.warn(line)
        if reports is None:
            raise typer.Exit(outcome["code"]) from None


_Explained = tuple[list[str], list[dict[str, Any]], int]


def _explained(error: Exception) -> _Explained | None:
    """Lines for people, objects for programs, and the exit code of an error that a user can understand; None for a bug."""
    from snnrun import document

    if isinstance(error, document.SpecError) and error.document is not None:
        lines = document.render(error.document, error.faults).split("\n")
        return lines, document.as_objects(error.document, error.faults), 2
    kind = type(error).__name__
    if kind == "WriteError":
        return _sentence(str(error), error.kept, 1)  # type: ignore[attr-defined]
    if isinstance(error, _Mistake):
        return _sentence(error.message, error.hint, error.code)
    if kind == "Refused":
        return _sentence(error.message, error.hint, 2)  # type: ignore[attr-defined]
    if kind == "Exists":
        busy = str(error).startswith("another run")
        return _sentence(str(error), f"{'' if busy else 'use --overwrite to replace it, or '}use --output for another name", 2)
    if kind in ("ResultsError", "PlotError", "Crashed"):
        return _sentence(str(error), "", 1 if getattr(error, "failure", False) else 2)
    if kind == "NumericalError":
        return _sentence(
            str(error), "a smaller dt, more substeps or weaker weights may help; what was recorded stays in the .partial file", 1
        )
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return _sentence("there is not enough memory", "see snnrun plan for an estimate", 1)
    if isinstance(error, ImportError):  # a library that the system cannot load, as where memory is limited
        return _sentence(f"{error.name or 'a library'} cannot be loaded: {error}", "", 1)
    return None


def _sentence(message: str, hint: str, code: int) -> _Explained:
    return [f"snnrun: {message}{f': {hint}' if hint else ''}"], [{"message": message, "hint": hint}], code


def _of_the_system(error: OSError) -> _Explained:
    """What the system says of a file: most of it is a mistake in its name, or in the rights to it."""
    name, said = error.filename, error.strerror or str(error)
    if name is None:
        return _sentence(said, "", 1)
    name = os.fsdecode(name)
    mistakes = {
        errno.ENOENT: (f"there is no file {name}", ""),
        errno.EISDIR: (f"{name} is a folder", "name a file"),
        errno.ENOTDIR: (f"there is no file {name}", "a part of this path is a file, and no folder"),
        errno.EACCES: (f"{name} may not be read or written", ""),
        errno.EPERM: (f"{name} may not be read or written", ""),
        errno.ELOOP: (f"{name} is a link that leads round in a circle", ""),
        errno.ENAMETOOLONG: (f"{name} is too long for the name of a file", ""),
    }
    if error.errno in mistakes:
        return _sentence(*mistakes[error.errno], 2)
    return _sentence(f"{name}: {said}", "", 1)


def _print_json(found: Any) -> None:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return str(value) if isinstance(value, Path) else value

    print(json.dumps(clean(found), indent=2, allow_nan=False))


def _print_summary(summary: Any, spec: Any, verbose: bool) -> None:
    from snnrun import estimate

    if not math.isnan(summary.rate_hz):
        terminal.warn(f"{summary.spikes:,} spikes, {summary.rate_hz:.4g} Hz per recorded neuron")
    timings = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in summary.seconds.items())
    terminal.warn(f"{timings}  peak memory {estimate.size_text(summary.peak_memory_bytes)}".strip())
    say(str(summary.results))
    if summary.picture is not None:
        say(str(summary.picture))


def _duration(ms: float) -> str:
    return f"{ms * 1e-3:g} s" if ms >= 1e3 else f"{ms:g} ms"


def _extent(points: Any) -> str:
    """How far positions extend along each axis: `on 975 um x 975 um`."""
    from snnrun import units

    lengths = (points.max(axis=0) - points.min(axis=0)).tolist() if len(points) else []
    return f"on {' x '.join(units.show(float(f'{length:.4g}'), 'length') for length in lengths)}"


def _print_info(found: Any, as_json: bool) -> None:
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
        _print_json(facts)
        return
    if found.complete:
        length, state = _duration(found.duration), "complete"
    else:
        length = f"{_duration(found.reached)} of {_duration(found.duration)}"
        state = "incomplete: the run is going on, or was stopped"
    say(f"{found.path}: {facts['name']}, {length} in steps of {found.dt:g} ms, {state}")
    for name, (size, model) in found.populations.items():
        count = counts.get(name)
        heard = "" if count is None else f"  {count.spikes:,} spikes"
        if count is not None and count.stop > count.start:
            of = "" if count.size == size else f" of {count.size:,} neurons"
            whole = count.start == 0 and count.stop == found.reached
            window = "" if whole else f" from {_duration(count.start)} to {_duration(count.stop)}"
            heard += f"{of}{window}  {count.rate:.4g} Hz"
        where = f"  {_extent(found.positions(name))}" if name in found.placed else ""
        say(f"  population  {name}  {model}  {size:,} neuron{'s' if size != 1 else ''}{where}{heard}")
    for name, model in found.monitors.items():
        say(f"  monitor     {name}  {model}")
    for key, value in found.provenance.items():
        say(f"  {key:<22}{f'{value:.4g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
