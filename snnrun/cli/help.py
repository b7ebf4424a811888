"""How help is shown: verbs and options in groups, plainly; and what a usage error says beyond what typer knows.

`Verb` and `Verbs` are given to typer as `cls`, which it documents. What they override, and the formatter that they are handed, is
the documented interface of click, of which typer has a copy of its own: nothing here imports click.
"""

import difflib
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from snnrun import units

_VERBS = {
    "Run": ("new", "validate", "plan", "simulate", "sweep", "fit"),
    "Look": ("watch", "plot", "report", "info"),
    "Exchange": ("import", "export"),
    "Learn": ("models", "explain", "schema"),
}
_OPTIONS = {  # by the names of their parameters
    "Contents": ("source", "list_", "yaml", "digest", "to", "kind", "pop", "neurons", "t0", "t1", "bin_", "variable",
                 "over", "projection", "monitor", "page", "port", "open_", "window"),
    "Style": ("width", "height", "font", "font_size", "dark", "dpi"),
    "Changes of the network": ("set_", "seed", "duration", "precision"),
    "Output": ("output", "edges", "overwrite", "no_plot", "compress", "parquet"),
    "Device and speed": ("device", "kernel", "threads", "no_merge"),
    "Points": ("grid", "seeds", "measure", "part", "keep", "workers", "evaluations"),
    "Long runs": ("resume", "checkpoint_every", "max_walltime"),
    "Options": (),  # what is not named here
    "Messages and help": ("as_json", "watch", "quiet", "verbose", "version", "help", "install_completion", "show_completion"),
}  # fmt: skip
_WIDEST = 30  # of the first column: the formatter breaks a line behind what is wider


def _group(name: str, groups: dict[str, tuple[str, ...]], other: str) -> str:
    return next((title for title, names in groups.items() if name in names), other)


def _write(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:
    """Groups of rows, with second columns that begin at one place."""
    width = max((len(first) for rows in groups.values() for first, _ in rows if len(first) <= _WIDEST), default=0)
    for title, rows in groups.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl([(first.ljust(width), second) for first, second in rows], col_max=_WIDEST)


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _options(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {"Arguments": []} | {title: [] for title in _OPTIONS}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        name, text = record[0], record[1].replace("\\[", "[")  # some releases of typer escape it for rich
        if parameter.param_type_name == "argument":
            found["Arguments"].append((parameter.metavar or name, text))
        else:
            found[_group(parameter.name, _OPTIONS, "Options")].append((name, text))
    return found


class Verb(TyperCommand):
    """A verb with its options in groups."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        names = [argument.metavar if argument.required else f"[{argument.metavar}]" for argument in _arguments(self)]
        formatter.write_usage(ctx.command_path, " ".join([*names, "[OPTIONS]"]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write(formatter, _options(self, ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        if not ctx.resilient_parsing and (torn := _torn(given)):
            ctx.fail(f"A value with blanks needs quotes: --set {torn!r}")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if hint := _hint(self, error, given):
                error.message = f"{error.message.rstrip('.')}{'. ' if error.message else ''}{hint}"  # type: ignore[attr-defined]
            raise


class Verbs(TyperGroup):
    """A group of verbs, which may be in groups themselves."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, "COMMAND [ARGUMENTS] [OPTIONS]")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        shown: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_VERBS, "Commands")}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                group = _group(name, _VERBS, "Commands") if ctx.parent is None else "Commands"
                shown[group].append((name, command.get_short_help_str(200)))
        _write(formatter, shown)
        _write(formatter, _options(self, ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if hasattr(error, "message") and (meant := _meant(args[0], ctx)):
                error.message = f"{error.message.partition('. Did')[0].rstrip('.')}. {meant}"  # type: ignore[attr-defined]
            raise


class Default(Verbs):
    """Verbs of which the first one is meant where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        names = self.list_commands(ctx)
        if args and args[0] not in (*names, *ctx.help_option_names):
            args = [names[0], *args]
        return super().parse_args(ctx, args)


def _hint(command: Any, error: Any, given: list[str]) -> str:
    """What to do about arguments that are missing, or too many."""
    said = getattr(error, "message", None)
    parameter = getattr(error, "param", None)
    if said == "" and parameter is not None and parameter in _arguments(command):
        new = " `snnrun new` writes one to begin with." if "FILE" in (parameter.metavar or "") else ""
        return f"{parameter.help}{new}"
    if said and "unexpected extra argument" in said:
        if "--set" in given:
            return "A value with blanks needs quotes: --set 'KEY.PATH=VALUE'"
        if not _arguments(command):
            return f"{command.name} takes none."
        if any(Path(text).exists() for text in given[1:]):
            return f"{command.name} takes one file at a time."
    return ""


def _torn(given: list[str]) -> str:
    """The value of a --set of which the shell has cut off the unit."""
    for option, text, unit in zip(given, given[1:], given[2:], strict=False):
        if option == "--set" and "=" in text and unit in units.UNITS and not Path(unit).exists():
            return f"{text} {unit}"
    return ""


def _meant(word: str, context: Any) -> str:
    """What may be meant by a word that is no verb."""
    if context.parent is None and Path(word).suffix in (".yaml", ".yml"):
        return f"Did you mean 'snnrun simulate {word}'?"
    if context.parent is None and Path(word).suffix in (".h5", ".hdf5"):
        return f"Did you mean 'snnrun info {word}' or 'snnrun plot {word}'?"
    if word == "help":
        return f"Did you mean '{context.command_path} --help'?"
    near = difflib.get_close_matches(word, context.command.commands, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(context.command.commands)}."
