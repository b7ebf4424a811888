"""Plasticity of weights: every synapse against a slow reference that goes through its events one by one, and NEST's numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import load, plan_of, run_plan

from snnrun import checkpoint, engine, kernels, lower, network, results, snapshot
from snnrun.document import SpecError
from snnrun.lower import plasticity
from snnrun.models import stdp
from snnrun.models.stdp import MODELS

DT = 0.1
NET = """
duration: {duration} ms
precision: {precision}
populations:
  A: {{size: 40, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm,
      I_e: {{uniform: {{low: 240 pA, high: 900 pA}}}}}}
  B: {{size: 30, model: izhikevich, I_e: 8 pA}}
projections:
  p:
    pre: ["A[3:37]", "B[:26]"]
    post: ["A", "B[10:]"]
    connect: {rule}
    weight: {{uniform: {{low: 0 {unit}, high: 3 {unit}}}}}
    delay: {delay}
    synapse: {synapse}
    stdp: {stdp}
  r: {{pre: B, post: A, connect: {{rule: fixed_prob, p: 0.1}}, weight: 20 pA, delay: 0.5 ms,
      synapse: {{model: expon, tau: 2 ms}}}}
monitors:
  s: {{model: spikes, of: [A, B]}}
  V: {{model: state, of: A, variables: [V]}}
