"""Rules of connection that need no places: Poisson numbers of synapses, small worlds, scale-free graphs, blocks.

All of them are listed when a network is built; those whose rows are drawn each on its own, also in native code, are in
connect.py. Entities and numbers under which their edges are drawn stand with each.
"""

import math
from array import array
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from snnrun import random
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
    unalike,
)
from snnrun.quantities import Count, Frozen, fault

# ---- what a user writes ----------------------------------------------------------------------------------------------


class PairwisePoisson(SymmetricRule):
    """Every pair independently as often as a Poisson number says."""

    random_number = True
    rule: Literal["pairwise_poisson"]
    mean: Annotated[float, Field(ge=0, le=1e6, strict=True)]
    """Mean number of synapses from one neuron to another; may exceed 1."""

    @property
    def listed(self) -> bool:
        return True

    def expected(self, sizes: Sizes) -> float:
        return self.mean * (float(sizes.pre) * sizes.post - own_pairs(self, sizes))

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return unalike(self, sizes)


class SmallWorld(DrawnRule):
    """A ring in which every neuron of pre reaches its k nearest neighbours, k / 2 on each side; then each synapse gets, with
    probability beta, another target, uniformly (Watts & Strogatz, Nature 393, 1998, with directed edges).

    Every out-degree is k. Without autapses and multapses no synapse moves onto its own source or where the source has one
    already, as published.
    """

    rule: Literal["small_world"]
    k: Degree
    """Number of neighbours, even."""
    beta: Annotated[float, Field(ge=0, le=1, strict=True)]
    """Probability that a synapse is rewired."""

    @model_validator(mode="after")
    def _even(self) -> "SmallWorld":
        if self.k % 2:
            raise fault("k is the number of neighbours on both sides together", f"write {self.k - 1} or {self.k + 1}", at=("k",))
        return self

    @property
    def listed(self) -> bool:
        return True

    def expected(self, sizes: Sizes) -> float:
        return float(self.k) * sizes.pre

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        if sizes.pre != sizes.post:
            message = f"a ring needs equal sizes; pre has {sizes.pre:,} neurons and post {sizes.post:,}"
            return message, "select slices of equal size"
        if self.k > sizes.pre - 1:
            return f"{self.k:,} neighbours are wanted, and a ring of {sizes.pre:,} neurons offers {sizes.pre - 1:,}", "lower k"
        return None


class ScaleFree(DrawnRule, SymmetricRule):
    """Neuron after neuron reaches m earlier ones, each drawn with a probability proportional to its degree so far, in and out
    (Barabasi & Albert, Science 286, 1999, as made precise by Bollobas et al., Random Struct. Algorithms 18, 2001).

    In-degrees have a tail P(d) ~ d**-3. Autapses and multapses come about as by Bollobas et al.; without them such a draw is
    repeated, and the first m neurons reach as many as there are.
    """

    rule: Literal["scale_free"]
    m: Degree
    """Synapses of each new neuron."""

    @property
    def listed(self) -> bool:
        return True

    def expected(self, sizes: Sizes) -> float:
        own = int(self.autapses)
        if self.multapses:
            count = self.m * (sizes.pre - (not self.autapses))
        else:
            few = min(sizes.pre, max(self.m - own, 0))  # neurons that find fewer than m
            count = few * (few - 1) // 2 + few * own + self.m * (sizes.pre - few)
        return float(2 * count if self.symmetric else count)

    @property
    def random_number(self) -> bool:  # type: ignore[override]
        """An autapse has no other way."""
        return self.symmetric and self.autapses

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        if sizes.alike:
            return None
        return "a scale-free graph grows among one and the same neurons, and pre and post differ", "give both the same selection"


class MatrixFile(Frozen):
    """A table with a row for each group of pre and a column for each group of post, in their order."""

    file: str


P = Annotated[float, Field(ge=0, le=1, strict=True)]
Matrix = Annotated[
    Annotated[tuple[tuple[P, ...], ...], Tag("<value>")] | Annotated[MatrixFile, Tag("<file>")],
    Discriminator(lambda raw: "<file>" if isinstance(raw, dict | MatrixFile) else "<value>"),
]


