"""What verbs share: options, files that are read, and how a mistake is told."""

import difflib
import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from snnrun import examples, terminal
from snnrun.cli import complete
from snnrun.signals import Stopped

if TYPE_CHECKING:
    from snnrun.document import Override

VALUES = {"device": ("auto", "cpu", "gpu"), "kernel": ("auto", "native", "xla")}

Network = complete.files(*complete.NETWORKS)
NetworkFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Network file (YAML).", show_default=False, autocompletion=Network)
]
ResultsFile = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS", help="Results file (HDF5).", show_default=False, autocompletion=complete.files(*complete.RESULTS)
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Replace a value, like populations.E.tau='5 ms'; may be repeated.",
        autocompletion=complete.paths,
    ),
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="NUMBER", help="Replace the seed.")]
Duration = Annotated[str | None, typer.Option("--duration", metavar="TIME", help="Replace the duration, like '2 s'.")]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="float32|float64",
        help="Replace the precision.",
        autocompletion=complete.one_of("float32", "float64"),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Kernel = Annotated[
    str,
    typer.Option(
        "--kernel", metavar="auto|native|xla", help="Who delivers the spikes.", autocompletion=complete.one_of(*VALUES["kernel"])
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
NoMerge = Annotated[bool, typer.Option("--no-merge", help="Give every projection receptors of its own (for tests; slower).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]


def known(option: str, value: str, as_json: bool) -> None:
    if value not in VALUES[option]:
        *others, last = VALUES[option]
        refuse(f"--{option}: {value!r} is unknown", f"use {', '.join(others)} or {last}", as_json)


def load(file: Path, set_: list[str] | None, seed: str | None, duration: str | None, precision: str | None,
          quiet: bool) -> tuple[Any, list[str]]:  # fmt: skip
    """The checked file with its overrides, and these as texts. Prints warnings."""
    from snnrun import check

    expect_text(file)
    overrides = overrides_of(set_ or [], {"seed": seed, "duration": duration, "precision": precision})
    loaded = check.load(file, overrides)
    if loaded.warnings and not quiet:
        warn_of(loaded.document, loaded.warnings)
    return loaded, [f"{'.'.join(map(str, item.path))}={item.value}" for item in overrides]


def expect_text(file: Path) -> None:
    """That a file may be a network: no results, no picture, no device."""
    if file.is_file():
        with file.open("rb") as opened:
            head = opened.read(1000)
        if head.startswith(b"\x89HDF"):
            hint = f"snnrun info {file} shows what is in it, with --yaml the network of a run"
            raise Mistake(f"{file} is an HDF5 file, and no network file", hint)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Mistake(f"{file} is UTF-16 text", "save it as UTF-8")
        if b"\0" in head:
            raise Mistake(f"{file} is no text file", "name a network file (YAML)")
    elif file.exists() and not file.is_dir():
        raise Mistake(f"{file} is no regular file", "name a network file")


def expect_results(file: Path, or_: str = "") -> None:
    """That a file is no network."""
    if file.suffix in complete.NETWORKS and file.is_file():
        raise Mistake(f"{file} is a network file, and no results of a run", f"run it first: snnrun simulate {file}{or_}")


def warn_of(found: Any, warnings: list[Any]) -> None:
    from snnrun import document

    for line in document.render(found, warnings, "warning").split("\n"):
        terminal.warn(line)


def overrides_of(texts: list[str], options: dict[str, Any]) -> "list[Override]":
    """What --set and the options that stand for it replace. Raises SpecError for what is no KEY.PATH=VALUE."""
    from snnrun.document import Document, Fault, Override, SpecError, path_of

    found, faults, wrong = [], [], Document("", "", Path())
    for number, text in enumerate(texts, 1):
        label, shown = f"--set #{number}", f"--set {text.strip()}"
        path, equals, value = text.partition("=")
        parts = path_of(path)
        if not equals or not all(parts):
            colon = shown.find(":")
            if not equals:
                message, hint, column = "there is no =", "write KEY.PATH=VALUE, like populations.N.size=100", len(shown)
                if colon > 0:
                    hint, column = "write = in place of the colon", colon
            else:
                message, hint = "a part of the path is empty", "write KEY.PATH=VALUE, like populations.N.size=100"
                before = "=" if parts[-1] == "" else ".."
                column = shown.find(before) + len(before) - 1 if before in shown else len("--set ")
            wrong.options[label] = Document(label, shown, Path())
            faults.append(Fault((), message, hint, line=1, column=column + 1, label=label))
        found.append(Override(parts, value.strip(), label, shown))
    if faults:
        raise SpecError(faults, wrong)
    given = {key: str(value).strip() for key, value in options.items() if value is not None}
    return found + [Override((key,), value, f"--{key}", f"--{key} {value}") for key, value in given.items()]


def read_time(option: str, text: str | None) -> float | None:
    from snnrun import units

    if text is None:
        return None
    try:
        return units.read(text, "time")
    except units.UnitError as error:
        return refuse(f"{option}: {error.message}", error.hint, False)


class Mistake(Exception):
    """What is wrong with an option or a file that it names, and what to do."""

    def __init__(self, message: str, hint: str, code: int = 2) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


def refuse(message: str, hint: str, as_json: bool, code: int = 2) -> NoReturn:
    raise Mistake(message, hint, code)


@contextmanager
def reporting(as_json: bool, file: Path | None = None, reports: list[dict[str, Any]] | None = None) -> Iterator[dict[str, int]]:
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
            print_json({"valid": False, "errors": objects})
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
    if isinstance(error, Mistake):
        return _sentence(error.message, error.hint, error.code)
    if kind in ("Refused", "Missing"):
        return _sentence(error.message, error.hint, 2)  # type: ignore[attr-defined]
    if kind == "Inconvertible":
        problems = error.problems  # type: ignore[attr-defined]
        objects = [{"file": one.where, "message": one.message, "hint": one.hint} for one in problems]
        return [one.line for one in problems], objects, 2
    if kind == "Exists":
        busy = str(error).startswith("another run")
        return _sentence(str(error), f"{'' if busy else 'use --overwrite to replace it, or '}use --output for another name", 2)
    if kind in ("ResultsError", "PlotError", "Crashed"):
        _, missing, name = str(error).partition("there is no file ")
        return _sentence(str(error), _near(Path(name)) if missing else "", 1 if getattr(error, "failure", False) else 2)
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
    if error.errno == errno.ENOENT:
        return _sentence(f"there is no file {name}", _near(Path(name)), 2)
    mistakes = {
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


def _near(missing: Path) -> str:
    """What may have been meant by the name of a file that is not there."""
    folder, stem, known = missing.parent, missing.stem.strip(), examples.examples()
    if folder.is_dir():
        of_its_kind = complete.NETWORKS if missing.suffix in complete.NETWORKS else complete.RESULTS
        endings = of_its_kind if missing.suffix in of_its_kind else complete.NETWORKS + complete.RESULTS
        there = {path.stem: path.name for path in sorted(folder.iterdir()) if path.suffix in endings}
        if near := difflib.get_close_matches(stem, there, n=1, cutoff=1 if stem in known else 0.6):
            return f"did you mean {folder / there[near[0]]}?"
    if stem in known:
        return f"snnrun new --from {stem} writes one of this name"
    if not folder.is_dir():
        return f"there is no folder {folder}, either"
    return "snnrun new writes one to begin with" if missing.suffix in complete.NETWORKS else ""


def print_json(found: Any) -> None:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return str(value) if isinstance(value, Path) else value

    print(json.dumps(clean(found), indent=2, allow_nan=False))
