"""Spec -> Network: everything that is drawn or read from files. Plain NumPy arrays in internal units; only delays know dt.

Every draw depends on the seed, the name of what it is for and the neuron or edge alone, so a network does not change
when something unrelated is added to it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import connect, inputs, neurons, outputs, random, synapses, tables, units
from snnrun.check import connected, selection_sizes, weight_columns
from snnrun.document import Fault, Key, SpecError
from snnrun.quantities import Column, is_literal, law_of, plain
from snnrun.receptors import output_of, targets, weight_dimension
from snnrun.spec import Part, Spec, parts

Values = float | NDArray[np.float64]


class Population(NamedTuple):
    """Neurons with their parameters; each a number or one value per neuron."""

    parameters: dict[str, Any]
    V: Values | None  # initial potential; None for sources
    trains: tuple[NDArray[np.int64], NDArray[np.int64]] | None  # (neuron, stamp) of spike_times


class Projection(NamedTuple):
    pre: list[Part]
    post: list[Part]
    connectivity: connect.Connectivity  # its edges, which are drawn when they are arranged


class Input(NamedTuple):
    """What an input needs per target population part: drawn values, by field."""

    parts: list[Part]
    values: list[dict[str, Any]]


class Network(NamedTuple):
    spec: Spec
    populations: dict[str, Population]
    projections: dict[str, Projection]
    inputs: dict[str, Input]
    # drawn parameters of synapses and outputs: (section, name, population) -> field -> values
    kinetics: dict[tuple[str, str, str], dict[str, Any]]


def build(spec: Spec, folder: Path) -> Network:
    """Draw a network, all but its edges. Raises SpecError for what only drawn or loaded values can show."""
    sizes = selection_sizes(spec)
    populations = {name: population(spec, name, folder) for name in spec.populations}
    network_inputs = {name: _input(spec, name, folder, sizes) for name in spec.inputs}
    found = {}
    for section, name, entry in spec.feeding:
        for target in dict.fromkeys(part.population for part in parts(targets(entry), sizes)):
            found[section, name, target] = kinetics(spec, section, name, entry, target, folder)
    projections = {name: _projection(spec, name, folder, sizes) for name in spec.projections}
    return Network(spec, populations, projections, network_inputs, found)


def round_steps(times: Any, dt: float) -> Any:
    """Drawn times in whole steps, half away from zero."""
    return np.floor(np.asarray(times) / dt + 0.5).astype(np.int64)


def _fail(path: Key, message: str, hint: str = "") -> SpecError:
    return SpecError([Fault(path, message, hint)])


def _values(spec: Spec, stream: str, value: Any, entities: NDArray[Any], path: Key, folder: Path, size: int) -> Any:
    """A literal as it is; a distribution drawn, or a column read, for the neurons `entities` of `size`."""
    if value is None or isinstance(value, str):
        return value
    if is_literal(value):
        return float(plain(value))
    if isinstance(value, Column):
        try:
            column = tables.quantity(folder / value.file, value.column)
        except tables.TableError as error:
            raise _fail((*path, "file"), error.message, error.hint) from None
        if len(column) != size:
            message = f"the column {value.column!r} has {len(column):,} values, and there are {size:,} neurons"
            raise _fail((*path, "column"), message)
        if not np.isfinite(column).all():
            raise _fail((*path, "column"), f"the column {value.column!r} has values that are no finite numbers")
        return column[entities]
    return _draw(spec, stream, value, entities, 0, path)


def _draw(spec: Spec, stream: str, value: Any, entity: Any, number: Any, path: Key) -> NDArray[np.float64]:
    law = law_of(value)
    assert law is not None
    try:
        return random.draw(random.key(spec.seed, stream), law, entity, number)
    except random.DrawError as error:
        raise _fail((*path, law.kind), str(error), "widen the bounds") from None


def _hold(module: Any, values: dict[str, Any], path: Key) -> None:
    """What a model demands of its parameters, now that they are drawn."""
    for rule in getattr(module, "RULES", ()):
        concerned = [values.get(name) for name in rule.fields]
        if any(value is None for value in concerned):
            continue
        bad = ~np.asarray(rule.holds(*concerned))
        if bad.any():
            which = "" if bad.ndim == 0 else f" ({np.count_nonzero(bad):,} of {bad.size:,} neurons violate this)"
            raise _fail((*path, rule.fields[0]), rule.message + which, "bound the distribution with redraw: {min: ...}")


def population(spec: Spec, name: str, folder: Path) -> Population:
    """Neurons with their parameters drawn, and no more of the network. Raises SpecError."""
    entry, path = spec.populations[name], ("populations", name)
    module, everyone = neurons.MODELS[entry.model], np.arange(entry.size)
    values = {
        field: _values(
            spec, f"population/{name}/{field}", getattr(entry, field), everyone, (*path, field), folder, entry.size
        )  # fmt: skip
        for field in module.DRAWN
    }
    _hold(module, values, path)
    if entry.model == "spike_times":
        return Population(values, None, _trains(spec, name, folder))
    if entry.model == "poisson":
        _sound_rates(np.asarray(values["rate"]) * spec.dt, 1.0, path)
        return Population(values, None, None)
    start = entry.init.V
    if start is None:
        return Population(values, values["V_rest"], None)
    V = _values(spec, f"population/{name}/init/V", start, everyone, (*path, "init", "V"), folder, entry.size)
    return Population(values, V, None)


def _sound_rates(per_step: Any, limit: float, path: Key) -> None:
    if np.any(per_step > limit):
        raise _fail((*path, "rate"), f"a drawn rate makes {np.max(per_step):.3g} spikes per step; the limit is {limit:g}",
                    "bound the distribution")  # fmt: skip


def _trains(spec: Spec, name: str, folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    population: Any = spec.populations[name]
    path = ("populations", name, "times")
    if isinstance(population.times, tuple):
        stamps = np.array([units.steps(time, spec.dt) for time in population.times], np.int64)
        return np.repeat(np.arange(population.size), len(stamps)), np.tile(stamps, population.size)
    try:
        table = tables.read(folder / population.times.file, ["neuron", "time_ms"])
    except tables.TableError as error:
        raise _fail((*path, "file"), error.message, error.hint) from None
    neuron = _indices(table["neuron"], population.size, "neuron", (*path, "file"))
    stamps = _grid(table["time_ms"], spec.dt, (*path, "file"), "time_ms")
    if len(stamps) and stamps.min() < 1:
        raise _fail((*path, "file"), "a spike time is less than one step", f"the earliest is {units.show(spec.dt, 'time')}")
    pairs = np.stack([neuron, stamps], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise _fail((*path, "file"), "a neuron has two spikes in one step", "a neuron spikes at most once in a step")
    return neuron, stamps


def _indices(values: NDArray[Any], size: int, column: str, path: Key) -> NDArray[np.int64]:
    """Whole numbers 0 ... size - 1 from a column of a file."""
    whole = np.asarray(values)
    bad = ~np.isfinite(whole) | (whole != np.floor(whole)) | (whole < 0) | (whole >= size)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        message = f"{column} is {units.number_text(float(whole[row]))} in row {row + 1}"
        raise _fail(path, message, f"indices count within the selection: 0 to {size - 1}")
    return whole.astype(np.int64)


def _grid(times: NDArray[Any], dt: float, path: Key, column: str) -> NDArray[np.int64]:
    """Literal times of a file in whole steps."""
    quotient = np.asarray(times, np.float64) / dt
    nearest = np.rint(quotient)
    with np.errstate(invalid="ignore"):  # the difference of infinities is nan, which is on no grid
        bad = ~(np.abs(quotient - nearest) <= np.maximum(units.GRID_TOLERANCE, 1e-12 * np.abs(quotient))) | (nearest < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        value = float(np.asarray(times)[row])
        if not 0 <= value < np.inf:
            hint = "a time must not be negative" if value < 0 else "a time is a finite number"
            raise _fail(path, f"{column} is {value:g} in row {row + 1}", hint)
        message, hint = units.off_grid(value, dt)
        raise _fail(path, f"{column} in row {row + 1}: {message}", hint)
    return nearest.astype(np.int64)


def _input(spec: Spec, name: str, folder: Path, sizes: dict[str, int]) -> Input:
    """Drawn values per target; a neuron's are those of its index in its population, whatever slice is addressed."""
    entry, path = spec.inputs[name], ("inputs", name)
    module, found = inputs.MODELS[entry.model], parts(entry.to, sizes)
    fields = [*module.DRAWN, *(["weight"] if hasattr(entry, "weight") else [])]
    total, values, offset = sum(part.size for part in found), [], 0
    for part in found:
        of_part = {}
        for field in fields:
            value = getattr(entry, field)
            # a file lists the targets in their order; a draw belongs to the neuron
            listed = isinstance(value, Column)
            entities = np.arange(offset, offset + part.size) if listed else np.arange(part.start, part.stop)
            stream = f"input/{name}/{field}/{part.population}"
            of_part[field] = _values(spec, stream, value, entities, (*path, field), folder, total)
        _hold(module, of_part, path)
        if entry.model == "poisson":
            _sound_rates(np.asarray(of_part["rate"]) * spec.dt, inputs.poisson.MAX_PER_STEP, path)
            _sound_weight(entry, of_part["weight"], path)
        values.append(of_part)
        offset += part.size
    return Input(found, values)


