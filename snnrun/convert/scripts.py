"""What scripts for other simulators share: values as Python, expressions in another language, what is kept of a run.

A script either lets its simulator draw the neurons and synapses, by rules of the same statistics, or reads what snnrun has drawn
from a file beside it: `drawn["exc.pre"]`. Numbers are in the units ms, mV, pA, nS, pF, GOhm and kHz.
"""

import keyword
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snnrun import network, units
from snnrun.check import Loaded, selection_sizes
from snnrun.document import Fault, Key, SpecError
from snnrun.language.expression import Call, Comparison, Literal, Logic, Minus, Name, Node, Not, Power, Product, Sum, names
from snnrun.language.walk import evaluate
from snnrun.models import connect, described, monitors, neurons
from snnrun.models.described import CURRENT, Model
from snnrun.quantities import Law, is_literal, law_of, plain
from snnrun.receptors import given_at_first
from snnrun.selections import Part, parts
from snnrun.spec import Spec

EDGES = "use --edges, which writes what snnrun draws beside the script"


class Value(NamedTuple):
    """A number, or one for each of several neurons or synapses, as Python."""

    text: str
    number: float | None = None  # None: an array


class Script(NamedTuple):
    """What is written: the text, and arrays that it reads from a file beside it."""

    text: str
    drawn: dict[str, Any]
    warnings: list[Fault]


class Writing:
    """What is known, and what comes up, while a script is written. `network` is there where snnrun draws."""

    def __init__(self, loaded: Loaded, simulator: str, reserved: Iterable[str], edges: bool) -> None:
        self.spec, self.document, self.simulator, self.edges = loaded.spec, loaded.document, simulator, edges
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.drawn: dict[str, Any] = {}
        self.helpers: dict[str, str] = {}  # functions of the script by name
        self.setup: list[str] = []  # lines that come before all others that name the simulator
        self.names: dict[tuple[str, str], str] = {}
        self._taken = {*reserved, *keyword.kwlist, *_COMMON}
        self.network = _built(loaded) if edges else None
        self.sizes = selection_sizes(self.spec)
        for section, name, entry in self.spec.feeding:
            if given_at_first(entry):
                message = f"what synapses hold at t = 0 is not written for {simulator}"
                self.refuse((section, name, "init"), message, "remove init")

    def refuse(self, path: Key, message: str, hint: str = "") -> None:
        fault = Fault(path, message, hint)
        if fault not in self.faults:
            self.faults.append(fault)

    def warn(self, path: Key, message: str, hint: str = "") -> None:
        fault = Fault(path, message, hint)
        if fault not in self.warnings:
            self.warnings.append(fault)

    def name(self, section: str, name: str) -> str:
        """The name in the script of a part of the network."""
        key = (section, name)
        if key not in self.names:
            found = wanted = safe(name)
            number = 2
            while found in self._taken:
                found, number = f"{wanted}_{number}", number + 1
            self._taken.add(found)
            self.names[key] = found
        return self.names[key]

    def parts(self, selection: tuple[str, ...]) -> list[Part]:
        found = parts(selection, self.sizes)
        for part in found:
            if not part.dense:
                said = f"selections of {part.population} that are no run of neurons are not written for {self.simulator}"
                self.refuse(("populations", part.population), said, "select neurons that follow each other, like N[:50]")
        return found

    def value(self, key: str, path: Key, given: Any, built: Callable[[], Any], n: str, whole: bool = False) -> Value:
        """A parameter: a literal, what is drawn in the script, or what snnrun has drawn. `whole`: drawn times are whole steps."""
        if is_literal(given):
            return Value(number(plain(given)), float(plain(given)))
        if self.edges:
            self.drawn[key] = np.asarray(built(), np.float64)
            return Value(f'drawn["{key}"]')
        law = law_of(given)
        if law is None:
            self.refuse(path, f"a column of a file is not read by a script for {self.simulator}", EDGES)
            return Value("0.0")
        text = self.law(law, n)
        return Value(f"np.floor({text} / dt_ms + 0.5) * dt_ms" if whole else text)

    def law(self, law: Law, n: str) -> str:
        """n numbers of a distribution."""
        bounds = law.redraw or law.clip
        if law.redraw is not None:
            self.helpers["redraw"] = _REDRAW
            text = f"redraw(lambda n: {sampled(law, 'n')}, {n}, {number(law.redraw[0])}, {number(law.redraw[1])})"
        else:
            text = sampled(law, n)
        return text if bounds is None or law.redraw is not None else f"np.clip({text}, {number(bounds[0])}, {number(bounds[1])})"

    def course(self, path: Key, entry: Any) -> str | None:
        """Values of an input at the beginning of each step, of `moments` in ms; None where it has no one course for all."""
        one = next(
            (getattr(entry, f, None) for f in ("current", "conductance", "amplitude", "initial") if hasattr(entry, f)), 0.0
        )
        values = {name: getattr(entry, name, None) for name in type(entry).model_fields}
        for name, value in values.items():
            if law_of(value) is not None or hasattr(value, "column"):
                self.refuse((*path, name), f"values of targets that differ and go in time are not written for {self.simulator}",
                            "give all targets one value")  # fmt: skip
                return None
        self.helpers["moments"] = "\nmoments = np.arange(steps) * dt_ms      # beginnings of steps\n"
        text = COURSES[entry.model](entry, one)
        start, stop = entry.start, values.get("stop")
        window = [f"moments >= {number(start)} - dt_ms / 2"] if start else []
        window += [f"moments < {number(stop)} - dt_ms / 2"] if stop is not None else []
        return f"({text}) * ({' & '.join(f'({w})' for w in window)})" if window else text

    def finish(self, text: str) -> Script:
        if self.faults:
            raise SpecError(self.faults, self.document)
        return Script(text, self.drawn, self.warnings)


