"""Delivery in C++, called from the compiled step: the sources are in the folder native/ of the repository.

Edges, the tables of Poisson inputs and everything else that a call needs lie in the host's memory, described by structures
whose address is all that the compiled program is given.
"""

import ctypes
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, Structure, byref, c_double, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import kernels, random
from snnrun.kernels import Arranged, Axis, Entry, Found, Pathway, Transit, Unavailable, Weights, quantised
from snnrun.lazy import ffi, jax, jnp
from snnrun.models import connect, stdp
from snnrun.models.connect import Connectivity, Drawn
from snnrun.models.interface import Crossing, State
from snnrun.models.stp import Released
from snnrun.models.synapses.decay import decayed
from snnrun.plan import END, Program
from snnrun.quantities import Law

LIBRARY = "_native.so"
SHARD = 2**16  # targets of a shard have two bytes
WORD = 64  # neurons that stay together
ALIGNMENT = 64  # bytes; XLA copies arrays that lie otherwise
FEW_RECEPTORS = 8  # as in native/deliver.hpp
WORTH_SHARING = 4e3  # nanoseconds of work that are worth calling other threads for
_RULES = (None, "all_to_all", "fixed_prob", "fixed_indegree", "fixed_outdegree", "fixed_total")
_LAWS = ("normal", "uniform", "lognormal", "exponential", "gamma")
_NEVER, _RECENT = -(2.0**40), 4  # as in native/plastic.hpp
_WIDE_RANGE = 512  # delays, in steps: beyond, the edges are asked which delays there are before room is made for all


# ---- the structures of native/*.hpp ----------------------------------------------------------------------------------


class _Law(Structure):
    _fields_ = [("kind", c_int32), ("redraws", c_int32), ("clips", c_int32), ("key", c_uint32 * 2), ("unused", c_int32)] + [
        (name, c_double) for name in ("first", "second", "redraw_low", "redraw_high", "clip_low", "clip_high")
    ]


class _Pathway(Structure):
    _fields_ = [
        ("rule", c_int32), ("multapses", c_int32), ("pre", c_int64), ("post", c_int64), ("n", c_int64), ("log_q", c_double),
        ("own", c_void_p), ("source", c_void_p), ("target", c_void_p), ("listed_pre", c_void_p), ("listed_post", c_void_p),
        ("weights", c_void_p), ("delays", c_void_p), ("weight_law", c_void_p), ("delay_law", c_void_p), ("weight", c_int64),
        ("per_quantum", c_double), ("delay", c_int64), ("dt", c_double), ("least_delay", c_int64), ("key", c_uint32 * 2),
    ]  # fmt: skip


class _Block(Structure):
    _fields_ = [
        ("first_source", c_int64), ("sources", c_int64), ("weight", c_int64), ("weight_bytes", c_int64), ("ranks", c_int64),
        ("delay", c_void_p), ("rank", c_void_p), ("longest", c_int64), ("first_edge", c_void_p), ("offsets", c_void_p),
        ("offset_bytes", c_int64), ("records", c_void_p), ("release", c_void_p), ("plasticity", c_void_p),
    ]  # fmt: skip


class _Shards(Structure):
    _fields_ = [("count", c_int64), ("first", c_void_p)]


class _Found(Structure):
    _fields_ = [(n, c_int64) for n in ("edges", "shortest", "longest", "negative_delays", "negative_weights", "unmet")]


class _Course(Structure):
    _fields_ = [
        ("rows", c_void_p), ("thresholds", c_int64), ("changes", c_void_p), ("places", c_void_p), ("count", c_int64),
        ("phase", c_uint64), ("turn", c_uint64),
    ]  # fmt: skip


class _Noise(Structure):
    _fields_ = [
        ("target", c_int64), ("begin", c_int64), ("end", c_int64), ("start", c_int64), ("stop", c_int64), ("table", c_void_p),
        ("thresholds", c_int64), ("per_neuron", c_int64), ("weight", c_void_p), ("weights", c_int64), ("first_step", c_int64),
        ("last_step", c_int64), ("delay", c_int64), ("key", c_uint32 * 2), ("course", _Course), ("copies", c_void_p),
        ("events", c_int64), ("mother", c_uint32 * 2),
    ]  # fmt: skip


class _Run(Structure):
    _fields_ = [("first", c_int64), ("size", c_int64), ("index", c_int64)]


class _Procedural(Structure):
    _fields_ = [
        ("pathway", _Pathway), ("sources", c_void_p), ("source_runs", c_int64), ("targets", c_void_p), ("target_runs", c_int64),
        ("edges_per_row", c_double), ("release", c_void_p),
    ]  # fmt: skip


class _Receptor(Structure):
    _fields_ = [("first", c_int64), ("size", c_int64), ("quantum", c_double), ("result", c_int64), ("neuron", c_int64)]


class _Stage(Structure):
    _fields_ = [
        (name, kind)
        for part in ("blocks", "procedural", "noise", "receptors")
        for name, kind in ((part, c_void_p), (f"{part}_count", c_int64))
    ] + [("results", c_int64), ("counting", c_int64), ("few", c_int64)]


class _Fading(Structure):
    _fields_ = [("fine", c_void_p), ("coarse", c_void_p), ("count", c_int64)]


class _Plasticity(Structure):
    _fields_ = [
        ("source", _Fading * 2), ("target", _Fading * 2), ("source_nearest", c_int64), ("target_nearest", c_int64),
        ("axonal", c_int64), ("jumps", c_int64), ("grows", c_int64),
        *((name, c_double) for name in ("up", "mu_up", "up_pair", "up_triplet", "down", "mu_down", "down_pair", "down_triplet",
                                        "down_always", "least", "range")),
        ("first_weight", c_int64), ("source_of_row", c_void_p), ("target_of", c_void_p),
    ]  # fmt: skip


class _PlasticRun(Structure):
    _fields_ = [(name, c_int64) for name in ("first_word", "words", "place", "plasticity")]


class _Network(Structure):
    _fields_ = [
        ("threads", c_int64), ("targets", c_int64), ("shards", _Shards), ("plasticities", c_void_p), ("plastic_runs", c_void_p),
        ("plastic_run_count", c_int64), ("plastic_source_runs", c_int64), ("plastic_longest", c_int64),
        ("edges_per_segment", c_double),
        ("worth_sharing", c_double), ("stages", _Stage * 2),
    ]  # fmt: skip


_KINDS = (_Pathway, _Law, _Block, _Found, _Noise, _Network, _Procedural, _Receptor, _Plasticity)
_Interface = c_int64 * (2 + len(_KINDS))  # what the library says of itself: XLA's version, and sizes of these


