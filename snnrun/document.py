"""YAML text with positions: the only module that knows how a network file is written down.

The text is read by the rules of YAML 1.2 (`1e-3` is a number, `no` is a string, a key given twice is an error) into plain
dicts, lists and scalars. Where each of them stands is kept beside the tree, so that a fault found later, in terms of
paths such as `populations.N.tau`, can be shown as file, line, column and the line itself.
"""

import difflib
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from snnrun.terminal import visible

Key = tuple[str | int, ...]

MAX_BYTES = 16 * 2**20
SHOWN = 160  # characters of a line in a message
MAX_DEPTH = 100
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
    offset: int = 0  # within the text at the path


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
    text: str = ""  # as it stands on the command line, with the value at its end; PATH=VALUE if not given

    @property
    def shown(self) -> str:
        return self.text or f"{'.'.join(map(str, self.path))}={self.value}"


@dataclass
class Document:
    """A network file: its text, its tree, and where in the text each part of the tree stands.

    An option that replaces a part of it is a document as well, of which only the places count.
    """

    name: str
    text: str
    folder: Path
    tree: Any = None
    keys: dict[Key, Mark] = field(default_factory=dict)
    values: dict[Key, Mark] = field(default_factory=dict)
    overridden: dict[Key, str] = field(default_factory=dict)  # by the option of this label
    options: "dict[str, Document]" = field(default_factory=dict)


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
        line, column = _place(data[: error.start].decode("utf-8-sig", "replace"))
        raise SpecError([Fault((), "the file is not UTF-8 text", "save it as UTF-8", line=line, column=column)]) from None
    return parse(document)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector of cycles: it goes again and again through the many small objects that a file becomes, which
    takes twice as long as reading it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse(document: Document) -> Document:
    """Fill the tree and the positions of a document from its text."""
    try:
        node = _composed(document.text)
        if node is not None:
            faults = list(_faults_of_nodes(node))
            if faults:
                raise SpecError(faults)
            document.tree = _Loader("").construct_document(node)
            _mark(node, (), document)
    except yaml.MarkedYAMLError as error:
        raise SpecError([_yaml_fault(error, document.text)]) from None
    except yaml.reader.ReaderError as error:
        line, column = _place(document.text[: error.position])
        message = f"the character U+{error.character:04X} is not allowed in YAML"
        raise SpecError([Fault((), message, "remove it", line=line, column=column)]) from None
    except RecursionError:
        raise SpecError([Fault((), "the file is nested too deeply", line=1, column=1)]) from None
    if document.tree is None:
        raise SpecError([Fault((), "the file is empty", "begin with duration: and populations:", line=1, column=1)])
    if not isinstance(document.tree, dict):
        what = "a list" if isinstance(document.tree, list) else "a single value"
        mark = document.values[()]
        message = f"a network file is a mapping with keys such as populations:, and this is {what}"
        hint = "begin with duration: and populations:"
        raise SpecError([Fault((), message, hint, line=mark.line + 1, column=mark.column + 1)])
    return document


# what YAML takes for the end of a line; str.splitlines knows more
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def _lines(text: str) -> list[str]:
    lines = _BREAK.split(text)
    return lines if lines[-1] else lines[:-1]


def _place(before: str) -> tuple[int, int]:
    """Line and column, counted from 1, of what follows a text."""
    lines = _BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


