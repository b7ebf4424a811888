"""A network as a SONATA circuit with its simulation: what was drawn of neurons and synapses, in files that others read.

A population is of NEST's template where NEST has its model with these synapses, and the circuit then runs in bmtk's PointNet as
well. What only snnrun has bears a template that begins with `snnrun:`, with the entry of the network file as its parameters.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from snnrun import engine, export, lower, network
from snnrun.check import Loaded, selection_sizes
from snnrun.convert import netfile, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.document import SpecError
from snnrun.files import in_place_of
from snnrun.lower import driving
from snnrun.machine import start_jax
from snnrun.models import connect, monitors, neurons, stp
from snnrun.network import Network
from snnrun.quantities import fields, is_literal, plain
from snnrun.receptors import given_at_first
from snnrun.request import Refused
from snnrun.selections import parts
from snnrun.spec import Spec

_FIRST = 100  # of the numbers of types, as bmtk's builder counts
_SPIKES = "spikes"  # the monitor whose record is what circuits have as their output anyway


class Made(NamedTuple):
    folder: Path
    neurons: int
    synapses: int
    templates: dict[str, str]  # of each population
    notes: list[str]


class _Feed(NamedTuple):
    """A projection onto a population, as NEST might have it."""

    name: str
    synapse: str
    tau: Any  # a number, or one for every neuron
    E: Any  # None where it is a current
    low: float  # bounds of its weights
    high: float


class _Chosen(NamedTuple):
    """The template of a population, with its parameters, and how each projection reaches it."""

    template: str
    values: dict[str, Any]  # numbers and lists, or an array [neurons]
    entry: dict[str, Any]  # of an own template: what are no numbers
    receptors: dict[str, tuple[int | None, float]]  # by projection: receptor_type, and the factor of its weights


def write(loaded: Loaded, folder: Path, overwrite: bool = False) -> Made:
    """Write a circuit into a folder. Raises Refused, Inconvertible, SpecError, OSError."""
    spec, document = loaded.spec, loaded.document
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise Refused(f"{folder} is there already", "use --overwrite to replace its files, or --output for another folder")
    if spec.models:
        names = ", ".join(spec.models)
        raise Inconvertible(
            [Problem(f"{document.name}: models", f"SONATA has no place for equations ({names})", "use models of the zoo")]
        )
    held = [
        Problem(f"{document.name}: {section}.{name}.init", "SONATA has no place for what synapses hold at t = 0", "remove init")
        for section, name, entry in spec.feeding
        if given_at_first(entry)
    ]
    if held:
        raise Inconvertible(held)
    try:
        built = network.build(spec, document.folder)
    except SpecError as error:
        raise SpecError(error.faults, document) from None
    notes: list[str] = []
    drawn = export.drawn(spec, document, []) if spec.projections else []
    chosen = {name: _chosen(built, name) for name, entry in spec.populations.items() if not neurons.of(entry).source}
    for sub in ("network", "inputs", "components/point_neuron_models", "components/synaptic_models"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    pairs: dict[str, list[dict[str, Any]]] = {"nodes": [], "edges": []}
    for name in spec.populations:
        _write_nodes(built, name, chosen.get(name), folder)
        of = "point_neuron" if name in chosen else "virtual"
        files = {"nodes_file": f"$NETWORK_DIR/{name}_nodes.h5", "node_types_file": f"$NETWORK_DIR/{name}_node_types.csv"}
        pairs["nodes"].append(files | {"populations": {name: {"type": of}}})
    synapses = 0
    for one in drawn:
        names = export.edge_populations(one)
        kinds, rows = {}, []
        for i, ((_, post), population) in enumerate(names.items()):
            kinds[population], row = _synapse(loaded, one.name, post, population, chosen[post], _FIRST + i, folder, notes)
            rows.append(row)
        file = folder / "network" / f"{one.name}_edges.h5"
        with in_place_of(file) as partial:
            synapses += export.write_sonata([one], partial, kinds)[one.name]
            _index(partial, selection_sizes(spec))
        _table(folder / "network" / f"{one.name}_edge_types.csv", rows)
        pairs["edges"].append({"edges_file": f"$NETWORK_DIR/{one.name}_edges.h5",
                               "edge_types_file": f"$NETWORK_DIR/{one.name}_edge_types.csv",
                               "populations": {population: {"type": "chemical"} for population in names.values()}})  # fmt: skip
    inputs = _sources(built, folder) | _inputs(loaded, built, folder, notes)
    sets, reports = _reports(spec, notes)
    _json(folder / "node_sets.json", {name: {"population": name} for name in spec.populations} | sets)
    circuit = {
        "manifest": {"$BASE_DIR": ".", "$NETWORK_DIR": "$BASE_DIR/network", "$COMPONENTS_DIR": "$BASE_DIR/components"},
        "components": {"point_neuron_models_dir": "$COMPONENTS_DIR/point_neuron_models",
                       "synaptic_models_dir": "$COMPONENTS_DIR/synaptic_models"},
        "networks": {kind: entries for kind, entries in pairs.items() if entries},
    }  # fmt: skip
    order = [section for section in ("populations", *spec._sections) if section != "populations"]
    own = {"name": spec.name, "seed": spec.seed, "precision": spec.precision, "sections": order}
    simulation = {
        "manifest": {"$BASE_DIR": ".", "$OUTPUT_DIR": "$BASE_DIR/output"},
        "target_simulator": "NEST",
        "network": "$BASE_DIR/circuit_config.json",
        "node_sets_file": "$BASE_DIR/node_sets.json",
        "run": {"tstop": spec.duration, "dt": spec.dt, "random_seed": spec.seed % 2**31, "snnrun": own},
        "inputs": inputs,
        "reports": reports,
        "output": {"output_dir": "$OUTPUT_DIR", "log_file": "log.txt", "spikes_file": "spikes.h5"},
    }
    _json(folder / "circuit_config.json", circuit)
    _json(folder / "simulation_config.json", simulation)
    for name, one in chosen.items():
        if one.template.startswith(templates.OWN):
            lacking = f"NEST has no {one.template.removeprefix(templates.OWN)} with these synapses and parameters"
            notes.append(f"{name} has the template {one.template}, which only snnrun reads: {lacking}")
    return Made(folder, sum(selection_sizes(spec).values()), synapses, {n: c.template for n, c in chosen.items()}, notes)


# ---- which template --------------------------------------------------------------------------------------------------


def _chosen(built: Network, name: str) -> _Chosen:
    """NEST's template for a population, where there is one that snnrun reads as the same, else its own."""
    found = _nest(built, name)
    if found is not None:
        return found
    entry, population = built.spec.populations[name], built.populations[name]
    values, rest = {}, {}
    skipped = ("model", "size", "layout", "init", "set")
    dimensions = {field.name: field.dimension or "number" for field in fields(type(entry))}
    given = _internal(built, name)
    for field in type(entry).model_fields:
        if field in skipped or (value := given.get(field, getattr(entry, field))) is None:
            continue
        if field in dimensions:
            values[netfile.column(field, dimensions[field])] = value
        elif value != type(entry).model_fields[field].default:
            rest[field] = value
    if (init := getattr(entry, "init", None)) is not None:
        states = {field.name: field.dimension or "number" for field in fields(type(init))}
        for variable, value in population.initial.items():
            if variable in states:
                values[f"init.{netfile.column(variable, states[variable])}"] = value
    return _Chosen(f"{templates.OWN}{entry.model}", values, rest, {})