"""
RULES = {
    "pair": "A_plus: 0.2 {u}, A_minus: 0.15 {u}, tau_plus: 17 ms, tau_minus: 23 ms",
    "pair, mu": "A_plus: 0.3 {u}, A_minus: 0.25 {u}, tau_plus: 20 ms, tau_minus: 20 ms, mu_plus: 0.7, mu_minus: 0.8",
    "pair, mu 1": "w_min: -1 {u}, A_plus: 0.3 {u}, A_minus: 0.25 {u}, tau_plus: 20 ms, tau_minus: 20 ms, mu_plus: 1, mu_minus: 1",
    "nearest": "model: nearest, A_plus: 0.3 {u}, A_minus: 0.2 {u}, tau_plus: 17 ms, tau_minus: 23 ms",
    "power": "model: power, A_plus: 0.5 {u}, A_minus: 0.25 {u}, tau_plus: 17 ms, tau_minus: 23 ms",
    "triplet": "model: triplet, A2_plus: 0.1 {u}, A3_plus: 0.2 {u}, A2_minus: 0.1 {u}, A3_minus: 0.1 {u}, tau_x: 60 ms",
    "song2000": "model: song2000, A1: 0.2 {u}, A2: 0.15 {u}",
    "vogels2011": "model: vogels2011, eta: 0.2 {u}, rate: 40 Hz",
}


def text_of(
    rule, unit="pA", where=None, delays=(0.1, 3), duration=200, precision="float64", connect="{rule: fixed_prob, p: 0.3}"
):
    own = RULES[rule].format(u=unit) + f", w_max: 3 {unit}" + (f", delay: {where}" if where else "")
    kinetics = "{model: delta}" if unit == "mV" else "{model: alpha, tau: 2 ms}"
    low, high = delays
    delay = f"{low} ms" if low == high else f"{{uniform: {{low: {low} ms, high: {high} ms}}}}"
    return NET.format(duration=duration, precision=precision, unit=unit, delay=delay, synapse=kinetics, stdp="{" + own + "}",
                      rule=connect)  # fmt: skip


def reference(spec, edges, w0, spikes, steps):
    """The weights of all synapses, event by event: times in steps, traces by closed form."""
    c, dt = MODELS[spec.model].coefficients(spec), DT
    sources, targets = spikes

    def traces(times, taus, t, closed):
        """Traces of spikes before t (`closed`: or at it)."""
        past = np.array([s for s in times if s < t or (closed and s == t)], float)
        if c.nearest:
            past = past[-1:]
        return [float(np.exp(-(t - past) * dt / tau).sum()) for tau in taus] + [0.0]

    found = []
    for pre, post, delay, w in zip(edges.pre, edges.post, edges.delay, w0, strict=True):
        axonal = delay if c.axonal else 0
        dendritic = delay - axonal
        at_synapse = [t + axonal for t in sources[pre] if t + delay <= steps]
        others = [s + dendritic for s in targets[post] if s + 2 * dendritic <= steps]
        y = (w - c.least) / c.range
        for time, kind in sorted([(s, 0) for s in others] + [(t, 1) for t in at_synapse]):
            r = traces([t + axonal for t in sources[pre]], c.source_tau, time, False)
            o = traces([s + dendritic for s in targets[post]], c.target_tau, time, False)
            if kind == 0:
                y += c.up * (y if c.grows else 1 - y) ** c.mu_up * r[0] * (c.up_pair + c.up_triplet * o[1])
            else:
                y -= c.down * (y**c.mu_down * o[0] * (c.down_pair + c.down_triplet * r[1]) + c.down_always)
            y = min(max(y, 0.0), 1.0)
        found.append(c.least + c.range * y)
    return np.array(found)


def sides(recording, parts):
    """Stamps of each neuron of a selection."""
    found = []
    for population, start, stop in parts:
        trains = [[] for _ in range(stop - start)]
        for stamp, neuron in recording.spikes[population]:
            if start <= neuron < stop:
                trains[neuron - start].append(stamp)
        found += trains
    return found


def weights_of(recording):
    """The weights at the end, and their edges."""
    plan = recording.plan
    module = kernels.module(plan.program.kernel)
    (found,) = module.weights(plan.program, plan.arranged, plan.constants.delivery, recording.state.weights,
                              int(recording.state.step))  # fmt: skip
    return found


def compared(tmp_path, text, kernel, **options):
    spec = load(tmp_path, text).spec
    recording = run_plan(plan_of(tmp_path, text, kernel=kernel, **options))
    found = weights_of(recording)
    from snnrun.models import connect

    edges = connect.collect(network.build(spec, tmp_path).projections["p"].connectivity)
    delay = np.broadcast_to(np.maximum(edges.delay, spec.projections["p"].synapse.model == "delta"), len(edges.pre))
    order = np.lexsort((delay, edges.post, edges.pre))
    edges = connect.Edges(edges.pre[order], edges.post[order], edges.weight[order], delay[order])
    assert np.array_equal(edges.pre, found.pre) and np.array_equal(edges.post, found.post)
    assert np.array_equal(edges.delay, found.delay)
    every = sides(recording, [("A", 3, 37), ("B", 0, 26)]), sides(recording, [("A", 0, 40), ("B", 10, 30)])
    own = spec.projections["p"].stdp
    expected = reference(own, edges, edges.weight, every, plan_steps(spec))
    low, high = stdp.bounds(own)
    return low + (high - low) * found.y, expected, edges.weight, recording


def plan_steps(spec):
    return round(spec.duration / spec.dt)


@pytest.mark.parametrize("where", ["dendrite", "axon"])
@pytest.mark.parametrize("rule", RULES)
def test_weights_are_those_of_every_event_one_by_one(tmp_path, kernel, rule, where):
    found, expected, before, recording = compared(tmp_path, text_of(rule, where=where), kernel)
    assert np.abs(found - expected).max() < 1e-11
    assert np.abs(found - before).mean() > 0.1 and sum(map(len, recording.spikes.values())) > 500
    assert (found < 2.999).any() and (found > 0.01).any()


@pytest.mark.parametrize("unit, delays", [("mV", (0, 2)), ("mV", (0.7, 0.7)), ("pA", (0, 0)), ("pA", (0, 0.3)), ("pA", (5, 30))])
def test_with_and_without_a_delay_and_where_v_is_moved(tmp_path, kernel, unit, delays):
    found, expected, before, _ = compared(tmp_path, text_of("triplet", unit, delays=delays), kernel)
    assert np.abs(found - expected).max() < 1e-11 and np.abs(found - before).mean() > 0.1


@pytest.mark.parametrize("rule, unit, delays, where, precision", [
    ("pair", "pA", (0, 2), None, "float32"), ("pair, mu", "pA", (0.3, 1), None, "float64"),
    ("pair, mu 1", "mV", (0, 2), None, "float32"), ("power", "pA", (0, 2), None, "float32"),
    ("nearest", "pA", (0, 2), "axon", "float64"), ("triplet", "mV", (0.5, 2), None, "float32"),
    ("triplet", "pA", (1, 1), "axon", "float64"),
    ("song2000", "pA", (0, 3), None, "float32"), ("vogels2011", "pA", (0.8, 0.8), None, "float64"),
])  # fmt: skip
def test_weights_have_the_same_bits_in_every_way(tmp_path, native, monkeypatch, rule, unit, delays, where, precision):
    """The XLA kernel, which looks at every synapse in every step, against the native one: with threads, in chunks, with rings
    that are so short that all weights must be brought up to date again and again."""
    text = text_of(rule, unit, where, delays, 150, precision)
    one = run_plan(plan_of(tmp_path, text, kernel="xla"))
    assert sum(map(len, one.spikes.values())) > 300
    for options, capacity, room in (
        ({"threads": 1}, None, 128),
        ({"threads": 3, "merge": False}, 13, 128),
        ({"threads": 2}, 50, 8),
    ):
        monkeypatch.setattr(plasticity, "ROOM", room)
        other = run_plan(plan_of(tmp_path, text, kernel="native", **options), capacity)
        assert one.spikes == other.spikes
        assert all(np.array_equal(values, other.samples[key]) for key, values in one.samples.items())
        known, found = weights_of(one), weights_of(other)
        for field in ("pre", "post", "delay", "y"):
            assert np.array_equal(getattr(known, field), getattr(found, field)), field
        for side in ("source", "target"):
            a, b = getattr(known, side), getattr(found, side)
            width = max(a.shape[1], b.shape[1])
            a, b = (np.pad(x, ((0, 0), (0, width - x.shape[1]), (0, 0))) for x in (a, b))
            assert np.array_equal(a, b)


@pytest.mark.parametrize("first, then", [("xla", "native"), ("native", "xla"), ("native", "native")])
@pytest.mark.parametrize("rule, unit", [("pair, mu 1", "mV"), ("triplet", "pA")])
def test_a_run_goes_on_from_its_snapshot_on_any_kernel(tmp_path, native, first, then, rule, unit):
    text = text_of(rule, unit, delays=(0, 2), duration=90)
    whole = run_plan(plan_of(tmp_path, text, kernel="native"))
    plans = [plan_of(tmp_path, text, kernel=kernel, threads=threads) for kernel, threads in ((first, 1), (then, 2))]

    class Nowhere:
        def write(self, frame):
            pass

    state = engine.simulate(plans[0], engine.init(plans[0]), 523, Nowhere())
    kept = checkpoint.Checkpoint(snapshot.take(plans[0], state), checkpoint.Position(52.3, {}, {}), "{}", {}, 0)
    checkpoint.write(tmp_path / "r.h5", kept)
    again = checkpoint.read(checkpoint.path_of(tmp_path / "r.h5")).snapshot
    state = engine.simulate(plans[1], snapshot.restore(plans[1], again), 900 - 523, Nowhere())
    one, other = snapshot.take(whole.plan, whole.state), snapshot.take(plans[1], state)
    for side in ("variables", "fired"):
        assert all(np.array_equal(values, getattr(other, side)[name]) for name, values in getattr(one, side).items())
    assert np.array_equal(one.weights["p"].y, other.weights["p"].y)
    assert np.abs(one.weights["p"].y - kept.snapshot.weights["p"].y).max() > 0.1


NEST = json.loads((Path(__file__).parent / "stdp_nest.json").read_text())
FORCED = """
duration: 700 ms
precision: float64
populations:
  S: {size: 2, model: spike_times, times: {file: trains.csv}}
  P: {size: 1, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 100 mV, C: 1000000000 pF}
