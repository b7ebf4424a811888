"""Hostile data files: `validate` and `simulate` agree on each, show the fault where it is, and need little time and memory."""

import io
import json
import os
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from attacks import files
from attacks.corpus import NEURON
from attacks.outcomes import Outcome
from attacks.served import Died, Hung, Raised, served

SECONDS = 5.0
SPARE = 2**30  # bytes of address space

Columns = dict[str, Any]

# place -> (network, columns that are sound there)
PLACES: dict[str, tuple[str, Columns]] = {
    "edges": (
        f"populations: {{E: {{size: 4, {NEURON}}}, S: {{size: 3, model: spike_times, times: [0.2 ms]}}}}\n"
        "projections: {p: {pre: S, post: E, connect: {rule: file, path: FILE}, weight: 1 mV, synapse: {model: delta}}}\n",
        {"pre": [0, 0, 1, 2], "post": [1, 2, 0, 3], "weight_mV": [2.5, 2.5, 4.0, -1.0], "delay_ms": [1.5, 1.5, 0.8, 0.1]},
    ),
    "conductances": (
        f"populations: {{E: {{size: 4, {NEURON}}}}}\n"
        "projections: {p: {pre: E, post: E, connect: {rule: file, path: FILE, autapses: false}, delay: 1 ms,\n"
        "  synapse: {model: expon, tau: 5 ms}, output: {model: coba, E: 0 mV}}}\n",
        {"pre": [0, 0, 1, 3], "post": [1, 2, 0, 3], "weight_nS": [2.5, 2.5, 4.0, 0.0]},
    ),
    "parameter": (
        f"populations: {{E: {{size: 4, {NEURON}, I_e: {{file: FILE, column: x_pA}}}}}}\n",
        {"x_pA": [0.0, 100.0, 1e3, -5.0]},
    ),
    "threshold": (
        f"populations: {{E: {{size: 4, {NEURON.replace('V_th: -50 mV', 'V_th: {file: FILE, column: V_th_mV}')}}}}}\n",
        {"V_th_mV": [-50.0, -49.0, -48.0, -40.0]},
    ),
    "input": (
        f"populations: {{E: {{size: 4, {NEURON}}}}}\n"
        "inputs: {i: {model: poisson, to: E, rate: {file: FILE, column: r_Hz}, weight: 1 mV, synapse: {model: delta}}}\n",
        {"r_Hz": [0.0, 100.0, 1e3, 5.0]},
    ),
    "trains": (
        "populations: {S: {size: 3, model: spike_times, times: {file: FILE}}}\n",
        {"neuron": [0, 0, 2, 1], "time_ms": [0.1, 0.5, 0.2, 0.9]},
    ),
    "rates": (
        "populations: {S: {size: 3, model: poisson, course: {model: file, file: FILE}}}\n",
        {"time_ms": [0.0, 0.5, 0.6, 1.0], "rate_Hz": [0.0, 100.0, 1e3, 5.0]},
    ),
}
HEAD = "duration: 2 ms\n"


class Job(NamedTuple):
    seed: int
    number: int
    folder: str


def attack(tries: int, seed: int, folder: Path) -> Iterator[Outcome]:
    with TemporaryDirectory() as scratch:
        jobs = [Job(seed, number, str(Path(scratch) / str(number))) for number in range(tries)]
        for job, answer in served(judged, jobs, 4 * SECONDS, spare=SPARE):
            yield _outcome(job, answer)


def _outcome(job: Job, answer: Any) -> Outcome:
    if isinstance(answer, Died):
        ending, wrong, detail = "died", "signal", f"exit code {answer.code}"
    elif isinstance(answer, Hung):
        ending, wrong, detail = "slow", "other", f"more than {answer.seconds} s"
    elif isinstance(answer, Raised):
        ending, wrong, detail = answer.kind, "other" if answer.kind == "MemoryError" else "traceback", answer.text
    else:
        ending, wrong, detail = answer
    inputs: dict[str, Any] = {}
    place, name, how, _ = described(job)
    if wrong:
        inputs = {path.name: path for path in Path(job.folder).glob("*") if path.is_file() and path.stat().st_size < 2**22}
    return Outcome(
        ending, wrong, f"{place}, {name}: {how}\n{detail}", "snnrun validate net.yaml; snnrun simulate net.yaml", inputs
    )


