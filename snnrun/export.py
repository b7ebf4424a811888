"""What was drawn, and what was learnt, as files: edges of a network, and weights at the end of a run.

Files of one projection (.csv, .npz) have the columns that the rule `file` reads: `pre` and `post`, counted within its selections,
`weight_<unit>` and `delay_ms`. SONATA's (.h5) have all projections, with indices of neurons within their populations. Edges are
drawn and written piece by piece.
"""

import io
import itertools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun import network, units
from snnrun.document import Document, SpecError, uncollected
from snnrun.files import in_place_of
from snnrun.models import connect
from snnrun.receptors import weight_dimension
from snnrun.request import Refused
from snnrun.results import Results, Weights, refuse_existing
from snnrun.selections import Part
from snnrun.spec import Spec

SUFFIXES = (".csv", ".npz", ".h5")
_CHUNK = 1 << 16  # edges of a chunk of a dataset


class Piece(NamedTuple):
    """Some edges: indices within the selections of their projection."""

    pre: NDArray[np.integer]
    post: NDArray[np.integer]
    weight: NDArray[np.float64]
    delay: NDArray[np.float64]  # ms


class Drawn(NamedTuple):
    """The edges of a projection, to be drawn."""

    name: str
    pre: list[Part]
    post: list[Part]
    unit: str
    pieces: Callable[[], Iterator[Piece]]


@uncollected()
def drawn(spec: Spec, document: Document, chosen: list[str]) -> list[Drawn]:
    """The chosen projections, or all. Raises SpecError, Refused."""
    if unknown := [name for name in chosen if name not in spec.projections]:
        there = ", ".join(spec.projections) or "none"
        raise Refused(f"there is no projection {unknown[0]!r}", f"there are: {there}")
    if not spec.projections:
        raise Refused(f"{document.name} has no projections", "there is nothing to write")
    try:
        built = network.build(spec, document.folder)
    except SpecError as error:
        raise SpecError(error.faults, document) from None
    found = []
    for name in chosen or spec.projections:
        projection = built.projections[name]
        unit = units.usual(weight_dimension(spec.projections[name]))
        found.append(Drawn(name, projection.pre, projection.post, unit, lambda c=projection.connectivity: _pieces(c, document)))
    return found


def _pieces(c: connect.Connectivity, document: Document) -> Iterator[Piece]:
    """Edges as they are drawn, some pieces ahead."""

    def piece(chunk: Callable[[], connect.Edges]) -> Piece:
        edges = chunk()
        weight, delay = (
            np.broadcast_to(np.asarray(values, np.float64), len(edges.pre)) for values in (edges.weight, edges.delay)
        )
        return Piece(edges.pre, edges.post, weight, delay * c.dt)

    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for ahead in _batched(connect.edges(c), 16):
                yield from pool.map(piece, ahead)
    except SpecError as error:
        raise SpecError(error.faults, document) from None


def _batched(items: Iterator[Any], size: int) -> Iterator[tuple[Any, ...]]:
    while batch := tuple(itertools.islice(items, size)):
        yield batch


def write(every: list[Drawn], target: Path, overwrite: bool = False) -> dict[str, int]:
    """Write projections into a file of the kind that its name says; how many edges of each. Raises Refused, Exists, SpecError,
    OSError: what was there then is there still."""
    suffix, placed = target.suffix.lower(), all(one.pre for one in every)
    known = SUFFIXES if placed else SUFFIXES[:-1]
    if suffix not in known:
        raise Refused(f"{target} is no name of a file of edges", f"use {', '.join(known[:-1])} or {known[-1]}")
    if suffix != ".h5" and len(every) > 1:
        names = ", ".join(one.name for one in every)
        raise Refused(
            f"a {suffix} file has one projection, and there are {names}", "choose with --projection, or write one .h5 file"
        )
    refuse_existing([target], overwrite)
    with in_place_of(target) as partial:
        if suffix == ".h5":
            return write_sonata(every, partial)
        (one,) = every
        return {one.name: (_write_csv if suffix == ".csv" else _write_npz)(one, partial)}


def last_weights(found: Results, monitor: str | None) -> Weights:
    """What a weights monitor has recorded of all synapses at the end of a run. Raises Refused, ResultsError."""
    names = [name for name, model in found.monitors.items() if model == "weights"]
    if monitor is None and len(names) != 1:
        hint = f"there are {', '.join(names)}: choose with --monitor" if names else "add one: {model: weights, of: PROJECTION}"
        raise Refused(f"{found.path.name} has {len(names) or 'no'} monitors of weights", hint)
    if monitor is not None and monitor not in names:
        raise Refused(f"{found.path.name} has no monitor of weights {monitor!r}", f"there are: {', '.join(names) or 'none'}")
    weights = found.weights(monitor or names[0])
    if weights.last is None:
        raise Refused(f"the run of {found.path.name} has not come to its end", "go on with snnrun simulate --resume")
    if len(weights.pre) < weights.total:
        some = f"{len(weights.pre):,} of {weights.total:,} synapses"
        raise Refused(f"{monitor or names[0]} has {some}", "record all of them: leave out `synapses`")
    return weights