_COMMON = (
    "np", "rng", "dt_ms", "steps", "drawn", "spikes", "sys", "out", "Path", "moments", "times", "neurons", "nest", "pre",
    "post", "i", "j", "redraw", "plt", "name", "states", "duration", "picture", "figure", "axes", "x", "self", "here",
)  # fmt: skip


def _built(loaded: Loaded) -> network.Network:
    try:
        return network.build(loaded.spec, loaded.document.folder)
    except SpecError as error:
        raise SpecError(error.faults, loaded.document) from None


def edges_of(w: Writing, name: str) -> connect.Edges:
    """The edges of a projection that snnrun draws."""
    assert w.network is not None
    try:
        return connect.collect(w.network.projections[name].connectivity)
    except SpecError as error:
        raise SpecError(error.faults, w.document) from None


# ---- values ----------------------------------------------------------------------------------------------------------


def safe(name: str) -> str:
    """A name of the file as one of Python."""
    return re.sub(r"\W", "_", name)


def number(value: float) -> str:
    """A number as Python: the shortest text that reads as the same."""
    if value == math.inf or value == -math.inf:
        return "np.inf" if value > 0 else "-np.inf"
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") and len(text) < 12 else text


def sampled(law: Law, n: str) -> str:
    """n numbers of a distribution without bounds, by numpy."""
    a, b = law.first, law.second
    if law.kind == "lognormal":
        variance = math.log1p((b / a) ** 2)
        a, b = math.log(a) - variance / 2, math.sqrt(variance)
    if law.kind == "gamma":
        a, b = (a / b) ** 2, b * b / a
    texts = [number(a)] if law.kind == "exponential" else [number(a), number(b)]
    return f"rng.{law.kind}({', '.join([*texts, n])})"


_REDRAW = '''
def redraw(draw, n, low, high):
    """n numbers between low and high: what lies outside is drawn again."""
    x = draw(n)
    while (outside := (x < low) | (x > high)).any():
        x[outside] = draw(np.count_nonzero(outside))
    return x
'''


def _steps_course(entry: Any, one: Any) -> str:
    values = [0.0, *(plain(value) for value in entry.values)]
    times = ", ".join(number(time) for time in entry.times)
    return f"np.array([{', '.join(map(number, values))}])[np.searchsorted([{times}], moments + dt_ms / 2)]"


def _pulses_course(entry: Any, one: Any) -> str:
    amplitude, width = number(plain(entry.amplitude)), number(entry.width)
    if entry.times is not None:
        begun = " | ".join(
            f"((moments > {number(s)} - dt_ms / 2) & (moments < {number(s + entry.width)} - dt_ms / 2))" for s in entry.times
        )
        return f"{amplitude} * ({begun})"
    since = f"(moments - {number(entry.start)} + dt_ms / 2)"
    count = "" if entry.number is None else f" & ({since} // {number(entry.period)} < {entry.number})"
    return f"{amplitude} * (({since} >= 0) & ({since} % {number(entry.period)} < {width}){count})"


