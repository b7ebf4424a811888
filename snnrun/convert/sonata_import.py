"""A SONATA circuit, with a simulation of it, as a network file that refers to the circuit's edges.

Nodes of one template become a population, a population of edges as many projections as there are kinds of synapses in it, each of
which takes its edges from the file. What differs from node to node is written into a file of columns beside.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun import tables, units
from snnrun.convert import netfile, sonata_config, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.convert.sonata_config import Config, Pair
from snnrun.files import in_place_of
from snnrun.models import neurons
from snnrun.quantities import fields
from snnrun.results import refuse_existing
from snnrun.tables import TableError, csv, hdf5, sonata, sonata_nodes
from snnrun.tables.sonata_nodes import Nodes, Types

POINT = ("point_neuron", "point_process", "point_soma")
OWN = "snnrun:"  # templates of what only snnrun has
_STATIC = (None, "static_synapse", "static_synapse_hom_w")
_BY_WEIGHT = (None, "default_weight_fnc", "set_syn_weight", "wmax")  # bmtk's functions that are nsyns times syn_weight
_TSODYKS = {"U": 0.5, "u": 0.5, "x": 1.0, "tau_rec": 800.0, "tau_fac": 0.0}  # tsodyks2_synapse of NEST
_DELAY = 1.0  # ms; NEST's, where nothing is said
_POINTS = 20  # of a current, that are written into the network file


class Group(NamedTuple):
    """Nodes that become a population."""

    name: str
    nodes: NDArray[np.int64]  # their ids, ascending
    kind: "Kind"
    values: dict[str, Any]  # parameters of the template, each a number or one for every node


class Kind(NamedTuple):
    """What is the same for all nodes of a group."""

    template: str
    neuron: templates.Neuron | None  # None of virtual nodes, and of snnrun's own templates
    own: str = ""  # what an own template says besides its parameters, as JSON

    @property
    def virtual(self) -> bool:
        return self.template == "virtual"


class Circuit(NamedTuple):
    config: Config
    nodes: dict[str, Nodes]
    types: dict[str, Types]
    groups: dict[str, list[Group]]


class Trains(NamedTuple):
    """Spikes of a population of sources in a file."""

    where: str  # the input that names them
    path: Path
    population: str | None  # as the file names it, empty where it need not be named; None where only this program reads the file
    trial: Any  # of an NWB file


class Made(NamedTuple):
    """What was written, and what is to be known of it."""

    neurons: int
    synapses: int
    files: list[Path]
    notes: list[str]


class _Out:
    """What grows while a circuit is read."""

    def __init__(self, output: Path) -> None:
        self.folder = output.parent
        self.data = output.with_name(f"{output.stem}.data.h5")
        self.columns: dict[str, NDArray[Any]] = {}
        self.spikes: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}  # neurons and times of populations
        self.courses: dict[Path, dict[str, NDArray[Any]]] = {}  # currents in time, in files of their own
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.comments: dict[tuple[str, str], list[str]] = {}

    def named(self, path: Path) -> str:
        """How the network file names a file."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def value(self, values: Any, population: str, name: str, dimension: str) -> Any:
        """A number, or a column where there are several."""
        values = np.asarray(values, np.float64)
        if values.ndim == 0 or (values == values.flat[0]).all():
            return netfile.quantity(values.flat[0], dimension)
        column = f"{population}/{netfile.column(name, dimension)}"
        self.columns[column] = values
        return {"file": self.data.name, "column": column}

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """What is wrong with a file is noted, and the rest is read."""
        try:
            yield
        except (TableError, templates.TemplateError) as error:
            self.problems.append(Problem(where, error.message, error.hint))
        except Inconvertible as error:
            self.problems += error.problems

    def check(self) -> None:
        if self.problems:
            raise Inconvertible(list(dict.fromkeys(self.problems)))


def convert(path: Path, output: Path, overwrite: bool = False) -> Made:
    """Write a network file of a circuit, and what it needs beside it. Raises Inconvertible, Exists, OSError."""
    text, out, neurons_, synapses = _converted(path, output)
    files = [output, *([out.data] if out.columns or out.spikes else []), *out.courses]
    refuse_existing(files, overwrite)
    with ExitStack() as stack:
        places = [stack.enter_context(in_place_of(file)) for file in files]
        places[0].write_text(text, encoding="utf-8")
        for file, place in zip(files[1:], places[1:], strict=True):
            if file in out.courses:
                np.savez(place, **out.courses[file])  # type: ignore[arg-type]
                continue
            with h5py.File(place, "w") as data:
                for column, values in out.columns.items():
                    data[column] = values
                for population, (neuron, times) in out.spikes.items():
                    data[f"spikes/{population}/node_ids"], data[f"spikes/{population}/timestamps"] = neuron, times
                    data[f"spikes/{population}/timestamps"].attrs["units"] = "milliseconds"
    return Made(neurons_, synapses, files, out.notes)


