"""The file format: what a network file may contain, and how its tree becomes a Spec.

Everything here is checked part by part; what concerns several parts at once is in check.py.
"""

import re
import types
from collections.abc import Mapping
from difflib import SequenceMatcher
from functools import cache
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, Field, PrivateAttr, Tag, ValidationError, create_model, model_validator

from snnrun import units
from snnrun.document import Fault, Key, nearest
from snnrun.models import neurons, stdp, stp
from snnrun.models.connect import Rule
from snnrun.models.inputs import Input
from snnrun.models.monitors import Monitor
from snnrun.models.neurons import Population
from snnrun.models.outputs import Output
from snnrun.models.space import DelayByDistance, WeightByDistance
from snnrun.models.stdp import Stdp
from snnrun.models.stp import Stp
from snnrun.models.synapses import SIMPLEST, Init, Synapse
from snnrun.quantities import LAWS, Frozen, Name, PerEdge, Precision, Selection, Steps, Time, WeightQuantity, fault, is_list
from snnrun.terminal import hidden, visible


class Projection(Frozen):
    """Synapses from one selection of neurons onto another: connect -> weight, delay -> synapse -> output -> post."""

    pre: Selection
    """Where the spikes come from: a population, a slice of one, or a list of these."""
    post: Selection
    """Where they go."""
    connect: Rule
    """Which neuron reaches which."""
    weight: PerEdge[WeightQuantity, WeightByDistance] | None = None
    """mV for delta, pA for cuba, nS for coba; left out only where a file of edges has weights."""
    delay: PerEdge[Steps, DelayByDistance] = 0.0
    """From the spike to its arrival, in whole steps."""
    synapse: Synapse
    """How the effect of a spike unfolds in time."""
    output: Output | None = None
    """How it acts on the membrane: cuba where it is not given."""
    init: Init = Init()
    """What the synapses hold at t = 0, instead of nothing."""
    stp: Stp | None = None
    """Short-term plasticity: what part of the weight a spike carries."""

    stdp: Stdp | None = None
    """Plasticity of the weights by the times of spikes."""

    @model_validator(mode="before")
    @classmethod
    def _usual_models(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        usual = {"stp": stp.USUAL, "stdp": stdp.USUAL}
        return raw | {name: {"model": usual[name], **raw[name]} for name in usual if isinstance(raw.get(name), dict)}


MAX_NAME = 2000  # characters


def _shown(name: str) -> str:
    """That a name can be shown wherever it will be: on terminals, in pictures, in the results."""
    if found := next(filter(hidden, name), None):
        raise fault(f"a name must not have the character {visible(found, kept='')}", "remove it")
    if len(name) > MAX_NAME:
        raise fault(f"the name has {len(name):,} characters", f"use at most {MAX_NAME:,}")
    return name


class Spec(Frozen):
    """A spiking neural network and its run."""

    name: Annotated[str, AfterValidator(_shown)] = "network"
    """The file's name without its ending, where it is not given."""
    seed: Annotated[int, Field(ge=0, lt=2**64, strict=True)] = 0
    """Of all random numbers."""
    duration: Time
    """How long is simulated."""
    warmup: Time = 0.0
    """How much of it, from its beginning, goes by before monitors record that do not say themselves when they start."""
    dt: Time = 0.1
    """The time step."""
    precision: Precision = "float32"
    """Of the state variables."""
    constants: dict[Name, Any] = {}
    """Named numbers and quantities, of which those of the rest of the file may be computed."""
    models: dict[Name, Any] = {}
    """Own neuron models, as equations."""
    populations: dict[Name, Population]
    """Groups of equal neurons, and sources of spikes."""
    inputs: dict[Name, Input] = {}
    """Currents and noise from outside."""
    projections: dict[Name, Projection] = {}
    """Synapses between populations."""
    monitors: dict[Name, Monitor] = {}
    """What is recorded."""

    _sections: tuple[str, ...] = PrivateAttr(default=("inputs", "projections"))

    @model_validator(mode="after")
    def _something(self) -> "Spec":
        if not self.populations:
            raise fault("there are no populations", "add one under populations:")
        return self

    @property
    def feeding(self) -> list[tuple[str, str, Any]]:
        """(section, name, entry) of what feeds receptors, in the order of the file."""
        found = []
        for section in self._sections:
            entries = getattr(self, section)
            found += [(section, name, entry) for name, entry in entries.items() if hasattr(entry, "synapse")]
        return found

    @property
    def driving(self) -> list[tuple[str, Any]]:
        """(name, entry) of the inputs that act by themselves, held over a step."""
        return [(name, entry) for name, entry in self.inputs.items() if not hasattr(entry, "synapse")]


@cache
def spec_with(described: tuple[Any, ...]) -> type[Spec]:
    """The Spec of a file whose populations may also be of some models that are described by equations."""
    if not described:
        return Spec
    kinds = get_args(get_args(Population)[0])
    every = Union[(*kinds, *(model.Spec for model in described))]  # noqa: UP007
    populations = Annotated[every, Field(discriminator="model")]
    about = Spec.model_fields["populations"].description
    made = create_model("Spec", __base__=Spec, populations=(dict[Name, populations], Field(..., description=about)))  # type: ignore
    made.part = None  # type: ignore[attr-defined]
    return made


def _described(tree: Any, own: Mapping[str, Any]) -> tuple[Any, ...]:
    """The described models that the populations of a tree name."""
    populations = tree.get("populations")
    entries = populations.values() if isinstance(populations, dict) else ()
    named = dict.fromkeys(model for entry in entries if isinstance(entry, dict) and isinstance(model := entry.get("model"), str))
    found = [own.get(name) or neurons.MODELS[name] for name in named if name in own or name in neurons.MODELS]
    return tuple(model for model in found if model.described)


# ---- tree -> Spec ----------------------------------------------------------------------------------------------------

_SECTIONS = ("populations", "inputs", "projections", "monitors")
_UNIONS = (Union, types.UnionType)


class Reading(NamedTuple):
    """A Spec, or as much of it as could be read, and what was wrong with the rest."""

    spec: Spec | None
    faults: list[Fault]
    broken: frozenset[Key]  # entries that were left out
    mended: frozenset[Key]  # parts of entries that something else stands in for


# What stands in for a faulty part of an entry while the rest of the file is checked.
_STAND_INS: dict[str, Any] = {
    "duration": "1 s", "size": 1, "tau": "1 ms", "V_rest": "0 mV", "V_reset": "0 mV", "V_th": "1 mV",
    "rate": "1 Hz", "current": "1 pA", "synapse": SIMPLEST, "connect": {"rule": "all_to_all"}, "bin": "1 s",
    "shape": 1.0, "period": "1 s", "course": {"model": "steps", "times": ["0 ms"], "rates": ["0 Hz"]},
}  # fmt: skip


def read(tree: dict[str, Any], default_name: str, own: Mapping[str, Any] = types.MappingProxyType({})) -> Reading:
    """The Spec in a tree, of which own models are given.

    Where something is wrong, the rest is read all the same, so that every mistake of a file is found at once: a faulty part
    of an entry is replaced by something sound, and an entry that cannot be mended like this is left out.
    """
    tree = {"name": visible(default_name, kept=""), **tree}
    order = tuple(section for section in tree if section in ("inputs", "projections"))
    root = spec_with(_described(tree, own))
    known = [*own, *neurons.MODELS]

    def validated(candidate: dict[str, Any]) -> Spec:
        spec = root.model_validate(candidate)
        spec._sections = order
        return _warmed_up(spec)

    try:
        return Reading(validated(tree), [], frozenset(), frozenset())
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults = _without_echoes([_translated(detail, tree, root, known) for detail in details if not _follows(detail)])
    candidate, mended = _mended(tree, [tuple(detail["loc"]) for detail in details])
    broken: frozenset[Key] = frozenset()
    for _ in range(2):
        if not candidate.get("populations"):
            break
        try:
            return Reading(validated(candidate), faults, broken, mended)
        except ValidationError as error:
            broken |= {_entry(tuple(detail["loc"])) for detail in error.errors(include_url=False)}
            candidate = _without(candidate, broken)
    return Reading(None, faults, broken, mended)


def _warmed_up(spec: Spec) -> Spec:
    """The same network, whose monitors start after the warmup where they do not say otherwise."""
    if not (0 < spec.warmup < spec.duration and spec.dt > 0 and units.steps(spec.warmup, spec.dt) is not None):
        return spec
    monitors = {
        name: monitor if "start" in monitor.model_fields_set else monitor.model_copy(update={"start": spec.warmup})
        for name, monitor in spec.monitors.items()
    }
    return spec.model_copy(update={"monitors": monitors})


def _entry(loc: tuple[Any, ...]) -> Key:
    """The entry that a location lies in: a section and a name, or a key of the top level."""
    return tuple(loc[: 2 if loc and loc[0] in _SECTIONS else 1])


def _without(tree: dict[str, Any], entries: frozenset[Key]) -> dict[str, Any]:
    kept = {key: value for key, value in tree.items() if (key,) not in entries}
    for section in _SECTIONS:
        if isinstance(kept.get(section), dict):
            kept[section] = {name: entry for name, entry in kept[section].items() if (section, name) not in entries}
    return kept


def _mended(tree: dict[Any, Any], locs: list[tuple[Any, ...]]) -> tuple[dict[str, Any], frozenset[Key]]:
    """The tree with sound values, or none, in place of the parts that were refused; and which parts these are."""
    mended = {key: dict(value) if key in _SECTIONS and isinstance(value, dict) else value for key, value in tree.items()}
    changed: set[Key] = set()
    for loc in locs:
        path = _entry(loc)
        if len(path) == 2:
            entry = mended[path[0]].get(path[1]) if isinstance(mended.get(path[0]), dict) else None
            if not isinstance(entry, dict):
                continue
            # what follows in the location is a key of the entry, but for the tag of the entry's model
            below = [part for part in loc[2:] if isinstance(part, str)]
            field = next((part for part in below if part in entry), below[-1] if below else None)
            entry = mended[path[0]][path[1]] = dict(entry)
        else:
            entry, field, path = mended, path[0] if path else None, ()
        if field is None:
            continue
        if field in _STAND_INS:
            entry[field] = _STAND_INS[field]
        else:
            entry.pop(field, None)
        changed.add((*path, field))
    return mended, frozenset(changed)


def _path(loc: tuple[Any, ...], tree: Any, root: type[Spec]) -> Key:
    """A pydantic location as a path in the tree: tags of unions, which are not in the document, are left out."""
    path: list[str | int] = []
    annotation: Any = root
    for part in loc:
        if part not in _members(annotation):
            if isinstance(tree, dict) and part in tree or isinstance(tree, list) and part in range(len(tree)):
                path.append(part)
                tree = tree[part]
            else:
                break
        annotation = _step(annotation, part)
    return tuple(path)


_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of names",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_EXAMPLES = {"duration": "1 s", "size": "100", "every": "0.1 ms", "bin": "5 ms", "tau": "10 ms", "E": "0 mV",
             "V_rest": "-65 mV", "V_reset": "-65 mV", "V_th": "-50 mV", "rate": "10 Hz", "weight": "0.1 mV",
             "mean": "10 Hz", "amplitude": "5 Hz", "frequency": "4 Hz", "rates": "[10 Hz, 20 Hz]", "shape": "4",
             "period": "10 ms",
             "current": "100 pA", "p": "0.1", "n": "100", "synapse": "{model: expon, tau: 5 ms}",
             "connect": "{rule: fixed_prob, p: 0.1}", "variables": "[V]", "path": "edges.csv", "pairs": "[[0, 1]]",
             "times": "[1 ms, 5 ms]", "currents": "[100 pA, 0 pA]", "populations": "{E: {model: lif, ...}}",
             "extent": "[1 mm, 1 mm]", "radius": "200 um", "sigma": "100 um", "scale": "100 um", "grid.shape": "[40, 40]",
             "inner": "100 um", "outer": "200 um", "velocity": "0.3 m/s", "k": "10", "m": "10", "beta": "0.1",
             "kernel": "{model: gaussian, sigma: 100 um}", "distance": "{velocity: 0.3 m/s}",
             "file": "values.csv", "column": "its name, which ends in a unit like tau_ms",
             **dict.fromkeys(("to", "of", "pre", "post"), "the name of a population")}  # fmt: skip


