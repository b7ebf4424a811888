"""Rules of connection by distance. Both populations have a layout; the edges are listed when a network is built.

`spatial` decides every pair by a uniform number u(i, j) of its own: i reaches j where u(i, j) < p0 kernel(d). Nothing else
matters: with a mask, or a larger p0, the same pairs are connected, and fewer or more. u is at least 2**-54, so pairs with a
smaller probability need not be looked at, and leaving them out is exact.

With a fixed degree, partners are drawn with weights kernel(d), one by one. A kernel without an end then needs all pairs; a mask
makes it local.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
    too_many,
    unalike,
)
from snnrun.models.space import PAIRS, Kernel, Mask, Near, Space, length

LEAST = 2.0**-54  # of a uniform number
_FAINTEST = 1e-304  # that a kernel may be and not be 0


class OutOfReach(ValueError):
    """A neuron that has fewer partners than it is to draw."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


# ---- what a user writes ----------------------------------------------------------------------------------------------


class ByDistance(BaseRule):
    spatial = True
    kernel: Kernel
    """How the probability falls with the distance; 1 at 0."""
    mask: Mask | None = None
    """Who may be connected at all, whatever the kernel is."""

    @property
    def listed(self) -> bool:
        return True

    def likely(self, space: Space, pre: Indices, post: Indices) -> NDArray[np.float64]:
        """The kernel for some pairs, 0 outside of the mask."""
        axes = space.axes(pre, post)
        d = length(axes)
        value = self.kernel.value(d)
        return value if self.mask is None else np.where(self.mask.holds(axes, d), value, 0.0)

    def reach(self, least: float) -> float:
        """The distance beyond which the kernel is below `least`, if no mask ends before."""
        found = self.kernel.reach(least)
        return found if self.mask is None else min(found, self.mask.reach)


