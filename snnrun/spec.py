"""The file format: what a network file may contain, and how its tree becomes a Spec.

Everything here is checked part by part; what concerns several parts at once is in check.py.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from snnrun.connect import Rule
from snnrun.document import Fault, Key, nearest
from snnrun.inputs import Input
from snnrun.monitors import Monitor
from snnrun.neurons import Population
from snnrun.outputs import Output
from snnrun.quantities import Drawable, Frozen, Name, Precision, Selection, Time, WeightQuantity, fault
from snnrun.synapses import Synapse


class Projection(Frozen):
    """Synapses from one selection of neurons onto another: connect -> weight, delay -> synapse -> output -> post."""

    pre: Selection
    """Where the spikes come from: a population, a slice of one, or a list of these."""
    post: Selection
    """Where they go."""
    connect: Rule
    """Which neuron reaches which."""
    weight: Drawable[WeightQuantity] | None = None
    """mV for delta, pA for cuba, nS for coba; left out only where a file of edges has weights."""
    delay: Drawable[Time] = 0.0
    """From the spike to its arrival, in whole steps."""
    synapse: Synapse
    """How the effect of a spike unfolds in time."""
    output: Output | None = None
    """How it acts on the membrane: cuba where it is not given."""


class Spec(Frozen):
    """A spiking neural network and its run."""

    name: str = "network"
    """The file's name without its ending, where it is not given."""
    seed: Annotated[int, Field(ge=0, lt=2**64, strict=True)] = 0
    """Of all random numbers."""
    duration: Time
    """How long is simulated."""
    dt: Time = 0.1
    """The time step."""
    precision: Precision = "float32"
    """Of the state variables."""
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


class Part(NamedTuple):
    """A run of neurons of one population."""

    population: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


_SLICE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?:\[(\d*)(:?)(\d*)\])?")


