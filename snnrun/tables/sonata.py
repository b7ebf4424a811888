"""SONATA's files of edges and of spikes (https://github.com/AllenInstitute/sonata), as tables.

An edge has the properties of its row in its edge group, and those of its edge type where the group has none; the row is
`edge_group_index`, the type a line of a text table beside. Read are `syn_weight`, `delay` (ms) and `nsyns`, which counts the
weight that many times.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import units
from snnrun.tables import csv, hdf5
from snnrun.tables.table import Table, TableError, at_index, one_length

_IDS = {"pre": "source_node_id", "post": "target_node_id"}
_PROPERTIES = {"syn_weight": "syn_weight", "delay_ms": "delay", "nsyns": "nsyns"}
_TYPES_SIZE = 16 * 2**20  # bytes of a table of edge types
_SPARE = 2**20  # rows of a group that no edge needs to refer to
_NOTHING = ("", "NULL", "NONE", "NaN", "NA", "nan", "null", "None")
_PLAIN = ("static_synapse", "nest:static_synapse")
_BY_WEIGHT = ("default_weight_fnc", "set_syn_weight", "wmax")  # bmtk's functions that are nothing but nsyns times syn_weight


def has(path: Path, section: str) -> bool:
    """Whether an HDF5 file has SONATA's group `edges` or `spikes`."""
    import h5py

    with hdf5.opened(path) as file:
        return isinstance(hdf5.item(file, section, path.name), h5py.Group)


def populations(path: Path, section: str) -> list[str]:
    """The populations of `nodes`, `edges` or `spikes` that a file has; none where they have no name."""
    import h5py

    with hdf5.opened(path) as file:
        group = hdf5.item(file, section, path.name)
        if not isinstance(group, h5py.Group):
            raise TableError(f"{path.name} has no group /{section}", f"a file of SONATA's {section} has one")
        return [] if section == "spikes" and _unnamed(file, path.name) else hdf5.children(group)


def ends(path: Path, population: str) -> tuple[str, str]:
    """The populations of nodes that the edges of a population connect."""
    found = []
    with hdf5.opened(path) as file:
        for side in _IDS.values():
            dataset = hdf5.item(file, f"edges/{population}/{side}", path.name)
            if dataset is None:
                raise TableError(f"{path.name} has no dataset 'edges/{population}/{side}'")
            name = dataset.attrs.get("node_population")
            if name is None:
                hint = "write the attribute node_population, the name of a population of nodes"
                raise TableError(f"{side} of {population!r} in {path.name} does not say of which nodes it is", hint)
            found.append(name.decode() if isinstance(name, bytes) else str(name))
    return found[0], found[1]


def properties(path: Path, population: str) -> set[str]:
    """What the edge groups of a population have."""
    with hdf5.opened(path) as file:
        return set().union(*_header(file, population, path.name).groups.values())


def _unnamed(file: Any, name: str) -> bool:
    return hasattr(hdf5.item(file, "spikes/timestamps", name), "dtype")


def _population(file: Any, section: str, wanted: str | None, name: str) -> str:
    """The population of a file that is meant: the one of that name, or the only one."""
    import h5py

    kind = "edge population" if section == "edges" else "spike population"
    found = hdf5.children(hdf5.item(file, section, name))
    if not found:
        raise TableError(f"{name} has no {kind}")
    if wanted is None and len(found) != 1:
        raise TableError(f"{name} has the {kind}s {', '.join(found[:20])}", "name one: population: ...")
    chosen = wanted or found[0]
    if chosen not in found:
        raise TableError(f"{name} has no {kind} {chosen!r}", f"it has {', '.join(found[:20])}")
    if not isinstance(hdf5.item(file, f"{section}/{chosen}", name), h5py.Group):
        raise TableError(f"the {kind} {chosen!r} of {name} is no group")
    return chosen


# ---- spikes ----------------------------------------------------------------------------------------------------------