def _translated(detail: Any, tree: dict[str, Any], root: type[Spec], models: list[str]) -> Fault:
    """A pydantic error in our words, at the place in the file where it belongs."""
    kind, loc, ctx = detail["type"], tuple(detail["loc"]), detail.get("ctx", {})
    path, given = _path(loc, tree, root), detail.get("input")
    if kind == "snnrun":  # what a whole mapping lacks is shown at its key
        return Fault((*path, *ctx["at"]), ctx["message"], ctx["hint"], at_key=isinstance(given, dict) and not ctx["at"])
    of_pair = isinstance(loc[-1], int) and "pairs" in loc
    if kind == "too_long" or kind in ("tuple_type", "missing") and of_pair:
        where = _path(loc[:-1], tree, root) if kind == "missing" else path
        return Fault(where, "a pair is two indices", "write [pre, post], like [0, 1]")
    if kind == "missing":
        last = str(loc[-1])
        example = _EXAMPLES.get(f"{loc[-2]}.{last}" if len(loc) > 1 else last, _EXAMPLES.get(last, "..., with its unit"))
        return Fault(path, f"{last} is missing", f"add {last}: {example}", at_key=True)
    if kind == "extra_forbidden":
        number = given is None and re.match(r"[0-9]", str(loc[-1]))  # what follows the comma of {tau: 20,5 ms}
        key, colon, rest = str(loc[-1]).partition(":")
        if given is None and colon:  # of {model:lif}
            return Fault(path, "a blank is missing after the colon", f"write {key}: {rest[:40]}", at_key=True)
        hint = "if the comma is a decimal one, write a point" if number else _nearest_field(loc, path, tree, root)
        return Fault(path, "unknown key", hint, at_key=True)
    if kind in ("union_tag_invalid", "union_tag_not_found", "model_type", "model_attributes_type"):
        return _unchosen(loc, path, ctx, given, tree, root, models)
    if kind == "no_distribution":
        word = str(next(iter(given), "")) if isinstance(given, dict) else ""
        of_edges = loc[:1] == ("projections",) and loc[2:] in (("weight",), ("delay",))
        if of_edges and (is_list(given) or "slices" in given):
            what = "a list has" if is_list(given) else "slices have"
            return Fault(
                path, f"{what} values of neurons, and a {loc[2]} belongs to a synapse", "edges of a file may have their own"
            )
        known = LAWS if "<slices>" in loc else (*LAWS, "file", "distance" if of_edges else "slices")
        return Fault((*path, word) if word else path, f"{word or 'this'} is no distribution", nearest(word, known),
                     at_key=bool(word))  # fmt: skip
    if loc[-1:] == ("[key]",):
        hint = "a name is made of letters, digits, _ and -, and begins with a letter"
        return Fault(_path(loc[:-1], tree, root), f"{loc[-2]!r} is no name", hint, at_key=True)
    if given is None:
        wanted = f"{_WANTED[kind]} is wanted" if kind in _WANTED else "write it, or remove the key"
        return Fault(path, "a value is missing here", "add an entry, or remove the key" if kind == "dict_type" else wanted)
    if kind == "literal_error":
        known = [word.strip("' ") for word in re.split(r",| or ", ctx["expected"])]
        return Fault(path, f"{_said(given)} is not allowed here", f"{'one of ' if known[1:] else ''}{', '.join(known)}")
    if kind in ("greater_than_equal", "less_than_equal", "less_than", "greater_than"):
        words = {"ge": "of at least", "le": "of at most", "lt": "below", "gt": "above"}
        bound = next(f"{words[key]} {_plainly(ctx[key])}" for key in words if key in ctx)
        return Fault(path, f"{_said(given)} is not allowed here", f"write a number {bound}")
    if kind == "too_short":
        return Fault(path, "the list is empty", "name at least one")
    if kind in _WANTED:
        return Fault(path, f"{_WANTED[kind]} is wanted, and this is {_said(given)}", _instead(kind, given))
    return Fault(path, detail["msg"])