def _sound_weight(entry: Any, weight: Any, path: Key) -> None:
    if weight_dimension(entry) == "conductance" and np.any(np.asarray(weight) < 0):
        count = np.count_nonzero(np.asarray(weight) < 0)
        raise _fail((*path, "weight"), f"{count:,} drawn conductances are negative", "add redraw: {min: 0 nS}")


def kinetics(spec: Spec, section: str, name: str, entry: Any, population: str, folder: Path) -> dict[str, Any]:
    """Parameters of a synapse and its output on one population, drawn: numbers, or one value per neuron. Raises SpecError."""
    everyone = np.arange(spec.populations[population].size)
    values: dict[str, Any] = {}
    for key, part, table in (("synapse", entry.synapse, synapses.MODELS), ("output", output_of(entry), outputs.MODELS)):
        if part is None:
            continue
        of_part, path = {}, (section, name, key)
        for field in type(part).model_fields:
            value = getattr(part, field)
            stream = f"{section[:-1]}/{name}/{key}/{field}/{population}"
            of_part[field] = _values(spec, stream, value, everyone, (*path, field), folder, len(everyone))
        _hold(table[part.model], of_part, path)
        values |= of_part
    return values


# ---- edges -----------------------------------------------------------------------------------------------------------


_LISTED = ("one_to_one", "pairs")  # rules whose edges are few: they are listed at once


