"""What is read is not trusted: files of every format that are not what they claim to be.

Each is refused by `validate` as by `simulate`, with the same words, at its place in the network file, and for little memory.
"""

import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from snnrun import check, document, estimate, lower, network
from snnrun.cli import app
from snnrun.document import SpecError

MOST = 64 * 2**20  # bytes that a refusal may take

NETWORK = """
duration: 10 ms
populations:
  S: {size: 2, model: spike_times, times: TIMES}
  E: {size: 2, model: lif, tau: TAU, V_rest: -60 mV, V_reset: -60 mV, V_th: V_TH, C: 250 pF}
projections:
  p: {pre: S, post: E, connect: CONNECT, weight: WEIGHT, synapse: {model: delta}}
"""
SOUND = {"TIMES": "[1 ms]", "TAU": "20 ms", "V_TH": "-50 mV", "CONNECT": "{rule: all_to_all}", "WEIGHT": "1 mV"}
# what reads a file -> (what refers to it, where it stands, columns that are sound)
USES = {
    "edges": ({"CONNECT": "{rule: file, path: FILE}"}, "projections.p.connect", {"pre": [0, 1], "post": [1, 0]}),
    "trains": ({"TIMES": "{file: FILE}"}, "populations.S.times", {"neuron": [0, 1], "time_ms": [1.0, 2.0]}),
    "tau": ({"TAU": "{file: FILE, column: tau_ms}"}, "populations.E.tau", {"tau_ms": [20.0, 20.0]}),
    "V_th": ({"V_TH": "{file: FILE, column: V_th_mV}"}, "populations.E.V_th", {"V_th_mV": [-50.0, -50.0]}),
}
SPOILED = [("edges", "pre"), ("edges", "post"), ("edges", "weight_mV"), ("edges", "delay_ms"), ("trains", "neuron"),
           ("trains", "time_ms"), ("tau", "tau_ms"), ("V_th", "V_th_mV")]  # fmt: skip


def written(tmp_path, file, use):
    text = NETWORK
    for key, value in (SOUND | USES[use][0]).items():
        text = text.replace(key, value)
    if use == "edges":
        text = text.replace("weight: 1 mV, ", "") if b"weight_mV" in (tmp_path / file).read_bytes() else text
    path = tmp_path / "net.yaml"
    path.write_text(text.replace("FILE", file))
    return path


def validated(path):
    """What `snnrun validate` finds: faults, and files that it has not read."""
    loaded = check.load(path)
    found = network.examine(loaded.spec, path.parent)
    if found.faults:
        raise SpecError(found.faults, loaded.document)
    expected = estimate.estimate(loaded.spec, path.parent, "xla", longest=found.delays)
    return [*found.unread, *filter(None, [estimate.too_large(expected)])]


def simulated(path):
    """What `snnrun simulate` finds before it compiles."""
    loaded = check.load(path)
    too_large = estimate.too_large(estimate.estimate(loaded.spec, path.parent, "xla"))
    if too_large is None:
        try:
            lower.lower(network.build(loaded.spec, path.parent))
        except SpecError as error:
            raise SpecError(error.faults, loaded.document) from None
    return too_large


def verdict(judge, path):
    """The faults that are found, and the most memory that it took."""
    tracemalloc.start()
    try:
        return judge(path), None, tracemalloc.get_traced_memory()[1]
    except SpecError as error:
        return None, document.as_objects(error.document, error.faults), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refusal(path, place):
    """The one fault of a network, on which both commands agree."""
    (_, by_validate, taken), (_, by_simulate, taken_too) = (verdict(judge, path) for judge in (validated, simulated))
    assert by_validate is not None and by_validate == by_simulate
    assert max(taken, taken_too) < MOST
    (fault,) = by_validate
    assert fault["path"].startswith(place) and fault["line"] and fault["column"]
    return f"{fault['message']}: {fault['hint']}"


# ---- values ----------------------------------------------------------------------------------------------------------

