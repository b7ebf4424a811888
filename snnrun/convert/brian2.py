"""A network as a script for Brian2, with the numerical rules of snnrun.

- A spike of Brian2 bears the time at which its step begins, one of snnrun that at which it ends: stamps are one step later.
- Refractory periods are a step longer, because Brian2 counts the step of the spike.
- By default a delta synapse of Brian2 acts after the threshold is tested; here it acts before that (`after_groups`), and its
  delay is counted from there.
- What goes in time is set at the beginning of each step, and held over it.
- Synaptic variables are equations of the group where the solver takes them together with V (exact, rk4), and decay exactly by
  themselves, after the neurons have moved, where it takes them at the beginning of a step (exp_euler, euler).
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snnrun import units
from snnrun.check import Loaded, connected
from snnrun.convert import scripts as common
from snnrun.convert.scripts import EDGES, Dialect, Script, Value, Writing, inlined, number, written
from snnrun.document import Key
from snnrun.language.dimension import dimension
from snnrun.language.expression import Literal, Name, Node, names
from snnrun.models import described, neurons, stdp, synapses
from snnrun.models.described import CURRENT, VOLTAGE, Model
from snnrun.models.neurons import lif
from snnrun.quantities import is_literal, law_of, plain
from snnrun.receptors import Receptor, conducting, effect, receptors, weight_dimension
from snnrun.selections import Part

_UNITS = {"number": "1", "time": "ms", "voltage": "mV", "current": "pA", "conductance": "nS", "resistance": "Gohm",
          "capacitance": "pF", "rate": "kHz"}  # fmt: skip
_DECLARED = {"number": "1", "time": "second", "voltage": "volt", "current": "amp", "conductance": "siemens", "resistance": "ohm",
             "capacitance": "farad", "rate": "hertz"}  # fmt: skip
_IMPORTED = ("ms", "mV", "pA", "nS", "pF", "Gohm", "kHz")
_OBJECTS = ("NeuronGroup", "PoissonGroup", "SpikeGeneratorGroup", "Synapses", "SpikeMonitor", "StateMonitor", "TimedArray",
            "ExplicitStateUpdater")  # fmt: skip
_RESERVED = {"t", "dt", "i", "j", "N", "N_pre", "N_post", "xi", "e", "pi", "inf", "lastspike", "not_refractory", "rand", "randn",
             "poisson", "clip", "int", "exp", "log", "sin", "cos", "tanh", "cosh", "sqrt", "abs", "weight", "timestep",
             *_IMPORTED}  # fmt: skip


def _named(name: str) -> str:
    """The name of a variable or parameter in equations."""
    return f"{name}_n" if name in _RESERVED or name.endswith(("_pre", "_post")) or name.startswith("_") else name


def unit_of(dimension: str, table: Mapping[str, str] = _UNITS) -> str:
    """The unit of a dimension, like mV or mV*ms**-0.5."""
    if dimension in table:
        return table[dimension]
    base = (table["voltage"], table["current"], table["time"])
    time, voltage, current = units.exponents(dimension)[:3]
    powers = [(unit, float(power)) for unit, power in zip(base, (voltage, current, time), strict=True) if power]
    return "*".join(unit if power == 1 else f"{unit}**{number(power)}" for unit, power in powers)


def quantity(text: str, dimension: str) -> str:
    """A number, or an array, with its unit."""
    unit = unit_of(dimension)
    alone = re.fullmatch(r"[-\w.]+|drawn\[[^]]*\]", text)
    return text if unit == "1" else f"{text}*{unit}" if alone else f"({text})*{unit}"


def _min(*texts: str) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = f"clip({found}, {found}, {text})"
    return found


def _max(*texts: str) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = f"(-clip(-({found}), -({found}), -({text})))"
    return found


def _call(name: str) -> Callable[..., str]:
    return lambda *texts: f"{name}({', '.join(texts)})"


_FUNCTIONS = {name: _call(name) for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "cosh", "exprel", "clip")}
_FUNCTIONS |= {
    "sigmoid": lambda x: f"(1 / (1 + exp(-({x}))))",
    "min": _min,
    "max": _max,
    "where": lambda c, a, b: f"(int({c}) * ({a}) + int(not ({c})) * ({b}))",
}


def _literal(value: float, dimension: str) -> str:
    return number(value) if dimension == "number" else f"({quantity(number(value), dimension)})"


DIALECT = Dialect(_literal, _FUNCTIONS, _named)


def text_of(node: Node) -> str:
    return written(node, DIALECT)


class Channel(NamedTuple):
    """A receptor in the equations of a population."""

    receptor: Receptor
    name: str  # of the variable that acts
    enters: str  # of the variable that arrivals are added to
    scale: str  # of what arrives


class Group(NamedTuple):
    """What is known of a population of neurons when the rest is written."""

    channels: dict[tuple[str, str], Channel]  # by section and name of what feeds them


def script(loaded: Loaded, target: Path, edges: bool) -> Script:
    """The script. Raises SpecError for what Brian2 has no counterpart of."""
    w = Writing(loaded, "Brian2", (*_OBJECTS, *_IMPORTED, "clip", "exp", "spikes"), edges)
    spec = w.spec
    for name in spec.populations:
        w.name("populations", name)
    kept = common.recorded(w)
    windows = common.windows(w, kept)
    body, groups, sections = [], {}, _by_population(w)
    for name, entry in spec.populations.items():
        if hasattr(entry, "init"):
            text, groups[name] = _neurons(w, name, entry, sections[name])
        else:
            text = _source(w, name, entry)
        body.append(text)
    drives = [_input(w, name, entry, groups) for name, entry in spec.inputs.items() if hasattr(entry, "synapse")]
    synapses = [_projection(w, name, entry, groups) for name, entry in spec.projections.items()]
    monitors, saved = _monitors(w, kept, windows, groups)
    said = "\n".join([*body, *drives, *synapses, monitors, saved, *w.helpers.values()])
    objects, wanted = ([x for x in known if re.search(rf"\b{x}\b", said)] for known in (_OBJECTS, _IMPORTED))
    always = ["defaultclock", "run", "seed"]
    imports = f"import numpy as np\nfrom brian2 import {', '.join([*dict.fromkeys([*objects, *always])])}\n"
    imports += f"from brian2 import {', '.join(dict.fromkeys([*wanted, 'ms']))}\n"
    how = ("A spike of Brian2 bears the time at which its step begins; here all times are those at which it ends. So refractory "
           "periods are one step longer, and delta synapses act before the threshold is tested.")  # fmt: skip
    parts = [
        common.head(w, target, how, imports),
        f"defaultclock.dt = dt_ms * ms\nseed({spec.seed % 2**32})\n",
        *(_section("neurons", body)),
        *(_section("Poisson trains", drives)),
        *(_section("synapses", synapses)),
        *(_section("the run", [monitors])),
        saved,
        common.tail(spec, kept, windows),
    ]
    return w.finish("\n".join(parts).replace("\n\n\n\n", "\n\n\n"))


def _section(title: str, texts: list[str]) -> list[str]:
    texts = [text for text in texts if text]
    return [f"# ---- {title}\n", "\n".join(texts)] if texts else []


def _by_population(w: Writing) -> dict[str, list[Receptor]]:
    found: dict[str, list[Receptor]] = {name: [] for name in w.spec.populations}
    for receptor in receptors(w.spec):
        found[receptor.population].append(receptor)
    return found


# ---- neurons ---------------------------------------------------------------------------------------------------------


def _neurons(w: Writing, name: str, entry: Any, own: list[Receptor]) -> tuple[str, Group]:
    path: Key = ("populations", name)
    model, python, n = common.model_of(entry), w.name("populations", name), str(entry.size)
    method = neurons.of(entry).methods(entry, name in conducting(w.spec))
    solver, times = _solver(method)
    frozen = method == "frozen"
    if getattr(entry, "refractory_input", False) and any(receptor.jumps for receptor in own):
        said = "jumps that are kept while a neuron is refractory are not written for Brian2"
        w.refuse((*path, "refractory_input"), said, "snnrun export nest has them")
    values = common.parameters(w, name, entry)
    namespace: dict[str, str] = {}
    declared: list[str] = []
    assigned: list[str] = []
    used = set().union(*(names(node) for node in _every(model)))
    dims = {p.name: p.dimension for p in model.parameters} | {v.name: v.dimension for v in model.variables} | {CURRENT: "current"}

    def parameter(symbol: str, value: Value, of: str) -> None:
        if value.number is not None:
            namespace[symbol] = quantity(value.text, of)
        else:
            declared.append(f"{symbol} : {unit_of(of, _DECLARED)} (constant)")
            assigned.append(f"{python}.{symbol} = {quantity(value.text, of)}")

    noise = [v for v in model.variables if v.noise is not None and not _is_none(v.noise, values)]
    silent = {x for v in model.variables if v.noise is not None and v not in noise for x in names(v.noise)}
    for p in model.parameters:
        if p.name in values and p.name in used - silent and p.gives is None:
            parameter(_named(p.name), values[p.name], p.dimension)
    currents = []
    if (current := getattr(entry, "I_e", 0.0)) != 0.0:
        built = lambda: w.network.populations[name].parameters["I_e"]  # type: ignore[union-attr]  # noqa: E731
        parameter("I_e", w.value(f"{name}.I_e", (*path, "I_e"), current, built, n), "current")
        currents.append("I_e")
    taken = {*dims, *(x for x, _ in model.abbreviations), "I_e"}
    lines: list[str] = []
    decays: list[str] = []
    channels: dict[tuple[str, str], Channel] = {}
    propagated = _propagated(w, entry, own, values) if solver == "exact" else None
    for receptor in own:
        channel = _channel(w, receptor, taken, values, model, parameter, solver, lines, decays, currents, frozen, propagated)
        if channel is not None:
            channels |= {(source.section, source.name): channel for source in receptor.sources}
    held: list[str] = []  # set at the beginning of each step
    before: list[str] = []
    for key, drive in w.spec.driving:
        if any(part.population == name for part in w.parts(drive.to)):
            _drive(w, key, drive, name, python, taken, parameter, declared, assigned, before, held, currents, frozen)
    of = dict(dims)
    for x, node in model.abbreviations:
        of[x] = dimension(node, of)
    equations = [f"d{_named(v.name)}/dt = {_rate(v, noise, solver, of)}" for v in model.variables]
    if model.takes_current:
        equations.append(f"{CURRENT} = {' + '.join(currents) or '0*pA'} : amp")
    equations += [f"{_named(x)} = {text_of(node)} : {unit_of(of[x], _DECLARED)}" for x, node in model.abbreviations]
    text = "\n".join(f"    {line}" for line in [*equations, *lines, *declared])
    arguments = [n, f'"""\n{text}\n    """']
    arguments += _threshold(w, path, model, entry, values, parameter_names={p.name for p in model.parameters})
    if namespace:
        pairs = [f'"{key}": {value}' for key, value in namespace.items()]
        arguments.append("namespace={" + ",\n               ".join(map(", ".join, common.rows(pairs))) + "}")
    arguments.append(f"method={_method(w, path, solver, times)}")
    order = [f"{python}.{_named(x)} = {value}" for x, value in _initial(w, name, entry, model, of)]
    after = [f'{python}.run_regularly("{line}", when="after_groups")' for line in _noise(noise, solver, of, python, declared)]
    after += [f'{python}.run_regularly("""{chr(10).join(decays)}""", when="after_groups", order=-1)'] if decays else []
    about = f"# {name}: {entry.size:,} {entry.model} neurons, {neurons.of(entry).method_text(method)}"
    made = f"{python} = NeuronGroup({', '.join(arguments[:2])},\n    " + ",\n    ".join(arguments[2:]) + ",\n)"
    return "\n".join([about, *before, made, *assigned, *order, *held, *after, ""]), Group(channels)


def _every(model: Model) -> list[Node]:
    found = [*model.nodes(), *(node for _, node in model.reset), *(v.noise for v in model.variables if v.noise is not None)]
    return (
        found
        + ([model.threshold.condition] if model.threshold is not None else [])
        + [v.init for v in model.variables if v.init is not None]
    )


def _solver(method: str) -> tuple[str, int]:
    solver, _, times = method.partition(" x ")
    return {"linear": "exp_euler", "frozen": "exp_euler"}.get(solver, solver), int(times or 1)


def _is_none(node: Node, values: dict[str, Value]) -> bool:
    return isinstance(node, Name) and node.name in values and values[node.name].number == 0


def _rate(v: Any, noise: list[Any], solver: str, of: Mapping[str, str]) -> str:
    text = text_of(v.rate)
    if v in noise and solver == "euler":
        text += f" + ({text_of(v.noise)}) * xi_{_named(v.name)}"
    return f"{text} : {unit_of(v.dimension, _DECLARED)}{' (unless refractory)' if v.held else ''}"


def _noise(noise: list[Any], solver: str, of: Mapping[str, str], python: str, declared: list[str]) -> list[str]:
    """What noise adds after each step."""
    found = []
    for v in noise:
        if solver == "euler":
            continue
        spread = "sqrt(dt)"
        if solver in ("exact", "exp_euler"):  # exact where the equation is linear in its own variable
            slope = _slope(v)
            if slope is not None:
                spread = f"sqrt(dt * exprel(2 * dt * ({slope})))"
        found.append(f"{_named(v.name)} += ({text_of(v.noise)}) * {spread} * randn()")
    return found


def _slope(v: Any) -> str | None:
    """The coefficient of a variable in its own rate: f(1) - f(0), of which it is an affine function."""
    if v.name not in names(v.rate):
        return None
    unit = Literal(1.0, v.dimension)
    high, low = (inlined(v.rate, {v.name: by}) for by in (unit, Literal(0.0, v.dimension)))
    return f"({text_of(high)} - ({text_of(low)})) / {_literal(1.0, v.dimension)}"


def _threshold(w: Writing, path: Key, model: Model, entry: Any, values: dict[str, Value], parameter_names: set[str]) -> list[str]:
    if model.threshold is None:
        return []
    condition, kind = text_of(model.threshold.condition), model.threshold.kind
    if kind == "rate":
        found = [f'threshold="rand() < 1 - exp(-clip(({condition}) * dt, 0, 50))"']
    else:
        found = [f'threshold="{condition}"']
    if model.reset:
        found.append(f'reset="{_reset(model)}"' if len(_reset(model)) < 100 else f'reset="""{_reset(model)}"""')
    ref = model.refractory
    value = Value(number(ref), ref) if isinstance(ref, float) else values.get(str(ref))
    if kind == "rising":
        if value is not None and value.number != 0:
            w.refuse((*path, "model"), "a threshold that V rises through, and a refractory time, are not written for Brian2",
                     "leave out one of the two")  # fmt: skip
        found.append(f'refractory="{condition}"')
    elif value is not None and value.number is None:
        found.append(f'refractory="{_named(str(ref))} + dt"')
    elif value is not None and value.number:
        found.append(f"refractory=({value.text} + dt_ms) * ms")
    return found


def _reset(model: Model) -> str:
    """Statements of a reset, which all see the values at the crossing."""
    changed: set[str] = set()
    later = dict(model.abbreviations)
    apart = False
    for name, node in model.reset:
        apart |= bool(changed & set(names(inlined(node, later))))
        changed.add(name)
    if not apart:
        return "; ".join(f"{_named(name)} = {text_of(node)}" for name, node in model.reset)
    first = [f"new_{_named(name)} = {text_of(node)}" for name, node in model.reset]
    return "; ".join([*first, *(f"{_named(name)} = new_{_named(name)}" for name, _ in model.reset)])


_UPDATERS = {"exact": '"exact"', "exp_euler": '"exponential_euler"', "rk4": '"rk4"', "euler": '"euler"'}


def _method(w: Writing, path: Key, solver: str, times: int) -> str:
    if times == 1:
        return _UPDATERS[solver]
    if solver == "exp_euler":
        w.refuse((*path, "substeps"), "exp_euler in substeps has no counterpart in Brian2", "use solver: rk4, or a smaller dt")
    name = f"{solver}_{times}"
    w.helpers[name] = _substeps(name, solver, times)
    return name


def _substeps(name: str, solver: str, times: int) -> str:
    """A state updater that takes a step in several parts, as Brian2 describes them."""
    lines, x = [], "x"
    for part in range(1, times + 1):
        after, h = ("x_new" if part == times else f"x_{part}"), f"dt/{times}"
        if solver == "rk4":
            k = [f"k{part}_{i}" for i in range(1, 5)]
            lines += [f"{k[0]} = {h}*f({x}, t)", f"{k[1]} = {h}*f({x} + {k[0]}/2, t)", f"{k[2]} = {h}*f({x} + {k[1]}/2, t)",
                      f"{k[3]} = {h}*f({x} + {k[2]}, t)", 
                      f"{after} = {x} + ({k[0]} + 2*{k[1]} + 2*{k[2]} + {k[3]})/6"]  # fmt: skip
        else:
            lines.append(f"{after} = {x} + {h}*f({x}, t)")
        x = after
    body = "\n".join(f"    {line}" for line in lines)
    return f'\n# {times} steps of {solver} in each step\n{name} = ExplicitStateUpdater("""\n{body}\n""")\n'


def _initial(w: Writing, name: str, entry: Any, model: Model, of: Mapping[str, str]) -> list[tuple[str, str]]:
    """Initial values in their order: numbers, arrays, or texts of what stands before."""
    path: Key = ("populations", name, "init")
    found = []
    numeric = {p.name: getattr(entry, p.name) for p in model.parameters if is_literal(getattr(entry, p.name, None))}
    known: dict[str, Any] = dict(described.complete(model, {k: plain(x) for k, x in numeric.items()}))
    for p in model.parameters:
        if p.default is not None and getattr(entry, p.name, None) is None and p.name not in known:
            known[p.name] = p.default
    for v in model.variables:
        given = getattr(entry.init, v.name, None)
        if given is not None:
            built = lambda x=v.name: w.network.populations[name].initial[x]  # type: ignore[union-attr]  # noqa: E731
            value = w.value(f"{name}.init.{v.name}", (*path, v.name), given, built, str(entry.size))
            if value.number is not None:
                known[v.name] = value.number
            found.append((v.name, quantity(value.text, v.dimension)))
            continue
        node = common.steady(model, v) if v.init is None else v.init
        deep = _deep(model, node)
        if deep <= set(known):
            values = described.values_of(model, {**known, CURRENT: 0.0}, np)
            from snnrun.language.walk import evaluate

            known[v.name] = float(evaluate(node, values, np))
            if known[v.name] or of[v.name] != "number":
                found.append((v.name, quantity(number(known[v.name]), v.dimension)))
        else:
            found.append((v.name, f'"{text_of(node)}"'))
    return found


def _deep(model: Model, node: Node) -> set[str]:
    """Names of what an expression depends on, through abbreviations."""
    later = dict(model.abbreviations)
    return set(names(inlined(node, later))) - {CURRENT}


# ---- receptors and inputs --------------------------------------------------------------------------------------------


def _channel(w: Writing, receptor: Receptor, taken: set[str], values: dict[str, Value], model: Model, parameter: Any, solver: str,
             lines: list[str], decays: list[str], currents: list[str], frozen: bool,
             propagated: tuple[float, float] | None) -> Channel | None:  # fmt: skip
    """The variables of a receptor, and what they bring."""
    source = receptor.sources[0]
    path: Key = (source.section, source.name)
    kind = receptor.synapse.model
    if receptor.jumps:
        return Channel(receptor, VOLTAGE, _named(VOLTAGE), "")
    if kind not in ("expon", "alpha", "dual_expon"):
        w.refuse((*path, "synapse"), f"{kind} synapses are not written for Brian2", "use expon, alpha or dual_expon")
        return None
    conductance = receptor.output is not None and receptor.output.model != "cuba"
    base = common.safe(source.name)
    x = f"{'g' if conductance else 'I'}_{base}"
    while x in taken:
        x += "_syn"
    y = f"{x}_rise"
    taken |= {x, y}
    suffix = x[2:]

    def drawn(field: str, part: Any, where: str) -> Value:
        key = f"{source.name}.{receptor.population}.{field}"
        built = lambda: w.network.kinetics_of(receptor)[field]  # type: ignore[union-attr]  # noqa: E731
        return w.value(key, (*path, where, field), getattr(part, field), built, str(w.sizes[receptor.population]))

    def symbol(name: str, value: Value) -> str:
        """A time constant, which goes by the name of an equal one: what is solved exactly may divide by their difference."""
        same = [p for p, v in values.items() if v.number is not None and v.number == value.number and p in _rates(model)]
        if solver == "exact" and value.number is not None and same:
            return _named(same[0])
        values[name] = value
        parameter(name, value, "time")
        return name

    def _rates(model: Model) -> set[str]:
        own = {p.name for p in model.parameters if p.dimension == "time" and p.name != model.refractory}
        return own | {key for key in values if key.startswith("tau_")} - {model.refractory}

    declared, scale = ("siemens" if conductance else "amp"), ""
    together = solver in ("exact", "rk4") and propagated is None
    if propagated is not None:
        decays.append(_gained(w, receptor, x, y, *propagated))
    if kind == "expon":
        tau = symbol(f"tau_{suffix}", drawn("tau", receptor.synapse, "synapse"))
        enters = x
        if together or solver == "exp_euler" and propagated is None:
            lines.append(f"d{x}/dt = -{x} / {tau} : {declared}")
        else:
            lines.append(f"{x} : {declared}")
            decays.append(f"{x} = exp(-dt / {tau}) * {x}")
    else:
        enters = y
        if kind == "alpha":
            given = drawn("tau", receptor.synapse, "synapse")
            slow = fast = symbol(f"tau_{suffix}", given)
            number_of = (math.e if receptor.synapse.normalize == "peak" else 1.0) / given.number if given.number else None
        else:
            decay, rise = (drawn(field, receptor.synapse, "synapse") for field in ("tau_decay", "tau_rise"))
            slow, fast = symbol(f"tau_{suffix}", decay), symbol(f"tau_rise_{suffix}", rise)
            number_of = _dual_scale(decay.number, rise.number, receptor.synapse.normalize)
        if number_of is None:
            w.refuse(
                (*path, "synapse"), f"a drawn time constant of {kind} synapses is not written for Brian2", "write one number"
            )
            return None
        scale = f"{number(number_of)}/ms * "
        if together:
            lines.append(f"d{x}/dt = -{x} / {slow} + {y} : {declared}")
            lines.append(f"d{y}/dt = -{y} / {fast} : {declared}/second")
        else:
            lines.append(f"{x} : {declared}\n    {y} : {declared}/second")
            if kind == "alpha":
                decays.append(f"{x} = exp(-dt / {slow}) * ({x} + dt * {y})")
            else:
                grown = f"(exp(-dt / {slow}) - exp(-dt / {fast})) / (1 / {fast} - 1 / {slow})"
                decays.append(f"{x} = exp(-dt / {slow}) * {x} + {grown} * {y}")
            decays.append(f"{y} = exp(-dt / {fast}) * {y}")
    if not conductance and propagated is None:
        currents.append(x)
    elif not conductance:
        pass  # V has gained what it brings
    else:
        E = f"E_{suffix}"
        parameter(E, drawn("E", receptor.output, "output"), "voltage")
        currents.append(_acting(receptor.output, x, E, suffix, solver, frozen, lines, parameter, drawn))
    return Channel(receptor, x, enters, scale)


def _propagated(w: Writing, entry: Any, own: list[Receptor], values: dict[str, Value]) -> tuple[float, float] | None:
    """C and tau of neurons whose V gains by numbers what currents bring in a step: several that rise and decay are more than
    Brian2 solves in good time."""
    C, tau = (values[x].number if x in values else None for x in ("C", "tau"))
    if entry.model != "lif" or C is None or tau is None or len(own) < 2:
        return None
    literal = all(is_literal(getattr(r.synapse, f)) for r in own for f in type(r.synapse).model_fields if f not in _WORDS)
    rising = any(not r.jumps and r.synapse.model != "expon" for r in own)
    return (C, tau) if rising and literal else None


_WORDS = ("model", "normalize")


def _gained(w: Writing, receptor: Receptor, x: str, y: str, C: float, tau: float) -> str:
    """What V gains in a step from a current, exactly (Rotter & Diesmann 1999)."""
    synapse = receptor.synapse
    modes = synapses.MODELS[synapse.model].modes({f: getattr(synapse, f) for f in type(synapse).model_fields})
    terms, modes = [], modes or ()
    for variable, unit, parts in zip((x, y), ("mV/pA", "mV*ms/pA"), modes, strict=False):
        gain = sum(float(mode.factor) * float(lif.gains(C, tau, mode.tau, w.spec.dt)[mode.n]) for mode in parts)
        terms.append(f"{number(gain)}*{unit} * {variable}")
    return f"V += {' + '.join(terms)}"


def _acting(
    output: Any, x: str, E: str, suffix: str, solver: str, frozen: bool, lines: list[str], parameter: Any, drawn: Any
) -> str:
    """The current of a conductance x."""
    opened = x
    if output.model == "mg_block":
        for field, of in (("c_Mg", "number"), ("alpha", "1/mV"), ("beta", "number")):
            parameter(f"{field}_{suffix}", drawn(field, output, "output"), of)
        held = "" if solver == "rk4" else " (constant over dt)"  # taken at the beginning of a step, as all conductances
        lines.append(f"B_{suffix} = 1 / (1 + c_Mg_{suffix} / beta_{suffix} * exp(-alpha_{suffix} * V)) : 1{held}")
        opened = f"{x} * B_{suffix}"
    if frozen:
        lines.append(f"I_{suffix}_held = {opened} * ({E} - V) : amp (constant over dt)")
        return f"I_{suffix}_held"
    return f"{opened} * ({E} - V)"


def _dual_scale(slow: float | None, fast: float | None, normalize: str) -> float | None:
    if slow is None or fast is None:
        return None
    b = 1 / fast - 1 / slow
    peak = math.log(slow / fast) / b
    a = {"peak": 1 / (math.exp(-peak / slow) - math.exp(-peak / fast)), "area": slow / (slow - fast), "none": 1.0}[normalize]
    return a * b


def _drive(w: Writing, key: str, drive: Any, name: str, python: str, taken: set[str], parameter: Any, declared: list[str],
           assigned: list[str], before: list[str], held: list[str], currents: list[str], frozen: bool) -> None:  # fmt: skip
    """An input that acts by itself, as a variable of its targets."""
    path: Key = ("inputs", key)
    conductance = effect(drive) == "conductance"
    x = f"{'g' if conductance else 'I'}_{common.safe(key)}"
    while x in taken:
        x += "_in"
    taken.add(x)
    of, unit = ("conductance", "nS") if conductance else ("current", "pA")
    pieces, offset = [], 0
    for index, part in enumerate(w.parts(drive.to)):
        if part.population == name:
            pieces.append((index, offset, part))
        offset += part.size
    whole = len(pieces) == 1 and pieces[0][2].size == w.sizes[name]
    places = ["" if part.size == w.sizes[name] else f"[{part.start}:{part.stop}]" for _, _, part in pieces]
    declare = f"{x} : {_DECLARED[of]}"
    text = x
    if conductance:
        E = f"E_{x[2:]}"
        built = lambda: w.network.kinetics["inputs", key, name]["E"]  # type: ignore[union-attr]  # noqa: E731
        if drive.output.model != "coba":
            w.refuse((*path, "output"), f"inputs through {drive.output.model} are not written for Brian2", "use coba")
            return
        parameter(E, w.value(f"{key}.{name}.E", (*path, "output", "E"), drive.output.E, built, str(w.sizes[name])), "voltage")
        text = f"{x} * ({E} - V)"
    currents.append(text)
    if drive.model in ("white_noise", "ou_noise"):
        _noisy(w, path, drive, x, unit, python, places, declared, assigned, held, declare, conductance)
        return
    if drive.model not in common.COURSES:
        w.refuse(path, f"inputs of model {drive.model} are not written for Brian2", f"there are {', '.join(common.COURSES)}")
        return
    constant = drive.model == "constant" and not drive.start and drive.stop is None
    if constant:
        field = "current" if drive.current is not None else "conductance"
        given = getattr(drive, field)
        values = []
        for index, begin, part in pieces:
            built = lambda i=index: w.network.inputs[key].values[i][field]  # type: ignore[union-attr]  # noqa: E731
            values.append(w.value(f"{key}.{name}.{begin}", (*path, field), given, built, str(part.size)))
        if whole:
            parameter(x, values[0], of)
        else:
            declared.append(f"{declare} (constant)")
            assigned.extend(f"{python}{place}.{x} = {quantity(v.text, of)}" for place, v in zip(places, values, strict=True))
        return
    course = w.course(path, drive)
    declared.append(declare)
    table = f"{w.name('inputs', key)}_course"
    if course is not None:
        line = f"{table} = TimedArray(({course}) * {unit}, dt=dt_ms * ms)"
        before.append(f"# {key}: {drive.model}, held over each step\n{line}")
    held.extend(f'{python}{place}.run_regularly("{x} = {table}(t)", when="start")' for place in places)


def _noisy(w: Writing, path: Key, drive: Any, x: str, unit: str, python: str, places: list[str], declared: list[str],
           assigned: list[str], held: list[str], declare: str, conductance: bool) -> None:  # fmt: skip
    """White noise, new after each interval, and Ornstein-Uhlenbeck noise, exact on the grid."""
    for field in ("mean", "std", "tau", "sigma"):
        given = getattr(drive, field, None)
        if given is not None and not is_literal(given):
            w.refuse((*path, field), "noise that differs from target to target is not written for Brian2", "write one number")
            return
    if drive.correlation:
        w.refuse((*path, "correlation"), "correlated noise is not written for Brian2", "leave it out")
        return
    if drive.model == "white_noise" and drive.std is None:
        w.refuse((*path, "sigma"), "the strength of noise on a membrane is not written for Brian2", "give std, in pA")
        return
    mean = quantity(number(0.0 if drive.mean is None else plain(drive.mean)), "current").replace("pA", unit)
    std = quantity(number(plain(drive.std)), "current").replace("pA", unit)
    on = [f"int(t >= {number(drive.start)}*ms - dt / 2)"] if drive.start else []
    on += [f"int(t < {number(drive.stop)}*ms - dt / 2)"] if drive.stop is not None else []
    window = "".join(f" * {part}" for part in on)
    declared.append(declare)
    value = "fresh * int(fresh > 0*nS)" if conductance else "fresh"
    if drive.model == "white_noise":
        every = w.spec.dt if drive.every is None else drive.every
        line = f"fresh = {mean} + {std} * randn()\n{x} = {value}{window}"
        held.extend(f'{python}{place}.run_regularly("""{line}""", dt={number(every)} * ms, when="start")' for place in places)
        if drive.start and abs(drive.start / every - round(drive.start / every)) > 1e-9:
            message = "white noise that begins between two of its intervals is not written for Brian2"
            w.refuse((*path, "start"), message, "let start be a multiple of every")
        return
    state, tau = f"{x}_ou", quantity(number(drive.tau), "time")
    declared.append(f"{state} : {declare.split(': ')[1]}")
    next_ = f"{state} = exp(-dt / ({tau})) * {state} + {std} * sqrt(1 - exp(-2 * dt / ({tau}))) * randn()"
    for place in places:
        assigned.append(f'{python}{place}.{state} = "{std} * randn()"')
        lines = f"fresh = {mean} + {state}\n{x} = {value}{window}\n{next_}"
        held.append(f'{python}{place}.run_regularly("""{lines}""", when="start")')


def _input(w: Writing, name: str, entry: Any, groups: dict[str, Group]) -> str:
    """A Poisson train for each target, drawn step by step."""
    path: Key = ("inputs", name)
    if entry.correlation:
        w.refuse(
            (*path, "correlation"), "correlated trains are not written for Brian2", "leave it out, or use a poisson population"
        )
        return ""
    delay, found, offset = entry.delay, [], 0
    for index, part in enumerate(w.parts(entry.to)):
        channel = groups[part.population].channels.get(("inputs", name)) if part.population in groups else None
        begin, offset = offset, offset + part.size
        if channel is None:
            continue
        python = w.name("populations", part.population)
        place = python if part.size == w.sizes[part.population] else f"{python}[{part.start}:{part.stop}]"
        given = w.network.inputs[name].values[index] if w.network is not None else {}
        weight = w.value(f"{name}.{begin}.weight", (*path, "weight"), entry.weight, lambda g=given: g["weight"], str(part.size))
        unit = weight_dimension(entry)
        if weight.number is None:
            w.refuse((*path, "weight"), "weights of Poisson trains that differ from target to target are not written for Brian2",
                     "write one weight, or use a poisson population and a projection")  # fmt: skip
            continue
        if entry.course is not None:
            rate = _rate_course(w, path, entry.course, f"{w.name('inputs', name)}_rate", delay)
            if rate is None:
                return ""
            table, rate = rate
            found += [table] if table else []
        elif not is_literal(entry.rate):
            w.refuse((*path, "rate"), "rates of Poisson trains that differ from target to target are not written for Brian2",
                     "write one rate, or use a poisson population and a projection")  # fmt: skip
            continue
        else:
            rate = quantity(number(plain(entry.rate)), "rate")
        on = [f"int(t >= {number(entry.start + delay)}*ms - dt / 2)"] if entry.start + delay else []
        on += [f"int(t < {number(entry.stop + delay)}*ms - dt / 2)"] if entry.stop is not None else []
        line = " * ".join([f"{channel.enters} += {channel.scale}{quantity(weight.text, unit)}", f"poisson({rate} * dt)", *on])
        when = "after_groups" if channel.receptor.jumps else "synapses"
        found.append(f'{place}.run_regularly("{line}", when="{when}")')
    return f"# {name}\n" + "\n".join(found) + "\n" if found else ""


def _rate_course(w: Writing, path: Key, course: Any, table: str, delay: float) -> tuple[str, str] | None:
    """A line that makes a table of rates, if there is one, and the rate at a time."""
    if course.model == "sine":
        mean, amplitude, frequency = (quantity(number(x), "rate") for x in (course.mean, course.amplitude, course.frequency))
        at = "t + dt / 2" if not delay else f"t + dt / 2 - {number(delay)}*ms"
        return "", f"({mean} + {amplitude} * sin(2 * pi * {frequency} * ({at}) + {number(course.phase)}))"
    if course.model != "steps":
        w.refuse((*path, "course"), "rates of a file are not read by a script for Brian2", "write them as steps")
        return None
    rates = ", ".join(number(x) for x in (0.0, *course.rates))
    times = ", ".join(number(x + delay) for x in course.times)
    values = f"np.array([{rates}])[np.searchsorted([{times}], np.arange(steps) * dt_ms + dt_ms / 2)]"
    return f"{table} = TimedArray({values} * kHz, dt=dt_ms * ms)", f"{table}(t)"


def _source(w: Writing, name: str, entry: Any) -> str:
    """A population that spikes by itself. It fires in the step that ends at the stamp."""
    path: Key = ("populations", name)
    python = w.name("populations", name)
    about = f"# {name}: {entry.size:,} {entry.model} sources"
    found = common.trains(w, name, entry)
    if found is not None:
        made = f"{python} = SpikeGeneratorGroup({entry.size}, neurons, (stamps - 1) * dt_ms * ms, sorted=False)"
        return f"{about}\nneurons, stamps = {found}\n{made}\n"
    if entry.model != "poisson":
        return ""  # what its trains lack has been said
    table = ""
    if entry.course is not None:
        course = _rate_course(w, path, entry.course, f"{python}_rate", 0.0)
        if course is None:
            return ""
        table, rate = course
    else:
        built = lambda: w.network.populations[name].parameters["rate"]  # type: ignore[union-attr]  # noqa: E731
        value = w.value(f"{name}.rate", (*path, "rate"), entry.rate, built, str(entry.size))
        rate = quantity(value.text, "rate")
    windowed = entry.start or entry.stop is not None
    if not windowed and entry.course is None:
        return f"{about}\n{python} = PoissonGroup({entry.size}, {rate})\n"
    on = [f"int(t >= {number(entry.start)}*ms - dt / 2)"] if entry.start else []
    on += [f"int(t < {number(entry.stop)}*ms - dt / 2)"] if entry.stop is not None else []
    if entry.course is None:
        made = (
            f'{python} = NeuronGroup({entry.size}, "rate : hertz (constant)", threshold="rand() < rate * dt * {" * ".join(on)}")'
        )
        return f"{about}\n{made}\n{python}.rate = {rate}\n"
    return f'{about}\n{table}\n{python} = PoissonGroup({entry.size}, rates="{" * ".join([rate, *on])}")\n'.replace("\n\n", "\n")


# ---- synapses --------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """What runs of sources and targets a projection connects, with the first place of each in its selection."""

    pre: Part
    post: Part
    first_pre: int
    first_post: int


def _pairs(w: Writing, entry: Any) -> list[Pair]:
    found, a = [], 0
    for pre in w.parts(entry.pre):
        b = 0
        for post in w.parts(entry.post):
            found.append(Pair(pre, post, a, b))
            b += post.size
        a += pre.size
    return found


def _projection(w: Writing, name: str, entry: Any, groups: dict[str, Group]) -> str:
    path: Key = ("projections", name)
    pairs = _pairs(w, entry)
    drawn = _drawn(w, name, entry, path)
    if drawn is None:
        return ""
    listed, weight, delay = drawn  # text of "pre, post", or None where each pair of populations draws for itself
    lines = [f"# {name}: {entry.connect.rule}"]
    if listed is not None:
        lines.append(f"pre, post = {listed}")
    if weight.number is None and listed is not None:
        lines.append(f"weights = {weight.text}")
    if delay.number is None and listed is not None:
        lines.append(f"delays = {delay.text}")
    for pair in pairs:
        channel = groups[pair.post.population].channels.get(("projections", name)) if pair.post.population in groups else None
        if channel is None:
            if pair.post.population not in groups:
                w.refuse((*path, "post"), f"{pair.post.population} takes no spikes")
            return ""
        lines += _synapses(w, name, entry, path, pair, len(pairs), listed is not None, weight, delay, channel)
    return "\n".join(lines) + "\n"


def _drawn(w: Writing, name: str, entry: Any, path: Key) -> tuple[str | None, Value, Value] | None:
    """How edges are drawn: `pre, post` within the selections; weights and delays in ms."""
    if w.edges:
        return common.drawn_edges(w, name)
    ends, rule = connected(w.parts(entry.pre), w.parts(entry.post)), entry.connect
    found = [_per_edge(w, (*path, field), getattr(entry, field)) for field in ("weight", "delay")]
    single = len(w.parts(entry.pre)) == 1 and len(w.parts(entry.post)) == 1
    if getattr(rule, "symmetric", False):
        w.refuse((*path, "connect", "symmetric"), "symmetric graphs are not drawn by a script for Brian2", EDGES)
    listed = None
    if rule.rule not in ("all_to_all", "fixed_prob") and not (rule.rule == "one_to_one" and single):
        listed = common.listed_rule(w, entry, ends, path)
        if listed is None:
            w.refuse((*path, "connect", "rule"), f"the rule {rule.rule} has no counterpart in Brian2", EDGES)
            return None
    n = "len(pre)" if listed is not None else "{n}"
    return listed, *(Value(v.text.replace("{n}", n), v.number) for v in found)  # type: ignore[return-value]


def _per_edge(w: Writing, path: Key, given: Any) -> Value:
    if given is None:
        w.refuse(path[:-1], "weights of a file of edges are not read by a script for Brian2", EDGES)
        return Value("0", 0.0)
    if is_literal(given):
        return Value(number(plain(given)), float(plain(given)))
    law = law_of(given)
    if law is None:
        w.refuse(path, f"a {path[-1]} that depends on the distance, or on a file, is not drawn by a script for Brian2", EDGES)
        return Value("0", 0.0)
    return Value(w.law(law, "{n}"))


def _synapses(w: Writing, name: str, entry: Any, path: Key, pair: Pair, count: int, listed: bool, weight: Value, delay: Value,
              channel: Channel) -> list[str]:  # fmt: skip
    """The Synapses between two runs of neurons."""
    label = name if count == 1 else f"{name}_{pair.pre.population}_{pair.post.population}"
    if count > 1 and ("synapses", label) in w.names:
        label += f"_{pair.first_pre}_{pair.first_post}"
    python = w.name("synapses", label)
    source, goal = (_place(w, part) for part in (pair.pre, pair.post))
    of = weight_dimension(entry)
    jumps = channel.receptor.jumps
    constant = weight.number is not None and entry.stdp is None
    model, namespace = [], {}
    if constant:
        namespace["weight"] = quantity(weight.text, of)
    else:
        model.append(f"weight : {_DECLARED[of]}")
    sent = "weight"
    before, after = "", ""
    if entry.stp is not None:
        before, sent, after = _stp(w, path, entry.stp, model, namespace)
    acts = f"{channel.enters}_post += {channel.scale}{sent}"
    pre = f"{before}{acts}{after}"
    arguments = [source, goal]
    dt = w.spec.dt

    def shifted(value: float) -> float:
        """A delta synapse acts in the slot before the threshold, a step later than it would."""
        return max(value - dt, 0.0) if jumps else value

    late = "np.maximum(np.floor({d} / dt_ms + 0.5){shift}, 0) * dt_ms * ms"
    lines = []
    if entry.stdp is not None:
        made = _plastic(w, path, entry, of, model, namespace, acts, delay)
        if made is None:
            return []
        pathways, post = made
        arguments += [f'"""{chr(10).join(model)}"""', f"on_pre={pathways}", f"on_post={post}"]
    else:
        arguments += [f'"""{chr(10).join(model)}"""'] if model else []
        arguments += [f'on_pre="{pre}"' if "\n" not in pre else f'on_pre="""{pre}"""']
    if delay.number is not None and entry.stdp is None and shifted(delay.number):
        arguments.append(f"delay={number(round(shifted(delay.number), 9))} * ms")
    if namespace:
        arguments.append(f"namespace={{{', '.join(f'{key!r}: {value}' for key, value in namespace.items())}}}".replace("'", '"'))
    lines.append(f"{python} = Synapses({', '.join(arguments)})")
    here = ""
    if not listed:
        lines.append(f"{python}.connect({_condition(entry.connect, pair)})")
    else:
        i, j = "pre", "post"
        if count > 1:
            sides = (("pre", pair.first_pre, pair.pre, entry.pre), ("post", pair.first_post, pair.post, entry.post))
            tests = [
                f"({side} >= {first}) & ({side} < {first + part.size})"
                for side, first, part, selection in sides
                if len(w.parts(selection)) > 1
            ]
            lines.append(f"here = {' & '.join(tests)}")
            here = "[here]"
        i, j = (f"{k}{here}{f' - {first}' if first else ''}" for k, first in (("pre", pair.first_pre), ("post", pair.first_post)))
        lines.append(f"{python}.connect(i={i}, j={j})")
    if not constant:
        value = (
            weight.text
            if weight.number is not None
            else f"weights{here}"
            if listed
            else weight.text.replace("{n}", f"len({python})")
        )
        lines.append(f"{python}.weight = {quantity(value, of)}")
    if jumps:
        lines.append(f'{python}.{"acts" if entry.stdp is not None else "pre"}.when = "after_groups"')
    if entry.stdp is not None:
        lines += _ordered(entry, python, delay, dt, jumps)
        if delay.number is None:
            w.refuse((*path, "delay"), "delays of plastic synapses that differ are not written for Brian2", "write one delay")
    if entry.stp is not None:
        lines.append(f"{python}.x_s = {number(plain(entry.stp.x))}")
        if "tau_f" in namespace and plain(entry.stp.u):
            lines.append(f"{python}.u_s = {number(plain(entry.stp.u))}")
    if entry.stdp is None and delay.number is None:
        value = f"delays{here}" if listed else delay.text.replace("{n}", f"len({python})")
        lines.append(f"{python}.delay = {late.format(d=value, shift=' - 1' if jumps else '')}")
    return lines


def _place(w: Writing, part: Part) -> str:
    python = w.name("populations", part.population)
    return python if part.size == w.sizes[part.population] else f"{python}[{part.start}:{part.stop}]"


def _condition(rule: Any, pair: Pair) -> str:
    """The arguments of `connect` for Brian2's own rules."""
    same = pair.pre.population == pair.post.population
    shift = pair.pre.start - pair.post.start
    apart = '"i != j"' if not shift else f'"i + {shift} != j"' if shift > 0 else f'"i != j + {-shift}"'
    alone = [f"condition={apart}"] if same and not rule.autapses else []
    if rule.rule == "one_to_one":
        return 'j="i"' if not alone else 'j="i", skip_if_invalid=True'
    if rule.rule == "fixed_prob":
        return ", ".join([*alone, f"p={number(rule.p)}"])
    return ", ".join(alone)