_SURROGATE = re.compile("[\ud800-\udfff]")
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the types and scalars of the YAML 1.2 core schema; keys are text, whatever they look like."""

    depth = 0  # of the node that is being read

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, unless it lies too deep: seen while the text is read, since what is deep takes long to read."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            fault = Fault((), "the file is nested too deeply", "", line=mark.line + 1, column=mark.column + 1)
            raise SpecError([fault])
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "a mapping is wanted", node.start_mark)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what `<<` merges in front of a mapping's own keys. An own key goes before a merged one, and an earlier mapping of
        a list before a later one; releases of PyYAML differ in the latter, so it is settled here."""
        merges = [value for key, value in node.value if key.tag == _MERGE]
        node.value = [(key, value) for key, value in node.value if key.tag != _MERGE]
        taken = {key.value for key, _ in node.value}
        merged = []
        for value in merges:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    problem = "expected a mapping or list of mappings for merging"
                    raise yaml.constructor.ConstructorError(None, None, problem, source.start_mark)
                self.flatten_mapping(source)
                merged += [(key, found) for key, found in source.value if key.value not in taken]
                taken.update(key.value for key, _ in source.value)
        node.value = merged + node.value


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
    (_MERGE, r"<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _int(text: str) -> int | str:
    if len(text) > 100:  # Python refuses, or takes long over, huge integers; none is meant as a number
        return text
    prefix = text[:2].lower()
    return int(text[2:], 8 if prefix == "0o" else 16) if prefix in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    return float(re.sub(r"\.(inf|nan)$", r"\1", text, flags=re.IGNORECASE))


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _scalar_of(read: Callable[[str], Any]) -> Callable[[yaml.SafeLoader, yaml.ScalarNode], Any]:
    def construct(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        text = loader.construct_scalar(node)
        try:
            return read(text)
        except (ValueError, KeyError):  # only where a tag such as !!int stands in front
            problem = f"{text!r} is not what its tag says"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    return construct


# no dates, sets and the like: a tag that asks for one is unknown
_Loader.yaml_constructors = {
    tag: _Loader.yaml_constructors[tag]
    for tag in (None, *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "str", "seq", "map")))
}
_Loader.add_constructor("tag:yaml.org,2002:int", _scalar_of(_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _scalar_of(_float))
_Loader.add_constructor("tag:yaml.org,2002:bool", _scalar_of(_bool))


_LONG = 1 << 15  # characters of a text that is worth parsing in C


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Makes the same nodes by libyaml, six times as fast."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. What is wrong with it is left to PyYAML to say, in its words."""
    if len(text) > _LONG and yaml.__with_libyaml__:
        with suppress(yaml.YAMLError):
            return _FastLoader(text).get_single_node()
    return _Loader(text).get_single_node()


def _faults_of_nodes(root: yaml.Node) -> Iterator[Fault]:
    """Duplicate keys, keys that are no text, halves of characters, aliases that explode: one walk before all is constructed."""
    sizes: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()
    faults: list[Fault] = []

    def at(node: yaml.Node, message: str, hint: str = "") -> None:
        faults.append(Fault((), message, hint, line=node.start_mark.line + 1, column=node.start_mark.column + 1))

    def whole(node: yaml.ScalarNode) -> None:
        if half := _SURROGATE.search(node.value):
            at(node, f"{visible(half[0])} is half of a character", "write the character itself")

    def size(node: yaml.Node) -> tuple[int, int]:
        """Nodes below and including this one, and how deep they are nested."""
        if id(node) in open_nodes:
            at(node, "an alias that contains itself")
            return 1, 1
        if id(node) in sizes:
            return sizes[id(node)]
        open_nodes.add(id(node))
        below: list[tuple[int, int]] = []
        if isinstance(node, yaml.ScalarNode):
            whole(node)
        if isinstance(node, yaml.SequenceNode):
            below = [size(child) for child in node.value]
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, yaml.Node] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    at(key, "a key must be plain text", "quote what you meant as text")
                else:
                    whole(key)
                    if key.value in seen:
                        first = seen[key.value].start_mark.line + 1
                        merge = key.tag == _MERGE
                        hint = "write both aliases in one list: <<: [*a, *b]" if merge else "remove one of the two"
                        at(key, f"{key.value!r} is given twice (first in line {first})", hint)
                    seen.setdefault(key.value, key)
                below += [(1, 1), size(value)]
        open_nodes.discard(id(node))
        sizes[id(node)] = 1 + sum(nodes for nodes, _ in below), 1 + max((depth for _, depth in below), default=0)
        return sizes[id(node)]

    nodes, depth = size(root)
    if depth > MAX_DEPTH:
        at(root, "the file is nested too deeply")
    if nodes > MAX_NODES:
        at(root, f"the aliases of this file expand to more than {MAX_NODES:,} nodes", "put large arrays into files")
    yield from faults


