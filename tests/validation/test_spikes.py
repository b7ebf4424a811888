"""Every spike of NEST, Brian2 and BrainPy, to the step, on the networks in cases/; spikes.py says how."""

from typing import Any

import numpy as np
import pytest
import spikes
from references import processes

REMAKE = "the network is not the one that was compared: python scripts/validate.py spikes"


@pytest.fixture(scope="module")
def ours() -> dict[tuple[str, str], spikes.Recorded]:
    """Runs of snnrun by case and kernel, each made once."""
    return {}


def run(ours, case, kernel):
    if (case, kernel) not in ours:
        ours[case, kernel] = spikes.ours(case, kernel)
    return ours[case, kernel]


def assert_equal(a: spikes.Recorded, b: spikes.Recorded) -> None:
    found = spikes.compare(a, b)
    assert found.first is None, f"{found.ours} and {found.theirs} spikes, which differ from step {found.first} on"
    np.testing.assert_array_equal(a.step, b.step)
    np.testing.assert_array_equal(a.neuron, b.neuron)
    assert found.voltage < spikes.VOLTAGE


@pytest.mark.parametrize(("case", "simulator"), spikes.PAIRS)
def test_spikes_are_those_of_another_simulator(ours, kernel, case, simulator):
    theirs, _, drawn = spikes.stored(case, simulator)
    assert spikes.digest(spikes.described(case)) == drawn, REMAKE
    assert_equal(run(ours, case, kernel), theirs)


@pytest.mark.parametrize("case", spikes.COMPARED)
def test_a_comparison_covers_a_second_and_thousands_of_spikes(case):
    """Irregular ones of nearly all neurons."""
    description = spikes.described(case)
    assert description["steps"] * description["dt"] >= 1000.0
    theirs, _, _ = spikes.stored(case, spikes.COMPARED[case][0])
    assert len(theirs.step) > 2000
    assert len(np.unique(theirs.neuron)) > 0.9 * description["populations"][0]["size"]
    assert theirs.step.max() > 9_900
    busiest = np.bincount(theirs.neuron).argmax()
    assert len(np.unique(np.diff(theirs.step[theirs.neuron == busiest]))) > 5


def test_a_comparison_sees_one_spike_that_moved_by_a_step_and_one_that_is_lost():
    theirs, _, _ = spikes.stored("delta", "nest")
    moved = theirs.step.copy()
    moved[1234] += 1
    assert spikes.compare(theirs._replace(step=moved), theirs).first == theirs.step[1234]
    lost = theirs._replace(step=np.delete(theirs.step, 1234), neuron=np.delete(theirs.neuron, 1234))
    assert spikes.compare(lost, theirs).first == theirs.step[1234]


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("delta", {"populations.N.tau_ref": "2.1 ms"}),
        ("expon", {"projections.exc.delay": "{uniform: {low: 0.2 ms, high: 2.6 ms}}"}),
        ("coba", {"populations.N.conductance": "frozen"}),
        ("alpha", {"projections.exc.synapse.normalize": "area"}),
    ],
    ids=["refractory period", "delay", "scheme", "weight"],
)
def test_a_comparison_sees_what_another_convention_would_change(native, case, change: dict[str, Any]):
    """Each of these is how some simulator differs from another; none of them goes unnoticed for 100 ms."""
    theirs, _, _ = spikes.stored(case, spikes.COMPARED[case][0])
    found = spikes.compare(spikes.ours(case, "native", **change), theirs)
    assert found.first is not None and found.first < 1000


@pytest.mark.peers
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize(("case", "simulator"), spikes.PAIRS)
def test_spikes_are_those_of_a_simulator_that_is_installed(native, tmp_path, case, simulator, seed):
    """Other neurons and other synapses than in the stored comparison."""
    python = processes.installed(simulator)
    if python is None:
        pytest.skip(f"{processes.NAMES[simulator]} is not in {processes.ENVIRONMENTS}")
    theirs, _, _ = spikes.theirs(case, simulator, python, tmp_path, seed=seed)
    assert len(theirs.step) > 2000
    assert_equal(spikes.ours(case, "native", seed=seed), theirs)
