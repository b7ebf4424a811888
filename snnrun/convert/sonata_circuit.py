"""The nodes of a SONATA circuit by what they are: nodes of one template are a population of a network file.

What differs from node to node becomes a column of the file of data beside. A node set is a selection of these populations.
"""

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import units
from snnrun.convert import netfile, sonata_config, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.convert.sonata_config import Config
from snnrun.convert.sonata_output import Output
from snnrun.models import neurons
from snnrun.quantities import fields
from snnrun.tables import TableError, sonata, sonata_nodes
from snnrun.tables.sonata_nodes import Nodes, Types

POINT = ("point_neuron", "point_process", "point_soma")
_LISTED = 20  # types that are named one by one


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


def read(config: Config, out: Output) -> Circuit:
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
            said = ", ".join(f"{number}{_said(types, number)}" for number in plain[:_LISTED])
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
    given = dynamics(circuit.config, row.get("dynamics_params"), "point_neuron_models_dir", where, called)
    if template.startswith(templates.OWN):
        return _own(template, given, where, called)
    try:
        neuron, values = templates.resolved(template, given, int(np.count_nonzero(nodes.types == number)))
    except templates.TemplateError as error:
        raise Inconvertible([Problem(where, f"{called}: {error.message}", error.hint)]) from None
    return Kind(template, neuron), values


def _own(template: str, given: dict[str, Any], where: str, called: str) -> tuple[Kind, dict[str, Any]]:
    """A template of snnrun's own: parameters by the names of columns, and the rest of an entry of a network file."""
    name, values = template.removeprefix(templates.OWN), given.get("parameters", {})
    model = neurons.MODELS.get(name)
    if model is None or model.source:
        raise Inconvertible([Problem(where, f"{called}: snnrun has no neuron {name!r}", "snnrun models shows what there is")])
    sound = isinstance(values, dict) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values.values())
    if not sound:
        raise Inconvertible([Problem(where, f"the parameters of {called} are no numbers", 'write {"tau_ms": 20, ...}')])
    return Kind(template, None, json.dumps(given.get("entry", {}), sort_keys=True)), dict(values)


def dynamics(config: Config, text: str | None, component: str, where: str, called: str) -> dict[str, Any]:
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
             out: Output) -> list[Group]:  # fmt: skip
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
        name = netfile.identifier(population if len(alike) == 1 else f"{population}_{shown}", taken)
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
        lines = [f"node type {number}{_said(types, number)}: {_shown(runs(np.flatnonzero(nodes.types[members] == number)))}"
                 for number in numbers[:_LISTED]]  # fmt: skip
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
    return all(getattr(a.neuron, what) == getattr(b.neuron, what) for what in ("model", "ports", "names", "switches"))


def _said(types: Types, number: int) -> str:
    row = types.rows[number]
    name = row.get("model_name") or row.get("pop_name")
    return f" ({name})" if name else ""


def population(circuit: Circuit, population: str, group: Group, dt: float, out: Output) -> dict[str, Any]:
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
    entry |= dict.fromkeys(neuron.switches, True)
    entry |= {"init": init} if init else {}
    return entry | _layout(circuit, population, group, out)


def _own_entry(group: Group, out: Output) -> dict[str, Any]:
    """The entry of a population that an own template describes."""
    entry: dict[str, Any] = {"model": group.kind.template.removeprefix(templates.OWN)}
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


def _layout(circuit: Circuit, population: str, group: Group, out: Output) -> dict[str, Any]:
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


def runs(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges [from, to)."""
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) > 1)
    starts, stops = numbers[np.append(0, cuts + 1)], numbers[np.append(cuts, len(numbers) - 1)] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _shown(runs: list[tuple[int, int]]) -> str:
    said = ", ".join(f"[{a}:{b}]" if b - a > 1 else f"[{a}]" for a, b in runs[:6])
    return f"{said}, ..." if len(runs) > 6 else said


def selected(group: Group, wanted: NDArray[np.int64]) -> list[str]:
    """A selection of the nodes of a group that are wanted."""
    places = np.flatnonzero(np.isin(group.nodes, wanted))
    if len(places) == len(group.nodes):
        return [group.name]
    return [f"{group.name}[{a}:{b}]" if b - a > 1 else f"{group.name}[{a}]" for a, b in runs(places)]


def node_set(circuit: Circuit, wanted: Any, where: str) -> dict[str, NDArray[np.int64]]:
    """The nodes that a node set names, by population."""
    if isinstance(wanted, str):
        if wanted in circuit.config.node_sets:
            return node_set(circuit, circuit.config.node_sets[wanted], where)
        if wanted in circuit.nodes:
            return node_set(circuit, {"population": wanted}, where)
        if wanted == "all":
            return node_set(circuit, {}, where)
        if wanted in ("virtual", "biophysical", *POINT):
            return node_set(circuit, {"model_type": wanted}, where)
        known = ", ".join([*circuit.config.node_sets, *circuit.nodes, "all"])
        raise Inconvertible([Problem(where, f"there is no node set {wanted!r}", f"there are {known}")])
    if isinstance(wanted, list) and all(isinstance(item, str) for item in wanted):
        merged: dict[str, NDArray[np.int64]] = {}
        for item in wanted:
            for name, nodes in node_set(circuit, item, where).items():
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
