"""A source of independent gamma renewal processes, one per neuron.

The intervals x of a neuron are independent, with mean 1 / rate, coefficient of variation 1 / sqrt(shape), and the density

    (shape rate)**shape x**(shape - 1) exp(-shape rate x) / Gamma(shape)

Shape 1 is a Poisson process; below it spikes come in bursts, and above it the train is the more regular the larger shape is.

The process runs in continuous time (in 2**-32 of a step), and a spike in [t_k, t_(k+1)) is one of step k, stamped t_(k+1). So
the mean interval in steps is that of the gamma variable, and at most the two roundings of its ends are added to an interval.
A neuron spikes at most once in a step: a spike that would share a step with the one before it comes one step later, and those
after it come when they would have come anyway.

It begins at `start`. `stationary`: as it is after a long time, so that the rate is the same from the first step on. The first
spike then comes after U G, where U is uniform and G the interval that a given instant falls into, which is a gamma variable of
shape + 1 (Cox, Renewal Theory, 1962). `spike`: as if every neuron had just spiked.

An interval that begins with a spike of step k is the quantile function at the random word of that neuron and step. The quantile
function is a table: exact at 128 values in each octave of the word's distance from 0 and from 2**32, and a line between them.
Its law is within 2e-6 of the gamma law (2e-5 at shape 0.1, where intervals that are next to nothing are off), its mean is right,
and what is rarer than 2**-33 on either side is not drawn.
"""

import math
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from snnrun import random
from snnrun.lazy import jnp, lax
from snnrun.models import rates
from snnrun.models.interface import Drive, Members, Parameters, Population, Rule, State, Words
from snnrun.models.layout import Layout
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Count, Drawable, Law, Rate, Windowed


class Spec(Windowed):
    """Sources whose intervals are gamma variables."""

    model: Literal["gamma"]
    size: Count
    """Number of neurons."""
    layout: Layout | None = None
    """Where the neurons are."""
    rate: Drawable[Rate]
    """Mean number of spikes per time; rate * dt is at most 1."""
    shape: Annotated[float, Field(ge=0.01, le=1e6, strict=True)]
    """Of the gamma law: the coefficient of variation of the intervals is 1 / sqrt(shape)."""
    begin: Literal["stationary", "spike"] = "stationary"
    """How it begins at start: as after a long time, or as if every neuron had just spiked."""


BITS = 32  # of the part of a step in which times are counted
_NEVER = 2.0**53  # steps: beyond the end of any run
_OCTAVES, _CELLS = 32, 7  # octaves of a word's distance from its end, and bits of the entries of each


class Const(NamedTuple):
    low: Any  # quantile function in units of its mean, at the beginning of each cell: [2 * cells, laws]
    rise: Any  # and how much it rises, or falls, over the cell
    which: Any  # int32 [neurons]: which law; None where there is one
    mean: Any  # steps, of the intervals
    due: Any  # int64 [neurons]: step of the first spike
    rest: Any  # int64 [neurons]: and when in it, in 2**-32
    stop: Any  # the step after the last
    streams: random.Streams
    zero: Any  # see decay.py


def quantiles(shape: float) -> tuple[Any, Any]:
    """(low, rise) of the gamma law with mean 1: first the cells of words from 0 up, then those of words from 2**32 down.

    A word w below 2**31 has the distance z = w + 1/2 from 0, any other z = 2**32 - 1/2 - w from 2**32. An octave of z has cells
    of equal width.
    """
    from scipy import special

    octave, cell = np.divmod(np.arange((_OCTAVES << _CELLS) + 1), 1 << _CELLS)
    z = np.ldexp(1.0 + cell / (1 << _CELLS), octave - 1)
    sides = np.array([special.gammaincinv(shape, z * 2.0**-32), special.gammainccinv(shape, z * 2.0**-32)])
    low, rise = sides[:, :-1], np.diff(sides, axis=1)
    mean = ((low + rise / 2) * np.diff(z) * 2.0**-32).sum()
    return low.ravel() / mean, rise.ravel() / mean


def intervals(const: Const, words: Any) -> Any:
    """Intervals in units of their mean, from one 32-bit word for each neuron."""
    upper = words >= np.uint32(2**31)
    z = jnp.where(upper, ~words, words).astype(jnp.float64) + 0.5
    bits = lax.bitcast_convert_type(z, jnp.int64)  # exponent and leading digits say the cell, the others how far in it
    cell = (bits >> (52 - _CELLS)) - (1022 << _CELLS) + jnp.where(upper, _OCTAVES << _CELLS, 0)
    along = (bits & (2 ** (52 - _CELLS) - 1)).astype(jnp.float64) * 2.0 ** (_CELLS - 52)
    law = 0 if const.which is None else const.which
    return decayed(const.rise[cell, law], along, const.zero) + const.low[cell, law]


class Gamma(Population):
    """Its state is the time of the next spike: its step, and when in it."""

    Spec = Spec
    source = True
    rules = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        if isinstance(spec.rate, float):
            rates.check(checker, (*path, "rate"), spec.rate, "spikes that would share a step come later")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        return rates.sound(parameters["rate"], dt)

    def lower(self, members: Members, method: str) -> Const:
        p, padded = members.parameters, members.padded
        with np.errstate(divide="ignore"):
            mean = np.minimum(1.0 / (np.asarray(p["rate"], np.float64) * members.dt), _NEVER)
        shapes, which = np.unique(np.broadcast_to(p["shape"], padded), return_inverse=True)
        first = mean * _first(members, p["begin"] == "stationary")
        first = np.minimum(np.where(mean < _NEVER, first, _NEVER), _NEVER)
        whole = np.floor(first)
        low, rise = (np.stack(of_law, axis=1) for of_law in zip(*map(quantiles, shapes), strict=True))
        return Const(
            low,
            rise,
            which.astype(np.int32) if len(shapes) > 1 else None,
            mean,
            np.asarray(p["start"], np.int64) + whole.astype(np.int64),
            np.ldexp(first - whole, BITS).astype(np.int64),
            np.asarray(p["stop"], np.int64),
            random.side_by_side(members.streams("spikes"), members.sizes, padded),
            0.0,
        )

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {"due": const.due, "rest": const.rest}

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        fired = state["due"] <= step
        interval = jnp.minimum(decayed(const.mean, intervals(const, words(const.streams, step)), const.zero), _NEVER)
        whole = jnp.floor(interval)
        rest = state["rest"] + ((interval - whole) * 2.0**BITS).astype(jnp.int64)
        due = state["due"] + whole.astype(jnp.int64) + (rest >> BITS)
        state = {
            "due": jnp.where(fired, due, state["due"]),
            "rest": jnp.where(fired, rest & (2**BITS - 1), state["rest"]),
        }
        return state, fired & (step < const.stop)


def _first(members: Members, stationary: bool) -> Any:
    """When the first spikes come, in mean intervals after the beginning."""
    sizes = (*members.sizes[:-1], members.padded - sum(members.sizes[:-1]))
    shapes = np.broadcast_to(members.parameters["shape"], members.padded)[np.cumsum(sizes) - 1]
    found = []
    for size, shape, key, within in zip(sizes, shapes, *map(members.streams, ("first", "first/within")), strict=True):
        k = shape + stationary
        interval = random.draw(key, Law("gamma", k, math.sqrt(k), None, None), np.arange(size)) / shape
        if stationary:
            interval = interval * random.draw(within, Law("uniform", 0.0, 1.0, None, None), np.arange(size))
        found.append(interval)
    return np.concatenate(found)


MODEL = Gamma()
