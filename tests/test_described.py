"""Models as equations: what is said of faulty ones, and that a step is what it is documented to be."""

import textwrap

import numpy as np
import pytest
import scipy.linalg
from networks import load, run

from snnrun import engine
from snnrun.document import SpecError, located
from snnrun.models import described, neurons, normal
from snnrun.models.neurons import equations

SOUND = """
state:
  V: {init: V_rest}
  w: {init: 0 pA}
parameters:
  C: {default: 200 pF, where: C > 0}
  g: {default: 10 nS, where: g > 0}
  V_rest: -70 mV
  V_th: -50 mV
  V_reset: {default: -60 mV, where: V_reset < V_th}
  tau_w: 100 ms
  b: 20 pA
  tau_ref: 2 ms
equations:
  leak: g * (V_rest - V)
  dV/dt: (leak - w + I) / C
  dw/dt: -w / tau_w
threshold: V >= V_th
reset: {V: V_reset, w: w + b}
refractory: {time: tau_ref, hold: [V]}
solver: exact
"""


def network(model: str, populations: str = "A: {model: own, size: 1}", more: str = "", run: str = "duration: 100 ms") -> str:
    own = textwrap.indent(textwrap.dedent(model).strip("\n"), "    ")
    return f"{run}\nprecision: float64\nmodels:\n  own:\n{own}\npopulations:\n  {populations}\n{more}\n"


MONITORS = "monitors:\n  v: {model: state, of: A, variables: [%s]}\n  s: {model: spikes, of: A}\n"

FAULTS = [
    ("V_rest - V", "V_rest - W", "leak: g * (V_rest - ", "there is no 'W'", ""),
    ("leak - w + I", "leak - w + 40", "dV/dt: (leak - w + ", "a sum of a current and a number", "write 40 pA"),
    ("-w / tau_w", "-w / tau_w * exp(V / 18)", "dw/dt: -w / tau_w * exp(", "exp of a voltage", "divide by 1 mV"),
    ("dw/dt: -w / tau_w", "dw/dt: -w", "dw/dt: ", "is a current, and a quantity in pA/ms is wanted", ""),
    ("V >= V_th", "V > V_th", "threshold: ", "a threshold is reached", "write V >= V_th"),
    ("V >= V_th", "V_th <= V", "threshold: ", "a threshold is reached", "write V >= V_th"),
    ("V >= V_th", "V", "threshold: ", "a condition is wanted", "V >= V_th"),
    ("{V: V_reset, w: w + b}", "{V: V_reset, b: b}", "reset: {V: V_reset, ", "'b' is a parameter", ""),
    ("{V: V_reset, w: w + b}", "{V: V_reset, w: w + V}", "reset: {V: V_reset, w: w + ", "a sum of a current and a voltage", ""),
    ("hold: [V]", "hold: [U]", "refractory: {time: tau_ref, hold: [", "'U' is no state variable", "V"),
    ("time: tau_ref", "time: g", "refractory: {time: ", "a conductance, and a time is wanted", ""),
    ("solver: exact", "solver: rk5", "solver: ", "unknown solver 'rk5'", "rk4"),
    ("solver: exact", "substeps: 0", "substeps: ", "whole number from 1", ""),
    ("leak: g * (V_rest - V)", "leak: g * (V_rest - V) * (V / V_th)", "leak: g * (V_rest - V) * (", "not linear", "rk4"),
    ("leak: g * (V_rest - V)", "leak: leak", "", "leak is defined by itself", ""),
    ("  dw/dt: -w / tau_w\n", "", "", "w has no equation", "dw/dt"),
    ("  w: {init: 0 pA}\n", "", "", "'w' is no state variable", "state"),
    ("init: V_rest", "init: w", "  V: {init: ", "w stands below V", "move it up"),
    ("init: 0 pA", "init: steady", "  w: {init: ", "", ""),
    ("b: 20 pA", "b: 20 pAA", "  b: ", "unknown unit 'pAA'", "pA"),
    (
        "C: {default: 200 pF, where: C > 0}",
        "C: {default: -1 pF, where: C > 0}",
        "  C: {default: ",
        "breaks its own rule, C > 0",
        "",
    ),
    ("b: 20 pA", "t: 20 pA", "  ", "t has a meaning of its own", ""),
    ("b: 20 pA", "w: 20 pA", "", "w is a name already", ""),
    ("b: 20 pA", "b: {about: x}", "  ", "b needs a default or a unit", ""),
    ("{V: V_reset, w: w + b}", "{V: max(V_reset, V - 9 mV), w: w + b}", "", "", ""),
    ("{V: V_reset, w: w + b}", "{V: V_reset, leak: b}", "reset: {V: V_reset, ", "'leak' is an abbreviation", ""),
    ("V: {init: V_rest}", "V: -65", "  V: ", "a voltage, and this is a number", "write -65 mV"),
    ("b: 20 pA", "b: {default: 20, unit: pA}", "  b: {default: 20, ", "the unit belongs to the default", "20 pA"),
    ("w: {init: 0 pA}", "w: {init: steady}", "  ", "w is taken for a number", "unit: mV"),
    (
        "g * (V_rest - V)",
        "g * (V_rest - V) + I_syn",
        "leak: g * (V_rest - V) + ",
        "there is no 'I_syn'",
        "inputs and synapses are I",
    ),
    ("-w / tau_w", "- w / tau_w", "dw/dt: ", "a value that begins with - and a blank is a list", "quotes"),
    ("about", "about", "", None, ""),
    ("dw/dt: -w / tau_w", "dw/dt: [-w / tau_w]", "dw/dt: ", "an expression is wanted", "list"),
    ("dw/dt:", "w':", "", "is no name and no derivative", "dX/dt"),
    ("state:", "stat:", "", "unknown key", "state"),
    ("threshold: V >= V_th", "threshold: {falling: V >= V_th}", "threshold: ", "rising", ""),
    ("solver: exact", "noise: {V: b}", "noise: {V: ", "mV/ms^(1/2)", ""),
    ("solver: exact", "noise: {V: 1 mV * V / V_th / tau_w^0.5}", "noise: {V: 1 mV * ", "must not depend on V", ""),
]


