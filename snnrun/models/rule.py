"""What all rules of connection share: what they draw, what they must know, and the switches that a user may set."""

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from snnrun import random
from snnrun.quantities import Frozen

Indices = NDArray[np.int64]

CHUNK = 1 << 17  # edges drawn at a time: the intermediates then stay in the second-level cache


class Drafts(NamedTuple):
    """Some edges: pre and post index, and where their weight and delay are drawn."""

    pre: Indices
    post: Indices
    entity: NDArray[Any]
    number: NDArray[Any]


class Sizes(NamedTuple):
    """What a rule must know of the selections: their sizes, and which pairs are one and the same neuron."""

    pre: int
    post: int
    shared: tuple[tuple[int, int, int], ...] = ()  # (first pre, first post, length) of every common run

    def post_of_pre(self) -> Indices:
        """For each neuron of pre its index in post; -1 where it is not in there."""
        found = np.full(self.pre, -1, np.int64)
        for first_pre, first_post, length in self.shared:
            found[first_pre : first_pre + length] = np.arange(first_post, first_post + length)
        return found

    @property
    def alike(self) -> bool:
        """Whether both are the same neurons in the same order."""
        same = sum(length for pre, post, length in self.shared if pre == post)
        return self.pre == self.post == same

    def pre_of_post(self) -> Indices:
        return Sizes(self.post, self.pre, tuple((b, a, n) for a, b, n in self.shared)).post_of_pre()


Chunks = Iterator[Callable[[], Drafts]]


class BaseRule(Frozen):
    by_source: ClassVar[bool] = False
    """Whether each source draws its own row, so that it can be drawn again when it is needed."""
    by_target: ClassVar[bool] = False
    """Whether each target does."""
    random_number: ClassVar[bool] = False
    """Whether the number of edges is drawn, too."""
    complete: ClassVar[bool] = False
    """Whether it connects all pairs, but for autapses where they are left out."""
    spatial: ClassVar[bool] = False
    """Whether it must know where the neurons are."""

    @property
    def listed(self) -> bool:
        """Whether the edges are few, or must be known all at once: they are then listed when a network is built."""
        return False

    @property
    def redrawn(self) -> bool:
        """Whether each source may draw its row again."""
        return self.by_source and not self.listed

    def most_inputs(self, sizes: Sizes) -> float:
        """How many edges a target has at most."""
        raise NotImplementedError  # of those whose edges are listed

    autapses: bool = True
    """Whether a neuron may connect to itself."""
    storage: Literal["stored", "procedural", "auto"] = "auto"
    """Edges are drawn once and stored, or drawn again whenever their source has fired: the same edges, without memory."""


Degree = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class DrawnRule(BaseRule):
    multapses: bool = True
    """Whether a pair may be connected more than once."""


class SymmetricRule(BaseRule):
    symmetric: bool = False
    """Whether a pair is connected in both directions, with one weight and delay, or in none; pre and post are then the same."""


def unalike(rule: SymmetricRule, sizes: Sizes) -> tuple[str, str] | None:
    """What is wrong where a symmetric rule connects two sets of neurons."""
    if not rule.symmetric or sizes.alike:
        return None
    return "a symmetric graph is one among the same neurons, and pre and post differ", "give both the same selection"


def never_more(mean: float) -> float:
    """Ten standard deviations and more above the mean, which never happens."""
    return mean + 10.0 * math.sqrt(mean) + 40.0


def own_pairs(rule: BaseRule, sizes: Sizes) -> int:
    return 0 if rule.autapses else sum(length for _, _, length in sizes.shared)


def too_many(rule: DrawnRule, n: int, there: int, what: str, side: str, sizes: Sizes) -> tuple[str, str] | None:
    candidates = there - (1 if own_pairs(rule, sizes) else 0)
    if n and candidates == 0:
        return f"{side} has no neuron to draw from without autapses", "set autapses: true"
    if not rule.multapses and n > candidates:
        message = f"{what} of {n:,} without multapses is impossible: {side} offers {candidates:,} neurons"
        return message, "set multapses: true, or lower n"
    return None


def row_chunks(count: int, per_row: float) -> Iterator[NDArray[np.int64]]:
    step = max(1, int(CHUNK / max(per_row, 1.0)))
    for start in range(0, count, step):
        yield np.arange(start, min(start + step, count))


def along(rows: Indices, end: float, steps: Callable[[Any], Any], origin: Any, batch: int, stream: random.Key,
          first: int = 0) -> tuple[Indices, NDArray[Any], Indices]:  # fmt: skip
    """Points between `origin` and `end` on a line for each row, apart by `steps` of uniform numbers: row, place, number.

    Numbers are drawn in batches of some (even) length, from word `first` of the row on.
    """
    parts: list[tuple[Any, Any, Any]] = []
    open_, last, done = rows, np.full(len(rows), origin), 0
    while len(open_):
        at = last[:, None] + np.cumsum(steps(random.uniform(random.rows(stream, open_, first + done, batch))), axis=1)
        inside = at < end
        row, number = np.nonzero(inside)
        parts.append((open_[row], at[inside], number + done))
        more = inside[:, -1]
        open_, last, done = open_[more], at[more, -1], done + batch
    if len(parts) == 1:
        return parts[0]
    row, at, number = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")  # rows that needed another batch are put together
    return row[order], at[order], number[order]


def mirrored(chunk: Drafts) -> Drafts:
    """The edges that lead to neurons of the same or a higher index, and each of them in the other direction, too."""
    up = kept(chunk, chunk.pre <= chunk.post)
    off = kept(up, up.pre != up.post)
    turned = Drafts(off.post, off.pre, off.entity, off.number)
    return Drafts(*(np.concatenate(columns) for columns in zip(up, turned, strict=True)))


def kept(chunk: Drafts, keep: NDArray[Any]) -> Drafts:
    return Drafts(*(part[keep] for part in chunk))
