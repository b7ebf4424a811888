"""What holds for every model of every table, also for those that are still to come.

Examples are made from the types of the fields, and from a few that a model needs. Nothing here asks for a model by its name.
"""

import itertools
import json
import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from networks import Frames, assert_same_bits, run_plan, states
from pydantic import TypeAdapter

from snnrun import check, engine, lower, network, outline, snapshot, units
from snnrun.document import SpecError
from snnrun.models import connect, inputs, monitors, neurons, outputs, stdp, stp, synapses
from snnrun.models.layout import Layout
from snnrun.models.monitors import Monitor
from snnrun.quantities import AnyUnit, Frozen, Unit, fields
from snnrun.spec import Projection

# What a model needs beyond what the types of its fields say.
NEEDS: dict[str, dict[str, Any]] = {
    "lif": {"tau": "10 ms", "V_rest": "-65 mV", "V_reset": "-60 mV", "V_th": "-50 mV", "C": "250 pF", "tau_ref": "0.7 ms"},
    "fitzhugh_nagumo": {"C": "10 nF", "init": {"V": "-1 mV", "w": "0.1 mV"}},  # in units of their own
    "hindmarsh_rose": {"C": "10 nF", "init": {"V": "-1 mV", "y": "-9 mV", "z": "0.1 mV"}},
    "poisson source": {"rate": "100 Hz"},
    "constant": {"current": "150 pA"},
    "steps input": {"times": ["5 ms"], "currents": ["100 pA"]},
    "pulses": {"period": "9 ms"},
    "white_noise": {"std": "50 pA"},
    "poisson input": {"rate": "2 kHz"},
    "state": {"variables": ["V"]},
    "pairs": {"pairs": [[0, 0], [1, 0]]},
    "fixed_prob": {"p": 0.5},
    "fixed_indegree": {"n": 5},
    "fixed_total": {"n": 20},
    "dual_expon": {"tau_rise": "1 ms"},
    "tsodyks": {"U": 0.4, "tau_f": "70 ms"},
    "std": {"U": 0.4},
    "weights": {"of": "x"},
    "pairwise_poisson": {"mean": 0.7},
    "small_world": {"k": 4, "beta": 0.5},
    "blocks": {"p": [[0.9, 0.4], [0.1, 0.7]], "pre_groups": [1, 5], "post_groups": [2, 4]},
    "spatial": {"kernel": {"model": "gaussian", "sigma": "20 um"}},
    "spatial_indegree": {"n": 3, "kernel": {"model": "gaussian", "sigma": "20 um"}},
    "spatial_outdegree": {"n": 3, "kernel": {"model": "gaussian", "sigma": "20 um"}},
    "doughnut": {"outer": "30 um"},
    "grid": {"shape": [3, 2], "extent": ["30 um", "20 um"], "centre": ["5 um", "6 um"]},
    "random": {"extent": ["40 um", "30 um"], "centre": ["5 um", "6 um"]},
    "disc": {"centre": ["5 um", "6 um"]},
    "ball": {"centre": ["5 um", "6 um", "7 um"]},
    "sphere": {"centre": ["5 um", "6 um", "7 um"]},
    "file layout": {"file": "places.csv", "columns": ["x_um", "y_um"], "extent": ["30 um", "35 um"], "periodic": True},
}

TABLE = "neuron,time_ms,rate_Hz,pre,post,current_pA\n0,1,50,0,1,90\n1,5,70,1,0,50\n2,7,60,2,2,70\n0,9,60,1,2,30\n"
PLACES = "x_um,y_um,ref\n0,0,5\n5,10,0\n10,0,1\n15,8,2\n20,1,3\n25,30,4\n"
TYPICAL = {"time": 5.0, "voltage": -60.0, "current": 100.0, "conductance": 5.0, "resistance": 0.05, "capacitance": 200.0,
           "rate": 0.1, "length": 10.0}  # fmt: skip
WEIGHTS = {"voltage": "2 mV", "current": "150 pA", "conductance": "3 nS"}
DT, STEPS = 0.1, 300


# ---- examples from types ---------------------------------------------------------------------------------------------


def members(annotation: Any) -> list[Any]:
    """The types of a union, without None; a type itself where it is none."""
    while get_origin(annotation) is not None and hasattr(annotation, "__metadata__") and quantity(annotation) is None:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for one in get_args(annotation) if one is not type(None) for member in members(one)]
    return [annotation]


def quantity(annotation: Any) -> Any:
    """The unit of a type that is a number with one."""
    return next((part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Unit | AnyUnit)), None)


def is_selection(annotation: Any) -> bool:
    return any(type(part).__name__ == "_Selecting" for part in getattr(annotation, "__metadata__", ()))


def is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Frozen)


def written(value: float, dimension: str) -> str:
    return Unit(dimension).write(round(value, 1) if dimension == "time" else value)


