"""Expressions: from text to a tree and back.

    expression  or < and < not < (>= <= > <) < + - < * / < unary - < ^ (from the right; ** is the same)
    operand     NUMBER [UNIT] | NAME | FUNCTION(expression, ...) | (expression)

A unit stands right after a number and nowhere else, so that V, m, h, s, A and S can be names: `(V + 40 mV) / 5 mV`. Nothing
of a text is ever run; what a tree may hold is in this file, and that is all there is.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from snnrun import units

LONGEST = 2000  # characters of an expression
DEEPEST = 100  # levels of a tree: whatever walks along one may call itself


class ExpressionError(ValueError):
    """What is wrong with an expression: where (0-based column in its text), what stands there, and what to write instead."""

    def __init__(self, message: str, hint: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.column = column


# Trees are equal, and hash alike, where they say the same: wherever their parts stand in a text.


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, in internal units."""

    value: float
    dimension: str = "number"
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Sum:
    """a + b - c ..., from the left; a sign per term, of which the first is +."""

    terms: tuple["Node", ...]
    minus: tuple[bool, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Product:
    """a * b / c ..., from the left; the first factor never divides."""

    factors: tuple["Node", ...]
    divides: tuple[bool, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Minus:
    operand: "Node"
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Power:
    base: "Node"
    exponent: "Node"
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple["Node", ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    relation: str  # >= <= > <
    left: "Node"
    right: "Node"
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """Two or more conditions, joined by `and` or by `or`."""

    word: str
    operands: tuple["Node", ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Node"
    column: int = field(default=0, compare=False)


Node: TypeAlias = Literal | Name | Sum | Product | Minus | Power | Call | Comparison | Logic | Not


class Function(NamedTuple):
    """How many arguments a function takes, and of which dimensions."""

    least: int
    most: int | None
    takes: str  # numbers; one of any dimension; several of the same; a condition and two of the same
    about: str


FUNCTIONS: Mapping[str, Function] = {
    "exp": Function(1, 1, "numbers", "e^x"),
    "log": Function(1, 1, "numbers", "natural logarithm"),
    "sqrt": Function(1, 1, "any", "square root"),
    "abs": Function(1, 1, "any", "|x|"),
    "sin": Function(1, 1, "numbers", "sine, of radians"),
    "cos": Function(1, 1, "numbers", "cosine, of radians"),
    "tanh": Function(1, 1, "numbers", "hyperbolic tangent"),
    "cosh": Function(1, 1, "numbers", "hyperbolic cosine"),
    "exprel": Function(1, 1, "numbers", "(e^x - 1) / x, and 1 at x = 0"),
    "sigmoid": Function(1, 1, "numbers", "1 / (1 + e^-x)"),
    "min": Function(2, None, "same", "the least of its arguments"),
    "max": Function(2, None, "same", "the largest of its arguments"),
    "clip": Function(3, 3, "same", "clip(x, low, high): min(max(x, low), high)"),
    "where": Function(3, 3, "where", "where(condition, a, b): a where the condition holds, b where it does not"),
}
# units that may follow a number: m and um would be taken for the variable m
UNITS = tuple(unit for unit, (dimension, _) in units.UNITS.items() if dimension != "length")

RELATIONS = (">=", "<=", ">", "<")
_OR, _AND, _NOT, _RELATION, _SUM, _PRODUCT, _MINUS, _POWER, _OPERAND = range(1, 10)  # how tightly they bind
_BINDS = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "^": _POWER}
_BINDS |= dict.fromkeys(RELATIONS, _RELATION)
_WORDS = ("and", "or", "not")

_LETTERS = "A-Za-z_" + "".join(map(chr, units.LOOKALIKES))
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<word>[{_LETTERS}][{_LETTERS}0-9]*)"
    r"|(?P<operator>>=|<=|\*\*|[-+*/^()<>,])"
)
_SPACE = re.compile(r"\s*")

_MEANT_BY_SIGN = {"=": "a comparison is >=, <=, > or <", "&": "write and", "|": "write or", "!": "write not", "\u00b7": "write *"}
_MEANT_BY_SIGN |= {"\u00d7": "write *", "\u00f7": "write /", "\u2212": "write -", "\u2265": "write >=", "\u2264": "write <="}
_MEANT_BY_SIGN |= {"\u00b2": "write ^2", "\u00b3": "write ^3", "\u2013": "write -"}
_MEANT_BY_FUNCTION = {"ln": "write log", "pow": "write x^y", "sigm": "write sigmoid", "heaviside": "write where(x >= 0, 1, 0)"}
_MEANT_BY_FUNCTION |= {"if": "write where(condition, a, b)", "expm1": "write x * exprel(x)"}


class _Token(NamedTuple):
    kind: str  # number, word, operator, end
    text: str
    column: int


def parse(text: str) -> Node:
    """The tree of a text. Raises ExpressionError."""
    if len(text) > LONGEST:
        hint = f"at most {LONGEST:,} are taken: give names to parts of it"
        raise ExpressionError(f"an expression of {len(text):,} characters is too long", hint, LONGEST)
    parser = _Parser(text)
    tree = parser.expression(0)
    if parser.next.kind != "end":
        raise parser.stray()
    deep = _below(tree, DEEPEST)
    if deep is not None:
        raise _too_deep(deep.column)
    return tree


class _Parser:
    """Precedence climbing. It calls itself once for each level of the tree to the right, and for each bracket."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = self.levels = self.brackets = 0
        self.text = text

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def sees(self, *operators: str) -> bool:
        return self.next.kind == "operator" and self.next.text in operators

    def binds(self) -> int:
        return _BINDS.get(self.next.text, 0) if self.next.kind == "operator" else 0

    def stray(self) -> ExpressionError:
        """What comes after a complete expression and cannot go on with it."""
        token, before = self.next, self.tokens[self.at - 1]
        said = f"{cut(token.text)!r} does not belong here"
        if token.text == ")":
            return ExpressionError("there is no bracket that this one closes", "", token.column)
        if token.text in ("if", "else"):
            return ExpressionError(said, "write where(condition, a, b)", token.column)
        if token.text == ",":
            comma = before.kind == "number" and self.tokens[self.at + 1].kind == "number"
            return ExpressionError(said, "decimals have a point" if comma else "", token.column)
        operator = token.kind == "operator" and token.text != "("
        return ExpressionError(said, "" if operator else "write * for a product", token.column)

    def below(self, least: int) -> Node:
        """An expression one level further down in the tree."""
        self.levels += 1
        if self.levels > DEEPEST:
            raise _too_deep(self.next.column)
        found = self.expression(least)
        self.levels -= 1
        return found

    def expression(self, least: int) -> Node:
        """The longest expression of operators that bind more tightly than `least`."""
        left = self.operand()
        while (level := self.binds()) > least:
            if level == _RELATION:
                relation = self.take().text
                left = Comparison(relation, left, self.below(level), left.column)
                if self.binds() == _RELATION:
                    raise ExpressionError("comparisons come one at a time", "write a < b and b < c", self.next.column)
            elif level == _POWER:
                self.power_of_unit(left)
                self.take()
                left = Power(left, self.below(level - 1), left.column)
            else:
                operands, operators = [left], []
                while self.binds() == level:
                    operators.append(self.take().text)
                    operands.append(self.below(level))
                parts = tuple(operands)
                if level == _SUM:
                    left = Sum(parts, (False, *(operator == "-" for operator in operators)), left.column)
                elif level == _PRODUCT:
                    left = Product(parts, (False, *(operator == "/" for operator in operators)), left.column)
                else:
                    left = Logic(operators[0], parts, left.column)
        return left

    def power_of_unit(self, base: Node) -> None:
        """`5 mV^2` is 5 (mV^2) to one reader and (5 mV)^2 to another."""
        if isinstance(base, Literal) and base.dimension != "number" and base.value != 1 and self.tokens[self.at - 1].text != ")":
            number, unit = self.tokens[self.at - 2].text, self.tokens[self.at - 1].text
            message = "this could be the power of the unit, or that of the number too"
            raise ExpressionError(message, f"write ({number} {unit})^... or {number} * (1 {unit})^...", self.next.column)

    def operand(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return self.literal(token)
        if token.kind == "word":
            return self.call(token) if self.sees("(") else self.name(token)
        if token.text == "(":
            found = self.bracketed(token)
            self.close(token)
            return found
        if token.text == "-":
            return Minus(self.below(_MINUS), token.column)
        if token.text == "not":
            return Not(self.below(_NOT), token.column)
        message = "a number, a name or a bracket is wanted here"
        raise ExpressionError(message, "leave + out" if token.text == "+" else "", token.column)

    def bracketed(self, opening: _Token) -> Node:
        self.brackets += 1
        if self.brackets > DEEPEST:
            raise _too_deep(opening.column)
        found = self.expression(0)
        self.brackets -= 1
        return found

    def close(self, opening: _Token) -> None:
        if self.next.kind == "end":
            hint = f"it closes the bracket at {cut(self.text[opening.column :])!r}"
            raise ExpressionError("')' is missing here", hint, self.next.column)
        if not self.sees(")"):
            raise self.stray()
        self.take()

    def literal(self, token: _Token) -> Literal:
        value = float(token.text)
        if not math.isfinite(value):
            raise ExpressionError("this number is too large", "", token.column)
        if self.next.kind != "word":
            return Literal(value, "number", token.column)
        word = self.take()
        unit = word.text.translate(units.LOOKALIKES)
        if unit not in UNITS:
            same = [known for known in UNITS if known.lower() == unit.lower() and len(unit) > 1]
            hint = f"did you mean {' or '.join(same)}?" if same else f"write {cut(token.text)} * {cut(word.text)} for a product"
            raise ExpressionError(f"{cut(word.text)!r} is no unit", hint, word.column)
        value = units.scaled(value, unit)
        if not math.isfinite(value):
            raise ExpressionError("this number is too large", "", token.column)
        return Literal(value, units.UNITS[unit][0], token.column)

    def name(self, token: _Token) -> Name:
        if token.text in FUNCTIONS:
            raise ExpressionError(f"{token.text} is a function", f"write {token.text}(...)", token.column)
        if not token.text.isascii():
            message = f"{cut(token.text)!r} cannot be a name"
            raise ExpressionError(message, "names are made of a to z, A to Z, 0 to 9 and _", token.column)
        return Name(token.text, token.column)

    def call(self, token: _Token) -> Call:
        function = FUNCTIONS.get(token.text)
        if function is None:
            near = difflib.get_close_matches(token.text, FUNCTIONS, n=1) if len(token.text) < 20 else []
            known = f"did you mean {near[0]}?" if near else f"functions are {' '.join(FUNCTIONS)}"
            hint = _MEANT_BY_FUNCTION.get(token.text, known)
            raise ExpressionError(f"there is no function {cut(token.text)!r}", hint, token.column)
        opening = self.take()
        self.levels += 1
        if self.levels > DEEPEST:
            raise _too_deep(opening.column)
        arguments = [] if self.sees(")") else [self.bracketed(opening)]
        while arguments and self.sees(","):
            self.take()
            arguments.append(self.bracketed(opening))
        self.levels -= 1
        self.close(opening)
        if len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            wanted = f"{function.least}{'' if function.most else ' or more'} argument{'' if function.least == 1 else 's'}"
            raise ExpressionError(f"{token.text} takes {wanted}, not {len(arguments)}", function.about, token.column)
        return Call(token.text, tuple(arguments), token.column)


def _tokens(text: str) -> Iterator[_Token]:
    column = _SPACE.match(text).end()  # type: ignore[union-attr]
    while column < len(text):
        match = _TOKEN.match(text, column)
        if match is None:
            sign = text[column]
            hint = _MEANT_BY_SIGN.get(sign, "")
            raise ExpressionError(f"{sign!r} has no meaning in an expression", hint, column)
        kind, found = str(match.lastgroup), match[0]
        kind = "operator" if found in _WORDS else kind
        yield _Token(kind, "^" if found == "**" else found, column)
        column = _SPACE.match(text, match.end()).end()  # type: ignore[union-attr]
    yield _Token("end", "", len(text))


def cut(text: str) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= 20 else f"{text[:20]}..."


def _too_deep(column: int) -> ExpressionError:
    return ExpressionError("this is nested too deeply", f"at most {DEEPEST} levels are taken: give names to parts of it", column)


def _below(tree: Node, depth: int) -> Node | None:
    """Some node that is deeper in a tree than `depth`, without calling itself."""
    level: list[Node] = [tree]
    for _ in range(depth):
        level = [child for node in level for child in children(node)]
    return level[0] if level else None


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in the order of the text."""
    match node:
        case Sum():
            return node.terms
        case Product():
            return node.factors
        case Minus() | Not():
            return (node.operand,)
        case Power():
            return (node.base, node.exponent)
        case Call():
            return node.arguments
        case Comparison():
            return (node.left, node.right)
        case Logic():
            return node.operands
    return ()


def rebuild(node: Node, parts: Sequence[Node]) -> Node:
    """The same node with other parts, as many as it had."""
    assert len(parts) == len(children(node))
    match node:
        case Sum():
            return replace(node, terms=tuple(parts))
        case Product():
            return replace(node, factors=tuple(parts))
        case Minus() | Not():
            return replace(node, operand=parts[0])
        case Power():
            return replace(node, base=parts[0], exponent=parts[1])
        case Call():
            return replace(node, arguments=tuple(parts))
        case Comparison():
            return replace(node, left=parts[0], right=parts[1])
        case Logic():
            return replace(node, operands=tuple(parts))
    return node


def names(node: Node) -> dict[str, int]:
    """Every name in a tree, with the column where it stands first, in the order of the text."""
    found: dict[str, int] = {}
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Name):
            found.setdefault(part.name, part.column)
        waiting.extend(reversed(children(part)))
    return found


