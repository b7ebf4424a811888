"""What reaches a terminal: hidden characters as escapes, on every way out; streams that are closed, full, of any encoding."""

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from snnrun import check, document, progress, terminal
from snnrun.document import Document, Fault, SpecError

CONTROLS = [chr(c) for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (9, 10)]
OTHERS = [chr(c) for c in (0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF)]
HIDDEN = [*CONTROLS, *OTHERS, "\ud800", "\udcff", "\U000e0041"]
NASTY = "".join(HIDDEN)
POPULATION = "{size: 1, model: lif, tau: 20 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 250 pF}"
NET = f"duration: 1 ms\npopulations: {{E: {POPULATION}}}\nmonitors: {{s: {{model: spikes, of: E}}}}\n"
PROGRAM = "from snnrun.cli import main; main()"


def ran(*arguments: str | bytes, redirect: str = "", program: str = PROGRAM, **environment: str | None):
    """The command as a user's shell starts it, with a redirection."""
    env = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    shell = ["sh", "-c", f'exec "$0" "$@" {redirect}', sys.executable, "-c", program, *arguments]
    return subprocess.run(shell, capture_output=True, env=env, timeout=60)


def obeyed(output: bytes) -> set[str]:
    """What a terminal would obey, or not show, of an output."""
    return {c for c in output.decode("utf-8", "surrogateescape") if c not in "\n\t" and unicodedata.category(c)[0] == "C"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    return tmp_path


# ---- escapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", HIDDEN, ids=lambda c: f"{ord(c):x}")
def test_a_hidden_character_is_an_escape(character):
    shown = terminal.visible(f"a{character}b")
    assert re.fullmatch(r"a\\(x..|u....|U.{8}|r)b", shown) and shown.isascii()
    assert shown.encode().decode("unicode_escape") == f"a{character}b"


@pytest.mark.parametrize("text", ["", "abc", "µ Ω ← é 雪 \U0001f600", "tab\there", "5\xa0mV", "e\u0301", r"\x1b"])
def test_what_can_be_seen_stays(text):
    assert terminal.visible(text) == text


def test_a_line_stays_one_line(capsys):
    terminal.say("a\nb")
    terminal.warn("c\r\nd")
    assert capsys.readouterr() == ("a\\nb\n", "c\\r\\nd\n")


@pytest.mark.parametrize("label", ["", "--set #1"])
def test_faults_are_shown_without_hidden_characters_and_lines_of_their_own(label):
    found = Document(f"{NASTY}\n.yaml", f"a: {NASTY}\n", Path(), {"a": 1})
    fault = Fault(("a", NASTY), f"wrong {NASTY}\n2 errors in x", f"not {NASTY}\n", line=1, column=4, label=label)
    lines = document.render(found, [fault]).split("\n")
    assert len(lines) == 4 and not any(map(terminal.hidden, "".join(lines)))
    assert document.as_objects(found, [fault])[0]["message"] == fault.message


@pytest.mark.parametrize("before", ["", "\u202e", "\x1b[31m", "\ud800x\u200b", "\t\x7f\t", "y" * 300 + "\x1b" * 50])
@pytest.mark.parametrize("after", ["", "\x1b" * 400])
def test_a_caret_stands_below_what_it_means_also_after_escapes(before, after):
    found = Document("net.yaml", f"{before}wrong{after}", Path(), {})
    _, shown, caret, _ = document.render(found, [Fault((), "bad", line=1, column=len(before) + 1)]).split("\n")
    assert shown[caret.index("^") :].startswith("wrong") and len(shown) < 200
    assert shown[: caret.index("^")].count("\t") == caret.count("\t")


def test_names_of_all_kinds_do_no_harm_on_the_way_out(folder):
    text = json.dumps("".join(c for c in NASTY if c < "\ud800"))
    networks = f"{{{text}: {{model: {text}}}, E: {POPULATION}}}"
    (folder / "bad.yaml").write_text(f"{text}: 3\nduration: {text}\npopulations: {networks}\n")
    found = ran("validate", "bad.yaml", "\u202e\x1b[2J\nnone.yaml", "--set", "populations.E.\x1b[2J=\x9b")
    assert found.returncode == 2 and b"Traceback" not in found.stderr and not obeyed(found.stdout + found.stderr)
    assert rb"there is no file \u202e\x1b[2J\nnone.yaml" in found.stderr
    usage = ran("validate", "--\x1b[2J\u202e")
    assert usage.returncode == 2 and not obeyed(usage.stderr) and b"No such option" in usage.stderr
    as_json = ran("validate", "bad.yaml", "--json")
    assert as_json.returncode == 2 and not obeyed(as_json.stdout) and as_json.stdout.isascii()
    report = json.loads(as_json.stdout)["files"][0]
    assert any("\u202e" in error["path"] and "\x1b" in error["path"] for error in report["errors"])


def test_a_progress_bar_shows_the_name_as_it_is(folder):
    """No formatting of the library that draws it, no error about a bracket, no control characters of others."""
    (folder / "net.yaml").write_text(f"name: '[/red] [bold]x'\n{NET}")
    spec = check.load(folder / "net.yaml").spec
    read, write = os.openpty()
    with os.fdopen(write, "w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        bar = progress.Progress(spec, False)
        assert bar.terminal
        bar.progress(0, 10)
        bar.bar.refresh()
        bar.progress(5, 10)
        bar.close()
        stream.flush()
        assert b"[/red] [bold]x" in os.read(read, 65536)
    os.close(read)


# ---- names of networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", [*HIDDEN, "\n", "\t"], ids=lambda c: f"{ord(c):x}")
def test_a_name_has_no_hidden_characters(folder, character):
    escape = character.encode("unicode_escape").decode()
    (folder / "net.yaml").write_text(f'name: "a{escape}b"\n{NET}')
    with pytest.raises(SpecError) as caught:
        check.load(folder / "net.yaml")
    shown = document.render(caught.value.document, caught.value.faults)
    half = "\ud800" <= character <= "\udfff"
    message = f"{escape} is half of a character" if half else f"name: a name must not have the character {escape}"
    assert f"net.yaml:1:7: {message}" in shown and f"^ {'write the character itself' if half else 'remove it'}" in shown


def test_a_name_is_not_endless_and_may_be_in_any_language(folder):
    for name, good in (("雪 Ω µ", True), ("n" * 2000, True), ("n" * 2001, False)):
        (folder / "net.yaml").write_text(f"name: {name}\n{NET}")
        if good:
            assert check.load(folder / "net.yaml").spec.name == name
        else:
            with pytest.raises(SpecError, match="the name has 2,001 characters"):
                check.load(folder / "net.yaml")


def test_a_file_s_name_stands_for_that_of_the_network_whatever_it_is(folder):
    path = folder / os.fsdecode(b"by\xff\x1b\nte.yaml")
    path.write_text(NET)
    assert check.load(path).spec.name == r"by\udcff\x1b\nte"


# ---- streams ---------------------------------------------------------------------------------------------------------


def test_who_closes_the_output_wants_none(folder):
    for redirect in (">&-", "<&- >&- 2>&-", "| true"):
        found = ran("--version", redirect=redirect)
        assert (found.returncode, found.stderr) == (0, b"")


def test_errors_never_go_to_the_output(folder):
    found = ran("validate", "none.yaml", redirect="2>&-")
    assert (found.returncode, found.stdout) == (2, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_output_that_is_full_is_a_failure_that_is_said(folder):
    for argument in ("--version", "--help"):
        found = ran(argument, redirect=">/dev/full")
        assert found.returncode == 1
        assert found.stderr == b"snnrun: standard output cannot be written: No space left on device\n"
    assert ran("nonsense", redirect="2>/dev/full").returncode == 2


def test_a_file_opened_later_does_not_become_standard_error(folder):
    """The lowest free number is what the system gives to the next file; libraries write their warnings to number 2."""
    program = "import os\nfrom snnrun import terminal\nwith terminal.guarded():\n"
    program += "  f = os.open('mine', os.O_CREAT | os.O_WRONLY)\n  os.write(2, b'warning')\n  assert f > 2\n"
    assert ran(program=program, redirect="2>&- <&-").returncode == 0
    assert (folder / "mine").read_bytes() == b""


PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, PLAIN])
def test_any_encoding_will_do(folder, environment):
    (folder / "net.yaml").write_text(f"{NET}µ: 3\n", "utf-8")
    found = ran("validate", "net.yaml", "sn\u00f6.yaml", **environment)
    assert found.returncode == 2 and b"Traceback" not in found.stderr and rb"\xb5: unknown key" in found.stderr
    found = ran("plan", "net.yaml", "--json", "--set", "name=sn\u00f6", **environment)
    assert json.loads(found.stdout)["valid"] is False


# ---- files that are none ---------------------------------------------------------------------------------------------


def test_files_that_are_none_are_refused_each_with_a_sentence(folder):
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("loop.h5").symlink_to("loop.h5")
    os.mkfifo("fifo")
    Path("folder").mkdir()
    long = "x" * 300
    found = ran("validate", "loop.yaml", "fifo", "/dev/zero", "folder", "net.yaml/x", long, b"\xff\n.yaml")
    assert found.returncode == 2 and found.stdout == b""
    assert found.stderr.decode().splitlines() == [
        "snnrun: loop.yaml is a link that leads round in a circle",
        "snnrun: fifo is no regular file: name a network file",
        "snnrun: /dev/zero is no regular file: name a network file",
        "snnrun: folder is a folder: name a file",
        "snnrun: there is no file net.yaml/x: a part of this path is a file, and no folder",
        f"snnrun: {long} is too long for the name of a file",
        r"snnrun: there is no file \udcff\n.yaml: snnrun new writes one to begin with",
    ]
    for name, said in (("loop.h5", "Too many levels"), ("fifo", "no regular file"), ("/dev/zero", "no regular file")):
        found = ran("info", name)
        assert found.returncode == 2 and said in found.stderr.decode() and len(found.stderr.splitlines()) == 1


def test_a_mistake_in_an_option_is_said_once_and_in_json_where_that_is_wanted(folder):
    found = ran("validate", "net.yaml", "net.yaml", "--set", "nonsense")
    assert found.returncode == 2 and found.stderr.count(b"there is no =") == 1
    found = ran("plan", "net.yaml", "--set", "nonsense", "--json")
    assert found.returncode == 2 and "KEY.PATH=VALUE" in json.loads(found.stdout)["errors"][0]["hint"] and not found.stderr


# ---- a process of its own --------------------------------------------------------------------------------------------

CRASHING = """
import os, signal, sys, time
from snnrun import __main__, results
def crash(path):
    {}
results.Results = crash
__main__.main()
"""


@pytest.mark.parametrize(
    ("deed", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", 2, b"r.h5 is damaged: the HDF5 library crashed reading it\n"),
        ("os.abort()", 2, b"crashed"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", 2, b"too long"),
        ("print('half'); sys.exit(7)", 7, b""),
        ("os.kill(os.getppid(), signal.SIGINT); sys.exit(3)", 3, b""),
    ],
)
def test_a_library_that_crashes_takes_no_more_with_it_than_its_own_process(folder, deed, code, said):
    found = ran("plot" if "abort" in deed else "info", "r.h5", program=CRASHING.format(deed))
    assert found.returncode == code and said in found.stderr and b"Traceback" not in found.stderr
    assert found.stdout == (b"half\n" if "half" in deed else b"")


def test_the_limits_of_that_process_grow_with_the_file(folder):
    program = "import resource\nfrom pathlib import Path\nfrom snnrun import apart, terminal\n"
    program += "with terminal.guarded(), apart.child(Path('r.h5')):\n"
    program += "  print(resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_AS)[0])"
    seconds = []
    for size in (0, 10_000_000):
        Path("r.h5").write_bytes(bytes(size))
        cpu, memory = map(int, ran(program=program).stdout.split())
        seconds.append(cpu)
        assert memory > 8 * 2**30
    assert seconds == [30, 60]


def test_a_killed_process_is_no_damage(folder):
    found = ran("info", "r.h5", program=CRASHING.format("os.kill(os.getpid(), signal.SIGKILL)"))
    assert found.returncode == 128 + signal.SIGKILL and b"damaged" not in found.stderr
