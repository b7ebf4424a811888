"""HDF5 layout of a run: the only module that knows paths in a results file.

One run writes one file, which is a SONATA spike file and report file as well (schema "snnrun-results/1"):

    /                                    attrs magic, version (SONATA), schema, status: "partial" or "complete"
    /spikes/<pop>                        timestamps (ms), node_ids: the first spikes monitor of the population
    /report/<pop>                        data, mapping: the first state monitor that records V there
    /snnrun/config                       attrs yaml, resolved (JSON), overrides
    /snnrun/populations/<pop>            attrs size, model
    /snnrun/monitors/<name>              attr model; below it, by population:
        spikes   <pop>/{timestamps, node_ids}
        state    <pop>/<variable>/{data, mapping}
        input    <pop>/<receptor>/{data, mapping}
        rate     <pop>/rate, in Hz per neuron; attrs start, bin (ms)
    /snnrun/provenance                   attrs: versions, device, seed, timings ...

Groups under /spikes and /report are hard links: nothing is stored twice, but a float32 copy of V in runs of float64,
because SONATA's readers refuse float64 there. A run writes `<name>.partial` and renames it when it is complete.
"""

import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

SCHEMA = "snnrun-results/1"
_MAGIC, _VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
_SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
_SPIKES_PER_CHUNK, _CHUNK_BYTES = 65_536, 2**20


class FrameLike(Protocol):
    """What the engine hands over: see engine.Frame."""

    first_step: int
    steps: int
    rows: NDArray[np.uint32]
    samples: tuple[NDArray[Any], ...]


class Meta(NamedTuple):
    """What a results file says of its run beside the recording."""

    name: str
    yaml: str
    resolved: dict[str, Any]
    overrides: list[str]
    monitors: dict[str, str]  # name -> model
    provenance: dict[str, Any]


class Exists(FileExistsError):
    """A file that would be overwritten."""


class WriteError(OSError):
    """A results file that cannot be written any further: a full disk, a quota, a lost file system."""


