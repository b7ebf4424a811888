"""float32 against float64: precision.py."""

import ensembles
import precision
import pytest
from networks import plan_of, run_plan


def test_rounding_stays_far_below_what_synapses_do(fastest, tmp_path):
    """V is rounded to a few nanovolts in each step; a synapse moves it by a tenth of a millivolt."""
    assert max(precision.rounding(tmp_path, fastest).values()) < 5e-5


def test_slow_variables_are_as_right_as_fast_ones(fastest, tmp_path):
    """From dt / tau of 0.01 to the slowest in float32, and beyond."""
    found = precision.slowness(tmp_path, fastest, 20_000, (0.01, 2.5e-4, 1e-5))
    assert [of.kept for of in found.values()] == ["float32", "float32", "float64"]
    for of in found.values():
        assert of.spikes >= len(precision.MARGINS)
        assert (of.miscounted, of.first) == (0, 0.0)
        assert max(of.expon, of.alpha, of.linear, of.frozen) < 1e-4


@pytest.mark.parametrize("name", ["einet", "cuba"])
def test_single_precision_follows_double_until_a_threshold_is_met_in_another_step(fastest, tmp_path, name):
    """The same network and nearly the same V, so the same first hundred spikes of each population."""
    changed = ensembles.text(name, 1).replace("duration: ", "duration: 60 ms  # instead of ")
    single, double = (
        run_plan(plan_of(tmp_path, f"{changed}precision: {kind}\n", kernel=fastest)).spikes for kind in ("float32", "float64")
    )
    for population, spikes in double.items():
        assert len(spikes) > 100
        assert single[population][:100] == spikes[:100]
