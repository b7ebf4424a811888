"""Connection rules: which neuron of `pre` reaches which neuron of `post`.

Indices count within the selections that a projection connects (N_pre and N_post neurons). Every edge carries the pair
(entity, number) under which its weight and delay are drawn: entity is the row that drew the edge (the source for rules
drawn source by source, the target for fixed_indegree, the draw itself for fixed_total) and number its place in that row.

A Connectivity says how the edges of a projection come about, with their weights and delays; drawing them is left to who
arranges them, as often as they need them: native code (native/connect.hpp, the twin of this file) or `edges`.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from snnrun import random, units
from snnrun.document import Fault, SpecError
from snnrun.models import graphs, spatial
from snnrun.models.rule import (
    BaseRule,
    Chunks,
    Degree,
    Drafts,
    DrawnRule,
    Indices,
    Sizes,
    SymmetricRule,
    along,
    kept,
    mirrored,
    never_more,
    own_pairs,
    row_chunks,
    too_many,
    unalike,
)
from snnrun.models.space import DelayByDistance, Space, WeightByDistance
from snnrun.quantities import Law, OffGrid, fault

MAX_DELAY = 2**24  # steps: who fired is remembered for as long as the longest delay

# ---- what a user writes ----------------------------------------------------------------------------------------------


class OneToOne(BaseRule):
    """Neuron i of pre to neuron i of post."""

    rule: Literal["one_to_one"]

    @property
    def listed(self) -> bool:
        return True

    def expected(self, sizes: Sizes) -> float:
        return float(min(sizes.pre, sizes.post))

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        if sizes.pre == sizes.post:
            return None
        message = f"one_to_one needs equal sizes; pre has {sizes.pre:,} neurons and post {sizes.post:,}"
        return message, "select slices of equal size"


class AllToAll(BaseRule):
    """Every neuron of pre to every neuron of post."""

    by_source = True
    complete = True
    rule: Literal["all_to_all"]

    def most_inputs(self, sizes: Sizes) -> float:
        return sizes.pre

    def expected(self, sizes: Sizes) -> float:
        return float(sizes.pre) * sizes.post - own_pairs(self, sizes)

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return None


class FixedProb(SymmetricRule):
    """Every pair independently with probability p; no pair twice."""

    by_source = True
    random_number = True
    rule: Literal["fixed_prob"]
    p: Annotated[float, Field(ge=0, le=1, strict=True)]
    """Probability of a synapse."""

    @property
    def listed(self) -> bool:
        return self.symmetric

    def most_inputs(self, sizes: Sizes) -> float:
        return min(never_more(self.p * sizes.pre), sizes.pre)

    def expected(self, sizes: Sizes) -> float:
        return self.p * (float(sizes.pre) * sizes.post - own_pairs(self, sizes))

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return unalike(self, sizes)


class FixedIndegree(DrawnRule):
    """Every neuron of post draws n sources, uniformly."""

    by_target = True
    rule: Literal["fixed_indegree"]
    n: Degree
    """Number of sources."""

    def most_inputs(self, sizes: Sizes) -> float:
        return self.n

    def expected(self, sizes: Sizes) -> float:
        return float(self.n) * sizes.post

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return too_many(self, self.n, sizes.pre, "an in-degree", "pre", sizes)


class FixedOutdegree(DrawnRule):
    """Every neuron of pre draws n targets, uniformly."""

    by_source = True
    rule: Literal["fixed_outdegree"]
    n: Degree
    """Number of targets."""

    def most_inputs(self, sizes: Sizes) -> float:
        """A source that bars itself leaves one target less."""
        most = never_more(self.n * sizes.pre / max(sizes.post - bool(own_pairs(self, sizes)), 1))
        return most if self.multapses else min(most, sizes.pre)

    def expected(self, sizes: Sizes) -> float:
        return float(self.n) * sizes.pre

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return too_many(self, self.n, sizes.post, "an out-degree", "post", sizes)


class FixedTotal(DrawnRule):
    """n pairs drawn uniformly."""

    rule: Literal["fixed_total"]
    n: Annotated[int, Field(ge=0, lt=2**53, strict=True)]
    """Number of synapses."""

    @property
    def listed(self) -> bool:
        return not self.multapses

    def most_inputs(self, sizes: Sizes) -> float:
        most = never_more(self.n * sizes.pre / max(sizes.pre * sizes.post - own_pairs(self, sizes), 1))
        return most if self.multapses else min(most, sizes.pre)

    def expected(self, sizes: Sizes) -> float:
        return float(self.n)

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        pairs = sizes.pre * sizes.post - own_pairs(self, sizes)
        if self.n and pairs == 0:
            return "there is no pair to connect without autapses", "set autapses: true"
        if not self.multapses and self.n > pairs:
            return f"{self.n:,} distinct pairs are wanted, but there are {pairs:,}", "set multapses: true, or lower n"
        return None


class Pairs(BaseRule):
    """The pairs listed here: [[pre, post], ...], 0-based within the selections; a pair given twice connects twice."""

    rule: Literal["pairs"]

    @property
    def listed(self) -> bool:
        return True

    pairs: tuple[tuple[Annotated[int, Field(ge=0, strict=True)], Annotated[int, Field(ge=0, strict=True)]], ...]

    def expected(self, sizes: Sizes) -> float:
        return float(len(self.pairs))

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return None  # checked pair by pair


Index = Annotated[int, Field(ge=0, lt=2**53, strict=True)]


class File(BaseRule):
    """The pairs listed in a file: CSV with a header, NPZ or HDF5 with `pre, post` and optionally `weight_<unit>, delay_ms`.

    An HDF5 file in SONATA's edge format is read as well; its `syn_weight` is in mV, pA or nS, whatever the weight is.
    """

    rule: Literal["file"]
    path: str
    """The file, relative to the folder of the network file."""
    population: str | None = None
    """Which edge population of a SONATA file; may be left out where there is one."""
    types: str | None = None
    """The table of edge types of a SONATA file, which has the properties that the edges have not."""
    off_grid: OffGrid = "error"
    """What becomes of delays of the file that are no whole number of steps: an error, the nearest step, or the next one."""
    edge_types: tuple[Index, ...] | None = None
    """Only the edges of these types of a SONATA file."""
    sign: Literal["positive", "negative"] | None = None
    """Only the edges whose weight in the file is at least 0, or below 0."""
    scale: Annotated[float, Field(strict=True, allow_inf_nan=False)] = 1.0
    """What the weights of the file are multiplied by, like -1 where a file marks inhibition by the sign of a conductance."""
    pre_nodes: tuple[tuple[Index, Index], ...] | None = None
    """Which indices of the file are the neurons of pre, in their order, as ranges [from, to): edges from others are left out."""
    post_nodes: tuple[tuple[Index, Index], ...] | None = None
    """The same of post."""

    @model_validator(mode="after")
    def _ranges(self) -> "File":
        for field in ("pre_nodes", "post_nodes"):
            ranges: tuple[tuple[int, int], ...] = getattr(self, field) or ()
            for number, (start, stop) in enumerate(ranges):
                if stop <= start:
                    raise fault(f"the range [{start}, {stop}] is empty", "its end lies above its start", at=(field, number))
            for (_, before), (after, _) in itertools.pairwise(sorted(ranges)):
                if after < before:
                    raise fault(f"the index {after} is in two ranges", "name every index once", at=(field,))
        return self

    def expected(self, sizes: Sizes) -> float:
        return 0.0  # the length of the file is not known before it is read

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return None


Rule = Annotated[
    OneToOne
    | AllToAll
    | FixedProb
    | FixedIndegree
    | FixedOutdegree
    | FixedTotal
    | Pairs
    | File
    | graphs.PairwisePoisson
    | graphs.SmallWorld
    | graphs.ScaleFree
    | graphs.Blocks
    | spatial.Spatial
    | spatial.SpatialIndegree
    | spatial.SpatialOutdegree,
    Field(discriminator="rule"),
]


# ---- drawing ---------------------------------------------------------------------------------------------------------


def chunks(rule: Any, sizes: Sizes, stream: random.Key, space: Space | None = None) -> Chunks:
    """The edges of a rule other than `file` in chunks, each drawn when it is called: they may be called side by side.

    Raises spatial.OutOfReach, at once or when a chunk is called, where a neuron has fewer partners than it is to draw.
    """
    return _SPATIAL[rule.rule](rule, sizes, stream, space) if rule.spatial else _RULES[rule.rule](rule, sizes, stream)


def _one_to_one(rule: OneToOne, sizes: Sizes, stream: random.Key) -> Chunks:
    i = np.arange(sizes.pre)
    if not rule.autapses:
        i = i[sizes.post_of_pre()[i] != i]
    yield lambda: Drafts(i, i, i, np.zeros_like(i))


def _all_to_all(rule: AllToAll, sizes: Sizes, stream: random.Key) -> Chunks:
    own = sizes.post_of_pre()

    def targets_of(sources: Indices) -> Drafts:
        pre = np.repeat(sources, sizes.post)
        post = np.tile(np.arange(sizes.post), len(sources))
        chunk = Drafts(pre, post, pre, post)
        return chunk if rule.autapses else kept(chunk, own[pre] != post)

    for sources in row_chunks(sizes.pre, sizes.post):
        yield partial(targets_of, sources)


def _fixed_prob(rule: FixedProb, sizes: Sizes, stream: random.Key) -> Chunks:
    """Targets of a source by the gaps between them, which are geometric: floor(log(u) / log(1 - p))."""
    if rule.p == 0:
        return
    if rule.p == 1:
        for chunk in _all_to_all(AllToAll(rule="all_to_all", autapses=rule.autapses), sizes, stream):
            yield partial(_mirrored_of, chunk) if rule.symmetric else chunk
        return
    own = sizes.post_of_pre()
    log_q = random.log1p(-rule.p)
    mean = sizes.post * rule.p
    batch = 2 * int(mean / 2 + 3.0 * np.sqrt(mean) / 2 + 4)  # one batch does for nearly all rows

    def steps(u: Any) -> Any:
        return np.minimum(np.floor(random.log(u) / log_q), sizes.post).astype(np.int64) + 1

    def targets_of(sources: Indices) -> Drafts:
        source, target, number = along(sources, sizes.post, steps, -1, batch, stream)
        chunk = Drafts(source, target, source, number)
        chunk = chunk if rule.autapses else kept(chunk, own[chunk.pre] != chunk.post)
        return mirrored(chunk) if rule.symmetric else chunk

    for sources in row_chunks(sizes.pre, batch):
        yield partial(targets_of, sources)


def _mirrored_of(chunk: Callable[[], Drafts]) -> Drafts:
    return mirrored(chunk())


def _partners(n: int, rule: DrawnRule, there: int, own: Indices, stream: random.Key, rows: Indices) -> tuple[Indices, ...]:
    """For each of some neurons n partners out of `there`: (row, partner, number in row).

    Without autapses the own index is left out of the candidates: partners at or above it move up by one.
    """
    excluded = np.full(len(rows), -1, np.int64) if rule.autapses else own[rows]
    partners = np.empty((len(rows), n), np.int64)
    for group, candidates in ((excluded < 0, there), (excluded >= 0, there - 1)):
        if not group.any():
            continue
        pick = _with_repeats if rule.multapses else _distinct
        picked = pick(stream, rows[group], candidates, n)
        barred = excluded[group][:, None]
        partners[group] = picked + ((barred >= 0) & (picked >= barred))
    return np.repeat(rows, n), partners.ravel(), np.tile(np.arange(n), len(rows))


def _with_repeats(stream: random.Key, entities: Indices, candidates: int, n: int) -> Indices:
    return random.below(random.rows(stream, entities, 0, n + n % 2)[:, :n], candidates)


def _distinct(stream: random.Key, entities: Indices, candidates: int, n: int) -> Indices:
    """The first n different numbers of each entity's sequence; beyond half of the candidates, those that it leaves out."""
    if n == 0:
        return np.empty((len(entities), 0), np.int64)
    if 2 * n > candidates:
        left_out = _distinct(stream, entities, candidates, candidates - n)
        keep = np.ones((len(entities), candidates), bool)
        np.put_along_axis(keep, left_out, False, axis=1)
        return np.nonzero(keep)[1].reshape(len(entities), n)
    drawn = 2 * int(0.7 * n + 2.0 * np.sqrt(n) + 4)
    found = np.empty((len(entities), n), np.int64)
    open_ = np.arange(len(entities))
    while len(open_):
        values = random.below(random.rows(stream, entities[open_], 0, drawn), candidates)
        order = np.argsort(values, axis=1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=1)
        repeated = np.zeros(values.shape, bool)
        np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        rank = np.cumsum(~repeated, axis=1)
        enough = rank[:, -1] >= n
        first = ~repeated & (rank <= n)
        found[open_[enough]] = values[enough][first[enough]].reshape(-1, n)
        open_, drawn = open_[~enough], 2 * drawn
    return found


