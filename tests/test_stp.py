"""Short-term plasticity: the known sequences, what arrives against its definition, the same bits by every way."""

import numpy as np
import pytest
from networks import load, plan_of, run_plan

from snnrun import checkpoint, engine, lower, network, snapshot
from snnrun.document import SpecError

DT = 0.1
TRAINS = {0: [50.0, 70.0, 75.0, 200.0], 1: [10.0, 10.1, 10.2, 30.0, 31.0], 2: [0.1, 100.0], 3: []}
TARGET = "model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1000 mV, C: 250 pF"


def trains(tmp_path):
    lines = [f"{neuron},{time}" for neuron, times in TRAINS.items() for time in times]
    (tmp_path / "trains.csv").write_text("neuron,time_ms\n" + "\n".join(lines))


def carried(times, U, tau_d, tau_f, u=0.0, x=1.0, whole=False):
    """What each spike of a train carries, from the times between them."""
    found, before = [], 0.0
    for t in times:
        u = u * np.exp(-(t - before) / tau_f) if tau_f else 0.0
        x = 1 - (1 - x) * np.exp(-(t - before) / tau_d)
        u += U * (1 - u)
        found.append(x if whole else u * x)
        x -= u * x
        before = t
    return found


ONE = """
duration: 250 ms
precision: float64
populations:
  S: {{model: spike_times, size: 4, times: {{file: trains.csv}}}}
  T: {{size: 4, {target}}}
projections:
  p: {{pre: S, post: T, connect: {{rule: one_to_one}}, weight: 100 pA, delay: {delay} ms,
      synapse: {{model: expon, tau: 1000 ms}}, stp: {stp}}}
monitors:
  x: {{model: state, of: T, variables: [p.x]}}
  s: {{model: state, of: S, variables: [p.stp.u, p.stp.x]}}
"""


@pytest.mark.parametrize("delay", [0, 0.1, 7.3])
@pytest.mark.parametrize(
    "given",
    [
        dict(U=0.4, tau_d=100, tau_f=60),
        dict(U=0.5, tau_d=800, tau_f=0),
        dict(U=0.1, tau_d=50, tau_f=1000, u=0.3, x=0.6),
        dict(U=1, tau_d=20, tau_f=0),
        dict(U=0.25, tau_d=300, tau_f=0, whole=True),
        dict(U=0.25, tau_d=300, tau_f=0, x=0.2, whole=True),
    ],
)
def test_what_a_spike_carries_is_the_known_sequence(tmp_path, kernel, given, delay):
    trains(tmp_path)
    stp = {name: f"{value} ms" if name.startswith("tau") else value for name, value in given.items() if name != "whole"}
    if given.get("whole"):
        stp = {"model": "std"} | {name: value for name, value in stp.items() if name != "tau_f"}
    text = ONE.format(target=TARGET, delay=delay, stp=str(stp).replace("'", ""))
    found = run_plan(plan_of(tmp_path, text, kernel=kernel)).samples["x", "T", "p.x"]
    decay = np.exp(-DT / 1000)
    jumps = np.vstack([found[:1], found[1:] - decay * found[:-1]]) / 100
    expected = np.zeros_like(jumps)
    for neuron, times in TRAINS.items():
        for time, part in zip(times, carried(times, **given), strict=True):
            if (frame := round((time + delay) / DT)) < len(expected):
                expected[frame, neuron] += part
    assert np.abs(jumps - expected).max() < 1e-11
    if given == dict(U=0.4, tau_d=100, tau_f=60):  # NEST's tsodyks2_synapse
        assert carried(TRAINS[0], **given) == pytest.approx([0.4, 0.384653, 0.230889, 0.335464], abs=1e-6)