def example(info: Any, whole: Any = None) -> Any:
    """A value for a field, as it stands in a file."""
    annotation = info.annotation if whole is None else whole
    metadata = [*getattr(info, "metadata", ()), *getattr(annotation, "__metadata__", ())]
    unit = next((part for part in metadata if isinstance(part, Unit | AnyUnit)), None)
    if unit is not None:
        return written(TYPICAL.get(unit.dimension, 1.0), unit.dimension) if isinstance(unit, Unit) else "150 pA"
    if any(type(part).__name__ == "_Selecting" for part in metadata):
        return "E"
    first = members(annotation)[0]
    if quantity(first) is not None:
        return example(first, first)
    if is_part(first):
        return part(first)
    if get_origin(first) is Literal:
        return get_args(first)[0]
    if get_origin(first) is tuple:
        inner = get_args(first)[0]
        one = quantity(inner)
        if one is not None:
            return [written(n * TYPICAL.get(one.dimension, 1.0), one.dimension) for n in (1, 2)]
        return [example(inner, inner)]
    if get_origin(first) is dict:  # by slice, or by neuron
        key, inner = get_args(first)
        return {"else" if key is str else "0": example(members(inner)[0], members(inner)[0])}
    most = next((getattr(part, "le", None) for part in metadata if getattr(part, "le", None) is not None), 2)
    return {int: 2, float: min(2.0, most), bool: True, str: "table.csv"}[first]


def part(spec: type[Frozen], needs: str = "", **given: Any) -> dict[str, Any]:
    """An example of a part of a file: what is required, and what it needs besides."""
    found = {name: example(info) for name, info in spec.model_fields.items() if info.is_required()}
    name = found.get("model", found.get("rule"))
    return found | NEEDS.get(needs or str(name), {}) | given


