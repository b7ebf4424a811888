"""The parts of the attack, and how often each tries."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from attacks import data, failures, files, interrupts, kills, limits, results
from attacks.outcomes import Outcome


class Part(NamedTuple):
    attack: Callable[[int, int, Path], Iterator[Outcome]]  # tries, seed, folder for what is needed on the way
    short: int
    long: int


PARTS = {
    "files": Part(files.attack, 300, 100_000),
    "kills": Part(kills.attack, 8, 120),
    "interrupts": Part(interrupts.attack, 12, 200),
    "failures": Part(failures.attack, 24, 400),
    "results": Part(results.attack, 200, 10_000),
    "data": Part(data.attack, 100, 3000),
    "limits": Part(limits.attack, 24, 200),
}
