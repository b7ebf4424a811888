"""What stands in several files of a release is the same in all, and the constraints are of versions that may be used together."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

import snnrun

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("linux", "darwin")


def test_one_version():
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest and newest[1] == snnrun.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == snnrun.__version__
    assert recipe["context"]["version"] == snnrun.__version__


def test_the_same_pythons_are_named_and_tried():
    prefix = "Programming Language :: Python :: 3."
    named = {"3." + text.removeprefix(prefix) for text in PROJECT["project"]["classifiers"] if text.startswith(prefix)}
    tried = {f"3.{text[3:-2]}" for text in PROJECT["tool"]["cibuildwheel"]["build"]}
    assert named == tried == set(PYTHONS)
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"


def test_the_recipe_needs_what_the_package_needs():
    """Named as conda-forge names them."""
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text())
    needed = {text.replace(" ", "") for text in recipe["requirements"]["run"] if not text.startswith("python ")}
    names = {"matplotlib": "matplotlib-base"}
    wanted = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    assert needed == {names.get(r.name, r.name) + ",".join(sorted(map(str, r.specifier), reverse=True)) for r in wanted}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_constraints_are_complete_and_possible(python, platform):
    """Everything that the package and its extras name has one version, which they allow, for each Python and platform."""
    here = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9", "sys_platform": platform}

    def applies(requirement):
        return requirement.marker is None or requirement.marker.evaluate({**here, "extra": ""})

    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert not any("://" in line or line.startswith("-") for line in lines)  # of no registry in particular
    pins = {}
    for pin in map(Requirement, filter(None, lines)):
        if applies(pin):
            assert pin.name not in pins
            pins[pin.name] = str(pin.specifier).removeprefix("==")
    project = PROJECT["project"]
    named = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    for requirement in map(Requirement, named):
        if requirement.name != project["name"] and applies(requirement):
            assert requirement.name in pins, f"make constraints.txt again, as CONTRIBUTING.md says: it lacks {requirement.name}"
            assert requirement.specifier.contains(pins[requirement.name]), requirement