@pytest.mark.parametrize(("old", "new", "before", "message", "hint"), FAULTS, ids=[new[:40] for _, new, *_ in FAULTS])
def test_what_is_wrong_is_said_at_its_place(tmp_path, old, new, before, message, hint):
    if message is None or (new == "init: steady"):  # sound
        text = network(SOUND.replace(old, new).replace("w: {init: steady}", "w: {init: steady, unit: pA}"))
        assert load(tmp_path, text).spec.populations["A"].size == 1
        return
    text = network(SOUND.replace(old, new))
    assert text != network(SOUND)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    fault = located(caught.value.document, caught.value.faults[0])
    if not message:  # of a comma within braces
        assert any(
            "a comma within braces" in fault.message or "is missing here" in fault.message for fault in caught.value.faults
        )
        return
    assert message in fault.message and hint in fault.hint, fault
    line = caught.value.document.text.splitlines()[fault.line - 1]
    if before:
        assert line.strip().startswith(before.strip()) and line[: fault.column - 1].strip() == before.strip(), (line, fault)


def test_a_population_has_the_parameters_of_its_model(tmp_path):
    for own, message in [
        ("A: {model: own, size: 1, V_rst: -60 mV}", "unknown key"),
        ("A: {model: own, size: 1, b: 20 mV}", "'20 mV' is a voltage, and a current is wanted here"),
        ("A: {model: own, size: 1, V_reset: -40 mV}", "V_reset < V_th must hold"),
        ("A: {model: own, size: 1, tau_ref: 0.25 ms}", "no whole number of steps"),
        ("A: {model: own, size: 1, tau_ref: -1 ms}", "must not be negative"),
        ("A: {model: own, size: 1, init: {U: 1 mV}}", "unknown key"),
        ("A: {model: own, size: 1, C: {uniform: {low: -1 pF, high: 1 nF}}}", ""),
        ("A: {model: owl, size: 1}", "unknown model 'owl'"),
    ]:
        if not message:
            continue
        with pytest.raises(SpecError) as caught:
            load(tmp_path, network(SOUND, own))
        assert message in str(caught.value), own


