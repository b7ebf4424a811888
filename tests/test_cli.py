"""The command line, end to end: what is printed where, exit codes, and what is never lost."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

import snnrun
from snnrun import check, estimate
from snnrun.cli import app
from snnrun.results.store import Store

CONFIGS = Path(__file__).parents[1] / "configs"
NET = """
name: tiny
duration: 20 ms
populations:
  N: {size: 10, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, I_e: 600 pA}
monitors:
  spikes: {model: spikes, of: N}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "text").write_text("text")
    return tmp_path


def call(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_simulate_writes_results_and_a_picture_and_names_them(folder):
    result = call("simulate", "net.yaml")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["results.h5", "results.png"]
    assert "10 neurons" in result.stderr and "spikes" in result.stderr
    assert (folder / "results.h5").exists() and (folder / "results.png").read_bytes()[:4] == b"\x89PNG"
    assert not (folder / "results.h5.partial").exists()


def test_results_are_replaced_only_when_asked_to(folder):
    (folder / "results.h5").write_bytes(b"precious")
    result = call("simulate", "net.yaml", "--no-plot")
    assert result.exit_code == 2 and "--overwrite" in result.stderr
    assert (folder / "results.h5").read_bytes() == b"precious"
    assert call("simulate", "net.yaml", "--no-plot", "--overwrite").exit_code == 0
    assert (folder / "results.h5").read_bytes() != b"precious"


@pytest.mark.parametrize("name", ["results.h5.partial", "results.png"])
def test_a_partial_file_or_a_picture_is_not_overwritten_either(folder, name):
    (folder / name).write_bytes(b"precious")
    assert call("simulate", "net.yaml").exit_code == 2
    assert (folder / name).read_bytes() == b"precious"


def test_a_faulty_file_leaves_what_was_there(folder):
    (folder / "results.h5").write_bytes(b"precious")
    result = call("simulate", "net.yaml", "--overwrite", "--set", "populations.N.tau=5")
    assert result.exit_code == 2 and "a time needs a unit" in result.stderr
    assert (folder / "results.h5").read_bytes() == b"precious"


def test_options_stand_for_overrides(folder):
    call("simulate", "net.yaml", "--no-plot", "--seed", "7", "--duration", "5 ms", "--precision", "float64", "--set",
         "populations.N.size=3", "-q")  # fmt: skip
    with h5py.File("results.h5") as file:
        config = file["snnrun/config"]
        resolved = json.loads(config.attrs["resolved"])
        assert (resolved["seed"], resolved["duration"], resolved["precision"]) == (7, "5 ms", "float64")
        assert resolved["populations"]["N"]["size"] == 3
        assert config.attrs["yaml"] == NET and "seed=7" in json.loads(config.attrs["overrides"])


def test_quiet_says_nothing_and_json_is_one_object(folder):
    quiet = call("simulate", "net.yaml", "--no-plot", "-q")
    assert quiet.stdout == "" and quiet.stderr == ""
    found = json.loads(call("simulate", "net.yaml", "--no-plot", "--overwrite", "--json").stdout)
    assert found["neurons"] == 10 and found["spikes"] > 0 and set(found["seconds"]) >= {"build", "compile", "run", "write"}


def test_validate_reports_every_file_and_fails_if_one_does(folder):
    (folder / "bad.yaml").write_text(NET.replace("10 ms,", "10,").replace("of: N", "of: M"))
    result = call("validate", "net.yaml", "bad.yaml", "none.yaml")
    assert result.exit_code == 2
    assert "net.yaml: valid" in result.stdout
    assert "bad.yaml:5:34: populations.N.tau: a time needs a unit" in result.stderr
    assert "there is no file none.yaml" in result.stderr
    assert "2 errors in bad.yaml" in result.stderr or "1 error in bad.yaml" in result.stderr
    found = json.loads(call("validate", "net.yaml", "bad.yaml", "--json").stdout)
    assert not found["valid"] and [report["valid"] for report in found["files"]] == [True, False]
    assert {"path", "line", "column", "message", "hint"} <= set(found["files"][1]["errors"][0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "none.yaml"], "there is no file none.yaml"),
        (["simulate", "."], "is a folder"),
        (["simulate", "net.yaml", "-o", "."], "is a folder"),
        (["simulate", "net.yaml", "-o", "net.yaml/x.h5"], "cannot be written"),
        (["simulate", "net.yaml", "--device", "abacus"], "use auto, cpu or gpu"),
        (["simulate", "net.yaml", "--set", "populations.M.size=3"], "--set #1: populations.M: there is no such part"),
        (["simulate", "net.yaml", "--set", "nonsense"], "write KEY.PATH=VALUE"),
        (["simulate", "net.yaml", "--set", "populations..size=1"], "a part of the path is empty"),
        (["simulate", "net.yaml", "--set", "dt: 1 ms"], "^ write = in place of the colon"),
        (
            ["simulate", "net.yaml", "--seed", "x"],
            "--seed: a whole number is wanted, and this is 'x'\n      | --seed x\n      |        ^",
        ),
        (["simulate", "net.yaml", "--overwrite", "-o", "net.yaml"], "is read by this network"),
        (["simulate", "net.yaml", "--overwrite", "-o", "x.png"], "would be both results and picture"),
        (["simulate", "net.yaml", "--overwrite", "--no-plot", "-o", "/dev/null"], "is no regular file"),
        (
            ["simulate", "net.yaml", "--duration", "5"],
            "--duration: a time needs a unit\n      | --duration 5\n      |            ^ write 5 ms",
        ),
        (["simulate", "net.yaml", "--precision", "float16"], "--precision"),
        (["plan", "none.yaml"], "there is no file none.yaml"),
        (["plot", "none.h5"], "there is no file none.h5"),
        (["plot", "none.txt"], "there is no file none.txt\n"),
        (["plot", "text"], "no readable HDF5 file"),
        (["info", "text"], "no readable HDF5 file"),
    ],
)
def test_what_a_user_can_mend_ends_with_code_2_and_a_sentence(folder, arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_a_network_larger_than_the_machine_is_refused_with_the_estimate(folder, monkeypatch):
    monkeypatch.setattr(estimate, "available_bytes", lambda: 10**6)
    result = call("simulate", "net.yaml")
    assert result.exit_code == 2 and "MB of memory" in result.stderr and not (folder / "results.h5.partial").exists()
    warned = call("validate", "net.yaml")
    assert warned.exit_code == 0 and "warning" in warned.stderr


def test_a_number_that_is_none_fails_the_run_with_code_1_and_names_the_time(folder):
    # a current beyond float32: V becomes infinite
    result = call("simulate", "net.yaml", "--no-plot", "--set", "populations.N.I_e=-1e40 A")
    assert result.exit_code == 1 and "no finite number" in result.stderr
    assert not (folder / "results.h5").exists() and (folder / "results.h5.partial").exists()


def test_a_run_without_anything_to_draw_succeeds_and_says_so(folder):
    result = call("simulate", "net.yaml", "--set", "monitors={}")
    assert result.exit_code == 0 and "no picture was drawn" in result.stderr
    assert result.stdout.split() == ["results.h5"]


def test_a_second_run_to_the_same_file_is_refused_and_does_no_harm_to_the_first(folder):
    with first_store(folder / "results.h5.partial"):
        program = "from snnrun.cli import app; app(['simulate', 'net.yaml', '--overwrite', '--no-plot'])"
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert second.returncode == 2 and "another run is writing" in second.stderr
    assert (folder / "results.h5.partial").read_bytes() == b"mine"


@contextmanager
def first_store(path):
    """A file that a run writes."""
    opened = Store(path, True)
    opened.write(b"mine")
    opened.commit()
    yield
    opened.close()


def test_a_full_disk_ends_the_run_with_one_sentence(folder):
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "from snnrun.cli import app; app(['simulate', 'net.yaml', '--no-plot', '--set', 'monitors.spikes.model=state',"
        " '--set', 'monitors.spikes.variables=[V]', '--duration', '2 s'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "results.h5").exists()


def test_a_link_is_followed(folder):
    (folder / "far").mkdir()
    (folder / "link.h5").symlink_to(folder / "far" / "real.h5")
    assert call("simulate", "net.yaml", "-q", "--no-plot", "-o", "link.h5").exit_code == 0
    assert (folder / "link.h5").is_symlink() and (folder / "far" / "real.h5").is_file()


def test_links_in_a_circle_are_refused(folder):
    (folder / "loop.h5").symlink_to("loop.h5")
    (folder / "loop.png").symlink_to("loop.png")
    for arguments in (["-o", "loop.h5", "--no-plot"], ["-o", "loop.hdf5"]):
        result = call("simulate", "net.yaml", *arguments)
        assert result.exit_code == 2 and "is a link that leads round in a circle: use --output" in result.stderr
    assert (folder / "loop.h5").is_symlink() and not (folder / "loop.hdf5").exists()


def test_files_may_have_names_that_are_no_text(folder):
    network, output = (os.fsdecode(name) for name in (b"net\xff\x1b.yaml", b"r\xff.h5"))
    (folder / network).write_text(NET.replace("name: tiny\n", ""))
    result = call("simulate", network, "-o", output)
    assert result.exit_code == 0 and result.stdout == "r\\udcff.h5\nr\\udcff.png\n"
    assert call("info", output).stdout.startswith(r"r\udcff.h5: net\udcff\x1b, 20 ms")
    assert json.loads(call("info", output, "--json").stdout)["file"] == output


@pytest.mark.parametrize("size", [200_000, 2_000_000])
def test_a_long_network_file_fits_into_the_results(folder, size):
    """Longer than what HDF5 keeps in the header of an object."""
    text = NET + "# " + "x" * size
    (folder / "net.yaml").write_text(text)
    assert call("simulate", "net.yaml", "--no-plot", "-q").exit_code == 0
    assert call("info", "results.h5", "--yaml").stdout == text


@pytest.mark.parametrize(("asked", "device"), [("nonsense", "auto"), ("rocm", "auto"), ("cpu", "gpu")])
def test_a_device_that_is_not_there_is_said_with_what_hides_it(asked, device):
    program = "import sys; from snnrun import run\ntry: run.start_jax(sys.argv[1], 1)\n"
    program += "except run.Refused as error: print(error.message, error.hint, sep='; ')"
    environment = {**os.environ, "JAX_PLATFORMS": asked}
    done = subprocess.run([sys.executable, "-c", program, device], env=environment, capture_output=True, text=True)
    what = "GPU" if device == "gpu" else "device"
    assert done.stdout == f"no {what} was found that JAX can use; JAX_PLATFORMS is {asked}; unset it, or use --device cpu\n"


def test_the_mean_rate_is_that_of_the_recorded_neurons_and_window(folder):
    window = ["--set", "monitors.spikes.of=N[:5]", "--set", "monitors.spikes.start=10 ms", "--json", "--no-plot"]
    part = json.loads(call("simulate", "net.yaml", *window, "--duration", "100 ms").stdout)
    whole = json.loads(call("simulate", "net.yaml", "--json", "--no-plot", "--duration", "100 ms", "-o", "b.h5").stdout)
    assert part["spikes"] < whole["spikes"] and part["rate_hz"] == pytest.approx(whole["rate_hz"], rel=0.2)


def test_drawn_faults_are_located_in_the_file(folder):
    (folder / "net.yaml").write_text(NET.replace("tau: 10 ms", "tau: {normal: {mean: 1 ms, std: 5 ms}}"))
    result = call("simulate", "net.yaml")
    assert result.exit_code == 2 and "net.yaml:5:" in result.stderr and "redraw" in result.stderr


def test_plan_shows_what_was_merged(folder):
    found = call("plan", str(CONFIGS / "brunel_c.yaml"))
    assert found.exit_code == 0 and "E ← delta  from background, exc, inh" in found.stdout
    apart = json.loads(call("plan", str(CONFIGS / "brunel_c.yaml"), "--no-merge", "--json").stdout)
    assert [len(receptor["from"]) for receptor in apart["receptors"]] == [1] * 6


def test_plan_shows_what_float32_leaves_to_float64(folder):
    """Slow variables and wide potentials: also where only one drawn neuron is slow."""
    draw = "populations.N.tau={uniform: {low: 10 ms, high: 500 ms}}"
    plain, slow, wide = (
        json.loads(call("plan", "net.yaml", "--json", *options).stdout)["populations"][-1]["precision"]
        for options in ((), ("--set", draw), ("--set", "populations.N.V_th=1 V"))
    )
    assert (plain, slow, wide) == ("float32", "float64", "float64")
    assert call("plan", "net.yaml", "--set", draw).stdout.splitlines()[0].endswith("in float64")
    assert "in float64" not in call("plan", "net.yaml").stdout + call("plan", "net.yaml", "--precision", "float64").stdout


def test_plan_explains_what_only_drawing_shows(folder):
    (folder / "net.yaml").write_text(NET.replace("tau: 10 ms", "tau: {normal: {mean: 1 ms, std: 5 ms}}"))
    result = call("plan", "net.yaml")
    assert result.exit_code == 2 and "net.yaml:5:" in result.stderr and "redraw" in result.stderr


def test_info_and_digest(folder):
    call("simulate", "net.yaml", "--no-plot", "-q")
    call("simulate", "net.yaml", "--no-plot", "-q", "-o", "again.h5")
    assert "population  N  lif  10 neurons" in call("info", "results.h5").stdout
    assert json.loads(call("info", "results.h5", "--json").stdout)["complete"]
    assert call("info", "results.h5", "--yaml").stdout == NET
    digests = [json.loads(call("info", name, "--digest", "--json").stdout) for name in ("results.h5", "again.h5")]
    assert digests[0] == digests[1] and digests[0]


def test_schema_is_the_committed_one():
    assert call("schema").stdout == (CONFIGS / "snnrun.schema.json").read_text()


def test_every_config_names_the_schema_and_is_valid():
    files = sorted(CONFIGS.glob("*.yaml"))
    assert len(files) >= 6
    for file in files:
        assert file.read_text().startswith("# yaml-language-server: $schema=snnrun.schema.json\n")
    assert call("validate", *map(str, files)).exit_code == 0


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_runs(folder, file):
    """Those of more than 50 million synapses with a twentieth of the neurons and as sparse as they are."""
    loaded = check.load(file)
    if estimate.estimate(loaded.spec, CONFIGS).total_synapses > 50e6:
        factors = {"size": 20, "n": 400}
        text = re.sub(r"\b(size|n): (\d+)", lambda m: f"{m[1]}: {max(int(m[2]) // factors[m[1]], 1)}", file.read_text())
        (small := folder / file.name).write_text(text)
        assert estimate.estimate(check.load(small).spec, folder).total_synapses < 2e6
        file = small
    result = call("simulate", str(file), "--duration", "20 ms", "-q")
    assert result.exit_code == 0, result.stderr
    assert Path("results.png").exists()


def test_version_and_help_and_usage_errors():
    assert call("--version").stdout == f"snnrun {snnrun.__version__}\n"
    assert "simulate" in call("--help").stdout
    assert call("simulate").exit_code == 2
    assert call("simualte").exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["simulate", "--help"]])
