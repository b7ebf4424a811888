"""Results files that are damaged, or made to do harm: everything that is read from them is either there or a ResultsError."""

import json
import os
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from attacks import children
from attacks.outcomes import Outcome

SECONDS, MEMORY = 20, 4 * 2**30  # that reading a small file may take at most


DRAWN = 0.1  # part of the files of which the picture is drawn, too

NETWORK = """\
name: small
seed: 3
duration: 40 ms
populations:
  A: &lif {size: 40, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, I_e: 600 pA}
  B: {<<: *lif, size: 5}
  C: {size: 20, model: poisson, rate: 50 Hz}
projections:
  p: {pre: A, post: B, connect: {rule: fixed_prob, p: 0.3}, weight: 30 pA, delay: 1 ms, synapse: {model: expon, tau: 2 ms}}
monitors:
  spikes: {model: spikes, of: [A, B]}
  late: {model: spikes, of: ["A[:10]", "C[5:10]"], start: 20 ms, stop: 30 ms}
  V: {model: state, of: ["A[3:5]", "A[:2]"], variables: [V], every: 0.5 ms, start: 1 ms}
  I: {model: input, of: B}
  rate: {model: rate, of: [A, "B[:2]"], bin: 3 ms, start: 1 ms}
"""


def attack(tries: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Mutate copies of a results file and read all there is in them, each in a child of its own."""
    sound, path = folder / "sound.h5", folder / "mutated.h5"
    (folder / "small.yaml").write_text(NETWORK)
    made = children.ran(["simulate", "small.yaml", "-o", sound.name, "--no-plot", "--overwrite", "-q"], folder)
    if made.code:
        yield Outcome("no results to begin with", "other", made.err, made.command)
        return
    import h5py  # noqa: F401  once, and not in every child

    from snnrun import check, cli, estimate, results  # noqa: F401

    for number in range(tries):
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            os.close(read)
            os._exit(_in_child(write, sound, path, random.Random(f"{seed} {number}")))
        os.close(write)
        with os.fdopen(read, "r", errors="backslashreplace") as said:
            name, _, words = said.read().partition("\n")
        yield _judged(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), f"{name}, try {number}", words, path)


def _judged(code: int, name: str, words: str, path: Path) -> Outcome:
    if code == 0:
        return Outcome(words)
    detail, command, inputs = f"{name}\n{words}", f"snnrun info {path.name}", {path.name: path}
    if code == 1:
        return Outcome("traceback", "traceback", detail, command, inputs)
    if -code in (signal.SIGXCPU, signal.SIGALRM):
        return Outcome("endless", "other", detail, command, inputs)
    ended = children.ran(["info", path.name, "--digest"], path.parent)  # nothing in Python can help it, but the program survives
    kind, fault = children.fault(ended, (0, 2))
    return Outcome("HDF5 crashed", kind, f"{detail}\n{fault}", ended.command, inputs if kind else {})


def _in_child(out: int, source: Path, path: Path, rng: random.Random) -> int:
    signal.alarm(3 * SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    shutil.copyfile(source, path)
    mutate = rng.choice(MUTATIONS)
    os.write(out, f"{mutate.__name__}\n".encode())
    try:
        mutate(rng, path)
    except Exception:  # HDF5 refuses what would not be a file any more
        os.write(out, b"not made")
        return 0
    try:
        os.write(out, read_all(path, rng.random() < DRAWN).encode("utf-8", "backslashreplace"))
        return 0
    except BaseException:
        os.write(out, traceback.format_exc()[-3000:].encode("utf-8", "backslashreplace"))
        return 1


_FACTS = ("name", "complete", "yaml", "resolved", "dt", "duration", "reached", "populations", "monitors", "provenance")


def read_all(path: Path, draw: bool = False) -> str:
    """Read everything that a results file has; in words, what came of it. Raises whatever is no ResultsError."""
    from snnrun.cli.info import print_info
    from snnrun.results import Results, ResultsError

    refused = 0

    def tried(action: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal refused
        try:
            return action(*arguments)
        except ResultsError as error:
            assert str(path) in str(error), error
            refused += 1
            return None

    found = tried(Results, path)
    if found is None:
        return "not opened"
    with found, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        tried(print_info, found, False)
        for name in _FACTS:
            json.dumps(tried(getattr, found, name))
        for train in (tried(found.all_spikes) or {}).values():
            assert len(train.times) == len(train.neurons) and train.rate != -1
        readers = {"spikes": [found.spikes], "rate": [found.rates], "state": [found.series], "input": [found.samples]}
        for monitor, model in (tried(getattr, found, "monitors") or {}).items():
            for read in readers.get(model, []):
                tried(read, monitor)
        tried(found.digests)
        if draw:
            _drawn(tried, found, path.with_suffix(".svg"))
    return "refused" if refused else "read"


def _drawn(tried: Callable[..., Any], found: Any, path: Path) -> None:
    from snnrun import plot

    try:
        figure = tried(plot.summary, found)
        if figure is not None:
            plot.save(figure, path, 30)
    except plot.PlotError:
        pass


# ---- mutations -------------------------------------------------------------------------------------------------------


def _flip(rng: random.Random, path: Path) -> None:
    """A few bytes anywhere."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 5, 50))):
        data[_somewhere(rng, data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    path.write_bytes(data)


def _somewhere(rng: random.Random, data: bytearray) -> int:
    """A place where there is something: most of a small file is room."""
    at = rng.randrange(len(data))
    while not data[at] and rng.random() < 0.99:
        at = rng.randrange(len(data))
    return at


def _flip_structure(rng: random.Random, path: Path) -> None:
    """Bytes near one of HDF5's signatures, where lengths and addresses are."""
    data = bytearray(path.read_bytes())
    places = [at for mark in _MARKS for at in _all(data, mark)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = min(rng.choice(places) + rng.randrange(4, 120), len(data) - 1)
        data[at] = rng.choice((0, 1, data[at] ^ 1 << rng.randrange(8), 0xFF, rng.randrange(256)))
    path.write_bytes(data)


_MARKS = (b"\x89HDF", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"FAHD", b"EAHD")


def _all(data: bytearray, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def _cut(rng: random.Random, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.choice((rng.randrange(len(data)), rng.randrange(3000), len(data) - rng.randrange(1, 3000)))])


def _cut_and_pad(rng: random.Random, path: Path) -> None:
    """What a file system leaves that lost the end of a file."""
    data = path.read_bytes()
    kept = rng.randrange(len(data))
    path.write_bytes(data[:kept] + bytes(len(data) - kept))


def _zero(rng: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    size = rng.choice((8, 64, 512, 4096, 20_000))
    at = max(_somewhere(rng, data) - rng.randrange(size), 0)
    data[at : at + size] = bytes(len(data[at : at + size]))
    path.write_bytes(data)


def _swap(rng: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    size = rng.choice((8, 512, 4096))
    a, b = (_somewhere(rng, data) // size * size for _ in range(2))
    one, other = bytes(data[a : a + size]), bytes(data[b : b + size])
    if len(one) == len(other):
        data[a : a + size], data[b : b + size] = other, one
    path.write_bytes(data)


_TEXTS = ("", "\0", "a\0b", "\x1b[2J", "\u202e", "$x^", "$\\frac{", "../..", "/", ".", "complete", "spikes", "state", "{", "[]",
          "null", "{}", "[" * 100_000,
          '{"populations": 3}', '{"populations": {"A": 3}, "monitors": []}', "9" * 5000, "x" * 100_000)  # fmt: skip
_NUMBERS = (0, -1, 1, 3, 2**31, 2**53, 2**63 - 1, 1e-300, 1e300, 1e18, float("nan"), float("inf"), -float("inf"), 0.1, 1e-9)


def _value(rng: random.Random) -> Any:
    import h5py
    import numpy as np

    return rng.choice((
        lambda: rng.choice(_NUMBERS), lambda: rng.choice(_TEXTS), lambda: rng.choice(_TEXTS[4:10]).encode(),
        lambda: np.arange(3.0), lambda: np.zeros(0), lambda: h5py.Empty("f8"), lambda: [["a", "b"]], lambda: True, lambda: 1 + 2j,
        lambda: np.array([(1, 2.0)], "i4,f8"), lambda: np.void(b"abc"), lambda: np.uint64(2**64 - 1),
        lambda: np.array([rng.choice(_NUMBERS)]),
    ))()  # fmt: skip


def _items(path: Path) -> list[str]:
    import h5py

    with h5py.File(path) as file:
        names = ["/"]
        file.visit(names.append)
    return names


def _attribute(rng: random.Random, path: Path) -> None:
    """Attributes with other values, others' names, or gone."""
    import h5py

    names = _items(path)
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice((1, 1, 2, 5))):
            attributes = file[rng.choice(names)].attrs
            keys = [*attributes, "model", "new"]
            key = rng.choice(keys)
            if rng.random() < 0.15:
                attributes.pop(key, None)
            else:
                attributes[key] = _value(rng)


def _resolved(rng: random.Random, path: Path) -> None:
    """The network that was run, with anything in the place of one of its parts."""
    import h5py

    with h5py.File(path, "r+") as file:
        attributes = file["snnrun/config"].attrs
        tree = json.loads(attributes["resolved"])
        for _ in range(rng.choice((1, 1, 3))):
            part = tree
            while True:
                key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
                if not isinstance(part[key], dict | list) or not part[key] or rng.random() < 0.3:
                    break
                part = part[key]
            if isinstance(part, dict) and rng.random() < 0.3:
                part[rng.choice(_TEXTS)] = part.pop(key)
            else:
                others = (None, 3, -1.5, "", "N[:5]", "A[5:2]", [], {}, [[]], {"model": 3}, ["A", 3], True, *_TEXTS[:9])
                part[key] = rng.choice(others)
        attributes["resolved"] = json.dumps(tree)


def _dataset(rng: random.Random, path: Path) -> None:
    """Another dataset, a group, or a link in the place of something."""
    import h5py
    import numpy as np

    names = [name for name in _items(path) if name != "/"]
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(names)
            if name not in file:
                continue
            old = file[name]
            shape = old.shape if isinstance(old, h5py.Dataset) else (4,)
            attributes = {key: old.attrs[key] for key in old.attrs}
            parent, leaf = old.parent, old.name.rpartition("/")[2]
            kind = rng.randrange(16)
            if isinstance(old, h5py.Dataset) and old.size and kind < 4:
                values = old[()]
                flat = values.reshape(-1)
                with np.errstate(all="ignore"):
                    for _ in range(rng.choice((1, 5))):
                        flat[rng.randrange(len(flat))] = np.asarray(rng.choice(_NUMBERS)).astype(flat.dtype)
                old[...] = values
                continue
            del parent[leaf]
            if kind < 6:
                longer = tuple(n + rng.choice((0, 1, -1, 7)) for n in shape)
                parent.create_dataset(leaf, data=np.full(tuple(max(n, 0) for n in longer), rng.choice((0.0, 1.0, np.nan))))
            elif kind == 6:
                dims = tuple(2 ** rng.randrange(20, 50) for _ in shape) or (2**40,)
                parent.create_dataset(leaf, dims, "f8", chunks=tuple(1024 if i == 0 else 16 for i in range(len(dims))),
                                      compression=rng.choice((None, "gzip")))  # fmt: skip
            elif kind == 7:
                parent.create_dataset(leaf, (2**40,), "f4")  # nothing is stored before something is written
            elif kind == 8:
                parent.create_dataset(leaf, data=["a", "b"], dtype=h5py.string_dtype())
            elif kind == 9:
                parent[leaf] = h5py.SoftLink(rng.choice(("/", "/nowhere", old.name, "/snnrun/monitors", "/snnrun/config")))
            elif kind == 10:
                parent[leaf] = h5py.ExternalLink(rng.choice(("/etc/passwd", str(path), "none.h5")), "/")
            elif kind == 11:
                parent[leaf] = rng.choice((parent, file["/"]))  # a circle of hard links
            elif kind == 12:
                layout = h5py.VirtualLayout(shape or (1,), "f8")
                layout[...] = h5py.VirtualSource("none.h5", "x", shape or (1,))
                parent.create_virtual_dataset(leaf, layout, fillvalue=1)
            elif kind == 13:
                parent.create_dataset(leaf, (1000,), "f8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
            elif kind == 14:
                parent.create_group(leaf)
            if leaf in parent and kind in (4, 5, 6, 7, 8, 12, 14):
                for key, value in attributes.items():
                    parent[leaf].attrs[key] = value


MUTATIONS = (_flip, _flip, _flip_structure, _flip_structure, _cut, _cut_and_pad, _zero, _zero, _swap, _attribute, _attribute,
             _resolved, _dataset, _dataset, _dataset)  # fmt: skip