def test_what_stands_in_for_a_parameter_keeps_its_rules(tmp_path):
    model = """
    parameters: {tau: 10 ms, C: {unit: pF, where: C > 0}, R: {unit: MOhm, gives: {C: tau / R}}}
    state: {V: {init: 0 mV}}
    equations: {dV/dt: -V / tau + I / C}
    refractory: {time: 1 ms, hold: []}
    """
    for R in ("-5 MOhm", "0 MOhm", "{normal: {mean: 1 MOhm, std: 20 MOhm}}"):
        with pytest.raises(SpecError, match="R gives"):
            run(tmp_path, network(model, f"A: {{model: own, size: 9, R: {R}}}"))
    assert load(tmp_path, network(model, "A: {model: own, size: 9, R: 5 MOhm}")).spec
    with pytest.raises(SpecError, match="no whole number of steps"):
        load(tmp_path, network(model.replace("1 ms, hold", "1.03 ms, hold"), "A: {model: own, size: 9, R: 5 MOhm}"))
    with pytest.raises(SpecError, match="R or C is given, so neither has a default"):
        load(tmp_path, network(model.replace("C: {unit: pF", "C: {default: 5 pF"), "A: {model: own, size: 9}"))


def test_own_models_may_stand_in_a_file(tmp_path):
    (tmp_path / "models.yaml").write_text("own:\n" + textwrap.indent(SOUND, "  ") + "other:\n" + textwrap.indent(SOUND, "  "))
    text = "duration: 10 ms\npopulations:\n  A: {model: {file: models.yaml, name: own}, size: 2}\n"
    assert load(tmp_path, text).spec.populations["A"].model == "own"
    for model, message in [
        ("{file: models.yaml}", "models.yaml has 2 models"),
        ("{file: models.yaml, name: onw}", "models.yaml has no model 'onw'"),
        ("{file: none.yaml}", "none.yaml cannot be read: No such file"),
        ("{name: own}", "a model is a name, or the file"),
    ]:
        with pytest.raises(SpecError) as caught:
            load(tmp_path, text.replace("{file: models.yaml, name: own}", model))
        assert message in str(caught.value)
    (tmp_path / "models.yaml").write_text("own:\n" + textwrap.indent(SOUND.replace("leak - w", "leak - U"), "  "))
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert caught.value.document.name.endswith("models.yaml") and located(caught.value.document, caught.value.faults[0]).line > 1
    with pytest.raises(SpecError, match="name of a built-in model"):
        load(tmp_path, network(SOUND).replace("  own:", "  lif:").replace("model: own", "model: lif"))


# ---- exact -----------------------------------------------------------------------------------------------------------