def _stp(w: Writing, path: Key, rule: Any, model: list[str], namespace: dict[str, str]) -> tuple[str, str, str]:
    """Statements before, what is sent, and statements after."""
    for field in type(rule).model_fields:
        value = getattr(rule, field)
        if field != "model" and not is_literal(value):
            w.refuse((*path, "stp", field), "parameters of short-term plasticity that differ are not written for Brian2",
                     "write one number")  # fmt: skip
    numbers = {f: plain(getattr(rule, f)) for f in type(rule).model_fields if f != "model" and is_literal(getattr(rule, f))}
    namespace |= {"U": number(numbers["U"]), "tau_d": quantity(number(numbers["tau_d"]), "time")}
    model.append("dx_s/dt = (1 - x_s) / tau_d : 1 (event-driven)")
    if rule.model == "std":
        return "", "weight * x_s", "\nx_s -= U * x_s"
    if numbers["tau_f"] == 0:
        return "", "U * x_s * weight", "\nx_s -= U * x_s"
    namespace["tau_f"] = quantity(number(numbers["tau_f"]), "time")
    model.append("du_s/dt = -u_s / tau_f : 1 (event-driven)")
    return "u_s += U * (1 - u_s)\n", "u_s * x_s * weight", "\nx_s -= u_s * x_s"


