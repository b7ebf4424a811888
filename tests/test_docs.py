"""What the documentation says is so: its commands run, its network files are valid, its messages are those of the program.

Every page is gone through from top to bottom in a folder of its own. Where a message has changed,
`python tests/test_docs.py docs/PAGE.md` writes into the page what the program prints now. What is done with a block is told by
its language, and by invisible comments before it where there are some:

    ```sh           run, line by line; as one script where it is one
    ```yaml         a network file, or a part of one, which then becomes a part of BASE: validated
    ```python       run; all blocks of a page share their names, as in a notebook
    ``` and $ ...   run, and what it prints is compared; a line of ... stands for any lines, … for any text

    <!-- file: NAME -->         the block is written to this file; a network file is validated
    <!-- merge: NAME -->        its sections are added to those of this file
    <!-- edit: OLD => NEW -->   in net.yaml, for this block; several are parted by ;;
    <!-- prepare: COMMAND -->   run before; several are parted by ;;
    <!-- quick: OPTIONS -->     added to `snnrun simulate`, to keep this test short
    <!-- validate: REASON -->   `snnrun simulate` is not run but checked
    <!-- without: REGEX -->     lines of commands that match are left out
    <!-- needs: MODULE -->      nothing is done where this module is not installed
    <!-- skip: REASON -->       nothing is done

The net.yaml that a page starts from is BASE, or a file of the repository: `<!-- network: configs/NAME.yaml -->`.
"""

import copy
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from snnrun.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# made by programs that run what they show
GENERATED = {"models.md", "validation.md", "benchmarks.md"}

LIF = {"size": 200, "model": "lif", "tau": "20 ms", "V_rest": "-65 mV", "V_reset": "-65 mV", "V_th": "-50 mV", "C": "200 pF"}
LAYOUT = {"model": "random", "extent": ["1 mm", "1 mm"]}
COBA = {"synapse": {"model": "expon", "tau": "5 ms"}, "output": {"model": "coba", "E": "0 mV"}}
BASE = {
    "duration": "5 ms",
    "populations": {
        "E": {**LIF, "layout": LAYOUT},
        "I": {**LIF, "layout": LAYOUT},
        "S": {"model": "spike_times", "size": 3, "times": ["1 ms"]},
    },
    "projections": {
        "exc": {"pre": "E", "post": ["E", "I"], "connect": {"rule": "fixed_prob", "p": 0.1}, "weight": "1 nS", **COBA},
        "inh": {"pre": "I", "post": ["E", "I"], "connect": {"rule": "fixed_prob", "p": 0.1}, "weight": "5 nS", **COBA},
    },
    "inputs": {"drive": {"model": "constant", "to": ["E", "I"], "current": "200 pA"}},
    "monitors": {
        "s": {"model": "spikes", "of": ["E", "I"]},
        "spikes": {"model": "spikes", "of": ["E", "I", "S"]},
        "voltage": {"model": "state", "of": "E[:3]", "variables": ["V"]},
        "rate": {"model": "rate", "of": "E", "bin": "5 ms"},
    },
}
DATA = {
    "neurons.csv": "tau_ms\n" + "20\n" * 200,
    "rates.csv": "time_ms,rate_Hz\n0,5\n2,40\n",
}


@dataclass
class Block:
    line: int
    language: str
    text: str
    told: dict[str, str]  # what the comments before it say

    @property
    def writes(self) -> bool:
        """Whether it makes data that other blocks read: a page shows them after what reads them."""
        if self.language == "python":
            return "savez(" in self.text or '"w")' in self.text
        return self.language in ("", "csv") and "file" in self.told


def blocks_of(page: Path) -> list[Block]:
    found, told, begun = [], {}, None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if begun is None and line.startswith("```"):
            begun = Block(number, line[3:].strip(), "", told)
        elif begun is not None and line.startswith("```"):
            found.append(begun)
            begun = None
        elif begun is not None:
            begun.text += line + "\n"
        elif comment := re.fullmatch(r"<!-- (\w+): (.*) -->", line):
            told[comment[1]] = comment[2]
            continue
        if line.strip() and begun is None:
            told = {}
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    return tmp_path


def furnish(folder):
    (folder / "configs").symlink_to(ROOT / "configs")
    for name, text in DATA.items():
        (folder / name).write_text(text)
    write_network(folder / "net.yaml", BASE)


def write_network(path, tree):
    path.write_text(yaml.safe_dump(copy.deepcopy(tree), sort_keys=False))


def call(arguments: list[str]):
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def valid(path):
    result = call(["validate", str(path)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in GENERATED], ids=lambda page: page.stem)
def test_what_a_page_shows_is_so(page, folder):
    go_through(page, folder, compared)


def go_through(page, folder, compare):
    """Do what the blocks of a page want; `compare` takes a command, what the page shows, and what is printed."""
    if start := re.search(r"^<!-- network: (.*) -->$", page.read_text(), flags=re.M):
        shutil.copy(ROOT / start[1], folder / "net.yaml")
    names = {"np": np, "h5py": h5py, "__name__": "page"}
    blocks = [block for block in blocks_of(page) if "skip" not in block.told and available(block.told.get("needs"))]
    for block in sorted(blocks, key=lambda block: not block.writes):
        try:
            do(page, block, folder, names, compare)
        except Exception as error:
            error.add_note(f"{page.name}, line {block.line}")
            raise


def available(module):
    return module is None or importlib.util.find_spec(module) is not None