def test_linear_equations_are_integrated_exactly(tmp_path):
    """Against scipy's matrix exponential, under a current that steps."""
    text = network(SOUND.replace("-50 mV", "0 mV"), "A: {model: own, size: 1, I_e: 50 pA, init: {V: -55 mV, w: 90 pA}}",
                   MONITORS % "V, w")  # fmt: skip
    found = run(tmp_path, text).samples
    A = np.array([[-10 / 200, -1 / 200, (10 * -70 + 50) / 200], [0, -1 / 100, 0], [0, 0, 0]])
    wanted = np.array([scipy.linalg.expm(A * 0.1 * k) @ [-55, 90, 1] for k in range(1000)])
    np.testing.assert_allclose(found["v", "A", "V"][:, 0], wanted[:, 0], rtol=0, atol=1e-11)
    np.testing.assert_allclose(found["v", "A", "w"][:, 0], wanted[:, 1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("synapse", ["expon, tau: 20 ms", "expon, tau: 3 ms", "alpha, tau: 20 ms", "alpha, tau: 3 ms"])
def test_synaptic_currents_are_part_of_what_is_exact(tmp_path, synapse):
    """V at a coarse step is that of a fine one; 20 ms is the membrane's own time constant, where a closed form has 0/0."""
    more = f"""projections:
  x: {{pre: S, post: A, connect: {{rule: all_to_all}}, weight: 80 pA, delay: 2 ms, synapse: {{model: {synapse}}}}}
monitors:
  v: {{model: state, of: A, variables: [V], every: 2 ms}}
"""
    populations = "A: {model: own, size: 1}\n  S: {model: spike_times, size: 1, times: [2 ms, 10 ms, 12 ms, 50 ms]}"
    model = SOUND.replace("-50 mV", "0 mV")
    coarse, fine = (
        run(tmp_path, network(model, populations, more, f"duration: 100 ms\ndt: {dt}")).samples["v", "A", "V"]
        for dt in ("2 ms", "0.05 ms")
    )
    assert coarse.max() > -69 and np.abs(coarse - fine).max() < 1e-11


def test_what_runs_on_while_v_is_held_sees_it_held(tmp_path):
    """A threshold that follows V: exact against euler with a thousand steps for one."""
    model = """
    parameters: {tau: 10 ms, tau_ref: 5 ms, k: 200 Hz}
    state: {V: {init: 0 mV}, th: {init: 15 mV}}
    equations: {dV/dt: (20 mV - V) / tau, dth/dt: k * (V - th) + 3 mV / 1 ms}
    threshold: V >= 10 mV
    reset: {V: 2 mV}
    refractory: {time: tau_ref, hold: [V]}
    solver: SOLVER
    """
    exact = run(tmp_path, network(model.replace("SOLVER", "exact"), more=MONITORS % "V, th", run="duration: 40 ms"))
    fine = run(tmp_path, network(model.replace("SOLVER", "rk4"), "A: {model: own, size: 1, substeps: 64}", MONITORS % "V, th",
                                 "duration: 40 ms"))  # fmt: skip
    assert exact.spikes == fine.spikes and len(exact.spikes["A"]) == 4
    for name in ("V", "th"):
        np.testing.assert_allclose(exact.samples["v", "A", name], fine.samples["v", "A", name], rtol=0, atol=1e-10)


# ---- order -----------------------------------------------------------------------------------------------------------

CURVED = """
parameters: {tau: 10 ms, c: 0.02 /mV}
state: {V: {init: 0 mV}, m: {init: 0.2}}
equations:
  dV/dt: (30 mV - V) * m / tau * 2
  dm/dt: (1 / (1 + V * V / 400 mV^0 / (1 mV)^2) - m) / tau
solver: rk4
"""


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("exp_euler", 1), ("rk4", 4)])
def test_the_order_of_a_solver(tmp_path, solver, order):
    model = CURVED.replace("/ 400 mV^0 / (1 mV)^2", "/ (400 * (1 mV)^2)").replace(", c: 0.02 /mV", "").replace("rk4", solver)

    def last(dt):
        monitors = "monitors:\n  v: {model: state, of: A, variables: [V], every: 4 ms}\n"
        return run(tmp_path, network(model, more=monitors, run=f"duration: 40 ms\ndt: {dt}")).samples["v", "A", "V"][-1, 0]

    truth = run(tmp_path, network(CURVED.replace("/ 400 mV^0 / (1 mV)^2", "/ (400 * (1 mV)^2)").replace(", c: 0.02 /mV", ""),
                                  more="monitors:\n  v: {model: state, of: A, variables: [V], every: 4 ms}\n",
                                  run="duration: 40 ms\ndt: 0.01 ms")).samples["v", "A", "V"][-1, 0]  # fmt: skip
    errors = [abs(last(dt) - truth) for dt in ("2 ms", "1 ms", "0.5 ms")]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(slopes - order) < 0.35), (errors, slopes)


def test_substeps_are_smaller_steps(tmp_path):
    def V(substeps, dt):
        population = f"A: {{model: own, size: 1, solver: euler, substeps: {substeps}}}"
        more = "monitors:\n  v: {model: state, of: A, variables: [V], every: 2 ms}\n"
        model = CURVED.replace("/ 400 mV^0 / (1 mV)^2", "/ (400 * (1 mV)^2)").replace(", c: 0.02 /mV", "")
        return run(tmp_path, network(model, population, more, f"duration: 20 ms\ndt: {dt}")).samples["v", "A", "V"]

    np.testing.assert_allclose(V(4, "1 ms"), V(1, "0.25 ms"), rtol=1e-14)
    np.testing.assert_allclose(V(10, "1 ms"), V(1, "0.1 ms"), rtol=1e-13)


