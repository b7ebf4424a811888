"""What the readers of all formats share: a table, and what is wrong with a file that is none."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class TableError(ValueError):
    """A file that is not what was asked for: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Table(NamedTuple):
    """Columns of a file. Its header has been read and none of its values; all functions raise TableError."""

    name: str  # of the file
    columns: tuple[str, ...]
    length: Callable[[str], int]  # rows of a column, by the header; of a text its lines, which may be more
    cost: Callable[[list[str]], int]  # bytes that some columns take in memory, by the header; it raises where one is none
    read: Callable[[list[str]], dict[str, NDArray[Any]]]  # columns as they are, integers or float64, of one length
    place: Callable[[int], str]  # where a person finds a row: `in line 7`, `at index 5`
    exact: bool = True  # whether its length is known before it is read
    notes: tuple[tuple[str, str], ...] = ()  # what of the file is not read and might matter, and what to do


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library says of a file that is not to be trusted becomes a TableError."""
    try:
        if not path.is_file():
            raise TableError(f"there is no file {path}", "paths are relative to the folder of the network file")
        yield
    except TableError:
        raise
    except UnicodeDecodeError:
        raise TableError(f"{path.name} is not UTF-8 text", "save it as UTF-8") from None
    except Exception as error:  # libraries have no closed list of what they raise over a broken file
        reason = re.sub(r" at 0x[0-9a-f]+", "", (str(error).splitlines() or [type(error).__name__])[0])
        raise TableError(f"{path.name} cannot be read: {reason}") from None


def at_index(row: int) -> str:
    """Where a person finds a row of an array."""
    return f"at index {row}"


def without(name: str, column: str, there: tuple[str, ...]) -> TableError:
    """That a file lacks a column."""
    known = f"it has {', '.join(there[:20])}{', ...' if len(there) > 20 else ''}" if any(there) else "it is empty"
    return TableError(f"{name} has no column {column!r}", known)


def numbers(dtype: np.dtype[Any], dimensions: int, name: str, column: str, wanted: int = 1) -> None:
    """That an array is one row of numbers, or a table of them, by its header."""
    if dimensions != wanted or dtype.kind not in "iufb":
        raise TableError(f"{column!r} in {name} is no {('one', 'two')[wanted - 1]}-dimensional array of numbers")


def as_read(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as float64, integers as they are: a cast is checked by who makes it."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what a longer float holds and float64 does not is infinite, and refused as such
            return values.astype(np.float64)
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def one_length(name: str, lengths: dict[str, int]) -> None:
    """That columns which belong together are of one length."""
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{column} {length:,}" for column, length in lengths.items())
        raise TableError(f"the columns {', '.join(lengths)} of {name} differ in length", f"they have {said} values")
