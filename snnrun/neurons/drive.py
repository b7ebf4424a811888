"""What reaches a neuron in one step."""

from typing import Any, NamedTuple


class Drive(NamedTuple):
    """Arrays of one value per neuron, or None where a population receives nothing of the kind.

    A model that integrates exactly takes `increment`; one that does not gets the same synapses as `current`.
    """

    current: Any = None  # pA, held over the step
    increment: Any = None  # mV that freely decaying currents add to V over the step
    jump: Any = None  # mV, from delta synapses
    conductance: Any = None  # nS, sum over receptors
    reversal: Any = None  # pA, sum of conductance times reversal potential


class Crossing(NamedTuple):
    """Who fires, and what becomes of it: neurons whose value has reached a threshold, threshold <= value < infinity.

    An infinite value stays in the state, where it is found.
    """

    value: Any  # a variable of the state
    threshold: Any  # one for all, or one per neuron
    then: Any  # a state: what the variables of a neuron that fires are set to, one for all or one per neuron; None for others


class Rule(NamedTuple):
    """What parameters must satisfy, for literals when a file is checked and for drawn values when it is built."""

    fields: tuple[str, ...]
    holds: Any  # of the fields' values, broadcast
    message: str