def _plastic(w: Writing, path: Key, entry: Any, of: str, model: list[str], namespace: dict[str, str], acts: str,
             delay: Value) -> tuple[str, str] | None:  # fmt: skip
    """Pathways of plastic synapses: they see spikes, raise traces afterwards, and act with the weight that was left behind."""
    rule = entry.stdp
    if entry.stp is not None:
        w.refuse((*path, "stp"), "plasticity of both kinds at once is not written for Brian2", "leave out one")
        return None
    if rule.model == "triplet":
        w.refuse(
            (*path, "stdp", "model"),
            "triplet plasticity is not written for Brian2",
            "pair, nearest, power, song2000 and vogels2011 are",
        )
        return None
    c = stdp.MODELS[rule.model].coefficients(rule)
    least, most = (quantity(number(x), of) for x in (c.least, c.least + c.range))
    rng = quantity(number(c.range), of)
    model += ["sent : " + _DECLARED[of], "dr/dt = -r / tau_r : 1 (event-driven)", "do/dt = -o / tau_o : 1 (event-driven)"]
    namespace |= {"tau_r": quantity(number(c.source_tau[0]), "time"), "tau_o": quantity(number(c.target_tau[0]), "time"),
                  "w_min": least, "w_max": most}  # fmt: skip
    y = f"((weight - w_min) / ({rng}))"
    up = "" if c.mu_up == 0 else f" * {y}**{number(c.mu_up)}" if c.grows else f" * (1 - {y})**{number(c.mu_up)}"
    down = "" if c.mu_down == 0 else f" * {y}**{number(c.mu_down)}"
    amount = lambda x: quantity(number(x * c.range), of)  # noqa: E731
    raised = " = 1" if c.nearest else " += 1"
    change = f"({number(c.down_pair)} * o + {number(c.down_always)})" if c.down_always else f"{number(c.down_pair)} * o"
    change = change.replace("1 * o", "o")
    learns = f"weight = clip(weight - {amount(c.down)} * {change}{down}, w_min, w_max)\nsent = weight"
    grows = f"weight = clip(weight + {amount(c.up)} * r{up}, w_min, w_max)"
    pre = f'{{"sees": """{learns}""", "raises": "r{raised}", "acts": "{_sent(acts)}"}}'
    post = f'{{"grows": "{grows}", "lifts": "o{raised}"}}'
    return pre, post


