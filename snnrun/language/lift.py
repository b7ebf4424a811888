"""What of an expression does not change during a run: it is computed once, on the host, in float64.

    (-g_L * (U - V_rest) + g_L * Delta_T * exp((U - V_T) / Delta_T)) / C        where U alone varies
    = $0 * ($1 * (U - $2) + $3 * exp($4 * (U - $5)))

Constant terms of a sum and constant factors of a product come together, and to divide by them becomes to multiply. Numbers
alone are computed at once. A condition stays what it is, and what it compares is lifted.
"""

import math
from collections.abc import Iterable, Set

import numpy as np

from snnrun.language.expression import (
    Comparison,
    Literal,
    Logic,
    Name,
    Node,
    Not,
    Power,
    Product,
    Sum,
    children,
    literal_exponent,
    names,
    rebuild,
)
from snnrun.language.walk import evaluate


def lifted(node: Node, varying: Set[str]) -> tuple[Node, dict[str, Node]]:
    """A tree of varying names, numbers and slots `$0`, `$1`, ..., and the tree that each slot stands for.

    It is for `evaluate` alone: numbers in it have lost their dimensions.
    """
    (found,), slots = lifted_together([node], varying)
    return found, slots


def lifted_together(nodes: Iterable[Node], varying: Set[str]) -> tuple[list[Node], dict[str, Node]]:
    """The same of several trees: what is alike in them shares a slot."""
    slots: dict[Node, str] = {}

    def fixed(node: Node) -> bool:
        return not isinstance(node, Comparison | Logic | Not) and varying.isdisjoint(names(node))

    def slot(node: Node) -> Node:
        """What stands for a tree without varying names."""
        if isinstance(node, Literal):
            return node
        value = math.nan if names(node) else float(evaluate(node, {}, np))
        if math.isfinite(value):
            return Literal(value, "number", node.column)
        return Name(slots.setdefault(node, f"${len(slots)}"), node.column)

    def lift(node: Node) -> Node:
        if fixed(node):
            return slot(node)
        match node:
            case Sum():
                return lift_sum(node)
            case Product():
                return lift_product(node)
            case Power(base, exponent) if literal_exponent(exponent) is not None:
                return rebuild(node, (lift(base), exponent))
        return rebuild(node, [lift(child) for child in children(node)])

    def lift_sum(node: Sum) -> Node:
        """All constant terms stand where the first of them stood, and have its sign."""
        still = [i for i, term in enumerate(node.terms) if fixed(term)]
        if not still:
            return rebuild(node, [lift(term) for term in node.terms])
        first = still[0]
        group = node.terms[first]
        if len(still) > 1:
            signs = tuple(node.minus[i] != node.minus[first] for i in still)
            group = Sum(tuple(node.terms[i] for i in still), signs, group.column)
        kept = [i for i in range(len(node.terms)) if i == first or i not in still]
        terms = tuple(slot(group) if i == first else lift(node.terms[i]) for i in kept)
        return Sum(terms, tuple(node.minus[i] for i in kept), node.column)

    def lift_product(node: Product) -> Node:
        """All constant factors stand in front."""
        every = list(zip(node.factors, node.divides, strict=True))
        still = [(factor, divides) for factor, divides in every if fixed(factor)]
        if not still:
            return rebuild(node, [lift(factor) for factor in node.factors])
        if still[0][1]:
            still.insert(0, (Literal(1.0), False))
        factors, divides = zip(*still, strict=True)
        group = slot(factors[0] if len(factors) == 1 else Product(factors, divides, node.column))
        rest = [(lift(factor), divides) for factor, divides in every if not fixed(factor)]
        if not (isinstance(group, Literal) and group.value == 1.0) or rest[0][1]:
            rest.insert(0, (group, False))
        if len(rest) == 1:
            return rest[0][0]
        factors, divides = zip(*rest, strict=True)
        return Product(factors, divides, node.column)

    return [lift(node) for node in nodes], {name: node for node, name in slots.items()}