def _sine_course(entry: Any, one: Any) -> str:
    mean = "" if entry.mean is None else f"{number(plain(entry.mean))} + "
    amplitude, frequency, phase = (number(plain(x)) for x in (entry.amplitude, entry.frequency, entry.phase))
    return f"{mean}{amplitude} * np.sin(2 * np.pi * {frequency} * moments + {phase})"


def _ramp_course(entry: Any, one: Any) -> str:
    low, high, start, stop = plain(entry.initial), plain(entry.final), entry.start, entry.stop
    return f"{number(low)} + {number((high - low) / (stop - start))} * (moments - {number(start)})"


COURSES: dict[str, Callable[[Any, Any], str]] = {
    "constant": lambda entry, one: f"{number(plain(one))} + 0 * moments",
    "steps": _steps_course,
    "pulses": _pulses_course,
    "sine": _sine_course,
    "ramp": _ramp_course,
}


# ---- trains of sources -----------------------------------------------------------------------------------------------


def trains(w: Writing, name: str, entry: Any) -> str | None:
    """Neurons and stamps in steps of a source with given or renewal spikes, as an assignment to `neurons, stamps`."""
    path: Key = ("populations", name)

    def built(field: str) -> Any:
        assert w.network is not None
        return w.network.populations[name].parameters[field]

    stop = "steps" if entry.stop is None else number(round(entry.stop / w.spec.dt))
    first = round(entry.start / w.spec.dt)
    if entry.model == "spike_times":
        if not isinstance(entry.times, tuple) or w.edges and w.network is not None:
            if w.network is None:
                w.refuse((*path, "times"), f"spikes of a file are not read by a script for {w.simulator}", EDGES)
                return None
            found = w.network.populations[name].parameters["times"]
            w.drawn[f"{name}.neurons"], w.drawn[f"{name}.stamps"] = found.neuron, found.stamp
            given = f'drawn["{name}.neurons"], drawn["{name}.stamps"]'
        else:
            stamps = ", ".join(str(round(time / w.spec.dt)) for time in entry.times)
            given = f"np.repeat(np.arange({entry.size}), {len(entry.times)}), np.tile([{stamps}], {entry.size})"
        w.helpers["given"] = _GIVEN
        period = "None" if entry.period is None else str(round(entry.period / w.spec.dt))
        return f"given({given}, {period}, {first}, {stop})"
    if entry.model == "regular":
        period, phase = (
            w.value(f"{name}.{f}", (*path, f), getattr(entry, f), lambda f=f: built(f), str(entry.size)).text
            for f in ("period", "phase")
        )
        w.helpers["regular"] = _REGULAR
        return f"regular({entry.size}, {period}, {phase}, {first}, {stop})"
    if entry.model == "gamma":
        rate = w.value(f"{name}.rate", (*path, "rate"), entry.rate, lambda: built("rate"), str(entry.size)).text
        w.helpers["renewal"] = _RENEWAL
        return f"renewal({entry.size}, {rate}, {number(entry.shape)}, {entry.begin == 'stationary'}, {first}, {stop})"
    return None


_GIVEN = '''
def given(neurons, stamps, period, first, stop):
    """Given spikes in steps, again and again after each period."""
    if period is not None:
        again = np.arange(steps // period + 1)
        neurons, stamps = np.tile(neurons, len(again)), (again[:, None] * period + stamps).ravel()
    kept = (stamps > first) & (stamps <= min(stop, steps))
    return neurons[kept], stamps[kept]
'''

_REGULAR = '''
def regular(size, period, phase, first, stop):
    """Spikes at phase + n period, each in the nearest step."""
    period, phase = np.broadcast_to(period, size), np.broadcast_to(phase, size)
    n = np.arange(int(steps * dt_ms / period.min()) + 2)
    stamps = np.floor((phase[:, None] + n * period[:, None]) / dt_ms + 0.5).astype(int).ravel()
    neurons = np.repeat(np.arange(size), len(n))
    kept = (stamps >= 1) & (stamps > first) & (stamps <= min(stop, steps))
    return neurons[kept], stamps[kept]
'''

