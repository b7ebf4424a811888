"""What a model is, for people: the table of `snnrun models`, the text of `snnrun explain`, and the page docs/models.md."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from snnrun import units
from snnrun.language.expression import show
from snnrun.models import connect, described, inputs, interface, layout, monitors, neurons, outputs, space, stdp, stp, synapses
from snnrun.models.described import Model
from snnrun.models.neurons import equations
from snnrun.quantities import Frozen, fields
from snnrun.schema import field_texts


class Entry(NamedTuple):
    """A model in the table."""

    name: str
    about: str
    kind: str  # neurons, source, or one of KINDS or FORMS
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


def _forms(union: Any) -> dict[str, type[Frozen]]:
    """The members of a union by their names."""
    members = get_args(get_args(union)[0])
    return {get_args(one.model_fields["rule" if "rule" in one.model_fields else "model"].annotation)[0]: one for one in members}


FORMS: dict[str, Mapping[str, type[Frozen]]] = {
    "connect": _forms(connect.Rule),
    "monitor": _forms(monitors.Monitor),
    "layout": _forms(layout.Layout),
    "kernel": _forms(space.Kernel),
    "mask": _forms(space.Mask),
}
"""What has parameters and no dynamics, likewise."""


def table() -> list[Entry]:
    """All built-in models."""
    found = [_entry(name, model) for name, model in neurons.MODELS.items()]
    found += [Entry(name, _about(part), kind, "", part.checked) for kind, parts in KINDS.items() for name, part in parts.items()]
    return found + [Entry(name, _in_short(form), kind, "", "") for kind, forms in FORMS.items() for name, form in forms.items()]


def _entry(name: str, model: interface.Population) -> Entry:
    if name in neurons.descriptions():
        found = neurons.description(name)
        return Entry(name, found.about, "neurons", found.solver, found.checked)
    return Entry(
        name, _about(model), "source" if model.source else "neurons", "", model.checked or "exact references and closed forms"
    )


def _about(part: interface.Part) -> str:
    return (part.Spec.__doc__ or "").strip().rstrip(".")


def _in_short(form: type[Frozen]) -> str:
    """Its first sentence, without what comes after a semicolon and without sources."""
    text = " ".join((form.__doc__ or "").split())
    return re.split(r"[.;](?:\s|$)| \((?=[A-Z])", text, maxsplit=1)[0]


def kinds() -> list[str]:
    return list(dict.fromkeys(entry.kind for entry in table()))


def names() -> list[str]:
    return list(dict.fromkeys(entry.name for entry in table()))


def lines(name: str) -> list[str]:
    """All about the built-in models of a name, which an input and a source may share; or the models of a kind."""
    found = []
    if name in neurons.MODELS:
        described_ = name in neurons.descriptions()
        model = neurons.MODELS[name]
        found.append([*of_model(neurons.description(name)), *_options(model)] if described_ else _of_spec(name, model))
    found += [_of_part(name, kind, parts[name]) for kind, parts in KINDS.items() if name in parts]
    found += [_of_form(name, kind, forms[name]) for kind, forms in FORMS.items() if name in forms]
    if name in kinds():
        found.append(_columns([entry.name, entry.about] for entry in table() if entry.kind == name))
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
    found += _parameters(part.Spec)
    if isinstance(part, interface.Synapse):
        own = [*part.variables, *(f"gate.{variable}" for variable in getattr(part, "gate", ()))]
        found += ["", f"{'variables':<11} {', '.join(own)}"]
    told = sys.modules[type(part).__module__].__doc__ or ""
    return [*found, "", *(f"  {line}".rstrip() for line in told.strip().splitlines())]


def _of_form(name: str, kind: str, form: type[Frozen]) -> list[str]:
    told = [line.strip() for line in (form.__doc__ or "").strip().splitlines()]
    return [f"{name}: {told[0]}", *told[1:], f"{'stands at':<11} {kind}", *_parameters(form)]


def _of_spec(name: str, model: interface.Part) -> list[str]:
    return [f"{name}: {(model.Spec.__doc__ or '').strip()}", *_parameters(model.Spec)]


def _parameters(spec: type[Frozen]) -> list[str]:
    texts, dimensions, rows = field_texts(spec), {field.name: field.dimension for field in fields(spec)}, []
    for field, info in sorted(spec.model_fields.items(), key=lambda pair: not pair[1].is_required()):
        if field in ("model", "rule", "layout") or field == "init" and field not in texts:
            continue
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        value = _value(default, dimensions.get(field) or "number") if isinstance(default, float) else ""
        value = {True: "true", False: "false"}[default] if isinstance(default, bool) else value
        value = "required" if info.is_required() else value
        if get_origin(info.annotation) is Literal:
            value = ", ".join(map(str, get_args(info.annotation)))
        rows.append([field, value, " ".join(texts.get(field, "").split())])
    return ["", "parameters", *_columns(rows)] if rows else []


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
FORM_TITLES = {"connect": "Rules of connection", "monitor": "Monitors", "layout": "Layouts", "kernel": "Kernels of distance",
               "mask": "Masks"}  # fmt: skip
PAGE = """# Models

All that a network can be made of. `snnrun models` prints the tables, `snnrun explain NAME` what stands below them, and
`snnrun explain connect` the models of one kind; all come from the same files as this page. In which order things happen in a
step, and where other simulators have other conventions, is in [semantics.md](semantics.md).

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
        if e.kind not in KINDS and e.kind not in FORMS:
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
    for kind, title in FORM_TITLES.items():
        sections += [f"\n## {title}\n"]
        for name, form in FORMS[kind].items():
            sections += [f"\n### {kind}: {name}\n", "```text", *_of_form(name, kind, form), "```"]
    return PAGE + "\n".join([*rows, *sections]) + "\n"
