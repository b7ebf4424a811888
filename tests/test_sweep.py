"""Many runs of one network: points, workers, parts, tables."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from recordings import snnrun

from snnrun import appended, check, document, statistics, trial, workers
from snnrun import sweep as many
from snnrun.document import SpecError
from snnrun.results import Results
from snnrun.sweep import points, table

NET = """
name: small
seed: 7
duration: 200 ms
populations:
  P: {size: 50, model: poisson, rate: 200 Hz}
  E: {size: 80, model: lif, tau: 12 ms, tau_ref: 1 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF, I_e: 120 pA}
projections:
  a: {pre: P, post: E, connect: {rule: fixed_prob, p: 0.3}, weight: 60 pA, delay: 0.4 ms, synapse: {model: expon, tau: 3 ms}}
monitors:
  s: {model: spikes, of: ["E[10:70]", P], start: 20 ms}
  again: {model: spikes, of: E}
  V: {model: state, of: E, variables: [V]}
"""
GRID = ("--grid", "projections.a.weight=60 pA,90 pA", "--grid", "populations.E.tau=10 ms,14 ms")


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.yaml").write_text(NET)
    return tmp_path / "net.yaml"


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / table.TABLE).open() as file:
        return list(csv.DictReader(file))


def without_seconds(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


# ---- what comes of a point -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [(), ("--keep",)])
def test_each_point_is_what_its_run_alone_is(net, keep):
    done = snnrun(
        "sweep", "net.yaml", *GRID, "--seeds", 2, "--measure", "all", "-o", "out", *keep, "--workers", 2, cwd=net.parent
    )
    assert "8 points" in done.stderr and done.stdout.strip() == str(Path("out/sweep.csv"))
    rows = read(net.parent / "out")
    assert [int(row["point"]) for row in rows] == list(range(8)) and {row["status"] for row in rows} == {"done"}
    assert [row["seed"] for row in rows] == ["7", "8"] * 4
    for row in rows[::3]:
        sets = [f"--set={path}={row[path]}" for path in ("projections.a.weight", "populations.E.tau")]
        snnrun(
            "simulate", "net.yaml", *sets, "--seed", row["seed"], "-o", "one.h5", "--overwrite", "--no-plot", "-q", cwd=net.parent
        )
        with Results(net.parent / "one.h5") as results:
            assert int(row["spikes"]) == sum(len(results.measured(name).times) for name in ("E", "P"))
            for name in ("E", "P"):
                for measure in statistics.MEASURES:
                    found, wanted = row[f"{name}.{measure.name.replace(' ', '_')}"], measure.of(results.measured(name))
                    assert found == ("" if np.isnan(wanted) else repr(wanted)), (name, measure.name)
            digests = results.digests()
        if keep:
            with Results(net.parent / "out" / "results" / f"{int(row['point']):06d}.h5") as kept:
                assert kept.digests() == digests


def test_the_number_of_workers_and_parts_changes_nothing(net):
    snnrun("sweep", "net.yaml", *GRID, "--seeds", "3,5,9", "-o", "one", "--workers", 1, cwd=net.parent)
    for k in (2, 1, 3):
        done = snnrun("sweep", "net.yaml", *GRID, "--seeds", "3,5,9", "-o", "parts", "--part", f"{k}/3", "--workers", 2, "--json",
                      cwd=net.parent)  # fmt: skip
        told = json.loads(done.stdout)
        assert told["points"] == told["done"] == 4 and (told["table"] is None) == (told["missing"] > 0)
    snnrun("sweep", "collect", "parts", cwd=net.parent)
    assert without_seconds(read(net.parent / "parts")) == without_seconds(read(net.parent / "one"))
    assert (net.parent / "parts" / "sweep.png").exists()


def test_only_what_is_missing_is_done_again(net):
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", "--workers", 1, cwd=net.parent)
    before = read(net.parent / "out")
    part = net.parent / "out" / "part-0001-of-0001.csv"
    lines = part.read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:3]) + lines[3][:17])  # as a power failure leaves it
    told = json.loads(snnrun("sweep", "net.yaml", *GRID, "-o", "out", "--json", cwd=net.parent).stdout)
    assert (told["before"], told["done"], told["missing"]) == (2, 2, 0)
    assert without_seconds(read(net.parent / "out")) == without_seconds(before)
    assert json.loads(snnrun("sweep", "net.yaml", *GRID, "-o", "out", "--json", cwd=net.parent).stdout)["done"] == 0


def test_a_sweep_that_is_interrupted_goes_on(net):
    command = [sys.executable, "-m", "snnrun", "sweep", "net.yaml", *GRID, "--seeds", "6", "-o", "out", "--workers", "2"]
    with subprocess.Popen(command, cwd=net.parent, stderr=subprocess.PIPE, text=True) as process:
        part = net.parent / "out" / "part-0001-of-0001.csv"
        while process.poll() is None and not (part.exists() and part.read_text().count("\n") > 2):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    told = json.loads(snnrun("sweep", "net.yaml", *GRID, "--seeds", "6", "-o", "out", "--json", cwd=net.parent).stdout)
    assert told["before"] >= 2 and told["before"] + told["done"] == 24 and told["missing"] == 0


def test_a_point_that_fails_is_told_and_the_others_go_on(net):
    net.write_text(NET.replace("weight: 60 pA", "weight: {normal: {mean: 60 pA, std: 1 pA}}"))
    grid = (
        "--grid",
        "projections.a.weight={normal: {mean: 60 pA, std: 1 pA}},{normal: {mean: 0 pA, std: 1 pA, redraw: {min: 1 uA}}}",
    )
    done = snnrun("sweep", "net.yaml", *grid, "-o", "out", cwd=net.parent, code=1)
    assert "point 1 (projections.a.weight=" in done.stderr and "1 failed" in done.stderr and "Traceback" not in done.stderr
    assert [row["status"] for row in read(net.parent / "out")] == ["done", "failed"]
    assert json.loads(snnrun("sweep", "net.yaml", *grid, "-o", "out", "--json", cwd=net.parent, code=1).stdout)["failed"] == 1


def test_the_folder_of_another_sweep_is_left_alone(net):
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent)
    done = snnrun("sweep", "net.yaml", *GRID, "--seeds", 2, "-o", "out", cwd=net.parent, code=2)
    assert "out has another sweep: its points are 4: use --output for another folder" in done.stderr
    net.write_text(NET.replace("duration: 200 ms", "duration: 210 ms"))
    assert "of another network file" in snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent, code=2).stderr
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", "--overwrite", cwd=net.parent)
    assert len(read(net.parent / "out")) == 4


def test_two_processes_do_not_work_on_one_part(net):
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent)
    with appended.appending(net.parent / "out" / table.Part().file, []):
        net_again = snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent, code=2)
    assert "another process is working on" in net_again.stderr


def test_results_that_are_to_be_kept_are_made_where_they_are_missing_and_go_with_their_sweep(net):
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent)
    told = json.loads(snnrun("sweep", "net.yaml", *GRID, "-o", "out", "--keep", "--json", cwd=net.parent).stdout)
    kept = net.parent / "out" / "results"
    assert told["done"] == 4 and len(list(kept.iterdir())) == 4
    snnrun("sweep", "collect", "out", cwd=net.parent)
    snnrun("sweep", "net.yaml", "--seeds", 2, "-o", "out", "--overwrite", cwd=net.parent)
    assert not list(kept.iterdir()) and not (net.parent / "out" / "sweep.png").exists()


# ---- runs in memory --------------------------------------------------------------------------------------------------


def test_a_run_that_runs_away_is_stopped(net):
    trials = trial.Trials(net)
    wild = trials.load([document.Override(("projections", "a", "weight"), "900 pA", "--set")])
    assert trials.run(trials.load()).complete
    stopped = trials.run(wild, most=100.0)
    assert not stopped.complete and 0 < stopped.trains["E"].span < 180.0
    assert trials.run(wild).complete


def test_without_a_monitor_of_spikes_all_are_measured_after_the_warmup(net):
    net.write_text(NET[: NET.index("monitors")] + "warmup: 50 ms\nmonitors: {V: {model: state, of: E, variables: [V]}}\n")
    trains = trial.Trials(net).run(trial.Trials(net).load()).trains
    assert {name: (of.size, of.span) for name, of in trains.items()} == {"P": (50, 150.0), "E": (80, 150.0)}


# ---- workers ---------------------------------------------------------------------------------------------------------


class Fragile:
    """Ends its process over some tasks."""

    def __init__(self, deadly: dict[int, int]) -> None:
        self.deadly = deadly

    def __call__(self, task: int) -> int:
        if task in self.deadly:
            if self.deadly[task] < 0:
                os._exit(-self.deadly[task])
            os.kill(os.getpid(), self.deadly[task])
        return task * task


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_worker_that_dies_takes_one_task_with_it(count):
    deadly = {2: signal.SIGKILL, 3: signal.SIGSEGV, 7: -5, 0: signal.SIGTERM}
    with closing(workers.Pool(Fragile, (deadly,), count)) as pool:
        found = dict(pool.run(range(6))) | dict(pool.run(range(6, 9)))
    assert sorted(found) == list(range(9))
    assert {task: value for task, value in found.items() if task not in deadly} == {t: t * t for t in (1, 4, 5, 6, 8)}
    assert [found[task].why.split(":")[0] for task in (0, 2, 3, 7)] == [
        "its worker was ended by SIGTERM", "its worker was ended by SIGKILL", "its worker was ended by SIGSEGV",
        "its worker ended with exit code 5",
    ]  # fmt: skip


def test_workers_end_with_what_has_started_them(tmp_path):
    script = """
