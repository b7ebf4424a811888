"""Models that `snnrun export nestml` writes, compiled for NEST and driven there as they are here.

Each gets four currents, and spikes that open an excitatory and an inhibitory current. NEST's tools choose their own solver, so
that steps are small and spikes near; those of an escape rate are random, and compared by their number.

Needed are an environment `nestml` beside those of the simulators, with nestml 9.0 and nest-simulator 3.10, a C++ compiler, CMake,
and the headers of GSL and of Boost.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import networks
import numpy as np

from snnrun import lower, network
from snnrun.convert import nestml

# model -> the current in pA with which it fires; the last is a model of a user's
CURRENTS = {
    "adex": 1000, "adqif": 250, "alif": 300, "expif": 120, "fitzhugh_nagumo": 0.5, "gif": 1500, "glif1": 350, "glif2": 350,
    "glif3": 500, "glif4": 500, "glif5": 500, "hh": 1000, "hh_traub": 500, "hindmarsh_rose": 2, "izhikevich": 10,
    "lif_cond_sfa_rr": 700, "lif_sfa": 400, "mat2": 600, "morris_lecar": 10000, "qif": 60, "wang_buzsaki": 100,
    "gif_escape": 150, "mine": 250,
}  # fmt: skip
RANDOM = "gif_escape"
OWN = """
models:
  mine:
    about: Quadratic neurons with a threshold that moves
    parameters: {C: {default: 100 pF}, g: {default: 0.7 nS/mV}, V_r: {default: -60 mV}, V_t: {default: -40 mV},
                 V_peak: {default: 20 mV}, c: {default: -55 mV}, tau_th: {default: 40 ms}, jump: {default: 4 mV},
                 tau_ref: {default: 2 ms}}
    state: {V: {init: V_r}, th: {init: 0 mV}}
    equations: {dV/dt: (g * (V - V_r) * (V - V_t - th) + I) / C, dth/dt: -th / tau_th}
    threshold: V >= V_peak
    reset: {V: c, th: th + jump}
    refractory: {time: tau_ref, hold: [V]}
"""
NETWORK = """
duration: 300 ms
dt: 0.02 ms
precision: float64
populations:
  exc: {{model: spike_times, size: 1, times: [{exc}]}}
  inh: {{model: spike_times, size: 1, times: [{inh}]}}
  N: {{model: {model}, size: {size}}}
inputs:
{inputs}
projections:
  e: {{pre: exc, post: N, connect: {{rule: all_to_all}}, weight: {w} pA, delay: 1 ms, synapse: {{model: expon, tau: 4.5 ms}}}}
  i: {{pre: inh, post: N, connect: {{rule: all_to_all}}, weight: -{w} pA, delay: 1 ms, synapse: {{model: expon, tau: 9 ms}}}}
monitors: {{spikes: {{model: spikes, of: N}}}}
"""
GENERATE = """
import json, sys
from pynestml.frontend.pynestml_frontend import generate_nest_target
generate_nest_target(input_path=json.loads(sys.argv[1]), target_path=sys.argv[2] + "/target", install_path=sys.argv[2],
                     module_name="ourmodule", logging_level="ERROR", codegen_opts={"nest_path": sys.argv[3]})
"""
DRIVE = """
import json, sys
import numpy as np
import nest
asked = json.loads(sys.argv[1])
nest.set(resolution=0.02, rng_seed=5, print_time=False)
nest.Install("ourmodule")
neurons = nest.Create(asked["model"], len(asked["currents"]), params={"I_e": asked["currents"]})
neurons.set(tau_syn_exc=4.5, tau_syn_inh=9.0)
recorder = nest.Create("spike_recorder")
nest.Connect(neurons, recorder, syn_spec={"delay": 0.02})
for side, sign in (("exc", 1), ("inh", -1)):
    source = nest.Create("spike_generator", params={"spike_times": asked[side]})
    nest.Connect(source, neurons, syn_spec={"weight": sign * asked["weight"], "delay": 1.0})
