"""Poisson inputs whose rate goes in time, and whose trains are correlated: their laws, and the same bits on both kernels."""

import textwrap

import numpy as np
import pytest
from networks import assert_same_bits, plan_of, run_plan
from scipy import stats

from snnrun import random
from snnrun.document import SpecError
from snnrun.models import rates
from snnrun.models.inputs import poisson

DT = 0.1


def network(inputs: str, size: int = 40, duration: str = "100 ms", **given: str) -> str:
    neuron = "tau: 10 ms, V_rest: 0 mV, V_reset: -1 mV, V_th: 100 V, C: 250 pF"
    head = {"duration": duration, "precision": "float64", "seed": "4"} | given
    lines = [f"{key}: {value}" for key, value in head.items()]
    lines += ["populations:", f"  N: {{model: lif, size: {size}, {neuron}}}", f"  M: {{model: lif, size: 30, {neuron}}}"]
    return "\n".join([*lines, "inputs:", textwrap.indent(textwrap.dedent(inputs).strip(), "  "), ""])


def counts(tmp_path, given: str, of: str = "N", kernel: str = "xla", **options):
    """Events that reach each neuron in each step, [steps, neurons]: what arrives in step k is there at t_{k+1}."""
    text = network(f"x: {{model: poisson, to: [N, M], weight: 1 mV, synapse: {{model: delta}}, {given}}}", **options)
    text += f"monitors:\n  i: {{model: input, of: {of}, receptors: [x]}}\n"
    found = run_plan(plan_of(tmp_path, text, kernel=kernel)).samples["i", of, "x"]
    assert (found == np.round(found)).all() and not found[0].any()
    return found[1:]


# ---- a rate in time --------------------------------------------------------------------------------------------------

