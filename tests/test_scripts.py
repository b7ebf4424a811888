"""Scripts for other simulators, without these: what is written, what is refused, and that it means what the network file says.

That the scripts run, and that their spikes are those of snnrun, is in validation/test_exported.py.
"""

import ast
import builtins
import json
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from snnrun import check, document, network
from snnrun.cli import app
from snnrun.convert import brian2, nestml, scripts
from snnrun.document import SpecError
from snnrun.language.expression import names
from snnrun.language.walk import evaluate
from snnrun.models import connect, described, neurons

CONFIGS, GOLDEN = Path(__file__).parents[1] / "configs", Path(__file__).parent / "scripts"
OWN = Path(__file__).parent / "validation" / "exported"
SIMULATORS = ("nest", "brian2")

# config -> a part of what is said where it is refused, by simulator and whether snnrun draws; all else is written
REFUSED = {
    "brunel_hakim": {"nest": "no noise other than 0"},
    "izhikevich": {"nest": "no counterpart among NEST's models"},
    "mongillo2008": {"nest": "noise on a membrane", "brian2": "noise on a membrane"},
    "point_conductance": {"nest": "inputs that are conductances"},
    "ring_attractor": {"nest": "mg_block has no counterpart", "brian2": "nmda synapses are not written"},
    "wang2002": {"nest": "mg_block has no counterpart", "brian2": "nmda synapses are not written"},
    "wang_buzsaki": {"nest": "wang_buzsaki has no counterpart", "brian2": "gabaa synapses are not written"},
    "spatial_ei": {"nest": "the rule spatial", "brian2": "the rule spatial"},
}


def script(simulator: str, file: Path, edges: bool = False, **values: str) -> scripts.Script:
    overrides = [document.Override(tuple(key.split(".")), value, key) for key, value in values.items()]
    return import_module(f"snnrun.convert.{simulator}").script(check.load(file, overrides), Path("script.py"), edges)


def unknown(text: str) -> set[str]:
    """Names that a script uses and nothing in it makes."""
    tree = ast.parse(text)
    made = {*dir(builtins), "__file__"}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=found) | ast.ImportFrom(names=found):
                made |= {(alias.asname or alias.name).split(".")[0] for alias in found}
            case ast.FunctionDef(name=name):
                made.add(name)
            case ast.arg(arg=name):
                made.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                made.add(name)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - made


def written(tmp_path: Path, simulator: str, text: str, edges: bool = False) -> scripts.Script:
    (tmp_path / "net.yaml").write_text(text)
    return script(simulator, tmp_path / "net.yaml", edges)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_config_is_written_or_refused_with_a_reason(name, simulator):
    reason = REFUSED.get(name, {}).get(simulator)
    if reason is None:
        assert unknown(script(simulator, CONFIGS / f"{name}.yaml").text) == set()
        return
    with pytest.raises(SpecError, match=reason) as error:
        script(simulator, CONFIGS / f"{name}.yaml")
    assert all(fault.hint or fault.message for fault in error.value.faults)
    assert "line" not in document.render(error.value.document, error.value.faults).split("\n")[0]
    assert document.render(error.value.document, error.value.faults).startswith(str(CONFIGS / f"{name}.yaml:"))


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", ["einet", "cuba", "spatial_ei", "synfire", "alpha_pair", "cuba_stdp"])
def test_what_snnrun_draws_stands_beside_the_script(name, simulator):
    found = script(simulator, CONFIGS / f"{name}.yaml", edges=True)
    assert unknown(found.text) == set()
    loaded = check.load(CONFIGS / f"{name}.yaml")
    built = network.build(loaded.spec, CONFIGS)
    for key, projection in built.projections.items():
        edges = connect.collect(projection.connectivity)
        np.testing.assert_array_equal(found.drawn[f"{key}.pre"], edges.pre)
        np.testing.assert_array_equal(found.drawn[f"{key}.post"], edges.post)
        assert f'drawn["{key}.pre"]' in found.text
        if f"{key}.delay" in found.drawn:
            np.testing.assert_allclose(found.drawn[f"{key}.delay"], np.asarray(edges.delay) * loaded.spec.dt, rtol=1e-12)
    for key, population in built.populations.items():
        V = population.initial.get("V")
        if np.ndim(V):
            np.testing.assert_array_equal(found.drawn[f"{key}.init.V"], V)
    assert {part.split('"')[1] for part in found.text.split("drawn[")[1:]} == set(found.drawn)  # all is read, and all is there


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", ["plastic", "plasticities", "alphas", "conductances", "noisy"])
def test_networks_of_the_comparison_with_the_simulators(name, simulator):
    """What runs in validation/test_exported.py has no name that nothing makes."""
    for edges in (False, True):
        if (name, simulator) != ("conductances", "nest"):
            assert unknown(script(simulator, OWN / f"{name}.yaml", edges).text) == set()


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("edges", [False, True])
def test_the_text_of_a_small_script(simulator, edges):
    """A golden text, to be read: `python tests/test_scripts.py` writes it again."""
    kept = GOLDEN / f"ring_{simulator}{'_edges' if edges else ''}.txt"
    assert script(simulator, CONFIGS / "ring.yaml", edges).text.replace(str(CONFIGS), "configs") == kept.read_text()


