"""What reaches a terminal, a pipe or a batch log: the only place through which this program's words go out.

A name, a value or a path may hold characters that a terminal obeys instead of showing them, or that turn or hide what stands
beside them. They are shown as escapes such as \\x1b and \\u202e.
"""

import errno
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# control, format (also what sets the direction of writing, or has no width) and surrogate characters, separators of lines
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def hidden(character: str) -> bool:
    """Whether a character does something instead of being seen."""
    return not character.isprintable() and unicodedata.category(character) in _HIDDEN


def visible(text: str, kept: str = "\t") -> str:
    """A text with its hidden characters as escapes, but for those that are kept; what comes before a place stays before it."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if hidden(c) and c not in kept else c for c in text)


def several(count: int, what: str) -> str:
    """`1 neuron`, `3,200 neurons`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def say(line: str) -> None:
    """One line on standard output."""
    print(visible(line))


def warn(line: str) -> None:
    """One line on standard error."""
    print(visible(line), file=sys.stderr)


def owned() -> bool:
    """Whether this process is the program, and not another one that has called it."""
    return isinstance(sys.stdout, _Guarded)


def hand_over(text: str) -> None:
    """A text of the user on standard output, every byte as it is, unless a terminal would obey it."""
    if isinstance(sys.stdout, _Guarded) and not sys.stdout.isatty():
        sys.stdout.hand_over(text.encode("utf-8", "surrogateescape"))
    else:
        sys.stdout.write(text)


def unguarded(stream: Any) -> Any:
    """The stream itself, for what draws on a terminal and escapes the names in it."""
    return stream.stream if isinstance(stream, _Guarded) else stream


class _Guarded(io.TextIOBase):
    """A standard stream that shows hidden characters as escapes, whoever writes.

    It never fails: the first reason why something could not be written is kept, and what follows goes nowhere.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream: Any = stream
        self.failure: OSError | None = None
        self.stream.reconfigure(errors="backslashreplace")  # what its encoding lacks is shown as escapes, too

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return self.stream.errors

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._try(self.stream.write, visible(text, kept="\n\t"))
        return len(text)

    def hand_over(self, data: bytes) -> None:
        self.flush()
        self._try(self.stream.buffer.write, data)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, action: Any, *arguments: Any) -> None:
        if self.failure is not None:
            return
        try:
            action(*arguments)
        except OSError as error:
            self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # for what is still in buffers
            os.close(nowhere)


@contextmanager
def guarded() -> Iterator[None]:
    """Standard streams that are safe to write to. What could not be written ends the process with code 1, unless nobody listens:
    the stream was closed from the beginning, or who read it has seen enough, like `head -1`."""
    for number in range(3):  # a file opened later must not become standard output by taking its number
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    out = sys.stdout = _Guarded(sys.stdout or open(1, "w", closefd=False))  # type: ignore[assignment]
    sys.stderr = _Guarded(sys.stderr or open(2, "w", closefd=False))  # type: ignore[assignment]
    try:
        yield
    finally:
        out.flush()
        if out.failure is not None and out.failure.errno != errno.EPIPE:
            warn(f"snnrun: standard output cannot be written: {out.failure.strerror}")
            raise SystemExit(1) from None