def _mark(node: yaml.Node, path: Key, document: Document) -> None:
    """Remember where each key and value stands; merged keys point to where they are really written."""
    document.values[path] = Mark(node.start_mark.line, node.start_mark.column)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:  # construction has put merged keys in front, so an own key overrides them
            child = (*path, key.value)
            document.keys[child] = Mark(key.start_mark.line, key.start_mark.column)
            _mark(value, child, document)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _mark(value, (*path, i), document)


_KEY_IN = re.compile(
    r"""\s*(?P<key>[A-Za-z_][\w./-]*)(?:(?P<tight>:)(?=\S)|\s*=\s*|\s+(?=[&*{["']|[-+.]?\d|(?P<word>\S+$))|\s*$)(?P<value>.*)"""
)


def _with_colon(line: str, words: bool) -> str:
    """What a line should be that looks like a key and its value, and has no colon between them, or no blank after it; or nothing.
    Two `words` may be meant as such."""
    bare = re.sub(r"(?:^|\s)#.*", "", line[:SHOWN]).rstrip()
    found = _KEY_IN.match(bare)
    if not found or found["word"] and not words or not found["tight"] and re.search(r":(?:\s|$)", bare):
        return ""
    return f"{found['key']}: {found['value']}".strip()


def _above(lines: list[str], line: int) -> int:
    """The line above one that has more than a comment in it; -1 where there is none."""
    return next((i for i in range(line - 1, -1, -1) if lines[i].strip() and not lines[i].lstrip().startswith("#")), -1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _colon_fault(line: int, wanted: str, shown: str) -> Fault:
    blank = re.search(r"[\w./-]:\S", shown) and "a blank is missing after the colon"
    return Fault((), blank or "a colon is missing here", f"write {wanted}", line=line + 1, column=_indent(shown) + 1)


def _yaml_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = _lines(text)
    if line >= len(lines):  # the end of the file: show where the open construct began
        mark = error.context_mark or mark
        line, column = (mark.line, mark.column) if mark and mark.line < len(lines) else (max(len(lines) - 1, 0), 0)
    problem = error.problem or "not YAML"
    for token, meant in (
        ("the node content", "a value"),
        ("'<stream end>'", "the end of the file"),
        ("'?'", "a key"),
        ("'<scalar>'", "a text"),
    ):
        problem = problem.replace(token, meant)
    message, hint = f"this is no YAML: {problem}", ""
    shown = lines[line] if line < len(lines) else ""
    first = max(column - SHOWN, 0)  # what is searched is short: the search takes its square
    slices = re.finditer(r"[A-Za-z][\w-]*\[(?:[\d:, -]|random)*\]", shown[first : column + SHOWN])
    slice_ = next((found for found in slices if found.start() < column - first < found.end()), None)
    # a line without its colon runs on into the next one, where PyYAML stumbles
    above = _above(lines, line)
    unfinished, unexpected = "could not find expected ':'" in problem, "mapping values are not allowed" in problem
    begun = error.context_mark.line if unfinished and error.context_mark else above
    for number in (begun, line) if unexpected else (begun,) if unfinished or "<block end>" in problem else ():
        wanted = _with_colon(lines[number], unfinished or unexpected) if 0 <= number < len(lines) else ""
        if wanted and (number < line or ":" in lines[number][:column]):
            return _colon_fault(number, wanted, lines[number])
    single = len(lines) == 1
    opened = ("here" if single else f"in line {error.context_mark.line + 1}") if error.context_mark else ""
    if slice_ and "got '['" in problem:
        message = "a slice inside [ ] or { } must be quoted"
        hint, column = f'write "{slice_.group()}"', first + slice_.start()
    elif "\\t" in problem:
        message, hint = "a tab stands where YAML wants blanks", "use blanks"
    elif "undefined alias" in problem:
        hint = "an anchor &name must stand above its alias *name"
    elif "could not determine a constructor" in problem:
        tag = problem.rsplit(" ", 1)[-1].strip("'").replace("tag:yaml.org,2002:", "!!")
        message, hint = f"unknown tag {tag}", "remove it"
    elif "expected a mapping or list of mappings for merging" in problem:
        hint = "<< takes an alias of a mapping, like <<: *lif"
    elif unexpected and above >= 0 and _indent(shown) > _indent(lines[above]):
        message = "this line is indented deeper than the one above, which has a value already"
        hint, column = f"align it with {lines[above].split(':')[0].strip()[:SHOWN]}", _indent(shown)
    elif unexpected:
        message = "this is no YAML: a colon is not expected here"
        quotes = "a text that contains ': ' needs quotes"
        hint = quotes if line else f"write a mapping in {{ }}; {quotes}"
    elif "expected ',' or" in problem:
        hint = f"a comma is missing here, or what is opened {opened} is not closed"
        if single and "the end of the file" in problem:
            message, hint = "a bracket is not closed", f"write {problem.split('or ')[1][1]} at the end"
    elif "sequence entries are not allowed here" in problem:
        message, hint = "a value that begins with - and a blank is a list", "write -x without the blank, or put it in quotes"
    elif "cannot start any token" in problem:
        message, hint = f"this is no YAML: a text cannot begin with {shown[column : column + 1]!r}", "quote the text"
    elif "quoted scalar" in (error.context or ""):
        message, hint = "a quotation mark is not closed", f"it opens {opened}"
        column = error.context_mark.column if single and error.context_mark else column
    elif unfinished:
        hint = "write key: value, with a blank after the colon"
    elif "<block end>" in problem or "<document start>" in problem:
        message, hint = "the indentation of this line fits none above", "align it with the other keys of the same part"
    elif "not what its tag says" in problem:
        message, hint = problem, "remove the tag"
    elif "expected a single document" in (error.context or ""):
        message, hint = "a network file holds one document", "remove the line ---"
    return Fault((), message, hint, line=line + 1, column=column + 1)


# ---- overrides -----------------------------------------------------------------------------------------------------


def override(document: Document, overrides: Iterable[Override]) -> Document:
    """The document with some values replaced, before anything is checked. Raises SpecError for unknown paths."""
    changed = replace(document, tree=_copy(document.tree), overridden=dict(document.overridden), options=dict(document.options))
    faults = []
    for item in overrides:
        option = changed.options[item.label] = Document(item.label, item.shown, document.folder)
        columns, parent, at = _columns(item), changed.tree, ()
        for part, column in zip(item.path[:-1], columns, strict=False):
            child = _child(parent, part)
            if child is None and isinstance(parent, dict) and (len(at) >= 2 or len(item.path) == 2):
                # a section may be missing, and an optional part of an entry; whether there is one of this name is checked later
                child = part, parent.setdefault(part, {})
                changed.overridden[(*at, part)] = item.label
            if child is None:
                faults.append(_no_part(parent, at, part, item.label, column))
                break
            key, parent = child
            at = (*at, key)
            option.keys[at] = Mark(0, column)
        else:
            last = item.path[-1]
            if not isinstance(parent, dict):
                if (child := _child(parent, last)) is None:
                    faults.append(_no_part(parent, at, last, item.label, columns[-1]))
                    continue
                last = child[0]
            try:
                parent[last] = _value(item, option, (*at, last))
            except SpecError as error:
                faults += error.faults
                continue
            option.keys[(*at, last)] = Mark(0, columns[-1])
            changed.overridden[(*at, last)] = item.label
    if faults:
        raise SpecError(faults, changed)
    return changed


def _columns(item: Override) -> list[int]:
    """Where each part of an option's path begins."""
    columns, at = [], len(item.shown) - len(item.value)
    for part in reversed(item.path):
        at = max(item.shown.rfind(str(part), 0, at), 0)
        columns.append(at)
    return columns[::-1]


def _no_part(parent: Any, at: Key, part: str | int, label: str, column: int) -> Fault:
    """That there is nothing of this name, and what could have been meant."""
    if isinstance(parent, dict):
        hint = nearest(str(part), parent)
        if len(at) == 1 and not hint.startswith("did"):
            hint += f"{'; ' if hint else ''}a new one is set as a whole: {dotted(at)}.{part}={{...}}"
    elif isinstance(parent, list):
        known = "entry 0" if len(parent) == 1 else f"entries 0 to {len(parent) - 1}"
        hint = f"the list has the {known}" if parent else "the list is empty"
    else:
        hint = f"{dotted(at)} is a value without parts: set it as a whole"
    return Fault((*at, part), "there is no such part", hint, line=1, column=column + 1, label=label)


def _copy(tree: Any) -> Any:
    """A copy in which nothing is shared: aliases become values of their own, so that one can be changed alone."""
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


def _child(parent: Any, part: str | int) -> tuple[str | int, Any] | None:
    if isinstance(parent, dict) and part in parent:
        return part, parent[part]
    if isinstance(parent, list) and re.fullmatch("[0-9]{1,9}", str(part)) and int(part) < len(parent):
        return int(part), parent[int(part)]
    return None


_KEY = "value: "


def _value(item: Override, option: Document, path: Key) -> Any:
    """What an option sets; the option learns where the parts of the value at this path stand."""
    begin = len(item.shown) - len(item.value) - len(_KEY)

    def shifted(line: int, column: int) -> Mark:
        return Mark(line, column if line else column + begin)

    try:
        found = parse(Document(item.label, _KEY + item.value, Path()))
    except SpecError as error:
        moved = []
        for fault in error.faults:
            assert fault.line is not None and fault.column is not None
            mark = shifted(fault.line - 1, fault.column - 1)
            moved.append(replace(fault, path=path, line=mark.line + 1, column=mark.column + 1, label=item.label))
        raise SpecError(moved) from None
    for own, marks in ((option.keys, found.keys), (option.values, found.values)):
        own.update({(*path, *key[1:]): shifted(mark.line, mark.column) for key, mark in marks.items() if key})
    return found.tree["value"]


def path_of(text: str) -> Key:
    """The parts of a path like `projections.exc.connect.pairs[3]`, as texts."""
    return tuple(part.strip() for part in re.sub(r"\[([0-9]+)\]", r".\1", text).split("."))


def text_of(value: Any) -> str:
    """A value as it would stand in a network file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)


def rewritten(document: Document, overrides: Iterable[Override]) -> str:
    """The text of a document with some values replaced; all else stays as it is, comments, too. Where a value cannot be replaced
    alone (it is shared by an alias, or does not stand there), the whole is written anew, without comments."""
    overrides = list(overrides)
    wanted = override(document, overrides).tree
    lines = document.text.split("\n")
    marks = sorted(
        ((mark, item.value) for item in overrides if (mark := _mark_of(document, item)) is not None),
        key=lambda found: (found[0].line, found[0].column),
        reverse=True,
    )
    for mark, value in marks:
        line = lines[mark.line]
        lines[mark.line] = line[: mark.column] + value + line[_end_of_scalar(line, mark.column) :]
    text = "\n".join(lines)
    try:
        if parse(Document(document.name, text, document.folder)).tree == wanted:
            return text
    except SpecError:
        pass
    return yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)


def _mark_of(document: Document, item: Override) -> Any:
    return next((mark for key, mark in document.values.items() if tuple(map(str, key)) == tuple(map(str, item.path))), None)


def _end_of_scalar(line: str, begin: int) -> int:
    """Where a scalar on one line ends that begins there."""
    quote = line[begin : begin + 1]
    if quote in ("'", '"'):
        end = line.find(quote, begin + 1)
        return len(line) if end < 0 else end + 1
    match = re.compile(r"[^,\[\]{}#]*?(?=\s*(?:[,\[\]{}]|\s#|$))").match(line, begin)
    return begin if match is None else match.end()


# ---- showing -------------------------------------------------------------------------------------------------------


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean V_th?`, with all that are as near, or the list of what is known, or nothing."""
    known = list(known)
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.55) or [
        lowered[k] for k in difflib.get_close_matches(word.lower(), lowered, n=3, cutoff=0.55)
    ]
    if near:
        likeness = [difflib.SequenceMatcher(None, k, word).ratio() for k in near]
        return f"did you mean {' or '.join(k for k, alike in zip(near, likeness, strict=True) if alike == likeness[0])}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 24 else ""


