"""Reading a results file, finished or not: everything by the name of its monitor."""

import functools
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun import statistics, units
from snnrun.optional import library
from snnrun.results.layout import SCHEMA, partial_path, read_through
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

    def of(self, neuron: int) -> NDArray[np.float64]:
        """Times of the spikes of one neuron in ms."""
        return self.times[self.neurons == neuron]

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each spike."""
        return _pandas().DataFrame({"time_ms": self.times, "neuron": self.neurons})

    def __repr__(self) -> str:
        return (f"<Train: times, neurons of {len(self.times):,} spikes, {self.start:g} to {self.stop:g} ms, "
                f"{self.size:,} neurons, {self.rate:.4g} Hz>")  # fmt: skip


class StoredTrain(NamedTuple):
    """The same, but left in the file: `times` and `neurons` may be longer than `length`, the number of spikes."""

    times: "Stored"
    neurons: "Stored"
    length: int
    population: int  # neurons that there are
    size: int
    start: float  # ms
    stop: float

    def after(self, time: float) -> int:
        """How many of the spikes are not later than a time in ms."""
        low, high = 0, self.length
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.times[middle] <= time else (low, middle)
        return low

    def pieces(self, start: float = -math.inf, stop: float = math.inf, most: int = 2**20) -> Iterator[Train]:
        """Spikes with start < t <= stop, at most so many at a time."""
        first, end = self.after(start), self.after(stop)
        for low in range(first, end, most):
            part = slice(low, min(low + most, end))
            times, neurons = self.times[part].astype(np.float64, copy=False), self.neurons[part]
            if not (np.isfinite(times).all() and (np.diff(times) >= 0).all() and neurons.max() < self.population):
                raise ResultsError(f"{self.times.path} is damaged: it has spikes that cannot be")
            yield Train(times, neurons.astype(np.int64), self.size, self.start, self.stop)


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

    def of(self, neuron: int) -> NDArray[Any]:
        """Values of one neuron. Raises ResultsError."""
        (found,) = np.nonzero(self.neurons == neuron)
        if not len(found):
            several = (
                f"{len(self.neurons):,} are, from {self.neurons.min()} to {self.neurons.max()}"
                if len(self.neurons)
                else "none is"
            )
            raise ResultsError(f"neuron {neuron} is not recorded; {several}")
        return self.values[:, found[0]]

    def to_pandas(self) -> Any:
        """A DataFrame: a row for each time, a column for each neuron."""
        pandas = _pandas()
        frame = pandas.DataFrame(self.values, pandas.Index(self.times, name="time_ms"), pandas.Index(self.neurons, name="neuron"))
        frame.attrs["unit"] = self.unit
        return frame

    def __repr__(self) -> str:
        shape = " x ".join(f"{n:,}" for n in self.values.shape)
        return f"<Series: times [{len(self.times):,}], values [{shape}] in {self.unit or 'no unit'}>"


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _readable(method: _Method) -> _Method:
    """Let whatever a damaged file raises become a ResultsError that names the file."""

    @functools.wraps(method)
    def read(self: Any, *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except ResultsError:
            raise
        except MemoryError:
            raise ResultsError(f"{self.path} holds more than fits into memory") from None
        except Exception as error:  # HDF5 and what interprets its values raise all kinds over a damaged file
            if not self._file:
                raise ResultsError(f"{self.path} is closed") from None
            raise ResultsError(f"{self.path} is damaged: {_reason(error)}") from error

    return read  # type: ignore[return-value]


class Stored:
    """An array that still lies in the file: what is asked for, like stored[10:20, 3], is read. Raises ResultsError."""

    def __init__(self, path: Path, dataset: Any) -> None:
        self.path, self._file = path, dataset
        self.shape, self.dtype = dataset.shape, dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @_readable
    def __getitem__(self, index: Any) -> NDArray[Any]:
        return self._file[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[()], dtype)


class Samples(NamedTuple):
    """A sampled variable that still lies in the file: frame i is the state at start + i step."""

    start: float  # ms
    step: float  # ms
    length: int  # frames
    neurons: NDArray[np.int64]
    unit: str
    data: Stored  # [frames, neurons]

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

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each bin."""
        return _pandas().DataFrame({"start_ms": self.edges[:-1], "stop_ms": self.edges[1:], "rate_Hz": self.values})

    def __repr__(self) -> str:
        return f"<Rate: times, values (Hz) of {len(self.values):,} bins of {self.bin:g} ms>"


