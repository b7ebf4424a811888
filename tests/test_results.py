"""The results file: round trip, SONATA's readers, partial files."""

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import Frames, load, plan_of
from typer.testing import CliRunner

from snnrun import engine, lower, network, results, run
from snnrun.cli import app

NET = """
    name: small
    seed: 3
    duration: 40 ms
    precision: PRECISION
    populations:
      A: &lif {size: 70, model: lif, tau: 10 ms, tau_ref: 2 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF,
               I_e: {normal: {mean: 500 pA, std: 100 pA}}}
      B: {<<: *lif, size: 5}
      silent: {<<: *lif, I_e: 0 pA, size: 3}
      clock: {model: spike_times, size: 1, times: [20 ms, 25 ms, 30 ms]}
    projections:
      p: {pre: A, post: B, connect: {rule: fixed_prob, p: 0.3}, weight: 30 pA, delay: 1 ms, synapse: {model: expon, tau: 2 ms}}
    monitors:
      spikes: {model: spikes, of: [A, B, silent]}
      late: {model: spikes, of: ["A[:10]", "A[20:30]", clock], start: 20 ms, stop: 30 ms}
      V: {model: state, of: ["A[3:5]", "A[:2]"], variables: [V, ref], every: 0.5 ms, start: 1 ms}
      g: {model: state, of: B, variables: [p.x], every: 0.3 ms, stop: 20 ms}
      I: {model: input, of: B}
      short: {model: state, of: B, variables: [V], stop: 4.3 ms}
      rate: {model: rate, of: [A, "B[:2]"], bin: 3 ms, start: 1 ms}
"""


def simulate(tmp_path: Path, precision: str = "float32", **options) -> Path:
    loaded = load(tmp_path, NET.replace("PRECISION", precision))
    run.simulate(run.Request(loaded, tmp_path / "results.h5", [], plot=False, **options))
    return tmp_path / "results.h5"


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """What the engine handed over, and its plan."""
    plan = plan_of(tmp_path_factory.mktemp("net"), NET.replace("PRECISION", "float32"))
    sink = Frames()
    engine.simulate(plan, engine.init(plan), plan.structure.steps, sink, capacity=64)
    return plan, sink


def bits(plan, sink, population: str) -> np.ndarray:
    """Fired neurons [steps, neurons], straight from the packed words."""
    place = next(p for p in plan.structure.populations if p.name == population)
    first = next(tap.bit for tap in plan.structure.taps if tap.population == population)
    rows = np.concatenate([frame.rows for frame in sink])
    return np.unpackbits(rows.copy().view(np.uint8), axis=1, bitorder="little")[:, first : first + place.size]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("run"))


def test_spikes_are_all_that_fired_ordered_by_time_and_neuron(written, frames):
    with results.Results(written) as found:
        for population in ("A", "B", "silent"):
            step, neuron = np.nonzero(bits(*frames, population))
            train = found.spikes("spikes")[population]
            np.testing.assert_array_equal(np.rint(train.times / 0.1).astype(int), step + 1)
            np.testing.assert_array_equal(train.neurons, neuron)
        assert len(found.spikes("spikes")["A"].times) > 50


def test_a_window_takes_stamps_after_its_start_up_to_its_stop(written, frames):
    step, neuron = np.nonzero(bits(*frames, "A"))
    stamp = step + 1
    keep = (stamp > 200) & (stamp <= 300) & ((neuron < 10) | ((neuron >= 20) & (neuron < 30)))
    with results.Results(written) as found:
        train, clock = found.spikes("late")["A"], found.spikes("late")["clock"]
    assert clock.times.tolist() == [25.0, 30.0]
    np.testing.assert_array_equal(np.rint(train.times / 0.1).astype(int), stamp[keep])
    np.testing.assert_array_equal(train.neurons, neuron[keep])


def test_frames_are_labelled_from_start_in_steps_of_every(written):
    with results.Results(written) as found:
        V, ref, g = found.series("V")["A", "V"], found.series("V")["A", "ref"], found.series("g")["B", "p.x"]
        I = found.series("I")["B", "p"]
    assert V.values.shape == (78, 4) and V.unit == "mV" and ref.unit == "steps" and g.unit == "pA"
    np.testing.assert_allclose(V.times, 1 + 0.5 * np.arange(78), rtol=1e-12)
    np.testing.assert_array_equal(V.neurons, [3, 4, 0, 1])
    assert len(g.times) == 67 and g.times[-1] < 20
    np.testing.assert_array_equal(I.values[::3][:67], g.values)  # the input through a cuba receptor is its variable