# ---- what is judged --------------------------------------------------------------------------------------------------


def judged(job: Job) -> tuple[str, str, str]:
    """(ending, kind of wrong, words) for the file of a job: what `validate` says, and what a run says that begins with it."""
    from snnrun import check, document, engine, estimate, lower, network

    place, name, how, make = described(job)
    folder = Path(job.folder)
    folder.mkdir()
    path = folder / "net.yaml"
    path.write_text(HEAD + PLACES[place][0].replace("FILE", json.dumps(name)))
    make(folder / name)
    said, seconds, unread = [], [], []
    for run in (False, True):
        began = time.monotonic()
        try:
            loaded = check.load(path)
            if not run:
                found = network.examine(loaded.spec, folder)
                unread = found.unread
                if found.faults:
                    raise document.SpecError(found.faults, loaded.document)
                estimate.estimate(loaded.spec, folder, longest=found.delays)
            else:
                try:
                    plan = lower.lower(network.build(loaded.spec, folder), True, "native", 1, False)
                except document.SpecError as error:
                    raise document.SpecError(error.faults, loaded.document) from None
                if job.number % 4 == 0:
                    try:
                        engine.simulate(plan, engine.init(plan), 5, files._Nowhere(), 8)
                    except engine.NumericalError:
                        pass
            said.append("")
        except document.SpecError as error:
            said.append(document.render(error.document, error.faults))
            if wrong := files.unlocated(error):
                return "unlocated", "other", wrong
        seconds.append(time.monotonic() - began)
    before, after = said
    if max(seconds) > SECONDS:
        return "slow", "other", f"validate {seconds[0]:.1f} s, simulate {seconds[1]:.1f} s"
    if unread and not before:
        return "too large for validate, which says so", "", ""
    if bool(before) != bool(after):
        return "verdicts differ", "other", f"validate: {before or 'valid'}\nsimulate: {after or 'done'}"
    if not before and any(foreign in how for foreign in FOREIGN):
        return "valid", "other", "a file that nobody named was read"
    return ("located error", "", "") if before else ("valid", "", "")


FOREIGN = ("data of a device", "endless data of a device", "data of another file", "a link to another file", "a link to a device")


def _prepare() -> None:
    warnings.simplefilter("ignore")
    files._prepare_simulating()


judged.prepare = _prepare  # type: ignore[attr-defined]

# ---- what is made ----------------------------------------------------------------------------------------------------


def described(job: Job) -> tuple[str, str, str, Callable[[Path], None]]:
    """(place, name of the file, how it is hostile, what makes it) of a job."""
    rng = Random(f"data/{job.seed}/{job.number}")
    place = rng.choice(list(PLACES))
    columns = {name: list(values) for name, values in PLACES[place][1].items()}
    sonata = place in ("edges", "conductances") and rng.random() < 0.25
    kind = "h5" if sonata else rng.choice(("csv", "npz", "h5"))
    if rng.random() < 0.12:
        how, make = rng.choice(_ODD)
        return place, f"x.{kind}", how, make
    names = []
    for _ in range(rng.choice((1, 1, 2)) if len(columns) > 1 else 1):
        change = rng.choice(_ON_COLUMNS)
        names.append(f"{change.__name__[1:]} {change(rng, columns) or ''}".strip())
    if rng.random() < 0.5:
        columns = {name: list(values) for name, values in PLACES[place][1].items()}
        names = ["sound columns"]
    detail_seed = rng.random()
    writers = {"csv": _csv, "npz": _npz, "h5": _sonata if sonata else _hdf5}
    own = Random(detail_seed)
    content_how = writers[kind](own, columns, None, bare=names != ["sound columns"])

    def make(path: Path) -> None:
        writers[kind](Random(detail_seed), columns, path, bare=names != ["sound columns"])

    suffix = rng.choice((kind, kind, kind, kind, kind.upper(), rng.choice(("csv", "npz", "h5", "hdf5", "txt", ""))))
    return place, f"x.{suffix}" if suffix else "x", f"{', '.join(names)}; {content_how}", make