def literal_exponent(node: Node) -> Fraction | None:
    """The value of an exponent that is written with numbers alone: 2, -1, 0.5, 1/2; None for any other."""
    match node:
        case Literal(value, "number"):
            return Fraction(value)
        case Minus(operand):
            value = literal_exponent(operand)
            return None if value is None else -value
        case Product((Literal(above, "number"), Literal(below, "number")), (False, True)) if below != 0:
            return Fraction(above) / Fraction(below)
    return None


def show(node: Node) -> str:
    """The text of a tree, with no more brackets than it needs; `parse` makes an equal tree of it, if it is not too long."""
    return _show(node, 0)


def _show(node: Node, least: int) -> str:
    text, level = _text(node)
    return text if level > least else f"({text})"


def _text(node: Node) -> tuple[str, int]:
    """The text of a node, and how tightly it binds."""
    match node:
        case Literal():
            return _number(node), _OPERAND if node.dimension == "number" else _POWER
        case Name(name):
            return name, _OPERAND
        case Sum(terms, minus):
            shown = [_show(terms[0], _SUM), *(_show(term, _SUM if _plain(term) else _MINUS) for term in terms[1:])]
            return _joined(shown, [" - " if sign else " + " for sign in minus]), _SUM
        case Product(factors, divides):
            shown = [_show(factors[0], _PRODUCT), *(_show(factor, _MINUS) for factor in factors[1:])]
            return _joined(shown, [" / " if divided else " * " for divided in divides]), _PRODUCT
        case Minus(operand):
            return f"-{_show(operand, _MINUS - 1)}", _MINUS
        case Power(base, exponent):
            return f"{_show(base, _POWER)}^{_show(exponent, _MINUS - 1)}", _POWER
        case Call(function, arguments):
            return f"{function}({', '.join(_show(argument, 0) for argument in arguments)})", _OPERAND
        case Comparison(relation, left, right):
            return f"{_show(left, _RELATION)} {relation} {_show(right, _RELATION)}", _RELATION
        case Logic(word, operands):
            level = _BINDS[word]
            return f" {word} ".join(_show(operand, level) for operand in operands), level
        case Not(operand):
            return f"not {_show(operand, _NOT - 1)}", _NOT


def _joined(parts: Sequence[str], signs: Sequence[str]) -> str:
    return parts[0] + "".join(sign + part for sign, part in zip(signs[1:], parts[1:], strict=True))


def _plain(term: Node) -> bool:
    """Whether a term after a sign has none of its own."""
    first = term.factors[0] if isinstance(term, Product) else term
    return not isinstance(first, Minus)


def _number(literal: Literal) -> str:
    """A number in its usual unit if that is the very same number, and in the internal one if not."""
    if literal.dimension == "number":
        return _shortest(literal.value)
    inside = next(unit for unit in units.of_dimension(literal.dimension) if units.UNITS[unit][1] == 0)
    for unit in (units.usual(literal.dimension), *units.of_dimension(literal.dimension)):
        factor, multiplied = units.to_internal(unit)
        text = _shortest(float(f"{literal.value / factor if multiplied else literal.value * factor:.15g}"))
        if units.scaled(float(text), unit) == literal.value:
            return f"{text} {unit}"
    return f"{_shortest(literal.value)} {inside}"


def _shortest(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else repr(value)
