"""Processes that work on tasks one by one, each with one thread, and stay warm in between.

They are spawned, because JAX does not survive a fork. What ends a worker ends one task: it is reported as lost, and another
worker takes the place. When the parent is gone, its workers end.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
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


def alone(
    make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], tasks: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    """What `run` yields, worked on in this process."""
    work = make(*arguments)
    for task in tasks:
        yield task, work(task)


def run(make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], tasks: Iterable[Any], count: int,
        stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[Any, Any]]:  # fmt: skip
    """(task, what came of it or Lost), as they are finished; `count` are worked on at a time. Ends early where `stop` says so."""
    context = multiprocessing.get_context("spawn")
    waiting, workers = iter(tasks), []
    busy: dict[Connection, tuple[_Worker, Any]] = {}

    def started() -> _Worker:
        mine, other = context.Pipe()
        process = context.Process(target=_work, args=(make, arguments, other), daemon=True)
        process.start()
        other.close()
        workers.append(_Worker(process, mine))
        return workers[-1]

    def give(worker: _Worker | None) -> None:
        """Give a worker the next task, if there is one; a new worker where there is none."""
        for task in waiting:
            worker = worker or started()
            busy[worker.pipe] = worker, task
            try:
                worker.pipe.send(task)
            except (BrokenPipeError, ConnectionResetError):  # it is told below
                pass
            return

    try:
        for _ in range(count):
            give(None)
        while busy and not stop():
            for pipe in wait(list(busy), PATIENCE):
                assert isinstance(pipe, Connection)
                worker, task = busy.pop(pipe)
                try:
                    found = pipe.recv()
                except (EOFError, ConnectionResetError, OSError):
                    worker.process.join(GRACE)
                    found, worker = Lost(_why(worker.process.exitcode)), None
                yield task, found
                give(worker)
    finally:
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            if worker.pipe in busy and worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join(GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _why(code: int | None) -> str:
    if code is None:
        return "its worker does not answer"
    if code >= 0:
        return f"its worker ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = ": there may be too little memory" if name == "SIGKILL" and sys.platform == "linux" else ""
    return f"its worker was ended by {name}{memory}"
