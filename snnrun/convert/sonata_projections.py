"""The edges of a SONATA circuit as projections: as many of a population of edges as there are kinds of synapses in it.

Each takes its edges from the circuit's own file.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import tables
from snnrun.convert import netfile, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.convert.sonata_circuit import Circuit, Group, dynamics, runs
from snnrun.convert.sonata_config import Config, Pair
from snnrun.convert.sonata_output import Output
from snnrun.tables import TableError, sonata, sonata_nodes
from snnrun.tables.sonata_nodes import Types

_STATIC = (None, "static_synapse", "static_synapse_hom_w")
_BY_WEIGHT = (None, "default_weight_fnc", "set_syn_weight", "wmax")  # bmtk's functions that are nsyns times syn_weight
_TSODYKS = {"U": 0.5, "u": 0.5, "x": 1.0, "tau_rec": 800.0, "tau_fac": 0.0}  # tsodyks2_synapse of NEST
_DELAY = 1.0  # ms; NEST's, where nothing is said


class _Synapse(NamedTuple):
    """What the edges of some types have in common."""

    receptor: int | None
    delay: float | None  # where neither the file nor the types have one
    scale: float
    stp: tuple[float, float, float] | None  # U, tau_d, tau_f
    own: str  # of an own template: the rest of an entry of a network file, as JSON


def projections(circuit: Circuit, pair: Pair, population: str, out: Output) -> tuple[dict[str, Any], int]:
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
    ranges = [run for nodes in every for run in runs(nodes)]
    return {} if ranges == [(0, size)] else {key: [list(run) for run in ranges]}


def _projection_name(wanted: str, port: templates.Port, synapse: _Synapse, taken: dict[str, Any]) -> str:
    own = json.loads(synapse.own).get("name") if synapse.own else None
    sign = "inh" if synapse.scale < 0 else ""
    parts = [wanted, port.name or sign, "stp" if synapse.stp else ""]
    return netfile.identifier(own if isinstance(own, str) else "_".join(filter(None, parts)), set(taken))


def _ports(group: Group, synapse: _Synapse, of: list[int], types: Types | None, pair: Pair) -> list[templates.Port]:
    """By which ways these edges may act on a group."""
    if synapse.own:
        return [templates.Port("", {}, None)]
    neuron = group.kind.neuron
    where = types.where(of[0]) if types is not None and of[0] in types.rows else pair.file.name
    if neuron is None:
        hint = f"its edges need an own template, like {templates.OWN}expon"
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


def _acting(group: Group, port: templates.Port, synapse: _Synapse, folder: Path, out: Output) -> dict[str, Any]:
    """Synapse, output and short-term plasticity of a projection."""
    if synapse.own:
        return netfile.moved({key: value for key, value in json.loads(synapse.own).items() if key != "name"}, folder, out.folder)
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
    given = dynamics(config, row.get("dynamics_params"), "synaptic_models_dir", where, called)
    template = row.get("model_template")
    if template is not None and template.startswith(templates.OWN):
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