def _internal(built: Network, name: str) -> dict[str, Any]:
    """The parameters of a population in internal units, with times in ms and all currents that never change."""
    entry, found = built.spec.populations[name], dict(built.populations[name].parameters)
    for field in fields(type(entry)):
        if field.least is not None and found.get(field.name) is not None:
            found[field.name] = np.round(np.asarray(found[field.name]) * built.spec.dt, 9)
    extra = driving.steady(built).get(name)
    if extra is not None:
        found["I_e"] = found["I_e"] + extra
    return found


def _nest(built: Network, name: str) -> _Chosen | None:
    """The population in NEST's terms; None where NEST has nothing that is the same."""
    entry = built.spec.populations[name]
    usual = type(entry).model_fields
    for field in ("solver", "substeps", "conductance", "noise"):
        if field in usual and getattr(entry, field) != usual[field].default:
            return None
    feeds = [feed for projection in built.spec.projections if (feed := _feed(built, projection, name)) is not None]
    quantities = {field.name for field in fields(type(entry))}
    values = {ours: value for ours, value in _internal(built, name).items() if value is not None and ours in quantities}
    initial = built.populations[name].initial
    for template, neuron in _candidates(entry.model, feeds):
        wired = _wired(template, neuron, feeds)
        if wired is None:
            continue
        receptors, more = wired
        more |= {switch: True for switch in templates.SWITCHES.get(template, ()) if getattr(entry, switch)}
        theirs = _theirs(neuron, values, initial, entry.size)
        if theirs is not None:
            return _Chosen(template, theirs | more, {}, receptors)
    return None


