"""How runs end: whatever ends one, it goes on where it stopped, to the same bits; and nothing is freed that is being read."""

import errno
import gc
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from networks import Frames, plan_of

from snnrun import check, checkpoint, engine, results, run, signals, snapshot
from snnrun.request import Every
from snnrun.results import writer as writing
from snnrun.signals import Stop

# Something of everything: delays that are drawn, procedural edges that wait, refractory neurons, sources, noise, open bins.
NET = """\
name: ends
seed: 5
duration: 60 ms
precision: PRECISION
populations:
  A: {size: 70, model: lif, tau: {normal: {mean: 12 ms, std: 1 ms}}, tau_ref: 2 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV,
      C: 250 pF, init: {V: {uniform: {low: -65 mV, high: -50 mV}}}}
  B: {size: 40, model: lif, tau: 20 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, R: 100 MOhm}
  S: {size: 5, model: poisson, rate: 200 Hz, start: 3 ms}
  T: {size: 2, model: spike_times, times: [1 ms, 15 ms, 44.5 ms]}
inputs:
  drive: {model: steps, to: [A, B], times: [0 ms, 30 ms], currents: [400 pA, 380 pA]}
  noise: {model: poisson, to: A, rate: 500 Hz, weight: 0.4 mV, delay: 0.7 ms, synapse: {model: delta}}
projections:
  waits:
    pre: [A, S]
    post: [B, A]
    connect: {rule: fixed_prob, p: 0.2, storage: procedural}
    weight: {normal: {mean: 20 pA, std: 5 pA}}
    delay: {uniform: {low: 0.3 ms, high: 9 ms}}
    synapse: {model: alpha, tau: 3 ms}
  kicks:
    pre: A
    post: B
    connect: {rule: fixed_outdegree, n: 4, storage: procedural}
    weight: {uniform: {low: 0.1 mV, high: 0.5 mV}}
    delay: {uniform: {low: 1 ms, high: 6 ms}}
    synapse: {model: delta}
  stored:
    pre: B
    post: A
    connect: {rule: fixed_indegree, n: 5}
    weight: -30 pA
    delay: 2.5 ms
    synapse: {model: expon, tau: 8 ms}
  open:
    pre: [B, T]
    post: B
    connect: {rule: fixed_prob, p: 0.3}
    weight: {lognormal: {mean: 0.5 nS, std: 0.3 nS}}
    delay: {exponential: {mean: 2 ms}}
    synapse: {model: expon, tau: 4 ms}
    output: {model: coba, E: 0 mV}
monitors:
  spikes: {model: spikes, of: [A, B, S, T]}
  some: {model: spikes, of: "A[3:9]", start: 10 ms, stop: 50 ms}
  V: {model: state, of: "A[:6]", variables: [V, ref, waits.x, waits.y], every: 0.3 ms}
  VB: {model: state, of: B, variables: [V], start: 7 ms, every: 1.1 ms}
  rate: {model: rate, of: [A, B], bin: 1.7 ms}
  in: {model: input, of: B, every: 0.9 ms}
"""


def net(folder: Path, precision="float64", **changes) -> Path:
    text = NET.replace("PRECISION", precision)
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (folder / "net.yaml").write_text(text)
    return folder / "net.yaml"


