"""The Plan: a network as the engine runs it. Time is in steps, names are places in memory.

Populations that are propagated alike lie side by side on one axis: they are a *group*. So do receptors of one kind on a group:
a *stack* has one row for each that a neuron has, with a place in it for each neuron of the group. What there is to compile, and
what a step takes, follows from the number of groups and stacks, not from that of populations.

A Plan has a Program, which is hashable and decides what is compiled; Constants, which are arrays; and a Structure, which says for
those who read what comes out where populations and receptors have gone. On the axis of sources stand all neurons, group by
group, each padded to a multiple of 64; on the axis of targets all stacks, row by row.
"""

from typing import Any, NamedTuple

END = 2**63 - 1  # a step that is never reached


class Group(NamedTuple):
    """Populations of one model that are propagated alike."""

    model: Any  # models.interface.Population
    method: str
    size: int  # neurons
    padded: int
    first: int  # place of its first neuron on the axis of sources
    stacks: tuple[int, ...]  # of its receptors, in the order in which they act
    precision: str  # of its state; float64 also in a run of float32 where that would not do
    layers: tuple[int, ...] = ()  # of the inputs that act on it, in their order, and before its receptors


class Layer(NamedTuple):
    """Inputs of one model that are held over a step, at most one on each neuron of a group."""

    group: int
    model: Any  # models.interface.Current
    output: Any  # models.interface.Output
    precision: str  # of its state
    counted: bool  # whether it acts; a current that is part of the constant current is there to be recorded alone


class Driven(NamedTuple):
    """Constants of a layer."""

    start: Any  # int64 steps, one for all or one per neuron; None where it acts from the beginning
    stop: Any  # the first step in which it does not act any more; None where it acts to the end
    on: Any  # bool [neurons]: who receives it; None where all do
    model: Any  # of the model
    output: Any


class Stack(NamedTuple):
    """Receptors of one kind on a group: [rows, neurons], on the axis of targets."""

    group: int
    synapse: Any  # models.interface.Synapse
    output: Any  # models.interface.Output; None where arrivals move V themselves
    rows: int
    padded: int  # length of a row
    first: int  # place of its first row on the axis of targets
    noise: tuple[int, ...]  # Poisson inputs that it receives
    due: bool  # whether edges with a delay reach it
    instant: bool  # and without
    precision: str  # of its variables, like that of a group

    @property
    def places(self) -> int:
        return self.rows * self.padded

    @property
    def reached(self) -> bool:
        """Whether anything may arrive."""
        return bool(self.due or self.instant or self.noise)


class Noise(NamedTuple):
    """A Poisson input on one part of a population."""

    first: int  # place of neuron 0 of the population within the stack
    start: int  # neurons of the population
    stop: int


class Take(NamedTuple):
    """A variable that is sampled of a group or a stack."""

    kind: str  # "neuron", "receptor", "input" (the current of a receptor), "driving" (that of an input), "release" or "gate"
    place: int  # of the group, of the stack, of the layer, or of the value
    field: str
    runs: tuple[tuple[int, int], ...] | None  # places that are taken; None where Constants.taken lists them
    every: int  # steps
    first_step: int
    last_step: int  # the first step that is not sampled any more


class Releases(NamedTuple):
    """The axis of sources whose spikes carry a part of their weight that changes: see lower/releases.py."""

    places: int
    runs: tuple[tuple[int, int, int], ...]  # first word in a row of the history, words, first place


NO_RELEASES = Releases(0, ())


class PlasticRun(NamedTuple):
    """Neurons of a plastic projection: words of a row of the history, and places of an axis."""

    first_word: int
    words: int
    place: int
    number: int  # of the projection among those that are plastic


class PlasticKind(NamedTuple):
    """What of a plastic projection's rule decides what is compiled."""

    jumps: bool  # whether its synapses move V
    axonal: bool
    nearest: bool
    grows: bool  # whether potentiation does, with the weight
    mu_up: float | None  # 0 or 1; None for others
    mu_down: float | None


class Plasticity(NamedTuple):
    """What there is of weights that change: see lower/plasticity.py."""

    source_runs: tuple[PlasticRun, ...]
    target_runs: tuple[PlasticRun, ...]
    sources: int
    targets: int
    source_room: int  # spikes that are kept of each
    target_room: int
    width: int  # of a kept spike: its stamp, and the traces
    longest: int  # delay, in steps
    weights: int
    kinds: tuple[PlasticKind, ...]


NO_PLASTICITY = Plasticity((), (), 0, 0, 0, 0, 0, 0, 0, ())


class Value(NamedTuple):
    """Neurons of a population that act at every instant by a value of their own."""

    model: Any  # models.interface.Graded, of the gate; None where the value is V
    group: int
    first: int  # within the group
    size: int
    first_value: int  # place on the axis of values
    largest: float  # size of a value; a V beyond is that of a run that fails


class Coupling(NamedTuple):
    """A projection through which values act."""

    sources: tuple[tuple[int, int], ...]  # first place on the axis of values, and how many
    pieces: tuple[tuple[int, int, int, int], ...]  # stack, first place in it, first target of the projection, and how many


class Graded(NamedTuple):
    """What there is of values that act at every instant: see lower/graded.py."""

    values: tuple[Value, ...]
    couplings: tuple[Coupling, ...]
    depth: int  # steps of which values are kept
    places: int


NO_GRADED = Graded((), (), 1, 0)


