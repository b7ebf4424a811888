"""SONATA's configuration files: a circuit and a simulation of it, as one plain mapping with whole paths."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.convert.problems import Inconvertible, Problem

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_DEPTH = 20  # variables within variables
_SIZE = 64 * 2**20


class Pair(NamedTuple):
    """A file of nodes or edges with its table of types."""

    where: str
    file: Path
    types: Path | None


class Config(NamedTuple):
    name: str  # of the file that was named
    circuit: str  # of the file that has the circuit
    simulation: str  # of the one that has the run
    nodes: list[Pair]
    edges: list[Pair]
    components: dict[str, Path]
    node_sets: dict[str, Any]
    rest: dict[str, Any]  # run, inputs, reports, output, target_simulator, conditions
    folder: Path  # of the simulation, from which the files of its inputs are named

    def where(self, *keys: str) -> str:
        return f"{self.simulation}: {'.'.join(keys)}"


def read(path: Path) -> Config:
    """The configuration in a file: of a circuit, of a simulation that names its circuit, or one that names both. Raises
    Inconvertible, OSError."""
    first = load(path)
    simulation, circuit, at = first, first, (path, path)
    if isinstance(first.get("simulation"), str):
        simulation, at = _named(first, "simulation", path), (_path(first["simulation"], path), at[1])
    for one, origin in ((simulation, at[0]), (first, path)):
        if "networks" not in circuit and isinstance(one.get("network"), str):
            circuit, at = _named(one, "network", origin), (at[0], _path(one["network"], origin))
    networks = circuit.get("networks")
    if not isinstance(networks, dict) or not isinstance(networks.get("nodes"), list) or not networks["nodes"]:
        hint = "a circuit has them under networks; a simulation names its circuit under network"
        if "networks" not in circuit and (both := _naming(at[1])):
            hint = f"{both} names this simulation and its circuit: import that file"
        raise Inconvertible([Problem(at[1].name, "there are no files of nodes", hint)])
    problems: list[Problem] = []
    nodes = _pairs(networks["nodes"], "nodes", at[1], problems)
    edges = _pairs(networks.get("edges") or [], "edges", at[1], problems)
    setting, origin = (simulation, at[0]) if "node_sets_file" in simulation else (circuit, at[1])
    node_sets = {} if setting.get("node_sets_file") is None else _named(setting, "node_sets_file", origin)
    components = {}
    for one, origin in ((circuit, at[1]), (simulation, at[0])):
        given = one.get("components", {})
        components |= {key: _path(value, origin) for key, value in given.items() if isinstance(value, str)}
    if problems:
        raise Inconvertible(problems)
    rest = {key: value for key, value in simulation.items() if key not in ("networks", "manifest", "components")}
    for section in ("run", "inputs", "reports", "output", "conditions"):
        if not isinstance(rest.setdefault(section, {}), dict):
            raise Inconvertible([Problem(at[0].name, f"{section} is no object", "write {...}")])
    rest.setdefault("target_simulator", circuit.get("target_simulator"))
    rest["gap_juncs"] = networks.get("gap_juncs")
    return Config(path.name, at[1].name, at[0].name, nodes, edges, components, node_sets, rest, at[0].parent)


def load(path: Path) -> dict[str, Any]:
    """A JSON file, with the variables of its manifest in place."""
    if not path.is_file():
        raise Inconvertible([Problem(str(path), "this is a folder" if path.is_dir() else "there is no such file")])
    if path.stat().st_size > _SIZE:
        raise Inconvertible([Problem(path.name, f"the file is larger than {_SIZE >> 20} MiB")])
    try:
        tree = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Inconvertible([Problem(path.name, "this is no UTF-8 text", "save it as UTF-8")]) from None
    except json.JSONDecodeError as error:
        raise Inconvertible([Problem(f"{path.name}:{error.lineno}:{error.colno}", f"this is no JSON: {error.msg}")]) from None
    except RecursionError:
        raise Inconvertible([Problem(path.name, "this is nested too deeply")]) from None
    if not isinstance(tree, dict):
        raise Inconvertible([Problem(path.name, "this is no JSON object", "write {...}")])
    given = tree.get("manifest", {})
    manifest = {key.strip("${}"): value for key, value in given.items()} if isinstance(given, dict) else {}
    manifest = {"configdir": ".", "workingdir": str(Path.cwd()), "configfname": path.name} | manifest
    return _put(tree, manifest, path.name)


def _put(tree: Any, manifest: dict[str, Any], name: str) -> Any:
    """A tree whose texts have no variables any more."""
    if isinstance(tree, dict):
        return {key: _put(value, manifest, name) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_put(value, manifest, name) for value in tree]
    if not isinstance(tree, str) or "$" not in tree:
        return tree
    text = tree
    for _ in range(_DEPTH):
        known = [found for found in _VARIABLE.finditer(text) if found[1] in manifest]
        if not known:
            break
        text = _VARIABLE.sub(lambda found: str(manifest.get(found[1], found[0])), text)
    if unknown := _VARIABLE.search(text):
        message = f"the variable {unknown[0]} of {tree!r} is not in the manifest"
        hint = "its values go round in a circle" if unknown[1] in manifest else f"there are {', '.join(manifest)}"
        raise Inconvertible([Problem(name, message, hint)])
    return text


def _path(text: Any, origin: Path) -> Path:
    if not isinstance(text, str):
        raise Inconvertible([Problem(origin.name, f"{text!r} is no name of a file")])
    return origin.parent / text


def _named(tree: dict[str, Any], key: str, origin: Path) -> dict[str, Any]:
    """The JSON file that a configuration names."""
    path = _path(tree[key], origin)
    if not path.is_file():
        raise Inconvertible([Problem(f"{origin.name}: {key}", f"there is no file {path}")])
    return load(path)


def _naming(simulation: Path) -> str | None:
    """The file beside a simulation that names it and a circuit, as bmtk writes one."""
    for path in sorted(simulation.parent.glob("*.json"))[:_DEPTH]:
        try:
            tree = load(path)
        except (Inconvertible, OSError):
            continue
        if isinstance(tree.get("network"), str) and isinstance(tree.get("simulation"), str):
            if _path(tree["simulation"], path).resolve() == simulation.resolve():
                return path.name
    return None


def _pairs(entries: Any, kind: str, origin: Path, problems: list[Problem]) -> list[Pair]:
    found = []
    if not isinstance(entries, list):
        problems.append(Problem(f"{origin.name}: networks.{kind}", "this is no list", f'write [{{"{kind}_file": ...}}]'))
        return []
    for number, entry in enumerate(entries):
        where = f"{origin.name}: networks.{kind}[{number}]"
        if isinstance(entry, dict) and entry.get("enabled") is False:
            continue
        file = entry.get(f"{kind}_file") if isinstance(entry, dict) else None
        if not isinstance(file, str):
            problems.append(Problem(where, f"there is no {kind}_file"))
            continue
        types = entry.get(f"{kind[:-1]}_types_file")
        pair = Pair(where, _path(file, origin), _path(types, origin) if isinstance(types, str) else None)
        problems += [
            Problem(where, f"there is no file {path}", "the manifest says where files are")
            for path in pair[1:] if path is not None and not path.is_file()
        ]  # fmt: skip
        found.append(pair)
    return found