class StopsAt(Stop):
    """Asks a run to stop at its n-th question."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def requested(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.reason = "SIGTERM"
        return self.reason is not None


def request(path: Path, output: str = "r.h5", **options) -> run.Request:
    return run.Request(check.load(path), path.parent / output, [], plot=False, **options)


def digests(path: Path) -> dict[str, str]:
    with results.Results(path) as found:
        assert found.complete
        return found.digests()


@pytest.fixture
def short_chunks(monkeypatch):
    """Chunks of at most 37 steps."""
    monkeypatch.setattr(engine, "MAX_CHUNK", 37)


# ---- stop and go on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("stops", [[0], [1, 2], [5, 1, 3], [1] * 20], ids=str)
def test_a_run_that_stops_and_goes_on_has_the_bits_of_one_that_does_not(tmp_path, short_chunks, precision, stops):
    """With another kernel and another number of threads each time."""
    path = net(tmp_path, precision)
    run.simulate(request(path, "whole.h5"))
    ways = itertools.cycle([{"threads": 2}, {"kernel": "xla"}, {"threads": 1}, {"kernel": "xla"}])
    for n in stops:
        with pytest.raises(run.Ended, match="stopped by SIGTERM at .* of 60 ms; r.h5.checkpoint was written"):
            run.simulate(request(path, resume=True, **next(ways)), stop=StopsAt(n))
        assert not (tmp_path / "r.h5").exists() and (tmp_path / "r.h5.partial").exists()
    run.simulate(request(path, resume=True, **next(ways)))
    assert digests(tmp_path / "r.h5") == digests(tmp_path / "whole.h5")
    with results.Results(tmp_path / "r.h5") as found:
        assert found.provenance["restarts"] == len(stops)
    assert sorted(file.name for file in tmp_path.iterdir() if ".partial" in file.name or "new" in file.name) == []


def test_a_longer_duration_goes_on_with_a_complete_run(tmp_path, short_chunks):
    """The last bin of a rate, which the first run has cut short, is whole in the longer one."""
    path = net(tmp_path)
    longer = net(tmp_path / "longer", d=("60 ms", "90 ms")) if (tmp_path / "longer").mkdir() is None else None
    run.simulate(request(longer, "../whole.h5"))
    run.simulate(request(path, resume=True))
    first = digests(tmp_path / "r.h5")
    again = run.simulate(request(path, resume=True))
    assert digests(tmp_path / "r.h5") == first and again.spikes > 0 and again.seconds == {}
    with pytest.raises(run.Ended):
        run.simulate(request(longer, "../r.h5", resume=True), stop=StopsAt(3))
    assert digests(tmp_path / "r.h5") == first  # what is complete stays until all is
    run.simulate(request(longer, "../r.h5", resume=True))
    assert digests(tmp_path / "r.h5") == digests(tmp_path / "whole.h5")
    with pytest.raises(run.Refused, match="is complete, with 90 ms"):
        run.simulate(request(path, resume=True))


@pytest.fixture
def written(monkeypatch):
    """The steps of which checkpoints are written."""
    steps, write = [], checkpoint.write

    def noted(results_, made):
        steps.append(made.snapshot.step)
        write(results_, made)

    monkeypatch.setattr(checkpoint, "write", noted)
    return steps


def test_checkpoints_in_model_time_lie_on_its_grid(tmp_path, short_chunks, written):
    run.simulate(request(net(tmp_path), every=Every(model=13.0)))
    assert written == [130, 260, 390, 520, 600]


def test_checkpoints_in_wall_time_come_while_the_run_goes_on(tmp_path, short_chunks, written):
    run.simulate(request(net(tmp_path), every=Every(wall=1e-9)))
    assert len(written) > 3 and written == sorted(set(written)) and written[-1] == 600


@pytest.mark.parametrize("damage", ["cut short", "a byte changed", "empty", "gone"])
def test_a_checkpoint_that_is_damaged_makes_way_for_the_one_before_it(tmp_path, short_chunks, damage):
    path = net(tmp_path)
    run.simulate(request(path, "whole.h5"))
    for n in (2, 2):
        with pytest.raises(run.Ended):
            run.simulate(request(path, resume=True), stop=StopsAt(n))
    last = checkpoint.path_of(tmp_path / "r.h5")
    content = bytearray(last.read_bytes())
    if damage == "gone":
        last.unlink()
    else:
        content[len(content) // 2] ^= 1
        last.write_bytes({"cut short": content[:-100], "a byte changed": content, "empty": b""}[damage])
    run.simulate(request(path, resume=True))
    assert digests(tmp_path / "r.h5") == digests(tmp_path / "whole.h5")


def test_a_run_does_not_go_on_with_a_recording_that_is_damaged(tmp_path, short_chunks):
    path, partial = net(tmp_path), tmp_path / "r.h5.partial"
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(5))
    with h5py.File(partial) as file:
        place = file["spikes/A/timestamps"].id.get_chunk_info(0).byte_offset
    content = bytearray(partial.read_bytes())
    content[place + 3] ^= 1
    partial.write_bytes(content)
    with pytest.raises(results.WriteError, match="r.h5.partial cannot be written"):
        run.simulate(request(path, resume=True))


def test_complete_results_that_are_damaged_are_not_said_to_be_complete(tmp_path, short_chunks):
    path, output = net(tmp_path), tmp_path / "r.h5"
    run.simulate(request(path, resume=True))
    with h5py.File(output) as file:
        place = file["report/A/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(output.read_bytes())
    content[place + 3] ^= 1
    output.write_bytes(content)
    with pytest.raises(results.ResultsError, match="r.h5 is damaged"):
        run.simulate(request(path, resume=True))


def test_two_damaged_checkpoints_are_said_to_be_and_nothing_is_lost(tmp_path, short_chunks):
    path = net(tmp_path)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    checkpoint.path_of(tmp_path / "r.h5").write_bytes(b"nonsense")
    before = (tmp_path / "r.h5.partial").read_bytes()
    with pytest.raises(run.Refused, match="r.h5.checkpoint is damaged"):
        run.simulate(request(path, resume=True))
    assert (tmp_path / "r.h5.partial").read_bytes() == before


CHANGES = {
    "size": ("size: 70", "size: 71", "populations.A.size: 70, and 71 here"),
    "seed": ("seed: 5", "seed: 6", "seed: 5, and 6 here"),
    "weight": ("weight: -30 pA", "weight: -30.000000000001 pA", "projections.stored.weight"),
    "dt": ("duration: 60 ms", "duration: 60 ms\ndt: 0.05 ms", "dt: 0.1, and 0.05 here"),
    "monitor": ("every: 1.1 ms", "every: 1.2 ms", "monitors.VB.every: 1.1, and 1.2 here"),
    "precision": ("precision: float64", "precision: float32", 'precision: "float64", and "float32" here'),
    "input": ("rate: 500 Hz", "rate: 600 Hz", "inputs.noise.rate: 0.5, and 0.6 here"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_network_is_refused_by_what_differs(tmp_path, short_chunks, change):
    path = net(tmp_path)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith("r.h5")}
    path.write_text(path.read_text().replace(*change[:2]))
    with pytest.raises(run.Refused, match=r"checkpoint is of another network: .*" + re.escape(change[2])):
        run.simulate(request(path, resume=True))
    assert kept == {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith("r.h5")}


def test_a_file_that_the_network_reads_belongs_to_it(tmp_path, short_chunks):
    (tmp_path / "e.csv").write_text("pre,post\n0,1\n1,2\n")
    path = net(tmp_path, c=("connect: {rule: fixed_indegree, n: 5}", "connect: {rule: file, path: e.csv}"))
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    (tmp_path / "e.csv").write_text("pre,post\n0,1\n1,3\n")
    with pytest.raises(run.Refused, match=r"another network: e\.csv has changed"):
        run.simulate(request(path, resume=True))


def test_what_stands_in_the_way_of_a_beginning(tmp_path, short_chunks):
    path = net(tmp_path)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    with pytest.raises(run.Refused, match="checkpoint exists already") as refused:
        run.simulate(request(path))
    assert "--resume" in refused.value.hint
    with pytest.raises(run.Refused, match="--overwrite begins anew"):
        run.simulate(request(path, resume=True, overwrite=True))
    (tmp_path / "r.h5.partial").rename(tmp_path / "elsewhere")
    with pytest.raises(run.Refused, match="with what was recorded is not"):
        run.simulate(request(path, resume=True))
    (tmp_path / "elsewhere").rename(tmp_path / "r.h5.partial")
    run.simulate(request(path, overwrite=True))
    assert not checkpoint.candidates(tmp_path / "r.h5")
    with pytest.raises(run.Refused, match="no checkpoint"):
        run.simulate(request(net(tmp_path, d=("60 ms", "61 ms")), resume=True))


def test_a_partial_file_without_a_checkpoint_is_begun_anew_but_not_that_of_another_network(tmp_path, short_chunks):
    path = net(tmp_path)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    checkpoint.remove(tmp_path / "r.h5")
    other = net(tmp_path, s=("seed: 5", "seed: 6"))
    with pytest.raises(run.Refused, match="seed: 5, and 6 here"):
        run.simulate(request(other, resume=True))
    run.simulate(request(net(tmp_path), resume=True))
    run.simulate(request(net(tmp_path), "whole.h5"))
    assert digests(tmp_path / "r.h5") == digests(tmp_path / "whole.h5")


def test_another_version_is_refused(tmp_path, short_chunks, monkeypatch):
    path = net(tmp_path)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    there = checkpoint.versions()
    monkeypatch.setattr(checkpoint, "versions", lambda: there | {"snnrun": "99"})
    with pytest.raises(run.Refused, match="was written by snnrun .*, and this is 99"):
        run.simulate(request(path, resume=True))


def test_a_snapshot_has_all_that_a_state_has(tmp_path):
    """Every variable of every neuron and receptor, and who fired as far back as the longest delay."""
    plan = plan_of(tmp_path, NET.replace("PRECISION", "float32"), kernel="xla")
    state = engine.simulate(plan, engine.init(plan), 123, Frames())
    taken = snapshot.take(plan, state)
    every = {f"{place.name}/{name}": values for name, place, values in engine.variables(plan, state)}
    assert taken.variables.keys() == every.keys()
    leaves = jax.tree.leaves((state.neurons, state.receptors))
    assert sum(leaf.nbytes for leaf in leaves) >= sum(values.nbytes for values in every.values())
    again = snapshot.take(plan, snapshot.restore(plan, taken))
    assert again.step == taken.step == 123 and sum(rows.any() for rows in taken.fired.values()) == 4
    for one, other in ((taken.variables, again.variables), (taken.fired, again.fired)):
        assert one.keys() == other.keys()
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
    with pytest.raises(snapshot.Mismatch, match="A/V"):
        snapshot.restore(plan, taken._replace(variables={k: v for k, v in taken.variables.items() if k != "A/V"}))
    with pytest.raises(snapshot.Mismatch, match="wanted"):
        snapshot.restore(plan, taken._replace(variables=taken.variables | {"A/V": np.zeros(3)}))


def test_samples_that_will_not_fit_on_the_disk_are_warned_of_before_the_start(tmp_path, short_chunks, monkeypatch):
    said, free = [], shutil.disk_usage("/")._replace(free=1000)

    class Watcher(run.Watcher):
        def note(self, text):
            said.append(text)

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    run.simulate(request(net(tmp_path)), Watcher())
    assert [text for text in said if "the samples will take" in text and "has 1 kB left" in text]


# ---- failures --------------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_cannot_be_written_is_said_and_the_run_goes_on(tmp_path, short_chunks, monkeypatch):
    said, path = [], net(tmp_path)

    class Watcher(run.Watcher):
        def note(self, text):
            said.append(text)

    def full(results_, made):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "write", full)
    run.simulate(request(path, every=Every(model=20.0)), Watcher())
    assert [text for text in said if "no checkpoint could be written" in text and "No space left" in text]
    assert digests(tmp_path / "r.h5")


@pytest.mark.parametrize("old", [False, True], ids=["nothing there", "results there"])
def test_when_the_nth_write_fails_there_is_one_sentence_and_what_was_there_is_there(tmp_path, monkeypatch, old):
    """The disk is full from the n-th write on: in making the file, in a frame, in a commit, in the checkpoint, at the end."""
    monkeypatch.setattr(engine, "MAX_CHUNK", 120)
    monkeypatch.setattr(writing, "COMMIT_SECONDS", 0.0)
    path, output = net(tmp_path), tmp_path / "r.h5"
    if old:
        run.simulate(request(path))
        before = output.read_bytes()
    real, failures, n = os.pwrite, 0, 0
    while True:
        counter = iter(range(10**6))

        def pwrite(file, data, at, counter=counter, n=n):
            if next(counter) >= n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(file, data, at)

        monkeypatch.setattr(os, "pwrite", pwrite)
        try:
            run.simulate(request(path, overwrite=True))
            break
        except results.WriteError as error:
            assert str(error) == f"{output}.partial cannot be written: No space left on device"
        finally:
            monkeypatch.setattr(os, "pwrite", real)
        failures += 1
        assert output.exists() == old and (not old or output.read_bytes() == before)
        if (tmp_path / "r.h5.partial").exists():
            with results.Results(tmp_path / "r.h5.partial") as found:
                assert found.complete <= (found.reached == found.duration)
                assert found.spikes("spikes").keys() == {"A", "B", "S", "T"}
        assert not (tmp_path / "r.h5.partial.journal").exists()
        n += 1 if n < 8 else 9
    assert failures > 15


CHILD = """
import gc, itertools, pathlib, sys
import numpy as np
from snnrun import check, network, lower
from snnrun.run import start_jax
start_jax("cpu", 1)
from snnrun import engine
kernel, threads = sys.argv[1], int(sys.argv[2])
engine.MAX_CHUNK = 50
spec = check.load(pathlib.Path("net.yaml")).spec
class Oops(Exception): ...
class Sink:
    def __init__(self, n): self.left = n
    def write(self, frame):
        self.left -= 1
        if self.left < 0: raise Oops
