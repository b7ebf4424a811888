"""Runs under the limits of a batch system, and without home, cache or rights: a sentence and an exit code, always."""

import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from attacks import children, reference
from attacks.outcomes import Outcome

NAME = "drawn"
DURATION = "400 ms"
RUN = ("simulate", "net.yaml", "-o", "out.h5", *reference.CHECKPOINTS)
NOBODY = 65534
MIB = 2**20


def _nothing() -> None: ...


class Limit(NamedTuple):
    """One limit: what it is called, and what sets it in a child."""

    name: str
    value: str
    before: Callable[[], None] = _nothing
    environment: dict[str, str] = {}
    codes: tuple[int, ...] = (0, 1, 2)


def _of(name: str, values: list[int], codes: tuple[int, ...] = (0, 1, 2), hard: int | None = None) -> list[Limit]:
    number = getattr(resource, name)

    def limited(value: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(number, (value, value if hard is None else hard))

    return [Limit(name, str(value), limited(value), codes=codes) for value in values]


def attack(tries: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Each limit once for every so many tries; sizes in between are drawn."""
    rng = Random(f"limits/{seed}")
    wanted = reference.reference(NAME, DURATION, ("native",))
    with TemporaryDirectory() as scratch:
        limits = _limits(rng, tries, Path(scratch))
        rng.shuffle(limits)
        for limit in limits[:tries]:
            yield from _limited(limit, wanted)
        if tries >= 10:
            yield from _others(wanted)


def _limits(rng: Random, tries: int, scratch: Path) -> list[Limit]:
    many = 4 + tries // 8
    memory = [round(MIB * 2 ** rng.uniform(6, 12)) for _ in range(many)]
    data = [round(MIB * 2 ** rng.uniform(5, 11)) for _ in range(many)]
    sizes = [0, 1, 4096, *(round(2 ** rng.uniform(8, 22)) for _ in range(many))]
    full, foreign = scratch / "file", scratch / "cache"
    full.write_text("no folder")
    foreign.mkdir()
    if os.getuid() == 0:
        _give_away(foreign, 0o700)
    else:
        foreign.chmod(0o500)
    places: dict[str, dict[str, str]] = {
        "no home": {"HOME": ""},
        "a home that is not there": {"HOME": "/nonexistent"},
        "a home that is a file": {"HOME": str(full)},
        "a cache that may not be written to": {"XDG_CACHE_HOME": str(foreign)},
        "a cache that is a file": {"XDG_CACHE_HOME": str(full)},
        "a cache that is a device": {"XDG_CACHE_HOME": "/dev/null"},
        "JAX's cache in a file": {"JAX_COMPILATION_CACHE_DIR": str(full)},
        "JAX's cache elsewhere": {"JAX_COMPILATION_CACHE_DIR": "/nonexistent/cache"},
        "ASCII alone": {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii"},
        "no folder for temporary files": {"TMPDIR": "/nonexistent"},
    }
    return [
        *_of("RLIMIT_AS", memory),
        *_of("RLIMIT_DATA", data),
        *_of("RLIMIT_NOFILE", list(rng.sample(range(5, 40), min(many, 35)))),
        *_of("RLIMIT_FSIZE", sizes),
        *_of("RLIMIT_CPU", [rng.randint(1, 4) for _ in range(3)], (0, 1, 75), resource.RLIM_INFINITY),
        *_of("RLIMIT_STACK", [256 * 1024, 1024 * 1024]),
        *(Limit(name, "", _drop_rights if os.getuid() == 0 else _nothing, values) for name, values in places.items()),
    ]


def _limited(limit: Limit, wanted: reference.Reference) -> Iterator[Outcome]:
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "net.yaml").write_text(wanted.text)
        ended = children.ran(RUN, place, before=limit.before, environment=limit.environment)
        kind, words = children.fault(ended, limit.codes)
        if _never_began(ended):
            yield Outcome(f"{limit.name}: Python did not begin")
            return
        if kind and limit.name in ("RLIMIT_AS", "RLIMIT_DATA") and any(word in ended.err for word in _LIBRARIES):
            yield Outcome(f"{limit.name}: a library gave up")
            return
        if not kind and ended.code == 0 and (words := reference.differs(place / "out.h5", wanted)):
            kind = "differs"
        how = f"{ended.command}  # under {limit.name} {limit.value} {limit.environment}"
        yield Outcome(f"{limit.name}: exit code {ended.code}", kind, words, how, {"net.yaml": wanted.text})


_LIBRARIES = ("LLVM ERROR: pthread_create failed", "low_level_alloc.cc", "OpenBLAS blas_thread_init: pthread_create failed")


def _never_began(ended: children.Ended) -> bool:
    """Whether the interpreter itself could not start, or load its own modules."""
    return any(word in ended.err for word in ("Fatal Python error", "init_import_site", "error while loading shared libraries"))


# ---- without rights --------------------------------------------------------------------------------------------------


def _others(wanted: reference.Reference) -> Iterator[Outcome]:
    """Folders that may not be written to, and files that may not be read, of another user."""
    if os.getuid() != 0:
        yield Outcome("skipped: files of another user need root")
        return
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name, rights in (("a folder that may not be written to", 0o755), ("a folder that may not be entered", 0o700)):
            folder = place / name.replace(" ", "-")
            folder.mkdir()
            (folder / "net.yaml").write_text(wanted.text)
            _give_away(folder, rights)
            yield _without_rights(name, (*_RUN, folder / "net.yaml", "-o", folder / "out.h5"), place, wanted)
        (place / "hidden.yaml").write_text(wanted.text)
        _give_away(place / "hidden.yaml", 0o600)
        yield _without_rights("a file that may not be read", (*_RUN, place / "hidden.yaml"), place, wanted)
        (place / "net.yaml").write_text(wanted.text)
        for name in ("out.h5", "out.h5.partial", "out.h5.checkpoint"):
            (place / name).write_bytes(b"of another user")
            _give_away(place / name, 0o600)
        run = (*_RUN, place / "net.yaml", "-o", place / "out.h5", *reference.CHECKPOINTS)
        yield _without_rights("files of another user", run, place, wanted)
        yield _without_rights("files of another user, to be overwritten", (*run, "--overwrite"), place, wanted)


_RUN = ("simulate", "--no-plot")


def _give_away(path: Path, rights: int) -> None:
    path.chmod(rights)
    os.chown(path, NOBODY, NOBODY)


def _without_rights(name: str, arguments: tuple[str | Path, ...], place: Path, wanted: reference.Reference) -> Outcome:
    ended = children.ran(arguments, place, before=_drop_rights, environment={"HOME": "/nonexistent"})
    kind, words = children.fault(ended, (0, 1, 2))
    return Outcome(
        f"{name}: exit code {ended.code}", kind, words, f"{ended.command}  # not of the owner", {"net.yaml": wanted.text}
    )


def _drop_rights() -> None:
    """Be a user like any other where files are concerned; root's own files, Python among them, can still be read."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        libc.prctl(24, capability)  # PR_CAPBSET_DROP