# ---- equations -------------------------------------------------------------------------------------------------------


MODELS = [name for name in neurons.descriptions() if name != "lif"]
PLAIN = {
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high), "int": float, "exprel": lambda x: np.expm1(x) / x,
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "abs")},
    **dict.fromkeys(("mV", "ms", "pA", "nS", "pF", "Gohm", "kHz", "second", "volt"), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_equations_mean_the_same_in_brian2(name):
    """Their texts, as Python with all units 1, have the values of our trees."""
    model, rng = neurons.description(name), np.random.default_rng(1)
    for _ in range(5):
        known = {p.name: p.default for p in model.parameters} | {v.name: rng.uniform(0.1, 0.9) for v in model.variables}
        known |= {"V": rng.uniform(-80, -20), "I": rng.uniform(0, 100)}
        later = described.values_of(model, known, np)
        texts = {x: brian2.text_of(node) for x, node in model.abbreviations}
        values = {brian2._named(key): value for key, value in known.items()} | PLAIN
        for x, text in texts.items():
            values[brian2._named(x)] = eval(text, {}, values)
        nodes = [v.rate for v in model.variables] + [node for _, node in model.reset] + [model.threshold.condition]
        for node in nodes:
            np.testing.assert_allclose(eval(brian2.text_of(node), {}, values), evaluate(node, later, np), rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_steady_values_are_texts_that_solve_the_equation(name):
    model = neurons.description(name)
    known = {p.name: p.default for p in model.parameters} | {v.name: 0.3 for v in model.variables} | {"V": -61.3}
    for v in model.variables:
        if v.init is None:
            node = scripts.steady(model, v)
            assert v.name not in names(node)
            found = evaluate(node, described.values_of(model, known, np), np)
            np.testing.assert_allclose(found, described.steady(model, v, known), rtol=1e-12)


def test_a_reset_sees_the_values_at_the_crossing(tmp_path):
    text = "models: {m: {state: {V: {init: 0 mV}, w: {init: 0 mV}}, equations: {dV/dt: I / 1 pF, dw/dt: -w / 1 ms},"
    text += "threshold: V >= 1 mV, reset: {V: w, w: V + w}}}\npopulations: {N: {model: m, size: 1}}\nduration: 1 ms\n"
    assert 'reset="new_V = w; new_w = V + w; V = new_V; w = new_w"' in written(tmp_path, "brian2", text).text


# ---- rules and sources of scripts ------------------------------------------------------------------------------------


def helpers(*sources: str, steps: int = 10_000, dt: float = 0.1) -> dict:
    space = {"np": np, "rng": np.random.default_rng(4), "steps": steps, "dt": dt, "dt_ms": dt}
    for source in sources:
        exec(source, space)
    return space


def test_rules_that_numpy_draws():
    space = helpers(*scripts._RULES.values())
    own = np.concatenate([np.full(10, -1), np.arange(20)])
    for multapses in (True, False):
        pre, post = space["fixed_indegree"](5, 20, 30, multapses, own)
        assert (np.bincount(post, minlength=30) == 5).all()
        assert (pre != own[post]).all()
        assert multapses or len(set(zip(pre, post, strict=True))) == len(pre)
    rates = np.bincount(space["fixed_indegree"](2000, 20, 30, True, own)[0], minlength=20) / 60_000
    np.testing.assert_allclose(rates, 1 / 20, rtol=0.05)  # 10 targets of 20 sources, 20 of 19 others: even all the same
    pre, post = space["blocks"]([[1, 0], [0.25, 0.5]], [30, 70], [40, 60])
    made = np.zeros((100, 100), int)
    np.add.at(made, (pre, post), 1)
    assert made.max() == 1 and made[:30, :40].all() and not made[:30, 40:].any()
    np.testing.assert_allclose([made[30:, :40].mean(), made[30:, 40:].mean()], [0.25, 0.5], atol=0.04)
    assert len(space["fixed_total"](77, 9, 11, False)[0]) == 77


def test_trains_of_sources():
    space = helpers(scripts._GIVEN, scripts._REGULAR, scripts._RENEWAL)
    neurons_, stamps = space["given"](np.array([0, 1, 1]), np.array([10, 10, 25]), 100, 0, 240)
    assert list(zip(neurons_, stamps, strict=True)) == [
        (0, 10),
        (1, 10),
        (1, 25),
        (0, 110),
        (1, 110),
        (1, 125),
        (0, 210),
        (1, 210),
        (1, 225),
    ]
    neurons_, stamps = space["regular"](2, np.array([1.0, 0.25]), 0.5, 0, 40)
    assert stamps[neurons_ == 0].tolist() == [5, 15, 25, 35]
    assert stamps[neurons_ == 1].tolist()[:4] == [5, 8, 10, 13]  # 7.5 and 12.5 are rounded up
    neurons_, stamps = space["renewal"](400, 0.05, 4.0, True, 0, 10_000)
    counts = np.bincount(neurons_, minlength=400)
    assert abs(counts.mean() - 50) < 3 * 5 / 20
    assert (
        abs(np.mean([np.std(np.diff(stamps[neurons_ == i])) / np.mean(np.diff(stamps[neurons_ == i])) for i in range(400)]) - 0.5)
        < 0.02
    )


NETWORK = """
duration: 10 ms
populations:
  N: {{model: lif, size: 10, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, C: 100 pF}}
projections:
  a: {{pre: N, post: N, connect: {{rule: fixed_prob, p: 0.5}}, weight: {weight}, delay: 1 ms, synapse: {synapse}{more}}}
"""


@pytest.mark.parametrize(
    ("weight", "synapse", "more", "said"),
    [
        ("1 pA", "{model: dual_expon, tau_decay: 5 ms, tau_rise: 1 ms}", "", "dual_expon as a current has no counterpart"),
        ("1 nS", "{model: expon, tau: {uniform: {low: 1 ms, high: 2 ms}}}", ", output: {model: coba, E: 0 mV}", "differs among"),
        ("1 pA", "{model: expon, tau: 5 ms}", ", stp: {model: std, U: 0.2, tau_d: 100 ms}", "other than tsodyks"),
        ("1 pA", "{model: expon, tau: 5 ms}", ", stdp: {A_plus: 1 pA, A_minus: 1 pA, tau_plus: 9 ms, tau_minus: 9 ms,"
         " w_max: 9 pA, delay: axon}", "in the dendrite"),
        ("{gamma: {mean: 1 pA, std: 1 pA}}", "{model: expon, tau: 5 ms}", "", "draws no gamma distribution"),
    ],
)  # fmt: skip
def test_what_nest_lacks_is_told_where_it_is(tmp_path, weight, synapse, more, said):
    with pytest.raises(SpecError) as error:
        written(tmp_path, "nest", NETWORK.format(weight=weight, synapse=synapse, more=more))
    (fault,) = error.value.faults
    assert said in fault.message and fault.hint
    assert document.render(error.value.document, [fault]).startswith(f"{tmp_path / 'net.yaml'}:6:")


def test_receptors_of_nest(tmp_path):
    """One model for two time constants by sign, another one for three; an area becomes a peak."""
    both = NETWORK.format(weight="1 pA", synapse="{model: expon, tau: 5 ms}", more="")
    b = "  b: {pre: N, post: N, connect: {rule: all_to_all}, weight: -1 pA, synapse: {model: expon, tau: 8 ms}}\n"
    assert '"iaf_psc_exp", 10' in (text := written(tmp_path, "nest", both + b).text)
    assert '"tau_syn_ex": 5' in text and '"tau_syn_in": 8' in text
    text = written(tmp_path, "nest", both + b.replace("-1", "1")).text
    assert 'nest.CopyModel("iaf_psc_exp_multisynapse", "N_model", {"tau_syn": [5, 8]})' in text and '"receptor_type": 2' in text
    alpha = NETWORK.format(weight="1 pA", synapse="{model: alpha, tau: 5 ms, normalize: area}", more="")
    assert f'"weight": {1 / np.e!r}' in written(tmp_path, "nest", alpha).text


# ---- files -----------------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ring = str(CONFIGS / "ring.yaml")
    done = CliRunner().invoke(app, ["export", "brian2", ring, "--edges"])
    assert done.exit_code == 0 and sorted(path.name for path in tmp_path.iterdir()) == ["ring_brian2.drawn.npz", "ring_brian2.py"]
    before = (tmp_path / "ring_brian2.py").read_text()
    again = CliRunner().invoke(app, ["export", "brian2", ring, "--seed", "3"])
    assert again.exit_code == 2 and "exists already" in again.stderr
    assert (tmp_path / "ring_brian2.py").read_text() == before
    found = CliRunner().invoke(app, ["export", "nest", ring, "-o", "a.py", "--json", "--duration", "50 ms"])
    assert json.loads(found.stdout)["output"] == ["a.py"] and "steps = 500" in (tmp_path / "a.py").read_text()
    for bad, said in (("a.txt", "let it end in .py"), ("no/a.py", "there is no folder no")):
        refused = CliRunner().invoke(app, ["export", "nest", ring, "-o", bad])
        assert refused.exit_code == 2 and said in refused.stderr
    refused = CliRunner().invoke(app, ["export", "nest", str(CONFIGS / "izhikevich.yaml"), "-o", "b.py"])
    assert refused.exit_code == 2 and "populations.E.model" in refused.stderr and not (tmp_path / "b.py").exists()


# ---- NESTML ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("pinsky_rinzel", "parrot")])
def test_models_in_nestml(name):
    _, text = nestml.export(name)
    assert f"model {name}_neuron:" in text and text.count("emit_spike()") == 1


def test_synapses_in_nestml_have_time_constants_of_their_own():
    """NEST's tools divide by differences of time constants, and V is no number where one is 0."""
    assert "tau_syn_exc ms = 4 ms" in nestml.export("mat2")[1] and "tau_syn_inh ms = 8 ms" in nestml.export("mat2")[1]
    assert "tau_syn_exc ms = 5 ms" in nestml.export("adex")[1]


@pytest.mark.parametrize("name", ["adex", "izhikevich", "gif_escape", "glif2", "wang_buzsaki"])  # a few seconds each
def test_pynestml_has_nothing_against_them(name, tmp_path):
    frontend = pytest.importorskip("pynestml.frontend.pynestml_frontend")
    file = tmp_path / f"{name}_neuron.nestml"
    file.write_text(nestml.export(name)[1])
    with redirect_stdout(StringIO()) as said:
        frontend.generate_target(input_path=[str(file)], target_platform="NONE", target_path=str(tmp_path / "out"))
    assert "ERROR" not in said.getvalue()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lif", "needs a default of tau"),
        ("pinsky_rinzel", "where(...) is not solved"),
        ("nothing", "no model"),
        ("parrot", "NEST has a parrot_neuron already"),
    ],
)
def test_models_that_nestml_does_not_allow(name, said):
    done = CliRunner().invoke(app, ["export", "nestml", name])
    assert done.exit_code == 2 and said in done.stderr