NUMBERS = (
    0, 1, -1, 3, 4, 10, 0.5, 1.5, -0.5, 1e-300, 1e300, -1e300, 1e308, 2**31, 2**53, 2**63, 2**64, 1e15, 1e9, 1e12, 0.05, 0.1, 2.0,
    1e5, float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 33.3, 1e-9,
)  # fmt: skip
TEXTS = (
    "x", "", " ", "nan", "NaN", "inf", "-inf", "1e400", "1,5", '"1"', '"1', "'1'", "1_0", "0x1", "1e", "1j", "+1", " 1 ", "1 mV",
    "\0", "\U0001f600", "\u0661", "#1", "1#2", "=1+1", "1;2", "TRUE", "None", "1" * 400, "-", "1\t", "1.0.0",
)  # fmt: skip


def _value(rng: Random, columns: Columns) -> str:
    name = rng.choice(list(columns))
    if not columns[name]:
        return ""
    columns[name][rng.randrange(len(columns[name]))] = value = rng.choice(NUMBERS)
    return f"{name} {value!r}"


def _all_values(rng: Random, columns: Columns) -> str:
    name, value = rng.choice(list(columns)), rng.choice(NUMBERS)
    columns[name] = [value] * len(columns[name])
    return f"{name} {value!r}"


def _longer(rng: Random, columns: Columns) -> str:
    name, times = rng.choice(list(columns)), rng.choice((2, 3, 1000))
    columns[name] = columns[name] * times
    return f"{name} x {times}"


def _all_longer(rng: Random, columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name] * 2


def _shorter(rng: Random, columns: Columns) -> None:
    name = rng.choice(list(columns))
    columns[name] = columns[name][:-1]


def _empty(rng: Random, columns: Columns) -> None:
    for name in columns:
        columns[name] = []


def _missing(rng: Random, columns: Columns) -> str:
    del columns[name := rng.choice(list(columns))]
    return name


def _renamed(rng: Random, columns: Columns) -> str:
    old = rng.choice(list(columns))
    stem = old.rsplit("_", 1)[0]
    units = [f"{stem}_{unit}" for unit in ("V", "nS", "pA", "s", "Hz")]
    odd = ("", "a,b", "é", "weight", "weight_x", "syn_weight", "delay", "delay_s", "\x1b[31m", "../x", '"q"')
    new = rng.choice((stem, *units, old.upper(), f" {old} ", f"{old}.npy", *odd))
    columns[new] = columns.pop(old)
    return f"{old} -> {new!r}"


def _another(rng: Random, columns: Columns) -> str:
    name = rng.choice(
        ("weight_mV", "weight_nS", "weight_pA", "weight_V", "weight", "delay_ms", "delay_us", "note", "edge_type_id", "nsyns")
    )
    columns[name] = [rng.choice(NUMBERS) for _ in range(4)]
    return name


_ON_COLUMNS = (_value, _value, _value, _value, _all_values, _longer, _all_longer, _shorter, _empty, _missing, _renamed, _another)


def _rng_choice(rng: Random, options: dict[str, Any], bare: bool) -> tuple[str, Any]:
    """One of the ways to write, the plain one where the columns are hostile already, mostly."""
    name = next(iter(options)) if bare and rng.random() < 0.8 else rng.choice(list(options))
    return name, options[name]


