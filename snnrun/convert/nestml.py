"""Described neuron models in NESTML, from which NEST's compiler makes models of NEST.

What inputs and synapses bring is I: a current from outside, and currents that spikes open and that decay exponentially, one for
excitatory and one for inhibitory spikes. A refractory neuron counts down; what is held does not take part in a step then.
"""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from snnrun import document, units
from snnrun.convert.scripts import Dialect, inlined, number, written
from snnrun.document import Fault, SpecError
from snnrun.language.dimension import dimension
from snnrun.language.expression import Call, Node, children, names
from snnrun.language.walk import evaluate
from snnrun.models import described, neurons, own
from snnrun.models.described import CURRENT, VOLTAGE, Model
from snnrun.request import Refused

_UNITS = {"number": "real", "rate": "1/ms", "resistance": "GOhm", "capacitance": "pF", "conductance": "nS", "time": "ms",
          "voltage": "mV", "current": "pA"}  # fmt: skip
_TAKEN = {"refr_t", "above", "I_syn_exc", "I_syn_inh", "tau_syn_exc", "tau_syn_inh", "I_stim", "I_e", "I_in", "exc_spikes",
          "inh_spikes", "model", "state", "equations", "parameters", "internals", "input", "output", "update", "function",
          "inline", "kernel", "real", "integer", "boolean", "string", "void", "true", "false", "inf", "and", "or", "not", "if",
          "elif", "else", "for", "while", "in", "spike", "continuous", "return", "step", "t", "e", "recordable"}  # fmt: skip


_THEIRS = {"parrot", "mcculloch_pitts", "ginzburg", "siegert"}  # of NEST's models those that end in _neuron


def named(name: str) -> str:
    """A name in NESTML, where short names, like V and C, are units."""
    if name in (VOLTAGE, CURRENT):
        return {VOLTAGE: "V_m", CURRENT: "I_in"}[name]
    return f"{name}_" if name in _TAKEN else name if len(name) > 3 or "_" in name else f"{name}_var"


def _unit(of: str) -> str:
    if of in _UNITS:
        return _UNITS[of]
    time, voltage, current = units.exponents(of)[:3]
    up = [_factor(unit, power) for unit, power in (("mV", voltage), ("pA", current), ("ms", time)) if power > 0]
    down = [_factor(unit, -power) for unit, power in (("mV", voltage), ("pA", current), ("ms", time)) if power < 0]
    return "/".join(["*".join(up) or "1", *down])


def _factor(unit: str, power: object) -> str:
    return unit if power == 1 else f"{unit}**{power}"


def _value(value: float, of: str) -> str:
    """A number with its unit: each unit stands behind a number of its own."""
    if of in _UNITS and of not in ("number", "rate"):
        return f"{number(value)} {_UNITS[of]}"
    text = number(value)
    time, voltage, current = units.exponents(of)[:3]
    powers = sorted(
        ((unit, power) for unit, power in (("mV", voltage), ("pA", current), ("ms", time)) if power), key=lambda x: -x[1]
    )
    for i, (unit, power) in enumerate(powers):
        one = f"1 {unit}" if abs(power) == 1 else f"(1 {unit})**{abs(power)}"
        text = f"{text} {unit}" if i == 0 and power == 1 else f"{text} {'*' if power > 0 else '/'} {one}"
    return text


def _literal(value: float, of: str) -> str:
    return number(value) if of == "number" else f"({_value(value, of)})"


def _nested(function: str, texts: tuple[str, ...]) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = f"{function}({found}, {text})"
    return found


def _call(name: str) -> Callable[..., str]:
    return lambda x: f"{name}({x})"


_FUNCTIONS = {
    **{name: _call(name) for name in ("exp", "sin", "cos", "tanh", "cosh", "abs")},
    "log": lambda x: f"ln({x})",
    "sqrt": lambda x: f"({x})**0.5",
    "exprel": lambda x: f"((exp({x}) - 1) / ({x}))",
    "sigmoid": lambda x: f"(1 / (1 + exp(-({x}))))",
    "min": lambda *texts: _nested("min", texts),
    "max": lambda *texts: _nested("max", texts),
    "clip": lambda x, low, high: f"min(max({x}, {low}), {high})",
    "where": lambda c, a, b: f"(({c}) ? ({a}) : ({b}))",
}
DIALECT = Dialect(_literal, _FUNCTIONS, named)


def text_of(node: Node) -> str:
    return written(node, DIALECT)