def progress(n):
    left = iter(range(n))
    def called(step):
        if next(left, None) is None: raise Oops
    return called
def alloc(n):
    counter, real = iter(range(10**6)), np.asarray
    def asarray(*a, **k):
        if next(counter) == n: raise MemoryError
        return real(*a, **k)
    return asarray
raised = 0
for n in range(int(sys.argv[3])):
    for what in ("write", "progress", "allocation", "stop"):
        plan = lower.lower(network.build(spec, pathlib.Path(".")), kernel=kernel, threads=threads)
        program, constants = plan.program, plan.constants
        if what == "allocation": engine.np = type("np", (), dict(vars(np), asarray=staticmethod(alloc(n))))
        try:
            def stop(left=iter(range(n))):
                if what == "stop" and next(left, None) is None: raise Oops
                return False
            engine.simulate(plan, engine.init(plan), 600, Sink(n if what == "write" else 999),
                            progress=progress(n) if what == "progress" else None, stop=stop)
        except (Oops, MemoryError):
            raised += 1
        engine.np = np
        state = engine.init(plan)
        del plan
        gc.collect()
        flight = engine.run_chunk(program, constants, state, np.int64(300), 300)  # nothing but the constants is left
        if n % 2:
            del constants
            gc.collect()
        if n % 3: flight[1].block_until_ready()