def _csv(rng: Random, columns: Columns, path: Path | None, bare: bool) -> str:
    names, length = list(columns), max(map(len, columns.values()), default=0)
    rows = [[repr(columns[n][i]) if i < len(columns[n]) else "" for n in names] for i in range(length)]
    text = rng.choice(TEXTS)

    def lines(rows: list[list[str]] = rows, names: list[str] = names, comma: str = ",", end: str = "\n") -> bytes:
        return (end.join(comma.join(row) for row in [names, *rows]) + end).encode("utf-8", "surrogatepass")

    def with_text() -> bytes:
        changed = [list(row) for row in rows]
        if changed and names:
            changed[rng.randrange(len(changed))][rng.randrange(len(names))] = text
        return lines(changed)

    options = {
        "plain": lines,
        "a text": with_text, "another text": with_text, "one more text": with_text, "a text again": with_text,
        "semicolons": lambda: lines(comma=";"),
        "tabs": lambda: lines(comma="\t"),
        "blanks": lambda: lines(comma=" , "),
        "carriage returns": lambda: lines(end="\r"),
        "both": lambda: lines(end="\r\n"),
        "blank lines": lambda: lines(end="\n\n"),
        "quoted": lambda: lines([[f'"{v}"' for v in row] for row in rows], [f'"{n}"' for n in names]),
        "quoted with a line break": lambda: lines([[f'"{v}\n"' for v in row] for row in rows]),
        "an open quote": lambda: lines(names=[*names[:-1], f'"{names[-1]}'] if names else names),
        "comments": lambda: b"# by a tool\n" + lines(),
        "a mark": lambda: b"\xef\xbb\xbf" + lines(),
        "UTF-16": lambda: lines().decode().encode("utf-16"),
        "Latin-1": lambda: lines() + b"\xe9,\xe9\n",
        "no last line break": lambda: lines()[:-1],
        "no head": lambda: lines(names=rows[0] if rows else []),
        "a ragged row": lambda: lines([*rows, ["1"]]),
        "a long row": lambda: lines([*rows, ["1"] * 9]),
        "the same column twice": lambda: lines([[*row, *row] for row in rows], [*names, *names]),
        "two heads": lambda: lines([names, *rows]),
        "a thousand columns": lambda: lines([[*row, *["0"] * 1000] for row in rows], [*names, *map(str, range(1000))]),
        "one very long line": lambda: b"x" * 20_000_000,
        "a very long field": lambda: lines() + b"0," + b"1" * 2_000_000 + b"\n",
        "nothing": lambda: b"",
        "a line break": lambda: b"\n",
        "zeros": lambda: bytes(100_000),
        "cut": lambda: lines()[: rng.randrange(60)],
        "a flipped bit": lambda: _flipped(rng, lines()),
        "noise": lambda: rng.randbytes(1000),
    }  # fmt: skip
    name, make = _rng_choice(rng, options, bare)
    if path is not None:
        path.write_bytes(make())
    return name


def _flipped(rng: Random, data: bytes, times: int = 1) -> bytes:
    found = bytearray(data)
    for _ in range(times if found else 0):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _array(values: list[Any], dtype: Any = None) -> Any:
    try:
        return np.array(values, dtype)
    except (OverflowError, ValueError, TypeError):
        return np.array(values, object)


def _dtypes(values: list[Any]) -> dict[str, Callable[[], Any]]:
    """The same numbers as arrays of other kinds."""

    def of(dtype: Any) -> Callable[[], Any]:
        def make() -> Any:
            with np.errstate(all="ignore"):
                return _array(values).astype(dtype) if _array(values).dtype != object else _array(values)

        return make

    plain = {name: of(name) for name in ("f2", "f4", ">f8", "i1", "u1", ">i4", "u8", "?", "c16", "S5", "U5", "longdouble")}
    return plain | {
        "a number": lambda: np.float64(1.0),
        "two dimensions": lambda: _array([values, values]),
        "a column": lambda: _array([[v] for v in values]),
        "five dimensions": lambda: np.zeros((1, 1, 1, 1, 4)),
        "pairs": lambda: np.zeros(4, [("a", "f8"), ("b", "i4")]),
        "dates": lambda: np.zeros(4, "M8[s]"),
        "durations": lambda: np.zeros(4, "m8[ms]"),
        "bytes": lambda: np.zeros(4, "V8"),
    }


