"""Sources of spikes against what they are meant to be: exact times, laws of intervals and counts, and rates that go in time."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import assert_same_bits, load, plan_of, run_plan
from scipy import special

from snnrun import engine, estimate, network, outline, random, snapshot
from snnrun.document import SpecError
from snnrun.models import rates
from snnrun.models.neurons import gamma, regular

DT = 0.1  # ms


def sources(*lines, duration="100 ms", seed=1, precision="float32", more=""):
    """A network of sources, `N: {...}` each, whose spikes are recorded."""
    names = ", ".join(line.partition(":")[0] for line in lines)
    populations = "\n".join(f"  {line}" for line in lines)
    head = f"seed: {seed}\nduration: {duration}\nprecision: {precision}\n"
    return f"{head}populations:\n{populations}\n{more}monitors:\n  spikes: {{model: spikes, of: [{names}]}}\n"


def run(tmp_path, text, **options):
    return run_plan(plan_of(tmp_path, text, **options))


def trains(recorded, name, size):
    """Stamps of each neuron, ascending."""
    stamps = np.array(recorded.spikes[name], np.int64).reshape(-1, 2)
    return [stamps[stamps[:, 1] == neuron, 0] for neuron in range(size)]


def furthest(sample, cdf):
    """The largest distance between the distribution of a sample of whole numbers and a law, in standard errors."""
    values, counts = np.unique(sample, return_counts=True)
    return np.abs(np.cumsum(counts) / len(sample) - cdf(values)).max() * math.sqrt(len(sample))


KOLMOGOROV = 1.95  # exceeded with a probability of 1e-3


# ---- regular ---------------------------------------------------------------------------------------------------------

TIMES = {  # period and phase in ms
    "every": ("0.1", "0"), "half": ("0.25", "0"), "thirds": ("0.35", "0.05"), "tenths": ("0.37", "1.23"), "whole": ("10", "3"),
    "tie": ("0.3", "0.15"), "long": ("77.7", "500"), "late": ("1", "700.04"), "below": ("1.7", "0.04"), "once": ("5e9", "9"),
}  # fmt: skip


def expected(period, phase, last):
    """The times in exact arithmetic, rounded half up one by one."""
    period, phase, step = Fraction(period), Fraction(phase), Fraction("0.1")
    stamps, n = [], 0
    while (stamp := math.floor((phase + n * period) / step + Fraction(1, 2))) <= last:
        stamps += [stamp] if stamp > 0 else []
        n += 1
    return stamps


def test_regular_spikes_come_at_phase_plus_n_periods_each_rounded_to_the_nearest_step(tmp_path, kernel):
    lines = [f"{name}: {{model: regular, size: 1, period: {p} ms, phase: {f} ms}}" for name, (p, f) in TIMES.items()]
    recorded = run(tmp_path, sources(*lines, duration="800 ms"), kernel=kernel)
    for name, (period, phase) in TIMES.items():
        stamps = trains(recorded, name, 1)[0].tolist()
        assert stamps == expected(period, phase, 8000), name
        assert len(stamps) > 0 and len(set(stamps)) == len(stamps)


def test_a_spike_at_t_0_is_before_the_first_step(tmp_path):
    recorded = run(tmp_path, sources("N: {model: regular, size: 1, period: 2 ms}", duration="6 ms"))
    assert trains(recorded, "N", 1)[0].tolist() == [20, 40, 60]


@pytest.mark.parametrize("period", ["0.35", "0.1", "3.7", "123.456"])
def test_the_rounding_of_regular_spikes_does_not_add_up(period):
    """After ten million periods the time is that of exact arithmetic, to far less than a step."""
    whole, part = (int(value) for value in regular._split(np.asarray(float(period) / DT)))
    n = 10**7
    found = Fraction(n * (whole * 2**regular.BITS + part), 2**regular.BITS)
    assert abs(found - n * Fraction(period) * 10) < Fraction(1, 10**5)


def test_regular_neurons_have_their_own_periods_and_phases_within_a_window(tmp_path):
    law = "{uniform: {low: 0.5 ms, high: 4 ms}}"
    line = f"N: {{model: regular, size: 30, period: {law}, phase: {law}, start: START, stop: STOP}}"
    every = trains(run(tmp_path, sources(line.replace("START", "0 ms").replace("STOP", "90 ms"))), "N", 30)
    some = trains(run(tmp_path, sources(line.replace("START", "20 ms").replace("STOP", "40 ms"))), "N", 30)
    parameters = network.build(load(tmp_path, sources(line.replace("START", "0 ms").replace("STOP", "1 ms"))).spec, tmp_path)
    own = parameters.populations["N"].parameters
    for i in range(30):
        times = own["phase"][i] + own["period"][i] * np.arange(400)
        assert every[i].tolist() == [s for s in np.floor(times / DT + 0.5).astype(int) if 0 < s <= 900]
        assert some[i].tolist() == [s for s in every[i] if 200 < s <= 400]
    assert len({tuple(train) for train in every}) == 30


# ---- gamma -----------------------------------------------------------------------------------------------------------

SHAPES = [0.1, 0.3, 1.0, 2.5, 4.0, 30.0]


@pytest.mark.parametrize("shape", [*SHAPES, 1e4])
def test_the_quantile_function_is_that_of_the_gamma_law(shape):
    """At words all over, and at both ends."""
    words = np.concatenate([np.arange(0, 2**32, 65521), np.arange(300), 2**32 - 1 - np.arange(300)]).astype(np.uint32)
    low, rise = (values[:, None] for values in gamma.quantiles(shape))
    const = gamma.Const(low, rise, None, None, None, None, None, None, 0.0)
    x = np.asarray(gamma.intervals(const, words)) * shape
    u = (words.astype(np.float64) + 0.5) / 2**32
    tolerance = 2e-5 if shape < 0.5 else 2e-6
    np.testing.assert_allclose(special.gammainc(shape, x), u, rtol=0, atol=tolerance)
    order = np.argsort(words, kind="stable")
    assert (np.diff(x[order]) >= 0).all()
    rare = (u < 1e-6) & (x > 1e-250)
    np.testing.assert_allclose(np.log(special.gammainc(shape, x[rare]) / u[rare]), 0, atol=0.02)
    np.testing.assert_allclose(np.log(special.gammaincc(shape, x[u > 1 - 1e-6]) / (1 - u[u > 1 - 1e-6])), 0, atol=0.02)


def test_the_quantile_function_has_the_mean_and_variance_of_the_gamma_law():
    for shape in SHAPES:
        low, rise = gamma.quantiles(shape)
        z = np.ldexp(1 + np.arange(128) / 128, np.arange(-1, 31)[:, None]).ravel()
        p = np.tile(np.diff(np.append(z, 2.0**31)), 2) / 2**32
        assert (p * (low + rise / 2)).sum() == pytest.approx(1, rel=1e-12)
        square = (p * (low * low + low * rise + rise * rise / 3)).sum()
        assert (square - 1) * shape == pytest.approx(1, rel=1e-5)


RATES = {0.1: 40, 0.3: 60, 1.0: 100, 2.5: 150, 4.0: 200, 30.0: 300}  # Hz
NEURONS = 400
END = 20_000  # steps


@pytest.fixture(scope="module")
def renewal(tmp_path_factory):
    """Trains by (shape, begin)."""
    lines = [
        f"{begin}{i}: {{model: gamma, size: {NEURONS}, rate: {RATES[shape]} Hz, shape: {shape}, begin: {begin}}}"
        for i, shape in enumerate(SHAPES)
        for begin in ("stationary", "spike")
    ]
    recorded = run(tmp_path_factory.mktemp("renewal"), sources(*lines, duration="2 s"))
    return {
        (shape, begin): trains(recorded, f"{begin}{i}", NEURONS)
        for i, shape in enumerate(SHAPES)
        for begin in ("stationary", "spike")
    }


def mean_steps(shape):
    return 1e3 / RATES[shape] / DT


def lifetime(shape):
    """Distribution function of a gamma interval, of x in steps."""
    return lambda x: special.gammainc(shape, shape * np.maximum(x, 0) / mean_steps(shape))


def residual(shape):
    """That of the time to the first spike of a stationary process: the integral of 1 - F over the mean."""
    T = mean_steps(shape)
    return lambda x: x / T * special.gammaincc(shape, shape * x / T) + special.gammainc(shape + 1, shape * x / T)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("begin", ["stationary", "spike"])
def test_the_first_spike_of_a_renewal_process_has_its_law(renewal, shape, begin):
    """Up to the end of the step of stamp s; a neuron that never spikes counts as one beyond the end."""
    first = [train[0] if len(train) else END + 1 for train in renewal[shape, begin]]
    law = (residual if begin == "stationary" else lifetime)(shape)
    inside = [stamp for stamp in first if stamp <= END]
    assert len(inside) > 0.9 * NEURONS
    assert furthest(inside, lambda s: law(s) / law(END)) < KOLMOGOROV


@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_have_the_law_of_the_gamma_variable_between_two_roundings(renewal, shape):
    """An interval of m steps has the probability that floor(U + x) = m, but none is below one step. Only those that begin in
    the first half, so that hardly one is cut off."""
    sample = np.concatenate([np.diff(train)[train[:-1] < END // 2] for train in renewal[shape, "spike"]])
    within = (np.arange(200) + 0.5) / 200
    law = lifetime(shape)
    cdf = lambda m: np.mean([law(m + 1 - u) for u in within], axis=0)  # noqa: E731
    # a spike that is moved up makes the interval before it longer and the one after it shorter: of rare ones
    crowded = cdf(np.array(0.0)) * (RATES[shape] * DT / 1e3 + cdf(np.array(0.0)))
    assert sample.min() >= 1 and len(sample) > 5000
    counts = np.bincount(np.minimum(sample, 10 * END))
    seen = np.cumsum(counts) / len(sample)
    distance = np.abs(seen[1:] - cdf(np.arange(1, len(seen)))).max()
    assert distance < KOLMOGOROV / math.sqrt(len(sample)) + 2 * crowded


@pytest.mark.parametrize("shape", [1.0, 2.5, 4.0, 30.0])
def test_intervals_have_their_mean_and_coefficient_of_variation_and_do_not_know_each_other(renewal, shape):
    kept = [np.diff(train)[: int(0.7 * END / mean_steps(shape))] for train in renewal[shape, "spike"]]
    sample, T, n = np.concatenate(kept), mean_steps(shape), sum(map(len, kept))
    error = 1 / math.sqrt(shape * n)
    assert sample.mean() / T == pytest.approx(1, abs=5 * error + 1e-3 * (shape == 1))
    variance = 1 / shape + 1 / (6 * T * T)  # and that of the two roundings
    of_variance = math.sqrt((2 + 6 / shape) / n)
    assert sample.var() / T**2 / variance == pytest.approx(1, abs=5 * of_variance + 0.005)
    pairs = np.concatenate([np.stack([train[:-1], train[1:]]) for train in kept if len(train) > 2], axis=1)
    assert abs(np.corrcoef(pairs)[0, 1]) < 5 / math.sqrt(pairs.shape[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_of_a_stationary_process_have_its_mean_in_every_window_and_its_variance(renewal, shape):
    """Mean rate t exactly; variance rate t / shape + 1/6 - 1 / (6 shape**2) for long t (Cox, Renewal Theory, 1962)."""
    found = renewal[shape, "stationary"]
    for low, high in ((0, 100), (0, 1000), (5000, END)):
        counts = np.array([np.count_nonzero((train > low) & (train <= high)) for train in found])
        mean = (high - low) / mean_steps(shape)
        assert abs(counts.mean() - mean) < 5 * counts.std() / math.sqrt(NEURONS) + 1e-9
    counts = np.array([len(train) for train in found])
    variance = END / mean_steps(shape) / shape + 1 / 6 - 1 / (6 * shape**2)
    kurtosis = 2 + (3 / (END / mean_steps(shape) * shape) if shape < 1 else 0)
    if shape > 0.1:  # which is not yet long
        assert counts.var() / variance == pytest.approx(1, abs=5 * math.sqrt(kurtosis / NEURONS))


def test_crowded_spikes_come_one_after_the_other_and_none_is_lost(tmp_path):
    """At 0.5 spikes per step, many of which would share one."""
    line = "N: {model: gamma, size: 200, rate: 5 kHz, shape: 0.5, begin: stationary}"
    found = trains(run(tmp_path, sources(line, duration="1 s")), "N", 200)
    assert min(np.diff(train).min() for train in found) == 1
    counts = np.array([len(train) for train in found])
    assert counts.mean() == pytest.approx(5000, abs=5 * counts.std() / math.sqrt(200) + 5)


def test_gamma_neurons_have_their_own_rates_and_begin_and_end_with_the_window(tmp_path):
    (tmp_path / "r.csv").write_text("rate_Hz\n0\n100\n1000\n")
    rate = "rate: {file: r.csv, column: rate_Hz}, shape: 50"
    line = f"N: {{model: gamma, size: 3, {rate}, begin: spike, start: 100 ms, stop: 900 ms}}"
    none, slow, fast = trains(run(tmp_path, sources(line, duration="1 s")), "N", 3)
    assert len(none) == 0 and len(slow) == pytest.approx(80, abs=6) and len(fast) == pytest.approx(800, abs=20)
    assert slow[0] - 1000 > 60 and fast[0] - 1000 > 6 and fast[-1] <= 9000


def test_shape_1_is_poisson_and_each_population_has_its_own_draws(tmp_path):
    lines = [
        f"{name}: {{model: gamma, size: 100, rate: 100 Hz, shape: {shape}}}" for name, shape in (("A", 1), ("B", 1), ("C", 5))
    ]
    together = run(tmp_path, sources(*lines, duration="1 s"))
    counts = np.array([len(train) for train in trains(together, "A", 100)])
    assert counts.var() / counts.mean() == pytest.approx(1, abs=5 * math.sqrt(2 / 100))
    assert len(together.plan.program.groups) == 1  # with laws of their own
    for line in lines:
        alone = run(tmp_path, sources(line, duration="1 s"))
        (name,) = alone.spikes
        assert alone.spikes[name] == together.spikes[name]
    assert together.spikes["A"] != together.spikes["B"]


# ---- Poisson, in time ------------------------------------------------------------------------------------------------


def words(name, steps, size):
    """The random word of each neuron in each step."""
    key = jnp.array(random.key(1, f"population/{name}/spikes"), jnp.uint32)
    return np.asarray(jax.vmap(lambda step: random.step_words(key, step, 0, size))(jnp.arange(steps))).astype(np.int64)


def rows(recorded, name, steps, size):
    found = np.zeros((steps, size), bool)
    for stamp, neuron in recorded.spikes[name]:
        found[stamp - 1, neuron] = True
    return found


def test_a_constant_rate_has_the_bits_of_its_definition(tmp_path, kernel):
    """A neuron spikes in a step where its word lies below rate dt 2**32; with one rate for all, or one each."""
    (tmp_path / "r.csv").write_text("rate_Hz\n" + "\n".join(str(17.3 * i) for i in range(300)) + "\n")
    lines = ["A: {model: poisson, size: 300, rate: 333.3 Hz, start: 2 ms, stop: 30 ms}",
             "B: {model: poisson, size: 300, rate: {file: r.csv, column: rate_Hz}}"]  # fmt: skip
    recorded = run(tmp_path, sources(*lines, duration="40 ms"), kernel=kernel)
    window = (np.arange(400) >= 20) & (np.arange(400) < 300)
    threshold = np.floor(0.3333 * DT * 2**32 + 0.5)
    np.testing.assert_array_equal(rows(recorded, "A", 400, 300), (words("A", 400, 300) < threshold) & window[:, None])
    each = np.floor(17.3 * np.arange(300) / 1e3 * DT * 2**32 + 0.5)
    np.testing.assert_array_equal(rows(recorded, "B", 400, 300), words("B", 400, 300) < each)


def test_a_course_that_does_not_change_is_a_constant_rate(tmp_path):
    def spikes(rate):
        return run(tmp_path, sources(f"N: {{model: poisson, size: 200, {rate}}}")).spikes

    constant = spikes("rate: 250 Hz")
    assert len(constant["N"]) > 1000
    assert spikes("course: {model: steps, times: [0 ms], rates: [250 Hz]}") == constant
    assert spikes("course: {model: steps, times: [0 ms, 9 ms, 50 ms], rates: [250 Hz, 250 Hz, 250 Hz]}") == constant
    assert spikes("course: {model: sine, mean: 250 Hz, amplitude: 0 Hz, frequency: 8 Hz, phase: 1}") == constant


STEPS = "{model: steps, times: [10 ms, 30 ms, 60.1 ms], rates: [400 Hz, 20 Hz, 900 Hz]}"


def test_a_course_of_steps_is_in_each_piece_a_constant_rate(tmp_path, kernel):
    def spikes(rate):
        return run(tmp_path, sources(f"N: {{model: poisson, size: 200, stop: 90 ms, {rate}}}"), kernel=kernel).spikes["N"]

    found = spikes(f"course: {STEPS}")
    for low, high, rate in ((0, 100, 0), (100, 300, 400), (300, 601, 20), (601, 900, 900), (900, 1000, 0)):
        constant = spikes(f"rate: {rate} Hz")
        assert [s for s in found if low < s[0] <= high] == [s for s in constant if low < s[0] <= high]
    assert len(found) > 3000


@pytest.mark.parametrize("file", ["c.csv", "c.npz", "c.h5"])
def test_a_course_from_a_file_is_one_of_steps(tmp_path, file):
    import h5py

    columns = {"time_ms": [10.0, 30.0, 60.1], "rate_Hz": [400.0, 20.0, 900.0]}
    if file.endswith("csv"):
        lines = [",".join(columns), *(f"{t},{r}" for t, r in zip(*columns.values(), strict=True))]
        (tmp_path / file).write_text("\n".join(lines) + "\n")
    elif file.endswith("npz"):
        np.savez(tmp_path / file, **columns)
    else:
        with h5py.File(tmp_path / file, "w") as opened:
            for name, values in columns.items():
                opened[name] = values
    of_file, of_steps = (
        run(tmp_path, sources(f"N: {{model: poisson, size: 50, course: {course}}}")).spikes
        for course in (f"{{model: file, file: {file}}}", STEPS)
    )
    assert of_file == of_steps and len(of_file["N"]) > 500


def test_times_of_a_file_of_rates_are_rounded_if_asked_for_and_the_last_of_a_step_counts(tmp_path):
    (tmp_path / "c.csv").write_text("time_ms,rate_Hz\n0.96,5\n1.02,7\n1.04,90\n2,3\n")
    text = sources("N: {model: poisson, size: 1, course: {model: file, file: c.csv, off_grid: round}}")
    pieces = network.build(load(tmp_path, text).spec, tmp_path).populations["N"].parameters["course"]
    assert pieces.changes.tolist() == [10, 20]
    np.testing.assert_allclose(pieces.rates, [0, 0.09, 0.003])


SINES = {"S": (0.3, 0.3, 0.05, 0.0), "F": (0.2, -0.1, 0.333, 2.0)}  # kHz, and radians


def test_a_sine_has_at_each_step_the_probability_of_its_middle(tmp_path, kernel):
    """Two of them side by side, with a threshold of every word that is right to 1e-6 of the amplitude."""
    lines = [
        f"{name}: {{model: poisson, size: 200, course: {{model: sine, mean: {mean} kHz, amplitude: {amplitude} kHz, "
        f"frequency: {frequency} kHz, phase: {phase}}}}}"
        for name, (mean, amplitude, frequency, phase) in SINES.items()
    ]
    recorded = run(tmp_path, sources(*lines), kernel=kernel)
    assert len(recorded.plan.program.groups) == 1
    t = (np.arange(1000) + 0.5) * DT
    for name, (mean, amplitude, frequency, phase) in SINES.items():
        threshold = (mean + amplitude * np.sin(2 * np.pi * frequency * t + phase)) * DT * 2**32
        drawn = words(name, 1000, 200)
        wrong = rows(recorded, name, 1000, 200) != (drawn < threshold[:, None])
        slack = 1e-6 * abs(amplitude) * DT * 2**32 + 1
        assert not (wrong & (np.abs(drawn - threshold[:, None]) > slack)).any()
        assert rows(recorded, name, 1000, 200).sum() > 2000


def test_a_sine_keeps_its_phase_in_a_long_run():
    """After 10**12 steps, three years of model time, it is where exact arithmetic has it."""
    const = rates.lower([rates.Wave(0.01, 0.01, 0.25, 0.5)], (1,), 64, DT)  # a quarter of a turn in 10 steps
    for step in (0, 7, 10**12 + 3):
        turns = Fraction(1, 40) * step + Fraction(1, 80)
        angle = 2 * math.pi * float(turns % 1) + 0.5
        found = int(rates.threshold(const, np.int64(step)))
        assert found == pytest.approx((0.01 + 0.01 * math.sin(angle)) * DT * 2**32, rel=1e-3, abs=10)


# ---- spike_times -----------------------------------------------------------------------------------------------------


def test_a_list_with_a_period_is_the_list_written_out(tmp_path, kernel):
    times = [0.1, 3.0, 3.1, 10.0]
    out = [round(t + n * 10, 1) for n in range(10) for t in times]
    line = "N: {{model: spike_times, size: 3, times: [{}]{}}}"
    written = run(tmp_path, sources(line.format(", ".join(f"{t} ms" for t in out), "")), kernel=kernel)
    listed = ", ".join(f"{t} ms" for t in times)
    repeated = run(tmp_path, sources(line.format(listed, ", period: 10 ms")), kernel=kernel)
    assert repeated.spikes == written.spikes and len(written.spikes["N"]) == 120
    some = run(tmp_path, sources(line.format(listed, ", period: 10 ms, start: 3 ms, stop: 43 ms")), kernel=kernel)
    assert some.spikes["N"] == [s for s in written.spikes["N"] if 30 < s[0] <= 430]


def test_trains_of_a_file_come_again_beside_others_that_do_not(tmp_path):
    (tmp_path / "t.csv").write_text("neuron,time_ms\n0,1\n0,2.5\n2,7\n")
    lines = ["A: {model: spike_times, size: 3, times: {file: t.csv}, period: 7 ms}",
             "B: {model: spike_times, size: 2, times: [1 ms, 20 ms]}",
             "C: {model: spike_times, size: 1, times: [0.4 ms], period: 0.5 ms, stop: 2 ms}",
             "D: {model: spike_times, size: 2, times: [], period: 1 ms}"]  # fmt: skip
    recorded = run(tmp_path, sources(*lines, duration="30 ms"))
    assert len(recorded.plan.program.groups) == 1
    assert [train.tolist() for train in trains(recorded, "A", 3)] == [
        sorted([10 + 70 * n for n in range(5)] + [25 + 70 * n for n in range(4)]), [], [70, 140, 210, 280]
    ]  # fmt: skip
    assert [train.tolist() for train in trains(recorded, "B", 2)] == [[10, 200]] * 2
    assert trains(recorded, "C", 1)[0].tolist() == [4, 9, 14, 19]
    assert not recorded.spikes["D"]


# ---- the same bits ---------------------------------------------------------------------------------------------------

ALL = sources(
    "R: {model: regular, size: 70, period: {uniform: {low: 1 ms, high: 9 ms}}, phase: {uniform: {low: 0 ms, high: 5 ms}}}",
    "R2: {model: regular, size: 3, period: 0.35 ms, start: 3 ms}",
    "G: {model: gamma, size: 90, rate: {lognormal: {mean: 200 Hz, std: 100 Hz}}, shape: 3}",
    "G2: {model: gamma, size: 20, rate: 3 kHz, shape: 0.4, stop: 33 ms}",
    "G3: {model: gamma, size: 5, rate: 100 Hz, shape: 9, begin: spike}",
    "P: {model: poisson, size: 40, rate: 100 Hz}",
    f"P2: {{model: poisson, size: 70, course: {STEPS}}}",
    "P3: {model: poisson, size: 70, course: {model: steps, times: [0.4 ms], rates: [300 Hz]}, start: 7 ms}",
    "S: {model: poisson, size: 30, course: {model: sine, mean: 500 Hz, amplitude: 400 Hz, frequency: 50 Hz}}",
    "T: {model: spike_times, size: 4, times: [0.3 ms, 2 ms], period: 3.7 ms}",
    "T2: {model: spike_times, size: 4, times: [5 ms, 27 ms]}",
    duration="40 ms",
    precision="float64",
    more="""\
  E: {model: lif, size: 100, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF}
