"""The attack in its short form: nothing is wrong in the first tries of each part. scripts/attack.py --long is the long one."""

import os
import sys
from random import Random

import pytest
from attacks import data, failures, files, interrupts, kills, limits, mutations, outcomes
from attacks.outcomes import Outcome
from attacks.served import Died, Hung, Raised, served

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits, signals and pipes as Linux has them"),
    # children become other programs at once, so that a JAX that other tests have loaded does not matter to them
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]

SMALL = ("native",), ("drawn",), "400 ms"  # kernels, networks, duration: those of failures and limits


def tally(tmp_path, found):
    """What is counted, after a look at what is wrong."""
    said: list[str] = []
    counted = outcomes.counted("x", found, tmp_path, said.append)
    assert not counted.wrong, "\n\n".join(said)
    return counted


def test_mutated_network_files_are_valid_or_show_where_they_are_wrong(tmp_path, native):
    counted = tally(tmp_path, files.attack(300, 1, tmp_path))
    assert counted.endings["validate: located error"] > 100
    assert counted.endings["validate: valid"] > 10
    assert counted.endings["simulate: simulated"] > 0


def test_hostile_data_files_are_read_or_refused_alike_by_validate_and_simulate(tmp_path, native):
    counted = tally(tmp_path, data.attack(100, 1, tmp_path))
    assert counted.endings["located error"] > 20
    assert counted.endings["valid"] > 10


def test_a_killed_run_goes_on_with_the_same_bits(tmp_path, native):
    counted = tally(tmp_path, kills.attack(2, 1, tmp_path, *SMALL))
    assert counted.endings["completed with --resume"] > 0


def test_a_signal_ends_a_run_with_its_exit_code_and_a_checkpoint(tmp_path, native):
    assert tally(tmp_path, interrupts.attack(4, 1, tmp_path, *SMALL)).tries >= 4


def test_a_run_whose_writing_fails_says_so_and_destroys_nothing(tmp_path, native):
    assert tally(tmp_path, failures.attack(6, 1, tmp_path, disturbances=2)).tries >= 6


def test_limits_end_a_run_with_a_sentence(tmp_path, native):
    assert tally(tmp_path, limits.attack(3, 1, tmp_path)).tries == 3


# ---- the attack itself -----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_files_and_another_one_others():
    def drawn(seed):
        return [mutations.draw(Random(f"{seed}/{number}"), files._schema()) for number in range(20)]

    assert drawn(1) == drawn(1)
    assert len({*drawn(1), *drawn(2)}) > 35


def odd(job):
    """Whatever can become of a job."""
    if job == "dies":
        os._exit(7)
    if job == "hangs":
        while True:
            pass
    if job == "raises":
        raise KeyError(job)
    return job.upper()


def test_a_job_that_dies_hangs_or_raises_harms_no_other():
    answers = dict(served(odd, ["a", "dies", "b", "raises", "hangs", "c"], 2.0, processes=2))
    assert {job: answers[job] for job in "abc"} == {"a": "A", "b": "B", "c": "C"}
    assert answers["dies"] == Died(7)
    assert answers["hangs"] == Hung(2.0)
    assert isinstance(answers["raises"], Raised) and answers["raises"].kind == "KeyError"


def test_what_fails_is_counted_by_kind_and_kept_with_its_command(tmp_path):
    tries = [
        Outcome("exit code 0"),
        *[Outcome("died", "signal", "exit code -11", "snnrun simulate x.yaml", {"x.yaml": "a: 1"})] * 9,
        Outcome("exit code 1", "traceback", "Traceback ...\nKeyError: 'x'"),
    ]
    counted = outcomes.counted("part", tries, tmp_path)
    assert (counted.tries, counted.wrong["signal"], counted.wrong["traceback"]) == (11, 9, 1)
    assert (tmp_path / "part-1" / "x.yaml").read_text() == "a: 1"
    assert "snnrun simulate x.yaml" in (tmp_path / "part-1" / "what.txt").read_text()
    assert len(list(tmp_path.iterdir())) == outcomes.KEPT + 1  # of one kind only some are kept
    assert "| part | 11 | 1 | 9 | 0 | 0 | died: 9, exit code 0: 1, exit code 1: 1 |" in outcomes.as_markdown([counted])
