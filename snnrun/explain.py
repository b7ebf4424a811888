"""What a model is, for people: the table of `snnrun models`, the text of `snnrun explain`, and the page docs/models.md."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from snnrun import units
from snnrun.language.expression import show
from snnrun.models import described, inputs, interface, neurons, outputs, stdp, stp, synapses
from snnrun.models.described import Model
from snnrun.models.neurons import equations
from snnrun.quantities import fields
from snnrun.schema import field_texts


class Entry(NamedTuple):
    """A model in the table."""

    name: str
    about: str
    kind: str  # neurons, source, or one of KINDS
    solver: str
    checked: str


KINDS: dict[str, Mapping[str, interface.Part]] = {
    "synapse": synapses.MODELS,
    "output": outputs.MODELS,
    "input": inputs.MODELS,
    "stp": stp.MODELS,
    "stdp": stdp.MODELS,
}
"""What is not a population: by the key under which it stands in a network file."""


def table() -> list[Entry]:
    """All built-in models."""
    found = [_entry(name, model) for name, model in neurons.MODELS.items()]
    return found + [
        Entry(name, _about(part), kind, "", part.checked) for kind, parts in KINDS.items() for name, part in parts.items()
    ]


def _entry(name: str, model: interface.Population) -> Entry:
    if name in neurons.descriptions():
        found = neurons.description(name)
        return Entry(name, found.about, "neurons", found.solver, found.checked)
    return Entry(
        name, _about(model), "source" if model.source else "neurons", "", model.checked or "exact references and closed forms"
    )


def _about(part: interface.Part) -> str:
    return (part.Spec.__doc__ or "").strip().rstrip(".")


def names() -> list[str]:
    return list(dict.fromkeys(entry.name for entry in table()))


def lines(name: str) -> list[str]:
    """All about the built-in models of a name: an input may bear that of a source."""
    found = []
    if name in neurons.MODELS:
        described_ = name in neurons.descriptions()
        model = neurons.MODELS[name]
        found.append([*of_model(neurons.description(name)), *_options(model)] if described_ else _of_spec(name, model))
    found += [_of_part(name, kind, parts[name]) for kind, parts in KINDS.items() if name in parts]
    return [line for i, text in enumerate(found) for line in (["", *text] if i else text)]


def _options(model: interface.Population) -> list[str]:
    """What a model that is written by hand takes beside the parameters of its description."""
    if model.described:
        return []
    choices = [field for field, info in model.Spec.model_fields.items() if field != "model" and _choice(info)]
    texts = field_texts(model.Spec)
    rows = [[field, _choice(model.Spec.model_fields[field]), " ".join(texts[field].split())] for field in choices]
    return ["", "options", *_columns(rows)] if rows else []


def _choice(info: Any) -> str:
    """The values of a field that has few of them."""
    every = [info.annotation, *get_args(info.annotation)]
    words = [word for one in every if get_origin(one) is Literal for word in get_args(one)]
    return "true, false" if bool in every else ", ".join(map(str, words))


def _of_part(name: str, kind: str, part: interface.Part) -> list[str]:
    """All about what is not a population, with what its module says of it."""
    found = [f"{name}: {(part.Spec.__doc__ or '').strip()}", f"{'stands at':<11} {kind}"]
    if part.checked:
        found.append(f"{'checked':<11} {part.checked}")
    found += _of_spec(name, part)[1:] if len(part.Spec.model_fields) > 1 else []
    if isinstance(part, interface.Synapse):
        own = [*part.variables, *(f"gate.{variable}" for variable in getattr(part, "gate", ()))]
        found += ["", f"{'variables':<11} {', '.join(own)}"]
    told = sys.modules[type(part).__module__].__doc__ or ""
    return [*found, "", *(f"  {line}".rstrip() for line in told.strip().splitlines())]


def _of_spec(name: str, model: interface.Part) -> list[str]:
    spec = model.Spec
    texts, dimensions, rows = field_texts(spec), {field.name: field.dimension for field in fields(spec)}, []
    for field, info in spec.model_fields.items():
        if field in ("model", "init", "layout"):
            continue
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        value = _value(default, dimensions.get(field) or "number") if isinstance(default, float) else ""
        if get_origin(info.annotation) is Literal:
            value = ", ".join(map(str, get_args(info.annotation)))
        rows.append([field, value, " ".join(texts.get(field, "").split())])
    return [f"{name}: {(spec.__doc__ or '').strip()}", "", "parameters", *_columns(rows)]


def of_model(model: Model) -> list[str]:
    """All about a described model."""
    part = equations.of_model(model)
    found = [f"{model.name}: {model.about}" if model.about else model.name]
    for title, text in (("source", model.source), ("checked", model.checked)):
        if text:
            found.append(f"{title:<11} {text}")
    if model.parameters:
        found += ["", "parameters", *_columns(_parameter(parameter) for parameter in model.parameters)]
    if model.sets:
        found += ["", "sets", *_columns([name, _listed(values)] for name, values in model.sets)]
    found += ["", "state", *_columns(_variable(variable, part) for variable in model.variables)]
    found += ["", "equations"]
    found += [f"  {name} = {show(node)}" for name, node in model.abbreviations]
    found += [f"  d{variable.name}/dt = {show(variable.rate)}" for variable in model.variables]
    found += [""]
    found += [f"{title:<11} {text}" for title, text in _rules(model)]
    return found


def _listed(values: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values)


def _parameter(parameter: described.Parameter) -> list[str]:
    if parameter.default is not None:
        value = _value(parameter.default, parameter.dimension)
    else:
        value = f"in {parameter.unit}, no default"
    rules = ", ".join(show(node) for node in parameter.where)
    gives = (
        ""
        if parameter.gives is None
        else f"may stand for {parameter.gives[0]}: {parameter.gives[0]} = {show(parameter.gives[1])}"
    )
    return [parameter.name, value, rules, "; ".join(filter(None, (parameter.about, gives)))]


def _value(value: float, dimension: str) -> str:
    return units.number_text(value) if dimension == "number" else units.show(value, dimension)


def _variable(variable: described.Variable, part: equations.Equations) -> list[str]:
    start = "starts at its steady value" if variable.init is None else f"starts at {show(variable.init)}"
    more = ["held while refractory"] if variable.held else []
    more += [f"noise {show(variable.noise)} dW"] if variable.noise is not None else []
    return [variable.name, part.variables[variable.name] or "number", start, ", ".join(more)]


def _rules(model: Model) -> Iterator[tuple[str, str]]:
    """What happens in a step beside the equations."""
    threshold = model.threshold
    if threshold is None:
        yield "threshold", "none: it never fires"
    elif threshold.kind == "rate":
        yield "fires", f"at random, at a rate of {show(threshold.condition)}"
    else:
        yield "threshold", show(threshold.condition) + (", on its way up" if threshold.kind == "rising" else "")
    if model.reset:
        yield "reset", ", ".join(f"{name} = {show(node)}" for name, node in model.reset)
    if model.refractory is not None:
        time = model.refractory if isinstance(model.refractory, str) else units.show(model.refractory, "time")
        held = [variable.name for variable in model.variables if variable.held]
        yield "refractory", f"for {time}: " + (f"no spike, and {', '.join(held)} held" if held else "no spike")
    yield "solver", _solver(model)
    others = [s for s in described.SOLVERS if s != model.solver and described.unsolvable(model, s) is None]
    yield "or", ", ".join(others)
    acts = [word for what, word in (("current", "currents"), ("conductance", "conductances"), ("jump", "delta synapses"))
            if equations.of_model(model).accepts(what)]  # fmt: skip
    yield "acts on it", ", ".join(acts) or "nothing"


def _solver(model: Model) -> str:
    text = model.solver if model.substeps == 1 else f"{model.solver} with {model.substeps} substeps"
    if model.solver == "exact":
        variables = ", ".join(variable.name for variable in model.variables)
        text += f": {variables} by one matrix exponential, currents of synapses included"
        if model.has_potential and model.takes_current:
            other = "exp_euler" if described.unsolvable(model, "exp_euler") is None else "rk4"
            text += f"; {other} where conductances reach it"
    return text


def _columns(rows: Iterable[list[str]]) -> list[str]:
    rows = list(rows)
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(max(map(len, rows), default=0))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def table_lines() -> list[str]:
    return _columns([entry.name, entry.kind, entry.solver, entry.about] for entry in table())


TITLES = {"synapse": "Synapses", "output": "Outputs", "input": "Inputs", "stp": "Short-term plasticity", "stdp": "Plasticity"}
PAGE = """# Models