nest.Simulate(300.0)
events = recorder.get("events")
np.savez(sys.argv[2], neurons=events["senders"] - neurons[0].global_id, times=events["times"])
"""
TRAINS = {"exc": [float(t) for t in range(20, 300, 13)], "inh": [float(t) for t in range(27, 300, 17)]}


class Outcome(NamedTuple):
    ours: int
    theirs: int
    apart: float  # ms, the median distance of spikes with the same number; the largest of the four neurons

    def agrees(self, model: str) -> bool:
        if model == RANDOM:
            return abs(self.ours - self.theirs) < 4 * np.sqrt(self.ours + self.theirs)
        return abs(self.ours - self.theirs) <= 2 and self.apart < 1.0


def build(python: Path, folder: Path) -> None:
    """Compile all models into a module in a folder. Raises RuntimeError."""
    files = []
    (folder / "own.yaml").write_text(OWN)
    for model in CURRENTS:
        files.append(str(folder / f"{model}.nestml"))
        Path(files[-1]).write_text(nestml.export(str(folder / "own.yaml") if model == "mine" else model)[1])
    place = _prefix(python, folder)
    command = [str(python), "-c", GENERATE, json.dumps(files), str(folder), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if not (folder / "ourmodule.so").exists():
        raise RuntimeError((done.stdout + done.stderr)[-3000:])


def _prefix(python: Path, folder: Path) -> Path:
    """Where NEST is installed, for its compiler. NEST from PyPI names places of the machine on which it was made: its own are put
    in their place, and with them the older form of texts in C++ for which it was compiled."""
    config = python.with_name("nest-config")
    found = subprocess.run([str(config), "--prefix"], capture_output=True, text=True).stdout.strip()
    if (Path(found) / "include").is_dir():
        return Path(found)
    code = "import importlib.util as u; print(u.find_spec('nest').submodule_search_locations[0])"
    package = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    place = folder / "nest"
    (place / "bin").mkdir(parents=True)
    text = config.read_text()
    for pattern, by in {
        r"^prefix=.*$": f'prefix="{place}"',
        r'echo " -I[^"]*"': f'echo "-I{package}/include/nest"',
        r'-std=c\+\+20"': '-std=c++20 -D_GLIBCXX_USE_CXX11_ABI=0"',
        r'echo "-L[^"]*"': 'echo "-lgsl -lgslcblas -lgomp"',
        r'echo "/[^"]*g\+\+"': f'echo "{shutil.which("g++")}"',
    }.items():
        text = re.sub(pattern, by, text, flags=re.M)
    (place / "bin" / "nest-config").write_text(text)
    (place / "bin" / "nest-config").chmod(0o755)
    return place


def compare(model: str, python: Path, module: Path, folder: Path) -> Outcome:
    """Spikes here and there. Raises RuntimeError."""
    current = CURRENTS[model]
    levels = [0.9, 1.0, 1.2, 1.5] * (50 if model == RANDOM else 1)
    inputs = "\n".join(f'  I{i}: {{model: constant, to: "N[{i}]", current: {x * current} pA}}' for i, x in enumerate(levels))
    times = {side: ", ".join(f"{t} ms" for t in train) for side, train in TRAINS.items()}
    text = NETWORK.format(model=model, size=len(levels), w=0.2 * current, inputs=inputs, **times)
    loaded = networks.load(folder, (OWN if model == "mine" else "") + text)
    recorded = networks.run_plan(lower.lower(network.build(loaded.spec, folder)))
    asked = {"model": f"{model}_neuron", "currents": [x * current for x in levels], "weight": 0.2 * current, **TRAINS}
    command = [str(python), "-c", DRIVE, json.dumps(asked), str(folder / "kept.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(module))
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    kept = np.load(folder / "kept.npz")
    ours = np.array(recorded.spikes["N"], np.int64).reshape(-1, 2)
    apart = []
    for neuron in range(len(levels)):
        a = np.sort(ours[ours[:, 1] == neuron, 0]) * loaded.spec.dt
        b = np.sort(kept["times"][kept["neurons"] == neuron])
        n = min(len(a), len(b))
        apart.append(float(np.median(np.abs(a[:n] - b[:n]))) if n else 0.0)
    return Outcome(len(ours), len(kept["times"]), max(apart))


def _environment(module: Path) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": f"{module}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
