"""Spec -> Network: everything that is drawn or read from files. Plain NumPy arrays in internal units; only delays know dt.

Every draw depends on the seed, the name of what it is for and the neuron or edge alone, so a network does not change
when something unrelated is added to it.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import random, tables, units
from snnrun.check import (
    MAX_STEPS,
    connected,
    edges_columns,
    edges_table,
    layout_columns,
    placed,
    referenced_files,
    selection_sizes,
    times_table,
    uncountable,
    waveform_column,
)
from snnrun.document import Fault, Key, SpecError, uncollected
from snnrun.models import connect, inputs, interface, layout, neurons, outputs, precision, rates, series, stdp, stp, synapses
from snnrun.models.graphs import Blocks, MatrixFile
from snnrun.models.space import DelayByDistance, Places, Space
from snnrun.models.spatial import LEAST, ByDistance, OutOfReach
from snnrun.plan import END
from snnrun.quantities import (
    Column,
    Frozen,
    RatesFile,
    Slices,
    TimesFile,
    TrainsFile,
    WaveformFile,
    fields,
    is_list,
    is_literal,
    law_of,
    literals,
    plain,
)
from snnrun.receptors import WEIGHTS, Receptor, given_at_first, output_of, rounding, targets, weight_dimension, wrong_at_first
from snnrun.selections import Part, parts, shares
from snnrun.spec import Spec

Values = float | NDArray[np.float64]
EXAMINED = 256 * 2**20  # bytes of values that are read and drawn to check a network: a second or two


class Trains(NamedTuple):
    """Given spikes, one by one."""

    neuron: NDArray[np.int64]
    stamp: NDArray[np.int64]  # steps


class Population(NamedTuple):
    """Neurons with their parameters and initial values; each a number or one value per neuron."""

    parameters: dict[str, Any]  # by field; times that are whole steps as numbers of steps
    initial: dict[str, Any]
    places: Places | None = None  # where they are


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
    stp: dict[str, list[dict[str, Any]]]  # of projections with short-term plasticity: for each part of pre, drawn parameters
    # what synapses hold at t = 0: (section, name) -> population -> variable -> one value per neuron
    first: dict[tuple[str, str], dict[str, dict[str, NDArray[np.float64]]]]
    warnings: list[Fault]

    @property
    def noise(self) -> dict[str, Input]:
        """Inputs that act through receptors."""
        return {name: values for name, values in self.inputs.items() if hasattr(self.spec.inputs[name], "synapse")}

    def kinetics_of(self, receptor: Receptor) -> dict[str, Any]:
        """Parameters of a receptor's synapse and output, which are those of any of its sources."""
        section, source = receptor.sources[0]
        return self.kinetics[section, source, receptor.population]

    def precision_of(self, receptor: Receptor) -> str:
        """Precision of a receptor's variables."""
        return precision_of(self.spec, receptor, self.kinetics_of(receptor))


def precision_of(spec: Spec, receptor: Receptor, kinetics: dict[str, Any]) -> str:
    slowest = synapses.MODELS[receptor.synapse.model].slowest(kinetics)
    return precision.of(spec.precision, slowest, spec.dt)


@uncollected()
def build(spec: Spec, folder: Path) -> Network:
    """Draw a network, all but its edges. Raises SpecError with every fault that only drawn or loaded values can show."""
    found, faults, warnings = {}, [], []
    for entry in _entries(spec, folder, warnings):
        if entry.section == "matrices":  # which are a part of their projections
            continue
        try:
            found[entry.section, *entry.key] = entry.build()
        except SpecError as error:
            faults += error.faults
    if faults:
        raise SpecError(faults)

    def of(section: str) -> dict[Any, Any]:
        return {key[0] if len(key) == 1 else key: value for (kind, *key), value in found.items() if kind == section}

    kinetics = {tuple(key): value for (kind, *key), value in found.items() if kind == "kinetics"}
    first = {(key[0], key[1]): value for (kind, *key), value in found.items() if kind == "first"}
    return Network(spec, of("populations"), of("projections"), of("inputs"), kinetics, of("stp"), first, warnings)


class Examined(NamedTuple):
    """What reading the files of a network has shown, and which of them were too large to be read."""

    faults: list[Fault]
    warnings: list[Fault]
    unread: list[str]
    delays: dict[str, int]  # the longest delay of each projection whose file was read, in steps


def examine(spec: Spec, folder: Path, most: float = EXAMINED) -> Examined:
    """What building a network would show, but for files and draws that take more than `most` bytes in all."""
    found = Examined([], [], [], {})
    for entry in _entries(spec, folder, found.warnings):
        try:
            cost = entry.cost()
            if cost > most:
                found.unread.extend(entry.files())
                continue
            most -= cost
            built = entry.build()
        except SpecError as error:
            found.faults.extend(error.faults)
            continue
        if entry.section == "projections" and entry.files():
            found.delays[entry.key[0]] = connect.delay_bounds(built.connectivity)[1]
    found.unread[:] = dict.fromkeys(found.unread)
    return found


class _Entry(NamedTuple):
    """A part of a network that is built by itself."""

    section: str
    key: tuple[str, ...]
    files: Callable[[], list[str]]
    cost: Callable[[], float]  # about the bytes that are read and drawn
    build: Callable[[], Any]


