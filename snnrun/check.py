"""Checks across the parts of a network file, without building anything: references, times, dimensions, sizes, files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import constants, document, random, subsets, tables, units
from snnrun.document import Document, Fault, Key, Override, SpecError, nearest
from snnrun.models import connect, inputs, interface, layout, monitors, neurons, outputs, precision, stdp, stp, synapses
from snnrun.models.connect import Sizes
from snnrun.models.graphs import MatrixFile
from snnrun.models.own import resolve
from snnrun.models.space import BoxMask, DelayByDistance, WeightByDistance
from snnrun.quantities import (
    Column,
    Frozen,
    Quantity,
    Slices,
    TimesFile,
    TrainsFile,
    WaveformFile,
    Windowed,
    fields,
    is_list,
    is_literal,
    law_of,
    leaves,
    literals,
    plain,
)
from snnrun.receptors import (
    ROUGH,
    WEIGHTS,
    Receptor,
    Source,
    effect,
    given_at_first,
    held_dimension,
    output_of,
    receptors,
    released,
    rounding,
    targets,
    variables,
    weight_dimension,
    wrong_at_first,
)
from snnrun.selections import Part, SelectionError, common, parts, shares
from snnrun.spec import Reading, Spec, read

FLOAT32 = 2.0**128 - 2.0**104  # the largest number
MANY_PAIRS = 2e9  # that a rule by distance looks at one by one
STUDIES = ("sweep", "fit")  # what a file may say of many runs: no part of the network
MAX_STEPS = 2**53  # beyond, a double cannot tell one step from the next


class Loaded(NamedTuple):
    """A network file that has passed every check."""

    document: Document
    spec: Spec
    warnings: list[Fault]


@document.uncollected()
def load(path: Path, overrides: Iterable[Override] = ()) -> Loaded:
    """Read and check a network file. Raises SpecError with all faults, or OSError where there is nothing to read."""
    try:
        found = document.read(path)
    except SpecError as error:
        # a document that could not be parsed has no text yet: read it for the sake of the message
        text = path.read_bytes()[: document.MAX_BYTES].decode("utf-8-sig", "replace")
        raise SpecError(error.faults, error.document or Document(str(path), text, path.parent)) from None
    return of_document(found, path.stem, overrides)


@document.uncollected()
def of_document(found: Document, name: str, overrides: Iterable[Override] = ()) -> Loaded:
    """Check a network that has been read, whose name is this if it has none. Raises SpecError with all faults."""
    try:
        found = document.override(found, overrides)
        for section in STUDIES if isinstance(found.tree, dict) else ():
            found.tree.pop(section, None)
        found, faults = constants.resolved(found)
        found, of_draws = subsets.drawn(found)
        faults = [*faults, *of_draws]
        own = resolve(found)
        reading = read(own.tree, name, own.models)
    except SpecError as error:
        raise SpecError(error.faults, error.document or found) from None
    told = {fault.path for fault in faults}  # there stands no value, which is told once
    told |= {fault.path[:3] for fault in of_draws}  # of selections
    faults += [fault for fault in reading.faults if fault.path not in told]
    warnings = list(own.warnings)
    if reading.spec is not None:
        for fault, is_warning in _findings(reading, found.folder):
            (warnings if is_warning else faults).append(fault)
    if faults:
        raise SpecError(faults, found)
    assert reading.spec is not None
    return Loaded(found, reading.spec, warnings)


def selection_sizes(spec: Spec) -> dict[str, int]:
    return {name: population.size for name, population in spec.populations.items()}


def connected(pre: list[Part], post: list[Part]) -> Sizes:
    """Sizes of two selections, and where they name the same neurons."""
    shared, before = [], 0
    for a in pre:
        offset = 0
        for b in post:
            shared += [(before + of_a, offset + of_b, length) for of_a, of_b, length in common(a, b)]
            offset += b.size
        before += a.size
    return Sizes(sum(p.size for p in pre), sum(p.size for p in post), tuple(shared))


class _Checker:
    """The faults and warnings of one Spec, of which some parts may be missing or stand-ins: see spec.Reading."""

    def __init__(self, reading: Reading, folder: Path) -> None:
        assert reading.spec is not None
        self.spec = spec = reading.spec
        self.folder, self.unsound = folder, reading.broken | reading.mended
        self.findings: list[tuple[Fault, bool]] = []
        self.sizes = selection_sizes(spec)
        self.dt = spec.dt if self.sound(("dt",)) and spec.dt > 0 else None
        self.duration = spec.duration if self.sound(("duration",)) and spec.duration > 0 else None

    def sound(self, path: Key) -> bool:
        """Whether what stands at a path is the user's, and no stand-in for something faulty."""
        return not any(path[:length] in self.unsound for length in range(1, len(path) + 1))

    def unsound_in(self, path: Key) -> bool:
        """Whether something below a path is a stand-in."""
        return any(key[: len(path)] == path for key in self.unsound)

    def membranes(self, path: Key, selection: tuple[str, ...], hint: str) -> None:
        """That populations have a membrane of one time constant and one resistance."""
        for part in self.parts((*path[:-1], "to"), selection) or ():
            population = self.spec.populations[part.population]
            given = {name: math.nan for name, value in population if value is not None}
            if not neurons.of(population).source and neurons.of(population).membrane(given) is None:
                self.fault(path, f"{part.population} ({population.model}) has no tau and R from which std would follow", hint)

    def fault(self, path: Key, message: str, hint: str = "", at_key: bool = False) -> None:
        if self.sound(path):
            self.findings.append((Fault(path, message, hint, at_key), False))

    def warn(self, path: Key, message: str, hint: str = "") -> None:
        self.findings.append((Fault(path, message, hint), True))

    def parts(self, path: Key, selection: tuple[str, ...]) -> list[Part] | None:
        """The parts of a selection; None where it names what is not there (with a fault) or of unknown size."""
        try:
            found = parts(selection, self.sizes)
            return found if all(self.sound(("populations", part.population, "size")) for part in found) else None
        except SelectionError as error:
            assert error.index is not None  # only shares() has faults that are of no entry
            name = selection[error.index].partition("[")[0].strip()
            if self.sound(("populations", name, "size")):
                whole = len(selection) == 1
                self.fault(path if whole else (*path, error.index), error.message, error.hint)
            return None

    def on_grid(self, path: Key, time: float, least: int = 0) -> None:
        """That a literal time is a whole number of steps, and not too early."""
        if self.dt is None:
            return
        steps = units.steps(time, self.dt)
        if time < 0:
            self.fault(path, "a time must not be negative")
        elif time / self.dt > MAX_STEPS:
            self.fault(path, f"{units.show(time, 'time')} is more steps of {units.show(self.dt, 'time')} than can be counted")
        elif steps is None:
            self.fault(path, *units.off_grid(time, self.dt, least))
        elif steps < least:
            self.fault(path, f"{units.show(time, 'time')} is less than one step", f"use at least {units.show(self.dt, 'time')}")

    def drawable(self, path: Key, value: Any, dimension: str) -> None:
        """That a distribution's numbers have the right dimension, or that a column is there and in a right unit."""
        if isinstance(value, Column):
            table = self.table((*path, "file"), lambda: tables.parameters(self.folder / value.file))
            if table is not None:
                self.table((*path, "column"), lambda: tables.check_column(table, value.column, dimension))
                if (numbers := value.id) is not None:
                    self.table((*path, "id"), lambda: table.cost([tables.found(table, numbers)]))
            return
        for below, number in literals(value) if dimension == "voltage" and self.spec.precision == "float32" else ():
            if abs(number) > FLOAT32:
                self.fault((*path, *below), f"{units.show(number, 'voltage')} is more than float32 can hold")
        for below, leaf in leaves(value):
            if (leaf.dimension or "number") == dimension:
                continue
            usual = units.usual(dimension)
            if leaf.dimension is None:
                message = f"{units.article(dimension)} needs a unit"
                self.fault((*path, *below), message, f"write {units.number_text(leaf.value)} {usual}")
            else:
                message = f"{units.article(dimension)} is wanted here, and this is {units.article(leaf.dimension)}"
                self.fault((*path, *below), message, units.written_in(dimension))

    def covering(self, path: Key, value: Any, holders: Mapping[str, int]) -> None:
        """That a list, or slices, have a value for each of so many neurons."""
        for have, size in holders.items():
            if is_list(value) and len(value) != size:
                self.fault(path, f"the list has {_counted(len(value), 'value')}, and {have} {_counted(size, 'neuron')}")
            if isinstance(value, Slices):
                try:
                    shares(value.slices, size)
                except SelectionError as error:
                    key = () if error.index is None else (list(value.slices)[error.index],)
                    self.fault((*path, "slices", *key), error.message, error.hint, at_key=True)

    def table(self, path: Key, read: Callable[[], Any]) -> Any:
        """What is read of a file; None, with a fault, where that is not what was asked for."""
        try:
            return read()
        except tables.TableError as error:
            self.fault(path, error.message, error.hint)
            return None

    def rules(self, path: Key, model: interface.Part, part: Any) -> None:
        """What the model demands of its parameters, where all that it concerns are literals."""
        for rule in model.rules:
            values = [plain(getattr(part, name)) for name in rule.fields]
            known = all(
                isinstance(value, float) and self.sound((*path, name)) for name, value in zip(rule.fields, values, strict=True)
            )
            if known and not rule.holds(*values):
                given = [name for name in rule.fields if name in part.model_fields_set]
                self.fault((*path, (given or list(rule.fields))[0]), rule.message)
        model.check(part, self, path)

    def types(self, path: Key, part: Any, holders: Mapping[str, int], bounded: frozenset[str] = frozenset()) -> None:
        """What the types of the fields of a part say: of which dimension a distribution is, that a time is a whole number of
        steps, and that a list has a value for each of so many neurons as the `holders` have. Of times that are `bounded`, a rule
        says whether they may be negative."""
        for field in fields(type(part)):
            value, where = getattr(part, field.name), (*path, field.name)
            if field.drawable and field.dimension is not None:
                self.drawable(where, value, field.dimension)
            if field.drawable:
                self.covering(where, value, holders)
            if field.least is not None:
                for below, time in literals(value):
                    if time >= 0 or field.name not in bounded:
                        self.on_grid((*where, *below), time, field.least)
        for name, value in part:
            if isinstance(value, TimesFile):
                self.table((*path, name, "file"), lambda file=value: times_table(file, self.folder))
            elif isinstance(value, Frozen) and name == "init":
                self.types((*path, name), value, holders)
        if isinstance(part, Windowed):
            self.window(path, part.start, part.stop)

    def window(self, path: Key, start: float, stop: float | None) -> None:
        if stop is not None and stop <= start:
            hint = f"without a start it begins after the warmup, at {units.show(start, 'time')}"
            late = path[0] == "monitors" and start == self.spec.warmup > 0
            self.fault((*path, "stop"), "stop must lie after start", hint if late else "")
        if self.duration is not None and start >= self.duration:
            self.warn((*path, "start"), "this begins after the end of the run")


