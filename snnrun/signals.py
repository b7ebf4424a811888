"""What asks a run to stop: signals, and a limit on its time.

SIGTERM, SIGHUP and SIGUSR1 are what batch systems send before they kill, SIGXCPU comes at a limit on the processor time, and
SIGINT is Ctrl-C. While steps are taken a signal only leaves a mark, which is looked at between two chunks of steps; while JAX is
loaded, too, because the initialisation of a library in C++ may abort the process over an exception. In all other phases, which
leave nothing behind that would be worth keeping, it raises Stopped at once. A second Ctrl-C ends the process there and then.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU")
INTERRUPTED, STOPPED = 130, 75  # exit codes: by Ctrl-C; by others, to be begun again (EX_TEMPFAIL)
MARGIN = 5.0  # seconds that are kept for the end of a run, beside what the last checkpoints took


class Stopped(BaseException):
    """A run that was asked to stop; no Exception, so that nobody takes it for an error and goes on, and no KeyboardInterrupt,
    which the library of the command line would turn into the exit code of Ctrl-C."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _unraisable(found: "sys.UnraisableHookArgs") -> None:
    """Say nothing of a Stopped that was raised where nothing can be, in a finaliser or a callback: it has left its mark."""
    if not isinstance(found.exc_value, Stopped):
        sys.__unraisablehook__(found)


class Stop:
    """Whether and why a run is to stop."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._began = time.monotonic()
        self._limit = float("inf")  # on the monotonic clock
        self._at_once = True
        self._last_look = self._longest = 0.0

    @property
    def code(self) -> int:
        return INTERRUPTED if self.reason == "SIGINT" else STOPPED

    def listen(self) -> None:
        """Take over the signals of this process. What its parent has it ignore, like nohup, stays ignored; but for Ctrl-C."""
        sys.unraisablehook = _unraisable
        for name in SIGNALS:
            number = getattr(signal, name)
            if name == "SIGINT" or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == "SIGINT" and self.reason == "SIGINT":
            try:
                restored = b"\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides the cursor
                os.write(2, restored + b"\nsnnrun: interrupted twice; what was written so far stays in the .partial file\n")
            finally:
                os._exit(INTERRUPTED)
        if self.reason is None:
            self.reason = name
            if self._at_once:  # once: a second one would meet what the first has set off
                raise Stopped(name)

    def elapsed(self) -> float:
        """Seconds since the start of the process."""
        return time.monotonic() - self._began

    def limit(self, seconds: float) -> None:
        """Stop in time before this many seconds after the start of the process have passed."""
        self._limit = self._began + seconds

    def ignore(self) -> None:
        """Let no signal do anything any more."""
        for name in SIGNALS:
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def leave(self, stopped: Stopped) -> NoReturn:
        """End the process because it was asked to, with nothing to be kept."""
        self.ignore()
        with suppress(OSError, ValueError, AttributeError):  # nobody may be listening any more
            print(f"snnrun: stopped by {stopped.reason}", file=sys.stderr, flush=True)
        os._exit(self.code)

    def check(self) -> None:
        """Raise Stopped if a signal has left its mark."""
        if self.reason is not None:
            raise Stopped(self.reason)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While this lasts, a signal does no more than leave its mark."""
        self._at_once, self._last_look = False, time.monotonic()
        try:
            yield
        finally:
            self._at_once = True

    def requested(self) -> bool:
        """Whether to stop; asked between chunks. What passes between two questions is left in front of a limit."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last_look)
        self._last_look = now
        if self.reason is None and now + 2 * self._longest + MARGIN > self._limit:
            self.reason = "time limit"
        return self.reason is not None


def time_left_in_slurm() -> float | None:
    """Seconds until the limit of the Slurm job that this process is a part of; None where there is no job, or no limit."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return max(float(end) - time.time(), 0.0)
    try:
        command = ["squeue", "-h", "-j", job, "-o", "%L"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        print(f"the time that is left of job {job} is unknown: squeue {_why(error)}", file=sys.stderr)
        return None
    return slurm_seconds(said)


def _why(error: Exception) -> str:
    return "is not there" if isinstance(error, FileNotFoundError) else "has failed"


def slurm_seconds(text: str) -> float | None:
    """Slurm's `days-hours:minutes:seconds` in seconds; None for what is no time, like UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