All that a network can be made of. `snnrun models` prints the tables, `snnrun explain NAME` what stands below them; both come from
the same files as this page. In which order things happen in a step, and where other simulators have other conventions, is in
[semantics.md](semantics.md).

## Neurons and sources

Your own models are written in the same language: [own-models.md](own-models.md).

Any parameter may be drawn for each neuron or read from a file, any state variable initialised (`init: {V: -65 mV}`), drawn and
recorded. A population takes `solver:` and `substeps:` in place of those of its model, and where it has sets of published
parameters, `set: NAME`.

"""


def page() -> str:
    """docs/models.md."""
    rows, sections = ["| model | what it is | solver | checked against |", "|---|---|---|---|"], []
    for e in table():
        if e.kind not in KINDS:
            rows.append(f"| [{e.name}](#{e.name}) | {e.about} | {e.solver or e.kind} | {e.checked} |")
            text = (
                of_model(neurons.description(e.name))
                if e.name in neurons.descriptions()
                else _of_spec(e.name, neurons.MODELS[e.name])
            )
            sections += [f"\n### {e.name}\n", "```text", *text, "```"]
    for kind, title in TITLES.items():
        sections += [f"\n## {title}\n", "| model | what it is | checked against |", "|---|---|---|"]
        sections += [f"| {e.name} | {e.about} | {e.checked} |" for e in table() if e.kind == kind]
        for name, part in KINDS[kind].items():
            sections += [f"\n### {kind}: {name}\n", "```text", *_of_part(name, kind, part), "```"]
    return PAGE + "\n".join([*rows, *sections]) + "\n"
