"""Networks in a notebook."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnrun
from snnrun.results import Exists, Results

NET = """
seed: 7
duration: 60 ms
populations:
  P: {size: 50, model: poisson, rate: 200 Hz}
  E: {size: 80, model: lif, tau: 12 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF, I_e: 120 pA}
projections:
  a: {pre: P, post: E, connect: {rule: fixed_prob, p: 0.3}, weight: 60 pA, delay: 0.4 ms, synapse: {model: expon, tau: 3 ms}}
monitors:
  s: {model: spikes, of: [E, P]}
  V: {model: state, of: E, variables: [V]}
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.yaml").write_text(NET)
    return snnrun.load(tmp_path / "net.yaml")


def test_results_are_those_of_the_command_line(net, tmp_path):
    changed = net.changed({"populations.E.tau": "14 ms", "projections.a.weight": {"normal": {"mean": "60 pA", "std": "5 pA"}}})
    command = ["simulate", "net.yaml", "--seed", "9", "--set", "populations.E.tau=14 ms", "--no-plot", "--quiet", "-o", "b.h5",
               "--set", "projections.a.weight={normal: {mean: 60 pA, std: 5 pA}}"]  # fmt: skip
    subprocess.run([sys.executable, "-m", "snnrun", *command], cwd=tmp_path, check=True)
    with Results(tmp_path / "b.h5") as wanted:
        assert changed.simulate(seed=9).file.digests() == wanted.digests()
        assert changed.simulate(tmp_path / "c.h5", seed=9).file.digests() == wanted.digests()
        assert net.simulate(seed=9).file.digests() != wanted.digests()  # which has not been changed
        with Results(tmp_path / "c.h5") as written:
            assert written.overrides == wanted.overrides or sorted(written.overrides) == sorted(wanted.overrides)


def test_results_in_memory_leave_nothing_behind_and_can_be_read(net, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "room"))
    (tmp_path / "room").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    results = net.simulate()
    assert not list((tmp_path / "room").iterdir())
    assert results.populations.E.spikes.times.size and results.populations.E.traces.V.values.shape == (600, 80)
    assert results.complete and results.name == "net" and "net" in repr(results)


def test_one_run_after_the_other_changes_no_bit(net):
    first = net.simulate().file.digests()
    for changes in (
        {"projections.a.weight": "70 pA"},
        {"populations.E.size": 90},
        {"projections.a.connect.p": 0.2},
        {"dt": "0.2 ms"},
    ):
        alone = snnrun.load(net._read.name, changes).simulate().file.digests()
        assert net.changed(changes).simulate().file.digests() == alone
    assert net.simulate().file.digests() == first


def test_mistakes_are_those_of_the_command_line(net, tmp_path):
    with pytest.raises(snnrun.NetworkError) as raised:
        net.changed({"populations.E.tau": "14 ms", "populations.E.V_tt": "3 mV"})
    assert "change #2: populations.E.V_tt: unknown key" in str(raised.value) and "did you mean V_th?" in str(raised.value)
    assert raised.value.errors[0]["hint"] == "did you mean V_th?"
    (tmp_path / "net.yaml").write_text(NET.replace("tau: 12 ms", "tau: 12 mV"))
    with pytest.raises(snnrun.NetworkError, match=r"net\.yaml:6:\d+: populations\.E\.tau: .*a time is wanted here"):
        snnrun.load(tmp_path / "net.yaml")
    with pytest.raises(FileNotFoundError):
        snnrun.load(tmp_path / "other.yaml")
    (tmp_path / "out.h5").write_text("something")
    with pytest.raises(Exists):
        net.simulate(tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "something"


def test_what_there_is_is_shown_and_cannot_be_changed_by_accident(net):
    changed = net.changed({"populations.E.size": 90})
    assert repr(net) == "<Network net: 50 P, 80 E; 1 projections>"
    assert repr(changed) == "<Network net: 50 P, 90 E; 1 projections; with populations.E.size=90>"
    changed.changes["populations.E.size"] = 5
    assert changed.populations == {"P": 50, "E": 90} and changed.changes == {"populations.E.size": 90} and net.changes == {}
    assert net.yaml == NET and changed.network["populations"]["E"]["size"] == 90 and net.warnings == []


def test_loading_leaves_jax_alone(net):
    code = f"import sys, snnrun; snnrun.load({net._read.name!r}).populations; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(snnrun.__file__).parents[1])


def test_arrays_are_numpy_and_tables_are_frames(net):
    pytest.importorskip("pandas")
    E = net.simulate().populations.E
    assert isinstance(E.spikes.times, np.ndarray) and list(E.spikes.to_pandas()) == ["time_ms", "neuron"]