def do(page, block, folder, names, compare):
    for command in filter(None, block.told.get("prepare", "").split(" ;; ")):
        assert call(shlex.split(command)[1:]).exit_code == 0, command
    if "merge" in block.told:
        merge(folder / block.told["merge"], block.text)
        valid(block.told["merge"])
    elif "file" in block.told:
        (folder / block.told["file"]).write_text(block.text)
        if "populations:" in block.text:
            valid(block.told["file"])
    elif block.language == "yaml":
        validate_yaml(block.text, folder)
    elif block.language == "sh":
        run_shell(block)
    elif block.language == "python":
        code = "\n" * block.line + block.text  # so that an error names the line of the page
        exec(compile(code, str(page), "exec"), names)
    elif block.text.startswith("$ "):
        run_edited(block, folder, compare)


def merge(path, text):
    """Put the lines of each section at the end of that of the file, or the section itself at the end of the file."""
    sections = dict(re.findall(r"^(\w+):\n((?:[ #].*\n|\n)+)", path.read_text() + "\n", flags=re.M))
    whole = path.read_text()
    for name, lines in re.findall(r"^(\w+):\n((?: .*\n)+)", text, flags=re.M):
        old = sections.get(name)
        if old is None:
            whole += f"\n{name}:\n{lines}"
        else:
            whole = whole.replace(f"{name}:\n{old.rstrip()}\n", f"{name}:\n{old.rstrip()}\n{lines}")
    path.write_text(whole)


def validate_yaml(text, folder):
    """A network file as it is; a part of one, each of its entries by itself, as a part of BASE."""
    text = re.sub(r", \.\.\.(?=\})|^ +\.\.\.\n", "", text, flags=re.M)  # left out on the page
    whole = yaml.safe_load(text)
    path = folder / "part.yaml"
    if {"duration", "populations"} <= set(whole):
        path.write_text(text)
        valid(path)
        return
    if set(whole) & {"constants", "models", "populations", "inputs", "projections", "monitors"}:
        parts = [whole]
    else:
        parts = [yaml.safe_load(part) for part in re.split(r"^(?=\S)", text, flags=re.M) if part.strip("# \n")]
    for part in filter(None, parts):
        write_network(path, within_base(part))
        valid(path)


def within_base(part):
    tree = copy.deepcopy(BASE)
    for key, value in part.items():
        sections = {"pre": "projections", "to": "inputs", "size": "populations", "of": "monitors"}
        section = next((sections[name] for name in sections if isinstance(value, dict) and name in value), None)
        if section is None and (key in LIF or key in ("init", "I_e", "layout")):
            tree["populations"]["E"][key] = value
        elif key in ("connect", "weight", "delay", "synapse", "output", "stp", "stdp"):
            projection = tree["projections"]["exc"]
            projection.update({"pre": "S", "post": "E"} if "file" in str(value) else {}, **{key: value})
        elif section is None and isinstance(value, dict) and key != "constants":
            for name, entry in value.items():
                tree.setdefault(key, {})[name] = completed(entry)
        elif section is not None:
            tree.setdefault(section, {})[key] = completed(value)
        else:
            tree[key] = value
    return tree


def completed(entry):
    """With the parameters of a lif population that a page leaves out."""
    return {**LIF, **entry} if "size" in entry and entry.get("model", "lif") == "lif" and "equations" not in entry else entry


def run_shell(block):
    """Lines that call snnrun within this process, which is quick; anything else by the shell."""
    left_out = block.told.get("without", "$^")
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if not re.search(left_out, line)]
    calls = [shlex.split(line, comments=True) for line in lines]
    if all(not words or words[0] == "snnrun" for words in calls):
        for words in filter(None, calls):
            result = call(shortened(words[1:], block))
            assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
        return
    added = f'if [ "$1" = simulate ]; then set -- "$@" {block.told.get("quick", "")}; fi'
    snnrun = f'snnrun() {{ {added}; {shlex.quote(sys.executable)} -m snnrun "$@"; }}\n'
    found = subprocess.run(["bash", "-e", "-c", snnrun + block.text], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr


def shortened(words, block):
    if words[0] == "simulate" and "quick" in block.told:
        return words + shlex.split(block.told["quick"])
    if words[0] == "simulate" and "validate" in block.told:
        overrides = [words[i : i + 2] for i, word in enumerate(words) if word == "--set"]
        return ["validate", words[1], *sum(overrides, [])]
    return words


def run_edited(block, folder, compare):
    """The commands that stand after a $, with a net.yaml that is changed as the page says."""
    before = text = (folder / "net.yaml").read_text()
    for edit in filter(None, block.told.get("edit", "").split(" ;; ")):
        old, new = edit.split(" => ")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in net.yaml"
        text = text.replace(old, new.replace("\\n", "\n").replace("\\t", "\t"))
    (folder / "net.yaml").write_text(text)
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        compare(command, shown, call(shlex.split(command, comments=True)[1:]).output)
    (folder / "net.yaml").write_text(before)


def compared(command, shown, printed):
    pattern = r"(?:.*\n)*?".join(re.escape(piece) for piece in re.split(r"^\.\.\.\n", shown, flags=re.M)).replace("…", ".*")
    assert re.fullmatch(pattern, printed), f"$ {command}\n{printed}\nis not what the page shows:\n{shown}"


def test_the_site_is_built_without_a_warning(tmp_path):
    """And so every link within it leads somewhere, and every page is found from the first one."""
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path / "site")]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    shutil.rmtree(tmp_path / "site")


def test_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target


def rewrite(page):
    """Put what the program prints now into a page, where that is shown in full."""
    text = page.read_text()

    def replace(command, shown, printed):
        nonlocal text
        if "..." not in shown.splitlines() and "…" not in shown:
            text = text.replace(f"$ {command}\n{shown}", f"$ {command}\n{printed}", 1)

    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        furnish(Path(name))
        go_through(page, Path(name), replace)
        os.chdir(ROOT)
    page.write_text(text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        rewrite(Path(argument).resolve())
