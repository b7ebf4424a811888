"""Writing a results file while the run goes on."""

import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun.results.layout import SCHEMA, partial_path, read_through
from snnrun.results.store import Busy, Store, remove
from snnrun.rows import by_population, fired

_MAGIC, _VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
_SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
COMMIT_SECONDS, COMMIT_BYTES = 1.0, 4 * 2**20  # there is a commit when one of them has passed since the last
_SPIKES_PER_CHUNK, _CHUNK_BYTES = 16_384, 2**20
# object headers with checksums; newer forms mark a file that is being written, and other programs then refuse it
_VERSION_OF_HDF5 = "v108", "v108"


class FrameLike(Protocol):
    """What the engine hands over: see engine.Frame."""

    first_step: int
    steps: int
    rows: NDArray[np.uint32]
    samples: tuple[NDArray[Any], ...]
    weights: tuple[tuple[int, Any], ...]


class Meta(NamedTuple):
    """What a results file says of its run beside the recording."""

    name: str
    yaml: str
    resolved: dict[str, Any]
    overrides: list[str]
    monitors: dict[str, str]  # name -> model
    provenance: dict[str, Any]
    fingerprint: str = ""  # JSON: what a run that goes on must have in common with this one
    positions: Mapping[str, NDArray[np.float64]] = MappingProxyType({})  # um, [neurons, dimensions] of populations with a layout


class Exists(FileExistsError):
    """A file that would be overwritten."""


