"""Inputs that are held over a step, as layers: at most one of them on each neuron, and all of one model.

A neuron receives its inputs one by one, in the order of the file, so that what else is in a group changes no bit. Currents that
never change are part of the constant current of a population, which costs nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import random
from snnrun.lower.groups import Placed, side_by_side
from snnrun.models import inputs, monitors, neurons, outputs, precision, series
from snnrun.models.interface import Current, State, Targets, cast
from snnrun.network import Network
from snnrun.plan import END, Driven, Group, InputPlace, Layer
from snnrun.receptors import output_of
from snnrun.selections import Part
from snnrun.spec import Spec

NOBODY = (0, 0)  # the stream of populations beside those that an input reaches


class Lowered(NamedTuple):
    layers: tuple[Layer, ...]
    constants: tuple[Driven, ...]  # per layer
    initial: tuple[State, ...]
    places: tuple[InputPlace, ...]
    of_groups: tuple[tuple[int, ...], ...]  # the layers that act on each group, in their order


class _Given(NamedTuple):
    """An input on one population."""

    name: str
    entry: Any
    parts: list[Part]
    values: list[dict[str, Any]]


def currents(network: Network) -> Iterable[tuple[str, Any, Any]]:
    """Inputs that are held over a step: name, what the user wrote, and what was drawn."""
    for name, entry in network.spec.inputs.items():
        if isinstance(inputs.MODELS[entry.model], Current):
            yield name, entry, network.inputs[name]


def always(entry: Any, values: Any) -> bool:
    """Whether an input is a current that never changes."""
    steady = inputs.held(entry).steady(entry, values)
    conductance = outputs.MODELS[output_of(entry).model].conductance
    return steady is not None and entry.start == 0 and entry.stop is None and not conductance


def steady(network: Network) -> dict[str, Any]:
    """Sum of the currents on each population that never change, in pA: one for all, or one per neuron."""
    total: dict[str, Any] = {}
    for _, entry, found in currents(network):
        for part, values in zip(found.parts, found.values, strict=True):
            if always(entry, values):
                size, current = network.spec.populations[part.population].size, inputs.held(entry).steady(entry, values)
                if part.size < size or np.ndim(current):
                    current, of_part = np.zeros(size), current
                    current[part.index] = of_part
                total[part.population] = total.get(part.population, 0.0) + current
    return total


def recorded(spec: Spec) -> set[str]:
    """What monitors name of receptors and inputs."""
    found: set[str] = set()
    for monitor in spec.monitors.values():
        kind = monitors.MODELS[monitor.model]
        if kind.names and not kind.own:
            found |= set(getattr(monitor, kind.names) or ())
    return found


def lowered(network: Network, placed: Placed, origins: Sequence[Any]) -> Lowered:
    """`origins` are what V and reversal potentials of each group are relative to."""
    spec, watched = network.spec, recorded(network.spec)
    index = {name: i for i, name in enumerate(spec.populations)}
    layers, constants, initial, places, of_groups = [], [], [], [], []
    for g, (group, names) in enumerate(zip(placed.groups, placed.members, strict=True)):
        acting: dict[str, list[_Given]] = {name: [] for name in names}
        shown: dict[str, list[_Given]] = {name: [] for name in names}  # constant currents that a monitor asks for
        for name, entry, found in currents(network):
            for population in dict.fromkeys(part.population for part in found.parts if part.population in acting):
                mine = [i for i, part in enumerate(found.parts) if part.population == population]
                given = _Given(name, entry, [found.parts[i] for i in mine], [found.values[i] for i in mine])
                if not always(entry, given.values[0]):
                    acting[population].append(given)
                elif name in watched:
                    shown[population].append(given)
        mine_all = []
        for counted, own in ((True, acting), (False, shown)):
            for depth in range(max(map(len, own.values()), default=0)):
                alike: dict[Any, dict[str, _Given]] = {}
                for name in names:
                    if len(own[name]) > depth:
                        alike.setdefault(_key(spec, own[name][depth]), {})[name] = own[name][depth]
                for key, here in alike.items():
                    model, output, kept = key[:3]
                    layer = Layer(g, model, output, kept, counted)
                    const, state = _layer(network, group, names, here, layer, origins[g])
                    begin = 0
                    for name in names:
                        if name in here:
                            places.append(InputPlace(here[name].name, index[name], len(layers), begin))
                        begin += spec.populations[name].size
                    mine_all += [len(layers)] if counted else []
                    layers.append(layer)
                    constants.append(const)
                    initial.append(state)
        of_groups.append(tuple(mine_all))
    return Lowered(tuple(layers), tuple(constants), tuple(initial), tuple(places), tuple(of_groups))


def _key(spec: Spec, given: _Given) -> tuple[Any, ...]:
    """What inputs have in common that are computed side by side."""
    model = inputs.MODELS[given.entry.model]
    assert isinstance(model, Current)
    slowest = max(float(np.max(model.slowest(values))) for values in given.values)
    absent = tuple(name for name, value in given.values[0].items() if value is None)
    output = outputs.MODELS[output_of(given.entry).model]
    return model, output, precision.of(spec.precision, slowest, spec.dt), absent, model.alike(given.entry, spec.dt)


def _layer(network: Network, group: Group, names: list[str], here: dict[str, _Given], layer: Layer, origin: Any
           ) -> tuple[Driven, State]:  # fmt: skip
    spec, sizes = network.spec, tuple(network.spec.populations[name].size for name in names)
    first = next(iter(here.values()))

    def beside(of: Any) -> Any:
        """Values of all populations, those that have none filled up."""
        found = {name: of(name, given) for name, given in here.items()}
        filler = next(iter(found.values()))
        filler = filler if filler is None else np.asarray(filler).flat[0]
        return side_by_side([found.get(name, filler) for name in names], sizes, group.padded)

    parameters: dict[str, Any] = {}
    for field in first.values[0]:
        if field != "course":
            values = lambda name, given, field=field: _whole(given, [of[field] for of in given.values], sizes[names.index(name)])  # noqa: E731
            parameters[field] = beside(values)

    def keys(stream: Callable[[str], str]) -> tuple[random.Key, ...]:
        return tuple(random.key(spec.seed, f"input/{here[n].name}/{stream(n)}") if n in here else NOBODY for n in names)

    courses, which = _courses(names, here, sizes, group.padded)
    targets = Targets(
        parameters | {"course": courses},
        which,
        sizes,
        group.padded,
        lambda what: keys(lambda name: f"{what}/{name}"),
        lambda what: keys(lambda name: what),
        _membrane(network, names, here, sizes, group.padded),
        spec.dt,
        group.precision,
        layer.precision,
        first.entry,
        layer.output.conductance,
    )
    whole = all(name in here and sum(part.size for part in here[name].parts) == sizes[i] for i, name in enumerate(names))
    on = None if whole else side_by_side([_reached(here.get(name), size) for name, size in zip(names, sizes, strict=True)],
                                         sizes, group.padded)  # fmt: skip
    start, stop = parameters["start"], parameters["stop"]
    kinetics = [network.kinetics["inputs", given.name, name] for name, given in here.items()]
    brought = {field: beside(lambda name, given, field=field: network.kinetics["inputs", given.name, name][field])
               for field in kinetics[0]}  # fmt: skip
    output = layer.output.lower(brought, origin)
    const = layer.model.lower(targets)
    driven = Driven(
        None if np.all(start == 0) else start,
        None if np.all(stop == END) else stop,
        on,
        const,
        type(output)(*(None if value is None else cast(np.asarray(value, np.float64), group.precision) for value in output)),
    )
    return driven, layer.model.init(const, targets)


def _whole(given: _Given, values: list[Any], size: int) -> Any:
    """Values of the parts of a population as one for all neurons, or one for each."""
    if values[0] is None:
        return None
    if all(np.ndim(value) == 0 and value == values[0] for value in values):
        return values[0]
    whole = np.full(size, np.asarray(values[0]).flat[0])
    for part, value in zip(given.parts, values, strict=True):
        whole[part.index] = value
    return whole


def _reached(given: _Given | None, size: int) -> NDArray[np.bool_]:
    """Which neurons of a population are targets."""
    found = np.zeros(size, bool)
    for part in () if given is None else given.parts:
        found[part.index] = True
    return found


def _courses(names: list[str], here: dict[str, _Given], sizes: tuple[int, ...], padded: int) -> tuple[Any, Any]:
    """The courses of a layer, each once, and which of them a neuron has."""
    if next(iter(here.values())).values[0]["course"] is None:
        return None, None
    every: dict[int, tuple[series.Series, int]] = {}  # by identity, with the number of its first course
    count, which = 0, []
    for name, size in zip(names, sizes, strict=True):
        own = np.zeros(size, np.int32)
        if name in here:
            for part, values in zip(here[name].parts, here[name].values, strict=True):
                course = values["course"]
                if id(course) not in every:
                    every[id(course)] = course, count
                    count += course.courses
                begin = every[id(course)][1]
                own[part.index] = begin if course.courses == 1 else np.arange(begin, begin + part.size)
        which.append(own)
    found = side_by_side(which, sizes, padded) if count > 1 else None
    return [course for course, _ in every.values()], found


def _membrane(network: Network, names: list[str], here: dict[str, _Given], sizes: tuple[int, ...], padded: int) -> Any:
    """Time constants and resistances of the neurons; None where they are not known of all targets."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in here:
        membrane = neurons.of(network.spec.populations[name]).membrane(network.populations[name].parameters)
        if membrane is None:
            return None
        found[name] = membrane
    filler = tuple(np.asarray(value).flat[0] for value in next(iter(found.values())))
    return tuple(side_by_side([found.get(name, filler)[i] for name in names], sizes, padded) for i in (0, 1))
