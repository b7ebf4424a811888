"""Fitting: known answers, the same table whoever works on it, and what is told where values are not determined."""

import csv
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from recordings import snnrun

from snnrun import appended, check, document, fit
from snnrun.document import Override, SpecError
from snnrun.fit.block import Free, Term
from snnrun.fit.known import known

pytest.importorskip("cma")
# a neuron with a constant current fires every tau ln(R I / (R I - V_th)) + tau_ref: every 19.92 ms with R I = 12 mV
NET = """
name: clock
seed: 3
duration: 1 s
precision: float64
populations:
  N:
    size: 4
    model: lif
    tau: 10 ms        # of the membrane
    tau_ref: 2 ms
    V_rest: 0 mV
    V_reset: 0 mV
    V_th: 10 mV
    R: 100 MOhm
    I_e: 150 pA       # what is looked for
monitors: {s: {model: spikes, of: N, start: 100 ms}}
"""
RATE = 1e3 / (10 * math.log(12 / 2) + 2)
FIT = f"""
fit:
  free:
    populations.N.I_e: {{low: 101 pA, high: 300 pA}}
  objective:
    rate: {{model: rate, of: N, target: {RATE:.6g} Hz, tolerance: 0.5 Hz}}
  search: {{evaluations: 120}}
"""
NOISY = """
seed: 3
duration: 400 ms
populations:
  P: {size: 100, model: poisson, rate: 30 Hz}
  N: {size: 60, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, C: 100 pF}
projections:
  a: {pre: P, post: N, connect: {rule: fixed_prob, p: 0.3}, weight: 30 pA, synapse: {model: expon, tau: 3 ms}}
  b: {pre: P, post: N, connect: {rule: fixed_prob, p: 0.3}, weight: 30 pA, synapse: {model: expon, tau: 3 ms}}
monitors: {s: {model: spikes, of: N, start: 50 ms}}
fit:
  free:
    projections.a.weight: {low: 5 pA, high: 60 pA}
    projections.b.weight: {low: 5 pA, high: 60 pA}
  objective:
    rate: {model: rate, of: N, target: 40 Hz, tolerance: 1 Hz}
    cv: {model: cv, of: N, target: 0.5, tolerance: 0.5}
  seeds: 2
  limits: {rate: 400 Hz}
  search: {evaluations: 160, population: 8}
"""


ANY = (0, 3)  # exit codes of a search that may have been too short


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.yaml").write_text(NET + FIT)
    return tmp_path / "net.yaml"


def summary(folder: Path):
    return json.loads((folder / "fit.json").read_text())


def test_a_current_is_found_from_the_rate_and_the_network_of_it_fires_so(net):
    said = snnrun("fit", "net.yaml", "--workers", 1, cwd=net.parent).stderr
    found = summary(net.parent / "net_fit")
    assert found["within_tolerance"] and found["ended"] and "populations.N.I_e = " in said
    value, unit = found["values"]["populations.N.I_e"].split()
    assert unit == "pA" and abs(float(value) - 120) < 1.0
    best = (net.parent / "net_fit" / "best.yaml").read_text()
    changed = NET.replace("I_e: 150 pA ", f"I_e: {value} pA ") + FIT
    assert best == changed  # with all comments
    assert (net.parent / "net_fit" / "fit.png").stat().st_size > 10_000
    again = check.load(net.parent / "net_fit" / "best.yaml").spec
    assert again.populations["N"].I_e == float(value)


@pytest.mark.parametrize("method", ["grid", "random"])
def test_other_methods_look_everywhere(net, method):
    net.write_text(NET + FIT.replace("evaluations: 120", f"evaluations: 40, method: {method}, points: 40"))
    snnrun("fit", "net.yaml", "--workers", 1, "--quiet", cwd=net.parent, code=ANY)
    found = summary(net.parent / "net_fit")
    assert abs(float(found["values"]["populations.N.I_e"].split()[0]) - 120) < 6  # they are 5 pA apart
    with (net.parent / "net_fit" / "evaluations.csv").open() as file:
        values = [float(row["populations.N.I_e"].split()[0]) for row in csv.DictReader(file)]
    assert len(values) == 40 and min(values) < 115 and max(values) > 285
    if method == "grid":
        np.testing.assert_allclose(values, np.linspace(101, 300, 40), rtol=1e-8)