projections:
  forces: {pre: "S[1]", post: P, connect: {rule: all_to_all}, weight: 1000 mV, delay: 0.1 ms, synapse: {model: delta}}
  plastic: {pre: "S[0]", post: P, connect: {rule: all_to_all}, weight: 1.5 pA, delay: 1.5 ms,
            synapse: {model: expon, tau: 1000000000000 ms}, stdp: {STDP}}
monitors:
  s: {model: spikes, of: P}
  x: {model: state, of: P, variables: [plastic.x]}
"""


def in_our_words(name, c):
    if name == "triplet":
        amounts = {"A2_plus": c["Aplus"], "A3_plus": c["Aplus_triplet"], "A2_minus": c["Aminus"], "A3_minus": c["Aminus_triplet"]}
        taus = {"tau_plus": c["tau_plus"], "tau_x": c["tau_plus_triplet"], "tau_minus": 33.7, "tau_y": 125}
    elif name == "vogels2011":
        amounts, taus = {"eta": c["eta"]}, {"tau": c["tau"]}
    else:
        amounts = {"A_plus": c["lambda"] * c["Wmax"], "A_minus": c["lambda"] * c["alpha"] * c["Wmax"]}
        taus = {"tau_plus": c["tau_plus"], "tau_minus": 23}
    model = "pair" if name.startswith("pair") else name
    found = [f"model: {model}", f"w_max: {c['Wmax']} pA", "delay: dendrite"]
    found += [f"{key}: {value!r} pA" for key, value in amounts.items()] + [f"{key}: {value} ms" for key, value in taus.items()]
    if model in ("pair", "nearest"):
        found += [f"mu_plus: {c['mu_plus']}", f"mu_minus: {c['mu_minus']}"]
    if model == "vogels2011":
        found.append(f"rate: {c['alpha'] / (2 * c['tau']) * 1e3!r} Hz")
    return ", ".join(found)


@pytest.mark.parametrize("name", NEST["cases"])
def test_every_weight_that_is_sent_is_that_of_nest(tmp_path, kernel, name):
    """60 spikes on either side, some of which fall together at the synapse."""
    case = NEST["cases"][name]
    rows = [f"0,{s * DT:.1f}" for s in case["pre"]] + [f"1,{(s - 1) * DT:.1f}" for s in case["post"]]
    (tmp_path / "trains.csv").write_text("neuron,time_ms\n" + "\n".join(rows))
    text = FORCED.replace("STDP", in_our_words(name, case["parameters"]))
    found = run_plan(plan_of(tmp_path, text, kernel=kernel))
    assert [stamp for stamp, _ in found.spikes["P"]] == case["post"]
    x = found.samples["x", "P", "plastic.x"][:, 0]
    sent = (x[1:] - np.exp(-DT / 1e12) * x[:-1])[np.array(case["pre"]) + 15 - 1]
    assert len(sent) == len(case["weights"]) and np.ptp(sent) > 0.5
    assert np.abs(sent - case["weights"]).max() < 1e-11


MONITORS = """
  all: {model: weights, of: p}
  some: {model: weights, of: p, synapses: 100, every: 7 ms, start: 3 ms, stop: 80 ms}
