"""Named constants of a network file, and arithmetic with them.

    constants: {J: 0.1 mV, g: 5, J_in: -g * J}
    projections:
      inh: {weight: J_in, ...}

Wherever a number or a quantity may stand, an expression may, in the language of neuron models (language/expression.py). All are
computed before anything else looks at the file, so that the rest of the program sees numbers and quantities.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnrun import units
from snnrun.document import Document, Fault, Key, SpecError
from snnrun.language.dimension import TRUTH, dimension
from snnrun.language.expression import FUNCTIONS, ExpressionError, Node, names, parse
from snnrun.language.walk import evaluate

SECTION = "constants"
# Keys whose values are texts, or lists or mappings of them: no arithmetic below
TEXTS = frozenset({
    "models", "name", "precision", "model", "rule", "set", "solver", "pre", "post", "to", "of", "variables", "receptors", "file",
    "path", "column", "columns", "id", "population", "types", "off_grid", "normalize", "interpolation", "storage", "begin",
})  # fmt: skip
SELECTIONS = frozenset({"pre", "post", "to", "of"})  # texts, but for what is drawn at random
WORDS = frozenset(
    {"axon", "dendrite", "frozen", "linear", "positive", "negative", "true", "false", "null"}
)  # that mean something where numbers may stand
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = re.compile(r"[*/+^(]|\S\s*-")
_WHOLE = 1e-12  # a number this close to a whole one, relative to it, is meant as one


class _Constants:
    """The constants of a file; each is computed when it is first asked for."""

    def __init__(self, given: Mapping[str, Any], faults: list[Fault]) -> None:
        self.given, self.faults = given, faults
        self.values: dict[str, float] = {}
        self.dimensions: dict[str, str] = {}
        self.open: list[str] = []  # that are being computed
        self.broken: set[str] = set()

    def need(self, name: str) -> bool:
        """Compute a constant; whether there is a value now."""
        if name in self.values or name in self.broken:
            return name in self.values
        path: Key = (SECTION, name)
        if name in self.open:
            circle = " -> ".join([*self.open[self.open.index(name) :], name])
            self.faults.append(Fault(path, f"this constant depends on itself: {circle}"))
            self.broken.add(name)
            return False
        self.open.append(name)
        found = self._found(name, path)
        self.open.pop()
        if found is None:
            self.broken.add(name)
        elif name not in self.broken:
            self.values[name], self.dimensions[name] = found
        return name in self.values

    def _found(self, name: str, path: Key) -> tuple[float, str] | None:
        raw = self.given[name]
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            self.faults.append(Fault(path, "a number, a quantity or an expression is wanted here", "like 5, 0.1 mV or -g * J"))
            return None
        if not isinstance(raw, str):
            return self._finite(float(raw), "number", path)
        plain = _quantity(raw)
        if plain is not None:
            return self._finite(*plain, path)
        try:
            node = parse(raw)
        except ExpressionError as error:
            return self._told(error, path)
        return self.computed(node, path)

    def computed(self, node: Node, path: Key) -> tuple[float, str] | None:
        """Value and dimension of an expression; None, with a fault, where it has none."""
        for name in names(node):
            if name in self.given and not self.need(name):
                return None  # which has been told of at the constant
        try:
            kind = dimension(node, self.dimensions)
        except ExpressionError as error:
            return self._told(error, path)
        if kind == TRUTH:
            self.faults.append(Fault(path, "this is true or false, and a number is wanted here"))
            return None
        with np.errstate(all="ignore"):
            return self._finite(float(evaluate(node, self.values, np)), kind, path)

    def _finite(self, value: float, kind: str, path: Key) -> tuple[float, str] | None:
        if not np.isfinite(value):
            self.faults.append(Fault(path, f"this comes out as {value:g}", "a finite number is wanted"))
            return None
        return value, kind

    def _told(self, error: ExpressionError, path: Key) -> None:
        self.faults.append(Fault(path, error.message, error.hint, offset=error.column))


def resolved(document: Document) -> tuple[Document, list[Fault]]:
    """A document whose tree has numbers and quantities in place of expressions, and no constants; and what is wrong with some of
    them, which stand there as before. Raises SpecError where there are no constants to compute with."""
    tree, faults = document.tree, []
    if not isinstance(tree, dict):
        return document, faults
    given = tree.get(SECTION, {})
    if not isinstance(given, dict):
        message = "a value is missing here" if given is None else "a mapping of names is wanted here"
        raise SpecError([Fault((SECTION,), message, "write NAME: VALUE below it, like J: 0.1 mV")], document)
    for name in given:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            hint = "a name is made of letters, digits and _, and begins with a letter"
            faults.append(Fault((SECTION, name), f"{name!r} is no name of a constant", hint, at_key=True))
        elif name in FUNCTIONS or name in WORDS:
            faults.append(Fault((SECTION, name), f"{name} has another meaning", "use another name", at_key=True))
    if faults:
        raise SpecError(faults, document)
    constants = _Constants(given, faults)
    for name in given:
        constants.need(name)
    if faults:
        raise SpecError(faults, document)
    found = _walked({key: value for key, value in tree.items() if key != SECTION}, (), constants)
    return replace(document, tree=found), faults


def _walked(tree: Any, path: Key, constants: _Constants, of_texts: bool = False) -> Any:
    if isinstance(tree, dict):
        return {
            key: value
            if key in TEXTS and not (key in SELECTIONS and isinstance(value, dict | list))
            else _walked(value, (*path, key), constants, key in SELECTIONS)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [_walked(value, (*path, i), constants, of_texts) for i, value in enumerate(tree)]
    return _computed(tree, path, constants) if isinstance(tree, str) and not of_texts else tree


def _computed(text: str, path: Key, constants: _Constants) -> Any:
    """What stands for a text: itself where it is no expression of constants and numbers."""
    meant = any(word in constants.given for word in NAME.findall(text))
    if not meant and not _OPERATORS.search(text) or _quantity(text) is not None:
        return text
    try:
        node = parse(text)
    except ExpressionError as error:
        if meant:
            constants._told(error, path)
        return text
    if names(node) and not constants.given:
        return text  # whoever reads it says what is wrong
    found = constants.computed(node, path)
    return text if found is None else written(*found)


def written(value: float, kind: str) -> int | float | str:
    """A value as it would stand in a file, to the last bit."""
    if kind != "number":
        unit = next((unit for unit, (of, power) in units.UNITS.items() if of == kind and power == 0), kind)
        return f"{value!r} {unit}"
    nearest = round(value)
    return nearest if abs(value - nearest) <= _WHOLE * abs(nearest) else value


def _quantity(text: str) -> tuple[float, str] | None:
    try:
        return units.parse(text)
    except units.UnitError:
        return None
