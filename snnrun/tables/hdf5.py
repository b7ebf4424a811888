"""Datasets in HDF5 files: the only reader that knows h5py.

Only what a file itself holds is read. Links are followed by hand, so that none is opened that leads out of the file, and what a
dataset claims to hold is compared with what was written, before anything is allocated.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnrun.tables.table import Table, TableError, as_read, at_index, numbers, one_length, reading, without

_LINKS = 16  # soft links that a path may follow
_DEPTH, _GROUPS, _NAMES = 8, 200, 10_000  # of a listing: a file may claim to hold any number
_CHUNK = 64 * 2**20  # bytes of a chunk that are read where the data are fewer


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file; whatever goes wrong within is a TableError."""
    with reading(path):
        import h5py

        with h5py.File(path, "r") as file:
            yield file


def item(file: Any, where: str, name: str) -> Any:
    """The group or dataset at a path of a file; None where there is none. Links that lead out of the file are refused."""
    import h5py
    from h5py.h5l import TYPE_HARD, TYPE_SOFT

    found, parts, followed = file["/"], _parts(where), 0
    while parts:
        part = parts.pop(0).encode()
        if not isinstance(found, h5py.Group) or not found.id.links.exists(part):
            return None
        kind = found.id.links.get_info(part).type
        if kind == TYPE_HARD:
            found = found[part]
            continue
        if kind != TYPE_SOFT:
            raise TableError(f"{where!r} in {name} is a link to another file", "only what a file itself holds is read")
        followed += 1
        if followed > _LINKS:
            raise TableError(f"{where!r} in {name} is a link that leads to itself")
        target = found.id.links.get_val(part).decode()
        if target.startswith("/"):
            found = file["/"]
        parts = _parts(target) + parts
    return found


def _parts(where: str) -> list[str]:
    return [part for part in where.split("/") if part not in ("", ".")]


def children(group: Any) -> list[str]:
    """The names in a group, no more than a person could have meant."""
    found: list[str] = []
    for name in group:
        if len(found) == _NAMES:
            break
        found.append(name)
    return found


def claim(file: Any, where: str, name: str, dimensions: int = 1) -> tuple[int, int]:
    """(length, bytes to be read) of a dataset of so many dimensions, once it is certain that it has them."""
    dataset = item(file, where, name)
    if dataset is None or not hasattr(dataset, "id") or not hasattr(dataset, "dtype"):
        raise TableError(f"{name} has no dataset {where!r}")
    numbers(dataset.dtype, len(dataset.shape or ()), name, where, dimensions)
    if dataset.is_virtual:
        raise TableError(f"{where!r} in {name} is a virtual dataset, whose values lie elsewhere", "copy them into the file")
    if dataset.external:
        raise TableError(f"{where!r} in {name} has its values in another file", "copy them into the file")
    length, nbytes = dataset.shape[0], math.prod(dataset.shape) * dataset.dtype.itemsize
    if dataset.chunks is None:
        held = nbytes <= dataset.id.get_storage_size() <= file.id.get_filesize()
    else:
        pieces = math.prod(-(-size // long) for size, long in zip(dataset.shape, dataset.chunks, strict=True))
        held = pieces == 0 or dataset.id.get_num_chunks() >= pieces
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk > max(_CHUNK, 2 * nbytes):
            raise TableError(f"{where!r} in {name} has {length:,} values in a chunk of {chunk:,} bytes", "write it again")
        nbytes = max(nbytes, chunk)
    if not held:
        raise TableError(f"{where!r} in {name} claims {length:,} values, of which some were never written", "write all of them")
    return length, nbytes


def values(file: Any, where: str, name: str, dimensions: int = 1) -> NDArray[Any]:
    """The values of a dataset."""
    claim(file, where, name, dimensions)
    return as_read(item(file, where, name)[()])


def open(path: Path) -> Table:
    """All datasets of a file as columns, named by their paths."""
    with opened(path) as file:
        columns = tuple(_datasets(file))

    def claims(wanted: list[str]) -> dict[str, tuple[int, int]]:
        with opened(path) as file:
            return {column: claim(file, column, path.name) for column in wanted}

    def cost(wanted: list[str]) -> int:
        found = claims(wanted)
        one_length(path.name, {column: length for column, (length, _) in found.items()})
        return sum(nbytes for _, nbytes in found.values())

    def read(wanted: list[str]) -> dict[str, NDArray[Any]]:
        for column in wanted:
            if column not in columns:
                raise without(path.name, column, columns)
        cost(wanted)
        with opened(path) as file:
            return {column: values(file, column, path.name) for column in wanted}

    return Table(path.name, columns, lambda column: claims([column])[column][0], cost, read, at_index)


def _datasets(file: Any) -> list[str]:
    """The paths of datasets, those at the top first. What links lead out of the file are named, too: reading them says so."""
    import h5py
    from h5py.h5l import TYPE_HARD

    waiting, found, seen = [("", file["/"], 0)], [], 0
    while waiting and len(found) < _NAMES and seen < _GROUPS:
        prefix, group, depth = waiting.pop(0)
        seen += 1
        for name in children(group):
            link = group.id.links.get_info(name.encode()).type
            if link != TYPE_HARD:
                found.append(prefix + name)
                continue
            below = group[name]
            if isinstance(below, h5py.Dataset):
                found.append(prefix + name)
            elif isinstance(below, h5py.Group) and depth < _DEPTH:
                waiting.append((f"{prefix}{name}/", below, depth + 1))
    return found
