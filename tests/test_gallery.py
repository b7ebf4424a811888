"""The networks of docs/gallery.md fire as it says: bands around what four seeds gave."""

from pathlib import Path

import numpy as np
import pytest
from networks import run_plan

from snnrun import check, lower, network
from snnrun.document import Override

CONFIGS = Path(__file__).parents[1] / "configs"

# rates in Hz from 100 ms on, in the time given
BANDS = {
    "cobahh": (300, {"E": (30, 60), "I": (35, 55)}),
    "izhikevich": (1000, {"E": (7, 12), "I": (7, 13)}),
    "brunel_hakim": (400, {"I": (3.2, 3.9)}),
    "adex_ai": (300, {"RS": (2, 4.5), "FS": (13, 18)}),
    "wang_buzsaki": (500, {"N": (34, 41)}),
    "spatial_ei": (500, {"E": (19, 30), "I": (10, 15)}),
}


@pytest.mark.parametrize("name", BANDS)
def test_a_network_of_the_gallery_fires_as_said(native, name):
    duration, bands = BANDS[name]
    spec = check.load(CONFIGS / f"{name}.yaml", [Override(("duration",), f"{duration} ms", "here")]).spec
    found = run_plan(lower.lower(network.build(spec, CONFIGS), kernel="native"))
    for population, (low, high) in bands.items():
        times = np.array([stamp for stamp, _ in found.spikes[population]]) * spec.dt
        late = np.count_nonzero(times > (200 if name == "izhikevich" else 100))
        rate = late / spec.populations[population].size / (duration - (200 if name == "izhikevich" else 100)) * 1e3
        assert low < rate < high, (population, rate)


def test_activity_on_the_sheet_is_local(native):
    """Spike counts of patches of 5 x 5 neurons in bins of 10 ms go together between neighbours, and far apart they do not."""
    spec = check.load(CONFIGS / "spatial_ei.yaml").spec
    found = run_plan(lower.lower(network.build(spec, CONFIGS), kernel="native"))
    stamp, neuron = np.array(found.spikes["E"]).T
    patch = neuron // 200 * 8 + neuron % 40 // 5
    counts = np.histogram2d(patch, stamp, [np.arange(65), np.arange(2000, 10_001, 100) + 0.5])[0]
    corner = np.indices((8, 8)).reshape(2, -1)
    apart = np.abs(corner[:, :, None] - corner[:, None])
    d = np.sqrt((np.minimum(apart, 8 - apart) ** 2).sum(axis=0))
    r = np.corrcoef(counts)
    assert r[d == 1].mean() > 0.4
    assert abs(r[d >= 4].mean()) < 0.15
