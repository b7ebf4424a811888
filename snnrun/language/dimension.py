"""Dimensions of expressions: what is added, compared or put into a function is of the right kind.

The internal units are coherent, so a dimension is checked and never multiplies anything.
"""

import difflib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from snnrun import units
from snnrun.language.expression import (
    FUNCTIONS,
    UNITS,
    Call,
    Comparison,
    ExpressionError,
    Literal,
    Logic,
    Minus,
    Name,
    Node,
    Not,
    Power,
    Product,
    Sum,
    cut,
    literal_exponent,
    names,
)

TRUTH = "truth"  # what a comparison is; where, and, or, not and a threshold take it, and nothing else does
HIGHEST = 6  # exponent of something with a dimension
_MOST = 36  # what exponents of exponents may come to


def dimension(node: Node, of: Mapping[str, str]) -> str:
    """The dimension of a tree, or TRUTH, where those of its names are given. Raises ExpressionError.

    A literal 0 fits any dimension; alone it is a number.
    """
    match node:
        case Literal():
            return node.dimension
        case Name(name):
            if name not in of:
                raise ExpressionError(f"there is no {cut(name)!r}", _instead(name, of), node.column)
            return of[name]
        case Sum(terms, minus):
            return _same("a sum", terms, of, minus)
        case Product(factors, divides):
            total = [Fraction(0)] * len(units.BASE)
            for factor, divided in zip(factors, divides, strict=True):
                part = units.exponents(_number(factor, of))
                total = [a - b if divided else a + b for a, b in zip(total, part, strict=True)]
            return _named(total, node)
        case Minus(operand):
            return _number(operand, of)
        case Power():
            return _power(node, of)
        case Call():
            return _call(node, of)
        case Comparison():
            _same("a comparison", (node.left, node.right), of)
            return TRUTH
        case Logic(word, operands):
            for operand in operands:
                _condition(operand, of, word)
            return TRUTH
        case Not(operand):
            _condition(operand, of, "not")
            return TRUTH


def demand(node: Node, of: Mapping[str, str], wanted: str, what: str = "this") -> None:
    """That a tree has the dimension which is wanted of it, of which `what` is the subject. Raises ExpressionError."""
    found = dimension(node, of)
    if found == wanted or (is_zero(node) and wanted != TRUTH):
        return
    hint = _with_unit(node, found, wanted)
    if found == TRUTH:
        hint = "write where(condition, a, b)"
    elif wanted == TRUTH:
        hint = "compare it with something, like V >= V_th"
    raise ExpressionError(f"{what} is {said(found)}, and {said(wanted)} is wanted", hint, node.column)


def said(dimension: str) -> str:
    """A dimension with its article: a voltage, a condition, a quantity in mV/ms."""
    return "a condition" if dimension == TRUTH else units.article(dimension)


def is_zero(node: Node) -> bool:
    """A 0 without a unit, which fits everywhere."""
    return isinstance(node, Literal) and node.value == 0 and node.dimension == "number"


def _number(node: Node, of: Mapping[str, str]) -> str:
    """The dimension of what must be no condition."""
    found = dimension(node, of)
    if found == TRUTH:
        raise ExpressionError("a condition has no value", "write where(condition, a, b)", node.column)
    return found


def _condition(node: Node, of: Mapping[str, str], word: str) -> None:
    found = dimension(node, of)
    if found != TRUTH:
        raise ExpressionError(f"{word} of {said(found)}, and a condition is wanted", "like V >= 0 mV", node.column)