def _unchosen(loc: tuple[Any, ...], path: Key, ctx: dict[str, Any], given: Any, tree: dict[str, Any], root: type[Spec],
              models: list[str]) -> Fault:  # fmt: skip
    """A part whose model (or rule) is not given, is not known, or that is no mapping at all."""
    known = models if loc[:1] == ("populations",) and len(loc) < 3 else list(_members(_follow(root, loc)))
    key = ctx["discriminator"].strip("'") if "discriminator" in ctx else "rule" if "all_to_all" in known else "model"
    if not isinstance(given, dict):
        message = "a value is missing here" if given is None else f"a mapping is wanted, and this is {_said(given)}"
        if len(path) == 2 and (hint := _flat(tree[str(path[0])], path[1])):
            return Fault(path, message, hint, at_key=True)
        if not known:
            found = _bare(_follow(root, loc))
            parts = [name for name, info in found.model_fields.items() if info.is_required()] if _is_model(found) else []
            values = given if is_list(given) and len(given) == len(parts) else ["..."] * len(parts)
            pairs = ", ".join(f"{part}: {str(value)[:40]}" for part, value in zip(parts, values, strict=True))
            return Fault(path, message, f"write {{{pairs}}}" if parts else "write its parts below it, one line each")
        chosen = given if isinstance(given, str) and given in known else next(iter(known))
        return Fault(path, message, f"write {{{key}: {chosen}, ...}}")
    if key not in given:
        fields = {name for one in _members(_follow(root, loc)).values() if _is_model(one) for name in one.model_fields}
        for other, value in given.items():
            if str(other).startswith(f"{key}:") and value is None:
                return Fault(
                    (*path, other), "a blank is missing after the colon", f"write {key}: {other[len(key) + 1 :]}", at_key=True
                )
            if isinstance(value, str) and value in known and other not in fields:  # another word for it, like type
                return Fault((*path, other), "unknown key", f"write {key}: {value}", at_key=True)
        return Fault(path, f"{key} is missing", f"add {key}: one of {', '.join(known)}", at_key=True)
    if not isinstance(given[key], str):
        return Fault((*path, key), f"{key} is a name, and this is {_said(given[key])}", f"one of {', '.join(known)}")
    hint = nearest(given[key], known) or "snnrun models lists them"
    return Fault((*path, key), f"unknown {key} {given[key]!r}", hint)