def _pandas() -> Any:
    return library("pandas", "pandas")


def mean_rate(spikes: int, size: int, span: float) -> float:
    """Hz per neuron, of the spikes of `size` neurons in a time of `span` ms."""
    return spikes / (size * span) * 1e3 if size > 0 and span > 0 else float("nan")


def measured(train: Train, recorded: NDArray[np.int64], start: float = 0.0, stop: float = math.inf) -> statistics.Trains:
    """Spikes of the `recorded` neurons with start < t <= stop, in ms; neurons count among them."""
    start, stop = max(start, train.start), min(stop, train.stop)
    inside = (train.times > start) & (train.times <= stop)
    neurons = train.neurons[inside]
    place = np.minimum(np.searchsorted(recorded, neurons), max(len(recorded) - 1, 0))
    kept = recorded[place] == neurons if len(recorded) else np.zeros(len(neurons), bool)
    return statistics.trains(train.times[inside][kept] - start, place[kept], len(recorded), max(stop - start, 0.0))


def _reason(error: BaseException) -> str:
    """What is wrong, without the words that HDF5 and the system put around it."""
    text = (str(error.args[-1] if isinstance(error, OSError) else error.args[0] if error.args else error).splitlines() or [""])[0]
    found = re.fullmatch(r"(?:\[Errno \d+\] )?(?:Unable to|Can't) [a-z ]*\((.*)\)\.?", text)
    text = found[1] if found else text
    if "filter returned failure" in text or "Fletcher32" in text:
        return "stored values fail their checksum, or cannot be unpacked"
    if cut := re.match(r"truncated file: eof = (\d+), sblock->base_addr = (\d+), stored_eof = (\d+)", text):
        return f"it is cut short, after {int(cut[1]):,} of {int(cut[2]) + int(cut[3]):,} bytes"
    return text or type(error).__name__


