"""A run whose writing fails ends with a sentence and exit code 1; what was there before is still there, and it can be resumed."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, mkdtemp
from typing import NamedTuple

from attacks import children, reference
from attacks.outcomes import Outcome

NAME = "drawn"
DURATION = "400 ms"
HERE = Path(__file__).parent
RUN = ("simulate", "net.yaml", "-o", "out.h5", "--no-plot", *reference.CHECKPOINTS)

# A call that fails in its n-th use: what is patched once the program is loaded, and with what
_PATCHED = children._COMMAND.replace("main()\n", """
import builtins, importlib
module, _, path = os.environ['FAIL_CALL'].partition(':')
*owners, name = path.split('.')
owner = importlib.import_module(module)
for part in owners:
    owner = getattr(owner, part)
real, uses = getattr(owner, name), 0
def fails(*given, **named):
    global uses
    uses += 1
    if uses == int(os.environ['FAIL_AT']):
        open(os.environ['FAIL_LOG'], 'w').close()
        raise eval(os.environ['FAIL_WITH'])
    return real(*given, **named)
setattr(owner, name, fails)
main()
""")  # fmt: skip

DISK, IO, BIG = (f"OSError({number}, {os.strerror(number)!r})" for number in (errno.ENOSPC, errno.EIO, errno.EFBIG))
CALLS = (
    ("a frame handed over", "snnrun.results:Writer.write", "MemoryError()"),
    ("a dataset appended to", "snnrun.results.writer:_extend", DISK),
    ("a page held", "snnrun.results.store:Store._put", "MemoryError()"),
    ("a commit", "snnrun.results.store:Store.commit", IO),
    ("a flush", "h5py:File.flush", f"RuntimeError('Unable to flush (errno = {errno.EIO}, error message = x)')"),
    ("a file opened", "h5py:File.__init__", IO),
    ("progress shown", "snnrun.progress:Progress.progress", "BrokenPipeError()"),
    ("a chunk of steps", "snnrun.engine:run_chunk", "MemoryError()"),
    ("a state taken", "snnrun.snapshot:take", "MemoryError()"),
    ("a checkpoint made", "snnrun.checkpoint:_image", "MemoryError()"),
    ("a file renamed", "pathlib:Path.replace", BIG),
    ("a folder read", "pathlib:Path.stat", IO),
)
MODES = ((errno.ENOSPC, "forever"), (errno.EIO, "once"), (errno.EFBIG, "forever"), (errno.ENOSPC, "short"))


class Failure(NamedTuple):
    """A way to fail, of which there is a first, a second, a third ... one."""

    name: str
    environment: Callable[[int], dict[str, str]]
    program: str = children._COMMAND


def attack(tries: int, seed: int, folder: Path, disturbances: int | None = None) -> Iterator[Outcome]:
    """The first, second, third ... failure of each kind in turn, until there are so many, or none is met any more."""
    wanted = reference.reference(NAME, DURATION, ("native",))
    kinds, n = list(_kinds()), 1
    if len(kinds) == len(CALLS):
        yield Outcome("skipped: no C compiler for failing system calls")
    done = 0
    while kinds and done < tries:
        for kind in list(kinds):
            outcomes = list(_nth(kind, n, wanted))
            if not outcomes:
                kinds.remove(kind)  # there are fewer than n
            yield from outcomes
            done += len(outcomes) > 0
            if done >= tries:
                break
        n += 1
    for disturb in DISTURBANCES[:disturbances]:
        for number in range(1 + tries // 50):
            yield from disturb(Random(f"failures/{seed}/{number}"), wanted)


def _kinds() -> Iterator[Failure]:
    for name, call, error in CALLS:
        yield Failure(
            name, lambda n, call=call, error=error: {"FAIL_CALL": call, "FAIL_WITH": error, "FAIL_AT": str(n)}, _PATCHED
        )
    library = Path(mkdtemp(prefix="snnrun-failing-")) / "failing.so"
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing.c", "-ldl"], check=True)
    for number, mode in MODES:
        yield Failure(
            f"{errno.errorcode[number]} {mode}",
            lambda n, number=number, mode=mode: {
                "LD_PRELOAD": str(library), "FAIL_MATCH": "out.h5", "FAIL_AT": str(n), "FAIL_ERRNO": str(number),
                "FAIL_MODE": mode,
            },
        )  # fmt: skip


def _nth(kind: Failure, n: int, wanted: reference.Reference) -> Iterator[Outcome]:
    """The n-th failure of a kind; of odd ones there are older results, even ones are resumed."""
    with TemporaryDirectory() as scratch:
        place, log = Path(scratch), Path(scratch) / ".failed"
        (place / "net.yaml").write_text(wanted.text)
        older = b"older results" * 1000 if n % 2 else b""
        if older:
            (place / "out.h5").write_bytes(older)
        environment = {**kind.environment(n), "FAIL_LOG": str(log)}
        ended = children.ran([*RUN, *(["--overwrite"] if older else [])], place, environment=environment, program=kind.program)
        if not log.exists() and ended.code == 0:
            return
        # what fails after the results have got their name, or does not matter to them, may pass
        yield from _judged(f"failure of {kind.name}", ended, (0, 1), place, older, wanted, f"n = {n}: {kind.environment(n)}")


def _judged(name: str, ended: children.Ended, codes: tuple[int, ...], place: Path, older: bytes, wanted: reference.Reference,
            how: str, resume: bool = True) -> Iterator[Outcome]:  # fmt: skip
    """What is wrong with how a disturbed run ended, and with what it left."""
    kind, words = children.fault(ended, codes)
    results = place / "out.h5"
    if not kind and ended.code != 0 and older and (not results.exists() or sha256(results.read_bytes()) .digest()
                                                   != sha256(older).digest()):  # fmt: skip
        kind, words = "other", "the older results are gone"
    if not kind and ended.code == 0 and resume and (words := reference.differs(results, wanted)):
        kind = "differs"
    left = "" if ended.code == 0 or older else f", left: {reference.kept(results)}"
    said, there = f"{how}\n{ended.command}", {"net.yaml": wanted.text}
    yield Outcome(f"{name}: exit code {ended.code}{left}", kind, words, said, there)
    if ended.code == 1 and not older and resume and not kind:
        again = children.ran([*RUN, "--resume"], place)
        kind, words = children.fault(again, (0,))
        if not kind and (words := reference.differs(results, wanted)):
            kind = "differs"
        yield Outcome("completed with --resume", kind, words, f"{said}\n{again.command}", there)


# ---- disturbed by others ---------------------------------------------------------------------------------------------


def _full(rng: Random, wanted: reference.Reference) -> Iterator[Outcome]:
    """A disk of some kilobytes."""
    with TemporaryDirectory() as scratch:
        place, disk, size = Path(scratch), Path(scratch) / "disk", rng.choice((16, 64, 256, 1024, rng.randrange(16, 2048)))
        (place / "net.yaml").write_text(wanted.text)
        disk.mkdir()
        try:
            mounted = (
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True).returncode
                == 0
            )
        except OSError:
            mounted = False
        if not mounted:
            yield Outcome("skipped: a full disk needs root, who may mount one")
            return
        try:
            ended = children.ran(["simulate", "net.yaml", "-o", "disk/out.h5", "--no-plot", *reference.CHECKPOINTS], place)
            kind, words = children.fault(ended, (0, 1))
            left = "" if ended.code == 0 else f", left: {reference.kept(disk / 'out.h5')}"
            how = f"{ended.command}  # on a tmpfs of {size} kB"
            yield Outcome(f"disk of some kB: exit code {ended.code}{left}", kind, words, how, {"net.yaml": wanted.text})
        finally:
            subprocess.run(["umount", disk], check=True)


def _in_mid_run(name: str, change: Callable[[Random, Path], None], noticed: bool = True
                ) -> Callable[[Random, reference.Reference], Iterator[Outcome]]:  # fmt: skip
    """Something that others do to the folder of a run at some moment, which the run must notice if it matters."""

    def disturb(rng: Random, wanted: reference.Reference) -> Iterator[Outcome]:
        with TemporaryDirectory() as scratch:
            place, folder = Path(scratch), Path(scratch) / "folder"
            folder.mkdir()
            (place / "net.yaml").write_text(wanted.text)
            run = ["simulate", "net.yaml", "-o", "folder/out.h5", "--no-plot", *reference.CHECKPOINTS]
            child = children.Child(run, place)
            partial, moment = folder / "out.h5.partial", rng.uniform(0.0, 0.8)
            while child.running and not partial.exists():
                time.sleep(0.01)
            began = time.monotonic() - child.began
            met = False
            if child.sleep(began + moment):
                child.send(signal.SIGSTOP)  # what is done is done between two of its system calls
                if met := partial.exists():
                    change(rng, folder)
                child.send(signal.SIGCONT)
            ended = child.end()
            kind, words = children.fault(ended, (0, 1))
            if not kind and ended.code == 0 and noticed:
                if not (folder / "out.h5").exists():
                    kind, words = "other", "exit code 0, and no results"
                elif words := reference.differs(folder / "out.h5", wanted):
                    kind = "differs"
            ending = f"{name}{'' if met else ', after the run'}: exit code {ended.code}"
            how = f"{ended.command}  # {name} {moment:.2f} s after the partial file came"
            yield Outcome(ending, kind, words, how, {"net.yaml": wanted.text})

    return disturb


def _each(folder: Path) -> list[Path]:
    return [path for path in folder.glob("out.h5*") if path.is_file()]


def _cut(rng: Random, folder: Path) -> None:
    for path in _each(folder):
        os.truncate(path, rng.choice((0, path.stat().st_size // 2)))


def _remove(rng: Random, folder: Path) -> None:
    for path in _each(folder):
        path.unlink()


def _garbage(rng: Random, folder: Path) -> None:
    for path in _each(folder):
        path.write_bytes(rng.randbytes(path.stat().st_size))


def _damaged(rng: Random, wanted: reference.Reference) -> Iterator[Outcome]:
    """A run is killed, what it left is damaged, and it is resumed: with the right bits, or refused."""
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "net.yaml").write_text(wanted.text)
        child = children.Child(RUN, place)
        if child.sleep(wanted.seconds["native"] * rng.uniform(0.6, 0.98)):
            child.send(signal.SIGKILL)
        child.end()
        damaged = [path for path in _each(place) if rng.random() < 0.5]
        for path in damaged:
            rng.choice((_cut_one, _flip_one, _remove_one))(rng, path)
        ended = children.ran([*RUN, "--resume"], place)
        kind, words = children.fault(ended, (0, 1, 2))
        if not kind and ended.code == 0 and (words := reference.differs(place / "out.h5", wanted)):
            kind = "differs"
        how = f"{ended.command}  # damaged: {', '.join(path.name for path in damaged)}"
        yield Outcome(f"resumed from what was damaged: exit code {ended.code}", kind, words, how, {"net.yaml": wanted.text})


def _cut_one(rng: Random, path: Path) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size + 1))


def _flip_one(rng: Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 10, 1000)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _remove_one(rng: Random, path: Path) -> None:
    path.unlink()


def _nobody_listens(rng: Random, wanted: reference.Reference) -> Iterator[Outcome]:
    """Standard error or output on a full device, or closed."""
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "net.yaml").write_text(wanted.text)
        for stream in ("stdout", "stderr"):
            with Path("/dev/full").open("wb") as full:
                ended = children.ran([*RUN, "--overwrite"], place, **{stream: full})
            silent = ended._replace(err=ended.err or "said into a full device")
            kind, words = children.fault(silent, (0, 1))
            yield Outcome(f"{stream} full: exit code {ended.code}", kind, words, f"{ended.command}  # {stream} on /dev/full",
                          {"net.yaml": wanted.text})  # fmt: skip


DISTURBANCES = (
    _full,
    _damaged,
    _in_mid_run("folder removed", lambda rng, folder: shutil.rmtree(folder)),
    _in_mid_run("files removed", _remove),
    _in_mid_run("files truncated", _cut),
    _in_mid_run("files overwritten", _garbage, noticed=False),
    _nobody_listens,
)