def _entries(spec: Spec, folder: Path, warnings: list[Fault]) -> Iterator[_Entry]:
    """All parts of a network; building them adds to the warnings."""
    sizes = selection_sizes(spec)

    def entry(section: str, key: tuple[str, ...], part: Any, path: Key, size: int, drawn: float, build: Any) -> _Entry:
        return _Entry(section, key, lambda: list(referenced_files(part)), lambda: drawn + _cost(part, path, folder, size), build)

    for name, given in spec.populations.items():
        own = fields(type(given))
        times = sum(len(getattr(given, of.name)) for of in own if not of.drawable and is_list(getattr(given, of.name)))
        drawn = 8.0 * given.size * (1 + len(own) + 2 * times)
        build = partial(population, spec, name, folder, warnings)
        yield entry("populations", (name,), given, ("populations", name), given.size, drawn, build)
    for name, given in spec.inputs.items():
        size = sum(part.size for part in parts(given.to, sizes))
        drawn = 8.0 * size * sum(field.drawable for field in fields(type(given)))
        yield entry("inputs", (name,), given, ("inputs", name), size, drawn, partial(_input, spec, name, folder, sizes))
    for section, name, given in (*spec.feeding, *(("inputs", name, given) for name, given in spec.driving)):
        for target in dict.fromkeys(part.population for part in parts(targets(given), sizes)):
            build = partial(kinetics, spec, section, name, given, target, folder)
            both, path = {"synapse": getattr(given, "synapse", None), "output": given.output}, (section, name)
            yield entry("kinetics", (section, name, target), both, path, sizes[target], 16.0 * sizes[target], build)
    for section, name, given in spec.feeding:
        if given_at_first(given):
            size = sum(part.size for part in _holding(given, sizes))
            build = partial(_first_values, spec, section, name, given, folder, sizes)
            yield entry("first", (section, name), given.init, (section, name, "init"), size, 16.0 * size, build)
    places_of = cache(partial(places, spec, folder=folder))  # those of a population serve all of its projections
    for name, projection in spec.projections.items():
        if projection.stp is not None:
            size = sum(part.size for part in parts(projection.pre, sizes))
            build = partial(_stp, spec, name, folder, sizes)
            yield entry("stp", (name,), projection.stp, ("projections", name, "stp"), size, 40.0 * size, build)
        # edges that a rule draws are drawn when they are arranged
        drawn = 0.0 if isinstance(projection.connect, connect.File) else math.inf
        if isinstance(getattr(projection.connect, "p", None), MatrixFile):
            ends, path = connected(parts(projection.pre, sizes), parts(projection.post, sizes)), ("projections", name, "connect")
            build = partial(_complete, projection.connect, ends, path, folder)
            yield entry("matrices", (name,), projection.connect, path, 0, 0.0, build)
        build = partial(_projection, spec, name, folder, sizes, places_of, warnings)
        yield entry("projections", (name,), projection.connect, ("projections", name, "connect"), 0, drawn, build)


def _cost(part: Any, path: Key, folder: Path, size: int) -> int:
    """About the bytes that reading the files of a part takes; none for a column that is known not to have `size` values."""
    if isinstance(part, dict):
        return sum(_cost(value, (*path, key), folder, size) for key, value in part.items())
    if not isinstance(part, Frozen):
        return 0
    try:
        if isinstance(part, Column):
            table = tables.parameters(folder / part.file)
            column = tables.found(table, part.column)
            if part.id is not None:
                return table.cost([column, tables.found(table, part.id)])
            return 0 if table.exact and table.length(column) != size else table.cost([column])
        if isinstance(part, connect.File):
            table = edges_table(part, folder)
            return table.cost(edges_columns(table, part)) + 40 * table.length("pre")
        if isinstance(part, TimesFile):
            table = times_table(part, folder)
            return table.cost(list(part.columns)) + 40 * table.length("time_ms")
        if isinstance(part, layout.File):
            table = tables.parameters(folder / part.file)
            return table.cost(layout_columns(part, table))
        if isinstance(part, MatrixFile):
            table = tables.parameters(folder / part.file)
            return table.cost(list(table.columns))
    except tables.TableError as error:
        raise _fail((*path, "path" if isinstance(part, connect.File) else "file"), error.message, error.hint) from None
    return sum(_cost(getattr(part, name), (*path, name), folder, size) for name in type(part).model_fields)


def round_steps(times: Any, dt: float) -> Any:
    """Drawn times in whole steps, half away from zero; at most as many as can be counted."""
    with np.errstate(over="ignore"):
        return np.minimum(np.floor(np.asarray(times) / dt + 0.5), MAX_STEPS).astype(np.int64)


def _fail(path: Key, message: str, hint: str = "") -> SpecError:
    return SpecError([Fault(path, message, hint)])


def _values(spec: Spec, stream: str, value: Any, neurons: NDArray[Any], path: Key, folder: Path, size: int,
            rows: NDArray[Any] | None = None) -> Any:  # fmt: skip
    """A literal as it is; a distribution drawn for some neurons of a population; or what stands in some of the `size` rows of a
    column or list, those of the neurons' numbers where no others are given."""
    if value is None or isinstance(value, str | bool):
        return value
    if is_literal(value):
        return float(plain(value))
    rows = neurons if rows is None else rows
    if isinstance(value, Column):
        return _column(spec, value, path, folder, size)[rows]
    if is_list(value):
        return np.array([plain(each) for each in value], np.float64)[rows]
    if isinstance(value, Slices):
        found, owner = np.empty(len(rows)), shares(value.slices, size)[rows]
        for i, (text, of_slice) in enumerate(value.slices.items()):
            mine = owner == i
            found[mine] = _values(spec, stream, of_slice, neurons[mine], (*path, "slices", text), folder, size)
        return found
    return _draw(spec, stream, value, neurons, 0, path)


