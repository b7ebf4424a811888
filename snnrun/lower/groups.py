"""Which populations and receptors lie side by side, and their values as one."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.models import neurons, outputs, rates, synapses
from snnrun.network import Network, Trains
from snnrun.plan import END, Group, PopulationPlace, ReceptorPlace, Stack
from snnrun.receptors import Receptor, conducting

LANES = 64  # a large odd length costs XLA on a CPU a factor of four; words of the history hold 32
# Neurons of a population that is never put beside others: arrays that differ within a group are then more to move through the
# caches than the operations that are spared (8 populations of 10,000: 72 us a step side by side, 61 us one by one).
LARGE = 8192


class Placed(NamedTuple):
    """Groups and stacks, and what has gone into them."""

    groups: list[Group]
    stacks: list[Stack]
    populations: tuple[PopulationPlace, ...]
    receptors: tuple[ReceptorPlace, ...]
    members: list[list[str]]  # populations of each group, in the order in which they lie
    rows: list[list[list[Receptor]]]  # of each stack: for each row the receptor of each member


def place(network: Network, found: list[Receptor]) -> Placed:
    """Populations of one model that are propagated alike form a group; receptors that follow each other in all of them and are of
    one kind form a stack."""
    spec = network.spec
    own: dict[str, list[int]] = {name: [] for name in spec.populations}
    for i, receptor in enumerate(found):
        own[receptor.population].append(i)
    kinds = [_kind(network, receptor) for receptor in found]
    conductive = conducting(spec)
    alike: dict[Any, list[str]] = {}
    for name, population in spec.populations.items():
        received = tuple(kinds[i] for i in own[name])
        key = _alike(network, name, name in conductive), received
        alike.setdefault((key, name if population.size >= LARGE else None), []).append(name)
    groups, stacks, members, rows = [], [], [], []
    where: dict[str, tuple[int, int]] = {}
    of_receptor: dict[int, tuple[int, int]] = {}
    first = targets = 0
    for ((model, method, precision, _), received), names in ((key, names) for (key, _), names in alike.items()):
        begin = 0
        for name in names:
            where[name] = len(groups), begin
            begin += spec.populations[name].size
        padded = -(-begin // LANES) * LANES
        numbers = []
        for low, high in _runs(received):
            synapse, output, kept, _ = received[low]
            numbers.append(len(stacks))
            for row in range(low, high):
                for name in names:
                    of_receptor[own[name][row]] = len(stacks), (row - low) * padded + where[name][1]
            rows.append([[found[own[name][row]] for name in names] for row in range(low, high)])
            stacks.append(Stack(len(groups), synapse, output, high - low, padded, targets, (), False, False, kept))
            targets += (high - low) * padded
        groups.append(Group(model, method, begin, padded, first, tuple(numbers), precision))
        members.append(names)
        first += padded
    populations = tuple(
        PopulationPlace(name, population.model, population.size, groups[where[name][0]].precision, *where[name])
        for name, population in spec.populations.items()
    )
    index = {name: i for i, name in enumerate(spec.populations)}
    places = tuple(ReceptorPlace(r.name, index[r.population], kinds[i][2], *of_receptor[i]) for i, r in enumerate(found))
    return Placed(groups, stacks, populations, places, members, rows)


def _alike(network: Network, name: str, conductances: bool) -> tuple[Any, str, str, Any]:
    """Model, method, precision, and whatever of the parameters is no number."""
    spec, population = network.spec, network.populations[name]
    entry = spec.populations[name]
    model = neurons.of(entry)
    method = model.methods(entry, conductances)
    kept = model.precision(spec.precision, population.parameters, spec.dt)
    return model, method, kept, _words(population.parameters)


def _kind(network: Network, receptor: Receptor) -> tuple[Any, Any, str, Any]:
    """Synapse, output, precision, and whatever of the parameters is no number."""
    parameters = network.kinetics_of(receptor)
    synapse = synapses.MODELS[receptor.synapse.model]
    output = synapse.output if receptor.output is None else outputs.MODELS[receptor.output.model]
    return synapse, output, network.precision_of(receptor), _words(parameters)


_COURSES = (rates.Pieces, rates.Wave)


def _words(parameters: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    found = [(name, type(value) if isinstance(value, _COURSES) else value) for name, value in parameters.items()]
    return tuple((name, value) for name, value in found if value is None or isinstance(value, str | bool | type))


def _runs(items: Sequence[Any]) -> Iterable[tuple[int, int]]:
    """Where equal items follow each other."""
    begin = 0
    for end in range(1, len(items) + 1):
        if end == len(items) or items[end] != items[begin]:
            yield begin, end
            begin = end


# ---- values ----------------------------------------------------------------------------------------------------------


def side_by_side(values: Sequence[Any], sizes: Sequence[int], padded: int) -> Any:
    """Values of populations, each a number for all or one per neuron: as one number where they agree, else [padded]. What is no
    number is the same in all; of courses there is one per population. After the last neuron follow copies of it."""
    first = values[0]
    if isinstance(first, Trains):
        begin = np.cumsum([0, *sizes])
        neurons = [trains.neuron + offset for trains, offset in zip(values, begin, strict=False)]
        return np.concatenate(neurons), np.concatenate([trains.stamp for trains in values])
    if isinstance(first, _COURSES):
        return tuple(values)
    if first is None or isinstance(first, str | bool):
        return first
    if all(np.ndim(value) == 0 for value in values):
        numbers = np.array(values)
        if (numbers == numbers[0]).all():
            return numbers[0]
        return _filled(np.repeat(numbers, sizes), padded)
    return _filled(np.concatenate([np.broadcast_to(v, size) for v, size in zip(values, sizes, strict=True)]), padded)


def _filled(values: NDArray[Any], padded: int) -> NDArray[Any]:
    return np.concatenate([values, np.repeat(values[-1:], padded - len(values))])


def stacked(rows: Sequence[Any]) -> Any:
    """Values of rows, each a number or [padded]: as one number where they agree, else [rows, 1] or [rows, padded]."""
    if rows[0] is None or isinstance(rows[0], str | bool):
        return rows[0]
    if all(np.ndim(row) == 0 for row in rows):
        numbers = np.array(rows)
        return numbers[0] if (numbers == numbers[0]).all() else numbers[:, None]
    return np.stack(np.broadcast_arrays(*rows))


def stacked_columns(parts: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """Parts of an axis, each with its length, as one: a number where they agree, else one value per place."""
    found: dict[str, Any] = {}
    for field in parts[0][0]:
        values = [(np.asarray(columns[field]), length) for columns, length in parts]
        if all(value.ndim == 0 and value == values[0][0] for value, _ in values):
            found[field] = values[0][0]
        else:
            found[field] = np.concatenate([np.broadcast_to(value, length) for value, length in values])
    return found


def of_group(network: Network, names: Sequence[str], padded: int) -> dict[str, Any]:
    """Parameters of populations as one."""
    sizes = [network.spec.populations[name].size for name in names]
    every = [network.populations[name].parameters for name in names]
    return {field: side_by_side([p[field] for p in every], sizes, padded) for field in every[0]}


def of_stack(network: Network, rows: Sequence[Sequence[Receptor]], padded: int) -> dict[str, Any]:
    """Parameters of the synapses and outputs of receptors as one."""
    sizes = [network.spec.populations[receptor.population].size for receptor in rows[0]]
    every = [[network.kinetics_of(receptor) for receptor in row] for row in rows]
    return {field: stacked([side_by_side([p[field] for p in row], sizes, padded) for row in every]) for field in every[0][0]}


def stops(value: float | None, steps: Any) -> int:
    """A time that may be left out as a step."""
    return END if value is None else steps(value)
