"""YAML text with positions: the only module that knows how a network file is written down.

The text is read by the rules of YAML 1.2 (`1e-3` is a number, `no` is a string, a key given twice is an error) into plain
dicts, lists and scalars. Where each of them stands is kept beside the tree, so that a fault found later, in terms of
paths such as `populations.N.tau`, can be shown as file, line, column and the line itself.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]

MAX_BYTES = 16 * 2**20
MAX_NODES = 10**6  # after expansion of aliases: a file of 1 kB can stand for billions of nodes


@dataclass(frozen=True)
class Fault:
    """One mistake in a network file: where (a path in the tree), what is wrong, what to write instead."""

    path: Key
    message: str
    hint: str = ""
    at_key: bool = False
    line: int | None = None  # 1-based; given where there is no tree yet, otherwise found from the path
    column: int | None = None
    label: str = ""  # stands for the place of what was not written in the file, like `--set #2`


class SpecError(Exception):
    """All faults of one network file, and the file as far as it could be read."""

    def __init__(self, faults: Iterable[Fault], document: "Document | None" = None) -> None:
        self.faults = list(faults)
        self.document = document
        super().__init__("; ".join(f"{dotted(f.path)}: {f.message}" for f in self.faults))


@dataclass(frozen=True)
class Mark:
    line: int
    column: int


@dataclass(frozen=True)
class Override:
    """One `--set key.path=value` (or an option that stands for one), and how it was written."""

    path: Key
    value: str
    label: str


@dataclass
class Document:
    """A network file: its text, its tree, and where in the text each part of the tree stands."""

    name: str
    text: str
    folder: Path
    tree: Any = None
    keys: dict[Key, Mark] = field(default_factory=dict)
    values: dict[Key, Mark] = field(default_factory=dict)
    overridden: dict[Key, str] = field(default_factory=dict)


def dotted(path: Key) -> str:
    """`populations.N.tau`, `projections.exc.connect.pairs[3]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


# ---- reading -------------------------------------------------------------------------------------------------------


def read(path: Path) -> Document:
    """The document in a file. Raises SpecError for what is no YAML, OSError for what cannot be read."""
    if path.stat().st_size > MAX_BYTES:
        raise SpecError([Fault((), f"the file is larger than {MAX_BYTES >> 20} MiB", "put large arrays into files")])
    data = path.read_bytes()
    document = Document(str(path), "", path.parent)
    try:
        document.text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError([Fault((), "the file is not UTF-8 text", "save it as UTF-8", line=line, column=1)]) from None
    return parse(document)


def parse(document: Document) -> Document:
    """Fill the tree and the positions of a document from its text."""
    loader = _Loader(document.text)
    try:
        node = loader.get_single_node()
        if node is not None:
            faults = list(_faults_of_nodes(node))
            if faults:
                raise SpecError(faults)
            document.tree = loader.construct_document(node)
            _mark(node, (), document)
    except yaml.MarkedYAMLError as error:
        raise SpecError([_yaml_fault(error, document.text)]) from None
    except yaml.reader.ReaderError as error:
        line = document.text[: error.position].count("\n") + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
        raise SpecError([Fault((), message, "remove it", line=line, column=1)]) from None
    except RecursionError:
        raise SpecError([Fault((), "the file is nested too deeply", line=1, column=1)]) from None
    if document.tree is None:
        raise SpecError([Fault((), "the file is empty", "see configs/ for examples", line=1, column=1)])
    if not isinstance(document.tree, dict):
        message = "a network file is a mapping: populations, projections, inputs, monitors"
        raise SpecError([Fault((), message, line=1, column=1)])
    return document


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of the YAML 1.2 core schema."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text = loader.construct_scalar(node)
    if len(text) > 100:  # Python refuses, or takes long over, huge integers; none is meant as a number
        return text
    prefix = text[:2].lower()
    return int(text[2:], 8 if prefix == "0o" else 16) if prefix in ("0o", "0x") else int(text)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf")
                 .replace(".nan", "nan").replace(".NaN", "nan").replace(".NAN", "nan"))  # fmt: skip


def _bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return loader.construct_scalar(node).lower() == "true"


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:bool", _bool)


def _faults_of_nodes(root: yaml.Node) -> Iterator[Fault]:
    """Duplicate keys, keys that are no plain scalars, aliases that explode: one walk before anything is constructed."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    faults: list[Fault] = []

    def at(node: yaml.Node, message: str, hint: str = "") -> None:
        faults.append(Fault((), message, hint, line=node.start_mark.line + 1, column=node.start_mark.column + 1))

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            at(node, "an alias that contains itself")
            return 1
        if id(node) in sizes:
            return sizes[id(node)]
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(size(child) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, yaml.Node] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    at(key, "a key must be plain text", "quote what you meant as text")
                elif key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        first = seen[key.value].start_mark.line + 1
                        at(key, f"{key.value!r} is given twice (first in line {first})", "remove one of the two")
                    seen.setdefault(key.value, key)
                total += 1 + size(value)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    if size(root) > MAX_NODES:
        at(root, f"the aliases of this file expand to more than {MAX_NODES:,} nodes", "put large arrays into files")
    yield from faults


def _mark(node: yaml.Node, path: Key, document: Document) -> None:
    """Remember where each key and value stands; merged keys point to where they are really written."""
    document.values[path] = Mark(node.start_mark.line, node.start_mark.column)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:  # construction has put merged keys in front, so an own key overrides them
            child = (*path, str(key.value))
            document.keys[child] = Mark(key.start_mark.line, key.start_mark.column)
            _mark(value, child, document)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _mark(value, (*path, i), document)


def _yaml_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    if line >= len(lines):  # the end of the file: show where the open construct began
        mark = error.context_mark or mark
        line, column = (mark.line, mark.column) if mark and mark.line < len(lines) else (max(len(lines) - 1, 0), 0)
    problem = error.problem or "not YAML"
    message, hint = f"this is no YAML: {problem}", ""
    shown = lines[line] if line < len(lines) else ""
    slice_ = re.search(r"[A-Za-z][\w-]*\[[\d:]*\]", shown)
    if slice_ and "[" in problem or slice_ and "flow" in (error.context or ""):
        message = "a slice inside braces must be quoted"
        hint, column = f'write "{slice_.group()}"', slice_.start()
    elif "\\t" in problem:
        message, hint = "a tab cannot indent YAML", "use spaces"
    elif "undefined alias" in problem:
        hint = "an anchor &name must stand above its alias *name"
    elif "could not determine a constructor" in problem:
        message, hint = f"unknown tag: {problem.rsplit(' ', 1)[-1]}", "remove it"
    elif "expected a mapping or list of mappings for merging" in problem:
        hint = "<< takes an alias of a mapping, like <<: *lif"
    elif "mapping values are not allowed" in problem:
        hint = "quote a text that contains ': '"
    elif "expected a single document" in (error.context or ""):
        message, hint = "a network file holds one document", "remove the line ---"
    return Fault((), message, hint, line=line + 1, column=column + 1)


# ---- overrides -----------------------------------------------------------------------------------------------------


def override(document: Document, overrides: Iterable[Override]) -> Document:
    """The document with some values replaced, before anything is checked. Raises SpecError for unknown paths."""
    changed = replace(document, tree=_copy(document.tree), overridden=dict(document.overridden))
    faults = []
    for item in overrides:
        parent, at = changed.tree, ()
        for part in item.path[:-1]:
            child = _child(parent, part)
            if child is None:
                known = [str(k) for k in parent] if isinstance(parent, dict) else []
                hint = nearest(str(part), known)
                faults.append(Fault((*at, part), "there is no such part", hint, label=item.label))
                break
            key, parent = child
            at = (*at, key)
        else:
            last = item.path[-1]
            value = _scalar(item, faults)
            if isinstance(parent, dict):
                parent[last] = value
            elif isinstance(parent, list) and str(last).isdigit() and int(last) < len(parent):
                last = int(last)
                parent[last] = value
            else:
                faults.append(Fault((*at, last), f"{dotted(at)} has no such part", label=item.label))
                continue
            changed.overridden[(*at, last)] = item.label
    if faults:
        raise SpecError(faults)
    return changed


def _copy(tree: Any) -> Any:
    """A copy in which nothing is shared: aliases become values of their own, so that one can be changed alone."""
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


def _child(parent: Any, part: str | int) -> tuple[str | int, Any] | None:
    if isinstance(parent, dict) and part in parent:
        return part, parent[part]
    if isinstance(parent, list) and str(part).isdigit() and int(part) < len(parent):
        return int(part), parent[int(part)]
    return None


def _scalar(item: Override, faults: list[Fault]) -> Any:
    try:
        return parse(Document(item.label, f"value: {item.value}", Path())).tree["value"]
    except SpecError as error:
        faults.append(Fault(item.path, error.faults[0].message, error.faults[0].hint, label=item.label))
        return None


# ---- showing -------------------------------------------------------------------------------------------------------


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean V_th?`, or the list of what is known, or nothing."""
    known = list(known)
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55) or [
        lowered[k] for k in difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.55)
    ]
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 24 else ""


def located(document: Document, fault: Fault) -> Fault:
    """The fault with its line and column; those of the nearest enclosing part where the path itself does not exist."""
    if fault.line is not None:
        return fault
    path = fault.path
    own = path in document.values
    while path and path not in document.values:
        path = path[:-1]
    marks = document.keys if (fault.at_key or not own) and path in document.keys else document.values
    mark = marks.get(path, Mark(0, 0))
    return replace(fault, line=mark.line + 1, column=mark.column + 1)


def _override_label(document: Document, path: Key) -> str | None:
    for length in range(len(path), 0, -1):
        if path[:length] in document.overridden:
            return document.overridden[path[:length]]
    return None


def as_objects(document: Document, faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """The faults as plain objects: path, line, column, message, hint."""
    found = []
    for fault in faults:
        label = fault.label or _override_label(document, fault.path)
        place = located(document, fault)
        found.append(
            {
                "file": label or document.name,
                "path": dotted(fault.path),
                "line": None if label else place.line,
                "column": None if label else place.column,
                "message": fault.message,
                "hint": fault.hint,
            }
        )
    return found


def render(document: Document, faults: Iterable[Fault], kind: str = "error") -> str:
    """The faults as a compiler would print them: in file order, each with its line and a caret."""
    lines = document.text.splitlines()
    blocks = []
    ordered = sorted((located(document, f) for f in faults), key=lambda f: (f.line or 0, f.column or 0))
    unique = list({(f.path, f.message, f.line, f.column): f for f in ordered}.values())
    for fault in unique:
        path = f"{dotted(fault.path)}: " if fault.path else ""
        kind_text = "" if kind == "error" else f"{kind}: "
        if label := fault.label or _override_label(document, fault.path):
            hint = f": {fault.hint}" if fault.hint else ""
            blocks.append(f"{label}: {path}{kind_text}{fault.message}{hint}")
            continue
        row, column = (fault.line or 1) - 1, (fault.column or 1) - 1
        shown = lines[row] if row < len(lines) else ""
        gutter = f"{row + 1:5d} | "
        blank = "".join("\t" if c == "\t" else " " for c in shown[:column])
        caret = f"{' ' * 5} | {blank}^ {fault.hint}".rstrip()
        blocks.append(f"{document.name}:{row + 1}:{column + 1}: {path}{kind_text}{fault.message}\n{gutter}{shown}\n{caret}")
    count = len(unique)
    blocks.append(f"{count} {kind}{'s' if count != 1 else ''} in {document.name}")
    return "\n".join(blocks)
