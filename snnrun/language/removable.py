"""Quotients that are 0/0 somewhere although they have a value there: the opening rates of channels are often written so.

x / (exp(x) - 1) = 1 / exprel(x)        (exp(x) - 1) / x = exprel(x)
"""

from collections.abc import Iterator

import numpy as np

from snnrun.language.expression import Call, ExpressionError, Literal, Minus, Node, Product, Sum, children, names, show
from snnrun.language.walk import affine


def removable(node: Node) -> list[ExpressionError]:
    """Every such quotient in a tree, as the error that it is at that one point, with what to write instead."""
    found = [fault for child in children(node) for fault in removable(child)]
    if isinstance(node, Product):
        parts = list(zip(node.factors, node.divides, strict=True))
        for factor, divides in parts:
            for x in _arguments(factor):
                if any(other is not factor and divided != divides and _vanish_together(other, x) for other, divided in parts):
                    found.append(_fault(x, divides, factor.column))
    return found


def _fault(x: Node, below: bool, column: int) -> ExpressionError:
    text = show(x)
    text = text if len(text) <= 60 else f"{text[:60]}..."
    hint = "write 1 / exprel(x) for x / (exp(x) - 1)" if below else "write exprel(x) for (exp(x) - 1) / x"
    return ExpressionError(f"this is 0/0 where {text} is 0", hint if text == "x" else f"{hint}, where x = {text}", column)


def _arguments(node: Node) -> Iterator[Node]:
    """x, where a node is exp(x) - 1 or 1 - exp(x)."""
    if isinstance(node, Minus):
        yield from _arguments(node.operand)
    if isinstance(node, Sum) and len(node.terms) == 2:
        for (a, minus_a), (b, minus_b) in (parts := list(zip(node.terms, node.minus, strict=True)), parts[::-1]):
            one = isinstance(b, Literal) and b.value == 1 and minus_a != minus_b
            # -1 + exp(x) begins with a number that has a sign
            one = one or (isinstance(b, Minus) and isinstance(b.operand, Literal) and b.operand.value == 1 and not minus_a)
            if one and isinstance(a, Call) and a.function == "exp":
                yield a.arguments[0]


def _vanish_together(a: Node, b: Node) -> bool:
    """Whether two trees are 0 at the same value of some name in which both are linear, whatever other names stand for."""
    every = sorted({*names(a), *names(b)})
    return any(_roots_agree(a, b, name, every) for name in names(b))


def _roots_agree(a: Node, b: Node, name: str, every: list[str]) -> bool:
    for start in (0.3, 0.7):  # two points of no meaning; what agrees at both does not by chance
        values = {other: 1.0 + (start + 0.6180339887 * i) % 1.0 for i, other in enumerate(every) if other != name}
        try:
            left, right = (affine(node, values, [name], np) for node in (a, b))
        except ExpressionError:
            return False
        if name not in left.coefficients or name not in right.coefficients:
            return False
        roots = [-part.constant / part.coefficients[name] for part in (left, right)]
        if not abs(roots[0] - roots[1]) <= 1e-9 * (1.0 + abs(roots[0])):
            return False
    return True