_RENEWAL = '''
def renewal(size, rate, shape, stationary, first, stop):
    """Spikes with gamma distributed intervals; a stationary process begins within an interval."""
    rate, trains = np.broadcast_to(rate, size), []
    for neuron in range(size):
        scale, end = 1 / (shape * rate[neuron]), (min(stop, steps) - first) * dt_ms
        n = int(end * rate[neuron] + 10 * np.sqrt(end * rate[neuron] + 1) + 50)
        begin = rng.uniform() * rng.gamma(shape + 1, scale) if stationary else rng.gamma(shape, scale)
        times = begin + np.concatenate([[0], np.cumsum(rng.gamma(shape, scale, n))])
        stamps = np.unique(np.floor(times[times < end] / dt_ms).astype(int) + 1 + first)
        trains.append((np.full(len(stamps), neuron), stamps))
    return np.concatenate([a for a, _ in trains]), np.concatenate([b for _, b in trains])
'''


# ---- expressions in another language ---------------------------------------------------------------------------------


class Dialect(NamedTuple):
    """How another language writes what ours says."""

    literal: Callable[[float, str], str]
    functions: Mapping[str, Callable[..., str]]  # texts of arguments -> text
    name: Callable[[str], str]


def plain_python(w: Writing, texts: Mapping[str, str]) -> Dialect:
    """Numbers in internal units, names by their texts, and functions of numpy, or those of a few lines in the script."""
    functions: dict[str, Callable[..., str]] = {
        name: lambda x, name=name: f"np.{name}({x})" for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "cosh")
    }

    def exprel(x: str) -> str:
        w.helpers["exprel"] = _EXPREL
        return f"exprel({x})"

    functions |= {
        "exprel": exprel,
        "sigmoid": lambda x: f"(1 / (1 + np.exp(-({x}))))",
        "min": lambda *of: reduce(lambda a, b: f"np.minimum({a}, {b})", of),
        "max": lambda *of: reduce(lambda a, b: f"np.maximum({a}, {b})", of),
        "clip": lambda x, low, high: f"np.clip({x}, {low}, {high})",
        "where": lambda condition, a, b: f"np.where({condition}, {a}, {b})",
    }
    return Dialect(lambda value, dimension: number(value), functions, lambda name: texts[name])


_EXPREL = '''
def exprel(x):
    """(e^x - 1) / x, and 1 at 0."""
    return np.where(x == 0, 1, np.expm1(x) / np.where(x == 0, 1, x))
'''


def written(node: Node, dialect: Dialect, least: int = 0) -> str:
    """An expression in another language, in brackets where it binds less tightly than `least`."""
    level, text = _written(node, dialect)
    return f"({text})" if level < least else text


def _written(node: Node, d: Dialect) -> tuple[int, str]:
    match node:
        case Literal(value, dimension):
            text = d.literal(value, dimension)
            return (9 if re.fullmatch(r"[\w.]+|\(.*\)", text) else 6), text
        case Name(name):
            return 9, d.name(name)
        case Sum(terms, minus):
            text = written(terms[0], d, 5)
            for term, sign in zip(terms[1:], minus[1:], strict=True):
                text += f" {'-' if sign else '+'} {written(term, d, 6)}"
            return 5, text
        case Product(factors, divides):
            text = written(factors[0], d, 6)
            for factor, divided in zip(factors[1:], divides[1:], strict=True):
                text += f" {'/' if divided else '*'} {written(factor, d, 7)}"
            return 6, text
        case Minus(operand):
            return 6, f"-{written(operand, d, 7)}"
        case Power(base, exponent):
            return 8, f"{written(base, d, 9)}**{written(exponent, d, 9)}"
        case Comparison(relation, left, right):
            return 4, f"{written(left, d, 5)} {relation} {written(right, d, 5)}"
        case Logic(word, operands):
            return (1 if word == "or" else 2), f" {word} ".join(written(part, d, 3) for part in operands)
        case Not(operand):
            return 3, f"not {written(operand, d, 4)}"
        case Call(function, arguments):
            return 9, d.functions[function](*(written(part, d) for part in arguments))
    raise AssertionError(node)