def _feed(built: Network, projection: str, population: str) -> _Feed | None:
    """A projection onto a population; None where it does not reach it, or its synapse is snnrun's own."""
    entry, sizes = built.spec.projections[projection], selection_sizes(built.spec)
    if population not in [part.population for part in parts(entry.post, sizes)] or _own_synapse(entry):
        return None
    values = built.kinetics["projections", projection, population]
    low, high = connect.weight_bounds(built.projections[projection].connectivity)
    return _Feed(projection, entry.synapse.model, values.get("tau"), values.get("E"), low, high)


def _own_synapse(entry: Any) -> bool:
    """Whether nothing of NEST's that snnrun reads is such a synapse."""
    if entry.stdp is not None or entry.synapse.model not in ("expon", "alpha", "delta"):
        return True
    if getattr(entry.synapse, "normalize", "peak") != "peak" or getattr(entry.output, "model", "cuba") not in ("cuba", "coba"):
        return True
    return entry.stp is not None and _tsodyks(entry.stp) is None


def _tsodyks(given: Any) -> dict[str, float] | None:
    """Short-term plasticity as tsodyks2_synapse has it."""
    if given.model != stp.USUAL or not all(is_literal(getattr(given, name)) for name in ("U", "tau_d", "tau_f", "u", "x")):
        return None
    if plain(given.u) != 0 or plain(given.x) != 1:
        return None
    return {"U": plain(given.U), "tau_rec": plain(given.tau_d), "tau_fac": plain(given.tau_f)}


def _candidates(model: str, feeds: list[_Feed]) -> list[tuple[str, templates.Neuron]]:
    """Templates of a model, those first whose receptors are chosen by the sign of a weight."""
    known = [(template, neuron) for template, neuron in templates.NEURONS.items()
             if neuron.model == model and template.startswith("nest:") and not neuron.note]  # fmt: skip
    known.sort(key=lambda one: not one[0].endswith("_exp"))  # what a population without synapses is
    return known + templates.with_receptors(model, max(len(_distinct([(feed.tau, feed.E) for feed in feeds])), 1))


def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(_equal(value, other) for other in found):
            found.append(value)
    return found


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return all(map(_equal, a, b))
    return (a is None) == (b is None) and (
        a is None or np.array_equal(np.broadcast_arrays(a, b)[0], np.broadcast_arrays(a, b)[1])
    )


def _wired(template: str, neuron: templates.Neuron, feeds: list[_Feed]
           ) -> tuple[dict[str, tuple[int | None, float]], dict[str, Any]] | None:  # fmt: skip
    """How projections reach the receptors of a template, and the parameters of these; None where they do not fit."""
    synapse, conductance = neuron.ports[0].synapse["model"], neuron.ports[0].E is not None
    if any(feed.synapse != synapse or (feed.E is not None) != conductance for feed in feeds):
        return None
    if neuron.by_receptor:
        kinds = _distinct([(feed.tau, feed.E) for feed in feeds])
        if any(np.ndim(value) for kind in kinds for value in kind if value is not None):
            return None
        number = {feed.name: next(i for i, kind in enumerate(kinds) if _equal(kind, (feed.tau, feed.E))) for feed in feeds}
        more = {"tau_syn": [float(tau) for tau, _ in kinds]} if kinds else {}
        more |= {"E_rev": [float(E) for _, E in kinds]} if conductance and kinds else {}
        return {name: (i + 1, 1.0) for name, i in number.items()}, more
    if len(neuron.ports) == 1:
        return {feed.name: (None, 1.0) for feed in feeds}, {}
    exc, inh = neuron.ports
    if not conductance:
        sides = [_distinct([f.tau for f in feeds if f.high > 0]), _distinct([f.tau for f in feeds if f.low < 0])]
        if max(map(len, sides)) > 1:
            return None
        more = {port.tau: side[0] for port, side in zip((exc, inh), sides, strict=True) if side and port.tau is not None}
        return {feed.name: (None, 1.0) for feed in feeds}, more
    kinds = sorted(_distinct([(feed.tau, feed.E) for feed in feeds]), key=lambda kind: -float(np.mean(kind[1])))
    if len(kinds) > 2:
        return None
    threshold = -50.0  # what lies above is an excitatory reversal potential
    ports = [exc, inh] if len(kinds) == 2 or not kinds or float(np.mean(kinds[0][1])) > threshold else [inh]
    more, receptors = {}, {}
    for port, (tau, E) in zip(ports, kinds, strict=False):
        more |= {port.tau: tau, port.E: E}
        receptors |= {feed.name: (None, port.scale) for feed in feeds if _equal((feed.tau, feed.E), (tau, E))}
    return receptors, more


