"""What grows while a circuit becomes a network file: what is wrong, what is to be known, and the files beside it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun.convert import netfile, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.files import in_place_of
from snnrun.results import refuse_existing
from snnrun.tables import TableError


class Output:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.folder = file.parent
        self.data = file.with_name(f"{file.stem}.data.h5")
        self.columns: dict[str, NDArray[Any]] = {}
        self.spikes: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}  # neurons and times of populations
        self.courses: dict[Path, dict[str, NDArray[Any]]] = {}  # currents in time, in files of their own
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.comments: dict[tuple[str, str], list[str]] = {}

    def named(self, path: Path) -> str:
        """How the network file names a file."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def value(self, values: Any, population: str, name: str, dimension: str) -> Any:
        """A number, or a column where there are several."""
        values = np.asarray(values, np.float64)
        if values.ndim == 0 or (values == values.flat[0]).all():
            return netfile.quantity(values.flat[0], dimension)
        column = f"{population}/{netfile.column(name, dimension)}"
        self.columns[column] = values
        return {"file": self.data.name, "column": column}

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """What is wrong with a file is noted, and the rest is read."""
        try:
            yield
        except (TableError, templates.TemplateError) as error:
            self.problems.append(Problem(where, error.message, error.hint))
        except Inconvertible as error:
            self.problems += error.problems

    def check(self) -> None:
        """That nothing was wrong so far. Raises Inconvertible."""
        if self.problems:
            raise Inconvertible(list(dict.fromkeys(self.problems)))

    def write(self, text: str, overwrite: bool) -> list[Path]:
        """Write the network file with this text, and what it names beside it. Raises Exists, OSError."""
        files = [self.file, *([self.data] if self.columns or self.spikes else []), *self.courses]
        refuse_existing(files, overwrite)
        with ExitStack() as stack:
            places = {file: stack.enter_context(in_place_of(file)) for file in files}
            places[self.file].write_text(text, encoding="utf-8")
            if self.data in places:
                self._write_data(places[self.data])
            for file, values in self.courses.items():
                np.savez(places[file], **values)  # type: ignore[arg-type]
        return files

    def _write_data(self, place: Path) -> None:
        with h5py.File(place, "w") as data:
            for column, values in self.columns.items():
                data[column] = values
            for population, (neuron, times) in self.spikes.items():
                data[f"spikes/{population}/node_ids"], data[f"spikes/{population}/timestamps"] = neuron, times
                data[f"spikes/{population}/timestamps"].attrs["units"] = "milliseconds"