class SelectionError(ValueError):
    def __init__(self, index: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.index, self.message, self.hint = index, message, hint


def parts(selection: tuple[str, ...], sizes: Mapping[str, int]) -> list[Part]:
    """The runs of neurons that a selection names, in its order. Raises SelectionError for what is not there."""
    found: list[Part] = []
    for index, text in enumerate(selection):
        match = _SLICE.fullmatch(text.strip())
        if match is None:
            hint = "slices are N[3], N[:5], N[5:] and N[5:9]"
            if "-" in text.partition("[")[2]:
                hint = "count from the front; " + hint
            raise SelectionError(index, f"{text!r} is no population and no slice of one", hint)
        name, start, colon, stop = match.groups()
        if name not in sizes:
            raise SelectionError(index, f"there is no population {name!r}", nearest(name, sizes))
        size = sizes[name]
        if start is None:
            part = Part(name, 0, size)
        elif not colon and start:
            part = Part(name, int(start), int(start) + 1)
        elif colon:
            part = Part(name, int(start or 0), int(stop) if stop else size)
        else:
            raise SelectionError(index, f"{text!r} selects nothing", "slices are N[3], N[:5], N[5:] and N[5:9]")
        if part.stop > size or part.start >= size:
            raise SelectionError(index, f"{text} is out of range", f"{name} has {size:,} neurons, 0 to {size - 1}")
        if part.size <= 0:
            raise SelectionError(index, f"{text} is empty", "the end of a slice lies above its start")
        for other in found:
            if other.population == name and part.start < other.stop and other.start < part.stop:
                raise SelectionError(index, f"{text} overlaps another part of this list", "name every neuron once")
        found.append(part)
    return found


# ---- tree -> Spec ----------------------------------------------------------------------------------------------------

_SECTIONS = ("populations", "inputs", "projections", "monitors")


class Reading(NamedTuple):
    """A Spec, or as much of it as could be read, and what was wrong with the rest."""

    spec: Spec | None
    faults: list[Fault]
    broken: frozenset[Key]  # parts that were left out


def read(tree: dict[str, Any], default_name: str) -> Reading:
    """The Spec in a tree. Faulty entries are left out of it, so that the others can be checked all the same."""
    tree = {"name": default_name, **tree}
    order = tuple(section for section in tree if section in ("inputs", "projections"))

    def validated(candidate: dict[str, Any]) -> Spec:
        spec = Spec.model_validate(candidate)
        spec._sections = order
        return spec

    try:
        return Reading(validated(tree), [], frozenset())
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults = [_translated(detail, tree) for detail in details]
    broken = frozenset(tuple(detail["loc"][: 2 if detail["loc"][:1] and detail["loc"][0] in _SECTIONS else 1])
                       for detail in details)  # fmt: skip
    pruned = {}
    for key, value in tree.items():
        if (key,) in broken:
            continue
        if key in _SECTIONS and isinstance(value, dict):
            value = {name: entry for name, entry in value.items() if (key, name) not in broken}
        pruned[key] = value
    pruned.setdefault("duration", "1 s")
    if not pruned.get("populations"):
        return Reading(None, faults, broken)
    try:
        return Reading(validated(pruned), faults, broken)
    except ValidationError:
        return Reading(None, faults, broken)


def _path(loc: tuple[Any, ...], tree: Any) -> Key:
    """A pydantic location as a path in the tree: tags of unions, which are not in the document, are left out."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(tree, dict) and part in tree:
            path.append(part)
            tree = tree[part]
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            path.append(part)
            tree = tree[part]
    return tuple(path)


_KINDS = {
    "int_type": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "int_parsing": "a whole number is wanted",
    "float_type": "a number is wanted",
    "float_parsing": "a number is wanted",
    "finite_number": "a finite number is wanted",
    "string_type": "a text is wanted",
    "bool_type": "true or false is wanted",
    "bool_parsing": "true or false is wanted",
    "tuple_type": "a list is wanted",
    "list_type": "a list is wanted",
    "dict_type": "a mapping of names is wanted",
    "model_type": "a mapping is wanted",
    "model_attributes_type": "a mapping is wanted",
}
_EXAMPLES = {"duration": "1 s", "size": "100", "every": "0.1 ms", "bin": "5 ms", "tau": "10 ms", "E": "0 mV",
             "V_rest": "-65 mV", "V_reset": "-65 mV", "V_th": "-50 mV", "rate": "10 Hz", "weight": "0.1 mV",
             "current": "100 pA", "p": "0.1", "n": "100", "synapse": "{model: expon, tau: 5 ms}",
             "connect": "{rule: fixed_prob, p: 0.1}", "variables": "[V]", "path": "edges.csv",
             "mean": "1 ms", "times": "[1 ms, 5 ms]", "currents": "[100 pA, 0 pA]"}  # fmt: skip


def _translated(detail: Any, tree: dict[str, Any]) -> Fault:
    """A pydantic error in our words, at the place in the file where it belongs."""
    kind, loc, ctx = detail["type"], tuple(detail["loc"]), detail.get("ctx", {})
    path, given = _path(loc, tree), detail.get("input")
    if kind == "snnrun":
        return Fault(path, ctx["message"], ctx["hint"])
    if kind == "missing":
        example = _EXAMPLES.get(str(loc[-1]), "...")
        return Fault(path, f"{loc[-1]} is missing", f"add {loc[-1]}: {example}")
    if kind == "extra_forbidden":
        return Fault(path, "unknown key", _nearest_field(loc, path, tree), at_key=True)
    if kind == "union_tag_invalid":
        key = ctx["discriminator"].strip("'")
        known = [tag.strip("' ") for tag in ctx["expected_tags"].split(",")]
        hint = nearest(str(ctx["tag"]), known)
        return Fault((*path, key), f"unknown {key} {ctx['tag']!r}", hint)
    if kind == "union_tag_not_found":
        key = ctx["discriminator"].strip("'")
        if not isinstance(given, dict):
            return Fault(path, "a mapping is wanted", f"write {{{key}: ...}}")
        known = ", ".join(_tags_at(loc))
        return Fault(path, f"{key} is missing", f"add {key}: one of {known}" if known else f"add {key}: ...")
    if kind == "no_distribution":
        known = ["normal", "lognormal", "gamma", "uniform", "exponential", "file"]
        word = str(next(iter(given), "")) if isinstance(given, dict) else ""
        return Fault((*path, word) if word else path, f"{word or 'this'} is no distribution", nearest(word, known),
                     at_key=True)  # fmt: skip
    if kind == "literal_error":
        known = [word.strip("' ") for word in re.split(r",| or ", ctx["expected"])]
        return Fault(path, f"{given!r} is not allowed here", nearest(str(given), known) or f"write {ctx['expected']}")
    if kind == "string_pattern_mismatch" and loc[-1] == "[key]":
        return Fault(_path(loc[:-1], tree), f"{loc[-2]!r} is no name",
                     "letters, digits, _ and -, beginning with a letter", at_key=True)  # fmt: skip
    if kind in ("greater_than_equal", "less_than_equal", "less_than", "greater_than"):
        words = {"ge": "at least", "le": "at most", "lt": "below", "gt": "above"}
        bound = next(f"{words[key]} {ctx[key]}" for key in words if key in ctx)
        return Fault(path, f"{given} is not allowed here", f"write a number {bound}")
    if loc[-1] == "[key]":
        return Fault(_path(loc[:-1], tree), f"{loc[-2]!r} is no name", "a name is text that begins with a letter", at_key=True)
    if kind == "too_short":
        return Fault(path, "the list is empty", "name at least one")
    if kind in ("missing_positional_only_argument", "too_long"):
        return Fault(path, "the list has the wrong length")
    if kind in _KINDS and given is None:
        return Fault(path, "a value is missing here", f"{_KINDS[kind]}")
    return Fault(path, _KINDS.get(kind, detail["msg"]), f"not {given!r}" if isinstance(given, str | int | float) else "")


def _nearest_field(loc: tuple[Any, ...], path: Key, tree: Any) -> str:
    """The field that was meant: rather one that is not given yet."""
    for part in path[:-1]:
        tree = tree[part]
    fields = _fields_at(loc[:-1])
    return nearest(str(loc[-1]), [name for name in fields if name not in tree] or fields)


def _follow(annotation: Any, loc: tuple[Any, ...]) -> Any:
    """The model class or annotation that a pydantic location leads to."""
    for part in loc:
        annotation = _step(annotation, part)
        if annotation is None:
            return None
    return annotation


def _step(annotation: Any, part: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        info = annotation.model_fields.get(part)
        return info.annotation if info else None
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return args[1]
    if origin is tuple:
        return args[0]
    for member in args:  # a union: the location names the member by its tag
        tags = [meta.tag for meta in get_args(member)[1:] if hasattr(meta, "tag")] if get_origin(member) is Annotated else []
        bare = get_args(member)[0] if get_origin(member) is Annotated else member
        if part in tags:
            return bare
        if isinstance(bare, type) and issubclass(bare, Frozen):
            for key in ("model", "rule"):
                field = bare.model_fields.get(key)
                if field is not None and part in get_args(field.annotation):
                    return bare
        elif get_origin(member) is not None and (deeper := _step(member, part)) is not None:
            return deeper
    return None


def _fields_at(loc: tuple[Any, ...]) -> list[str]:
    found = _follow(Spec, loc)
    while get_origin(found) is Annotated:
        found = get_args(found)[0]
    if not (isinstance(found, type) and issubclass(found, Frozen)):
        candidates = [m for m in get_args(found) if isinstance(m, type) and issubclass(m, Frozen)] if found else []
        return [name for candidate in candidates for name in candidate.model_fields]
    return list(found.model_fields)


def _tags_at(loc: tuple[Any, ...]) -> list[str]:
    found, tags = _follow(Spec, loc), []
    while get_origin(found) is Annotated:
        found = get_args(found)[0]
    for member in get_args(found):
        for key in ("model", "rule"):
            if isinstance(member, type) and issubclass(member, Frozen) and key in member.model_fields:
                tags += get_args(member.model_fields[key].annotation)
    return tags
