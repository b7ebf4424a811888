"""What a model must say of itself. The rest of the program knows models by these contracts, and none by its name.

A model has a `Spec`, which is what a user writes. The types of its fields say which are drawn, which are whole numbers of steps,
and in what they are measured (quantities.fields); `rules` are what holds between them. Populations of one model that are
propagated alike are lowered together, and so are receptors of one kind: `parameters` then hold for each field one number for
all, or an array that is broadcast over [neurons] or [receptors, neurons], in internal units, and times that are whole steps as
numbers of steps. What `lower` makes of them is given to every step; a state is a dictionary of arrays.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from snnrun.quantities import Frozen
from snnrun.random import Key

State = dict[str, Any]
Parameters = dict[str, Any]


class Rule(NamedTuple):
    """What parameters must satisfy, for literals when a file is checked and for drawn values when it is built."""

    fields: tuple[str, ...]
    holds: Any  # of the fields' values, broadcast
    message: str


class Part(ABC):
    """A model of any kind."""

    Spec: ClassVar[type[Frozen]]
    rules: ClassVar[tuple[Rule, ...]] = ()
    checked: ClassVar[str] = ""  # against what, for people

    def check(self, spec: Any, checker: Any, path: Any) -> None:  # noqa: B027
        """What types and rules cannot say of a Spec, for a check._Checker."""

    def sound(self, spec: Any, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        """The same of drawn parameters: the field that is wrong, a message, and whose value is bad; None where nothing is."""
        return None


# ---- populations -----------------------------------------------------------------------------------------------------


class Members(NamedTuple):
    """Populations that are lowered together, side by side."""

    parameters: Parameters
    sizes: tuple[int, ...]  # of the populations
    padded: int  # length of arrays: after the last neuron follow copies of it
    streams: Callable[[str], tuple[Key, ...]]  # streams of random numbers, one per population
    dt: float
    precision: str  # of what changes in time


class Drive(NamedTuple):
    """What reaches a neuron in a step: arrays of one value per neuron, or None where there is nothing of the kind.

    A model that integrates exactly takes `increment`; one that does not gets the same synapses as `current`.
    """

    current: Any = None  # pA, held over the step
    increment: Any = None  # what freely decaying currents add to variables over the step, by name
    jump: Any = None  # mV, from synapses that move V itself
    conductance: Any = None  # nS, sum over receptors
    reversal: Any = None  # pA, sum of conductance times reversal potential
    gates: tuple[Any, ...] = ()  # of outputs that depend on V: functions of it, see models/drives.py


class Crossing(NamedTuple):
    """Who fires, and what becomes of it: neurons whose variable has reached a threshold, threshold <= value < infinity.

    An infinite value stays in the state, where it is found.
    """

    variable: str
    threshold: Any  # one for all, or one per neuron
    then: State  # what variables of a neuron that fires are set to, one value for all or one per neuron


Words = Callable[..., Any]  # words(streams, step) -> one random word per neuron, see kernels


class Population(Part):
    """A model of neurons, or a source of spikes: then there is no drive, and no variable to record."""

    source: ClassVar[bool] = False
    described: ClassVar[bool] = False  # whether by equations in a file
    variables: ClassVar[Mapping[str, str]] = {}  # what can be recorded, with its unit

    @abstractmethod
    def lower(self, members: Members, method: str) -> Any:
        """What a step needs: a NamedTuple of arrays."""

    @abstractmethod
    def init(self, const: Any, initial: State, padded: int) -> State:
        """The state at t = 0 from the initial values of the variables."""

    @abstractmethod
    def step(
        self, const: Any, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        """One step: the state, and who fires, as a mask when what a spike sets has been set, or as a Crossing. There is a drive
        for each of the stages; the first one has what jumps."""

    def stages(self, method: str) -> tuple[float, ...]:
        """The instants at which what synapses bring is wanted, as parts of a step from its beginning on."""
        return (0.0,)

    def accepts(self, what: str) -> bool:
        """Whether a current, a conductance or a jump of V acts on it."""
        return not self.source

    def methods(self, spec: Any, conductances: bool) -> str:
        """How the state is propagated: one of the names that `step` knows."""
        return "source"

    def method_text(self, method: str) -> str:
        return method

    def precision(self, run: str, parameters: Parameters, dt: float) -> str:
        """Precision of the state in a run of that precision."""
        return run

    def finest(self, parameters: Parameters) -> float | None:
        """The coarsest spacing of V in float32, in mV; None where there is no V."""
        return None

    def initial(self, parameters: Parameters, given: State) -> State:
        """Initial values of the variables that a user may set, where they are given and where they are not."""
        return {}

    def origin(self, parameters: Parameters, precision: str) -> Any:
        """What V and reversal potentials are relative to, in mV."""
        return 0.0

    def gains(self, members: Members, method: str, modes: tuple[tuple[Any, int], ...]) -> tuple[State, ...] | None:
        """What freely decaying currents t^n exp(-t / tau) add to variables over a step, per pA / ms^n, for each (tau, n); None
        where the method takes such a current as one that is held."""
        return None

    def membrane(self, parameters: Parameters) -> tuple[Any, Any] | None:
        """Time constant in ms and resistance in GOhm of the membrane; None for models that have no such parameters."""
        tau, R, C, leak = (parameters.get(name) for name in ("tau", "R", "C", "g_L"))
        if tau is None and C is not None and leak is not None:
            return C / leak, 1.0 / leak
        if tau is None or R is None and C is None:
            return None
        return tau, R if R is not None else tau / C

    def bears(self, method: str) -> float | None:
        """The largest dt G / C of a conductance G that a step bears without overshooting; None where it bears any."""
        return None

    def response(self, parameters: Parameters, dt: float) -> Any:
        """1 / C: how fast a current moves V, in mV / ms / pA; None where that is not known."""
        return None

    def observed(self, const: Any, state: State, name: str, step: Any) -> Any:
        """A variable at the beginning of a step."""
        return state[name]

    def settled(self, const: Any, state: State, step: Any) -> State:
        """The same state at the end of a chunk of steps: what is counted from a step long past may be moved up."""
        return state


# ---- receptors -------------------------------------------------------------------------------------------------------


class Enters(NamedTuple):
    """The variable that arrivals are added to; by itself it decays: variable <- decay variable + scale arrivals."""

    variable: str
    decay: str  # constants of the model
    scale: str | None = None


class Mode(NamedTuple):
    """A current factor t^n exp(-t / tau)."""

    factor: Any
    tau: Any
    n: int  # 0 or 1: what models that integrate exactly know


class Synapse(Part):
    """How the effect of a spike unfolds in time, in variables of the target. The first is what acts on the membrane."""

    variables: ClassVar[Mapping[str, str]]  # with what comes after the unit of the weight
    weight: ClassVar[str | None] = None  # dimension of the weight, where it is not for the output to say
    enters: ClassVar[Enters | None] = None  # where arrivals go; None where they move V itself, before the threshold is tested
    graded: ClassVar[bool] = False  # whether the source acts at every instant: then nothing arrives
    output: ClassVar[Any] = None  # the Output of a synapse that has one of its own

    @property
    def jumps(self) -> bool:
        """Whether what arrives moves V itself. Its variable x is then what has arrived at this instant."""
        return self.enters is None and not self.graded

    @property
    def settable(self) -> Mapping[str, str]:
        """The variables that a user may set at t = 0, with what comes after the unit of the weight."""
        return {} if self.jumps else self.variables

    @abstractmethod
    def lower(self, parameters: Parameters, dt: float) -> Any:
        """What a step needs."""

    @abstractmethod
    def advance(self, const: Any, state: State) -> State:
        """The other variables at the end of a step, in which nothing arrives."""

    def modes(self, parameters: Parameters) -> tuple[tuple[Mode, ...], ...] | None:
        """For each variable the current that it lets flow per unit, as a sum of modes; None for other synapses."""
        return None

    def slowest(self, parameters: Parameters) -> Any:
        """The longest time constant, in ms."""
        return 0.0


class Graded(Synapse):
    """A synapse through which a source acts at every instant by a value of its own, and not only when it fires:

        x_j(t) = sum_i w_ij value_i(t - d_ij)

    The value is that of a gate, which opens when the source fires, or without a gate the source's V.
    """

    graded = True
    variables = {"x": ""}
    gate: ClassVar[Mapping[str, str]] = {}  # variables of a source, numbers; the first is the value. Before t = 0 it is 0
    largest: ClassVar[float] = 1.0  # size of a value

    @property
    def settable(self) -> Mapping[str, str]:
        return self.gate

    def lower(self, parameters: Parameters, dt: float) -> Any:
        return ()

    def advance(self, const: Any, state: State) -> State:
        return {}

    @abstractmethod
    def opening(self, parameters: Parameters, dt: float) -> Any:
        """What a step of the gate needs."""

    @abstractmethod
    def opened(self, const: Any, state: State, fired: Any) -> State:
        """The gate at the end of a step, in which some sources have fired."""


class Output(Part):
    """How the first variable x of a receptor acts on the membrane."""

    weight: ClassVar[str]  # dimension of x, and of the weight
    conductance: ClassVar[bool] = False  # whether x is one: the membrane equation is then no longer linear
    gated: ClassVar[bool] = False  # whether what it brings depends on V

    @abstractmethod
    def lower(self, parameters: Parameters, origin: Any) -> Any:
        """What a step needs; potentials relative to `origin`."""

    @abstractmethod
    def drive(self, const: Any, x: Any, V: Any) -> Drive:
        """What it brings a neuron; V is None where the output is not gated."""

    @abstractmethod
    def current(self, const: Any, x: Any, V: Any) -> Any:
        """The current, in pA."""


# ---- inputs ----------------------------------------------------------------------------------------------------------


class Input(Part):
    """What acts on neurons from outside."""


class Targets(NamedTuple):
    """Inputs of one model on populations that lie side by side, at most one on each neuron."""

    parameters: Parameters  # with start and stop in steps; `course` is a list of Series, or None
    which: Any  # int32 [padded]: which of the courses a neuron has; None where there is one
    sizes: tuple[int, ...]  # of the populations
    padded: int
    streams: Callable[[str], tuple[Key, ...]]  # one per population, for what its neurons draw each for itself
    common: Callable[[str], tuple[Key, ...]]  # one per population, for what all targets of an input share
    membrane: tuple[Any, Any] | None  # see Population.membrane
    dt: float
    precision: str  # of what it brings
    kept: str  # and of its state
    spec: Any  # of one of the inputs, for what is alike in all
    positive: bool  # whether it is a conductance


class Current(Input):
    """A current, or a conductance, that is held over a step: its value at the beginning of the step.

    The window from start to stop, and to whom it goes, is looked after elsewhere: nothing comes of a value outside.
    """

    def alike(self, spec: Any, dt: float) -> tuple[Any, ...]:
        """What of two inputs must be the same so that they can be lowered together."""
        return ()

    def course(self, spec: Any, dt: float, read: Callable[[Any], Any]) -> Any:
        """A Series where there is one; `read` gives that of a file."""
        return None

    def steady(self, spec: Any, parameters: Parameters) -> Any:
        """The value, where it never changes between start and stop; None where it may."""
        return None

    def least(self, spec: Any, parameters: Parameters) -> Any:
        """The lowest value, one for all or one per neuron, which a conductance must not have below 0."""
        return 0.0

    def slowest(self, parameters: Parameters) -> Any:
        """The longest time constant of its state, in ms."""
        return 0.0

    @abstractmethod
    def lower(self, targets: Targets) -> Any:
        """What a step needs: a NamedTuple of arrays."""

    def init(self, const: Any, targets: Targets) -> State:
        """Its state at t = 0, for inputs that remember something."""
        return {}

    @abstractmethod
    def value(self, const: Any, state: State, step: Any, words: Words, zero: Any) -> Any:
        """pA or nS at the beginning of a step, one for all or one per neuron, with every product rounded: see rounded.py."""

    def advance(self, const: Any, state: State, step: Any, words: Words, zero: Any) -> State:
        """The state at the end of the step."""
        return state


def cast(value: Any, precision: str) -> Any:
    """A value as a device holds it: floats in a precision, all else as it is. What is beyond it becomes infinite."""
    if value is None:
        return None
    value = np.asarray(value)
    if value.dtype.kind != "f":
        return value
    with np.errstate(over="ignore"):
        return value.astype(precision)
