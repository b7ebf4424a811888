"""Monitors: what is taken from a run, and how large it gets."""

from typing import Annotated, Literal

from pydantic import Field

from snnrun.quantities import Frozen, Selection, Time


class _Monitor(Frozen):
    of: Selection
    """Population, slice of one, or list of these."""
    start: Time = 0.0
    stop: Time | None = None
    """The end of the run where it is not given."""


class Spikes(_Monitor):
    """Spike times with start < t <= stop."""

    model: Literal["spikes"]


class StateVariables(_Monitor):
    """State variables at start + i every, before stop."""

    model: Literal["state"]
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of state variables: V, ref, or that of a receptor, like exc.x."""
    every: Time | None = None
    """dt where it is not given."""


class Rate(_Monitor):
    """Mean rate of the neurons in bins: spikes with start + i bin < t <= start + (i + 1) bin."""

    model: Literal["rate"]
    bin: Time


class InputCurrent(_Monitor):
    """Input through each receptor at start + i every, before stop: pA, or mV per step for delta synapses."""

    model: Literal["input"]
    receptors: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of projections or inputs whose receptors are recorded; all where it is not given."""
    every: Time | None = None
    """dt where it is not given."""


Monitor = Annotated[Spikes | StateVariables | Rate | InputCurrent, Field(discriminator="model")]
MODELS = {"spikes": Spikes, "state": StateVariables, "rate": Rate, "input": InputCurrent}