def others(info: Any, current: Any, whole: Any = None) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path within, value): other values that a field might have; they need not all be sound."""
    annotation = info.annotation if whole is None else whole
    metadata = [*getattr(info, "metadata", ()), *getattr(annotation, "__metadata__", ())]
    unit = next((part for part in metadata if isinstance(part, Unit | AnyUnit)), None)
    every = members(annotation)
    unit = unit or quantity(every[0])
    if unit is not None:
        number = isinstance(current, int | float) and not isinstance(current, bool)
        value, dimension = (
            units.parse(current)
            if isinstance(current, str)
            else (current if number else None, getattr(unit, "dimension", "current"))
        )
        typical = TYPICAL.get(dimension, 1.0)
        values = (
            [typical, 4 * typical, abs(typical)]
            if value is None
            else [1.2 * value, 0.9 * value, value + abs(typical) / 10, value - abs(typical) / 10]
        )
        yield from (((), written(v, dimension)) for v in values)
        return
    if any(type(part).__name__ == "_Selecting" for part in metadata):
        yield from (((), value) for value in ("E[:3]", "E[1:5]", "F", "S"))
        return
    for one in every:
        if is_part(one):
            tag = current.get("model", current.get("rule")) if isinstance(current, dict) else None
            if isinstance(current, dict) and (len(every) == 1 or tag in get_args(_tag(one))):
                yield from varied(one, current)
            else:
                yield (), part(one)
                yield from varied(one, part(one))
        elif get_origin(one) is Literal:
            yield from (((), value) for value in get_args(one) if value != current)
        elif get_origin(one) is tuple and current is None:
            yield from (((), [value]) for _, value in others(get_args(one)[0], None, get_args(one)[0]))
        elif get_origin(one) is tuple and isinstance(current, list):
            yield from (((), value) for value in (current[:-1], current[::-1], [*current, *current]))
            for _, value in others(get_args(one)[0], current[-1], get_args(one)[0]):
                yield (), [*current[:-1], value]
        elif one is bool:
            yield (), not current
        elif one in (int, float):
            yield from (((), one(value)) for value in ((2, 3) if current is None else (current + 1, current * 0.5)))
        elif one is str:
            yield from (((), value) for value in ("x", "x.x", "ref"))


def _tag(spec: type[Frozen]) -> Any:
    info = spec.model_fields.get("model") or spec.model_fields.get("rule")
    return None if info is None else info.annotation


PARTS_OF_THEIR_OWN = ("synapse", "output", "connect", "stp", "stdp", "layout")  # in their own tables
NOT_HERE = ("model", "rule", *PARTS_OF_THEIR_OWN)


def elsewhere(spec: type[Frozen], name: str) -> bool:
    """Whether a field has tests of its own: what synapses hold at t = 0 goes with some of them only (test_first_state)."""
    return name in NOT_HERE or spec.model_fields[name].annotation is synapses.Init


def varied(spec: type[Frozen], current: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """(path, part): the part with one field changed."""
    for name, info in spec.model_fields.items():
        if elsewhere(spec, name):
            continue
        value = current.get(name, None if info.is_required() else shown(info))
        for below, other in others(info, value):
            yield (name, *below), {**current, name: other}


def shown(info: Any) -> Any:
    """The default of a field as it would stand in a file."""
    default = info.get_default(call_default_factory=True)
    unit = next((p for p in [*info.metadata, *(quantity(m) for m in members(info.annotation))] if isinstance(p, Unit)), None)
    if isinstance(default, float) and unit is not None:
        return written(default, unit.dimension)
    return list(default) if isinstance(default, tuple) else default


# ---- networks around a part ------------------------------------------------------------------------------------------

SOURCES = [name for name, model in neurons.MODELS.items() if model.source]
NEURONS = [name for name, model in neurons.MODELS.items() if not model.source]


@cache
def population(name: str, size: int = 6) -> str:
    """An example of a population, as JSON. Its state is given, so that no parameter is seen by its initial value alone."""
    needs, spec = f"{name} source" if f"{name} source" in NEEDS else name, neurons.MODELS[name].Spec
    init = spec.model_fields["init"].annotation if "init" in spec.model_fields else None
    given = {} if init is None else {f.name: written(TYPICAL.get(f.dimension, 0.5), f.dimension) for f in fields(init)}
    found = part(spec, needs, size=size)
    return json.dumps(({"init": given} if given else {}) | found)


def feed(synapse: str, output: str | None, **given: Any) -> dict[str, Any]:
    """Synapse, output and a weight that fits them."""
    found: dict[str, Any] = {"synapse": part(synapses.MODELS[synapse].Spec)}
    if output is not None:
        found["output"] = {"model": output} | part(outputs.MODELS[output].Spec)
    model = synapses.MODELS[synapse]
    dimension = model.weight or outputs.MODELS[output or outputs.USUAL.model].weight
    weight = WEIGHTS[dimension] if model.output is None else "0.5 nS"  # stable for all of them
    return found | {"weight": weight} | given


KINETICS = [
    (synapse, output)
    for synapse, model in synapses.MODELS.items()
    for output in (None, *outputs.MODELS)
    if output is None or not (model.jumps or model.output)
]
SENT = [one for one in KINETICS if not synapses.MODELS[one[0]].graded]  # through which spikes arrive
# what sources act through at every instant is one program for all of these synapses: with one output each it is tried everywhere
TRIED = [one for one in KINETICS if one in SENT or one[1] in (None, "coba")]


def effect(synapse: str, output: str | None) -> str:
    """What a synapse with an output is to its target."""
    if synapses.MODELS[synapse].jumps:
        return "jump"
    if synapses.MODELS[synapse].output is not None:
        return "conductance"
    return "conductance" if outputs.MODELS[output or outputs.USUAL.model].conductance else "current"


def kinetics_of(name: str) -> list[tuple[str, str | None]]:
    """Synapses and outputs that act on a model."""
    return [one for one in TRIED if neurons.MODELS[name].accepts(effect(*one))]


WHOLLY = {*neurons.WRITTEN, "gif"}  # and a described model that is solved exactly


def tried_on(name: str) -> list[tuple[str, str | None]]:
    """All that act on a model; on those that one interpreter steps like others, one of each effect."""
    every = kinetics_of(name)
    return every if name in WHOLLY else list({effect(*one): one for one in every}.values())


ALL_KINETICS = list(itertools.product(synapses.MODELS, (None, *outputs.MODELS)))


def base(**sections: dict[str, Any]) -> dict[str, Any]:
    """Two receiving populations and a source, with whatever else."""
    receiving = json.loads(population(NEURONS[0]))
    populations = {"E": receiving, "F": {**receiving, "size": 9}, "S": json.loads(population(SOURCES[0]))}
    for one, shape in zip(populations.values(), ([3, 2], [3, 3], [2, 3]), strict=True):
        one["layout"] = {"model": "grid", "shape": shape, "spacing": "10 um"}
    found = {"duration": f"{STEPS * DT:g} ms", "dt": f"{DT} ms", "seed": 3, "precision": "float64"}
    return found | {"populations": populations | sections.pop("populations", {})} | sections


def sender(synapse: str, own: str) -> str:
    """A population that can act through a synapse: some need a V."""
    return "S" if synapses.MODELS[synapse].output is None else own


def projection(**given: Any) -> dict[str, Any]:
    return (
        {"pre": sender(given.get("synapse", {}).get("model", "delta"), "F"), "post": "E", "connect": {"rule": "all_to_all"}}
        | feed(*KINETICS[0])
        | given
    )


def plastic(own: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A projection whose weights change."""
    return {"connect": {"rule": "all_to_all"}} | feed("expon", None) | {"stdp": own} | given


