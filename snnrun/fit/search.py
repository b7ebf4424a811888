"""Where to look next: generations of places between 0 and 1 along each value, one after the other.

A search is a function of its settings and of the losses alone: with the same losses it asks for the same places, so that a search
that was interrupted is gone through again and needs no memory of its own.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from snnrun.fit.block import Fit

CONVERGED = 0.004  # of the range of each value: the standard deviation below which a search has ended
AROUND = 0.03  # where losses are noisy: the standard deviation with which the rest of the evaluations are drawn around its end
NOISY = 0.05  # standard deviation of the losses of a generation at the end


class Found(NamedTuple):
    """Where a search stands: the middle of what it looks at, and how far that extends."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]  # standard deviations


class Search(Protocol):
    def ask(self) -> NDArray[np.float64] | None:
        """Places of the next candidates; None where there are no more."""

    def tell(self, places: NDArray[np.float64], losses: NDArray[np.float64]) -> None: ...

    def found(self) -> Found | None:
        """None for searches that look everywhere alike."""


def search(fit: Fit) -> Search:
    most = max(fit.evaluations // len(fit.seeds), 1)  # candidates
    if fit.method == "cma":
        return _Evolution(fit, most)
    return _Given(_grid(fit, most) if fit.method == "grid" else _random(fit, most), fit.population)


class _Evolution:
    """CMA-ES (Hansen & Ostermeier, Evol. Comput. 9, 2001), by the library cma."""

    def __init__(self, fit: Fit, most: int) -> None:
        from snnrun.optional import library

        cma = library("cma", "fit")
        start = [free.start for free in fit.free]
        self._count, self._left = len(start), most
        start += [0.5] * (2 - len(start))  # it knows no line: a value that nothing depends on makes it a plane
        self._numbers = numbers = np.random.default_rng(fit.seed)
        self._noise, self._drawn = 0.0, False
        self._es: Any = cma.CMAEvolutionStrategy(start, fit.sigma, {
            "bounds": [[0.0] * len(start), [1.0] * len(start)], "popsize": fit.population, "verbose": -9, "seed": np.nan,
            "randn": lambda *shape: numbers.standard_normal(shape),
        })  # fmt: skip
        self._asked: Any = None

    def ask(self) -> NDArray[np.float64] | None:
        if self._left < self._es.popsize:
            return None
        self._left -= self._es.popsize
        found = self.found()
        if self._drawn or found.spread.max() < CONVERGED:
            self._drawn = self._noise > NOISY  # more evaluations tell more of where the best place is
            away = AROUND * self._numbers.standard_normal((self._es.popsize, self._count))
            return np.clip(found.mean + away, 0.0, 1.0) if self._drawn else None
        self._asked = self._es.ask()
        return np.array(self._asked)[:, : self._count]

    def tell(self, places: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
        if not self._drawn:
            self._noise = float(losses.std())
            self._es.tell(self._asked, losses.tolist())

    def found(self) -> Found:
        mean = np.asarray(self._es.boundary_handler.repair(np.array(self._es.mean)))[: self._count]
        return Found(mean, self._es.sigma * np.sqrt(np.diag(self._es.C))[: self._count])


class _Given:
    """Places that are known before."""

    def __init__(self, places: Iterator[NDArray[np.float64]], population: int) -> None:
        self._places, self._population = places, population

    def ask(self) -> NDArray[np.float64] | None:
        found = list(itertools.islice(self._places, self._population))
        return np.array(found) if found else None

    def tell(self, places: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
        pass

    def found(self) -> None:
        return None


def _random(fit: Fit, most: int) -> Iterator[NDArray[np.float64]]:
    numbers = np.random.default_rng(fit.seed)
    for _ in range(most):
        yield numbers.random(len(fit.free))


def _grid(fit: Fit, most: int) -> Iterator[NDArray[np.float64]]:
    for index in itertools.islice(np.ndindex((fit.points,) * len(fit.free)), most):
        yield np.array(index) / (fit.points - 1)
