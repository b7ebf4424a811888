"""Tables in files beside the network file: the only package that knows CSV, NPZ and HDF5 input.

What is read is not trusted: a file is opened by its header, which says what columns it has and how long they are, and a value is
read only where the header's claims are such as the file can hold.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun import units
from snnrun.tables import csv, hdf5, npz, sonata
from snnrun.tables.table import Table, TableError, without

__all__ = [
    "Table", "TableError", "check_column", "edges", "found", "parameters", "rates", "to_internal", "trained", "trains",
    "waveforms", "weights", "without",
]  # fmt: skip

_KINDS = {".csv": csv.open, ".npz": npz.open, ".h5": hdf5.open, ".hdf5": hdf5.open}


def _open(path: Path) -> Table:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise TableError(f"{path} is of no known kind", "use .csv, .npz, .h5 or .hdf5")
    return kind(path)


def _is_sonata(path: Path, section: str) -> bool:
    return _KINDS.get(path.suffix.lower()) is hdf5.open and sonata.has(path, section)


def parameters(path: Path) -> Table:
    """A table of parameters, as it is."""
    return _open(path)


def found(table: Table, column: str) -> str:
    """The column that is meant by a name: the one of that name, or the only one that differs from it in case alone."""
    if column in table.columns:
        return column
    alike = [there for there in table.columns if there.lower() == column.lower()]
    if len(alike) != 1:
        raise without(table.name, column, table.columns)
    return alike[0]


def check_column(table: Table, column: str, dimension: str) -> None:
    """That a table has a column, and that the unit in the column's name has the wanted dimension; a column of numbers names
    none. Raises TableError."""
    table.cost([found(table, column)])
    unit = units.column_unit(column)
    if unit is None:
        if dimension == "number":
            return
        raise TableError(f"the column {column!r} names no unit", f"end its name in one, like {column}_{units.usual(dimension)}")
    if dimension == "number":
        raise TableError(f"the column {column!r} is in {unit[0]}, and a number is wanted here", "give it a name without a unit")
    if unit[1] != dimension:
        raise TableError(
            f"the column {column!r} is in {unit[0]}, and {units.article(dimension)} is wanted here",
            f"end its name in one of {', '.join(units.of_dimension(dimension) or [units.usual(dimension)])}",
        )


def to_internal(values: NDArray[Any], column: str) -> NDArray[np.float64]:
    """Values in internal units, by the unit in the name of their column; numbers have none."""
    unit = units.column_unit(column)
    with np.errstate(over="ignore"):  # infinite then, and refused as such
        return values.astype(np.float64) if unit is None else units.scaled(values.astype(np.float64), unit[0])


def edges(path: Path, population: str | None = None, types: Path | None = None, chosen: bool = False) -> Table:
    """A table of edges: columns `pre`, `post`, `weight_<unit>` or `syn_weight`, `delay_ms`, `nsyns`, `edge_type_id`, as far as it
    has them; `chosen` where it is known what the types of its edges are, so that nothing is to be said of them."""
    if _is_sonata(path, "edges"):
        return sonata.edges(path, population, types, chosen)
    for given, key in ((population, "population"), (types, "types")):
        if given is not None:
            raise TableError(f"{path.name} has no edge populations", f"{key} is for SONATA's files of edges")
    return _renamed(_open(path), _edge_column)


def trains(path: Path, population: str | None = None) -> Table:
    """A table of spikes: columns `neuron` and `time_ms`; SONATA's are `node_ids` and `timestamps`, of one population."""
    if _is_sonata(path, "spikes"):
        return sonata.spikes(path, population)
    table = _open(path)
    if (several := _several(path, table)) is not None:
        table = csv.open(path, only=(several, population))
    elif population is not None:
        raise TableError(f"{path.name} has no populations", "remove population: ...")
    return _renamed(table, lambda column: _TRAINS.get(column.lower(), column))


def trained(path: Path) -> list[str]:
    """The populations that a file of spikes names; none where it does not name them."""
    if _is_sonata(path, "spikes"):
        return sonata.populations(path, "spikes")
    several = _several(path, _open(path))
    return [] if several is None else csv.distinct(path, several)


def _several(path: Path, table: Table) -> str | None:
    """The column of a text table that names populations."""
    named = next((column for column in table.columns if column.lower() == "population"), None)
    return named if _KINDS[path.suffix.lower()] is csv.open else None


_TRAINS = {"neuron": "neuron", "time_ms": "time_ms", "node_ids": "neuron", "timestamps": "time_ms"}


def rates(path: Path) -> Table:
    """A table of a rate in time: columns `time_ms` and `rate_Hz`."""
    return _renamed(_open(path), lambda column: {"time_ms": "time_ms", "rate_hz": "rate_Hz"}.get(column.lower(), column))


def waveforms(path: Path) -> Table:
    """A table of a course in time: columns `time_ms`, `current_<unit>` or `conductance_<unit>`, and maybe `neuron`."""
    return _renamed(_open(path), lambda column: column.lower() if column.lower() in ("time_ms", "neuron") else column)


def _edge_column(column: str) -> str:
    """`Pre` is pre, and `Weight_PA` weight_pA: units are told by their case only where they differ in nothing else."""
    lower = column.lower()
    if lower in ("pre", "post", "delay_ms", "nsyns", "syn_weight"):
        return lower
    if lower.startswith("weight_"):
        unit = column[len("weight_") :]
        same = [known for known in units.UNITS if known.lower() == unit.lower()]
        return f"weight_{unit if unit in units.UNITS or len(same) != 1 else same[0]}"
    return column


def _renamed(table: Table, rename: Callable[[str], str]) -> Table:
    """The same table under other names of its columns; one that has its name already goes before others."""
    theirs = {column: column for column in table.columns if rename(column) == column}
    own = frozenset(theirs)

    def named(column: str) -> str:
        if column not in theirs:
            raise without(table.name, column, table.columns)
        return theirs[column]

    for column in table.columns:
        ours = rename(column)
        if theirs.setdefault(ours, column) != column and ours not in own:
            raise TableError(f"{table.name} has the columns {theirs[ours]!r} and {column!r}", "keep one of them")
    return table._replace(
        columns=tuple(dict.fromkeys(map(rename, table.columns))),
        length=lambda column: table.length(named(column)),
        cost=lambda wanted: table.cost([named(column) for column in wanted]),
        read=lambda wanted: dict(zip(wanted, table.read([named(column) for column in wanted]).values(), strict=True)),
    )


def weights(table: Table) -> list[str]:
    """The columns of a table of edges that hold a weight."""
    return [column for column in table.columns if column == "syn_weight" or column.startswith("weight")]
