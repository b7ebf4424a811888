"""What is measured of spike trains: rates, irregularity, variability, correlation, spectra, distances. NumPy alone, no file.

Times are those of a run's spikes: the stamp of a spike is the end of its step, so a bin is open at its beginning and closed at
its end. What cannot be said (of silent neurons, of a run without a whole bin) is NaN, or missing from an array of samples.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BIN = 2.0  # ms, of counts for correlations and synchrony
PAIRED = 250  # neurons, of which all pairs are correlated
WINDOW = 100.0  # ms, in which spikes are counted for Fano factors
SEGMENT = 1024  # bins, at most, of one spectrum of those that are averaged
_BLOCK = 2**15  # bins that are looked at together
_ALMOST = 1e-9  # of a bin


class Trains(NamedTuple):
    """Spikes of one population within an interval of time, sorted by neuron and, for each neuron, by time."""

    times: NDArray[np.float64]  # ms, from the beginning of the interval
    neurons: NDArray[np.int64]  # 0 ... size - 1
    size: int
    span: float  # ms


def trains(times: Any, neurons: Any, size: int, span: float) -> Trains:
    """Sort the spikes of `size` neurons in an interval of `span` ms."""
    times, neurons = np.asarray(times, np.float64), np.asarray(neurons, np.int64)
    order = np.lexsort((times, neurons))
    return Trains(times[order], neurons[order], size, span)


# ---- of each neuron --------------------------------------------------------------------------------------------------


def rates(t: Trains) -> NDArray[np.float64]:
    """Mean rate of each neuron in Hz."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(t.neurons, minlength=t.size) / t.span * 1e3


def intervals(t: Trains) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All interspike intervals in ms, and whose they are."""
    same = t.neurons[1:] == t.neurons[:-1]
    return np.diff(t.times)[same], t.neurons[1:][same]


def irregularity(t: Trains) -> NDArray[np.float64]:
    """CV: standard deviation of the intervals over their mean, of each neuron with at least three spikes."""
    found, owner = intervals(t)
    number = np.bincount(owner, minlength=t.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(owner, found, t.size) / number
        variance = np.bincount(owner, (found - mean[owner]) ** 2, t.size) / number
        return (np.sqrt(variance) / mean)[number >= 2]


def local_variation(t: Trains) -> NDArray[np.float64]:
    """LV of each neuron with at least three spikes: 3 ((I_k - I_k+1) / (I_k + I_k+1))^2 on average; 1 for a Poisson train.

    It does not grow where the rate goes slowly, as the CV does (Shinomoto et al., Neural Comput. 15:2823, 2003).
    """
    found, owner = intervals(t)
    same = owner[1:] == owner[:-1]
    ratio = 3 * ((found[1:] - found[:-1]) / (found[1:] + found[:-1])) ** 2
    number = np.bincount(owner[1:][same], minlength=t.size)
    total = np.bincount(owner[1:][same], ratio[same], t.size)
    return total[number > 0] / number[number > 0]


def fano_factors(t: Trains, window: float = WINDOW) -> NDArray[np.float64]:
    """Variance over mean of the spike counts of a neuron in windows, of each neuron that spikes; 1 for a Poisson train."""
    place, windows = _places(t, window)
    kept = place < windows
    if windows < 2:
        return np.zeros(0)
    cell, several = np.unique(t.neurons[kept] * windows + place[kept], return_counts=True)
    mean = np.bincount(cell // windows, several, t.size) / windows
    square = np.bincount(cell // windows, several.astype(float) ** 2, t.size) / windows
    spiking = mean > 0
    return (square[spiking] - mean[spiking] ** 2) / mean[spiking]


# ---- of pairs and populations ----------------------------------------------------------------------------------------


def _places(t: Trains, width: float) -> tuple[NDArray[np.int64], int]:
    """The bin of each spike, and the number of whole bins."""
    return np.ceil(t.times / width - _ALMOST).astype(np.int64) - 1, int(t.span / width + _ALMOST)


def counts(t: Trains, width: float = BIN) -> NDArray[np.int64]:
    """Spikes of all neurons in each whole bin."""
    place, bins = _places(t, width)
    return np.bincount(place[place < bins], minlength=bins)


def correlations(t: Trains, width: float = BIN, most: int = PAIRED) -> NDArray[np.float64]:
    """Pearson's correlation coefficients of the spike counts of all pairs among some neurons that spike.

    Some: at most so many, evenly taken from the population.
    """
    place, bins = _places(t, width)
    chosen = np.linspace(0, t.size - 1, min(most, t.size)).astype(int)
    row = np.full(t.size, -1)
    row[chosen] = np.arange(len(chosen))
    kept = (row[t.neurons] >= 0) & (place < bins)
    rows, place = row[t.neurons[kept]], place[kept]
    order = np.argsort(place, kind="stable")
    rows, place = rows[order], place[order]
    n = len(chosen)
    products = np.zeros((n, n))
    for first in range(0, bins, _BLOCK):
        low, high = np.searchsorted(place, (first, first + _BLOCK))
        width_of = min(_BLOCK, bins - first)
        cells = np.bincount(rows[low:high] * width_of + place[low:high] - first, minlength=n * width_of)
        table = cells.reshape(n, width_of).astype(np.float64)
        products += table @ table.T
    total = np.bincount(rows, minlength=n)
    spiking = np.flatnonzero(total)
    if len(spiking) < 2:
        return np.zeros(0)
    covariance = products[np.ix_(spiking, spiking)] - np.outer(total[spiking], total[spiking]) / bins
    spread = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (covariance / np.outer(spread, spread))[np.triu_indices(len(spiking), 1)]
    return found[np.isfinite(found)]  # a neuron with as many spikes in every bin has no correlation


def synchrony(t: Trains, width: float = BIN) -> float:
    """Variance over mean of the population's spike count in bins: 1 for independent Poisson trains, large for synchrony."""
    count = counts(t, width)
    return float(count.var() / count.mean()) if count.any() else math.nan