def _findings(reading: Reading, folder: Path) -> list[tuple[Fault, bool]]:
    checker = _Checker(reading, folder)
    spec = checker.spec
    _check_run(checker)
    for name, population in spec.populations.items():
        _check_population(checker, ("populations", name), population)
    for name, entry in spec.inputs.items():
        _check_input(checker, ("inputs", name), entry)
    for name, projection in spec.projections.items():
        _check_projection(checker, ("projections", name), projection)
    try:
        every_receptor = receptors(spec)
    except SelectionError:
        every_receptor = []  # reported where it stands
    _check_weights(checker, every_receptor)
    _check_names(checker)
    _check_solvers(checker)
    _warn_of_rounding(checker)
    for name, monitor in spec.monitors.items():
        _check_monitor(checker, ("monitors", name), monitor, every_receptor)
    return checker.findings


def _check_run(c: _Checker) -> None:
    if c.spec.dt <= 0:
        c.fault(("dt",), "dt must be positive", "write 0.1 ms")
    if c.spec.duration <= 0:
        c.fault(("duration",), "duration must be positive", "write 1 s")
    else:
        c.on_grid(("duration",), c.spec.duration, least=1)
    c.on_grid(("warmup",), c.spec.warmup)
    if c.duration is not None and c.spec.warmup >= c.duration:
        c.fault(("warmup",), "the warmup takes the whole run, and nothing would be recorded", "duration counts the warmup, too")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _check_population(c: _Checker, path: Key, population: Any) -> None:
    model = neurons.of(population)
    holders = {f"{path[-1]} has": population.size} if c.sound((*path, "size")) else {}
    c.types(path, population, holders, frozenset(rule.fields[0] for rule in model.rules if len(rule.fields) == 1))
    c.rules(path, model, population)
    given = population.layout
    if given is None:
        return
    if c.sound((*path, "size")) and (impossible := given.impossible(population.size)) is not None:
        field, message, hint = impossible
        c.fault((*path, "layout", field), message, hint)
    if isinstance(given, layout.File):
        columns = c.table((*path, "layout", "file"), lambda: layout_columns(given, tables.parameters(c.folder / given.file)))
        if columns is not None and given.extent is not None and len(given.extent) != len(columns):
            message = f"extent has {len(given.extent)} lengths, and {given.file} {len(columns)} coordinates"
            c.fault((*path, "layout", "extent"), message, f"it has {', '.join(columns)}")