def spikes(path: Path, population: str | None) -> Table:
    """The spikes of a population: columns `neuron` and `time_ms`. Files from before there were populations have one without a
    name, whose nodes are `gids`."""
    with hdf5.opened(path) as file:
        if _unnamed(file, path.name):
            if population is not None:
                raise TableError(f"{path.name} has spikes of one population without a name", "remove population: ...")
            where = {"neuron": "spikes/gids", "time_ms": "spikes/timestamps"}
        else:
            root = f"spikes/{_population(file, 'spikes', population, path.name)}"
            where = {"neuron": f"{root}/node_ids", "time_ms": f"{root}/timestamps"}
        lengths = {column: hdf5.claim(file, place, path.name) for column, place in where.items()}
        unit = _unit(hdf5.item(file, where["time_ms"], path.name).attrs.get("units", "ms"), path.name)
    one_length(path.name, {place: lengths[column][0] for column, place in where.items()})

    def read(wanted: list[str]) -> dict[str, NDArray[Any]]:
        with hdf5.opened(path) as file:
            found = {column: hdf5.values(file, where[column], path.name) for column in wanted}
        if "time_ms" in found:
            found["time_ms"] = units.scaled(found["time_ms"], unit)
        return found

    def cost(wanted: list[str]) -> int:
        return sum(nbytes for _, nbytes in lengths.values())

    return Table(path.name, tuple(where), lambda column: lengths[column][0], cost, read, at_index)


def _unit(text: Any, name: str) -> str:
    unit = text.decode() if isinstance(text, bytes) else str(text)
    unit = {"milliseconds": "ms", "millisecond": "ms", "seconds": "s", "second": "s"}.get(unit, unit)
    if unit not in units.of_dimension("time"):
        raise TableError(f"the timestamps of {name} are in {unit[:20]!r}", f"known are {', '.join(units.of_dimension('time'))}")
    return unit


# ---- edges -----------------------------------------------------------------------------------------------------------


class _Types(NamedTuple):
    """The table of edge types: for each property the values of those types that have it."""

    name: str
    ids: frozenset[int]
    values: dict[str, dict[int, float]]  # by column


class _Edges(NamedTuple):
    """What the header of an edge population says."""

    root: str
    groups: dict[int, frozenset[str]]  # number of a group -> its properties
    claims: dict[str, tuple[int, int]]  # datasets with a value per edge: (length, bytes)
    own_bytes: int  # of what is read of the groups


def edges(path: Path, population: str | None, types: Path | None, chosen: bool = False) -> Table:
    """The edges of a population: columns `pre`, `post`, and of `syn_weight`, `delay_ms`, `nsyns`, `edge_type_id` those that it
    has. What the synapses of the types are is not noted where types are chosen."""
    with hdf5.opened(path) as file:
        population = _population(file, "edges", population, path.name)
        header = _header(file, population, path.name)
    one_length(path.name, {column: length for column, (length, _) in header.claims.items()})
    table, notes = None, []
    if types is not None:
        if "edge_type_id" not in header.claims:
            raise TableError(f"{path.name} has no edge_type_id, by which its edges would have types", "remove types: ...")
        table, notes = _types(types, population)
        notes = [] if chosen else notes
    owned = {column: [number for number, own in header.groups.items() if theirs in own] for column, theirs in _PROPERTIES.items()}
    columns = [column for column, theirs in _IDS.items() if theirs in header.claims]
    columns += [column for column in _PROPERTIES if owned[column] or (table is not None and table.values[column])]
    columns += ["edge_type_id"] if "edge_type_id" in header.claims else []
    notes += _unread(header, owned, table is not None, path.name)

    def read(wanted: list[str]) -> dict[str, NDArray[Any]]:
        with hdf5.opened(path) as file:
            plain = {column: _IDS.get(column, column) for column in wanted if column not in _PROPERTIES}
            found = {column: hdf5.values(file, f"{header.root}/{there}", path.name) for column, there in plain.items()}
            rest = [column for column in wanted if column in _PROPERTIES]
            return found | (_properties(file, header, table, rest, path.name) if rest else {})

    def length(column: str) -> int:
        return next(iter(header.claims.values()), (0, 0))[0]

    def cost(wanted: list[str]) -> int:  # properties and what leads to them are at hand all at once
        return sum(nbytes for _, nbytes in header.claims.values()) + header.own_bytes + 24 * length("") * len(wanted)

    return Table(path.name, tuple(columns), length, cost, read, at_index, notes=tuple(notes))


