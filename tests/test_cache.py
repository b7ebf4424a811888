"""Compiled programs are kept in the user's cache folder, and a run that finds them there compiles nothing."""

import json
import os
import subprocess
import sys

import pytest

from snnrun import machine

NET = """
duration: 5 ms
populations:
  N: {size: 10, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, I_e: 600 pA}
  S: {size: 20, model: poisson, rate: 100 Hz}
projections:
  all:
    {pre: [N, S], post: N, connect: {rule: fixed_indegree, n: 5}, weight: 9 pA, delay: 1 ms, synapse: {model: expon, tau: 5 ms}}
monitors:
  spikes: {model: spikes, of: N}
"""
PROGRAM = """
import collections, json, sys
import jax
from snnrun.cli import app
events = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **more: events.update([name.rpartition("/")[2]]))
try:
    app(["simulate", "net.yaml", "--no-plot", "-q", "--overwrite", *sys.argv[1:]])
except SystemExit as end:
    print(json.dumps({"code": end.code} | events))
"""


@pytest.fixture
def simulate(tmp_path):
    """Run the network in a fresh process whose cache folder is given: what it says and how often it found programs."""
    (tmp_path / "net.yaml").write_text(NET)

    def call(cache, *options):
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run([sys.executable, "-c", PROGRAM, *options], cwd=tmp_path, env=environment, capture_output=True,
                              text=True)  # fmt: skip
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


def test_a_second_run_finds_the_programs_of_the_first(kernel, simulate, tmp_path):
    """Also with another seed. The native kernel's program does not even know how many synapses there are."""
    first = simulate(tmp_path / "cache", "--kernel", kernel)
    assert first["code"] == 0 and first["cache_misses"] > 0 and "cache_hits" not in first
    files = sorted((tmp_path / "cache" / "snnrun").glob("*/*"))
    assert any("run_chunk" in file.name for file in files)
    more = ["--set", "projections.all.connect.n=6"] if kernel == "native" else []
    second = simulate(tmp_path / "cache", "--kernel", kernel, "--seed", "5", *more)
    assert second["code"] == 0 and "cache_misses" not in second and second["cache_hits"] == first["cache_misses"]
    assert files == sorted((tmp_path / "cache" / "snnrun").glob("*/*"))


def test_a_cache_folder_that_cannot_be_made_does_no_harm(simulate, tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = simulate(tmp_path / "file")
    assert found["code"] == 0 and (tmp_path / "results.h5").exists() and (tmp_path / "file").read_text() == "no folder"


class Recorder:
    """Stands for the module jax, of which only its configuration is concerned."""

    def __init__(self):
        self.config, self.set = self, {}

    def update(self, name, value):
        self.set[name] = value


def test_a_folder_that_may_not_be_written_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine._keep_programs(writable := Recorder())
    assert writable.set["jax_compilation_cache_dir"].startswith(str(tmp_path / "snnrun"))
    monkeypatch.setattr(machine.os, "access", lambda *arguments: False)
    machine._keep_programs(barred := Recorder())
    assert not barred.set


def test_a_folder_that_the_user_has_named_for_jax_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    machine._keep_programs(found := Recorder())
    assert not found.set and not list(tmp_path.iterdir())


def test_of_the_programs_the_latest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "KEPT_PROGRAMS", 3)
    machine._keep_programs(Recorder())
    (folder,) = (tmp_path / "snnrun").iterdir()
    for age in range(6):
        (folder / f"program {age}").write_text("")
        os.utime(folder / f"program {age}", (1e9 - age, 1e9 - age))
    machine._keep_programs(Recorder())
    assert sorted(path.name for path in folder.iterdir()) == ["program 0", "program 1", "program 2"]


@pytest.mark.parametrize("cache", [None, "cache"])
def test_a_user_without_a_home_runs_all_the_same(tmp_path, monkeypatch, cache):
    """As in a container that knows the user by number only. A cache folder that is named is used."""
    if cache is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(machine.Path, "home", nowhere)
    machine._keep_programs(found := Recorder())
    assert bool(found.set) == (cache is not None)