def layout_columns(given: layout.File, table: tables.Table) -> list[str]:
    """The columns of a file that have the coordinates of neurons. Raises TableError."""
    if given.columns is not None:
        for column in given.columns:
            tables.check_column(table, column, "length")
        return list(given.columns)
    found = []
    for axis in ("x", "y", "z"):
        named = [c for c in table.columns if c.lower().startswith(f"{axis}_") and (units.column_unit(c) or "  ")[1] == "length"]
        if len(named) > 1:
            raise tables.TableError(
                f"{table.name} has the columns {' and '.join(named)}", "name those that count: columns: [...]"
            )
        if not named:
            break
        found += named
    if not found:
        raise tables.without(table.name, "x_um", table.columns)
    table.cost(found if given.id is None else [*found, tables.found(table, given.id)])
    return found


def _check_plasticity(c: _Checker, path: Key, entry: Any) -> None:
    """Plasticity: amounts are measured as the weight is, and the weight lies within its bounds."""
    own, where, dimension = entry.stdp, (*path, "stdp"), weight_dimension(entry)
    usual, kind, sound = units.usual(dimension), entry.synapse.model, True
    for name in stdp.WEIGHTS:
        value = getattr(own, name, None)
        if value is None or value.dimension == dimension:
            continue
        sound = False
        if value.dimension is None:
            c.fault((*where, name), f"{name} needs a unit", f"write {units.number_text(value.value)} {usual}")
        else:
            given, wanted = units.article(value.dimension), units.article(dimension)
            message = f"{name} is measured as the weight is, as {wanted}, and this is {given}"
            c.fault((*where, name), message, units.written_in(dimension))
    c.types(where, own, {})
    c.rules(where, stdp.MODELS[own.model], own)
    if entry.stp is not None:
        c.fault(where, "a projection has either stp or stdp", "make two projections of it", at_key=True)
    if getattr(entry.connect, "storage", "auto") == "procedural":
        c.fault((*path, "connect", "storage"), "weights that change are stored", "remove storage: procedural")
    if synapses.MODELS[entry.synapse.model].jumps and own.delay == "axon":
        message = f"with a {kind} synapse, plasticity has its delay in the dendrite"
        c.fault((*where, "delay") if "delay" in own.model_fields_set else where, message, "write delay: dendrite")
    if not sound:
        return
    least, most = stdp.bounds(own)
    if not least < most:
        c.fault((*where, "w_max"), "w_max must lie above w_min")
        return
    law = None if entry.weight is None else law_of(entry.weight)
    if law is not None:
        low, high = random.bounds(law)
    elif isinstance(entry.weight, Quantity):
        low = high = plain(entry.weight)
    else:
        return
    right = all(leaf.dimension == dimension for _, leaf in leaves(entry.weight))
    if right and not least <= low <= high <= most:
        drawn = "bound the distribution with redraw: {min: ..., max: ...}"
        hint = "write one between w_min and w_max of stdp" if law is None else drawn
        message = f"the weight may lie outside of {_range(own, dimension)}, the bounds of stdp"
        c.fault((*path, "weight"), message, hint)


def _range(own: Any, dimension: str) -> str:
    return " ... ".join(units.show(value, dimension) for value in stdp.bounds(own))


def times_table(times: TimesFile, folder: Path) -> tables.Table:
    """The table of given trains, or of rates, which has the columns that it needs. Raises TableError."""
    path = folder / times.file
    if isinstance(times, WaveformFile):
        table = tables.waveforms(path)
        waveform_column(table)
    else:
        table = tables.trains(path, times.population) if isinstance(times, TrainsFile) else tables.rates(path)
    _has(table, *times.columns)
    return table


