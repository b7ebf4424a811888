"""Text tables as people export them: one line per row, names in the first.

Cells are separated by commas, semicolons, tabs or blanks, whichever fits the line of names; they may be quoted. Lines that are
empty or begin with # are left out. Where commas do not separate, they may be decimal ones. Every row has as many cells as there
are names: what could be read in two ways is an error that names its line.
"""

import csv
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from snnrun.tables.table import Table, TableError, reading, without

_CERTAIN = (",", ";", "\t")
_SEPARATORS = (*_CERTAIN, " ")  # blanks stand around names as well: they count where nothing else does
_SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "blanks"}
_LINE = 1 << 24  # characters of a line
_COUNTED = 1 << 26  # bytes whose lines are counted; a longer file has as many lines per byte as its beginning
_BLOCK = 1 << 10  # rows at a time: more are slower, for the sake of Python's collector
_COST = 8  # bytes of numbers that are read in the time of one byte of text
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")

Row = list[str]
Only = tuple[str, str | None]  # a column of texts, and the one whose rows are meant; None where all must be the same


class _Layout(NamedTuple):
    separator: str
    columns: tuple[str, ...]
    skipped: int  # lines before the rows


def open(path: Path, only: Only | None = None) -> Table:
    """A text table; with `only`, those rows whose cell in a column is a text."""
    with reading(path), _text(path) as stream:
        layout = _layout(stream, path.name)

    def length(column: str) -> int:
        with path.open("rb") as stream:
            lines = sum(block.count(b"\n") for block in islice(iter(lambda: stream.read(1 << 20), b""), _COUNTED >> 20))
        return max(lines * max(path.stat().st_size // _COUNTED, 1) - layout.skipped, 0)

    def read(wanted: list[str]) -> dict[str, NDArray[Any]]:
        with reading(path), _text(path) as stream:
            return _numbers(stream, layout, wanted, path.name, only)

    def place(row: int) -> str:
        with reading(path), _text(path) as stream:
            found = next(islice(_kept(_numbered(stream, layout, path.name), layout, path.name, only), row, None), None)
        return "at its end" if found is None else f"in line {found[0]}"

    return Table(path.name, layout.columns, length, lambda wanted: _COST * path.stat().st_size, read, place, exact=False)


def texts(path: Path, wanted: list[str]) -> Iterator[tuple[int, list[str | None]]]:
    """The line and the wanted cells of every row of a small table; None for columns that it does not have."""
    with reading(path), _text(path) as stream:
        layout = _layout(stream, path.name)
        places = [layout.columns.index(column) if column in layout.columns else None for column in wanted]
        for line, row in _numbered(stream, layout, path.name):
            _sound(row, layout, path.name, line)
            yield line, [None if place is None else row[place].strip() for place in places]


def distinct(path: Path, column: str) -> list[str]:
    """The texts of a column, each once."""
    with reading(path), _text(path) as stream:
        layout = _layout(stream, path.name)
        place = layout.columns.index(column)
        rows = _reader(_lines(stream, layout, path.name), layout.separator)
        return list(dict.fromkeys(row[place].strip() for row in rows if place < len(row)))


def _text(path: Path) -> TextIO:
    return path.open(newline="", encoding="utf-8-sig")


# ---- layout ----------------------------------------------------------------------------------------------------------


def _layout(stream: TextIO, name: str) -> _Layout:
    """How a table is written, by its first lines."""
    first, comment, skipped = "", "", 0
    for line in _bounded(stream, name):
        if _counts(line):
            first = line
            break
        comment, skipped = line.lstrip(" \t#") if line.strip() else comment, skipped + 1
    stream.seek(0)
    if comment and (not first or _all_numbers(first)):  # names may stand in the last comment
        for separator in _SEPARATORS:
            names = _cells(comment, separator)
            if len(names) == len(_cells(first, separator)) > 1 or (not first and len(names) > 1):
                return _Layout(separator, _names(names), skipped)
    found = {separator: _cells(first, separator) for separator in _SEPARATORS}
    most = max(len(found[separator]) for separator in _CERTAIN)
    fitting = [separator for separator in _CERTAIN if len(found[separator]) == most > 1]
    if len(fitting) > 1:
        raise TableError(f"the columns of {name} may be separated by {' or by '.join(_SPOKEN[s] for s in fitting)}", "keep one")
    separator = fitting[0] if fitting else " " if len(found[" "]) > 1 else ","
    return _Layout(separator, _names(found[separator]), skipped + 1)


def _counts(line: str) -> bool:
    """Whether a line is neither empty nor a comment."""
    return not line.isspace() and line.lstrip()[:1] not in ("#", "")


def _reader(lines: Any, separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def _cells(line: str, separator: str) -> Row:
    try:
        return next(_reader([line.strip(" \r\n") if separator == " " else line], separator), [])
    except csv.Error:
        return []


def _names(cells: Row) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in cells)


def _all_numbers(line: str) -> bool:
    return any(all(map(_NUMBER.fullmatch, cells)) for s in _SEPARATORS if len(cells := _cells(line, s)) > 1)


def _bounded(stream: TextIO, name: str) -> Iterator[str]:
    """The lines of a table, none of them so long that it fills the memory."""
    for number, line in enumerate(iter(lambda: stream.readline(_LINE), ""), 1):
        if len(line) == _LINE:
            raise TableError(f"line {number} of {name} is too long", "write one line per row")
        yield line


# ---- rows ------------------------------------------------------------------------------------------------------------


def _lines(stream: TextIO, layout: _Layout, name: str) -> Iterator[str]:
    """The lines that are of rows."""
    lines = (line for line in islice(_bounded(stream, name), layout.skipped, None) if _counts(line))
    return (line.strip(" \r\n") for line in lines) if layout.separator == " " else lines


def _numbered(stream: TextIO, layout: _Layout, name: str) -> Iterator[tuple[int, Row]]:
    """The same with the line in which a row ends, as an editor counts: slower."""
    number = layout.skipped

    def lines() -> Iterator[str]:
        nonlocal number
        for line in islice(_bounded(stream, name), layout.skipped, None):
            number += 1
            if _counts(line):
                yield line.strip(" \r\n") if layout.separator == " " else line

    for row in _reader(lines(), layout.separator):
        if any(map(str.strip, row)):
            yield number, row


def _kept(rows: Iterator[tuple[int, Row]], layout: _Layout, name: str, only: Only | None) -> Iterator[tuple[int, Row]]:
    """The rows of the text that is meant."""
    if only is None:
        yield from rows
        return
    place = layout.columns.index(only[0])
    for line, row in rows:
        if place < len(row) and only[1] in (None, row[place].strip()):
            yield line, row


def _numbers(stream: TextIO, layout: _Layout, wanted: list[str], name: str, only: Only | None) -> dict[str, NDArray[Any]]:
    for column in wanted:
        if column not in layout.columns:
            raise without(name, column, layout.columns)
        if layout.columns.count(column) > 1:
            raise TableError(f"{name} has several columns {column!r}", "rename or remove all but one")
    places = [layout.columns.index(column) for column in wanted]
    if only is None:
        try:
            return dict(zip(wanted, _plain(stream, layout, name)[:, places].T.copy(), strict=True))
        except ValueError:
            stream.seek(0)
    width, rows = len(layout.columns), _reader(_lines(stream, layout, name), layout.separator)
    found: list[list[NDArray[np.float64]]] = [[] for _ in wanted]
    filtered = None if only is None else layout.columns.index(only[0])
    texts: dict[str, None] = {}
    marks: set[str] = set()  # of decimals
    try:
        while block := list(islice(rows, _BLOCK)):
            if filtered is not None:
                block = [_fitted(row, width) for row in block if any(map(str.strip, row))]
                texts |= dict.fromkeys(row[filtered].strip() for row in block)
                block = [row for row in block if only[1] in (None, row[filtered].strip())]  # type: ignore[index]
            try:
                columns = _columns(block, width, places, layout.separator, marks)
            except ValueError:  # once more without what a spreadsheet leaves at the end of rows and of a table
                block = [_fitted(row, width) for row in block if any(map(str.strip, row))]
                columns = _columns(block, width, places, layout.separator, marks)
            for values, column in zip(found, columns, strict=True):
                values.append(column)
    except (ValueError, csv.Error) as error:
        stream.seek(0)
        raise _explained(stream, layout, wanted, name, error) from None
    if only is not None and len(texts) > 1 and only[1] is None:
        raise TableError(f"{name} has the {only[0]}s {', '.join(list(texts)[:20])}", f"name one: {only[0]}: ...")
    if only is not None and only[1] is not None and only[1] not in texts:
        raise TableError(f"{name} has no {only[0]} {only[1]!r}", f"it has {', '.join(list(texts)[:20])}")
    if len(marks) > 1:
        raise TableError(f"{name} has decimal points and decimal commas", "keep one of them")
    return {column: np.concatenate([*values, np.empty(0)]) for column, values in zip(wanted, found, strict=True)}


def _plain(stream: TextIO, layout: _Layout, name: str) -> NDArray[np.float64]:
    """A table that is nothing but numbers, as most large ones are: NumPy reads it several times faster. Raises ValueError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")  # a table without rows is one, too
        delimiter = None if layout.separator == " " else layout.separator
        found = np.loadtxt(_lines(stream, layout, name), delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
    if found.size and found.shape[1] != len(layout.columns):
        raise ValueError
    return found if found.size else found.reshape(0, len(layout.columns))


def _columns(rows: list[Row], width: int, places: list[int], separator: str, marks: set[str]) -> list[NDArray[np.float64]]:
    """Some columns of rows that are all of one width. Raises ValueError."""
    if not rows:
        return [np.empty(0)] * len(places)
    if set(map(len, rows)) != {width}:
        raise ValueError
    columns = list(zip(*rows, strict=True))
    return [_column(columns[place], separator, marks) for place in places]


def _fitted(row: Row, width: int) -> Row:
    """A row without what a separator at its end adds. Raises ValueError where it has too many or too few cells."""
    if len(row) < width or any(map(str.strip, row[width:])):
        raise ValueError
    return row[:width]


def _column(cells: tuple[str, ...], separator: str, marks: set[str]) -> NDArray[np.float64]:
    """Cells as numbers. Raises ValueError."""
    every = "".join(cells)
    if "_" in every:
        raise ValueError  # Python would take 1_0 for 10
    if "." in every:
        marks.add(".")
    if separator != "," and "," in every:
        marks.add(",")
        cells = tuple(cell.replace(",", ".") for cell in cells)
    return np.fromiter(map(float, cells), np.float64, len(cells))


def _explained(stream: TextIO, layout: _Layout, wanted: list[str], name: str, error: Exception) -> TableError:
    """Which row cannot be read, and why: the table is gone through again, row by row."""
    line = 0
    try:
        for line, row in _numbered(stream, layout, name):
            _sound(row, layout, name, line)
            for column in wanted:
                cell = row[layout.columns.index(column)].strip()
                try:
                    _column((cell,), layout.separator, set())
                except ValueError:
                    what = f"is {cell[:40]!r}, which is no number" if cell else "is empty"
                    hint = "write a decimal point" if re.fullmatch(r"-?\d+,\d+", cell) else "write a number in every row"
                    return TableError(f"{column} {what} in line {line} of {name}", hint)
    except TableError as found:
        return found
    except csv.Error as broken:
        return TableError(f"{name} cannot be read: {broken} (after line {line})", "is a quotation mark not closed?")
    return TableError(f"{name} cannot be read: {error}")


def _sound(row: Row, layout: _Layout, name: str, line: int) -> None:
    """That a row has as many cells as there are names."""
    try:
        _fitted(row, len(layout.columns))
    except ValueError:
        count, names = len(row), len(layout.columns)
        message = f"line {line} of {name} has {count} cell{'s' if count != 1 else ''}, and there are {names} names of columns"
        hint = f"cells are separated by {_SPOKEN[layout.separator]}"
        if layout.separator == "," and count > names:
            hint += "; is a decimal comma among them?"
        raise TableError(message, hint) from None