def test_what_is_kept_of_a_source_can_be_recorded(tmp_path, kernel):
    """u and x as they are after a spike; between spikes they decay and recover."""
    trains(tmp_path)
    text = ONE.format(target=TARGET, delay=1, stp="{U: 0.4, tau_d: 100 ms, tau_f: 60 ms}")
    found = run_plan(plan_of(tmp_path, text, kernel=kernel)).samples
    u, x = found["s", "S", "p.stp.u"][:, 0], found["s", "S", "p.stp.x"][:, 0]
    assert u[499] == 0 and x[499] == 1 and u[500] == pytest.approx(0.4) and x[500] == pytest.approx(0.6)
    assert u[560] == pytest.approx(0.4 * np.exp(-6 / 60)) and x[560] == pytest.approx(1 - 0.4 * np.exp(-6 / 100))
    assert not found["s", "S", "p.stp.u"][:, 3].any() and (found["s", "S", "p.stp.x"][:, 3] == 1).all()


RULES = {
    "one_to_one": "{rule: one_to_one}",
    "all_to_all": "{rule: all_to_all}",
    "all_to_all, procedural": "{rule: all_to_all, storage: procedural}",
    "fixed_prob": "{rule: fixed_prob, p: 0.2}",
    "fixed_prob, procedural": "{rule: fixed_prob, p: 0.2, storage: procedural}",
    "fixed_indegree": "{rule: fixed_indegree, n: 7}",
    "fixed_outdegree": "{rule: fixed_outdegree, n: 7}",
    "fixed_outdegree, procedural": "{rule: fixed_outdegree, n: 7, storage: procedural}",
    "fixed_total": "{rule: fixed_total, n: 300}",
    "pairs": "{rule: pairs, pairs: [[0, 1], [3, 1], [59, 59]]}",
}
VALUES = {
    "one": ("2 {unit}", "1 ms"),
    "drawn": ("{{uniform: {{low: 0.5 {unit}, high: 3 {unit}}}}}", "{{uniform: {{low: 0.1 ms, high: 3 ms}}}}"),
    "delays": ("2 {unit}", "{{uniform: {{low: 0 ms, high: 2 ms}}}}"),
    "weights": ("{{normal: {{mean: 1 {unit}, std: 2 {unit}}}}}", "0.4 ms"),
}
RECURRENT = """
duration: 60 ms
precision: {precision}
populations:
  A: {{size: 40, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm,
      I_e: {{uniform: {{low: 240 pA, high: 700 pA}}}}}}
  B: {{size: 30, model: izhikevich, I_e: 8 pA}}
projections:
  p:
    pre: ["A[3:37]", "B[:26]"]
    post: ["A", "B[10:]"]
    connect: {rule}
    weight: {weight}
    delay: {delay}
    synapse: {synapse}
    stp: {{U: {{uniform: {{low: 0.2, high: 0.8}}}}, tau_d: {{uniform: {{low: 20 ms, high: 90 ms}}}}, tau_f: 30 ms, u: 0.1}}
  q: {{pre: A, post: B, connect: {{rule: fixed_prob, p: 0.1}}, weight: 1 mV, delay: 0.5 ms, synapse: {{model: delta}},
      stp: {{model: std, U: 0.3, tau_d: 50 ms}}}}
  r: {{pre: B, post: A, connect: {{rule: fixed_prob, p: 0.1}}, weight: 20 pA, delay: 0.5 ms,
      synapse: {{model: expon, tau: 2 ms}}}}
monitors:
  s: {{model: spikes, of: [A, B]}}
  V: {{model: state, of: A, variables: [V, p.stp.x], start: 1 ms, stop: 1 ms}}
"""


def recurrent(rule, values, synapse, precision="float32"):
    unit = "mV" if synapse == "delta" else "pA"
    weight, delay = (text.format(unit=unit) for text in VALUES[values])
    kinetics = "{model: delta}" if synapse == "delta" else "{model: alpha, tau: 2 ms}"
    text = RECURRENT.format(rule=RULES[rule], weight=weight, delay=delay, synapse=kinetics, precision=precision)
    return text.replace("  V: {model: state, of: A, variables: [V, p.stp.x], start: 1 ms, stop: 1 ms}\n",
                        "  V: {model: state, of: ['A[3:37]'], variables: [V, p.stp.x]}\n")  # fmt: skip


