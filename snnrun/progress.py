"""How a run shows on a terminal or in a batch log: the only place that knows either."""

import sys
import time
from typing import Any

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from snnrun import estimate, terminal
from snnrun.request import Watcher
from snnrun.spec import Spec


class Progress(Watcher):
    """A bar on a terminal; elsewhere plain lines: every 5 %, at most one a second, at least one every 30 s."""

    def __init__(self, spec: Spec, verbose: bool) -> None:
        self.spec, self.verbose = spec, verbose
        self.bar: Any = None
        self.task: Any = None
        self.began = self.last_time = 0.0
        self.last_share = 0.0
        self.terminal = sys.stderr.isatty()

    def _say(self, text: str) -> None:
        terminal.warn(text)

    def stage(self, name: str) -> None:
        if self.verbose:
            self.close()
            self._say(f"{name} ...")

    def note(self, text: str) -> None:
        self.close()
        self._say(text)

    def begin(self, facts: dict[str, Any]) -> None:
        neurons, synapses, threads = (terminal.several(facts[f"{what}s"], what) for what in ("neuron", "synapse", "thread"))
        self._say(
            f"{self.spec.name}: {neurons}, {synapses}, {facts['precision']}, "
            f"{facts['device']}, {threads}, {facts['kernel']} kernel, "
            f"about {estimate.size_text(facts['estimated_peak_bytes'])} of memory -> {facts['output']}"
        )

    def progress(self, step: int, steps: int) -> None:
        now = time.monotonic()
        if not self.began:  # the network has been compiled
            self.began = self.last_time = now
            if self.terminal:
                self._open_bar(steps)
            return
        speed = step * self.spec.dt * 1e-3 / max(now - self.began, 1e-9)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, speed=f"{speed:.3g} x real time")
            return
        share = step / steps
        if share - self.last_share >= 0.05 and now - self.last_time >= 1.0 or now - self.last_time >= 30:
            left = (now - self.began) * (1 - share) / max(share, 1e-9)
            self._say(f"{share:4.0%}  {step * self.spec.dt:g} ms  {speed:.3g} x real time  {_clock(left)} left")
            self.last_share, self.last_time = share, now

    def _open_bar(self, steps: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self.bar = rich.progress.Progress(*columns, console=Console(file=terminal.unguarded(sys.stderr)), transient=True,
                                          redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        self.task = self.bar.add_task(terminal.visible(self.spec.name), total=steps, speed="")
        self.bar.start()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    unit, name, below, lower = (60, "min", 1, "s") if seconds < 3600 else (3600, "h", 60, "min")
    return f"{seconds // unit:.0f} {name} {seconds % unit // below:.0f} {lower}"


class Points:
    """Points of a sweep: a bar on a terminal, else a line each tenth or half a minute, and one for each point that fails."""

    def __init__(self, name: str, verbose: bool) -> None:
        self._name, self._verbose = name, verbose
        self._bar: Any = None
        self._task: Any = None
        self._points = self._now = 0
        self._began = self._last = time.monotonic()

    def begin(self, points: int, before: int, workers: int) -> None:
        self._points, self._now, self._last = points - before, 0, time.monotonic()
        again = f", {before:,} of them done already" if before else ""
        terminal.warn(f"{self._name}: {points:,} points{again}, {workers} worker{'s' if workers > 1 else ''}")
        if sys.stderr.isatty() and self._points:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            self._bar = rich.progress.Progress(*columns, console=Console(file=terminal.unguarded(sys.stderr)), transient=True,
                                               redirect_stdout=False, redirect_stderr=False)  # fmt: skip
            self._task = self._bar.add_task(terminal.visible(self._name), total=self._points)
            self._bar.start()

    def finished(self, point: Any, row: dict[str, str]) -> None:
        self._now += 1
        if row.get("message"):
            values = ", ".join(f"{path}={text}" for path, text in (*point.values.items(), ("seed", point.seed)))
            self._line(f"point {point.number} ({terminal.visible(values)}) {row['status']}: {terminal.visible(row['message'])}")
        if self._bar is not None:
            self._bar.update(self._task, completed=self._now)
            return
        now, tenth = time.monotonic(), max(self._points // 10, 1)
        if (self._now % tenth == 0 and now - self._last >= 1.0) or now - self._last >= 30:
            left = (now - self._began) / self._now * (self._points - self._now)
            self._line(f"{self._now:,} of {self._points:,} points, {_clock(left)} left")
            self._last = now

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            terminal.warn(text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Generations:
    """A line for each generation of a fit: on a terminal the last one, elsewhere at most one in two seconds."""

    def __init__(self, name: str) -> None:
        self._name, self._last, self._told = name, 0.0, ""

    def begin(self, fit: Any, before: int, workers: int) -> None:
        again = f", {before:,} candidates known already" if before else ""
        terminal.warn(
            f"{self._name}: {len(fit.free)} values, {len(fit.terms)} terms, {len(fit.seeds)} seeds, {fit.method}, "
            f"at most {fit.evaluations:,} runs{again}, {workers} worker{'s' if workers > 1 else ''}"
        )

    def generation(self, candidates: Any, best: Any, found: Any, runs: int) -> None:
        spread = "" if found is None else f", spread {found.spread.max():.1%}"
        self._told = f"{runs:,} runs: loss {best.loss:.3g} at {', '.join(best.values.values())}{spread}"
        now = time.monotonic()
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{terminal.visible(self._told)}")
            sys.stderr.flush()
        elif now - self._last >= 2.0:
            terminal.warn(terminal.visible(self._told))
            self._last = now

    def close(self) -> None:
        if sys.stderr.isatty() and self._told:
            sys.stderr.write("\n")