def _fixed_indegree(rule: FixedIndegree, sizes: Sizes, stream: random.Key) -> Chunks:
    own = sizes.pre_of_post()

    def sources_of(targets: Indices) -> Drafts:
        target, source, number = _partners(rule.n, rule, sizes.pre, own, stream, targets)
        return Drafts(source, target, target, number)

    for targets in row_chunks(sizes.post, rule.n):
        yield partial(sources_of, targets)


def _fixed_outdegree(rule: FixedOutdegree, sizes: Sizes, stream: random.Key) -> Chunks:
    own = sizes.post_of_pre()

    def targets_of(sources: Indices) -> Drafts:
        source, target, number = _partners(rule.n, rule, sizes.post, own, stream, sources)
        return Drafts(source, target, source, number)

    for sources in row_chunks(sizes.pre, rule.n):
        yield partial(targets_of, sources)


def _fixed_total(rule: FixedTotal, sizes: Sizes, stream: random.Key) -> Chunks:
    if not rule.multapses:
        yield lambda: _distinct_pairs(rule, sizes, stream)
        return
    own = sizes.post_of_pre()

    def pairs_of(draws: Indices) -> Drafts:
        pre, post = _pairs_of(draws, rule, sizes, own, stream)
        return Drafts(pre, post, draws, np.zeros_like(draws))

    for draws in row_chunks(rule.n, 1):
        yield partial(pairs_of, draws)


