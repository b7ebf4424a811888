"""Kinds of pictures: each of them of a run with everything, of a silent one, of several files; and how they look."""

import warnings

import numpy as np
import pytest
from networks import load
from typer.testing import CliRunner

from snnrun import plot, run, statistics, watch
from snnrun.cli import app
from snnrun.plot import figures, panels
from snnrun.results import Results

NEURON = "model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF"
NET = f"""
    name: all kinds
    seed: {{seed}}
    duration: 400 ms
    populations:
      E: {{{{{NEURON}, size: 40, I_e: {{{{uniform: {{{{low: 380 pA, high: 700 pA}}}}}}}}, layout: {{{{model: grid, shape: [8, 5], spacing: 10 um}}}}}}}}
      I: {{{{{NEURON}, size: 10, I_e: 500 pA, layout: {{{{model: random, extent: [50 um, 50 um, 50 um]}}}}}}}}
      S: {{{{model: poisson, size: 5, rate: 50 Hz, layout: {{{{model: grid, shape: [5], spacing: 10 um}}}}}}}}
    projections:
      one: {{{{pre: S, post: E, connect: {{{{rule: all_to_all}}}}, weight: 20 pA, synapse: {{{{model: expon, tau: 5 ms}}}}, output: {{{{model: cuba}}}}}}}}
    monitors:
      spikes: {{{{model: spikes, of: [E, I, S]}}}}
      V: {{{{model: state, of: ["E[:3]", "I[:2]"], variables: [V], every: 1 ms}}}}
      x: {{{{model: input, of: "E[:2]", every: 1 ms}}}}
"""  # noqa: E501
SILENT = f"""
    duration: 20 ms
    populations:
      E: {{{NEURON}, size: 4, init: {{V: -65 mV}}, layout: {{model: grid, shape: [2, 2], spacing: 10 um}}}}
    monitors:
      spikes: {{model: spikes, of: E}}
      V: {{model: state, of: E, variables: [V]}}
"""


def simulated(folder, name, text):
    (folder / name).mkdir()
    run.simulate(run.Request(load(folder / name, text), folder / f"{name}.h5", [], plot=False))
    return folder / f"{name}.h5"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    texts = {"one": NET.format(seed=1), "two": NET.format(seed=2), "silent": SILENT}
    return {name: simulated(folder, name, text) for name, text in texts.items()}


def views(paths, **options):
    return [plot.View(Results(path), **options) for path in paths]