INDEX = ("pre", "post", "neuron")
# what stands in place of the second value -> the columns that cannot hold it
VALUES = {
    "nan": (np.nan, None),
    "inf": (np.inf, None),
    "-inf": (-np.inf, None),
    "a huge number": (1e300, None),
    "a negative number": (-1.0, (*INDEX, "delay_ms", "time_ms", "tau_ms")),
    "a fraction": (0.123, (*INDEX, "delay_ms", "time_ms")),
    "beyond 32 bits": (2.0**31, (*INDEX, "delay_ms")),
    "beyond 64 bits": (np.uint64(2**63), (*INDEX, "delay_ms", "time_ms")),
    "the largest whole number": (np.uint64(2**64 - 1), (*INDEX, "delay_ms", "time_ms")),
    "the least whole number": (np.int64(-(2**63)), (*INDEX, "delay_ms", "time_ms", "tau_ms")),
    "the smallest of all": (5e-324, (*INDEX, "weight_mV")),
    "a small number": (1e-35, (*INDEX, "weight_mV")),
}
TAKEN = {  # where they are a matter of course
    ("a huge number", "tau_ms"): "float32 can hold", ("a huge number", "weight_mV"): "too large", ("nan", "pre"): "pre is nan",
    ("beyond 64 bits", "neuron"): "neuron is 9.22337203685e+18", ("a huge number", "delay_ms"): "at most 1677.7216 s",
    ("the smallest of all", "weight_mV"): "too small", ("a fraction", "time_ms"): "or off_grid: round",
}  # fmt: skip


def table(path, columns):
    if path.suffix == ".csv":
        rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
        path.write_text("\n".join([",".join(columns), *(",".join(map(repr, row)) for row in rows)]) + "\n")
    elif path.suffix == ".npz":
        np.savez(path, **{name: np.asarray(values) for name, values in columns.items()})
    else:
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values


CASES = [
    (use, column, name)
    for use, column in SPOILED
    for name, (_, columns) in VALUES.items()
    if columns is None or column in columns
]


@pytest.mark.parametrize("file", ["t.csv", "t.npz", "t.h5"])
@pytest.mark.parametrize(("use", "column", "name"), CASES)
def test_a_value_that_no_place_can_hold_is_refused_by_its_row(tmp_path, use, column, name, file):
    value = VALUES[name][0]
    first = (USES[use][2] | {"weight_mV": [1.0], "delay_ms": [1.0]})[column][0]
    spoiled = np.array([first, value], value.dtype if isinstance(value, np.generic) else float)
    table(tmp_path / file, USES[use][2] | {column: spoiled})
    said = refusal(written(tmp_path, file, use), USES[use][1])
    assert ("line 3" if file == "t.csv" else "index 1") in said and column in said
    assert TAKEN.get((name, column), "") in said


@pytest.mark.parametrize("file", ["t.csv", "t.npz", "t.h5"])
@pytest.mark.parametrize("use", USES)
def test_what_is_sound_passes_both(tmp_path, file, use):
    table(tmp_path / file, USES[use][2])
    path = written(tmp_path, file, use)
    assert not validated(path) and not simulated(path)


@pytest.mark.parametrize("file", ["t.csv", "t.npz", "t.h5"])
@pytest.mark.parametrize("use", ["tau", "V_th"])
def test_a_column_of_another_length_is_refused(tmp_path, file, use):
    table(tmp_path / file, {name: [*values, 7] for name, values in USES[use][2].items()})
    assert "3 values, and there are 2 neurons" in refusal(written(tmp_path, file, use), USES[use][1])


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["t.npz", "t.h5"])
def test_a_column_that_is_known_to_have_another_length_is_refused_however_long_it_is(tmp_path, file):
    table(tmp_path / file, {"tau_ms": [20.0] * 100_000})
    found = network.examine(check.load(written(tmp_path, file, "tau")).spec, tmp_path, most=4000)
    assert [fault.message for fault in found.faults] == ["the column 'tau_ms' has 100,000 values, and there are 2 neurons"]
    assert not found.unread


NO_ROWS = {
    "two dimensions": np.zeros((2, 2)),
    "no dimension": np.array(1.0),
    "texts": np.array([b"a", b"b"]),
    "records": np.zeros(2, [("a", "f8"), ("b", "f8")]),
    "complex numbers": np.zeros(2, complex),
}