def _flat(section: dict[Any, Any], name: Any) -> str:
    """What to do where the parts of an entry stand beside its name, and not below it."""
    names = list(section)
    nameless = [other for other in names if not isinstance(section[other], dict)]
    empty = [other for other in names[: names.index(name) + 1] if section[other] is None]
    if not empty or len(nameless) < 2:
        return ""
    return (
        f"indent what belongs to {empty[-1]} more than {empty[-1]}" if name == empty[-1] else f"indent it more than {empty[-1]}"
    )


def _said(given: Any) -> str:
    """What stands in the file, in few words."""
    if given is None or isinstance(given, bool):
        return {None: "nothing", True: "true", False: "false"}[given]
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    text = repr(given)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _plainly(number: Any) -> str:
    return "2**64" if number == 2**64 else f"{number:,g}" if isinstance(number, float) else f"{number:,}"


def _instead(kind: str, given: Any) -> str:
    """What to write instead of a value of a wrong type."""
    if kind == "string_type" and isinstance(given, int | float):
        return f'write "{_said(given)}" if it is meant as text'
    if kind == "tuple_type" and isinstance(given, str | int | float):
        return f"write [{given if isinstance(given, str) else _said(given)}]"
    if kind in ("int_type", "float_type") and isinstance(given, str) and re.fullmatch(r"[0-9]{1,40}(\.[0-9]{0,40})?", given):
        return f"write {given} without quotes"
    if kind == "dict_type" and is_list(given):
        first = given[0] if given else None
        named = first.get("name") if isinstance(first, dict) else None
        below = "and its parts below it, without a dash" if isinstance(first, dict) else "{...}"
        return f"write {named if isinstance(named, str) else 'NAME'}: {below}"
    if kind == "int_type" and isinstance(given, float) and abs(given) < 2**53 and given == int(given):
        return f"write {int(given)}"
    return "write it like 0.1" if kind == "float_type" else ""


