"""Models in NESTML, compiled for NEST: see compiled.py."""

import compiled
import pytest
from references import processes


@pytest.fixture(scope="module")
def built(request, tmp_path_factory):
    """The Python of the environment, and the folder with the module."""
    if "peers" not in request.config.getoption("markexpr"):
        pytest.skip("compiling takes minutes: pytest -m peers does it")
    if (python := processes.installed("nestml")) is None:
        pytest.skip("nestml is not installed")
    folder = tmp_path_factory.mktemp("nestml")
    compiled.build(python, folder)
    return python, folder


@pytest.mark.peers
@pytest.mark.parametrize("model", compiled.CURRENTS)
def test_compiled_models_are_ours(model, built, tmp_path):
    outcome = compiled.compare(model, *built, tmp_path)
    assert outcome.ours > 10
    assert outcome.agrees(model), outcome
