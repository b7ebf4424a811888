"""The delivery primitive and its implementations.

**deliver**: for every edge e whose source fired `delay_e` steps ago, sums[target_e] += weight_e, in integers.

Sources and targets are places on merged axes. A source is a neuron's place on the axis of all populations; a target is a
place on the axis of all receptors, one for each neuron of the receptor's population. Weights are whole multiples of the
receptor's quantum, so a sum has no order and every implementation gives the same bits.

A kernel is a module with

    prepare(pathways, sources, targets) -> layout   on the host, once: its own arrangement of the edges
    deliver(layout, history, step) -> sums          int64 [targets]
    nbytes(layout) -> int

What a step leaves behind is a History, which belongs to no kernel.
"""

from typing import Any, NamedTuple

CHOSEN = "xla"  # the kernel that runs


class Pathway(NamedTuple):
    """Edges on merged axes, in any order: a projection, or the part of it that is delivered together."""

    source: Any  # int32 [edges]
    target: Any  # int32 [edges]
    weight: Any  # in quanta, int32 or int64: one number, or [edges]
    delay: Any  # whole steps: int, or int32 [edges]


class History(NamedTuple):
    """Who fired in the last steps: row k % depth holds step k, one bit per source in words of 32."""

    words: Any  # uint32 [depth, words]
    count: Any  # int32 [depth, words]: spikes in a row up to and including each word
