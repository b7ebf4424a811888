"""Results in other formats: what is read there is what the results file has."""

import csv
import json
import sys

import numpy as np
import pytest
from recordings import call, recorded

from snnrun import archives
from snnrun.archives import neo as to_neo
from snnrun.archives import taken
from snnrun.results import Results, ResultsError

FOLDERS = ("csv", "parquet")


@pytest.fixture(scope="module", params=["float32", "float64"])
def file(request, tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("recorded"), request.param)


@pytest.fixture
def results(file):
    with Results(file) as found:
        yield found


def export(file, kind, target, *options):
    done = call("export", "results", file, "--to", kind, "-o", target, *options)
    assert done.exit_code == 0, done.output
    return target


def same(a, b):
    """Equal bits."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_array_equal(a, b)


def columns(path):
    """Columns of a CSV or Parquet file; numbers of CSV files as texts."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        return {name: table[name].to_numpy() for name in table.column_names}
    with path.open(newline="") as lines:
        head, *rows = csv.reader(lines)
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(head)}


# ---- tables and arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FOLDERS)
def test_tables_have_the_numbers_of_the_results(file, results, tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    folder = export(file, kind, tmp_path / "out")

    def check(name, **expected):
        found = columns(folder / f"{name}.{kind}")
        assert list(found) == list(expected)
        for column, values in expected.items():
            same(found[column].astype(values.dtype), values)  # a number of CSV is read as the type that it was

    for monitor in ("spikes", "some"):
        for population, train in results.spikes(monitor).items():
            assert len(train.times)
            check(f"{monitor}.{population}", time_ms=train.times, neuron=train.neurons)
    for monitor in ("voltage", "currents", "input"):
        by = {}
        for (population, variable), series in results.series(monitor).items():
            by.setdefault(population, {})[f"{variable}_{series.unit}"] = series
        for population, found in by.items():
            one = next(iter(found.values()))
            axes = {"time_ms": np.repeat(one.times, len(one.neurons)), "neuron": np.tile(one.neurons, len(one.times))}
            check(f"{monitor}.{population}", **axes, **{name: series.values.ravel() for name, series in found.items()})
    for population, rate in results.rates("rate").items():
        check(f"rate.{population}", start_ms=rate.edges[:-1], stop_ms=rate.edges[1:], rate_Hz=rate.values)
    weights = results.weights("weights")
    number = np.arange(len(weights.pre))
    check("weights.learnt", synapse=number, pre=weights.pre, post=weights.post, delay_ms=weights.delay, weight_pA=weights.last)
    times = np.repeat(weights.times, len(number))
    check("weights.learnt.times", time_ms=times, synapse=np.tile(number, len(weights.times)), weight_pA=weights.values.ravel())
    x, y = results.positions("E").T
    check("positions.E", neuron=np.arange(40), x_um=x, y_um=y)

    assert (folder / "network.yaml").read_text() == results.yaml
    contents = json.loads((folder / "contents.json").read_text())
    assert {path.name for path in folder.iterdir()} == {"contents.json", "network.yaml", *contents["files"]}
    assert contents["provenance"]["seed"] == 5 and contents["populations"]["I"] == {"size": 10, "model": "lif"}
    assert contents["files"][f"voltage.E.{kind}"]["units"] == {"time_ms": "ms", "V_mV": "mV", "ref_steps": "steps"}


def test_a_parquet_file_says_what_it_is(file, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = parquet.read_schema(export(file, "parquet", tmp_path / "out") / "voltage.E.parquet")
    assert schema.field("V_mV").metadata == {b"unit": b"mV"}
    assert json.loads(schema.metadata[b"snnrun"])["monitor"] == "voltage"


def test_arrays_have_the_bits_of_the_results(file, results, tmp_path):
    with np.load(export(file, "npz", tmp_path / "all.npz"), allow_pickle=False) as found:
        for monitor in ("spikes", "some"):
            for population, train in results.spikes(monitor).items():
                same(found[f"{monitor}/{population}/times"], train.times)
                same(found[f"{monitor}/{population}/neurons"], train.neurons)
                same(found[f"{monitor}/{population}/window"], [train.start, train.stop])
        same(found["some/E/recorded"], np.arange(10, 20))
        for monitor in ("voltage", "currents", "input"):
            for (population, variable), series in results.series(monitor).items():
                same(found[f"{monitor}/{population}/times"], series.times)
                same(found[f"{monitor}/{population}/neurons"], series.neurons)
                same(found[f"{monitor}/{population}/{variable}"], series.values)
        for population, rate in results.rates("rate").items():
            same(found[f"rate/{population}/rate"], rate.values)
            same(found[f"rate/{population}/edges"], rate.edges)
        weights = results.weights("weights")
        for name, values in {"pre": weights.pre, "last": weights.last, "weights": weights.values, "times": weights.times}.items():
            same(found[f"weights/learnt/{name}"], values)
        same(found["positions/E"], results.positions("E"))
        facts = json.loads(str(found["facts"]))
        assert str(found["network"]) == results.yaml and facts["units"]["voltage/E/V"] == "mV"


# ---- NWB and Neo -----------------------------------------------------------------------------------------------------


def test_an_nwb_file_is_valid_and_has_the_results(file, results, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    path = export(file, "nwb", tmp_path / "all.nwb")
    assert not pynwb.validate(path=str(path))
    with pynwb.NWBHDF5IO(path, "r") as io:
        found = io.read()
        units = found.units.to_dataframe()
        assert len(units) == 50 and found.units.resolution == pytest.approx(1e-4)
        trains = results.all_spikes()
        for _, row in units.iterrows():
            expected = trains[row.population].times[trains[row.population].neurons == row.neuron]
            np.testing.assert_allclose(row.spike_times, expected * 1e-3, rtol=1e-15)
            np.testing.assert_array_equal(row.obs_intervals, [[0.0, 0.2]])
        some = found.processing["network"]["some"].to_dataframe()
        assert list(some.neuron) == list(range(10, 20)) and sum(map(len, some.spike_times)) == len(
            results.spikes("some")["E"].times
        )
        np.testing.assert_allclose(some.obs_intervals[0], [[0.05, 0.2]])
        for monitor in ("voltage", "currents", "input"):
            for (population, variable), series in results.series(monitor).items():
                signal = found.acquisition[f"{monitor}.{population}.{variable}"]
                same(signal.data[()], series.values)
                known = {"mV": ("volts", 1e-3), "pA": ("amperes", 1e-12), "steps": ("steps", 1.0)}
                assert (signal.unit, signal.conversion) == known[series.unit]
                times = signal.starting_time + np.arange(len(series.times)) / signal.rate
                np.testing.assert_allclose(times, series.times * 1e-3, atol=1e-12)
                whose = found.processing["network"][f"{monitor}.{population}"].to_dataframe()
                assert list(whose.neuron) == list(series.neurons) and set(whose.population) == {population}
        rate = results.rates("rate")["E"]
        same(found.acquisition["rate.E"].data[()], rate.values)
        np.testing.assert_allclose(found.acquisition["rate.E"].timestamps[()], rate.times * 1e-3)
        weights = results.weights("weights")
        same(found.acquisition["weights.learnt"].data[()], weights.values)
        same(found.processing["network"]["weights.learnt"]["weight_pA"].data[()], weights.last)
        neurons = found.processing["network"]["neurons"].to_dataframe()
        same(neurons[["x_um", "y_um"]].to_numpy()[:40], results.positions("E"))
        assert neurons.x_um[40:].isna().all() and list(neurons.population[38:42]) == ["E", "E", "I", "I"]
        assert found.get_scratch("network_yaml").item() == results.yaml and "All data are simulated" in found.session_description
        assert json.loads(found.get_scratch("provenance").item())["provenance"]["seed"] == 5
        assert found.session_start_time.isoformat() == results.provenance["created"]


def test_a_neo_block_has_the_results_and_so_has_its_file(file, results, tmp_path):
    neo = pytest.importorskip("neo")
    pytest.importorskip("nixio")
    with neo.io.NixIO(str(export(file, "neo", tmp_path / "all.nix")), "ro") as io:
        stored = io.read_block()
    for block in (archives.to_neo(results), stored):
        (segment,) = block.segments
        assert len(segment.spiketrains) == 60 and block.annotations["network"] == results.yaml
        by = {(t.annotations["monitor"], t.annotations["population"], t.annotations["neuron"]): t for t in segment.spiketrains}
        for monitor in ("spikes", "some"):
            for population, train in results.spikes(monitor).items():
                for neuron in results.recorded(population, monitor):
                    found = by[monitor, population, neuron]
                    same(found.times.rescale("ms").magnitude, train.times[train.neurons == neuron])
                    assert (float(found.t_start), float(found.t_stop)) == (train.start, train.stop)
        signals = {signal.name: signal for signal in segment.analogsignals}
        for monitor in ("voltage", "currents", "input"):
            for (population, variable), series in results.series(monitor).items():
                signal = signals[f"{monitor}.{population}.{variable}"]
                same(signal.magnitude, series.values)
                assert signal.units.dimensionality.string == {"steps": "dimensionless"}.get(series.unit, series.unit)
                np.testing.assert_allclose(signal.times.rescale("ms").magnitude, series.times, rtol=1e-12)
                same(signal.array_annotations["neuron"], series.neurons)
        rate = results.rates("rate")["E"]
        same(signals["rate.E"].magnitude[:, 0], rate.values)
        assert signals["rate.E"].annotations["last_bin_ms"] == pytest.approx(200 - 28 * 7)
        (weights,), expected = segment.irregularlysampledsignals, results.weights("weights")
        same(weights.magnitude, np.vstack([expected.values, expected.last]))
        same(weights.array_annotations["pre"], expected.pre)
        groups = {group.name: group for group in block.groups}
        same(np.array(groups["E"].annotations["y_um"], np.float64), results.positions("E")[:, 1])
        assert len(groups["E"].spiketrains) == 50 and len(groups["I"].analogsignals) == 3


def test_neo_reads_the_nwb_file_as_well(file, results, tmp_path):
    neo = pytest.importorskip("neo")
    pytest.importorskip("pynwb")
    path = export(file, "nwb", tmp_path / "a.nwb", "--monitor", "spikes", "--monitor", "voltage")
    (block,) = neo.io.NWBIO(str(path), "r").read_all_blocks()
    trains, train = block.segments[0].spiketrains, results.spikes("spikes")["E"]
    assert len(trains) == 50
    for neuron in range(40):
        np.testing.assert_allclose(trains[neuron].rescale("ms").magnitude, train.of(neuron), rtol=1e-12)
    signals = {signal.name: signal for signal in block.segments[0].analogsignals}
    np.testing.assert_allclose(
        signals["voltage.E.V"].rescale("mV").magnitude, results.series("voltage")["E", "V"].values, rtol=1e-6
    )


def test_a_block_of_a_file_is_closed_with_it(file):
    pytest.importorskip("neo")
    assert len(archives.to_neo(str(file), archives.Wanted(monitors=("some",))).segments[0].spiketrains) == 10


UNITS = {"mV/ms": "V/s", "nS/mV^2": "nS/mV**2", "GOhm": "mV/pA", "MOhm": "uV/pA", "": "dimensionless", "1/ms": "kHz",
         "kHz": "1/ms", "pA*ms": "nA*us", "steps": "dimensionless"}  # fmt: skip


@pytest.mark.parametrize("unit, same_as", UNITS.items())
def test_units_are_those_of_quantities(unit, same_as):
    pq = pytest.importorskip("quantities")
    found = pq.Quantity(2.0, to_neo._unit(unit))
    assert float(found.rescale(pq.Quantity(1.0, same_as).units)) == pytest.approx(2.0)


def test_what_neo_cannot_hold_is_refused(results, monkeypatch):
    pytest.importorskip("neo")
    monkeypatch.setattr(to_neo, "_SHARE", 0.0)
    with pytest.raises(archives.Refused, match=r"Neo keeps everything in memory, and this is .* GB"):
        archives.to_neo(results)


# ---- a part of it, piece by piece ------------------------------------------------------------------------------------


def test_a_window_has_what_lies_in_it(results):
    found = taken.take(results, archives.Wanted(("spikes", "voltage", "rate", "weights"), ("E",), 50.0, 100.0))
    assert {(one.monitor, one.population) for one in (*found.spikes, *found.traces, *found.rates)} == {
        ("spikes", "E"), ("voltage", "E"), ("rate", "E")
    }  # fmt: skip
    train, (piece,) = results.spikes("spikes")["E"], found.spikes[0].pieces()
    inside = (train.times > 50) & (train.times <= 100)
    same(piece.times, train.times[inside])
    same(piece.neurons, train.neurons[inside])
    series = results.series("voltage")["E", "V"]
    inside = (series.times >= 50) & (series.times <= 100)
    same(found.traces[0].times, series.times[inside])
    same(found.traces[0].read("V", slice(0, inside.sum())), series.values[inside])
    assert found.rates[0].edges[0] == 56 and found.rates[0].edges[-1] == 98
    assert list(found.weights[0].of.times) == [50, 100] and found.weights[0].of.last is None
    same(found.weights[0].read(slice(0, 2)), results.weights("weights").values[1:3])
    assert list(found.positions) == ["E"]


def test_weights_of_projections_are_left_out_where_populations_are_chosen(results):
    assert not taken.take(results, archives.Wanted(populations=("E",))).weights


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_small_pieces_give_the_same_files(file, tmp_path, monkeypatch, kind):
    def content(target):
        if target.is_dir():
            return {path.name: path.read_bytes() for path in target.iterdir()}
        with np.load(target) as found:
            return {name: found[name].tobytes() for name in found}

    whole = content(export(file, kind, tmp_path / f"whole.{kind}"))
    monkeypatch.setattr(taken, "_BYTES", 100)
    pieces = taken.StoredTrain.pieces
    monkeypatch.setattr(taken.StoredTrain, "pieces", lambda train, start, stop: pieces(train, start, stop, 7))
    assert content(export(file, kind, tmp_path / f"pieces.{kind}")) == whole


def test_sorting_by_neuron_piece_by_piece(results, monkeypatch):
    (spikes,) = (one for one in taken.take(results).spikes if one.monitor == "some")
    train = results.spikes("some")["E"]
    pieces = taken.StoredTrain.pieces
    for most in (1, 5, 1000):
        monkeypatch.setattr(taken.StoredTrain, "pieces", lambda train, start, stop, most=most: pieces(train, start, stop, most))
        times, ends = taken.sorted_by_neuron(spikes)
        for neuron, own in zip(range(10, 20), np.split(times, ends[:-1]), strict=True):
            same(own, train.of(neuron))


def test_nwb_streams_what_is_larger_than_a_buffer(results, tmp_path, monkeypatch):
    pynwb = pytest.importorskip("pynwb")
    from snnrun.archives import nwb

    monkeypatch.setattr(nwb, "_BUFFER", 1e-7)
    monkeypatch.setattr(nwb, "_CHUNK", 5e-5)
    archives.write(results, "nwb", tmp_path / "a.nwb", archives.Wanted(("voltage",)))
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        data = io.read().acquisition["voltage.E.V"].data
        assert data.chunks[0] < 10 and data.compression == "gzip"
        same(data[()], results.series("voltage")["E", "V"].values)


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, said", [
    ((), "the format is missing: add --to with nwb, neo, csv, npz, parquet"),
    (("--to", "xls"), "there is no format 'xls': use nwb, neo, csv, npz or parquet"),
    (("--to", "npz", "--pop", "X"), "there is no population 'X': there are: E, I"),
    (("--to", "npz", "--monitor", "v"), "there is no monitor 'v': there are: spikes, some, voltage,"),
    (("--to", "npz", "--t0", "1 s"), "there is nothing after 1000 ms: 200 ms were simulated"),
    (("--to", "npz", "--t0", "50 ms", "--t1", "20 ms"), "there is no time between 50 ms and 20 ms"),
    (("--to", "npz", "--t0", "5"), "--t0: a time needs a unit: write 5 ms"),
    (("--to", "npz", "-o", "a.txt"), "a.txt is no name of such a file: let it end in .npz"),
    (("--to", "csv", "-o", "net.yaml"), "net.yaml is a file: name a folder"),
    (("--to", "csv", "-o", "."), "exists already: use --overwrite"),
    (("--to", "csv", "-o", ".", "--overwrite"), "has other files than those of an export: name another folder"),
    (("--to", "npz", "-o", "nowhere/a.npz"), "there is no file nowhere/"),
])  # fmt: skip
def test_what_cannot_be_written_is_told(file, monkeypatch, options, said):
    monkeypatch.chdir(file.parent)
    before = {path.name: path.read_bytes() for path in file.parent.iterdir() if path.is_file()}
    found = call("export", "results", "results.h5", *options)
    assert found.exit_code == 2 and said in found.output, found.output
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_a_library_that_is_missing_or_broken_is_told(file, tmp_path, monkeypatch):
    for kind, name, command in (
        ("nwb", "pynwb", "snnrun[nwb]"),
        ("neo", "neo", "snnrun[neo]"),
        ("parquet", "pyarrow", "snnrun[parquet]"),
    ):
        with monkeypatch.context() as patch:
            for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                patch.delitem(sys.modules, module)
            patch.setitem(sys.modules, "nixio", sys)  # asked for first
            patch.syspath_prepend(tmp_path)
            (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError('gone', name=__name__)")
            found = call("export", "results", file, "--to", kind, "-o", tmp_path / f"a.{'nix' if kind == 'neo' else kind}")
            assert found.exit_code == 2 and f"{name} is not installed: pip install '{command}'" in found.output, found.output
            patch.delitem(sys.modules, name, raising=False)
            (tmp_path / f"{name}.py").write_text("raise ImportError('libX.so is too old') # of another length")
            found = call("export", "results", file, "--to", kind, "-o", tmp_path / f"a.{'nix' if kind == 'neo' else kind}")
            said = f"{name} cannot be loaded (libX.so is too old): pip install --upgrade '{command}'"
            assert found.exit_code == 2 and said in found.output, found.output
        (tmp_path / f"{name}.py").unlink()
    assert not [path for path in tmp_path.iterdir() if path.name not in ("__pycache__",)]


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_a_failure_leaves_what_was_there(file, tmp_path, monkeypatch, kind):
    target = export(file, kind, tmp_path / ("a.npz" if kind == "npz" else "a"))
    mine = target / "network.yaml" if target.is_dir() else target
    mine.write_text("mine")

    def fail(*_):
        raise ResultsError("it is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(taken.Traces, "read", fail)
        found = call("export", "results", file, "--to", kind, "-o", target, "--overwrite")
    assert found.exit_code == 2 and "it is damaged" in found.output
    assert mine.read_text() == "mine" and list(tmp_path.iterdir()) == [target]
    export(file, kind, target, "--overwrite")
    assert mine.read_bytes() != b"mine" and list(tmp_path.iterdir()) == [target]


def test_a_folder_with_a_file_of_somebody_else_is_never_replaced(file, tmp_path):
    target = export(file, "csv", tmp_path / "a", "--monitor", "some")
    (target / "thesis.tex").write_text("mine")
    found = call("export", "results", file, "--to", "csv", "-o", target, "--overwrite")
    assert found.exit_code == 2 and "has other files" in found.output and (target / "thesis.tex").read_text() == "mine"


def test_names_that_differ_in_case_alone_have_files_of_their_own(results, tmp_path):
    found = taken.take(results, archives.Wanted(("spikes",)))
    lower = [one._replace(population="e", monitor="Spikes") for one in found.spikes if one.population == "E"]
    archives.plain.write_csv(found._replace(spikes=found.spikes + lower), tmp_path)
    assert {path.name for path in tmp_path.glob("[sS]*")} == {"spikes.E.csv", "spikes.I.csv", "Spikes.e-2.csv"}


def test_a_run_without_spikes_or_frames_is_written(tmp_path):
    text = """
duration: 5 ms
precision: {precision}
populations:
  N: {{size: 3, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm, I_e: 0 pA}}
monitors:
  s: {{model: spikes, of: N}}
  v: {{model: state, of: N, variables: [V]}}
"""
    file = recorded(tmp_path, text=text)
    for kind, name in (("csv", "c"), ("npz", "a.npz"), ("parquet", "p"), ("nwb", "a.nwb"), ("neo", "a.nix")):
        for library in {"parquet": ["pyarrow"], "nwb": ["pynwb"], "neo": ["neo", "nixio"]}.get(kind, []):
            pytest.importorskip(library)
        export(file, kind, tmp_path / name)
        export(file, kind, tmp_path / name, "--t0", "4.95 ms", "--overwrite")  # between two frames
    assert (tmp_path / "c" / "s.N.csv").read_text() == "time_ms,neuron\n"
    assert (tmp_path / "c" / "v.N.csv").read_text() == "time_ms,neuron,V_mV\n"
    assert not __import__("pynwb").validate(path=str(tmp_path / "a.nwb"))
