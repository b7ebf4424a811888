"""What `statistics` measures, as Elephant measures it on the same results in Neo's objects.

Trains are shifted by half a step where Elephant counts in bins: the stamp of a spike is the end of its step, which is an edge of
a bin, and Elephant's bins are closed at their beginning.
"""

import numpy as np
import pytest
from recordings import recorded

import snnrun
from snnrun import archives, statistics

TEXT = """
seed: 3
duration: 2 s
precision: {precision}
populations:
  P: {{size: 40, model: poisson, rate: 30 Hz}}
  N: {{size: 30, model: lif, tau: 20 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm, tau_ref: 2 ms,
      I_e: {{uniform: {{low: 200 pA, high: 400 pA}}}}}}
projections:
  in: {{pre: P, post: N, connect: {{rule: fixed_prob, p: 0.3}}, weight: 60 pA, delay: 1.5 ms,
       synapse: {{model: expon, tau: 5 ms}}}}
monitors:
  spikes: {{model: spikes, of: [P, N]}}
"""
WINDOW = (100.0, 1900.0)  # ms

pytest.importorskip("elephant")
pytestmark = [  # of what Elephant calls
    pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated"),
    pytest.mark.filterwarnings("ignore:the matrix subclass is not:PendingDeprecationWarning"),
]
pytest.importorskip("nixio")


@pytest.fixture(scope="module", params=["P", "N"])
def both(request, tmp_path_factory):
    """Trains of a population as both have them: Elephant's from a file that was exported."""
    import neo
    import quantities as pq

    folder = tmp_path_factory.mktemp("recorded")
    with snnrun.open_results(recorded(folder, text=TEXT)) as results:
        wanted = archives.Wanted(populations=(request.param,), start=WINDOW[0], stop=WINDOW[1])
        archives.write(results.file, "neo", folder / "a.nix", wanted)
        ours = results.file.measured(request.param, *WINDOW)
        dt = results.dt
    with neo.io.NixIO(str(folder / "a.nix"), "ro") as io:
        theirs = list(io.read_block().segments[0].spiketrains)
    shifted = [train.time_shift(-0.5 * dt * pq.ms) for train in theirs]
    assert len(theirs) == ours.size and sum(map(len, theirs)) == len(ours.times) > 1000
    bounds = {"t_start": WINDOW[0] * pq.ms, "t_stop": WINDOW[1] * pq.ms}
    return ours, theirs, [neo.SpikeTrain(s.rescale("ms").magnitude, units="ms", **bounds) for s in shifted], pq


def test_rates(both):
    from elephant.statistics import mean_firing_rate

    ours, theirs, _, _ = both
    np.testing.assert_allclose(statistics.rates(ours), [float(mean_firing_rate(s).rescale("Hz")) for s in theirs], rtol=1e-12)


def test_intervals_and_their_irregularity(both):
    from elephant.statistics import cv, isi, lv

    ours, theirs, _, _ = both
    intervals = [isi(train).rescale("ms").magnitude for train in theirs]
    np.testing.assert_allclose(statistics.intervals(ours)[0], np.concatenate(intervals), atol=1e-9)
    enough = [own for own in intervals if len(own) >= 2]
    np.testing.assert_allclose(statistics.irregularity(ours), [float(cv(own)) for own in enough], rtol=1e-9)
    np.testing.assert_allclose(statistics.local_variation(ours), [float(lv(own)) for own in enough], rtol=1e-9)


def test_fano_factors(both):
    """Elephant's is over trains: here over those of one neuron in windows that follow each other."""
    from elephant.statistics import fanofactor

    ours, _, shifted, pq = both
    expected = []
    for train in shifted:
        if len(train):
            parts = [train.time_slice((WINDOW[0] + 100 * k) * pq.ms, (WINDOW[0] + 100 * (k + 1)) * pq.ms) for k in range(18)]
            expected.append(fanofactor(parts))
    np.testing.assert_allclose(statistics.fano_factors(ours, 100.0), expected, rtol=1e-12)


@pytest.mark.parametrize("width", [2.0, 5.0, 20.0])
def test_counts_correlations_and_synchrony(both, width):
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient

    ours, _, shifted, pq = both
    binned = BinnedSpikeTrain(shifted, bin_size=width * pq.ms)
    table = binned.to_array()
    np.testing.assert_array_equal(statistics.counts(ours, width), table.sum(axis=0))
    spiking = np.flatnonzero(table.sum(axis=1))
    expected = correlation_coefficient(binned)[np.ix_(spiking, spiking)][np.triu_indices(len(spiking), 1)]
    np.testing.assert_allclose(statistics.correlations(ours, width), expected, atol=1e-12)
    total = table.sum(axis=0)
    assert statistics.synchrony(ours, width) == pytest.approx(total.var() / total.mean(), rel=1e-12)


def test_spectrum(both):
    """Elephant makes segments of another length, but of one that is asked for they are the same."""
    import neo
    from elephant.spectral import welch_psd
    from elephant.statistics import time_histogram

    ours, _, shifted, pq = both
    frequencies, power = statistics.spectrum(ours, 1.0)
    histogram = time_histogram(shifted, 1.0 * pq.ms).magnitude[:, 0]
    rate = neo.AnalogSignal(histogram / ours.size * 1e3, units=pq.Hz, sampling_period=1.0 * pq.ms)
    segment = 2 * len(frequencies)
    f, p = welch_psd(rate, len_segment=segment, overlap=0.5)
    np.testing.assert_allclose(frequencies, f.rescale("Hz").magnitude[1:], rtol=1e-9)
    np.testing.assert_allclose(power, p.magnitude[0, 1:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("tau", [2.0, 10.0, 100.0])
def test_distances_of_van_rossum(both, tau):
    """Elephant's are sqrt(2) of ours: there a spike more is 1, and here 1 / sqrt(2), as in the paper."""
    from elephant.spike_train_dissimilarity import van_rossum_distance

    _, theirs, _, pq = both
    chosen = sorted(theirs, key=len)[-6:]
    times = [train.rescale("ms").magnitude for train in chosen]
    found = [[statistics.van_rossum(a, b, tau) for b in times] for a in times]
    np.testing.assert_allclose(np.sqrt(2) * np.array(found), van_rossum_distance(chosen, tau * pq.ms), rtol=1e-6, atol=1e-5)