def partial_path(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raises Exists for the first path that is there already, unless `overwrite`."""
    for path in paths:
        if path.exists() and not overwrite:
            raise Exists(f"{path} exists already")


# ---- writing ---------------------------------------------------------------------------------------------------------


class _Spikes(NamedTuple):
    """Spikes of one population for one monitor."""

    wanted: NDArray[np.bool_]
    words: tuple[int, int]
    window: tuple[int, int]
    timestamps: Any
    node_ids: Any


class _Rate:
    """Rate of some neurons of one population; an open bin is kept until it is full or the run ends."""

    def __init__(self, wanted: NDArray[np.bool_], words: tuple[int, int], window: tuple[int, int], bin_steps: int, data: Any):
        self.wanted, self.words, self.window, self.bin_steps, self.data = wanted, words, window, bin_steps, data
        self.count, self.steps = 0, 0  # of the open bin


class _Samples(NamedTuple):
    """Sampled values of one population: which samples of a frame lie side by side."""

    columns: list[int]
    data: Any
    report: Any  # the float32 copy of a float64 V, or None
    time: Any
    start: float
    step: float


class Writer:
    """Streams frames to `<path>.partial`; `complete` renames it. A run that fails leaves a readable partial file."""

    def __init__(self, path: Path, structure: Any, meta: Meta, compress: bool = False) -> None:
        self.path, self.dt, self._steps = path, structure.dt, structure.steps
        self._compress = {"compression": "gzip", "shuffle": True} if compress else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: Any = _created(partial_path(path))
        self._failed = False
        self._describe(structure, meta)
        self._spikes = [self._open_spikes(*group) for group in _grouped(structure, "spikes", structure.taps)]
        self._rates = [self._open_rate(*group) for group in _grouped(structure, "rate", structure.taps)]
        self._samples = [self._open_samples(*group) for group in _grouped_samples(structure)]
        self._file.flush()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file and not self._failed:
            self._file.close()

    def _describe(self, structure: Any, meta: Meta) -> None:
        self._file.attrs.update({"magic": _MAGIC, "version": _VERSION, "schema": SCHEMA, "status": "partial"})
        for group in ("spikes", "report", "snnrun/populations", "snnrun/monitors"):
            self._file.require_group(group)
        config = self._file.create_group("snnrun/config")
        config.attrs["name"] = meta.name
        config.attrs["yaml"], config.attrs["resolved"] = meta.yaml, json.dumps(meta.resolved)
        config.attrs["overrides"] = json.dumps(meta.overrides)
        config.attrs["dt"], config.attrs["steps"], config.attrs["reached"] = structure.dt, structure.steps, 0.0
        for population in structure.populations:
            group = self._file.create_group(f"snnrun/populations/{population.name}")
            group.attrs["size"], group.attrs["model"] = population.size, population.model
        for name, model in meta.monitors.items():
            self._file.create_group(f"snnrun/monitors/{name}").attrs["model"] = model
        self._file.create_group("snnrun/provenance").attrs.update(meta.provenance)

    def _series(self, group: Any, name: str, dtype: Any, width: int | None = None) -> Any:
        """A dataset that grows along time."""
        if width is None:
            return group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(_SPIKES_PER_CHUNK,), **self._compress)
        itemsize = np.dtype(dtype).itemsize
        rows = int(np.clip(_CHUNK_BYTES // max(width * itemsize, 1), 1, 65_536))
        chunks = (rows, max(width, 1))
        return group.create_dataset(name, (0, width), dtype, maxshape=(None, width), chunks=chunks, **self._compress)

    def _open_spikes(self, monitor: str, population: str, taps: list[Any], wanted: NDArray[np.bool_]) -> _Spikes:
        group = self._file.create_group(f"snnrun/monitors/{monitor}/{population}")
        group.attrs.create("sorting", 2, dtype=_SORTING)
        start, stop = taps[0].first_step, min(taps[0].last_step, self._steps)
        group.attrs.update({"neurons": int(wanted.sum()), "start": start * self.dt, "stop": stop * self.dt})
        timestamps = self._series(group, "timestamps", np.float64)
        timestamps.attrs["units"] = "ms"
        node_ids = self._series(group, "node_ids", np.uint64)
        if population not in self._file["spikes"]:
            self._file["spikes"][population] = group
        return _Spikes(wanted, taps[0].words, (taps[0].first_step, taps[0].last_step), timestamps, node_ids)

    def _open_rate(self, monitor: str, population: str, taps: list[Any], wanted: NDArray[np.bool_]) -> _Rate:
        group = self._file.create_group(f"snnrun/monitors/{monitor}/{population}")
        tap = taps[0]
        data = group.create_dataset("rate", (0,), np.float64, maxshape=(None,), chunks=(4096,))
        start, width = tap.first_step * self.dt, tap.bin * self.dt
        data.attrs.update({"units": "Hz", "start": start, "bin": width, "neurons": int(wanted.sum())})
        return _Rate(wanted, tap.words, (tap.first_step, tap.last_step), tap.bin, data)

    def _open_samples(self, monitor: str, population: str, label: str, items: list[tuple[int, Any]], precision: str) -> _Samples:
        first = items[0][1]
        node_ids = np.concatenate([np.arange(sample.start, sample.stop, dtype=np.uint64) for _, sample in items])
        group = self._file.create_group(f"snnrun/monitors/{monitor}/{population}/{label}")
        dtype = np.float64 if precision == "float64" and first.unit != "steps" else np.float32
        data = self._series(group, "data", dtype, len(node_ids))
        data.attrs["units"], data.attrs["variable"] = first.unit, label
        mapping = group.create_group("mapping")
        mapping.create_dataset("node_ids", data=node_ids).attrs["sorted"] = np.uint8(bool(np.all(np.diff(node_ids) > 0)))
        mapping["index_pointers"] = np.arange(len(node_ids) + 1, dtype=np.uint64)
        mapping["index_pointer"] = mapping["index_pointers"]  # another reader's name for it
        mapping["element_ids"] = np.zeros(len(node_ids), np.uint32)
        mapping["element_pos"] = np.full(len(node_ids), 0.5, np.float32)
        start, step = first.first_step * self.dt, first.every * self.dt
        mapping["time"] = np.array([start, start, step])
        mapping["time"].attrs["units"] = "ms"
        report = None
        if label == "V" and first.kind == "neuron" and population not in self._file["report"]:
            if dtype == np.float32:
                self._file["report"][population] = group
            else:
                sonata = self._file["report"].create_group(population)
                report = self._series(sonata, "data", np.float32, len(node_ids))
                report.attrs["units"], report.attrs["variable"] = first.unit, label
                sonata["mapping"] = mapping
        return _Samples([i for i, _ in items], data, report, mapping["time"], start, step)

    def write(self, frame: FrameLike) -> None:
        """Append what a chunk of steps recorded, and flush: a killed run is complete up to its last chunk.

        Raises WriteError. The file must then be left alone: HDF5 crashes when it closes a file that it could not flush.
        """
        try:
            self._append_frame(frame)
        except (OSError, RuntimeError) as error:
            self._failed = True
            reason = os.strerror(errno) if (errno := _errno(error)) else str(error).splitlines()[0]
            raise WriteError(f"{partial_path(self.path)} cannot be written: {reason}") from None

    def _append_frame(self, frame: FrameLike) -> None:
        fired: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for target in (*self._spikes, *self._rates):
            if target.words not in fired:
                fired[target.words] = _fired(frame.rows[:, slice(*target.words)])
        for target in self._spikes:
            self._write_spikes(target, frame, *fired[target.words])
        for target in self._rates:
            self._write_rate(target, frame, *fired[target.words])
        for target in self._samples:
            _write_samples(target, [frame.samples[i] for i in target.columns])
        self._file["snnrun/config"].attrs["reached"] = (frame.first_step + frame.steps) * self.dt
        self._file.flush()

    def _write_spikes(self, target: _Spikes, frame: FrameLike, row: NDArray[Any], neuron: NDArray[Any]) -> None:
        stamp = frame.first_step + row + 1
        keep = target.wanted[neuron] & (stamp > target.window[0]) & (stamp <= target.window[1])
        _append(target.timestamps, stamp[keep] * self.dt)
        _append(target.node_ids, neuron[keep].astype(np.uint64))

    def _write_rate(self, target: _Rate, frame: FrameLike, row: NDArray[Any], neuron: NDArray[Any]) -> None:
        begin = max(target.window[0], frame.first_step)
        end = min(target.window[1], frame.first_step + frame.steps)
        if end <= begin:
            return
        per_step = np.bincount(row[target.wanted[neuron]], minlength=frame.steps)
        per_step = per_step[begin - frame.first_step : end - frame.first_step]
        padded = np.concatenate([[target.count], per_step])  # the open bin first
        edges = np.arange(target.bin_steps - target.steps, len(per_step) + 1, target.bin_steps)  # where bins end
        summed = np.cumsum(padded)
        full = np.diff(np.concatenate([[0], summed[edges]]))
        _append(target.data, full / (target.wanted.sum() * target.bin_steps * self.dt) * 1e3)
        target.count = int(summed[-1] - (summed[edges[-1]] if len(edges) else 0))
        target.steps = int(len(per_step) - edges[-1]) if len(edges) else target.steps + len(per_step)

    def spikes_and_rate(self) -> tuple[int, float]:
        """Spikes, and mean rate in Hz over neurons and windows, counting each population by its first spikes monitor."""
        count, exposure = 0, 0.0
        for group in self._file["spikes"].values():
            count += group["timestamps"].shape[0]
            exposure += group.attrs["neurons"] * max(group.attrs["stop"] - group.attrs["start"], 0.0) * 1e-3
        return count, count / exposure if exposure else math.nan

    def complete(self, provenance: dict[str, Any]) -> None:
        """Write what is still open, and give the file its name."""
        for target in self._rates:
            if target.steps:  # a last bin that the run cut short: the rate over the part that there is
                _append(target.data, np.array([target.count / (target.wanted.sum() * target.steps * self.dt) * 1e3]))
                target.data.attrs["last_bin"] = target.steps * self.dt
        self._file["snnrun/provenance"].attrs.update(provenance)
        self._file.attrs["status"] = "complete"
        self._file.close()
        partial_path(self.path).replace(self.path)


def _created(path: Path) -> Any:
    """A new file. Raises Exists where another run is writing it; what a dead run left has been given up by --overwrite."""
    if path.exists():
        try:
            h5py.File(path, "r+", locking=True).close()
        except BlockingIOError:
            raise Exists(f"another run is writing {path}") from None
        except OSError:
            pass  # no HDF5 file, or a broken one
        path.unlink()
    try:
        return h5py.File(path, "x", locking="best-effort")
    except FileExistsError:
        raise Exists(f"another run is writing {path}") from None


def _errno(error: BaseException) -> int | None:
    """The system's error number in what HDF5 says."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found.group(1)) if found else getattr(error, "errno", None)


def _grouped(structure: Any, kind: str, taps: Iterable[Any]) -> list[tuple[str, str, list[Any], NDArray[np.bool_]]]:
    """Taps of one monitor and population together, with the neurons that they want."""
    sizes = {population.name: population.size for population in structure.populations}
    found: dict[tuple[str, str], list[Any]] = {}
    for tap in taps:
        if (tap.bin is None) == (kind == "spikes"):
            found.setdefault((tap.monitor, tap.population), []).append(tap)
    groups = []
    for (monitor, population), members in found.items():
        wanted = np.zeros(sizes[population], bool)
        for tap in members:
            wanted[tap.start : tap.stop] = True
        groups.append((monitor, population, members, wanted))
    return groups


def _grouped_samples(structure: Any) -> list[tuple[str, str, str, list[tuple[int, Any]], str]]:
    found: dict[tuple[str, str, str], list[tuple[int, Any]]] = {}
    for i, sample in enumerate(structure.samples):
        found.setdefault((sample.monitor, sample.population, sample.label), []).append((i, sample))
    return [(*key, items, structure.precision) for key, items in found.items()]


def _fired(words: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and neuron of every set bit, in order of row and neuron; most words are zero."""
    row, word = np.nonzero(words)
    octets = words[row, word].astype("<u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    which, bit = np.nonzero(bits)
    return row[which], word[which] * 32 + bit


def _append(dataset: Any, values: NDArray[Any]) -> None:
    if len(values):
        length = dataset.shape[0]
        dataset.resize(length + len(values), axis=0)
        dataset[length:] = values


def _write_samples(target: _Samples, blocks: list[NDArray[Any]]) -> None:
    values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
    _append(target.data, values)
    if target.report is not None:
        _append(target.report, values)
    frames = target.data.shape[0]
    stop = target.start + frames * target.step
    while int((stop - target.start) / target.step) < frames:  # how one reader counts frames; decimal steps come out short
        stop = math.nextafter(stop, math.inf)
    target.time[1] = stop


# ---- reading ---------------------------------------------------------------------------------------------------------


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
