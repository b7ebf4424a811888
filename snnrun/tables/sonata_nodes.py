"""SONATA's files of nodes and its tables of types.

A node has the properties of its row in its node group, and those of its node type where the group has none.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.tables import csv, hdf5
from snnrun.tables.table import TableError, at_index, without

_TYPES_SIZE = 16 * 2**20  # bytes of a table of types
_AXES = ("x", "y", "z")
_NOTHING = ("", "NULL", "NONE", "NaN", "NA", "nan", "null", "None")


class Types(NamedTuple):
    """A table of node types or edge types: what it says of each, as texts, and in which line."""

    name: str
    rows: dict[int, dict[str, str]]
    lines: dict[int, int]

    def where(self, number: int) -> str:
        return f"{self.name}, line {self.lines[number]}"


def types(path: Path, key: str, population: str | None = None) -> Types:
    """The types of a table with the column `node_type_id` or `edge_type_id`; only those of a population, where rows name one."""
    if path.is_file() and path.stat().st_size > _TYPES_SIZE:
        raise TableError(f"{path.name} is larger than {_TYPES_SIZE >> 20} MiB", "name the table of types")
    columns = list(csv.open(path).columns)
    if key not in columns:
        raise without(path.name, key, tuple(columns))
    rows: dict[int, dict[str, str]] = {}
    lines: dict[int, int] = {}
    for line, cells in csv.texts(path, columns):
        given = {column: cell for column, cell in zip(columns, cells, strict=True) if cell is not None and cell not in _NOTHING}
        if population is not None and given.get("population", population) != population:
            continue
        cell = given.get(key, "")
        if not cell.isdecimal():
            raise TableError(f"{key} is {cell[:40]!r} in line {line} of {path.name}", "write a whole number")
        if int(cell) in rows:
            raise TableError(f"{key} {cell} is given twice in {path.name}, the second in line {line}", "keep one of them")
        rows[int(cell)], lines[int(cell)] = given, line
    if not rows:
        raise TableError(f"{path.name} has no types", "write a line for each type, below the names of columns")
    return Types(path.name, rows, lines)


class Nodes(NamedTuple):
    """A population of nodes, in the order of their ids, which are 0, 1, 2, ..."""

    file: str
    population: str
    types: NDArray[np.int64]  # node type of each
    groups: dict[int, frozenset[str]]  # what each group has: paths of datasets in it
    group: NDArray[np.int64]  # of each
    rows: NDArray[np.int64]  # of each in its group
    path: Path

    @property
    def size(self) -> int:
        return len(self.types)

    def values(self, property: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A property of each node, and which nodes have it in their group. Where it has no x, y, z these are of `positions`."""
        found, known = np.full(self.size, np.nan), np.zeros(self.size, bool)
        with hdf5.opened(self.path) as file:
            for number, own in self.groups.items():
                root, members = f"nodes/{self.population}/{number}", np.flatnonzero(self.group == number)
                if property in own:
                    values = hdf5.values(file, f"{root}/{property}", self.file)
                elif property in _AXES and "positions" in own and not own.intersection(_AXES):
                    places = hdf5.values(file, f"{root}/positions", self.file, 2)
                    if _AXES.index(property) >= places.shape[1]:
                        continue
                    values = places[:, _AXES.index(property)]
                else:
                    continue
                beyond = self.rows[members] >= len(values)
                if beyond.any():
                    node = int(members[np.argmax(beyond)])
                    message = f"group {number} of {self.file} has {len(values):,} values of {property}, too few for node {node}"
                    raise TableError(message)
                found[members], known[members] = values[self.rows[members]], True
        return found, known


def nodes(path: Path, population: str) -> Nodes:
    """The nodes of a population."""
    import h5py

    name = path.name
    with hdf5.opened(path) as file:
        root = f"nodes/{population}"
        group = hdf5.item(file, root, name)
        if not isinstance(group, h5py.Group):
            raise TableError(f"{name} has no node population {population!r}")
        there = hdf5.children(group)
        if "node_type_id" not in there:
            raise TableError(f"the node population {population!r} of {name} has no node_type_id", "every node has a type")
        kinds = _whole(hdf5.values(file, f"{root}/node_type_id", name), "node_type_id", name)
        per_node = {}
        for column, default in (("node_id", np.arange(len(kinds))), ("node_group_id", np.zeros(len(kinds), np.int64)),
                                ("node_group_index", np.arange(len(kinds)))):  # fmt: skip
            given = _whole(hdf5.values(file, f"{root}/{column}", name), column, name) if column in there else default
            if len(given) != len(kinds):
                raise TableError(f"{column} and node_type_id of {name} differ in length: {len(given):,} and {len(kinds):,}")
            per_node[column] = given
        groups = {}
        for child in there:
            below = hdf5.item(file, f"{root}/{child}", name) if child.isdecimal() and len(child) < 10 else None
            if isinstance(below, h5py.Group):
                groups[int(child)] = frozenset(_datasets(below))
    ids, members, index = per_node["node_id"], per_node["node_group_id"], per_node["node_group_index"]
    order = np.argsort(ids, kind="stable")
    wrong = ids[order] != np.arange(len(ids))
    if wrong.any():
        first = int(np.argmax(wrong))
        message = (
            f"node_id of {population!r} in {name} is not 0, 1, 2, ...: {int(ids[order][first])} stands where {first} is wanted"
        )
        raise TableError(message, "number the nodes of a population from 0, without gaps, also in the files of edges")
    for number in np.unique(members).tolist():
        if number not in groups and "node_group_id" in there:
            node = int(ids[np.argmax(members == number)])
            raise TableError(f"{name} has no node group {number}, which is named of node {node}")
    if (index < 0).any():
        raise TableError(f"node_group_index is {index.min()} {at_index(int(index.argmin()))} of {name}")
    return Nodes(name, population, kinds[order], groups, members[order], index[order], path)


def _datasets(group: Any, prefix: str = "") -> list[str]:
    """Properties of a group, those of `dynamics_params` by their paths."""
    import h5py
    from h5py.h5l import TYPE_HARD

    found = []
    for child in hdf5.children(group):
        kind = group.id.links.get_info(child.encode()).type
        below = group[child] if kind == TYPE_HARD else None
        if isinstance(below, h5py.Group) and not prefix:
            found += _datasets(below, f"{child}/")
        else:
            found.append(f"{prefix}{child}")
    return found


def _whole(values: NDArray[Any], column: str, name: str) -> NDArray[np.int64]:
    if values.dtype.kind == "f":
        raise TableError(f"{column} of {name} is no array of whole numbers")
    return values.astype(np.int64)