def _converted(path: Path, output: Path) -> tuple[str, _Out, int, int]:
    """The text of the network file, what is to be written beside it, and how many neurons and synapses there are."""
    out = _Out(output)
    config = sonata_config.read(path)
    dt, duration = _run(config, out)
    circuit = _circuit(config, out)
    out.check()
    populations = {}
    for name, groups in circuit.groups.items():
        for group in groups:
            with out.at(circuit.nodes[name].file):
                populations[group.name] = _population(circuit, name, group, dt, out)
    out.check()
    projections, synapses = {}, 0
    for pair in config.edges:
        with out.at(pair.where):
            for population in sonata.populations(pair.file, "edges"):
                found, count = _projections(circuit, pair, population, out)
                projections |= found
                synapses += count
    inputs, monitors = {}, {}
    driven: dict[str, list[Trains]] = {}
    if config.rest["gap_juncs"]:
        out.notes.append(f"The gap_juncs of {config.circuit} are left out.")
    for name, entry in config.rest["inputs"].items():
        with out.at(config.where("inputs", name)):
            inputs |= _input(circuit, name, entry, driven, dt, out)
    for name in populations:
        with out.at(config.where("inputs")):
            _drive(circuit, name, populations[name], driven.get(name, []), out)
    receiving = [group.name for groups in circuit.groups.values() for group in groups if not group.kind.virtual]
    if receiving:
        monitors["spikes"] = {"model": "spikes", "of": receiving if len(receiving) > 1 else receiving[0]}
    for name, entry in config.rest["reports"].items():
        with out.at(config.where("reports", name)):
            monitors |= _report(circuit, name, entry, dt, duration, out)
    out.check()
    own = config.rest["run"].get("snnrun", {})
    tree: dict[str, Any] = {"name": own["name"]} if isinstance(own.get("name"), str) else {}
    tree |= {"seed": own["seed"]} if isinstance(own.get("seed"), int) else {}
    tree |= {"duration": netfile.quantity(duration, "time"), "dt": netfile.quantity(dt, "time")}
    tree |= {"precision": own.get("precision", "float64")}
    sections = {"populations": populations, "inputs": inputs, "projections": projections, "monitors": monitors}
    if own.get("sections") == ["projections", "inputs"]:  # receptors of a neuron act in the order of the file
        sections = {name: sections[name] for name in ("populations", "projections", "inputs", "monitors")}
    tree |= {name: section for name, section in sections.items() if section}
    head = [f"Made of {config.name} by snnrun import sonata."]
    head += [""] + out.notes if out.notes else []
    neurons_ = sum(nodes.size for nodes in circuit.nodes.values())
    return netfile.text(tree, head, out.comments), out, neurons_, synapses


# ---- the run ---------------------------------------------------------------------------------------------------------


def _run(config: Config, out: _Out) -> tuple[float, float]:
    """dt and duration, in ms."""
    run = config.rest["run"]

    def number(name: str, default: float) -> float:
        value = run.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            out.problems.append(Problem(config.where("run", name), f"this is {value!r}", "write a positive number, in ms"))
            return default
        return float(value)

    dt = number("dt", 0.1)
    given = "duration" if "duration" in run else "tstop"
    if given not in run:
        out.notes.append(f"{config.name} says no tstop: one second is simulated.")
    duration = number(given, 1000.0)
    steps = max(round(duration / dt), 1)
    if abs(steps * dt - duration) > 1e-6 * dt:
        out.notes.append(f"{given} is {netfile.number(duration)} ms and was rounded to whole steps.")
        duration = round(steps * dt, 9)
    return dt, duration


# ---- nodes -----------------------------------------------------------------------------------------------------------


def _circuit(config: Config, out: _Out) -> Circuit:
    circuit = Circuit(config, {}, {}, {})
    for pair in config.nodes:
        with out.at(pair.where):
            for name in sonata.populations(pair.file, "nodes"):
                if name in circuit.nodes:
                    raise TableError(f"the node population {name!r} is in two files", "give every population a name of its own")
                nodes = sonata_nodes.nodes(pair.file, name)
                if pair.types is None:
                    raise TableError(f"there is no node_types_file for {pair.file.name}", "the types say what the nodes are")
                circuit.nodes[name] = nodes
                circuit.types[name] = sonata_nodes.types(pair.types, "node_type_id", name)
    out.check()
    taken: set[str] = set()
    for name, nodes in circuit.nodes.items():
        kinds = {}
        for number in np.unique(nodes.types).tolist():
            with out.at(circuit.types[name].name):
                kinds[number] = _kind_of(circuit, name, number)
        circuit.groups[name] = _grouped(circuit, name, kinds, taken, out) if len(kinds) == len(np.unique(nodes.types)) else []
        types, per_node = (
            circuit.types[name],
            any(one.startswith("dynamics_params/") for own in nodes.groups.values() for one in own),
        )
        plain = [number for number, (kind, _) in kinds.items() if kind.neuron and "dynamics_params" not in types.rows[number]]
        if plain and not per_node:
            said = ", ".join(f"{number}{_said(types, number)}" for number in plain[:_POINTS])
            out.notes.append(f"No dynamics_params in {types.name}, so that NEST's defaults are taken: node types {said}.")
    return circuit


def _kind_of(circuit: Circuit, population: str, number: int) -> tuple[Kind, dict[str, Any]]:
    """What the nodes of a type are, and their parameters."""
    types, nodes = circuit.types[population], circuit.nodes[population]
    if number not in types.rows:
        node = int(np.argmax(nodes.types == number))
        message = f"there is no node type {number}, which node {node} of {population!r} in {nodes.file} is of"
        raise TableError(message, f"there are {', '.join(map(str, list(types.rows)[:20]))}")
    row, where = types.rows[number], types.where(number)
    called = f"node type {number}" + (f" ({row['model_name']})" if "model_name" in row else "")
    model, template = row.get("model_type"), row.get("model_template")
    if model == "virtual":
        return Kind("virtual", None), {}
    if model == "biophysical" or template and template.split(":")[0] in ("ctdb", "nml", "hoc", "bluepyopt"):
        hint = "snnrun has point neurons: model_type point_neuron with a model_template like nest:iaf_psc_alpha"
        raise Inconvertible([Problem(where, f"{called} is a biophysical neuron ({template or 'no template'})", hint)])
    if model not in POINT:
        said = f"{called} has no model_type" if model is None else f"the model_type of {called} is {model!r}"
        raise Inconvertible([Problem(where, said, f"known are virtual, {', '.join(POINT)}")])
    if template is None:
        raise Inconvertible([Problem(where, f"{called} has no model_template", "write one, like nest:iaf_psc_alpha")])
    if "model_processing" in row:
        hint = "write the parameters that it would make into dynamics_params"
        raise Inconvertible([Problem(where, f"the model_processing of {called} is a function ({row['model_processing']})", hint)])
    given = _dynamics(circuit.config, row.get("dynamics_params"), "point_neuron_models_dir", where, called)
    if template.startswith(OWN):
        return _own(template, given, where, called)
    try:
        neuron, values = templates.resolved(template, given, int(np.count_nonzero(nodes.types == number)))
    except templates.TemplateError as error:
        raise Inconvertible([Problem(where, f"{called}: {error.message}", error.hint)]) from None
    return Kind(template, neuron), values


