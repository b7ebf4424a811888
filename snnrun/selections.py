"""Neurons as a user names them: a population, a slice of one, a list of these; and slices of neurons that stand side by side."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.document import nearest

_INDEX = r"-?[0-9]{1,18}"
SLICE = rf"\[(?:{_INDEX}|(?:{_INDEX})?:(?:{_INDEX})?)\]"
REST = "else"  # the neurons that no slice has
_SLICE = re.compile(SLICE)
_SELECTION = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(\[.*\])?", re.DOTALL)
_ONES = "slices are {0}[3], {0}[:5], {0}[5:], {0}[5:9] and, counted from the end, {0}[-1] and {0}[-5:]"


class SelectionError(ValueError):
    """What is wrong with one of several entries; `index` says which, where it is one."""

    def __init__(self, index: int | None, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.index, self.message, self.hint = index, message, hint


class Part(NamedTuple):
    """A run of neurons of one population."""

    population: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


def parts(selection: tuple[str, ...], sizes: Mapping[str, int]) -> list[Part]:
    """The runs of neurons that a selection names, in its order. Raises SelectionError for what is not there."""
    found: list[Part] = []
    for index, text in enumerate(selection):
        match = _SELECTION.fullmatch(text.strip())
        if match is not None and match[2] == "[]":
            raise SelectionError(index, f"{text!r} selects nothing", _ONES.format("N"))
        if match is None or match[2] and not _SLICE.fullmatch(match[2]):
            raise SelectionError(index, f"{text[:60]!r} is no population and no slice of one", _ONES.format("N"))
        name, slice_ = match.groups()
        if name not in sizes:
            raise SelectionError(index, f"there is no population {name!r}", nearest(name, sizes))
        own = _neurons(index, slice_ or "[:]", sizes[name], text, f"{name} has")
        part = Part(name, own.start, own.stop)
        for other in found:
            if other.population == name and part.start < other.stop and other.start < part.stop:
                raise SelectionError(index, f"{text} overlaps another part of this list", "name every neuron once")
        found.append(part)
    return found


def _neurons(index: int, slice_: str, size: int, shown: str, have: str) -> range:
    """The neurons of a slice, of as many as there are. Raises SelectionError."""
    start, colon, stop = slice_[1:-1].partition(":")

    def place(number: str) -> int:
        return int(number) + (size if number.startswith("-") else 0)

    low = place(start) if start else 0
    high = low + 1 if not colon else place(stop) if stop else size
    if high > size or low >= size or low < 0 or high < 0:
        raise SelectionError(index, f"{shown} is out of range", f"{have} {size:,} neurons, 0 to {size - 1}")
    if high <= low:
        raise SelectionError(index, f"{shown} is empty", "the end of a slice lies above its start")
    return range(low, high)


def shares(slices: Iterable[str], size: int) -> NDArray[np.int64]:
    """To which of some slices, and of `else`, each neuron belongs; all of them are one's. Raises SelectionError."""
    slices, owner = tuple(slices), np.full(size, -1, np.int64)
    for index, text in enumerate(slices):
        if text == REST:
            continue
        if not _SLICE.fullmatch(text):
            raise SelectionError(index, f"{text[:60]!r} is no slice", f"{_ONES.format('')}; {REST}: ... is for all others")
        own = _neurons(index, text, size, text, "there are")
        mine = owner[own.start : own.stop]
        if (mine >= 0).any():
            raise SelectionError(index, f"{slices[mine.max()]} has some of these neurons, too", "name every neuron once")
        mine[:] = index
    free = owner < 0
    count = int(np.count_nonzero(free))
    if REST in slices:
        if not count:
            raise SelectionError(slices.index(REST), f"no neurons are left for {REST}", "remove it")
        owner[free] = slices.index(REST)
    elif count:
        which = f"neuron {np.argmax(free)} {'is' if count == 1 else f'and {count - 1:,} more are'}"
        raise SelectionError(None, f"{which} in no slice", f"add {REST}: ..., for all that no other slice has")
    return owner