def inlined(node: Node, by: Mapping[str, Node]) -> Node:
    """A tree with names replaced by trees, again and again."""
    match node:
        case Name(name):
            return inlined(by[name], {k: v for k, v in by.items() if k != name}) if name in by else node
        case Sum(terms, minus):
            return Sum(tuple(inlined(x, by) for x in terms), minus)
        case Product(factors, divides):
            return Product(tuple(inlined(x, by) for x in factors), divides)
        case Minus(operand):
            return Minus(inlined(operand, by))
        case Power(base, exponent):
            return Power(inlined(base, by), inlined(exponent, by))
        case Call(function, arguments):
            return Call(function, tuple(inlined(x, by) for x in arguments))
        case Comparison(relation, left, right):
            return Comparison(relation, inlined(left, by), inlined(right, by))
        case Logic(word, operands):
            return Logic(word, tuple(inlined(x, by) for x in operands))
        case Not(operand):
            return Not(inlined(operand, by))
    return node


def simplified(node: Node) -> Node:
    """A tree without terms that are 0, factors that are 1, and two signs in a row."""
    match node:
        case Sum(terms, minus):
            kept: list[tuple[Node, bool]] = []
            for term, sign in zip(map(simplified, terms), minus, strict=True):
                if isinstance(term, Minus):
                    term, sign = term.operand, not sign
                if not _is(term, 0.0):
                    kept.append((term, sign))
            kept.sort(key=lambda part: part[1])
            values = [value for value, _ in kept]
            if all(isinstance(value, Literal) for value in values) and values:
                total = sum(-v.value if sign else v.value for v, sign in kept)  # type: ignore[union-attr]
                return Literal(total, values[0].dimension)  # type: ignore[union-attr]
            if not kept:
                return simplified(terms[0])
            if kept[0][1]:
                inner = values[0] if len(kept) == 1 else Sum(tuple(values), (False,) * len(values))
                return Minus(inner)
            return values[0] if len(kept) == 1 else Sum(tuple(values), tuple(sign for _, sign in kept))
        case Product(factors, divides):
            parts = [(simplified(factor), divided) for factor, divided in zip(factors, divides, strict=True)]
            if any(_is(factor, 0.0) and not divided for factor, divided in parts):
                return Literal(0.0)
            first, *others = parts
            left = [first, *(part for part in others if not (isinstance(part[0], Literal) and part[0] == Literal(1.0)))]
            if len(left) > 1 and left[0][0] == Literal(1.0) and not left[1][1]:
                left = left[1:]
            return left[0][0] if len(left) == 1 else Product(tuple(f for f, _ in left), tuple(d for _, d in left))
        case Minus(operand):
            inner = simplified(operand)
            return inner.operand if isinstance(inner, Minus) else inner if _is(inner, 0.0) else Minus(inner)
        case Call(function, arguments):
            return Call(function, tuple(map(simplified, arguments)))
    return node


def _is(node: Node, value: float) -> bool:
    return isinstance(node, Literal) and node.value == value


# ---- neurons and synapses -------------------------------------------------------------------------------------------


def rows(texts: list[str], longest: int = 90) -> list[list[str]]:
    """Texts in lines."""
    rows: list[list[str]] = [[]]
    for text in texts:
        if rows[-1] and sum(map(len, rows[-1])) + len(text) > longest:
            rows.append([])
        rows[-1].append(text)
    return rows


def model_of(entry: Any) -> Model:
    """The equations of a population: those of lif stand beside its own code."""
    part: Any = neurons.of(entry)
    return part.model if part.described else neurons.description(entry.model)


def parameters(w: Writing, name: str, entry: Any) -> dict[str, Value]:
    """Parameters by name, with those that others stand in for."""
    path, model = ("populations", name), model_of(entry)
    found: dict[str, Value] = {}
    for p in model.parameters:
        given = getattr(entry, p.name, None)
        if given is None:
            if p.default is not None or p.name == "noise":
                found[p.name] = Value(number(p.default or 0.0), p.default or 0.0)
            continue
        timed = p.name == model.refractory

        def built(p: Any = p, timed: bool = timed) -> Any:
            return w.network.populations[name].parameters[p.name] * (w.spec.dt if timed else 1.0)  # type: ignore[union-attr]

        found[p.name] = w.value(f"{name}.{p.name}", (*path, p.name), given, built, str(entry.size), whole=timed)
    for p in model.parameters:
        if p.gives is not None and p.name in found:
            target, node = p.gives
            if all(found[x].number is not None for x in names(node)):
                complete = described.complete(model, {x: value.number for x, value in found.items()})
                found[target] = Value(number(float(complete[target])), float(complete[target]))
            else:
                texts = {x: f"({found[x].text})" for x in names(node)}
                found[target] = Value(written(node, plain_python(w, texts)))
                if not w.edges:
                    w.refuse(
                        (*path, p.name), f"a drawn {' or '.join(texts)} from which {target} follows is not drawn twice", EDGES
                    )
    return found