def _pairs_of(draws: Indices, rule: FixedTotal, sizes: Sizes, own: Indices, stream: random.Key) -> tuple[Indices, Indices]:
    """The pair of each draw: uniform, and drawn again where it is an autapse that must not be."""
    pre, post = (np.empty(len(draws), np.int64) for _ in range(2))
    open_, attempt = np.arange(len(draws)), 0
    while len(open_):
        first, second = random.blocks(stream, draws[open_], attempt)
        pre[open_], post[open_] = random.below(first, sizes.pre), random.below(second, sizes.post)
        if rule.autapses:
            break
        open_, attempt = open_[own[pre[open_]] == post[open_]], attempt + 1
    return pre, post


def _distinct_pairs(rule: FixedTotal, sizes: Sizes, stream: random.Key) -> Drafts:
    """The first n different pairs of the sequence of draws; beyond half of all pairs, those that it leaves out."""
    own = sizes.post_of_pre()
    possible = sizes.pre * sizes.post - own_pairs(rule, sizes)
    wanted = min(rule.n, possible - rule.n)
    codes, drawn = np.empty(0, np.int64), 0
    while len(codes) < wanted:
        draws = np.arange(drawn, drawn + int(1.5 * (wanted - len(codes))) + 64)
        pre, post = _pairs_of(draws, rule, sizes, own, stream)
        every = np.concatenate([codes, pre * sizes.post + post])
        codes = every[np.sort(np.unique(every, return_index=True)[1])]
        drawn += len(draws)
    codes = codes[:wanted]
    if wanted < rule.n:
        keep = np.ones(sizes.pre * sizes.post, bool)
        keep[codes] = False
        if not rule.autapses:
            inside = own >= 0
            keep[np.flatnonzero(inside) * sizes.post + own[inside]] = False
        codes = np.flatnonzero(keep)
    number = np.arange(len(codes))
    return Drafts(codes // sizes.post, codes % sizes.post, number, np.zeros_like(number))


def _pairs(rule: Pairs, sizes: Sizes, stream: random.Key) -> Chunks:
    listed = np.array(rule.pairs, np.int64).reshape(-1, 2)
    number = np.arange(len(listed))
    chunk = Drafts(listed[:, 0], listed[:, 1], number, np.zeros_like(number))
    yield lambda: chunk if rule.autapses else kept(chunk, sizes.post_of_pre()[chunk.pre] != chunk.post)


_RULES: dict[str, Any] = {
    "one_to_one": _one_to_one,
    "all_to_all": _all_to_all,
    "fixed_prob": _fixed_prob,
    "fixed_indegree": _fixed_indegree,
    "fixed_outdegree": _fixed_outdegree,
    "fixed_total": _fixed_total,
    "pairs": _pairs,
    "pairwise_poisson": graphs.pairwise_poisson,
    "small_world": graphs.small_world,
    "scale_free": graphs.scale_free,
    "blocks": graphs.blocks,
}
_SPATIAL: dict[str, Any] = {
    "spatial": spatial.spatial,
    "spatial_indegree": spatial.spatial_indegree,
    "spatial_outdegree": spatial.spatial_outdegree,
}


# ---- edges with weights and delays -----------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """A value that is drawn for each edge."""

    law: Law
    stream: random.Key


class Connectivity(NamedTuple):
    """How the edges of a projection come about."""

    name: str  # of the projection
    rule: Any  # None where the edges are listed
    sizes: Sizes
    stream: random.Key
    weight: Any  # mV, pA or nS: one number, Drawn, by distance, or one per listed edge
    delay: Any  # one number in steps, Drawn (in ms), by distance, or one per listed edge in steps
    dt: float
    positive: bool = False  # whether weights must not be negative: they are conductances
    listed: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None  # pre and post of every edge
    space: Space | None = None  # where the neurons are, if anything depends on it


def individual(value: Any) -> bool:
    """Whether a weight or delay is found for each edge: drawn, or from the distance of its neurons."""
    return isinstance(value, Drawn | WeightByDistance | DelayByDistance)


class Edges(NamedTuple):
    """Edges with indices within the pre and post selections of their projection."""

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: Any  # one number, or one per edge
    delay: Any  # whole steps; one number, or one per edge


def edges(connectivity: Connectivity) -> Iterator[Callable[[], Edges]]:
    """All edges in chunks, each drawn when it is called: they may be called side by side."""
    c = connectivity
    if c.listed is not None:
        yield lambda: Edges(*c.listed, c.weight, c.delay)  # type: ignore[misc]
        return

    def drawn(chunk: Callable[[], Drafts]) -> Edges:
        drafts = chunk()
        weight = drawn_weights(c, drafts) if individual(c.weight) else c.weight
        delay = drawn_delays(c, drafts) if individual(c.delay) else c.delay
        return Edges(drafts.pre.astype(np.int32), drafts.post.astype(np.int32), weight, delay)

    for chunk in chunks(c.rule, c.sizes, c.stream, c.space):
        yield partial(drawn, chunk)


def collect(connectivity: Connectivity) -> Edges:
    """All edges at once."""
    with ThreadPoolExecutor(_threads()) as pool:  # an edge depends on no other, so their order does not matter
        found = list(pool.map(lambda chunk: chunk(), edges(connectivity)))
    pre, post, weight, delay = zip(*found, strict=True) if found else ((), (), (), ())
    return Edges(
        _joined(pre, np.int32),
        _joined(post, np.int32),
        _joined(weight, np.float64) if individual(connectivity.weight) else connectivity.weight,
        _joined(delay, np.int32) if individual(connectivity.delay) else connectivity.delay,
    )


def _threads() -> int:
    """As many as there are cores for this process; more than eight would wait for one another."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)


def _joined(chunks: Any, dtype: Any) -> NDArray[Any]:
    return np.concatenate(chunks).astype(dtype, copy=False) if len(chunks) else np.empty(0, dtype)


def drawn_weights(c: Connectivity, drafts: Drafts) -> NDArray[np.float64]:
    """The weights of some edges in mV, pA or nS."""
    weights = _draw(c, "weight", drafts)
    if c.positive and (weights < 0).any():
        raise negative_weights(c, int(np.count_nonzero(weights < 0)))
    return weights


def drawn_delays(c: Connectivity, drafts: Drafts) -> NDArray[np.int32]:
    """The delays of some edges in steps, half away from zero."""
    with np.errstate(over="ignore"):
        steps = np.floor(_draw(c, "delay", drafts) / c.dt + 0.5)
    if (steps < 0).any():
        raise negative_delays(c, int(np.count_nonzero(steps < 0)))
    if len(steps) and steps.max() > MAX_DELAY:
        raise delay_too_long(c, float(steps.max()))
    return steps.astype(np.int32)


def _draw(c: Connectivity, field: str, drafts: Drafts) -> NDArray[np.float64]:
    drawn = getattr(c, field)
    if not isinstance(drawn, Drawn):
        assert c.space is not None
        return drawn.values(c.space.distance(drafts.pre, drafts.post))
    try:
        return random.draw(drawn.stream, drawn.law, drafts.entity, drafts.number)
    except random.DrawError:
        raise unmet(c, field) from None


def drawable(c: Connectivity, field: str) -> None:
    """Raise SpecError where a weight or delay has bounds that some draws do not meet."""
    if isinstance(getattr(c, field), Drawn):
        number = np.arange(64)
        _draw(c, field, Drafts(number, number, number, number))


def unmet(c: Connectivity, field: str) -> SpecError:
    law = getattr(c, field).law
    return SpecError([Fault(("projections", c.name, field, law.kind), str(random.DrawError()), "widen the bounds")])


def negative_weights(c: Connectivity, count: int) -> SpecError:
    fault = Fault(("projections", c.name, "weight"), f"{count:,} drawn conductances are negative", "add redraw: {min: 0 nS}")
    return SpecError([fault])


def negative_delays(c: Connectivity, count: int) -> SpecError:
    hint = f"add redraw: {{min: {units.show(c.dt / 2, 'time')}}}"
    return SpecError([Fault(("projections", c.name, "delay"), f"{count:,} drawn delays are negative", hint)])


def too_long(steps: float, dt: float) -> tuple[str, str]:
    """What is wrong with a delay, and what to do."""
    hint = f"delays are at most {MAX_DELAY:,} steps, which are {units.show(MAX_DELAY * dt, 'time')}"
    return f"a delay of {steps:,.15g} steps is too long", hint


def delay_too_long(c: Connectivity, steps: float) -> SpecError:
    return SpecError([Fault(("projections", c.name, "delay"), *too_long(steps, c.dt))])


def weight_bounds(c: Connectivity) -> tuple[float, float]:
    """No weight lies outside of these."""
    return _bounds(c.weight)


def delay_bounds(c: Connectivity) -> tuple[int, int]:
    """No delay lies outside of these, in steps."""
    low, high = _bounds(c.delay)
    if isinstance(c.delay, Drawn):
        low, high = math.floor(low / c.dt + 0.5), math.floor(min(high / c.dt, 2.0**62) + 0.5)
    return int(low), int(high)


def _bounds(value: Any) -> tuple[float, float]:
    if isinstance(value, Drawn):
        return random.bounds(value.law)
    if isinstance(value, int | float):
        return value, value
    return (float(np.min(value)), float(np.max(value))) if np.size(value) else (0.0, 0.0)


def procedural(c: Connectivity, if_needed: bool) -> bool:
    """Whether edges are to be drawn again instead of stored: as the file says, or to if_needed memory where it leaves it open."""
    if c.listed is not None or not c.rule.redrawn:
        return False
    return c.rule.storage == "procedural" or (if_needed and c.rule.storage == "auto" and _never_negative(c))


def _never_negative(c: Connectivity) -> bool:
    return delay_bounds(c)[0] >= 0 and not (c.positive and weight_bounds(c)[0] < 0)


def most_inputs(c: Connectivity) -> Any:
    """How many edges a target has at most, for each target of the projection or for all."""
    return c.rule.most_inputs(c.sizes) if c.listed is None else np.bincount(c.listed[1], minlength=c.sizes.post)