"""


def simulated(folder, text, *options):
    (folder / "net.yaml").write_text(text)
    command = [sys.executable, "-m", "snnrun", "simulate", "net.yaml", "-o", "r.h5", "--no-plot", "-q", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("kernel", ["native", "xla"])
def test_weights_are_recorded_at_the_end_and_at_intervals(tmp_path, native, kernel):
    text = text_of("pair", delays=(0.5, 2), duration=90) + MONITORS.strip("\n")
    done = simulated(tmp_path, text, "--kernel", kernel)
    assert done.returncode == 0, done.stderr
    with results.Results(tmp_path / "r.h5") as found:
        every, some = found.weights("all"), found.weights("some")
    plan = plan_of(tmp_path, text, kernel=kernel)
    states, state = {}, engine.init(plan)
    for step in (30, 100, 170, 800, 900):
        state = engine.simulate(plan, state, step - int(state.step), Nowhere())
        states[step] = engine.weights(plan, state)["p"]
    assert every.unit == "pA" and every.times.size == 0 and np.array_equal(every.last, 3 * states[900].y)
    assert np.array_equal(every.pre, states[900].pre) and np.array_equal(every.post, states[900].post)
    assert every.delay == pytest.approx(states[900].delay * DT)
    chosen = np.arange(100) * len(every.pre) // 100
    assert np.array_equal(some.pre, every.pre[chosen]) and np.array_equal(some.last, every.last[chosen])
    assert some.times == pytest.approx(3 + 7 * np.arange(11))
    assert np.array_equal(some.values[0], 3 * states[30].y[chosen]) and np.array_equal(some.values[2], 3 * states[170].y[chosen])
    assert np.abs(some.values[-1] - some.values[0]).max() > 0.5


class Nowhere:
    def write(self, frame):
        pass


@pytest.mark.parametrize("kernel", ["native", "xla"])
def test_plastic_projections_without_synapses_change_nothing(tmp_path, native, kernel):
    plain = text_of("pair", duration=60)
    empty = """  {name}: {{pre: A, post: B, connect: {{rule: fixed_prob, p: 0}}, weight: 1 {unit}, delay: 1 ms,
         synapse: {synapse},
         stdp: {{w_max: 3 {unit}, A_plus: 1 {unit}, A_minus: 1 {unit}, tau_plus: 9 ms, tau_minus: 9 ms}}}}\n"""
    jumps, currents = (empty.format(name=f"no_{unit}", unit=unit, synapse=f"{{model: {model}}}")
                       for unit, model in (("mV", "delta"), ("pA", "expon, tau: 2 ms")))  # fmt: skip
    alone = run_plan(plan_of(tmp_path, plain, kernel=kernel))
    with_empty = plain.replace("projections:\n", f"projections:\n{jumps}").replace("monitors:\n", f"{currents}monitors:\n")
    found = run_plan(plan_of(tmp_path, with_empty, kernel=kernel))
    assert found.spikes == alone.spikes and found.spikes["A"]
    assert engine.weights(found.plan, found.state).keys() == {"p"}
    kept = snapshot.take(found.plan, found.state)
    again = engine.weights(found.plan, snapshot.restore(found.plan, kept))["p"]
    assert np.array_equal(again.y, engine.weights(alone.plan, alone.state)["p"].y) and np.ptp(again.y) > 0.5
    nothing = plain.replace("p: 0.3", "p: 0").replace("  r:", f"{jumps}{currents}  r:")
    found = run_plan(plan_of(tmp_path, nothing, kernel=kernel))
    assert engine.weights(found.plan, found.state) == {} and found.spikes["A"]


def test_weights_of_no_synapses_are_nothing_to_record(tmp_path):
    done = simulated(tmp_path, text_of("pair", connect="{rule: fixed_prob, p: 0}") + MONITORS.strip("\n"))
    assert done.returncode == 2 and "monitors.all.of: p has no synapses, so there is nothing to record" in done.stderr


def test_a_run_that_was_stopped_records_the_same_weights(tmp_path, native):
    text = text_of("triplet", delays=(0.5, 2), duration=90) + MONITORS.strip("\n")
    assert simulated(tmp_path, text).returncode == 0
    with results.Results(tmp_path / "r.h5") as found:
        whole = found.digests()
    (tmp_path / "r.h5").unlink()
    for stop in (200, 310, 555):
        spec = load(tmp_path, text).spec
        assert spec.duration == 90
        environment = {**os.environ, "STOP_AT": str(stop)}
        program = """if True:
            import os
            from snnrun import engine
            real = engine.simulate
            def until(plan, state, count, sink, **options):
                reach = int(os.environ["STOP_AT"])
                left = reach - int(state.step)
                if left <= 0: raise KeyboardInterrupt
                return real(plan, state, min(count, left), sink, **options)
            engine.simulate = until
            from snnrun.__main__ import main
            main()
        """
        command = [sys.executable, "-c", program, "simulate", "net.yaml", "-o", "r.h5", "--no-plot", "-q", "--resume",
                   "--checkpoint-every", "0.000001s"]  # fmt: skip
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (tmp_path / "r.h5.checkpoint").exists()
    assert simulated(tmp_path, text, "--resume").returncode == 0
    with results.Results(tmp_path / "r.h5") as found:
        assert found.digests() == whole


@pytest.mark.parametrize("change, message", [
    ("of: q", "there is no projection 'q'"), ("of: r", "the weights of r do not change"),
    ("of: p, every: 0.13 ms", "0.13 ms is no whole number of steps"),
    ("of: p, synapses: 0", "0 is not allowed here"),
])  # fmt: skip
def test_what_a_weights_monitor_cannot_record(tmp_path, change, message):
    text = text_of("pair") + "  w: {model: weights, " + change + "}\n"
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    assert any(message in fault.message for fault in error.value.faults), [fault.message for fault in error.value.faults]


@pytest.mark.parametrize("change, path, message", [
    ("A_plus: 0.2 mV", ("stdp", "A_plus"), "A_plus is measured as the weight is, as a current, and this is a voltage"),
    ("A_plus: 0.2", ("stdp", "A_plus"), "A_plus needs a unit"),
    ("tau_plus: 0 ms", ("stdp", "tau_plus"), "tau_plus must be positive"),
    ("mu_plus: -1", ("stdp", "mu_plus"), "mu_plus must not be negative"),
    ("w_min: 4 pA", ("stdp", "w_max"), "w_max must lie above w_min"),
    ("w_max: 2 pA", ("weight",), "the weight may lie outside of 0 pA ... 2 pA, the bounds of stdp"),
    ("model: other", ("stdp", "model"), "unknown model 'other'"),
    ("delay: soma", ("stdp", "delay"), "'soma' is not allowed here"),
])  # fmt: skip
def test_bad_plasticity_is_told_where_it_stands(tmp_path, change, path, message):
    own = RULES["pair"].format(u="pA") + ", w_max: 3 pA"
    key = change.split(":")[0]
    own = ", ".join([part for part in own.split(", ") if not part.startswith(key + ":")] + [change])
    text = text_of("pair").replace("{" + RULES["pair"].format(u="pA") + ", w_max: 3 pA}", "{" + own + "}")
    with pytest.raises(SpecError) as error:
        network.build(load(tmp_path, text).spec, tmp_path)
    assert [(fault.path, fault.message[: len(message)]) for fault in error.value.faults] == [
        (("projections", "p", *path), message)
    ]


@pytest.mark.parametrize("old, new, path, message", [
    ("    stdp:", "    stp: {U: 0.5, tau_d: 9 ms}\n    stdp:", ("stdp",), "a projection has either stp or stdp"),
    ("p: 0.3}", "p: 0.3, storage: procedural}", ("connect", "storage"), "weights that change are stored"),
    ("{model: alpha, tau: 2 ms}", "{model: delta}", ("stdp", "delay"),
     "with a delta synapse, plasticity has its delay in the dendrite"),
    ("high: 3 ms", "high: 60 ms", ("delay",), "a plastic projection has delays of at most 500 steps"),
])  # fmt: skip
def test_what_plasticity_does_not_go_with(tmp_path, old, new, path, message):
    unit = "mV" if "delta" in new else "pA"
    text = text_of("pair", where="axon" if "delta" in new else None).replace("A_plus: 0.2 pA", f"A_plus: 0.2 {unit}")
    if unit == "mV":
        text = text_of("pair", "mV", "axon")
    text = text.replace(old, new, 1)
    with pytest.raises(SpecError) as error:
        lower.lower(network.build(load(tmp_path, text).spec, tmp_path))
    (fault,) = error.value.faults
    assert fault.path == ("projections", "p", *path) and fault.message.startswith(message)


@pytest.mark.parametrize("before", range(5, 12))
def test_a_source_may_begin_when_its_target_has_fired_any_number_of_times(tmp_path, native, monkeypatch, before):
    """As many spikes as are kept of a target, or a few less or more: the search for the one before them ends."""
    monkeypatch.setattr(plasticity, "ROOM", 8)
    text = f"""
    duration: 100 ms
    populations:
      S: {{model: spike_times, size: 1, times: [{5 * before + 2} ms, {5 * before + 4} ms]}}
      K: {{model: regular, size: 1, period: 5 ms}}
      T: {{model: lif, size: 1, tau: 10 ms, V_rest: -70 mV, V_reset: -70 mV, V_th: -50 mV, R: 1 GOhm}}
    projections:
      kick: {{pre: K, post: T, connect: {{rule: one_to_one}}, weight: 30 mV, synapse: {{model: delta}}}}
      p: {{pre: S, post: T, connect: {{rule: one_to_one}}, weight: 1 pA, synapse: {{model: expon, tau: 5 ms}},
          stdp: {{A_plus: 0.2 pA, A_minus: 0.1 pA, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 2 pA}}}}
    monitors:
      s: {{model: spikes, of: T}}
    """
    found = [weights_of(run_plan(plan_of(tmp_path, text, kernel=kernel))).y for kernel in ("native", "xla")]
    assert np.array_equal(*found)