_RULES = {
    "fixed_indegree": '''
def fixed_indegree(n, n_pre, n_post, multapses=True, own=None):
    """n sources for each target: pre and post. `own` says which source a target is itself, and must not have; -1: none."""
    post = np.repeat(np.arange(n_post), n)
    own = np.full(n_post, -1) if own is None else own
    there = n_pre - (own >= 0)
    if multapses:
        pre = rng.integers(0, there[post])
    else:
        pre = np.concatenate([rng.choice(k, n, replace=False) for k in there])
    return pre + ((own[post] >= 0) & (pre >= own[post])), post
''',
    "fixed_total": '''
def fixed_total(n, n_pre, n_post, multapses=True):
    """n pairs: pre and post."""
    pair = rng.integers(0, n_pre * n_post, n) if multapses else rng.choice(n_pre * n_post, n, replace=False)
    return pair // n_post, pair % n_post
''',
    "pairwise_poisson": '''
def pairwise_poisson(mean, n_pre, n_post):
    """Every pair as often as a Poisson number says: pre and post."""
    pair = rng.integers(0, n_pre * n_post, rng.poisson(mean * n_pre * n_post))
    return pair // n_post, pair % n_post
''',
    "blocks": '''
def blocks(p, pre_groups, post_groups, own=None):
    """Every pair with the probability of its block: pre and post. `own`: which source each target is, if any."""
    row, column = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (pre_groups, post_groups))
    made = [np.flatnonzero(rng.random(len(column)) < np.asarray(p)[r, column]) for r in row]
    pre, post = np.repeat(np.arange(len(row)), [len(m) for m in made]), np.concatenate(made)
    kept = slice(None) if own is None else own[post] != pre
    return pre[kept], post[kept]
''',
}


def drawn_edges(w: Writing, name: str) -> tuple[str, Value, Value]:
    """The edges of a projection that snnrun draws, put into the file beside: `pre, post`, weights, and delays in ms."""
    edges = edges_of(w, name)
    w.drawn[f"{name}.pre"], w.drawn[f"{name}.post"] = edges.pre, edges.post
    values = []
    for key, value, by in (("weight", edges.weight, 1.0), ("delay", edges.delay, w.spec.dt)):
        value = np.asarray(value, np.float64) * by
        if value.ndim == 0 or (len(value) and np.ptp(value) == 0):
            only = float(value if value.ndim == 0 else value[0])
            values.append(Value(number(round(only, 9) if key == "delay" else only), only))
        else:
            w.drawn[f"{name}.{key}"] = value
            values.append(Value(f'drawn["{name}.{key}"]'))
    return f'drawn["{name}.pre"], drawn["{name}.post"]', values[0], values[1]


def listed_rule(w: Writing, entry: Any, ends: connect.Sizes, path: Key) -> str | None:
    """`pre, post` of a rule that numpy draws; None where it has none."""
    rule, own = entry.connect, ""
    kind = rule.rule
    if not rule.autapses and any(length for _, _, length in ends.shared):
        if kind in ("fixed_indegree", "blocks"):
            own = f", own={_own(ends)}"
        elif kind != "pairs":
            w.refuse((*path, "connect", "autapses"), f"{kind} without autapses is not drawn by a script for {w.simulator}", EDGES)
    more = "" if getattr(rule, "multapses", True) else ", multapses=False"
    if kind == "pairs":
        pre, post = zip(*rule.pairs, strict=True) if rule.pairs else ((), ())
        return f"np.array({list(pre)}, int), np.array({list(post)}, int)"
    if kind == "one_to_one":
        return f"np.arange({ends.pre}), np.arange({ends.post})"
    if kind == "blocks" and not isinstance(rule.p, tuple):
        return None
    w.helpers |= {kind: _RULES[kind]} if kind in _RULES else {}
    if kind == "blocks":
        rows = ", ".join(f"[{', '.join(map(number, row))}]" for row in rule.p)
        sizes = ", ".join(str(list(sizes)) for sizes in rule.groups(ends))
        return f"blocks([{rows}], {sizes}{own})"
    if kind == "pairwise_poisson":
        return f"pairwise_poisson({number(rule.mean)}, {ends.pre}, {ends.post})"
    if kind in ("fixed_indegree", "fixed_total"):
        return f"{kind}({rule.n}, {ends.pre}, {ends.post}{more}{own})"
    if kind == "fixed_outdegree":
        w.helpers["fixed_indegree"] = _RULES["fixed_indegree"]
        return f"fixed_indegree({rule.n}, {ends.post}, {ends.pre}{more})[::-1]"
    return None


