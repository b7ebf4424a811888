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
        threads = f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"
        self._say(
            f"{self.spec.name}: {facts['neurons']:,} neurons, {facts['synapses']:,} synapses, {facts['precision']}, "
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
