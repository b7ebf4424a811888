"""Scripts run by the simulators that they are for: see exported.py."""

import exported
import pytest
from references import processes


@pytest.mark.peers
@pytest.mark.parametrize("name", exported.CASES)
def test_scripts_agree(name, tmp_path, request):
    if "peers" not in request.config.getoption("markexpr"):
        pytest.skip("whole networks take minutes: pytest -m peers runs them")
    case = exported.CASES[name]
    if (python := processes.installed(case.simulator)) is None:
        pytest.skip(f"{case.simulator} is not installed")
    outcome = exported.compare(case, python, tmp_path)
    assert outcome.ours > 0
    assert outcome.agrees(case), outcome
