"""The align-post merge: which projections and inputs share one synaptic variable.

A receptor is one synaptic variable on one population. Projections and inputs that agree in (post population, synapse,
output) share it, also when they reach only a slice of the population: the receptor's equation is linear, so the sum of
their arrivals is all it needs. A synapse or output with drawn parameters belongs to its projection alone.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from snnrun import outputs, synapses
from snnrun.quantities import Frozen, is_literal
from snnrun.spec import Part, Spec, parts


class Source(NamedTuple):
    """A projection or input, as one of those that feed a receptor."""

    section: str  # projections or inputs
    name: str


class Receptor(NamedTuple):
    name: str  # the first of its sources in the file
    population: str
    synapse: Any
    output: Any  # None for delta
    sources: tuple[Source, ...]
    group: int  # receptors of one group have one quantum, merged or not: all that a projection reaches are of one

    @property
    def variables(self) -> dict[str, str]:
        """State variables and their units."""
        unit = "nS" if self.output is not None and self.output.model == "coba" else "pA"
        return {name: unit + suffix for name, suffix in synapses.MODELS[self.synapse.model].VARIABLES.items()}


def targets(entry: Any) -> tuple[str, ...]:
    """The selection that a projection or input acts on."""
    return entry.post if hasattr(entry, "post") else entry.to


def output_of(entry: Any) -> Any:
    """The output of a projection or input: None for delta, cuba where none is given."""
    if synapses.MODELS[entry.synapse.model].WEIGHT is not None:
        return None
    return entry.output if entry.output is not None else outputs.cuba.Spec()


def weight_dimension(entry: Any) -> str:
    """What a weight is: a voltage for delta, a current for cuba, a conductance for coba."""
    output = output_of(entry)
    return synapses.MODELS[entry.synapse.model].WEIGHT if output is None else outputs.MODELS[output.model].WEIGHT


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


def feeds(entry: Any, source: Source, found: list[Receptor], spec: Spec) -> list[Feed]:
    """Through which receptors a projection or input acts, in the order of its targets."""
    sizes = {name: population.size for name, population in spec.populations.items()}
    result, offset = [], 0
    for part in parts(targets(entry), sizes):
        receptor = next(i for i, r in enumerate(found) if r.population == part.population and source in r.sources)
        result.append(Feed(receptor, part, offset))
        offset += part.size
    return result
