"""Arrays in files beside the network file: the only module that knows CSV, NPZ and HDF5 input.

A table has named columns of equal length. In HDF5 a column is a dataset; a file in SONATA's edge format shows its edges
as the columns `pre`, `post`, `delay_ms` and `syn_weight`.
"""

import csv
import warnings
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from snnrun import units

_SONATA = {"source_node_id": "pre", "target_node_id": "post", "0/delay": "delay_ms", "0/syn_weight": "syn_weight"}


class TableError(ValueError):
    """A file that is not what was asked for: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def columns(path: Path, population: str | None = None) -> list[str]:
    """The names of a table's columns; reads no more than that. Raises TableError."""
    return list(_open(path, population, names_only=True))


def length(path: Path, population: str | None = None) -> int:
    """The number of rows of a table. Of a CSV file lines are counted, and no value is read. Raises TableError."""
    if path.suffix.lower() == ".csv":
        with path.open("rb") as stream:
            return max(sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) - 1, 0)
    first = columns(path, population)[:1]
    return len(read(path, first, population)[first[0]]) if first else 0


def read(path: Path, wanted: list[str], population: str | None = None) -> dict[str, NDArray[Any]]:
    """The wanted columns of a table as float64 or int64 arrays of one length. Raises TableError."""
    table = _open(path, population, names_only=False, wanted=wanted)
    lengths = {len(table[name]) for name in wanted}
    if len(lengths) > 1:
        raise TableError(f"the columns {', '.join(wanted)} of {path.name} differ in length")
    return {name: table[name] for name in wanted}


def _open(path: Path, population: str | None, names_only: bool, wanted: list[str] | None = None) -> dict[str, Any]:
    kind = {".csv": _csv, ".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5}.get(path.suffix.lower())
    if kind is None:
        raise TableError(f"{path} is of no known kind", "use .csv, .npz, .h5 or .hdf5")
    try:
        if not path.is_file():
            raise TableError(f"there is no file {path}", "paths are relative to the folder of the network file")
        return kind(path, population, names_only, wanted or [])
    except UnicodeDecodeError:
        raise TableError(f"{path.name} is not UTF-8 text", "save it as UTF-8") from None
    except (OSError, zipfile.BadZipFile, csv.Error, EOFError, KeyError, RuntimeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> TableError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return TableError(f"{path.name} cannot be read: {reason}")


def without(path: Path, column: str, there: list[str]) -> TableError:
    """That a file lacks a column."""
    known = f"it has {', '.join(there[:20])}" if any(there) else "it is empty"
    return TableError(f"{path.name} has no column {column!r}", known)


def _csv(path: Path, population: str | None, names_only: bool, wanted: list[str]) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        header = [name.strip() for name in next(csv.reader(stream), [])]
        if names_only:
            return dict.fromkeys(header)
        if not wanted:
            return {}
        for name in wanted:
            if name not in header:
                raise without(path, name, header)
        places = [header.index(name) for name in wanted]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "loadtxt: input contained no data")  # a table without rows is one too
                values = np.loadtxt(stream, delimiter=",", usecols=places, ndmin=2, comments=None)
        except ValueError as error:
            raise _unreadable(path, error) from None
    if not values.size:
        values = values.reshape(0, len(places))
    return {name: values[:, i] for i, name in enumerate(wanted)}


def _npz(path: Path, population: str | None, names_only: bool, wanted: list[str]) -> dict[str, Any]:
    if names_only:
        with zipfile.ZipFile(path) as archive:
            return dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist())
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _vector(archive[name], path, name) for name in wanted}
    except ValueError as error:
        raise _unreadable(path, error) from None


def _hdf5(path: Path, population: str | None, names_only: bool, wanted: list[str]) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        group = cast(Any, file)
        names: dict[str, str] = {}
        if isinstance(file.get("edges"), h5py.Group):
            edges: Any = file["edges"]
            found = list(edges)
            if not found:
                raise TableError(f"{path.name} has no edge population")
            if population is None and len(found) != 1:
                raise TableError(f"{path.name} has the edge populations {', '.join(found)}", "name one: population: ...")
            name = population or found[0]
            if name not in found:
                raise TableError(f"{path.name} has no edge population {name!r}", f"it has {', '.join(found)}")
            group = edges[name]
            if not isinstance(group, h5py.Group):
                raise TableError(f"the edge population {name!r} of {path.name} is no group")
            names = {ours: theirs for theirs, ours in _SONATA.items() if theirs in group}
        else:
            file.visititems(lambda n, item: names.update({n: n}) if isinstance(item, h5py.Dataset) else None)
        if names_only:
            return dict.fromkeys(names)
        return {name: _vector(cast(Any, group[names[name]])[()], path, name) for name in wanted}


def _vector(values: NDArray[Any], path: Path, name: str) -> NDArray[Any]:
    values = np.asarray(values)  # h5py gives a text as bytes
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise TableError(f"{name!r} in {path.name} is no one-dimensional array of numbers")
    return values.astype(np.float64) if values.dtype.kind == "f" else values.astype(np.int64)


def check_column(path: Path, column: str, dimension: str) -> None:
    """That a file has a column, and that the unit in the column's name has the wanted dimension. Raises TableError."""
    there = columns(path)
    if column not in there:
        raise without(path, column, there)
    unit = units.column_unit(column)
    if unit is None:
        raise TableError(f"the column {column!r} names no unit", f"end its name in one, like {column}_{units.USUAL[dimension]}")
    if unit[1] != dimension:
        raise TableError(
            f"the column {column!r} is in {unit[0]}, and {units.article(dimension)} is wanted here",
            f"end its name in one of {', '.join(units.of_dimension(dimension))}",
        )


def quantity(path: Path, column: str) -> NDArray[np.float64]:
    """A column in internal units, by the unit in its name."""
    return to_internal(read(path, [column])[column], column)


def to_internal(values: NDArray[Any], column: str) -> NDArray[np.float64]:
    unit = units.column_unit(column)
    assert unit is not None
    factor, multiply = units.to_internal(unit[0])
    return values.astype(np.float64) * factor if multiply else values.astype(np.float64) / factor