def waveform_column(table: tables.Table, dimension: str | None = None) -> str:
    """The column of a waveform that has its values, of a dimension where that is known. Raises TableError."""
    found = [column for column in table.columns if column.startswith(("current", "conductance"))]
    wanted = ("current", "conductance") if dimension is None else (dimension,)
    examples = " or ".join(f"{name}_{units.usual(name)}" for name in wanted)
    if not found:
        raise tables.TableError(f"{table.name} has no column with values", f"name it {examples}")
    if dimension is None:
        return found[0]
    mine = [column for column in found if column.startswith(dimension)]
    if len(mine) != 1:
        raise tables.TableError(f"{table.name} has {len(mine) or 'no'} columns of {units.article(dimension)[2:].strip()}s",
                                f"one is wanted here: name it {examples}")  # fmt: skip
    tables.check_column(table, mine[0], dimension)
    return mine[0]


def _has(table: tables.Table, *columns: str) -> None:
    """That a table has some columns, which may be read."""
    for column in columns:
        if column not in table.columns:
            raise tables.without(table.name, column, table.columns)
    table.cost(list(columns))


_EFFECTS = {"current": "current", "conductance": "conductance", "jump": "synapse that moves V"}
_LACKING = {
    "current": "I stands in none of its equations",
    "conductance": "its equations need I, and V as a variable",
    "jump": "it has no variable V",
}


def _receiving(c: _Checker, path: Key, selection: tuple[str, ...], what: str) -> list[Part] | None:
    """The parts of a selection that something acts on: sources cannot be among them."""
    found = c.parts(path, selection)
    for part in found or []:
        population = c.spec.populations[part.population]
        model = neurons.of(population)
        if model.source:
            c.fault(path, f"{part.population} is a source ({population.model}): nothing acts on it")
            return None
        if not model.accepts(what):
            c.fault(path, f"{part.population} ({population.model}) takes no {_EFFECTS[what]}", _LACKING[what])
            return None
    return found


def _check_first(c: _Checker, path: Key, entry: Any, post: list[Part] | None, pre: list[Part] | None) -> None:
    """What synapses hold at t = 0: variables that they have, of the right dimension and size."""
    kind, synapse = entry.synapse.model, synapses.MODELS[entry.synapse.model]
    for name, value in given_at_first(entry).items():
        where = (*path, "init", name)
        if name not in synapse.settable:
            if not synapse.settable:
                why = "they move V at once" if synapse.jumps else "they have no state"
                hint = "to begin elsewhere, give the population init: {V: ...}" if synapse.jumps else "remove init"
                c.fault(where, f"{kind} synapses hold nothing: {why}", hint, at_key=True)
            else:
                c.fault(where, f"{kind} has no variable {name!r}", f"it has {', '.join(synapse.settable)}", at_key=True)
            continue
        before = len(c.findings)
        c.drawable(where, value, held_dimension(entry, name))
        c.covering(where, value, _together(pre if synapse.graded else post))
        for below, number in literals(value) if len(c.findings) == before else ():
            bad, message = wrong_at_first(entry, name, number)
            if bad:
                c.fault((*where, *below), message)


def _check_synapse(c: _Checker, path: Key, entry: Any, found: list[Part] | None, pre: list[Part] | None = None) -> None:
    """Synapse, output, what they begin with and the dimension of the weight, of which the targets have been found."""
    synapse, holders = synapses.MODELS[entry.synapse.model], _populations(c, found)
    c.types((*path, "synapse"), entry.synapse, holders)
    c.rules((*path, "synapse"), synapse, entry.synapse)
    if entry.output is not None:
        c.types((*path, "output"), entry.output, holders)
        c.rules((*path, "output"), outputs.MODELS[entry.output.model], entry.output)
        if (synapse.jumps or synapse.output is not None) and c.sound((*path, "synapse")):
            why = "move V themselves and " if synapse.jumps else ""
            message = f"{entry.synapse.model} synapses {why}have no output"
            c.fault((*path, "output"), message, "remove the output", at_key=True)
            return
    if not (c.sound((*path, "synapse")) and c.sound((*path, "output"))):
        return
    _check_first(c, path, entry, found, pre)
    if entry.weight is None:
        return
    dimension = weight_dimension(entry)
    output = output_of(entry)
    kind = (entry.synapse if output is None else output).model
    usual = units.usual(dimension)
    if isinstance(entry.weight, Column):
        c.drawable((*path, "weight"), entry.weight, dimension)
        return
    for below, leaf in leaves(entry.weight):
        where = (*path, "weight", *below)
        if leaf.dimension is None:
            c.fault(where, f"the weight of a {kind} synapse needs a unit", f"write {units.number_text(leaf.value)} {usual}")
        elif leaf.dimension != dimension:
            c.fault(
                where,
                f"the weight of a {kind} synapse is {units.article(dimension)}, and this is {units.article(leaf.dimension)}",
                units.written_in(dimension),
            )
        elif dimension == "conductance" and below[-1:] not in (("std",), ("min",), ("max",), ("amplitude",)) and leaf.value < 0:
            c.fault(where, "a conductance must not be negative", "for inhibition lower the reversal potential E")
        elif dimension == "conductance" and below[-1:] == ("amplitude",) and entry.weight.distance.ends[1] < 0:
            c.fault(where, "a conductance must not be negative, and base + amplitude is", "raise base")


def _populations(c: _Checker, found: list[Part] | None) -> dict[str, int]:
    """The populations that some parts are of, with their sizes."""
    return {f"{part.population} has": c.sizes[part.population] for part in found or ()}


def _together(found: list[Part] | None) -> dict[str, int]:
    return {} if found is None else {"there are": sum(part.size for part in found)}