def _same(what: str, parts: tuple[Node, ...], of: Mapping[str, str], minus: tuple[bool, ...] = ()) -> str:
    """The one dimension of all parts; `what` they make is a difference where a part is subtracted."""
    every = [_number(part, of) for part in parts]
    first = next((i for i, part in enumerate(parts) if not is_zero(part)), 0)
    for i, (part, found) in enumerate(zip(parts, every, strict=True)):
        if found != every[first] and not is_zero(part):
            kind = "a difference" if minus and minus[i] else what
            a, b = parts[first], part
            hint, column = _with_unit(b, found, every[first]), b.column
            if not hint and (hint := _with_unit(a, every[first], found)):
                column = a.column
            hint = hint or _in_numbers(a, b, every[first], found, of)
            raise ExpressionError(f"{kind} of {said(every[first])} and {said(found)}", hint, column)
    return every[first]


def _with_unit(node: Node, found: str, wanted: str) -> str:
    """What to write for a number without its unit."""
    sign, number = ("-", node.operand) if isinstance(node, Minus) else ("", node)
    if not isinstance(number, Literal) or found != "number" or wanted in ("number", TRUTH):
        return ""
    return f"write {sign}{units.number_text(number.value)} {units.usual(wanted)}" if units.is_simple(wanted) else ""


def _in_numbers(a: Node, b: Node, of_a: str, of_b: str, of: Mapping[str, str]) -> str:
    """Powers of one quantity that are added come of an equation in published numbers."""
    for name in names(Sum((a, b), (False, False))):
        if name in of and of[name] != "number":
            unit = units.exponents(of[name])
            if all(_multiple(units.exponents(part), unit) for part in (of_a, of_b)):
                return f"in published numbers write {name} / 1 {units.usual(of[name])}" if units.is_simple(of[name]) else ""
    return ""


def _multiple(of: tuple[Fraction, ...], unit: tuple[Fraction, ...]) -> bool:
    times = next(a / b for a, b in zip(of, unit, strict=True) if b)
    return all(a == times * b for a, b in zip(of, unit, strict=True))


def _power(node: Power, of: Mapping[str, str]) -> str:
    base, exponent = _number(node.base, of), _number(node.exponent, of)
    if exponent != "number":
        raise ExpressionError(f"an exponent is {said(exponent)}, and a number is wanted", _divide(exponent), node.exponent.column)
    if base == "number":
        return base
    value = literal_exponent(node.exponent)
    if value is None:
        message = f"the power of {said(base)} needs a literal number as exponent"
        raise ExpressionError(message, _divide(base), node.exponent.column)
    if value.denominator > 2 or abs(value) > HIGHEST:
        message = f"this is no exponent for {said(base)}"
        raise ExpressionError(message, f"use whole and half ones up to {HIGHEST}, or a number as base", node.exponent.column)
    return _named([part * value for part in units.exponents(base)], node)


def _call(node: Call, of: Mapping[str, str]) -> str:
    arguments = node.arguments
    match FUNCTIONS[node.function].takes:
        case "same":
            return _same(node.function, arguments, of)
        case "where":
            _condition(arguments[0], of, "where")
            return _same("where", arguments[1:], of)
        case "any":
            found = _number(arguments[0], of)
            return found if node.function == "abs" else _named([part / 2 for part in units.exponents(found)], node)
    for argument in arguments:
        found = _number(argument, of)
        if found != "number":
            raise ExpressionError(f"{node.function} of {said(found)}, and a number is wanted", _divide(found), argument.column)
    return "number"


def _divide(dimension: str) -> str:
    by = f"1 {units.usual(dimension)} or by " if units.is_simple(dimension) else ""
    return f"divide by {by}a parameter of the same dimension"


def _named(exponents: Any, node: Node) -> str:
    if any(abs(part) > _MOST or part.denominator > _MOST for part in exponents):
        raise ExpressionError("the powers of units in this are too high", "", node.column)
    return units.dimension_of(tuple(exponents))


def _instead(name: str, of: Mapping[str, str]) -> str:
    if name in UNITS:
        variable = "; or is it a variable, which state: is to name?" if len(name) == 1 else ""  # like V
        return f"a unit stands after a number: write 1 {name}{variable}"
    near = difflib.get_close_matches(name[:40], of, n=1)
    return f"did you mean {near[0]}?" if near else ""