class Program(NamedTuple):
    """All that decides what is compiled. Hashable."""

    precision: str
    groups: tuple[Group, ...]
    stacks: tuple[Stack, ...]
    noise: tuple[Noise, ...]
    sources: int
    targets: int
    depth: int  # rows of the history: the longest delay in steps
    kernel: str
    takes: tuple[Take, ...]
    tapped: tuple[tuple[int, int], ...]  # runs of words that a frame takes from the row of a step
    layers: tuple[Layer, ...] = ()
    releases: Releases = NO_RELEASES
    plasticity: Plasticity = NO_PLASTICITY
    graded: Graded = NO_GRADED


class Constants(NamedTuple):
    """Arrays that the compiled program is given."""

    neurons: tuple[Any, ...]  # per group
    driven: tuple[Driven, ...]  # per layer
    synapses: tuple[Any, ...]  # per stack
    instants: tuple[Any, ...]  # per stack: what the synapse does until each later stage of a step
    outputs: tuple[Any, ...]
    gains: tuple[Any, ...]
    zero: Any  # 0, that no compiler knows: see models/rounded.py
    taken: tuple[Any, ...]  # per Take: int32 places, or None
    delivery: Any  # a kernel's Layout
    release: Any = None  # models.stp.Const; None where there is no release
    opening: tuple[Any, ...] = ()  # per Value: of its gate
    brought: tuple[Any, ...] = ()  # per Coupling: kernels.graded.Brought


# ---- for those who read what comes out -------------------------------------------------------------------------------


class PopulationPlace(NamedTuple):
    name: str
    model: str
    size: int
    precision: str  # of its state
    group: int
    first: int  # within the group


class ReceptorPlace(NamedTuple):
    name: str
    population: int
    precision: str
    stack: int
    first: int  # place of the population's neuron 0 within the stack


class ReleasePlace(NamedTuple):
    """A part of a projection's sources on the axis of releases."""

    projection: str
    part: int  # of the projection's pre
    population: int
    name: str  # of the population
    start: int  # neurons of the population
    size: int
    first: int


class GatePlace(NamedTuple):
    """Gates of a projection, on all of a population."""

    projection: str
    population: int
    value: int


class InputPlace(NamedTuple):
    """An input that is held over a step, on one population."""

    name: str
    population: int
    layer: int
    first: int  # place of the population's neuron 0 within the layer


class Sample(NamedTuple):
    """What a state or input monitor takes of one population at a time."""

    monitor: str
    population: str
    label: str  # name of the variable or receptor, as the user wrote it
    unit: str
    own: bool  # whether it is a variable of the neurons
    neurons: range | tuple[int, ...]
    every: int
    first_step: int
    last_step: int
    take: int
    column: int  # of its first neuron


class WeightTap(NamedTuple):
    """What a weights monitor takes of a projection."""

    monitor: str
    projection: str
    every: int | None  # steps; None for those at the end alone
    first_step: int
    last_step: int
    synapses: int  # how many, evenly among all
    total: int
    least: float  # of the weights
    range: float
    unit: str

    @property
    def chosen(self) -> Any:
        """Numbers of the synapses, in the order of source, target and delay."""
        return [i * self.total // self.synapses for i in range(self.synapses)]

    def due(self, step: int) -> bool:
        return self.every is not None and self.first_step <= step < self.last_step and (step - self.first_step) % self.every == 0

    def next_due(self, step: int) -> int:
        """The first step after this one at which it is due."""
        if self.every is None:
            return END
        after = self.first_step if step < self.first_step else step + self.every - (step - self.first_step) % self.every
        return after if after < self.last_step else END


class SpikeTap(NamedTuple):
    """What a spikes or rate monitor takes of one population: stamps in (first_step, last_step]."""

    monitor: str
    population: str
    neurons: range | tuple[int, ...]
    first_step: int
    last_step: int
    bit: int  # of the population's neuron 0 in the row of a frame
    bin: int | None  # steps, for a rate


class PathwayReport(NamedTuple):
    """What became of a projection: for people to read."""

    name: str
    synapses: int
    delays: tuple[int, int]
    stored: bool


class Structure(NamedTuple):
    """What the arrays mean. Names, and places in groups, stacks, takes and frames."""

    dt: float
    precision: str
    steps: int
    populations: tuple[PopulationPlace, ...]
    receptors: tuple[ReceptorPlace, ...]
    inputs: tuple[InputPlace, ...]
    samples: tuple[Sample, ...]
    taps: tuple[SpikeTap, ...]
    releases: tuple[ReleasePlace, ...] = ()
    gates: tuple[GatePlace, ...] = ()
    weights: tuple[WeightTap, ...] = ()


class Plan(NamedTuple):
    structure: Structure
    program: Program
    constants: Constants
    initial: tuple[dict[str, Any], ...]  # per group
    held: tuple[dict[str, Any], ...]  # per stack: variables at t = 0, where there is anything to hold
    gates: tuple[dict[str, Any], ...]  # per Value: those of its gate
    begun: tuple[dict[str, Any], ...]  # per layer: its state at t = 0
    released: dict[str, Any]  # at t = 0, of the sources on the axis of releases
    pathways: tuple[PathwayReport, ...]
    arranged: Any  # what a kernel keeps of the edges beside its constants
    graded_bytes: int = 0

    @property
    def connectivity_bytes(self) -> int:
        return self.arranged.nbytes + self.graded_bytes
