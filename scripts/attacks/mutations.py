"""Network files that nobody would write: mutated texts, mutated trees, and trees grown from the schema of the format.

Everything is drawn from a random.Random that the caller gives, so that a file follows from its seed.
"""

import copy
import json
import math
import re
import re._constants as sre
import re._parser as regex
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from attacks import corpus

Tree = Any


class Raw(str):
    """A piece of YAML that is written as it stands: an alias, a tag, a number of a strange form."""


def draw(rng: Random, schema: dict[str, Any]) -> str:
    """A network file: a mutated text, a mutated tree, or a tree from the schema, which may be mutated as well."""
    kind = rng.random()
    if kind < 0.35:
        return text(rng, rng.choice(corpus.texts()))
    source = rng.choice(corpus.trees()) if kind < 0.75 else network(rng, schema)
    changes = rng.choice((1, 1, 1, 2, 3, 8)) if kind < 0.75 else rng.choice((0, 0, 1))
    try:
        return emit(rng, tree(rng, source, changes))
    except RecursionError:  # what is nested so deeply that it cannot be changed any more
        return rng.choice(("[", "{a: ", "- ", "? ")) * 2000


# ---- texts -----------------------------------------------------------------------------------------------------------

TOKENS = re.compile(r"[A-Za-z_][\w-]*|[-+]?[\d.]+(?:[eE][-+]?\d+)?|\s+|.", re.DOTALL)
PIECES = (
    "\0", "\t", "\r", "\n", "\r\n", "\x85", "\u2028", "\ufeff", "\x1b[31m", "\x7f", "\u202e", "\ud800", "\U0001f600", "µ", "Ω",
    "é", "{", "}", "[", "]", ":", ": ", ",", "-", "- ", "&a ", "*a", "<<: ", "!", "!!int ", "!!binary ",
    "!!python/object:os.system ", "%", "@", "`", "'", '"', "|\n", ">\n", "#", " #", "---\n", "...\n", "? ", "~", "null", "true",
    ".nan", ".inf", "-.inf", "1e999", "-0", "0x", "0o9", "1_000", "99999999999999999999999999", "1e-400 ms", "ms", "mV",
    " 5 mV", "0 ms", "-1 ms", "1e300 mV", "1e308 s", "E[:5]", "E[5:2]", "E[-1]", "E[]", "[" * 50, "{a: " * 50, "- " * 120,
    '"\\ud800"', '"\\0"', '"\\e[0m"', "\\x", "  ", "        ",
)  # fmt: skip