def _theirs(neuron: templates.Neuron, values: Mapping[str, Any], initial: Mapping[str, Any], size: int) -> dict[str, Any] | None:
    """Parameters by the names of a template; None where it cannot say them."""
    values = dict(values)
    if "R" in values and "C" not in values:
        values["C"] = values["tau"] / values["R"]
    if any(ours in values and not np.all(values[ours] == fixed) for ours, fixed in neuron.fixed.items()):
        return None
    found = {theirs: values[ours] for ours, theirs in neuron.names.items() if ours in values}
    if "tau" in neuron.derived:
        found["g_L"] = _leak(values["C"], values["tau"])
        if not np.array_equal(values["C"] / found["g_L"], np.broadcast_to(values["tau"], np.shape(found["g_L"]))):
            return None
    said = {*neuron.names, *neuron.derived, *neuron.fixed, "R", "tau"}
    if any(ours not in said and np.any(value) for ours, value in values.items()):
        return None
    for variable, value in initial.items():
        if variable in neuron.init:
            found[neuron.init[variable]] = value
        elif np.any(np.asarray(value)):
            return None
    lists: dict[str, Any] = {}
    for key, value in found.items():
        name, dot, place = key.partition(".")
        if dot:
            if np.ndim(value) and not np.all(value == value[0]):
                return None
            lists.setdefault(name, [0.0, 0.0])[int(place)] = float(np.ravel(value)[0])
    plainly = {key: value for key, value in found.items() if "." not in key}
    if neuron.by_receptor and any(map(np.ndim, plainly.values())):
        return None  # what are lists cannot stand beside parameters of single nodes
    return plainly | lists | neuron.flags


def _leak(C: Any, tau: Any) -> Any:
    """g_L, of which C / g_L is this very tau: the quotient, or a neighbour of it."""
    C, tau = np.broadcast_arrays(np.asarray(C, np.float64), np.asarray(tau, np.float64))
    found = C / tau
    for _ in range(4):
        high, low = C / found < tau, C / found > tau
        found = np.where(high, np.nextafter(found, 0.0), np.where(low, np.nextafter(found, np.inf), found))
    return found


# ---- files -----------------------------------------------------------------------------------------------------------


def _write_nodes(built: Network, name: str, chosen: _Chosen | None, folder: Path) -> None:
    size, places = built.spec.populations[name].size, built.populations[name].places
    row: dict[str, Any] = {"node_type_id": _FIRST, "pop_name": name}
    columns: dict[str, NDArray[Any]] = {}
    if chosen is None:
        row["model_type"] = "virtual"
    else:
        row |= {"model_type": "point_neuron", "model_template": chosen.template, "dynamics_params": f"{name}.json"}
        own = chosen.template.startswith(templates.OWN)
        single = {key: value if isinstance(value, list | bool) else float(value) for key, value in chosen.values.items()
                  if isinstance(value, list | bool) or np.ndim(value) == 0}  # fmt: skip
        columns = {f"dynamics_params/{key}": np.broadcast_to(np.asarray(value, np.float64), (size,))
                   for key, value in chosen.values.items() if key not in single}  # fmt: skip
        if not own:  # bmtk reads what its file of parameters says, and hands a list to NEST, which has one number for each node
            single |= {path.removeprefix("dynamics_params/"): values.tolist() for path, values in columns.items()}
        _json(folder / "components/point_neuron_models" / f"{name}.json",
              {"parameters": single, "entry": chosen.entry} if own else single)  # fmt: skip
    if places is not None:
        columns |= dict(zip("xyz", places.points.T, strict=False))
    with in_place_of(folder / "network" / f"{name}_nodes.h5") as partial, h5py.File(partial, "w") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
        group = file.create_group(f"nodes/{name}")
        group["node_id"] = np.arange(size, dtype=np.uint64)
        group["node_type_id"] = np.full(size, _FIRST, np.int64)
        group["node_group_id"] = np.zeros(size, np.uint64)
        group["node_group_index"] = np.arange(size, dtype=np.uint64)
        group.create_group("0")
        for column, values in columns.items():
            group[f"0/{column}"] = values
    _table(folder / "network" / f"{name}_node_types.csv", [row])


