"""Processes that work on tasks one by one, each with one thread, and stay warm in between.

They are spawned, because JAX does not survive a fork. What ends a worker ends one task: it is reported as lost, and another
worker takes the place. When the parent is gone, its workers end.
"""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

PATIENCE = 0.2  # seconds between two looks at whether to stop
GRACE = 2.0  # seconds that a worker is given to end


class Lost(NamedTuple):
    """What is known of a task whose worker has died."""

    why: str


class _Worker(NamedTuple):
    process: Any
    pipe: Connection


def _work(make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], pipe: Connection) -> None:
    """The life of a worker: `make(*arguments)` makes what works on a task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent knows what to do
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        work = make(*arguments)
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone, or has let go
        os._exit(0)


class Alone:
    """Works on tasks in this process."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
        self._make, self._arguments, self._work = make, arguments, None

    def run(self, tasks: Iterable[Any], stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[Any, Any]]:
        """(task, what came of it). Ends early where `stop` says so."""
        for task in tasks:
            if self._work is None:
                self._work = self._make(*self._arguments)
            yield task, self._work(task)
            if stop():
                return

    def close(self) -> None:
        pass


class Pool:
    """Processes that work on tasks, `count` at a time."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], count: int) -> None:
        self._make, self._arguments, self._count = make, arguments, count
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Any]] = {}

    def _started(self) -> _Worker:
        mine, other = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._make, self._arguments, other), daemon=True)
        process.start()
        other.close()
        return _Worker(process, mine)

    def run(self, tasks: Iterable[Any], stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[Any, Any]]:
        """(task, what came of it or Lost), as they are finished. Ends early where `stop` says so."""
        waiting = iter(tasks)
        for task in itertools.islice(waiting, self._count):
            self._give(task)
        while self._busy and not stop():
            for pipe in wait(list(self._busy), PATIENCE):
                assert isinstance(pipe, Connection)
                worker, task = self._busy.pop(pipe)
                try:
                    found = pipe.recv()
                    self._idle.append(worker)
                except (EOFError, ConnectionResetError, OSError):
                    worker.process.join(GRACE)
                    found = Lost(_why(worker.process.exitcode))
                    pipe.close()
                for following in itertools.islice(waiting, 1):
                    self._give(following)
                yield task, found

    def _give(self, task: Any) -> None:
        worker = self._idle.pop() if self._idle else self._started()
        self._busy[worker.pipe] = worker, task
        with suppress(BrokenPipeError, ConnectionResetError):  # it is found when an answer is waited for
            worker.pipe.send(task)

    def close(self) -> None:
        """End all workers, whatever they do."""
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        for worker, _ in self._busy.values():
            worker.process.terminate()
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.process.join(GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._idle, self._busy = [], {}


def team(make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], count: int) -> AbstractContextManager[Any]:
    """A Pool, or for one worker this process itself."""
    return closing(Pool(make, arguments, count) if count > 1 else Alone(make, arguments))


def _why(code: int | None) -> str:
    if code is None:
        return "its worker does not answer"
    if code >= 0:
        return f"its worker ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = ": there may be too little memory" if name == "SIGKILL" and sys.platform == "linux" else ""
    return f"its worker was ended by {name}{memory}"