def text(rng: Random, source: str) -> str:
    """A text with some of its characters, words or lines changed."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 10))):
        source = rng.choice(_ON_TEXT)(rng, source)
    return source[:200_000]


def _on_tokens(change: Callable[[Random, list[str]], None]) -> Callable[[Random, str], str]:
    def mutate(rng: Random, source: str) -> str:
        tokens = TOKENS.findall(source)
        if tokens:
            change(rng, tokens)
        return "".join(tokens)

    return mutate


def _on_lines(change: Callable[[Random, list[str]], None]) -> Callable[[Random, str], str]:
    def mutate(rng: Random, source: str) -> str:
        lines = source.split("\n")
        change(rng, lines)
        return "\n".join(lines)

    return mutate


def _delete(rng: Random, parts: list[str]) -> None:
    at = rng.randrange(len(parts))
    del parts[at : at + rng.choice((1, 1, 1, 2, 5))]


def _repeat(rng: Random, parts: list[str]) -> None:
    at = rng.randrange(len(parts))
    parts[at:at] = parts[at : at + rng.choice((1, 1, 3))] * rng.choice((1, 1, 2, 20))


def _exchange(rng: Random, parts: list[str]) -> None:
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[a], parts[b] = parts[b], parts[a]


def _insert(rng: Random, parts: list[str]) -> None:
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(PIECES))


def _replace(rng: Random, parts: list[str]) -> None:
    parts[rng.randrange(len(parts))] = rng.choice(PIECES)


def _byte(rng: Random, source: str) -> str:
    data = bytearray(source.encode("utf-8", "surrogatepass"))
    if data:
        at = rng.randrange(len(data))
        data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    return data.decode("utf-8", "surrogateescape")


def _lengthen(rng: Random, source: str) -> str:
    """A word or sign that goes on for very long, on one line or on many."""
    if rng.random() < 0.8:  # it costs much time, and shows little
        return _byte(rng, source)
    tokens = TOKENS.findall(source) or [" "]
    at, piece = (
        rng.randrange(len(tokens)),
        rng.choice(("x", "1", " ", "\n", "[", "- ", "x: 1\n", "x, ", "[0, 1], ", "1 ", "é", '"', ": ")),
    )
    tokens.insert(at, piece * rng.choice((200, 2000, 20_000, 100_000)))
    return "".join(tokens)


def _cut(rng: Random, source: str) -> str:
    return source[: rng.randrange(len(source) + 1)]


def _indent(rng: Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines[at] = rng.choice((" ", "  ", "\t")) + lines[at] if rng.random() < 0.5 else lines[at][1:]


_ON_TEXT = (*(_on_tokens(c) for c in (_delete, _repeat, _exchange, _insert, _replace, _replace)),
            *(_on_lines(c) for c in (_delete, _repeat, _exchange, _indent)), _byte, _byte, _cut, _lengthen)  # fmt: skip

# ---- trees -----------------------------------------------------------------------------------------------------------

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31 - 1, 2**31, 2**53, 2**63, 2**64 - 1, 2**64, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("nan"), "", " ", "x", "E", "E[:1]", "E[0]", "E[1:0]", "E[99999999999999999999]", "E[:-1]", "../x",
    "/dev/zero", "no such.csv", ".", "a\0b", "\ud800", "\x1b[31m", "x" * 5000, [], {}, [[]], [{}], {"": {}}, [None], ["E", "E"],
    ["E", 3], "lif", "poisson", "delta", "expon", "alpha", "coba", "cuba", "file", "pairs", "5", "5 ms", "0 ms", "-1 ms",
    "1e-12 ms", "1e300 s", "0.05 ms", "1e999 ms", "nan ms", "5 mV", "-1e300 mV", "1e308 V", "1e-300 mV", "5 nS", "-5 nS",
    "5 pA", "1e300 A", "1 MHz", "8 kHz", "1e300 Hz", "5 parsec", "µS", "5 µS", "5 MOhm", "0 Ohm", "1e-300 Ohm", "250 pF", "0 F",
    "1e300 F", {"normal": {"mean": "1 mV", "std": "1 mV"}}, {"normal": {"mean": "1 ms", "std": "1e300 ms"}}, {"uniform": {"low":
    "0 ms", "high": "1e9 s"}}, {"exponential": {"mean": "1 pA"}}, {"lognormal": {"mean": "1e-300 mV", "std": "1e300 mV"}},
    {"gamma": {"mean": "1 nS", "std": "1e-300 nS"}}, {"normal": {"mean": "0 mV", "std": "1 mV", "redraw": {"min": "1e9 mV"}}},
    {"file": "x.csv", "column": "x_mV"}, {"file": 3}, Raw("*a"), Raw("!!int '5'"), Raw("!!float x"), Raw("!!binary aGk="),
    Raw("!x y"), Raw("0o17"), Raw("0x1F"), Raw("1_000"), Raw("1e3"), Raw("2001-01-01"), Raw(".NaN"), Raw("- - - x"),
    Raw("|\n  x"), Raw("'"), Raw("? x"), Raw("&a [*a]"),
)  # fmt: skip


def tree(rng: Random, source: Tree, changes: int) -> Tree:
    """A tree with some of its parts changed."""
    source = copy.deepcopy(source)
    for _ in range(changes):
        places = list(_places(source))
        if not places:
            break
        # a deep part and a shallow one are as likely, whatever their numbers
        depth = rng.choice(sorted({len(path) for path, *_ in places}))
        path, parent, key = rng.choice([place for place in places if len(place[0]) == depth])
        rng.choice(_ON_TREE)(rng, source, parent, key, places)
    return source


def _places(node: Tree, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """(path, parent, key) of every part."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key), node, key
        yield from _places(value, (*path, key))