@pytest.mark.parametrize("file", ["t.npz", "t.h5"])
@pytest.mark.parametrize("name", NO_ROWS)
@pytest.mark.parametrize(("use", "column"), SPOILED)
def test_what_is_no_row_of_numbers_is_refused(tmp_path, use, column, name, file):
    table(tmp_path / file, USES[use][2] | {column: NO_ROWS[name]})
    said = refusal(written(tmp_path, file, use), USES[use][1])
    assert f"{column!r} in {file} is no one-dimensional array of numbers" in said


# ---- NPZ -------------------------------------------------------------------------------------------------------------


def header(shape, dtype="<f8", version=(1, 0), length=None):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes(version) + (struct.pack("<H", size) if version == (1, 0) else struct.pack("<I", size)) + text


def zipped(path, member, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name in ("post", "neuron", "time_ms"):
            archive.writestr(f"{name}.npy", header((2,)) + np.array([0.0, 1.0]).tobytes())
        with archive.open("pre.npy", "w", force_zip64=True) as stream:
            for block in member:
                stream.write(block)


ZIPPED = {
    "huge shapes": [header((10**12,)), bytes(16)],
    "shapes beyond all numbers": [header((10**30,)), bytes(16)],
    "negative shapes": [header((-2,)), bytes(16)],
    "too few values": [header((2,)), bytes(8)],
    "too many values": [header((2,)), bytes(24)],
    "another magic": [b"\x93NUMPX" + bytes(100)],
    "another version": [b"\x93NUMPY\x09\x00" + bytes(100)],
    "no header": [b"\x93NUMPY"],
    "nothing": [],
    "code for a header": [header((2,)).replace(b"'fortran_order': False", b"'fortran_order': exit()")],
    "nested headers": [b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000],
    "a huge header": [header((2,), version=(2, 0), length=2**31), *[b" " * 2**20] * 300],
    "objects": [header((2,), "|O"), bytes(16)],
    "an unknown type": [header((2,), "<f7"), bytes(14)],
}


@pytest.mark.parametrize("name", ZIPPED)
def test_an_npz_file_that_is_none_is_refused(tmp_path, name):
    zipped(tmp_path / "t.npz", ZIPPED[name])
    refusal(written(tmp_path, "t.npz", "edges"), "projections.p.connect.path")


def patched(path, old, new):
    """A file in which some bytes are others."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_an_npz_file_that_lies_about_its_sizes_is_refused(tmp_path):
    table(tmp_path / "t.npz", USES["edges"][2])
    whole = (tmp_path / "t.npz").read_bytes()
    for name, data in {"a part": whole[: len(whole) // 2], "garbage": b"PK" * 50, "an empty file": b"",
                       "another sum": whole.replace(np.int64([0, 1]).tobytes(), np.int64([1, 1]).tobytes())}.items():  # fmt: skip
        (tmp_path / "t.npz").write_bytes(data)
        assert "t.npz cannot be read" in refusal(written(tmp_path, "t.npz", "edges"), "projections.p.connect.path"), name
    for method, word in ((zipfile.ZIP_BZIP2, "unusual"), (zipfile.ZIP_LZMA, "unusual")):
        zipped(tmp_path / "t.npz", [header((2,)), bytes(16)], method)
        assert word in refusal(written(tmp_path, "t.npz", "edges"), "projections.p.connect.path")
    zipped(tmp_path / "t.npz", [header((2,)), bytes(16)], zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "t.npz").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**31)  # its size, in the directory
    (tmp_path / "t.npz").write_bytes(data)
    assert "claims" in refusal(written(tmp_path, "t.npz", "edges"), "projections.p.connect.path")


# ---- HDF5 ------------------------------------------------------------------------------------------------------------


def external_storage(file):
    file.create_dataset("pre", (2,), "i8", external=[("secret.bin", 0, 16)])


def virtual(source):
    def make(file):
        layout = h5py.VirtualLayout((2,), "i8")
        layout[:] = h5py.VirtualSource(source, "pre", (2,))
        file.create_virtual_dataset("pre", layout)

    return make


def linked(link, then=None):
    def make(file):
        file["pre"] = link
        if then is not None:
            file["x"] = then

    return make


def claimed(**options):
    def make(file):
        file.create_dataset("pre", **({"dtype": "i8"} | options))

    return make


def some_written(file):
    file.create_dataset("pre", (10**12,), "i8", chunks=(1 << 16,))[:2] = 1


def early(file):
    file.create_dataset("pre", (2,), "i8", maxshape=(None,), chunks=(1 << 24,), compression="gzip")[:] = 1


def loop(file):
    file["pre"] = h5py.SoftLink("/x")
    file["x"] = h5py.SoftLink("/pre")


def rings(file):
    file.create_group("pre")
    file["pre/up"] = file["/"]
    file["pre/self"] = file["pre"]


HDF5 = {
    "its values in another file": (external_storage, "its values in another file"),
    "virtual values of itself": (virtual("."), "virtual"),
    "virtual values of another file": (virtual("other.h5"), "virtual"),
    "a link to another file": (linked(h5py.ExternalLink("other.h5", "pre")), "a link to another file"),
    "a link to a device": (linked(h5py.ExternalLink("/dev/zero", "pre")), "a link to another file"),
    "a link to such a link": (linked(h5py.SoftLink("/x"), h5py.ExternalLink("other.h5", "pre")), "a link to another file"),
    "a link below such a link": (linked(h5py.SoftLink("/x/pre"), h5py.ExternalLink("other.h5", "/")), "a link to another file"),
    "a link to nothing": (linked(h5py.SoftLink("/nothing")), "no dataset 'pre'"),
    "links in a circle": (loop, "leads to itself"),
    "groups in a ring": (rings, "no column 'pre'"),
    "a type": (linked(np.dtype("f8")), "no column 'pre'"),
    "a value never written": (claimed(shape=(2,)), "never written"),
    "a trillion values never written": (claimed(shape=(10**12,)), "never written"),
    "a trillion in pieces": (claimed(shape=(10**12,), chunks=(1 << 16,)), "never written"),
    "a trillion, few of them written": (some_written, "never written"),
    "an exabyte": (claimed(shape=(2**60,), chunks=(1 << 16,), dtype="f8"), "never written"),
    "a huge piece for two values": (early, "2 values in a chunk of 134,217,728 bytes"),
    "no space": (lambda file: file.create_dataset("pre", data=h5py.Empty("f8")), "no one-dimensional array"),
    "references": (lambda file: file.create_dataset("pre", (2,), h5py.ref_dtype), "no one-dimensional array"),
    "rows of rows": (lambda file: file.create_dataset("pre", (2,), h5py.vlen_dtype("f8")), "no one-dimensional array"),
}


@pytest.mark.parametrize("name", HDF5)
def test_an_hdf5_file_that_holds_no_values_of_its_own_is_refused(tmp_path, name):
    make, message = HDF5[name]
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    table(tmp_path / "other.h5", {"pre": [0, 1]})
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["post"] = [0, 1]
        make(file)
    assert message in refusal(written(tmp_path, "t.h5", "edges"), "projections.p.connect.path")


def test_a_link_within_the_file_is_followed(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["a/b"], file["post"] = [0, 1], [0, 1]
        file["c"] = h5py.SoftLink("a")
        file["pre"] = h5py.SoftLink("c/./b")
        file["a/hard"] = file["post"]
    assert not validated(written(tmp_path, "t.h5", "edges"))


@pytest.mark.parametrize("where", ["edges/x/source_node_id", "edges/x/0", "edges/x", "edges"])
def test_sonata_is_not_trusted_more(tmp_path, where):
    parts = {"edges/x/source_node_id": [0, 1], "edges/x/target_node_id": [0, 1], "edges/x/0/delay": [1.0, 1.0]}
    for target in ("other.h5", "t.h5"):
        for name in ("other.h5", "t.h5"):
            with h5py.File(tmp_path / name, "w") as file:
                for path, values in parts.items():
                    if name == "other.h5" or not path.startswith(where):
                        file[path] = values
                if name == "t.h5":
                    file[where] = h5py.ExternalLink(target, where)
        assert "a link to another file" in refusal(written(tmp_path, "t.h5", "edges"), "projections.p.connect.path")


def test_an_hdf5_file_cut_short_is_refused(tmp_path):
    table(tmp_path / "t.h5", USES["edges"][2])
    whole = (tmp_path / "t.h5").read_bytes()
    for part in (0, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "t.h5").write_bytes(whole[:part])
        assert "t.h5 cannot be read" in refusal(written(tmp_path, "t.h5", "edges"), "projections.p.connect.path")


# ---- what is no file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["t.csv", "t.npz", "t.h5"])
@pytest.mark.parametrize("use", USES)
def test_what_is_no_file_is_not_opened(tmp_path, file, use):
    (tmp_path / file).touch()
    path = written(tmp_path, file, use)
    for make in (lambda: None, lambda: os.mkfifo(tmp_path / file), lambda: (tmp_path / file).mkdir()):
        if (tmp_path / file).exists():
            (tmp_path / file).unlink()
        make()
        assert "there is no file" in refusal(path, USES[use][1])


def test_a_terabyte_of_nothing_is_not_gone_through(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("pre,post\n")
    path = written(tmp_path, "t.csv", "edges")
    os.truncate(tmp_path / "t.csv", 2**40)
    unread, faults, taken = verdict(validated, path)
    assert unread[0] == "t.csv" and faults is None and taken < MOST
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["simulate", "net.yaml", "--no-plot"])
    assert done.exit_code == 2 and "line 2 of t.csv is too long" in done.stderr


# ---- bombs: little in the file, much when it is read -------------------------------------------------------------------


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr(estimate, "available_bytes", lambda: 2**32)


def zeros(count):
    block = bytes(2**20)
    yield header((count,))
    for _ in range(count * 8 // 2**20):
        yield block


def gzip_bomb(path, names):
    """Columns of two gigabytes each; one piece of zeros is packed and written many times."""
    with h5py.File(path, "w") as file:
        for name in names:
            made = file.create_dataset(name, (1 << 28,), "f8", chunks=(1 << 22,), compression="gzip", compression_opts=9)
            made[: 1 << 22] = 0
            mask, packed = made.id.read_direct_chunk((0,))
            for i in range(1, 64):
                made.id.write_direct_chunk((i << 22,), packed, mask)


@pytest.mark.parametrize("use", ["edges", "trains", "tau"])
def test_a_file_that_unpacks_to_more_than_there_is_is_not_unpacked(tmp_path, use, little):
    """Two gigabytes a column in a few megabytes: validate says that it was not read, and simulate does not begin; where the
    length of a column must be another one, both say that."""
    gzip_bomb(tmp_path / "t.h5", USES[use][2])
    path = written(tmp_path, "t.h5", use)
    (unread, faults, taken), (too_large, faults_too, taken_too) = (verdict(judge, path) for judge in (validated, simulated))
    assert max(taken, taken_too) < MOST
    if use == "tau":
        assert faults == faults_too and "268,435,456 values, and there are 2 neurons" in faults[0]["message"]
    else:
        assert unread[0] == "t.h5" and "of memory" in unread[1].message and "of memory" in too_large.message
        assert faults is faults_too is None


BOUND = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from snnrun.cli import main
main()
"""


def test_the_process_needs_no_more_than_it_says(tmp_path):
    """The same with a bound on the memory of a process, which a library cannot evade."""
    gzip_bomb(tmp_path / "t.h5", ["pre", "post"])
    zipped(tmp_path / "t.npz", zeros(2**27))
    for file in ("t.h5", "t.npz"):
        path = written(tmp_path, file, "edges")
        found = subprocess.run(
            [sys.executable, "-c", BOUND, "validate", str(path)],
            capture_output=True,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
        assert "Traceback" not in found.stderr
        assert (f"the values of {file} were not checked" if file == "t.h5" else "post of t.npz differ in length") in found.stderr