def _own(template: str, given: dict[str, Any], where: str, called: str) -> tuple[Kind, dict[str, Any]]:
    """A template of snnrun's own: parameters by the names of columns, and the rest of an entry of a network file."""
    name, values = template.removeprefix(OWN), given.get("parameters", {})
    model = neurons.MODELS.get(name)
    if model is None or model.source:
        raise Inconvertible([Problem(where, f"{called}: snnrun has no neuron {name!r}", "snnrun models shows what there is")])
    sound = isinstance(values, dict) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values.values())
    if not sound:
        raise Inconvertible([Problem(where, f"the parameters of {called} are no numbers", 'write {"tau_ms": 20, ...}')])
    return Kind(template, None, json.dumps(given.get("entry", {}), sort_keys=True)), dict(values)


def _dynamics(config: Config, text: str | None, component: str, where: str, called: str) -> dict[str, Any]:
    """The parameters that a table of types names: a file of a component's folder, or JSON itself."""
    if text is None:
        return {}
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise Inconvertible([Problem(where, f"the dynamics_params of {called} are no JSON: {error.msg}")]) from None
    folder = config.components.get(component)
    if folder is None:
        message = f"the dynamics_params of {called} are in {text}, and it is not said where that is"
        raise Inconvertible([Problem(f"{config.circuit}: components", message, f"add {component}: the folder of {text}")])
    if not (folder / text).is_file():
        hint = f"{component} of {config.circuit} says where it is looked for"
        raise Inconvertible([Problem(where, f"the dynamics_params of {called}: there is no file {folder / text}", hint)])
    return sonata_config.load(folder / text)


def _grouped(circuit: Circuit, population: str, kinds: dict[int, tuple[Kind, dict[str, Any]]], taken: set[str],
             out: _Out) -> list[Group]:  # fmt: skip
    """The nodes of a population by what they are, with the parameters of each."""
    nodes, types, found = circuit.nodes[population], circuit.types[population], []
    alike: list[tuple[Kind, list[int]]] = []
    for number, (kind, _) in kinds.items():
        same = next((of for other, of in alike if _same(other, kind)), None)
        if same is None:
            alike.append((kind, same := []))
        same.append(number)
    per_node = sorted({one for own in nodes.groups.values() for one in own if one.startswith("dynamics_params/")})
    for kind, numbers in alike:
        members = np.flatnonzero(np.isin(nodes.types, numbers))
        shown = "virtual" if kind.virtual else kind.template.split(":")[-1]
        name = _name(population if len(alike) == 1 else f"{population}_{shown}", taken)
        values: dict[str, Any] = {}
        for key in dict.fromkeys(key for number in numbers for key in kinds[number][1]):
            lacking = [number for number in numbers if key not in kinds[number][1]]
            if lacking:
                raise TableError(f"node type {lacking[0]} of {types.name} has no {key}", "others of its template have one")
            values[key] = np.empty(len(members))
            for number in numbers:
                values[key][nodes.types[members] == number] = kinds[number][1][key]
        for path in per_node:
            key = path.removeprefix("dynamics_params/")
            given, known = nodes.values(path)
            if not known[members].any():
                continue
            if kind.virtual or (kind.neuron is not None and key not in values):
                if key in templates.IGNORED:
                    continue
                raise TableError(f"{kind.template} has no parameter {key!r}, which nodes of {nodes.file} have",
                                 f"it has {', '.join(sorted(values))}")  # fmt: skip
            of_type = values.get(key, np.full(len(members), np.nan))
            values[key] = np.where(known[members], given[members], of_type)
            if np.isnan(values[key]).any():
                node = int(members[np.argmax(np.isnan(values[key]))])
                raise TableError(f"node {node} of {nodes.file} has no {key}", "others have one among their dynamics_params")
        found.append(Group(name, members, kind, values))
        lines = [f"node type {number}{_said(types, number)}: {_shown(_runs(np.flatnonzero(nodes.types[members] == number)))}"
                 for number in numbers[:_POINTS]]  # fmt: skip
        if not kind.virtual:
            lines = [f"{kind.template}{' of the population ' + population if len(alike) > 1 else ''}; {'; '.join(lines)}"]
            lines += [kind.neuron.note] if kind.neuron is not None and kind.neuron.note else []
        elif len(numbers) == 1:
            lines = []
        out.comments["populations", name] = [cut for line in lines for cut in [line if len(line) < 122 else f"{line[:119]}..."]]
    return found


def _same(a: Kind, b: Kind) -> bool:
    """Whether nodes of two kinds are one population."""
    if a.neuron is None or b.neuron is None:
        return a == b
    return a.neuron.model == b.neuron.model and a.neuron.ports == b.neuron.ports and a.neuron.names == b.neuron.names


def _said(types: Types, number: int) -> str:
    row = types.rows[number]
    name = row.get("model_name") or row.get("pop_name")
    return f" ({name})" if name else ""