class Weights(NamedTuple):
    """Weights of a plastic projection, of all or some of its synapses; `values` may be left in the file."""

    projection: str
    pre: NDArray[np.int64]  # [synapses] number of the source within the projection's pre
    post: NDArray[np.int64]
    delay: NDArray[np.float64]  # ms
    last: NDArray[np.float64] | None  # at the end of the run; None where it has not come to that
    times: NDArray[np.float64]  # ms, [frames]
    values: NDArray[np.float64] | Stored  # [frames, synapses]
    unit: str
    total: int  # synapses of the projection

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each synapse: the weights at the end, where the run has come to that."""
        columns = {"pre": self.pre, "post": self.post, "delay_ms": self.delay}
        return _pandas().DataFrame(columns if self.last is None else columns | {f"weight_{self.unit}": self.last})

    def __repr__(self) -> str:
        frames = f", {len(self.times):,} times" if len(self.times) else ""
        return f"<Weights: {len(self.pre):,} of {self.total:,} synapses of {self.projection} in {self.unit}{frames}>"


class Results:
    """A results file, opened for reading: everything by the name of its monitor."""

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self.path = path
        self._file: Any = None
        self.path = _regular(path)
        if self.path.suffix == partial_path(path).suffix:
            recover(self.path)
        self._file = _opened(self.path)
        try:
            if self._schema() != SCHEMA:
                raise ResultsError(f"{self.path} is no results file of snnrun")
        except ResultsError:
            self._file.close()
            raise

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @_readable
    def _schema(self) -> Any:
        return _text(self._file.attrs, "schema", "")

    @property
    @_readable
    def complete(self) -> bool:
        return _text(self._file.attrs, "status") == "complete"

    @property
    @_readable
    def name(self) -> str:
        """What the run is called; the file's stem where the file does not say."""
        name = _text(self._config, "name", "") or self.resolved.get("name")
        return str(name or Path(self.path.name.removesuffix(".partial")).stem)

    @property
    @_readable
    def resolved(self) -> dict[str, Any]:
        """The network file as it was run, with overrides."""
        text = _text(self._config, "resolved")
        try:
            found = json.loads(text)
            entries = [*found["populations"].values(), *(found.get("monitors") or {}).values()]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            found, entries = {}, [None]
        if not all(isinstance(entry, dict) for entry in entries):
            raise ValueError("its attribute resolved is no network")
        return found

    @property
    @_readable
    def fingerprint(self) -> str:
        """JSON of all that decides the bits of the run: see checkpoint.py."""
        return _text(self._config, "fingerprint")

    @property
    @_readable
    def yaml(self) -> str:
        """The text of the network file."""
        return _text(self._config, "yaml")

    @property
    @_readable
    def overrides(self) -> list[str]:
        """What was replaced on the command line, like `populations.N.size=100`."""
        found = json.loads(_text(self._config, "overrides", "[]"))
        if not isinstance(found, list):
            raise ValueError("its attribute overrides is no list")
        return [str(item) for item in found]

    @property
    @_readable
    def dt(self) -> float:
        dt = _number(self._config, "dt")
        if not dt > 0:
            raise ValueError(f"its attribute dt is {dt:g}")
        return dt

    @property
    @_readable
    def duration(self) -> float:
        """Planned duration in ms."""
        return _finite(_count(self._config, "steps") * self.dt)

    @property
    @_readable
    def reached(self) -> float:
        """How much was simulated, in ms: less than the duration where a run goes on or was stopped."""
        duration = self.duration
        return min(_number(self._config, "reached", duration, 0), duration)

    @property
    @_readable
    def populations(self) -> dict[str, tuple[int, str]]:
        """Size and model of each population, in the order of the file."""
        group = _group(self._file, "snnrun", "populations")
        there, found = set(group), {}
        for name in self.resolved["populations"]:
            if name in there:
                attributes = _group(group, name).attrs
                found[name] = _count(attributes, "size"), _text(attributes, "model")
        return found

    @property
    @_readable
    def monitors(self) -> dict[str, str]:
        """Model of each monitor, in the order of the file."""
        models = self._models()
        return {name: models[name] for name in self.resolved.get("monitors") or {} if name in models}

    @property
    @_readable
    def provenance(self) -> dict[str, Any]:
        return {key: _plain(value) for key, value in _group(self._file, "snnrun", "provenance").attrs.items()}

    @property
    def warmup(self) -> float:
        """The part of the run in ms, from its beginning, in which monitors that do not say otherwise recorded nothing."""
        try:
            return min(units.read(self.resolved.get("warmup", "0 ms"), "time"), self.duration)
        except units.UnitError:
            return 0.0

    @_readable
    def spikes(self, monitor: str) -> dict[str, Train]:
        """Spikes of a spikes monitor by population."""
        return self._trains(self._groups(monitor, "spikes"))

    @_readable
    def all_spikes(self, since: float = 0.0) -> dict[str, Train]:
        """Spikes of every recorded population after a time in ms, from the first monitor that recorded it; no others are read."""
        return self._trains(self._first(), since)

    @_readable
    def stored_spikes(self, monitor: str | None = None) -> dict[str, StoredTrain]:
        """Spikes of a spikes monitor by population, left in the file; without a name as `all_spikes`."""
        found, span = {}, (self.duration, self.reached)
        for population, group in self._first() if monitor is None else self._groups(monitor, "spikes"):
            length, size = _length(group), self._size(population)
            times, neurons = (Stored(self.path, group[name]) for name in ("timestamps", "node_ids"))
            found[population] = StoredTrain(times, neurons, length, size, *self._window(population, group, *span))
        return found

    @_readable
    def recorded(self, population: str, monitor: str | None = None) -> NDArray[np.int64]:
        """The neurons of a population whose spikes a monitor recorded, ascending; without a name its first spikes monitor."""
        sizes = {name: size for name, (size, _) in self.populations.items()}
        counted = self.spike_counts() if monitor is None else self.stored_spikes(monitor)
        if population not in counted:
            raise ResultsError(f"{self.path}: no spikes were recorded of a population {population!r}")
        if counted[population].size == sizes[population]:
            return np.arange(sizes[population])
        from snnrun.selections import SelectionError, parts

        for name, entry in (self.resolved.get("monitors") or {}).items():
            if entry.get("model") == "spikes" and monitor in (None, name):
                of = entry.get("of")
                try:
                    selected = parts(tuple(map(str, of if isinstance(of, list) else [of])), sizes)
                except SelectionError as error:
                    raise ValueError(error.message) from None
                ranges = [part.numbers for part in selected if part.population == population]
                found = np.unique(np.concatenate(ranges)) if ranges else np.empty(0, np.int64)
                if len(found) == counted[population].size:
                    return found
        return np.arange(sizes[population])

    def measured(self, population: str, start: float = 0.0, stop: float = math.inf) -> statistics.Trains:
        """What was recorded of a population in a window of time, in ms, for `statistics`: neurons count among those recorded."""
        return measured(self.all_spikes()[population], self.recorded(population), start, stop)

    @property
    @_readable
    def placed(self) -> dict[str, int]:
        """Populations whose positions are known, with the number of dimensions, in the order of the file."""
        there = _group(self._file, "nodes") if "nodes" in self._file else {}
        return {name: len(self._axes(name)) for name in self.populations if name in there}

    @_readable
    def positions(self, population: str) -> NDArray[np.float64]:
        """Where the neurons of a population with a layout are, in um: an array [neurons, dimensions]."""
        if population not in self.placed:
            known = f"those with one: {', '.join(self.placed)}" if self.placed else "no population has one"
            raise ResultsError(f"{self.path}: there is no layout of a population {population!r}; {known}")
        found = np.stack([axis[()].astype(np.float64) for axis in self._axes(population)], axis=1)
        if not np.isfinite(found).all():
            raise ValueError(f"population {population} has positions that are not finite")
        return found

    def _axes(self, population: str) -> list[Any]:
        """The coordinates of a population's neurons, in the file."""
        group = _group(self._file, "nodes", population, "0")
        found = [_dataset(group, axis, "f", (self._size(population),)) for axis in "xyz" if axis in group]
        if not found:
            raise ValueError(f"{group.name} has no coordinates")
        return found

    @_readable
    def spike_counts(self) -> dict[str, Count]:
        """Numbers of spikes of every recorded population, from the first monitor that recorded it; reads no spike."""
        span = self.duration, self.reached
        return {name: Count(_length(group), *self._window(name, group, *span)) for name, group in self._first()}

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
            for label in labels:
                group = _group(labels, label)
                start, _, step = map(float, _dataset(group, "mapping/time", "f", (3,))[()])
                data = _dataset(group, "data", "f", (None, None))
                frames, neurons = data.shape
                ids = self._neurons(population, _dataset(group, "mapping/node_ids", "iu", (neurons,))[()])
                if not step > 0 or not math.isfinite(start + step * frames):
                    raise ValueError(f"{data.name} has no times")
                stored = Stored(self.path, data)
                found[population, label] = Samples(start, step, frames, ids, _text(data.attrs, "units"), stored)
        return found

    @_readable
    def rates(self, monitor: str) -> dict[str, Rate]:
        """Rates of a rate monitor by population."""
        found = {}
        for population, group in self._groups(monitor, "rate"):
            data = _dataset(group, "rate", "f", (None,))
            values, width, start = data[()].astype(np.float64), _number(data.attrs, "bin"), _number(data.attrs, "start")
            size = _count(data.attrs, "neurons") if "neurons" in data.attrs else None
            edges = start + width * np.arange(len(values) + 1, dtype=np.float64)
            if len(values) and "last_bin" in data.attrs:
                edges[-1] = edges[-2] + _number(data.attrs, "last_bin")
            if not (width > 0 and np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
                raise ValueError(f"{data.name} has no bins")
            if not ((values >= 0) & np.isfinite(values)).all():
                raise ValueError(f"{data.name} has values that are no rates")
            middles = 0.5 * (edges[:-1] + edges[1:])
            found[population] = Rate(middles, values, width, edges, size)
        return found

    @_readable
    def weights(self, monitor: str) -> Weights:
        """What a weights monitor has recorded."""
        found = self.stored_weights(monitor)
        values = np.asarray(found.values)
        if not np.isfinite(values).all():
            raise ValueError(f"monitor {monitor} has weights that are not finite")
        return found._replace(values=values)

    @_readable
    def stored_weights(self, monitor: str) -> Weights:
        """The same, with the `values` at intervals left in the file."""
        ((projection, group),) = self._groups(monitor, "weights")
        pre, post = (_dataset(group, side, "iu", (None,))[()].astype(np.int64) for side in ("pre", "post"))
        delay = _dataset(group, "delay", "f", pre.shape)[()]
        last = _dataset(group, "last", "f", pre.shape)[()] if "last" in group else None
        times, values = np.empty(0), np.empty((0, len(pre)))
        if "data" in group:
            start, _, step = map(float, _dataset(group, "time", "f", (3,))[()])
            values = Stored(self.path, _dataset(group, "data", "f", (None, len(pre))))
            times = start + step * np.arange(len(values), dtype=np.float64)
        known = [delay, times] if last is None else [delay, times, last]
        if len(post) != len(pre) or not all(np.isfinite(part).all() for part in known):
            raise ValueError(f"{group.name} has no weights")
        total = _count(group.attrs, "synapses")
        return Weights(projection, pre, post, delay, last, times, values, _text(group.attrs, "units"), total)

    @_readable
    def digests(self) -> dict[str, str]:
        """SHA-256 of every dataset of the recording (type, shape and values, no attributes): equal bits, equal digests."""
        found: dict[str, str] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                data = _dataset(item.parent, name.rpartition("/")[2], "biuf", None)
                digest = hashlib.sha256(f"{data.dtype.str}{data.shape}".encode())
                for part in _slabs(data):
                    digest.update(np.ascontiguousarray(part).tobytes())
                found[name] = digest.hexdigest()

        _group(self._file, "snnrun", "monitors").visititems(visit)
        return found

    @_readable
    def verify(self) -> None:
        """Read all of it against its checksums. Raises ResultsError where something is damaged."""
        read_through(self._file)

    @property
    def _config(self) -> Any:
        return _group(self._file, "snnrun", "config").attrs

    def _models(self) -> dict[str, str]:
        group = _group(self._file, "snnrun", "monitors")
        return {name: _text(_group(group, name).attrs, "model") for name in group}

    def _groups(self, monitor: str, *models: str) -> list[tuple[str, Any]]:
        """What lies below a monitor of one of some models, by population."""
        known = [name for name, model in self._models().items() if model in models]
        if monitor not in known:
            there = f"there are: {', '.join(known)}" if known else "the file has none"
            raise ResultsError(f"{self.path}: there is no {' or '.join(models)} monitor {monitor!r}; {there}")
        group = _group(self._file, "snnrun", "monitors", monitor)
        return [(name, _group(group, name)) for name in group]

    def _first(self) -> list[tuple[str, Any]]:
        spikes = _group(self._file, "spikes")
        there = set(spikes)
        return [(name, _group(spikes, name)) for name in self.populations if name in there]

    def _trains(self, groups: list[tuple[str, Any]], since: float = 0.0) -> dict[str, Train]:
        duration, reached, found = self.duration, self.reached, {}
        for population, group in groups:
            length = _length(group)
            first = _later(group["timestamps"], length, since) if since > 0 else 0
            times = group["timestamps"][first:length].astype(np.float64, copy=False)
            neurons = self._neurons(population, group["node_ids"][first:length])
            if not (np.isfinite(times).all() and (np.diff(times) >= 0).all() and (times >= 0).all()):
                raise ValueError(f"{group.name} has times that do not ascend from 0")
            if len(times) and times[-1] > duration * (1 + 1e-9):
                raise ValueError(f"{group.name} has times beyond the duration")
            size, start, stop = self._window(population, group, duration, reached)
            found[population] = Train(times, neurons, size, max(start, min(since, stop)), stop)
        return found

    def _size(self, population: str) -> int:
        return _count(_group(self._file, "snnrun", "populations", population).attrs, "size")

    def _neurons(self, population: str, ids: NDArray[Any]) -> NDArray[np.int64]:
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._size(population)):
            raise ValueError(f"it has neurons that population {population} does not have")
        return ids.astype(np.int64)

    def _window(self, population: str, group: Any, duration: float, reached: float) -> tuple[int, float, float]:
        """How many neurons were recorded, and from when to when: no further than what was simulated."""
        size = self._size(population)
        if "neurons" in group.attrs and (recorded := _count(group.attrs, "neurons")) <= size:
            size = recorded
        start, stop = _number(group.attrs, "start", 0.0), _number(group.attrs, "stop", duration)
        return size, start, max(start, min(stop, reached))