class _Kept:
    """Structures with the memory that they point to."""

    def __init__(self) -> None:
        self.alive: list[Any] = []
        self.__array_interface__: dict[str, Any] = {}  # of the address that `owned` hands out

    def array(self, values: Any, dtype: Any) -> int | None:
        """Address of an array of that type; None for None."""
        if values is None:
            return None
        array = np.ascontiguousarray(values, dtype)
        self.alive.append(array)
        return array.ctypes.data

    def structures(self, kind: Any, items: list[Any]) -> tuple[int, int]:
        """Address and number of structures side by side."""
        array = (kind * max(len(items), 1))(*items)
        self.alive.append(array)
        return ctypes.addressof(array), len(items)

    def owned(self, address: int) -> NDArray[np.int64]:
        """An address, int64 [1], in an array that owns all memory that is kept.

        XLA uses an array with this alignment where it lies, and holds it until every call that was given it has ended. So the
        memory outlives a call whoever has let go of the plan meanwhile: an exception that unwinds, or a notebook.
        """
        room = np.zeros(2 * ALIGNMENT // 8, np.int64)
        first = -room.ctypes.data % ALIGNMENT // 8
        place = room[first : first + 1]
        place[0] = address
        self.alive.append(room)
        self.__array_interface__ = place.__array_interface__
        return np.asarray(self)


# ---- the library -----------------------------------------------------------------------------------------------------


@functools.cache
def library() -> Any:
    """The library, checked. Raises Unavailable with the reason."""
    found = [file for folder in kernels.__path__ if (file := Path(folder) / LIBRARY).exists()]
    if not found:
        raise Unavailable("was not built when snnrun was installed, for want of a C++ compiler")
    try:
        lib = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise Unavailable(f"cannot be loaded: {error}") from None
    interface = _Interface()
    lib.snnrun_interface(interface)
    mine = [ctypes.sizeof(kind) for kind in _KINDS]
    if list(interface[2:]) != mine:
        raise Unavailable("was built from another version of snnrun; install the package again")
    here = _interface_of_jaxlib()
    if here is not None and tuple(interface[:2]) > here:
        built, runs = (".".join(map(str, version)) for version in (interface[:2], here))
        raise Unavailable(f"was built for XLA's interface {built}, and this jaxlib has {runs}; install the package again")
    pointers = {
        "snnrun_survey": [POINTER(_Pathway), POINTER(_Shards), c_int64, c_int64],
        "snnrun_count": [POINTER(_Pathway), POINTER(_Block), POINTER(_Shards), c_int64, c_int64],
        "snnrun_fill": [POINTER(_Pathway), POINTER(_Block), POINTER(_Shards), c_int64, c_int64],
        "snnrun_accumulate": [POINTER(_Block), POINTER(_Shards), POINTER(c_int64)],
        "snnrun_arrivals": [POINTER(_Network), *[c_int64] * 3, *[c_void_p] * 2, *[c_int64] * 2, *[c_void_p] * 2],
        "snnrun_refresh": [POINTER(_Network), *[c_void_p] * 10, c_int64],
        "snnrun_draw": [POINTER(_Law), c_void_p, c_void_p, c_int64, c_void_p],
        "snnrun_edges": [POINTER(_Pathway), c_int64, c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_void_p],
        "snnrun_step_words": [c_void_p, c_int64, c_int64, c_int64, c_void_p],
    }
    results = {name: _Found for name in ("snnrun_survey", "snnrun_count", "snnrun_fill")}
    for name, arguments in pointers.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, results.get(name, c_int64)
    _self_test(lib)
    return lib


def _interface_of_jaxlib() -> tuple[int, int] | None:
    """Version of the interface of the jaxlib that is installed, from the headers that come with it; JAX is not loaded."""
    import importlib.util
    import re

    spec = importlib.util.find_spec("jaxlib")
    if spec is None or spec.origin is None:
        return None
    header = Path(spec.origin).parent / "include/xla/ffi/api/c_api.h"
    if not header.exists():
        return None
    text = header.read_text()
    found = [re.search(rf"#define XLA_FFI_API_{part}\s+(\d+)", text) for part in ("MAJOR", "MINOR")]
    return (int(found[0][1]), int(found[1][1])) if found[0] and found[1] else None


def _self_test(lib: Any) -> None:
    """Random words and draws against NumPy, and a few edges against what must arrive."""
    words = np.empty(300, np.uint32)
    stream = random.key(1, "self-test")
    lib.snnrun_step_words(np.array(stream, np.uint32).ctypes.data, 5, 100, 300, words.ctypes.data)
    blocks = np.arange(100, 400) // 256 * 64 + np.arange(100, 400) % 64
    first, second = random.blocks(stream, blocks, 5)
    planes = np.stack([first, first >> np.uint64(32), second, second >> np.uint64(32)]) & np.uint64(0xFFFFFFFF)
    expected = planes[np.arange(100, 400) % 256 // 64, np.arange(300)]
    law, values = Law("normal", 1.0, 2.0, (0.0, 9.0), None), np.empty(40)
    numbers, zeros = np.arange(40, dtype=np.uint64), np.zeros(40, np.uint64)
    kept = _Kept()
    lib.snnrun_draw(byref(_law(Drawn(law, stream), kept)), numbers.ctypes.data, zeros.ctypes.data, 40, values.ctypes.data)
    if not (np.array_equal(words, expected) and np.array_equal(values, random.draw(stream, law, numbers))):
        raise Unavailable("draws other random numbers than this version of snnrun")


@functools.cache
def _registered() -> None:
    """Make the handlers known to XLA."""
    lib = library()
    for name in ("jumps", "close", "words"):
        ffi.register_ffi_target(f"snnrun_{name}", ffi.pycapsule(getattr(lib, f"snnrun_{name}")), platform="cpu")


def available() -> str | None:
    """None where the kernel can run on this machine's processors, otherwise the reason why not."""
    try:
        library()
    except Unavailable as reason:
        return str(reason)
    return None


# ---- arranging edges -------------------------------------------------------------------------------------------------


JUMPS, ARRIVALS = 0, 1  # stages of a step


class Slice(NamedTuple):
    """A piece of a row that lies together."""

    first: int  # on the axis of targets
    size: int
    place: int  # among the shards


class Kept(NamedTuple):
    """Arranged edges and the memory that they lie in."""

    kept: _Kept
    blocks: tuple[list[_Block], list[_Block]]  # per stage
    procedural: tuple[list[_Procedural], list[_Procedural]]
    shards: _Shards
    slices: list[Slice]
    weights: list[set[int]]  # per receptor of the axis: the weights of its edges, in quanta, where none has one of its own
    threads: int
    edges_per_segment: float
    plastic: list["Changed"]  # plastic pathways that have edges
    made: list["Made"]  # for other networks; empty where there are none


class Made(NamedTuple):
    """Pathways that are stored together, and what has come of them, for a network of which they are a part again."""

    shards: list[int]
    pathways: list[Pathway]
    found: list[Found]
    kept: _Kept
    block: _Block | None  # None where there is no edge
    nbytes: int
    edges: int

    def serves(self, shards: list[int], pathways: list[Pathway]) -> bool:
        """Whether the same edges are stored, whatever one weight they all have."""
        return self.shards == shards and len(self.pathways) == len(pathways) and all(map(_same_edges, self.pathways, pathways))

    def weighing(self, weight: int) -> "Made":
        """The same edges with another weight, where they have one in common."""
        if self.block is None or self.block.weight_bytes:
            return self
        block = _Block.from_buffer_copy(self.block)
        block.weight = weight
        return self._replace(block=block)


def _same_edges(one: Pathway, other: Pathway) -> bool:
    """Whether two pathways have the same edges, and the same weights where each has its own."""
    if one.changing is not None or other.changing is not None or one.delta != other.delta or one.wide != other.wide:
        return False
    if _individual(one.connectivity.weight) and one.quantum != other.quantum:
        return False
    a, b = (p.connectivity if _individual(p.connectivity.weight) else p.connectivity._replace(weight=None) for p in (one, other))
    pairs = zip((*a, one.source, one.target, one.release), (*b, other.source, other.target, other.release), strict=True)
    return all(_equal(*pair) for pair in pairs)


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)
    if isinstance(one, tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


class Changed(NamedTuple):
    """A plastic pathway as it is stored."""

    pathway: Pathway
    block: _Block
    part: _Plasticity
    shards: _Shards
    start: Any  # y of each edge at t = 0, in the order in which they are stored


def arrange(pathways: list[Pathway], sources: int, axis: Axis, threads: int, again: bool = False,
            earlier: Arranged | None = None) -> Arranged:  # fmt: skip
    """Count all edges, and put each where it belongs: native/layout.hpp."""
    kept = _Kept()
    slices, first = cut(axis.rows, threads, SHARD if any(not pathway.procedural for pathway in pathways) else None)
    shards = _Shards(len(first) - 1, kept.array(first, np.int64))
    place = np.arange(axis.places, dtype=np.int32)
    for part in slices:
        place[part.first : part.first + part.size] = np.arange(part.place, part.place + part.size)
    weights = _weights(pathways, axis)
    pathways = [pathway._replace(target=place[pathway.target]) for pathway in pathways]
    found: list[Found] = [Found(0, 0, 0, True)] * len(pathways)
    blocks, procedural = ([], []), ([], [])
    plastic: list[Changed] = []
    every: list[Made] = []
    nbytes, edges, segments = 0, 0, 1
    with ThreadPoolExecutor(threads) as pool:
        for group in _groups(pathways):
            mine = [pathways[i] for i in group]
            before = None if earlier is None else next((m for m in earlier.edges.made if m.serves(first, mine)), None)
            made = _made(mine, first, shards, pool, threads) if before is None else before
            if not _individual(mine[0].connectivity.weight):
                made = made.weighing(_in_quanta(mine[0]))
            if again:
                every.append(made._replace(pathways=mine))
            kept.alive.append(made.kept)
            for i, of_pathway in zip(group, made.found, strict=True):
                found[i] = of_pathway
            if (block := made.block) is not None:
                if mine[0].changing is not None:
                    first_weight = sum(len(other.start) for other in plastic)
                    plastic.append(_changed(mine[0], block, shards, made.edges, first_weight, axis.places, made.kept))
                blocks[_stage(mine[0])].append(block)
                nbytes, edges = nbytes + made.nbytes, edges + made.edges
                segments += shards.count * block.sources * block.ranks
    for i, pathway in enumerate(pathways):
        if pathway.procedural:
            found[i] = _procedural_found(pathway)
            runs = [*kept.structures(_Run, _runs(pathway.source)), *kept.structures(_Run, _runs(pathway.target))]
            per_row = found[i].synapses / max(pathway.connectivity.sizes.pre, 1)
            release = kept.array(pathway.release, np.int32)
            procedural[_stage(pathway)].append(_Procedural(_pathway(pathway, kept), *runs, per_row, release))
    layout = Kept(kept, blocks, procedural, shards, slices, weights, threads, edges / segments, plastic, every)
    return Arranged(layout, tuple(found), nbytes)


def _weights(pathways: list[Pathway], axis: Axis) -> list[set[int]]:
    """The different weights of the edges onto each receptor, in quanta, without those of edges that have their own."""
    found: list[set[int]] = [set() for _ in axis.starts]
    for pathway in pathways:
        c = pathway.connectivity
        if not _individual(c.weight):
            weight = _in_quanta(pathway)
            for r in np.unique(np.searchsorted(axis.starts, pathway.target, side="right") - 1):
                found[r].add(weight)
    return found


def _in_quanta(pathway: Pathway) -> int:
    """The one weight of all edges of a pathway."""
    return int(quantised(pathway.connectivity.weight, pathway.quantum, pathway.wide))


def _stage(pathway: Pathway) -> int:
    return JUMPS if pathway.delta else ARRIVALS


def _groups(pathways: list[Pathway]) -> list[list[int]]:
    """Pathways whose edges are stored alike: with individual weights, or with one and the same weight; and whose spikes carry
    the whole of it. All others are stored by themselves."""
    groups: dict[Any, list[int]] = {}
    for i, pathway in enumerate(pathways):
        if not pathway.procedural:
            c = pathway.connectivity
            alike = None if _individual(c.weight) else _in_quanta(pathway)
            own = None if pathway.release is None and pathway.changing is None else i
            groups.setdefault((_stage(pathway), alike, own), []).append(i)
    return list(groups.values())


def _individual(value: Any) -> bool:
    return isinstance(value, Drawn) or np.ndim(value) > 0


def cut(rows: Sequence[tuple[int, int]], threads: int, most: int | None) -> tuple[list[Slice], list[int]]:
    """Cut the axis of targets, whose rows have a first place and a length, into shards of at most `most` places.

    There are as many as threads, or a multiple. Each has its share of every row, so that they have about the same to do
    whoever fires. Returns the slices in the order of their new places, and the first place of each shard and the end.
    """
    count = threads
    words = np.array([-(-size // WORD) for _, size in rows], np.int64)
    while most is not None and -(-words.sum() // count) * WORD > most:
        count += threads
    # what is left after a row has been divided evenly goes to the shards in turn
    turn = (np.cumsum(words) - words)[:, None]
    share = words[:, None] // count + ((np.arange(count) - turn) % count < words[:, None] % count)
    end = np.minimum(np.cumsum(share, axis=1) * WORD, [[size] for _, size in rows] or 0)
    slices, first, place = [], [0], 0
    for shard in range(count):
        for r, (begin, _) in enumerate(rows):
            low, high = int(end[r, shard - 1]) if shard else 0, int(end[r, shard])
            if high > low:
                slices.append(Slice(begin + low, high - low, place))
                place += high - low
        if place > first[-1]:
            first.append(place)
    return slices, first if place else [0, 0]


def _runs(places: NDArray[np.int32]) -> list[_Run]:
    """A selection as runs of consecutive places: (first place, length, index of the first within the selection)."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(places) != 1) + 1, [len(places)]])
    return [_Run(int(places[a]), int(b - a), int(a)) for a, b in zip(starts[:-1], starts[1:], strict=True)]


def _law(drawn: Drawn, kept: _Kept) -> _Law:
    law = drawn.law
    redraw, clip = law.redraw or (0.0, 0.0), law.clip or (0.0, 0.0)
    numbers = (*random.coefficients(law), *redraw, *clip)
    return _Law(_LAWS.index(law.kind), law.redraw is not None, law.clip is not None, drawn.stream, 0, *numbers)


def _pathway(pathway: Pathway, kept: _Kept) -> _Pathway:
    c = pathway.connectivity
    p = _Pathway(
        pre=c.sizes.pre, post=c.sizes.post, dt=c.dt, key=c.stream, least_delay=int(pathway.delta),
        per_quantum=1.0 / pathway.quantum, source=kept.array(pathway.source, np.int32),
        target=kept.array(pathway.target, np.int32),
    )  # fmt: skip
    if c.listed is not None:
        p.rule, p.n = 0, len(c.listed[0])
        p.listed_pre, p.listed_post = (kept.array(side, np.int32) for side in c.listed)
    else:
        p.rule, p.n, p.multapses = _RULES.index(c.rule.rule), getattr(c.rule, "n", 0), getattr(c.rule, "multapses", True)
        if c.rule.rule == "fixed_prob":
            if c.rule.p == 1:
                p.rule = _RULES.index("all_to_all")
            elif c.rule.p == 0:
                p.pre = 0  # no row at all
            else:
                p.log_q = random.log1p(-c.rule.p)
        if not c.rule.autapses:
            own = c.sizes.pre_of_post() if c.rule.by_target else c.sizes.post_of_pre()
            p.own = kept.array(own, np.int32)
    if isinstance(c.weight, Drawn):
        p.weight_law = kept.structures(_Law, [_law(c.weight, kept)])[0]
    elif _individual(c.weight):
        p.weights = kept.array(c.weight, np.float64)
    else:
        p.weight = _in_quanta(pathway)
    if isinstance(c.delay, Drawn):
        p.delay_law = kept.structures(_Law, [_law(c.delay, kept)])[0]
    elif _individual(c.delay):
        p.delays = kept.array(c.delay, np.int32)
    else:
        p.delay = int(c.delay)
    return p


Item = tuple[Pathway, _Pathway]


def _made(pathways: list[Pathway], first: list[int], shards: _Shards, pool: ThreadPoolExecutor, threads: int) -> Made:
    """One block with all edges of some pathways."""
    while_made, kept = _Kept(), _Kept()
    items = [(pathway, _pathway(pathway, while_made)) for pathway in pathways]
    found = [Found(0, 0, 0, True)] * len(items)
    block, nbytes, edges = _filled(items, shards, found, kept, pool, threads) or (None, 0, 0)
    return Made(first, pathways, found, kept, block, nbytes, edges)


def _filled(items: list[Item], shards: _Shards, found: list[Found], kept: _Kept, pool: ThreadPoolExecutor,
            threads: int) -> tuple[_Block, int, int] | None:  # fmt: skip
    """The block with its size in bytes and in edges; None where there is none. Sets what was found."""
    lib = library()
    places = [pathway.source for pathway, _ in items if len(pathway.source)]
    delays = np.unique(np.concatenate([_possible_delays(item, shards, pool, threads) for item in items]))
    if not places or not len(delays):
        return None
    first = min(int(side.min()) for side in places)
    rows = max(int(side.max()) for side in places) + 1 - first
    changing = items[0][0].changing is not None
    wide = items[0][0].wide or changing
    individual = _individual(items[0][0].connectivity.weight) or changing
    rank = np.full(int(delays[-1]) + 1, -1, np.int32)
    rank[delays] = np.arange(len(delays))
    delay = delays.astype(np.int64)
    first_edge = np.zeros((shards.count, rows + 1), np.int64)
    offsets = np.zeros((shards.count, rows, len(delays) + 1), np.uint32) if len(delays) > 1 else None
    block = _Block(
        first_source=first, sources=rows, weight=0 if individual else items[0][1].weight,
        weight_bytes=0 if not individual else 8 if wide else 4, ranks=len(delays), delay=kept.array(delay, np.int64),
        rank=kept.array(rank, np.int32), longest=len(rank) - 1, first_edge=kept.array(first_edge, np.int64),
        offsets=None if offsets is None else offsets.ctypes.data, offset_bytes=4,
    )  # fmt: skip
    if (release := items[0][0].release) is not None:
        of_row = np.zeros(rows, np.int32)
        of_row[items[0][0].source - first] = release
        block.release = kept.array(of_row, np.int32)
    for i, (pathway, p) in enumerate(items):
        found[i] = _counted(pathway, _in_parts(lib.snnrun_count, p, block, shards, pool, threads))
    if offsets is not None:
        used = np.asarray(offsets.reshape(-1, len(delays) + 1).any(axis=0))
        delay[~used[1:]] = -1
    longest_row = c_int64()
    edges = lib.snnrun_accumulate(byref(block), byref(shards), byref(longest_row))
    if not edges:
        return None
    records = np.empty(edges * (2 + block.weight_bytes) + 64, np.uint8)  # what is fetched ahead may lie beyond the end
    block.records = kept.array(records, np.uint8)
    for pathway, p in items:
        _sound(pathway.connectivity, _in_parts(lib.snnrun_fill, p, block, shards, pool, threads))
    if offsets is not None:
        if longest_row.value < 2**16:
            offsets, block.offset_bytes = offsets.astype(np.uint16), 2
        block.offsets = kept.array(offsets, offsets.dtype)
    return block, records.nbytes + first_edge.nbytes + (0 if offsets is None else offsets.nbytes), edges


def _in_parts(function: Callable[..., Any], p: _Pathway, block: _Block | None, shards: _Shards, pool: ThreadPoolExecutor,
              threads: int) -> list[_Found]:  # fmt: skip
    """A pass over the edges of a pathway, in as many parts as there are threads."""
    blocks = () if block is None else (byref(block),)
    if threads == 1:
        return [function(byref(p), *blocks, byref(shards), 0, 1)]
    return list(pool.map(lambda part: function(byref(p), *blocks, byref(shards), part, threads), range(threads)))


def _possible_delays(item: Item, shards: _Shards, pool: ThreadPoolExecutor, threads: int) -> NDArray[np.int64]:
    """All delays that a pathway may have, in steps."""
    pathway, p = item
    c, least = pathway.connectivity, int(pathway.delta)
    if not isinstance(c.delay, Drawn) and np.ndim(c.delay):
        return np.unique(np.maximum(c.delay, least))
    low, high = connect.delay_bounds(c)
    if high - low >= _WIDE_RANGE:
        every = _in_parts(library().snnrun_survey, p, None, shards, pool, threads)
        _sound(c, every)
        low, high = min(part.shortest for part in every), max(part.longest for part in every)
    if high < low:  # bounds that are never met, or no edge
        if isinstance(c.delay, Drawn) and random.bounds(c.delay.law)[0] > random.bounds(c.delay.law)[1]:
            raise connect.unmet(c, "delay")
        return np.empty(0, np.int64)
    if high > connect.MAX_DELAY:
        raise connect.delay_too_long(c, high)
    return np.unique(np.maximum(np.arange(max(low, 0), max(high, 0) + 1), least))


def _counted(pathway: Pathway, parts: list[_Found]) -> Found:
    _sound(pathway.connectivity, parts)
    edges = sum(part.edges for part in parts)
    if not edges:
        return Found(0, 0, 0, True)
    shortest, longest, least = min(part.shortest for part in parts), max(part.longest for part in parts), int(pathway.delta)
    return Found(edges, max(shortest, least), max(longest, least), True)


def _sound(c: Connectivity, parts: list[_Found]) -> None:
    """Raise SpecError for what drawing the edges has shown."""
    for code, field in ((1, "weight"), (2, "delay")):
        if any(part.unmet == code for part in parts):
            raise connect.unmet(c, field)
    if negative := sum(part.negative_delays for part in parts):
        raise connect.negative_delays(c, negative)
    if c.positive and (negative := sum(part.negative_weights for part in parts)):
        raise connect.negative_weights(c, negative)


def _procedural_found(pathway: Pathway) -> Found:
    """Delays that may occur, and the number of edges that is expected; but for a few draws, nothing is drawn."""
    c = pathway.connectivity
    for field in ("weight", "delay"):
        connect.drawable(c, field)
    low, high = (max(delay, int(pathway.delta)) for delay in connect.delay_bounds(c))
    return Found(math.ceil(c.rule.expected(c.sizes)), low, high, False)


class Layout(NamedTuple):
    """What the compiled program is given."""

    network: Any  # int64 [1]: address of the structure that describes everything, and owner of all that it points to


# ---- weights that change ---------------------------------------------------------------------------------------------


def _changed(pathway: Pathway, block: _Block, shards: _Shards, edges: int, first: int, places: int, kept: _Kept) -> Changed:
    """A block with weights of eight bytes, of which the weights are taken out; they become a part of the state."""
    records = np.ctypeslib.as_array(ctypes.cast(block.records, POINTER(c_uint8)), (edges * 10,)).reshape(edges, 10)
    c = pathway.changing.coefficients
    weights = np.ascontiguousarray(records[:, 2:]).view(np.int64).reshape(edges) * pathway.quantum
    targets = np.concatenate([np.ascontiguousarray(records[:, :2]).reshape(-1), np.zeros(64, np.uint8)])
    kept.alive = [array for array in kept.alive if getattr(array, "ctypes", None) is None or array.ctypes.data != block.records]
    block.records, block.weight_bytes = kept.array(targets, np.uint8), 0
    of_row = np.zeros(block.sources, np.int32)
    of_row[pathway.source - block.first_source] = pathway.changing.source
    of_place = np.zeros(places, np.int32)
    of_place[pathway.target] = pathway.changing.target
    names = ("up", "mu_up", "up_pair", "up_triplet", "down", "mu_down", "down_pair", "down_triplet", "down_always")
    dt = pathway.connectivity.dt
    part = _Plasticity(
        source=_fadings(c.source_tau, dt, kept), target=_fadings(c.target_tau, dt, kept), source_nearest=c.nearest,
        target_nearest=c.nearest, axonal=c.axonal, jumps=pathway.delta, grows=c.grows, least=c.least / pathway.quantum,
        range=c.range / pathway.quantum, first_weight=first, source_of_row=kept.array(of_row, np.int32),
        target_of=kept.array(of_place, np.int32), **{name: getattr(c, name) for name in names},
    )  # fmt: skip
    return Changed(pathway, block, part, shards, np.clip((weights - c.least) / c.range, 0.0, 1.0))


def _fadings(taus: tuple[float, ...], dt: float, kept: _Kept) -> Any:
    found = (_Fading * 2)()
    for i in range(2):  # a rule with one trace beside one with two has a second that nothing asks for
        fine, coarse = stdp.fading(taus[min(i, len(taus) - 1)], dt)
        found[i] = _Fading(kept.array(fine, np.float64), kept.array(coarse, np.float64), len(coarse))
    return found


PLASTIC = ("y", "sources", "source spikes", "targets", "target spikes", "recent", "needed", "seen")  # in the order of the calls


def plastic(p: Program, arranged: Arranged, known: Mapping[str, Weights], step: int) -> State:
    """What a run remembers of weights that change: y of each edge, and the last spikes of both sides with the traces after."""
    own = p.plasticity
    if not own.weights:
        return {}
    state = {
        "y": np.concatenate([other.start for other in arranged.edges.plastic]),
        "sources": _unspiked(own.sources, own.source_room, own.width),
        "source spikes": np.zeros(own.sources, np.int64),
        "targets": _unspiked(own.targets, own.target_room, own.width),
        "target spikes": np.zeros(own.targets, np.int64),
        "recent": np.zeros((own.targets, own.width, _RECENT)),  # follows from the rings
        "needed": np.full(own.targets, -1, np.int64),
        "seen": np.full(2, step, np.int64),
    }
    for other in arranged.edges.plastic if known else ():
        first, changing = other.part.first_weight, other.pathway.changing
        weights = known[changing.name]
        state["y"][first : first + len(other.start)][_decoded(other).order] = weights.y
        for side, places, spikes in (("source", changing.source, weights.source), ("target", changing.target, weights.target)):
            there = spikes[:, :, :1] > 0
            state[f"{side}s"][places, : spikes.shape[1]] = np.where(there, spikes, state[f"{side}s"][places, : spikes.shape[1]])
            state[f"{side} spikes"][places] = np.count_nonzero(spikes[:, :, 0] > 0, axis=1)
    number = state["target spikes"][:, None] - 1 - np.arange(_RECENT)
    recent = state["targets"][np.arange(own.targets)[:, None], number % own.target_room]
    state["recent"] = np.ascontiguousarray(recent.transpose(0, 2, 1))
    return state


def _unspiked(neurons: int, room: int, width: int) -> NDArray[np.float64]:
    """Rings of neurons that have not fired: see Rings in native/plastic.hpp."""
    found = np.zeros((neurons, room, width))
    found[:, :, 0] = _NEVER
    return found


def weights(p: Program, arranged: Arranged, layout: Layout, state: State, step: int) -> list[Weights]:
    """The weights of each plastic projection and what they will need, free of the kernel: all are brought up to date."""
    if not state:
        return []
    state = {name: np.array(values) for name, values in state.items()}
    shapes = [np.array(state[side].shape, np.int64) for side in ("sources", "targets")]
    given = (state["y"], state["sources"], state["source spikes"], shapes[0], state["targets"], state["target spikes"], shapes[1],
             state["recent"], state["needed"], state["seen"])  # fmt: skip
    library().snnrun_refresh(_network(layout), *(array.ctypes.data for array in given), step)
    found = []
    for other in arranged.edges.plastic:
        edges = _decoded(other)
        first, changing = other.part.first_weight, other.pathway.changing
        sides = [
            _last(state[f"{side}s"][places], state[f"{side} spikes"][places], step - times * p.plasticity.longest)
            for side, places, times in (("source", changing.source, 1), ("target", changing.target, 2))
        ]
        y = state["y"][first : first + len(edges.order)][edges.order]
        found.append(Weights(changing.name, edges.pre, edges.post, edges.delay, y, *sides))
    return found


def _last(rings: NDArray[Any], count: NDArray[Any], after: int) -> NDArray[Any]:
    """The spikes of each ring later than a step and the one before these, the oldest first; zeros follow."""
    neurons, room, _ = rings.shape
    number = count[:, None] - room + np.arange(room)
    spikes = rings[np.arange(neurons)[:, None], number % room]
    late = (spikes[:, :, 0] > after) & (number >= 0)
    wanted = late.copy()
    wanted[:, :-1] |= late[:, 1:]
    wanted[:, -1] = True
    wanted &= number >= 0
    order = np.argsort(~wanted, axis=1, kind="stable")
    spikes = np.where(wanted[:, :, None], spikes, 0.0)[np.arange(neurons)[:, None], order]
    return spikes[:, : max(int(wanted.sum(axis=1).max(initial=0)), 1)]


class _Decoded(NamedTuple):
    """The edges of a pathway in the order of source, target and delay."""

    order: NDArray[np.int64]  # where each is stored
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    delay: NDArray[np.int32]


def _decoded(other: Changed) -> _Decoded:
    b, pathway, shards = other.block, other.pathway, other.shards
    first = np.ctypeslib.as_array(ctypes.cast(b.first_edge, POINTER(c_int64)), (shards.count, b.sources + 1))
    if b.offsets:
        kind = c_uint32 if b.offset_bytes == 4 else c_uint16
        offsets = np.ctypeslib.as_array(ctypes.cast(b.offsets, POINTER(kind)), (shards.count, b.sources, b.ranks + 1))
        length = np.diff(offsets.astype(np.int64), axis=2)
    else:
        length = np.diff(first, axis=1)[:, :, None]
    segment = np.repeat(np.arange(length.size), length.reshape(-1))
    rank, row = segment % b.ranks, segment // b.ranks % b.sources
    first_place = np.ctypeslib.as_array(ctypes.cast(shards.first, POINTER(c_int64)), (shards.count + 1,))
    places = np.ctypeslib.as_array(ctypes.cast(b.records, POINTER(c_uint16)), (len(segment),))
    place = places + first_place[segment // (b.ranks * b.sources)]
    delay = np.ctypeslib.as_array(ctypes.cast(b.delay, POINTER(c_int64)), (b.ranks,))[rank].astype(np.int32)
    pre, post = (np.zeros(n, np.int32) for n in (b.sources, first_place[-1]))
    pre[pathway.source - b.first_source] = np.arange(len(pathway.source))
    post[pathway.target] = np.arange(len(pathway.target))
    pre, post = pre[row], post[place]
    order = np.argsort((pre * np.int64(len(pathway.target)) + post) * b.ranks + rank, kind="stable")
    return _Decoded(order, pre[order], post[order], delay[order])


# ---- a step ----------------------------------------------------------------------------------------------------------


def bind(arranged: Arranged, program: Program, noise: tuple[Any, ...], axis: Axis, quanta: tuple[float, ...]) -> Layout:
    kept, blocks, procedural, shards, slices, weights, threads, edges_per_segment, plastic, _ = arranged.edges
    plasticities = kept.structures(_Plasticity, [other.part for other in plastic])[0]
    for number, other in enumerate(plastic):
        other.block.plasticity = plasticities + number * ctypes.sizeof(_Plasticity)
    numbers = [other.pathway.changing.number for other in plastic]
    sources, targets = (
        [_PlasticRun(*run._replace(number=numbers.index(run.number))) for run in side if run.number in numbers]
        for side in (program.plasticity.source_runs, program.plasticity.target_runs)
    )
    ends = np.append(axis.starts[1:], axis.places)
    stages = []
    for stage in (JUMPS, ARRIVALS):
        receiving = _receiving(program, stage)
        extents = {}  # of each stack that receives: its receptors, as the indices of the first and of the one after the last
        for i in receiving:
            stack = program.stacks[i]
            extents[i] = np.searchsorted(axis.starts, [stack.first, stack.first + stack.places])
        mine = [r for low, high in extents.values() for r in range(low, high)]
        counting = (
            all(len(weights[r]) <= 1 and max(map(abs, weights[r]), default=0) < 2**53 for r in mine)
            and not any(block.weight_bytes or block.release or block.plasticity for block in blocks[stage])
            and not procedural[stage]
            and not any(program.stacks[i].noise for i in receiving)
        )
        unit = {r: quanta[r] * (next(iter(weights[r]), 1) if counting else 1) for r in mine}
        parts, noises = [], []
        for result, i in enumerate(receiving):
            stack = program.stacks[i]
            for part in slices:
                if not stack.first <= part.first < stack.first + stack.places:
                    continue
                parts += _handed_out(part, stack.first, result, extents[i], axis.starts, ends, unit)
                for n in stack.noise:
                    plan, begin = program.noise[n], part.first - stack.first
                    low, high = max(begin - plan.first, plan.start), min(begin + part.size - plan.first, plan.stop)
                    if low < high:
                        noises.append(_noise(part.place + plan.first - begin, low, high, plan, noise[n], kept))
        stages.append(
            _Stage(
                *kept.structures(_Block, blocks[stage]),
                *kept.structures(_Procedural, procedural[stage]),
                *kept.structures(_Noise, noises),
                *kept.structures(_Receptor, parts),
                len(receiving),
                counting,
                stage == ARRIVALS and max(_per_shard(parts, shards), default=0) <= FEW_RECEPTORS,
            )
        )
    network = _Network(threads, program.targets, shards, plasticities, *kept.structures(_PlasticRun, [*sources, *targets]),
                       len(sources), program.plasticity.longest, edges_per_segment, WORTH_SHARING,
                       tuple(stages))  # fmt: skip
    return Layout(kept.owned(kept.structures(_Network, [network])[0]))


def _per_shard(parts: list[_Receptor], shards: _Shards) -> list[int]:
    """How many pieces of receptors each shard has."""
    first = np.ctypeslib.as_array(ctypes.cast(shards.first, POINTER(c_int64)), (shards.count + 1,))
    return np.bincount(np.searchsorted(first, [part.first for part in parts], side="right")).tolist()


def _handed_out(
    part: Slice, first: int, result: int, extent: Any, starts: Any, ends: Any, unit: dict[int, float]
) -> list[_Receptor]:
    """A slice of a stack whose first place is given, in pieces of one unit."""
    low = max(int(np.searchsorted(starts, part.first, side="right")) - 1, int(extent[0]))
    pieces: list[_Receptor] = []
    for r in range(low, int(extent[1])):
        begin, end = max(int(starts[r]), part.first), min(int(ends[r]), part.first + part.size)
        if begin >= part.first + part.size:
            break
        if pieces and pieces[-1].quantum == unit[r]:
            pieces[-1].size += end - begin
        else:
            pieces.append(_Receptor(part.place + begin - part.first, end - begin, unit[r], result, begin - first))
    return pieces


def _noise(target: int, begin: int, end: int, plan: Any, const: Any, kept: _Kept) -> _Noise:
    """A Poisson input on the neurons begin ... end - 1, whose places are `target` further on."""
    table = const.table if const.course is None else const.course.rows
    found = _Noise(
        target, begin, end, plan.start, plan.stop,
        kept.array(table, np.uint32), len(table), const.course is None and table.ndim == 2,
        kept.array(np.atleast_1d(const.weight), np.int64), np.size(const.weight), const.start, const.stop, const.delay_steps,
        tuple(int(word) for word in const.stream),
    )  # fmt: skip
    if const.course is not None:
        rows, changes, places, phase, turn = const.course
        count, changes = (0, None) if changes is None else (len(changes), np.append(changes, END))
        found.course = _Course(
            kept.array(rows, np.uint32), rows.shape[1], kept.array(changes, np.int64), kept.array(places, np.uint64), count,
            int(phase), int(turn),
        )  # fmt: skip
    if const.copies is not None:
        found.copies, found.events = kept.array(const.copies, np.uint32), const.copies.shape[1]
        found.mother = tuple(int(word) for word in const.mother)
    return found


def _receiving(p: Program, stage: int) -> list[int]:
    """Stacks of a stage that spikes or noise reach."""
    return [i for i, stack in enumerate(p.stacks) if stack.synapse.jumps == (stage == JUMPS) and stack.reached]


def transit(
    p: Program, arranged: Arranged, layout: Layout, rows: NDArray[np.uint32], carried: NDArray[np.float64], step: int
) -> Transit:
    waits = any(procedural.pathway.delay_law for stage in arranged.edges.procedural for procedural in stage)
    words, depth = p.sources // 32, p.depth + 1
    bits = np.zeros((depth, words), np.uint32)
    bits[np.arange(step - p.depth, step) % depth] = rows
    parts = np.zeros((depth, p.releases.places))
    parts[np.arange(step - p.depth, step) % depth] = carried
    pending = _pending(p, layout, bits, parts, step) if waits else None
    return Transit(bits, _digests(bits), parts if p.releases.places else None, pending)


def _digests(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """How many fired in each row, and a bit for each 64 sources that says whether any of them did."""
    found = np.zeros((len(bits), 1 + (bits.shape[1] // 2 + 31) // 32), np.uint32)
    found[:, 0] = np.bitwise_count(bits).sum(axis=1)
    some = bits.reshape(len(bits), -1, 2).any(axis=2)
    packed = np.packbits(np.pad(some, ((0, 0), (0, -(bits.shape[1] // 2) % 32))), axis=1, bitorder="little")
    found[:, 1:] = packed.view(np.uint32)
    return found


def _pending(p: Program, layout: Layout, bits: NDArray[np.uint32], carried: NDArray[np.float64], step: int) -> NDArray[np.int64]:
    """What the spikes of the last steps have drawn for `step` and later: they are gone through again, and only that is kept."""
    pending = np.zeros((len(bits), p.targets), np.int64)
    if not bits.any():
        return pending
    network = _network(layout)
    for again in range(step - p.depth, step):
        for stage in (JUMPS, ARRIVALS):
            out = [np.empty(p.stacks[i].places) for i in _receiving(p, stage)]
            places = (c_void_p * max(len(out), 1))(*(values.ctypes.data for values in out))
            library().snnrun_arrivals(
                network,
                stage,
                len(bits),
                bits.shape[1],
                bits.ctypes.data,
                carried.ctypes.data,
                carried.shape[1],
                again,
                pending.ctypes.data,
                places,
            )
    return pending


def _network(layout: Layout) -> Any:
    return ctypes.cast(int(layout.network[0]), POINTER(_Network))


def rows(p: Program, transit: Transit, step: int) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    last = np.arange(step - p.depth, step) % (p.depth + 1)
    carried = kernels.unscaled(p) if transit.carried is None else np.asarray(transit.carried)[last]
    return np.asarray(transit.words)[last], carried


def fired(p: Program, transit: Transit, step: Any) -> Any:
    return transit.words[step % (p.depth + 1)]


def jumps(p: Program, layout: Layout, transit: Transit, weights: State, step: Any) -> tuple[Transit, State, list[Any], None]:
    receiving = _receiving(p, JUMPS)
    if not receiving:
        return transit, weights, [None] * len(p.stacks), None
    _registered()
    waits, carried = _waiting(transit), [] if transit.carried is None else [transit.carried]
    changing = [weights[name] for name in PLASTIC if weights]
    y = changing[:1]
    aliases = {4 + len(carried): len(receiving)} if y else {}
    aliases |= {4 + len(carried) + len(changing) + i: len(receiving) + len(y) + i for i in range(len(waits))}
    shapes = [*_outputs(p, receiving), *map(_like, y), *map(_like, waits)]
    call = ffi.ffi_call("snnrun_jumps", shapes, input_output_aliases=aliases)
    found = call(
        layout.network, step, transit.words, transit.count, *carried, *changing, *waits,
        releases=np.int64(p.releases.places), plastic=np.int64(bool(y)),
    )  # fmt: skip
    transit = transit._replace(pending=found[-1]) if waits else transit
    weights = weights | {"y": found[len(receiving)]} if y else weights
    return transit, weights, _spread(p, receiving, found[: len(receiving)]), None


def close(p: Program, layout: Layout, transit: Transit, weights: State, waiting: None, step: Any, fired: list[Any],
          states: list[State], released: Released | None, entered: list[Entry | None], frames: Any, first: Any, end: Any,
          ) -> tuple[Transit, State, list[Any], list[State], State, Any]:  # fmt: skip
    _registered()
    receiving = _receiving(p, ARRIVALS)
    into = [entry for i in receiving if (entry := entered[i]) is not None]
    decays = [jnp.asarray(entry.decay, entry.variable.dtype) for entry in into]
    scales = [jnp.asarray(entry.scale, entry.variable.dtype) for entry in into if entry.scale is not None]
    numbers = iter(range(len(scales)))
    scaled = [-1 if entry.scale is None else next(numbers) for entry in into]
    names = [(g, name) for g, state in enumerate(states) for name in state]
    leaves = [states[g][name] for g, name in names]
    who, reached, then, values = [], [], [], []
    for g, crossing in enumerate(fired):
        if not isinstance(crossing, Crossing):
            who.append(crossing)
            reached.append(-1)
            continue
        reached.append(names.index((g, crossing.variable)))
        who.append(jnp.asarray(crossing.threshold, states[g][crossing.variable].dtype))
        for name, value in crossing.then.items():
            then += [g, names.index((g, name))]
            values.append(jnp.asarray(value, states[g][name].dtype))
    kept, waits = [frames, transit.words, transit.count], _waiting(transit)
    variables = [entry.variable for entry in into]
    changed, carried = ([], []) if released is None else (list(released.without.values()), [transit.carried])
    given = [*kept, *who, *leaves, *values, *variables, *decays, *scales]
    releases_at = len(given)
    if released is not None:
        given += [*carried, *changed, released.carried, *released.then.values()]
    plastic_at, changing = len(given), [weights[name] for name in PLASTIC if weights]
    given += [*changing, *waits]
    shapes = [*map(_like, [*kept, *leaves, *variables, *carried, *changed, *changing, *waits])]
    aliases = {4 + i: i for i in range(len(kept))}
    aliases |= {4 + len(kept) + len(who) + i: len(kept) + i for i in range(len(leaves))}
    before = 4 + len(kept) + len(who) + len(leaves) + len(values)
    aliases |= {before + i: len(kept) + len(leaves) + i for i in range(len(variables))}
    after = len(kept) + len(leaves) + len(variables)
    aliases |= {4 + releases_at + i: after + i for i in range(len(carried) + len(changed))}
    after += len(carried) + len(changed)
    aliases |= {4 + plastic_at + i: after + i for i in range(len(changing))}
    aliases |= {3 + len(given): len(shapes) - 1} if waits else {}
    call = ffi.ffi_call("snnrun_close", shapes, input_output_aliases=aliases)
    result = call(
        layout.network, step, first, end, *given,
        taps=np.array([word for run in p.tapped for word in run], np.int64), reached=np.array(reached, np.int64),
        sizes=np.array([group.size for group in p.groups], np.int64), then=np.array(then, np.int64),
        leaves=np.int64(len(leaves)), scaled=np.array(scaled, np.int64), single=np.int64(p.precision == "float32"),
        releases=np.array([number for run in p.releases.runs for number in run], np.int64), plastic=np.int64(bool(changing)),
    )  # fmt: skip
    frames, words, digests, *found = result
    states_after: list[State] = [{} for _ in states]
    for (g, name), leaf in zip(names, found, strict=False):
        states_after[g][name] = leaf
    found = found[len(names) :]
    own = found[len(into) : len(into) + len(carried) + len(changed)]
    transit = Transit(words, digests, own[0] if carried else None, found[-1] if waits else None)
    releases = {} if released is None else dict(zip(released.without, own[1:], strict=True))
    rest = found[len(into) + len(own) :]
    weights = dict(zip(PLASTIC, rest, strict=False)) if changing else {}
    added = _spread(p, receiving, found[: len(receiving)])
    for i, entry in enumerate(entered):
        if added[i] is None and entry is not None:
            added[i] = decayed(entry.decay, entry.variable, entry.zero)
    return transit, weights, added, states_after, releases, frames


def _waiting(transit: Transit) -> list[Any]:
    return [] if transit.pending is None else [transit.pending]


def _like(array: Any) -> Any:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _outputs(p: Program, receiving: list[int]) -> list[Any]:
    return [jax.ShapeDtypeStruct((p.stacks[i].rows, p.stacks[i].padded), np.dtype(p.precision)) for i in receiving]


def _spread(p: Program, receiving: list[int], found: list[Any]) -> list[Any]:
    """One entry per stack; None for those that receive nothing."""
    by_stack = dict(zip(receiving, found, strict=True))
    return [by_stack.get(i) for i in range(len(p.stacks))]


def words(streams: random.Streams, step: Any) -> Any:
    """random.words."""
    _registered()
    call = ffi.ffi_call("snnrun_words", jax.ShapeDtypeStruct(streams.neuron.shape, np.uint32))
    return call(streams.keys, streams.sizes, jnp.asarray(step))