def _name(wanted: str, taken: set[str]) -> str:
    """A name as a network file has them, which nothing else has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)
    name = name if re.match(r"[A-Za-z]", name) else f"n_{name}"
    number, found = 2, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _population(circuit: Circuit, population: str, group: Group, dt: float, out: _Out) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": len(group.nodes)}
    kind, neuron = group.kind, group.kind.neuron
    if kind.virtual:
        return entry | {"model": "spike_times"} | _layout(circuit, population, group, out)
    if neuron is None:
        return entry | _own_entry(group, out) | _layout(circuit, population, group, out)
    entry["model"] = neuron.model
    spec = neurons.MODELS[neuron.model].Spec
    dimensions = {field.name: field.dimension or "number" for field in fields(spec)}
    values: dict[str, Any] = {ours: group.values[theirs] for ours, theirs in neuron.names.items()}
    values |= {ours: derived(group.values) for ours, derived in neuron.derived.items()} | neuron.fixed
    for ours in spec.model_fields:
        if ours not in values or ours == "I_e" and not np.any(values[ours]):
            continue
        value = np.asarray(values[ours], np.float64)
        if not np.isfinite(value).all():
            raise TableError(
                f"{ours} of {group.name} is {value.flat[np.argmin(np.isfinite(value))]}", "a finite number is wanted"
            )
        if ours == "tau_ref":
            value = np.round(np.ceil(np.round(value, 3) / dt - 1e-9) * dt, 9)  # up to whole steps, from us, as NEST does
        entry[ours] = out.value(value, group.name, ours, dimensions[ours])
    init = {}
    if "init" in spec.model_fields:
        states = {field.name: field.dimension or "number" for field in fields(spec.model_fields["init"].annotation)}
        rest = values.get("V_rest")
        for ours, theirs in neuron.init.items():
            value = group.values[theirs]
            usual = rest if ours == "V" else 0.0 if ours in ("w", "I1", "I2") else None
            if usual is None or not np.array_equal(np.broadcast_to(usual, np.shape(value)), value):
                init[ours] = out.value(value, group.name, f"init_{ours}", states[ours])
    entry |= {"init": init} if init else {}
    return entry | _layout(circuit, population, group, out)


def _own_entry(group: Group, out: _Out) -> dict[str, Any]:
    """The entry of a population that an own template describes."""
    entry: dict[str, Any] = {"model": group.kind.template.removeprefix(OWN)}
    for key, values in group.values.items():
        name, _, below = key.partition(".") if key.startswith("init.") else (key, "", "")
        column = below or name
        known = units.column_unit(column)
        unit = None if known is None else known[0]
        plain = column if unit is None else column.rpartition("_")[0]
        values = np.asarray(values, np.float64)
        if (values == values[0]).all():
            value: Any = float(values[0]) if unit is None else f"{netfile.number(float(values[0]))} {unit}"
        else:
            place = f"{group.name}/{'init_' if below else ''}{column}"
            out.columns[place] = values
            value = {"file": out.data.name, "column": place}
        (entry.setdefault("init", {}) if below else entry)[plain] = value
    return entry | json.loads(group.kind.own)


def _layout(circuit: Circuit, population: str, group: Group, out: _Out) -> dict[str, Any]:
    """Where the nodes are, if all of them are somewhere; SONATA's lengths are um."""
    nodes, places = circuit.nodes[population], {}
    for axis in "xyz":
        values, known = nodes.values(axis)
        if not known[group.nodes].any():
            continue
        if not np.isfinite(values[group.nodes]).all():
            node = int(group.nodes[np.argmin(np.isfinite(values[group.nodes]))])
            out.notes.append(f"Node {node} of {population} has no {axis}, and {group.name} no layout.")
            return {}
        places[f"{group.name}/{axis}_um"] = values[group.nodes]
    out.columns |= places
    columns = list(places)
    return {"layout": {"model": "file", "file": out.data.name, "columns": columns}} if columns else {}


# ---- selections ------------------------------------------------------------------------------------------------------


