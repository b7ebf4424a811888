"""Results in a notebook, and docs/notebooks.md."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings import NET, call, recorded

import snnrun
from snnrun import statistics
from snnrun.plot import PlotError
from snnrun.results import Results, ResultsError

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("recorded"), "float32")


@pytest.fixture
def results(file):
    with snnrun.open_results(file) as found:
        yield found


def test_the_package_is_light_and_results_load_no_jax(file):
    code = f"""
import sys, snnrun
assert not {{"jax", "numpy", "h5py", "pydantic", "matplotlib"}} & set(sys.modules), "import snnrun"
assert "open_results" in dir(snnrun)
results = snnrun.open_results({str(file)!r})
repr(results), results._repr_html_(), results.spikes["E"], results.populations["E"].traces["V"], results.weights["learnt"]
results.populations["E"].statistics(), results.spikes["E"]
assert not {{"jax", "matplotlib", "pydantic"}} & set(sys.modules), "open_results"
results.file.recorded("E", "some"), results.plot("raster"), results.plot("voltage")
assert "jax" not in sys.modules, "plot"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'open_result'"):
        snnrun.open_result  # noqa: B018


def test_names_lead_to_what_the_reader_reads(results, file):
    with Results(file) as expected:
        for name, train in expected.all_spikes().items():
            for found in (results.populations[name].spikes, results.spikes[name], results["spikes"][name]):
                np.testing.assert_array_equal(found.times, train.times)
                np.testing.assert_array_equal(found.neurons, train.neurons)
            assert results.populations[name].mean_rate == train.rate
            np.testing.assert_array_equal(results.rates[name].values, expected.rates("rate")[name].values)
            assert results.populations[name].statistics(50, 150) == statistics.measure(expected.measured(name, 50, 150))
        series = expected.series("voltage")["E", "V"]
        for found in (results.populations.E.traces.V, results.monitors["voltage"]["E"]["V"], results["E"].trace("V")):
            np.testing.assert_array_equal(found.values, series.values)
            np.testing.assert_array_equal(found.times, series.times)
        np.testing.assert_array_equal(series.of(2), series.values[:, 2])
        assert list(results.populations.E.traces) == ["V", "ref", "exc.x", "exc", "inh"]
        assert list(results.populations.I.traces) == ["V", "ref"]
        np.testing.assert_array_equal(results["E"].positions, expected.positions("E"))
        np.testing.assert_array_equal(results.weights["learnt"].values, expected.weights("weights").values)
        assert (results.yaml, results.network, results.dt) == (expected.yaml, expected.resolved, expected.dt)
        assert results["E"].parameters["R"] == "100 MOhm" and results["E"].size == 40
        assert set(results.timings) >= {"run", "compile"} and results.complete and results.reached == results.duration == 200


def test_a_part_of_a_trace_has_the_frames_at_both_its_ends(results):
    part = results.populations.E.trace("V", 50, 51)
    np.testing.assert_array_equal(part.times, [50, 50.5, 51])
    np.testing.assert_array_equal(part.values, results.populations.E.traces.V.values[100:103])


def test_what_is_not_there_is_answered_with_what_is(results):
    for action, said in (
        (
            lambda: results["voltag"],
            "no population or monitor 'voltag'; did you mean 'voltage'? populations: E, I; monitors: spikes,",
        ),
        (lambda: results.populations["e"], "there is no population 'e'; did you mean 'E'? there are: E, I"),
        (
            lambda: results.populations["E"].traces["U"],
            "no recorded variable of population E 'U'; there are: V, ref, exc.x, exc, inh",
        ),
        (lambda: results.populations["E"].trace("U"), "no recorded variable of population E 'U'"),
        (lambda: results.monitors["spikes"]["X"], "no population of monitor spikes 'X'; there are: E, I"),
        (lambda: results.weights["exc"], "no projection with recorded weights 'exc'; there are: learnt"),
        (lambda: results.populations["I"].positions, "no layout of a population 'I'; those with one: E"),
        (lambda: results.populations["E"].traces["V"].of(9), "neuron 9 is not recorded; 4 are, from 0 to 3"),
    ):
        with pytest.raises(ResultsError, match=re.escape(said)):
            action()
    with pytest.raises(KeyError):
        results.populations["e"]
    with pytest.raises(AttributeError, match="there is no population 'X'; there are: E, I"):
        results.populations.X  # noqa: B018
    with pytest.raises(PlotError, match="there is no picture 'rastr'; use summary, raster"):
        results.plot("rastr")
    with pytest.raises(ResultsError, match="there is no file nowhere.h5"):
        snnrun.open_results("nowhere.h5")
    assert "X" not in results.populations and results.populations.get("X") is None


def test_names_are_completed(results):
    assert results._ipython_key_completions_() == ["E", "I", "spikes", "some", "voltage", "currents", "input", "rate", "weights"]
    assert results.populations._ipython_key_completions_() == ["E", "I"]
    assert {"E", "I"} <= set(dir(results.populations)) and "V" in dir(results["E"].traces)
    assert "exc.x" not in dir(results["E"].traces)  # no name in Python
    assert {"populations", "monitors", "spikes", "plot", "to_neo"} <= set(dir(results))


