"""What is said of models, and that the pages about them are current."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snnrun import cli, explain
from snnrun.models import neurons

ROOT = Path(__file__).parents[1]


def call(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def test_the_page_of_models_is_current():
    assert (ROOT / "docs" / "models.md").read_text("utf-8") == explain.page(), "python scripts/models_page.py writes it"


@pytest.mark.parametrize("name", neurons.MODELS)
def test_every_model_explains_itself(name):
    result = call("explain", name)
    assert result.exit_code == 0 and result.stdout.startswith(f"{name}:")
    model = neurons.MODELS[name]
    for field in model.Spec.model_fields:
        if field not in (
            "model",
            "size",
            "layout",
            "set",
            "init",
            "solver",
            "substeps",
            "conductance",
            "times",
            "course",
            "shape",
            "begin",
            "I_e",
        ):
            assert field in result.stdout, field
    assert all(variable in result.stdout for variable in model.variables if variable != "ref")


def test_models_lists_them_all():
    every = [*neurons.MODELS, *(name for parts in (explain.KINDS | explain.FORMS).values() for name in parts)]
    assert [entry["name"] for entry in json.loads(call("models", "--json").stdout)] == every
    assert [line.split()[0] for line in call("models").stdout.splitlines()] == every
    assert all(entry.checked for entry in explain.table() if entry.kind not in explain.FORMS)
    assert all(entry.about and len(entry.about) < 140 for entry in explain.table())


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, parts in explain.KINDS.items() for name in parts])
def test_every_part_explains_itself(kind, name):
    result = call("explain", name)
    part = explain.KINDS[kind][name]
    assert result.exit_code == 0 and f"stands at   {kind}" in result.stdout and part.checked in result.stdout
    assert all(field in result.stdout for field in part.Spec.model_fields if field != "model")
    assert "layouts" not in result.stdout and sys.modules[type(part).__module__].__doc__.splitlines()[0] in result.stdout


FORMS = [(kind, name) for kind, forms in explain.FORMS.items() for name in forms]


@pytest.mark.parametrize(("kind", "name"), FORMS)
def test_rules_monitors_and_places_explain_themselves(kind, name):
    """Each of its fields in a line, with what it is when it is not given."""
    result, form = call("explain", name), explain.FORMS[kind][name]
    assert result.exit_code == 0 and f"stands at   {kind}" in result.stdout
    lines = [line.split() for line in result.stdout.partition(f"stands at   {kind}")[2].splitlines() if line.startswith("  ")]
    for field, info in form.model_fields.items():
        if field not in ("rule", "model"):
            (told,) = (line for line in lines if line[0] == field)
            assert ("required" in told[1:2]) == info.is_required()


def test_a_kind_lists_its_models():
    assert {"connect", "monitor", "stp", "neurons"} < set(explain.kinds())
    for kind in explain.kinds():
        wanted = [entry.name for entry in explain.table() if entry.kind == kind]
        shown = call("explain", kind).stdout.splitlines()  # after what else bears the name, like the monitor `input`
        assert [line.split()[0] for line in shown[-len(wanted) :]] == wanted


def test_models_of_a_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("decay:\n  state: {x: {init: 1}}\n  equations: {dx/dt: -x / 5 ms}\n  solver: exact\n")
    found = call("explain", str(file))
    assert found.exit_code == 0 and "dx/dt = -x / 5 ms" in found.stdout and "exact" in found.stdout
    file.write_text("duration: 1 s\nmodels:\n  " + file.read_text().replace("\n", "\n  ") + "\npopulations: {}\n")
    assert "dx/dt" in call("explain", str(file)).stdout
    file.write_text(file.read_text().replace("-x /", "-y /"))
    wrong = call("explain", str(file))
    assert wrong.exit_code == 2 and "there is no 'y'" in wrong.output and "own.yaml:5:" in wrong.output
    file.write_text("own: {a: b: c}\n")
    broken = call("explain", str(file))
    assert broken.exit_code == 2 and "own.yaml:1:" in broken.output
    unknown = call("explain", "liff")
    assert unknown.exit_code == 2 and "did you mean lif?" in unknown.output and "name the file" in unknown.output
    assert call("explain", str(tmp_path / "none.yaml")).exit_code == 2