t = DT * np.arange(999)
COURSES = {
    "steps": (
        "{model: steps, times: [0 ms, 30 ms, 60 ms], rates: [2 kHz, 40 kHz, 0 Hz]}",
        np.select([t < 29.95, t < 59.95], [2.0, 40.0], 0.0),
    ),
    "sine": (
        "{model: sine, mean: 9 kHz, amplitude: 9 kHz, frequency: 33 Hz, phase: 0.4}",
        9 + 9 * np.sin(2 * np.pi * 0.033 * (t + DT / 2) + 0.4),
    ),
    "file": ("{model: file, file: rates.csv}", np.select([t < 9.95, t < 49.95], [0.0, 12.0], 1.0)),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rates.csv").write_text("time_ms,rate_Hz\n10,12000\n50,1000\n")
    return tmp_path


@pytest.mark.parametrize("correlation", [0.0, 0.4])
@pytest.mark.parametrize("name", COURSES)
def test_counts_are_poisson_with_the_rate_of_their_step(folder, name, correlation):
    course, rate = COURSES[name]
    found = counts(folder, f"course: {course}, correlation: {correlation}", size=2000)
    mean, size = rate * DT, found.shape[1] / (1 + correlation * found.shape[1])  # of independent neurons
    np.testing.assert_array_less(np.abs(found.mean(axis=1) - mean), 5 * np.sqrt(mean / size) + 1.5 * correlation + 1e-9)
    assert found.sum() == pytest.approx(mean.sum() * 2000, abs=4 * np.sqrt(mean.sum() * 2000 * (1 + correlation * 2000)))
    assert ((found - mean[:, None]) ** 2).sum() == pytest.approx(mean.sum() * 2000, rel=0.02 if not correlation else 0.2)


def test_many_different_rates_are_met_from_a_grid_of_them(tmp_path):
    """Beyond as many as there are rows: the mean is right, and so is the law."""
    rng = np.random.default_rng(1)
    rate = rng.uniform(0, 20, 6000)
    course = poisson.lower({"course": rates.Pieces(np.arange(1, 6000), rate), "correlation": 0.0, "rate": None}, DT)["course"]
    assert len(course.rows) == 4097
    row, part = (course.places >> np.uint64(52)).astype(int), (course.places >> np.uint64(32)).astype(int) & (2**20 - 1)
    low, high = course.rows[row].astype(int), course.rows[row + 1].astype(int)
    thresholds = low + ((high - low) * part[:, None] >> 20)
    np.testing.assert_allclose(np.sum(1 - thresholds / 2**32, axis=1), rate * DT, atol=1e-8)
    k = np.arange(thresholds.shape[1])
    np.testing.assert_allclose(thresholds / 2**32, stats.poisson.cdf(k, rate[:, None] * DT), atol=1e-7)


def test_a_window_and_a_delay_go_with_the_time_of_sending(folder):
    course = "course: {model: steps, times: [0 ms, 20 ms], rates: [500 kHz, 20 kHz]}"
    found = counts(folder, f"{course}, delay: 5 ms, start: 10 ms, stop: 30 ms").mean(axis=1)
    assert not found[:150].any() and not found[350:].any()
    np.testing.assert_allclose(found[150:250].mean(), 50, rtol=0.02)
    np.testing.assert_allclose(found[250:350].mean(), 2, rtol=0.1)


def test_a_course_that_stands_still_has_the_events_of_that_rate(folder):
    still = counts(folder, "course: {model: steps, times: [0 ms], rates: [7 kHz]}")
    np.testing.assert_array_equal(still, counts(folder, "rate: 7 kHz"))


# ---- correlated trains -----------------------------------------------------------------------------------------------


def pairwise(values):
    found = np.corrcoef(values.T)
    return found[np.triu_indices(len(found), 1)]


@pytest.mark.parametrize(("c", "rate"), [(0.05, 0.5), (0.3, 0.5), (0.3, 15.0), (1.0, 3.0)])
def test_trains_have_the_correlation_and_are_poisson(tmp_path, c, rate):
    given = f"rate: {rate} kHz, correlation: {c}"
    both = [counts(tmp_path, given, of, duration="2 s") for of in "NM"]
    found = np.concatenate(both, axis=1)
    steps, mean = len(found), rate * DT
    error = np.sqrt(mean * (c + 1 / 70) / steps)
    assert found.mean() == pytest.approx(mean, abs=4 * error)
    assert found.var() == pytest.approx(mean, rel=0.05)
    assert pairwise(found).mean() == pytest.approx(c, abs=0.02 if c < 1 else 1e-12)  # within and between populations
    assert pairwise(found).std() < 0.03
    events = found[:, 0].astype(int)
    seen = np.bincount(np.minimum(events, 4), minlength=5)
    law = stats.poisson(mean).pmf(np.arange(4))
    expected = steps * np.append(law, 1 - law.sum())
    enough = expected > 5
    if enough.sum() > 1:
        seen, expected = (np.append(x[enough], x[~enough].sum()) for x in (seen, expected))
        chi = ((seen - expected) ** 2 / np.maximum(expected, 1)).sum()
        assert stats.chi2.sf(chi, enough.sum()) > 1e-4
    lagged = (found[1:] - mean) * (found[:-1] - mean)
    assert lagged.mean() / mean == pytest.approx(0, abs=4 / np.sqrt(steps))


def test_one_train_for_all(tmp_path, kernel):
    found = counts(tmp_path, "rate: 5 kHz, correlation: 1", kernel=kernel)
    assert (found == found[:, :1]).all() and found.any()


def test_the_copies_of_some_events_are_binomial():
    for n, p in ((1, 0.3), (7, 0.05), (60, 0.5), (125, 0.999), (5, 1.0)):
        table = random.binomial_table(n, p)
        np.testing.assert_allclose(table / 2**32, stats.binom.cdf(np.arange(n), n, p), atol=1e-9)
        assert np.sum(1 - table / 2**32) == pytest.approx(n * p, abs=1e-9 * n)


# ---- bits ------------------------------------------------------------------------------------------------------------


def test_both_kernels_have_the_same_bits_whatever_the_chunks_and_threads(folder, native):
    """A rate of each kind, with and without correlation, delays, windows, slices and weights of their own."""
    given = [
        "course: {model: steps, times: [1 ms, 30 ms], rates: [2 kHz, 40 kHz]}, delay: 0.7 ms",
        "course: {model: sine, mean: 9 kHz, amplitude: 9 kHz, frequency: 33 Hz}, correlation: 0.4, start: 5 ms",
        "course: {model: file, file: rates.csv}, correlation: 1",
        "rate: 3 kHz, correlation: 0.2, stop: 80 ms",
        "rate: {uniform: {low: 1 kHz, high: 3 kHz}}",
        "course: {model: steps, times: [1 ms], rates: [0 Hz]}, correlation: 0.5",
    ]
    kinds = ["{model: delta}, weight: 1 mV", "{model: expon, tau: 2 ms}, weight: {uniform: {low: 1 pA, high: 9 pA}}"]
    inputs = "\n".join(
        f'x{i}{j}: {{model: poisson, to: ["N[5:600]", M], {one}, synapse: {kind}}}' for i, one in enumerate(given)
        for j, kind in enumerate(kinds)
    )  # fmt: skip
    text = network(inputs, size=700, duration="60 ms").replace("V_th: 100 V", "V_th: 50 mV")
    text += "monitors:\n  s: {model: spikes, of: [N, M]}\n  V: {model: state, of: [N, M], variables: [V]}\n"
    whole = run_plan(plan_of(folder, text, kernel="native"))
    assert len(whole.spikes["N"]) > 100
    assert_same_bits(run_plan(plan_of(folder, text)), whole)
    assert_same_bits(run_plan(plan_of(folder, text, kernel="native", threads=3), 7, [1, 350, 249]), whole)


# ---- what is wrong ---------------------------------------------------------------------------------------------------

WRONG = [
    ("weight: 1 mV", "rate or course is missing", ()),
    ("weight: 1 mV, rate: 1 kHz, course: {model: steps, times: [0 ms], rates: [1 Hz]}", "both given", ("course",)),
    ("weight: 1 mV, rate: {uniform: {low: 1 Hz, high: 2 Hz}}, correlation: 0.1", "one rate for all", ("rate",)),
    ("weight: 1 mV, rate: 100 kHz, correlation: 0.1", "whose events are copied", ("rate",)),
    ("weight: 1 mV, rate: 1 kHz, correlation: -0.1", "not allowed", ("correlation",)),
    ("weight: 1 mV, course: {model: steps, times: [0 ms], rates: [900 kHz]}", "more than the limit", ("course", "rates", 0)),
    ("weight: 1 mV, course: {model: sine, mean: 1 Hz, amplitude: 2 Hz, frequency: 1 Hz}", "below 0", ("course", "amplitude")),
    ("weight: 1 mV, course: {model: file, file: none.csv}", "there is no file", ("course", "file")),
    ("weight: 1 mV, course: {model: file, file: high.csv}", "rate_Hz is 900000 in line 2", ("course", "file")),
]


@pytest.mark.parametrize(("given", "message", "path"), WRONG, ids=[row[1] for row in WRONG])
def test_a_mistake_is_told_where_it_stands(tmp_path, given, message, path):
    (tmp_path / "high.csv").write_text("time_ms,rate_Hz\n10,900000\n")
    with pytest.raises(SpecError) as error:
        plan_of(tmp_path, network(f"x: {{model: poisson, to: N, synapse: {{model: delta}}, {given}}}"))
    found = [(f.path, f.message) for f in error.value.faults]
    assert len(found) == 1 and found[0][0] == ("inputs", "x", *path) and message in found[0][1], found