def _own(ends: connect.Sizes) -> str:
    """For each target which source it is itself."""
    runs, at = [], 0
    for pre, post, length in sorted(ends.shared, key=lambda run: run[1]):
        runs += [f"np.full({post - at}, -1)"] if post > at else []
        runs.append(f"np.arange({pre}, {pre + length})")
        at = post + length
    runs += [f"np.full({ends.post - at}, -1)"] if ends.post > at else []
    return runs[0] if len(runs) == 1 else f"np.concatenate([{', '.join(runs)}])"


def steady(model: Model, v: Any) -> Node:
    """Where a variable rests: f(0) / (f(0) - f(1)), since its rate is an affine function of it."""
    inner: dict[str, Node] = {CURRENT: Literal(0.0, "current")}
    for name, node in model.abbreviations:  # those that depend on it, or on the current
        if {v.name, *inner} & set(names(node)):
            inner[name] = node
    full = inlined(v.rate, inner)
    low, high = (inlined(full, {v.name: Literal(value, v.dimension)}) for value in (0.0, 1.0))
    found = simplified(Product((low, simplified(Sum((simplified(low), simplified(high)), (False, True)))), (False, True)))
    return found if v.dimension == "number" else Product((found, Literal(1.0, v.dimension)), (False, False))


def initial(w: Writing, name: str, entry: Any, values: Mapping[str, Value]) -> dict[str, Value]:
    """Initial values of a population, in their order, of its parameters and of those before: what is drawn has a name like N_V in
    the script, so that it is drawn once."""
    path, python = ("populations", name, "init"), w.name("populations", name)

    def once(x: str, value: Value) -> Value:
        return value if value.number is not None else Value(f"{python}_{x}")

    model, known, found = model_of(entry), {x: once(x, value) for x, value in values.items()}, {}
    for v in model.variables:
        given = getattr(entry.init, v.name, None)
        if given is not None:
            built = lambda x=v.name: w.network.populations[name].initial[x]  # type: ignore[union-attr]  # noqa: E731
            found[v.name] = w.value(f"{name}.init.{v.name}", (*path, v.name), given, built, str(entry.size))
        else:
            node = v.init if v.init is not None else inlined(steady(model, v), dict(model.abbreviations))
            used = {x: known.get(x) for x in names(node)}
            if None in used.values():
                continue
            if all(value.number is not None for value in used.values()):  # type: ignore[union-attr]
                exact = float(evaluate(node, {x: value.number for x, value in used.items()}, np))  # type: ignore[union-attr]
                found[v.name] = Value(number(exact), exact)
            else:
                texts = {x: value.text for x, value in used.items()}  # type: ignore[union-attr]
                found[v.name] = Value(written(node, plain_python(w, texts)))
        known[v.name] = once(v.name, found[v.name])
    return found


# ---- the text of a script --------------------------------------------------------------------------------------------


def head(w: Writing, target: Path, how: str, imports: str) -> str:
    """The beginning of a script: what it is, and what it needs."""
    spec = w.spec
    read = (
        f'drawn = np.load(Path(__file__).with_name("{drawn_file(target).name}"))      # what snnrun has drawn\n'
        if w.drawn
        else ""
    )
    drawn_by = "Neurons and synapses are those that snnrun draws, from the file beside." if w.edges else (
        "Neurons and synapses are drawn here, by rules of the same statistics.")  # fmt: skip
    title = f"{spec.name}, written by snnrun from {w.document.name}, for {w.simulator}.".replace('"""', "'''").replace("\\", "/")
    notes = "".join(f"{'.'.join(map(str, f.path))}: {f.message}.\n" for f in w.warnings)
    about = f"{title}\n\n{drawn_by}\n{how}\n{notes}".rstrip()
    about = "\n".join(textwrap.fill(line, 118) for line in about.split("\n"))
    helpers = "".join(f"\n{text}\n" for text in w.helpers.values())
    steps = round(spec.duration / spec.dt)
    return (
        f'"""{about}\n"""\n\nimport sys\nfrom pathlib import Path\n\n{imports}\n'
        f"dt_ms = {number(spec.dt)}      # the step\nsteps = {steps}      # of the run\n"
        f'out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_suffix(".npz"))\n'
        f"rng = np.random.default_rng({spec.seed})\n{read}{helpers}"
    )