def _check_input(c: _Checker, path: Key, entry: Any) -> None:
    found = _receiving(c, (*path, "to"), entry.to, effect(entry))
    c.types(path, entry, _together(found))
    c.rules(path, inputs.MODELS[entry.model], entry)
    if hasattr(entry, "synapse"):
        _check_synapse(c, path, entry, found)
        if synapses.MODELS[entry.synapse.model].graded:
            message = f"{entry.synapse.model} synapses need sources, and the trains of an input have none"
            c.fault((*path, "synapse"), message, "project from a population of poisson sources")
    else:
        _check_driving(c, path, entry, found)


def _check_driving(c: _Checker, path: Key, entry: Any, found: list[Part] | None) -> None:
    """The output of an input that acts by itself, and that its values are what the output wants."""
    if entry.output is not None:
        c.types((*path, "output"), entry.output, _populations(c, found))
        c.rules((*path, "output"), outputs.MODELS[entry.output.model], entry.output)
    if not c.sound((*path, "output")):
        return
    model, dimension = inputs.held(entry), weight_dimension(entry)
    before = len(c.findings)
    literal = True
    for field in fields(type(entry)):
        value, where = getattr(entry, field.name), (*path, field.name)
        literal &= value is None or is_literal(value) or is_list(value) and not field.drawable
        if value is None or not c.sound(where):
            continue
        if field.dimension is None:
            c.drawable(where, value, dimension)
        elif field.dimension in ("current", "conductance") and field.dimension != dimension:
            hint = "add output: {model: coba, E: ...}" if dimension == "current" else "write conductance, in nS"
            c.fault(where, f"the output {output_of(entry).model} wants {units.article(dimension)}", hint, at_key=True)
    if isinstance(entry, WaveformFile):
        c.table((*path, "file"), lambda: waveform_column(times_table(entry, c.folder), dimension))
    elif literal and dimension == "conductance" and len(c.findings) == before and not c.unsound_in(path):
        values = {name: plain(value) if is_literal(value) else value for name, value in entry}
        if model.least(entry, values) < 0:
            hint = "keep its values from falling below 0; for inhibition lower the reversal potential E"
            c.fault(path, "the conductance becomes negative", hint, at_key=True)


def _check_projection(c: _Checker, path: Key, entry: Any) -> None:
    pre = c.parts((*path, "pre"), entry.pre)
    post = _receiving(c, (*path, "post"), entry.post, effect(entry))
    _check_synapse(c, path, entry, post, pre)
    if entry.stp is not None:
        c.types((*path, "stp"), entry.stp, _together(pre))
        c.rules((*path, "stp"), stp.MODELS[entry.stp.model], entry.stp)
    if synapses.MODELS[entry.synapse.model].graded:
        _check_graded(c, path, entry, pre)
    elif entry.stdp is not None and c.sound((*path, "stdp")) and c.sound((*path, "synapse")) and c.sound((*path, "output")):
        _check_plasticity(c, path, entry)
    c.types(path, entry, {})
    if isinstance(entry.delay, float) and c.duration is not None and entry.delay >= c.duration:
        c.warn((*path, "delay"), "nothing arrives before the end of the run")
    if not any(f.path == (*path, "delay") for f, is_warning in c.findings if not is_warning):
        _check_longest(c, (*path, "delay"), entry.delay)
    rule = entry.connect
    from_file: set[str] = set()
    if isinstance(rule, connect.File):
        c.table((*path, "connect", "path"), lambda: _check_edges(c, path, entry, from_file))
    for name in ("weight", "delay"):
        if isinstance(getattr(entry, name), Column):
            c.fault((*path, name), f"a column has one value per neuron, and a {name} belongs to a synapse",
                    "write connect: {rule: file, path: edges.csv} for edges with values of their own")  # fmt: skip
    if (
        entry.weight is None
        and "weight" not in from_file
        and all(c.sound((*path, key)) for key in ("weight", "synapse", "output"))
    ):
        usual = units.usual(weight_dimension(entry))
        of_file = [(f, is_warning) for f, is_warning in c.findings if f.path == (*path, "connect", "path")]
        if all(is_warning for _, is_warning in of_file):
            typed = any("edge types" in f.message for f, _ in of_file)
            hint = f"add weight: ..., in {usual}{', or types: ... to connect' if typed else ''}"
            c.fault(path, "weight is missing", hint, at_key=True)
    if pre is None or post is None:
        return
    sizes = connected(pre, post)
    if (impossible := rule.impossible(sizes)) is not None:
        message, hint = impossible
        c.fault((*path, "connect"), message, hint)
    if rule.storage == "procedural":
        _check_procedural(c, path, entry)
    if placed(entry):
        _check_space(c, path, entry, pre, post)
    if (p := getattr(rule, "p", None)) is not None and isinstance(p, MatrixFile):
        c.table((*path, "connect", "p", "file"), lambda: tables.parameters(c.folder / p.file))
    if isinstance(rule, connect.Pairs):
        for i, pair in enumerate(rule.pairs):
            for j, (index, size, side) in enumerate(zip(pair, (sizes.pre, sizes.post), ("pre", "post"), strict=True)):
                if index >= size:
                    c.fault((*path, "connect", "pairs", i, j), f"{side} has no neuron {index}",
                            f"indices count within the selection: 0 to {size - 1}")  # fmt: skip