def test_help_loads_no_heavy_library(arguments):
    assert not _loaded(arguments) & {"jax", "h5py", "matplotlib", "numpy", "yaml"}


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_validate_and_plan_load_neither_jax_nor_h5py_nor_matplotlib(verb):
    assert not _loaded([verb, str(CONFIGS / "einet.yaml")]) & {"jax", "jaxlib", "h5py", "matplotlib"}


def _loaded(arguments: list[str]) -> set[str]:
    """The modules that a command has imported when it ends."""
    program = (
        "import sys\nfrom snnrun.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('MODULES ' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_a_network_that_fits_when_edges_are_drawn_again_is_not_said_to_be_too_large(tmp_path, monkeypatch):
    file = tmp_path / "net.yaml"
    file.write_text("""
duration: 1 ms
populations:
  A: {model: poisson, size: 100000, rate: 1 Hz}
  B: {model: lif, size: 100000, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm}
projections:
  x: {pre: A, post: B, connect: {rule: fixed_prob, p: 0.5}, weight: 1 uV, synapse: {model: delta}}
""")
    monkeypatch.setattr(estimate, "available_bytes", lambda: 2 * 10**9)
    result = CliRunner().invoke(app, ["validate", str(file)])
    assert result.exit_code == 0 and "drawn again" in result.stdout and "warning" not in result.output
    monkeypatch.setattr(estimate, "available_bytes", lambda: 10**6)
    assert "this network needs about" in CliRunner().invoke(app, ["validate", str(file)]).output