class _Cells(HTMLParser):
    """Texts of the cells of all rows, and every tag that was opened and not closed."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open, self.tags = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def test_it_shows_itself_as_text_and_as_tables(results):
    text, page = repr(results), results._repr_html_()
    found = _Cells(page)
    assert not found.open and found.tags == {"div", "p", "b", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    spikes = len(results.spikes["E"].times)
    assert ["E", "40", "lif", f"{spikes:,}", f"{results['E'].mean_rate:.4g}"] in found.rows
    assert ["voltage", "state", "V of 4 E, ref of 4 E, V of 3 I, ref of 3 I"] in found.rows
    assert text.splitlines()[0] == "everything <b>&amp;</b>: 200 ms, in steps of 0.1 ms"
    assert "everything &lt;b&gt;&amp;amp;&lt;/b&gt;" in page
    assert not re.search(r"(?<!-)color:(?!inherit)|background:(?!none)", page)  # those of the page, light or dark
    assert all(cell in text for row in found.rows for cell in row)
    assert repr(results.populations) == "<population: E, I>"
    assert repr(results["E"]) == f"<Population E: 40 neurons; lif; {spikes:,} spikes, {results['E'].mean_rate:.4g} Hz; " \
                                 "traces of V, ref, exc.x, exc, inh>"  # fmt: skip
    assert repr(results.spikes["E"]).startswith(f"<Train: times, neurons of {spikes:,} spikes, 0 to 200 ms, 40 neurons, ")
    assert repr(results["E"].traces.V) == "<Series: times [400], values [400 x 4] in mV>"
    assert repr(results.rates.E) == "<Rate: times, values (Hz) of 29 bins of 7 ms>"


def test_a_closed_or_damaged_file_still_has_a_text(file):
    found = snnrun.open_results(str(file))
    found.close()
    assert repr(found) == f"<OpenResults: {file} is closed>" and "is closed" in found._repr_html_()


def test_a_name_that_a_terminal_would_obey_is_shown(file, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(file.read_bytes())
    with h5py.File(copy, "r+") as changed:
        changed["snnrun/config"].attrs["name"] = "a\x1b[31mb\u202e"
    with snnrun.open_results(copy) as found:
        assert "\x1b" not in repr(found) + found._repr_html_() and "\\x1b" in repr(found) and "\\u202e" in found._repr_html_()


def test_a_run_without_monitors_says_so(tmp_path):
    text = NET.format(precision="float32").partition("monitors:")[0].replace("{", "{{").replace("}", "}}")
    with snnrun.open_results(recorded(tmp_path, text=text)) as found:
        assert "monitors" not in repr(found) and "E     40       lif    -       -" in repr(found)
        with pytest.raises(ResultsError, match="there is no population with recorded spikes 'E': the run has recorded none"):
            found["E"].spikes  # noqa: B018
        with pytest.raises(ResultsError, match="the run has recorded none"):
            found["E"].statistics()
        assert repr(found["E"]) == "<Population E: 40 neurons; lif>"


def test_a_picture_is_a_figure_that_shows_itself(results):
    from matplotlib.figure import Figure

    figure = results.plot("rate", populations=["E"], t0=50, t1=100, dark=True)
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    assert figure.axes[-1].get_xlim() == (50, 100)


def test_frames_have_what_is_recorded(results):
    pytest.importorskip("pandas")
    spikes = results.spikes["E"]
    np.testing.assert_array_equal(spikes.to_pandas()["time_ms"], spikes.times)
    series = results["E"].traces["V"]
    frame = series.to_pandas()
    np.testing.assert_array_equal(frame[2], series.of(2))
    assert frame.index.name == "time_ms" and frame.attrs["unit"] == "mV"
    assert list(results.rates["E"].to_pandas()["stop_ms"])[-1] == 200
    np.testing.assert_array_equal(results.weights["learnt"].to_pandas()["weight_pA"], results.weights["learnt"].last)


def test_pandas_that_is_missing_is_told(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pandas .*: pip install .*'snnrun\[pandas\]'"):
        results.spikes["E"].to_pandas()


def test_the_page_does_what_it_says(file, monkeypatch, tmp_path):
    for library in ("pandas", "neo", "nixio", "pynwb", "pyarrow"):
        pytest.importorskip(library)
    (tmp_path / "results.h5").write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    space = {}
    blocks = re.findall(r"```(python|sh)\n(.*?)```", (DOCS / "notebooks.md").read_text("utf-8"), re.S)
    first, *blocks = blocks
    assert "net.simulate" in first[1] and len(blocks) == 10  # test_docs.py runs networks; here are results
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, "notebooks.md", "exec"), space)
            continue
        for line in block.splitlines():
            done = call(*shlex.split(line)[1:])
            assert done.exit_code == 0, (line, done.output)
    assert np.array_equal(space["voltage"]["V_mV"].astype(np.float32), space["E"].traces["V"].values.ravel())
    np.testing.assert_allclose(space["V_in_volts"], space["V"].values * 1e-3, rtol=1e-6)
    assert np.array_equal(space["times"], space["spikes"].times) and len(space["units"]) == 50
    assert len(space["shifted"]) == 50 and Path("state.pdf").exists()
    space["results"].close()
