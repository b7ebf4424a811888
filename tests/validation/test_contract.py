"""The same file gives the same bits, whatever else about its run is changed: a contract, for networks that nobody chose.

`pytest --hypothesis-profile=thorough tests/validation/test_contract.py` tries forty times as many networks.
"""

import copy
import json
from typing import Any

import pytest
from generated import networks, text
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from networks import assert_same_bits, plan_of, run_plan
from typer.testing import CliRunner

from snnrun.cli import app

# a network takes a hundred times as long as an example of other tests
contract = settings(
    max_examples=settings().max_examples // 20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
AGAIN = ("all_to_all", "fixed_prob", "fixed_outdegree")  # rules whose synapses can be drawn again

UNRELATED: dict[str, Any] = {
    "populations": {
        "U": {"size": 40, "model": "lif", "tau": "20 ms", "V_rest": "0 mV", "V_reset": "0 mV", "V_th": "10 mV", "C": "250 pF",
              "I_e": {"uniform": {"low": "100 pA", "high": "400 pA"}}},
    },
    "inputs": {"u_noise": {"model": "poisson", "to": "U", "rate": "5 kHz", "weight": "1 mV", "synapse": {"model": "delta"}}},
    "projections": {
        "u": {"pre": "U", "post": "U", "connect": {"rule": "fixed_prob", "p": 0.1}, "weight": "9 nA", "delay": "7 ms",
              "synapse": {"model": "expon", "tau": "3 ms"}},
    },
}  # fmt: skip


def run(tmp_path, tree, lengths=None, capacity=None, **options):
    recorded = run_plan(plan_of(tmp_path, text(tree), **options), capacity, lengths)
    spikes = sum(len(found) for name, found in recorded.spikes.items() if name in "AB")
    event("silent" if not spikes else "fewer than 100 spikes" if spikes < 100 else "100 spikes or more")
    return recorded


def cut(data: Any, steps: int) -> list[int]:
    """Lengths that add up to all steps."""
    at = sorted(data.draw(st.lists(st.integers(1, steps - 1), max_size=4, unique=True)))
    return [b - a for a, b in zip([0, *at], [*at, steps], strict=True)]


@contract
@given(tree=networks(), data=st.data())
def test_the_length_of_chunks_changes_no_bit(fastest, tmp_path, tree, data):
    """Neither that of the pieces in which a run is asked for, nor that of the buffers in which it is done."""
    plan = plan_of(tmp_path, text(tree), kernel=fastest)
    pieces = run_plan(plan, data.draw(st.integers(1, 300)), cut(data, plan.structure.steps))
    assert_same_bits(pieces, run_plan(plan))


@contract
@given(tree=networks())
def test_the_kernel_changes_no_bit(native, tmp_path, tree):
    assert_same_bits(run(tmp_path, tree, kernel="native"), run(tmp_path, tree, kernel="xla"))


@contract
@given(tree=networks(), threads=st.integers(2, 5), shard=st.sampled_from([64, 2**16]), worth=st.sampled_from([0.0, 4e3]))
def test_the_number_of_threads_changes_no_bit(native, tmp_path, tree, threads, shard, worth):
    """Nor the size of the shards, nor what is thought to be worth sharing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "SHARD", shard)
        patch.setattr(native, "WORTH_SHARING", worth)
        several = run(tmp_path, tree, kernel="native", threads=threads)
    event(f"{min(several.plan.arranged.edges.shards.count, 6)} shards or more")
    assert_same_bits(several, run(tmp_path, tree, kernel="native"))


@contract
@given(tree=networks())
def test_connectivity_that_is_drawn_again_gives_the_bits_of_stored_one(native, tmp_path, tree):
    found = {}
    for storage in ("stored", "procedural"):
        changed = copy.deepcopy(tree)
        for projection in changed["projections"].values():
            if projection["connect"]["rule"] in AGAIN:
                projection["connect"]["storage"] = storage
        found[storage] = run(tmp_path, changed, kernel="native")
        drawn_again = {pathway.name for pathway in found[storage].plan.pathways if not pathway.stored}
        event(f"{storage}: {len(drawn_again)} drawn again")
        assert not drawn_again or storage == "procedural"
    assert_same_bits(found["stored"], found["procedural"])


@contract
@given(tree=networks(), data=st.data())
def test_monitors_change_no_bit(fastest, tmp_path, tree, data):
    """Neither that there are others, nor that there is none."""
    recorded = run(tmp_path, tree, kernel=fastest)
    steps, dt = recorded.plan.structure.steps, recorded.plan.structure.dt
    start, every = data.draw(st.integers(0, steps - 1)) * dt, data.draw(st.integers(1, 40)) * dt
    window = {"start": f"{start:.6g} ms", "every": f"{every:.6g} ms"}
    others = {
        "refs": {"model": "state", "of": "A", "variables": ["ref", "V"], **window}, "some": {"model": "spikes", "of": "A[0]"},
        "rate": {"model": "rate", "of": "A", "bin": f"{7 * dt:.6g} ms"}, "in": {"model": "input", "of": "A"},
    }  # fmt: skip
    watched = run(tmp_path, {**tree, "monitors": {**others, **tree["monitors"]}}, kernel=fastest)
    assert_same_bits(watched, recorded, watched=False)
    assert watched.spikes["B"] == recorded.spikes["B"] if "B" in recorded.spikes else True
    assert_same_bits(run(tmp_path, {**tree, "monitors": {}}, kernel=fastest), recorded, watched=False)


@contract
@given(tree=networks(), first=st.booleans())
def test_an_unrelated_population_changes_no_bit(fastest, tmp_path, tree, first):
    """It has the longest delay and the largest weight, and stands before all others or after them."""
    order = (lambda a, b: {**a, **b}) if first else (lambda a, b: {**b, **a})
    larger = {**tree, **{key: order(UNRELATED[key], tree[key]) for key in UNRELATED}}
    larger["monitors"] = {**tree["monitors"], "u": {"model": "spikes", "of": "U"}}
    recorded = run(tmp_path, larger, kernel=fastest)
    assert recorded.spikes["U"]
    assert_same_bits(recorded, run(tmp_path, tree, kernel=fastest), without="U")


@settings(contract, max_examples=settings().max_examples // 50)
@given(tree=networks())
def test_results_files_have_the_same_contents(native, tmp_path, tree):
    """From the command line, with all options that must not matter."""
    (tmp_path / "net.yaml").write_text(text(tree))
    found = []
    for i, options in enumerate((["--threads", "1"], ["--threads", "2"], ["--kernel", "xla"])):
        output = tmp_path / f"{i}.h5"
        simulate = ["simulate", str(tmp_path / "net.yaml"), "-o", str(output), "--overwrite", "--no-plot", "--quiet", *options]
        assert CliRunner().invoke(app, simulate).exit_code == 0
        shown = CliRunner().invoke(app, ["info", str(output), "--digest", "--json"])
        found.append(json.loads(shown.stdout))
    assert found[0] and found[0] == found[1] == found[2]