def _check_graded(c: _Checker, path: Key, entry: Any, pre: list[Part] | None) -> None:
    """A projection through which sources act at every instant."""
    synapse, kind = synapses.MODELS[entry.synapse.model], entry.synapse.model
    for name in ("stp", "stdp"):
        if getattr(entry, name) is not None:
            c.fault((*path, name), f"{kind} synapses take no {name}: sources act at every instant", f"remove {name}", at_key=True)
    if getattr(entry.connect, "storage", "auto") == "procedural":
        c.fault((*path, "connect", "storage"), f"the edges of {kind} synapses are stored", "remove storage: procedural")
    if synapse.output is None:
        return
    if entry.delay != 0.0:
        c.fault((*path, "delay"), f"{kind} synapses have no delay", "remove the delay", at_key=True)
    for part in pre or ():
        population = c.spec.populations[part.population]
        if not neurons.of(population).accepts("jump"):
            c.fault((*path, "pre"), f"{part.population} ({population.model}) has no V", f"{kind} synapses need one")


def placed(projection: Any) -> bool:
    """Whether it matters where the neurons of a projection are."""
    by_distance = isinstance(projection.weight, WeightByDistance) or isinstance(projection.delay, DelayByDistance)
    return projection.connect.spatial or by_distance


def _check_space(c: _Checker, path: Key, entry: Any, pre: list[Part], post: list[Part]) -> None:
    """That all neurons of a projection lie in one space."""
    first: tuple[str, int, tuple[float, ...] | None] | None = None
    for part in (*pre, *post):
        given, name = c.spec.populations[part.population].layout, part.population
        side = (*path, "pre" if part in pre else "post")
        if not c.sound(("populations", name, "layout")):
            return
        if given is None:
            why = f"the rule {entry.connect.rule}" if entry.connect.spatial else "a weight or delay by distance"
            hint = f"add layout: {{model: grid, ...}} to populations.{name}"
            c.fault(side, f"{name} has no layout, and {why} must know where its neurons are", hint)
            return
        if isinstance(given, layout.File):
            try:
                dimensions = len(layout_columns(given, tables.parameters(c.folder / given.file)))
            except tables.TableError:  # which has been told
                return
        else:
            dimensions = given.dimensions
        here = name, dimensions, given.period
        first = first or here
        if dimensions != first[1]:
            message = f"{name} lies in {dimensions} dimension{'s' if dimensions > 1 else ''}, and {first[0]} in {first[1]}"
            c.fault(side, message, "give both layouts the same number of dimensions")
            return
        if given.period != first[2]:
            says = [f"{n} {'is not' if p is None else 'is'} periodic" for n, _, p in (first, here)]
            message = (
                f"{says[0]}, and {says[1]}" if None in (given.period, first[2]) else f"{name} and {first[0]} differ in extent"
            )
            c.fault(side, message, "layouts that are connected are periodic with the same extent, or none of them is")
            return
    rule, pairs = entry.connect, sum(p.size for p in pre) * sum(p.size for p in post)
    if rule.spatial and rule.mask is None and pairs > MANY_PAIRS and rule.reach(1e-9) > rule.reach(1e-3):
        kind = rule.kernel.model
        c.warn((*path, "connect"), f"a {kind} kernel has no end: up to {pairs:.1e} pairs are looked at, which takes minutes",
               "add mask: {model: circle, radius: ...}")  # fmt: skip
    mask = getattr(rule, "mask", None)
    if isinstance(mask, BoxMask) and first is not None and len(mask.extent) != first[1]:
        message = f"the mask has {len(mask.extent)} lengths, and {first[0]} lies in {first[1]} dimensions"
        c.fault((*path, "connect", "mask", "extent"), message, "give one for each dimension")


def _check_procedural(c: _Checker, path: Key, entry: Any) -> None:
    """Edges that are never all drawn: what only the draw could show must be impossible."""
    if not entry.connect.redrawn or placed(entry):
        hint = "procedural goes with fixed_prob, fixed_outdegree and all_to_all; leave storage out"
        why = "" if not entry.connect.redrawn else " with a weight or delay by distance"
        message = f"the edges of {entry.connect.rule}{why} cannot be drawn source by source"
        c.fault((*path, "connect", "storage"), message, hint)
    weight, delay = law_of(entry.weight), law_of(entry.delay)
    if weight is not None and c.sound((*path, "synapse")) and weight_dimension(entry) == "conductance":
        if random.bounds(weight)[0] < 0:
            c.fault((*path, "weight"), "drawn conductances may be negative", "add redraw: {min: 0 nS}")
    if delay is not None and c.dt is not None and random.bounds(delay)[0] < -0.5 * c.dt:
        hint = f"add redraw: {{min: {units.show(c.dt / 2, 'time')}}}"
        c.fault((*path, "delay"), "drawn delays may be negative", hint)


def edges_table(rule: connect.File, folder: Path) -> tables.Table:
    """The table of edges of a rule, which has the columns that it needs. Raises TableError."""
    types = None if rule.types is None else folder / rule.types
    table = tables.edges(folder / rule.path, rule.population, types, chosen=rule.edge_types is not None)
    _has(table, "pre", "post")
    if rule.edge_types is not None and "edge_type_id" not in table.columns:
        raise tables.TableError(f"{table.name} has no edge types", "edge_types is for SONATA's files of edges")
    weighted = bool(tables.weights(table))
    for key, given in (("sign", rule.sign is not None), ("scale", rule.scale != 1)):
        if given and not weighted:
            raise tables.TableError(f"{table.name} has no weights", f"{key} is for weights of the file")
    _has(table, *edges_columns(table, rule))
    return table


def edges_columns(table: tables.Table, rule: connect.File) -> list[str]:
    """What is read of a table of edges."""
    weights, chosen = tables.weights(table)[:1], ["edge_type_id"] if rule.edge_types is not None else []
    return ["pre", "post", *weights, *chosen, *(c for c in ("delay_ms", "nsyns") if c in table.columns)]


