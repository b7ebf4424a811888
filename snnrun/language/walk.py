"""Walks along a tree: its value, and the linear function that it is of some of its names.

Both work on numbers and arrays of numpy or of jax.numpy, whichever is handed in, in the order in which the text stands: the same
expression has the same bits wherever it is computed. A literal is a Python float and leaves the type of an array alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from snnrun.language.expression import (
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
    children,
    literal_exponent,
    show,
)

_NEAR = 0.02  # below, exprel is summed; above, in float32, (e^x - 1) / x is right to 3e-6
_MULTIPLIED = 64  # whole exponents up to here are products


def evaluate(node: Node, values: Mapping[str, Any], xp: Any) -> Any:
    """The value of a tree, where those of its names are given, by the functions of `xp`: numpy, or jax.numpy.

    Warns of nothing: what overflows is infinite, and 0/0 no number, for the caller to see.
    """
    with np.errstate(all="ignore"):
        return _evaluate(node, values, xp)


def _evaluate(node: Node, values: Mapping[str, Any], xp: Any) -> Any:
    if isinstance(node, Name):
        return values[node.name]
    return _apply(node, [_evaluate(child, values, xp) for child in children(node)], xp)


def _apply(node: Node, parts: Sequence[Any], xp: Any) -> Any:
    """The value of a node, where those of its parts are given."""
    match node:
        case Literal(value):
            return value
        case Sum(_, minus):
            total = parts[0]
            for part, sign in zip(parts[1:], minus[1:], strict=True):
                total = total - part if sign else total + part
            return total
        case Product(_, divides):
            total = parts[0]
            for part, divided in zip(parts[1:], divides[1:], strict=True):
                total = _quotient(total, part) if divided else total * part
            return total
        case Minus():
            return -parts[0]
        case Power(_, exponent):
            return _power(parts[0], parts[1], exponent, xp)
        case Comparison(relation):
            return _RELATIONS[relation](parts[0], parts[1])
        case Logic(word):
            return reduce(xp.logical_and if word == "and" else xp.logical_or, parts)
        case Not():
            return xp.logical_not(parts[0])
        case Call(function):
            return _FUNCTIONS[function](xp, *parts) if function in _FUNCTIONS else getattr(xp, function)(*parts)
    raise AssertionError(node)


_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


def _quotient(a: Any, b: Any) -> Any:
    if isinstance(a, int | float) and isinstance(b, int | float) and b == 0:  # which Python refuses
        return float(np.divide(float(a), float(b)))
    return a / b


def _power(base: Any, value: Any, exponent: Node, xp: Any) -> Any:
    """Whole powers by multiplication, half ones by that and a root: powers proper are slow, and less exact."""
    literal = literal_exponent(exponent)
    if literal is None or literal.denominator > 2 or abs(literal) > _MULTIPLIED:
        return xp.power(base, value)
    times, square, result = int(abs(literal)), base, 1.0 if literal.denominator == 1 else xp.sqrt(base)
    while times:
        if times & 1:
            result = square if isinstance(result, float) and result == 1.0 else result * square
        times >>= 1
        square = square * square if times else square
    return _quotient(1.0, result) if literal < 0 else result


def _exprel(xp: Any, x: Any) -> Any:
    """(e^x - 1) / x: near 0 a series. In XLA expm1 takes three times as long as exp. An `xp` that says that it is `single` has
    enough of a shorter one."""
    near = abs(x) < _NEAR
    away = xp.where(near, 1.0, x)
    series: Any = 0.0
    for factorial in _FACTORIALS[-3 if getattr(xp, "single", False) is True else 0 :]:
        series = x * (1.0 / factorial + series)
    return xp.where(near, 1.0 + series, (np.expm1(away) if xp is np else xp.exp(away) - 1.0) / away)


_FACTORIALS = (40320, 5040, 720, 120, 24, 6, 2)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exprel": _exprel,
    "sigmoid": lambda xp, x: 1.0 / (1.0 + xp.exp(-x)),
    "min": lambda xp, *parts: reduce(xp.minimum, parts),
    "max": lambda xp, *parts: reduce(xp.maximum, parts),
    "clip": lambda xp, x, low, high: xp.minimum(xp.maximum(x, low), high),
}  # all others bear the names that they have in numpy


class Affine(NamedTuple):
    """constant + sum of coefficient * unknown."""

    constant: Any
    coefficients: dict[str, Any]


def affine(node: Node, values: Mapping[str, Any], unknowns: Iterable[str], xp: Any) -> Affine:
    """A tree as a linear function of some of its names; all others are given.

    A value may be an Affine, such as that of an abbreviation. Only those of names that occur are asked for, so a mapping may make
    them when asked. A coefficient that comes out as zero is left out: to see whether an equation is linear at all, give values
    none of which happens to be zero. Raises ExpressionError where the tree is not linear.
    """
    with np.errstate(all="ignore"):
        found = _affine(node, values, frozenset(unknowns), xp)
    return found._replace(coefficients={name: value for name, value in found.coefficients.items() if not _is_zero(value)})


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.generic) and not np.any(value)


def _affine(node: Node, values: Mapping[str, Any], unknowns: frozenset[str], xp: Any) -> Affine:
    if isinstance(node, Name):
        if node.name in unknowns:
            return Affine(0.0, {node.name: 1.0})
        value = values[node.name]
        return value if isinstance(value, Affine) else Affine(value, {})
    nodes = children(node)
    parts = [_affine(child, values, unknowns, xp) for child in nodes]
    if not any(part.coefficients for part in parts):
        return Affine(_apply(node, [part.constant for part in parts], xp), {})
    match node:
        case Sum(_, minus):
            total = parts[0]
            for part, sign in zip(parts[1:], minus[1:], strict=True):
                total = _added(total, _scaled(part, lambda value: -value) if sign else part)
            return total
        case Product(_, divides):
            total = parts[0]
            for part, divided, child in zip(parts[1:], divides[1:], nodes[1:], strict=True):
                if part.coefficients and (divided or total.coefficients):
                    raise _not_linear(child, part)
                if divided:
                    total = _scaled(total, lambda value, by=part.constant: _quotient(value, by))
                elif part.coefficients:
                    total = _scaled(part, lambda value, by=total.constant: by * value)
                else:
                    total = _scaled(total, lambda value, by=part.constant: value * by)
            return total
        case Minus():
            return _scaled(parts[0], lambda value: -value)
        case Power(_, exponent) if literal_exponent(exponent) == 1:
            return parts[0]
    raise _not_linear(node, next(part for part in parts if part.coefficients))


def _added(a: Affine, b: Affine) -> Affine:
    both = dict(a.coefficients)
    for name, value in b.coefficients.items():
        both[name] = both[name] + value if name in both else value
    return Affine(a.constant + b.constant, both)


def _scaled(part: Affine, change: Callable[[Any], Any]) -> Affine:
    return Affine(change(part.constant), {name: change(value) for name, value in part.coefficients.items()})


def _not_linear(node: Node, part: Affine) -> ExpressionError:
    text = show(node)
    of = ", ".join(part.coefficients)
    return ExpressionError(f"not linear in {of}", f"because of {text if len(text) <= 60 else text[:60] + '...'}", node.column)