WAYS = [
    (rule, values, "delta" if (i + j) % 4 < 2 else "alpha")
    for i, rule in enumerate(RULES)
    for j, values in enumerate(VALUES)
    if (i + j) % 4 == 0 or "fixed_prob" in rule and j % 2
]


@pytest.mark.parametrize("rule, values, synapse", WAYS)
def test_every_rule_storage_and_delay_gives_the_same_bits_in_every_way(tmp_path, native, rule, values, synapse):
    """The XLA kernel, which stores all edges, against the native one with threads, in chunks, without merging."""
    text = recurrent(rule, values, synapse)
    one = run_plan(plan_of(tmp_path, text, kernel="xla"))
    assert sum(map(len, one.spikes.values())) > 150
    for options, capacity in (({"threads": 1}, None), ({"threads": 3, "merge": False}, 13)):
        other = run_plan(plan_of(tmp_path, text, kernel="native", **options), capacity)
        assert one.spikes == other.spikes
        assert all(np.array_equal(values, other.samples[key]) for key, values in one.samples.items())
        assert {n: v.tolist() for n, v in _releases(one).items()} == {n: v.tolist() for n, v in _releases(other).items()}


def _releases(found):
    return {f"{p.name}/{n}": v for n, p, v in engine.variables(found.plan, found.state) if "sources" in p.name}


def test_a_weight_is_scaled_and_rounded_to_the_quantum_edge_by_edge(tmp_path, kernel):
    """The sum of a step against its definition, exactly, in float64: several sources, drawn weights and releases."""
    (tmp_path / "trains.csv").write_text("neuron,time_ms\n" + "\n".join(f"{i},{t}" for i in range(60) for t in (1, 2.5, 3.1)))
    text = """
duration: 4 ms
precision: float64
populations:
  S: {size: 60, model: spike_times, times: {file: trains.csv}}
  T: {size: 20, TARGET}
projections:
  p: {pre: S, post: T, connect: {rule: fixed_prob, p: 0.3}, weight: {normal: {mean: 5 pA, std: 3 pA}}, delay: 0.5 ms,
      synapse: {model: expon, tau: 1000000000 ms}, stp: {U: {uniform: {low: 0.1, high: 0.9}}, tau_d: 50 ms, tau_f: 20 ms}}
monitors:
  x: {model: state, of: T, variables: [p.x]}
""".replace("TARGET", TARGET)
    plan = plan_of(tmp_path, text, kernel=kernel)
    found = run_plan(plan).samples["x", "T", "p.x"]
    built = network.build(load(tmp_path, text).spec, tmp_path)
    from snnrun.lower import quantise
    from snnrun.models import connect
    from snnrun.receptors import receptors

    edges = connect.collect(built.projections["p"].connectivity)
    quantum = quantise.quanta(built, receptors(built.spec))[0]
    U = built.stp["p"][0]["U"]
    expected = np.zeros(20)
    parts = np.array([carried([1, 2.5, 3.1], U[i], 50, 20) for i in range(60)])
    for number, time in enumerate((1, 2.5, 3.1)):
        weights = np.rint(np.rint(edges.weight / quantum) * parts[edges.pre, number])
        arrived = np.bincount(edges.post, weights=weights, minlength=20) * quantum
        frame = round((time + 0.5) / DT)
        assert found[frame] - found[frame - 1] == pytest.approx(arrived, rel=1e-9)
        expected += arrived
    assert (expected > 0).any() and 2.0**-62 < quantum < 1e-9


