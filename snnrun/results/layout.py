"""What writing and reading share: the schema's name, and where an unfinished run lies."""

from pathlib import Path
from typing import Any

import h5py

SCHEMA = "snnrun-results/1"


def partial_path(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def read_through(file: Any) -> None:
    """Read every dataset, a chunk at a time, and keep nothing: HDF5 raises OSError where a checksum is not that of its data."""

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None:
            for begin in range(0, item.shape[0], item.chunks[0]):
                _ = item[begin : begin + item.chunks[0]]

    file.visititems(visit)