def _header(file: Any, population: str, name: str) -> _Edges:
    import h5py

    root = f"edges/{population}"
    there = hdf5.children(hdf5.item(file, root, name))
    groups = {}
    for child in there:
        group = hdf5.item(file, f"{root}/{child}", name) if child.isdecimal() and len(child) < 10 else None
        if isinstance(group, h5py.Group):
            groups[int(child)] = frozenset(hdf5.children(group))
    for number, own in groups.items():
        if "weight_function" in own:
            raise TableError(f"group {number} of {name} has a weight_function, which is not read", "write syn_weight instead")
    per_edge = [*_IDS.values(), "edge_type_id", "edge_group_id", "edge_group_index"]
    claims = {column: hdf5.claim(file, f"{root}/{column}", name) for column in per_edge if column in there}
    count, own_bytes = next(iter(claims.values()), (0, 0))[0], 0
    for number, own in groups.items():
        for theirs in own.intersection(_PROPERTIES.values()):
            length, nbytes = hdf5.claim(file, f"{root}/{number}/{theirs}", name)
            if length > count + _SPARE:
                message = f"group {number} of {name} has {length:,} values of {theirs}, and there are {count:,} edges"
                raise TableError(message, "leave out what no edge refers to")
            own_bytes += nbytes
    return _Edges(root, groups, claims, own_bytes)


def _unread(header: _Edges, owned: dict[str, list[int]], typed: bool, name: str) -> list[tuple[str, str]]:
    """What the edges say beyond what is read."""
    notes = []
    if "edge_type_id" in header.claims and not typed:
        open_ = [_PROPERTIES[column] for column in ("syn_weight", "delay_ms") if len(owned[column]) < max(len(header.groups), 1)]
        if open_:
            said = " and no ".join(open_)
            message = f"{name} has edge types and no {said} of its own: what the types say is not read"
            notes.append((message, "name their table, like types: edge_types.csv"))
    if any("dynamics_params" in own for own in header.groups.values()):
        notes.append((f"the dynamics_params of {name} are not read", "the synapse of the projection counts"))
    return notes


def _types(path: Path, population: str) -> tuple[_Types, list[tuple[str, str]]]:
    """The table of edge types, and what of it is not read."""
    if path.is_file() and path.stat().st_size > _TYPES_SIZE:
        raise TableError(f"{path.name} is larger than {_TYPES_SIZE >> 20} MiB", "name the table of edge types")
    columns = ["edge_type_id", "population", *_PROPERTIES.values(), "weight_function", "dynamics_params", "model_template"]
    if "edge_type_id" not in (there := csv.open(path).columns):
        raise TableError(f"{path.name} has no column 'edge_type_id'", f"it has {', '.join(there[:20])}")
    ids: set[int] = set()
    values: dict[str, dict[int, float]] = {column: {} for column in _PROPERTIES}
    unread: dict[str, None] = {}
    for line, cells in csv.texts(path, columns):
        given = {column: cell for column, cell in zip(columns, cells, strict=True) if cell is not None and cell not in _NOTHING}
        if given.get("population", population) != population:
            continue
        number = _number(given.get("edge_type_id", ""), "edge_type_id", line, path.name)
        if number in ids or number != int(number):
            raise TableError(f"edge_type_id {number:g} in line {line} of {path.name} is given twice or no whole number")
        ids.add(int(number))
        if given.get("weight_function", _BY_WEIGHT[0]) not in _BY_WEIGHT:
            message = f"the weight_function {given['weight_function'][:40]!r} in line {line} of {path.name} is code"
            raise TableError(message, "write the weights that it would make into the file of edges, as syn_weight")
        for column, theirs in _PROPERTIES.items():
            if theirs in given:
                values[column][int(number)] = _number(given[theirs], theirs, line, path.name)
        if "dynamics_params" in given:
            unread["dynamics_params"] = None
        if given.get("model_template", _PLAIN[0]) not in _PLAIN:
            unread[f"model_template ({given['model_template'][:40]})"] = None
    said = " and ".join(unread)
    notes = [(f"of {path.name} is not read: {said}", "the synapse of the projection counts")] if unread else []
    return _Types(path.name, frozenset(ids), values), notes


def _number(cell: str, column: str, line: int, name: str) -> float:
    try:
        found = float(cell)
    except ValueError:
        raise TableError(f"{column} is {cell[:40]!r} in line {line} of {name}", "write a number, or NULL") from None
    if not np.isfinite(found):
        raise TableError(f"{column} is {cell[:40]!r} in line {line} of {name}", "write a finite number, or NULL")
    return found