print("raised", raised)
engine.run_chunk(program, lower.lower(network.build(spec, pathlib.Path(".")), kernel=kernel, threads=threads).constants,
                 state, np.int64(2000), 2000)  # the interpreter ends while this goes on
"""


@pytest.mark.parametrize(("kernel", "threads", "times"), [("native", 1, 6), ("native", 2, 6), ("xla", 1, 2)])
def test_no_memory_is_freed_that_a_call_still_reads(tmp_path, native, kernel, threads, times):
    """The n-th hand-over, progress call, allocation and question fails; what the plan kept goes at once."""
    net(tmp_path)
    command = [sys.executable, "-c", CHILD, kernel, str(threads), str(times)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 3 * times


def test_a_call_owns_what_it_reads(tmp_path, native):
    plan = plan_of(tmp_path, NET.replace("PRECISION", "float32"), kernel="native")
    kept = weakref.ref(plan.arranged.edges.kept)
    program, constants = plan.program, plan.constants
    state = engine.init(plan)
    engine.run_chunk(program, constants, state, np.int64(1), 10_000)
    del plan
    gc.collect()
    assert kept() is not None
    constants = jax.device_put(constants)
    gc.collect()
    assert kept() is not None
    after = engine.run_chunk(program, constants, state, np.int64(10_000), 10_000)
    del constants
    gc.collect()
    alive, over = kept() is not None, after[1].is_ready()  # in this order
    assert alive or over
    jax.block_until_ready(after)
    del after
    for _ in range(100):
        gc.collect()
        if kept() is None:
            return
        time.sleep(0.02)
    raise AssertionError("the memory is never freed")


# ---- signals ---------------------------------------------------------------------------------------------------------

LONG = """\
name: long
seed: 3
duration: 500 s
populations:
  E: {size: 400, model: lif, tau: 20 ms, tau_ref: 2 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, R: 100 MOhm, I_e: 150 pA}
