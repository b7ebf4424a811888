"""What a model is, for people: the table of `snnrun models`, the text of `snnrun explain`, and the page docs/models.md."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from snnrun import units
from snnrun.language.expression import show
from snnrun.models import described, interface, neurons
from snnrun.models.described import Model
from snnrun.models.neurons import equations
from snnrun.quantities import fields
from snnrun.schema import field_texts


class Entry(NamedTuple):
    """A model in the table."""

    name: str
    about: str
    kind: str  # neurons or source
    solver: str
    checked: str


def table() -> list[Entry]:
    """All built-in models."""
    return [_entry(name, model) for name, model in neurons.MODELS.items()]


def _entry(name: str, model: interface.Population) -> Entry:
    if name in neurons.descriptions():
        found = neurons.description(name)
        return Entry(name, found.about, "neurons", found.solver, found.checked)
    about = (model.Spec.__doc__ or "").strip().rstrip(".")
    return Entry(name, about, "source" if model.source else "neurons", "", "")


def lines(name: str) -> list[str]:
    """All about a built-in model."""
    if name in neurons.descriptions():
        return of_model(neurons.description(name))
    return _of_spec(name, neurons.MODELS[name])


def _of_spec(name: str, model: interface.Population) -> list[str]:
    spec = model.Spec
    texts = field_texts(spec)
    rows = []
    for field in fields(spec):
        default = spec.model_fields[field.name].get_default()
        value = _value(default, field.dimension or "number") if isinstance(default, float) else ""
        rows.append([field.name, value, texts.get(field.name, "")])
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


PAGE = """# Neuron models

All models that a population can be of. `snnrun models` prints the table, `snnrun explain NAME` what stands below it; both come
from the same files as this page. Your own models are written in the same language: [own-models.md](own-models.md).

Any parameter may be drawn for each neuron or read from a file, any state variable initialised (`init: {V: -65 mV}`), drawn and
recorded. A population takes `solver:` and `substeps:` in place of those of its model, and where it has sets of published
parameters, `set: NAME`.

"""


def page() -> str:
    """docs/models.md."""
    rows = ["| model | what it is | solver | checked against |", "|---|---|---|---|"]
    rows += [
        f"| [{e.name}](#{e.name}) | {e.about} | {e.solver or e.kind} | {e.checked or 'exact references and closed forms'} |"
        for e in table()
    ]
    sections = []
    for entry in table():
        sections += [f"\n## {entry.name}\n", "```text", *lines(entry.name), "```"]
    return PAGE + "\n".join([*rows, *sections]) + "\n"