# ---- parts of a run --------------------------------------------------------------------------------------------------

WINDOWS = """duration: 50 ms
warmup: 20 ms
populations:
  S: {model: regular, size: 3, period: 4 ms}
  N: {model: lif, size: 5, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 100 MOhm}
projections: {x: {pre: S, post: N, connect: {rule: all_to_all}, weight: 2 mV, synapse: {model: delta}}}
monitors:
  spikes: {model: spikes, of: [S, N]}
  V: {model: state, of: "N[:2]", variables: [V], every: 2 ms, start: 21 ms, stop: 40 ms}
"""


def test_a_script_records_what_monitors_record(tmp_path):
    """That the samples are those of snnrun is in validation/test_exported.py."""
    for simulator, wanted in {
        "nest": ['"spike_recorder", params={"start": 20, "stop": 50}', "within(*S_spikes, 200, 500)",
                 '"interval": 2, "start": 20.9, "stop": 39.9, "offset": 1'],
        "brian2": ["within(np.asarray(N_spikes.i), np.round(np.asarray(N_spikes.t / ms) / dt_ms + 1), 200, 500)", "[210:400:20]"],
    }.items():  # fmt: skip
        found = written(tmp_path, simulator, WINDOWS)
        assert [text for text in wanted if text not in found.text] == [] and unknown(found.text) == set()
        assert "spans = {'S': 30, 'N': 30}" in found.text and not found.warnings
    found = written(tmp_path, "nest", WINDOWS + "  rate: {model: rate, of: N, bin: 1 ms, start: 0 ms, stop: 40 ms}\n")
    assert "spans = {'S': 30, 'N': 50}" in found.text
    assert [fault.message for fault in found.warnings] == [
        "the spikes of N are kept from 0 ms to 50 ms, as all its monitors together need them"
    ]
    found = written(tmp_path, "nest", WINDOWS.partition("monitors")[0])
    assert "spans = {'N': 30}" in found.text