TAIL = """
# ---- what is kept: spikes as "<population>.times" in ms and "<population>.neurons", and a raster of them

sizes = {sizes}
{spans}for name, size in sizes.items():
    times = spikes[f"{{name}}.times"]
    print(f"{{name}}: {{len(times):,}} spikes, {{len(times) / size / {span} * 1e3:.3f}} Hz")
np.savez_compressed(out, **spikes)
try:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
except ImportError:
    print("no raster, since matplotlib is not installed")
else:
    figure, axes = plt.subplots(figsize=(8, 4))
    first = 0
    for name, size in sizes.items():
        axes.plot(spikes[f"{{name}}.times"], spikes[f"{{name}}.neurons"] + first, ".", markersize=1.5, label=name)
        first += size
    axes.set(xlabel="time (ms)", ylabel="neuron", xlim={limits}, title={title!r})
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=4, frameon=False)
    figure.savefig(out.with_suffix(".png"), dpi=150, bbox_inches="tight")
"""


def tail(spec: Spec, recorded: list[str], windows: Mapping[str, tuple[float, float]]) -> str:
    sizes = {name: spec.populations[name].size for name in recorded}
    values = {"spans": "", "span": "(steps * dt_ms)", "limits": "(0, steps * dt_ms)"}
    if windows:
        parts = [windows.get(name, (0.0, spec.duration)) for name in recorded]
        spans = ", ".join(f"{name!r}: {number(round(b - a, 9))}" for name, (a, b) in zip(recorded, parts, strict=True))
        limits = f"({number(min(a for a, _ in parts))}, {number(max(b for _, b in parts))})"
        values = {"spans": f"spans = {{{spans}}}      # ms that were recorded\n", "span": "spans[name]", "limits": limits}
    return TAIL.format(sizes=sizes, title=spec.name, **values)


def recorded(w: Writing) -> list[str]:
    """The populations whose spikes are kept: those that monitors of spikes and rates name, or all neurons."""
    spiking = [entry for entry in w.spec.monitors.values() if monitors.MODELS[entry.model].spiking]
    found = {part.population for entry in spiking if isinstance(entry.of, tuple) for part in w.parts(entry.of)}
    stateful = [name for name, entry in w.spec.populations.items() if hasattr(entry, "init")]
    return [name for name in w.spec.populations if name in found] or stateful or list(w.spec.populations)


def windows(w: Writing, recorded: list[str]) -> dict[str, tuple[float, float]]:
    """From when to when the spikes of populations are kept, start < t <= stop in ms, where that is not the whole run."""
    spec, found = w.spec, {}
    for name in recorded:
        asked = {
            (entry.start, spec.duration if entry.stop is None else entry.stop): key
            for key, entry in spec.monitors.items()
            if monitors.MODELS[entry.model].spiking
            and isinstance(entry.of, tuple)  # of neurons, not of a projection
            and any(part.population == name for part in w.parts(entry.of))
        }
        starts, stops = zip(*(asked or {(spec.warmup, spec.duration): ""}), strict=True)
        if len(asked) > 1:
            said = f"the spikes of {name} are kept from {usual(min(starts), 'time')} to {usual(max(stops), 'time')}"
            w.warn(("monitors", [*asked.values()][-1]), f"{said}, as all its monitors together need them", "")
        if (min(starts), max(stops)) != (0.0, spec.duration):
            found[name] = min(starts), max(stops)
    return found


WITHIN = '''
def within(neurons, stamps, start, stop):
    """The spikes of a part of the run, in steps: start < stamp <= stop."""
    there = (stamps > start) & (stamps <= stop)
    return neurons[there], stamps[there]
'''


def drawn_file(target: Path) -> Path:
    """The file beside a script that has what snnrun draws."""
    return target.with_suffix(".drawn.npz")


def usual(value: float, dimension: str) -> str:
    return units.show(value, dimension)