@pytest.mark.parametrize("ending", [".png", ".svg"])
@pytest.mark.parametrize("several", [1, 2])
@pytest.mark.parametrize("kind", plot.KINDS)
def test_every_kind_is_drawn_of_one_run_and_of_two(files, tmp_path, kind, several, ending):
    if kind == "positions" and several == 2:
        with pytest.raises(plot.PlotError, match="of one file"):
            plot.draw(kind, views([files["one"], files["two"]]))
        return
    figure = plot.draw(kind, views([files["one"], files["two"]][:several]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot.save(figure, tmp_path / f"a{ending}", 40)
    texts = " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
    if several == 2:
        assert "one" in texts and "two" in texts
    assert "E" in texts


@pytest.mark.parametrize("style", [plot.Style(3.35), plot.Style(7.0, 3.0, "DejaVu Serif", 8.0), plot.Style(dark=True)])
@pytest.mark.parametrize("kind", plot.KINDS)
def test_every_kind_has_the_width_that_is_asked_for(files, kind, style):
    figure = plot.draw(kind, views([files["one"]]), style)
    assert figure.get_figwidth() == style.width
    if style.height:
        assert figure.get_figheight() == style.height
    axis = figure.axes[0]
    if style.font:
        assert axis.xaxis.label.get_fontfamily() == [style.font] and axis.xaxis.label.get_fontsize() == style.points
    assert (figure.get_facecolor()[0] < 0.5) == style.dark


@pytest.mark.parametrize("kind", plot.KINDS)
def test_a_silent_run_has_pictures_that_say_so(files, tmp_path, kind):
    figure = plot.draw(kind, views([files["silent"]]))
    plot.save(figure, tmp_path / "a.png", 40)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    if kind in ("summary", "raster", "psd"):
        assert "no spikes" in texts
    elif kind in ("isi", "cv", "correlation"):
        assert any(text.startswith("no ") for text in texts)
    if kind == "rate":
        assert figure.axes[0].get_ylim() == (0, 1)
    if kind in ("voltage", "state"):  # a constant stands in the middle of some 1 % of itself
        low, high = figure.axes[0].get_ylim()
        assert low < -65 < high and 0.5 < high - low < 4


def test_what_is_drawn_is_what_statistics_say(files):
    (view,) = views([files["one"]])
    figure = plot.draw("cv", view)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    expected = statistics.irregularity(view.results.measured("E"))
    assert labels[0] == f"E: mean {expected.mean():.3g}"
    edges = figure.axes[0].patches[0].get_data()
    assert 0.9 < edges.values.sum() <= 1.0 and edges.edges[0] <= expected.min()
    line = plot.draw("psd", view).axes[0].lines[2]
    frequency, power = statistics.spectrum(view.results.measured("S"))
    np.testing.assert_array_equal(line.get_xdata(), frequency)
    np.testing.assert_array_equal(line.get_ydata(), power)


def test_variables_are_chosen_by_name_and_have_their_units(files):
    names = [axis.get_ylabel() for axis in plot.draw("state", views([files["one"]])).axes]
    assert "V (mV)" in names and any("(pA)" in name for name in names)
    assert {axis.get_ylabel() for axis in plot.draw("state", views([files["one"]], variables=("V",))).axes} == {"V (mV)"}
    with pytest.raises(plot.PlotError, match="no variable 'W' was recorded of what is shown; there are: V, "):
        plot.draw("state", views([files["one"]], variables=("W",)))


def test_every_population_is_named_beside_the_raster(tmp_path):
    """Also small ones among large ones; names do not lie upon each other."""
    sizes = {"A": 3000, "B": 10, "C": 1, "D": 20, "F": 1500, "G": 5}
    lines = "\n".join(f"      {name}: {{model: poisson, size: {size}, rate: 20 Hz}}" for name, size in sizes.items())
    text = f"""
    duration: 50 ms
    populations:
{lines}
    monitors:
      s: {{model: spikes, of: [{", ".join(sizes)}]}}
"""
    (view,) = views([simulated(tmp_path, "p", text)])
    figure = plot.draw("summary", view)
    plot.save(figure, tmp_path / "a.png", 100)
    named = [text for text in figure.axes[0].texts if text.get_text() in sizes]
    assert [text.get_text() for text in named] == list(sizes)
    boxes = [text.get_window_extent() for text in named]
    assert all(above.y0 >= below.y1 - 1.5 for above, below in zip(boxes, boxes[1:], strict=False))


def test_a_spike_in_a_crowd_can_be_seen():
    crowd, alone = panels._marker(80_000, 900_000, 700_000, 1.0), panels._marker(80_000, 900_000, 1, 1.0)
    assert alone["ms"] >= 2.0 > 0.5 >= crowd["ms"]
    assert panels._marker(4000, 4000, 4000, 1.0)["ms"] == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(20))
def test_places_are_moved_apart_and_no_further_than_needed(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 18))
    places, gap = np.sort(random.random(n))[::-1], 1 / 18
    moved = panels.apart(places.tolist(), gap)
    assert all(a - b >= gap - 1e-9 for a, b in zip(moved, moved[1:], strict=False))
    assert max(moved) <= 1 and min(moved) >= 0
    far = [0.9, 0.5, 0.1]
    assert panels.apart(far, 0.1) == pytest.approx(far)
    assert panels.apart([0.5, 0.5], 0.2) == pytest.approx([0.6, 0.4])


def test_a_long_run_has_its_time_in_seconds():
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    panels.time_axis(axis, 0.0, 20_000.0)
    assert axis.get_xlabel() == "time (s)" and axis.xaxis.get_major_formatter()(5000.0, 0) == "5"
    axis = Figure().subplots()
    panels.time_axis(axis, 0.0, 9_999.0)
    assert axis.get_xlabel() == "time (ms)"


def test_an_image_of_counts_has_all_spikes_and_shows_the_faintest(files, monkeypatch):
    monkeypatch.setattr(panels, "MAX_POINTS", 10)
    monkeypatch.setattr(panels, "FEW", 5)
    (view,) = views([files["one"]])
    images = [image.get_array() for image in plot.draw("raster", view).axes[0].images]
    shown = [name for name, one in view.trains.items() if len(one.train.times) > 5]
    assert len(images) == len(shown) == 3
    for name, image in zip(shown, images, strict=True):
        opaque = np.asarray(image)[..., 3]
        assert opaque[opaque > 0].min() >= panels._LEAST
        assert 0 < np.count_nonzero(opaque) <= len(view.trains[name].train.times)


def test_files_are_told_apart_by_as_much_of_their_names_as_it_takes(tmp_path):
    assert figures.names_of([tmp_path / "a.h5", tmp_path / "b.h5.partial"]) == ["a", "b"]
    assert figures.names_of([tmp_path / "x/results.h5", tmp_path / "y/results.h5"]) == ["x/results.h5", "y/results.h5"]


