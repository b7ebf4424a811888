"""A table as CSV that grows row by row, by one process at a time: what a crash has cut short is cut off."""

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Busy(Exception):
    """Another process adds rows to the table."""


class Table(NamedTuple):
    before: list[dict[str, str]]  # rows that are there
    put: Callable[[dict[str, Any]], None]  # adds a row, in one go


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a table, but for one that is not whole."""
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


@contextmanager
def appending(path: Path, columns: list[str], together: int = 1) -> Iterator[Table]:
    """A table, made where there is none; of rows that belong together, so many at a time, only those are kept that all are there.

    Raises Busy, OSError.
    """
    with path.open("a+", newline="") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        except OSError:
            pass  # a file system without locks
        file.seek(0)
        text = file.read()
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        whole = "".join(lines[: 1 + (len(lines) - 1) // together * together] if lines else [])
        if whole != text:
            file.truncate(len(whole.encode()))

        def write(what: Callable[[Any], Any]) -> None:
            what(csv.DictWriter(buffer := io.StringIO(), columns, restval="", lineterminator="\n"))
            os.write(file.fileno(), buffer.getvalue().encode())

        if not whole:
            write(lambda writer: writer.writeheader())
        yield Table(rows(whole), lambda row: write(lambda writer: writer.writerow(row)))
