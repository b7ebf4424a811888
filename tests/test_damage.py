"""Results files that are damaged, or made to do harm: what is read is there, or there is a ResultsError that names the file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from attacks import results as attacks
from networks import load

from snnrun import plot, run
from snnrun.results import Results, ResultsError

CONFIG, SPIKES, V, RATE = "snnrun/config", "snnrun/monitors/spikes/A", "snnrun/monitors/V/A/V", "snnrun/monitors/rate/A/rate"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run.simulate(run.Request(load(folder, attacks.NETWORK), folder / "results.h5", [], plot=False))
    return folder / "results.h5"


@pytest.fixture
def path(written, tmp_path):
    """A copy that may be damaged."""
    shutil.copy(written, tmp_path / "damaged.h5")
    return tmp_path / "damaged.h5"


def test_a_sound_file_is_read(path):
    assert attacks.read_all(path, draw=True) == "read"


# ---- what is wrong with values, by the way in which it is read -------------------------------------------------------

READ = {
    "info": lambda found: (found.complete, found.name, found.duration, found.reached, found.populations, found.monitors,
                           found.provenance, found.spike_counts()),
    "spikes": lambda found: found.spikes("spikes"),
    "V": lambda found: found.series("V"),
    "samples": lambda found: found.samples("V"),
    "rate": lambda found: found.rates("rate"),
    "yaml": lambda found: found.yaml,
    "digests": lambda found: found.digests(),
}  # fmt: skip
nan, inf = float("nan"), float("inf")


def attribute(item: str, key: str, value):
    def damage(file):
        file[item].attrs[key] = value

    return damage


def replaced(name: str, *arguments, **options):
    """Another dataset in the place of one."""

    def damage(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, *arguments, **options).attrs.update(attributes)

    return damage


def link(name: str, target):
    def damage(file):
        made = target(file) if callable(target) else target
        del file[name]
        file[name] = made

    return damage


def element(name: str, index, value):
    def damage(file):
        file[name][index] = value

    return damage


def resolved(change):
    def damage(file):
        tree = json.loads(file[CONFIG].attrs["resolved"])
        change(tree)
        file[CONFIG].attrs["resolved"] = json.dumps(tree)

    return damage


def virtual(file):
    layout = h5py.VirtualLayout((10,), "f8")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", (10,))
    del file[f"{SPIKES}/timestamps"]
    file[SPIKES].create_virtual_dataset("timestamps", layout)


DAMAGE = {
    "no configuration": ("info", lambda file: file.__delitem__(CONFIG)),
    "no populations": ("info", lambda file: file.__delitem__("snnrun/populations")),
    "no provenance": ("info", lambda file: file.__delitem__("snnrun/provenance")),
    "no monitors": ("info", lambda file: file.__delitem__("snnrun/monitors")),
    "no links for SONATA": ("info", lambda file: file.__delitem__("spikes")),
    "a population that is missing": ("spikes", lambda file: file.__delitem__("snnrun/populations/A")),
    "a model that is a number": ("info", attribute("snnrun/monitors/V", "model", 3)),
    "a size that is a text": ("info", attribute("snnrun/populations/A", "size", "many")),
    "a negative size": ("info", attribute("snnrun/populations/A", "size", -1)),
    "a size with a fraction": ("info", attribute("snnrun/populations/A", "size", 1.5)),
    "a huge size": ("info", attribute("snnrun/populations/A", "size", 2**62)),
    "a status that is a list": ("info", attribute("/", "status", ["complete", "partial"])),
    "a name that is a list": ("info", attribute(CONFIG, "name", ["a", "b"])),
    "no time step": ("info", attribute(CONFIG, "dt", 0.0)),
    "a time step that is no number": ("info", attribute(CONFIG, "dt", nan)),
    "an endless time step": ("info", attribute(CONFIG, "dt", inf)),
    "time steps": ("info", attribute(CONFIG, "dt", [0.1, 0.1])),
    "a complex time step": ("info", attribute(CONFIG, "dt", 0.1j)),
    "steps that are no number": ("info", attribute(CONFIG, "steps", h5py.Empty("i8"))),
    "negative steps": ("info", attribute(CONFIG, "steps", -5)),
    "an endless duration": ("info", lambda file: file[CONFIG].attrs.update({"dt": 1e300, "steps": 2**50})),
    "reached nothing": ("info", attribute(CONFIG, "reached", nan)),
    "reached what was before": ("info", attribute(CONFIG, "reached", -1.0)),
    "a window that is no number": ("info", attribute(SPIKES, "start", nan)),
    "no JSON": ("info", attribute(CONFIG, "resolved", "{")),
    "deep JSON": ("info", attribute(CONFIG, "resolved", "[" * 200_000)),
    "JSON of a list": ("info", attribute(CONFIG, "resolved", "[]")),
    "JSON without populations": ("info", attribute(CONFIG, "resolved", "{}")),
    "JSON with a list of populations": ("info", resolved(lambda tree: tree.update(populations=["A"]))),
    "JSON with monitors that are none": ("info", resolved(lambda tree: tree["monitors"].update(V=3))),
    "a text that is a number": ("yaml", attribute(CONFIG, "yaml", 3)),
    "datasets in the place of groups": ("info", replaced("snnrun/populations", data=[1.0])),
    "a group in the place of a dataset": ("spikes", lambda file: (file.__delitem__(f"{SPIKES}/node_ids"),
                                                                  file[SPIKES].create_group("node_ids"))),
    "no times": ("info", lambda file: file.__delitem__(f"{SPIKES}/timestamps")),
    "times that are texts": ("spikes", replaced(f"{SPIKES}/timestamps", data=["1", "2"], dtype=h5py.string_dtype())),
    "times that are objects": ("digests", replaced(f"{SPIKES}/timestamps", (3,), dtype=h5py.vlen_dtype(np.float64))),
    "times of a record": ("digests", replaced(f"{SPIKES}/timestamps", (3,), dtype=[("a", "f8"), ("b", "i4")])),
    "times without a shape": ("spikes", replaced(f"{SPIKES}/timestamps", data=h5py.Empty("f8"))),
    "one time": ("spikes", replaced(f"{SPIKES}/timestamps", data=1.0)),
    "a table of times": ("spikes", replaced(f"{SPIKES}/timestamps", data=np.zeros((3, 3)))),
    "times out of order": ("spikes", element(f"{SPIKES}/timestamps", 0, 30.0)),
    "a time that is no number": ("spikes", element(f"{SPIKES}/timestamps", 3, nan)),
    "an endless time": ("spikes", element(f"{SPIKES}/timestamps", -1, inf)),
    "a time before the beginning": ("spikes", element(f"{SPIKES}/timestamps", 0, -1.0)),
    "a time after the end": ("spikes", element(f"{SPIKES}/timestamps", -1, 1e6)),
    "a neuron beyond the population": ("spikes", element(f"{SPIKES}/node_ids", 0, 40)),
    "a neuron far beyond": ("spikes", element(f"{SPIKES}/node_ids", 0, 2**64 - 1)),
    "neurons with a fraction": ("spikes", replaced(f"{SPIKES}/node_ids", data=np.zeros(5))),
    "many times with nothing behind": ("info", replaced(f"{SPIKES}/timestamps", (2**45,), "f8")),
    "many chunks with nothing behind": ("digests", replaced(f"{SPIKES}/timestamps", (2**45,), "f8", chunks=(2**20,))),
    "packed chunks with nothing behind": ("V", replaced(f"{V}/data", (2**45, 4), "f4", chunks=(2**16, 4), compression="gzip")),
    "frames of other neurons": ("V", replaced(f"{V}/mapping/node_ids", data=np.arange(3))),
    "frames without a time": ("V", lambda file: file.__delitem__(f"{V}/mapping/time")),
    "frames of no time": ("samples", element(f"{V}/mapping/time", 2, 0.0)),
    "frames that go back": ("samples", element(f"{V}/mapping/time", 2, -0.5)),
    "frames in no time": ("samples", element(f"{V}/mapping/time", 0, nan)),
    "two times for frames": ("samples", replaced(f"{V}/mapping/time", data=[1.0, 2.0])),
    "frames of neurons that are not there": ("samples", element(f"{V}/mapping/node_ids", 0, 1000)),
    "frames in a row": ("V", replaced(f"{V}/data", data=np.zeros(10, "f4"))),
    "frames of whole numbers": ("V", replaced(f"{V}/data", data=np.zeros((10, 4), "i4"))),
    "frames without a unit": ("V", lambda file: file[f"{V}/data"].attrs.__delitem__("units")),
    "no bins": ("rate", attribute(RATE, "bin", 0.0)),
    "bins that are no numbers": ("rate", attribute(RATE, "bin", nan)),
    "bins that go back": ("rate", attribute(RATE, "bin", -3.0)),
    "bins without an end": ("rate", attribute(RATE, "bin", 1e308)),
    "a last bin that goes back": ("rate", attribute(RATE, "last_bin", -1.0)),
    "bins without a beginning": ("rate", lambda file: file[RATE].attrs.__delitem__("start")),
    "a rate that is no number": ("rate", element(RATE, 1, nan)),
    "a negative rate": ("rate", element(RATE, 1, -1.0)),
    "a link to another place": ("spikes", link(f"{SPIKES}/timestamps", h5py.SoftLink("/snnrun/monitors/late/A/timestamps"))),
    "a link in a circle": ("spikes", link(SPIKES, h5py.SoftLink(f"/{SPIKES}"))),
    "a link to a file": ("spikes", link(SPIKES, h5py.ExternalLink("/etc/passwd", "/"))),
    "a group within itself": ("spikes", link(SPIKES, lambda file: file["snnrun/monitors/spikes"])),
    "a root within a monitor": ("V", link(V, lambda file: file["/"])),
    "values in another file": ("spikes", replaced(f"{SPIKES}/timestamps", (10,), "f8", external=[("/etc/passwd", 0, 80)])),
    "values in a virtual file": ("digests", virtual),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused_with_the_name_of_the_file(path, case):
    reading, damage = DAMAGE[case]
    with h5py.File(path, "r+") as file:
        damage(file)
    with Results(path) as found:
        with pytest.raises(ResultsError, match=r"damaged\.h5 is damaged: .*\w") as caught:
            READ[reading](found)
    assert "\n" not in str(caught.value)
    assert attacks.read_all(path, draw=True) == "refused"


@pytest.mark.parametrize("value", [["a", "b"], np.arange(3), b"bytes", h5py.Empty("f8"), 1j, np.void(b"abc"), nan, "\x1b\u202e"])
def test_a_provenance_of_any_kind_is_shown(path, value):
    with h5py.File(path, "r+") as file:
        file["snnrun/provenance"].attrs["odd"] = value
    with Results(path) as found:
        json.dumps(found.provenance["odd"])
    assert attacks.read_all(path) == "read"


def test_names_of_a_hostile_file_do_not_lead_elsewhere(path):
    """Names from JSON are looked up among those of a group, not followed as paths."""
    with h5py.File(path, "r+") as file:
        tree = json.loads(file[CONFIG].attrs["resolved"])
        tree["populations"] |= dict.fromkeys((".", "..", "/", "A/..", "../config", "", "\0", "A\0"), {})
        file[CONFIG].attrs["resolved"] = json.dumps(tree)
    with Results(path) as found:
        assert list(found.populations) == ["A", "B", "C"] and list(found.spike_counts()) == ["A", "B", "C"]


def test_what_cannot_be_opened_is_said_in_one_sentence(path, tmp_path):
    whole = path.read_bytes()
    damaged = {
        b"": "is empty",
        b"hello": "is no readable HDF5 file",
        whole[:5000]: "is damaged: it is cut short, after 5,000 of",
        whole[:100]: "is damaged: it is cut short",
        whole[:8] + bytes(len(whole) - 8): "is no",
        whole[:8] + b"\xff" * 500: "is no",
    }
    for content, message in damaged.items():
        path.write_bytes(content)
        with pytest.raises(ResultsError, match=rf"damaged\.h5 {message}"):
            Results(path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in (("fifo", "no regular file"), ("loop", "Too many levels"), ("damaged.h5/x", "Not a directory"),
                          (".", "a folder"), ("x" * 300, "too long"), ("none", "there is no file")):  # fmt: skip
        with pytest.raises(ResultsError, match=message):
            Results(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_wrong_checksum_is_damage(path, compression):
    """Values that were changed on the disk are not returned."""
    with h5py.File(path, "r+") as file:
        for name in (f"{SPIKES}/timestamps", f"{V}/data"):
            values, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            data = file.create_dataset(name, data=values, chunks=values.shape, fletcher32=True, compression=compression)
            data.attrs.update(attributes)
    with Results(path) as found:
        sound = found.spikes("spikes")["A"].times
        place = found._file[f"{SPIKES}/timestamps"].id.get_chunk_info(0).byte_offset
        other = found._file[f"{V}/data"].id.get_chunk_info(0).byte_offset
        assert len(sound) and found.samples("V")["A", "V"].data[3:5, 1].shape == (2,)
    with path.open("r+b") as stream:
        for at in (place, other):
            stream.seek(at + 20)
            byte = stream.read(1)
            stream.seek(at + 20)
            stream.write(bytes([byte[0] ^ 1]))
    with Results(path) as found:
        stored = found.samples("V")["A", "V"].data
        series, spikes = (lambda: found.series("V")), (lambda: found.spikes("spikes"))
        for read in (spikes, found.all_spikes, found.digests, series, lambda: stored[3:5, 1]):
            with pytest.raises(ResultsError, match=r"damaged\.h5 is damaged: stored values fail their checksum"):
                read()
    refused = plot.PlotError, ResultsError
    with pytest.raises(refused), Results(path) as found:
        plot.summary(found)


def test_recordings_left_in_the_file_are_read_like_an_array(written):
    with Results(written) as found:
        stored, series = found.samples("V")["A", "V"].data, found.series("V")["A", "V"]
        assert stored.shape == series.values.shape == (len(stored), 4) and stored.dtype == np.float32
        np.testing.assert_array_equal(stored[3:20:2, 1], series.values[3:20:2, 1])
        np.testing.assert_array_equal(np.asarray(stored, np.float64), series.values)
    with pytest.raises(ResultsError, match="is closed"):
        stored[0]


# ---- beside others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locking", [None, False, True, "best-effort"])
def test_others_in_the_process_open_the_file_before_and_after(path, locking):
    with h5py.File(path, "r", locking=locking), Results(path) as found:
        assert len(found.spikes("spikes")) == 2
    with Results(path) as found, h5py.File(path, "r") as file:
        assert found.complete and file.attrs["status"] == "complete"


@pytest.mark.parametrize("locking", [None, False, True])
def test_a_file_that_is_being_written_is_read_within_the_process_and_outside(path, locking):
    path = path.rename(path.with_name("damaged.h5.partial"))
    with h5py.File(path, "r+", locking=locking) as file:
        file.attrs["status"] = "partial"
        file.flush()
        program = f"from snnrun.results import Results; print(Results({str(path)!r}).complete)"
        outside = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert outside.stdout == "False\n", outside.stderr
        with Results(path.with_suffix("")) as found:
            assert not found.complete


# ---- mutations -------------------------------------------------------------------------------------------------------


def attacked(tries: int, before: str = "") -> subprocess.CompletedProcess[str]:
    """The attack in a process of its own, which has none of the threads of this one."""
    script = Path(attacks.__file__).parents[1]
    program = f"import sys; sys.path.insert(0, {str(script)!r}); from attacks import results\n{before}\n"
    program += "import attack; sys.exit(attack.main())"
    return subprocess.run([sys.executable, "-c", program, "results", "--tries", str(tries)], capture_output=True, text=True,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip


def test_mutated_files_raise_nothing_else():
    done = attacked(100)
    assert done.returncode == 0, done.stderr
    assert "refused: " in done.stdout and "read: " in done.stdout


@pytest.mark.parametrize(("deed", "ending"), [("1 / 0", "traceback: 2"), ("os.abort()", "HDF5 crashed: 2")])
def test_the_attack_sees_what_is_wrong(deed, ending):
    """A reader that lets errors through, and one that crashes."""
    done = attacked(2, f"import os\nresults.read_all = lambda *_: {deed}\nresults.MUTATIONS = (results._resolved,)")
    assert ending in done.stdout and done.returncode == ("traceback" in ending)