def test_what_is_tied_has_the_same_value(net):
    two = NET.replace("monitors:", "  M: {size: 1, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 100 MOhm,"
                      "I_e: 1 pA}\nmonitors:")  # fmt: skip
    tied = FIT.replace("  objective", "    populations.M.I_e: {equal: populations.N.I_e}\n  objective")
    net.write_text(two + tied.replace("120}", "20}"))
    snnrun("fit", "net.yaml", "--workers", 1, "--quiet", "--no-plot", cwd=net.parent, code=ANY)
    spec = check.load(net.parent / "net_fit" / "best.yaml").spec
    assert spec.populations["M"].I_e == spec.populations["N"].I_e != 1.0


def test_the_table_is_the_same_for_any_workers_and_after_a_kill(net):
    net.write_text(NOISY.replace("evaluations: 160", "evaluations: 64"))
    for workers, folder in ((1, "one"), (2, "two")):
        snnrun("fit", "net.yaml", "--workers", workers, "-o", folder, "--quiet", cwd=net.parent)
    one = (net.parent / "one" / "evaluations.csv").read_bytes()
    assert one == (net.parent / "two" / "evaluations.csv").read_bytes() and one.count(b"\n") == 65
    command = [sys.executable, "-m", "snnrun", "fit", "net.yaml", "--workers", "2", "-o", "killed", "--quiet"]
    for lines in (10, 40):
        with subprocess.Popen(command, cwd=net.parent) as process:
            table = net.parent / "killed" / "evaluations.csv"
            while process.poll() is None and not (table.exists() and table.read_bytes().count(b"\n") > lines):
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    with table.open("ab") as file:
        file.write(b"3,half a row")
    snnrun(*command[3:], cwd=net.parent)
    assert table.read_bytes() == one
    for folder in ("two", "killed"):
        assert summary(net.parent / folder) == summary(net.parent / "one")


def test_values_that_do_the_same_are_told_to_be_determined_only_together(net):
    net.write_text(NOISY)
    said = snnrun("fit", "net.yaml", cwd=net.parent).stderr
    assert "projections.a.weight and projections.b.weight are determined only together" in said and "(not determined)" in said
    found = summary(net.parent / "net_fit")["known"]
    direction = found["loose"][0]
    assert direction["projections.a.weight"] * direction["projections.b.weight"] < 0  # more of one, less of the other


def test_what_runs_away_is_stopped_and_what_cannot_run_is_passed_over(net):
    net.write_text(NOISY.replace("high: 60 pA", "high: 9 nA").replace("evaluations: 160", "evaluations: 32"))
    snnrun("fit", "net.yaml", "--quiet", "--no-plot", cwd=net.parent, code=3)
    with (net.parent / "net_fit" / "evaluations.csv").open() as file:
        status = [row["status"] for row in csv.DictReader(file)]
    assert {"stopped"} <= set(status) <= {"stopped", "done"}
    net.write_text(NOISY.replace("weight: 30 pA, s", "weight: {normal: {mean: 30 pA, std: 1 pA, redraw: {min: 29 pA}}}, s", 1)
                   .replace("projections.a.weight: {low", "projections.a.weight.normal.mean: {start: 30 pA, low")
                   .replace("high: 60 pA", "high: 9 nA").replace("low: 5 pA", "low: -9 nA").replace("160", "16"))  # fmt: skip
    snnrun("fit", "net.yaml", "--quiet", "--no-plot", "--overwrite", cwd=net.parent, code=3)
    assert "failed" in (net.parent / "net_fit" / "evaluations.csv").read_text()


