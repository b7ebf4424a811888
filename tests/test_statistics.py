"""Measures of spike trains: closed forms, and slow obvious references."""

import math

import numpy as np
import pytest

from snnrun import statistics


def poisson(rate: float, size: int, span: float, seed: int = 1) -> statistics.Trains:
    """Independent Poisson trains; rate in Hz, span in ms."""
    random = np.random.default_rng(seed)
    number = random.poisson(rate * size * span * 1e-3)
    return statistics.trains(random.uniform(0, span, number), random.integers(0, size, number), size, span)


def clocks(period: float, size: int, span: float) -> statistics.Trains:
    """Neurons that spike together, at period, 2 period, ..."""
    times = period * np.arange(1, int(span / period) + 1)
    return statistics.trains(np.tile(times, size), np.repeat(np.arange(size), len(times)), size, span)


def test_spikes_are_sorted_by_neuron_and_time():
    t = statistics.trains([3.0, 1.0, 2.0, 4.0], [1, 1, 0, 0], 2, 5.0)
    assert t.neurons.tolist() == [0, 0, 1, 1] and t.times.tolist() == [2.0, 4.0, 1.0, 3.0]


def test_poisson_trains_have_unit_measures():
    found = statistics.measure(poisson(20.0, 400, 20_000.0))
    assert found["rate"] == pytest.approx(20.0, rel=0.01)
    assert found["spread of rates"] == pytest.approx(math.sqrt(20.0 / 20.0), rel=0.1)  # of a count n: sqrt(n) / span
    for name in ("cv", "lv", "fano", "synchrony"):
        assert found[name] == pytest.approx(1.0, abs=0.03), name
    assert abs(found["correlation"]) < 1e-3 and found["silent"] == 0.0


def test_clocks_are_regular_and_synchronous():
    t = clocks(10.0, 5, 2_000.0)
    found = statistics.measure(t)
    assert found["rate"] == pytest.approx(100.0) and found["spread of rates"] == 0.0
    assert found["cv"] == pytest.approx(0.0, abs=1e-12) and found["lv"] == pytest.approx(0.0, abs=1e-12)
    assert found["fano"] == 0.0 and found["correlation"] == pytest.approx(1.0)
    # one bin in five has 5 spikes: mean 1, variance 4
    assert found["synchrony"] == pytest.approx(4.0)


def test_slow_changes_raise_the_cv_but_not_lv():
    slow = np.cumsum(10.0 + 9.0 * np.sin(np.arange(500) / 50))
    t = statistics.trains(slow, np.zeros(500, int), 1, slow[-1])
    assert statistics.irregularity(t)[0] > 0.5 and statistics.local_variation(t)[0] < 0.02


def test_a_bin_is_closed_at_its_end():
    t = statistics.trains([2.0, 2.1, 4.0], [0, 0, 0], 1, 5.0)
    assert statistics.counts(t, 2.0).tolist() == [1, 2]  # the rest of 1 ms is no whole bin


def test_correlations_are_those_of_the_table_of_counts():
    t = poisson(30.0, 12, 200_000.0, seed=3)  # more bins than are looked at together
    place = np.ceil(t.times / 5.0).astype(int) - 1
    table = np.zeros((12, 40_000))
    np.add.at(table, (t.neurons, place), 1)
    expected = np.corrcoef(table)[np.triu_indices(12, 1)]
    assert np.allclose(statistics.correlations(t, 5.0), expected, rtol=0, atol=1e-12)


def test_fano_factors_are_those_of_the_table_of_counts():
    t = poisson(30.0, 6, 10_000.0, seed=4)
    table = np.zeros((6, 100))
    np.add.at(table, (t.neurons, np.ceil(t.times / 100.0).astype(int) - 1), 1)
    assert np.allclose(statistics.fano_factors(t), table.var(axis=1) / table.mean(axis=1), atol=1e-12)


def test_the_spectrum_of_poisson_trains_is_flat_and_that_of_a_rhythm_has_a_peak():
    frequency, power = statistics.spectrum(poisson(20.0, 100, 100_000.0))
    assert power[2:-2].mean() == pytest.approx(2 * 20.0 / 100, rel=0.03)
    assert frequency[-1] == pytest.approx(500.0)
    random = np.random.default_rng(5)
    times = np.concatenate([k * 25.0 + random.normal(12.0, 2.0, 20) for k in range(400)])  # volleys at 40 Hz
    t = statistics.trains(np.clip(times, 0, 1e4), random.integers(0, 100, len(times)), 100, 10_000.0)
    frequency, power = statistics.spectrum(t)
    assert frequency[power.argmax()] == pytest.approx(40.0, abs=1.0)


def test_distance_of_distributions():
    assert statistics.distance(np.array([1.0, 2.0]), np.array([3.0])) == 1.0
    assert statistics.distance(np.array([2.0, 1.0]), np.array([1.0, 2.0])) == 0.0
    assert statistics.distance(np.arange(4.0), np.arange(4.0) + 1) == pytest.approx(0.25)
    assert math.isnan(statistics.distance(np.zeros(0), np.ones(3)))


def test_van_rossums_distance_in_closed_form_and_by_its_integral():
    assert statistics.van_rossum(np.array([5.0]), np.zeros(0), 10.0) ** 2 == pytest.approx(0.5)
    for gap in (0.0, 3.0, 30.0, 1e5):  # far apart: 1
        d = statistics.van_rossum(np.array([5.0]), np.array([5.0 + gap]), 10.0)
        assert d**2 == pytest.approx(1 - math.exp(-gap / 10.0))
    random = np.random.default_rng(6)
    a, b = np.sort(random.uniform(0, 20_000, 150)), np.sort(random.uniform(0, 20_000, 170))
    dt = 0.02
    time = np.arange(0, 20_200, dt)
    f = sum(np.where(time >= s, np.exp(-np.clip(time - s, 0, None) / 12.0), 0.0) for s in a)
    g = sum(np.where(time >= s, np.exp(-np.clip(time - s, 0, None) / 12.0), 0.0) for s in b)
    assert statistics.van_rossum(a, b, 12.0) ** 2 == pytest.approx(((f - g) ** 2).sum() * dt / 12.0, rel=5e-3)
    assert statistics.van_rossum(a, a, 12.0) == pytest.approx(0.0, abs=1e-6)


NOTHING = [
    statistics.trains([], [], 5, 100.0),  # silent
    statistics.trains([], [], 0, 100.0),  # no neuron
    statistics.trains([], [], 5, 0.0),  # no time
    statistics.trains([0.5], [0], 1, 0.5),  # no whole bin
    statistics.trains([1.0], [0], 1, 1000.0),
]


@pytest.mark.parametrize("t", NOTHING)
@pytest.mark.parametrize("one", statistics.MEASURES, ids=lambda one: one.name)
def test_what_cannot_be_said_is_nan(one, t):
    assert isinstance(one.of(t), float)  # and nothing is raised, nor warned of
    if not len(t.times) and one.name not in ("rate", "silent", "spread of rates"):
        assert math.isnan(one.of(t))


@pytest.mark.parametrize("t", NOTHING)
def test_distributions_of_nothing_are_empty(t):
    for found in (statistics.irregularity(t), statistics.local_variation(t), statistics.correlations(t)):
        assert found.shape == (0,)
    assert statistics.intervals(t)[0].shape == (0,)
    frequency, power = statistics.spectrum(t)
    assert len(frequency) == len(power)
