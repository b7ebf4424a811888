"""The align-post merge: which projections and inputs share one synaptic variable.

A receptor is one synaptic variable on one population. Projections and inputs that agree in (post population, synapse,
output) share it, also when they reach only a slice of the population: the receptor's equation is linear, so the sum of
their arrivals is all it needs. A synapse or output with drawn parameters belongs to its projection alone.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from snnrun import units
from snnrun.models import interface, neurons, outputs, stp, synapses
from snnrun.quantities import Frozen, is_literal
from snnrun.selections import Part, parts
from snnrun.spec import Spec


class Source(NamedTuple):
    """A projection or input, as one of those that feed a receptor."""

    section: str  # projections or inputs
    name: str


class Receptor(NamedTuple):
    name: str  # the first of its sources in the file
    population: str
    synapse: Any
    output: Any  # None for delta, and where the synapse has an output of its own
    sources: tuple[Source, ...]
    group: int  # receptors of one group have one quantum, merged or not: all that a projection reaches are of one

    @property
    def variables(self) -> dict[str, str]:
        """State variables and their units."""
        dimension = _weight(self.synapse, self.output)
        own = synapses.MODELS[self.synapse.model]
        unit = "pA" if own.output is not None else units.usual(dimension)
        return {name: unit + more for name, more in own.variables.items()}

    @property
    def jumps(self) -> bool:
        """Whether arrivals move V."""
        return synapses.MODELS[self.synapse.model].jumps


def variables(population: Any, own: Iterable[Receptor]) -> dict[str, str]:
    """Names and units of a population's state variables: the model's, and `<projection>.<variable>` of its receptors."""
    known = dict(neurons.of(population).variables)
    for receptor in own:
        for source in receptor.sources:
            known |= {f"{source.name}.{name}": unit for name, unit in receptor.variables.items()}
    return known


def released(spec: Spec, population: str) -> dict[str, str]:
    """Names and units of what projections keep of their sources, like `<projection>.stp.u` and `<projection>.gate.s`."""
    found: dict[str, str] = {}
    for name, entry in spec.projections.items():
        if any(part.partition("[")[0].strip() == population for part in entry.pre):
            own = synapses.MODELS[entry.synapse.model]
            gate = own.gate if isinstance(own, interface.Graded) else {}
            found |= {f"{name}.gate.{variable}": unit for variable, unit in gate.items()}
            found |= {f"{name}.stp.{variable}": unit for variable, unit in stp.variables.items() if entry.stp is not None}
    return found


def targets(entry: Any) -> tuple[str, ...]:
    """The selection that a projection or input acts on."""
    return entry.post if hasattr(entry, "post") else entry.to


def output_of(entry: Any) -> Any:
    """The output that a projection or input takes; None where arrivals move V themselves, or the synapse has its own."""
    if hasattr(entry, "synapse"):
        synapse = synapses.MODELS[entry.synapse.model]
        if synapse.jumps or synapse.output is not None:
            return None
    return outputs.USUAL if entry.output is None else entry.output


def effect(entry: Any) -> str:
    """What a projection or input is to its targets: a "jump" of V, a "conductance" or a "current"."""
    output = output_of(entry)
    if output is not None:
        return "conductance" if outputs.MODELS[output.model].conductance else "current"
    return "jump" if synapses.MODELS[entry.synapse.model].jumps else "conductance"


def weight_dimension(entry: Any) -> str:
    """What a weight, or a value of an input without a synapse, is: a voltage where it moves V itself, else a current or a
    conductance as the output has it."""
    if not hasattr(entry, "synapse"):
        return outputs.MODELS[output_of(entry).model].weight
    return _weight(entry.synapse, output_of(entry))


def given_at_first(entry: Any) -> dict[str, Any]:
    """What a projection or input says that its synapses hold at t = 0, by variable."""
    return {name: value for name, value in entry.init if value is not None}


def held_dimension(entry: Any, variable: str) -> str:
    """What one of the variables is that may be set at t = 0."""
    synapse = synapses.MODELS[entry.synapse.model]
    if synapse.graded:
        return "number"
    more = synapse.variables[variable]
    dimension = weight_dimension(entry)
    return units.dimension_of(units.exponents(units.usual(dimension) + more)) if more else dimension


def wrong_at_first(entry: Any, variable: str, values: Any) -> tuple[Any, str]:
    """Which of the values of a variable at t = 0 cannot be, and why not."""
    synapse, values = synapses.MODELS[entry.synapse.model], np.asarray(values)
    if isinstance(synapse, interface.Graded):
        if variable != next(iter(synapse.gate)):
            return values < 0, f"{variable} is not negative"
        return (values < 0) | (values > synapse.largest), f"{variable} lies between 0 and {synapse.largest:g}"
    conductance = weight_dimension(entry) == "conductance"
    return conductance & (values < 0), "a conductance must not be negative"


def conducting(spec: Spec) -> set[str]:
    """The populations that conductances act on."""
    sizes = {name: population.size for name, population in spec.populations.items()}
    found: set[str] = set()
    for _, _, entry in (*spec.feeding, *(("inputs", name, entry) for name, entry in spec.driving)):
        if effect(entry) == "conductance":
            found |= {part.population for part in parts(targets(entry), sizes)}
    return found


def _weight(synapse: Any, output: Any) -> str:
    own = synapses.MODELS[synapse.model].weight
    return outputs.MODELS[output.model].weight if own is None else own


def receptors(spec: Spec, merge: bool = True) -> list[Receptor]:
    """All receptors in the order of the file. Without `merge` every projection and input has its own."""
    sizes = {name: population.size for name, population in spec.populations.items()}
    found: dict[Any, Receptor] = {}
    group_of: dict[Any, int] = {}  # by what is shared when merged
    same: list[int] = []  # for each group, another one that is the same, or itself
    for section, name, entry in spec.feeding:
        source = Source(section, name)
        output = output_of(entry)
        literal = _literal(entry.synapse) and (output is None or _literal(output))
        literal &= not synapses.MODELS[entry.synapse.model].graded
        first: int | None = None
        for population in dict.fromkeys(part.population for part in parts(targets(entry), sizes)):
            shared = (population, entry.synapse, output, None if literal else source)
            if shared not in group_of:
                group_of[shared] = len(same)
                same.append(len(same))
            group = group_of[shared]
            if section == "projections":
                first = group if first is None else first
                same[_root(same, group)] = _root(same, first)
            key = shared if merge else (shared, source)
            if key in found:
                found[key] = found[key]._replace(sources=(*found[key].sources, source))
            else:
                found[key] = Receptor(name, population, entry.synapse, output, (source,), group)
    return [receptor._replace(group=_root(same, receptor.group)) for receptor in found.values()]


def _root(same: list[int], group: int) -> int:
    while same[group] != group:
        group = same[group]
    return group


def _literal(part: Frozen) -> bool:
    return all(is_literal(getattr(part, name)) or isinstance(getattr(part, name), str) for name in type(part).model_fields)


# The weights that a receptor can count: between these, or 0. A quantum and a sum of weights then have no more digits than a
# float of the precision has exponents.
WEIGHTS = {"float32": (2.0**-96, 2.0**96), "float64": (2.0**-960, 2.0**960)}


def quantum(bound: float, bits: int) -> float:
    """The smallest power of two q with bound / q < 2**bits, or one where there is nothing to bound."""
    return math.ldexp(1.0, math.frexp(bound)[1] - bits) if bound > 0 else 1.0


WEIGHT_BITS = 30  # of the largest weight in float32
ROUGH = 1e-3  # a rounding beyond this part of a weight is told


def rounding(weight: Any, largest: float) -> Any:
    """The part of a weight by which float32 changes it beside the largest one on its receptor; 1 where it becomes 0."""
    q, weight = quantum(largest, WEIGHT_BITS), np.abs(np.asarray(weight, np.float64))
    return np.divide(np.abs(np.rint(weight / q) * q - weight), weight, out=np.zeros_like(weight), where=weight > 0)


class Feed(NamedTuple):
    """A piece of the target axis of a projection or input: neurons of one population, through one receptor."""

    receptor: int
    part: Part
    offset: int  # of the piece's first neuron within the whole target axis


class Feeds:
    """Through which receptors projections and inputs act."""

    def __init__(self, spec: Spec, found: list[Receptor]) -> None:
        self._spec = spec
        self._sizes = {name: population.size for name, population in spec.populations.items()}
        self._of = {(r.population, source): i for i, r in enumerate(found) for source in r.sources}
        self._known: dict[Source, list[Feed]] = {}
        self.index = {name: i for i, name in enumerate(spec.populations)}  # of the populations

    def of(self, section: str, name: str) -> list[Feed]:
        """The pieces, in the order of the targets."""
        source = Source(section, name)
        if source not in self._known:
            result, offset = [], 0
            for part in parts(targets(getattr(self._spec, section)[name]), self._sizes):
                result.append(Feed(self._of[part.population, source], part, offset))
                offset += part.size
            self._known[source] = result
        return self._known[source]