def test_another_fit_in_the_folder_is_left_alone_and_more_evaluations_go_on(net):
    snnrun("fit", "net.yaml", "--evaluations", 20, "--quiet", "--no-plot", cwd=net.parent, code=ANY)
    table = net.parent / "net_fit" / "evaluations.csv"
    before = table.read_text()
    snnrun("fit", "net.yaml", "--evaluations", 40, "--quiet", "--no-plot", cwd=net.parent, code=ANY)
    assert table.read_text().startswith(before) and len(table.read_text()) > len(before)
    net.write_text(net.read_text().replace("tolerance: 0.5 Hz", "tolerance: 0.7 Hz"))
    assert "has another fit" in snnrun("fit", "net.yaml", cwd=net.parent, code=2).stderr
    snnrun("fit", "net.yaml", "--evaluations", 20, "--overwrite", "--quiet", "--no-plot", cwd=net.parent, code=ANY)


def test_two_processes_do_not_work_on_one_fit(net):
    snnrun("fit", "net.yaml", "--evaluations", 20, "--quiet", "--no-plot", cwd=net.parent, code=ANY)
    table = net.parent / "net_fit" / "evaluations.csv"
    before = table.read_bytes()
    with appended.appending(table, []):
        assert "another process is working on" in snnrun("fit", "net.yaml", cwd=net.parent, code=2).stderr
    assert table.read_bytes() == before