def _runs(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges [from, to)."""
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) > 1)
    starts, stops = numbers[np.append(0, cuts + 1)], numbers[np.append(cuts, len(numbers) - 1)] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _shown(runs: list[tuple[int, int]]) -> str:
    said = ", ".join(f"[{a}:{b}]" if b - a > 1 else f"[{a}]" for a, b in runs[:6])
    return f"{said}, ..." if len(runs) > 6 else said


def _selected(group: Group, wanted: NDArray[np.int64]) -> list[str]:
    """A selection of the nodes of a group that are wanted."""
    places = np.flatnonzero(np.isin(group.nodes, wanted))
    if len(places) == len(group.nodes):
        return [group.name]
    return [f"{group.name}[{a}:{b}]" if b - a > 1 else f"{group.name}[{a}]" for a, b in _runs(places)]


def _node_set(circuit: Circuit, wanted: Any, where: str) -> dict[str, NDArray[np.int64]]:
    """The nodes that a node set names, by population."""
    if isinstance(wanted, str):
        if wanted in circuit.config.node_sets:
            return _node_set(circuit, circuit.config.node_sets[wanted], where)
        if wanted in circuit.nodes:
            return _node_set(circuit, {"population": wanted}, where)
        if wanted == "all":
            return _node_set(circuit, {}, where)
        if wanted in ("virtual", "biophysical", *POINT):
            return _node_set(circuit, {"model_type": wanted}, where)
        known = ", ".join([*circuit.config.node_sets, *circuit.nodes, "all"])
        raise Inconvertible([Problem(where, f"there is no node set {wanted!r}", f"there are {known}")])
    if isinstance(wanted, list) and all(isinstance(item, str) for item in wanted):
        merged: dict[str, NDArray[np.int64]] = {}
        for item in wanted:
            for name, nodes in _node_set(circuit, item, where).items():
                merged[name] = np.union1d(merged.get(name, nodes), nodes)
        return merged
    if isinstance(wanted, list):
        wanted = {"node_id": wanted}
    if not isinstance(wanted, dict):
        raise Inconvertible([Problem(where, f"{wanted!r} is no node set", 'name one, or write {"population": ...}')])
    named = wanted.get("population", wanted.get("populations", list(circuit.nodes)))
    named = [named] if isinstance(named, str) else named
    found = {}
    for name in named:
        if name not in circuit.nodes:
            there = f"there are {', '.join(circuit.nodes)}"
            raise Inconvertible([Problem(where, f"there is no node population {name!r}", there)])
        nodes = circuit.nodes[name]
        keep = np.ones(nodes.size, bool)
        for key, value in wanted.items():
            if key not in ("population", "populations"):
                keep &= _having(circuit, name, key, value, where)
        if keep.any():
            found[name] = np.flatnonzero(keep)
    most = max((circuit.nodes[name].size for name in named), default=0)
    for key in ("node_id", "node_ids"):
        if beyond := [item for item in _listed(wanted.get(key, [])) if not 0 <= item < most]:
            message = (
                f"there is no node {beyond[0]} in {' or '.join(map(repr, named))}, which {'has' if len(named) == 1 else 'have'}"
            )
            raise Inconvertible([Problem(where, f"{message} {most:,}{' at most' if len(named) > 1 else ''}")])
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _having(circuit: Circuit, population: str, key: str, value: Any, where: str) -> NDArray[np.bool_]:
    """Which nodes have a property of this value, or of one of these."""
    nodes, types = circuit.nodes[population], circuit.types[population]
    values = _listed(value)
    if key in ("node_id", "node_ids", "node_type_id"):
        of = nodes.types if key == "node_type_id" else np.arange(nodes.size)
        if not all(isinstance(item, int) for item in values):
            raise Inconvertible([Problem(where, f"{key} is {value!r}", "write whole numbers")])
        return np.isin(of, values)
    wanted = {str(item) for item in values}
    of_type = [number for number, row in types.rows.items() if row.get(key) in wanted]
    keep = np.isin(nodes.types, of_type)
    if all(isinstance(item, int | float) for item in values) and any(key in own for own in nodes.groups.values()):
        given, known = nodes.values(key)
        keep = np.where(known, np.isin(given, values), keep)
    return keep


# ---- edges -----------------------------------------------------------------------------------------------------------


class _Synapse(NamedTuple):
    """What the edges of some types have in common."""

    receptor: int | None
    delay: float | None  # where neither the file nor the types have one
    scale: float
    stp: tuple[float, float, float] | None  # U, tau_d, tau_f
    own: str  # of an own template: the rest of an entry of a network file, as JSON


def _projections(circuit: Circuit, pair: Pair, population: str, out: _Out) -> tuple[dict[str, Any], int]:
    """The projections that a population of edges becomes, and how many edges it has."""
    source, target = sonata.ends(pair.file, population)
    for end in (source, target):
        if end not in circuit.nodes:
            hint = f"there are {', '.join(circuit.nodes)}"
            raise TableError(f"the edges {population!r} of {pair.file.name} are of {end!r}, which is no node population", hint)
    types = None if pair.types is None else sonata_nodes.types(pair.types, "edge_type_id", population)
    table = tables.edges(pair.file, population, pair.types, chosen=True)
    wanted = ("pre", "post", "edge_type_id", "syn_weight", "delay_ms")  # delays are read so that one that lacks is told here
    values = table.read([column for column in wanted if column in table.columns])
    if not len(values["pre"]):
        return {}, 0
    for side, end, there in (("pre", source, "source_node_id"), ("post", target, "target_node_id")):
        beyond = (values[side] < 0) | (values[side] >= circuit.nodes[end].size)
        if beyond.any():
            row = int(np.argmax(beyond))
            message = f"{there} is {values[side][row]} {table.place(row)} of {pair.file.name}"
            raise TableError(message, f"the population {end!r} has {circuit.nodes[end].size:,} nodes, from 0 on")
    if "syn_weight" not in values:
        raise TableError(
            f"the edges {population!r} of {pair.file.name} have no syn_weight", "write it into the file or its types"
        )
    number = values.get("edge_type_id", np.zeros(len(values["pre"]), np.int64)).astype(np.int64)
    kinds = _synapses(circuit, pair, population, types, np.unique(number).tolist(), "delay_ms" in table.columns)
    found, several = {}, len(sonata.populations(pair.file, "edges")) > 1
    for synapse, of in kinds.items():
        for group in circuit.groups[target]:
            mine = np.isin(number, of) & np.isin(values["post"], group.nodes)
            if not mine.any():
                continue
            if group.kind.virtual:
                out.notes.append(f"{np.count_nonzero(mine):,} edges of {population} onto virtual nodes are left out.")
                continue
            for port in _ports(group, synapse, np.unique(number[mine]).tolist(), types, pair):
                taken = mine if port.sign is None else mine & ((values["syn_weight"] < 0) == (port.sign == "negative"))
                if not taken.any():
                    continue
                named = f"{source}_to_{group.name}" if population == f"{source}_to_{target}" else f"{population}_{group.name}"
                alone = all(one.kind.virtual for one in circuit.groups[target] if one is not group)
                name = _projection_name(population if alone else named, port, synapse, found)
                connect: dict[str, Any] = {"rule": "file", "path": out.named(pair.file)}
                connect |= {"population": population} if several else {}
                connect |= {"types": out.named(pair.types)} if pair.types is not None else {}
                connect |= {"edge_types": np.unique(number[taken]).tolist()} if "edge_type_id" in values else {}
                connect |= {"sign": port.sign} if port.sign is not None else {}
                connect |= {"scale": port.scale * synapse.scale} if port.scale * synapse.scale != 1 else {}
                connect |= {"off_grid": "round"}
                senders = [one for one in circuit.groups[source] if np.isin(values["pre"][taken], one.nodes).any()]
                senders = circuit.groups[source] if len(circuit.groups[source]) == 1 else senders
                connect |= _mapped("pre_nodes", [sender.nodes for sender in senders], circuit.nodes[source].size)
                connect |= _mapped("post_nodes", [group.nodes], circuit.nodes[target].size)
                pre = [sender.name for sender in senders]
                entry = {"pre": pre if len(pre) > 1 else pre[0], "post": group.name, "connect": connect}
                entry |= {"delay": netfile.quantity(synapse.delay, "time")} if synapse.delay is not None else {}
                found[name] = entry | _acting(group, port, synapse, circuit.config.folder, out)
    return found, len(number)


def _mapped(key: str, every: list[NDArray[np.int64]], size: int) -> dict[str, Any]:
    """Which nodes the neurons of a selection are, where that is not plain."""
    runs = [run for nodes in every for run in _runs(nodes)]
    return {} if runs == [(0, size)] else {key: [list(run) for run in runs]}


def _projection_name(wanted: str, port: templates.Port, synapse: _Synapse, taken: dict[str, Any]) -> str:
    own = json.loads(synapse.own).get("name") if synapse.own else None
    sign = "inh" if synapse.scale < 0 else ""
    parts = [wanted, port.name or sign, "stp" if synapse.stp else ""]
    return _name(own if isinstance(own, str) else "_".join(filter(None, parts)), set(taken))


def _ports(group: Group, synapse: _Synapse, of: list[int], types: Types | None, pair: Pair) -> list[templates.Port]:
    """By which ways these edges may act on a group."""
    if synapse.own:
        return [templates.Port("", {}, None)]
    neuron = group.kind.neuron
    where = types.where(of[0]) if types is not None and of[0] in types.rows else pair.file.name
    if neuron is None:
        hint = f"its edges need an own template, like {OWN}expon"
        raise Inconvertible([Problem(where, f"edge type {of[0]} goes to {group.kind.template}", hint)])
    if not neuron.by_receptor:
        if synapse.receptor not in (None, 0):
            message = f"edge type {of[0]} has receptor_type {synapse.receptor}, and {group.kind.template} has no such receptor"
            raise Inconvertible([Problem(where, message, "leave it out: the sign of the weight decides")])
        return list(neuron.ports)
    if synapse.receptor is None or not 1 <= synapse.receptor <= len(neuron.ports):
        message = (
            f"edge type {of[0]} has {'no receptor_type' if synapse.receptor is None else f'receptor_type {synapse.receptor}'}"
        )
        hint = f"{group.kind.template} has receptors 1 to {len(neuron.ports)}; write receptor_type into its dynamics_params"
        raise Inconvertible([Problem(where, message, hint)])
    return [neuron.ports[synapse.receptor - 1]]


def moved(tree: Any, old: Path, new: Path) -> Any:
    """A part of a network file in a folder as it is in another: files are named from there."""
    if isinstance(tree, dict):
        there = {key: key in ("file", "path") and isinstance(value, str) for key, value in tree.items()}
        return {key: Path(os.path.relpath(old / value, new)).as_posix() if there[key] else moved(value, old, new)
                for key, value in tree.items()}  # fmt: skip
    return [moved(item, old, new) for item in tree] if isinstance(tree, list) else tree


def _acting(group: Group, port: templates.Port, synapse: _Synapse, folder: Path, out: _Out) -> dict[str, Any]:
    """Synapse, output and short-term plasticity of a projection."""
    if synapse.own:
        return moved({key: value for key, value in json.loads(synapse.own).items() if key != "name"}, folder, out.folder)
    found: dict[str, Any] = {"synapse": dict(port.synapse)}
    if port.tau is not None:
        found["synapse"]["tau"] = out.value(group.values[port.tau], group.name, f"tau_syn_{port.name}", "time")
    if port.E is not None:
        found["output"] = {"model": "coba", "E": out.value(group.values[port.E], group.name, f"E_{port.name}", "voltage")}
    if synapse.stp is not None:
        U, tau_d, tau_f = synapse.stp
        found["stp"] = {"U": U, "tau_d": netfile.quantity(tau_d, "time"), "tau_f": netfile.quantity(tau_f, "time")}
    return found


def _synapses(circuit: Circuit, pair: Pair, population: str, types: Types | None, numbers: list[int],
              delays: bool) -> dict[_Synapse, list[int]]:  # fmt: skip
    """The types of edges by what their synapses are."""
    own = sonata.properties(pair.file, population)
    problems = []
    if any(one in own for one in ("dynamics_params", "model_template")):
        hint = "write them into the table of edge types"
        problems.append(Problem(pair.file.name, "edges have synapses of their own, one by one", hint))
    found: dict[_Synapse, list[int]] = {}
    for number in numbers:
        row = types.rows.get(number) if types is not None else {}
        if row is None:
            assert types is not None
            hint = f"there are {', '.join(map(str, list(types.rows)[:20]))}"
            problems.append(Problem(types.name, f"there is no edge type {number}, which is in {pair.file.name}", hint))
            continue
        where = pair.file.name if types is None else types.where(number)
        try:
            found.setdefault(_synapse(circuit.config, number, row, where, "delay" in own or "delay" in row), []).append(number)
        except Inconvertible as error:
            problems += error.problems
    if problems:
        raise Inconvertible(problems)
    return found


def _synapse(config: Config, number: int, row: dict[str, str], where: str, delayed: bool) -> _Synapse:
    called = f"edge type {number}"
    if row.get("weight_function") not in _BY_WEIGHT:
        hint = "write the weights that it would make into the file, as syn_weight"
        raise Inconvertible([Problem(where, f"the weight_function of {called} is code ({row['weight_function']})", hint)])
    given = _dynamics(config, row.get("dynamics_params"), "synaptic_models_dir", where, called)
    template = row.get("model_template")
    if template is not None and template.startswith(OWN):
        return _Synapse(None, None if delayed else 0.0, 1.0, None, json.dumps(given, sort_keys=True))
    template = template.removeprefix("nest:") if template is not None else None
    known = {"receptor_type", "level_of_detail", "sign", "delay"} | (set(_TSODYKS) if template == "tsodyks2_synapse" else set())
    if template not in _STATIC and template != "tsodyks2_synapse" and "level_of_detail" not in given:
        hint = "snnrun reads static_synapse and tsodyks2_synapse; write the others into the network file by hand"
        raise Inconvertible([Problem(where, f"the model_template of {called} is {template!r}", hint)])
    if unknown := [name for name in given if name not in known]:
        message = f"the dynamics_params of {called} have {unknown[0]!r}, which {template or 'static_synapse'} has not"
        hint = "synaptic time constants of NEST's neurons are among the dynamics_params of the node types"
        raise Inconvertible([Problem(where, message, hint)])
    wrong = [name for name, value in given.items() if name != "level_of_detail"
             and (isinstance(value, bool) or not isinstance(value, int | float))]  # fmt: skip
    if wrong:
        raise Inconvertible([Problem(where, f"{wrong[0]} of {called} is {given[wrong[0]]!r}", "a number is wanted")])
    stp = None
    if template == "tsodyks2_synapse":
        p = _TSODYKS | given  # its x and u are those after a spike long ago, and forgotten at the first one
        stp = (p["U"], p["tau_rec"], p["tau_fac"])
    delay = None if delayed else float(given.get("delay", _DELAY))
    return _Synapse(given.get("receptor_type"), delay, float(given.get("sign", 1)), stp, "")


# ---- inputs and reports ----------------------------------------------------------------------------------------------


def _input(circuit: Circuit, name: str, entry: Any, driven: dict[str, list[Trains]], dt: float, out: _Out) -> dict[str, Any]:
    """An input as entries of a network file; spikes are kept for the populations that they drive."""
    where = circuit.config.where("inputs", name)
    if not isinstance(entry, dict):
        raise Inconvertible([Problem(where, "this is no object", "write {...}")])
    if entry.get("enabled") is False:
        return {}
    module, kind = str(entry.get("module")), str(entry.get("input_type"))
    wanted = _node_set(circuit, entry.get("node_set", "all"), where)
    if entry.get("gids", "all") != "all":
        out.notes.append(f"The gids of the input {name} are left out, as bmtk does: node_set says whom it reaches.")
    if module == "snnrun":
        if not isinstance(entry.get("entry"), dict):
            raise Inconvertible([Problem(where, "there is no entry", "write it as in a network file")])
        return {_name(name, set()): moved(entry["entry"], circuit.config.folder, out.folder)}
    if kind == "spikes":
        reached = [population for population in wanted if any(group.kind.virtual for group in circuit.groups[population])]
        if not reached:
            raise Inconvertible([Problem(where, "these spikes reach no virtual nodes", "name their population as node_set")])
        for population, trains in _trains(circuit.config, where, entry, reached, out).items():
            for group in circuit.groups[population]:
                if group.kind.virtual:
                    driven.setdefault(group.name, []).append(trains)
        return {}
    if module == "IClamp" or kind == "current_clamp":
        to = [part for population, nodes in wanted.items() for group in circuit.groups[population]
              if not group.kind.virtual for part in _selected(group, nodes)]  # fmt: skip
        if not to:
            raise Inconvertible([Problem(where, "this current reaches no neuron", "name their population as node_set")])
        return {_name(name, set()): _current(circuit.config, name, kind, entry, to, dt, out)}
    hint = "snnrun reads spikes (h5, csv, nwb) and IClamp; write others into the network file by hand"
    raise Inconvertible([Problem(where, f"an input of input_type {kind!r} by the module {module!r} is not known", hint)])


def _current(config: Config, name: str, kind: str, entry: dict[str, Any], to: list[str], dt: float, out: _Out) -> dict[str, Any]:
    """A current clamp: pA as in PointNet, each value from the step after its time on."""
    where = config.where("inputs", name)
    if kind in ("csv", "file"):
        times, amps = _clamp_file(config, where, entry)
    else:
        lists = {}
        for key in ("amp", "delay", "duration"):
            value = entry.get(key)
            lists[key] = value if isinstance(value, list) else [value]
            if any(isinstance(item, bool) or not isinstance(item, int | float) for item in lists[key]):
                raise Inconvertible([Problem(f"{where}.{key}", f"this is {value!r}", "write a number, or a list of numbers")])
        if len({len(values) for values in lists.values()}) > 1:
            raise Inconvertible([Problem(where, "amp, delay and duration differ in length", "give one of each for every step")])
        times, amps = [], []
        for i, (amp, begin, long) in enumerate(zip(*lists.values(), strict=True)):
            times.append(float(begin))
            amps.append(float(amp))
            if i + 1 == len(lists["amp"]) or begin + long <= lists["delay"][i + 1]:
                times.append(float(begin) + float(long))
                amps.append(0.0)
    steps: dict[int, float] = {}
    for time, amp in zip(times, amps, strict=True):
        if time < 0 or not np.isfinite(time + amp):
            raise Inconvertible([Problem(where, f"the current has the value {amp} at {time} ms", "times are not negative")])
        steps[int(np.floor(time / dt * (1 + 1e-12) + 0.5)) + 1] = amp  # NEST's generator acts a step later
    at = list(steps)
    if at != sorted(at):
        raise Inconvertible([Problem(where, "the times of the current do not ascend", "sort them")])
    if len(at) == 2 and steps[at[1]] == 0:
        ends = {"start": netfile.quantity(round(at[0] * dt, 9), "time"), "stop": netfile.quantity(round(at[1] * dt, 9), "time")}
        return {
            "model": "constant",
            "to": to if len(to) > 1 else to[0],
            "current": netfile.quantity(steps[at[0]], "current"),
        } | ends
    entry = {"model": "steps", "to": to if len(to) > 1 else to[0]}
    if len(at) <= _POINTS:
        return entry | {"times": [netfile.quantity(round(step * dt, 9), "time") for step in at],
                        "currents": [netfile.quantity(steps[step], "current") for step in at]}  # fmt: skip
    file = out.data.with_name(f"{out.data.name.removesuffix('.data.h5')}.{_name(name, set())}.npz")
    out.courses[file] = {"time_ms": np.round(np.array(at) * dt, 9), "current_pA": np.array([steps[step] for step in at])}
    return {"model": "waveform", "to": to if len(to) > 1 else to[0], "file": file.name}


def _clamp_file(config: Config, where: str, entry: dict[str, Any]) -> tuple[list[float], list[float]]:
    path = _file_of(config, where, entry, "file")
    columns = [str(entry.get("timestamps_column", "timestamps")), str(entry.get("amplitudes_column", "amps"))]
    values = csv.open(path).read(columns)
    return values[columns[0]].tolist(), values[columns[1]].tolist()


def _file_of(config: Config, where: str, entry: dict[str, Any], *keys: str) -> Path:
    """The file that an input names, under the first of some keys that it has."""
    given = next((entry[key] for key in keys if key in entry), None)
    if not isinstance(given, str):
        raise Inconvertible([Problem(where, f"there is no {keys[0]}", "name the file that has the values")])
    if not (config.folder / given).is_file():
        raise Inconvertible([Problem(where, f"there is no file {config.folder / given}")])
    return config.folder / given


def _trains(config: Config, where: str, entry: dict[str, Any], reached: list[str], out: _Out) -> dict[str, Trains]:
    """The spikes of an input for each of the populations that it reaches and that its file has."""
    path = _file_of(config, where, entry, "input_file", "file")
    if entry.get("module") == "nwb" or path.suffix.lower() == ".nwb":
        return dict.fromkeys(reached, Trains(where, path, None, entry.get("trial")))
    names = tables.trained(path)
    found = {one: Trains(where, path, one if len(names) > 1 else "", None) for one in reached if one in names or not names}
    if not found and len(reached) == len(names) == 1:
        out.notes.append(f"{path.name} has spikes of {names[0]}, which are taken for those of {reached[0]}.")
        return {reached[0]: Trains(where, path, "", None)}
    if not found:
        message = f"{path.name} has no spikes of the population {' or '.join(map(repr, reached))}"
        raise TableError(message, f"it has {', '.join(names[:_POINTS])}")
    return found


def _drive(circuit: Circuit, name: str, entry: dict[str, Any], given: list[Trains], out: _Out) -> None:
    """Give the spikes of inputs to a population of sources: by their file where that has what is wanted, else by a copy."""
    if entry["model"] != "spike_times":
        return
    population, group = next((p, g) for p, groups in circuit.groups.items() for g in groups if g.name == name)
    whole = len(group.nodes) == circuit.nodes[population].size
    layout = entry.pop("layout", None)
    if not given:
        entry["times"] = []
        out.notes.append(f"{name} is of virtual nodes, and no input says when they spike: they are silent.")
    every = []
    for one in given:
        with out.at(one.where):
            neuron, times = _spikes(one)
            every.append((one, neuron, times))
            beyond = (neuron < 0) | (neuron >= circuit.nodes[population].size)
            if beyond.any():
                said = f"node {int(neuron[np.argmax(beyond)])}, and {population} has {circuit.nodes[population].size:,} nodes"
                left = f"{np.count_nonzero(beyond):,} of its spikes are left out"
                out.notes.append(f"{one.path.name} has spikes of {said}: {left}.")
    off_grid = "round" if str(circuit.config.rest.get("target_simulator") or "NEST").upper() == "NEURON" else "up"
    if len(every) == 1 and every[0][0].population is not None and whole:
        one, neuron, _ = every[0]
        if not len(neuron) or 0 <= neuron.min() and neuron.max() < len(group.nodes):
            entry["times"] = {"file": out.named(one.path)} | ({"population": one.population} if one.population else {})
            entry["times"] |= {"off_grid": off_grid}
            every = []
    if every:
        neuron, times = (np.concatenate([one[i] for one in every]) for i in (1, 2))
        there = np.isin(neuron, group.nodes)
        order = np.lexsort((times[there], neuron[there]))
        places = np.searchsorted(group.nodes, neuron[there])
        out.spikes[name] = (places[order].astype(np.uint64), times[there][order])
        entry["times"] = {"file": out.data.name, "population": name, "off_grid": off_grid}
    if layout is not None:
        entry["layout"] = layout


def _spikes(trains: Trains) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which nodes spike, and when, in ms."""
    if trains.population is None:
        return _nwb(trains.path, trains.trial)
    read = tables.trains(trains.path, trains.population or None).read(["neuron", "time_ms"])
    return read["neuron"], read["time_ms"].astype(np.float64)


def _nwb(path: Path, trial: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Spikes of an NWB file: of version 1, in ms, as bmtk has them, or of the table `units`, in s."""
    with hdf5.opened(path) as file:
        if "units/spike_times" in file and "units/spike_times_index" in file:
            ends = hdf5.values(file, "units/spike_times_index", path.name).astype(np.int64)
            times = hdf5.values(file, "units/spike_times", path.name) * 1000.0
            ids = hdf5.values(file, "units/id", path.name) if "units/id" in file else np.arange(len(ends))
            return np.repeat(ids, np.diff(ends, prepend=0)), times
        root = f"processing/{trial}/spike_train"
        if trial is None or root not in file:
            there = ", ".join(file["processing"]) if "processing" in file else "none"
            raise TableError(f"{path.name} has no spikes of the trial {trial!r}", f"name one by trial; there are {there}")
        found = [(int(node), hdf5.values(file, f"{root}/{node}/data", path.name)) for node in file[root]]
    ids = np.concatenate([np.full(len(times), node) for node, times in found] or [np.empty(0, np.int64)])
    return ids, np.concatenate([times for _, times in found] or [np.empty(0)])


_VARIABLES = {"V_m": "V", "v": "V", "V": "V", "w": "w", "U_m": "u", "Act_m": "m", "Inact_h": "h", "Act_n": "n"}


def _report(circuit: Circuit, name: str, entry: Any, dt: float, duration: float, out: _Out) -> dict[str, Any]:
    """A report of variables as monitors; what else is asked for is noted."""
    where = circuit.config.where("reports", name)
    if not isinstance(entry, dict):
        raise Inconvertible([Problem(where, "this is no object", "write {...}")])
    if entry.get("enabled") is False:
        return {}
    module = entry.get("module")
    if module == "spikes_report":
        return {}
    if module not in ("membrane_report", "multimeter_report", "multimeter"):
        out.notes.append(f"The report {name} of the module {module} is left out.")
        return {}
    variables = entry.get("variable_name", "V_m")
    asked = variables if isinstance(variables, list) else [variables]
    wanted = [_VARIABLES[one] if one in _VARIABLES else one for one in asked]
    found: dict[tuple[str, ...], list[str]] = {}  # variables and whose
    for population, nodes in _node_set(circuit, entry.get("cells", "all"), where).items():
        for group in circuit.groups[population]:
            to = [] if group.kind.virtual else _selected(group, nodes[np.isin(nodes, group.nodes)])
            if not to:
                continue
            model = group.kind.neuron.model if group.kind.neuron else group.kind.template.removeprefix(OWN)
            states = neurons.MODELS[model].variables
            lacking = [one for one in wanted if one not in states]
            if lacking:
                out.notes.append(f"The report {name} wants {lacking[0]} of {group.name}, which {model} does not have.")
            if have := tuple(one for one in wanted if one in states):
                found.setdefault(have, []).extend(to)
    window = {}
    for key, theirs in (("every", ("dt", "interval")), ("start", ("start_time", "tstart")), ("stop", ("end_time", "tstop"))):
        value = next((entry[one] for one in theirs if isinstance(entry.get(one), int | float)), None)
        if value is not None and not (key == "start" and value == 0 or key == "stop" and value >= duration):
            window[key] = netfile.quantity(round(max(round(value / dt), key == "every") * dt, 9), "time")
    taken = {"spikes"}
    return {_name(name, taken): {"model": "state", "of": to if len(to) > 1 else to[0], "variables": list(have), **window}
            for have, to in found.items()}  # fmt: skip
