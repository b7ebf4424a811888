"""What shells complete, beyond verbs and options: files by their endings, paths of --set, names in a file, models, networks.

Each of these is what typer documents as `autocompletion`: given what is typed so far, what it may become. They are asked at every
press of a key, so they read a network as text and the schema as JSON, load none of what a verb loads, and whatever is wrong
with a file, they say nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from snnrun import apart, examples

NETWORKS = (".yaml", ".yml")
RESULTS = (".h5", ".hdf5", ".h5.partial")
_LARGEST = 2**20  # bytes of a network file, which is read in a quarter of a second

Names = Iterable[str | tuple[str, str]]
Completion = Callable[[typer.Context, str], list[Any]]


def _quietly(names: Callable[[typer.Context, str], Names]) -> Completion:
    def complete(context: typer.Context, incomplete: str) -> list[Any]:
        try:
            return list(names(context, incomplete))
        except Exception:  # of a file that is damaged, say: there is nothing to complete
            return []

    return complete


def one_of(*values: str) -> Completion:
    return _quietly(lambda context, incomplete: values)


# ---- files -----------------------------------------------------------------------------------------------------------


def files(*endings: str) -> Completion:
    """Files with these endings, and folders on the way to them."""
    return _quietly(lambda context, incomplete: _files(endings, incomplete))


def _files(endings: tuple[str, ...], incomplete: str, depth: int = 8) -> list[str]:
    before, slash, start = incomplete.rpartition("/")
    found = []
    for path in sorted(Path(f"{before}{slash}" or ".").expanduser().iterdir()):
        if path.name.startswith(start) and (start or not path.name.startswith(".")):
            if path.is_dir():
                found.append(f"{before}{slash}{path.name}/")
            elif path.name.endswith(endings):
                found.append(f"{before}{slash}{path.name}")
    if len(found) == 1 and found[0].endswith("/") and depth:  # bash would put a blank behind a folder
        return _files(endings, found[0], depth - 1) or found
    return found


def _given(context: typer.Context) -> list[Path]:
    """The files that the command line names so far, as arguments."""
    words: list[Any] = list(context.args)
    for parameter in context.command.params:
        if parameter.param_type_name == "argument":
            value = context.params.get(parameter.name)
            words += value if isinstance(value, list | tuple) else [value]
    return [Path(word) for word in words if isinstance(word, str | Path) and Path(word).is_file()]


def _network(context: typer.Context) -> dict[str, Any]:
    """The tree of the network that the command line names, itself or by the results of a run."""
    for path in _given(context):
        if path.suffix in NETWORKS or path.name.endswith(RESULTS):
            return document_tree(path)
    return {}


def document_tree(path: Path) -> dict[str, Any]:
    """The tree of a network file, or of the network in results."""
    from snnrun import document

    if path.name.endswith(RESULTS):
        text = _results(path, lambda results: results.yaml)
        return document.parse(document.Document(str(path), text[:_LARGEST], path.parent)).tree
    return document.read(path).tree if path.stat().st_size <= _LARGEST else {}


def _results(path: Path, of: Callable[[Any], Any]) -> Any:
    """Something of results. What follows is done by a process of its own, in which a library may crash over a damaged file."""
    with apart.child(path):
        from snnrun.results import Results

        with Results(path) as results:
            return of(results)


# ---- names -----------------------------------------------------------------------------------------------------------


def _populations(context: typer.Context, incomplete: str) -> Names:
    for path in _given(context):
        if path.name.endswith(RESULTS):
            return _results(path, lambda results: list(results.populations))
    return []


def _monitors(context: typer.Context, incomplete: str) -> Names:
    return next((_results(path, lambda results: list(results.monitors)) for path in _given(context)), [])


populations = _quietly(_populations)
monitors = _quietly(_monitors)
projections = _quietly(lambda context, incomplete: _network(context).get("projections", {}))
networks = _quietly(lambda context, incomplete: [(name, found.title) for name, found in examples.examples().items()])


def _models(context: typer.Context, incomplete: str) -> Iterator[str | tuple[str, str]]:
    schema, seen = _schema(), set()
    for choice in _choices({"": schema["properties"], **schema["$defs"]}):
        for name, place in choice["discriminator"]["mapping"].items():
            if name not in seen:
                seen.add(name)
                yield name, schema["$defs"][place.rpartition("/")[2]].get("description", "").partition("\n\n")[0].rstrip(".")
    yield from _files(NETWORKS, incomplete)


models = _quietly(_models)


# ---- paths of --set --------------------------------------------------------------------------------------------------


def _schema() -> dict[str, Any]:
    return json.loads((examples.folder() / examples.SCHEMA).read_text(encoding="utf-8"))


def _choices(node: Any) -> Iterator[dict[str, Any]]:
    """The choices between models in a part of the schema, however deep they stand."""
    if isinstance(node, dict):
        if "discriminator" in node:
            yield node
        else:
            for part in node.values():
                yield from _choices(part)
    elif isinstance(node, list):
        for part in node:
            yield from _choices(part)


def _properties(node: dict[str, Any], value: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """What may stand in a mapping with these values, by a part of the schema."""
    if "$ref" in node:
        return _properties(parts[node["$ref"].rpartition("/")[2]], value, parts)
    if "discriminator" in node:
        place = node["discriminator"]["mapping"].get(value.get(node["discriminator"]["propertyName"]))
        return _properties({"$ref": place}, value, parts) if place else {}
    found = dict(node.get("properties", {}))
    for entry in node.get("patternProperties", {}).values():
        found |= dict.fromkeys(value, entry)
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        found |= _properties(choice, value, parts)
    return found


def _paths(context: typer.Context, incomplete: str) -> Names:
    tree = _network(context)
    return _below(tree, _schema(), incomplete) if tree else []


def _below(tree: dict[str, Any], schema: dict[str, Any], incomplete: str) -> list[str]:
    """Paths one part longer than what is typed. The last candidate that is left is a path with = and its present value, so
    that shells, which complete what candidates have in common, stop behind the =."""
    *before, start = incomplete.partition("=")[0].split(".")
    value: Any = tree
    node: dict[str, Any] = schema
    for part in before:
        node = _properties(node, value, schema["$defs"]).get(part, {}) if isinstance(value, dict) else {}
        value = value[int(part)] if isinstance(value, list) else value.get(part, {})
    if isinstance(value, list):
        known: dict[str, Any] = {str(i): entry for i, entry in enumerate(value)}
    else:
        allowed = _properties(node, value, schema["$defs"])
        known = {name: allowed[name].get("default") for name in allowed} | value
    names = [name for name in known if name.startswith(start)]
    paths = [".".join([*before, name]) for name in names]
    if len(names) != 1:
        return [f"{path}{'.' if _is_inner(known[name]) else '='}" for path, name in zip(paths, names, strict=True)]
    if _is_inner(known[names[0]]):
        return _below(tree, schema, f"{paths[0]}.")
    return [f"{paths[0]}=", f"{paths[0]}={_written(known[names[0]])}"]


def _is_inner(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _written(value: Any, inside: bool = False) -> str:
    """A value of the file as one would write it behind the =; what stands in a list or mapping may need quotes."""
    if isinstance(value, list):
        return f"[{', '.join(_written(part, True) for part in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(part, True)}' for name, part in value.items())}}}"
    plain = isinstance(value, str) and value.isprintable() and not (inside and set("[]{},:#") & set(value))
    return str(value) if plain else json.dumps(value)


paths = _quietly(_paths)