projections:
  e: {pre: E, post: E, connect: {rule: fixed_prob, p: 0.1}, weight: 0.1 mV, delay: 1 ms, synapse: {model: delta}}
monitors:
  s: {model: spikes, of: "E[:3]"}
"""


def started(folder: Path, *options: str) -> subprocess.Popen:
    (folder / "long.yaml").write_text(LONG)
    command = [sys.executable, "-m", "snnrun", "simulate", "long.yaml", "-o", "l.h5", "--no-plot", *options]
    # tests that run in the background of a shell ignore a SIGINT, and what they start would ignore it, too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


def running(folder: Path) -> None:
    """Wait until steps are taken."""
    for _ in range(3000):
        try:
            with results.Results(folder / "l.h5") as found:
                if found.reached > 0:
                    return
        except results.ResultsError:
            pass
        time.sleep(0.02)
    raise AssertionError("the run does not begin")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 75), ("SIGHUP", 75), ("SIGUSR1", 75)])
def test_a_signal_ends_a_run_with_a_checkpoint(tmp_path, name, code):
    kernel = "xla" if name == "SIGHUP" else "auto"
    child = started(tmp_path, "--kernel", kernel, "--threads", "2" if name == "SIGTERM" else "1")
    running(tmp_path)
    child.send_signal(getattr(signal, name))
    out, said = child.communicate(timeout=60)
    assert child.returncode == code and "Traceback" not in said
    sentence = rf"snnrun: stopped by {name} at .* of 500 s; l.h5.checkpoint was written: --resume goes on from there\n$"
    assert re.search(sentence, said)
    assert checkpoint.read(tmp_path / "l.h5.checkpoint").snapshot.step > 0


def test_a_signal_before_the_first_step_ends_a_run_at_once(tmp_path):
    for wait in (0.1, 0.25, 0.45, 0.7):
        child = started(tmp_path)
        time.sleep(wait)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
        assert child.returncode in (130, -signal.SIGINT) and "Traceback" not in said or wait < 0.2, (wait, said)
        for file in tmp_path.glob("l.h5*"):
            file.unlink()


def test_a_signal_before_the_first_step_ends_a_run_with_its_own_exit_code(tmp_path):
    """The command line's library takes every interrupt for a Ctrl-C."""
    child = started(tmp_path)
    time.sleep(0.6)
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 75 and "stopped by SIGTERM" in said