projections:
  in:
    pre: [R, R2, G, G2, G3, P, P2, P3, S, T, T2]
    post: E
    connect: {rule: fixed_prob, p: 0.1}
    weight: {normal: {mean: 50 pA, std: 10 pA}}
    delay: {uniform: {low: 0 ms, high: 3 ms}}
    synapse: {model: expon, tau: 5 ms}
""",
)


@pytest.fixture(scope="module")
def whole(native, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"), ALL, kernel="native")


def test_all_sources_and_their_target_spike(whole):
    assert {name for name, spikes in whole.spikes.items() if len(spikes) > 5} == set(whole.spikes)
    assert len(whole.spikes) == 11 and np.ptp(dict(states_of(whole))["E/V"]) > 1


def states_of(recorded):
    return [(f"{p.name}/{name}", values) for name, p, values in engine.variables(recorded.plan, recorded.state)]


def test_sources_have_the_same_bits_with_the_xla_kernel(whole, tmp_path):
    assert_same_bits(run(tmp_path, ALL), whole)


@pytest.mark.parametrize("lengths", [[1] * 40 + [360], [37, 200, 163]], ids=["short", "long"])
def test_sources_have_the_same_bits_in_any_chunks_and_on_several_threads(whole, tmp_path, lengths):
    assert_same_bits(run_plan(plan_of(tmp_path, ALL, kernel="native", threads=3), 50, lengths), whole)


@pytest.mark.parametrize("stop", [1, 123, 399])
def test_sources_go_on_from_a_snapshot_to_the_same_bits(whole, tmp_path, stop, kernel):
    plan = whole.plan
    halfway = engine.simulate(plan, engine.init(plan), stop, Nowhere())
    kept = snapshot.take(plan, halfway)
    other = plan_of(tmp_path, ALL, kernel=kernel)
    state = engine.simulate(other, snapshot.restore(other, kept), 400 - stop, Nowhere())
    end = snapshot.take(other, state)
    expected = snapshot.take(plan, whole.state)
    assert end.variables.keys() == expected.variables.keys() >= {"R/due", "R/rest", "G/due", "G/rest", "T/spent"}
    for name, values in expected.variables.items():
        np.testing.assert_array_equal(end.variables[name], values, err_msg=name)
    for name, values in expected.fired.items():
        np.testing.assert_array_equal(end.fired[name], values, err_msg=name)


class Nowhere:
    """A sink that keeps nothing."""

    def write(self, frame):
        pass


# ---- what is refused -------------------------------------------------------------------------------------------------

WRONG = [
    ("regular", "", "period is missing", "add period: 10 ms"),
    ("regular, period: 0 ms", "period", "period must be positive", ""),
    ("regular, period: 0.05 ms", "period", "0.05 ms is less than one step", "use at least 0.1 ms"),
    ("regular, period: 5 mV", "period", "'5 mV' is a voltage", "write it in ms"),
    ("regular, period: 5 ms, phase: -1 ms", "phase", "phase must not be negative", ""),
    ("regular, period: 5 ms, start: 0.25 ms", "start", "no whole number of steps", "use 0.2 ms or 0.3 ms"),
    ("regular, period: {normal: {mean: 1 ms, std: 1 ms}}", "period", "neurons violate this", "redraw"),
    ("regular, period: {uniform: {low: 0.01 ms, high: 1 ms}}", "period", "less than one step", "bound"),
    ("gamma, shape: 2", "", "rate is missing", "add rate: 10 Hz"),
    ("gamma, rate: 1 Hz", "", "shape is missing", "add shape: 4"),
    ("gamma, rate: -1 Hz, shape: 2", "rate", "must not be negative", ""),
    ("gamma, rate: 1 Hz, shape: 0", "shape", "0 is not allowed here", "a number of at least 0.01"),
    ("gamma, rate: 1 Hz, shape: 2 ms", "shape", "a number is wanted", ""),
    ("gamma, rate: 1 Hz, shape: 1, begin: x", "begin", "'x' is not allowed", "stationary, spike"),
    ("gamma, rate: 11 kHz, shape: 2", "rate", "rate * dt is 1.1", "use several sources"),
    ("gamma, shape: 1, rate: {uniform: {low: 8 kHz, high: 30 kHz}}", "rate", "spikes per step", "bound"),
    ("poisson", "", "rate or course is missing", "like rate: 10 Hz"),
    ("poisson, rate: 1 Hz, course: {model: steps, times: [0 ms], rates: [1 Hz]}", "course", "both given", ""),
    ("poisson, course: {times: [0 ms]}", "course", "model is missing", "one of steps, sine, file"),
    ("spike_times, times: [1 ms], period: 1.05 ms", "period", "no whole number of steps", "use 1 ms or 1.1 ms"),
    ("spike_times, times: [1 ms], period: 0 ms", "period", "less than one step", "use at least 0.1 ms"),
    ("spike_times, times: [1 ms, 3 ms], period: 2 ms", "times[1]", "3 ms lies after the period, 2 ms", "first"),
    ("spike_times, times: {file: t.csv}, period: 2 ms", "period", "a spike at 3 ms lies after the period", ""),
    ("spike_times, times: [1 ms], stop: 0.25 ms", "stop", "no whole number of steps", "use 0.2 ms"),
]  # fmt: skip
WRONG_COURSES = [
    ("ramp", "model", "unknown model 'ramp'", "known: steps, sine, file"),
    ("steps, times: [0 ms], rates: [1 Hz, 2 Hz]", "times", "differ in length: 1 and 2", "one rate per"),
    ("steps, times: [], rates: []", "times", "times is empty", "one time and one rate"),
    ("steps, times: [2 ms, 1 ms], rates: [1 Hz, 2 Hz]", "times[1]", "times must ascend", ""),
    ("steps, times: [1.25 ms], rates: [1 Hz]", "times[0]", "no whole number of steps", "use 1.2 ms"),
    ("steps, times: [0 ms], rates: [-1 Hz]", "rates[0]", "must not be negative", ""),
    ("steps, times: [0 ms, 1 ms], rates: [1 Hz, 20 kHz]", "rates[1]", "rate * dt is 2", "several"),
    ("sine, mean: 1 Hz, amplitude: 2 Hz, frequency: 1 Hz", "amplitude", "falls below 0", "at most mean"),
    ("sine, mean: -1 Hz, amplitude: 0 Hz, frequency: 1 Hz", "mean", "must not be negative", ""),
    ("sine, mean: 1 Hz, amplitude: 0 Hz, frequency: 0 Hz", "frequency", "must be positive", ""),
    ("sine, mean: 1 Hz, amplitude: 0 Hz, frequency: 6 kHz", "frequency", "less than two steps", "dt"),
    ("sine, mean: 6 kHz, amplitude: 5 kHz, frequency: 1 Hz", "amplitude", "rate * dt is 1.1", ""),
    ("sine, mean: 1 Hz, amplitude: 0 Hz", "", "frequency is missing", "add frequency: 4 Hz"),
    ("file, file: no.csv", "file", "there is no file", "relative to"),
    ("file, file: t.csv", "file", "t.csv has no column 'rate_Hz'", "it has neuron, time_ms"),
    ("file, file: off.csv", "file", "in line 3 of off.csv: 0.25 ms is no whole", "or off_grid: round"),
    ("file, file: back.csv", "file", "time_ms is 1 in line 3 of back.csv", "times ascend"),
    ("file, file: minus.csv", "file", "rate_Hz is -3 in line 3 of minus.csv", "must not be negative"),
    ("file, file: many.csv", "file", "rate_Hz is 20000 in line 2 of many.csv", "at most 10 kHz"),
    ("file, file: nan.csv", "file", "rate_Hz is nan in line 2 of nan.csv", "a finite number"),
]
WRONG += [(f"poisson, course: {{model: {line}}}", f"course.{where}".rstrip("."), *told) for line, where, *told in WRONG_COURSES]
FILES = {
    "t.csv": "neuron,time_ms\n0,1\n2,3\n",
    "off.csv": "time_ms,rate_Hz\n0,1\n0.25,3\n",
    "back.csv": "time_ms,rate_Hz\n1,1\n1,3\n",
    "minus.csv": "time_ms,rate_Hz\n1,1\n2,-3\n",
    "many.csv": "time_ms,rate_Hz\n1,20000\n2,3\n",
    "nan.csv": "time_ms,rate_Hz\n1,nan\n2,3\n",
}


@pytest.mark.parametrize(("line", "where", "message", "hint"), WRONG, ids=[f"{i} {row[1]}" for i, row in enumerate(WRONG)])
def test_a_mistake_is_told_where_it_is_and_with_what_to_write(tmp_path, line, where, message, hint):
    """By the check of the file, or by what reads its files and draws."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SpecError) as caught:
        network.build(load(tmp_path, sources(f"N: {{size: 9, model: {line}}}")).spec, tmp_path)
    (found,) = caught.value.faults
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in found.path)
    assert path.removeprefix(".populations.N").removeprefix(".") == where
    assert message in found.message and hint in found.hint, found