def export(source: str) -> tuple[dict[str, Model], str]:
    """The models of this name, or of this file, and NESTML of them. Raises SpecError, Refused, OSError."""
    if source in neurons.descriptions():
        path, below = neurons.FOLDER / f"{source}.yaml", ()
        models = {source: neurons.description(source)}
        found = document.parse(document.Document(path.name, path.read_text("utf-8"), neurons.FOLDER))
    else:
        path = Path(source)
        if not path.exists() and path.suffix not in (".yaml", ".yml"):
            hint = document.nearest(source, neurons.descriptions()) or "snnrun models lists the models"
            raise Refused(f"there is no model that is described by equations, and no file, {source!r}", hint)
        models, found = own.of_file(path), document.read(path)
        below = ("models",) if "models" in found.tree else ()
    try:
        return models, text(models)
    except SpecError as error:
        raise SpecError([replace(fault, path=(*below, *fault.path)) for fault in error.faults], found) from None


def text(models: Mapping[str, Model]) -> str:
    """A file of NESTML with some models. Raises SpecError for what the language does not allow."""
    return "\n\n".join(_model(name, model) for name, model in models.items())


def _refuse(name: str, *path: str, message: str, hint: str) -> SpecError:
    return SpecError([Fault((name, *path), message, hint)])


def _model(name: str, model: Model) -> str:
    if name in _THEIRS:
        raise _refuse(name, message=f"NEST has a {name}_neuron already", hint="use that one, or give the model another name")
    if any(v.noise is not None and not _silent(v.noise, model) for v in model.variables):
        raise _refuse(
            name,
            "noise",
            message="noise has no counterpart in NESTML's equations",
            hint="leave it out, and use a noise_generator",
        )
    if model.threshold is None:
        raise _refuse(
            name, "threshold", message="a neuron without a threshold has no counterpart in NEST", hint="add a threshold"
        )
    if chosen := [v.name for v in model.variables if _chooses(inlined(v.rate, dict(model.abbreviations)))]:
        raise _refuse(
            name,
            "equations",
            f"d{chosen[0]}/dt",
            message="a derivative with where(...) is not solved by NESTML's tools",
            hint="write min or max",
        )
    parameters = [p for p in model.parameters if p.gives is None and p.name in _used(model)]
    missing = [p.name for p in parameters if p.default is None]
    if missing:
        raise _refuse(name, "parameters", message=f"NESTML needs a default of {', '.join(missing)}", hint="add default: ...")
    of = {p.name: p.dimension for p in model.parameters} | {v.name: v.dimension for v in model.variables} | {CURRENT: "current"}
    for x, node in model.abbreviations:
        of[x] = dimension(node, of)
    rising = model.threshold.kind == "rising"
    ref = model.refractory
    waits = ref is not None and not (isinstance(ref, str) and _default(model, ref) is None)
    lines = [f"# {name}: {model.about}", *(f"# {part}" for part in textwrap.wrap(model.source, 120)), f"model {name}_neuron:"]
    state = [f"{named(v.name)} {_unit(v.dimension)} = {_initial(name, model, v)}" for v in model.variables]
    state += ["refr_t ms = 0 ms    # time that is left of the refractory period"] if waits else []
    state += ["above boolean = false    # whether the threshold was passed a step before"] if rising else []
    if model.takes_current:
        state += ["I_syn_exc pA = 0 pA", "I_syn_inh pA = 0 pA"]
    equations = []
    if model.takes_current:
        equations.append("inline I_in pA = I_syn_exc - I_syn_inh + I_e + I_stim")
    equations += [f"inline {named(x)} {_unit(of[x])} = {text_of(node)}" for x, node in model.abbreviations]
    equations += [f"{named(v.name)}' = {text_of(v.rate)}" for v in model.variables]
    if model.takes_current:
        equations += ["I_syn_exc' = -I_syn_exc / tau_syn_exc", "I_syn_inh' = -I_syn_inh / tau_syn_inh"]
    given = [
        f"{named(p.name)} {_unit(p.dimension)} = {_value(p.default or 0.0, p.dimension)}    # {p.about}".rstrip(" #")
        for p in parameters
    ]
    if isinstance(ref, float):
        given.append(f"refr_T ms = {number(ref)} ms    # refractory period")
    if model.takes_current:
        times = {p.default for p in parameters if p.dimension == "time"}
        exc, inh = (next(usual * x for x in (1, 0.8, 1.2, 0.6) if usual * x not in times) for usual in (5.0, 10.0))
        given += ["I_e pA = 0 pA    # constant current",
                  f"tau_syn_exc ms = {number(exc)} ms    # decay of excitatory currents; another one than those of the neuron",
                  f"tau_syn_inh ms = {number(inh)} ms    # decay of inhibitory currents; the same"]  # fmt: skip
    ports = ["spikes <- spike"]
    if model.takes_current:
        ports = ["exc_spikes <- excitatory spike", "inh_spikes <- inhibitory spike", "I_stim pA <- continuous"]
    condition = text_of(model.threshold.condition)
    update = [f"above = {condition}"] if rising else []
    moving = [named(v.name) for v in model.variables if not v.held] + (["I_syn_exc", "I_syn_inh"] if model.takes_current else [])
    if waits and any(v.held for v in model.variables):
        update += ["if refr_t > 1e-6 ms:", "    refr_t -= timestep()"]
        update += [f"    integrate_odes({', '.join(moving)})"] if moving else []
        update += ["else:", "    integrate_odes()"]
    else:
        update += (["refr_t -= timestep()"] if waits else []) + ["integrate_odes()"]
    ready = "refr_t < 1e-6 ms and " if waits else ""
    if rising:
        test = f"{ready}not above and {condition}"
    elif model.threshold.kind == "rate":
        test = f"{ready}random_uniform(0, 1) < 1 - exp(-({condition}) * resolution())"
    else:
        test = f"{ready}{condition}"
    fires = _reset(model) + ([f"refr_t = {named(ref) if isinstance(ref, str) else 'refr_T'}"] if waits else []) + ["emit_spike()"]
    blocks = [
        ("state", state),
        ("equations", equations),
        ("parameters", given),
        ("input", ports),
        ("output", ["spike"]),
        ("update", update),
    ]
    if model.takes_current:
        blocks += [(f"onReceive({side}_spikes)", [f"I_syn_{side} += 1 pA * {side}_spikes * 1 s"]) for side in ("exc", "inh")]
    else:
        blocks.append(("onReceive(spikes)", ["V_m += 1 mV * spikes * 1 s"] if model.has_potential else []))
    blocks.append((f"onCondition({test})", fires))
    for title, body in blocks:
        if body:
            lines += [f"    {title}:", *(f"        {line}" for line in body), ""]
    return "\n".join(lines)


