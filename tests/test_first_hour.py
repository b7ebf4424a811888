"""The first hour at the command line: a network to begin with, help, what shells complete, and what is said of slips."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from snnrun import archives, check, connectivity, estimate, examples, explain, plot, results
from snnrun.cli import app
from snnrun.cli import help as help_
from snnrun.document import Override

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# ---- new -------------------------------------------------------------------------------------------------------------


def test_a_network_to_begin_with_has_a_comment_on_every_block_and_runs(folder):
    result = call("new")
    assert (result.exit_code, result.stdout) == (0, "net.yaml\n") and "snnrun simulate net.yaml" in result.stderr
    lines = Path("net.yaml").read_text().splitlines()
    sections = [i for i, line in enumerate(lines) if re.match(r"[a-z]+:", line)]
    assert {lines[i].partition(":")[0] for i in sections} >= {"populations", "inputs", "projections", "monitors"}
    assert all("#" in lines[i] or lines[i - 1].startswith("# ") for i in sections)
    done = call("simulate", "net.yaml")
    assert done.exit_code == 0 and done.stdout.split() == ["results.h5", "results.png"]
    with results.Results(folder / "results.h5") as found:
        assert found.name == "net"
        rates = {name: train.rate for name, train in found.spikes("spikes").items()}
    assert 5 < rates["E"] < rates["I"] < 40


@pytest.mark.parametrize("name", examples.examples())
def test_every_network_is_copied_whole(folder, name):
    """Its file with all comments, the schema that line 1 names, and every data file that it names."""
    assert call("new", "--from", name, "-q").stdout == ("net.yaml\n" if name == examples.STARTER else f"{name}.yaml\n")
    written = folder / ("net.yaml" if name == examples.STARTER else f"{name}.yaml")
    assert written.read_bytes() == (CONFIGS / f"{name}.yaml").read_bytes()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", written.read_text())
    assert named and json.loads((folder / named[1]).read_text())["title"] == "snnrun network"
    loaded = check.load(written)
    assert all((folder / file).is_file() for file in check.referenced_files(loaded.spec))
    if estimate.estimate(loaded.spec, folder).total_synapses < 1e5:
        shown = call("simulate", str(written), "--duration", "5 ms", "-q", "--no-plot", "-o", "r.h5")
        assert shown.exit_code == 0, shown.stderr
    else:
        assert call("validate", str(written), "-q").exit_code == 0


def test_a_list_names_all_networks_with_a_line_each(folder):
    shown = call("new", "--list").stdout.splitlines()
    assert [line.split()[0] for line in shown] == list(examples.examples())
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(examples.examples())
    assert all(len(line) < 80 and re.match(r"\w+  +[A-Z]", line) for line in shown) and not list(folder.iterdir())
    found = json.loads(call("new", "--list", "--json").stdout)
    assert found["brunel_c"] == examples.examples()["brunel_c"].title
    assert all(line.endswith(title) for line, title in zip(shown, found.values(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["there.yaml"], "there.yaml exists already: name another file"),
        (["--from", "einot"], "there is no network 'einot': did you mean einet?"),
        (["--from", "einet.yaml"], "did you mean einet?"),
        (["--from", "nothing_like_it"], "snnrun new --list shows them"),
        (["einet"], "einet is no name of a network file: write einet.yaml, or --from einet for a copy of that network"),
        (["net.txt"], "net.txt is no name of a network file"),
        (["no/net.yaml"], "there is no folder no: make it first"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_lost(folder, arguments, said):
    (folder / "there.yaml").write_text("mine")
    result = call("new", *arguments)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["there.yaml"] and Path("there.yaml").read_text() == "mine"


def test_data_files_travel_and_what_is_there_is_left(folder, monkeypatch):
    """The schema of another version is left; data of the same name but other bytes are refused before anything is written."""
    source = folder / "source"
    source.mkdir()
    (source / "a.yaml").write_text(f"# $schema={examples.SCHEMA}\n# Title\nfile: a.csv\n")
    (source / "a.csv").write_text("1")
    (source / "other.csv").write_text("2")
    (source / examples.SCHEMA).write_text("{}")
    monkeypatch.setattr(examples, "folder", lambda: source)
    assert call("new", "--from", "a").exit_code == 0
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"a.yaml", "a.csv", examples.SCHEMA}
    Path(examples.SCHEMA).write_text("mine")
    again = call("new", "b.yaml", "--from", "a")
    assert again.exit_code == 0 and "is that of another version: snnrun schema >" in again.stderr
    assert Path(examples.SCHEMA).read_text() == "mine"
    Path("a.csv").write_text("mine")
    refused = call("new", "c.yaml", "--from", "a")
    assert refused.exit_code == 2 and "a.csv exists already" in refused.stderr
    assert Path("a.csv").read_text() == "mine" and not Path("c.yaml").exists()


def test_the_networks_travel_with_the_package():
    """In a clone they lie beside it, where it is installed within it."""
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())
    assert project["tool"]["scikit-build"]["wheel"]["packages"] == {"snnrun": "snnrun", "snnrun/configs": CONFIGS.name}
    assert examples.folder() == Path(examples.__file__).parent / "configs" or examples.folder() == CONFIGS


# ---- help ------------------------------------------------------------------------------------------------------------


def verbs(command=None, path=()):
    command = typer.main.get_command(app) if command is None else command
    yield path, command
    for name, verb in getattr(command, "commands", {}).items():
        yield from verbs(verb, (*path, name))


VERBS = {path: command for path, command in verbs()}


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_help_names_everything_once_in_groups_within_80_columns(path):
    shown = subprocess.run(
        [sys.executable, "-m", "snnrun", *path, "--help"], capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"}
    ).stdout
    assert max(map(len, shown.splitlines())) <= 80 and not set("│╭╰\x1b") & set(shown)
    for parameter in (parameter for parameter in VERBS[path].params if not getattr(parameter, "hidden", False)):
        names = [parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts
        assert len(re.findall(rf"^  {re.escape(', '.join(sorted(names, key=len)))}(?:\s|$)", shown, re.M)) == 1, names
    assert type(VERBS[path]) in (help_.Verb, help_.Verbs, help_.Default)


def test_every_verb_and_option_has_a_group():
    grouped = {name for names in help_._OPTIONS.values() for name in names}
    options = {p.name for command in VERBS.values() for p in command.params if p.param_type_name == "option" and not p.hidden}
    assert options <= grouped
    assert {path[0] for path in VERBS if path} == {name for names in help_._VERBS.values() for name in names}


def test_a_verb_is_told_in_one_line():
    shown = call("--help").stdout
    for path, command in VERBS.items():
        if len(path) == 1:
            line = next(line for line in shown.splitlines() if line.startswith(f"  {path[0]} "))
            assert command.help.split("\n")[0].strip() in line and line.endswith(".") and "..." not in line


# ---- completion, asked as shells do ----------------------------------------------------------------------------------


def bash(*words: str, **more: str):
    environment = {
        "COMP_WORDS": "\n".join(("snnrun", *words)),
        "COMP_CWORD": str(len(words)),
        "_SNNRUN_COMPLETE": "complete_bash",
    }
    return asked(environment | more)


def zsh(line: str):
    return asked({"_TYPER_COMPLETE_ARGS": f"snnrun {line}", "_SNNRUN_COMPLETE": "complete_zsh"})


def fish(line: str):
    more = {"_SNNRUN_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return asked({"_TYPER_COMPLETE_ARGS": f"snnrun {line}"} | more)


def asked(environment):
    program = "import sys; sys.argv[0] = 'snnrun'; from snnrun.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.fixture
def some(folder):
    """A folder with a network, results of it, and files that are damaged."""
    call("new", "-q")
    call("simulate", "net.yaml", "--duration", "5 ms", "-q", "--no-plot")
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "other.yml").write_text("x: 1")
    (folder / "bad.yaml").write_text("populations: {E: [")
    (folder / "bytes.yaml").write_bytes(bytes(range(256)))
    (folder / "cut.h5").write_bytes((folder / "results.h5").read_bytes()[:3000])
    (folder / ".hidden.yaml").write_text("")
    return folder


def test_files_are_completed_by_their_endings(some):
    assert bash("simulate", "") == ["bad.yaml", "bytes.yaml", "deep/", "net.yaml"]
    assert bash("info", "") == ["cut.h5", "deep/", "results.h5"]
    assert bash("plot", "n") == ["net.yaml"] and bash("validate", "net.yaml", "b") == ["bad.yaml", "bytes.yaml"]
    assert bash("simulate", "de") == ["deep/deeper/other.yml"]  # through folders with nothing else in them
    assert bash("simulate", "./n") == ["./net.yaml"] and bash("simulate", f"{some}/n") == [f"{some}/net.yaml"]
    assert bash("simulate", "~/n", HOME=str(some)) == ["~/net.yaml"]
    assert bash("simulate", "none/x") == [] and bash("simulate", "net.yaml", "-o", "re") == []
    assert zsh("simulate n") == ["_arguments '*: :((\"net.yaml\"))'"] and fish("simulate n") == ["net.yaml"]


def test_paths_of_set_are_completed_from_the_file_and_the_schema(some):
    def after(text: str) -> list[str]:
        return bash("simulate", "net.yaml", "--set", text)

    assert after("populations.E.ta") == ["populations.E.tau=", "populations.E.tau_ref="]
    assert after("popu") == ["populations.E.", "populations.I."]
    assert after("populations.I.si") == ["populations.I.size=", "populations.I.size=200"]  # what is merged from an anchor, too
    assert after("populations.E.I") == ["populations.E.I_e=", "populations.E.I_e=0 pA"]  # may be set, and is not in the file
    assert "inputs.drive.correlation=" in after("inputs.drive.") and "inputs.drive.std=" not in after("inputs.drive.")
    assert after("projections.exc.connect.p") == ["projections.exc.connect.p=", "projections.exc.connect.p=0.1"]
    assert "projections.exc.stp=" in after("projections.exc.") and "precision=" in after("")
    assert after("monitors.spikes.of.") == ["monitors.spikes.of.0=", "monitors.spikes.of.1="]
    assert after("monitors.spikes.of") == ["monitors.spikes.of=", "monitors.spikes.of=[E, I]"]
    assert after("nothing.") == after("populations.E.x") == after("populations.E.tau.x.y") == []
    assert bash("simulate", "--set", "dt=1ms", "net.yaml", "--set", "see") == ["seed=", "seed=1"]
    assert bash("validate", "net.yaml", "--set", "see") == bash("plot", "results.h5", "--set", "see") == ["seed=", "seed=1"]
    assert bash("simulate", "--set", "see") == bash("simulate", "none.yaml", "--set", "see") == []
    assert zsh("plan net.yaml --set populations.E.ta")[0] == '_arguments \'*: :(("populations.E.tau="'
    assert fish("plan net.yaml --set populations.E.ta") == ["populations.E.tau=", "populations.E.tau_ref="]


@pytest.mark.parametrize("name", [name for name in examples.examples() if not name.startswith("pd14")])
def test_what_is_completed_for_set_can_be_set(folder, name):
    """Every path that is offered for a network, with the value that it shows, is one that the network takes."""
    from snnrun.cli import complete

    path = CONFIGS / f"{name}.yaml"
    tree, schema = complete.document_tree(path), complete._schema()
    found, todo = [], [""]
    while todo:
        for text in complete._below(tree, schema, todo.pop()):
            if text.endswith("."):
                todo.append(text)
            elif not text.startswith(("models", "constants", "name")):
                found += [text for text in complete._below(tree, schema, text) if not text.endswith("=")]
    in_file = [text for text in found if not text.endswith("=null")]
    pairs = (text.partition("=") for text in in_file)
    items = [Override(tuple(key.split(".")), value, f"--set #{i}") for i, (key, _, value) in enumerate(pairs)]
    assert len(items) > 15
    assert repr(check.load(path, items).spec) == repr(check.load(path).spec)


def test_names_are_completed(some):
    assert bash("explain", "ad") == ["adex", "adqif"] and bash("explain", "net") == ["net.yaml"]
    assert set(bash("explain", "")) == {*explain.names(), "net.yaml", "bad.yaml", "bytes.yaml", "deep/"}
    assert fish("explain adex") == ["adex\tAdaptive exponential integrate-and-fire"]
    assert zsh("explain adex") == ['_arguments \'*: :(("adex":"Adaptive exponential integrate-and-fire"))\'']
    assert bash("new", "--from", "br") == ["brunel_c", "brunel_hakim"]
    assert fish("new --from brunel_c") == [f"brunel_c\t{examples.examples()['brunel_c'].title}"]
    assert bash("plot", "results.h5", "--pop", "") == ["E", "I"]
    assert bash("export", "weights", "results.h5", "--monitor", "") == ["spikes", "rate", "voltage"]
    assert (
        bash("plot", "results.h5", "--projection", "")
        == bash("export", "edges", "net.yaml", "--projection", "")
        == ["exc", "inh"]
    )
    assert bash("export", "results", "results.h5", "--pop", "") == ["E", "I"]
    assert set(bash("export", "results", "results.h5", "--to", "")) == set(archives.FORMATS)
    assert bash("simulate", "net.yaml", "--device", "") == ["auto", "cpu", "gpu"] and bash("plan", "--kernel", "n") == ["native"]


def test_kinds_of_pictures_are_completed_all(some):
    assert bash("plot", "results.h5", "--kind", "ra") == ["raster", "rate"]
    assert set(bash("plot", "results.h5", "--kind", "")) == {*plot.KINDS, *connectivity.KINDS}
    shown = " ".join(call("plot", "--help").stdout.split())
    assert all(kind in shown for kind in (*plot.KINDS, *connectivity.KINDS))


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "bad.yaml", "--set", ""),
        ("simulate", "bytes.yaml", "--set", "p"),
        ("simulate", "deep", "--set", "p"),
        ("plot", "cut.h5", "--pop", ""),
        ("plot", "net.yaml", "--pop", ""),
        ("plot", "cut.h5", "--projection", ""),
        ("export", "weights", "bad.yaml", "--monitor", ""),
        ("explain", "none/"),
    ],
    ids=" ".join,
)
def test_completion_is_silent_with_what_is_damaged(some, words):
    assert bash(*words) == []


def test_the_scripts_of_all_shells_ask_so(folder):
    for shell in ("bash", "zsh", "fish"):
        script = "\n".join(asked({"_SNNRUN_COMPLETE": f"source_{shell}"}))
        assert f"_SNNRUN_COMPLETE=complete_{shell}" in script and "snnrun" in script


# ---- slips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("simulate", "Missing argument 'FILE'. Network file (YAML). `snnrun new` writes one to begin with."),
        ("plot", "Missing argument 'RESULTS...'. Results file"),
        ("net.yaml", "Did you mean 'snnrun simulate net.yaml'?"),
        ("results.h5", "Did you mean 'snnrun info results.h5' or 'snnrun plot results.h5'?"),
        ("help", "Did you mean 'snnrun --help'?"),
        ("simulat net.yaml", "No such command 'simulat'. Did you mean 'simulate'?"),
        ("xyz", "No such command 'xyz'. There are new, validate, plan, simulate"),
        ("export edgs", "No such command 'edgs'. Did you mean 'edges'?"),
        ("simulate net.yaml --sed 3", "No such option: --sed"),
        ("simulate net.yaml --set populations.E.tau=10 ms", "quotes: --set 'populations.E.tau=10 ms'"),
        ("validate net.yaml --set populations.E.tau=10 ms", "quotes: --set 'populations.E.tau=10 ms'"),
        ("simulate net.yaml --set inputs.x={model: constant}", "A value with blanks needs quotes: --set 'KEY.PATH=VALUE'"),
        ("simulate net.yaml bad.yaml", "simulate takes one file at a time"),
        ("models lif", "models takes none"),
        ("explain einet", "there is no model 'einet': it is a network: snnrun new --from einet writes it"),
        ("explain lfi", "there is no model 'lfi': did you mean lif?"),
        ("simulate net.yam", "there is no file net.yam: did you mean net.yaml?"),
        ("simulate nett", "there is no file nett: did you mean net.yaml?"),
        ("plot result.h5", "there is no file result.h5: did you mean results.h5?"),
        ("simulate einet.yaml", "there is no file einet.yaml: snnrun new --from einet writes one of this name"),
        ("simulate qwertz.yaml", "there is no file qwertz.yaml: snnrun new writes one to begin with"),
        ("simulate no/x.yaml", "there is no file no/x.yaml: there is no folder no, either"),
        ("simulate results.h5", "results.h5 is an HDF5 file, and no network file: snnrun info results.h5"),
        ("validate bytes.yaml", "bytes.yaml is no text file"),
        ("validate utf16.yaml", "utf16.yaml is UTF-16 text: save it as UTF-8"),
        ("plot net.yaml", "net.yaml is a network file, and no results of a run: run it first: snnrun simulate net.yaml, or draw"),
        ("info net.yaml", "run it first: snnrun simulate net.yaml"),
        ("report net.yaml", "run it first: snnrun simulate net.yaml"),
        ("watch net.yaml", "run it first: snnrun simulate net.yaml"),
        ("export weights net.yaml", "run it first: snnrun simulate net.yaml"),
        ("info .", ". is a folder"),
        ("plot .", ". is a folder"),
        ("validate .", ". is a folder: name a file"),
        ("simulate net.yaml", "results.h5 exists already: use --overwrite to replace it, or use --output for another name"),
        ("validate empty.yaml", "empty.yaml:1:1: the file is empty"),
        ("validate tab.yaml", "tab.yaml:2:1: a tab stands where YAML wants blanks"),
        ("validate net.json", 'net.json:1:37: populations.E: tau is missing'),
    ],
)  # fmt: skip
def test_a_slip_is_said_with_what_is_meant(some, line, said):
    (some / "empty.yaml").write_text("")
    (some / "tab.yaml").write_text("populations:\n\tE: {size: 3}\n")
    (some / "utf16.yaml").write_text("duration: 1 s", "utf-16")
    (some / "net.json").write_text('{"duration": "1 s", "populations": {"E": {"size": 10, "model": "lif"}}}')
    words = ["simulate", "net.yaml", "--set", "inputs.x={model:", "constant}"] if "{" in line else shlex.split(line)
    result = call(*words)
    assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.stderr


def test_marks_of_windows_in_a_file_do_no_harm(some):
    text = Path("net.yaml").read_bytes()
    (some / "windows.yaml").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert call("validate", "windows.yaml").exit_code == 0
    (some / "windows.yaml").write_bytes(text.replace(b"\n", b"\r\n").replace(b"tau_ref: 2 ms", b"tau_ref: 2"))
    assert re.search(
        r"windows.yaml:\d+:14: .*needs a unit\n +\d+ \|     tau_ref: 2 .*\n +\|              \^",
        call("validate", "windows.yaml").stderr,
    )


def test_one_neuron_is_not_called_neurons(folder):
    Path("net.yaml").write_text("duration: 1 ms\npopulations:\n  E: {model: adex, size: 1}\n")
    for command in (
        ("validate", "net.yaml"),
        ("plan", "net.yaml"),
        ("simulate", "net.yaml", "--no-plot"),
        ("info", "results.h5"),
    ):
        done = call(*command)
        assert done.exit_code == 0 and re.search(r"\b1 neuron\b", done.output), done.output
