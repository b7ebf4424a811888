"""A function called in processes of its own, which may die or hang without harm."""

import ctypes
import multiprocessing
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple


class Died(NamedTuple):
    """A process that ended with a job: its exit code, negative for a signal."""

    code: int


class Hung(NamedTuple):
    """A process that worked on a job for too long, and was killed."""

    seconds: float


class Raised(NamedTuple):
    """An exception that the function let through."""

    kind: str
    text: str  # the traceback


def served(function: Callable[[Any], Any], jobs: Iterable[Any], limit: float, processes: int = 2,
           spare: int | None = None) -> Iterator[tuple[Any, Any]]:  # fmt: skip
    """(job, answer) for every job, in the order in which they are done; an answer may be Died, Hung or Raised.

    A job may take `limit` seconds, and `spare` bytes of address space more than the process had before its first job.
    """
    jobs = iter(jobs)
    servers: list[_Server] = []
    try:
        while True:
            while len(servers) < processes and (job := next(jobs, _NONE)) is not _NONE:
                servers.append(_Server(function, spare))
                servers[-1].begin(job)
            if not servers:
                return
            wait([server.pipe for server in servers], timeout=0.2)
            for server in list(servers):
                if (answer := server.answer(limit)) is _NONE:
                    continue
                yield server.job, answer
                if server.alive and (job := next(jobs, _NONE)) is not _NONE:
                    server.begin(job)
                else:
                    server.end()
                    servers.remove(server)
    finally:
        for server in servers:
            server.end()


_NONE: Any = object()
_START = 60.0  # seconds that a process may take to begin: it loads its libraries first


class _Server:
    """One process, and the job that it works on."""

    def __init__(self, function: Callable[[Any], Any], spare: int | None) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would carry the threads' locks of the caller
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs, spare), daemon=True)
        self.process.start()
        theirs.close()
        self.alive, self.grace = True, _START
        self.job: Any = None

    def begin(self, job: Any) -> None:
        self.job, self.began = job, time.monotonic()
        try:
            self.pipe.send(job)
        except OSError:
            pass  # it has died; `answer` says so

    def answer(self, limit: float) -> Any:
        try:
            if self.pipe.poll():
                found = self.pipe.recv()
                self.grace = 0.0
                return found
        except (EOFError, OSError):
            self.alive = False
            self.process.join(10)
            return Died(self.process.exitcode if self.process.exitcode is not None else 0)
        if time.monotonic() - self.began < limit + self.grace:
            return _NONE
        self.alive = False
        return Hung(limit)

    def end(self) -> None:
        self.alive = False
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _serve(function: Callable[[Any], Any], pipe: Connection, spare: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # ends with its parent, however that ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if hasattr(function, "prepare"):
        function.prepare()
    if spare is not None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + spare, now + spare))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            answer = function(job)
        except Exception as error:
            answer = Raised(type(error).__name__, traceback.format_exc())
        pipe.send(answer)
