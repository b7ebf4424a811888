"""Models of neurons that are described by equations: from what stands in a file to a Model, with every fault at its place.

    NAME:
      about: one line
      parameters: {tau: {default: 20 ms, where: tau > 0 ms}}
      state: {V: {init: V_rest}}
      equations: {dV/dt: "-(V - V_rest) / tau + I / C"}
      threshold: V >= V_th
      reset: {V: V_reset}
      refractory: {time: tau_ref, hold: [V]}
      noise: {V: sigma}
      solver: exact

`I` (pA) is all that inputs and synapses bring; `V` (mV) is what synapses act on. What a step does is in neurons/equations.py.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from snnrun import units
from snnrun.document import Fault, Key, nearest
from snnrun.language.dimension import TRUTH, demand, dimension
from snnrun.language.expression import Comparison, ExpressionError, Node, names, parse, show
from snnrun.language.removable import removable
from snnrun.language.walk import affine, evaluate

CURRENT, VOLTAGE = "I", "V"
SOLVERS = ("exact", "exp_euler", "rk4", "euler")
MOST_STATES = 64
MOST_SUBSTEPS = 64
STEADY = "steady"
# what a population has beside the parameters of its model, and what equations take for something else
RESERVED = ("model", "size", "layout", "init", "set", "solver", "substeps", "I_e", CURRENT, "t", "dt", STEADY)


class Parameter(NamedTuple):
    """A number that a user gives. One that `gives` another one stands in for it: exactly one of the two is given."""

    name: str
    dimension: str
    unit: str  # the usual one, for people
    default: float | None  # None: it must be given
    where: tuple[Node, ...]
    about: str
    gives: tuple[str, Node] | None


class Variable(NamedTuple):
    """A state variable X of dX/dt = rate, plus noise dW."""

    name: str
    dimension: str
    rate: Node
    init: Node | None  # None: where its own equation rests
    noise: Node | None
    held: bool  # while the neuron is refractory


class Threshold(NamedTuple):
    kind: str  # level: a >= b.  rising: that, and not so a step before.  rate: chance per time
    condition: Node


class Model(NamedTuple):
    """Neurons as equations. Hashable, equal where it says the same."""

    name: str
    about: str
    source: str
    checked: str
    parameters: tuple[Parameter, ...]
    sets: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # named values of parameters, as text
    variables: tuple[Variable, ...]
    abbreviations: tuple[tuple[str, Node], ...]  # each of what stands before it
    threshold: Threshold | None
    reset: tuple[tuple[str, Node], ...]
    refractory: str | float | None  # a parameter, or ms
    solver: str
    substeps: int

    @property
    def takes_current(self) -> bool:
        return any(CURRENT in names(node) for node in self.nodes())

    @property
    def has_potential(self) -> bool:
        return any(variable.name == VOLTAGE for variable in self.variables)

    def nodes(self) -> Iterator[Node]:
        """What is computed in a step."""
        for variable in self.variables:
            yield variable.rate
        for _, node in self.abbreviations:
            yield node


class Values(dict[str, Any]):
    """Values by name, in which abbreviations are computed when they are asked for."""

    def __init__(self, known: Mapping[str, Any], later: Mapping[str, Node], compute: Callable[[Node, "Values"], Any]) -> None:
        super().__init__(known)
        self.later, self.compute = later, compute

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.later

    def __missing__(self, name: str) -> Any:
        if name not in self.later:
            raise KeyError(name)
        try:
            value = self.compute(self.later[name], self)
        except ExpressionError as error:
            if not hasattr(error, "within"):
                error.within = name  # type: ignore[attr-defined]
            raise
        self[name] = value
        return value


def values_of(model: Model, known: Mapping[str, Any], xp: Any) -> Values:
    """Values of all that can be computed from what is known."""
    return Values(known, dict(model.abbreviations), lambda node, found: evaluate(node, found, xp))


def affine_in(model: Model, node: Node, known: Mapping[str, Any], unknowns: Iterable[str], xp: Any) -> Any:
    """A node as constant + sum of coefficients times unknowns. Raises ExpressionError where it is not."""
    unknowns = tuple(unknowns)
    later = dict(model.abbreviations)
    found = Values(known, later, lambda part, values: affine(part, values, unknowns, xp))
    return affine(node, found, unknowns, xp)


def complete(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with those that others stand in for."""
    found = {name: value for name, value in given.items() if value is not None}
    for parameter in model.parameters:
        if parameter.gives is not None and parameter.name in found:
            target, node = parameter.gives
            found[target] = evaluate(node, found, np)
    return found


