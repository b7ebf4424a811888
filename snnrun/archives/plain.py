"""Results as tables and arrays: a folder of CSV or Parquet files, or one NPZ file.

A folder has a tidy table for each monitor and population, `MONITOR.POPULATION.csv`: a row for each spike, each bin, or each time
and neuron, with the unit in the name of a column. `contents.json` says what each file is, `network.yaml` is the network file.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.archives.taken import Facts, Learnt, Rates, Spikes, Taken, Traces
from snnrun.optional import library

CONTENTS, NETWORK = "contents.json", "network.yaml"
_SCHEMA = "snnrun-tables/1"


class Table(NamedTuple):
    """A table whose rows come piece by piece."""

    name: str  # of its file
    facts: dict[str, Any]
    columns: dict[str, tuple[np.dtype[Any], str]]  # type and unit
    pieces: Callable[[], Iterator[list[NDArray[Any]]]]


def tables(taken: Taken) -> list[Table]:
    """One of each monitor and population, and of the positions of each population that has some."""
    found = [*map(_of_spikes, taken.spikes), *map(_of_traces, taken.traces), *map(_of_rates, taken.rates)]
    for learnt in taken.weights:
        found += _of_weights(learnt)
    return found + [_of_positions(name, points) for name, points in taken.positions.items()]


_FLOAT, _INT = np.dtype(np.float64), np.dtype(np.int64)
_TIME, _NEURON = {"time_ms": (_FLOAT, "ms")}, {"neuron": (_INT, "")}


def _of_spikes(spikes: Spikes) -> Table:
    facts = {"monitor": spikes.monitor, "population": spikes.population, "kind": "spikes", "start_ms": spikes.start,
             "stop_ms": spikes.stop, "neurons": len(spikes.recorded)}  # fmt: skip
    return Table(f"{spikes.monitor}.{spikes.population}", facts, _TIME | _NEURON,
                 lambda: ([piece.times, piece.neurons] for piece in spikes.pieces()))  # fmt: skip


def _of_traces(traces: Traces) -> Table:
    facts = {"monitor": traces.monitor, "population": traces.population, "kind": traces.model, "every_ms": traces.step}
    columns = {}
    for name, data in traces.data.items():
        column = _with_unit(name, traces.units[name])
        columns[f"{column}_" if column in _TIME | _NEURON else column] = data.dtype, traces.units[name]

    def pieces() -> Iterator[list[NDArray[Any]]]:
        times = traces.times
        for frames in traces.pieces():
            own = times[frames]
            values = [traces.read(name, frames).ravel() for name in traces.data]
            yield [np.repeat(own, len(traces.neurons)), np.tile(traces.neurons, len(own)), *values]

    return Table(f"{traces.monitor}.{traces.population}", facts, _TIME | _NEURON | columns, pieces)


def _of_rates(rates: Rates) -> Table:
    facts = {"monitor": rates.monitor, "population": rates.population, "kind": "rate", "neurons": rates.size}
    columns = {"start_ms": (_FLOAT, "ms"), "stop_ms": (_FLOAT, "ms"), "rate_Hz": (_FLOAT, "Hz")}
    return Table(f"{rates.monitor}.{rates.population}", facts, columns,
                 lambda: iter([[rates.edges[:-1], rates.edges[1:], rates.values]]))  # fmt: skip


def _of_weights(learnt: Learnt) -> list[Table]:
    """The synapses with their weights at the end, and the weights at intervals, where they were recorded."""
    of = learnt.of
    facts = {"monitor": learnt.monitor, "projection": of.projection, "kind": "weights", "synapses": of.total}
    synapses = {"synapse": (_INT, ""), "pre": (_INT, ""), "post": (_INT, "")}
    weight, number = {_with_unit("weight", of.unit): (_FLOAT, of.unit)}, np.arange(len(of.pre))
    last = [] if of.last is None else [of.last]
    found = [
        Table(f"{learnt.monitor}.{of.projection}", facts, synapses | {"delay_ms": (_FLOAT, "ms")} | (weight if last else {}),
              lambda: iter([[number, of.pre, of.post, of.delay, *last]]))
    ]  # fmt: skip
    if len(of.times):

        def pieces() -> Iterator[list[NDArray[Any]]]:
            for frames in learnt.pieces():
                own = of.times[frames]
                yield [np.repeat(own, len(number)), np.tile(number, len(own)), learnt.read(frames).ravel()]

        found.append(Table(f"{learnt.monitor}.{of.projection}.times", facts, _TIME | {"synapse": (_INT, "")} | weight, pieces))
    return found


def _of_positions(population: str, points: NDArray[np.float64]) -> Table:
    columns = {f"{axis}_um": (_FLOAT, "um") for axis in "xyz"[: points.shape[1]]}
    return Table(f"positions.{population}", {"population": population, "kind": "positions"}, _NEURON | columns,
                 lambda: iter([[np.arange(len(points)), *points.T]]))  # fmt: skip


def _with_unit(name: str, unit: str) -> str:
    return f"{name}_{unit}" if unit else name


# ---- folders ---------------------------------------------------------------------------------------------------------


def write_csv(taken: Taken, folder: Path) -> None:
    """Numbers have as many digits as it takes to read the same ones."""
    _write_folder(taken, folder, ".csv", _csv)


def write_parquet(taken: Taken, folder: Path) -> None:
    """Units are in the metadata of the columns, and the contents in those of the files."""
    library("pyarrow.parquet", "parquet")
    _write_folder(taken, folder, ".parquet", _parquet)


def _write_folder(taken: Taken, folder: Path, suffix: str, write: Callable[[Table, Path], None]) -> None:
    files: dict[str, Any] = {}
    used: set[str] = set()
    for table in tables(taken):
        name, number = table.name, 1
        while name.casefold() in used:  # there are file systems for which E and e are one
            number += 1
            name = f"{table.name}-{number}"
        used.add(name.casefold())
        write(table, folder / f"{name}{suffix}")
        files[f"{name}{suffix}"] = table.facts | {"units": {column: unit for column, (_, unit) in table.columns.items() if unit}}
    (folder / NETWORK).write_text(taken.facts.yaml, encoding="utf-8", errors="surrogateescape")
    contents = {"schema": _SCHEMA, **said(taken.facts), "files": files}
    (folder / CONTENTS).write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")


def said(facts: Facts) -> dict[str, Any]:
    """Facts of a run as plain data, but for its network file."""
    return {
        "name": facts.name,
        "results": facts.file,
        "complete": facts.complete,
        "dt_ms": facts.dt,
        "duration_ms": facts.duration,
        "reached_ms": facts.reached,
        "start_ms": facts.start,
        "stop_ms": facts.stop,
        "populations": {name: {"size": size, "model": model} for name, (size, model) in facts.populations.items()},
        "provenance": facts.provenance,
    }


def is_export(folder: Path) -> bool:
    """Whether a folder is one of ours, and nothing else lies in it."""
    try:
        contents = json.loads((folder / CONTENTS).read_text("utf-8"))
        known = {CONTENTS, NETWORK, *contents["files"]}
        return contents["schema"] == _SCHEMA and {path.name for path in folder.iterdir()} <= known
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _csv(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(table.columns) + "\n")
        for piece in table.pieces():
            for low in range(0, len(piece[0]), 2**16):
                file.writelines(f"{','.join(row)}\n" for row in zip(*(_texts(c[low : low + 2**16]) for c in piece), strict=True))


def _texts(values: NDArray[Any]) -> Any:
    """The shortest text of each number that is read as the same number of its type."""
    if values.dtype == np.float32:
        return values.astype("U").tolist()
    return map(repr, values.tolist())


def _parquet(table: Table, path: Path) -> None:
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    fields = [
        arrow.field(name, arrow.from_numpy_dtype(kind), nullable=False, metadata={"unit": unit} if unit else None)
        for name, (kind, unit) in table.columns.items()
    ]
    schema = arrow.schema(fields, metadata={"snnrun": json.dumps(table.facts)})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for piece in table.pieces():
            for low in range(0, len(piece[0]), 2**20):
                columns = [arrow.array(np.ascontiguousarray(values[low : low + 2**20])) for values in piece]
                writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


# ---- arrays ----------------------------------------------------------------------------------------------------------


class _Array(NamedTuple):
    """An array whose rows come piece by piece."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterator[NDArray[Any]]]