def test_rk4_sees_conductances_decay_within_a_step(tmp_path):
    """Fourth order also under a synapse that opens between two steps."""
    model = """
    parameters: {C: 200 pF, g: 10 nS, E: -70 mV}
    state: {V: {init: E}}
    equations: {dV/dt: (g * (E - V) + I) / C}
    solver: rk4
    """
    more = """projections:
  x: {pre: S, post: A, connect: {rule: all_to_all}, weight: 30 nS, delay: 2 ms, synapse: {model: alpha, tau: 4 ms},
      output: {model: coba, E: 0 mV}}
  y: {pre: S, post: A, connect: {rule: all_to_all}, weight: 50 pA, delay: 4 ms, synapse: {model: expon, tau: 5 ms}}
monitors:
  v: {model: state, of: A, variables: [V], every: 2 ms}
"""
    populations = "A: {model: own, size: 1}\n  S: {model: spike_times, size: 1, times: [2 ms, 8 ms]}"
    found = [run(tmp_path, network(model, populations, more, f"duration: 30 ms\ndt: {dt}")).samples["v", "A", "V"]
             for dt in ("1 ms", "0.5 ms", "0.25 ms", "0.02 ms")]  # fmt: skip
    errors = [np.abs(each - found[-1]).max() for each in found[:-1]]
    assert errors[0] < 0.01 and np.all(np.abs(np.log2(np.array(errors[:-1]) / errors[1:]) - 4) < 0.4), errors


# ---- spikes ----------------------------------------------------------------------------------------------------------


def test_a_reset_sees_the_values_at_the_crossing(tmp_path):
    model = """
    state: {V: {init: 0 mV}, a: {init: 1 mV}, b: {init: 2 mV}}
    equations: {dV/dt: 1 mV / 1 ms, da/dt: 0 mV / 1 ms, db/dt: 0 mV / 1 ms}
    threshold: V >= 1 mV - 1e-9 mV
    reset: {V: V - 1 mV, a: b, b: a}
    solver: euler
    """
    found = run(tmp_path, network(model, more=MONITORS % "a, b", run="duration: 3 ms")).samples
    assert found["v", "A", "a"][[0, 9, 10, 19, 20], 0].tolist() == [1, 1, 2, 2, 1]
    assert found["v", "A", "b"][[0, 9, 10, 19, 20], 0].tolist() == [2, 2, 1, 1, 2]


def test_a_rising_threshold_is_crossed_once(tmp_path):
    model = """
    state: {V: {init: 0 mV}, u: {init: 10 mV}}
    equations: {dV/dt: u / 1 ms, du/dt: -V / 1 ms}
    threshold: THRESHOLD
    solver: rk4
    """
    run_ = "duration: 20 ms\ndt: 0.01 ms"
    rising = run(tmp_path, network(model.replace("THRESHOLD", "{rising: V >= 5 mV}"), more=MONITORS % "V", run=run_))
    times = np.array([stamp for stamp, _ in rising.spikes["A"]]) * 0.01
    np.testing.assert_allclose(times, [np.arcsin(0.5) + 2 * np.pi * k for k in range(4)], atol=0.011)
    level = run(tmp_path, network(model.replace("THRESHOLD", "V >= 5 mV"), more=MONITORS % "V", run=run_))
    V = level.samples["v", "A", "V"][1:, 0]
    assert len(level.spikes["A"]) == pytest.approx(np.count_nonzero(V >= 5), abs=1)


