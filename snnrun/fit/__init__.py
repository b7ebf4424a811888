"""Fitting: values of a network file for which what is measured comes near to what is wanted.

`block` says what is looked for and what is wanted, `search` where to look next, `known` what the evaluations tell of the values.
A candidate is run with all seeds; what is measured is averaged over them, and the loss is the sum over the terms of
((mean - target) / tolerance)^2. `evaluations.csv` has a row for each run, in the order of the candidates whoever has worked on
them, and is all that a search needs to go on.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from snnrun import appended, check, document, results, statistics, workers
from snnrun.document import Override, SpecError, path_of
from snnrun.files import in_place_of
from snnrun.fit import block
from snnrun.fit.block import Fit
from snnrun.fit.known import Known, known
from snnrun.fit.search import Found, search
from snnrun.request import Refused
from snnrun.trial import Trials, of_spikes

SCHEMA = "snnrun-fit/1"
EVALUATIONS, SUMMARY, BEST = "evaluations.csv", "fit.json", "best.yaml"

__all__ = ["Candidate", "Fit", "Job", "Outcome", "Silent", "Watcher", "planned", "run"]


class Job(NamedTuple):
    """What a user asks of a fit."""

    file: Path
    folder: Path
    fit: Fit
    overrides: list[Override]
    workers: int = 1
    kernel: str = "auto"
    overwrite: bool = False


class Candidate(NamedTuple):
    """Values that were tried, and what came of them."""

    number: int
    places: tuple[float, ...]
    values: dict[str, str]
    measured: dict[str, float]  # by term, mean over the seeds
    loss: float
    failed: bool = False


class Outcome(NamedTuple):
    best: Candidate  # with the lowest loss
    middle: Candidate | None  # what all evaluations together point to, itself evaluated; None where they were too few
    spread: dict[str, float]  # by path, of the places between 0 and 1
    candidates: int
    runs: int
    known: Known
    within: bool  # whether all terms of what was chosen are within their tolerances
    ended: bool  # whether the search came to its end

    @property
    def chosen(self) -> Candidate:
        """The middle, where there is one: the best of many is best by chance, too."""
        return self.best if self.middle is None else self.middle


class Watcher(Protocol):
    """What a fit tells while it goes on."""

    def begin(self, fit: Fit, before: int, workers: int) -> None: ...

    def generation(self, candidates: list[Candidate], best: Candidate, found: Found | None, runs: int) -> None: ...

    def close(self) -> None: ...


class Silent:
    """A Watcher that tells nothing."""

    def begin(self, fit: Fit, before: int, workers: int) -> None:
        pass

    def generation(self, candidates: list[Candidate], best: Candidate, found: Found | None, runs: int) -> None:
        pass

    def close(self) -> None:
        pass


def planned(file: Path, overrides: list[Override]) -> Fit:
    """The fit of a network file, checked. Raises SpecError, OSError."""
    trials = Trials(file)
    loaded = trials.load(overrides)
    spec = of_spikes(loaded.spec)
    names = dict.fromkeys(text.partition("[")[0].strip() for monitor in spec.monitors.values() for text in monitor.of)

    def trains_of(name: str) -> dict[str, statistics.Trains]:
        with results.Results(loaded.document.folder / name) as opened:
            return {population: opened.measured(population) for population in opened.spike_counts()}

    fit = block.read(document.read(file), loaded.document.tree, loaded.spec.seed, tuple(names), trains_of)
    for places in ([free.start for free in fit.free], [0.0] * len(fit.free), [1.0] * len(fit.free)):
        trials.load([*overrides, *_overrides(fit.values(places), fit.seeds[0])])
    return fit


def _overrides(values: dict[str, str], seed: int) -> list[Override]:
    texts = [*values.items(), ("seed", str(seed))]
    return [Override(path_of(path), text, f"fit, {path}", f"{path}={text}") for path, text in texts]


def run(job: Job, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False) -> Outcome:
    """Search, or go on with a search that was interrupted. Raises SpecError, Refused, OSError."""
    watcher, fit = watcher or Silent(), job.fit
    identity = _identity(job)
    _begin(job, identity)
    columns = ["candidate", *(free.path for free in fit.free), "seed", "status", *(term.name for term in fit.terms), "loss"]
    looking, found, ended, number = search(fit), None, True, 0
    every: list[Candidate] = []
    count = min(job.workers, fit.population * len(fit.seeds))
    arguments = (job.file, job.overrides, fit, job.kernel)
    with _appending(job, columns) as rows, workers.team(_Worker, arguments, count) as team:
        there, put = _by_candidate(rows.before), rows.put
        watcher.begin(fit, len(there), count)
        while (places := looking.ask()) is not None:
            candidates = [(len(every) + i, tuple(map(float, place))) for i, place in enumerate(places)]
            generation = _evaluated(fit, fit.seeds_of(number), candidates, there, team, put, stop)
            if len(generation) < len(candidates):
                ended = False
                break
            every, number = every + generation, number + 1
            looking.tell(places, np.array([candidate.loss for candidate in generation]))
            found = looking.found()
            best = min(every, key=_loss)
            watcher.generation(generation, best, found, len(every) * len(fit.seeds))
            if fit.stop is not None and best.loss <= fit.stop:
                break
        mean = None if found is None else tuple(map(float, found.mean))
        told = None if not every else known(fit, every, mean or min(every, key=_loss).places)
        middle, where, seeds = None, None if told is None else told.estimate or mean, []
        if ended and where is not None:
            rounds = FINAL if fit.fresh else 1
            seeds = [seed for i in range(rounds) for seed in fit.seeds_of(number + i)]
            place = (len(every), where)
            middle = next(iter(_evaluated(fit, tuple(seeds), [place], {}, team, lambda row: None, stop)), None)
            ended = middle is not None
    if not every:
        raise Refused("the search was stopped before its first generation was done", "call it again to go on")
    assert told is not None
    best = min(every if middle is None else [*every, middle], key=_loss)
    spread = {} if found is None else dict(zip((free.path for free in fit.free), map(float, found.spread), strict=True))
    chosen = middle or best
    within = all(abs(chosen.measured[term.name] - term.target) <= term.tolerance for term in fit.terms)
    runs = len(every) * len(fit.seeds) + (0 if middle is None else len(seeds))
    outcome = Outcome(best, middle, spread, len(every), runs, told, within, ended)
    _write(job, outcome, identity)
    return outcome


def _evaluated(
    fit: Fit,
    seeds: tuple[int, ...],
    candidates: list[tuple[int, tuple[float, ...]]],
    there: dict[int, list[dict[str, str]]],
    team: Any,
    put: Callable[[dict[str, Any]], None],
    stop: Callable[[], bool],
) -> list[Candidate]:
    """Candidates that have been run with all seeds, in their order; fewer where it was stopped."""
    tasks = [_Task(n, fit.values(places), seed) for seed in seeds for n, places in candidates if n not in there]
    runs: dict[int, dict[int, dict[str, Any]]] = {}
    done: list[Candidate] = []
    waiting = iter(candidates)
    following = next(waiting, None)

    def finished() -> Iterator[None]:
        """Those that are complete, in their order, so that their rows are."""
        nonlocal following
        while following is not None:
            number, places = following
            if number in there:
                candidate = _candidate(fit, number, places, there[number])
            elif len(runs.get(number, ())) == len(seeds):
                rows = [runs[number][seed] for seed in seeds]
                candidate = _candidate(fit, number, places, rows)
                for row, seed in zip(rows, seeds, strict=True):
                    values = {free.path: free.text(place) for free, place in zip(fit.free, places, strict=True)}
                    put({"candidate": number, **values, "seed": seed, **row, "loss": repr(candidate.loss)})
            else:
                return
            done.append(candidate)
            following = next(waiting, None)
            yield

    for task, row in team.run(tasks, stop):
        lost = isinstance(row, workers.Lost)
        runs.setdefault(task.candidate, {})[task.seed] = {"status": "lost"} if lost else row
        for _ in finished():
            pass
    for _ in finished():
        pass
    return done


def _candidate(fit: Fit, number: int, places: tuple[float, ...], rows: list[dict[str, Any]]) -> Candidate:
    failed = any(row["status"] in ("failed", "lost") for row in rows)
    measured = {term.name: math.nan if failed else float(np.mean([float(row[term.name]) for row in rows])) for term in fit.terms}
    loss = sum(((measured[term.name] - term.target) / term.tolerance) ** 2 for term in fit.terms)
    return Candidate(number, places, fit.values(places), measured, FAILED if failed else min(float(loss), FAILED), failed)


def _loss(candidate: Candidate) -> float:
    return candidate.loss


FINAL = 4  # times as many seeds show what the values do that were found
FAILED = 1e12  # the loss of a candidate that could not be run


class _Task(NamedTuple):
    candidate: int
    values: dict[str, str]
    seed: int


class _Worker:
    """Runs candidates, in a process of its own or in this one."""

    def __init__(self, file: Path, overrides: list[Override], fit: Fit, kernel: str) -> None:
        self._trials, self._overrides, self._fit = Trials(file, kernel), overrides, fit

    def __call__(self, task: _Task) -> dict[str, Any]:
        try:
            loaded = self._trials.load([*self._overrides, *_overrides(task.values, task.seed)])
            trial = self._trials.run(loaded, self._fit.most)
        except (SpecError, Refused, ArithmeticError, MemoryError, RuntimeError):
            return {"status": "failed"}
        measured = {term.name: repr(term.of(trial.trains[term.population])) for term in self._fit.terms}
        return {"status": "done" if trial.complete else "stopped", **measured}


# ---- the folder ------------------------------------------------------------------------------------------------------


def _identity(job: Job) -> str:
    """Of all that decides what the evaluations are."""
    texts = [f"{document.dotted(item.path)}={item.value}" for item in job.overrides]
    terms = [[term.name, term.model, term.population, term.target, term.tolerance] for term in job.fit.terms]
    free = [list(map(str, one)) for one in job.fit.free]
    rest = [str(value) for name, value in job.fit._asdict().items() if name not in ("free", "terms", "evaluations", "stop")]
    text = document.text_of(check.of_document(document.read(job.file), job.file.stem, job.overrides).document.tree)
    return hashlib.sha256(json.dumps([text, texts, terms, free, rest]).encode()).hexdigest()


def _begin(job: Job, identity: str) -> None:
    summary, evaluations = job.folder / SUMMARY, job.folder / EVALUATIONS
    if evaluations.exists():
        try:
            before = json.loads(summary.read_text())
            same = before["schema"] == SCHEMA and before["identity"] == identity
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same and not job.overwrite:
            raise Refused(f"{job.folder} has another fit", "use --output for another folder, or --overwrite to begin anew")
        if not same or job.overwrite:
            evaluations.unlink()
    job.folder.mkdir(parents=True, exist_ok=True)
    if not evaluations.exists():
        with in_place_of(summary) as partial:
            partial.write_text(json.dumps({"schema": SCHEMA, "identity": identity, "ended": False}, indent=1) + "\n")


@contextmanager
def _appending(job: Job, columns: list[str]) -> Iterator[appended.Table]:
    path = job.folder / EVALUATIONS
    try:
        with appended.appending(path, columns, len(job.fit.seeds)) as rows:
            yield rows
    except appended.Busy:
        raise Refused(f"another process is working on {path}", "wait for it, or use --output for another folder") from None


def _by_candidate(rows: list[dict[str, str]]) -> dict[int, list[dict[str, str]]]:
    found: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(int(row["candidate"]), []).append(row)
    return found


def _write(job: Job, outcome: Outcome, identity: str) -> None:
    fit, chosen = job.fit, outcome.chosen
    told = {
        "schema": SCHEMA, "identity": identity, "ended": outcome.ended, "within_tolerance": outcome.within,
        "candidates": outcome.candidates, "runs": outcome.runs,
        "values": chosen.values, "loss": chosen.loss, "measured": chosen.measured,
        "targets": {term.name: {"target": term.target, "tolerance": term.tolerance} for term in fit.terms},
        "best": {"candidate": outcome.best.number, "values": outcome.best.values, "loss": outcome.best.loss},
        "spread": outcome.spread, "known": outcome.known._asdict(),
    }  # fmt: skip
    with in_place_of(job.folder / SUMMARY) as partial:
        partial.write_text(json.dumps(_clean(told), indent=1) + "\n")
    with in_place_of(job.folder / BEST) as partial:
        partial.write_text(_network(job, chosen.values))


def _network(job: Job, values: dict[str, str]) -> str:
    """The user's network file with the values that were found, and the files that it reads as seen from the folder of the fit."""
    read = document.read(job.file)
    overrides = [*job.overrides, *_overrides(values, 0)[:-1]]
    named = set(map(str, check.referenced_files(check.of_document(read, job.file.stem, overrides).spec)))
    for path, text in _texts(read.tree, ()):
        if path[0] not in check.STUDIES and path[-1] in ("file", "path", "types") and text in named:
            way = os.path.relpath((read.folder / text).resolve(), job.folder.resolve())
            overrides.append(Override(path, json.dumps(way), f"{way}"))
    return document.rewritten(read, overrides)


def _texts(tree: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(tree, str):
        yield path, tree
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _texts(value, (*path, key))


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