class Spatial(ByDistance, SymmetricRule):
    """Every pair independently with probability min(1, p0 kernel(d)) at the distance d; no pair twice."""

    random_number = True
    rule: Literal["spatial"]
    p0: Annotated[float, Field(ge=0, le=1e6, strict=True)] = 1.0
    """Probability at distance 0; where p0 kernel(d) exceeds 1 every pair is connected."""

    def expected(self, sizes: Sizes, space: Space) -> float:
        """Of large networks by about a million pairs, those of sources at equal distances in their order."""
        if self.p0 == 0:
            return 0.0
        near = Near(space, self.reach(LEAST / self.p0))
        count = int(np.clip(PAIRS * 4 / near.mean(), 1, sizes.pre))
        sources = np.unique(np.arange(count) * sizes.pre // count)
        total, own = 0.0, sizes.post_of_pre()
        for some in np.array_split(sources, max(int(near.mean() * count / PAIRS), 1)):
            pre, post = near.pairs(some)
            p = np.minimum(self.p0 * self.likely(space, pre, post), 1.0)
            total += float(np.sum(p if self.autapses else p[own[pre] != post]))
        return total * sizes.pre / len(sources)

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return unalike(self, sizes)


class SpatialIndegree(ByDistance, DrawnRule):
    """Every neuron of post draws n sources, with weights kernel(d)."""

    rule: Literal["spatial_indegree"]
    n: Degree
    """Number of sources."""

    def expected(self, sizes: Sizes, space: Space) -> float:
        return float(self.n) * sizes.post

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return too_many(self, self.n, sizes.pre, "an in-degree", "pre", sizes)


class SpatialOutdegree(ByDistance, DrawnRule):
    """Every neuron of pre draws n targets, with weights kernel(d)."""

    rule: Literal["spatial_outdegree"]
    n: Degree
    """Number of targets."""

    def expected(self, sizes: Sizes, space: Space) -> float:
        return float(self.n) * sizes.pre

    def impossible(self, sizes: Sizes) -> tuple[str, str] | None:
        return too_many(self, self.n, sizes.post, "an out-degree", "post", sizes)


# ---- drawing ---------------------------------------------------------------------------------------------------------


def spatial(rule: Spatial, sizes: Sizes, stream: random.Key, space: Space) -> Chunks:
    """Entity and number: the source and the target; of a symmetric pair the lower and the higher index."""
    if rule.p0 == 0:
        return
    near, own = Near(space, rule.reach(LEAST / rule.p0)), sizes.post_of_pre()

    def targets_of(sources: Indices) -> Drafts:
        pre, post = near.pairs(sources)
        if not rule.autapses:
            other = own[pre] != post
            pre, post = pre[other], post[other]
        entity, number = (np.minimum(pre, post), np.maximum(pre, post)) if rule.symmetric else (pre, post)
        u = random.uniform(random.blocks(stream, entity, number)[0])
        drafts = [pre, post, entity, number]
        if rule.p0 < 1:  # most are refused whatever their distance is
            some = u < rule.p0
            u, drafts = u[some], [part[some] for part in drafts]
        keep = u < rule.p0 * rule.likely(space, drafts[0], drafts[1])
        drafts = [part[keep] for part in drafts]
        order = np.lexsort((drafts[1], drafts[0]))
        return Drafts(*(part[order] for part in drafts))

    for sources in near.chunks():
        yield partial(targets_of, sources)


def spatial_indegree(rule: SpatialIndegree, sizes: Sizes, stream: random.Key, space: Space) -> Chunks:
    """Entity and number: the target, and which of its draws."""
    near = Near(space.turned, rule.reach(_FAINTEST))
    for draw in _degrees(rule, "post", near, lambda rows, those: rule.likely(space, those, rows), sizes.pre_of_post(), stream):
        yield partial(_sources, draw)


def spatial_outdegree(rule: SpatialOutdegree, sizes: Sizes, stream: random.Key, space: Space) -> Chunks:
    """Entity and number: the source, and which of its draws."""
    near = Near(space, rule.reach(_FAINTEST))
    for draw in _degrees(rule, "pre", near, lambda rows, those: rule.likely(space, rows, those), sizes.post_of_pre(), stream):
        yield partial(_targets, draw)


Rows = Callable[[], tuple[Indices, Indices, Indices]]  # row, partner, number


def _sources(draw: Rows) -> Drafts:
    target, source, number = draw()
    return Drafts(source, target, target, number)


def _targets(draw: Rows) -> Drafts:
    source, target, number = draw()
    return Drafts(source, target, source, number)


def _degrees(rule: Any, side: str, near: Near, likely: Callable[[Indices, Indices], NDArray[np.float64]], own: Indices,
             stream: random.Key) -> Iterator[Rows]:  # fmt: skip
    """n partners for each row, where `likely` says how much each is preferred."""
    pick = _with_repeats if rule.multapses else _distinct

    def drawn(rows: Indices) -> tuple[Indices, Indices, Indices]:
        row, partner = near.pairs(rows)
        weight = likely(row, partner)
        there = weight > 0 if rule.autapses else (weight > 0) & (own[row] != partner)
        row, partner, weight = row[there], partner[there], weight[there]
        order = np.argsort(row * (int(partner.max(initial=0)) + 1) + partner)
        row, partner, weight = row[order], partner[order], weight[order]
        counts = np.bincount(row - rows[0], minlength=len(rows))
        short = counts < (1 if rule.multapses else rule.n)
        if short.any():
            first = int(np.argmax(short))
            message = f"neuron {rows[first]:,} of {side} has {counts[first]:,} within reach, of which it is to draw {rule.n:,}"
            raise OutOfReach(message, "lower n, or widen the kernel or the mask")
        found = pick(stream, rows, counts, row, partner, weight, rule.n)
        return np.repeat(rows, rule.n), found, np.tile(np.arange(rule.n), len(rows))

    for rows in near.chunks() if rule.n else ():
        yield partial(drawn, rows)


def _with_repeats(stream: random.Key, rows: Indices, counts: Indices, row: Indices, partner: Indices,
                  weight: NDArray[np.float64], n: int) -> Indices:  # fmt: skip
    """Independent draws, each by the cumulative weight that a uniform number falls on."""
    u = random.uniform(random.rows(stream, rows, 0, n + n % 2)[:, :n])
    found, ends = np.empty((len(rows), n), np.int64), np.cumsum(counts)
    for i, (end, count) in enumerate(zip(ends, counts, strict=True)):
        cumulative = np.cumsum(weight[end - count : end])
        chosen = np.searchsorted(cumulative, u[i] * cumulative[-1], side="right")
        found[i] = partner[end - count + np.minimum(chosen, count - 1)]
    return found.ravel()


def _distinct(stream: random.Key, rows: Indices, counts: Indices, row: Indices, partner: Indices,
              weight: NDArray[np.float64], n: int) -> Indices:  # fmt: skip
    """Draws one after the other of those that are left: they are the n first to come, where each comes after an exponential
    time with its weight as the rate (Efraimidis & Spirakis, Inf. Process. Lett. 97, 2006)."""
    time = -random.log(random.uniform(random.blocks(stream, row, partner)[0])) / weight
    found, ends = np.empty((len(rows), n), np.int64), np.cumsum(counts)
    for i, (end, count) in enumerate(zip(ends, counts, strict=True)):
        own = time[end - count : end]
        first = np.argpartition(own, n - 1)[:n]
        found[i] = partner[end - count + first[np.argsort(own[first])]]
    return found.ravel()