def _nearest_field(loc: tuple[Any, ...], path: Key, tree: Any, root: type[Spec]) -> str:
    """The field that was meant: rather one that is not given yet."""
    for part in path[:-1]:
        tree = tree[part]
    found = _bare(_follow(root, loc[:-1]))
    fields = list(found.model_fields) if _is_model(found) else []
    fields.sort(key=lambda name: name not in found.__annotations__)  # its own before those that it shares
    free = nearest(str(loc[-1]), [name for name in fields if name not in tree])
    best = nearest(str(loc[-1]), fields)
    if not free.startswith("did you mean"):
        return best
    likeness = [SequenceMatcher(None, str(loc[-1]), _meant(hint)[0]).ratio() for hint in (free, best)]
    return free if likeness[0] > likeness[1] - 0.1 else best


def _follows(detail: Any) -> bool:
    """Whether an error only follows from others: a list is too short because its entries are faulty."""
    return detail["type"] == "too_short" and len(detail["input"]) > 0


def _meant(hint: str) -> list[str]:
    """The names in `did you mean V_th?`, and in what else says how a key is written: `write model: lif`."""
    found = re.match(r"did you mean (.*)\?$|write (\w+): ", hint)
    return (found[1] or found[2]).split(" or ") if found else [""]


_SLIPS = ("unknown key", "a blank is missing after the colon")