# ---- what NEST has not -----------------------------------------------------------------------------------------------


def test_what_a_model_of_nest_lacks_is_said(tmp_path):
    """What is given and has no place there is a warning; a list that all neurons share cannot differ."""
    text = "duration: 1 ms\npopulations:\n  N: {{model: {}, size: 3}}\n"
    found = written(tmp_path, "nest", text.format("mat2, init: {V: -66 mV, theta_1: 3 mV}"))
    assert [fault.path for fault in found.warnings] == [("populations", "N", "init", "theta_1")]
    found = written(tmp_path, "nest", text.format("hh, V_th: -10 mV"))
    assert [fault.message for fault in found.warnings] == ["NEST's hh_psc_alpha has no V_th, which is left out"]
    with pytest.raises(SpecError, match="A1 that differs from neuron to neuron"):
        written(tmp_path, "nest", text.format("glif3, A1: {uniform: {low: -9 pA, high: -1 pA}}"))


def test_gates_are_at_rest_where_V_begins(tmp_path):
    """NEST's are at rest at one V of its own; here each neuron's, computed in the script where V is drawn there."""
    text = "duration: 1 ms\npopulations:\n  N: {{model: hh_traub, size: 4, init: {{V: {}}}}}\n"
    drawn = written(tmp_path, "nest", text.format("{uniform: {low: -70 mV, high: -50 mV}}")).text
    lines = [line for line in drawn.split("\n") if line.startswith("N_")][:4]
    made = {"np": np, "rng": np.random.default_rng(1)}
    exec("\n".join([drawn[drawn.index("def exprel") :].partition("\n\n\n")[0], *lines]), made)
    model = neurons.description("hh_traub")
    known = described.complete(model, {p.name: p.default for p in model.parameters if p.default is not None})
    variables = {v.name: v for v in model.variables}
    for x in "mhn":
        wanted = described.steady(model, variables[x], {**known, "V": made["N_V"]})
        np.testing.assert_allclose(made[f"N_{x}"], wanted, rtol=1e-12)
    known["V"] = -61.0
    rest = described.steady(model, variables["n"], known)
    assert f'"Act_n": {round(float(rest), 12)!r}' in written(tmp_path, "nest", text.format("-61 mV")).text


