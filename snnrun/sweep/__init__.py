"""Many runs of one network: all points of a sweep, in as many processes as there are processors, and a table.

`points` says which points there are, `table` what is kept of them, `..trial` runs one of them in memory.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from snnrun import appended, document, results, statistics, workers
from snnrun.document import Override, SpecError
from snnrun.request import Refused
from snnrun.request import Request as RunRequest
from snnrun.sweep import table
from snnrun.sweep.points import Point, Sweep, sweep
from snnrun.sweep.table import DONE, Definition, Part, Row
from snnrun.trial import Trials, of_spikes

MEASURES = tuple(measure.name for measure in statistics.MEASURES)
USUAL = tuple(name for name in MEASURES if name != "correlation")  # which takes as long as a short run
FAILED, LOST = "failed", "lost"
_LONGEST = 300  # characters of a message in a row

__all__ = [
    "DONE", "MEASURES", "USUAL", "Definition", "Job", "Outcome", "Part", "Point", "Silent", "Sweep", "Watcher", "collect",
    "planned", "run", "sweep",
]  # fmt: skip


class Job(NamedTuple):
    """What a user asks of one sweep, or of a part of it."""

    file: Path
    folder: Path
    sweep: Sweep
    overrides: list[Override]  # of all points
    measures: tuple[str, ...] = USUAL
    part: Part = Part()
    workers: int = 1
    keep: bool = False  # whether results files are kept
    kernel: str = "auto"
    overwrite: bool = False


class Outcome(NamedTuple):
    """What came of it: numbers of points."""

    points: int  # of the part
    before: int  # that were done already
    done: int
    failed: int  # and lost
    missing: int  # of all parts: that nobody has done
    table: Path | None
    seconds: float


class Watcher(Protocol):
    """What a sweep tells while it goes on."""

    def begin(self, points: int, before: int, workers: int) -> None: ...

    def finished(self, point: Point, row: Row) -> None: ...

    def close(self) -> None: ...


class Silent:
    """A Watcher that tells nothing."""

    def begin(self, points: int, before: int, workers: int) -> None:
        pass

    def finished(self, point: Point, row: Row) -> None:
        pass

    def close(self) -> None:
        pass


def planned(job: Job) -> tuple[Definition, list[Point]]:
    """What the sweep is, and the points of the part, each of them checked. Raises SpecError, Refused, OSError."""
    trials = Trials(job.file, job.kernel)
    loaded = trials.load(job.overrides)
    points, digest = [], hashlib.sha256()
    for point in job.sweep.points():
        digest.update(json.dumps([point.values, point.seed]).encode())
        if job.part.has(point.number):
            trials.load([*job.overrides, *point.overrides()])
            points.append(point)
    spec = of_spikes(loaded.spec)
    if job.keep and not set(spec.monitors) <= set(loaded.spec.monitors):
        raise Refused("the network records no spikes, so nothing is measured", "add a monitor of spikes, or leave out --keep")
    names = dict.fromkeys(text.partition("[")[0].strip() for monitor in spec.monitors.values() for text in monitor.of)
    measured = [_column(name, measure) for name in names for measure in job.measures]
    texts = [f"{document.dotted(item.path)}={item.value}" for item in job.overrides]
    text = job.file.read_text(encoding="utf-8-sig")
    digest.update(json.dumps([text, texts, measured]).encode())
    paths, seeds = list(job.sweep.paths), list(job.sweep.seeds)
    given = Definition(job.file.name, text, texts, paths, len(job.sweep), seeds, measured, digest.hexdigest())
    return given, points


def _column(population: str, measure: str) -> str:
    return f"{population}.{measure.replace(' ', '_')}"


def run(job: Job, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False) -> Outcome:
    """Work on all points of the part that are not done yet. Raises SpecError, Refused, OSError."""
    watcher, began = watcher or Silent(), time.monotonic()
    given, points = planned(job)
    given.write(job.folder, job.overwrite)
    there = table.rows(job.folder)
    open_ = [point for point in points if not _is_done(job, point, there)]
    open_.sort(key=lambda point: (point.seed, point.number))  # the edges of one seed are drawn once by a worker
    count = max(min(job.workers, len(open_)), 1)
    watcher.begin(len(points), len(points) - len(open_), count)
    done = failed = 0
    arguments = (job.file, job.overrides, job.measures, job.folder / table.RESULTS if job.keep else None, job.kernel)
    with _appending(job, table.columns(given)) as put, workers.team(_Worker, arguments, count) as team:
        for point, found in team.run(open_, stop):
            row = found if isinstance(found, dict) else _row(point, LOST, message=found.why)
            put(row)
            done, failed = done + (row["status"] == DONE), failed + (row["status"] != DONE)
            watcher.finished(point, row)
    found = table.rows(job.folder)
    missing = given.points - sum(row["status"] == DONE for row in found.values())
    target = None if missing and job.part.of > 1 else table.collected(job.folder, given, found)
    return Outcome(len(points), len(points) - len(open_), done, failed, missing, target, time.monotonic() - began)


def _is_done(job: Job, point: Point, there: dict[int, Row]) -> bool:
    row = there.get(point.number)
    return row is not None and row["status"] == DONE and (not job.keep or _results(job.folder / table.RESULTS, point).exists())


def _results(folder: Path, point: Point) -> Path:
    return folder / f"{point.number:06d}.h5"


@contextmanager
def _appending(job: Job, columns: list[str]) -> Iterator[Callable[[dict[str, Any]], None]]:
    path = job.folder / job.part.file
    try:
        with appended.appending(path, columns) as rows:
            yield rows.put
    except appended.Busy:
        hint = "wait for it, or give each job a part of its own: --part"
        raise Refused(f"another process is working on {path}", hint) from None


def _row(point: Point, status: str, **more: Any) -> Row:
    known = {"point": point.number, **point.values, "seed": point.seed, "status": status, **more}
    return {name: _cell(value) for name, value in known.items()}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return " ".join(str(value).split())[:_LONGEST] if isinstance(value, str) else str(value)


class _Worker:
    """Works on points, in a process of its own or in this one."""

    def __init__(self, file: Path, overrides: list[Override], measures: tuple[str, ...], keep: Path | None, kernel: str) -> None:
        self._trials, self._overrides, self._keep, self._kernel = Trials(file, kernel), overrides, keep, kernel
        self._measures = {measure.name: measure for measure in statistics.MEASURES if measure.name in measures}

    def __call__(self, point: Point) -> Row:
        began = time.perf_counter()
        try:
            trains = self._trains(point)
        except (SpecError, Refused, ArithmeticError, MemoryError, OSError, RuntimeError) as error:
            return _row(point, FAILED, seconds=time.perf_counter() - began, message=str(error) or type(error).__name__)
        found = {_column(name, m): self._measures[m].of(t) for name, t in trains.items() for m in self._measures}
        spikes = sum(len(t.times) for t in trains.values())
        return _row(point, DONE, seconds=time.perf_counter() - began, spikes=spikes, **found)

    def _trains(self, point: Point) -> dict[str, statistics.Trains]:
        loaded = self._trials.load([*self._overrides, *point.overrides()])
        if self._keep is None:
            return self._trials.run(loaded).trains
        from snnrun import run

        target = _results(self._keep, point)
        texts = [f"{document.dotted(item.path)}={item.value}" for item in (*self._overrides, *point.overrides())]
        run.simulate(RunRequest(loaded, target, texts, True, self._kernel, "cpu", 1, plot=False))
        with results.Results(target) as opened:
            return {name: opened.measured(name) for name in opened.spike_counts()}


def collect(folder: Path) -> tuple[Definition, dict[int, Row], Path]:
    """Make the table of all rows that there are. Raises Refused, OSError."""
    given = table.definition(folder)
    if given is None:
        raise Refused(f"there is no sweep in {folder}", "name the folder that snnrun sweep has written to")
    found = table.rows(folder)
    return given, found, table.collected(folder, given, found)
