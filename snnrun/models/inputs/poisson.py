"""An independent Poisson train for every target neuron, without a population of sources.

In each step a neuron receives n ~ Poisson(rate * dt) spikes at once, which act as one of n times the weight. A spike of
step k arrives at the end of the step, plus the delay.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun import random
from snnrun.lazy import jnp, lax
from snnrun.models.interface import Input, Parameters, Rule
from snnrun.models.outputs import Output
from snnrun.models.synapses import Synapse
from snnrun.quantities import Drawable, Rate, Selection, Steps, WeightQuantity, Windowed

MAX_PER_STEP = 64.0  # above this mean a table of thresholds is the wrong tool


class Spec(Windowed):
    """Background noise: one Poisson train per target neuron."""

    model: Literal["poisson"]
    to: Selection
    """Population, slice of one, or list of these."""
    rate: Drawable[Rate]
    """Mean number of spikes per time that a neuron receives."""
    weight: Drawable[WeightQuantity]
    """mV for delta, pA for cuba, nS for coba."""
    delay: Steps = 0.0
    synapse: Synapse
    output: Output | None = None
    """cuba where it is not given."""


class Const(NamedTuple):
    table: Any  # thresholds [m] or, with one rate per neuron, [m, n]
    weight: Any  # in quanta of the receptor
    delay_steps: Any
    start: Any  # first step and the one after the last
    stop: Any
    stream: Any


def table(rate: Any, dt: float) -> Any:
    """Thresholds of the inverse cumulative distribution, for one rate or for one rate per neuron."""
    means = np.asarray(rate, np.float64) * dt
    if means.ndim == 0:
        return random.poisson_table(float(means))
    distinct, which = np.unique(means, return_inverse=True)
    tables = [random.poisson_table(float(mean)) for mean in distinct]
    depth = max(len(t) for t in tables)
    # the shorter tables are filled with the largest word, which is not drawn then: see arrivals
    filled = np.full((depth, len(tables)), 2**32 - 1, np.uint32)
    for i, t in enumerate(tables):
        filled[: len(t), i] = t
    return filled[:, which]


def arrivals(const: Const, step: Any, start: int, stop: int) -> Any:
    """Weight times number of spikes that arrive in a step, in quanta, for the neurons start ... stop - 1 of a population."""
    sent = step - const.delay_steps

    def draw() -> Any:
        words = random.step_words((const.stream[0], const.stream[1]), sent, start, stop - start)
        if const.table.ndim == 2:
            words = jnp.minimum(words, jnp.uint32(2**32 - 2))
        count = jnp.zeros(words.shape, jnp.int32)
        for m in range(const.table.shape[0]):  # one fused loop over the neurons, not a sum over a matrix
            count = count + (words >= const.table[m]).astype(jnp.int32)
        return count

    # Within a conditional the counts are computed once. XLA would otherwise repeat the draws in each of their uses, which
    # takes five times as long.
    active = (sent >= const.start) & (sent < const.stop)
    return lax.cond(active, draw, lambda: jnp.zeros(stop - start, jnp.int32)).astype(jnp.int64) * const.weight


class Poisson(Input):
    Spec = Spec
    rules = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        if isinstance(spec.rate, float) and checker.dt is not None and spec.rate * checker.dt > MAX_PER_STEP:
            message = f"{spec.rate * checker.dt:.3g} spikes per step are more than the limit of {MAX_PER_STEP:.0f}"
            checker.fault((*path, "rate"), message, "split it into several inputs")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        per_step = np.asarray(parameters["rate"]) * dt
        message = f"a rate makes {np.max(per_step):.3g} spikes per step; the limit is {MAX_PER_STEP:g}"
        return ("rate", message, per_step > MAX_PER_STEP) if np.any(per_step > MAX_PER_STEP) else None


MODEL = Poisson()