@pytest.mark.parametrize("storage", ["stored", "procedural"])
@pytest.mark.parametrize("first, then", [("xla", "native"), ("native", "xla"), ("native", "native")])
def test_a_run_goes_on_from_its_snapshot_on_any_kernel(tmp_path, native, first, then, storage):
    rule = "fixed_prob" if storage == "stored" else "fixed_prob, procedural"
    text = recurrent(rule, "drawn", "alpha")
    whole = run_plan(plan_of(tmp_path, text, kernel="xla"))
    plans = [plan_of(tmp_path, text, kernel=kernel, threads=threads) for kernel, threads in ((first, 1), (then, 2))]

    class Nowhere:
        def write(self, frame):
            pass

    state = engine.simulate(plans[0], engine.init(plans[0]), 357, Nowhere())
    taken = snapshot.take(plans[0], state)
    assert any(values.any() for values in taken.carried.values())
    kept = checkpoint.Checkpoint(taken, checkpoint.Position(35.7, {}, {}), "{}", {}, 0)
    checkpoint.write(tmp_path / "r.h5", kept)
    again = checkpoint.read(checkpoint.path_of(tmp_path / "r.h5")).snapshot
    state = engine.simulate(plans[1], snapshot.restore(plans[1], again), 600 - 357, Nowhere())
    one, other = snapshot.take(whole.plan, whole.state), snapshot.take(plans[1], state)
    assert one.variables.keys() == other.variables.keys() and one.carried.keys() == other.carried.keys()
    for side in ("variables", "fired", "carried"):
        assert all(np.array_equal(values, getattr(other, side)[name]) for name, values in getattr(one, side).items())


@pytest.mark.parametrize(
    "change, path, message",
    [
        ("U: 1.5", "U", "0 < U <= 1 must hold"),
        ("U: 0", "U", "0 < U <= 1 must hold"),
        ("U: 0.5 ms", "U", "'0.5 ms' is a time, and a number is wanted here"),
        ("U: 0.5, tau_d: 0 ms", "tau_d", "tau_d must be positive"),
        ("U: 0.5, tau_f: -1 ms", "tau_f", "tau_f must not be negative"),
        ("U: 0.5, x: 2", "x", "0 <= x <= 1 must hold"),
        ("tau_f: 3 ms", None, "U is missing"),
        ("U: 0.5, tau: 3 ms", "tau", "unknown key"),
        ("U: {uniform: {low: 0.5, high: 2}}", "U", "0 < U <= 1 must hold"),
        ("model: stdp, U: 0.5", "model", "unknown model 'stdp'"),
    ],
)
def test_bad_parameters_are_told_where_they_stand(tmp_path, change, path, message):
    given = "{" + change + ("}" if "tau_d" in change else ", tau_d: 100 ms}")
    trains(tmp_path)
    with pytest.raises(SpecError) as error:
        network.build(load(tmp_path, ONE.format(target=TARGET, delay=1, stp=given)).spec, tmp_path)
    (fault,) = error.value.faults
    assert fault.path == ("projections", "p", "stp", path)[: 4 if path else 3] and fault.message.startswith(message)


def test_only_sources_have_a_release_to_record(tmp_path):
    trains(tmp_path)
    text = ONE.format(target=TARGET, delay=1, stp="{U: 0.4, tau_d: 100 ms}")
    for old, new, message in (
        ("of: S", "of: T", "T has no state variable 'p.stp.u'"),
        ("pre: S", 'pre: "S[1:]"', "not all of these are sources of p"),
    ):
        with pytest.raises(SpecError) as error:
            load(tmp_path, text.replace(old, new).replace("rule: one_to_one", "rule: all_to_all"))
        assert message in error.value.faults[0].message


def test_networks_without_it_are_compiled_as_before(tmp_path):
    trains(tmp_path)
    text = ONE.format(target=TARGET, delay=1, stp="{U: 0.4, tau_d: 100 ms}")
    plain = text.replace(", stp: {U: 0.4, tau_d: 100 ms}", "")
    plain = plain.replace("  s: {model: state, of: S, variables: [p.stp.u, p.stp.x]}\n", "")
    built = network.build(load(tmp_path, plain).spec, tmp_path)
    state = engine.init(lower.lower(built))
    assert state.releases == {} and state.transit.carried is None