def _without_echoes(faults: list[Fault]) -> list[Fault]:
    """A misspelled key is one mistake, not also that the right one is missing."""
    meant = {(f.path[:-1], name) for f in faults if f.message in _SLIPS for name in _meant(f.hint)}
    return [f for f in faults if (f.path, f.message.removesuffix(" is missing")) not in meant]


# ---- pydantic's locations --------------------------------------------------------------------------------------------


def _bare(annotation: Any) -> Any:
    """A type without its annotations and without the None that it may be instead."""
    while True:
        others = [member for member in get_args(annotation) if member is not type(None)]
        if get_origin(annotation) is Annotated or get_origin(annotation) in _UNIONS and len(others) == 1:
            annotation = others[0]
        else:
            return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Frozen)


def _members(annotation: Any) -> dict[str, Any]:
    """The members of a union by the tags that pydantic puts into its locations; empty where there is no choice."""
    annotation, found = _bare(annotation), {}
    if get_origin(annotation) not in _UNIONS:
        return found
    for member in get_args(annotation):
        bare = _bare(member)
        found |= {meta.tag: bare for meta in getattr(member, "__metadata__", ()) if isinstance(meta, Tag)}
        if _is_model(bare):
            for key in {"model", "rule"} & set(bare.model_fields):
                found |= dict.fromkeys(get_args(bare.model_fields[key].annotation), bare)
        else:
            found |= _members(bare)
    return found


def _follow(annotation: Any, loc: tuple[Any, ...]) -> Any:
    """The model class or annotation that a pydantic location leads to; None where it leads nowhere."""
    for part in loc:
        annotation = _step(annotation, part)
    return annotation


def _step(annotation: Any, part: Any) -> Any:
    if part in (members := _members(annotation)):
        return members[part]
    annotation = _bare(annotation)
    if _is_model(annotation):
        info = annotation.model_fields.get(part)
        return info.annotation if info else None
    args = get_args(annotation)
    return {dict: lambda: args[1], tuple: lambda: args[0]}.get(get_origin(annotation), lambda: None)()
