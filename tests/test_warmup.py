"""A warmup: the same run, of which monitors record what comes after it."""

import numpy as np
import pytest
from networks import load, run, states

from snnrun.document import SpecError
from snnrun.results import Results
from snnrun.view import View

NET = """
seed: 2
duration: 100 ms
WARMUP
populations:
  E: {size: 20, model: lif, tau: 20 ms, tau_ref: 2 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF, I_e: 130 pA}
  P: {size: 20, model: poisson, rate: 200 Hz, start: 10 ms}
projections:
  x: {pre: P, post: E, connect: {rule: fixed_prob, p: 0.5}, weight: 20 pA, synapse: {model: expon, tau: 5 ms},
      stdp: {model: pair, A_plus: 1 pA, A_minus: 1 pA, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 40 pA}}
monitors:
  s: {model: spikes, of: E}
  V: {model: state, of: E, variables: [V], every: 0.5 ms}
  r: {model: rate, of: E, bin: 10 ms}
  w: {model: weights, of: x, every: 10 ms}
  early: {model: state, of: E, variables: [V], start: 0 ms, every: 0.5 ms}
"""


def written(warmup=None):
    return NET.replace("WARMUP", "" if warmup is None else f"warmup: {warmup}")


def test_a_run_is_the_same_and_monitors_record_its_rest(tmp_path):
    plain, warm = run(tmp_path, written()), run(tmp_path, written("30 ms"))
    for (name, a), b in zip(states(plain).items(), states(warm).values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert warm.spikes == plain.spikes and {tap.first_step for tap in warm.plan.structure.taps} == {300}
    V, early = ("V", "E", "V"), ("early", "E", "V")
    np.testing.assert_array_equal(warm.samples[V], plain.samples[V][60:])
    np.testing.assert_array_equal(warm.samples[early], plain.samples[early])


def test_it_is_the_start_of_monitors_that_have_none(tmp_path):
    warm, given = load(tmp_path, written("30 ms")).spec, load(tmp_path, written()).spec
    assert {name: one.start for name, one in warm.monitors.items()} == {"s": 30, "V": 30, "r": 30, "w": 30, "early": 0}
    assert (warm.inputs, warm.projections, warm.populations) == (given.inputs, given.projections, given.populations)


def test_rates_and_pictures_are_of_the_rest(tmp_path):
    from typer.testing import CliRunner

    from snnrun.cli import app

    (tmp_path / "net.yaml").write_text(written("30 ms"))
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "net.yaml"), "-o", str(tmp_path / "r.h5"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with Results(tmp_path / "r.h5") as results:
        train = results.spikes("s")["E"]
        assert (train.start, train.stop) == (30, 100) and train.times.min() > 30
        assert train.rate == pytest.approx(len(train.times) / 20 / 0.07)
        assert results.rates("r")["E"].edges[0] == 30 and results.series("V")["E", "V"].times[0] == 30
        assert (View(results).start, View(results, start=0.0).start, View(results, stop=20.0).start) == (30, 0, 0)


@pytest.mark.parametrize(
    "warmup, where, message",
    [
        ("100 ms", "warmup", "takes the whole run"),
        ("-5 ms", "warmup", "must not be negative"),
        ("0.05 ms", "warmup", "no whole number of steps"),
        ("30 mV", "warmup", "is a voltage"),
    ],
)
def test_a_warmup_that_cannot_be_is_told_once(tmp_path, warmup, where, message):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, written(warmup))
    (fault,) = caught.value.faults
    assert fault.path == (where,) and message in fault.message


def test_a_monitor_that_would_stop_before_it_begins_is_told(tmp_path):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, written("30 ms").replace("s: {model: spikes, of: E}", "s: {model: spikes, of: E, stop: 20 ms}"))
    (fault,) = caught.value.faults
    assert fault.path == ("monitors", "s", "stop") and "after the warmup, at 30 ms" in fault.hint