def _synapse(loaded: Loaded, projection: str, post: str, population: str, chosen: _Chosen, number: int, folder: Path,
             notes: list[str]) -> tuple[export.Kind, dict[str, Any]]:  # fmt: skip
    """What marks the edges of a projection onto a population, and the row of their type."""
    entry = loaded.spec.projections[projection]
    row: dict[str, Any] = {"edge_type_id": number, "target_query": f"pop_name=='{post}'", "source_query": "*"}
    if projection in chosen.receptors:
        receptor, scale = chosen.receptors[projection]
        given = {} if receptor is None else {"receptor_type": receptor}
        template = "static_synapse"
        if entry.stp is not None:
            template, given = "tsodyks2_synapse", given | (_tsodyks(entry.stp) or {})
    else:
        scale, template = 1.0, f"{templates.OWN}{entry.synapse.model}"
        tree = loaded.document.tree["projections"][projection]
        given = {key: tree[key] for key in ("synapse", "output", "stp", "stdp") if key in tree}
        given = netfile.moved(given, loaded.document.folder, folder)
        given |= {"name": projection}
        notes.append(f"{population} has the template {template}, which only snnrun reads")
    file = f"{population}.json"
    _json(folder / "components/synaptic_models" / file, given)
    return export.Kind(number, scale), row | {"model_template": template, "dynamics_params": file}


def _index(path: Path, sizes: Mapping[str, int]) -> None:
    """SONATA's index of the edges of each source and of each target, with which libsonata finds them."""
    with h5py.File(path, "a") as file:
        edges = file["edges"]
        assert isinstance(edges, h5py.Group)  # as it was written
        for group in edges.values():
            for name, side in (("source_to_target", "source_node_id"), ("target_to_source", "target_node_id")):
                ids = group[side][()].astype(np.int64)
                order = np.argsort(ids, kind="stable")
                begins = np.flatnonzero(np.diff(order, prepend=-2) != 1)  # runs of edges that follow each other
                fresh = np.union1d(begins, np.flatnonzero(np.diff(ids[order], prepend=-1)))
                ranges = (
                    np.stack([order[fresh], order[np.append(fresh[1:], len(order)) - 1] + 1], axis=1)
                    if len(order)
                    else np.empty((0, 2))
                )
                owner = ids[order[fresh]] if len(order) else np.empty(0, np.int64)
                bounds = np.searchsorted(owner, np.arange(sizes[group[side].attrs["node_population"]] + 1))
                below = group.create_group(f"indices/{name}")
                below["node_id_to_range"] = np.stack([bounds[:-1], bounds[1:]], axis=1).astype(np.uint64)
                below["range_to_edge_id"] = ranges.astype(np.uint64)
                below["node_id_to_ranges"] = below["node_id_to_range"]  # by which name libsonata looks for it


def _sources(built: Network, folder: Path) -> dict[str, Any]:
    """Record what the sources of spikes do in the run, and the inputs that repeat it."""
    names = [name for name, entry in built.spec.populations.items() if neurons.of(entry).source]
    if not names:
        return {}
    spec = built.spec
    watch = monitors.SpikesSpec(model=_SPIKES, of=tuple(names))
    alone = spec.model_copy(update={"populations": {name: spec.populations[name] for name in names}, "inputs": {},
                                    "projections": {}, "monitors": {"s": watch}})  # fmt: skip
    only = built._replace(spec=alone, populations={name: built.populations[name] for name in names}, projections={}, inputs={},
                          kinetics={}, stp={})  # fmt: skip
    start_jax("cpu", 1)
    plan = lower.lower(only)
    frames: list[engine.Frame] = []

    class Sink:
        def write(self, frame: engine.Frame) -> None:
            frames.append(frame)

    engine.simulate(plan, engine.init(plan), plan.structure.steps, Sink())
    with in_place_of(folder / "inputs" / "spikes.h5") as partial, h5py.File(partial, "w") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
        for tap in plan.structure.taps:
            steps, nodes = [], []
            for frame in frames:
                bits = np.unpackbits(frame.rows.copy().view(np.uint8), axis=1, bitorder="little")[:, tap.bit :]
                at, neuron = np.nonzero(bits[:, np.asarray(tap.neurons)])
                steps.append(frame.first_step + at + 1)
                nodes.append(np.asarray(tap.neurons)[neuron])
            group = file.create_group(f"spikes/{tap.population}")
            group["node_ids"] = np.concatenate(nodes).astype(np.uint64)
            group["timestamps"] = np.round(np.concatenate(steps) * spec.dt, 9)
            group["timestamps"].attrs["units"] = "milliseconds"
    entry = {"input_type": "spikes", "module": "sonata", "input_file": "$BASE_DIR/inputs/spikes.h5"}
    return {f"spikes_{name}": entry | {"node_set": name} for name in names}


