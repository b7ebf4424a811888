"""Absolute refractoriness, from the step of a neuron's last spike.

A neuron that spikes in step k is held in the `held` steps after it. Of the step of its last spike the lowest 32 bits are kept.
"""

from typing import Any

import numpy as np

from snnrun.lazy import jnp

LONGEST = 2**31 - 2**20  # steps that a neuron is held at most, so that the age of its last spike can be told from 32 bits


def steps(held: Any) -> Any:
    """Whole steps as they are kept: int32, or None where no neuron is ever held. Beyond LONGEST lie days of model time."""
    return np.minimum(held, LONGEST).astype(np.int32) if np.any(held) else None


def init(held: Any, padded: int) -> Any:
    """The last spike of neurons that are free at t = 0."""
    return np.broadcast_to(-1 - held, padded).astype(np.int32)


def low(step: Any) -> Any:
    """The lowest 32 bits of a step."""
    return step.astype(jnp.int32)


def blocks(held: Any, last: Any, step: Any) -> Any:
    """Whether a neuron is held in a step."""
    return low(step) - last <= held


def left(held: Any, last: Any, step: Any) -> Any:
    """For how many steps a neuron is held from the beginning of a step on."""
    return jnp.maximum(held + 1 - (low(step) - last), 0)


def settled(held: Any, last: Any, step: Any) -> Any:
    """Last spikes that hold nobody any more, moved up; due before a step, at least every 2**20 steps."""
    return low(step) - jnp.minimum(low(step) - last, held + 1)