import os, sys, time
from snnrun import workers
class Slow:
    def __call__(self, task):
        open(f"{task}.pid", "w").write(str(os.getpid()))
        time.sleep(1.0)
        return task
if __name__ == "__main__":
    list(workers.Pool(Slow, (), 2).run(range(100)))
"""
    (tmp_path / "main.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(check.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        while len(list(tmp_path.glob("*.pid"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    numbers = [int(path.read_text()) for path in tmp_path.glob("*.pid") if path.read_text()]
    until = time.monotonic() + 20
    while any(_alive(number) for number in numbers):
        assert time.monotonic() < until, "workers outlive their parent"
        time.sleep(0.05)


def _alive(number: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


# ---- points ----------------------------------------------------------------------------------------------------------


def swept(block, grid=None, seeds=None):
    return points.sweep(document.Document("net.yaml", "", Path()), block, grid or {}, seeds, 7)


def test_blocks_are_combined_the_last_running_fastest():
    found = swept({"grid": {"a.b": ["1 ms", "2 ms"], "c[0]": [True, None]}, "zip": {"x": [1, 2], "y": [3, 4]},
                   "list": [{"z": {"normal": {"mean": "1 mV", "std": "2 mV"}}}], "seeds": [5, 4]})  # fmt: skip
    assert len(found) == 16 and found.paths == ("a.b", "c[0]", "x", "y", "z")
    every = list(found.points())
    assert [point.number for point in every] == list(range(16)) and [point.seed for point in every[:4]] == [5, 4, 5, 4]
    assert every[5].values == {"a.b": "1 ms", "c[0]": "null", "x": "1", "y": "3", "z": "{normal: {mean: 1 mV, std: 2 mV}}"}
    assert every[-1].values["a.b"] == "2 ms" and every[-1].values["y"] == "4"
    assert every[0].overrides()[1].path == ("c", "0") and every[0].overrides()[-1].value == "5"


def test_ranges_are_even_or_logarithmic_with_their_unit():
    found = swept(
        {"grid": {"a": {"low": "1 nS", "high": "100 nS", "points": 3, "scale": "log"}, "b": {"low": -1, "high": 1, "points": 3}}}
    )
    assert [point.values["a"] for point in found.points()][::3] == ["1 nS", "10 nS", "100 nS"]
    assert [point.values["b"] for point in found.points()][:3] == ["-1", "0", "1"]
    negative = swept({"grid": {"a": {"low": "-8 mV", "high": "-2 mV", "points": 3, "scale": "log"}}})
    assert [point.values["a"] for point in negative.points()] == ["-8 mV", "-4 mV", "-2 mV"]


def test_drawn_values_belong_to_their_path_and_number():
    bounds = {"low": "1 nS", "high": "9 nS"}
    one = [point.values["a"] for point in swept({"random": {"a": bounds}, "samples": 5}).points()]
    more = [point.values["a"] for point in swept({"random": {"b": bounds, "a": bounds}, "samples": 9}).points()]
    assert one == more[:5] and len(set(more)) == 9
    assert all(1 <= float(text.removesuffix(" nS")) <= 9 for text in more)


@pytest.mark.parametrize(
    ("block", "at", "message"),
    [
        ({"gird": {}}, ("sweep", "gird"), "unknown key"),
        ({"grid": [1]}, ("sweep", "grid"), "a mapping of paths is wanted here"),
        ({"grid": {"a": 5}}, ("sweep", "grid", "a"), "a list of values is wanted here"),
        ({"grid": {"a": []}}, ("sweep", "grid", "a"), "a list of values is wanted here"),
        ({"grid": {"a": {"low": 1, "high": 2, "points": 1}}}, ("sweep", "grid", "a", "points"), "a whole number of points"),
        ({"grid": {"a": {"low": "1 mV", "high": "2 pA", "points": 2}}}, ("sweep", "grid", "a", "high"), "low is a voltage"),
        ({"grid": {"a": {"low": 2, "high": 1, "points": 2}}}, ("sweep", "grid", "a", "low"), "low must lie below high"),
        ({"grid": {"a": {"low": "x", "high": 1, "points": 2}}}, ("sweep", "grid", "a", "low"), "a number"),
        ({"grid": {"a": {"low": 0, "high": 1, "points": 2, "scale": "log"}}}, ("sweep", "grid", "a", "scale"), "a logarithmic"),
        ({"grid": {"a": {"low": 1, "high": 2, "points": 2, "scale": "x"}}}, ("sweep", "grid", "a", "scale"), "unknown scale"),
        ({"zip": {"a": [1, 2], "b": [1]}}, ("sweep", "zip"), "values that go together are as many: a has 2, b has 1"),
        ({"list": {"a": 1}}, ("sweep", "list"), "a list of points is wanted here"),
        ({"random": {"a": {"low": 1, "high": 2}}}, ("sweep", "random"), "samples is missing"),
        ({"random": {"a": [1, 2]}, "samples": 3}, ("sweep", "random", "a"), "bounds are wanted here"),
        ({"samples": 3}, ("sweep", "samples"), "samples are of what is drawn"),
        ({"grid": {"a": [1]}, "seeds": 0}, ("sweep", "seeds"), "a number of seeds"),
        ({"grid": {"a": [1]}, "seeds": [3, 3]}, ("sweep", "seeds"), "a seed stands here twice"),
        ({"grid": {"a": [1]}, "list": [{"a": 2}]}, ("sweep",), "a is varied twice"),
        ({"grid": {f"a{i}": list(range(100)) for i in range(4)}}, ("sweep",), "these are 100,000,000 points"),
        ({}, (), "nothing is varied"),
        (None, (), "nothing is varied"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_block_is_told_where_it_stands(block, at, message):
    with pytest.raises(SpecError) as raised:
        swept(block)
    assert raised.value.faults[0].path == at and raised.value.faults[0].message.startswith(message)


def test_the_block_is_no_part_of_the_network_and_is_read_from_the_file(net):
    net.write_text(NET + "sweep:\n  grid: {populations.E.tau: [10 ms, 14 ms]}\n  seeds: 2\n")
    assert check.load(net).spec == check.of_document(document.parse(document.Document("net.yaml", NET, net.parent)), "net").spec
    told = json.loads(snnrun("sweep", "net.yaml", "--grid", "populations.E.tau=11 ms", "--json", cwd=net.parent).stdout)
    assert told["points"] == 2 and told["table"] == str(Path("net_sweep/sweep.csv"))
    assert [row["populations.E.tau"] for row in read(net.parent / "net_sweep")] == ["11 ms"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--grid", "populations.E.tau=10 ms,5 mV"), "point 1, value 1: populations.E.tau: "),
        (("--grid", "populations.E.tua=10 ms"), "did you mean tau?"),
        (("--grid", "populations.E.tau"), "is no PATH=VALUES"),
        (("--grid", "populations.E.tau={low: 1 ms, high: 9 ms, points: 0}"), "a whole number of points"),
        (("--seeds", "x"), "is no number of seeds"),
        (("--seeds", "2", "--part", "4/3"), "is no part"),
        (("--seeds", "2", "--measure", "speed"), "there is no 'speed'"),
        ((), "nothing is varied"),
    ],
)
def test_mistakes_on_the_command_line_are_told(net, arguments, said):
    done = snnrun("sweep", "net.yaml", *arguments, cwd=net.parent, code=2)
    assert said in done.stderr and "Traceback" not in done.stderr and not (net.parent / "net_sweep").exists()


def test_collecting_what_is_no_sweep_is_told(tmp_path):
    assert "there is no sweep in" in snnrun("sweep", "collect", tmp_path, cwd=tmp_path, code=2).stderr
    (tmp_path / "sweep.json").write_text("{}")
    assert "is no sweep of this version" in snnrun("sweep", "collect", tmp_path, cwd=tmp_path, code=2).stderr


def test_a_table_is_written_as_parquet_too(net):
    parquet = pytest.importorskip("pyarrow.parquet")
    snnrun("sweep", "net.yaml", *GRID, "-o", "out", cwd=net.parent)
    snnrun("sweep", "collect", "out", "--parquet", "--no-plot", cwd=net.parent)
    found = parquet.read_table(net.parent / "out" / "sweep.parquet").to_pydict()
    rows = read(net.parent / "out")
    assert found["E.rate"] == [float(row["E.rate"]) for row in rows] and found["point"] == [0, 1, 2, 3]
    assert found["populations.E.tau"] == [row["populations.E.tau"] for row in rows]


def test_every_measure_has_its_column_and_its_meaning(net):
    job = many.Job(net, net.parent / "out", swept({"grid": {"populations.E.tau": ["10 ms"]}}), [], many.MEASURES)
    given, every = many.planned(job)
    assert len(every) == 1
    assert given.measures == [
        f"{name}.{measure.name.replace(' ', '_')}" for name in ("E", "P") for measure in statistics.MEASURES
    ]
