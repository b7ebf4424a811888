"""Which kernel runs: the native one where it was built and is sound, and otherwise XLA's, said once with the reason."""

import ctypes
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from snnrun import check, estimate, kernels, random
from snnrun.cli import app
from snnrun.kernels import Choice, Unavailable
from snnrun.kernels import native as module

NET = """
duration: 10 ms
populations:
  N: {size: 10, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, I_e: 600 pA}
projections:
  all: {pre: N, post: N, connect: {rule: all_to_all}, weight: 1 pA, delay: 1 ms, synapse: {model: expon, tau: 5 ms}}
monitors:
  spikes: {model: spikes, of: N}
"""


@pytest.fixture
def unloaded(monkeypatch):
    """The library is loaded anew in the test, with what is patched there, and again after it."""
    module.library.cache_clear()
    with monkeypatch.context() as patch:
        yield patch
    module.library.cache_clear()


def missing(patch):
    patch.setattr(module, "LIBRARY", "_no_such_file.so")


def newer_than_jaxlib(patch):
    patch.setattr(module, "_interface_of_jaxlib", lambda: (0, 0))


def of_another_version(patch):
    class Longer(ctypes.Structure):
        _fields_ = [*module._Noise._fields_, ("more", ctypes.c_int64)]

    patch.setattr(module, "_KINDS", (*module._KINDS[:-1], Longer))


def with_other_draws(patch):
    draw = random.draw
    patch.setattr(random, "draw", lambda *arguments: np.nextafter(draw(*arguments), 9))


def with_other_words(patch):
    blocks = random.blocks
    patch.setattr(random, "blocks", lambda *arguments: tuple(words ^ np.uint64(1) for words in blocks(*arguments)))