class Blocks(BaseRule):
    """Every pair independently with the probability of its block: p[i][j] from group i of pre to group j of post.

    Groups are runs of neurons that follow each other; of equal size where their sizes are not given.
    """

    random_number = True
    rule: Literal["blocks"]
    p: Matrix
    """A row for each group of pre, with a probability for each group of post; or {file: ...}."""
    pre_groups: tuple[Count, ...] | None = None
    """Numbers of neurons of the groups of pre, in their order."""
    post_groups: tuple[Count, ...] | None = None

    @model_validator(mode="after")
    def _rectangular(self) -> "Blocks":
        if isinstance(self.p, tuple):
            if not self.p or not self.p[0]:
                raise fault("the matrix is empty", "write it like [[0.1, 0.2], [0.3, 0.1]]", at=("p",))
            for i, row in enumerate(self.p):
                if len(row) != len(self.p[0]):
                    raise fault(f"this row has {len(row)} values, and the first one {len(self.p[0])}", at=("p", i))
        return self

    @property
    def listed(self) -> bool:
        return True

    def groups(self, sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes of the groups of pre and of post."""
        found = []
        for given, size, n in ((self.pre_groups, sizes.pre, len(self.p)), (self.post_groups, sizes.post, len(self.p[0]))):  # type: ignore
            found.append((size // n,) * n if given is None else given)
        return found[0], found[1]

    def expected(self, sizes: Sizes) -> float:
        rows, columns = (np.array(groups, float) for groups in self.groups(sizes))
        p = np.array(self.p)
        count = float(rows @ p @ columns)
        if not self.autapses:
            starts = [np.repeat(np.arange(len(groups)), groups) for groups in self.groups(sizes)]
            own = sizes.post_of_pre()
            inside = own >= 0
            count -= float(p[starts[0][inside], starts[1][own[inside]]].sum())
        return count

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        if isinstance(self.p, MatrixFile):
            return None  # checked when it has been read
        for side, given, size, n in (
            ("pre", self.pre_groups, sizes.pre, len(self.p)),
            ("post", self.post_groups, sizes.post, len(self.p[0])),
        ):
            what = "rows" if side == "pre" else "columns"
            if given is None and size % n:
                message = f"{size:,} neurons of {side} do not make {n:,} groups of equal size"
                return message, f"give their sizes, like {side}_groups: [{', '.join(map(str, _nearly_equal(size, n)))}]"
            if given is not None and len(given) != n:
                return f"{side}_groups has {len(given):,} sizes, and the matrix has {n:,} {what}", "make them equal"
            if given is not None and sum(given) != size:
                return f"the groups of {side} have {sum(given):,} neurons, and {side} has {size:,}", f"change {side}_groups"
        return None


def _nearly_equal(size: int, n: int) -> list[Any]:
    found: list[Any] = [size // n + (i < size % n) for i in range(n)]
    return found if n <= 6 else [*found[:3], "..."]


# ---- drawing ---------------------------------------------------------------------------------------------------------


def pairwise_poisson(rule: PairwisePoisson, sizes: Sizes, stream: random.Key) -> Chunks:
    """Synapses of a source are the points of a Poisson process on a line on which every target has the length 1: those within
    a target's length are independent Poisson numbers. Entity and number: the source and the point."""
    if rule.mean == 0:
        return
    own = sizes.post_of_pre()
    batch = 2 * int(never_more(rule.mean * sizes.post) / 2 + 1) if rule.mean * sizes.post < 4096 else 4096

    def steps(u: Any) -> Any:
        return -random.log(u) / rule.mean

    def targets_of(sources: Indices) -> Drafts:
        source, at, number = along(sources, float(sizes.post), steps, 0.0, batch, stream)
        chunk = Drafts(source, at.astype(np.int64), source, number)
        chunk = chunk if rule.autapses else kept(chunk, own[chunk.pre] != chunk.post)
        return mirrored(chunk) if rule.symmetric else chunk

    for sources in row_chunks(sizes.pre, batch):
        yield partial(targets_of, sources)


def small_world(rule: SmallWorld, sizes: Sizes, stream: random.Key) -> Chunks:
    """Entity and number: the source, and which of its k synapses. Block j < k of a source says whether synapse j is rewired,
    and block j + (1 + a) k has what attempt a makes of it."""
    own = sizes.post_of_pre()
    ring = np.array([side * distance for distance in range(1, rule.k // 2 + 1) for side in (1, -1)], np.int64)

    def targets_of(sources: Indices) -> Drafts:
        targets = (sources[:, None] + ring) % sizes.post
        chosen = random.uniform(random.blocks(stream, sources[:, None], np.arange(rule.k))[0]) < rule.beta
        barred = np.full(len(sources), -1) if rule.autapses else own[sources]
        for j in range(rule.k):
            rows, attempt = np.flatnonzero(chosen[:, j]), 0
            if not rule.multapses:  # a source that reaches all others has nowhere to go
                rows = rows[rule.k < sizes.post - (barred[rows] >= 0)]
            while len(rows):
                word = random.blocks(stream, sources[rows], j + (1 + attempt) * rule.k)[0]
                target = random.below(word, sizes.post)
                bad = target == barred[rows]
                if not rule.multapses:
                    bad |= (targets[rows] == target[:, None]).any(axis=1)
                targets[rows[~bad], j] = target[~bad]
                rows, attempt = rows[bad], attempt + 1
        pre, number = np.repeat(sources, rule.k), np.tile(np.arange(rule.k), len(sources))
        chunk = Drafts(pre, targets.ravel(), pre, number)
        return chunk if rule.autapses else kept(chunk, own[chunk.pre] != chunk.post)

    for sources in row_chunks(sizes.pre, rule.k) if rule.k else ():
        yield partial(targets_of, sources)


def scale_free(rule: ScaleFree, sizes: Sizes, stream: random.Key) -> Chunks:
    """Entity: the synapse, of which neuron i has m i to m i + m - 1."""
    if rule.m:
        yield lambda: _grown(rule, sizes, stream)


_AT_ONCE = 4096  # neurons whose first draws are made together


def _grown(rule: ScaleFree, sizes: Sizes, stream: random.Key) -> Drafts:
    """Synapse e appends its two ends to a list, of which the second is an entry of the list, drawn uniformly: so every neuron
    is drawn in proportion to its degree (Batagelj & Brandes, Phys. Rev. E 71, 2005).

    The ends of the first neuron are its own, whether or not it may have autapses: the others need someone to begin with.
    """
    m = rule.m
    ends, post, entity = array("q", bytes(16 * m * sizes.pre)), array("q"), array("q")
    first, draws = 0, []
    for neuron in range(sizes.pre):
        if neuron % _AT_ONCE == 0:
            first, last = m * neuron, m * min(neuron + _AT_ONCE, sizes.pre)
            draws = [_entries(stream, np.arange(first, last), attempt).tolist() for attempt in range(2)]
        reached: set[int] = set()
        candidates = neuron + rule.autapses
        for e in range(m * neuron, m * neuron + m):
            ends[2 * e] = target = neuron
            known = neuron == 0
            if known:
                absent = not rule.autapses or not rule.multapses and 0 in reached
            else:
                absent = not rule.multapses and len(reached) >= candidates
            attempt = 0
            while not known and not absent:
                place = draws[attempt][e - first] if attempt < 2 else int(_entries(stream, np.array([e]), attempt)[0])
                target, attempt = ends[place], attempt + 1
                known = (rule.autapses or target != neuron) and (rule.multapses or target not in reached)
            ends[2 * e + 1] = target
            if not absent:
                reached.add(target)
                post.append(target)
                entity.append(e)
    synapse = np.array(entity, np.int64)
    chunk = Drafts(synapse // m, np.array(post, np.int64), synapse, np.zeros_like(synapse))
    if not rule.symmetric:
        return chunk
    both = chunk.pre != chunk.post
    turned = kept(Drafts(chunk.post, chunk.pre, chunk.entity, chunk.number), both)
    return Drafts(*(np.concatenate(columns) for columns in zip(chunk, turned, strict=True)))


def _entries(stream: random.Key, synapses: Indices, attempt: int) -> Indices:
    """For each synapse a place in the list of ends, up to its own first one."""
    return random.below(random.blocks(stream, synapses, attempt)[0], 2 * synapses + 1)


def blocks(rule: Blocks, sizes: Sizes, stream: random.Key) -> Chunks:
    """Within a block as fixed_prob. Entity and number: the source, and the target."""
    rows, columns = rule.groups(sizes)
    own = sizes.post_of_pre()
    for i, (first, size) in enumerate(zip(np.cumsum((0, *rows)).tolist(), rows, strict=False)):
        for j, (begin, length) in enumerate(zip(np.cumsum((0, *columns)).tolist(), columns, strict=False)):
            draw = _block(rule, float(rule.p[i][j]), j, begin, length, own, stream)  # type: ignore[index]
            if draw is not None:
                batch, targets_of = draw
                for sources in row_chunks(size, batch):
                    yield partial(targets_of, first + sources)


_BLOCK = 1 << 33  # words of a source for one group of targets: more than there are targets


def _block(rule: Blocks, p: float, j: int, begin: int, length: int, own: NDArray[Any],
           stream: random.Key) -> tuple[int, Callable[[Indices], Drafts]] | None:  # fmt: skip
    """How many words a source needs for the j-th group of targets, about, and how these are drawn."""
    if p == 0:
        return None
    mean = length * p
    batch = 2 * int(mean / 2 + 3.0 * math.sqrt(mean) / 2 + 4)

    def targets_of(sources: Indices) -> Drafts:
        if p == 1:
            pre, post = np.repeat(sources, length), np.tile(np.arange(begin, begin + length), len(sources))
        else:
            log_q = random.log1p(-p)
            steps = lambda u: np.minimum(np.floor(random.log(u) / log_q), length).astype(np.int64) + 1  # noqa: E731
            pre, at, _ = along(sources, length, steps, -1, batch, stream, j * _BLOCK)
            post = begin + at
        chunk = Drafts(pre, post, pre, post)
        return chunk if rule.autapses else kept(chunk, own[pre] != post)

    return batch, targets_of