def write_npz(taken: Taken, path: Path) -> None:
    """Arrays by the name of their monitor, population and what they are, like `voltage/E/V`; `facts` is a text, JSON."""
    units: dict[str, str] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1, allowZip64=True) as archive:
        for name, (array, unit) in _arrays(taken).items():
            if unit:
                units[name] = unit
            _append(archive, name, array)
        facts = json.dumps(said(taken.facts) | {"units": units})
        _append(archive, "facts", _whole(np.array(facts)))
        _append(archive, "network", _whole(np.array(taken.facts.yaml.encode("utf-8", "replace").decode())))


def _append(archive: zipfile.ZipFile, name: str, array: _Array) -> None:
    header = io.BytesIO()
    head = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(header, head)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        member.write(header.getvalue())
        for piece in array.pieces():
            member.write(np.asarray(piece, array.dtype).tobytes())


def _whole(values: Any) -> _Array:
    values = np.asarray(values)
    return _Array(values.shape, values.dtype, lambda: iter([values]))


def _read(of: Traces | Learnt, *name: str) -> Iterator[NDArray[Any]]:
    return (of.read(*name, frames) for frames in of.pieces())  # type: ignore[arg-type]


def _arrays(taken: Taken) -> dict[str, tuple[_Array, str]]:
    found: dict[str, tuple[_Array, str]] = {}
    for spikes in taken.spikes:
        at = f"{spikes.monitor}/{spikes.population}"
        found[f"{at}/times"] = _Array((spikes.number,), _FLOAT, lambda s=spikes: (p.times for p in s.pieces())), "ms"
        found[f"{at}/neurons"] = _Array((spikes.number,), _INT, lambda s=spikes: (p.neurons for p in s.pieces())), ""
        found[f"{at}/recorded"] = _whole(spikes.recorded), ""
        found[f"{at}/window"] = _whole([spikes.start, spikes.stop]), "ms"
    for traces in taken.traces:
        at, shape = f"{traces.monitor}/{traces.population}", (traces.length, len(traces.neurons))
        found[f"{at}/times"] = _whole(traces.times), "ms"
        found[f"{at}/neurons"] = _whole(traces.neurons), ""
        for name, data in traces.data.items():
            key = f"{at}/{name}_" if name in ("times", "neurons") else f"{at}/{name}"
            found[key] = _Array(shape, data.dtype, partial(_read, traces, name)), traces.units[name]
    for rates in taken.rates:
        at = f"{rates.monitor}/{rates.population}"
        found[f"{at}/edges"], found[f"{at}/rate"] = (_whole(rates.edges), "ms"), (_whole(rates.values), "Hz")
    for learnt in taken.weights:
        at, of = f"{learnt.monitor}/{learnt.of.projection}", learnt.of
        found |= {f"{at}/pre": (_whole(of.pre), ""), f"{at}/post": (_whole(of.post), ""), f"{at}/delay": (_whole(of.delay), "ms")}
        if of.last is not None:
            found[f"{at}/last"] = _whole(of.last), of.unit
        if len(of.times):
            found[f"{at}/times"] = _whole(of.times), "ms"
            shape = (len(of.times), len(of.pre))
            found[f"{at}/weights"] = _Array(shape, _FLOAT, partial(_read, learnt)), of.unit
    return found | {f"positions/{name}": (_whole(points), "um") for name, points in taken.positions.items()}