class WriteError(OSError):
    """A results file that cannot be written any further (a full disk, a quota, a lost file system), and what was kept."""

    def __init__(self, message: str, kept: str = "") -> None:
        super().__init__(message)
        self.kept = kept


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raises Exists for the first path that is there already, unless `overwrite`."""
    for path in paths:
        if path.exists() and not overwrite:
            raise Exists(f"{path} exists already")


class _Spikes(NamedTuple):
    """Spikes of one population for one monitor."""

    population: str
    wanted: NDArray[np.bool_]
    window: tuple[int, int]
    timestamps: Any
    node_ids: Any


class _Rate:
    """Rate of some neurons of one population; an open bin is kept until it is full or the run ends."""

    def __init__(self, population: str, wanted: NDArray[np.bool_], window: tuple[int, int], bin_steps: int, data: Any):
        self.population, self.wanted, self.window, self.bin_steps, self.data = population, wanted, window, bin_steps, data
        self.count, self.steps = 0, 0  # of the open bin


class _Samples(NamedTuple):
    """Sampled values of one population: what of a frame lies side by side."""

    columns: list[tuple[int, int, int]]  # take, and the first and the last column of it and one more
    data: Any
    report: Any  # the float32 copy of a float64 V, or None
    time: Any
    start: float
    step: float


class _Weights(NamedTuple):
    """Weights of a projection for one monitor."""

    tap: Any  # plan.WeightTap
    group: Any
    data: Any  # None where only those at the end are recorded


class Position(NamedTuple):
    """How far a recording is: what must be known to go on after a stop."""

    reached: float  # ms
    lengths: dict[str, int]  # of each dataset that grows
    bins: dict[str, tuple[int, int]]  # of each rate: spikes and steps of the bin that is open


class Writer:
    """Streams frames to `<path>.partial`; `complete` renames it. A run that fails leaves a readable partial file.

    With a `position` the recording in the partial file goes on from there; what lies beyond is cut off. Raises Exists where
    another run writes the file, and WriteError.
    """

    def __init__(self, path: Path, structure: Any, meta: Meta, compress: bool = False, position: Position | None = None,
                 durable: bool = False) -> None:  # fmt: skip
        self.path, self.dt, self._steps = path, structure.dt, structure.steps
        self._durable = durable
        self._filters = {"fletcher32": True} | ({"compression": "gzip", "shuffle": True} if compress else {})
        self._kept: float | None = None  # ms that the last commit has; None before the first
        self._now = 0.0
        self._whole = False  # whether what has been written is as it should be
        self._growing: dict[str, Any] = {}
        self._waiting: dict[str, list[NDArray[Any]]] = {}  # what the next commit appends to each of these
        self._waiting_bytes = 0
        self._lost: BaseException | None = None  # what kept rows from their dataset: nothing is appended after that
        self._reported: set[str] = set()  # populations with a report
        with self._telling():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store = _opened(partial_path(path), position is None, durable)
        try:
            with self._telling():
                self._file: Any = h5py.File(self._store, "w" if position is None else "r+", libver=_VERSION_OF_HDF5)
                self._describe(structure, meta)
                self._first = {tap.population: tap.bit for tap in structure.taps}
                self._sizes = {population.name: population.size for population in structure.populations}
                self._spikes = [self._open_spikes(*group) for group in _grouped(structure, "spikes")]
                self._rates = [self._open_rate(*group) for group in _grouped(structure, "rate")]
                self._samples = [self._open_samples(*group) for group in _grouped_samples(structure)]
                self._weights = [self._open_weights(tap) for tap in structure.weights]
                if position is not None:
                    self._return_to(position)
                self._commit()
                self._whole = True
        except BaseException:
            self._close()
            if position is None:
                remove(partial_path(path))
            raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        """Leave the partial file with all frames that are in it as a whole, or as it was at the last commit."""
        if self._whole:
            with suppress(WriteError), self._telling():
                self._commit()
        self._store.drop()
        try:
            if (file := getattr(self, "_file", None)) is not None:
                file.close()
        except (OSError, RuntimeError):
            pass  # HDF5 has stumbled over what is dropped
        finally:
            self._store.close()

    def _commit(self) -> None:
        self._hand_over()
        self._file.flush()
        self._store.commit()
        self._committed, self._kept = time.monotonic(), self._now

    def _append(self, dataset: Any, values: NDArray[Any]) -> None:
        """Have rows at the end of a dataset by the next commit: HDF5 takes as long for a few as for many."""
        if len(values):
            self._waiting.setdefault(dataset.name, []).append(values)
            self._waiting_bytes += values.nbytes

    def hand_over(self) -> None:
        """Have everything that was recorded in the datasets. Raises WriteError."""
        with self._telling():
            self._hand_over()

    def _hand_over(self) -> None:
        if self._lost is not None:
            raise self._lost
        try:
            for name, rows in self._waiting.items():
                values, self._waiting[name] = rows[0] if len(rows) == 1 else np.concatenate(rows) if rows else None, []
                if values is not None:
                    _extend(self._growing[name], values)
        except BaseException as error:
            self._lost = error
            raise
        self._waiting_bytes = 0
        for samples in self._samples:
            _set_end(samples)
        config = self._file["snnrun/config"]
        if config.attrs["reached"] != self._now:
            config.attrs["reached"] = self._now

    def _length(self, dataset: Any) -> int:
        return dataset.shape[0] + sum(map(len, self._waiting.get(dataset.name, ())))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Let what the system or HDF5 says become a WriteError in words."""
        partial = partial_path(self.path)
        try:
            yield
        except (Exists, WriteError):
            raise
        except (OSError, RuntimeError) as error:
            reason = os.strerror(errno) if (errno := _errno(error)) else _words(error)
            kept = "nothing was recorded"
            if self._kept is not None:
                there = partial.exists()
                kept = f"{partial.name} has the first {self._kept:.12g} ms" if there else "what was recorded is lost"
            raise WriteError(f"{partial} cannot be written: {reason}", kept) from None

    def position(self) -> Position:
        """Where the recording stands after the last frame."""
        bins = {rate.data.name: (rate.count, rate.steps) for rate in self._rates}
        return Position(self._now, {name: self._length(data) for name, data in self._growing.items()}, bins)

    def sync(self) -> None:
        """Have everything that was recorded on the disk. Raises WriteError."""
        with self._telling():
            self._commit()
            self._store.sync()

    def _return_to(self, position: Position) -> None:
        self._now = self._file["snnrun/config"].attrs["reached"] = position.reached
        self._file.attrs["status"] = "partial"
        for name, data in self._growing.items():
            if data.shape[0] < position.lengths.get(name, 0):
                raise WriteError(f"{partial_path(self.path)} has lost a part of {name}, and the run cannot go on from there")
            data.resize(position.lengths.get(name, 0), axis=0)
        read_through(self._file)  # checksums tell what others have done to the file meanwhile
        for rate in self._rates:
            rate.count, rate.steps = position.bins[rate.data.name]
            rate.data.attrs.pop("last_bin", None)
        for samples in self._samples:
            _set_end(samples)

    def _describe(self, structure: Any, meta: Meta) -> None:
        self._file.attrs.update({"magic": _MAGIC, "version": _VERSION, "schema": SCHEMA, "status": "partial"})
        for group in ("spikes", "report", "snnrun/populations", "snnrun/monitors"):
            self._file.require_group(group)
        config = self._file.require_group("snnrun/config")
        config.attrs["name"] = meta.name
        config.attrs["yaml"], config.attrs["resolved"] = meta.yaml, json.dumps(meta.resolved)
        config.attrs["overrides"] = json.dumps(meta.overrides)
        config.attrs["fingerprint"] = meta.fingerprint
        config.attrs["dt"], config.attrs["steps"] = structure.dt, structure.steps
        self._now = float(config.attrs.get("reached", 0.0))
        config.attrs["reached"] = self._now
        for population in structure.populations:
            group = self._file.require_group(f"snnrun/populations/{population.name}")
            group.attrs["size"], group.attrs["model"] = population.size, population.model
        for name, points in meta.positions.items():
            self._place(name, points)
        for name, model in meta.monitors.items():
            self._file.require_group(f"snnrun/monitors/{name}").attrs["model"] = model
        self._file.require_group("snnrun/provenance").attrs.update(meta.provenance)

    def _place(self, population: str, points: NDArray[np.float64]) -> None:
        """Where the neurons of a population are, as SONATA has it of nodes: coordinates are attributes of a group of them."""
        nodes, every = self._file.require_group(f"nodes/{population}"), np.arange(len(points), dtype=np.uint64)
        self._fixed(nodes, "node_id", every)
        self._fixed(nodes, "node_type_id", np.zeros(len(points), np.int64))
        self._fixed(nodes, "node_group_id", np.zeros(len(points), np.uint32))
        self._fixed(nodes, "node_group_index", every)
        for axis, values in zip("xyz", points.T, strict=False):
            self._fixed(nodes.require_group("0"), axis, values).attrs["units"] = "um"

    def _series(self, group: Any, name: str, dtype: Any, width: int | None = None, rows: int = _SPIKES_PER_CHUNK) -> Any:
        """A dataset that grows along time, made where it is not there yet."""
        if name not in group:
            shape: tuple[int, ...] = ()
            if width is not None:
                shape = (max(width, 1),)
                rows = int(np.clip(_CHUNK_BYTES // max(width * np.dtype(dtype).itemsize, 1), 1, 65_536))
            beyond = () if width is None else (width,)
            group.create_dataset(name, (0, *beyond), dtype, maxshape=(None, *beyond), chunks=(rows, *shape), **self._filters)
        data = group[name]
        self._growing[data.name] = data
        return data

    def _fixed(self, group: Any, name: str, values: Any) -> Any:
        """A dataset that stays as long as it is."""
        values = np.asarray(values)
        if name not in group:
            filters = {"fletcher32": True, "chunks": values.shape} if values.size else {}
            group.create_dataset(name, data=values, **filters)
        return group[name]

    def _open_spikes(self, monitor: str, population: str, taps: list[Any], wanted: NDArray[np.bool_]) -> _Spikes:
        group = self._file.require_group(f"snnrun/monitors/{monitor}/{population}")
        group.attrs.create("sorting", 2, dtype=_SORTING)
        start, stop = taps[0].first_step, min(taps[0].last_step, self._steps)
        group.attrs.update({"neurons": int(wanted.sum()), "start": start * self.dt, "stop": stop * self.dt})
        timestamps = self._series(group, "timestamps", np.float64)
        timestamps.attrs["units"] = "ms"
        node_ids = self._series(group, "node_ids", np.uint64)
        if population not in self._file["spikes"]:
            self._file["spikes"][population] = group
        return _Spikes(population, wanted, (taps[0].first_step, taps[0].last_step), timestamps, node_ids)

    def _open_rate(self, monitor: str, population: str, taps: list[Any], wanted: NDArray[np.bool_]) -> _Rate:
        group = self._file.require_group(f"snnrun/monitors/{monitor}/{population}")
        tap = taps[0]
        data = self._series(group, "rate", np.float64, rows=4096)
        start, width = tap.first_step * self.dt, tap.bin * self.dt
        data.attrs.update({"units": "Hz", "start": start, "bin": width, "neurons": int(wanted.sum())})
        return _Rate(population, wanted, (tap.first_step, tap.last_step), tap.bin, data)

    def _open_samples(self, monitor: str, population: str, label: str, items: list[Any], precision: str) -> _Samples:
        first = items[0]
        node_ids = np.concatenate([np.array(sample.neurons, np.uint64) for sample in items])
        group = self._file.require_group(f"snnrun/monitors/{monitor}/{population}/{label}")
        dtype = np.float64 if precision == "float64" and first.unit != "steps" else np.float32
        data = self._series(group, "data", dtype, len(node_ids))
        data.attrs["units"], data.attrs["variable"] = first.unit, label
        mapping = group.require_group("mapping")
        self._fixed(mapping, "node_ids", node_ids).attrs["sorted"] = np.uint8(bool(np.all(np.diff(node_ids) > 0)))
        pointers = self._fixed(mapping, "index_pointers", np.arange(len(node_ids) + 1, dtype=np.uint64))
        if "index_pointer" not in mapping:  # another reader's name for it
            mapping["index_pointer"] = pointers
        self._fixed(mapping, "element_ids", np.zeros(len(node_ids), np.uint32))
        self._fixed(mapping, "element_pos", np.full(len(node_ids), 0.5, np.float32))
        start, step = first.first_step * self.dt, first.every * self.dt
        time = self._fixed(mapping, "time", np.array([start, start, step]))
        time.attrs["units"] = "ms"
        report = None
        if label == "V" and first.own and population not in self._reported:
            self._reported.add(population)
            if dtype == np.float64:
                sonata = self._file["report"].require_group(population)
                report = self._series(sonata, "data", np.float32, len(node_ids))
                report.attrs["units"], report.attrs["variable"] = first.unit, label
                if "mapping" not in sonata:
                    sonata["mapping"] = mapping
            elif population not in self._file["report"]:
                self._file["report"][population] = group
        columns = [(sample.take, sample.column, sample.column + len(sample.neurons)) for sample in items]
        return _Samples(columns, data, report, time, start, step)

    def _open_weights(self, tap: Any) -> _Weights:
        group = self._file.require_group(f"snnrun/monitors/{tap.monitor}/{tap.projection}")
        group.attrs["units"], group.attrs["synapses"] = tap.unit, tap.total
        data = None
        if tap.every is not None:
            data = self._series(group, "data", np.float64, tap.synapses)
            time = self._fixed(group, "time", np.array([tap.first_step, tap.first_step, tap.every]) * self.dt)
            time.attrs["units"] = "ms"
        return _Weights(tap, group, data)

    def _edges(self, own: _Weights, found: Any) -> NDArray[np.float64]:
        """The weights that are recorded; which synapses they are of is written down with the first of them."""
        chosen = np.asarray(own.tap.chosen, np.int64)
        for name, values in (("pre", found.pre), ("post", found.post)):
            self._fixed(own.group, name, values[chosen].astype(np.int32))
        self._fixed(own.group, "delay", found.delay[chosen] * self.dt).attrs["units"] = "ms"
        return own.tap.least + own.tap.range * found.y[chosen]

    def last_weights(self, found: Mapping[str, Any]) -> None:
        """Weights at the end of the run. Raises WriteError."""
        with self._telling():
            for own in self._weights:
                self._fixed(own.group, "last", self._edges(own, found[own.tap.projection])).attrs["units"] = own.tap.unit

    def write(self, frame: FrameLike) -> None:
        """Append what a chunk of steps recorded; a killed run has all but about the last second. Raises WriteError."""
        with self._telling():
            self._whole = False
            self._append_frame(frame)
            self._whole = True
            if (
                time.monotonic() - self._committed >= COMMIT_SECONDS
                or self._store.uncommitted + self._waiting_bytes > COMMIT_BYTES
            ):
                self._commit()

    def _append_frame(self, frame: FrameLike) -> None:
        own = by_population(*fired(frame.rows), self._first, self._sizes)
        for target in self._spikes:
            self._write_spikes(target, frame, *own[target.population])
        for target in self._rates:
            self._write_rate(target, frame, *own[target.population])
        for target in self._samples:
            blocks = [frame.samples[take][:, first:end] for take, first, end in target.columns]
            values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
            self._append(target.data, values)
            if target.report is not None:
                self._append(target.report, values)
        for number, found in frame.weights:
            own = self._weights[number]
            self._append(own.data, self._edges(own, found)[None])
        self._now = (frame.first_step + frame.steps) * self.dt

    def _write_spikes(self, target: _Spikes, frame: FrameLike, row: NDArray[Any], neuron: NDArray[Any]) -> None:
        stamp = frame.first_step + row + 1
        keep = target.wanted[neuron] & (stamp > target.window[0]) & (stamp <= target.window[1])
        self._append(target.timestamps, stamp[keep] * self.dt)
        self._append(target.node_ids, neuron[keep].astype(np.uint64))

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
        self._append(target.data, full / (target.wanted.sum() * target.bin_steps * self.dt) * 1e3)
        target.count = int(summed[-1] - (summed[edges[-1]] if len(edges) else 0))
        target.steps = int(len(per_step) - edges[-1]) if len(edges) else target.steps + len(per_step)

    def spikes_and_rate(self) -> tuple[int, float]:
        """Spikes, and mean rate in Hz over neurons and windows, counting each population by its first spikes monitor."""
        self.hand_over()
        count, exposure = 0, 0.0
        for group in self._file["spikes"].values():
            count += group["timestamps"].shape[0]
            exposure += group.attrs["neurons"] * max(group.attrs["stop"] - group.attrs["start"], 0.0) * 1e-3
        return count, count / exposure if exposure else math.nan

    def complete(self, provenance: dict[str, Any]) -> None:
        """Write what is still open, and give the file its name. Raises WriteError."""
        with self._telling():
            self._whole = False
            for target in self._rates:
                if target.steps:  # a last bin that the run cut short: the rate over the part that there is
                    self._append(target.data, np.array([target.count / (target.wanted.sum() * target.steps * self.dt) * 1e3]))
                    target.data.attrs["last_bin"] = target.steps * self.dt
            self._hand_over()
            self._file["snnrun/provenance"].attrs.update(provenance)
            self._file.attrs["status"] = "complete"
            self._file.close()
            self._store.commit()
            if self._durable:
                self._store.sync()
            partial_path(self.path).replace(self.path)
            if self._durable:
                sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _words(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return (said.splitlines() or [type(error).__name__])[0]


def _opened(path: Path, new: bool, durable: bool) -> Store:
    try:
        return Store(path, new, durable)
    except Busy:
        raise Exists(f"another run is writing {path}") from None


def _errno(error: BaseException) -> int | None:
    """The system's error number in what HDF5 says."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found.group(1)) if found else getattr(error, "errno", None)


def _grouped(structure: Any, kind: str) -> list[tuple[str, str, list[Any], NDArray[np.bool_]]]:
    """Taps of one monitor and population together, with the neurons that they want."""
    sizes = {population.name: population.size for population in structure.populations}
    found: dict[tuple[str, str], list[Any]] = {}
    for tap in structure.taps:
        if (tap.bin is None) == (kind == "spikes"):
            found.setdefault((tap.monitor, tap.population), []).append(tap)
    groups = []
    for (monitor, population), members in found.items():
        wanted = np.zeros(sizes[population], bool)
        for tap in members:
            wanted[np.asarray(tap.neurons)] = True
        groups.append((monitor, population, members, wanted))
    return groups


def _grouped_samples(structure: Any) -> list[tuple[str, str, str, list[Any], str]]:
    found: dict[tuple[str, str, str], list[Any]] = {}
    for sample in structure.samples:
        found.setdefault((sample.monitor, sample.population, sample.label), []).append(sample)
    return [(*key, items, structure.precision) for key, items in found.items()]


def _extend(dataset: Any, values: NDArray[Any]) -> None:
    length = dataset.shape[0]
    dataset.resize(length + len(values), axis=0)
    space = dataset.id.get_space()  # h5py's own dataset[length:] = values takes twice as long
    space.select_hyperslab((length, *[0] * (values.ndim - 1)), values.shape)
    dataset.id.write(h5py.h5s.create_simple(values.shape), space, np.ascontiguousarray(values))


def _set_end(target: _Samples) -> None:
    """Note the end of the samples, at which the next one would be taken."""
    frames = target.data.shape[0]
    stop = target.start + frames * target.step
    while int((stop - target.start) / target.step) < frames:  # how one reader counts frames; decimal steps come out short
        stop = math.nextafter(stop, math.inf)
    target.time[1] = stop