def test_rates_are_counts_per_neuron_and_bin(written, frames):
    with results.Results(written) as found:
        rates = found.rates("rate")
    for population, size in (("A", 70), ("B", 2)):
        counts = bits(*frames, population)[10:, :size].sum(1)
        expected = [counts[i : i + 30].sum() / size / min(3.0, (len(counts) - i) * 0.1) * 1e3 for i in range(0, len(counts), 30)]
        np.testing.assert_allclose(rates[population].values, expected, rtol=1e-12)
        assert rates[population].times[0] == pytest.approx(2.5)


@pytest.mark.parametrize("capacity", [1, 7, 64])
def test_chunks_of_any_length_write_the_same_file(tmp_path, written, frames, capacity):
    plan, _ = frames
    meta = results.Meta(
        "", "", {"populations": {}, "monitors": {}}, [], {m: "x" for m in ("spikes", "late", "V", "g", "I", "short", "rate")}, {}
    )
    with results.Writer(tmp_path / "again.h5", plan.structure, meta) as writer:
        engine.simulate(plan, engine.init(plan), plan.structure.steps, writer, capacity=capacity)
        writer.complete({})
    with results.Results(tmp_path / "again.h5") as again, results.Results(written) as found:
        assert again.digests() == found.digests()


def test_the_number_of_frames_follows_from_start_stop_and_step(written):
    with h5py.File(written) as file:
        for name in ("report/A", "report/B", "snnrun/monitors/g/B/p.x", "snnrun/monitors/I/B/p"):
            start, stop, step = file[f"{name}/mapping/time"][()]
            assert int((stop - start) / step) == file[f"{name}/data"].shape[0]
        assert file["report/B/data"].shape[0] == 43  # 43 * 0.1 comes out below 4.3


def test_a_report_is_float32_also_in_a_run_of_float64(tmp_path):
    with h5py.File(simulate(tmp_path, "float64")) as file:
        assert file["report/A/data"].dtype == np.float32
        precise = file["snnrun/monitors/V/A/V/data"]
        assert precise.dtype == np.float64
        np.testing.assert_array_equal(file["report/A/data"][()], precise[()].astype(np.float32))


def test_sonata_names_are_links_and_store_nothing_twice(written):
    with h5py.File(written) as file:
        assert file["spikes/A"] == file["snnrun/monitors/spikes/A"]
        assert file["report/A"] == file["snnrun/monitors/V/A/V"]
        assert file["spikes/A"].attrs["sorting"] == 2 and file.attrs["magic"] == 0x0A7A


def test_libsonata_reads_spikes_and_report(written):
    libsonata = pytest.importorskip("libsonata")
    with results.Results(written) as found:
        train, V = found.spikes("spikes")["A"], found.series("V")["A", "V"]
    population = libsonata.SpikeReader(str(written))["A"]
    assert population.sorting == "by_time"
    read = population.get()
    assert [node for node, _ in read] == train.neurons.tolist()
    np.testing.assert_array_equal([time for _, time in read], train.times)
    assert libsonata.SpikeReader(str(written))["silent"].get() == []
    report = libsonata.SomaReportReader(str(written))["A"]
    assert report.times == pytest.approx((1.0, 40.0, 0.5)) and report.time_units == "ms" and report.data_units == "mV"
    frame = report.get()
    np.testing.assert_array_equal(np.asarray(frame.data)[:, [list(frame.ids).index(n) for n in (3, 4, 0, 1)]], V.values)


def test_a_run_that_fails_leaves_a_readable_partial_file_and_no_results(tmp_path):
    loaded = load(tmp_path, NET.replace("PRECISION", "float32"))
    plan = lower.lower(network.build(loaded.spec, tmp_path))
    meta = results.Meta(
        "small", loaded.document.text, loaded.document.tree, [], {n: m.model for n, m in loaded.spec.monitors.items()}, {}
    )

    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step >= 200:
            raise Stop

    with pytest.raises(Stop), results.Writer(tmp_path / "r.h5", plan.structure, meta) as writer:
        engine.simulate(plan, engine.init(plan), plan.structure.steps, writer, capacity=50, progress=stop)
    assert not (tmp_path / "r.h5").exists()
    with results.Results(tmp_path / "r.h5") as found:  # finds the partial file
        assert not found.complete
        assert 10 < found.spikes("spikes")["A"].times[-1] <= 25


