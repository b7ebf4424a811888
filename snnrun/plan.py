"""The Plan: a network as the engine runs it. Time is in steps, names are places in memory.

A Plan has two halves: a Structure, which is hashable and decides the compiled program, and Constants, which are arrays. On the
axis of sources stand all neurons, population by population, each padded to a multiple of 64; on the axis of targets all
receptors, with one place for each neuron of their population.
"""

from typing import Any, NamedTuple


class PopulationPlan(NamedTuple):
    """A population's place and what its step has to do."""

    name: str
    model: str
    size: int
    padded: int
    first: int  # place of neuron 0 on the axis of sources
    method: str | None  # how a lif is propagated
    receptors: tuple[int, ...]
    precision: str  # of its state; float64 also in a run of float32 where that would not do


class ReceptorPlan(NamedTuple):
    name: str
    population: int
    synapse: str
    output: str | None
    first: int  # place of neuron 0 on the axis of targets
    padded: int
    noise: tuple[int, ...]  # Poisson inputs that it receives
    due: bool  # whether edges with a delay reach it
    instant: bool  # and without
    precision: str  # of its variables, like that of a population


class NoisePlan(NamedTuple):
    """A Poisson input on one part of a population."""

    start: int
    stop: int


class Sample(NamedTuple):
    """What a state or input monitor takes of one population at a time."""

    monitor: str
    population: str
    label: str  # name of the variable or receptor, as the user wrote it
    unit: str
    kind: str  # "neuron", "receptor" or "input"
    place: int  # of the population, or of the receptor
    field: str
    start: int
    stop: int
    every: int  # steps
    first_step: int
    last_step: int  # the first step that is not sampled any more


class SpikeTap(NamedTuple):
    """What a spikes or rate monitor takes of one population: stamps in (first_step, last_step]."""

    monitor: str
    population: str
    start: int
    stop: int
    first_step: int
    last_step: int
    words: tuple[int, int]  # where the population's words lie in a frame's row
    bin: int | None  # steps, for a rate


class Structure(NamedTuple):
    """All that decides the compiled program, and what the frames mean. Hashable."""

    dt: float
    precision: str
    steps: int
    populations: tuple[PopulationPlan, ...]
    receptors: tuple[ReceptorPlan, ...]
    noise: tuple[NoisePlan, ...]
    sources: int
    targets: int
    depth: int  # rows of the history: the longest delay in steps
    kernel: str
    samples: tuple[Sample, ...]
    taps: tuple[SpikeTap, ...]
    tapped: tuple[tuple[int, int], ...]  # runs of words that a frame takes from the row of a step


class Constants(NamedTuple):
    """Arrays that the compiled program is given."""

    neurons: tuple[Any, ...]
    currents: tuple[tuple[Any, ...], ...]  # per population: (steps of change, values, profile)
    synapses: tuple[Any, ...]
    gains: tuple[Any, ...]
    reversal: tuple[Any, ...]
    delivery: Any  # a kernel's Layout
    V: tuple[Any, ...]  # initial potentials


class PathwayReport(NamedTuple):
    """What became of a projection: for people to read."""

    name: str
    synapses: int
    delays: tuple[int, int]
    stored: bool


class Plan(NamedTuple):
    structure: Structure
    constants: Constants
    pathways: tuple[PathwayReport, ...]
    arranged: Any  # what a kernel keeps of the edges beside its constants

    @property
    def connectivity_bytes(self) -> int:
        return self.arranged.nbytes
