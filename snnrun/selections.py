"""Neurons as a user names them: a population, a slice of one, a list of these; and slices of neurons that stand side by side."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun.document import nearest

_INDEX = r"-?[0-9]{1,18}"
SLICE = rf"\[(?:{_INDEX}(?:\s*,\s*{_INDEX})*|(?:{_INDEX})?:(?:{_INDEX})?(?::(?:{_INDEX})?)?)\]"
RANDOM = r"\[\s*random\s+([0-9]{1,18})\s*\]"
REST = "else"  # the neurons that no slice has
_SLICE, _RANDOM = re.compile(SLICE), re.compile(RANDOM)
_SELECTION = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(\[.*\])?", re.DOTALL)
_ONES = "slices are {0}[3], {0}[:5], {0}[5:9], {0}[::10], {0}[3, 17, 42] and, counted from the end, {0}[-1] and {0}[-5:]"


class SelectionError(ValueError):
    """What is wrong with one of several entries; `index` says which, where it is one."""

    def __init__(self, index: int | None, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.index, self.message, self.hint = index, message, hint


@dataclass(frozen=True)
class Part:
    """Some neurons of one population, each once."""

    population: str
    neurons: range | tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.neurons)

    @property
    def start(self) -> int:
        """The first of the run of neurons in which they all lie, and the one after its last."""
        return min(self.neurons)

    @property
    def stop(self) -> int:
        return max(self.neurons) + 1

    @property
    def dense(self) -> bool:
        """Whether they are a run of neurons, one after the other."""
        return isinstance(self.neurons, range) and self.neurons.step == 1

    @property
    def numbers(self) -> NDArray[np.int64]:
        return np.asarray(self.neurons, np.int64)

    @property
    def index(self) -> Any:
        """What picks them from an array with a value for each neuron of the population."""
        return slice(self.start, self.stop, self.neurons.step) if isinstance(self.neurons, range) else self.numbers

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The runs of neurons that follow each other, as begin and end."""
        if self.dense:
            return [(self.start, self.stop)]
        numbers = self.numbers
        ends = np.flatnonzero(np.diff(numbers) != 1) + 1
        return [(int(run[0]), int(run[-1]) + 1) for run in np.split(numbers, ends)]


def parts(selection: tuple[str, ...], sizes: Mapping[str, int]) -> list[Part]:
    """The neurons that a selection names, in its order. Raises SelectionError for what is not there."""
    found: list[Part] = []
    for index, text in enumerate(selection):
        match = _SELECTION.fullmatch(text.strip())
        if match is not None and match[2] == "[]":
            raise SelectionError(index, f"{text!r} selects nothing", _ONES.format("N"))
        drawn = None if match is None else _RANDOM.fullmatch(match[2] or "")
        if match is None or match[2] and not (drawn or _SLICE.fullmatch(match[2])):
            several = re.split(r"[\s,;+&]+", text.strip())
            hint = (
                f"write [{', '.join(several)}]" if several[1:] and all(name in sizes for name in several) else _ONES.format("N")
            )
            raise SelectionError(index, f"{text[:60]!r} is no population and no slice of one", hint)
        name, slice_ = match.groups()
        if name not in sizes:
            raise SelectionError(index, f"there is no population {name!r}", nearest(name, sizes))
        if drawn:  # it would have been drawn already, see subsets.py, were there so many
            message = f"{text} is empty" if int(drawn[1]) == 0 else f"{text} draws more neurons than there are"
            raise SelectionError(index, message, f"{name} has {sizes[name]:,} neurons")
        part = Part(name, _neurons(index, slice_ or "[:]", sizes[name], text, f"{name} has"))
        if any(other.population == name and _meet(part, other) for other in found):
            raise SelectionError(index, f"{brief(text)} overlaps another part of this list", "name every neuron once")
        found.append(part)
    return found


def _meet(a: Part, b: Part) -> bool:
    """Whether two parts of a population have neurons in common."""
    if a.start >= b.stop or b.start >= a.stop:
        return False
    return a.dense and b.dense or len(np.intersect1d(a.numbers, b.numbers)) > 0


def common(a: Part, b: Part) -> list[tuple[int, int, int]]:
    """The neurons that two parts have in common, as runs: first place in the one, first place in the other, length."""
    if a.population != b.population or a.start >= b.stop or b.start >= a.stop:
        return []
    if a.dense and b.dense:
        low, high = max(a.start, b.start), min(a.stop, b.stop)
        return [(low - a.start, low - b.start, high - low)]
    _, of_a, of_b = np.intersect1d(a.numbers, b.numbers, assume_unique=True, return_indices=True)
    ends = np.flatnonzero((np.diff(of_a) != 1) | (np.diff(of_b) != 1)) + 1
    begins = np.append(0, ends)[: len(of_a)]
    return list(zip(of_a[begins].tolist(), of_b[begins].tolist(), np.diff(np.append(begins, len(of_a))).tolist(), strict=True))


def brief(text: str) -> str:
    """A selection as it is shown where there is little room."""
    return text if len(text) <= 60 else f"{text[:40].rpartition(',')[0]}, ... {text.count(',') + 1:,} neurons]"


@lru_cache(maxsize=256)
def _neurons(index: int, slice_: str, size: int, shown: str, have: str) -> range | tuple[int, ...]:
    """The neurons of a slice, of as many as there are. Raises SelectionError."""
    known, shown = f"{have} {size:,} neurons, 0 to {size - 1}", brief(shown)

    def place(number: str) -> int:
        return int(number) + (size if "-" in number else 0)

    if "," in slice_:
        listed = tuple(place(number) for number in slice_[1:-1].split(","))
        if min(listed) < 0 or max(listed) >= size:
            raise SelectionError(index, f"{shown} is out of range", known)
        if len(set(listed)) < len(listed):
            raise SelectionError(index, f"{shown} has a neuron twice", "name every neuron once")
        return listed
    start, colon, rest = slice_[1:-1].partition(":")
    stop, _, step = rest.partition(":")
    low = place(start) if start else 0
    high = low + 1 if not colon else place(stop) if stop else size
    if high > size or low >= size or low < 0 or high < 0:
        raise SelectionError(index, f"{shown} is out of range", known)
    if high <= low:
        raise SelectionError(index, f"{shown} is empty", "the end of a slice lies above its start")
    if step and int(step) < 1:
        raise SelectionError(
            index, f"{shown} has the step {int(step)}", "a step is at least 1: [::10] are the neurons 0, 10, 20, ..."
        )
    found = range(low, high, int(step or 1))
    return found if len(found) > 1 else range(low, low + 1)


def shares(slices: Iterable[str], size: int) -> NDArray[np.int64]:
    """To which of some slices, and of `else`, each neuron belongs; all of them are one's. Raises SelectionError."""
    slices, owner = tuple(slices), np.full(size, -1, np.int64)
    for index, text in enumerate(slices):
        if text == REST:
            continue
        if not _SLICE.fullmatch(text):
            raise SelectionError(index, f"{text[:60]!r} is no slice", f"{_ONES.format('')}; {REST}: ... is for all others")
        own = Part("", _neurons(index, text, size, text, "there are")).index
        if (owner[own] >= 0).any():
            raise SelectionError(index, f"{slices[owner[own].max()]} has some of these neurons, too", "name every neuron once")
        owner[own] = index
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