FLAWS = {
    missing: "not built",
    newer_than_jaxlib: "built for XLA's interface",
    of_another_version: "another version of snnrun",
    with_other_draws: "random numbers",
    with_other_words: "random numbers",
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_library_that_is_missing_or_unfit_is_not_used_and_the_reason_is_told(native, unloaded, flaw):
    assert kernels.choose() == Choice("native", None)
    flaw(unloaded)
    native.library.cache_clear()
    choice = kernels.choose()
    assert choice.name == "xla" and FLAWS[flaw] in choice.reason
    with pytest.raises(Unavailable, match=FLAWS[flaw]):
        kernels.choose("native")
    assert kernels.choose("xla") == Choice("xla", None)


def test_a_file_that_is_no_library_is_not_used_either(unloaded, tmp_path):
    (tmp_path / module.LIBRARY).write_bytes(b"no library")
    unloaded.setattr(kernels, "__path__", [str(tmp_path)])
    assert "cannot be loaded" in kernels.choose().reason


@pytest.mark.parametrize("version", [None, (0, 10**6), (1, 0)])
def test_a_library_runs_with_newer_jaxlibs_and_where_their_version_is_not_known(native, unloaded, version):
    unloaded.setattr(native, "_interface_of_jaxlib", lambda: version)
    assert kernels.choose("native") == Choice("native", None)


def test_the_interface_of_the_jaxlib_that_is_installed_is_found(native):
    """The library has been built with it, or with an older one."""
    found = native._interface_of_jaxlib()
    built = native._Interface()
    native.library().snnrun_interface(built)
    assert tuple(built[:2]) <= found < (built[0] + 1, 0)


def test_on_a_gpu_xla_delivers_without_a_word(native):
    assert kernels.choose("auto", "gpu") == Choice("xla", None)
    with pytest.raises(Unavailable, match="CPUs only"):
        kernels.choose("native", "gpu")


# ---- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    return tmp_path


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def kernel_of(results):
    """What a results file says of itself, and what `info` shows of it."""
    shown = json.loads(call("info", results, "--json").stdout)["provenance"]
    with h5py.File(results) as file:
        assert shown["kernel"] == file["snnrun/provenance"].attrs["kernel"]
    return shown["kernel"]


@pytest.mark.parametrize("options", [["simulate", "net.yaml", "--no-plot"], ["plan", "net.yaml"]], ids=lambda options: options[0])
def test_the_native_kernel_that_was_asked_for_and_is_missing_ends_with_one_sentence(folder, unloaded, options):
    missing(unloaded)
    result = call(*options, "--kernel", "native")
    assert result.exit_code == 2 and result.stdout == ""
    said = [line for line in result.stderr.splitlines() if "native kernel" in line]
    assert len(said) == 1 and "not built" in said[0] and "--kernel xla" in said[0]
    assert "Traceback" not in result.stderr and not Path("results.h5").exists() and not Path("results.h5.partial").exists()


def test_without_it_xla_runs_and_it_is_said_once(folder, unloaded):
    missing(unloaded)
    result = call("simulate", "net.yaml", "--no-plot")
    assert result.exit_code == 0 and kernel_of("results.h5") == "xla"
    assert result.stderr.count("not built") == 1
    assert "not built" not in call("simulate", "net.yaml", "--no-plot", "-o", "b.h5", "--kernel", "xla").stderr
    assert call("simulate", "net.yaml", "--no-plot", "-o", "c.h5", "-q").stderr == ""
    assert json.loads(call("simulate", "net.yaml", "--no-plot", "-o", "d.h5", "--json").stdout)["kernel"] == "xla"


def test_results_and_summary_and_plan_name_the_kernel(folder, kernel):
    result = call("simulate", "net.yaml", "--no-plot", "--kernel", kernel, "--json")
    assert json.loads(result.stdout)["kernel"] == kernel == kernel_of("results.h5")
    rows = json.loads(call("plan", "net.yaml", "--kernel", kernel, "--json").stdout)["pathways"]
    assert [row["kernel"] for row in rows] == [kernel]
    assert f" {kernel} " in call("plan", "net.yaml", "--kernel", kernel).stdout


def test_the_native_kernel_is_the_default(native, folder):
    assert call("simulate", "net.yaml", "--no-plot", "-q").exit_code == 0 and kernel_of("results.h5") == "native"
    assert json.loads(call("plan", "net.yaml", "--json").stdout)["pathways"][0]["kernel"] == "native"


def test_both_kernels_write_the_same_results(native, folder):
    digests = []
    for name in kernels.KERNELS:
        call("simulate", "net.yaml", "--no-plot", "-q", "--kernel", name, "-o", f"{name}.h5")
        digests.append(json.loads(call("info", f"{name}.h5", "--digest", "--json").stdout))
    assert digests[0] == digests[1] and digests[0]


@pytest.mark.parametrize("verb", ["simulate", "plan"])
def test_an_unknown_kernel_is_refused_with_the_known_ones(folder, verb):
    result = call(verb, "net.yaml", "--kernel", "abacus")
    assert result.exit_code == 2 and "'abacus' is unknown: use auto, native or xla" in result.stderr


def test_edges_that_do_not_fit_into_memory_are_drawn_again_and_it_is_said(native, folder, monkeypatch):
    """With one byte less than storing them needs; the results are those of stored ones."""
    text = NET.replace("size: 10,", "size: 3000,").replace("all_to_all", "fixed_prob, p: 0.01").replace("600 pA", "400 pA")
    (folder / "net.yaml").write_text(text)
    call("simulate", "net.yaml", "--no-plot", "-q", "-o", "stored.h5")
    spec = check.load(folder / "net.yaml").spec
    needed = estimate.estimate(spec, folder, "native").peak_bytes
    monkeypatch.setattr(estimate, "available_bytes", lambda: needed - 1)
    result = call("simulate", "net.yaml", "--no-plot", "-o", "again.h5")
    assert result.exit_code == 0 and result.stderr.count("drawn again") == 1
    digests = [json.loads(call("info", name, "--digest", "--json").stdout) for name in ("stored.h5", "again.h5")]
    assert digests[0] == digests[1] and digests[0]
    (folder / "net.yaml").write_text(text.replace("p: 0.01", "p: 0.01, storage: stored"))
    refused = call("simulate", "net.yaml", "--no-plot", "-o", "refused.h5")
    assert refused.exit_code == 2 and "of memory" in refused.stderr
