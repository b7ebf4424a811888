"""The neuron models that a network file describes itself: in its section `models`, or in files that its populations name."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from snnrun import document
from snnrun.document import Document, Fault, Key, SpecError, nearest
from snnrun.models import neurons

if TYPE_CHECKING:
    from snnrun.models.described import Model
    from snnrun.models.neurons.equations import Equations


class Own(NamedTuple):
    """A tree in which populations name their models, and what the network file or other files say of these."""

    tree: dict[str, Any]
    models: dict[str, "Equations"]
    warnings: list[Fault]


def resolve(found: Document) -> Own:
    """The own models of a network file. Raises SpecError: of the first file that is faulty."""
    tree = dict(found.tree)
    given = tree.get("models", {})
    models: dict[str, Equations] = {}
    faults: list[Fault] = []
    warnings: list[Fault] = []
    if not isinstance(given, dict):
        raise SpecError(
            [Fault(("models",), "a mapping of names is wanted here", "write NAME: {state: ..., equations: ...}")], found
        )
    for name, raw in given.items():
        _add(models, name, raw, ("models", name), faults, warnings)
    populations = tree.get("populations")
    texts = dict(given)
    if isinstance(populations, dict) and any(_names_file(entry) for entry in populations.values()):
        tree["populations"] = {name: _with_name(entry, ("populations", name), found, models, texts, faults)
                               for name, entry in populations.items()}  # fmt: skip
    if faults:
        raise SpecError(faults, found)
    if texts:
        tree["models"] = texts
    return Own(tree, models, warnings)


def of_file(path: Path) -> dict[str, "Model"]:
    """The models of a network file, or of a file of models. Raises SpecError, OSError."""
    from snnrun.models import described

    found = _read(path)
    section = found.tree.get("models") if "populations" in found.tree or "models" in found.tree else found.tree
    below: Key = ("models",) if section is not found.tree else ()
    models, faults = {}, []
    for name, raw in (section or {}).items() if isinstance(section, dict) else ():
        reading = described.read(name, raw, (*below, name))
        faults += reading.faults
        if reading.model is not None:
            models[name] = reading.model
    if not models and not faults:
        faults.append(Fault(below, "there are no models here", "write NAME: {state: ..., equations: ...}"))
    if faults:
        raise SpecError(faults, found)
    return models


def _read(path: Path) -> Document:
    """A file of models. Raises SpecError with its text, for the sake of the message; OSError."""
    try:
        return document.read(path)
    except SpecError as error:
        text = path.read_bytes()[: document.MAX_BYTES].decode("utf-8-sig", "replace")
        raise SpecError(error.faults, Document(str(path), text, path.parent)) from None


def _add(models: dict[str, "Equations"], name: str, raw: Any, path: Key, faults: list[Fault], warnings: list[Fault]) -> None:
    if name in neurons.MODELS:
        faults.append(Fault(path, f"{name} is the name of a built-in model", "use another name", at_key=True))
        return
    from snnrun.models import described
    from snnrun.models.neurons.equations import of_model

    reading = described.read(name, raw, path)
    faults += reading.faults
    warnings += reading.warnings
    if reading.model is not None:
        models[name] = of_model(reading.model)


def _names_file(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("model"), dict)


def _with_name(entry: Any, path: Key, found: Document, models: dict[str, "Equations"], texts: dict[str, Any],
               faults: list[Fault]) -> Any:  # fmt: skip
    """A population with the name of its model where it names a file, whose model is added to those that are known."""
    if not _names_file(entry):
        return entry
    given, path = entry["model"], (*path, "model")
    if not isinstance(given.get("file"), str) or not set(given) <= {"file", "name"} or not isinstance(given.get("name", ""), str):
        faults.append(Fault(path, "a model is a name, or the file that it stands in", "write {file: my.yaml, name: NAME}"))
        return entry
    file = found.folder / given["file"]
    try:
        own = _read(file)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        faults.append(Fault((*path, "file"), f"{given['file']} cannot be read: {said}"))
        return entry
    name = given.get("name") or next(iter(own.tree))
    if "name" not in given and len(own.tree) > 1:
        faults.append(Fault(path, f"{given['file']} has {len(own.tree)} models", f"write name: {name}, or that of another one"))
        return entry
    if name not in own.tree:
        faults.append(Fault((*path, "name"), f"{given['file']} has no model {name!r}", nearest(name, own.tree)))
        return entry
    if name in texts and texts[name] != own.tree[name]:
        faults.append(Fault(path, f"there is another model {name}", "give one of the two another name"))
        return entry
    inner: list[Fault] = []
    _add(models, name, own.tree[name], (name,), inner, [])
    if inner:
        raise SpecError(inner, replace(own, name=str(file)))
    texts[name] = own.tree[name]
    return {**entry, "model": name}