def of_weights(weights: Weights) -> Drawn:
    """The weights at the end of a run, as edges of their projection."""
    assert weights.last is not None
    piece = Piece(weights.pre, weights.post, weights.last, weights.delay)
    return Drawn(weights.projection, [], [], weights.unit, lambda: iter([piece]))


def _write_csv(one: Drawn, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"pre,post,weight_{one.unit},delay_ms\n")
        for piece in one.pieces():
            rows = zip(*(values.tolist() for values in piece), strict=True)
            file.writelines(f"{pre},{post},{weight!r},{delay!r}\n" for pre, post, weight, delay in rows)
            count += len(piece.pre)
    return count


def _write_npz(one: Drawn, path: Path) -> int:
    """Columns grow side by side in files of their own, and are put together when their length is known."""
    names, kinds = ("pre", "post", f"weight_{one.unit}", "delay_ms"), (np.int32, np.int32, np.float64, np.float64)
    count = 0
    columns = [tempfile.TemporaryFile(dir=path.parent) for _ in names]  # noqa: SIM115
    try:
        for piece in one.pieces():
            for column, kind, values in zip(columns, kinds, piece, strict=True):
                column.write(np.ascontiguousarray(values, kind).data)
            count += len(piece.pre)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, kind, column in zip(names, kinds, columns, strict=True):
                head = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": (count,)}
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(header, head)
                column.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    member.write(header.getvalue())
                    shutil.copyfileobj(column, member, 1 << 20)
    finally:
        for column in columns:
            column.close()
    return count


# ---- SONATA ----------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """What edges between two populations are marked with."""

    type: int = 0  # their edge_type_id
    scale: float = 1.0  # what their weights are multiplied by


def edge_populations(one: Drawn) -> dict[tuple[str, str], str]:
    """The name of the edge population for each pair of populations that a projection connects."""
    pairs = [(pre, post) for pre in _populations(one.pre) for post in _populations(one.post)]
    return {pair: one.name if len(pairs) == 1 else f"{one.name}_{pair[0]}_{pair[1]}" for pair in pairs}


def write_sonata(every: list[Drawn], path: Path, kinds: Mapping[str, Kind] | None = None) -> dict[str, int]:
    """An edge population for each projection, or for each pair of populations that one connects. Nothing is compressed, which
    readers of the format need."""
    found, kinds = {}, kinds or {}
    with h5py.File(path, "w") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
        for one in every:
            names = edge_populations(one)
            groups = {pair: _group(file, name, *pair, one.unit) for pair, name in names.items()}
            marks = {pair: kinds.get(name, Kind()) for pair, name in names.items()}
            sides, count = (_nodes(one.pre), _nodes(one.post)), 0
            for piece in one.pieces():
                ends = [(of[0][index], of[1][index]) for of, index in zip(sides, (piece.pre, piece.post), strict=True)]
                for (pre, post), group in groups.items():
                    mine = (ends[0][0] == pre) & (ends[1][0] == post) if len(groups) > 1 else slice(None)
                    kind = marks[pre, post]
                    weight = piece.weight[mine] if kind.scale == 1 else piece.weight[mine] * kind.scale
                    _append(group, ends[0][1][mine], ends[1][1][mine], weight, piece.delay[mine], kind.type)
                count += len(piece.pre)
            found[one.name] = count
    return found


def _populations(parts: list[Part]) -> list[str]:
    return list(dict.fromkeys(part.population for part in parts))


def _nodes(parts: list[Part]) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Population and index in it of each neuron of a selection."""
    populations = np.repeat(np.array([part.population for part in parts], object), [part.size for part in parts])
    return populations, np.concatenate([part.numbers.astype(np.uint64) for part in parts])


def _group(file: Any, name: str, pre: str, post: str, unit: str) -> Any:
    group = file.create_group(f"edges/{name}")
    columns = (("source_node_id", np.uint64), ("target_node_id", np.uint64), ("edge_type_id", np.int64),
               ("edge_group_id", np.uint64), ("edge_group_index", np.uint64), ("0/syn_weight", np.float64),
               ("0/delay", np.float64))  # fmt: skip
    for column, kind in columns:
        group.create_dataset(column, (0,), kind, maxshape=(None,), chunks=(_CHUNK,))
    group["source_node_id"].attrs["node_population"], group["target_node_id"].attrs["node_population"] = pre, post
    group["0/syn_weight"].attrs["units"], group["0/delay"].attrs["units"] = unit, "ms"
    return group


def _append(group: Any, pre: Any, post: Any, weight: Any, delay: Any, kind: int) -> None:
    begin, end = group["source_node_id"].shape[0], group["source_node_id"].shape[0] + len(pre)
    values = {"source_node_id": pre, "target_node_id": post, "edge_type_id": kind, "edge_group_id": 0,
              "edge_group_index": np.arange(begin, end, dtype=np.uint64), "0/syn_weight": weight, "0/delay": delay}  # fmt: skip
    for column, own in values.items():
        group[column].resize(end, axis=0)
        group[column][begin:end] = own
