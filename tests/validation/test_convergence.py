"""No error where the equations are linear, and one that halves with the step where there are conductances: convergence.py."""

import convergence
import numpy as np
import pytest


@pytest.fixture(scope="module")
def errors(fastest, tmp_path_factory):
    return convergence.errors(tmp_path_factory.mktemp("convergence"), fastest)


def test_the_reference_is_far_better_than_what_is_measured():
    coarse, fine = (convergence.with_conductances(substeps) for substeps in (64, 128))
    assert np.abs(coarse - fine).max() < 1e-11
    assert np.ptp(fine) > 5.0


@pytest.mark.parametrize("case", convergence.EXACT)
def test_linear_equations_are_solved_exactly_with_any_step(errors, case):
    """V in mV up to the rounding of some thousand steps."""
    assert max(errors[case]) < 1e-10


@pytest.mark.parametrize("case", convergence.FIRST_ORDER)
def test_conductances_are_first_order_in_the_step(errors, case):
    assert convergence.order(errors[case]) == pytest.approx(1.0, abs=0.02)
    assert 1e-3 < errors[case][-1] < errors[case][0] < 1.0