def test_jumps_are_lost_while_v_is_held_and_others_run_on(tmp_path):
    model = """
    state: {V: {init: 0 mV}, w: {init: 0 mV}}
    equations: {dV/dt: 0 mV / 1 ms, dw/dt: 1 mV / 1 ms}
    threshold: V >= 5 mV
    reset: {V: 0 mV}
    refractory: {time: 2 ms, hold: HOLD}
    solver: euler
    """
    populations = "A: {model: own, size: 1}\n  S: {model: spike_times, size: 1, times: [1 ms, 2 ms, 5 ms]}"
    feed = "connect: {rule: all_to_all}, weight: 6 mV, delay: 0.1 ms, synapse: {model: delta}"
    more = f"projections:\n  x: {{pre: S, post: A, {feed}}}\n" + MONITORS % "V, w, ref"
    held = run(tmp_path, network(model.replace("HOLD", "[V]"), populations, more, "duration: 8 ms"))
    assert [stamp for stamp, _ in held.spikes["A"]] == [11, 51]
    assert held.samples["v", "A", "V"].max() == 0
    np.testing.assert_allclose(held.samples["v", "A", "w"][:, 0], 0.1 * np.arange(80), rtol=1e-13)
    assert held.samples["v", "A", "ref"][[10, 11, 12, 30, 31], 0].tolist() == [0, 20, 19, 1, 0]
    free = run(tmp_path, network(model.replace("HOLD", "[]"), populations, more, "duration: 8 ms"))
    assert [stamp for stamp, _ in free.spikes["A"]] == [11, 32, 53]  # V stays above, and fires when it may again
    both = run(tmp_path, network(model.replace("HOLD", "[V, w]"), populations, more, "duration: 8 ms"))
    assert both.samples["v", "A", "w"][-1, 0] == pytest.approx(0.1 * (79 - 40))


def test_a_refractory_time_is_a_time_in_equations(tmp_path):
    model = """
    parameters: {tau_ref: 2 ms, rate: 1 mV/ms}
    state: {V: {init: 0 mV}, last: {init: rate * tau_ref}}
    equations: {dV/dt: rate, dlast/dt: 0 mV / 1 ms}
    threshold: V >= 1 mV - 1e-9 mV
    reset: {V: 0 mV, last: 2 * rate * tau_ref + last}
    refractory: {time: tau_ref, hold: [V]}
    solver: euler
    """
    found = run(tmp_path, network(model, more=MONITORS % "last", run="duration: 4 ms")).samples["v", "A", "last"][:, 0]
    np.testing.assert_allclose(found[[0, 9, 10, 30, 39]], [2, 2, 6, 6, 6], rtol=1e-14)


def test_escape_noise_fires_at_its_rate(tmp_path):
    """Intervals of a constant hazard are exponential, cut to steps: p = 1 - exp(-rate dt)."""
    model = """
    parameters: {rate: 200 Hz}
    state: {V: {init: 0 mV}}
    equations: {dV/dt: 0 mV / 1 ms}
    threshold: {rate: rate}
    """
    text = network(model, "A: {model: own, size: 500}", "monitors:\n  s: {model: spikes, of: A}\n", "duration: 1 s\ndt: 1 ms")
    for options in ({"precision": "float64"}, {"precision": "float32"}):
        count = len(run(tmp_path, text.replace("precision: float64", f"precision: {options['precision']}")).spikes["A"])
        p = 1 - np.exp(-0.2)
        assert abs(count - 500_000 * p) < 5 * np.sqrt(500_000 * p * (1 - p))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_rate_beyond_a_float_fires_in_every_step(tmp_path, precision):
    model = """
    state: {V: {init: 900 mV}}
    equations: {dV/dt: 0 mV / 1 ms}
    threshold: {rate: exp(V / 1 mV) / 1 ms}
    """
    text = network(model, more="monitors:\n  s: {model: spikes, of: A}\n", run="duration: 1 ms").replace("float64", precision)
    assert [stamp for stamp, _ in run(tmp_path, text).spikes["A"]] == list(range(1, 11))


@pytest.mark.parametrize("solver", ["exact", "exp_euler", "rk4", "euler"])
def test_noise_has_the_variance_of_its_process(tmp_path, solver):
    """dV = -V / tau dt + B dW: B sqrt(tau / 2), exact at any step for the solvers that know tau; and the correlation decays."""
    model = f"""
    parameters: {{tau: 5 ms, B: 2 mV/ms^(1/2)}}
    state: {{V: {{init: 0 mV}}}}
    equations: {{dV/dt: -V / tau}}
    noise: {{V: B}}
    solver: {solver}
    """
    dt = 2.0 if solver in ("exact", "exp_euler") else 0.1
    for precision in ("float64", "float32"):
        monitors = "monitors:\n  v: {model: state, of: A, variables: [V], every: 4 ms}\n"
        text = network(model, "A: {model: own, size: 4000}", monitors, f"duration: 200 ms\ndt: {dt} ms")
        text = text.replace("float64", precision)
        V = run(tmp_path, text).samples["v", "A", "V"][10:]
        std = 2 * np.sqrt(2.5)
        assert V.std() == pytest.approx(std, rel=0.02) and abs(V.mean()) < 5 * std / np.sqrt(4000 * 10)
        assert np.mean(V[1:] * V[:-1]) / V.var() == pytest.approx(np.exp(-4 / 5), abs=0.02)