def test_sources_of_plastic_synapses_are_parrots_in_nest(tmp_path):
    """NEST's devices have static synapses alone; parrots repeat their spikes a step later."""
    plain = written(tmp_path, "nest", WINDOWS).text
    assert "parrot" not in plain and 'S = nest.Create("spike_generator"' in plain
    text = WINDOWS.replace("synapse: {model: delta}", "synapse: {model: delta}, stp: {U: 0.5, tau_d: 90 ms, tau_f: 0 ms}")
    found = written(tmp_path, "nest", text).text
    assert "np.maximum(stamps[neurons == i] - 1, 1)" in found and 'S = nest.Create("parrot_neuron", 3)' in found


def test_jumps_that_are_kept_are_kept_in_nest(tmp_path):
    text = WINDOWS.replace("size: 5,", "size: 5, tau_ref: 2 ms, refractory_input: true,")
    assert '"refractory_input": True' in written(tmp_path, "nest", text).text
    with pytest.raises(SpecError, match="jumps that are kept"):
        written(tmp_path, "brian2", text)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for simulator in SIMULATORS:
        for edges in (False, True):
            text = script(simulator, CONFIGS / "ring.yaml", edges).text.replace(str(CONFIGS), "configs")
            (GOLDEN / f"ring_{simulator}{'_edges' if edges else ''}.txt").write_text(text)
