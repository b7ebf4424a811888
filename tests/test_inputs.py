"""Inputs that are held over a step: what they are at every t_k, what V makes of them, and the laws of their noise."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
from networks import Frames, assert_same_bits, plan_of, run_plan
from scipy import stats

from snnrun import check, engine, lower, snapshot
from snnrun.document import Override, SpecError
from snnrun.network import build

DT = 0.1


def network(inputs: str, monitors: str = "", size: int = 6, duration: str = "60 ms", more: str = "", **given: str) -> str:
    """Two populations that never fire, side by side, with some inputs."""
    neuron = "tau: 10 ms, V_rest: 0 mV, V_reset: -1 mV, V_th: 10 V, C: 250 pF"
    head = {"duration": duration, "precision": "float64", "seed": "4"} | given
    lines = [f"{key}: {value}" for key, value in head.items()]
    lines += ["populations:", f"  N: {{model: lif, size: {size}, {neuron}}}", f"  M: {{model: lif, size: 3, {neuron}}}"]
    lines += ["inputs:", textwrap.indent(textwrap.dedent(inputs).strip(), "  ")]
    lines += ["monitors:", "  V: {model: state, of: [N, M], variables: [V]}"]
    lines += [textwrap.indent(textwrap.dedent(monitors).strip(), "  ")] if monitors else []
    return "\n".join(lines) + "\n" + textwrap.dedent(more)


def run(tmp_path, text: str, **options):
    return run_plan(plan_of(tmp_path, text, **options))


def shown(tmp_path, inputs: str, of: str = "N", names: str = "x", **options):
    """What a monitor of inputs records, [steps, neurons], and V."""
    kernel = options.pop("kernel", "xla")
    text = network(inputs, f"i: {{model: input, of: {of}, receptors: [{names}]}}", **options)
    recorded = run(tmp_path, text, kernel=kernel)
    found = [recorded.samples["i", of.partition("[")[0], name] for name in names.split(", ")]
    return (found[0] if len(found) == 1 else found), recorded.samples["V", of.partition("[")[0], "V"]


def charged(currents):
    """V of those neurons from 0, for currents [steps, neurons] in pA that are held over each step."""
    V, found = np.zeros(currents.shape[1]), []
    for current in currents:
        found.append(V)
        V = V * np.exp(-DT / 10) + 10 / 250 * -np.expm1(-DT / 10) * current
    return np.array(found)


# ---- courses in time -------------------------------------------------------------------------------------------------

t = DT * np.arange(600)
WINDOW = (t >= 10 - 1e-9) & (t < 40 - 1e-9)

COURSES = {
    "constant": ("{model: constant, to: N, current: 70 pA, start: 10 ms, stop: 40 ms}", np.where(WINDOW, 70, 0)),
    "ramp": (
        "{model: ramp, to: N, initial: 20 pA, final: -80 pA, start: 10 ms, stop: 40 ms}",
        np.where(WINDOW, 20 - 100 * (t - 10) / 30, 0),
    ),
    "sine": (
        "{model: sine, to: N, mean: 5 pA, amplitude: 30 pA, frequency: 37 Hz, phase: 0.7, start: 10 ms, stop: 40 ms}",
        np.where(WINDOW, 5 + 30 * np.sin(2 * np.pi * 0.037 * t + 0.7), 0),
    ),
    "pulses": (
        "{model: pulses, to: N, amplitude: 30 pA, width: 2 ms, period: 7 ms, number: 3, start: 10 ms}",
        np.where((t > 9.95) & (t < 30.95) & ((t - 9.95) % 7 < 2), 30, 0),
    ),
    "pulses without end": (
        "{model: pulses, to: N, amplitude: 30 pA, width: 2 ms, period: 7 ms, start: 10 ms, stop: 40 ms}",
        np.where(WINDOW & ((t - 9.95) % 7 < 2), 30, 0),
    ),
    "pulses at times": (
        "{model: pulses, to: N, amplitude: 30 pA, width: 2 ms, times: [3 ms, 5 ms, 39 ms], stop: 40 ms}",
        np.where(((t > 2.95) & (t < 6.95)) | ((t > 38.95) & (t < 39.95)), 30, 0),
    ),
    "steps": (
        "{model: steps, to: N, times: [3 ms, 20 ms], currents: [10 pA, -5 pA], stop: 40 ms}",
        np.where(t > 39.95, 0, np.where(t > 19.95, -5, np.where(t > 2.95, 10, 0))),
    ),
}


def courses(to: str = "N") -> str:
    """All of them at once."""
    return "\n".join(f"x{i}: {text.replace('to: N', f'to: {to}')}" for i, (text, _) in enumerate(COURSES.values()))


NAMES = ", ".join(f"x{i}" for i in range(len(COURSES)))


def wanted(neurons: int):
    """What they are, for each one [steps, neurons]."""
    return [np.repeat(values[:, None], neurons, axis=1) for _, values in COURSES.values()]


def test_an_input_has_at_every_step_the_value_of_its_beginning(tmp_path, kernel):
    found, V = shown(tmp_path, courses(), names=NAMES, kernel=kernel)
    for name, values, right in zip(COURSES, found, wanted(6), strict=True):
        np.testing.assert_allclose(values, right, rtol=1e-13, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(V, charged(np.sum(found, axis=0)), rtol=1e-11, atol=1e-12)


def test_an_input_goes_to_its_neurons_alone(tmp_path):
    found, _ = shown(tmp_path, courses('["N[1:3]", "N[5]", M]'), names=NAMES)
    for name, values, right in zip(COURSES, found, wanted(3), strict=True):
        assert not values[:, [0, 3, 4]].any(), name
        np.testing.assert_allclose(values[:, [1, 2, 5]], right, rtol=1e-13, atol=1e-12, err_msg=name)


def test_an_input_in_float32_is_right_to_its_rounding(tmp_path):
    found, _ = shown(tmp_path, courses(), names=NAMES, precision="float32")
    for name, values, right in zip(COURSES, found, wanted(6), strict=True):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, right, rtol=1e-5, atol=3e-5, err_msg=name)


def test_what_is_drawn_belongs_to_the_neuron(tmp_path):
    """Whatever slice is addressed, and for every part of a sine."""
    sine = """
        x: {model: sine, to: TO, amplitude: {normal: {mean: 50 pA, std: 10 pA}}, frequency: {uniform: {low: 10 Hz, high: 40 Hz}},
            phase: {uniform: {low: 0, high: 6}}, mean: {normal: {mean: 0 pA, std: 10 pA}}}
        """
    whole, _ = shown(tmp_path, sine.replace("TO", "N"))
    assert len(np.unique(whole[0])) == 6
    some, _ = shown(tmp_path, sine.replace("TO", '"N[2:4]"'))
    np.testing.assert_array_equal(some[:, 2:4], whole[:, 2:4])


def test_the_phase_of_a_sine_is_not_lost_in_a_long_run():
    from snnrun.lazy import jnp
    from snnrun.models.inputs import sine

    step, turn = 10**15, 0.0123456789
    at = sine.of_a_turn(0.25) + sine.of_a_turn(turn) * np.array([step], np.uint64)
    exact = (int(turn * 2**64) * step + 2**62) % 2**64 / 2**64  # the rate as a double, exactly
    assert sine.sine_of(at, jnp.float64(0))[0] == pytest.approx(np.sin(2 * np.pi * exact), abs=1e-12)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_sine_is_right_to_the_rounding_all_around_its_turn(kind):
    from snnrun.lazy import jnp
    from snnrun.models.inputs import sine

    at = np.arange(0, 2**64, 2**51 - 12345, dtype=np.uint64)
    at = np.concatenate([at, np.uint64(2**62) * np.arange(4, dtype=np.uint64)])
    found = np.asarray(sine.sine_of(at, jnp.zeros((), kind)), np.float64)
    np.testing.assert_allclose(
        found, np.sin(at.astype(np.longdouble) / 2**63 * np.pi), atol={"float32": 4e-7, "float64": 2e-15}[kind]
    )


def test_a_membrane_follows_a_sine_with_its_amplitude_and_its_lag(tmp_path):
    """V = R amplitude sin(w t - atan(w tau)) / sqrt(1 + (w tau)**2), and first order in dt beside that."""
    _, V = shown(tmp_path, "x: {model: sine, to: N, amplitude: 100 pA, frequency: 20 Hz}", duration="300 ms")
    time, w = DT * np.arange(3000), 2 * np.pi * 0.02
    wanted = 100 * 0.04 / np.hypot(1, w * 10) * np.sin(w * (time - DT / 2) - np.arctan(w * 10))
    np.testing.assert_allclose(V[1500:, 0], wanted[1500:], atol=2e-4)


def test_inputs_add_up_in_any_order_of_kinds_on_populations_side_by_side(tmp_path, kernel):
    inputs = """
        a: {model: sine, to: [N, M], amplitude: 30 pA, frequency: 20 Hz}
        b: {model: pulses, to: M, amplitude: {uniform: {low: 10 pA, high: 20 pA}}, width: 2 ms, period: 7 ms}
        c: {model: ramp, to: [N, "M[1:]"], initial: 0 pA, final: 30 pA, stop: 50 ms}
        d: {model: steps, to: N, times: [3 ms], currents: [10 pA]}
        e: {model: sine, to: "N[:2]", amplitude: 10 pA, frequency: 80 Hz}
        f: {model: constant, to: M, current: 5 pA}
        g: {model: white_noise, to: M, std: 5 pA}
        """
    for of, names in (("N", "a, c, d, e"), ("M", "a, b, c, f, g")):
        found, V = shown(tmp_path, inputs, of=of, names=names, kernel=kernel)
        np.testing.assert_allclose(V, charged(np.sum(found, axis=0)), rtol=1e-11, atol=1e-12)


# ---- waveforms -------------------------------------------------------------------------------------------------------


def points(tmp_path, rows: str, name: str = "wave.csv") -> None:
    (tmp_path / name).write_text(textwrap.dedent(rows).strip() + "\n")


def test_a_waveform_holds_its_values_or_goes_along_lines_between_times_on_and_off_the_grid(tmp_path):
    times, values = np.array([2.0, 5.03, 5.05, 5.55, 20.0]), np.array([10.0, -4.0, 7.0, 2.5, 30.0])
    np.savez(tmp_path / "wave.npz", time_ms=times, current_pA=values)
    held, _ = shown(tmp_path, "x: {model: waveform, to: N, file: wave.npz, stop: 40 ms}")
    past = np.searchsorted(times, t + 1e-9, side="right")
    wanted = np.where((past > 0) & (t < 39.95), values[past - 1], 0.0)
    np.testing.assert_array_equal(held, np.repeat(wanted[:, None], 6, axis=1))
    text = "x: {model: waveform, to: N, file: wave.npz, interpolation: linear, scale: -2, stop: 40 ms}"
    lines, _ = shown(tmp_path, text)
    wanted = -2 * np.where((t > 1.95) & (t < 39.95), np.interp(t, times, values), 0.0)
    np.testing.assert_allclose(lines, np.repeat(wanted[:, None], 6, axis=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("interpolation", ["constant", "linear"])
def test_a_waveform_comes_again_after_its_period(tmp_path, interpolation):
    points(tmp_path, "time_ms,current_nA\n1,0.1\n4,0.3\n")
    text = f"x: {{model: waveform, to: N, file: wave.csv, period: 10 ms, interpolation: {interpolation}}}"
    found, _ = shown(tmp_path, text)
    assert found[:100].any()
    np.testing.assert_array_equal(found, np.tile(found[:100], (6, 1)))


@pytest.mark.parametrize("common", [True, False], ids=["one grid", "own times"])
def test_targets_have_waveforms_of_their_own(tmp_path, common, kernel):
    """As if each had an input of its own; in any order of the rows."""
    rng = np.random.default_rng(3)
    own = {n: np.sort(rng.choice(500, 40, replace=False)) * 0.1 for n in (0, 1, 2, 4)}
    own = dict.fromkeys(own, own[0]) if common else own | {4: own[4][:7]}
    values = {n: rng.normal(0, 50, len(times)) for n, times in own.items()}
    neuron = np.repeat(list(own), [len(times) for times in own.values()])
    time, value = (np.concatenate(list(of.values())) for of in (own, values))
    order = rng.permutation(len(time)) if not common else np.arange(len(time))
    order = order[np.lexsort((time[order],))]  # ascending for each neuron
    np.savez(tmp_path / "wave.npz", neuron=neuron[order], time_ms=time[order], current_pA=value[order])
    text = 'x: {model: waveform, to: ["M[1:]", "N[:3]"], file: wave.npz, interpolation: linear}'
    of_N, V = shown(tmp_path, text, kernel=kernel)
    of_M, _ = shown(tmp_path, text, of="M", kernel=kernel)
    for target, found in ((0, of_M[:, 1]), (1, of_M[:, 2]), (2, of_N[:, 0]), (4, of_N[:, 2])):
        wanted = np.where(t > own[target][0] - 1e-9, np.interp(t, own[target], values[target]), 0)
        np.testing.assert_allclose(found, wanted, atol=1e-11)
    assert not of_N[:, [1, 3, 4, 5]].any() and not of_M[:, 0].any()
    np.testing.assert_allclose(V, charged(of_N), rtol=1e-12, atol=1e-12)


# ---- conductances ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["linear", "frozen"])
def test_a_conductance_drives_V_to_its_reversal_potential(tmp_path, method, kernel):
    text = network(
        """
        g: {model: constant, to: N, conductance: 50 nS, output: {model: coba, E: -20 mV}, start: 5 ms}
        s: {model: sine, to: N, mean: 10 nS, amplitude: 10 nS, frequency: 20 Hz, output: {model: coba, E: {normal: {mean: 30 mV,
            std: 2 mV}}}}
        """,
        "i: {model: input, of: N, receptors: [g, s]}",
    ).replace("C: 250 pF", f"C: 250 pF, conductance: {method}")
    recorded = run(tmp_path, text, kernel=kernel)
    V, g, s = (recorded.samples[key] for key in (("V", "N", "V"), ("i", "N", "g"), ("i", "N", "s")))
    E = V[100] + s[100] / (10 + 10 * np.sin(2 * np.pi * 0.02 * 10))
    assert len(np.unique(E.round(6))) == 6
    G_s, G_g = (10 + 10 * np.sin(2 * np.pi * 0.02 * t))[:, None], np.where(t > 4.95, 50, 0)[:, None]
    np.testing.assert_allclose(g, G_g * (-20 - V), atol=1e-9)
    v, found = np.zeros(6), []
    for a, b in zip(G_s, G_g, strict=True):
        found.append(v)
        if method == "linear":
            G = 25 + a + b
            v_inf = (a * E + b * -20) / G
            v = v_inf + (v - v_inf) * np.exp(-DT * G / 250)
        else:
            v = v * np.exp(-DT / 10) - 0.04 * np.expm1(-DT / 10) * (a * (E - v) + b * (-20 - v))
    np.testing.assert_allclose(V, found, atol=1e-7)


def test_a_constant_conductance_is_a_smaller_membrane(tmp_path):
    """V_inf = g E / (g_L + g), tau = C / (g_L + g)."""
    _, V = shown(tmp_path, "x: {model: constant, to: N, conductance: 75 nS, output: {model: coba, E: 40 mV}}")
    np.testing.assert_allclose(V[:, 0], 30 * -np.expm1(-t / 2.5), rtol=1e-11)


def test_a_conductance_that_is_noise_is_never_negative(tmp_path):
    """The law is the normal one, cut off at 0: the point conductance of Destexhe et al."""
    text = "x: {model: NOISE, to: N, mean: 1 nS, std: 2 nS, output: {model: coba, E: 0 V}}"
    for noise in ("white_noise", "ou_noise, tau: 0.5 ms"):
        one = text.replace("NOISE", noise) + "\ndown: {model: constant, to: N, current: -5 nA}"
        current, V = shown(tmp_path, one, size=200)
        g = current[100:] / -V[100:]
        assert g.min() == 0
        assert np.mean(g == 0) == pytest.approx(stats.norm.cdf(-0.5), abs=0.01)
        cut = stats.norm(1, 2).expect(lambda x: x, lb=0)
        assert g.mean() == pytest.approx(cut, rel=0.02)


def test_point_conductances_make_the_mean_and_the_fluctuations_of_V_that_they_should(native):
    """To first order in the fluctuations; the configuration of Destexhe et al., which must not fire for this."""
    configs = Path(__file__).parents[1] / "configs"
    given = [Override(("populations", "N", "V_th"), "0 mV", "here"), Override(("duration",), "1 s", "here")]
    spec = check.load(configs / "point_conductance.yaml", given).spec
    recorded = run_plan(lower.lower(build(spec, configs), kernel="native"))
    g, std, tau, E = (np.array(values) for values in ([12.1, 57.3], [3.0, 6.6], [2.728, 10.49], [0.0, -75.0]))
    leak = 346 / 22.18
    G = leak + g.sum()
    mean = (leak * -80 + (g * E).sum()) / G
    spread = np.sqrt(((std * (E - mean) / G) ** 2 * tau / (tau + 346 / G)).sum())
    V = next(iter(recorded.samples.values()))[200:]
    assert V.mean() == pytest.approx(mean, abs=0.15) and V.std() == pytest.approx(spread, rel=0.1)


# ---- noise -----------------------------------------------------------------------------------------------------------


def correlations(values):
    """Mean correlation of different columns."""
    found = np.corrcoef(values.T)
    return found[np.triu_indices(len(found), 1)].mean()


@pytest.mark.parametrize("c", [0.0, 0.3, 1.0])
def test_white_noise_has_its_law(tmp_path, c):
    text = f"x: {{model: white_noise, to: [N, M], mean: 20 pA, std: 50 pA, every: 0.3 ms, start: 0.2 ms, correlation: {c}}}"
    recorded = run(tmp_path, network(text, "i: {model: input, of: [N, M], receptors: [x]}", size=64, duration="3 s"))
    found, of_M, V = (recorded.samples[key] for key in (("i", "N", "x"), ("i", "M", "x"), ("V", "N", "V")))
    assert not found[:2].any()
    values = found[2::3]
    for later in (1, 2):
        rest = found[2 + later :: 3]
        np.testing.assert_array_equal(values[: len(rest)], rest)
    count = values.shape[0] / (c + (1 - c) / 64)  # of independent numbers
    assert values.mean() == pytest.approx(20, abs=4 * 50 / np.sqrt(count))
    assert values.std() == pytest.approx(50, rel=4 / np.sqrt(2 * count))
    assert stats.kstest((values[:, 0] - 20) / 50, "norm").pvalue > 1e-4
    assert correlations(values) == pytest.approx(c, abs=0.01)
    assert correlations(np.concatenate([values[:, :3], of_M[2::3]], axis=1)) == pytest.approx(c, abs=0.03)  # over populations
    deviation = values - 20
    assert np.mean(deviation[1:] * deviation[:-1]) / 2500 == pytest.approx(0, abs=4 / np.sqrt(count))
    np.testing.assert_allclose(V, charged(found), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("every", [None, "0.7 ms"])
def test_sigma_is_the_strength_of_the_noise_on_the_membrane(tmp_path, every):
    """V has the standard deviation sigma / sqrt(2), whatever tau, R and how often there are new values."""
    held = "" if every is None else f", every: {every}"
    text = network(f"x: {{model: white_noise, to: [N, M], sigma: 4 mV{held}}}", size=400, duration="400 ms")
    text = text.replace("tau: 10 ms", "tau: {uniform: {low: 3 ms, high: 20 ms}}")
    V = run(tmp_path, text).samples["V", "N", "V"][1000 :: 1 if every is None else 7]
    assert V.std() == pytest.approx(4 / np.sqrt(2), rel=0.03)


def test_the_variance_that_white_noise_makes_of_V(tmp_path):
    """V has the variance (R std)**2 tanh(h / (2 tau)), as follows from V <- P V + (1 - P) R std xi."""
    _, V = shown(tmp_path, "x: {model: white_noise, to: N, std: 100 pA}", size=500, duration="300 ms")
    assert V[1000:].std() == pytest.approx(100 * 0.04 * np.sqrt(np.tanh(DT / 20)), rel=0.03)


@pytest.mark.parametrize("c", [0.0, 0.3, 1.0])
def test_ou_noise_has_its_law_from_the_first_step_on(tmp_path, c):
    text = f"x: {{model: ou_noise, to: [N, M], mean: -10 pA, std: 40 pA, tau: 2 ms, correlation: {c}}}"
    found, V = shown(tmp_path, text, size=64, duration="3 s")
    count = 3000 / 4 / (c + (1 - c) / 64)  # of independent numbers, about
    assert found.mean() == pytest.approx(-10, abs=4 * 40 / np.sqrt(count))
    assert found.std() == pytest.approx(40, rel=4 / np.sqrt(count))
    y = (found + 10) / 40
    for lag in (1, 10, 40):
        assert np.mean(y[lag:] * y[:-lag]) == pytest.approx(np.exp(-lag * DT / 2), abs=4 / np.sqrt(count))
    assert correlations(found) == pytest.approx(c, abs=0.02)
    np.testing.assert_allclose(V, charged(found), rtol=1e-10, atol=1e-10)


def test_ou_noise_begins_in_its_stationary_law(tmp_path):
    for c, spread in ((0, 40), (0.5, 40 * np.sqrt(0.5))):  # of the neurons around what they share
        text = f"x: {{model: ou_noise, to: N, std: 40 pA, tau: 1 s, correlation: {c}}}"
        found, _ = shown(tmp_path, text, size=4000, duration="0.2 ms")
        assert found[0].std() == pytest.approx(spread, rel=0.05)
    plans = [plan_of(tmp_path, network(text, size=1, seed=str(seed))) for seed in range(200)]
    assert np.std([plan.begun[0]["y"][0] for plan in plans]) == pytest.approx(40, rel=0.2)


def test_the_variance_that_ou_noise_makes_of_V(tmp_path):
    """(R std)**2 tau_s / (tau + tau_s), in the limit of small steps."""
    _, V = shown(tmp_path, "x: {model: ou_noise, to: N, std: 100 pA, tau: 5 ms}", size=600, duration="400 ms")
    assert V[1500:].std() == pytest.approx(100 * 0.04 * np.sqrt(5 / 15), rel=0.03)


NOISY = """
    w: {model: white_noise, to: [N, M], std: 5 nA, every: 0.5 ms, correlation: 0.2}
    o: {model: ou_noise, to: ["N[2:]", M], mean: 3 nA, std: 4 nA, tau: 3 ms, correlation: 0.5}
    g: {model: ou_noise, to: "N[:40]", mean: 3 nS, std: 4 nS, tau: {uniform: {low: 1 ms, high: 5 ms}},
        output: {model: coba, E: 0 mV}}
    s: {model: ou_noise, to: M, std: 1 nA, tau: 3 s}
    """


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_noise_has_the_same_bits_on_both_kernels_in_any_chunks_and_with_any_monitors(tmp_path, native, precision):
    monitors = "i: {model: input, of: M, receptors: [w, o, s]}\nall: {model: spikes, of: [N, M]}"
    text = network(NOISY, monitors, size=100, precision=precision).replace("V_th: 10 V", "V_th: 5 mV")
    whole = run(tmp_path, text, kernel="native")
    assert len(whole.spikes["N"]) > 100
    assert_same_bits(run(tmp_path, text, kernel="xla"), whole)
    pieces = run_plan(plan_of(tmp_path, text, kernel="native", threads=2), 7, [1, 250, 349])
    assert_same_bits(pieces, whole)
    bare = "\n".join(line for line in text.splitlines() if "model: input" not in line)
    assert_same_bits(run(tmp_path, bare, kernel="native"), whole, watched=False)
    alone = text.replace("[N, M]", "N").replace('["N[2:]", M]', '"N[2:]"')
    alone = "\n".join(line for line in alone.splitlines() if not line.startswith(("  M:", "  s:")) and "model: input" not in line)
    without = run(tmp_path, alone, kernel="native")
    assert without.spikes["N"] == whole.spikes["N"]
    np.testing.assert_array_equal(without.samples["V", "N", "V"], whole.samples["V", "N", "V"])


def test_a_run_goes_on_from_a_snapshot_with_its_noise(tmp_path, native):
    plan = plan_of(tmp_path, network(NOISY, size=100), kernel="native")
    whole, sink = run_plan(plan), Frames()
    kept = snapshot.take(plan, engine.simulate(plan, engine.init(plan), 217, sink))
    assert {"N/o.y", "M/o.y", "N/g.y", "M/s.y"} <= set(kept.variables) and "M/g.y" not in kept.variables
    other = plan_of(tmp_path, network(NOISY, size=100), kernel="xla")
    end = engine.simulate(other, snapshot.restore(other, kept), 600 - 217, sink)
    assert_same_bits(whole._replace(state=end, plan=other), whole, watched=False)


def test_what_is_slow_is_kept_in_float64(tmp_path):
    plan = plan_of(tmp_path, network(NOISY, size=100, precision="float32"))
    slow = [place.name for place in plan.structure.inputs if plan.program.layers[place.layer].precision == "float64"]
    assert slow == ["s"] and len(plan.program.layers) > 3


def test_constant_currents_are_part_of_the_constant_current_and_shown_all_the_same(tmp_path):
    text = "x: {model: constant, to: N, current: {uniform: {low: 5 pA, high: 50 pA}}}\ny: {model: constant, to: N, current: 3 pA}"
    found, V = shown(tmp_path, text)
    assert len(np.unique(found[0])) == 6 and (found == found[0]).all()
    np.testing.assert_allclose(V, charged(found + 3), rtol=1e-12)
    plan = plan_of(tmp_path, network(text))
    assert not plan.program.layers


# ---- what is wrong ---------------------------------------------------------------------------------------------------

WRONG = [
    ("x: {model: ramp, to: N, initial: 0 pA, final: 5 pA}", "stop is missing", ()),
    ("x: {model: ramp, to: N, initial: 0 pA, final: 5 mV, stop: 5 ms}", "a current is wanted", ("final",)),
    ("x: {model: ramp, to: N, initial: 0 nS, final: 5 pA, stop: 5 ms}", "a current is wanted", ("initial",)),
    ("x: {model: ramp, to: N, initial: 0, final: 5 pA, stop: 5 ms}", "needs a unit", ("initial",)),
    ("x: {model: constant, to: N, conductance: 5 nS}", "wants a current", ("conductance",)),
    ("x: {model: constant, to: N, current: 5 pA, output: {model: coba, E: 0 V}}", "wants a conductance", ("current",)),
    ("x: {model: constant, to: N}", "current or conductance is missing", ()),
    ("x: {model: constant, to: N, current: 5 pA, conductance: 5 nS}", "both given", ("conductance",)),
    ("x: {model: constant, to: N, conductance: -5 nS, output: {model: coba, E: 0 V}}", "becomes negative", ()),
    ("x: {model: sine, to: N, amplitude: 5 nS, frequency: 9 Hz, output: {model: coba, E: 0 V}}", "becomes negative", ()),
    ("x: {model: sine, to: N, amplitude: 5 pA, frequency: 0 Hz}", "frequency must be positive", ("frequency",)),
    ("x: {model: sine, to: N, amplitude: 5 pA, frequency: 6 kHz}", "less than two steps", ("frequency",)),
    ("x: {model: pulses, to: N, amplitude: 5 pA, width: 2 ms}", "period or times is missing", ()),
    ("x: {model: pulses, to: N, amplitude: 5 pA, width: 2 ms, period: 1 ms}", "longer than the period", ("width",)),
    ("x: {model: pulses, to: N, amplitude: 5 pA, width: 2 ms, times: [1 ms, 2 ms]}", "before the one before", ("times", 1)),
    ("x: {model: pulses, to: N, amplitude: 5 pA, width: 2 ms, times: [1 ms], number: 2}", "how many pulses", ("number",)),
    ("x: {model: white_noise, to: N, std: -5 pA}", "std must not be negative", ("std",)),
    ("x: {model: white_noise, to: N}", "std or sigma is missing", ()),
    ("x: {model: white_noise, to: N, std: 5 pA, correlation: 1.2}", "not allowed here", ("correlation",)),
    ("x: {model: ou_noise, to: N, std: 5 pA, tau: 0 ms}", "tau must be positive", ("tau",)),
    ("x: {model: waveform, to: N, file: none.csv}", "there is no file", ("file",)),
    ("x: {model: waveform, to: N, file: wave.csv, output: {model: coba, E: 0 V}}", "no columns of conductances", ("file",)),
    ("x: {model: waveform, to: N, file: table.csv}", "no column with values", ("file",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "path"), WRONG, ids=[row[1] + f" {i}" for i, row in enumerate(WRONG)])
def test_a_mistake_is_told_where_it_stands(tmp_path, text, message, path):
    points(tmp_path, "time_ms,current_pA\n1,5\n")
    points(tmp_path, "time_ms,V_mV\n1,5\n", "table.csv")
    with pytest.raises(SpecError) as error:
        plan_of(tmp_path, network(text))
    assert [(f.path, message in f.message) for f in error.value.faults] == [(("inputs", "x", *path), True)], error.value.faults


FILES = {
    "5,1\n4,2\n": "time_ms is 4 in line 3",
    "5,1\n5,2\n": "time_ms is 5 in line 3",
    "-1,1\n": "time_ms is -1 in line 2",
    "1,nan\n": "current_pA is nan in line 2",
    "25,1\n": "time_ms is 25 in line 2",
}


@pytest.mark.parametrize("rows", FILES)
def test_a_faulty_file_is_told_with_its_line(tmp_path, rows):
    points(tmp_path, "time_ms,current_pA\n" + rows)
    with pytest.raises(SpecError) as error:
        plan_of(tmp_path, network("x: {model: waveform, to: N, file: wave.csv, period: 20 ms}"))
    (fault,) = error.value.faults
    assert fault.path == ("inputs", "x", "file") and FILES[rows] in fault.message


def test_drawn_conductances_that_would_be_negative_are_refused(tmp_path):
    text = "x: {model: constant, to: N, conductance: {normal: {mean: 1 nS, std: 5 nS}}, output: {model: coba, E: 0 V}}"
    with pytest.raises(SpecError, match="becomes negative"):
        plan_of(tmp_path, network(text, size=50))
    points(tmp_path, "time_ms,conductance_nS\n1,-5\n")
    with pytest.raises(SpecError, match="conductance_nS is -5 in line 2"):
        plan_of(tmp_path, network("x: {model: waveform, to: N, file: wave.csv, output: {model: coba, E: 0 V}}"))


def test_sigma_needs_a_membrane_and_a_conductance_needs_V(tmp_path):
    for neuron, text, message in (
        ("izhikevich", "x: {model: white_noise, to: H, sigma: 5 mV}", "no tau and R"),
        ("lif, solver: exact", "x: {model: constant, to: N, conductance: 5 nS, output: {model: coba, E: 0 V}}", "exactly"),
    ):
        found = network(text)
        found = (
            found.replace("inputs:", f"  H: {{model: {neuron}, size: 2}}\ninputs:")
            if neuron == "izhikevich"
            else found.replace("lif", neuron)
        )
        (tmp_path / "net.yaml").write_text(found)
        with pytest.raises(SpecError, match=message):
            check.load(tmp_path / "net.yaml")