def _inputs(loaded: Loaded, built: Network, folder: Path, notes: list[str]) -> dict[str, Any]:
    """Inputs to neurons: current clamps where PointNet has them, else the entry of the network file."""
    found: dict[str, Any] = {}
    steady = _steady(built)
    for name, entry in loaded.spec.inputs.items():
        if name in steady:
            notes.append(f"the current {name} never changes, and is part of I_e")
            continue
        tree = netfile.moved(loaded.document.tree["inputs"][name], loaded.document.folder, folder)
        clamp = _clamp(loaded, name, entry)
        if clamp is not None:
            found[name] = clamp
            continue
        found[name] = {"input_type": "snnrun", "module": "snnrun", "node_set": "all", "entry": tree}
        notes.append(f"the input {name} ({entry.model}) is read by snnrun alone; bmtk leaves it out")
    return found


def _steady(built: Network) -> set[str]:
    """The currents that never change, and so are in I_e."""
    return {name for name, entry, found in driving.currents(built) if all(driving.always(entry, one) for one in found.values)}


def _clamp(loaded: Loaded, name: str, entry: Any) -> dict[str, Any] | None:
    """A constant current from one time to another as a current clamp; PointNet's begins a step after what it says, and not before
    two steps have gone by."""
    spec = loaded.spec
    if entry.model != "constant" or entry.output is not None and entry.output.model != "cuba":
        return None
    found = parts(entry.to, selection_sizes(spec))
    if (
        entry.current is None
        or not is_literal(entry.current)
        or entry.start < 3 * spec.dt
        or len({p.population for p in found}) > 1
    ):
        return None
    nodes = [node for part in found for node in part.neurons]
    node_set: dict[str, Any] = {"population": found[0].population}
    if len(nodes) < spec.populations[found[0].population].size:
        node_set["node_id"] = nodes
    stop = spec.duration if entry.stop is None else entry.stop
    return {"input_type": "current_clamp", "module": "IClamp", "node_set": node_set, "amp": plain(entry.current),
            "delay": round(entry.start - spec.dt, 9), "duration": round(stop - entry.start, 9)}  # fmt: skip


def _reports(spec: Spec, notes: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Node sets and reports of monitors that record V."""
    sets: dict[str, Any] = {}
    reports: dict[str, Any] = {}
    sizes = selection_sizes(spec)
    for name, entry in spec.monitors.items():
        if entry.model == _SPIKES:
            continue
        if entry.model != "state" or "V" not in entry.variables:
            notes.append(f"the monitor {name} is left out")
            continue
        if len(entry.variables) > 1:
            notes.append(f"of the monitor {name} V alone is reported")
        found = parts(entry.of, sizes)
        populations = list(dict.fromkeys(part.population for part in found))
        for population in populations:
            nodes = [node for part in found if part.population == population for node in part.neurons]
            label = name if len(populations) == 1 else f"{name}_{population}"
            sets[label] = {"population": population} | ({"node_id": nodes} if len(nodes) < sizes[population] else {})
            reports[label] = {"module": "membrane_report", "cells": label, "variable_name": "V_m", "sections": "soma"}
            times = {"dt": entry.every, "interval": entry.every, "start_time": entry.start, "end_time": entry.stop}
            reports[label] |= {key: value for key, value in times.items() if value is not None}
    return sets, reports


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    """A table of types: cells separated by blanks, as bmtk writes them."""
    with in_place_of(path) as partial:
        lines = [" ".join(rows[0]), *(" ".join(map(str, row.values())) for row in rows)]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _json(path: Path, tree: Any) -> None:
    with in_place_of(path) as partial:
        partial.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