def _column(spec: Spec, value: Column, path: Key, folder: Path, size: int, at: str = "column") -> NDArray[np.float64]:
    """A column of a file in internal units, a value for each of `size` neurons; its name is `at` the path."""
    with _located((*path, "file")):
        table = tables.parameters(folder / value.file)
        column = tables.found(table, value.column)
        count, row_of, values = table.length(column), None, None
        if value.id is not None:
            row_of = _rows(value, path, folder, size)
            values = table.read([column])[column][row_of]
            count = size
        elif not table.exact or count == size:
            values = table.read([column])[column]
            count = len(values)
        if values is None or count != size:
            message = f"the column {value.column!r} has {count:,} values, and there are {size:,} neurons"
            raise _fail((*path, at), message)
        found = tables.to_internal(values, value.column)
        with np.errstate(over="ignore"):
            held = np.isfinite(found.astype(spec.precision))
        if not held.all():
            first = int(np.argmin(held))
            hint = "write a finite number" if not np.isfinite(values[first]) else f"this is more than {spec.precision} can hold"
            row = first if row_of is None else int(row_of[first])
            raise _fail((*path, at), f"{column} is {values[first]:g} {table.place(row)} of {table.name}", hint)
    return found


def _rows(value: Column, path: Key, folder: Path, size: int) -> NDArray[np.int64]:
    """The row of each of `size` neurons in a table that says of which one a row is. Raises SpecError."""
    assert value.id is not None
    with _located((*path, "id")):
        table = tables.parameters(folder / value.file)
        name = tables.found(table, value.id)
        numbers = _indices(table.read([name])[name], size, name, table)
        row_of = np.full(size, -1, np.int64)
        row_of[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the first of several
        again = row_of[numbers] != np.arange(len(numbers))
        if again.any():
            row = int(np.argmax(again))
            before = table.place(int(row_of[numbers[row]]))
            raise tables.TableError(f"{name} {numbers[row]} stands {before} and {table.place(row)} of {table.name}", "keep one")
        missing = np.flatnonzero(row_of < 0)
        if len(missing):
            more = f", nor one for {len(missing) - 1:,} other neurons" if len(missing) > 1 else ""
            raise tables.TableError(f"{table.name} has no row whose {name} is {missing[0]}{more}", f"there are {size:,} neurons")
    return row_of


@contextmanager
def _located(path: Key) -> Iterator[None]:
    """What is wrong with a file is shown where it is named."""
    try:
        yield
    except tables.TableError as error:
        raise _fail(path, error.message, error.hint) from None


def _draw(spec: Spec, stream: str, value: Any, entity: Any, number: Any, path: Key) -> NDArray[np.float64]:
    law = law_of(value)
    assert law is not None
    try:
        return random.draw(random.key(spec.seed, stream), law, entity, number)
    except random.DrawError as error:
        raise _fail((*path, law.kind), str(error), "widen the bounds") from None


def _hold(model: interface.Part, values: dict[str, Any], path: Key, part: Any, folder: Path, total: int, offset: int = 0) -> None:
    """What a model demands of its parameters, now that they are drawn; `offset` is that of the values among those of all neurons
    that the parameters are for, of which there are `total`."""
    for rule in model.rules:
        concerned = [values.get(name) for name in rule.fields]
        if any(value is None for value in concerned):
            continue
        bad = ~np.asarray(rule.holds(*concerned))
        if bad.any():
            which = "" if bad.ndim == 0 else f" ({np.count_nonzero(bad):,} of {bad.size:,} neurons violate this)"
            varied = [name for name in rule.fields if not is_literal(getattr(part, name))]
            name = next((name for name in varied if _written(getattr(part, name))), (varied or rule.fields)[0])
            below, hint = _first_bad(getattr(part, name), bad, (*path, name), folder, offset, total)
            raise _fail((*path, name, *below), rule.message + which, hint)


def _written(value: Any) -> bool:
    """Whether the values of neurons are written somewhere, one by one."""
    return isinstance(value, Column) or is_list(value)


def _first_bad(value: Any, bad: Any, path: Key, folder: Path, offset: int, size: int) -> tuple[Key, str]:
    """Below the path of a value that neurons have, where the first of the bad ones comes from, and what to do."""
    first = int(np.argmax(bad)) + offset
    if isinstance(value, Column):
        row = first if value.id is None else int(_rows(value, path, folder, size)[first])
        with _located((*path, "file")):
            place = tables.parameters(folder / value.file).place(row)
        return (), f"the first is {value.column} {place} of {value.file}"
    if is_list(value):
        return (first,), ""
    if isinstance(value, Slices):
        text = list(value.slices)[shares(value.slices, size)[first]]
        return ("slices", text), "" if is_literal(value.slices[text]) else _BOUND
    return (), "" if is_literal(value) else _BOUND


_BOUND = "bound the distribution with redraw: {min: ..., max: ...}"


def population(spec: Spec, name: str, folder: Path, warnings: list[Fault]) -> Population:
    """Neurons with their parameters drawn, and no more of the network. Raises SpecError."""
    entry, path = spec.populations[name], ("populations", name)
    model, everyone = neurons.of(entry), np.arange(entry.size)

    def values(stream: str, value: Any, *below: str) -> Any:
        return _values(spec, f"population/{name}/{stream}", value, everyone, (*path, *below), folder, entry.size)

    skipped, quantities = ("model", "size", "layout", "init"), {field.name: field for field in fields(type(entry))}
    found = {}
    for field, value in entry:
        if field in skipped:
            continue
        if isinstance(value, TrainsFile | dict) or is_list(value) and not quantities[field].drawable:
            found[field] = _trains(spec, value, entry.size, (*path, field), folder, warnings)
        elif isinstance(value, rates.StepsSpec | rates.SineSpec | rates.FileSpec):
            read = partial(_rates, spec, path=(*path, field), folder=folder, most=1 / spec.dt, warnings=warnings)
            found[field] = rates.built(value, spec.dt, read)
        else:
            found[field] = values(field, value, field)
    _hold(model, found, path, entry, folder, entry.size)
    if (problem := model.sound(entry, found, spec.dt)) is not None:
        field, message, bad = problem
        below, hint = _first_bad(getattr(entry, field), bad, (*path, field), folder, 0, entry.size)
        raise _fail((*path, field, *below), message, hint)
    given = dict(getattr(entry, "init", ()))
    drawn = {x: values(f"init/{x}", value, "init", x) for x, value in given.items() if value is not None}
    initial = model.initial(found, drawn)
    for field, of in quantities.items():
        if of.least is not None and not isinstance(found[field], Trains):
            found[field] = _steps(found[field], spec.dt)
    return Population(found, initial, None if entry.layout is None else places(spec, name, folder))


def places(spec: Spec, name: str, folder: Path) -> Places:
    """Where the neurons of a population are that has a layout. Raises SpecError."""
    entry, path = spec.populations[name], ("populations", name, "layout")
    if not isinstance(entry.layout, layout.File):
        try:
            return layout.places(entry.layout, entry.size, random.key(spec.seed, f"population/{name}/layout"))
        except layout.LayoutError as error:
            raise _fail((*path, error.field), error.message, error.hint) from None
    with _located((*path, "file")):
        columns = layout_columns(entry.layout, tables.parameters(folder / entry.layout.file))
    named = [Column(file=entry.layout.file, column=column, id=entry.layout.id) for column in columns]
    found = [_column(spec, column, path, folder, entry.size, "file") for column in named]
    return Places(np.stack(found, axis=1), entry.layout.period)


def space(spec: Spec, name: str, folder: Path, places_of: Callable[[str], Places] | None = None) -> Space | None:
    """Where the neurons of a projection are, if anything depends on it. Raises SpecError."""
    entry, sizes = spec.projections[name], selection_sizes(spec)
    if not placed(entry):
        return None
    places_of = places_of or (lambda population: places(spec, population, folder))
    sides = [[(places_of(p.population), p) for p in parts(selection, sizes)] for selection in (entry.pre, entry.post)]
    points = [np.concatenate([found.points[p.index] for found, p in side]) for side in sides]
    return Space(points[0], points[1], sides[0][0][0].period)


def expected_edges(spec: Spec, name: str, folder: Path) -> float:
    """How many edges a projection has on average; of a file as many as its header tells, or its share of them. Raises SpecError
    and TableError."""
    entry, sizes = spec.projections[name], selection_sizes(spec)
    ends = connected(parts(entry.pre, sizes), parts(entry.post, sizes))
    if isinstance(entry.connect, connect.File):
        return edges_table(entry.connect, folder).length("pre") / _sharing(spec, entry.connect)
    if isinstance(entry.connect, ByDistance):
        where = space(spec, name, folder)
        assert where is not None
        return entry.connect.expected(ends, where)
    return _complete(entry.connect, ends, ("projections", name, "connect"), folder).expected(ends)


def _sharing(spec: Spec, rule: connect.File) -> int:
    """How many projections share the edges of a file among them: those that choose some of its edges, each its own."""
    chosen = [other.connect for other in spec.projections.values() if isinstance(other.connect, connect.File)]
    alike = [one for one in chosen if (one.path, one.population) == (rule.path, rule.population) and (one.edge_types or one.sign)]
    return max(len(alike), 1) if rule.edge_types or rule.sign else 1


def longest_delay(spec: Spec, name: str, folder: Path) -> float:
    """A bound of the delays by distance of a projection, in ms. Raises SpecError."""
    entry, where = spec.projections[name], space(spec, name, folder)
    assert where is not None and isinstance(entry.delay, DelayByDistance)
    farthest = min(where.widest, entry.connect.reach(LEAST)) if isinstance(entry.connect, ByDistance) else where.widest
    return float(entry.delay.values(np.array(farthest)))


def _steps(time: Any, dt: float) -> Any:
    """Times in whole steps: drawn ones are rounded, and one that is left out is the end of the run."""
    return END if time is None else round_steps(time, dt)


def _trains(spec: Spec, given: Any, size: int, path: Key, folder: Path, warnings: list[Fault]) -> Trains:
    """Times at which all neurons spike, those of some by their numbers, or those of a file."""
    if not isinstance(given, TrainsFile):
        times = literals(given)
        stamps = np.array([units.steps(time, spec.dt) for _, time in times], np.int64)
        if any(len(below) > 1 for below, _ in times):
            return Trains(np.array([int(below[0]) for below, _ in times], np.int64), stamps)
        return Trains(np.repeat(np.arange(size), len(stamps)), np.tile(stamps, size))
    with _located((*path, "file")):
        table = times_table(given, folder)
        values = table.read(list(given.columns))
        neuron = _indices(values["neuron"], size, "neuron", table)
        stamps = _grid(values["time_ms"], spec.dt, "time_ms", table, given.off_grid, MAX_STEPS, least=1)
        order = np.lexsort((stamps, neuron))
        neuron, stamps = neuron[order], stamps[order]
        again = np.zeros(len(order), bool)
        again[1:] = (neuron[1:] == neuron[:-1]) & (stamps[1:] == stamps[:-1])
        if again.any():
            row = int(order[np.argmax(again)])
            time = units.show(float(values["time_ms"][row]), "time")
            message = f"neuron {int(values['neuron'][row])} has two spikes in one step, the second {table.place(row)}, at {time}"
            if given.off_grid == "error":
                raise tables.TableError(message, "a neuron spikes at most once in a step; off_grid: round merges them")
            merged = f"{np.count_nonzero(again):,} of {len(order):,} spikes are left out"
            warnings.append(Fault((*path, "file"), f"{merged}: their neuron has another one in the same step", message))
    return Trains(neuron[~again], stamps[~again])


def _rates(spec: Spec, given: RatesFile, path: Key, folder: Path, most: float, warnings: list[Fault] | None = None
           ) -> tuple[Any, Any]:  # fmt: skip
    """Steps and rates of a file, at most so high, of rates that begin in one step the last one; those of sources with a warning
    where spikes are lost."""
    path = (*path, "file")
    with _located(path):
        table = times_table(given, folder)
        values = table.read(list(given.columns))
        times, rate = values["time_ms"], values["rate_Hz"].astype(np.float64)
        steps = _grid(times, spec.dt, "time_ms", table, given.off_grid, MAX_STEPS)
        back = np.zeros(len(times), bool)
        back[1:] = times[1:] <= times[:-1]
        _first(back, times, "time_ms", table, "times ascend")
        _first(~np.isfinite(rate), rate, "rate_Hz", table, "a rate is a finite number")
        _first(rate < 0, rate, "rate_Hz", table, "a rate must not be negative")
        rate = units.scaled(rate, "Hz")
        why = "" if warnings is None else "a source spikes at most once in a step: "
        _first(rate > most, values["rate_Hz"], "rate_Hz", table, f"{why}at most {units.show(most, 'rate')}")
    highest = np.max(rate, initial=0.0) * spec.dt
    if warnings is not None and highest > 0.1:
        message = f"rate * dt is up to {highest:.2g} in {table.name}: spikes that would share a step are lost"
        warnings.append(Fault(path, message))
    last = np.append(steps[1:] > steps[:-1], True)[: len(steps)]
    return steps[last], rate[last]


def _first(bad: NDArray[Any], values: NDArray[Any], column: str, table: tables.Table, hint: str) -> None:
    """Raise TableError for the first of the rows that are bad, if there is one."""
    if bad.any():
        row = int(np.argmax(bad))
        raise tables.TableError(f"{column} is {units.number_text(values[row])} {table.place(row)} of {table.name}", hint)


def _indices(values: NDArray[Any], size: int, column: str, table: tables.Table) -> NDArray[np.int64]:
    """Whole numbers 0 ... size - 1 from a column of a file."""
    bad = (values < 0) | (values >= size)
    if values.dtype.kind == "f":
        bad |= ~np.isfinite(values) | (values != np.floor(values))
    _first(bad, values, column, table, f"indices count within the selection: 0 to {size - 1}")
    return values.astype(np.int64)


def _grid(times: NDArray[Any], dt: float, column: str, table: tables.Table, off_grid: str, most: int,
          least: int = 0) -> NDArray[np.int64]:  # fmt: skip
    """Times of a file in whole steps, no fewer and no more than some; those that are none are refused, or moved."""
    times = times.astype(np.float64)
    _first(~np.isfinite(times), times, column, table, "a time is a finite number")
    _first(times < 0, times, column, table, "a time must not be negative")
    with np.errstate(over="ignore"):
        quotient = times / dt
    _first(quotient > most, times, column, table, f"times here are at most {units.show(most * dt, 'time')}")
    nearest = np.rint(quotient)
    bad = np.abs(quotient - nearest) > np.maximum(units.GRID_TOLERANCE, 1e-12 * quotient)
    if off_grid != "error":
        halves_up = np.floor(quotient * (1 + 1e-12) + 0.5)  # 0.15 / 0.1 is a half, too
        moved = halves_up if off_grid == "round" else np.ceil(quotient)
        return np.maximum(np.where(bad, moved, nearest), least).astype(np.int64)
    if bad.any():
        row = int(np.argmax(bad))
        message, hint = units.off_grid(float(times[row]), dt, least)
        raise tables.TableError(f"{column} {table.place(row)} of {table.name}: {message}", f"{hint}, or off_grid: round")
    hint = f"the earliest is {units.show(least * dt, 'time')}; off_grid: round moves it there"
    _first(nearest < least, times, column, table, hint)
    return nearest.astype(np.int64)


def _input(spec: Spec, name: str, folder: Path, sizes: dict[str, int]) -> Input:
    """Drawn values per target; a neuron's are those of its index in its population, whatever slice is addressed."""
    entry, path = spec.inputs[name], ("inputs", name)
    model, found = inputs.MODELS[entry.model], parts(entry.to, sizes)
    drawn = [field.name for field in fields(type(entry)) if field.drawable]
    plainly = {key: value for key, value in entry if key not in drawn and (value is None or isinstance(value, int | float))}
    total, values, offset = sum(part.size for part in found), [], 0
    course, common = None, None
    if isinstance(model, interface.Current):
        course = model.course(entry, spec.dt, partial(_points, spec, size=total, path=path, folder=folder))
    elif (given := getattr(entry, "course", None)) is not None:
        most = model.highest(entry, spec.dt)  # type: ignore[attr-defined]
        read = partial(_rates, spec, path=(*path, "course"), folder=folder, most=most)
        common = rates.built(given, spec.dt, read)
    for part in found:
        # a draw belongs to the neuron; lists have the targets in their order
        of_part, own, rows = {}, part.numbers, np.arange(offset, offset + part.size)
        for field in drawn:
            stream, value = f"input/{name}/{field}/{part.population}", getattr(entry, field)
            of_part[field] = _values(spec, stream, value, own, (*path, field), folder, total, rows)
        _hold(model, of_part, path, entry, folder, total, offset)
        if (problem := model.sound(entry, of_part, spec.dt)) is not None:
            field, message, bad = problem
            below, hint = _first_bad(getattr(entry, field), bad, (*path, field), folder, offset, total)
            raise _fail((*path, field, *below), message, hint)
        if "weight" in of_part:
            _sound_weight(spec, entry, of_part["weight"], path, folder, offset, total)
        of_part |= plainly | {"course": common}
        if isinstance(model, interface.Current):
            of_part["course"] = None if course is None else series.part(course, offset, part.size)
            for field in fields(type(entry)):
                if field.least is not None and field.name in of_part:
                    of_part[field.name] = _steps(of_part[field.name], spec.dt) if not _absent(field.name, of_part) else None
            _sound_conductance(entry, model, of_part, path)
        values.append(of_part)
        offset += part.size
    return Input(found, values)


def _stp(spec: Spec, name: str, folder: Path, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Drawn parameters of short-term plasticity per part of pre; a neuron's are those of its index in its population."""
    entry, path = spec.projections[name], ("projections", name, "stp")
    assert entry.stp is not None
    found, offset = parts(entry.pre, sizes), 0
    total, values = sum(part.size for part in found), []
    for part in found:
        of_part, own, rows = {}, part.numbers, np.arange(offset, offset + part.size)
        for field in fields(type(entry.stp)):
            stream, value = f"projection/{name}/stp/{field.name}/{part.population}", getattr(entry.stp, field.name)
            of_part[field.name] = _values(spec, stream, value, own, (*path, field.name), folder, total, rows)
        _hold(stp.MODELS[entry.stp.model], of_part, path, entry.stp, folder, total, offset)
        values.append(of_part)
        offset += part.size
    return values


def _absent(name: str, values: dict[str, Any]) -> bool:
    """Whether a time is not given; where the end is not, that is the end of the run."""
    return values[name] is None and name != "stop"


def _sound_conductance(entry: Any, model: interface.Current, values: dict[str, Any], path: Key) -> None:
    """That an input which is a conductance is never negative."""
    if weight_dimension(entry) == "conductance":
        bad = np.asarray(model.least(entry, values)) < 0
        if bad.any():
            which = "" if bad.ndim == 0 else f" of {np.count_nonzero(bad):,} of {bad.size:,} neurons"
            hint = "keep its values from falling below 0; for inhibition lower the reversal potential E"
            raise _fail(path, f"the conductance{which} becomes negative", hint)


def _points(spec: Spec, given: WaveformFile, size: int, path: Key, folder: Path) -> inputs.waveform.Points:
    """Points of a file, of one course or of one for each of `size` targets, in ms and pA or nS."""
    path = (*path, "file")
    with _located(path):
        table = times_table(given, folder)
        column = waveform_column(table, weight_dimension(given))
        per_target = "neuron" in table.columns
        read = table.read(["time_ms", column, *(["neuron"] if per_target else [])])
        times, value = read["time_ms"].astype(np.float64), tables.to_internal(read[column], column)
        _first(~np.isfinite(times), times, "time_ms", table, "a time is a finite number")
        _first(times < 0, times, "time_ms", table, "a time must not be negative")
        with np.errstate(over="ignore"):
            _first(~np.isfinite(value.astype(spec.precision)), read[column], column, table, "a finite number is wanted here")
            _first(times / spec.dt > MAX_STEPS, times, "time_ms", table, "these are more steps than can be counted")
        if weight_dimension(given) == "conductance":
            _first(value < 0, read[column], column, table, "a conductance must not be negative")
        if given.period is not None:  # type: ignore[attr-defined]
            late = times > given.period  # type: ignore[attr-defined]
            _first(late, times, "time_ms", table, f"the period is {units.show(given.period, 'time')}")  # type: ignore[attr-defined]
        first, order = np.array([0, len(times)]), None
        if per_target:
            neuron = _indices(read["neuron"], size, "neuron", table)
            order = np.argsort(neuron, kind="stable")
            neuron, times, value = neuron[order], times[order], value[order]
            first = np.searchsorted(neuron, np.arange(size + 1))
        back = np.zeros(len(times), bool)
        back[1:] = times[1:] <= times[:-1]
        back[first[(first > 0) & (first < len(times))]] = False
        if back.any():
            row = int(np.argmax(back) if order is None else order[np.argmax(back)])
            said = f"time_ms is {units.number_text(read['time_ms'][row])} {table.place(row)} of {table.name}"
            raise tables.TableError(said, "times ascend" + (" for each neuron" if per_target else ""))
    return inputs.waveform.Points(first, times, value)


def _sound_weight(spec: Spec, entry: Any, weight: Any, path: Key, folder: Path, offset: int, total: int) -> None:
    """That weights of an input are such as its receptors can count; bounds of drawn ones have been checked."""
    path, written = (*path, "weight"), _written(entry.weight)
    negative = np.asarray(weight) < 0
    if weight_dimension(entry) == "conductance" and negative.any():
        below, hint = _first_bad(entry.weight, negative, path, folder, offset, total)
        hint = hint if written else "add redraw: {min: 0 nS}"
        raise _fail(
            (*path, *below), f"{np.count_nonzero(negative):,} {'' if written else 'drawn '}conductances are negative", hint
        )
    least, most = WEIGHTS[spec.precision]
    bad = (np.abs(weight) > most) | ((np.abs(weight) < least) & (np.asarray(weight) != 0))
    if written and bad.any():
        said = uncountable(float(np.abs(weight)[np.argmax(bad)]), spec.precision)
        below, hint = _first_bad(entry.weight, bad, path, folder, offset, total)
        raise _fail((*path, *below), f"a weight {said}", hint)


def kinetics(spec: Spec, section: str, name: str, entry: Any, population: str, folder: Path) -> dict[str, Any]:
    """Parameters of a synapse and its output on one population, drawn: numbers, or one value per neuron. Raises SpecError."""
    everyone = np.arange(spec.populations[population].size)
    values: dict[str, Any] = {}
    synapse = getattr(entry, "synapse", None)
    for key, part, table in (("synapse", synapse, synapses.MODELS), ("output", output_of(entry), outputs.MODELS)):
        if part is None:
            continue
        of_part, path = {}, (section, name, key)
        for field in type(part).model_fields:
            value = getattr(part, field)
            stream = f"{section[:-1]}/{name}/{key}/{field}/{population}"
            of_part[field] = _values(spec, stream, value, everyone, (*path, field), folder, len(everyone))
        _hold(table[part.model], of_part, path, part, folder, len(everyone))
        values |= of_part
    return values


def _holding(entry: Any, sizes: dict[str, int]) -> list[Part]:
    """The neurons that the variables of a projection's or input's synapses belong to: its targets, or those who hold gates."""
    return parts(entry.pre if synapses.MODELS[entry.synapse.model].graded else targets(entry), sizes)


def _first_values(spec: Spec, section: str, name: str, entry: Any, folder: Path, sizes: dict[str, int]
                  ) -> dict[str, dict[str, NDArray[np.float64]]]:  # fmt: skip
    """What synapses hold at t = 0: for each population and variable one value per neuron, 0 where there is none. Raises
    SpecError."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    every, offset = _holding(entry, sizes), 0
    total = sum(part.size for part in every)
    for part in every:
        own = found.setdefault(part.population, {})
        for variable, value in given_at_first(entry).items():
            stream, path = f"{section[:-1]}/{name}/init/{variable}/{part.population}", (section, name, "init", variable)
            rows = np.arange(offset, offset + part.size)
            values = np.broadcast_to(_values(spec, stream, value, part.numbers, path, folder, total, rows), part.size)
            bad, message = wrong_at_first(entry, variable, values)
            if bad.any():
                below, hint = _first_bad(value, bad, path, folder, offset, total)
                raise _fail((*path, *below), f"{message} ({np.count_nonzero(bad):,} of {bad.size:,} neurons violate this)", hint)
            own.setdefault(variable, np.zeros(sizes[part.population]))[part.index] = values
        offset += part.size
    return found


# ---- edges -----------------------------------------------------------------------------------------------------------


def _projection(spec: Spec, name: str, folder: Path, sizes: dict[str, int], places_of: Callable[[str], Places],
                warnings: list[Fault]) -> Projection:  # fmt: skip
    entry, path = spec.projections[name], ("projections", name, "connect")
    pre, post = parts(entry.pre, sizes), parts(entry.post, sizes)
    ends = connected(pre, post)
    connectivity = connect.Connectivity(
        name,
        _complete(entry.connect, ends, path, folder),
        ends,
        random.key(spec.seed, f"projection/{name}/connect"),
        _per_edge(spec, name, "weight", float),
        _per_edge(spec, name, "delay", lambda time: units.steps(time, spec.dt)),
        spec.dt,
        weight_dimension(entry) == "conductance",
        space=space(spec, name, folder, places_of),
    )
    rule = entry.connect
    if isinstance(rule, connect.File):
        connectivity = _from_file(spec, connectivity, folder, warnings)
    elif rule.listed or connectivity.space is not None:
        try:
            connectivity = _listed(connectivity, connect.collect(connectivity))
        except OutOfReach as error:
            raise _fail(path, error.message, error.hint) from None
    if entry.stdp is not None:
        _within_bounds(entry, name, connectivity)
    return Projection(pre, post, connectivity)


def _within_bounds(entry: Any, name: str, connectivity: connect.Connectivity) -> None:
    """That weights that change begin between their bounds."""
    (least, most), (low, high) = stdp.bounds(entry.stdp), connect.weight_bounds(connectivity)
    if low < least or high > most:
        dimension = weight_dimension(entry)
        a, b, c, d = (units.show(value, dimension) for value in (least, most, low, high))
        drawn = isinstance(connectivity.weight, connect.Drawn)
        hint = f"bound the distribution with redraw: {{min: {a}, max: {b}}}" if drawn else f"they are {c} to {d}"
        raise _fail(("projections", name, "weight"), f"not all weights lie within {a} ... {b}, the bounds of stdp", hint)


def _complete(rule: Any, ends: connect.Sizes, path: Key, folder: Path) -> Any:
    """A rule with the numbers that it has in a file."""
    if not (isinstance(rule, Blocks) and isinstance(rule.p, MatrixFile)):
        return rule
    where = (*path, "p", "file")
    with _located(where):
        table = tables.parameters(folder / rule.p.file)
        columns = table.read(list(table.columns))
        for name, values in columns.items():
            _first(~((values >= 0) & (values <= 1)), values, name, table, "a probability lies between 0 and 1")
    matrix = tuple(zip(*(values.astype(np.float64).tolist() for values in columns.values()), strict=True))
    if not matrix:
        raise _fail(where, f"{rule.p.file} has no numbers", "a row for each group of pre is wanted")
    rule = rule.model_copy(update={"p": matrix})
    if (impossible := rule.impossible(ends)) is not None:
        raise _fail(path, *impossible)
    return rule


def _per_edge(spec: Spec, name: str, field: str, convert: Callable[[float], Any]) -> Any:
    """A weight or delay: one number, what is drawn for each edge, or None where a file is to say it."""
    value = getattr(spec.projections[name], field)
    if value is None:
        return None
    if is_literal(value):
        return convert(plain(value))
    if connect.individual(value):
        return value
    law = law_of(value)
    if law is None:
        hint = "edges from a file may have weights and delays of their own: connect: {rule: file, path: ...}"
        path = ("projections", name, field, "file")
        raise _fail(path, "a column has one value per neuron, and one per edge is wanted here", hint)
    return connect.Drawn(law, random.key(spec.seed, f"projection/{name}/{field}"))


def _listed(connectivity: connect.Connectivity, edges: connect.Edges) -> connect.Connectivity:
    drawn = {"listed": (edges.pre, edges.post), "weight": edges.weight, "delay": edges.delay}
    return connectivity._replace(rule=None, space=None, **drawn)


def _from_file(spec: Spec, c: connect.Connectivity, folder: Path, warnings: list[Fault]) -> connect.Connectivity:
    """The edges that a file lists, with the weights and delays that it has or that the projection draws."""
    entry, path = spec.projections[c.name], ("projections", c.name, "connect", "path")
    assert isinstance(entry.connect, connect.File)
    with _located(path):
        table = edges_table(entry.connect, folder)
        table, values = _meant(entry.connect, table, table.read(edges_columns(table, entry.connect)), c.sizes)
        pre = _indices(values["pre"], c.sizes.pre, "pre", table)
        post = _indices(values["post"], c.sizes.post, "post", table)
        number = np.arange(len(pre))
        drafts = connect.Drafts(pre, post, number, np.zeros_like(number))
        weight, delay = c.weight, c.delay
        column = next(iter(tables.weights(table)), None)
        if column is not None:
            weight = values[column].astype(np.float64) if column == "syn_weight" else tables.to_internal(values[column], column)
            weight = weight if entry.connect.scale == 1 else weight * entry.connect.scale
        elif connect.individual(weight):
            weight = connect.drawn_weights(c, drafts)
        if "nsyns" in values:
            count = values["nsyns"]
            sound = (count >= 0) & (count == np.floor(count)) & np.isfinite(count)
            _first(~sound, count, "nsyns", table, "write a whole number")
            with np.errstate(over="ignore"):
                weight = weight * count.astype(np.float64)
        if np.ndim(weight):
            _sound_weights(spec, c, weight, values[column] if column is not None else None, column or "weight", table)
        if column is not None:
            _warn_of_rounding(spec, weight, table, path, warnings)
        if "delay_ms" in values:
            off_grid = entry.connect.off_grid
            delay = _grid(values["delay_ms"], spec.dt, "delay_ms", table, off_grid, connect.MAX_DELAY).astype(np.int32)
        elif connect.individual(delay):
            delay = connect.drawn_delays(c, drafts)
    keep = np.ones(len(pre), bool) if entry.connect.autapses else c.sizes.post_of_pre()[pre] != post
    pick: Callable[[Any], Any] = lambda values: values[keep] if isinstance(values, np.ndarray) else values  # noqa: E731
    return _listed(c, connect.Edges(pre[keep].astype(np.int32), post[keep].astype(np.int32), pick(weight), pick(delay)))


def _meant(rule: connect.File, table: tables.Table, values: dict[str, NDArray[Any]],
           sizes: connect.Sizes) -> tuple[tables.Table, dict[str, NDArray[Any]]]:  # fmt: skip
    """The edges of a file that a projection takes, with ends that count within its selections."""
    keep = np.ones(len(values["pre"]), bool)
    if rule.edge_types is not None:
        keep &= np.isin(values["edge_type_id"], rule.edge_types)
    if rule.sign is not None:
        keep &= (values[tables.weights(table)[0]] < 0) == (rule.sign == "negative")
    ends = {}
    for side, ranges, size in (("pre", rule.pre_nodes, sizes.pre), ("post", rule.post_nodes, sizes.post)):
        if ranges is not None:
            place, within = _places_in(values[side], ranges)
            if (there := sum(stop - start for start, stop in ranges)) != size:
                said = f"{side}_nodes are {there:,} indices of {table.name}, and {side} has {size:,} neurons"
                raise tables.TableError(said, "name one index for each neuron")
            keep &= within
            ends[side] = place
    if keep.all():
        return table, values | ends
    kept = np.flatnonzero(keep)
    found = {name: column[kept] for name, column in (values | ends).items()}
    return table._replace(place=lambda row: table.place(int(kept[row]))), found


def _places_in(index: NDArray[Any], ranges: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where indices are in ranges that follow each other, and which are in one."""
    starts, stops = np.array(sorted(ranges), np.int64).T
    first = dict(zip((start for start, _ in ranges), np.cumsum([0, *(b - a for a, b in ranges)]).tolist(), strict=False))
    with np.errstate(invalid="ignore"):  # what is no number lies in no range
        number = np.maximum(np.searchsorted(starts, index, side="right") - 1, 0)
        within = (index >= starts[number]) & (index < stops[number])
        place = np.where(within, index - starts[number], 0).astype(np.int64)
    return place + np.array([first[start] for start in starts.tolist()], np.int64)[number], within


def _sound_weights(spec: Spec, c: connect.Connectivity, weight: NDArray[np.float64], given: Any, column: str,
                   table: tables.Table) -> None:  # fmt: skip
    """That the receptors can count the weights of listed edges, and that conductances are none of negative sign."""
    shown = weight if given is None else given
    _first(~np.isfinite(weight), shown, column, table, "a weight is a finite number")
    least, most = WEIGHTS[spec.precision]
    large = np.abs(weight)
    for bad in (large > most, (large < least) & (large > 0)):
        if bad.any():
            _first(bad, shown, column, table, f"it {uncountable(float(large[np.argmax(bad)]), spec.precision)}")
    if c.positive and (weight < 0).any():
        message = f"{column} has {np.count_nonzero(weight < 0):,} negative conductances"
        hint = f"the first is {table.place(int(np.argmax(weight < 0)))}; inhibition is a matter of the reversal potential E"
        raise tables.TableError(message, hint)


def _warn_of_rounding(spec: Spec, weight: NDArray[np.float64], table: tables.Table, path: Key, warnings: list[Fault]) -> None:
    """Weights that become 0 in float32 beside the largest one of their file."""
    lost = rounding(weight, float(np.max(np.abs(weight), initial=0.0))) == 1
    if spec.precision == "float32" and lost.any():
        said = f"the first is {weight[np.argmax(lost)]:.3g} {table.place(int(np.argmax(lost)))}"
        message = f"{np.count_nonzero(lost):,} weights of {table.name} become 0 in float32 beside much larger ones: {said}"
        warnings.append(Fault(path, message, "write precision: float64, or leave them out"))
