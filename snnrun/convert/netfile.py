"""A network file as a person would write it: sections with an entry each, what is small on one line."""

import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from snnrun import units

_WIDTH = 130
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]([A-Za-z0-9_./+^* -]*[A-Za-z0-9_./+^*-])?")
_SPECIAL = re.compile(r"(?i)true|false|null|yes|no|on|off|~|-+|[-+.0-9].*[0-9.]|[-+]?\.?(inf|nan)")
_SECTIONS = ("populations", "inputs", "projections", "monitors", "constants", "models")


def text(tree: dict[str, Any], head: list[str], notes: dict[tuple[str, str], list[str]]) -> str:
    """The tree of a network file as text, with lines of comment at its head and above entries."""
    lines = [f"# {line}".rstrip() for line in head]
    for key, value in tree.items():
        if key not in _SECTIONS:
            lines.append(f"{key}: {_flow(value)}")
            continue
        lines += ["", f"{key}:"]
        for name, entry in value.items():
            lines += [f"  # {line}" for line in notes.get((key, name), [])]
            lines += _entry(f"  {name}:", entry)
    return "\n".join(lines) + "\n"


def _entry(head: str, entry: Any) -> list[str]:
    line = f"{head} {_flow(entry)}"
    if isinstance(entry, dict) and (len(line) > 100 or "connect" in entry):
        within = " " * (len(head) - len(head.lstrip()) + 2)
        return [head, *(line for key, value in entry.items() for line in _entry(f"{within}{key}:", value))]
    if isinstance(entry, list | tuple) and len(line) > _WIDTH:
        return textwrap.wrap(
            line, _WIDTH, subsequent_indent=" " * (len(head) + 2), break_long_words=False, break_on_hyphens=False
        )
    return [line]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def number(value: Any) -> str:
    """The shortest text that is read as this very number."""
    shown = repr(float(value)) if isinstance(value, float | np.floating) else str(int(value))
    return shown.removesuffix(".0") if "e" not in shown else shown


def unit(dimension: str) -> str:
    """The unit in which a number of the program is written as it is."""
    return {"rate": "kHz", "resistance": "GOhm"}.get(dimension, units.usual(dimension))


def quantity(value: Any, dimension: str) -> Any:
    """A number of the program as it stands in a file."""
    return float(value) if dimension == "number" else f"{number(float(value))} {unit(dimension)}"


def column(name: str, dimension: str) -> str:
    """The name of a column of such numbers, also in HDF5, to which / is a folder."""
    if dimension == "number":
        return name
    if "/" not in (shown := unit(dimension)):
        return f"{name}_{shown}"
    powers = zip(units.BASE, units.exponents(dimension), strict=True)
    return f"{name}_{'*'.join(base if power == 1 else f'{base}^{_power(power)}' for base, power in powers if power)}"


def _power(power: Any) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


def moved(tree: Any, old: Path, new: Path) -> Any:
    """A part of a network file in a folder as it is in another: files are named from there."""
    if isinstance(tree, dict):
        there = {key: key in ("file", "path") and isinstance(value, str) for key, value in tree.items()}
        return {key: Path(os.path.relpath(old / value, new)).as_posix() if there[key] else moved(value, old, new)
                for key, value in tree.items()}  # fmt: skip
    return [moved(item, old, new) for item in tree] if isinstance(tree, list) else tree


def identifier(wanted: str, taken: set[str]) -> str:
    """A name as a network file has them, which nothing else has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)
    name = name if re.match(r"[A-Za-z]", name) else f"n_{name}"
    number, found = 2, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found
