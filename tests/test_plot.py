"""Pictures: what is drawn, by the artists in the figure; and what is said of a file that is incomplete or damaged."""

import errno
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import load
from typer.testing import CliRunner

from snnrun import plot, run, terminal
from snnrun import view as view_module
from snnrun.cli import app
from snnrun.results import Rate, Results, ResultsError

NET = """
    name: drawn
    duration: 100 ms
    populations:
      A: &lif {size: 40, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, I_e: 600 pA}
      B: {<<: *lif, size: 1}
      C: {size: 20, model: poisson, rate: 50 Hz}
      D: {size: 10, model: poisson, rate: 50 Hz}
    monitors:
      spikes: {model: spikes, of: [A, B]}
      some: {model: spikes, of: ["C[5:10]", "C[15:20]"], start: 20 ms, stop: 60 ms}
      rate: {model: rate, of: [B, D], bin: 3 ms, start: 1 ms}
      V: {model: state, of: "A[:3]", variables: [V]}
      late: {model: state, of: B, variables: [V], start: 50 ms}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run.simulate(run.Request(load(folder, NET), folder / "results.h5", [], plot=False))
    return folder / "results.h5"


@pytest.fixture
def found(written):
    with Results(written) as results:
        yield results


@pytest.fixture
def stopped(written, tmp_path):
    """The same file, as a run leaves it that was stopped at 50 ms."""
    path = tmp_path / "stopped.h5.partial"
    shutil.copy(written, path)
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "partial"
        file["snnrun/config"].attrs["reached"] = 50.0
    return path


def without_spikes(written: Path, path: Path) -> Path:
    shutil.copy(written, path)
    with h5py.File(path, "r+") as file:
        for name in ("some", "spikes", "V", "late"):
            del file[f"snnrun/monitors/{name}"]
        for name in list(file["spikes"]):
            del file[f"spikes/{name}"]
    return path


def titles(figure) -> str:
    axis = figure.axes[0]
    texts = [axis.get_title(loc) for loc in ("left", "right")] + [text.get_text() for text in axis.texts]
    return "   ".join(texts)


def call(*arguments: str):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_a_train_says_how_many_neurons_were_recorded_and_when(found):
    A, C = found.all_spikes()["A"], found.spikes("some")["C"]
    assert (A.size, A.start, A.stop) == (40, 0, pytest.approx(100))
    assert (C.size, C.start, C.stop) == (10, pytest.approx(20), pytest.approx(60))
    assert C.rate == pytest.approx(len(C.times) / 10 / 0.04)
    assert found.spike_counts()["C"] == (len(C.times), 10, C.start, C.stop)
    assert found.spike_counts()["C"].rate == C.rate


def test_a_window_ends_where_the_run_was_stopped(stopped):
    with Results(stopped) as found:
        assert found.reached == 50 and found.duration == pytest.approx(100)
        assert found.spikes("some")["C"].stop == 50


def test_a_file_without_the_newer_attributes_is_read_as_a_whole_run(written, tmp_path):
    path = tmp_path / "old.h5"
    shutil.copy(written, path)
    with h5py.File(path, "r+") as file:
        del file["snnrun/config"].attrs["reached"]
        for key in ("neurons", "start", "stop"):
            del file["spikes/A"].attrs[key]
    with Results(path) as found:
        assert found.reached == found.duration
        assert found.all_spikes()["A"][2:] == (40, 0, found.duration)


def test_bins_have_edges_and_the_last_one_its_true_middle(found):
    rate = found.rates("rate")["D"]
    assert rate.size == 10 and rate.bin == pytest.approx(3) and rate.edges[0] == pytest.approx(1)
    assert len(rate.edges) == len(rate.values) + 1 == 34
    assert found.rates("rate")["D"].edges[-1] == pytest.approx(100)
    cut = found.path.with_name("cut.h5")
    shutil.copy(found.path, cut)
    with h5py.File(cut, "r+") as file:
        file["snnrun/monitors/rate/D/rate"].attrs["last_bin"] = 1.0
    with Results(cut) as again:
        rate = again.rates("rate")["D"]
    assert rate.edges[-1] == pytest.approx(98) and rate.times[-1] == pytest.approx(97.5)


def test_a_path_may_be_a_text_and_a_monitor_must_be_there(written):
    with Results(str(written)) as found:
        with pytest.raises(ResultsError, match="there is no spikes monitor 'nope'; there are: some, spikes"):
            found.spikes("nope")
        with pytest.raises(ResultsError, match="there is no rate monitor 'V'; there are: rate"):
            found.rates("V")
        with pytest.raises(ResultsError, match="there is no state or input monitor 'rate'"):
            found.series("rate")
    with pytest.raises(ResultsError, match="is closed"):
        _ = found.complete


def test_damage_is_said_with_the_file(written, tmp_path):
    path = tmp_path / "damaged.h5"
    shutil.copy(written, path)
    with h5py.File(path, "r+") as file:
        del file["snnrun/monitors/spikes/A/node_ids"], file["snnrun/provenance"]
        file["snnrun/config"].attrs["resolved"] = "{"
    with Results(path) as found:
        for read in (lambda: found.spikes("spikes"), lambda: found.provenance, lambda: found.resolved, lambda: found.populations):
            with pytest.raises(ResultsError, match=r"damaged\.h5 is damaged: "):
                read()
    with pytest.raises(ResultsError, match="is a folder"):
        Results(tmp_path)


def test_a_name_is_the_file_s_stem_where_there_is_none(stopped):
    with h5py.File(stopped, "r+") as file:
        config = file["snnrun/config"].attrs
        config["resolved"] = json.dumps({key: value for key, value in json.loads(config["resolved"]).items() if key != "name"})
        config.pop("name", None)
    with Results(stopped) as found:
        assert found.name == "stopped"
    with h5py.File(stopped, "r+") as file:
        file["snnrun/config"].attrs["name"] = "net"
    with Results(stopped) as found:
        assert found.name == "net"


# ---- drawing ---------------------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_recorded_neurons_and_time(found, stopped):
    C = found.spikes("some")["C"]
    text = titles(plot.summary(found))
    assert f"C: 10 neurons, {len(C.times) / 10 / 0.04:.3g} Hz" in text and "D: 10 neurons" in text and "more" not in text
    few = plot.View(found, ("C",), neurons=(8, 17)).trains["C"]
    assert (few.low, few.high, few.train.size) == (8, 17, 4)  # 8, 9, 15 and 16
    with Results(stopped) as half:
        train = plot.View(half).trains["C"].train
        assert train.rate == pytest.approx(np.sum(C.times <= 50) / 10 / 0.03)
        assert "incomplete" in titles(plot.summary(half))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bin": 0.0}, "shorter than one time step"),
        ({"bin": -1.0}, "shorter than one time step"),
        ({"bin": 0.09}, "shorter than one time step"),
        ({"start": -1.0}, "not negative"),
        ({"start": 100.0}, "100 ms were simulated"),
        ({"start": 30.0, "stop": 30.0}, "between 30 ms and 30 ms"),
        ({"neurons": (40, 50)}, "the largest has 40"),
        ({"populations": ("B",), "neurons": (1, 5)}, "the largest has 1"),
        ({"populations": ("Z",)}, "there are: A, B, C, D"),
    ],
)
def test_a_view_of_nothing_is_refused(found, options, message):
    with pytest.raises(plot.PlotError, match=message):
        plot.View(found, **options)


def test_a_view_ends_where_the_run_ends_and_leaves_out_empty_populations(found):
    assert plot.View(found, stop=1e6).stop == pytest.approx(100)
    assert plot.View(found, neurons=(12, 50)).names == ["A", "C"]
    assert plot.View(found, bin=0.1).bin == 0.1


@pytest.mark.parametrize(
    ("duration", "width"), [(1e3, 5), (2e3, 5), (2.1e3, 10), (2e5, 500), (1e7, 50_000), (10, 0.5), (0.3, 0.1)]
)
def test_a_usual_bin_gives_few_bins_of_whole_steps(found, monkeypatch, duration, width):
    monkeypatch.setattr(Results, "reached", duration)
    assert plot.View(found).bin == pytest.approx(width)


def test_more_bins_than_can_be_drawn_are_refused(found, monkeypatch):
    monkeypatch.setattr(Results, "reached", 1e6)
    with pytest.raises(plot.PlotError, match="too many"):
        plot.View(found, bin=0.5)


def test_one_population_has_its_true_indices_and_whole_ticks(found):
    axis = plot.draw("raster", plot.View(found, ("A",), neurons=(10, 13))).axes[0]
    assert axis.get_ylim() == (12.5, 9.5) and list(axis.yaxis.get_major_locator()()) == [10, 11, 12]
    alone = plot.draw("raster", plot.View(found, ("B",))).axes[0]
    assert list(alone.yaxis.get_major_locator()()) == [0]


def test_a_rate_monitor_s_bins_are_drawn_unless_others_are_asked_for(found):
    own = plot.View(found).curves
    np.testing.assert_array_equal(own["B"].values, found.rates("rate")["B"].values)
    assert own["A"].bin == own["B"].bin  # so that lines can be compared
    asked = plot.View(found, bin=10.0).curves
    assert asked["B"].bin == 10 and asked["D"].bin == pytest.approx(3)
    total = np.sum(asked["A"].values * np.diff(asked["A"].edges)) * 40 * 1e-3
    assert total == pytest.approx(len(found.all_spikes()["A"].times))


def test_recorded_rates_alone_make_a_picture(written, tmp_path):
    with Results(without_spikes(written, tmp_path / "rates.h5")) as found:
        figure = plot.summary(found)
        assert len(figure.axes) == 1 and "D: 10 neurons" in titles(figure)
        with pytest.raises(plot.PlotError, match="nothing was recorded that could be drawn"):
            plot.summary(found, plot.View(found, ("A",)))


def test_very_many_recorded_bins_are_averaged():
    edges = np.arange(10_002.0)
    edges[-1] -= 0.5
    values = np.random.default_rng(1).random(10_001)
    rate = Rate(0.5 * (edges[1:] + edges[:-1]), values, 1.0, edges, 3)
    wide = view_module.averaged(rate, 2000)
    assert len(wide.values) <= 400 and wide.bin == 26
    assert np.sum(wide.values * np.diff(wide.edges)) == pytest.approx(np.sum(values * np.diff(edges)))


def test_strokes_begin_at_the_top_of_the_traces_and_late_monitors_are_left_out(found):
    view = plot.View(found, stop=40.0)
    traces = view.traces
    assert [(trace.population, trace.neuron) for trace in traces] == [("A", 0), ("A", 1), ("A", 2)]
    axis = plot.draw("voltage", view).axes[0]
    top = max(trace.values.max() for trace in traces)
    strokes = axis.collections[0].get_segments()
    assert strokes and [stroke[0][1] for stroke in strokes] == pytest.approx([top] * len(strokes))
    assert {trace.population for trace in plot.View(found).traces} == {"A", "B"}


def test_long_traces_are_thinned_out_while_they_are_read(found, monkeypatch):
    monkeypatch.setattr(view_module, "MAX_TRACE_POINTS", 100)
    V = found.series("V")["A", "V"]
    trace = plot.View(found, start=10.0, stop=60.0).traces[1]
    assert len(trace.times) <= 100 and trace.times[0] == pytest.approx(10)
    np.testing.assert_array_equal(trace.values, V.values[100:601:6, 1])


def test_a_picture_that_cannot_be_written_is_named(found, tmp_path, monkeypatch):
    figure = plot.summary(found)
    for name, message in ((".", "is a folder"), ("picture", "what kind of picture"), ("a.h5", "what kind of picture")):
        with pytest.raises(plot.PlotError, match=message):
            plot.save(figure, tmp_path / name)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(plot.PlotError, match=r"a\.png cannot be written: No space left"):
        plot.save(figure, tmp_path / "a.png")


@pytest.mark.parametrize("name", [r"$\frac{" + "x" * 80, "$x^2$", "a\0b", "\x1b[2J\u202e\u200b", "\ud800\udcff", "-->&<", "雪\n"])
def test_a_name_is_shown_as_it_is_and_is_no_formula(written, tmp_path, monkeypatch, name):
    """Names of networks, and those of populations that no check has seen."""
    path = tmp_path / "odd.h5"
    shutil.copy(written, path)
    population = "x" + "".join(c for c in name if not "\ud800" <= c <= "\udfff" and c != "\0")  # HDF5 has no other names
    with h5py.File(path, "r+") as file:
        tree = json.loads(file["snnrun/config"].attrs["resolved"])
        tree["populations"] = {population if old == "A" else old: entry for old, entry in tree["populations"].items()}
        tree["monitors"]["spikes"]["of"] = "B"  # a selection has no such names
        file["snnrun/config"].attrs["resolved"] = json.dumps(tree)
        for group in ("snnrun/populations", "spikes", "snnrun/monitors/spikes", "snnrun/monitors/V"):
            file[group].move("A", population)
    monkeypatch.setattr(Results, "name", name)
    with Results(path) as odd:
        figure = plot.summary(odd)
        shown = titles(figure)
        assert terminal.visible(population) in shown and not any(map(terminal.hidden, shown.replace("\n", "")))
        for ending in plot.ENDINGS:
            plot.save(figure, tmp_path / f"a{ending}", 30)
        drawn = plot.draw("rate", plot.View(odd)).axes[0].get_legend_handles_labels()[1]
        assert terminal.visible(population) in drawn
    xml.etree.ElementTree.parse(tmp_path / "a.svg")


@pytest.mark.parametrize("ending", plot.ENDINGS)
def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(found, tmp_path, monkeypatch, ending):
    (tmp_path / f"a{ending}").write_bytes(b"precious")
    figure = plot.summary(found)
    with pytest.raises(plot.PlotError, match="cannot be drawn"):
        plot.save(figure, tmp_path / f"a{ending}", 10**7)
    assert (tmp_path / f"a{ending}").read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1


def test_a_picture_goes_where_a_link_points_and_never_to_what_is_no_file(found, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "a.png").symlink_to("far/real.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "fifo.png")
    plot.save(plot.summary(found), tmp_path / "a.png", 30)
    assert (tmp_path / "a.png").is_symlink() and (tmp_path / "far/real.png").is_file()
    for name, message in (("loop.png", "Too many levels"), ("fifo.png", "no regular file"), ("far/real.png/a.png", "Not a dir")):
        with pytest.raises(plot.PlotError, match=message):
            plot.save(plot.summary(found), tmp_path / name)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_the_picture_of_a_partial_file_has_the_name_of_the_whole_one(stopped):
    result = call("plot", stopped, "--kind", "raster")
    assert result.exit_code == 0, result.output
    assert (
        Path(result.stdout.strip()) == stopped.with_name("stopped.raster.png")
        and stopped.with_name("stopped.raster.png").exists()
    )
    assert Path(call("plot", stopped).stdout.strip()) == stopped.with_name("stopped.png")
    refused = call("plot", stopped, "-o", ".")
    assert refused.exit_code == 2 and "is a folder" in refused.stderr


def test_info_says_how_far_a_run_got_and_counts_what_was_recorded(stopped, found):
    text = call("info", stopped).stdout
    assert "drawn, 50 ms of 100 ms in steps" in text and "incomplete" in text
    facts = json.loads(call("info", found.path, "--json").stdout)
    assert facts["reached_ms"] == pytest.approx(100)
    assert facts["rates_hz"]["C"] == pytest.approx(found.spikes("some")["C"].rate)
    assert "of 10 neurons from 20 ms to 60 ms" in call("info", found.path).stdout


def test_the_network_file_is_handed_over_as_it_is_but_not_to_a_terminal(tmp_path, monkeypatch):
    text = "\x1b[2J\u202eµ\udcff\r\n"
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", terminal._Guarded(stream))
        terminal.hand_over(text)
        sys.stdout.flush()
    assert (tmp_path / "out").read_bytes() == text.encode("utf-8", "surrogateescape")
    read, write = os.openpty()
    with os.fdopen(write, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", terminal._Guarded(stream))
        terminal.hand_over(text)
        sys.stdout.flush()
        assert os.read(read, 1000).decode() == "\\x1b[2J\\u202eµ\\udcff\\r\r\n"
    os.close(read)
    monkeypatch.undo()


def test_pictures_are_drawn_without_a_screen_a_home_or_a_place_for_a_cache(written, tmp_path):
    environment = {**os.environ, "MPLBACKEND": "nonsense", "MPLCONFIGDIR": "/dev/null/x", "DISPLAY": "nonsense:9"}
    environment.pop("HOME", None)
    program = "from snnrun.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "plot", str(written), "-o", str(tmp_path / "a.png")], env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'a.png'}\n", "")


def test_a_reader_that_has_seen_enough_is_no_error(written):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", "from snnrun.cli import main; main()", "info", str(written)], stdout=write,
                          stderr=subprocess.PIPE, text=True)  # fmt: skip
    os.close(write)
    assert done.returncode == 0 and done.stderr == ""