def located(document: Document, fault: Fault) -> Fault:
    """The fault with its line and column, in the file or in the option that its label names; those of the nearest enclosing part
    where the path itself does not exist."""
    if fault.line is not None:
        return fault
    path = fault.path
    label = fault.label or _override_label(document, path) or ""
    source = document.options.get(label, document)
    own = path in source.values
    while path and path not in source.values and path not in source.keys:
        path = path[:-1]
    marks = source.keys if (fault.at_key or not own) and path in source.keys else source.values
    mark = marks.get(path, Mark(0, 0))
    column = mark.column + 1 + _within(source, mark, fault.offset if own else 0)
    return replace(fault, line=mark.line + 1, column=column, label=label)


def _within(document: Document, mark: Mark, offset: int) -> int:
    """How far from its beginning a place in a text is; 0 where the text is not written on one line as it is."""
    if not offset:
        return 0
    lines = _lines(document.text)
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    quoted = rest[:1] in ("'", '"')
    return 0 if rest[:1] in ("|", ">") or offset + quoted > len(rest) else offset + quoted


def _override_label(document: Document, path: Key) -> str | None:
    for length in range(len(path), 0, -1):
        if path[:length] in document.overridden:
            return document.overridden[path[:length]]
    return None


def as_objects(document: Document, faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """The faults as plain objects, in file order: file (or option), path, line, column, message, hint."""
    return [
        {
            "file": fault.label or document.name,
            "path": dotted(fault.path),
            "line": None if fault.label else fault.line,
            "column": None if fault.label else fault.column,
            "message": fault.message,
            "hint": fault.hint,
        }
        for fault in _ordered(document, faults)
    ]


def render(document: Document, faults: Iterable[Fault], kind: str = "error") -> str:
    """The faults as a compiler would print them: in file order, each with its line and a caret; then those of options, likewise.

    A mistake in a part that others merge or alias is one mistake, shown once with all the paths it has.
    """
    shared: dict[Any, list[Fault]] = {}
    for fault in _ordered(document, faults):
        shared.setdefault((fault.label, fault.line, fault.column, fault.message, fault.hint), []).append(fault)
    texts: dict[str, list[str]] = {}
    blocks = []
    for (label, line, column, message, hint), same in shared.items():
        source = document.options.get(label, document)
        lines = texts.setdefault(label, _lines(source.text))
        path, *others = dict.fromkeys(dotted(fault.path) for fault in same)
        if others:
            path += f" (and {', '.join(others[:2])}{f' and {len(others) - 2} more' if len(others) > 2 else ''})"
        said = f"{path}: " if path and label != f"--{path}" else ""
        said += message if kind == "error" else f"{kind}: {message}"
        place, number = (label, "") if label else (f"{document.name}:{line}:{column}", str(line))
        shown, before = _window(lines[line - 1] if line <= len(lines) else "", column - 1)
        shown, before = _window(visible(shown), len(visible(before)))  # escapes are longer than what they stand for
        blank = "".join("\t" if c == "\t" else " " for c in before)
        caret = f"{' ' * 5} | {blank}^ {visible(hint)}".rstrip()
        blocks += [visible(f"{place}: {said}"), f"{number:>5} | {shown}", caret]
    of_options = sum(bool(label) for label, *_ in shared)
    for_ = f" for {document.name}" if document.name else ""
    where = (
        document.name
        if not of_options
        else f"{document.name} and the options"
        if of_options < len(shared)
        else f"the options{for_}"
    )
    blocks.append(visible(f"{len(shared)} {kind}{'s' if len(shared) != 1 else ''} in {where}"))
    return "\n".join(blocks)


def _ordered(document: Document, faults: Iterable[Fault]) -> list[Fault]:
    found = dict.fromkeys(located(document, fault) for fault in faults)
    order = {label: i for i, label in enumerate(document.options)}
    return sorted(found, key=lambda fault: (order.get(fault.label, -1), fault.line, fault.column))


def _window(line: str, column: int) -> tuple[str, str]:
    """A line, cut where it is long, and what of it stands before a column."""
    start = max(0, column - SHOWN // 2) if len(line) > SHOWN else 0
    cut = line[start : start + SHOWN]
    if start:
        cut = "..." + cut[3:]
    if start + SHOWN < len(line):
        cut = cut[:-3] + "..."
    return cut, cut[: column - start]
