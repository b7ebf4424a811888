"""Rates under noise against mean-field theory: theory.py."""

import math

import ensembles
import measures
import numpy as np
import page
import pytest
import theory


def test_the_formula_of_siegert_has_its_limits():
    """Far above threshold the noise does not matter; the published rates of Brunel's network are those of its formula."""
    mu, V_reset = 60.0, 10.0
    period = theory.TAU_REF + theory.TAU * math.log((mu - V_reset) / (mu - theory.V_TH))
    assert theory.siegert(mu, 0.3, V_reset) == pytest.approx(1 / period, rel=1e-3)
    assert theory.siegert(-20.0, 2.0, V_reset) < 1e-12
    for g, external, rate in ((6, 40, 55.8), (5, 20, 38.0), (4.5, 9, 6.5)):  # Brunel (2000), regimes B, C and D
        assert theory.brunel(g, external, 10.0) * 1e3 == pytest.approx(rate, abs=0.06)


def test_the_asynchronous_network_of_brunel_fires_as_theory_says():
    """Its stored seeds, to 1 %."""
    rates = page.stored()["ensembles"][theory.ASYNCHRONOUS]["snnrun"]["groups"]["E"]["numbers"]["rate"]
    predicted = theory.brunel(*ensembles.REGIMES[theory.ASYNCHRONOUS], 10.0, 0.1) * 1e3
    assert abs(np.mean(rates) - predicted) < measures.tolerance(rates) < 0.02 * predicted


@pytest.mark.parametrize("dt", [0.4, 0.2, 0.1, 0.05])
def test_neurons_under_noise_fire_as_theory_says(fastest, tmp_path, dt):
    """To five standard errors, some 2 %, where the step alone makes 6 %."""
    found = theory.driven(tmp_path, dt, 1700.0, 4000, fastest)
    assert abs(found.rate - found.grid) < 5 * found.error
    assert found.limit - found.rate > 5 * found.error  # so a theory without steps is refuted