def _properties(file: Any, header: _Edges, types: _Types | None, wanted: list[str], name: str) -> dict[str, NDArray[np.float64]]:
    """Properties of every edge, those of its group before those of its type."""
    ids = {
        column: hdf5.values(file, f"{header.root}/{column}", name)
        for column in ("edge_type_id", "edge_group_id", "edge_group_index")
        if column in header.claims and (column != "edge_type_id" or types is not None)
    }
    count = next(iter(header.claims.values()))[0]
    rows = _rows_of_groups(ids, header, count, name)
    found = {}
    for column in wanted:
        values = np.full(count, np.nan)
        known = np.zeros(count, bool)
        if types is not None:
            values, known = _of_types(ids["edge_type_id"], types, column)
        for number, (members, index) in rows.items():
            if _PROPERTIES[column] not in header.groups[number]:
                continue
            own = hdf5.values(file, f"{header.root}/{number}/{_PROPERTIES[column]}", name)
            beyond = np.flatnonzero((index < 0) | (index >= len(own))) if index is not None else np.arange(len(own) < count)
            if len(beyond):
                said = at_index(int(members[beyond[0]])) if index is not None else f"for {count:,} edges"
                raise TableError(f"group {number} of {name} has {len(own):,} values of {_PROPERTIES[column]}, too few {said}")
            values[members] = own[:count] if index is None else own[index]
            known[members] = True
        if column == "nsyns":
            values[~known] = 1
        elif not known.all():
            raise _lacking(int(np.flatnonzero(~known)[0]), column, ids, types, name)
        found[column] = values
    return found


def _rows_of_groups(ids: dict[str, NDArray[Any]], header: _Edges, count: int, name: str) -> dict[int, tuple[Any, Any]]:
    """For each group (its edges, their rows in it); the rows are None where the edges are the rows."""
    if "edge_group_index" not in ids:
        if len(header.groups) > 1:
            raise TableError(f"{name} has several edge groups and no edge_group_index", "write both edge_group_id and _index")
        return {number: (np.arange(count), None) for number in header.groups}
    index = _whole(ids["edge_group_index"], "edge_group_index", name)
    if "edge_group_id" not in ids:
        if len(header.groups) > 1:
            raise TableError(f"{name} has several edge groups and no edge_group_id", "write both edge_group_id and _index")
        return {number: (np.arange(count), index) for number in header.groups}
    group = _whole(ids["edge_group_id"], "edge_group_id", name)
    found = {}
    for number in np.unique(group).tolist():
        members = np.flatnonzero(group == number)
        if number not in header.groups:
            raise TableError(f"{name} has no edge group {number}, which is named {at_index(int(members[0]))} of edge_group_id")
        found[number] = (members, index[members])
    return found


def _whole(values: NDArray[Any], column: str, name: str) -> NDArray[np.int64]:
    if values.dtype.kind == "f":
        raise TableError(f"{column} of {name} is no array of whole numbers")
    if values.dtype == np.uint64 and len(values) and values.max() > np.iinfo(np.int64).max:
        raise TableError(f"{column} of {name} is {values.max()} {at_index(int(values.argmax()))}")
    return values.astype(np.int64)


def _of_types(ids: NDArray[Any], types: _Types, column: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """What the type of each edge says of a property, and where it says something."""
    numbers, which = np.unique(ids, return_inverse=True)
    for number in numbers.tolist():
        if number not in types.ids:
            where = at_index(int(np.flatnonzero(ids == number)[0]))
            raise TableError(f"edge type {number} is not in {types.name}", f"it is named {where} of edge_type_id")
    values = types.values[column]
    said = np.array([values.get(number, np.nan) for number in numbers.tolist()], np.float64)
    known = np.array([number in values for number in numbers.tolist()], bool)
    return said[which], known[which]


def _lacking(edge: int, column: str, ids: dict[str, NDArray[Any]], types: _Types | None, name: str) -> TableError:
    """That an edge has a property neither in its group nor by its type."""
    of = f" (edge type {ids['edge_type_id'][edge]})" if types is not None else ""
    group = f" in group {ids['edge_group_id'][edge]}" if "edge_group_id" in ids else ""
    hint = "others have one" if types is not None else "others have one; name the table of edge types, like types: edge_types.csv"
    return TableError(f"the edge{of}{group} {at_index(edge)} of {name} has no {_PROPERTIES[column]}", hint)