def spectrum(t: Trains, width: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power spectrum of the population's rate per neuron: frequencies in Hz, and power in Hz^2 / Hz.

    Welch's estimate, the mean rate subtracted, over segments that overlap by half: a quarter of the whole long, and at most 1,024
    bins. Independent Poisson trains of rate r have a flat one of 2 r / size.
    """
    from scipy import signal

    rate = counts(t, width) / (t.size * width) * 1e3 if t.size else np.zeros(0)
    if len(rate) < 4:
        return np.zeros(0), np.zeros(0)
    found, power = signal.welch(rate, 1e3 / width, nperseg=min(SEGMENT, max(len(rate) // 4, 4)))
    return found[1:], power[1:]


# ---- comparing -------------------------------------------------------------------------------------------------------


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov distance of two samples: how far their cumulative distributions are apart at most."""
    if not len(a) or not len(b):
        return math.nan
    a, b = np.sort(a), np.sort(b)
    every = np.concatenate([a, b])
    below = [np.searchsorted(values, every, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def van_rossum(a: NDArray[np.float64], b: NDArray[np.float64], tau: float) -> float:
    """Distance of two spike trains, times ascending, with the time constant tau in ms.

    D^2 = 1/tau times the integral of (f - g)^2, where each spike of a train adds exp(-(t - t_k) / tau) to f or g from t_k on
    (van Rossum, Neural Comput. 13:751, 2001): one spike more is 1/2, two that are far apart are 1.
    """
    times = np.concatenate([a, b])
    order = np.argsort(times, kind="stable")
    times, sign = times[order] / tau, np.repeat([1.0, -1.0], [len(a), len(b)])[order]
    square, before, end = 0.5 * len(times), 0.0, 0.0
    block = ((times - times[0]) // 500).astype(np.int64) if len(times) else times  # exp(500) is still a number
    for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(block)) + 1):
        if not len(part):
            continue
        begin = times[part[0]]
        grown = sign[part] * np.exp(times[part] - begin)
        earlier = np.cumsum(grown) - grown + before * math.exp(end - begin)
        square += float((sign[part] * np.exp(begin - times[part]) * earlier).sum())
        end = times[part[-1]]
        before = float((earlier[-1] + grown[-1]) * math.exp(begin - end))
    return math.sqrt(max(square, 0.0))


# ---- distributions ---------------------------------------------------------------------------------------------------


class Distribution(NamedTuple):
    """A measure that has a value for each neuron, pair, or interval."""

    of: Callable[[Trains], NDArray[np.float64]]
    what: str
    each: str
    unit: str = ""
    logarithmic: bool = False


DISTRIBUTIONS = {
    "isi": Distribution(lambda t: intervals(t)[0], "interspike interval (ms)", "intervals", " ms", True),
    "cv": Distribution(irregularity, "CV of interspike intervals", "neurons"),
    "correlation": Distribution(correlations, f"correlation coefficient of spike counts in {BIN:g} ms", "pairs"),
}
BINS = 60  # of a histogram


def edges(values: NDArray[np.float64], logarithmic: bool = False) -> NDArray[np.float64]:
    """Bins of a histogram, from the lowest to the highest but for far outliers."""
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    if logarithmic:
        return np.geomspace(low / 1.1, max(high, low) * 1.1, BINS + 1)
    room = 0.02 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


# ---- all at once -----------------------------------------------------------------------------------------------------


class Measure(NamedTuple):
    """A number that describes a population."""

    name: str
    unit: str
    meaning: str
    of: Callable[[Trains], float]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


MEASURES = (
    Measure("rate", "Hz", "spikes per neuron and second", lambda t: _mean(rates(t))),
    Measure("spread of rates", "Hz", "standard deviation of the neurons' rates",
            lambda t: float(rates(t).std()) if t.size else math.nan),
    Measure("silent", "", "share of the neurons that never spike", lambda t: _mean((rates(t) == 0).astype(float))),
    Measure("cv", "", "irregularity: standard deviation of a neuron's intervals over their mean; 0 a clock, 1 a Poisson train",
            lambda t: _mean(irregularity(t))),
    Measure("lv", "", "irregularity of intervals that follow each other, slow changes of rate left out; 1 a Poisson train",
            lambda t: _mean(local_variation(t))),
    Measure("fano", "", f"variance over mean of a neuron's spike counts in {WINDOW:g} ms; 1 a Poisson train",
            lambda t: _mean(fano_factors(t))),
    Measure("correlation", "", f"correlation of the spike counts of two neurons in {BIN:g} ms, mean over pairs",
            lambda t: _mean(correlations(t))),
    Measure("synchrony", "", f"variance over mean of the population's spike count in {BIN:g} ms; 1 without any",
            synchrony),
)  # fmt: skip


def measure(t: Trains) -> dict[str, float]:
    """All of MEASURES."""
    return {one.name: one.of(t) for one in MEASURES}
