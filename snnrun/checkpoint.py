"""Checkpoints: what a run needs to go on after a stop, in a file of its own beside the results.

    <results>.checkpoint            the last one
    <results>.checkpoint.previous   the one before it

The file is HDF5:

    /                       attrs schema, step, dt (ms), fingerprint, position, versions, restarts
    /variables/<population>/<variable>   of the neurons, and as <receptor>.<variable> of their receptors
    /fired/<population>     uint32 [steps, words]: bits of those who fired in the last steps, the oldest first
    /gates/<projection>/<population>   float64 [instants, sources]: values of gates, of which some are on their way
    /carried/<projection>/<part>   float64 [steps, sources]: what part of its weight each of these spikes carries
    /weights/<projection>/<field>  of weights that change: y of each synapse, and of both sides the spikes and traces that count

Not in it: the network, whose parameters, edges and random numbers follow from the network file and its seed; what was recorded,
which stays in the partial results, and of which only the lengths are noted; what a kernel derives from the last spikes (see
snapshot.py); compiled programs.
"""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

import snnrun
from snnrun.kernels import Weights
from snnrun.quantities import Frozen
from snnrun.results import Position, sync_folder

SCHEMA = "snnrun-checkpoint/1"
LIBRARIES = ("jax", "jaxlib", "numpy")


class Snapshot(NamedTuple):
    """The state of a run by names, on the host, free of the kernel and of padding: see snapshot.py."""

    step: int
    variables: dict[str, NDArray[Any]]  # `E/V`, `E/exc.x` -> one value per neuron
    fired: dict[str, NDArray[np.uint32]]  # population -> [steps, words]: bits of those who fired in the last steps, oldest first
    carried: dict[str, NDArray[np.float64]]  # part of a projection's sources -> [steps, sources]: what these spikes carry
    weights: dict[str, Any]  # projection -> kernels.Weights, where weights change
    gates: dict[str, NDArray[np.float64]] = {}  # noqa: RUF012  `nmda/E` -> [instants, sources]: values, the present ones last


class Checkpoint(NamedTuple):
    snapshot: Snapshot
    position: Position
    fingerprint: str  # JSON, see `fingerprint`
    versions: dict[str, str]
    restarts: int