def test_a_signal_that_a_library_swallows_leaves_no_traceback():
    """Raised in a finaliser or a callback, it is printed and forgotten by Python; the mark that it leaves is not."""
    program = """if True:
        import os, signal
        from snnrun.signals import Stop
        class Swallows:
            def __del__(self): os.kill(os.getpid(), signal.SIGTERM)
        stop = Stop()
        stop.listen()
        Swallows()
        print(stop.requested(), stop.code)
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("True 75\n", "")


def test_a_limit_on_the_processor_time_is_a_signal_like_others(tmp_path):
    code = "from resource import *; setrlimit(RLIMIT_CPU, (4, 60)); from snnrun.__main__ import main; main()"
    (tmp_path / "long.yaml").write_text(LONG)
    command = [sys.executable, "-c", code, "simulate", "long.yaml", "-o", "l.h5", "--no-plot"]
    child = subprocess.run(command, cwd=tmp_path, timeout=100, capture_output=True, text=True)
    assert child.returncode == 75 and "stopped by SIGXCPU" in child.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_after_the_end_comes_too_late(name):
    kill = f"atexit.register(os.kill, os.getpid(), signal.{name})"
    program = f"import atexit, os, signal; {kill}; from snnrun.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_second_ctrl_c_ends_the_process_there_and_then(tmp_path):
    child = started(tmp_path)
    running(tmp_path)
    child.send_signal(signal.SIGSTOP)  # both arrive before the end of the chunk
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGCONT)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and "Traceback" not in said
    with results.Results(tmp_path / "l.h5") as found:
        assert not found.complete and found.reached > 0


def test_a_limit_on_the_time_ends_a_run_with_a_checkpoint(tmp_path):
    child = started(tmp_path, "--max-walltime", "7s")
    _, said = child.communicate(timeout=60)
    assert child.returncode == 75 and "stopped by time limit" in said


def test_no_signal_is_raised_into_the_loading_of_jax(tmp_path, short_chunks, monkeypatch):
    """The initialisation of a library in C++ may abort the process over an exception."""
    stop, heard = Stop(), []

    def loading(request_, watcher):
        stop._heard(signal.SIGTERM, None)
        heard.append(stop.reason)
        return "cpu", "xla", 1

    monkeypatch.setattr(run, "_machine", loading)
    with pytest.raises(signals.Stopped):
        run.simulate(request(net(tmp_path)), stop=stop)
    assert heard == ["SIGTERM"]


def test_a_process_that_ignores_hangups_goes_on_ignoring_them(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back at the end
    before = {name: signal.getsignal(getattr(signal, name)) for name in signals.SIGNALS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop = Stop()
        stop.listen()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.requested() and stop.reason == "SIGTERM" and stop.code == 75
        with pytest.raises(signals.Stopped):
            stop.check()
        os.kill(os.getpid(), signal.SIGUSR1)  # says nothing new
        stop = Stop()
        stop.listen()
        with pytest.raises(signals.Stopped):
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1-02:03:04", 93784), ("02:03:04", 7384), ("3:04", 184), ("59", 59), ("UNLIMITED", None), ("", None), ("NOT_SET\n", None)],
)
def test_the_time_that_slurm_leaves(text, seconds):
    assert signals.slurm_seconds(text) == seconds


def test_slurm_is_asked_for_the_time_that_is_left(tmp_path, monkeypatch):
    tool = tmp_path / "squeue"
    tool.write_text("#!/bin/sh\n[ \"$*\" = '-h -j 17 -o %L' ] && echo 1:00:00\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert signals.time_left_in_slurm() is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert signals.time_left_in_slurm() == 3600
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 50))
    assert signals.time_left_in_slurm() == pytest.approx(50, abs=2)


# ---- damaged checkpoints ---------------------------------------------------------------------------------------------


def test_no_damaged_checkpoint_is_taken_for_a_sound_one(tmp_path, short_chunks):
    path, draw = net(tmp_path), np.random.default_rng(1)
    with pytest.raises(run.Ended):
        run.simulate(request(path, resume=True), stop=StopsAt(2))
    content = (tmp_path / "r.h5.checkpoint").read_bytes()
    for _ in range(100):
        changed = bytearray(content)
        for place in draw.integers(0, len(content), draw.integers(1, 5)):
            changed[place] ^= draw.integers(1, 256)
        (tmp_path / "x").write_bytes(changed)
        with pytest.raises(checkpoint.CheckpointError, match="damaged"):
            checkpoint.read(tmp_path / "x")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(checkpoint.CheckpointError, match="damaged"):
        checkpoint.read(tmp_path / "other.h5")
