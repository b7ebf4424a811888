"""What a user asks of one run, what is said while it goes on, and what comes of it: plain data."""

from pathlib import Path
from typing import Any, NamedTuple

from snnrun import units
from snnrun.check import Loaded


class Refused(Exception):
    """A run that is not begun: what is in the way, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}: {hint}" if hint else message)
        self.message, self.hint = message, hint


class Ended(Exception):
    """A run that was asked to stop, and goes on from its checkpoint with `resume`: what asked, and how far it is."""

    def __init__(self, reason: str, reached: float, duration: float, path: Path) -> None:
        at = f"{units.show(reached, 'time')} of {units.show(duration, 'time')}"
        super().__init__(f"stopped by {reason} at {at}; {path.name} was written")


class Every(NamedTuple):
    """How often a checkpoint is written; one of the two."""

    wall: float | None = None  # seconds
    model: float | None = None  # ms


class Request(NamedTuple):
    """What a user asks of one run."""

    loaded: Loaded
    output: Path
    overrides: list[str]
    overwrite: bool = False
    kernel: str = "auto"  # auto, native, xla
    device: str = "auto"  # auto, cpu, gpu
    threads: int | None = None
    plot: bool = True
    merge: bool = True
    compress: bool = False
    resume: bool = False  # go on from a checkpoint, where there is one
    every: Every | None = None


class Summary(NamedTuple):
    """What came of a run."""

    results: Path
    picture: Path | None
    neurons: int
    synapses: int
    steps: int
    spikes: int
    rate_hz: float  # mean over the recorded neurons and windows; NaN where no spikes were recorded
    device: str
    kernel: str
    threads: int
    seconds: dict[str, float]  # import, build, lower, compile, run, write
    peak_memory_bytes: int


class Watcher:
    """What a run tells while it goes on. The methods do nothing; a command line shows them."""

    def stage(self, name: str) -> None: ...

    def begin(self, facts: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...

    def progress(self, step: int, steps: int) -> None: ...

    def close(self) -> None: ...