def test_normal_numbers_are_normal():
    """Against scipy's quantiles at the same words; the tails are there and symmetric."""
    from scipy.special import ndtri

    words = np.concatenate([np.random.default_rng(1).integers(0, 2**32, 100_000), [0, 1, 2**31 - 1, 2**31, 2**32 - 1]]).astype(
        np.uint32
    )
    q = ((words & 0x7FFFFFFF) + 0.5) / 2.0**32
    wanted = -ndtri(q) * np.where(words >> 31 == 1, 1.0, -1.0)
    for dtype, tolerance in ((np.float32, 3e-6), (np.float64, 1e-9)):
        found = np.asarray(normal.of_words(words, np.dtype(dtype), dtype(0.0)))
        middle = np.abs(wanted) < 5.5  # the polynomials reach no further in full precision
        np.testing.assert_allclose(found[middle], wanted[middle], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found, wanted, rtol=5e-4, atol=1e-6)


# ---- before a run ----------------------------------------------------------------------------------------------------


def test_initial_values_follow_from_those_before_them(tmp_path):
    model = """
    parameters: {tau: 10 ms}
    state: {V: {init: -60 mV}, u: {init: 0.5 * V}, m: {init: steady}}
    equations: {dV/dt: 0 mV / tau, du/dt: 0 mV / tau, dm/dt: (1 / (1 + exp(-V / 10 mV)) - m) / tau}
    solver: exp_euler
    """
    population = "A: {model: own, size: 3, init: {V: {uniform: {low: -80 mV, high: 0 mV}}}}"
    found = run(tmp_path, network(model, population, MONITORS % "V, u, m", "duration: 1 ms")).samples
    V = found["v", "A", "V"][0]
    assert len(set(V)) == 3
    np.testing.assert_allclose(found["v", "A", "u"][0], 0.5 * V, rtol=1e-15)
    np.testing.assert_allclose(found["v", "A", "m"][[0, -1]], np.tile(1 / (1 + np.exp(-V / 10)), (2, 1)), rtol=1e-14)


def test_sets_and_stand_ins(tmp_path):
    model = """
    parameters: {tau: {unit: ms}, C: {unit: pF, where: C > 0}, R: {unit: MOhm, gives: {C: tau / R}}, E: -70 mV}
    sets: {slow: {tau: 30 ms}, fast: {tau: 3 ms, E: -60 mV}}
    state: {V: {init: E}}
    equations: {dV/dt: (E - V) / tau + I / C}
    solver: exact
    """
    rows = "A: {model: own, size: 1, set: fast, C: 100 pF, I_e: 10 pA}\n"
    rows += "  B: {model: own, size: 1, set: slow, tau: 3 ms, E: -60 mV, R: 30 MOhm, I_e: 10 pA}"
    found = run(tmp_path, network(model, rows, "monitors:\n  v: {model: state, of: [A, B], variables: [V]}\n")).samples
    np.testing.assert_allclose(found["v", "A", "V"], found["v", "B", "V"], rtol=1e-14)
    assert found["v", "A", "V"][-1, 0] == pytest.approx(-60 + 3 / 100 * 10)
    for row, message in [
        ("A: {model: own, size: 1, C: 1 pF}", "tau is missing"),
        ("A: {model: own, size: 1, set: fast}", "R or C is missing"),
        ("A: {model: own, size: 1, set: fest, C: 1 pF}", "not allowed here"),
        ("A: {model: own, size: 1, set: fast, C: 1 pF, R: 1 MOhm}", "both are given"),
    ]:
        with pytest.raises(SpecError) as caught:
            load(tmp_path, network(model, row))
        assert message in str(caught.value)