def _npz(rng: Random, columns: Columns, path: Path | None, bare: bool) -> str:
    victim = rng.choice(list(columns)) if columns else ""
    kinds = _dtypes(columns.get(victim, []))

    def entries(change: dict[str, Any] | None = None) -> dict[str, bytes]:
        found = {}
        for name, values in ({n: _array(v) for n, v in columns.items()} | (change or {})).items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.asarray(values), allow_pickle=True)
            found[f"{name}.npy"] = stream.getvalue()
        return found

    def zipped(found: dict[str, bytes], compress: bool = False) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
            for name, data in found.items():
                archive.writestr(name, data)
        return stream.getvalue()

    def headed(header: str, body: bytes = b"") -> bytes:
        data = header.encode() + b"\n"
        return zipped({**entries(), f"{victim}.npy": b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data + body})

    def bomb() -> bytes:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }\n"
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in entries().items():
                if name != f"{victim}.npy":
                    archive.writestr(name, data)
            with archive.open(f"{victim}.npy", "w", force_zip64=True) as out:
                out.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
                for _ in range(2048 if path is not None else 0):
                    out.write(bytes(2**20))
        return stream.getvalue()

    options: dict[str, Callable[[], bytes]] = {
        "plain": lambda: zipped(entries()),
        "compressed": lambda: zipped(entries(), True),
        **{f"{victim} as {name}": lambda make=make: zipped(entries({victim: make()})) for name, make in kinds.items()},
        "pickled": lambda: zipped(entries({victim: np.array([{}, None], object)})),
        "a claim of 1e12 rows": lambda: headed(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", bytes(64)
        ),
        "a claim of rows below zero": lambda: headed("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", bytes(64)),
        "a claim of 1e30 rows": lambda: headed(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**30},), }}", bytes(64)),
        "an odd head": lambda: headed("{'descr': '<q9', 'fortran_order': 3}"),
        "a head of code": lambda: headed("__import__('os').abort()"),
        "a deep head": lambda: headed("(" * 9000),
        "a type of no size": lambda: headed("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }"),
        "no head": lambda: zipped({**entries(), f"{victim}.npy": b""}),
        "no numpy": lambda: zipped({**entries(), f"{victim}.npy": b"hello"}),
        "no ending": lambda: zipped({name.removesuffix(".npy"): data for name, data in entries().items()}),
        "a folder": lambda: zipped({**entries(), "x/": b""}),
        "an outer path": lambda: zipped({**entries(), "../../x.npy": b""}),
        "many entries": lambda: zipped({**entries(), **{f"x{i}.npy": b"" for i in range(5000)}}),
        "cut": lambda: zipped(entries())[: rng.randrange(400)],
        "flipped bits": lambda: _flipped(rng, zipped(entries()), rng.choice((1, 3, 30))),
        "flipped bits, compressed": lambda: _flipped(rng, zipped(entries(), True), rng.choice((1, 3, 30))),
        "one array alone": lambda: next(iter(entries().values()), b""),
        "nothing": lambda: b"",
        "noise": lambda: b"PK\x03\x04" + rng.randbytes(500),
        "a bomb of 2 GB": bomb,
    }
    name, make = _rng_choice(rng, options, bare)
    if path is not None:
        path.write_bytes(make())
    return name


