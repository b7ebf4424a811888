"""The networks that come with the program: where they are, what they are called, and a copy for the user."""

import os
from pathlib import Path
from typing import NamedTuple

SCHEMA = "snnrun.schema.json"
STARTER = "starter"


class Taken(Exception):
    """A file that is there already."""


class Example(NamedTuple):
    """A network that comes with the program; its title is the second line of its file."""

    name: str
    title: str
    path: Path


def folder() -> Path:
    """Where they are: in the package where it was installed, beside it in a clone of the project."""
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def examples() -> dict[str, Example]:
    """All of them by name, the starter first."""
    found = [Example(path.stem, _title(path), path) for path in sorted(folder().glob("*.yaml"))]
    return {example.name: example for example in sorted(found, key=lambda example: example.name != STARTER)}


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        next(lines)  # the first line names the schema
        return next(lines).lstrip("# ").rstrip()


def files(example: Example, target: Path) -> dict[Path, bytes]:
    """What a copy takes: the network, the schema that its first line names and the data files that it names, with their bytes."""
    text = example.path.read_bytes()
    beside = [path for path in sorted(folder().iterdir()) if path.suffix != ".yaml" and path.name.encode() in text]
    return {target: text} | {target.with_name(path.name): path.read_bytes() for path in beside}


def write(found: dict[Path, bytes]) -> None:
    """Write files. Raises Taken, and writes nothing, where one of them is there already with other bytes, but for the schema,
    which is left as it is."""
    network = next(iter(found))
    there = [path for path in found if path.exists() or path.is_symlink()]
    for path in there:
        if path == network or (path.name != SCHEMA and path.read_bytes() != found[path]):
            raise Taken(str(path))
    for path in reversed([path for path in found if path not in there]):  # the network last: where it is, all is
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(found[path])
            partial.replace(path)
        except OSError as error:
            error.filename = str(path)
            raise
        finally:
            partial.unlink(missing_ok=True)