def _drop(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    del parent[key]


def _double(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    if isinstance(parent, dict):
        parent[f"{key}{rng.choice(('2', '_', ' ', '', '.x', '[0]'))}"] = copy.deepcopy(parent[key])
    else:
        parent.insert(key, copy.deepcopy(parent[key]))


def _swap(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    _, other, there = rng.choice(places)
    one, two = copy.deepcopy(parent[key]), copy.deepcopy(other[there])
    parent[key], other[there] = two, one


def _retype(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    parent[key] = copy.deepcopy(rng.choice(SCALARS))


def _wrap(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    value = parent[key]
    for _ in range(rng.choice((1, 1, 2, 5, 150, 500))):
        value = [value] if rng.random() < 0.5 else {rng.choice(("a", "normal", "model", "V")): value}
    parent[key] = value


def _unwrap(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    value = parent[key]
    if isinstance(value, dict | list) and value:
        parent[key] = rng.choice(list(value.values()) if isinstance(value, dict) else value)


def _rename(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    if isinstance(parent, dict):
        keys = [k for _, p, k in places if isinstance(p, dict)]
        odd = ("", "~", "1", "x y", "<<", "a.b", "a/b", "..", "\x1b[0m", "\ud800", "E\0", "N" * 300, "é", str(key).upper())
        parent[rng.choice((*odd, *keys))] = parent.pop(key)


def _as_float(value: int | float) -> tuple[float, float]:
    """A number 10^30 times as large, and the same as a float; an integer may be too large for either."""
    try:
        return value * 1e30, float(value)
    except OverflowError:
        return math.inf, math.inf


def _number(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    """Another number before the same unit, or another unit behind the same number."""
    value = parent[key]
    if isinstance(value, bool) or value is None:
        parent[key] = not value
    elif isinstance(value, int | float):
        parent[key] = rng.choice((-value, value * 10, value + 1, value - 1, *_as_float(value), str(value), 0, 10**12))
    elif isinstance(value, str) and (found := re.fullmatch(r"([-+.\deE]+)\s*(\w+)", value)):
        number, unit = found.groups()
        if rng.random() < 0.6:
            number = rng.choice(
                ("0", f"-{number}", f"{number}0", "1e-300", "1e300", "1e15", "1e-9", "0.123456789", "1e9", f"{number}1")
            )
        else:
            unit = rng.choice(("s", "ms", "us", "V", "mV", "pA", "A", "nS", "S", "Ohm", "F", "Hz", "kHz", "um", "MS", "", "x"))
        parent[key] = f"{number} {unit}"
    elif isinstance(value, str):
        names = [k for path, _, k in places if len(path) == 2]
        parent[key] = rng.choice(
            (*names, f"{value}x", f"{value}[0]", f"{value}[:2]", f"{value}[1:]", value[:-1], [value], [value] * 2)
        )
    elif isinstance(value, list):
        rng.shuffle(value)


def _alias(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    """One part anchored, others its aliases; sometimes a chain of aliases that doubles at every step."""
    name = f"a{rng.randrange(3)}"
    if rng.random() < 0.2:
        steps = rng.choice((3, 12, 25, 60))
        doubled = [Raw(f"&d{i} [{f'*d{i - 1}, *d{i - 1}' if i else 'x, y'}]") for i in range(steps)]
        root["name" if rng.random() < 0.5 else "x-anchors"] = doubled
        parent[key] = Raw(f"*d{steps - 1}") if rng.random() < 0.5 else parent[key]
        return
    first = Raw(f"&{name} {flow(parent[key])}")
    _, other, there = rng.choice(places)
    parent[key] = first
    other[there] = Raw(f"*{name}")


def _merge(rng: Random, root: Tree, parent: Any, key: Any, places: list[Any]) -> None:
    """An entry merged into another, or into what cannot merge it."""
    mappings = [(p, k) for _, p, k in places if isinstance(p[k], dict)]
    if not mappings:
        return
    other, there = rng.choice(mappings)
    merged = Raw(f"&m {flow(other[there])}")
    into = rng.choice((Raw("*m"), Raw("[*m, *m]"), Raw("[*m, {size: 3}]"), Raw("3"), Raw("[3]"), Raw("{<<: *m}")))
    root_first = {"x-m": merged} if rng.random() < 0.5 else {}
    if not root_first:
        other[there] = merged
    target = rng.choice(mappings)[0]
    if isinstance(target, dict):
        target[Raw("<<")] = into
    if root_first:
        rest = dict(root)
        root.clear()
        root.update(root_first | rest)


_ON_TREE = (_drop, _drop, _double, _swap, _swap, _retype, _retype, _retype, _wrap, _unwrap, _rename, _number, _number, _number,
            _number, _alias, _merge)  # fmt: skip

# ---- trees from the schema -------------------------------------------------------------------------------------------

_NAMES = ("A", "B", "C", "D-1", "e_2")


def network(rng: Random, schema: dict[str, Any]) -> Tree:
    """A network that fits the schema, mostly small, with references that mostly lead somewhere."""
    found = _grown(rng, schema, schema, "")
    found["duration"], found["dt"] = rng.choice(("2 ms", "10 ms", "1 s")), rng.choice(("0.1 ms", "0.1 ms", "1 ms", "0.25 ms"))
    names = list(found["populations"])
    for entry in found["populations"].values():
        entry["size"] = rng.choice((1, 2, 3, 5, 50, 300))
    for section, keys in (("projections", ("pre", "post")), ("inputs", ("to",)), ("monitors", ("of",))):
        for entry in found.get(section, {}).values():
            for key in keys:
                if rng.random() < 0.95:
                    name = rng.choice(names)
                    entry[key] = rng.choice((name, name, f"{name}[:1]", f"{name}[0]", [name], names))
            if "variables" in entry and rng.random() < 0.9:
                entry["variables"] = rng.choice((["V"], ["ref"], ["V", "ref"], [f"{rng.choice(_NAMES)}.x"]))
    return found


def _grown(rng: Random, schema: dict[str, Any], part: dict[str, Any], key: str) -> Tree:
    """A value that fits a part of a schema; `key` is where it stands."""
    if "$ref" in part:
        return _grown(rng, schema, schema["$defs"][part["$ref"].rsplit("/", 1)[1]], key)
    for choice in ("anyOf", "oneOf"):
        if choice in part:
            options = part[choice]
            # plain values more often than distributions and columns of files
            return _grown(rng, schema, options[0] if rng.random() < 0.5 else rng.choice(options), key)
    if "const" in part:
        return part["const"]
    if "enum" in part:
        return rng.choice(part["enum"])
    kind = part.get("type")
    if kind == "object":
        return _object(rng, schema, part, key)
    if kind == "array":
        entries = part.get("prefixItems")
        if entries:
            return [_grown(rng, schema, entry, key) for entry in entries]
        return [
            _grown(rng, schema, part.get("items", {}), key) for _ in range(rng.choice((1, 1, 2, 3)) or part.get("minItems", 0))
        ]
    if kind == "string":
        return quantity(rng, part["pattern"]) if "pattern" in part else rng.choice(("x.csv", "V", "x", "no such.h5"))
    if kind == "integer":
        return rng.choice((0, 1, 2, 3, 10, 100, part.get("minimum", 0), part.get("maximum", 5)))
    if kind == "number":
        return rng.choice((0.0, 0.1, 0.5, 1.0, part.get("minimum", 0.0), part.get("maximum", 1.0)))
    return rng.random() < 0.5 if kind == "boolean" else None


def _object(rng: Random, schema: dict[str, Any], part: dict[str, Any], key: str) -> Tree:
    if not part.get("properties"):
        names = rng.sample(_NAMES, rng.choice((1, 1, 2, 3)))
        entry = next(iter(part.get("patternProperties", {}).values()), part.get("additionalProperties"))
        return {name: _grown(rng, schema, entry if isinstance(entry, dict) else {}, name) for name in names}
    required = part.get("required", ())
    found = {}
    for name, below in part["properties"].items():
        if name in required or rng.random() < (0.5 if key == "" else 0.25):
            found[name] = _grown(rng, schema, below, name)
    if "R" in part["properties"] and ("R" in found) == ("C" in found) and rng.random() < 0.95:
        found.pop("R", None)
        found["C"] = "250 pF"
    if "V_th" in found and isinstance(found["V_th"], str) and rng.random() < 0.9:
        found |= {"V_rest": "-65 mV", "V_reset": "-70 mV", "V_th": "-50 mV"}
    return found


def quantity(rng: Random, pattern: str) -> str:
    """A text that a pattern matches; numbers with units get a number of a size that means something."""
    if "(?:[eE]" in pattern:
        units = pattern[pattern.rindex("(") + 1 : pattern.rindex(")")].split("|")
        number = rng.choice(("0", "1", "2", "5", "0.1", "0.5", "10", "20", "100", "-1", "-65", "1e3", "1e-3", ".5", "+3", "1e30"))
        return f"{number} {rng.choice(units)}"
    return matching(rng, regex.parse(pattern))


def matching(rng: Random, parsed: Any) -> str:
    """A text that a parsed regular expression matches."""
    found = ""
    for op, argument in parsed:
        if op is sre.LITERAL:
            found += chr(argument)
        elif op is sre.IN:
            kinds = [part for part in argument if part[0] in (sre.LITERAL, sre.RANGE)] or [(sre.LITERAL, ord(" "))]  # or \\s
            kind, value = rng.choice(kinds)
            found += chr(value if kind is sre.LITERAL else rng.randint(*value))
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, below = argument
            found += "".join(matching(rng, below) for _ in range(rng.randint(low, min(high, low + 3))))
        elif op is sre.SUBPATTERN:
            found += matching(rng, argument[3])
        elif op is sre.BRANCH:
            found += matching(rng, rng.choice(argument[1]))
    return found


# ---- trees as text ---------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z][\w-]*|-?\d[\w.-]* ?[A-Za-z]*")
_WORDS = {"true", "false", "null", "yes", "no"}


def flow(node: Tree) -> str:
    """A tree in one line."""
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(flow, node)) + "]"
    if isinstance(node, str):
        return node if _PLAIN.fullmatch(node) and node.lower() not in _WORDS and not node.isdigit() else json.dumps(node)
    if isinstance(node, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(node), repr(node))
    return "~" if node is None else str(node).lower()


def emit(rng: Random, node: Tree) -> str:
    """A tree as text: parts of it in one line, others in a line each, with comments and blank lines here and there."""
    lines: list[str] = []

    def block(node: Tree, indent: int) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            head = " " * indent + (f"{flow(key)}:" if isinstance(node, dict) else "-")
            if rng.random() < 0.02:
                lines.append("# a comment, and below a blank line\n")
            if isinstance(value, dict | list) and value and indent < 40 and rng.random() < 0.6:
                lines.append(head)
                block(value, indent + 2)
            else:
                lines.append(f"{head} {flow(value)}")

    block(node, 0)
    return "\n".join(lines) + "\n"