def _hdf5(rng: Random, columns: Columns, path: Path | None, bare: bool, names: dict[str, str] | None = None) -> str:
    """Datasets at the top, or where `names` says; with `path` None only in words."""
    import h5py

    victim = rng.choice(list(columns)) if columns else "x"
    where = {name: (names or {}).get(name, name) for name in columns}
    at = where.get(victim, victim)
    seed = rng.random()

    def dataset(make: Callable[[], Any]) -> Callable[[Any], None]:
        def change(file: Any) -> None:
            del file[at]
            file[at] = make()

        return change

    def replaced(create: Callable[[Any], object]) -> Callable[[Any], None]:
        def change(file: Any) -> None:
            del file[at]
            create(file)

        return change

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource("no such.h5", "x", (4,))
        file.create_virtual_dataset(at, layout)

    def raw(target: str, length: int) -> Callable[[Any], None]:
        return replaced(lambda f: f.create_dataset(at, (length,), "f8", external=[(target, 0, h5py.h5f.UNLIMITED)]))

    def cyclic(file: Any) -> None:
        group = file.create_group("ring")
        group["ring"] = group
        file["ring/top"] = h5py.SoftLink("/")

    def filtered(file: Any) -> None:
        data = file.create_dataset(at, (4,), "f8", chunks=(4,), compression="gzip")
        data.id.write_direct_chunk((0,), b"no deflate stream")

    big = {"chunks": (1024,)}
    options: dict[str, Callable[[Any], object] | None] = {
        "plain": None,
        **{f"{victim} as {name}": dataset(make) for name, make in _dtypes(columns.get(victim, [])).items()
           if name not in ("U5", "dates", "durations")},
        "a claim of 1e12 rows": replaced(lambda f: f.create_dataset(at, (10**12,), "f8", **big)),
        "a claim of 1e12 integers": replaced(lambda f: f.create_dataset(at, (10**12,), "i4", **big)),
        "a claim of 3e8 rows": replaced(lambda f: f.create_dataset(at, (3 * 10**8,), "f8", compression="gzip", **big)),
        "texts": dataset(lambda: np.array(["0", "1", "2", "3"], h5py.string_dtype())),
        "lists": replaced(lambda f: f.create_dataset(at, (4,), h5py.vlen_dtype(np.int32))),
        "enumerated": replaced(lambda f: f.create_dataset(at, (4,), h5py.enum_dtype({"a": 0, "b": 1}))),
        "references": replaced(lambda f: f.create_dataset(at, (4,), h5py.ref_dtype)),
        "no space": replaced(lambda f: f.create_dataset(at, data=h5py.Empty("f8"))),
        "a group": replaced(lambda f: f.create_group(at)),
        "a link to nowhere": replaced(lambda f: f.__setitem__(at, h5py.SoftLink("/nowhere"))),
        "a link to itself": replaced(lambda f: f.__setitem__(at, h5py.SoftLink(f"/{at}"))),
        "a link to another file": replaced(lambda f: f.__setitem__(at, h5py.ExternalLink("no such.h5", "x"))),
        "a link to a device": replaced(lambda f: f.__setitem__(at, h5py.ExternalLink("/dev/zero", "x"))),
        "a type by this name": replaced(lambda f: f.__setitem__(at, np.dtype("f8"))),
        "a virtual dataset": replaced(virtual),
        "data of a device": raw("/dev/zero", 4),
        "endless data of a device": raw("/dev/zero", 10**12),
        "data of another file": raw("/etc/passwd", 4),
        "groups in a ring": cyclic,
        "a chunk that is none": replaced(filtered),
        "a name that is no text": lambda f: f["/"].id and h5py.h5g.create(f["/"].id, b"\xff\xfe"),
        "a thousand groups": lambda f: [f.create_group(f"g/{i}") for i in range(1000)],
        "a deep group": lambda f: f.create_group("/".join(["d"] * 500)),
        "an attribute of 30 kB": lambda f: f.attrs.create("x", bytes(30_000)),
        "edges that are no group": lambda f: f.__setitem__("edges", 3) if "edges" not in f else None,
        "edges without a population": lambda f: f.create_group("edges") if "edges" not in f else None,
        "cut": None, "flipped bits": None, "flipped bits in the head": None, "nothing": None, "noise": None,
        "a block before": None, "another library's": None,
    }  # fmt: skip
    name, change = _rng_choice(rng, options, bare)
    if path is None:
        return name
    own = Random(seed)
    with h5py.File(path, "w", userblock_size=512 if name == "a block before" else 0,
                   libver="latest" if name == "another library's" else None) as file:  # fmt: skip
        for column, values in columns.items():
            array = _array(values)
            if array.dtype == object:
                array = np.array([float(v) for v in values])
            try:
                file[where[column] or "unnamed"] = array
            except (ValueError, OSError):  # a name that cannot be one here, or is there already
                pass
        if names:
            file.require_group(next(iter(names.values())).rsplit("/", 1)[0])
        if change is not None:
            try:
                change(file)
            except (KeyError, ValueError, TypeError, OSError):  # what is to be changed is not there
                pass
    data = path.read_bytes() if name in ("cut", "flipped bits", "flipped bits in the head", "nothing", "noise") else b""
    if name == "cut":
        path.write_bytes(data[: own.randrange(len(data))])
    elif name == "flipped bits":
        path.write_bytes(_flipped(own, data, own.choice((1, 10, 100))))
    elif name == "flipped bits in the head":
        path.write_bytes(_flipped(own, data[:800], own.choice((1, 3, 10))) + data[800:])
    elif name in ("nothing", "noise"):
        path.write_bytes(b"" if name == "nothing" else data[:16] + own.randbytes(2000))
    return name


