"""Normal numbers for inputs: each neuron's own, one that all targets of an input share, or a mixture of the two.

    xi_i = sqrt(1 - c) own_i + sqrt(c) shared        the correlation of any two targets is c

A number depends on the input, the neuron (or none), and the number of the draw alone.
"""

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from snnrun import random
from snnrun.models import normal
from snnrun.models.interface import Targets, Words
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Law

Correlation = Annotated[float, Field(ge=0, le=1)]

_LAW = Law("normal", 0.0, 1.0, None, None)


class Const(NamedTuple):
    own: random.Streams | None  # None where the correlation is 1
    shared: random.Streams | None  # one for each input; None where it is 0
    which: Any  # int32 [neurons]: which of the inputs; None where there is one
    own_part: Any
    shared_part: Any


def lower(targets: Targets, correlation: float, precision: str) -> Const:
    keys, which = _inputs(targets)
    return Const(
        random.side_by_side(targets.streams("normal"), targets.sizes, targets.padded) if correlation < 1 else None,
        random.side_by_side(keys, (1,) * len(keys), len(keys)) if correlation > 0 else None,
        which,
        np.asarray(math.sqrt(1 - correlation), precision),
        np.asarray(math.sqrt(correlation), precision),
    )


def _inputs(targets: Targets) -> tuple[tuple[Any, ...], Any]:
    """Streams of the inputs, and of which of them a neuron is a target."""
    every = targets.common("normal")
    keys = tuple(dict.fromkeys(every))
    if len(keys) == 1:
        return keys, None
    lengths = [*targets.sizes[:-1], targets.padded - sum(targets.sizes[:-1])]
    return keys, np.repeat(np.array([keys.index(key) for key in every], np.int32), lengths)


def draw(const: Const, number: Any, words: Words, zero: Any) -> Any:
    """Numbers of a draw, one per neuron, or one for all."""
    shared = None
    if const.shared is not None:
        shared = normal.of_words(words(const.shared, number), zero.dtype, zero)
        shared = shared[0] if const.which is None else shared[const.which]
    if const.own is None:
        return shared
    own = normal.of_words(words(const.own, number), zero.dtype, zero)
    if shared is None:
        return own
    return decayed(const.own_part, own, zero) + decayed(const.shared_part, shared, zero)


def initial(targets: Targets, correlation: float) -> Any:
    """The same law on the host, once, in float64 [padded]."""
    begin = np.cumsum([0, *targets.sizes])
    lengths = [*targets.sizes[:-1], targets.padded - int(begin[-2])]
    own = [random.draw(key, _LAW, np.arange(n)) for key, n in zip(targets.streams("initial"), lengths, strict=True)]
    shared = [np.repeat(random.draw(key, _LAW, 0), n) for key, n in zip(targets.common("initial"), lengths, strict=True)]
    return math.sqrt(1 - correlation) * np.concatenate(own) + math.sqrt(correlation) * np.concatenate(shared)
