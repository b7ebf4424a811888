"""Reading in a process of its own: a library that crashes over a damaged file, or finds no end, takes nothing with it."""

import os
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from snnrun import terminal

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
_SECONDS, _SECONDS_PER_BYTE = 30, 3e-6  # that the processor may take: many times what drawing, decompressing and digests do
_BYTES = 8 * 2**30  # that may be reserved beside the memory of the machine, as threads do without using it


class Crashed(Exception):
    """A file over which the HDF5 library crashes."""


@contextmanager
def child(*files: Path, limited: bool = True) -> Iterator[None]:
    """What follows is done by a child of this process, which ends with the child's exit code. Raises Crashed.

    Begin it before libraries with threads are loaded. A program that has called this one may have loaded them, and does the work
    itself. Without limits it may take as long, and as much memory, as it wants.
    """
    if not terminal.owned():
        yield
        return
    if (number := os.fork()) == 0:
        if limited:
            _limit(files)
        yield  # the child goes on, and ends as if it had never had a parent
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child as well, and the child answers
    try:
        _, status = os.waitpid(number, 0)
    except BaseException:
        os.kill(number, signal.SIGKILL)
        raise
    code, named = os.waitstatus_to_exitcode(status), " or ".join(map(str, files))
    if -code in _CRASHES:
        raise Crashed(f"{named} is damaged: the HDF5 library crashed reading it")
    if -code == signal.SIGXCPU:
        raise Crashed(f"{named} is damaged: reading it takes the HDF5 library too long")
    raise SystemExit(code if code >= 0 else 128 - code)


def _limit(files: Sequence[Path]) -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # a library that finds no end never comes to a handler
    size = sum(file.stat().st_size for file in files if file.is_file())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = {
        resource.RLIMIT_CPU: _SECONDS + int(_SECONDS_PER_BYTE * size),
        resource.RLIMIT_AS: _BYTES + memory,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with suppress(OSError, ValueError):  # systems that have no such limit
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