# ---- what may be wrong with a file -----------------------------------------------------------------------------------


def _regular(path: Path) -> Path:
    """The results file of this name, or the partial one where only that is there. Raises ResultsError."""
    for candidate in (path, partial_path(path)) if path.name else (path,):
        try:
            found = candidate.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ResultsError(f"{candidate} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ResultsError(f"{candidate} is {'a folder' if stat.S_ISDIR(found.st_mode) else 'no regular file'}")
        if not found.st_size:
            raise ResultsError(f"{candidate} is empty")
        return candidate
    raise ResultsError(f"there is no file {path}")


def _opened(path: Path) -> Any:
    """The HDF5 file, opened for reading. Raises ResultsError.

    All handles of a file within a process must agree on locking, so it is opened as everybody does; if that fails without locks,
    because it is open without them or another process that writes it holds one; and at last with strict ones.
    """
    first: Exception | None = None
    for locking in (None, False, True):
        try:
            return h5py.File(path, "r", locking=locking)
        except PermissionError:
            raise ResultsError(f"{path} may not be read") from None
        except Exception as error:  # HDF5 raises all kinds over a damaged file
            first = first or error
    reason = _reason(first)  # type: ignore[arg-type]
    if reason.startswith("it is cut short"):
        raise ResultsError(f"{path} is damaged: {reason}") from None
    raise ResultsError(f"{path} is no readable HDF5 file ({reason})") from None


def _item(parent: Any, name: str) -> Any:
    """What is stored under a name; what a link leads to elsewhere is none of this file."""
    link = parent.get(name, getlink=True)
    if link is None:
        raise KeyError(f"{parent.name.rstrip('/')}/{name} is missing")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{parent.name.rstrip('/')}/{name} is a link to another place")
    return parent[name]


def _group(parent: Any, *names: str) -> Any:
    for name in names:
        parent = _item(parent, name)
        if not isinstance(parent, h5py.Group):
            raise ValueError(f"{parent.name} is no group")
    return parent


def _dataset(parent: Any, path: str, kinds: str, shape: tuple[int | None, ...] | None) -> Any:
    """A dataset of numbers of a kind (as NumPy names them) and shape (None is any length, or any shape) that the file holds."""
    *groups, name = path.split("/")
    data = _item(_group(parent, *groups), name)
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in kinds or data.shape is None:
        raise ValueError(f"{data.name} is no dataset of numbers")
    if shape is not None and (
        len(shape) != len(data.shape) or any(n not in (None, m) for n, m in zip(shape, data.shape, strict=True))
    ):
        raise ValueError(f"{data.name} has the shape {data.shape}")
    if data.is_virtual or data.external:
        raise ValueError(f"{data.name} lies in another file")
    claimed, stored = math.prod(data.shape) * data.dtype.itemsize, min(data.id.get_storage_size(), _bytes(data.file))
    if claimed > stored * (_MOST if _is_packed(data) else 1):
        raise ValueError(f"{data.name} is said to have {claimed:,} bytes, of which {stored:,} are there")
    return data


_MOST = 1100  # times that gzip can make data smaller


def _is_packed(data: Any) -> bool:
    """Whether a filter makes it smaller."""
    made = data.id.get_create_plist()
    neither = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
    return any(made.get_filter(i)[0] not in neither for i in range(made.get_nfilters()))


def _bytes(file: Any) -> int:
    return os.fstat(file.id.get_vfd_handle()).st_size


def _length(group: Any) -> int:
    """Number of spikes that have both a time and a neuron; a killed run may have flushed one of the datasets only."""
    return min(len(_dataset(group, "timestamps", "f", (None,))), len(_dataset(group, "node_ids", "iu", (None,))))


def _later(times: Any, length: int, since: float) -> int:
    """The first of some ascending times that is later, found by reading few of them."""
    low, high = 0, length
    while low < high:
        middle = (low + high) // 2
        if float(times[middle]) > since:
            high = middle
        else:
            low = middle + 1
    return low


def _slabs(data: Any) -> Iterator[NDArray[Any]]:
    """All values, in pieces of at most some 64 MB."""
    if not data.shape:
        yield data[()]
        return
    rows = max(2**26 // max(math.prod(data.shape[1:]) * data.dtype.itemsize, 1), 1)
    for first in range(0, data.shape[0], rows):
        yield data[first : first + rows]


def _text(attributes: Any, key: str, otherwise: str | None = None) -> str:
    if otherwise is not None and key not in attributes:
        return otherwise
    value = attributes[key]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise ValueError(f"its attribute {key} is no text")
    return value


def _number(attributes: Any, key: str, otherwise: float | None = None, least: float = -math.inf) -> float:
    """A finite number."""
    if otherwise is not None and key not in attributes:
        return otherwise
    value = np.asarray(attributes[key])
    if value.shape or value.dtype.kind not in "iuf" or not least <= _finite(float(value)):
        raise ValueError(f"its attribute {key} is {value}")
    return float(value)


def _count(attributes: Any, key: str) -> int:
    value = np.asarray(attributes[key])
    if value.shape or value.dtype.kind not in "iu" or not 0 <= value < 2**53:
        raise ValueError(f"its attribute {key} is {value}")
    return int(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("it has a number that is not finite")
    return value


def _plain(value: Any) -> Any:
    """An attribute as plain data."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if value is None or isinstance(value, str | int | float) else str(value)
