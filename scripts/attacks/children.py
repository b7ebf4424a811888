"""The command `snnrun` as a child that can be disturbed, and what is wrong with how it ended."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 120.0  # seconds that no run of an attack takes: it is endless then

# Says that Python is up, and then does as the command does. What a signal meets earlier is Python alone.
_BEGIN = "import os\nif (fd := os.environ.get('ATTACK_READY')): os.write(int(fd), b'.'), os.close(int(fd))\nimport sys\n"
_COMMAND = _BEGIN + "sys.argv[0] = 'snnrun'\nfrom snnrun.__main__ import main\nmain()\n"


class Ended(NamedTuple):
    """How a child ended."""

    code: int  # negative: the signal that it died by
    out: str
    err: str
    seconds: float
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        return "snnrun " + " ".join(f"'{a}'" if " " in a else a for a in self.arguments)


class Child:
    """A running `snnrun`, in a folder of its own."""

    def __init__(self, arguments: Sequence[str | Path], folder: Path, before: Callable[[], None] | None = None,
                 environment: dict[str, str] | None = None, program: str = _COMMAND, **options: Any) -> None:  # fmt: skip
        self.arguments = tuple(map(str, arguments))
        ready, theirs = os.pipe()

        def prepare() -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXFSZ, signal.SIGXCPU):
                signal.signal(number, signal.SIG_DFL)  # whatever the caller ignores
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if before is not None:
                before()

        env = {**os.environ, **(environment or {}), "ATTACK_READY": str(theirs)}
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *self.arguments],
            cwd=folder,
            env=env,
            preexec_fn=prepare,
            pass_fds=[theirs],
            **streams,
        )
        os.close(theirs)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:  # no file, because its size may be limited; large, because it is read at the end
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2**20)
        os.read(ready, 1)  # or its end, where Python did not come up
        os.close(ready)
        self.began = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def sleep(self, seconds: float) -> bool:
        """Wait until so long after the beginning; whether the child is still running then."""
        try:
            self.process.wait(max(self.began + seconds - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            return True
        return False

    def send(self, number: int) -> None:
        if self.running:
            self.process.send_signal(number)

    def end(self, patience: float = PATIENCE) -> Ended:
        seconds = float("inf")
        try:
            said = self.process.communicate(timeout=patience)
            seconds = time.monotonic() - self.began
        except subprocess.TimeoutExpired:
            self.process.kill()
            said = self.process.communicate()
        texts = [(text or b"").decode("utf-8", "backslashreplace") for text in said]
        return Ended(self.process.returncode, *texts, seconds, self.arguments)


def ran(arguments: Sequence[str | Path], folder: Path, patience: float = PATIENCE, **options: Any) -> Ended:
    return Child(arguments, folder, **options).end(patience)


def fault(ended: Ended, codes: tuple[int, ...]) -> tuple[str, str]:
    """(kind, words) of what is wrong with how a child ended, where some exit codes are right; two empty texts if nothing is.

    A run that failed says so in a sentence, and never with a traceback; nothing dies by a signal or goes on for ever.
    """
    said = f"exit code {ended.code}\n{ended.err[-3000:]}"
    if ended.seconds == float("inf"):
        return "other", f"endless\n{said}"
    if ended.code < 0 or ended.code in (134, 139):
        return "signal", said
    if "Traceback (most recent call last)" in ended.err or "Exception ignored in" in ended.err:
        return "traceback", said
    if ended.code not in codes:
        return "other", f"exit code {ended.code} and not {' or '.join(map(str, codes))}\n{ended.err[-3000:]}"
    if ended.code in (1, 2) and not ended.err.strip() and '"message"' not in ended.out:
        return "other", f"says nothing\n{said}"
    return "", ""


def digests(results: Path) -> dict[str, str]:
    """SHA-256 of every dataset of a results file."""
    from snnrun.results import Results

    with Results(results) as found:
        return found.digests()


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of the datasets that differ, or that only one has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
