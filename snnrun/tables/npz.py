"""Arrays in NPZ files. What an array claims to be stands in its header, and is held against what the file can hold."""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.tables.table import Table, TableError, as_read, at_index, numbers, one_length, reading, without

_HEADER = 1 << 16  # bytes of a member among which its header ends
_DENSEST = 1040  # deflate makes bytes at most 1032 times fewer


class _Claim(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return self.shape[0] * self.dtype.itemsize


def open(path: Path) -> Table:
    with reading(path), zipfile.ZipFile(path) as archive:
        columns = tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def claims(wanted: list[str]) -> dict[str, _Claim]:
        with reading(path), zipfile.ZipFile(path) as archive:
            return {column: _claim(archive, column, path.name) for column in wanted}

    def cost(wanted: list[str]) -> int:
        found = claims(wanted)
        one_length(path.name, {column: claim.shape[0] for column, claim in found.items()})
        return sum(claim.nbytes for claim in found.values())

    def read(wanted: list[str]) -> dict[str, NDArray[Any]]:
        for column in wanted:
            if column not in columns:
                raise without(path.name, column, columns)
        cost(wanted)
        found = {}
        with reading(path), zipfile.ZipFile(path) as archive:
            for column in wanted:
                with archive.open(f"{column}.npy") as stream:
                    found[column] = as_read(np.lib.format.read_array(stream, allow_pickle=False))
        return found

    return Table(path.name, columns, lambda column: claims([column])[column].shape[0], cost, read, at_index)


def _claim(archive: zipfile.ZipFile, column: str, name: str) -> _Claim:
    info = archive.getinfo(f"{column}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise TableError(f"{column!r} in {name} is compressed in an unusual way", "write it with numpy.savez_compressed")
    with archive.open(info) as stream:
        head = io.BytesIO(stream.read(_HEADER))
    version = np.lib.format.read_magic(head)
    if version not in ((1, 0), (2, 0)):  # later ones are for structured arrays
        raise TableError(f"{column!r} in {name} is no one-dimensional array of numbers")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(head, max_header_size=1000)
    numbers(dtype, len(shape), name, column)
    claim = _Claim(shape, dtype)
    if claim.nbytes + head.tell() != info.file_size or info.file_size > info.compress_size * _DENSEST + _HEADER:
        raise TableError(f"{column!r} in {name} claims {shape[0]:,} values, which the file does not hold", "write it again")
    return claim