def test_references_are_read_and_reached_by_themselves(net):
    snnrun("simulate", "net.yaml", "--set", "populations.N.I_e=120 pA", "-o", "wanted.h5", "--no-plot", "--quiet", cwd=net.parent)
    terms = """    rate: {model: rate, of: N, target: {file: wanted.h5}, tolerance: 0.5 Hz}
    like: {model: distance, of: N, quantity: isi, data: {file: wanted.h5}, tolerance: 0.5}
    times: {model: van_rossum, of: N, tau: 20 ms, data: {file: wanted.h5}, tolerance: 5}
    band: {model: spectrum, of: N, band: [10 Hz, 100 Hz], target: {file: wanted.h5}, tolerance: 100}
"""
    block = FIT.split("    rate:")[0] + terms + "  search: {evaluations: 20}\n"
    net.write_text(NET.replace("150 pA", "120 pA") + block)
    found = fit.planned(net, [])
    assert [term.name for term in found.terms] == ["rate", "like", "times", "band"] and abs(found.terms[0].target - RATE) < 0.6
    worker = fit._Worker(net, [], found, "auto")
    measured = worker(fit._Task(0, {"populations.N.I_e": "120 pA"}, 3))
    assert float(measured["like"]) == float(measured["times"]) == 0.0
    assert float(measured["band"]) == found.terms[3].target and float(measured["rate"]) == found.terms[0].target
    net.write_text(net.read_text().replace("wanted.h5", "missing.h5"))
    with pytest.raises(SpecError) as raised:
        fit.planned(net, [])
    assert len(raised.value.faults) == 4 and "there is no file" in raised.value.faults[0].message


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        (FIT, "", (), "there is no fit in the network file"),
        ("  free:\n    populations.N.I_e: {low: 101 pA, high: 300 pA}\n", "", ("fit",), "a mapping of paths is wanted"),
        ("low: 101 pA", "lov: 101 pA", ("fit", "free", "populations.N.I_e"), "bounds are wanted here"),
        ("low: 101 pA", "low: 101 mV", ("fit", "free", "populations.N.I_e", "high"), "low is a voltage"),
        ("low: 101 pA", "low: 400 pA", ("fit", "free", "populations.N.I_e", "low"), "low must lie below high"),
        ("low: 101 pA", "low: 0 pA, scale: log", ("fit", "free", "populations.N.I_e", "scale"), "a logarithmic scale"),
        ("low: 101 pA", "low: 200 pA", ("fit", "free", "populations.N.I_e"), "the search begins outside"),
        ("low: 101 pA", "start: 3 mV, low: 101 pA", ("fit", "free", "populations.N.I_e", "start"), "start is not a current"),
        ("populations.N.I_e:", "populations.N.I_x:", ("fit", "free", "populations.N.I_x"), "the value in the file is not"),
        ("model: rate, of: N", "model: rat, of: N", ("fit", "objective", "rate", "model"), "unknown model 'rat'"),
        ("model: rate, of: N", "model: rate, of: M", ("fit", "objective", "rate", "of"), "no spikes are recorded of 'M'"),
        ("tolerance: 0.5 Hz", "tolerance: 0.5", ("fit", "objective", "rate", "tolerance"), "a rate needs a unit"),
        ("tolerance: 0.5 Hz", "tolerance: 0 Hz", ("fit", "objective", "rate", "tolerance"), "a tolerance lies above 0"),
        (", tolerance: 0.5 Hz", "", ("fit", "objective", "rate"), "tolerance is missing"),
        ("evaluations: 120", "evaluations: 0", ("fit", "search", "evaluations"), "a whole number of at least 1"),
        ("evaluations: 120", "method: magic", ("fit", "search", "method"), "unknown method 'magic'"),
        ("evaluations: 120", "steps: 3", ("fit", "search", "steps"), "unknown key"),
        ("  search", "  seeds: 0\n  search", ("fit", "seeds"), "a number of seeds"),
        ("  search", "  limits: {rate: 3}\n  search", ("fit", "limits", "rate"), "a rate needs a unit"),
        ("  objective", "    a.b: {equal: c.d}\n  objective", ("fit", "free", "a.b", "equal"), "'c.d' is not free"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_block_is_told_where_it_stands(net, old, new, at, message):
    net.write_text((NET + FIT).replace(old, new))
    with pytest.raises(SpecError) as raised:
        fit.planned(net, [])
    fault = raised.value.faults[0]
    assert fault.path == at and fault.message.startswith(message), raised.value.faults


def test_values_that_the_network_does_not_take_are_told_before_anything_is_run(net):
    net.write_text(
        NET + FIT.replace("populations.N.I_e: {low: 101 pA, high: 300 pA}", "populations.N.tau: {low: -1 ms, high: 20 ms}")
    )
    said = snnrun("fit", "net.yaml", cwd=net.parent, code=2).stderr
    assert "tau must be positive" in said and "Traceback" not in said and not (net.parent / "net_fit").exists()


# ---- what evaluations tell -------------------------------------------------------------------------------------------


class Candidate:
    failed = False

    def __init__(self, number, places, measured):
        self.number, self.places, self.measured = number, tuple(places), measured


def plane(terms, count=400, noise=0.0, values=2, spread=0.08):
    """Candidates around (0.4, 0.6, ...), of which the terms are linear in the places."""
    numbers = np.random.default_rng(1)
    places = np.array([0.4, 0.6, 0.5][:values]) + spread * numbers.standard_normal((count, values))
    found = fit.Fit(
        tuple(Free(f"v{i}", 0.0, 1.0, "number", False, 0.5) for i in range(values)),
        tuple(Term(f"t{i}", "rate", "N", 0.0, 1.0) for i in range(len(terms))),
        (1,), False, math.inf, "cma", 1, 8, 0.1, None, 1, 2,
    )  # fmt: skip
    measured = [
        {
            f"t{i}": float(slope @ p[:values] - wanted + noise * numbers.standard_normal())
            for i, (slope, wanted) in enumerate(terms)
        }
        for p in places
    ]
    return found, [Candidate(i, *one) for i, one in enumerate(zip(places, measured, strict=True))]


def test_the_estimate_is_where_the_terms_are_met_and_its_error_is_the_noise():
    terms = [(np.array([30.0, 10.0]), 30 * 0.43 + 10 * 0.57), (np.array([5.0, -40.0]), 5 * 0.43 - 40 * 0.57)]
    exact = known(*plane(terms), (0.4, 0.6))
    np.testing.assert_allclose(exact.estimate, [0.43, 0.57], atol=1e-6)
    assert not exact.ridge and max(exact.error.values()) < 1e-6
    found = known(*plane(terms, noise=2.0), (0.4, 0.6))
    for place, wanted, error in zip(found.estimate, (0.43, 0.57), found.error.values(), strict=True):
        assert 0.001 < error < 0.05 and abs(place - wanted) < 5 * error


def test_the_error_is_what_estimates_vary_by_also_where_candidates_share_their_seeds():
    """A hundred fits of one value, of which the term is curved and has a noise that a generation shares."""
    numbers, estimates, errors = np.random.default_rng(5), [], []
    found = plane([(np.array([1.0]), 0.0)], values=1)[0]._replace(fresh=True)
    for _ in range(100):
        places = np.clip(0.5 + 0.1 * numbers.standard_normal(160), 0, 1)
        common = np.repeat(numbers.standard_normal(20), 8)
        z = 20 * (places - 0.45) + 40 * (places - 0.45) ** 2 + common + 0.3 * numbers.standard_normal(160)
        told = known(
            found, [Candidate(i, (u,), {"t0": float(v)}) for i, (u, v) in enumerate(zip(places, z, strict=True))], (0.5,)
        )
        estimates.append(told.estimate[0])
        errors.append(told.error["v0"])
    spread = np.std(estimates)
    assert abs(np.mean(estimates) - 0.45) < 0.5 * spread
    assert 0.6 * spread < np.median(errors) < 1.4 * spread


def test_directions_that_nothing_determines_are_named():
    one = known(*plane([(np.array([30.0, 30.0]), 30.0)]), (0.4, 0.6))
    assert one.ridge and one.condition == math.inf and set(one.loose[0]) == {"v0", "v1"} and one.error["v0"] == math.inf
    assert one.loose[0]["v0"] * one.loose[0]["v1"] < 0
    weak = known(*plane([(np.array([30.0, 0.0]), 12.0), (np.array([0.0, 0.5]), 0.3)]), (0.4, 0.6))
    assert weak.ridge and set(weak.loose[0]) == {"v1"} and weak.error["v0"] < math.inf
    few = known(*plane([(np.array([30.0, 30.0]), 30.0)], count=8), (0.4, 0.6))
    assert not few.enough and few.estimate is None


# ---- the network file, rewritten -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "value", "wanted"),
    [
        ("a: 1 ms  # why\nb: 2\n", ("a",), "3 ms", "a: 3 ms  # why\nb: 2\n"),
        ("x: {a: 1 ms, b: [1, 2 mV]}  # why\n", ("x", "b", "1"), "5 mV", "x: {a: 1 ms, b: [1, 5 mV]}  # why\n"),
        ("x: {a: '1 ms', b: 2}\n", ("x", "a"), "3 ms", "x: {a: 3 ms, b: 2}\n"),
        ("x: {a: -g * J, b: 2}\n", ("x", "a"), "-3 mV", "x: {a: -3 mV, b: 2}\n"),
        ("ä: {\"a\": 1 ms}\nx:\n  - a: 0.5  # é\n", ("x", "0", "a"), "0.25", "ä: {\"a\": 1 ms}\nx:\n  - a: 0.25  # é\n"),
        ("a: &v 1 ms\nb: *v\n", ("b",), "2 ms", "a: 1 ms\nb: 2 ms\n"),
        ("a: 1\n", ("b",), "2", "a: 1\nb: 2\n"),
    ],
)  # fmt: skip
def test_values_are_replaced_in_the_text_where_they_stand(text, path, value, wanted):
    read = document.parse(document.Document("net.yaml", text, Path()))
    assert document.rewritten(read, [Override(path, value, "--set")]) == wanted


def test_a_fit_of_a_network_with_files_finds_them_from_its_folder(net):
    (net.parent / "edges.csv").write_text("pre,post\n0,1\n")
    more = NET.replace("monitors:", "projections:\n  a: {pre: N, post: N, connect: {rule: file, path: edges.csv}, weight: 1 pA, "
                       "synapse: {model: expon, tau: 1 ms}}\nmonitors:")  # fmt: skip
    net.write_text(more + FIT)
    snnrun("fit", "net.yaml", "--evaluations", 16, "--quiet", "--no-plot", "-o", "some/where", cwd=net.parent, code=ANY)
    best = net.parent / "some" / "where" / "best.yaml"
    assert 'path: "../../edges.csv"' in best.read_text()
    check.load(best)
