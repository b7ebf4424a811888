"""What is measured of spike trains, and how two ensembles of runs are compared.

Per neuron or pair, as in Dasbach et al., Front. Neurosci. 15:757790 (2021): the mean rate, the coefficient of variation of
interspike intervals (of neurons with at least three spikes), and the correlation coefficients of spike counts in bins of 2 ms
between 250 neurons, evenly taken from the population. Of a population: the variance of its spike count in bins of 2 ms over the
mean, which is 1 for independent Poisson trains and large for synchronous ones.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import statistics
from snnrun.statistics import Trains, correlations, distance, irregularity, rates, synchrony

CHANCE = 1e-4  # with which a difference of means is larger than what is tolerated, if there is none
DISTRIBUTIONS = ("rate", "cv", "correlation")
NUMBERS = ("rate", "spread of rates", "cv", "correlation", "synchrony")


def trains(step: Any, neuron: Any, dt: float, first: int, size: int, start: float, stop: float) -> Trains:
    """The spikes of neurons first ... first + size - 1 with start < t <= stop, from stamps in steps of dt."""
    times, own = np.asarray(step, np.float64) * dt, np.asarray(neuron, np.int64) - first
    kept = (own >= 0) & (own < size) & (times > start + dt / 2) & (times < stop + dt / 2)
    return statistics.trains(times[kept] - start, own[kept], size, stop - start)


class Measured(NamedTuple):
    """One run of one population."""

    numbers: dict[str, float]  # of NUMBERS
    samples: dict[str, NDArray[np.float64]]  # of DISTRIBUTIONS, sorted


def measure(t: Trains) -> Measured:
    samples = {"rate": rates(t), "cv": irregularity(t), "correlation": correlations(t)}
    numbers = {name: float(values.mean()) if values.size else float("nan") for name, values in samples.items()}
    numbers |= {"spread of rates": float(samples["rate"].std()), "synchrony": synchrony(t)}
    return Measured(numbers, {name: np.sort(values) for name, values in samples.items()})


# ---- comparing -------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """Means over two ensembles of seeds."""

    ours: float
    theirs: float
    tolerance: float  # from the spread of both ensembles

    @property
    def share(self) -> float:
        """The difference as a part of what is tolerated."""
        if self.ours == self.theirs:
            return 0.0
        return abs(self.ours - self.theirs) / self.tolerance if self.tolerance else float("inf")


@functools.cache
def quantile(freedom: int) -> float:
    """What |t| of Student's distribution exceeds with a probability of CHANCE.

    With t = sqrt(freedom) tan(a) its density is proportional to cos(a)**(freedom - 1).
    """
    nodes, weights = np.polynomial.legendre.leggauss(100)

    def beyond(a: float) -> float:
        angles = a + (np.pi / 2 - a) * (nodes + 1) / 2
        return float((np.pi / 2 - a) / 2 * np.dot(weights, np.cos(angles) ** (freedom - 1)))

    low, high = 0.0, np.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > CHANCE * beyond(0.0) else (low, middle)
    return float(np.sqrt(freedom) * np.tan(low))


def tolerance(values: Any) -> float:
    """What the mean of a sample may differ from a number by."""
    values = np.asarray(values, float)
    return quantile(len(values) - 1) * float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def paired(ours: Any, theirs: Any) -> Difference:
    """Compare the means of runs that have their seeds, and all that is drawn from them, in common: the first of ours."""
    a, b = np.asarray(ours[: len(theirs)], float), np.asarray(theirs, float)
    return Difference(float(a.mean()), float(b.mean()), tolerance(a - b))


def difference(ours: Any, theirs: Any, known: tuple[Any, ...] = ()) -> Difference:
    """Compare the means of two ensembles. Their spread from seed to seed, taken to be one, is theirs or that of `known` ones."""
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    ensembles = [np.asarray(values, float) for values in (known or (a, b))]
    freedom = sum(len(values) - 1 for values in ensembles)
    variance = sum(((values - values.mean()) ** 2).sum() for values in ensembles) / freedom
    error = np.sqrt(variance * (1 / len(a) + 1 / len(b)))
    return Difference(float(a.mean()), float(b.mean()), float(quantile(freedom) * error))


class Distances(NamedTuple):
    """Kolmogorov-Smirnov distances of a distribution between runs."""

    within: float  # mean over pairs of seeds of one simulator
    between: float  # mean over pairs of one run of each simulator
    p: float  # how often seeds that are dealt out anew to the two are that far apart


def distances(ours: list[NDArray[np.float64]], theirs: list[NDArray[np.float64]], deals: int = 100_000) -> Distances:
    """Whether runs of two simulators are farther apart than runs of one: a permutation test over whole runs."""
    runs, n = [*ours, *theirs], len(ours)
    table = np.array([[distance(a, b) for b in runs] for a in runs])
    own = np.zeros((1, len(runs)))
    own[0, :n] = 1.0
    rng = np.random.default_rng(0)
    dealt = np.argsort(rng.random((deals, len(runs))), axis=1) < n
    within, between = _means(table, own)
    others = _means(table, dealt.astype(float))
    gap, gaps = between - within, others[1] - others[0]
    return Distances(float(within[0]), float(between[0]), float((1 + np.sum(gaps >= gap[0] - 1e-12)) / (1 + deals)))


def _means(table: NDArray[np.float64], own: NDArray[np.float64]) -> tuple[Any, Any]:
    """Mean distance within and between the two sides, for each dealing of the runs."""
    other = 1.0 - own
    n, m = own.sum(1), other.sum(1)
    between = np.einsum("ij,jk,ik->i", own, table, other) / (n * m)
    inner = np.einsum("ij,jk,ik->i", own, table, own) + np.einsum("ij,jk,ik->i", other, table, other)
    return inner / (n * (n - 1) + m * (m - 1)), between