# ---- reading ---------------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    model: Model | None
    faults: list[Fault]
    warnings: list[Fault]


_KEYS = ("about", "source", "checked", "parameters", "sets", "state", "equations", "threshold", "reset", "refractory", "noise",
         "solver", "substeps")  # fmt: skip
_OF_PARAMETER = ("default", "unit", "where", "about", "gives")


def read(name: str, tree: Any, path: Key) -> Reading:
    """The model in a part of a tree."""
    reader = _Reader(path)
    model = reader.model(name, tree)
    faults = list(dict.fromkeys(reader.faults))
    return Reading(None if faults else model, faults, reader.warnings if not faults else [])


def _spelled(raw: Any) -> str | None:
    """A scalar as the text of an expression."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    return raw if isinstance(raw, str) else repr(raw)


class _Reader:
    def __init__(self, path: Key) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.places: dict[str, Key] = {}  # of the texts of abbreviations
        self.used: set[str] = set()
        self.broken: set[str] = set()  # names of what is faulty: that what uses them is, too, is not said

    def fault(self, where: Key, message: str, hint: str = "", at_key: bool = False, offset: int = 0) -> None:
        self.faults.append(Fault((*self.path, *where), message, hint, at_key, offset=offset))

    def located(self, where: Key, error: ExpressionError) -> None:
        """What is wrong with an expression, at its place; that of an abbreviation where it lies there."""
        within = getattr(error, "within", None)
        unknown = re.match(r"there is no '(\w+)'", error.message)
        hint = _MEANT.get(unknown[1], error.hint) if unknown else error.hint
        self.fault(self.places.get(within, where) if within else where, error.message, hint, offset=error.column)

    def mapping(self, tree: Any, where: Key, like: str) -> dict[str, Any]:
        if tree is None:
            return {}
        if not isinstance(tree, dict):
            self.fault(where, "a mapping is wanted here", f"write it like {like}")
            return {}
        for key, value in tree.items():
            if value is None and re.fullmatch(r"[A-Za-z_]\w*(/dt)?", key) is None:
                hint = 'put the expression in quotes, like {V: "max(a, b)"}'
                self.fault((*where, key), "a comma within braces ends the value", hint, at_key=True)
                self.broken |= set(tree)
                return {}
        return tree

    def known(self, tree: dict[str, Any], where: Key, keys: Iterable[str]) -> None:
        for key in tree:
            if key not in keys:
                self.fault((*where, key), "unknown key", nearest(key, keys), at_key=True)

    def expression(self, raw: Any, where: Key) -> Node | None:
        text = _spelled(raw)
        if text is None:
            hints = {list: "a value that begins with - and a blank is a list: write -x, or quotes", dict: "quotes around a text"
                     " keep commas and colons in it"}  # fmt: skip
            self.fault(where, "an expression is wanted here", hints.get(type(raw), "write it like -(V - V_rest) / tau"))
            return None
        try:
            return parse(text)
        except ExpressionError as error:
            self.located(where, error)
            return None

    def dimension(self, node: Node | None, of: Mapping[str, str], where: Key) -> str | None:
        """The dimension of an expression; None, with a fault, where it has none or names what is not there."""
        if node is None:
            return None
        self.used |= set(names(node))
        if self.broken & set(names(node)):
            return None
        try:
            return dimension(node, of)
        except ExpressionError as error:
            self.located(where, error)
            return None

    def wanted(self, node: Node | None, of: Mapping[str, str], want: str, where: Key, what: str) -> None:
        """That an expression has a dimension."""
        if node is None:
            return
        self.used |= set(names(node))
        if self.broken & set(names(node)):
            return
        try:
            demand(node, of, want, what)
        except ExpressionError as error:
            self.located(where, error)

    # -- the parts

    def model(self, name: str, tree: Any) -> Model | None:
        if not isinstance(tree, dict):
            self.fault((), "a mapping is wanted here", "a model has state:, equations: and more; see snnrun explain lif")
            return None
        self.known(tree, (), _KEYS)
        texts = {key: self.text(tree, key) for key in ("about", "source", "checked")}
        parameters, where = self.parameters(self.mapping(tree.get("parameters"), ("parameters",), "{tau: {default: 20 ms}}"))
        of = {parameter.name: parameter.dimension for parameter in parameters}
        states = self.mapping(tree.get("state"), ("state",), "{V: {init: V_rest}}")
        equations = self.mapping(tree.get("equations"), ("equations",), "{dV/dt: -V / tau}")
        if not states and not self.faults:
            self.fault((), "state is missing", "add state: {V: {init: V_rest}}", at_key=True)
        if len(states) > MOST_STATES:
            self.fault(("state",), f"{len(states)} variables are more than {MOST_STATES}")
            return None
        rates, later = self.split(equations, states)
        self.reserve([(("parameters", p), p) for p in of] + [(("state", x), x) for x in states]
                     + [(("equations", x), x) for x in later])  # fmt: skip
        dims, inits = self.states(states, of)
        everything = {**of, **dims, CURRENT: "current"}
        before = len(self.faults)
        order = self.abbreviations(later, everything)
        vague = [x for x, raw in states.items() if isinstance(raw, dict) and raw.get("init") == STEADY and "unit" not in raw]
        vague += [x for x, raw in states.items() if raw == STEADY]
        for x, node in rates.items():
            if x in dims:
                rate = units.dimension_of(_minus(units.exponents(dims[x]), units.exponents("time")))
                self.wanted(node, everything, rate, ("equations", f"d{x}/dt"), f"d{x}/dt")
        written = {**later, **{f"d{x}/dt": node for x, node in rates.items()}}
        faulty = [written.get(str(fault.path[-1])) for fault in self.faults[before:] if "equations" in fault.path]
        guilty = [x for x in vague if any(node is not None and x in names(node) for node in faulty)]
        if guilty:
            del self.faults[before:]
            hint = "write {init: steady, unit: mV}, or what it is"
            self.fault(("state", guilty[0]), f"{guilty[0]} is taken for a number, since steady names no unit", hint, at_key=True)
            return None
        self.rules(parameters, where, of)
        noise = self.noise(self.mapping(tree.get("noise"), ("noise",), "{V: sigma}"), dims, everything)
        threshold = self.threshold(tree.get("threshold"), everything)
        reset = self.reset(self.mapping(tree.get("reset"), ("reset",), "{V: V_reset}"), dims, everything, threshold)
        refractory, held = self.refractory(tree.get("refractory"), of, dims)
        solver, substeps = self.solver(tree)
        sets = self.sets(self.mapping(tree.get("sets"), ("sets",), "{RS: {a: 20 Hz}}"), parameters)
        if self.faults:
            return None
        parameters = tuple(p._replace(where=where.get(p.name, ())) for p in parameters)
        sound = {x: rate for x, rate in rates.items() if rate is not None}  # all, for there is no fault
        variables = tuple(Variable(x, dims[x], sound[x], inits[x], noise.get(x), x in held) for x in states)
        about, source, checked = texts.values()
        found = Model(
            name,
            about,
            source,
            checked,
            parameters,
            sets,
            variables,
            tuple(order),
            threshold,
            reset,
            refractory,
            solver,
            substeps,
        )
        self.solvable(found)
        self.removable(found)
        self.initial(found)
        for parameter in parameters:
            if parameter.name not in self.used and parameter.name != refractory:
                message = f"{parameter.name} is not used"
                self.warnings.append(Fault((*self.path, "parameters", parameter.name), message, "", True))
        for x in later:
            if x not in self.used:
                self.warnings.append(Fault((*self.path, "equations", x), f"{x} is not used", "", True))
        return found

    def text(self, tree: dict[str, Any], key: str) -> str:
        value = tree.get(key, "")
        if not isinstance(value, str):
            self.fault((key,), "a text is wanted here")
            return ""
        return " ".join(value.split())

    def reserve(self, given: Sequence[tuple[Key, str]]) -> None:
        """That names can be told apart from each other and from what has a meaning of its own."""
        seen: dict[str, Key] = {}
        for where, name in given:
            if name in RESERVED:
                self.fault(where, f"{name} has a meaning of its own here", "use another name", at_key=True)
                continue
            try:
                plain = names(parse(name)) == {name: 0}
            except ExpressionError:
                plain = False
            if not plain:
                self.fault(where, f"{name[:40]!r} cannot be a name in an equation", "use letters, digits and _", at_key=True)
            elif name in seen:
                self.fault(where, f"{name} is a name already, in {seen[name][0]}", "use another one", at_key=True)
            seen[name] = where

    def parameters(self, tree: dict[str, Any]) -> tuple[tuple[Parameter, ...], dict[str, tuple[Node, ...]]]:
        found, where = [], {}
        for name, raw in tree.items():
            at = ("parameters", name)
            given = {"default": raw} if _spelled(raw) is not None else self.mapping(raw, at, "{default: 20 ms, where: x > 0 ms}")
            self.known(given, at, _OF_PARAMETER)
            value: float | None = None
            dim, unit = "number", ""
            if "default" in given and "unit" in given:
                message, hint = "the unit belongs to the default", f"write {{default: {given['default']} {given['unit']}}}"
                self.fault((*at, "unit"), message, hint, at_key=True)
                self.broken.add(name)
                continue
            place = at if given is not raw else (*at, "default")
            if "default" in given:
                read = self.quantity(given["default"], place)
                if read is None:
                    self.broken.add(name)
                    continue
                value, dim, unit = read
            elif "unit" in given:
                read = self.quantity(f"1 {given['unit']}", (*at, "unit"))
                if read is None:
                    self.broken.add(name)
                    continue
                dim, unit = read[1:]
            else:
                self.fault(at, f"{name} needs a default or a unit", "write {default: 20 ms} or {unit: ms}", at_key=True)
                self.broken.add(name)
                continue
            if "where" in given:
                texts = given["where"] if isinstance(given["where"], list) else [given["where"]]
                nodes = [self.expression(text, (*at, "where")) for text in texts]
                where[name] = tuple(node for node in nodes if node is not None)
            gives = self.gives(given["gives"], at) if "gives" in given else None
            about = given.get("about", "")
            if not isinstance(about, str):
                self.fault((*at, "about"), "a text is wanted here")
            found.append(Parameter(name, dim, unit, value, (), about, gives))
        known = {p.name: p for p in found}
        for p in found:
            if p.gives is None:
                continue
            target, node = p.gives
            at = ("parameters", p.name, "gives", target)
            if target not in known:
                self.fault(at, f"there is no parameter {target!r}", nearest(target, known), at_key=True)
                continue
            self.wanted(node, {q.name: q.dimension for q in found if q.name != target}, known[target].dimension, at, target)
            for one in (p, known[target]):
                if one.default is not None:
                    message = f"{p.name} or {target} is given, so neither has a default"
                    self.fault(("parameters", one.name), message, f"write {{unit: {one.unit}}}", at_key=True)
        return tuple(found), where

    def gives(self, raw: Any, at: Key) -> tuple[str, Node] | None:
        tree = self.mapping(raw, (*at, "gives"), "{C: tau / R}")
        if len(tree) != 1:
            self.fault((*at, "gives"), "one parameter is given by another one", "write it like {C: tau / R}")
            return None
        ((target, text),) = tree.items()
        node = self.expression(text, (*at, "gives", target))
        return None if node is None else (target, node)

    def quantity(self, raw: Any, where: Key) -> tuple[float, str, str] | None:
        """Value, dimension and unit of a literal."""
        if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
            return float(raw), "number", ""
        try:
            value, dim = units.parse(str(raw))
        except units.UnitError as error:
            number = error.message == "a unit is missing"
            if number:
                return float(str(raw)), "number", ""
            self.fault(where, error.message, error.hint)
            return None
        return value, dim, str(raw).strip().lstrip("+-.0123456789eE").strip() or units.usual(dim)

    def states(self, tree: dict[str, Any], of: dict[str, str]) -> tuple[dict[str, str], dict[str, Node | None]]:
        dims: dict[str, str] = {}
        inits: dict[str, Node | None] = {}
        for name, raw in tree.items():
            at = ("state", name)
            given = {"init": raw} if _spelled(raw) is not None else self.mapping(raw, at, "{init: V_rest}")
            self.known(given, at, ("init", "unit", "about"))
            text = given.get("init", 0)
            inits[name] = None
            found: str | None = None
            if "unit" in given and (read := self.quantity(f"1 {given['unit']}", (*at, "unit"))) is not None:
                found = read[1]
            if text != STEADY:
                place = at if given is not raw else (*at, "init")
                node = inits[name] = self.expression(text, place)
                below = [other for other in (names(node) if node is not None else ()) if other in tree and other not in dims]
                own = None
                if below:
                    self.fault(place, f"{below[0]} stands below {name}", "move it up: each is computed from those above it")
                else:
                    own = self.dimension(node, {**of, **dims}, place)
                if own is None and found is None:
                    self.broken.add(name)
                if found is not None and own is not None and own != found and getattr(node, "value", None) != 0:
                    self.fault((*at, "init"), f"{name} is {units.article(found)}, and this is {units.article(own)}")
                found = found or own
            dims[name] = found or "number"
            if name == VOLTAGE and dims[name] != "voltage" and name not in self.broken:
                bare = dims[name] == "number" and text not in (STEADY, 0)
                hint = f"write {text} mV" if bare else "write its unit, or use another name"
                message = f"V is what synapses act on, a voltage, and this is {units.article(dims[name])}"
                self.fault((*at, "init") if bare and given is raw else at, message, hint, at_key=not bare)
                dims[name] = "voltage"
        return dims, inits

    def split(self, tree: dict[str, Any], states: Mapping[str, Any]) -> tuple[dict[str, Node | None], dict[str, Node | None]]:
        """Rates by variable, and abbreviations."""
        rates: dict[str, Node | None] = {}
        later: dict[str, Node | None] = {}
        for key, raw in tree.items():
            where = ("equations", key)
            node = self.expression(raw, where)
            if key.startswith("d") and key.endswith("/dt"):
                name = key[1:-3]
                if name not in states:
                    self.fault(
                        where, f"{name!r} is no state variable", f"add it to state: {{{name}: {{init: ...}}}}", at_key=True
                    )
                rates[name] = node
            elif "'" in key or "/" in key:
                self.fault(where, f"{key[:40]!r} is no name and no derivative", "a derivative is written dX/dt", at_key=True)
            else:
                later[key] = node
                self.places[key] = where
        for name in states:
            if name not in rates:
                self.fault(("state", name), f"{name} has no equation", f"add d{name}/dt to equations", at_key=True)
        return rates, later

    def abbreviations(self, later: dict[str, Node | None], of: dict[str, str]) -> list[tuple[str, Node]]:
        """In an order in which each is of what stands before it; their dimensions are added to `of`."""
        order: list[tuple[str, Node]] = []
        waiting = {name: node for name, node in later.items() if node is not None}
        broken = set(later) - set(waiting)
        while waiting:
            ready = [name for name, node in waiting.items() if not (set(names(node)) & set(waiting)) - {name}
                     and name not in names(node)]  # fmt: skip
            if not ready:
                first = next(iter(waiting))
                self.fault(
                    self.places[first], f"{first} is defined by itself: {' -> '.join(_circle(waiting, first))}", at_key=True
                )
                break
            for name in ready:
                node = waiting.pop(name)
                if set(names(node)) & broken:
                    broken.add(name)
                    continue
                found = self.dimension(node, of, self.places[name])
                if found == TRUTH:
                    self.fault(self.places[name], "this is a condition, and a value is wanted", "write where(condition, 1, 0)")
                if found is None or found == TRUTH:
                    broken.add(name)
                    continue
                of[name] = found
                order.append((name, node))
        self.broken |= {*broken, *waiting}
        return order

    def rules(self, parameters: Iterable[Parameter], where: dict[str, tuple[Node, ...]], of: dict[str, str]) -> None:
        defaults = {p.name: p.default for p in parameters if p.default is not None}
        for name, nodes in where.items():
            for node in nodes:
                used = set(self.used)
                found = self.dimension(node, of, ("parameters", name, "where"))
                self.used = used  # a rule is no use of a parameter
                if found is None:
                    continue
                if found != TRUTH:
                    self.fault(("parameters", name, "where"), "a condition is wanted here", f"like {name} > 0")
                elif set(names(node)) <= set(defaults) and not bool(evaluate(node, defaults, np)):
                    self.fault(("parameters", name, "default"), f"the default breaks its own rule, {show(node)}")

    def noise(self, tree: dict[str, Any], dims: dict[str, str], of: dict[str, str]) -> dict[str, Node]:
        found = {}
        for name, raw in tree.items():
            where = ("noise", name)
            if name not in dims:
                self.fault(where, f"{name!r} is no state variable", nearest(name, dims), at_key=True)
                continue
            node = self.expression(raw, where)
            if node is None:
                continue
            free = {key: value for key, value in of.items() if key not in dims and key != CURRENT}
            for used in names(node):
                if used not in free and used in of:
                    self.fault(where, f"the strength of noise must not depend on {used}", offset=names(node)[used])
                    break
            else:
                half = tuple(part / 2 for part in units.exponents("time"))
                want = units.dimension_of(_minus(units.exponents(dims[name]), half))
                self.wanted(node, free, want, where, f"the noise of {name}")
                found[name] = node
        return found

    def threshold(self, raw: Any, of: dict[str, str]) -> Threshold | None:
        if raw is None:
            return None
        kind, where, text = "level", ("threshold",), raw
        if isinstance(raw, dict):
            if len(raw) != 1 or (kind := next(iter(raw))) not in ("rising", "rate"):
                self.fault(where, "a threshold is a condition, {rising: a condition} or {rate: a rate}", "write V >= V_th")
                return None
            where, text = ("threshold", kind), raw[kind]
        node = self.expression(text, where)
        if node is None:
            return None
        if CURRENT in names(node):
            self.fault(where, "a threshold cannot depend on the current", offset=names(node)[CURRENT])
        if kind == "rate":
            self.wanted(node, of, "rate", where, "the rate of firing")
            return Threshold(kind, node)
        found = self.dimension(node, of, where)
        if found is not None and found != TRUTH:
            self.fault(where, "a condition is wanted here", "write V >= V_th")
        elif isinstance(node, Comparison) and node.relation in (">", "<", "<="):
            sides = (node.left, node.right) if node.relation == ">" else (node.right, node.left)
            self.fault(where, "a threshold is reached: V >= V_th", f"write {show(sides[0])} >= {show(sides[1])}")
        return Threshold(kind, node)

    def reset(
        self, tree: dict[str, Any], dims: dict[str, str], of: dict[str, str], threshold: Threshold | None
    ) -> tuple[tuple[str, Node], ...]:
        found = []
        for name, raw in tree.items():
            where = ("reset", name)
            if name not in dims:
                what = "is a parameter, and parameters do not change" if name in of else "is no state variable"
                what = "is an abbreviation, and only variables are reset" if name in self.places else what
                self.fault(where, f"{name!r} {what}", nearest(name, dims), at_key=True)
                continue
            node = self.expression(raw, where)
            if node is None:
                continue
            if CURRENT in names(node):
                self.fault(where, "a reset cannot depend on the current", offset=names(node)[CURRENT])
            self.wanted(node, of, dims[name], where, name)
            found.append((name, node))
        if tree and threshold is None:
            self.fault(("reset",), "there is no threshold, and so no reset", "add threshold: V >= V_th", at_key=True)
        return tuple(found)

    def refractory(self, raw: Any, of: dict[str, str], dims: dict[str, str]) -> tuple[str | float | None, tuple[str, ...]]:
        tree, like = self.mapping(raw, ("refractory",), "{time: tau_ref, hold: [V]}"), "{time: tau_ref, hold: [V]}"
        if not tree:
            return None, ()
        self.known(tree, ("refractory",), ("time", "hold"))
        for key in ("time", "hold"):
            if key not in tree:
                self.fault(("refractory",), f"{key} is missing", f"write {like}; hold may be []", at_key=True)
                return None, ()
        time, where = tree["time"], ("refractory", "time")
        if isinstance(time, str) and time in of:
            if of[time] != "time":
                self.fault(where, f"{time} is {units.article(of[time])}, and a time is wanted here")
            found: str | float | None = time
        elif (read := self.quantity(time, where)) is not None:
            found = read[0]
            if read[1] != "time" and read[0] != 0:
                self.fault(where, "a time, or the name of a parameter, is wanted here", "write tau_ref, or 2 ms")
        else:
            found = None
        held = tree["hold"]
        if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
            self.fault(
                ("refractory", "hold"), "a list of state variables is wanted here", "write [V], or [] to block spikes only"
            )
            return found, ()
        for i, name in enumerate(held):
            if name not in dims:
                self.fault(("refractory", "hold", i), f"{name!r} is no state variable", nearest(name, dims))
        return found, tuple(held)

    def solver(self, tree: dict[str, Any]) -> tuple[str, int]:
        solver, substeps = tree.get("solver", "rk4"), tree.get("substeps", 1)
        if solver not in SOLVERS:
            self.fault(("solver",), f"unknown solver {str(solver)[:40]!r}", nearest(str(solver), SOLVERS))
        if isinstance(substeps, bool) or not isinstance(substeps, int) or not 1 <= substeps <= MOST_SUBSTEPS:
            self.fault(("substeps",), f"substeps is a whole number from 1 to {MOST_SUBSTEPS}")
        return str(solver), substeps if isinstance(substeps, int) else 1

    def sets(
        self, tree: dict[str, Any], parameters: tuple[Parameter, ...]
    ) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        known, found = {p.name: p for p in parameters}, []
        for name, raw in tree.items():
            values = self.mapping(raw, ("sets", name), "{a: 20 Hz}")
            own = []
            for key, value in values.items():
                where = ("sets", name, key)
                if key not in known:
                    self.fault(where, f"there is no parameter {key!r}", nearest(key, known), at_key=True)
                    continue
                try:
                    units.read(value, known[key].dimension)
                except units.UnitError as error:
                    self.fault(where, error.message, error.hint)
                own.append((key, value))
            found.append((name, tuple(own)))
        return tuple(found)

    # -- what equations allow

    def solvable(self, model: Model) -> None:
        reason = unsolvable(model, model.solver)
        if reason is not None:
            name, error = reason
            within = getattr(error, "within", None)
            where = self.places.get(within, ()) if within else ("equations", f"d{name}/dt")
            of = name if model.solver == "exp_euler" else "the state"
            message = f"d{name}/dt is not linear in {of} here, as solver: {model.solver} needs it"
            others = [solver for solver in SOLVERS if unsolvable(model, solver) is None]
            self.fault(where, message, f"use solver: {' or '.join(others)}", offset=error.column)

    def removable(self, model: Model) -> None:
        every = [(("equations", f"d{v.name}/dt"), v.rate) for v in model.variables]
        every += [(self.places[name], node) for name, node in model.abbreviations]
        for where, node in every:
            for error in removable(node):
                self.warnings.append(Fault((*self.path, *where), error.message, error.hint, offset=error.column))

    def initial(self, model: Model) -> None:
        for variable in model.variables:
            if variable.init is None:
                try:
                    _affine_of_own(model, variable, _somewhere(model))
                except ExpressionError as error:
                    self.fault(("state", variable.name, "init"), f"{variable.name} has no steady value that can be solved for: "
                               f"{error.message}", "write its value")  # fmt: skip


_MEANT = {
    "I_syn": "inputs and synapses are I",
    "xi": "noise: {V: B} adds B dW",
    "t": "equations cannot contain the time: use an input",
    "pi": "write 3.141592653589793",
}


def _minus(a: Any, b: Any) -> Any:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _circle(waiting: Mapping[str, Node], first: str) -> list[str]:
    """A circle of names, each of which needs the next one."""
    path = [first]
    while True:
        following = next(name for name in names(waiting[path[-1]]) if name in waiting)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


@cache
def _somewhere(model: Model) -> dict[str, Any]:
    """Some value for every parameter and variable, for what depends on the form of an equation alone."""
    known: dict[str, Any] = {p.name: p.default or 1.0 for p in model.parameters}  # what is 0 by default may be something else
    return known | {v.name: 0.5 for v in model.variables} | {CURRENT: 0.5}


def _affine_of_own(model: Model, variable: Variable, known: Mapping[str, Any]) -> Any:
    others = {name: value for name, value in known.items() if name != variable.name}
    with np.errstate(all="ignore"):
        return affine_in(model, variable.rate, others, (variable.name,), np)


def unsolvable(model: Model, solver: str) -> tuple[str, ExpressionError] | None:
    """Why a solver cannot be used: a variable, and what is not linear in its equation; None where it can."""
    known = dict(_somewhere(model))
    for variable in model.variables:
        try:
            if solver == "exp_euler":
                _affine_of_own(model, variable, known)
            elif solver == "exact":
                parameters = {p.name: known[p.name] for p in model.parameters}
                with np.errstate(all="ignore"):
                    affine_in(model, variable.rate, parameters, (*(v.name for v in model.variables), CURRENT), np)
        except ExpressionError as error:
            return variable.name, error
    return None


def steady(model: Model, variable: Variable, known: Mapping[str, Any]) -> Any:
    """Where a variable rests while the others are what they are and no current flows."""
    found = _affine_of_own(model, variable, {**known, CURRENT: 0.0})
    with np.errstate(all="ignore"):
        return -np.asarray(found.constant, np.float64) / found.coefficients.get(variable.name, 0.0)