def surroundings(section: str, name: str, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Networks in which a part might matter."""
    if section == "populations":
        # without another population of its model, beside which a number becomes an array whatever it is
        alone = base(monitors={"m": {"model": "spikes", "of": "N"}})
        yield alone | {"populations": {"N": found}}
        if not neurons.MODELS[name].source:
            for synapse, output in {effect(*one): one for one in reversed(KINETICS)}.values():
                one = projection(**feed(synapse, output), post="N", pre=sender(synapse, "N"))
                yield alone | {"populations": {"N": found, "S": json.loads(population(SOURCES[0]))}, "projections": {"x": one}}
    elif section == "synapses":
        for output in (None, *outputs.MODELS):
            yield base(projections={"x": projection(**{**feed(name, output), "synapse": found})})
    elif section == "outputs":
        synapse = next(synapse for synapse, model in synapses.MODELS.items() if not model.jumps)
        yield base(projections={"x": projection(**{**feed(synapse, name), "output": found})})
    elif section == "stp":
        yield base(projections={"x": projection(stp=found)})
    elif section == "stdp":
        yield base(projections={"x": plastic(found, pre="S", post="E", delay="0.7 ms")})
    elif section == "inputs":
        yield base(inputs={"x": found})
        if "synapse" not in inputs.MODELS[name].Spec.model_fields:
            for output in outputs.MODELS:
                yield base(inputs={"x": found | {"output": {"model": output} | part(outputs.MODELS[output].Spec)}})
    elif section == "connect":
        for pre, post in (("E", "E"), ("S", "E")):
            yield base(projections={"x": projection(pre=pre, post=post, connect=found)})
    elif section == "layouts":
        placed = {**json.loads(population(NEURONS[0])), "layout": found}
        near = {"rule": "spatial_indegree", **NEEDS["spatial_indegree"]}
        grown = {"distance": {"velocity": "0.02 m/s", "offset": "0.5 ms"}}
        yield base(populations={"E": placed}, projections={"x": projection(pre="E", connect=near, delay=grown)})
        dimensions = 3 if name in ("ball", "sphere") else 2
        around = {"model": "random", "extent": ["30 um"] * dimensions}
        sending = {**json.loads(population(SOURCES[0])), "layout": around}
        yield base(populations={"E": placed, "S": sending}, projections={"x": projection(delay=grown)})
    elif section == "projections":
        yield base(projections={"x": found})
    elif section == "monitors" and monitors.MODELS[name].plastic:
        yield base(monitors={"x": found}, projections={"x": plastic(part(stdp.MODELS[stdp.USUAL].Spec), pre="S", post="E")})
    elif section == "monitors":
        yield base(monitors={"x": found}, projections={"x": projection(**feed(*SENT[-1])), "y": projection()})


WHERE = {"populations": ("populations", "N"), "inputs": ("inputs", "x"), "projections": ("projections", "x"),
         "synapses": ("projections", "x", "synapse"), "outputs": ("projections", "x", "output"),
         "stp": ("projections", "x", "stp"), "stdp": ("projections", "x", "stdp"),
         "connect": ("projections", "x", "connect"), "monitors": ("monitors", "x"),
         "layouts": ("populations", "E", "layout")}  # fmt: skip


def every_part() -> Iterator[tuple[str, str, type[Frozen], dict[str, Any]]]:
    """(section, name, Spec, example) of all there is."""
    for name, model in neurons.MODELS.items():
        yield "populations", name, model.Spec, json.loads(population(name))
    for section, table in (("synapses", synapses.MODELS), ("outputs", outputs.MODELS), ("stp", stp.MODELS),
                           ("stdp", stdp.MODELS)):  # fmt: skip
        for name, model in table.items():
            yield section, name, model.Spec, {"model": name} | part(model.Spec)
    for name, model in inputs.MODELS.items():
        found = part(model.Spec, f"{name} input" if f"{name} input" in NEEDS else "")
        if "synapse" in found:
            found |= feed(*KINETICS[0])
        yield "inputs", name, model.Spec, found
    for spec in members(connect.Rule):
        (name,) = get_args(_tag(spec))
        yield "connect", name, spec, part(spec)
    for spec in members(Layout):
        (name,) = get_args(_tag(spec))
        yield "layouts", name, spec, part(spec, f"{name} layout" if f"{name} layout" in NEEDS else "")
    for spec in members(Monitor):
        (name,) = get_args(_tag(spec))
        yield "monitors", name, spec, part(spec)
    yield "projections", "projection", Projection, projection()


PARTS = list(every_part())
IDS = [f"{section} {name}" for section, name, *_ in PARTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("every")
    (found / "table.csv").write_text(TABLE)
    (found / "places.csv").write_text(PLACES)
    return found


def load(folder, tree: dict[str, Any]):
    (folder / "net.yaml").write_text(json.dumps(tree))
    return check.load(folder / "net.yaml").spec


def plan_of(folder, tree: dict[str, Any], **options: Any):
    return lower.lower(network.build(load(folder, tree), folder), **options)


def test_the_tables_and_the_types_of_what_a_user_writes_have_the_same_models():
    assert {get_args(_tag(spec))[0] for spec in members(neurons.Population)} == set(neurons.WRITTEN)
    assert {get_args(_tag(model.Spec))[0] for model in neurons.MODELS.values()} == set(neurons.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(synapses.Synapse)} == set(synapses.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(outputs.Output)} == set(outputs.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(stp.Stp)} == set(stp.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(stdp.Stdp)} == set(stdp.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(inputs.Input)} == set(inputs.MODELS)
    assert {get_args(_tag(spec))[0] for spec in members(Monitor)} == set(monitors.MODELS)


# ---- every field matters ---------------------------------------------------------------------------------------------

# (section, field) or (section, name, field) that does not change a plan, and why.
NO_CHANGE = {
    ("connect", "storage"): "the same edges, kept or drawn again",
    ("connect", "file", "path"): "there is one file here",
    ("connect", "blocks", "p", "file"): "there is no matrix in a file here",
    ("layouts", "file", "file"): "there is one file here",
    ("connect", "file", "population"): "of SONATA's files",
    ("connect", "file", "types"): "of SONATA's files",
    ("connect", "file", "edge_types"): "of SONATA's files",
    ("connect", "file", "sign"): "there are no weights in the file here",
    ("connect", "file", "scale"): "there are no weights in the file here",
    ("connect", "file", "pre_nodes"): "the ranges are to be of the size of pre: see test_sonata",
    ("connect", "file", "post_nodes"): "the ranges are to be of the size of post: see test_sonata",
    ("connect", "file", "off_grid"): "the file's times are on the grid",
    ("populations", "spike_times", "times", "file"): "there is one file here",
    ("populations", "spike_times", "times", "population"): "of SONATA's files",
    ("populations", "spike_times", "times", "off_grid"): "the file's times are on the grid",
    ("populations", "poisson", "course", "file"): "there is one file here",
    ("inputs", "waveform", "file"): "there is one file here",
    ("inputs", "poisson", "course", "file"): "there is one file here",
    ("inputs", "poisson", "course", "off_grid"): "the file's times are on the grid",
    ("populations", "parrot", "substeps"): "solved exactly in one step",
    ("populations", "poisson", "course", "off_grid"): "the file's times are on the grid",
    ("monitors", "weights", "of"): "there is one plastic projection here",
}


def image(plan: Any) -> tuple[Any, ...]:
    """A plan in a form that can be compared."""
    import jax

    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((plan.constants, plan.initial, plan.released))]
    arrays = tuple((leaf.dtype.str, leaf.shape, (leaf + leaf.dtype.type(0)).tobytes()) for leaf in leaves)  # -0 is 0
    return plan.structure, plan.program, arrays


@pytest.mark.parametrize(("section", "name", "spec", "found"), PARTS, ids=IDS)
def test_every_field_changes_the_plan(folder, section, name, spec, found):
    """In one of the networks in which it might matter."""

    def images(one: dict[str, Any]) -> Iterator[Any]:
        for tree in surroundings(section, name, one):
            try:
                yield image(plan_of(folder, tree))
            except SpecError:
                yield None

    def without(one: dict[str, Any], key: str) -> dict[str, Any]:
        return {other: value for other, value in one.items() if other != key}

    plans = list(images(found))
    assert any(plans), "no example of this part is sound: does it belong into NEEDS?"
    open_: set[tuple[str, ...]] = {(field,) for field in spec.model_fields if not elsewhere(spec, field)}
    done: set[tuple[str, ...]] = set()
    every = list(varied(spec, found))
    for key in found:  # what cannot be left out may be one of two, of which the other one can stand in for it
        if not any(images(without(found, key))):
            every += [(path, without(changed, key)) for path, changed in varied(spec, found) if path[0] != key]
    for path, changed in every:
        if path in done or (section, *path) in NO_CHANGE or (section, name, *path) in NO_CHANGE:
            open_ -= {path}
            continue
        open_ |= {path}
        if any(after is not None and after != before for before, after in zip(plans, images(changed), strict=True)):
            done |= {path}
    whole = {path[:length] for path in done for length in range(1, len(path))}  # that a part of it changes
    assert not open_ - done - whole, "these fields make no difference: is one superfluous, or does it belong into NO_CHANGE?"


# ---- whole steps -----------------------------------------------------------------------------------------------------


def off_grid(spec: type[Frozen], found: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """(path, part): the part with a time that is no whole number of steps, for each that must be one."""
    for field in fields(spec):
        if field.least is not None:
            value = found.get(field.name)
            annotation = members(spec.model_fields[field.name].annotation)[0]
            if get_origin(annotation) is tuple:
                for i, time in enumerate(value or ()):
                    yield (field.name, i), {**found, field.name: [*value[:i], missed(time), *value[i + 1 :]]}
            else:
                yield (field.name,), {**found, field.name: missed(value or "0.7 ms")}
    for name, info in spec.model_fields.items():
        for member in members(info.annotation):
            if is_part(member) and name not in PARTS_OF_THEIR_OWN:
                inner = part(member)
                for path, changed in off_grid(member, inner):
                    others_of = {key: value for key, value in found.items() if key in required(spec)}
                    for kept in (found, others_of):
                        yield (name, *path), {**kept, name: changed}


def missed(time: str) -> str:
    """A time a third of a step later."""
    return f"{units.parse(time)[0] + 0.35 * DT:g} ms"


def required(spec: type[Frozen]) -> set[str]:
    return {name for name, info in spec.model_fields.items() if info.is_required()}


@pytest.mark.parametrize(("section", "name", "spec", "found"), PARTS, ids=IDS)
def test_every_time_that_is_a_whole_number_of_steps_is_refused_off_the_grid(folder, section, name, spec, found):
    told: dict[tuple[Any, ...], bool] = {}
    for path, changed in off_grid(spec, found):
        told.setdefault(path, False)
        for tree in surroundings(section, name, changed):
            try:
                load(folder, tree)
            except SpecError as error:
                faults = [f for f in error.faults if f.path == (*WHERE[section], *path)]
                told[path] |= any("is no whole number of steps of 0.1 ms" in f.message and "use " in f.hint for f in faults)
    assert all(told.values()), told


def test_times_that_are_whole_steps_are_there_to_be_refused():
    """So that the test above does not hold of nothing."""
    found = {(section, path[0]) for section, _, spec, one in PARTS for path, _ in off_grid(spec, one)}
    assert found >= {("populations", "start"), ("populations", "tau_ref"), ("populations", "times"), ("populations", "course"),
                     ("inputs", "delay"), ("projections", "delay"), ("monitors", "every"), ("monitors", "bin")}  # fmt: skip


# ---- every model with every synapse and output -----------------------------------------------------------------------


def with_all_kinetics(name: str) -> dict[str, Any]:
    """A population of the model for each synapse and output, with all of its variables recorded."""
    tree = base(populations={"S": {**json.loads(population(SOURCES[0])), "size": 40}})
    del tree["populations"]["E"], tree["populations"]["F"]
    tree |= {"projections": {}, "monitors": {}}
    for i, (synapse, output) in enumerate(tried_on(name)):
        tree["populations"][f"N{i}"] = json.loads(population(name, 5 + i))
        pre = sender(synapse, f"N{i}")
        given = {
            "pre": pre,
            "post": f"N{i}",
            "connect": {"rule": "fixed_prob", "p": 0.5},
            "delay": "0.5 ms" if pre == "S" else "0 ms",
        }
        tree["projections"][f"p{i}"] = feed(synapse, output, **given)
        own = [*neurons.MODELS[name].variables, *(f"p{i}.{variable}" for variable in synapses.MODELS[synapse].variables)]
        tree["monitors"][f"m{i}"] = {"model": "state", "of": f"N{i}", "variables": own}
    tree["monitors"]["spikes"] = {"model": "spikes", "of": list(tree["populations"])}
    return tree


@pytest.fixture(scope="module", params=NEURONS)
def combined(request, native, folder):
    """The model, its plan with the native kernel, and the run of it."""
    tree = with_all_kinetics(request.param)
    plan = plan_of(folder, tree, kernel="native")
    return request.param, tree, plan, run_plan(plan)


def test_every_model_runs_with_every_synapse_and_output_to_the_same_bits_on_both_kernels(combined, folder):
    name, tree, _, recorded = combined
    assert_same_bits(run_plan(plan_of(folder, tree)), recorded)
    assert all(np.isfinite(values).all() for values in recorded.samples.values())
    for i, (synapse, _) in enumerate(tried_on(name)):
        x = recorded.samples[f"m{i}", f"N{i}", f"p{i}.{next(iter(synapses.MODELS[synapse].variables))}"]
        assert x.any(), f"nothing arrives through {synapse}"


def test_every_variable_is_initialised_recorded_kept_and_restored(combined, folder):
    """A run that is stopped, written, and continued has the samples and the state of one that is not."""
    name, tree, plan, recorded = combined
    variables = neurons.MODELS[name].variables
    for i, (synapse, _) in enumerate(tried_on(name)):
        for label in (*variables, *(f"p{i}.{variable}" for variable in synapses.MODELS[synapse].variables)):
            assert recorded.samples[f"m{i}", f"N{i}", label].shape == (STEPS, 5 + i)
    sink, half = Frames(), STEPS // 2 + 1
    kept = snapshot.take(plan, engine.simulate(plan, engine.init(plan), half, sink))
    leaves = {key for own in recorded.state.neurons for key in own}
    assert {f"N{i}/{leaf}" for i in range(len(tried_on(name))) for leaf in leaves if leaf in recorded.state.neurons[-1]} <= {
        *kept.variables
    }
    assert {f"N{i}/p{i}.{v}" for i, (s, _) in enumerate(tried_on(name)) for v in synapses.MODELS[s].variables} <= {
        *kept.variables
    }
    end = engine.simulate(plan, snapshot.restore(plan, kept), STEPS - half, sink)
    for name_, values in states(recorded).items():
        np.testing.assert_array_equal(states(recorded._replace(state=end))[name_], values, err_msg=name_)
    for sample in plan.structure.samples:
        own = slice(sample.column, sample.column + len(sample.neurons))
        values = np.concatenate([frame.samples[sample.take][:, own] for frame in sink])
        np.testing.assert_array_equal(values, recorded.samples[sample.monitor, sample.population, sample.label], sample.label)


def test_what_a_user_may_initialise_is_what_the_first_frame_shows(folder):
    for name in NEURONS:
        spec = neurons.MODELS[name].Spec
        init = spec.model_fields["init"].annotation if "init" in spec.model_fields else None
        assert init is not None and init.model_fields
        wanted = {f.name: TYPICAL.get(f.dimension, 0.5) * (1.01 + 0.01 * i) for i, f in enumerate(fields(init))}
        given = {f.name: written(wanted[f.name], f.dimension) for f in fields(init)}
        monitor = {"model": "state", "of": "N", "variables": list(wanted)}
        tree = base(populations={"N": {**json.loads(population(name)), "init": given}}, monitors={"m": monitor})
        plan = plan_of(folder, {**tree, "populations": {"N": tree["populations"]["N"]}})
        taken = engine.run_chunk(plan.program, plan.constants, engine.init(plan), np.int64(0), 1)[2]
        for sample in plan.structure.samples:
            first = np.asarray(taken[sample.take])[0, sample.column : sample.column + 6]
            np.testing.assert_allclose(first, wanted[sample.label], rtol=1e-12, err_msg=f"{name} {sample.label}")


def test_what_cannot_be_combined_is_refused_where_it_stands(folder):
    """Sources take nothing, and what moves V itself has no output."""
    for name, (synapse, output) in itertools.product(neurons.MODELS, ALL_KINETICS):
        one = projection(**feed(synapse, output), post="N")
        tree = base(populations={"N": json.loads(population(name))}, projections={"x": one})
        refused = []
        if not neurons.MODELS[name].accepts(effect(synapse, output)):
            refused.append(("projections", "x", "post"))
        if (synapses.MODELS[synapse].jumps or synapses.MODELS[synapse].output) and output is not None:
            refused.append(("projections", "x", "output"))
        try:
            load(folder, tree)
            assert not refused, (name, synapse, output)
        except SpecError as error:
            assert {f.path for f in error.faults} == set(refused), (name, synapse, output)
            assert all(f.message for f in error.faults)


# ---- the same bits ---------------------------------------------------------------------------------------------------


RULE: TypeAdapter[Any] = TypeAdapter(connect.Rule)


def recurrent(rule: dict[str, Any], pre: int = 30, post: int = 31) -> bool:
    """Whether a rule wants places, or pre and post of other sizes."""
    found = RULE.validate_python(rule)
    return found.spatial or found.impossible(connect.Sizes(pre, post)) is not None


def everything(watched: bool = True) -> dict[str, Any]:
    """A network of all models, synapses, outputs, inputs, rules and monitors."""
    populations = {f"P{i}": json.loads(population(name, 30 + i)) for i, name in enumerate(neurons.MODELS)}
    receiving = [f"P{i}" for i, model in enumerate(neurons.MODELS.values()) if model.accepts("current")]
    sending = [f"P{i}" for i, model in enumerate(neurons.MODELS.values()) if model.source]
    projections, turn = {}, itertools.cycle(KINETICS)
    rules = [(name, one) for section, name, _, one in PARTS if section == "connect"]
    # rules and kinds of receptors take turns, so that each of them is there however many there are of the other
    for i, ((_, rule), pre) in enumerate(zip(rules * len(KINETICS), itertools.cycle([*sending, *receiving]), strict=False)):
        if i >= max(len(rules), len(KINETICS), len(populations)):
            break
        sized = rule if not recurrent(rule) else {"rule": "all_to_all"}
        delay = ("0 ms", "1.3 ms", {"uniform": {"low": "0.2 ms", "high": "2 ms"}})[i % 3]
        post = receiving[i % len(receiving)]
        kinetics = next(turn)
        if synapses.MODELS[kinetics[0]].output is not None:
            pre, delay = post, "0 ms"
        projections[f"p{i}"] = feed(*kinetics, pre=pre, post=post, connect=sized, delay=delay)
    first = receiving[0]
    populations[first]["layout"] = {"model": "random", "extent": ["30 um", "30 um"], "periodic": True}
    for name, rule in rules:
        if recurrent(rule):
            sized = rule | {key: [10, populations[first]["size"] - 10] for key in ("pre_groups", "post_groups") if key in rule}
            projections[f"own-{name}"] = feed(*KINETICS[0], pre=first, post=first, connect=sized)
    changing = [one for section, _, _, one in PARTS if section in ("stp", "stdp")]
    for i, own in enumerate(changing):
        pre, kind = sending[i % len(sending)], "stdp" if "w_max" in own else "stp"
        least = {"A_plus": "9 pA", "w_max": "300 pA"} if kind == "stdp" and "A_plus" in own else {}
        projections[f"changing{i}"] = plastic({}, pre=pre, post=first, delay="0.4 ms") | {"stdp": None, kind: own | least}
    driving = {}
    for i, (_, _, _, one) in enumerate(p for p in PARTS if p[0] == "inputs"):  # each to some: it is compiled for each model
        driving[f"i{i}"] = one | {"to": receiving[i % 4 :: 4]} | (feed(*SENT[-1]) if "synapse" in one else {})
    found = {"duration": f"{STEPS * DT:g} ms", "seed": 8, "precision": "float64", "populations": populations}
    found |= {"inputs": driving, "projections": projections}
    spikes = {"spikes": {"model": "spikes", "of": list(populations)}}
    seen = {f"m{i}": {**one, "of": first} for i, (_, _, _, one) in enumerate(p for p in PARTS if p[0] == "monitors")}
    for one in seen.values():
        if monitors.MODELS[one["model"]].plastic:
            one["of"] = f"changing{len(changing) - 1}"
    return found | {"monitors": spikes | seen if watched else {}}


@pytest.fixture(scope="module")
def whole(native, folder):
    return run_plan(plan_of(folder, everything(), kernel="native"))


def test_all_models_are_in_that_network_and_something_happens(whole):
    assert {place.model for place in whole.plan.structure.populations} == set(neurons.MODELS)
    stacks = whole.plan.program.stacks
    kinds = {(stack.synapse, stack.output) for stack in stacks}
    of = lambda output: outputs.MODELS[output or outputs.USUAL.model]  # noqa: E731
    own = lambda synapse, output: None if synapse.jumps else synapse.output or of(output)  # noqa: E731
    assert kinds == {(synapses.MODELS[s], own(synapses.MODELS[s], o)) for s, o in KINETICS}
    assert sum(len(spikes) > 0 for spikes in whole.spikes.values()) > len(whole.spikes) / 2
    assert all(values.size for values in whole.samples.values())


def test_another_kernel_changes_no_bit(whole, folder):
    assert_same_bits(run_plan(plan_of(folder, everything())), whole)


@pytest.mark.parametrize("lengths", [[1, 7, 250, 42], [STEPS]], ids=["pieces", "whole"])
def test_neither_chunks_nor_threads_change_a_bit(whole, folder, lengths):
    assert_same_bits(run_plan(plan_of(folder, everything(), kernel="native", threads=2), 37, lengths), whole)


def test_monitors_change_no_bit(whole, folder):
    assert_same_bits(run_plan(plan_of(folder, everything(watched=False), kernel="native")), whole, watched=False)


def test_merging_changes_no_spike_and_no_more_than_the_rounding(whole, folder):
    apart = run_plan(plan_of(folder, everything(), merge=False, kernel="native"))
    assert apart.spikes == whole.spikes
    for name, values in states(apart).items():
        if "." not in name:  # a receptor that is not merged has a part of the sum
            np.testing.assert_allclose(values, states(whole)[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_plans_tell_of_every_model(folder):
    spec = load(folder, everything())
    plan = outline.describe(spec, folder)
    assert {row["model"] for row in plan["populations"]} == set(neurons.MODELS)
    assert {row["model"] for row in plan["inputs"]} == set(inputs.MODELS)
    assert {row["model"] for row in plan["monitors"]} == set(monitors.MODELS)
    shown = {row["synapse"].partition("(")[0] for row in plan["receptors"]}
    assert shown == set(synapses.MODELS) and all(outline.lines(plan))


# ---- side by side ----------------------------------------------------------------------------------------------------


def pairs(folder) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Two populations of each model, which differ in as many of their fields as can be varied together."""
    found = {}
    for name, model in neurons.MODELS.items():
        first = json.loads(population(name, 3))
        second = {**first, "size": 70}
        for field in fields(model.Spec):
            value = second.get(field.name, shown(model.Spec.model_fields[field.name]))
            if not isinstance(value, str):
                continue
            for _, other in others(model.Spec.model_fields[field.name], value):
                try:
                    load(folder, base(populations={"N": {**second, field.name: other}}))
                except SpecError:
                    continue
                second[field.name] = other
                break
        found[name] = first, second
    return found


def test_populations_side_by_side_have_the_bits_that_they_have_alone(folder, kernel):
    """Each with noise of its own, and without connections."""

    def run(which: str):
        populations = {f"{letter}-{name}": both["AB".index(letter)] for name, both in found.items() for letter in which}
        to = [key for key in populations if neurons.MODELS[key[2:]].accepts("conductance")]
        noise = {"model": "poisson", "to": to, "rate": "2 kHz", **feed(*SENT[-1])}
        spikes = {"model": "spikes", "of": list(populations)}
        tree = {"duration": "20 ms", "precision": "float64", "populations": populations, "inputs": {"noise": noise}}
        return run_plan(plan_of(folder, tree | {"monitors": {"spikes": spikes}}, kernel=kernel))

    few = [*neurons.WRITTEN, "izhikevich", "gif", "adex"]  # it is no matter of the kernel, and XLA takes long to compile all
    found = {name: both for name, both in pairs(folder).items() if kernel == "native" or name in few}
    assert all(first | {"size": 70} != second for first, second in found.values())
    together = run("AB")
    assert len(together.plan.program.groups) == len(found)
    seen, spikes = states(together), together.spikes
    for letter in "AB":
        alone = run(letter)
        for name, values in states(alone).items():
            np.testing.assert_array_equal(values, seen[name], err_msg=name)
        assert all(spikes[name] == own for name, own in alone.spikes.items())
