"""Reading a results file, finished or not: everything by the name of its monitor."""

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun.results.layout import SCHEMA, partial_path
from snnrun.results.store import recover


class ResultsError(Exception):
    """A file that is no readable results file, or a monitor that it does not have."""


class Train(NamedTuple):
    """Spikes of one population, as one monitor recorded them."""

    times: NDArray[np.float64]  # ms, ascending
    neurons: NDArray[np.int64]
    size: int  # neurons that were recorded
    start: float  # ms; recorded were times in (start, stop], up to what was simulated
    stop: float

    @property
    def rate(self) -> float:
        """Hz per recorded neuron; NaN where nothing was recorded yet."""
        return mean_rate(len(self.times), self.size, self.stop - self.start)


class Count(NamedTuple):
    """How many spikes were recorded of one population; as Train, without the spikes."""

    spikes: int
    size: int
    start: float  # ms
    stop: float

    @property
    def rate(self) -> float:
        """Hz per recorded neuron; NaN where nothing was recorded yet."""
        return mean_rate(self.spikes, self.size, self.stop - self.start)


class Series(NamedTuple):
    """A sampled variable of one population."""

    times: NDArray[np.float64]  # ms
    values: NDArray[Any]  # [times, neurons]
    neurons: NDArray[np.int64]
    unit: str


class Samples(NamedTuple):
    """A sampled variable that still lies in the file: frame i is the state at start + i step."""

    start: float  # ms
    step: float  # ms
    length: int  # frames
    neurons: NDArray[np.int64]
    unit: str
    data: Any  # HDF5 dataset [frames, neurons]

    def times(self, frames: slice) -> NDArray[np.float64]:
        """Of some frames, in ms."""
        return self.start + self.step * np.arange(self.length, dtype=np.float64)[frames]


class Rate(NamedTuple):
    """A population rate."""

    times: NDArray[np.float64]  # ms, middles of the bins
    values: NDArray[np.float64]  # Hz per neuron
    bin: float  # ms
    edges: NDArray[np.float64]  # ms, one more than there are bins; the end of the run may cut the last bin short
    size: int | None  # neurons that were recorded; None in files that do not say


