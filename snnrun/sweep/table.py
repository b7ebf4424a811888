"""The folder of a sweep: what it is, and a row for each point that has been worked on.

    sweep.json              what is varied, of which network
    part-0003-of-0010.csv   rows of one part, written one by one as points are finished; of one part all points are in one file
    results/000012.h5       results of point 12, where they are kept
    sweep.csv               all rows by number, made by collecting

Parts know nothing of each other and share no file that is written to, so that they need no locks. A row is written in one go; one
that a power failure has cut short is cut off.
"""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import appended
from snnrun.files import in_place_of
from snnrun.request import Refused

SCHEMA = "snnrun-sweep/1"
DEFINITION, TABLE, RESULTS = "sweep.json", "sweep.csv", "results"
DONE = "done"  # the status of a point of which there is no more to do
_PART = re.compile(r"part-[0-9]+-of-[0-9]+\.csv")


class Part(NamedTuple):
    """The points number, number + of, number + 2 of, ..."""

    number: int = 0
    of: int = 1

    def has(self, point: int) -> bool:
        return point % self.of == self.number

    @property
    def file(self) -> str:
        return f"part-{self.number + 1:04d}-of-{self.of:04d}.csv"


class Definition(NamedTuple):
    """What a sweep is; as JSON the same for all of its parts."""

    network: str  # name of the file
    text: str  # of the file
    overrides: list[str]
    paths: list[str]
    points: int
    seeds: list[int]
    measures: list[str]  # names of the columns with what is measured
    identity: str  # of all points with their values

    def write(self, folder: Path, overwrite: bool) -> None:
        """Have it in the folder. Raises Refused where another sweep is there."""
        there = definition(folder)
        if there is not None and there.identity != self.identity and not overwrite:
            what = _difference(there, self)
            raise Refused(f"{folder} has another sweep: {what}", "use --output for another folder, or --overwrite to begin anew")
        if there is not None and there.identity != self.identity:
            made = [
                folder / TABLE,
                *(folder / TABLE).parent.glob(f"{Path(TABLE).stem}.p*"),
                *(folder / RESULTS).glob("[0-9]*.h5"),
            ]
            for path in [*_parts(folder), *made]:
                path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        if there is None or there.identity != self.identity:
            with in_place_of(folder / DEFINITION) as partial:
                partial.write_text(json.dumps({"schema": SCHEMA, **self._asdict()}, indent=1) + "\n")


def definition(folder: Path) -> Definition | None:
    """What the sweep of a folder is; None where there is none. Raises Refused for what is none of this version's."""
    path = folder / DEFINITION
    try:
        found = json.loads(path.read_text())
        if found.pop("schema") != SCHEMA:
            raise ValueError
        return Definition(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused(f"{path} is no sweep of this version of snnrun", "use --output for another folder") from None


def _difference(there: Definition, here: Definition) -> str:
    for name, what in (("paths", "it varies"), ("points", "its points are"), ("seeds", "its seeds are"),
                       ("overrides", "it was changed by")):  # fmt: skip
        if getattr(there, name) != getattr(here, name):
            value = getattr(there, name)
            return f"{what} {', '.join(map(str, value)) if isinstance(value, list) else f'{value:,}'}"
    return "of another network file" if there.text != here.text else "its values are others"


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("part-*.csv") if _PART.fullmatch(path.name))


Row = dict[str, str]


def rows(folder: Path) -> dict[int, Row]:
    """The rows of all parts, by the number of the point; of several of a point the one that is done, or the last one."""
    found: dict[int, Row] = {}
    for path in _parts(folder):
        for row in appended.rows(path.read_text()):
            number = int(row["point"])
            if number not in found or found[number]["status"] != DONE:
                found[number] = row
    return found


def columns(given: Definition) -> list[str]:
    return ["point", *given.paths, "seed", "status", "seconds", "spikes", *given.measures, "message"]


def collected(folder: Path, given: Definition, found: dict[int, Row]) -> Path:
    """Write all rows, by number, into one table."""
    target = folder / TABLE
    with in_place_of(target) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns(given), restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found[number] for number in sorted(found))
    return target


def as_parquet(target: Path, given: Definition, found: Iterable[Row]) -> None:
    """The same table as a Parquet file: numbers as numbers, what is not there as null. Raises optional.Missing."""
    from snnrun.optional import library

    pyarrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    rows = list(found)
    table: dict[str, Any] = {}
    for name in columns(given):
        values = [row.get(name) or None for row in rows]
        if name in ("point", "seed", "spikes"):
            table[name] = [None if value is None else int(value) for value in values]
        elif name == "seconds" or name in given.measures:
            table[name] = [None if value is None else float(value) for value in values]
        else:
            table[name] = values
    with in_place_of(target) as partial:
        parquet.write_table(pyarrow.table(table), partial)