def test_options_of_style_that_cannot_be(files, tmp_path):
    for options, said in (
        (("--width", "colum"), "--width: 'colum' is no size of a picture: write screen, column, page, or 38 to 1524 mm"),
        (("--height", "1 km"), "--height: '1 km' is no size of a picture"),
        (("--font", "Dejavu Sans"), "there is no font 'Dejavu Sans' here; did you mean DejaVu Sans?"),
        (("--kind", "positions", str(files["two"])), "positions are drawn of one file"),
        (("--kind", "degrees", str(files["two"])), "--kind degrees is of one network"),
    ):
        done = CliRunner().invoke(app, ["plot", str(files["one"]), *options, "-o", str(tmp_path / "a.png")])
        assert done.exit_code == 2 and said in done.output, done.output
    done = CliRunner().invoke(
        app, ["plot", str(files["one"]), str(files["two"]), "--width", "85 mm", "--dark", "-o", str(tmp_path / "a.pdf")]
    )
    assert done.exit_code == 0, done.output


RATES = """
    duration: 100 ms
    populations:
      A: {{model: poisson, size: 40, rate: 100 Hz}}
    monitors:
      few: {{model: rate, of: "A[:10]", bin: 5 ms}}
      {spikes}
"""


def lines_of_rates(view):
    axis = plot.draw("rate", view).axes[0]
    return {patch.get_label(): patch.get_edgecolor() for patch in axis.patches}


def test_a_rate_of_some_neurons_is_not_shown_as_that_of_all(tmp_path):
    (alone,) = views([simulated(tmp_path, "alone", RATES.format(spikes=""))])
    assert list(lines_of_rates(alone)) == ["few (10 of A)"]
    (both,) = views([simulated(tmp_path, "both", RATES.format(spikes="all: {model: spikes, of: A}"))])
    curve = both.curves["A"]
    assert curve.size == 40 and list(lines_of_rates(both)) == ["A", "few (10 of A)"]
    assert np.sum(curve.values * np.diff(curve.edges)) * 40 * 1e-3 == pytest.approx(len(both.spikes["A"].times))


@pytest.mark.parametrize("spikes", ["", "all: {model: spikes, of: A}"])
def test_every_part_whose_rate_was_recorded_has_a_line_of_its_own(tmp_path, spikes):
    """Beside that of its population, in a colour of its own, in the bins of the monitors; watch and report have them, too."""
    text = RATES.replace("bin: 5 ms", "bin: 4 ms").format(spikes=spikes)
    path = simulated(tmp_path, "parts", text + '      rest: {model: rate, of: "A[10:]", bin: 4 ms}\n')
    with Results(path) as results:
        view = plot.View(results)
        found = lines_of_rates(view)
        assert list(found) == ["A"] * bool(spikes) + ["few (10 of A)", "rest (30 of A)"] and len(set(found.values())) == len(
            found
        )
        for monitor in ("few", "rest"):
            (name,) = (name for name in view.parts if name.startswith(monitor))
            np.testing.assert_array_equal(view.curves[name].values, results.rates(monitor)["A"].values)
        if spikes:
            parts = [view.curves[name].values * share for name, share in (("few (10 of A)", 0.25), ("rest (30 of A)", 0.75))]
            np.testing.assert_allclose(view.curves["A"].values, np.sum(parts, axis=0))
        shown = watch.of(results, 1000.0, (100, 40)).text.plain
        assert all(name in shown for name in found)


def test_a_stroke_of_a_spike_begins_where_the_trace_was(tmp_path):
    """Also where the trace of another spike goes higher: no stroke hangs above its trace."""
    text = f"""
    duration: 60 ms
    populations:
      E: {{{NEURON}, size: 1, I_e: 700 pA}}
      F: {{model: adex, size: 1, I_e: 900 pA}}
    monitors:
      spikes: {{model: spikes, of: [E, F]}}
      V: {{model: state, of: [E, F], variables: [V]}}
    """
    with Results(simulated(tmp_path, "strokes", text)) as results:
        figure = plot.draw("voltage", plot.View(results))
        for population, axis in zip("EF", figure.axes, strict=True):
            V, times = results.series("V")[population, "V"], results.spikes("spikes")[population].times
            strokes = axis.collections[0].get_segments()
            assert len(strokes) == len(times) > 1
            for (low, high), time in zip(strokes, times, strict=True):
                before = V.values[V.times < time - 1e-9, 0][-1]
                assert low[0] == high[0] == pytest.approx(time) and low[1] == before <= V.values.max() < high[1]