def test_what_does_not_act_on_a_model_is_refused(tmp_path):
    silent = "state: {x: {init: 1}}\nequations: {dx/dt: -x / 1 ms}\n"
    inputs = "inputs:\n  i: {model: constant, to: A, current: 1 pA}\n"
    with pytest.raises(SpecError, match="takes no current"):
        load(tmp_path, network(silent, more=inputs))
    populations = "A: {model: own, size: 1}\n  S: {model: poisson, size: 1, rate: 1 Hz}"
    jump = "projections:\n  p: {pre: S, post: A, connect: {rule: all_to_all}, weight: 1 mV, synapse: {model: delta}}\n"
    with pytest.raises(SpecError, match="takes no synapse that moves V"):
        load(tmp_path, network(silent, populations, jump))
    coba = jump.replace(
        "1 mV, synapse: {model: delta}", "1 nS, synapse: {model: expon, tau: 1 ms}, output: {model: coba, E: 0 mV}"
    )
    with pytest.raises(SpecError, match="takes no conductance"):
        load(tmp_path, network(silent, populations, coba))


def test_a_state_that_blows_up_is_named(tmp_path):
    model = "state: {V: {init: 1 mV}}\nequations: {dV/dt: V * V / (1 mV * 1 ms)}\nsolver: rk4\n"
    with pytest.raises(engine.NumericalError, match="V of neuron 0 of population A"):
        run(tmp_path, network(model))


def test_models_are_equal_where_they_say_the_same():
    import yaml

    one, two = (described.read("own", yaml.safe_load(SOUND + more), ()).model for more in ("", "\n# a comment"))
    assert one is not two and one == two and equations.of_model(one) is equations.of_model(two)
    other = described.read("own", yaml.safe_load(SOUND.replace("20 pA", "21 pA")), ()).model
    assert equations.Equations(one) == equations.Equations(two) != equations.Equations(other)


def test_float32_follows_float64(tmp_path):
    text = network(
        SOUND, "A: {model: own, size: 20, I_e: {uniform: {low: 0 pA, high: 1 nA}}}", MONITORS % "V, w", "duration: 500 ms"
    )
    wide, narrow = run(tmp_path, text), run(tmp_path, text.replace("float64", "float32"))
    counts = [len(found.spikes["A"]) for found in (wide, narrow)]
    assert counts[0] > 200 and abs(counts[0] - counts[1]) <= 0.02 * counts[0]
    np.testing.assert_allclose(narrow.samples["v", "A", "V"][:60], wide.samples["v", "A", "V"][:60], atol=1e-3)


# ---- built-in models -------------------------------------------------------------------------------------------------

DESCRIBED = [name for name, model in neurons.MODELS.items() if model.described]


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_copy_of_a_built_in_model_has_its_bits(tmp_path, name):
    """Under another name, in the network file."""
    text = (neurons.FOLDER / f"{name}.yaml").read_text()
    body = text[text.index(f"\n{name}:") + len(name) + 2 :] if not text.startswith(f"{name}:") else text[len(name) + 1 :]
    model = neurons.MODELS[name]
    states = ", ".join(variable for variable in model.variables if variable != "ref")
    C = next((parameter.default for parameter in model.model.parameters if parameter.name == "C"), None)
    most = 0.3 if name in ("fitzhugh_nagumo", "hindmarsh_rose") else 4 * (C or 75.0)  # pA: 4 mV/ms, but for units of their own
    drive = f", I_e: {{uniform: {{low: 0 pA, high: {most} pA}}}}" if model.model.takes_current else ""
    more = f"monitors:\n  v: {{model: state, of: A, variables: [{states}]}}\n  s: {{model: spikes, of: A}}\n"
    run_ = f"duration: 50 ms\ndt: 0.1 ms\nprecision: float64\npopulations:\n  A: {{model: NAME, size: 5{drive}}}\n{more}"
    own = f"models:\n  copied:\n{textwrap.indent(body.strip(chr(10)), '  ')}\n"
    built_in, copied = run(tmp_path, run_.replace("NAME", name)), run(tmp_path, run_.replace("NAME", "copied") + own)
    assert built_in.spikes == copied.spikes
    assert all(np.array_equal(values, copied.samples[key]) for key, values in built_in.samples.items())