def _sonata(rng: Random, columns: Columns, path: Path | None, bare: bool) -> str:
    """SONATA's edges of one population; some with what is beyond the simple case."""
    base = "edges/local"
    names = {
        "pre": "source_node_id",
        "post": "target_node_id",
        "delay_ms": "0/delay",
        "weight_mV": "0/syn_weight",
        "weight_nS": "0/syn_weight",
    }
    where = {column: f"{base}/{names.get(column, column)}" for column in columns}

    def put(file: Any, **found: Any) -> None:
        for name, values in found.items():
            file[f"{base}/{name}"] = values

    further: dict[str, Callable[[Any, int], object]] = {
        "alone": lambda f, n: None,
        "one type": lambda f, n: put(f, edge_type_id=np.full(n, 7)),
        "several types": lambda f, n: put(f, edge_type_id=np.arange(n)),
        "one group": lambda f, n: put(f, edge_group_id=np.zeros(n, int), edge_group_index=np.arange(n)),
        "another order": lambda f, n: put(f, edge_group_id=np.zeros(n, int), edge_group_index=np.arange(n)[::-1].copy()),
        "an order beyond": lambda f, n: put(f, edge_group_id=np.zeros(n, int), edge_group_index=np.arange(n) + 10**9),
        "several groups": lambda f, n: (put(f, edge_group_id=np.arange(n) % 2), f.create_group(f"{base}/1")),
        "several synapses": lambda f, n: f.__setitem__(f"{base}/0/nsyns", np.full(n, 2)),
        "another population": lambda f, n: f.create_group("edges/other"),
    }  # fmt: skip
    extra = rng.choice(list(further))
    how = _hdf5(rng, columns, path, bare, where)
    if path is not None:
        import h5py

        try:
            with h5py.File(path, "r+") as file:
                further[extra](file, max(map(len, columns.values()), default=0))
        except Exception:  # the file is broken by intention, or the place is taken
            pass
    return f"SONATA, {extra}, {how}"


def _linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"pre,post\n")
        file.truncate(2**40)


_ODD: tuple[tuple[str, Callable[[Path], Any]], ...] = (
    ("not there", lambda path: None),
    ("a folder", lambda path: path.mkdir()),
    ("a link to nowhere", _linked("nowhere")),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a link to endless zeros", _linked("/dev/zero")),
    ("a link to noise", _linked("/dev/urandom")),
    ("a link to nothing", _linked("/dev/null")),
    ("a pipe", lambda path: os.mkfifo(path)),
    ("a terabyte of nothing", _sparse),
    ("the network file", _linked("net.yaml")),
    ("of the system", _linked("/proc/self/mem")),
)