def test_a_killed_run_is_readable_up_to_its_last_commit_and_so_is_one_that_goes_on(tmp_path):
    """Frames are committed as they are written, here after each: another process reads them, and kill -9 loses none of them."""
    (tmp_path / "net.yaml").write_text(textwrap.dedent(NET.replace("PRECISION", "float32")))
    program = """
        import os, pathlib, signal, subprocess, sys
        from snnrun import check, run
        reader = "import sys, pathlib; from snnrun.results import Results; r = Results(pathlib.Path('r.h5'));"
        reader += "print(r.complete, len(r.spikes('spikes')['A'].times) > 0)"
        class Killer(run.Watcher):
            def progress(self, step, steps):
                if step >= 200:
                    print(subprocess.run([sys.executable, "-c", reader], capture_output=True, text=True).stdout, flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
        from snnrun import engine
        from snnrun.results import writer
        engine.MAX_CHUNK, writer.COMMIT_SECONDS = 50, 0.0
        run.simulate(run.Request(check.load(pathlib.Path("net.yaml")), pathlib.Path("r.h5"), [], plot=False), Killer())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -9 and done.stdout.strip() == "False True", done.stderr
    with results.Results(tmp_path / "r.h5") as found:
        assert not found.complete and found.spikes("spikes")["A"].times[-1] > 10


def test_the_file_says_what_was_run(written):
    with results.Results(written) as found:
        assert "name: small" in found.yaml and found.resolved["seed"] == 3
        assert found.complete and found.duration == pytest.approx(40)
        assert {"jax", "numpy", "snnrun", "seconds_run", "device", "kernel", "threads", "seed"} <= set(found.provenance)


def test_what_is_no_results_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(results.ResultsError, match="there is no file"):
        results.Results(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(results.ResultsError, match="no readable HDF5"):
        results.Results(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(results.ResultsError, match="no results file of snnrun"):
        results.Results(tmp_path / "other.h5")


def test_rows_that_could_not_be_appended_are_not_passed_over(tmp_path, monkeypatch):
    """A commit that fails fails again, however often it is asked for: a run cannot end well without some of its rows."""
    from snnrun.results import writer as module

    loaded = load(tmp_path, NET.replace("PRECISION", "float32"))
    plan = lower.lower(network.build(loaded.spec, tmp_path))
    names = {name: monitor.model for name, monitor in loaded.spec.monitors.items()}
    meta = results.Meta("small", loaded.document.text, loaded.document.tree, [], names, {})
    extend, calls = module._extend, []

    def failing(dataset, values):
        calls.append(dataset.name)
        if len(calls) == 2:
            raise OSError("injected")
        extend(dataset, values)

    with results.Writer(tmp_path / "r.h5", plan.structure, meta) as writer:
        engine.simulate(plan, engine.init(plan), plan.structure.steps, writer)
        monkeypatch.setattr(module, "_extend", failing)
        for _ in range(2):
            with pytest.raises(results.WriteError):
                writer.sync()
        with pytest.raises(results.WriteError):
            writer.complete({})
    assert not (tmp_path / "r.h5").exists() and len(calls) == 2


def test_measures_are_of_the_recorded_neurons_alone(tmp_path):
    text = """
duration: 100 ms
populations:
  S: {size: 10, model: regular, period: 10 ms}
monitors:
  some: {model: spikes, of: ["S[2:4]", "S[7]"]}
"""
    file = tmp_path / "net.yaml"
    file.write_text(text)
    assert CliRunner().invoke(app, ["simulate", str(file), "-o", str(tmp_path / "r.h5"), "--no-plot", "-q"]).exit_code == 0
    with results.Results(tmp_path / "r.h5") as found:
        assert found.recorded("S").tolist() == [2, 3, 7]
        t = found.measured("S", 20.0, 70.0)
        every = found.all_spikes()["S"]
    assert t.size == 3 and t.span == 50.0
    inside = (every.times > 20.0) & (every.times <= 70.0)
    assert sorted(zip(t.times + 20.0, np.array([2, 3, 7])[t.neurons], strict=True)) == sorted(
        zip(every.times[inside], every.neurons[inside], strict=True)
    )
