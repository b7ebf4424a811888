"""What sources bring that act at every instant by a value of their own, and not only when they fire:

    x_j(t) = sum_i w_ij value_i(t - d_ij)

Products are rounded to whole numbers whose sum is below 2**53, so that floats add them exactly: a sum has no order, and the same
bits on every device. It is the same for all kernels.
"""

from typing import Any, NamedTuple

import numpy as np

from snnrun.lazy import jnp, lax
from snnrun.models.interface import State
from snnrun.plan import Coupling, Graded

SIDE_BY_SIDE = 128  # targets that are worth a loop over rows of edges; XLA's own sums are three times slower


class Sum(NamedTuple):
    """All pairs, with one weight and one delay."""

    weight: Any  # of a whole number
    scale: Any  # whole numbers per value
    own: Any  # int32 [post]: the place of each target's own value, which does not count; -1 or None where there is none
    delay: Any


class Block(NamedTuple):
    """Edges of targets that have about as many: [edges of a target, targets], filled up with weights of 0."""

    source: Any  # uint32: place on the axis of values
    weight: Any  # float64, in whole numbers
    delay: Any  # int32; None where all of the projection have one


class Brought(NamedTuple):
    """A projection: a Sum, or Blocks."""

    sum: Sum | None
    blocks: tuple[Block, ...]
    place: Any  # int32 [post]: of each target among those of the blocks, after a 0
    unit: Any  # of the whole numbers
    delay: Any  # the one of all


def opened(p: Graded, opening: tuple[Any, ...], gates: tuple[State, ...], row: Any, firsts: tuple[int, ...]) -> tuple[State, ...]:
    """The gates at the end of a step: `row` has a bit for everyone who fired in it, `firsts` are the places of groups in it."""
    found = []
    for value, const, own in zip(p.values, opening, gates, strict=True):
        if value.model is None:
            found.append(own)
            continue
        first = firsts[value.group] + value.first
        words = row[first // 32 : -(-(first + value.size) // 32)]
        bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
        fired = bits.reshape(-1)[first % 32 :][: value.size].astype(bool)
        found.append(value.model.opened(const, own, fired))
    return tuple(found)


def values(p: Graded, gates: tuple[State, ...], potentials: dict[int, Any]) -> Any:
    """The values of all sources, float64: their gates, or V of each group against 0 mV."""
    found = []
    for value, own in zip(p.values, gates, strict=True):
        if value.model is None:
            V = potentials[value.group][value.first : value.first + value.size].astype(jnp.float64)
            found.append(jnp.where(jnp.abs(V) < value.largest, V, jnp.nan))
        else:
            found.append(own[next(iter(value.model.gate))])
    return jnp.concatenate(found)


def brought(coupling: Coupling, const: Brought, ring: Any, step: Any) -> Any:
    """x of each target at t_k, k = `step`, float64 [post]; `ring` has the values of the last steps."""
    depth = ring.shape[0]

    def row(delay: Any) -> Any:
        return ring[(step - delay) % depth]

    if const.sum is not None:
        own = const.sum
        of_sources = row(own.delay)
        known = jnp.rint(of_sources * own.scale).astype(jnp.int64)
        total = sum(jnp.sum(known[first : first + size]) for first, size in coupling.sources)
        post = sum(size for *_, size in coupling.pieces)
        counted = jnp.broadcast_to(total, (post,))
        if own.own is not None:
            counted = counted - jnp.where(own.own >= 0, known[own.own], 0)
        failed = jnp.where(jnp.any(jnp.isnan(of_sources)), jnp.nan, 0.0)  # a whole number cannot say so
        return counted.astype(jnp.float64) * own.weight + failed
    found = [jnp.zeros(1)]
    now = row(const.delay)
    for block in const.blocks:
        found.append(_added(block, now, ring, step))
    return jnp.concatenate(found)[const.place] * const.unit


def _added(block: Block, now: Any, ring: Any, step: Any) -> Any:
    block = Block(*(None if part is None else jnp.asarray(part) for part in block))

    def products(rows: Any) -> Any:
        source, weight = block.source[rows], block.weight[rows]
        if block.delay is None:
            return jnp.rint(weight * now[source])
        return jnp.rint(weight * ring[(step - block.delay[rows]) % ring.shape[0], source])

    edges, targets = block.source.shape
    if targets < SIDE_BY_SIDE:
        return jnp.sum(products(slice(None)), axis=0)
    return lax.fori_loop(0, edges, lambda row, total: total + products(row), jnp.zeros(targets))


def received(p: Graded, every: tuple[Any, ...], ring: Any, step: Any, receptors: list[State]) -> list[State]:
    """Receptors with the x of those that graded projections feed."""
    for coupling, const in zip(p.couplings, every, strict=True):
        x = brought(coupling, const, ring, step)
        for stack, first, offset, size in coupling.pieces:
            kept = receptors[stack]["x"]
            part = x[offset : offset + size].astype(kept.dtype)
            whole = part if size == kept.size else jnp.asarray(kept).reshape(-1).at[first : first + size].set(part)
            receptors[stack] = receptors[stack] | {"x": whole.reshape(kept.shape)}
    return receptors
