"""Imports point one way, and a library is known where it belongs."""

import ast
from pathlib import Path

import pytest

from snnrun.models import inputs, monitors, neurons, outputs, synapses

ROOT = Path(__file__).parents[1] / "snnrun"

# From the bottom up; a module imports only from rows above its own in this list, or from its own package.
ROWS = [
    {
        "files",
        "lazy",
        "optional",
        "units",
        "terminal",
        "plan",
        "signals",
        "statistics",
        "examples",
        "colours",
        "rows",
        "workers",
        "appended",
    },
    {"document", "apart", "language"},
    {"selections"},
    {"quantities", "constants"},
    {"random", "tables"},
    {"models", "subsets"},
    {"kernels"},
    {"spec"},
    {"receptors", "schema"},
    {"check", "explain"},
    {"network"},
    {"estimate"},
    {"outline", "lower"},
    {"engine", "results"},
    {"checkpoint", "view"},
    {"snapshot"},
    {"request"},
    {"machine", "plot", "page", "export", "archives"},
    {"connectivity", "notebook", "convert"},
    {"resume"},
    {"run", "trial"},
    {"sweep", "session", "fit"},
    {"progress", "watch"},
    {"cli"},
]
LIBRARIES = {
    "h5py": {"results", "tables", "checkpoint", "export", "convert"},
    "yaml": {"document"},
    "matplotlib": {"plot", "connectivity"},
    "typer": {"cli"},
    "rich": {"progress", "watch"},
    "jax": {"engine", "machine", "lazy"},
    "pydantic": {"quantities", "spec", "schema", "models"},
    "pydantic_core": {"quantities"},
    "scipy": {"models", "statistics"},
    **dict.fromkeys(("pynwb", "hdmf", "neo", "nixio", "pyarrow", "pandas"), {"archives", "results"}),
}

FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__main__.py")


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def row(name: str) -> int:
    return next(i for i, names in enumerate(ROWS) if name in names)


def test_every_module_has_its_row():
    assert {package(path) for path in FILES} - {"__init__"} == set().union(*ROWS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = package(path)
    for name in imported(path):
        if not name.startswith("snnrun.") or own == "__init__":
            continue
        other = name.split(".")[1]
        if other != own and other != "__version__":
            assert row(other) < row(own), f"{own} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_are_known_where_they_belong(path):
    for name in imported(path):
        library = name.split(".")[0]
        if library in LIBRARIES:
            assert package(path) in LIBRARIES[library], f"{package(path)} imports {library}"


MODELS = {*neurons.MODELS, *synapses.MODELS, *outputs.MODELS, *inputs.MODELS, *monitors.MODELS}
WORDS = {"state", "input", "rate", "spikes", "steps", "gamma", "weights", "spike_times"}  # that mean other things as well


NAMING = ("models", "convert")  # the latter says what models of other tools are


@pytest.mark.parametrize("path", [p for p in FILES if package(p) not in NAMING], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_knows_no_model_by_its_name(path):
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert not (MODELS - WORDS) & {text for text in texts if isinstance(text, str)}