def _sent(acts: str) -> str:
    head, _, tail = acts.rpartition("weight")
    return f"{head}sent{tail}"


def _ordered(entry: Any, python: str, delay: Value, dt: float, jumps: bool) -> list[str]:
    """Where the delay is, and the order within a step: the target first, and neither sees the trace of the other."""
    d = delay.number or 0.0
    act = max(d - dt, 0.0) if jumps else d
    late = ("sees", "raises", "acts") if entry.stdp.delay == "axon" else ("acts", "grows", "lifts")
    found = [
        f"{python}.{name}.order = {order}"
        for name, order in (("grows", -3), ("sees", -2), ("raises", -1), ("lifts", -1), ("acts", 1))
    ]
    return found + [f"{python}.{name}.delay = {number(round(act if name == 'acts' else d, 9))} * ms" for name in late if d]


# ---- monitors --------------------------------------------------------------------------------------------------------


def _monitors(w: Writing, kept: list[str], windows: dict[str, tuple[float, float]], groups: dict[str, Group]) -> tuple[str, str]:
    """The lines that make monitors and run, and those that take what they have."""
    lines, after, saved = [], [], ["spikes = {"]
    for name in kept:
        monitor, python = w.name("spikes", f"{name}_spikes"), w.name("populations", name)
        lines.append(f"{monitor} = SpikeMonitor({python})")
        if name in windows:
            w.helpers["within"] = common.WITHIN
            steps = ", ".join(str(round(time / w.spec.dt)) for time in windows[name])
            stamps = f"np.round(np.asarray({monitor}.t / ms) / dt_ms + 1)"
            after.append(f"{python}_kept = within(np.asarray({monitor}.i), {stamps}, {steps})")
            saved += [f'    "{name}.times": {python}_kept[1] * dt_ms,', f'    "{name}.neurons": {python}_kept[0],']
            continue
        saved.append(f'    "{name}.times": np.round(np.asarray({monitor}.t / ms) / dt_ms + 1) * dt_ms,')
        saved.append(f'    "{name}.neurons": np.asarray({monitor}.i),')
    every_monitor: dict[str, Any] = dict(w.spec.monitors)
    for name, entry in every_monitor.items():
        if entry.model not in ("state",):
            if entry.model not in ("spikes", "rate"):
                w.warn(("monitors", name), f"a monitor of model {entry.model} is left out", "")
            continue
        for part in w.parts(entry.of):
            if part.population not in groups:
                continue
            known = {v.name for v in common.model_of(w.spec.populations[part.population]).variables}
            wanted = [x for x in entry.variables if x in known]
            if left := [x for x in entry.variables if x not in known]:
                w.warn(("monitors", name), f"{', '.join(left)} is not recorded: only variables of the neurons are", "")
            if not wanted:
                continue
            monitor, python = w.name("states", f"{name}_{part.population}"), w.name("populations", part.population)
            every = w.spec.dt if entry.every is None else entry.every
            first, each = round(entry.start / w.spec.dt), round(every / w.spec.dt)
            last = round((w.spec.duration if entry.stop is None else entry.stop) / w.spec.dt)
            window = f"[{first // each}:{-(-last // each)}]" if entry.start or entry.stop is not None else ""
            if first % each:  # Brian2's samples begin at 0
                every, window = w.spec.dt, f"[{first}:{last}:{each}]"
            texts = ", ".join(f'"{_named(x)}"' for x in wanted)
            lines.append(f"{monitor} = StateMonitor({python}, [{texts}], record=np.arange({part.start}, {part.stop}), "
                         f'dt={number(every)} * ms, when="start")')  # fmt: skip
            dims = {v.name: v.dimension for v in common.model_of(w.spec.populations[part.population]).variables}
            for x in wanted:
                saved.append(
                    f'    "{name}.{part.population}.{x}": np.asarray({monitor}.{_named(x)} / {unit_of(dims[x])}).T{window},'
                )
    lines += ["run(steps * dt_ms * ms)\n", *([*after, ""] if after else [])]
    return "\n".join(lines), "\n".join([*saved, "}"])