def _check_edges(c: _Checker, path: Key, entry: Any, from_file: set[str]) -> None:
    """That a file of edges has the columns it needs, and a weight in a right unit if it has one."""
    table = edges_table(entry.connect, c.folder)
    if any(column.startswith("delay") and column != "delay_ms" for column in table.columns):
        wrong = next(column for column in table.columns if column.startswith("delay") and column != "delay_ms")
        raise tables.TableError(f"{table.name} has a column {wrong!r}", "delays are named delay_ms")
    if "delay_ms" in table.columns:
        from_file.add("delay")
    weights = tables.weights(table)
    if len(weights) > 1:
        raise tables.TableError(f"{table.name} has several weights: {', '.join(weights)}", "keep one")
    if weights:
        from_file.add("weight")
        if weights[0] != "syn_weight":
            tables.check_column(table, weights[0], weight_dimension(entry))
    for name in sorted(from_file & entry.model_fields_set):
        c.warn((*path, name), f"{table.name} has its own {name}s, which stand in for this one")
    for note in table.notes:
        c.warn((*path, "connect", "path"), *note)


def _check_longest(c: _Checker, path: Key, delay: Any) -> None:
    """That no delay is longer than is remembered."""
    law = law_of(delay)
    longest = delay if isinstance(delay, float) else random.bounds(law)[1] if law is not None else 0.0
    if c.dt is not None and longest / c.dt > connect.MAX_DELAY:
        message, hint = connect.too_long(longest / c.dt, c.dt)
        c.fault(path, message if law is None else f"drawn delays may be too long: up to {units.show(longest, 'time')}",
                hint if law is None else f"{hint}; add redraw: {{max: ...}}")  # fmt: skip


def _check_weights(c: _Checker, every_receptor: list[Receptor]) -> None:
    """That the receptors can count the weights, and that none is lost beside a much larger one on the same receptor."""
    largest: dict[tuple[str, str], float] = {}
    for section, name, entry in c.spec.feeding:
        path, bound = (section, name, "weight"), largest_weight(entry.weight)
        if bound is None or not c.sound(path) or any(f.path[:3] == path for f, is_warning in c.findings if not is_warning):
            continue
        message = uncountable(bound, c.spec.precision)
        if message is not None:
            c.fault(path, f"the weight {message}")
        else:
            largest[section, name] = bound
    if c.spec.precision != "float32":
        return
    sources: dict[int, set[Source]] = {}
    for receptor in every_receptor:
        sources.setdefault(receptor.group, set()).update(receptor.sources)
    for members in sources.values():
        most = max((largest.get(source, 0.0) for source in members), default=0.0)
        for source in sorted(members):
            entry = getattr(c.spec, source.section)[source.name]
            if source in largest and is_literal(entry.weight) and (part := float(rounding(largest[source], most))) > ROUGH:
                said = "becomes 0" if part == 1 else f"is rounded by {part:.2g} of itself"
                times = f"{most / largest[source]:.2g} times"
                message = f"in float32 this weight {said} beside one on the same receptor that is {times} larger"
                c.warn((*source, "weight"), message, "write precision: float64, or leave it out")


def largest_weight(weight: Any) -> float | None:
    """A bound of |weight|; None where a file is to say it."""
    if isinstance(weight, WeightByDistance):
        return max(map(abs, weight.distance.ends))
    law = law_of(weight)
    if law is not None:
        return max(map(abs, random.bounds(law)))
    several = weight.slices.values() if isinstance(weight, Slices) else weight if is_list(weight) else ()
    if several:
        return max(largest_weight(value) or 0.0 for value in several)
    return abs(plain(weight)) if is_literal(weight) else None


def uncountable(weight: float, precision: str) -> str | None:
    """What is wrong with a weight that is no multiple of any quantum: it is too small, or too large."""
    least, most = WEIGHTS[precision]
    if 0 < weight < least:
        return f"is too small for {precision}: weights are at least {least:.2g} in mV, pA or nS, or 0"
    return f"is too large for {precision}: weights are at most {most:.2g} in mV, pA or nS" if weight > most else None


def _check_names(c: _Checker) -> None:
    for name in c.spec.inputs:
        if name in c.spec.projections:
            c.fault(("inputs", name), f"{name!r} is the name of a projection too", "receptors bear these names: rename one",
                    at_key=True)  # fmt: skip


def _check_solvers(c: _Checker) -> None:
    """solver: exact is for populations without conductances."""
    for entry in (*(entry for _, _, entry in c.spec.feeding), *(entry for _, entry in c.spec.driving)):
        if effect(entry) != "conductance":
            continue
        for name in dict.fromkeys(text.partition("[")[0].strip() for text in targets(entry)):
            if getattr(c.spec.populations.get(name), "solver", None) == "exact":
                message = f"{name} receives conductances, which cannot be integrated exactly"
                c.fault(("populations", name, "solver"), message, "write solver: exp_euler, or leave it out")


def _warn_of_rounding(c: _Checker) -> None:
    """What floats of the run's precision cannot hold, although float32 leaves to float64 what is slow."""
    if c.dt is None or not c.sound(("precision",)):
        return
    for section in ("populations", "inputs", "projections"):
        for path, value in _numbers((section,), getattr(c.spec, section)):
            if path[-1] == "tau" and value > precision.SLOWEST_OF_ALL * c.dt:
                steps = f"{value / c.dt:.1g} steps of {units.show(c.dt, 'time')}"
                c.warn(path, f"these are {steps}, and what changes that slowly stands still in float64, too", "use a larger dt")
            if c.spec.precision == "float32" and value and not precision.LEAST <= abs(value) <= precision.MOST:
                size = "small" if abs(value) < 1 else "large"
                c.warn(path, f"float32 has no numbers as {size} as this", "write precision: float64")
    for section, name, entry in c.spec.feeding:
        jump = plain(entry.weight) if effect(entry) == "jump" and is_literal(entry.weight) else 0.0
        for target in dict.fromkeys(text.partition("[")[0].strip() for text in targets(entry)) if jump else ():
            population = c.spec.populations.get(target)
            step = None if population is None else _finest(population, c.spec.precision, c.dt)
            if step is not None and abs(jump) < 8 * step:
                message = f"float32 may hold V of {target} in steps of no less than {step:.1g} mV, in which these jumps are lost"
                c.warn((section, name, "weight"), message, "write precision: float64")


