"""From rows of bits, one row for each step and one bit for each neuron, to spikes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fired(words: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and place of every set bit, in order of row and place; most words are zero."""
    flat = np.ascontiguousarray(words).ravel()
    pairs: Any = (flat if len(flat) % 2 == 0 else np.append(flat, flat.dtype.type(0))).view("<u8")
    place = np.flatnonzero(pairs != 0)
    left = pairs[place]
    number = np.bitwise_count(left).astype(np.int64)
    first = np.cumsum(number) - number
    bit = np.empty(int(number.sum()), np.int64)
    while len(left):  # the lowest bit of every word, the next one of those that have more, and so on
        lowest = left & -left
        bit[first] = np.bitwise_count(lowest - np.uint64(1))
        left ^= lowest
        more = left != 0
        left, first = left[more], first[more] + 1
    return np.divmod(64 * np.repeat(place, number) + bit, 32 * words.shape[1])


def by_population(
    row: NDArray[np.int64], place: NDArray[np.int64], first: Mapping[str, int], sizes: Mapping[str, int]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Row and neuron of the spikes of each population, of which `first` says where its neuron 0 has its bit."""
    names = sorted(first, key=first.__getitem__)
    begin = np.array([first[name] for name in names], np.int64)
    which = np.searchsorted(begin, place, side="right") - 1
    order = np.argsort(which.astype(np.int16 if len(names) < 2**15 else np.int32), kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(names) + 1))
    found = {}
    for i, name in enumerate(names):
        mine = order[ends[i] : ends[i + 1]]
        neuron = place[mine] - begin[i]
        there = neuron < sizes[name]  # others may lie between two that are recorded
        found[name] = row[mine][there], neuron[there]
    return found