def _chooses(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "where" or any(map(_chooses, children(node)))


def _used(model: Model) -> set[str]:
    every = [*model.nodes(), *(node for _, node in model.reset), *(v.init for v in model.variables if v.init is not None)]
    every += [model.threshold.condition] if model.threshold is not None else []
    found = set().union(*(names(node) for node in every))
    return found | ({model.refractory} if isinstance(model.refractory, str) else set())


def _default(model: Model, name: str) -> float | None:
    return next((p.default for p in model.parameters if p.name == name), None)


def _silent(node: Node, model: Model) -> bool:
    return set(names(node)) <= {p.name for p in model.parameters if p.default == 0} and len(names(node)) == 1


def _initial(name: str, model: Model, v: described.Variable) -> str:
    """The initial value: of parameters alone, since NESTML has it before other variables."""
    known = {p.name for p in model.parameters}
    inits = {x.name: x.init for x in model.variables if x.init is not None}
    if v.init is None:
        parameters = described.complete(model, {p.name: p.default for p in model.parameters if p.default is not None})
        values = dict(parameters)
        for x in model.variables:
            values[x.name] = described.steady(model, x, values) if x.init is None else evaluate(x.init, values, np)
            if x.name == v.name:
                return _value(float(values[x.name]), v.dimension)
    node = inlined(v.init, inits)  # type: ignore[arg-type, type-var]
    if not set(names(node)) <= known:
        raise _refuse(
            name, "state", v.name, message=f"the initial value of {v.name} is not one of parameters alone", hint="write a number"
        )
    return text_of(node)


def _reset(model: Model) -> list[str]:
    """Assignments that all see the values at the crossing."""
    later, changed, apart = dict(model.abbreviations), set(), False
    for name, node in model.reset:
        apart |= bool(changed & set(names(inlined(node, later))))
        changed.add(name)
    of = {v.name: v.dimension for v in model.variables}
    if not apart:
        return [f"{named(name)} = {text_of(node)}" for name, node in model.reset]
    first = [f"new_{named(name)} {_unit(of[name])} = {text_of(node)}" for name, node in model.reset]
    return first + [f"{named(name)} = new_{named(name)}" for name, _ in model.reset]
