"""A results file with everything in it: what the tests of readers and formats share."""

from contextlib import chdir
from pathlib import Path

from typer.testing import CliRunner

from snnrun import cli

NET = """
name: everything <b>&amp;</b>
seed: 5
duration: 200 ms
precision: {precision}
populations:
  E: {{size: 40, model: lif, tau: 20 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, R: 100 MOhm, tau_ref: 2 ms,
      I_e: {{uniform: {{low: 90 pA, high: 180 pA}}}}, layout: {{model: random, extent: [100 um, 100 um]}}}}
  I: {{size: 10, model: lif, tau: 10 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, R: 100 MOhm, tau_ref: 2 ms,
      I_e: 140 pA}}
projections:
  exc: {{pre: E, post: [E, I], connect: {{rule: fixed_prob, p: 0.1}}, weight: 20 pA, delay: 1.5 ms,
        synapse: {{model: expon, tau: 5 ms}}}}
  inh: {{pre: I, post: [E, I], connect: {{rule: fixed_prob, p: 0.1}}, weight: -60 pA, delay: 1 ms,
        synapse: {{model: expon, tau: 8 ms}}}}
  learnt: {{pre: E, post: I, connect: {{rule: fixed_prob, p: 0.2}}, weight: 10 pA, delay: 1 ms,
           synapse: {{model: expon, tau: 5 ms}},
           stdp: {{A_plus: 0.7 pA, A_minus: 0.735 pA, mu_plus: 1, mu_minus: 1, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 70 pA}}}}
monitors:
  spikes: {{model: spikes, of: [E, I]}}
  some: {{model: spikes, of: "E[10:20]", start: 50 ms}}
  voltage: {{model: state, of: ["E[:4]", "I[2:5]"], variables: [V, ref], every: 0.5 ms}}
  currents: {{model: state, of: "E[5:7]", variables: [exc.x], every: 1 ms, start: 50 ms}}
  input: {{model: input, of: "E[:3]", every: 1 ms}}
  rate: {{model: rate, of: [E, I], bin: 7 ms}}
  weights: {{model: weights, of: learnt, every: 50 ms}}
"""


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def snnrun(*arguments, cwd: Path, code: int | tuple[int, ...] = 0):
    """The command line in a folder, in this process, where JAX is warm; many runs with one worker, if nothing else is said."""
    words = [str(argument) for argument in arguments]
    if words[0] in ("sweep", "fit") and words[1] != "collect" and "--workers" not in words:
        words += ["--workers", "1"]
    with chdir(cwd):
        done = call(*words)
    assert done.exit_code in (code if isinstance(code, tuple) else (code,)), f"{done.output}\n{done.exception!r}"
    return done


def recorded(folder: Path, precision: str = "float64", text: str = NET) -> Path:
    """The results file of a run."""
    (folder / "net.yaml").write_text(text.format(precision=precision))
    done = call("simulate", folder / "net.yaml", "-o", folder / "results.h5", "--no-plot", "-q")
    assert done.exit_code == 0, done.output
    return folder / "results.h5"