def _finest(population: Any, run: str, dt: float) -> float | None:
    """The coarsest spacing of V in float32, in mV; None where V is held in float64, no number where it is not known."""
    model = neurons.of(population)
    every = {field.name: getattr(population, field.name) for field in fields(type(population))}
    values = {name: value if value is None or is_literal(value) else math.nan for name, value in every.items()}
    return None if model.precision(run, values, dt) == "float64" else model.finest(values)


def _numbers(path: Key, part: Any) -> Iterator[tuple[Key, float]]:
    """Every number with a unit, in internal units, with its path."""
    if isinstance(part, Quantity | float):
        yield path, plain(part)
    elif isinstance(part, dict | Frozen):
        for name, value in part.items() if isinstance(part, dict) else part:
            yield from _numbers((*path, name), value)
    elif isinstance(part, tuple):
        for i, value in enumerate(part):
            yield from _numbers((*path, i), value)


def _check_monitor(c: _Checker, path: Key, monitor: Any, every_receptor: list[Receptor]) -> None:
    if monitors.MODELS[monitor.model].plastic:
        c.types(path, monitor, {})
        known = [name for name, entry in c.spec.projections.items() if entry.stdp is not None]
        if monitor.of not in c.spec.projections:
            c.fault((*path, "of"), f"there is no projection {monitor.of!r}", nearest(monitor.of, c.spec.projections))
        elif monitor.of not in known and c.sound(("projections", monitor.of, "stdp")):
            hint = f"those of {', '.join(known)} do" if known else "give it stdp"
            c.fault((*path, "of"), f"the weights of {monitor.of} do not change", hint)
        return
    found = c.parts((*path, "of"), monitor.of)
    c.types(path, monitor, {})
    kind = monitors.MODELS[monitor.model]
    names = getattr(monitor, kind.names, None) or ()
    for i, name in enumerate(names):
        if name in names[:i]:
            c.fault((*path, kind.names, i), f"{name!r} is named twice", "remove one of the two")
    if found is None or kind.spiking:
        return
    complete = not any(key[0] in ("projections", "inputs") for key in c.unsound)
    for part in found:
        population = c.spec.populations[part.population]
        carried = released(c.spec, part.population) if kind.own else {}
        if neurons.of(population).source and not carried and not (any("." in name for name in names) and not complete):
            c.fault(
                (*path, "of"),
                f"{part.population} is a source ({population.model}) and has no state to record",
                "monitor its spikes",
            )
            continue
        own = [receptor for receptor in every_receptor if receptor.population == part.population]
        _warn_of_sums(c, path, monitor, own)
        known = variables(population, own)
        if not kind.own:
            known = dict.fromkeys(source.name for receptor in own for source in receptor.sources)
            known |= dict.fromkeys(name for name, entry in c.spec.driving if _acts_on(entry, part.population))
        known |= carried
        what = "state variable" if kind.own else "receptor or input"
        for i, name in enumerate(names):
            if name not in known and complete:
                c.fault((*path, kind.names, i), f"{part.population} has no {what} {name!r}", nearest(name, known))
            elif name in carried:
                _check_sources(c, (*path, "of"), name.partition(".")[0], part)


def _check_sources(c: _Checker, path: Key, projection: str, part: Part) -> None:
    """That all neurons whose release is recorded are sources of the projection, of one part of its list."""
    every = c.parts(("projections", projection, "pre"), c.spec.projections[projection].pre) or []
    mine = [other for other in every if other.population == part.population]
    if mine and not any(set(part.neurons) <= set(other.neurons) for other in mine):
        said = c.spec.projections[projection].pre
        there = ", ".join(
            f"{part.population}[{p.start}:{p.stop}]" if p.dense else text
            for p, text in zip(every, said, strict=True)
            if p in mine
        )
        c.fault(path, f"not all of these are sources of {projection}", f"its sources are {there}")


def _acts_on(entry: Any, population: str) -> bool:
    return any(text.partition("[")[0].strip() == population for text in entry.to)


def _warn_of_sums(c: _Checker, path: Key, monitor: Any, own: list[Any]) -> None:
    """A receptor that several projections share shows their sum, whichever of them it is asked for by."""
    kind = monitors.MODELS[monitor.model]
    key = kind.names
    for i, label in enumerate(getattr(monitor, key) or ()):
        name = label.partition(".")[0]
        for receptor in own:
            names = [source.name for source in receptor.sources]
            if name in names and len(names) > 1 and (not kind.own or label.count(".") == 1):  # what is of sources has two
                others = ", ".join(other for other in names if other != name)
                c.warn((*path, key, i), f"{name} shares its receptor with {others}: what is recorded is their sum",
                       "simulate --no-merge keeps them apart")  # fmt: skip


def referenced_files(part: Any) -> Iterator[str]:
    """Every file that a network file, or a part of it, refers to, relative to its folder."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for entry in value.values():
                yield from walk(entry)
        elif isinstance(value, Frozen):
            if isinstance(getattr(value, "file", None), str):
                yield value.file  # type: ignore[attr-defined]
            if isinstance(value, connect.File):
                yield value.path
                if value.types is not None:
                    yield value.types
            for name in type(value).model_fields:
                yield from walk(getattr(value, name))

    yield from dict.fromkeys(walk(part))