class CheckpointError(Exception):
    """A checkpoint that cannot be read, or from which a run cannot go on: why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def path_of(results: Path) -> Path:
    return results.with_name(results.name + ".checkpoint")


def previous_path(results: Path) -> Path:
    return results.with_name(results.name + ".checkpoint.previous")


def versions() -> dict[str, str]:
    return {"snnrun": snnrun.__version__, **{name: version(name) for name in LIBRARIES}}


# ---- what must be the same -------------------------------------------------------------------------------------------


def fingerprint(spec: Any, files: Iterable[Path], folder: Path, merge: bool) -> str:
    """All that decides the bits of a run and what is recorded, as JSON; but for its name and its duration."""
    network = {name: value for name, value in _plain(spec).items() if name not in ("name", "duration")}
    digests = {}
    for file in files:
        digest = hashlib.sha256()
        with (folder / file).open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        digests[str(file)] = digest.hexdigest()
    return json.dumps({"network": network, "files": digests, "merged": merge}, sort_keys=True)


def _plain(value: Any) -> Any:
    """What a user wrote as JSON has it; numbers to their last digit, in internal units."""
    if isinstance(value, Frozen):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def differences(one: str, other: str) -> list[str]:
    """What differs between two fingerprints: `populations.N.size: 4000, and 5000 here`."""
    found: list[str] = []

    def compare(a: Any, b: Any, path: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in dict.fromkeys((*a, *b)):
                compare(a.get(key, _ABSENT), b.get(key, _ABSENT), f"{path}.{key}" if path else str(key))
        elif a != b:
            if path.startswith("files."):
                found.append(f"{path.removeprefix('files.')} has changed")
            else:
                found.append(f"{path.removeprefix('network.')}: {_shown(a)}, and {_shown(b)} here")

    compare(json.loads(one), json.loads(other), "")
    return found


_ABSENT = object()


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(results: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one, which is kept as the previous one. Raises OSError; nothing is lost then."""
    path, image = path_of(results), _image(checkpoint)
    new = path.with_name(path.name + ".new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            view = memoryview(image)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
        finally:
            os.close(file)
        if path.exists():
            path.replace(previous_path(results))
        new.replace(path)
        sync_folder(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _image(checkpoint: Checkpoint) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v108", "v108")) as file:
        file.attrs["schema"], file.attrs["step"] = SCHEMA, checkpoint.snapshot.step
        _write_text(file, "fingerprint", checkpoint.fingerprint)
        _write_text(file, "position", json.dumps(checkpoint.position._asdict()))
        file.attrs["versions"], file.attrs["restarts"] = json.dumps(checkpoint.versions), checkpoint.restarts
        for name, values in checkpoint.snapshot.variables.items():
            file.create_dataset(f"variables/{name}", data=values)
        for name, rows in checkpoint.snapshot.fired.items():
            file.create_dataset(f"fired/{name}", data=rows)
        for name, parts in checkpoint.snapshot.carried.items():
            file.create_dataset(f"carried/{name}", data=parts, compression="gzip", compression_opts=1)
        for name, values in checkpoint.snapshot.gates.items():
            file.create_dataset(f"gates/{name}", data=values, compression="gzip", compression_opts=1)
        for name, weights in checkpoint.snapshot.weights.items():
            for field in ("y", "source", "target"):
                file.create_dataset(f"weights/{name}/{field}", data=getattr(weights, field))
    image = buffer.getvalue()
    return image + zlib.crc32(image).to_bytes(4, "little")


def _write_text(file: Any, name: str, text: str) -> None:
    file.create_dataset(name, data=np.frombuffer(text.encode(), np.uint8))


# ---- reading ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Checkpoint:
    """Raises CheckpointError, and FileNotFoundError."""
    content = path.read_bytes()
    image, checksum = content[:-4], content[-4:]
    if len(content) < 4 or zlib.crc32(image).to_bytes(4, "little") != checksum:
        raise CheckpointError(f"{path} is damaged")
    try:
        with h5py.File(io.BytesIO(image), "r") as opened:
            file: Any = opened
            if file.attrs.get("schema") != SCHEMA:
                raise CheckpointError(f"{path} is of another version of snnrun")
            variables, carried = _datasets(file["variables"]), _datasets(file["carried"]) if "carried" in file else {}
            fired = {name: rows[()] for name, rows in file["fired"].items()}
            position = json.loads(_text(file, "position"))
            bins = {name: (count, steps) for name, (count, steps) in position["bins"].items()}
            weights = {}
            for name, own in file["weights"].items() if "weights" in file else ():
                found = {field: own[field][()] for field in ("y", "source", "target")}
                weights[name] = Weights(name, None, None, None, **found)
            gates = _datasets(file["gates"]) if "gates" in file else {}
            snapshot = Snapshot(int(file.attrs["step"]), variables, fired, carried, weights, gates)
            return Checkpoint(
                snapshot, Position(position["reached"], position["lengths"], bins),
                _text(file, "fingerprint"), json.loads(file.attrs["versions"]), int(file.attrs["restarts"]),
            )  # fmt: skip
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _datasets(group: Any) -> dict[str, Any]:
    """All datasets below a group, by path."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    group.visititems(visit)
    return found


def _text(file: Any, name: str) -> str:
    return bytes(file[name][()]).decode()


def candidates(results: Path) -> list[Path]:
    """The checkpoints beside a results file, the last one first."""
    return [path for path in (path_of(results), previous_path(results)) if path.exists()]


def remove(results: Path) -> None:
    for path in (path_of(results), previous_path(results)):
        path.unlink(missing_ok=True)
