"""The E/I network against BrainPy 2.8.2, on one graph and from one start: see scripts/references/brainpy_einet.py."""

import math
from pathlib import Path

import numpy as np
from networks import run

HERE = Path(__file__).parent


def test_einet_spikes_when_brainpy_says_so(tmp_path):
    """Half a second, 44 thousand spikes, in float64: every one of them, and so the mean rate of 21.99 Hz."""
    text = (HERE.parent / "configs" / "einet.yaml").read_text()
    for weight, tau in ((0.6, 5), (6.7, 10)):  # BrainPy's merged exponential adds arrivals before it decays
        text = text.replace(f"{weight} uS", f"{weight * math.exp(-0.1 / tau)!r} uS")
    text = text.replace("duration: 1 s", "duration: 500 ms\nprecision: float64")
    ours = np.array(run(tmp_path, text).spikes["N"])
    theirs = np.load(HERE / "data" / "brainpy_einet.npz")
    assert len(ours) / 4000 / 0.5 > 19
    np.testing.assert_array_equal(ours[:, 0], theirs["step"].astype(int) + 1)  # a stamp is the end of a step
    np.testing.assert_array_equal(ours[:, 1], theirs["neuron"])