def mean_rate(spikes: int, size: int, span: float) -> float:
    """Hz per neuron, of the spikes of `size` neurons in a time of `span` ms."""
    return spikes / (size * span) * 1e3 if size > 0 and span > 0 else float("nan")


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _readable(method: _Method) -> _Method:
    """Let what a damaged file raises in a method of Results become a ResultsError that names the file."""

    @functools.wraps(method)
    def read(self: "Results", *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            if not self._file:
                raise ResultsError(f"{self.path} is closed") from None
            reason = (str(error.args[0] if error.args else error).splitlines() or [type(error).__name__])[0]
            raise ResultsError(f"{self.path} is damaged: {reason}") from error

    return read  # type: ignore[return-value]


class Results:
    """A results file, opened for reading: everything by the name of its monitor."""

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self.path = path
        if not path.exists() and partial_path(path).exists():
            self.path = partial_path(path)
        if self.path.is_dir():
            raise ResultsError(f"{self.path} is a folder")
        if self.path == partial_path(path) or path.suffix == ".partial":
            recover(self.path)
        try:
            # a run that still writes holds a lock; what it has flushed can be read all the same
            self._file: Any = h5py.File(self.path, "r", locking=False)
        except FileNotFoundError:
            raise ResultsError(f"there is no file {path}") from None
        except OSError as error:
            raise ResultsError(f"{self.path} is no readable HDF5 file ({str(error).splitlines()[0]})") from None
        if self._schema() != SCHEMA:
            self._file.close()
            raise ResultsError(f"{self.path} is no results file of snnrun")

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @_readable
    def _schema(self) -> Any:
        return self._file.attrs.get("schema")

    @property
    @_readable
    def complete(self) -> bool:
        return self._file.attrs["status"] == "complete"

    @property
    @_readable
    def name(self) -> str:
        """What the run is called; the file's stem where the file does not say."""
        return str(self._config.get("name") or self.resolved.get("name") or Path(self.path.name.removesuffix(".partial")).stem)

    @property
    @_readable
    def resolved(self) -> dict[str, Any]:
        """The network file as it was run, with overrides."""
        return json.loads(self._config["resolved"])

    @property
    @_readable
    def fingerprint(self) -> str:
        """JSON of all that decides the bits of the run: see checkpoint.py."""
        return str(self._config["fingerprint"])

    @property
    @_readable
    def yaml(self) -> str:
        """The text of the network file."""
        return self._config["yaml"]

    @property
    @_readable
    def dt(self) -> float:
        return float(self._config["dt"])

    @property
    @_readable
    def duration(self) -> float:
        """Planned duration in ms."""
        return int(self._config["steps"]) * self.dt

    @property
    @_readable
    def reached(self) -> float:
        """How much was simulated, in ms: less than the duration where a run goes on or was stopped."""
        return min(float(self._config.get("reached", self.duration)), self.duration)

    @property
    @_readable
    def populations(self) -> dict[str, tuple[int, str]]:
        """Size and model of each population, in the order of the file."""
        group = self._file["snnrun/populations"]
        order = [name for name in self.resolved["populations"] if name in group]
        return {name: (int(group[name].attrs["size"]), group[name].attrs["model"]) for name in order}

    @property
    @_readable
    def monitors(self) -> dict[str, str]:
        """Model of each monitor, in the order of the file."""
        group = self._file["snnrun/monitors"]
        return {name: group[name].attrs["model"] for name in self.resolved.get("monitors") or {} if name in group}

    @property
    @_readable
    def provenance(self) -> dict[str, Any]:
        attributes = self._file["snnrun/provenance"].attrs
        return {key: value.item() if hasattr(value, "item") else value for key, value in attributes.items()}

    @_readable
    def spikes(self, monitor: str) -> dict[str, Train]:
        """Spikes of a spikes monitor by population."""
        return {name: self._train(name, group) for name, group in self._groups(monitor, "spikes")}

    @_readable
    def all_spikes(self) -> dict[str, Train]:
        """Spikes of every recorded population, from the first monitor that recorded it."""
        return {name: self._train(name, group) for name, group in self._first()}

    @_readable
    def spike_counts(self) -> dict[str, Count]:
        """Numbers of spikes of every recorded population, from the first monitor that recorded it; reads no spike."""
        return {name: Count(_length(group), *self._window(name, group)) for name, group in self._first()}

    @_readable
    def series(self, monitor: str) -> dict[tuple[str, str], Series]:
        """Samples of a state or input monitor by (population, variable or receptor)."""
        found = {}
        for key, samples in self.samples(monitor).items():
            every = slice(0, samples.length)
            found[key] = Series(samples.times(every), samples.data[every], samples.neurons, samples.unit)
        return found

    @_readable
    def samples(self, monitor: str) -> dict[tuple[str, str], Samples]:
        """The same, but left in the file: for recordings that are larger than the memory."""
        found = {}
        for population, labels in self._groups(monitor, "state", "input"):
            for label, group in labels.items():
                start, _, step = map(float, group["mapping/time"][()])
                ids = group["mapping/node_ids"][()].astype(np.int64)
                data = group["data"]
                found[population, label] = Samples(start, step, data.shape[0], ids, data.attrs["units"], data)
        return found

    @_readable
    def rates(self, monitor: str) -> dict[str, Rate]:
        """Rates of a rate monitor by population."""
        found = {}
        for population, group in self._groups(monitor, "rate"):
            data = group["rate"]
            width, size = float(data.attrs["bin"]), data.attrs.get("neurons")
            edges = data.attrs["start"] + width * np.arange(data.shape[0] + 1)
            if data.shape[0] and "last_bin" in data.attrs:
                edges[-1] = edges[-2] + data.attrs["last_bin"]
            middles = 0.5 * (edges[:-1] + edges[1:])
            found[population] = Rate(middles, data[()], width, edges, None if size is None else int(size))
        return found

    @_readable
    def digests(self) -> dict[str, str]:
        """SHA-256 of every dataset of the recording (type, shape and values, no attributes): equal bits, equal digests."""
        found: dict[str, str] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                values = np.ascontiguousarray(item[()])
                head = f"{values.dtype.str}{values.shape}".encode()
                found[name] = hashlib.sha256(head + values.tobytes()).hexdigest()

        self._file["snnrun/monitors"].visititems(visit)
        return found

    @property
    def _config(self) -> Any:
        return self._file["snnrun/config"].attrs

    def _groups(self, monitor: str, *models: str) -> list[tuple[str, Any]]:
        """What lies below a monitor of one of some models, by population."""
        group = self._file["snnrun/monitors"]
        known = [name for name in group if group[name].attrs["model"] in models]
        if monitor not in known:
            there = f"there are: {', '.join(known)}" if known else "the file has none"
            raise ResultsError(f"there is no {' or '.join(models)} monitor {monitor!r}; {there}")
        return list(group[monitor].items())

    def _first(self) -> list[tuple[str, Any]]:
        spikes = self._file["spikes"]
        return [(name, spikes[name]) for name in self.populations if name in spikes]

    def _train(self, population: str, group: Any) -> Train:
        length = _length(group)
        neurons = group["node_ids"][:length].astype(np.int64)
        return Train(group["timestamps"][:length], neurons, *self._window(population, group))

    def _window(self, population: str, group: Any) -> tuple[int, float, float]:
        """How many neurons were recorded, and from when to when: no further than what was simulated."""
        size = group.attrs.get("neurons")
        if size is None:
            size = self._file[f"snnrun/populations/{population}"].attrs["size"]
        start, stop = float(group.attrs.get("start", 0.0)), float(group.attrs.get("stop", self.duration))
        return int(size), start, max(start, min(stop, self.reached))


def _length(group: Any) -> int:
    return min(len(group["timestamps"]), len(group["node_ids"]))  # a killed run may have flushed one of them only