@pytest.mark.parametrize(
    ("rate", "path"),
    [
        ("poisson, rate: 2 kHz", ("rate",)),
        ("gamma, shape: 2, rate: 2 kHz", ("rate",)),
        ("poisson, course: {model: steps, times: [0 ms, 1 ms], rates: [1 Hz, 2 kHz]}", ("course", "rates", 1)),
        ("poisson, course: {model: sine, mean: 1 kHz, amplitude: 1 kHz, frequency: 1 Hz}", ("course", "amplitude")),
    ],
)
def test_rates_of_more_than_a_tenth_of_a_spike_per_step_are_told(tmp_path, rate, path):
    (warning,) = load(tmp_path, sources(f"N: {{size: 1, model: {rate}}}")).warnings
    assert warning.path == ("populations", "N", *path) and "rate * dt is 0.2: spikes that would share a step" in warning.message


def test_rates_of_a_file_are_told_when_it_is_read(tmp_path):
    (tmp_path / "c.csv").write_text("time_ms,rate_Hz\n0,2000\n")
    text = sources("N: {model: poisson, size: 1, course: {model: file, file: c.csv}}")
    loaded = load(tmp_path, text)
    assert not loaded.warnings
    (warning,) = network.build(loaded.spec, tmp_path).warnings
    assert warning.path == ("populations", "N", "course", "file") and "rate * dt is up to 0.2 in c.csv" in warning.message
    assert network.examine(loaded.spec, tmp_path).warnings == [warning]


def test_plans_and_estimates_know_the_sources(tmp_path):
    (tmp_path / "c.csv").write_text("time_ms,rate_Hz\n" + "\n".join(f"{t},1" for t in range(1000)) + "\n")
    text = ALL.replace("  P: {model: poisson, size: 40, rate: 100 Hz}", "  P: {model: poisson, size: 40, course: FILE}")
    spec = load(tmp_path, text.replace("FILE", "{model: file, file: c.csv}")).spec
    shown = "\n".join(outline.lines(outline.describe(spec, tmp_path)))
    assert all(f" {model} " in shown for model in ("regular", "gamma", "poisson", "spike_times"))
    without = load(tmp_path, ALL).spec
    assert estimate.estimate(spec, tmp_path).peak_bytes > estimate.estimate(without, tmp_path).peak_bytes