def _projection(spec: Spec, name: str, folder: Path, sizes: dict[str, int]) -> Projection:
    entry = spec.projections[name]
    pre, post = parts(entry.pre, sizes), parts(entry.post, sizes)
    connectivity = connect.Connectivity(
        name,
        entry.connect,
        connected(pre, post),
        random.key(spec.seed, f"projection/{name}/connect"),
        _per_edge(spec, name, "weight", float),
        _per_edge(spec, name, "delay", lambda time: units.steps(time, spec.dt)),
        spec.dt,
        weight_dimension(entry) == "conductance",
    )
    rule = entry.connect
    if rule.rule == "file":
        connectivity = _from_file(spec, connectivity, folder)
    elif rule.rule in _LISTED or (rule.rule == "fixed_total" and not rule.multapses):
        connectivity = _listed(connectivity, connect.collect(connectivity))
    return Projection(pre, post, connectivity)


def _per_edge(spec: Spec, name: str, field: str, convert: Callable[[float], Any]) -> Any:
    """A weight or delay: one number, what is drawn for each edge, or None where a file is to say it."""
    value = getattr(spec.projections[name], field)
    if value is None:
        return None
    if is_literal(value):
        return convert(plain(value))
    law = law_of(value)
    if law is None:
        hint = "edges from a file may have weights and delays of their own: connect: {rule: file, path: ...}"
        path = ("projections", name, field, "file")
        raise _fail(path, "a column has one value per neuron, and one per edge is wanted here", hint)
    return connect.Drawn(law, random.key(spec.seed, f"projection/{name}/{field}"))


def _listed(connectivity: connect.Connectivity, edges: connect.Edges) -> connect.Connectivity:
    return connectivity._replace(rule=None, listed=(edges.pre, edges.post), weight=edges.weight, delay=edges.delay)


def _from_file(spec: Spec, c: connect.Connectivity, folder: Path) -> connect.Connectivity:
    """The edges that a file lists, with the weights and delays that it has or that the projection draws."""
    entry, path = spec.projections[c.name], ("projections", c.name, "connect", "path")
    assert isinstance(entry.connect, connect.File)
    file, population = folder / entry.connect.path, entry.connect.population
    try:
        there = tables.columns(file, population)
        weights = weight_columns(there)
        wanted = ["pre", "post", *weights, *(["delay_ms"] if "delay_ms" in there else [])]
        table = tables.read(file, wanted, population)
    except tables.TableError as error:
        raise _fail(path, error.message, error.hint) from None
    pre = _indices(table["pre"], c.sizes.pre, "pre", path)
    post = _indices(table["post"], c.sizes.post, "post", path)
    number = np.arange(len(pre))
    drafts = connect.Drafts(pre, post, number, np.zeros_like(number))
    weight, delay = c.weight, c.delay
    if weights:
        values = table[weights[0]].astype(np.float64)
        weight = values if weights[0] == "syn_weight" else tables.to_internal(values, weights[0])
        if not np.isfinite(weight).all():
            raise _fail(path, f"{weights[0]} has values that are no finite numbers")
        if c.positive and np.any(weight < 0):
            message = f"{weights[0]} has {np.count_nonzero(weight < 0):,} negative conductances"
            raise _fail(path, message, "inhibition is a matter of the reversal potential E")
    elif isinstance(weight, connect.Drawn):
        weight = connect.drawn_weights(c, drafts)
    if "delay_ms" in table:
        steps = _grid(table["delay_ms"], spec.dt, path, "delay_ms")
        if len(steps) and steps.max() > np.iinfo(np.int32).max:
            raise _fail(path, *connect.too_long(int(steps.max())))
        delay = steps.astype(np.int32)
    elif isinstance(delay, connect.Drawn):
        delay = connect.drawn_delays(c, drafts)
    keep = np.ones(len(pre), bool) if entry.connect.autapses else c.sizes.post_of_pre()[pre] != post
    pick: Callable[[Any], Any] = lambda values: values[keep] if isinstance(values, np.ndarray) else values  # noqa: E731
    return _listed(c, connect.Edges(pre[keep].astype(np.int32), post[keep].astype(np.int32), pick(weight), pick(delay)))
