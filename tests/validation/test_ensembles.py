"""Statistics of networks against those of other simulators, as stored: ensembles.py and measures.py."""

import ensembles
import measures
import numpy as np
import page
import potjans_diesmann
import pytest
from networks import plan_of, run_plan

SEEDS = (101, 102, 103)  # none of those that are stored
STORED = page.stored().get("ensembles", {})
NETWORKS = [name for name in ensembles.NETWORKS if name not in ensembles.FULL_SCALE]


def poisson(rng, size, span, rate):
    number = rng.poisson(rate * span * 1e-3, size)
    neurons = np.repeat(np.arange(size), number)
    return measures.trains(np.ceil(rng.uniform(0, span, len(neurons)) * 10), neurons, 0.1, 0, size, 0.0, span)


def test_independent_poisson_trains_have_the_statistics_that_they_should():
    found = measures.measure(poisson(np.random.default_rng(0), 400, 50_000.0, 20.0)).numbers
    assert found["rate"] == pytest.approx(20.0, rel=0.01)
    assert found["spread of rates"] == pytest.approx(np.sqrt(20.0 / 50.0), rel=0.15)
    assert found["cv"] == pytest.approx(1.0, abs=0.01)
    assert found["correlation"] == pytest.approx(0.0, abs=1e-3)
    assert found["synchrony"] == pytest.approx(1.0, abs=0.05)


def test_common_spikes_are_seen_as_correlation_and_synchrony():
    """Half of the spikes of all 100 neurons are common to all."""
    rng = np.random.default_rng(1)
    own, common = poisson(rng, 100, 20_000.0, 10.0), poisson(rng, 1, 20_000.0, 10.0)
    times = np.concatenate([own.times, np.tile(common.times, 100)])
    neurons = np.concatenate([own.neurons, np.repeat(np.arange(100), len(common.times))])
    found = measures.measure(measures.trains(np.rint(times * 10), neurons, 0.1, 0, 100, 0.0, 20_000.0)).numbers
    assert found["correlation"] == pytest.approx(0.5, abs=0.05)
    assert found["synchrony"] == pytest.approx(50.5, rel=0.1)  # (100 + 100**2) / 2 over 100


def test_regular_trains_have_no_variation_and_few_spikes_no_interval():
    step, neuron = np.tile(np.arange(1, 10) * 100, 2), np.repeat([0, 1], 9)
    regular = measures.trains(np.append(step, 50), np.append(neuron, 2), 0.1, 0, 3, 0.0, 100.0)
    assert measures.irregularity(regular).tolist() == [0.0, 0.0]
    assert measures.rates(regular).tolist() == [90.0, 90.0, 10.0]


def test_a_window_takes_stamps_after_its_start_and_up_to_its_stop():
    found = measures.trains([10, 11, 20, 21], [5, 5, 6, 6], 0.1, 5, 2, 1.0, 2.0)
    np.testing.assert_allclose(found.times, [0.1, 1.0])
    assert found.neurons.tolist() == [0, 1]


def test_ensembles_of_one_kind_agree_and_others_do_not():
    rng = np.random.default_rng(2)
    one, two, other = (rng.normal(mean, 1.0, 10) for mean in (0.0, 0.0, 4.0))
    assert measures.difference(one, two).share < 1 < measures.difference(one, other).share
    samples = [[np.sort(rng.normal(mean, 1, 200)) for _ in range(10)] for mean in (0.0, 0.0, 0.2)]
    assert measures.distances(samples[0], samples[1]).p > 0.01 > measures.distances(samples[0], samples[2]).p
    assert measures.distance(np.array([1.0, 2.0]), np.array([3.0])) == 1.0


@pytest.mark.parametrize(("freedom", "expected"), [(1, 6366.2), (4, 15.544), (18, 4.966), (1000, 3.906)])
def test_the_quantile_of_student_is_that_of_the_tables(freedom, expected):
    assert measures.quantile(freedom) == pytest.approx(expected, rel=1e-3)


@pytest.fixture(scope="module")
def fresh(fastest, tmp_path_factory):
    """network -> group -> number -> values of the fresh seeds."""
    folder, found = tmp_path_factory.mktemp("ensembles"), {}

    def run(name):
        if name not in found:
            runs = [spikes(name, plan_of(folder, ensembles.text(name, seed), kernel=fastest)) for seed in SEEDS]
            found[name] = {
                group: {number: [run[group].numbers[number] for run in runs] for number in measures.NUMBERS} for group in runs[0]
            }
        return found[name]

    return run


def spikes(name, plan):
    first, parts = 0, []
    recorded = run_plan(plan).spikes
    for population in plan.structure.populations:
        step, neuron = np.array(recorded[population.name], np.int64).reshape(-1, 2).T
        parts.append((step, neuron + first))
        first += population.size
    return ensembles.measured(name, *(np.concatenate(part) for part in zip(*parts, strict=True)))


@pytest.mark.parametrize(("name", "peer"), [(name, peer) for name in NETWORKS for peer in ensembles.NETWORKS[name].peers])
def test_statistics_are_those_of_another_simulator(fresh, name, peer):
    """Means over three fresh seeds; the spread is that of what is stored of the two simulators."""
    ours, theirs = (STORED[name][simulator]["groups"] for simulator in ("snnrun", peer))
    for group, numbers in fresh(name).items():
        for number, values in numbers.items():
            known = ours[group]["numbers"][number], theirs[group]["numbers"][number]
            found = measures.difference(values, known[1], known)
            assert found.share < 1, f"{number} of {group}: {found}"
        assert np.mean(numbers["rate"]) > 0.1


@pytest.mark.parametrize("name", ensembles.NETWORKS)
def test_what_is_stored_agrees(name):
    """Every number of every network, at full scale too, and float32 with float64, whose runs have their seeds in common."""
    assert set(STORED[name]) == set(ensembles.simulators(name))
    for simulator, of in STORED[name].items():
        compare = measures.paired if simulator == ensembles.DOUBLE else measures.difference
        for group, found in of["groups"].items():
            ours = STORED[name]["snnrun"]["groups"][group]["numbers"]
            for number, values in found["numbers"].items():
                assert compare(ours[number], values).share < 1, (simulator, group, number)


def test_the_microcircuit_has_its_published_rates():
    """Those of one simulation in the repository of the reference implementation; with constant drive L4E is 5 % off."""
    for rate, (group, found) in zip(potjans_diesmann.RATE, STORED["pd14"]["snnrun"]["groups"].items(), strict=True):
        assert np.mean(found["numbers"]["rate"]) == pytest.approx(rate, rel=0.02), group


def test_the_page_shows_what_is_stored():
    assert page.PAGE.read_text() == page.render(page.stored()), "python scripts/validate.py page"
