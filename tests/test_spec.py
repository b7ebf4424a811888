"""The file format: every mistake is found, located, explained and answered with what to write instead."""

import copy
import math
import random
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnrun import check, document, selections
from snnrun.document import Override, SpecError
from snnrun.quantities import Law, Quantity, law_of
from snnrun.terminal import visible

CONFIGS = sorted(Path(__file__).parent.parent.glob("configs/*.yaml"))

# One valid file; the tables below replace a piece of it and say what is then found, and where.
VALID = """\
seed: 3
duration: 100 ms
dt: 0.1 ms

populations:
  E: &lif
    size: 8
    model: lif
    tau: 20 ms
    tau_ref: 2 ms
    V_rest: -60 mV
    V_reset: -60 mV
    V_th: -50 mV
    C: 200 pF
    init: {V: {normal: {mean: -55 mV, std: 2 mV}}}
  I: {<<: *lif, size: 2}
  noise: {model: poisson, size: 4, rate: 10 Hz}
  kick: {model: spike_times, size: 1, times: [1 ms, 2 ms]}

inputs:
  drive: {model: constant, to: E, current: 200 pA}
  jump: {model: steps, to: E, times: [10 ms, 20 ms], currents: [50 pA, 0 pA]}
  bg: {model: poisson, to: I, rate: 1 kHz, weight: 0.1 mV, synapse: {model: delta}}

projections:
  exc:
    pre: E
    post: [E, I]
    connect: {rule: fixed_prob, p: 0.1}
    weight: 1 nS
    delay: 1.5 ms
    synapse: {model: expon, tau: 5 ms}
    output: {model: coba, E: 0 mV}

monitors:
  spikes: {model: spikes, of: [E, I]}
  voltage: {model: state, of: "E[:3]", variables: [V], every: 0.1 ms}
  rate: {model: rate, of: E, bin: 5 ms}
  current: {model: input, of: E}
"""


def load(folder, text, overrides=(), name="net.yaml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check.load(path, overrides)


def found_in(folder, text, overrides=()):
    """What --json would list, and what is printed."""
    with pytest.raises(SpecError) as caught:
        load(folder, text, overrides)
    error = caught.value
    return document.as_objects(error.document, error.faults), document.render(error.document, error.faults)


def replaced(old, new, text=VALID):
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def marked_place(old, new):
    """Line and column, counted from 1, of what follows the ▶ in `new` once `new` has replaced `old`."""
    before = VALID[: VALID.index(old)] + new[: new.index("▶")]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


# old piece, new piece with a ▶ before where the fault is to be shown, part of the message, part of the hint
WRONG = [
    # quantities
    ("tau: 20 ms", "tau: ▶20", "E.tau: a time needs a unit", "write 20 ms"),
    ("tau: 20 ms", "tau: ▶'20'", "E.tau: a time needs a unit", "write 20 ms"),
    ("tau: 20 ms", "tau: ▶20 mV", "'20 mV' is a voltage, and a time is wanted here", "write it in ms (or s, us)"),
    ("tau: 20 ms", "tau: ▶20 Ms", "unknown unit 'Ms'", "did you mean ms or mS?"),
    ("tau: 20 ms", "tau: ▶fast", "'fast' is no number with a unit", "write it like 20 ms"),
    ("tau: 20 ms", "tau: ▶.nan", "a time must be finite", "like 5 ms"),
    ("tau: 20 ms", "tau: ▶1e400 ms", "'1e400 ms' is out of range", ""),
    ("tau: 20 ms", "tau: ▶true", "a time is wanted here", "write a number with its unit, like 5 ms"),
    ("tau: 20 ms", "tau:▶", "a time is wanted here", "like 5 ms"),
    ("V_th: -50 mV", "V_th: ▶-50", "a voltage needs a unit", "write -50 mV"),
    ("C: 200 pF", "R: ▶200 pF", "'200 pF' is a capacitance, and a resistance is wanted", "write it in MOhm (or Ohm, kOhm, GOhm)"),
    # distributions
    ("tau: 20 ms", "tau: {▶norml: {mean: 1 ms, std: 1 ms}}", "norml is no distribution", "did you mean normal?"),
    ("tau: 20 ms", "tau: ▶{}", "this is no distribution", "known: normal, lognormal, gamma, uniform, exponential, file"),
    ("tau: 20 ms", "tau: {normal: ▶3 ms}", "a mapping is wanted, and this is '3 ms'", "write {mean: ..., std: ...}"),
    ("tau: 20 ms", "tau: {uniform: ▶[1 ms, 2 ms]}", "a mapping is wanted, and this is a list", "write {low: 1 ms, high: 2 ms}"),
    ("tau: 20 ms", "tau: {▶normal: {mean: 1 ms}}", "normal: std is missing", "add std: ..., with its unit"),
    ("tau: 20 ms", "tau: {normal: {mean: 1 ms, ▶sdt: 1 ms}}", "sdt: unknown key", "did you mean std?"),
    ("tau: 20 ms", "tau: {normal: {mean: 9 ms, std: ▶0 ms}}", "std must be positive", "write the value instead"),
    ("tau: 20 ms", "tau: {normal: {mean: ▶9 mV, std: 1 ms}}", "a time is wanted here, and this is a voltage", "write it in ms"),
    ("tau: 20 ms", "tau: {normal: {mean: ▶9, std: 1 ms}}", "a time needs a unit", "write 9 ms"),
    ("tau: 20 ms", "tau: {normal: {mean: ▶.inf, std: 1 ms}}", "a finite number with its unit is wanted", "like 5 ms"),
    ("tau: 20 ms", "tau: {normal: {mean: ▶[1], std: 1 ms}}", "a number with its unit is wanted", "like 5 ms"),
    ("tau: 20 ms", "tau: {gamma: {mean: ▶-1 ms, std: 1 ms}}", "mean must be positive for this distribution", ""),
    ("tau: 20 ms", "tau: {lognormal: {mean: ▶0 ms, std: 1 ms}}", "mean must be positive for this distribution", ""),
    ("tau: 20 ms", "tau: {exponential: {mean: ▶0 ms}}", "mean must be positive for this distribution", ""),
    ("tau: 20 ms", "tau: {gamma: {mean: 1 ms, std: ▶1e-300 ms}}", "std and mean are too far apart", "at most 1e6"),
    ("tau: 20 ms", "tau: {lognormal: {mean: ▶1e200 ms, std: 1e200 ms}}", "too large or too small for this distribution", ""),
    ("tau: 20 ms", "tau: {uniform: {low: ▶2 ms, high: 2 ms}}", "low must lie below high", ""),
    ("std: 2 mV", "std: 2 mV, ▶redraw: {}", "bounds need min or max", "write {min: ..., max: ...}"),
    ("std: 2 mV", "std: 2 mV, clip: {▶mn: 1 mV}", "mn: unknown key", "did you mean min?"),
    ("std: 2 mV", "std: 2 mV, clip: {min: ▶3 mV, max: 2 mV}", "min must lie below max", ""),
    ("std: 2 mV", "std: 2 mV, clip: {min: ▶3 ms}", "a voltage is wanted here, and this is a time", "write it in mV (or V, uV)"),
    ("std: 2 mV", "std: 2 mV, redraw: {min: 0 mV}, clip: ▶{min: 0 mV}", "two ways to keep within bounds", "keep one of them"),
    # files of values
    ("tau: 20 ms", "▶tau: {file: n.csv}", "column is missing", "add column: its name, which ends in a unit"),
    ("tau: 20 ms", "tau: {file: ▶no.csv, column: tau_ms}", "there is no file", "relative to the folder of the network file"),
    ("tau: 20 ms", "tau: {file: ▶n.txt, column: tau_ms}", "n.txt is of no known kind", "use .csv, .npz, .h5 or .hdf5"),
    ("tau: 20 ms", "tau: {file: ▶bad.npz, column: tau_ms}", "bad.npz cannot be read", ""),
    ("tau: 20 ms", "tau: {file: ▶bad.h5, column: tau_ms}", "bad.h5 cannot be read", ""),
    ("tau: 20 ms", "tau: {file: ▶latin.csv, column: tau_ms}", "latin.csv is not UTF-8 text", "save it as UTF-8"),
    ("tau: 20 ms", "tau: {file: n.csv, column: ▶tua_ms}", "n.csv has no column 'tua_ms'", "it has tau_ms, tau_mV, tau"),
    ("tau: 20 ms", "tau: {file: empty.csv, column: ▶tau_ms}", "empty.csv has no column 'tau_ms'", "it is empty"),
    ("tau: 20 ms", "tau: {file: n.csv, column: ▶tau}", "the column 'tau' names no unit", "end its name in one, like tau_ms"),
    ("tau: 20 ms", "tau: {file: n.csv, column: ▶tau_mV}", "is in mV, and a time is wanted", "end its name in one of s, ms, us"),
    ("tau: 20 ms", f"tau: {{file: ▶{'a' * 300}.csv, column: tau_ms}}", "cannot be read", ""),
    ("tau: 20 ms", 'tau: {file: ▶"a\\0b.csv", column: tau_ms}', "", ""),
    # keys, names and types
    ("seed: 3", "▶sed: 3", "sed: unknown key", "did you mean seed?"),
    ("seed: 3", "▶zzz: 3", "zzz: unknown key", "known: name, seed, duration, warmup, dt"),
    ("V_th: -50 mV", "▶V_treshold: -50 mV", "V_treshold: unknown key", "did you mean V_th?"),
    ("populations:", "▶population:", "population: unknown key", "did you mean populations?"),
    ("  E: &lif", "  ▶1E: &lif", "'1E' is no name", "begins with a letter"),
    ("  E: &lif", "  ▶12: &lif", "'12' is no name", "begins with a letter"),
    ("  E: &lif", "  ▶~: &lif", "'~' is no name", "begins with a letter"),
    ("  E: &lif", "  ▶a b: &lif", "'a b' is no name", "letters, digits, _ and -"),
    ("seed: 3", "seed: ▶-1", "-1 is not allowed here", "write a number of at least 0"),
    ("seed: 3", "seed: ▶1.5", "a whole number is wanted, and this is 1.5", ""),
    ("seed: 3", "seed: ▶18446744073709551616", "is not allowed here", "write a number below 2**64"),
    ("seed: 3", "name: ▶3", "a text is wanted, and this is 3", 'write "3"'),
    ("seed: 3", "precision: ▶float16", "'float16' is not allowed here", "one of float32, float64"),
    ("seed: 3", "precision:▶", "a value is missing here", ""),
    ("duration: 100 ms", "duration: ▶100", "a time needs a unit", "write 100 ms"),
    ("duration: 100 ms", "duration: ▶[1 s]", "a time is wanted here", "like 5 ms"),
    ("monitors:", "monitors: ▶[]\nx:", "a mapping of names is wanted, and this is a list", "write NAME: {...}"),
    ("monitors:", "monitors: ▶[{name: s, of: E}]\nx:", "this is a list", "write s: and its parts below it, without a dash"),
    ("monitors:", "monitors:▶\nx:", "monitors: a value is missing here", "add an entry, or remove the key"),
    ("projections:", "projections: {a: ▶3}\nx:", "a mapping is wanted, and this is 3", "write {pre: ..., post: ..., connect: "),
    # populations
    ("    model: lif\n", "", "E: model is missing", "add model: one of lif, poisson, spike_times"),
    ("model: lif", "▶type: lif", "type: unknown key", "write model: lif"),
    ("  E: &lif", "  F:▶\n  E: &lif", "F: a value is missing here", "write {model: lif, ...}"),
    ("  E: &lif", "  F:\n  ▶size: 8\n  E: &lif", "populations.size: a mapping is wanted, and this is 8", "indent it more than F"),
    ("  E: &lif", "  ▶F:\n  size: 8\n  E: &lif", "F: a value is missing here", "indent what belongs to F more than F"),
    ("rule: fixed_prob, p: 0.1", "▶rule:fixed_prob, p: 0.1", "a blank is missing after the colon", "write rule: fixed_prob"),
    ("rule: fixed_prob, p: 0.1", "rule: fixed_prob, p: 0.1, ▶zzz: 3", "zzz: unknown key", "known: rule, p, autapses"),
    ("post: [E, I]", "post: ▶E, I", "'E, I' is no population and no slice of one", "write [E, I]"),
    ("post: [E, I]", "post: ▶E, J", "'E, J' is no population and no slice of one", "slices are N[3]"),
    ("size: 8", "▶size:8", "a blank is missing after the colon", "write size: 8"),
    ("bin: 5 ms", "▶bin:5 ms", "a blank is missing after the colon", "write bin: 5 ms"),
    ("model: lif", "model: ▶leaky", "unknown model 'leaky'", "snnrun models lists them"),
    ("model: lif", "model: ▶iaf", "unknown model 'iaf'", "did you mean qif or lif or gif?"),
    ("tau: 20 ms", "tau: ▶\N{MINUS SIGN}20 ms", "has a dash in place of a minus", "write -20 ms"),
    ("model: lif", "model: ▶lief", "unknown model 'lief'", "did you mean lif?"),
    ("model: lif", "model: ▶3", "model is a name, and this is 3", "one of lif, poisson, spike_times"),
    ("model: lif", "model: ▶[lif]", "model is a name, and this is a list", "one of lif"),
    ("model: lif", "model:▶", "model is a name, and this is nothing", "one of lif"),
    ("size: 8", "size: ▶0", "0 is not allowed here", "write a number of at least 1"),
    ("size: 8", "size: ▶8.0", "a whole number is wanted, and this is 8.0", "write 8"),
    ("size: 8", "size: ▶8.5", "a whole number is wanted, and this is 8.5", ""),
    ("size: 8", "size: ▶'8'", "a whole number is wanted, and this is '8'", "write 8 without quotes"),
    ("size: 8", "size: ▶true", "a whole number is wanted, and this is true", ""),
    ("size: 8", "size:▶", "a value is missing here", "a whole number is wanted"),
    ("size: 8", f"size: ▶{'9' * 99}", "is not allowed here", "write a number below 2,147,483,648"),
    ("    tau: 20 ms\n", "", "E: tau is missing", "add tau: 10 ms"),
    ("    C: 200 pF\n", "", "E: R or C is missing", "write one of them, like C: 250 pF"),
    ("C: 200 pF", "R: 1 MOhm\n    C: ▶200 pF", "R and C are both given", "keep one of them"),
    ("tau: 20 ms", "tau: ▶-20 ms", "tau must be positive", ""),
    ("tau_ref: 2 ms", "tau_ref: ▶-2 ms", "tau_ref must not be negative", ""),
    ("tau_ref: 2 ms", "tau_ref: ▶2.05 ms", "2.05 ms is no whole number of steps of 0.1 ms", "use 2 ms or 2.1 ms"),
    ("C: 200 pF", "C: ▶0 pF", "C must be positive", ""),
    ("C: 200 pF", "R: ▶-1 MOhm", "R must be positive", ""),
    ("V_reset: -60 mV", "V_reset: ▶-50 mV", "V_reset must lie below V_th", ""),
    ("    size: 8", "    size: 8\n    solver: ▶rk4", "'rk4' is not allowed here", "one of exact, exp_euler"),
    ("    size: 8", "    size: 8\n    solver: ▶exact", "E receives conductances, which cannot be integrated exactly",
     "exp_euler"),
    ("{V: {normal: {mean: -55 mV, std: 2 mV}}}", "{▶v: -55 mV}", "init.v: unknown key", "did you mean V?"),
    ("{V: {normal: {mean: -55 mV, std: 2 mV}}}", "▶-55 mV", "a mapping is wanted, and this is '-55 mV'", "write its parts"),
    # sources
    ("rate: 10 Hz", "rate: ▶20 kHz", "rate * dt is 2, and a source spikes at most once in a step", "use several sources"),
    ("rate: 10 Hz", "rate: ▶-1 Hz", "rate must not be negative", ""),
    ("rate: 10 Hz", "rate: 10 Hz, start: 5 ms, stop: ▶5 ms", "stop must lie after start", ""),
    ("times: [1 ms", "times: [▶1.04 ms", "1.04 ms is no whole number of steps", "use 1 ms or 1.1 ms"),
    ("times: [1 ms", "times: [▶0 ms", "0 ms is less than one step", "use at least 0.1 ms"),
    ("times: [1 ms", "times: [▶0.04 ms", "0.04 ms is no whole number of steps", "use 0.1 ms"),
    ("times: [1 ms", "times: [▶-1 ms", "a time must not be negative", ""),
    ("times: [1 ms, 2 ms", "times: [2 ms, ▶2 ms", "two spikes in one step", "a neuron spikes at most once in a step"),
    ("times: [1 ms, 2 ms]", "times: ▶1 ms", "a list is wanted, and this is '1 ms'", "write [1 ms]"),
    ("times: [1 ms", "times: [▶1", "times[0]: a time needs a unit", "write 1 ms"),
    ("times: [1 ms, 2 ms]", "times: {▶fil: t.csv}", "fil: unknown key", "did you mean file?"),
    ("times: [1 ms, 2 ms]", "times: {file: ▶no.csv}", "there is no file", "relative to the folder"),
    ("times: [1 ms, 2 ms]", "times: {file: ▶edges.csv}", "edges.csv has no column 'neuron'", "it has pre, post"),
    # the run
    ("dt: 0.1 ms", "dt: ▶0 ms", "dt must be positive", "write 0.1 ms"),
    ("duration: 100 ms", "duration: ▶0 ms", "duration must be positive", "write 1 s"),
    ("duration: 100 ms", "duration: ▶0.04 ms", "0.04 ms is no whole number of steps", "use 0.1 ms"),
    ("duration: 100 ms", "duration: ▶1e300 s", "1e+300 s is more steps of 0.1 ms than can be counted", ""),
    # inputs
    ("model: constant", "model: ▶const", "unknown model 'const'", "did you mean constant?"),
    ("  drive: {model: constant, to: E, ", "  ▶drive: {model: constant, ", "drive: to is missing",
     "add to: the name of a population"),
    ("to: E, current", "to: ▶X, current", "there is no population 'X'", "known: E, I, noise, kick"),
    ("to: E, current", "to: ▶nois, current", "there is no population 'nois'", "did you mean noise?"),
    ("to: E, current", "to: ▶kick, current", "kick is a source (spike_times): nothing acts on it", ""),
    ("to: E, current", "to: ▶3, current", "a population, a slice of one, or a list of these is wanted", 
     'like E, "E[:100]" or [E, I]'),
    ("200 pA", "200 pA, start: 5 ms, stop: ▶5 ms", "stop must lie after start", ""),
    ("200 pA", "200 pA, start: ▶0.15 ms", "0.15 ms is no whole number of steps", "use 0.1 ms or 0.2 ms"),
    ("times: [10 ms, 20 ms]", "times: ▶[10 ms]", "times and currents differ in length: 1 and 2", "give one current per time"),
    ("times: [10 ms, 20 ms]", "times: [20 ms, ▶10 ms]", "times must ascend", "after the one before it"),
    ("times: [10 ms, 20 ms]", "times: [▶10.01 ms, 20 ms]", "no whole number of steps", "use 10 ms or 10.1 ms"),
    ("times: [10 ms, 20 ms], currents: [50 pA, 0 pA]", "times: ▶[], currents: []", "times is empty", "at least one time"),
    ("rate: 1 kHz", "rate: ▶1000 kHz", "100 spikes per step are more than the limit of 64", "split it into several inputs"),
    ("weight: 0.1 mV", "delay: ▶0.15 ms, weight: 0.1 mV", "0.15 ms is no whole number", "use 0.1 ms or 0.2 ms"),
    # weights and synapses
    ("weight: 0.1 mV", "weight: ▶0.1", "the weight of a delta synapse needs a unit", "write 0.1 mV"),
    ("weight: 0.1 mV", "weight: ▶1 pA", "weight of a delta synapse is a voltage, and this is a current",
     "write it in mV (or V, uV)"),
    ("weight: 1 nS", "weight: ▶1 pA", "weight of a coba synapse is a conductance, and this is a current", "write it in nS"),
    ("weight: 1 nS", "weight: ▶1 ms", "weight of a coba synapse is a conductance, and this is a time", "write it in nS"),
    ("weight: 1 nS", "weight: ▶big", "'big' is no number with a unit", "write it like 5 mV, 5 pA, 5 nS"),
    ("weight: 1 nS", "weight: ▶1 ns", "unknown unit 'ns'", "did you mean nS?"),
    ("weight: 1 nS", "weight: ▶.nan", "a finite number with its unit is wanted", "like 5 mV, 5 pA, 5 nS"),
    ("weight: 1 nS", "weight: ▶-1 nS", "a conductance must not be negative", "lower the reversal potential E"),
    ("weight: 1 nS", "weight: {uniform: {low: ▶-1 nS, high: 1 nS}}", "a conductance must not be negative", "reversal potential"),
    ("weight: 1 nS", "weight: {normal: {mean: 1 nS, std: ▶1 pA}}", "is a conductance, and this is a current", "write it in nS"),
    ("  exc:\n    pre: E\n    post: [E, I]\n    connect: {rule: fixed_prob, p: 0.1}\n    weight: 1 nS\n",
     "  ▶exc:\n    pre: E\n    post: [E, I]\n    connect: {rule: fixed_prob, p: 0.1}\n",
     "weight is missing", "add weight: ..., in nS"),
    ("synapse: {model: delta}", "synapse: ▶delta", "a mapping is wanted, and this is 'delta'", "write {model: delta, ...}"),
    ("synapse: {model: delta}", "▶synapse: {}", "model is missing", "add model: one of delta, expon, alpha"),
    ("synapse: {model: delta}", "synapse: {model: ▶alfa}", "unknown model 'alfa'", "did you mean alpha?"),
    ("synapse: {model: delta}", "synapse: {model: delta, ▶tau: 1 ms}", "tau: unknown key", "known: model"),
    ("synapse: {model: delta}", "synapse: {model: delta}, ▶output: {model: cuba}", "move V themselves and have no output",
     "remove the"),
    ("tau: 5 ms", "tau: ▶0 ms", "tau must be positive", ""),
    ("E: 0 mV", "E: ▶0", "a voltage needs a unit", "write 0 mV"),
    ("output: {model: coba, E: 0 mV}", "▶output: {model: coba}", "E is missing", "add E: 0 mV"),
    ("delay: 1.5 ms", "delay: ▶1.55 ms", "1.55 ms is no whole number of steps", "use 1.5 ms or 1.6 ms"),
    ("delay: 1.5 ms", "delay: ▶-1 ms", "a time must not be negative", ""),
    ("delay: 1.5 ms", "delay: {uniform: {low: ▶1 mV, high: 2 ms}}", "a time is wanted here, and this is a voltage", "ms"),
    ("  drive:", "  ▶exc:", "'exc' is the name of a projection too", "rename one"),
    # selections
    ("pre: E", "pre: ▶E[:9]", "E[:9] is out of range", "E has 8 neurons, 0 to 7"),
    ("pre: E", "pre: ▶E[8]", "E[8] is out of range", "E has 8 neurons, 0 to 7"),
    ("pre: E", "pre: ▶E[-9]", "E[-9] is out of range", "E has 8 neurons, 0 to 7"),
    ("pre: E", "pre: ▶E[-9:]", "E[-9:] is out of range", "E has 8 neurons, 0 to 7"),
    ("pre: E", "pre: ▶E[:-8]", "E[:-8] is empty", "the end of a slice lies above its start"),
    ("pre: E", "pre: ▶E[3-5]", "'E[3-5]' is no population and no slice of one", "slices are N[3], N[:5], N[5:9], N[::10]"),
    ("pre: E", "pre: ▶E[:2:2:2]", "'E[:2:2:2]' is no population and no slice of one", "slices are N[3], N[:5], N[5:9], N[::10]"),
    ("pre: E", "pre: ▶E[]", "'E[]' selects nothing", "slices are"),
    ("pre: E", "pre: ▶E[5:5]", "E[5:5] is empty", "the end of a slice lies above its start"),
    ("pre: E", "pre: ▶E[6:5]", "E[6:5] is empty", "the end of a slice lies above its start"),
    ("pre: E", f"pre: ▶E[{'9' * 5000}]", "is no population and no slice of one", "slices are"),
    ("pre: E", "pre: ▶[]", "a population, a slice of one, or a list of these is wanted", "like E"),
    ("post: [E, I]", "post: [E, ▶E]", "E overlaps another part of this list", "name every neuron once"),
    ("post: [E, I]", 'post: ["E[:5]", ▶"E[4:]"]', "E[4:] overlaps another part of this list", "name every neuron once"),
    ("post: [E, I]", "post: [E, ▶X]", "there is no population 'X'", "known: E, I, noise, kick"),
    ("post: [E, I]", "post: ▶noise", "noise is a source (poisson): nothing acts on it", ""),
    ("post: [E, I]", "post: [▶E[:3], I]", "a slice inside [ ] or { } must be quoted", 'write "E[:3]"'),
    # rules of connection
    ("{rule: fixed_prob, p: 0.1}", "▶fixed_prob", "a mapping is wanted, and this is 'fixed_prob'",
     "write {rule: fixed_prob, ...}"),
    ("connect: {rule: fixed_prob, p: 0.1}", "▶connect: {p: 0.1}", "rule is missing", "add rule: one of one_to_one, all_to_all"),
    ("rule: fixed_prob", "rule: ▶fixd_prob", "unknown rule 'fixd_prob'", "did you mean fixed_prob?"),
    ("connect: {rule: fixed_prob, p: 0.1}", "▶connect: {rule: fixed_prob}", "p is missing", "add p: 0.1"),
    ("p: 0.1", "p: ▶1.1", "1.1 is not allowed here", "write a number of at most 1"),
    ("p: 0.1", "p: ▶-0.1", "-0.1 is not allowed here", "write a number of at least 0"),
    ("p: 0.1", "p: ▶.nan", "a finite number is wanted, and this is nan", ""),
    ("p: 0.1", "p: ▶10 %", "a number is wanted, and this is '10 %'", "write it like 0.1"),
    ("p: 0.1", "p: ▶'0.1'", "a number is wanted, and this is '0.1'", "write 0.1 without quotes"),
    ("p: 0.1", "p: ▶true", "a number is wanted, and this is true", ""),
    ("p: 0.1", "p: 0.1, autapses: ▶3", "true or false is wanted, and this is 3", ""),
    ("p: 0.1", "p: 0.1, storage: ▶disk", "'disk' is not allowed here", "one of stored, procedural, auto"),
    ("{rule: fixed_prob, p: 0.1}", "▶{rule: one_to_one}", "pre has 8 neurons and post 10", "select slices of equal size"),
    ("fixed_prob, p: 0.1", "fixed_indegree, n: ▶2.0", "a whole number is wanted, and this is 2.0", "write 2"),
    ("fixed_prob, p: 0.1", "fixed_indegree, n: ▶-1", "-1 is not allowed here", "write a number of at least 0"),
    ("{rule: fixed_prob, p: 0.1}", "▶{rule: fixed_indegree, n: 9, multapses: false}",
     "an in-degree of 9 without multapses is impossible: pre offers 8 neurons", "set multapses: true, or lower n"),
    ("{rule: fixed_prob, p: 0.1}", "▶{rule: fixed_indegree, n: 8, multapses: false, autapses: false}",
     "an in-degree of 8 without multapses is impossible: pre offers 7 neurons", "set multapses: true, or lower n"),
    ("{rule: fixed_prob, p: 0.1}", "▶{rule: fixed_outdegree, n: 11, multapses: false}",
     "an out-degree of 11 without multapses is impossible: post offers 10 neurons", "set multapses: true, or lower n"),
    ("{rule: fixed_prob, p: 0.1}", "▶{rule: fixed_total, n: 81, multapses: false}",
     "81 distinct pairs are wanted, but there are 80", "set multapses: true, or lower n"),
    ("pre: E\n    post: [E, I]\n    connect: {rule: fixed_prob, p: 0.1}",
     "pre: E[0]\n    post: E[0]\n    connect: ▶{rule: fixed_total, n: 1, autapses: false}",
     "there is no pair to connect without autapses", "set autapses: true"),
    ("pre: E\n    post: [E, I]\n    connect: {rule: fixed_prob, p: 0.1}",
     "pre: E[0]\n    post: E[0]\n    connect: ▶{rule: fixed_indegree, n: 1, autapses: false}",
     "pre has no neuron to draw from without autapses", "set autapses: true"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, 1], [▶8, 0]]}", "pre has no neuron 8", "0 to 7"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, ▶10]]}", "post has no neuron 10",
     "count within the selection: 0 to 9"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [▶[0]]}", "a pair is two indices", "write [pre, post], like [0, 1]"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [▶[0, 1, 2]]}", "a pair is two indices", "write [pre, post]"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [▶7]}", "a pair is two indices", "write [pre, post]"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, ▶a]]}", "a whole number is wanted, and this is 'a'", ""),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, ▶-1]]}", "-1 is not allowed here", "of at least 0"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [], autapses: ▶maybe}", "autapses: true or false is wanted", ""),
    # edges that are drawn again instead of stored
    ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_indegree, n: 2, storage: ▶procedural}",
     "the edges of fixed_indegree cannot be drawn source by source", "fixed_prob, fixed_outdegree and all_to_all"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_total, n: 2, storage: ▶procedural}", "the edges of fixed_total cannot be",
     "leave storage out"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, 1]], storage: ▶procedural}", "the edges of pairs cannot be",
     "leave storage out"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: full.csv, storage: ▶procedural}", "the edges of file cannot be",
     "leave storage out"),
    ("pre: E\n    post: [E, I]\n    connect: {rule: fixed_prob, p: 0.1}",
     "pre: E\n    post: E\n    connect: {rule: one_to_one, storage: ▶procedural}", "the edges of one_to_one cannot be",
     "leave storage out"),
    ("p: 0.1}\n    weight: 1 nS", "p: 0.1, storage: procedural}\n    weight: ▶{normal: {mean: 1 nS, std: 0.2 nS}}",
     "drawn conductances may be negative", "add redraw: {min: 0 nS}"),
    ("p: 0.1}\n    weight: 1 nS\n    delay: 1.5 ms",
     "p: 0.1, storage: procedural}\n    weight: 1 nS\n    delay: ▶{normal: {mean: 9 ms, std: 1.2 ms}}",
     "drawn delays may be negative", "add redraw: {min: 0.05 ms}"),
    ("tau: 20 ms", "tau: ▶20,5 ms", "'20,5 ms' has a decimal comma", "write 20.5 ms"),
    ("weight: 1 nS", "weight: ▶1,5 nS", "'1,5 nS' has a decimal comma", "write 1.5 nS"),
    ("current: 200 pA", "current: 200,▶5 pA", "unknown key", "if the comma is a decimal one, write a point"),
    # what no cast or quantum can hold
    ("V_th: -50 mV", "V_th: ▶1e36 V", "1e+36 V is more than float32 can hold", ""),
    ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_indegree, n: ▶9999999999}", "9999999999 is not allowed", "below 2,147,483,648"),
    ("delay: 1.5 ms", "delay: ▶100000 s", "a delay of 1,000,000,000 steps is too long", "16,777,216 steps, which are 1677"),
    ("delay: 1.5 ms", "delay: ▶{exponential: {mean: 100 s}}", "drawn delays may be too long", "add redraw: {max: ...}"),
    ("weight: 1 nS", "weight: ▶1e-40 nS", "the weight is too small for float32", ""),
    ("weight: 1 nS", "weight: ▶1e40 nS", "the weight is too large for float32", ""),
    ("weight: 1 nS", "weight: ▶{gamma: {mean: 1e40 nS, std: 1e40 nS}}", "the weight is too large for float32", ""),
    # files of edges
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶no.csv}", "there is no file", "relative to the folder"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶n.csv}", "n.csv has no column 'pre'", "it has tau_ms"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶mv.csv}", "'weight_mV' is in mV, and a conductance is wanted",
     "S, mS, uS, nS"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶two.csv}", "several weights: weight_nS, weight_pA", "keep one"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶delay.csv}", "has a column 'delay_s'", "delays are named delay_ms"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶two.h5}", "two.h5 has the edge populations a, b", "population: ..."),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶two.h5, population: c}", "has no edge population 'c'", "it has a, b"),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶none.h5}", "none.h5 has no edge population", ""),
    ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: ▶flat.h5}", "the edge population 'a' of flat.h5 is no group", ""),
    # monitors
    ("model: spikes", "model: ▶spike", "unknown model 'spike'", "did you mean spikes?"),
    ("[V]", "▶[]", "the list is empty", "name at least one"),
    ("[V]", "▶V", "a list is wanted, and this is 'V'", "write [V]"),
    ("[V]", "[▶3]", "a text is wanted, and this is 3", 'write "3"'),
    ("[V]", "[▶U]", "E has no state variable 'U'", "known: V, ref, kept, exc.x"),
    ("[V]", "[V, ▶exc.y]", "E has no state variable 'exc.y'", "did you mean exc.x?"),
    ("[V]", "[V, ▶V]", "'V' is named twice", "remove one of the two"),
    ('"E[:3]"', "▶noise", "noise is a source (poisson) and has no state to record", "monitor its spikes"),
    ("every: 0.1 ms", "every: ▶0.05 ms", "0.05 ms is no whole number of steps", "use 0.1 ms"),
    ("every: 0.1 ms", "every: ▶0 ms", "0 ms is less than one step", "use at least 0.1 ms"),
    ("bin: 5 ms", "bin: ▶5.05 ms", "5.05 ms is no whole number of steps", "use 5 ms or 5.1 ms"),
    ("  rate: {model: rate, of: E, bin: 5 ms}", "  ▶rate: {model: rate, of: E}", "rate: bin is missing", "add bin: 5 ms"),
    ("bin: 5 ms", "bin: 5 ms, start: 9 ms, stop: ▶1 ms", "stop must lie after start", ""),
    ("{model: input, of: E}", "{model: input, of: E, receptors: [▶ex]}", "E has no receptor or input 'ex'", "did you mean exc?"),
    ("{model: input, of: E}", "{model: input, of: E, receptors: ▶[]}", "the list is empty", "name at least one"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files, good and bad, that the tables refer to."""
    import h5py

    path = tmp_path_factory.mktemp("networks")
    for name, text in {"n.csv": "tau_ms,tau_mV,tau\n1,2,3\n", "empty.csv": "", "n.txt": "", "edges.csv": "pre,post\n0,1\n",
                       "mv.csv": "pre,post,weight_mV\n", "two.csv": "pre,post,weight_nS,weight_pA\n",
                       "delay.csv": "pre,post,delay_s\n", "full.csv": "pre,post,weight_nS,delay_ms\n", "bad.npz": "no",
                       "bad.h5": "no", "trains.csv": "neuron,time_ms\n0,1\n"}.items():  # fmt: skip
        (path / name).write_text(text)
    (path / "latin.csv").write_bytes(b"\xb5\n")
    for name, edges in {"two.h5": ("a", "b"), "none.h5": (), "flat.h5": ()}.items():
        with h5py.File(path / name, "w") as file:
            group = file.create_group("edges")
            for population in edges:
                group.create_group(population)
            if name == "flat.h5":
                group["a"] = np.zeros(3)
    return path


def test_the_file_that_the_tables_start_from_is_valid(folder):
    loaded = load(folder, VALID)
    assert not loaded.warnings and loaded.spec.name == "net" and loaded.spec.seed == 3


@pytest.mark.parametrize(("old", "new", "message", "hint"), WRONG, ids=[f"{i} {row[1][:50]!r}" for i, row in enumerate(WRONG)])
def test_a_mistake_is_shown_at_its_place_with_what_to_write(folder, old, new, message, hint):
    text = replaced(old, new.replace("▶", ""))
    objects, shown = found_in(folder, text)
    said = [entry for entry in objects if message in f"{entry['path']}: {entry['message']}" and hint in entry["hint"]]
    assert said, shown
    if "▶" in new:
        assert (said[0]["line"], said[0]["column"]) == marked_place(old, new), shown
    assert visible(said[0]["message"]) in shown


@pytest.mark.parametrize("delay", ["1e300 s", "1e9 s", "100000.00005 s"])
def test_a_delay_that_is_too_long_is_one_mistake(folder, delay):
    objects, _ = found_in(folder, replaced("delay: 1.5 ms", f"delay: {delay}"))
    assert [entry["path"] for entry in objects] == ["projections.exc.delay"]


def test_a_misspelled_key_is_not_also_reported_as_missing(folder):
    objects, _ = found_in(folder, replaced("V_th:", "V_treshold:"))
    assert {entry["message"] for entry in objects} == {"unknown key"}


def test_a_list_of_wrong_entries_is_not_also_reported_as_empty(folder):
    objects, _ = found_in(folder, replaced("[V]", "[3]"))
    assert [entry["path"] for entry in objects] == ["monitors.voltage.variables[0]"]


def test_a_missing_key_is_shown_at_the_key_of_the_part_that_lacks_it(folder):
    objects, _ = found_in(folder, replaced("    tau: 20 ms\n", ""))
    assert [(entry["path"], entry["line"], entry["column"]) for entry in objects] == [
        ("populations.E", 6, 3),
        ("populations.I", 15, 3),
    ]


def test_a_required_section_is_missed(folder):
    assert found_in(folder, "seed: 3\n")[1].count("missing") == 2
    assert "add duration: 1 s" in found_in(folder, VALID.replace("duration: 100 ms\n", ""))[1]
    assert "there are no populations" in found_in(folder, "duration: 1 s\npopulations: {}\n")[1]


def test_all_mistakes_of_a_file_come_at_once_and_in_its_order(folder):
    text = VALID
    for old, new in [("dt: 0.1 ms", "dt: 0 ms"), ("V_th: -50 mV", "V_th: -50"), ("rate: 10 Hz", "rate: -10 Hz"),
                     ("to: E", "to: X"),
                     ("p: 0.1", "p: 2"), ("[V]", "[U]"), ("bin: 5 ms", "bni: 5 ms")]:  # fmt: skip
        text = replaced(old, new, text)
    objects, shown = found_in(folder, text)
    lines = [entry["line"] for entry in objects]
    assert lines == sorted(lines)
    assert [entry["path"] for entry in objects] == [
        "dt", "populations.E.V_th", "populations.I.V_th", "populations.noise.rate", "inputs.drive.to",
        "projections.exc.connect.p", "monitors.rate.bni",
    ]  # fmt: skip
    assert shown.endswith("6 errors in " + str(folder / "net.yaml"))  # V_th of E and I is one mistake


def test_what_refers_to_a_broken_part_is_not_called_missing(folder):
    objects, _ = found_in(folder, replaced("    tau: 20 ms\n", ""))
    assert not any("there is no population" in entry["message"] for entry in objects)
    objects, _ = found_in(folder, replaced("rule: fixed_prob", "rule: fxd").replace("[V]", "[exc.x]"))
    assert [entry["path"] for entry in objects] == ["projections.exc.connect.rule"]


def test_a_part_is_checked_although_another_one_is_broken(folder):
    objects, _ = found_in(folder, replaced("model: lif", "model: lief").replace("rate: 10 Hz", "rate: 99 kHz"))
    assert "populations.noise.rate" in [entry["path"] for entry in objects]


def test_thousands_of_mistakes_are_found_before_long(folder):
    """Each was looked up in a list of all others."""
    population = "{sise: 1, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, C: 250 pF}"
    names = ", ".join(f"E{i}: *a" for i in range(1, 5000))
    with pytest.raises(document.SpecError) as caught:
        load(folder, f"duration: 1 s\npopulations: {{E0: &a {population}, {names}}}\n")
    assert len(caught.value.faults) == 5000


@pytest.mark.parametrize("name", ["lif", "pairs", "file", "rate", "poisson", "spikes", "model", "value"])
def test_names_that_are_also_words_of_the_format_do_not_lead_astray(folder, name):
    text = VALID.replace("  noise:", f"  {name}:") + f"  {name}2: {{model: rate, of: {name}, bin: 1, bin2: 3}}\n"
    objects, _ = found_in(folder, text)
    assert [entry["path"] for entry in objects] == [f"monitors.{name}2.bin", f"monitors.{name}2.bin2"]


def test_a_fault_in_a_rule_is_not_taken_for_one_in_its_namesake(folder):
    """`pairs` is the rule and a key of it: pydantic names both in a location."""
    objects, _ = found_in(folder, replaced("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, 0]], storage: x}"))
    assert [entry["path"] for entry in objects] == ["projections.exc.connect.storage"]


# ---- what is allowed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tau: 20 ms", "tau: {normal: {mean: 20 ms, std: 2 ms, redraw: {min: 1 ms}}}"),
        ("tau: 20 ms", "tau: {file: n.csv, column: tau_ms}"),
        ("tau_ref: 2 ms", "tau_ref: 0 ms"),
        ("V_reset: -60 mV", "V_reset: {normal: {mean: -40 mV, std: 1 mV}}"),  # only the draw can tell
        ("times: [1 ms, 2 ms]", "times: []"),
        ("times: [1 ms, 2 ms]", "times: {file: trains.csv}"),
        ("times: [1 ms, 2 ms]", "times: [2 ms, 1 ms]"),
        ("rate: 10 Hz", "rate: 0 Hz"),
        ("p: 0.1", "p: 0"),
        ("p: 0.1", "p: 1"),
        ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_total, n: 0}"),
        ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_indegree, n: 8, multapses: false}"),
        ("{rule: fixed_prob, p: 0.1}", "{rule: pairs, pairs: [[0, 0], [7, 9], [0, 0]]}"),
        ("{rule: fixed_prob, p: 0.1}", "{rule: file, path: edges.csv}"),
        ("p: 0.1", "p: 0.1, storage: procedural"),
        ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_outdegree, n: 3, multapses: false, storage: procedural}"),
        (
            "{rule: fixed_prob, p: 0.1}\n    weight: 1 nS",
            "{rule: all_to_all, storage: procedural}\n    weight: {gamma: {mean: 1 nS, std: 1 nS}}",
        ),
        ("{rule: fixed_prob, p: 0.1}", "{rule: fixed_indegree, n: 3, storage: stored}"),
        ("post: [E, I]", 'post: ["E[:3]", "E[5:]", "I[0]"]'),
        ("pre: E", "pre: noise"),
        ("    delay: 1.5 ms\n", ""),
        ("    output: {model: coba, E: 0 mV}\n", "    output: {model: coba, E: {normal: {mean: 0 mV, std: 1 mV}}}\n"),
        ("[V]", "[V, ref, exc.x]"),
        ("{model: input, of: E}", "{model: input, of: [E, I], receptors: [exc]}"),
        ("seed: 3", "seed: 18446744073709551615"),
        ("dt: 0.1 ms\n", ""),
    ],
)
def test_what_the_format_promises_is_accepted(folder, old, new):
    assert load(folder, replaced(old, new)).spec.populations


TINY = """\
  tiny: {pre: E, post: E, connect: {rule: all_to_all}, weight: 1e-10 nS, synapse: {model: expon, tau: 5 ms},
         output: {model: coba, E: 0 mV}}

"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate: 10 Hz", "rate: 2 kHz", "rate * dt is 0.2: spikes that would share a step are lost"),
        ("200 pA", "200 pA, start: 1 s", "this begins after the end of the run"),
        (
            "{rule: fixed_prob, p: 0.1}",
            "{rule: file, path: full.csv}",
            "full.csv has its own weights, which stand in for this one",
        ),
        ("0.1 mV, synapse", "1e-6 mV, synapse", "float32 may hold V of I in steps of no less than 1e-06 mV, in which"),
        ("current: 200 pA", "current: 1e40 pA", "float32 has no numbers as large as this"),
        ("current: 200 pA", "current: 1e-40 pA", "float32 has no numbers as small as this"),
        ("tau: 5 ms", "tau: 1e12 s", "these are 1e+16 steps of 0.1 ms, and what changes that slowly stands still in float64"),
        ("monitors:\n", f"{TINY}monitors:\n", "in float32 this weight becomes 0 beside one on the same receptor that is"),
        ("monitors:\n", f"{TINY}monitors:\n".replace("e-10", "e-8"), "in float32 this weight is rounded by"),
    ],
)
def test_what_is_odd_but_possible_is_a_warning(folder, old, new, message):
    loaded = load(folder, replaced(old, new))
    assert message in document.render(loaded.document, loaded.warnings, "warning")


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.1 mV, synapse", "1e-6 mV, synapse"), ("current: 200 pA", "current: 1e40 pA"), ("weight: 1 nS", "weight: 1e-39 nS")],
)
def test_what_float32_cannot_hold_is_no_matter_in_float64(folder, old, new):
    assert load(folder, f"precision: float64\n{replaced(old, new)}").warnings == load(folder, VALID).warnings


def test_what_is_kept_in_float64_anyway_is_not_warned_of(folder):
    """A jump of 1e-6 mV on a membrane of 10 s."""
    changed = replaced("0.1 mV, synapse", "1e-6 mV, synapse", replaced("    tau: 20 ms", "    tau: 10 s"))
    assert load(folder, changed).warnings == load(folder, VALID).warnings


def test_weights_that_float64_tells_apart_are_no_matter(folder):
    assert not load(folder, "precision: float64\n" + replaced("monitors:\n", f"{TINY}monitors:\n")).warnings
    assert not load(folder, replaced("monitors:\n", f"{TINY}monitors:\n".replace("e-10", "e-4"))).warnings


def test_defaults(folder):
    text = VALID.replace("seed: 3\n", "").replace("dt: 0.1 ms\n", "").replace("    delay: 1.5 ms\n", "")
    found = load(folder, text, name="my net.yaml").spec
    assert (found.name, found.seed, found.dt, found.precision) == ("my net", 0, 0.1, "float32")
    assert found.projections["exc"].delay == 0.0 and found.populations["kick"].times == (1.0, 2.0)


def test_values_arrive_in_internal_units(folder):
    found = load(folder, VALID).spec
    assert found.inputs["bg"].rate == 1.0 and found.projections["exc"].weight == Quantity(1.0, "conductance")
    assert law_of(found.populations["E"].init.V) == Law("normal", -55.0, 2.0, None, None)
    bounded = load(folder, replaced("std: 2 mV", "std: 2 mV, clip: {max: -50 mV}")).spec
    assert law_of(bounded.populations["E"].init.V).clip == (-math.inf, -50.0)


def test_what_feeds_receptors_keeps_the_order_of_the_file(folder):
    inputs, projections, monitors = (VALID.index(f"{section}:\n") for section in ("inputs", "projections", "monitors"))
    swapped = VALID[:inputs] + VALID[projections:monitors] + VALID[inputs:projections] + VALID[monitors:]
    assert [name for _, name, _ in load(folder, VALID).spec.feeding] == ["bg", "exc"]
    assert [name for _, name, _ in load(folder, swapped).spec.feeding] == ["exc", "bg"]


@pytest.mark.parametrize(
    ("selection", "runs"),
    [
        (("A",), [("A", 0, 10)]),
        (("A[3]",), [("A", 3, 4)]),
        (("A[:5]",), [("A", 0, 5)]),
        (("A[5:]",), [("A", 5, 10)]),
        (("A[5:9]",), [("A", 5, 9)]),
        (("A[:]",), [("A", 0, 10)]),
        (("A[007]",), [("A", 7, 8)]),
        (("A[-1]", "A[:-7]", "A[-4:-1]"), [("A", 9, 10), ("A", 0, 3), ("A", 6, 9)]),
        (("A[-10:]",), [("A", 0, 10)]),
        (("B", "A[9]", " A[:2] "), [("B", 0, 3), ("A", 9, 10), ("A", 0, 2)]),
    ],
)
def test_a_selection_names_runs_of_neurons_in_its_own_order(selection, runs):
    found = selections.parts(selection, {"A": 10, "B": 3})
    assert [(part.population, part.start, part.stop) for part in found] == runs and all(part.dense for part in found)


# ---- options ---------------------------------------------------------------------------------------------------------


def test_an_option_replaces_a_value_before_anything_is_checked(folder):
    item = Override(("populations", "E", "size"), "4", "--set #1")
    found = load(folder, replaced("size: 8", "size: wrong"), [item]).spec
    assert found.populations["E"].size == 4 and found.populations["I"].size == 2


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("populations.E.size", "0", "populations.E.size: 0 is not allowed here|0|write a number of at least 1"),
        ("populations.E.tau", "5", "populations.E.tau: a time needs a unit|5|write 5 ms"),
        ("populations.E.taw", "5 ms", "populations.E.taw: unknown key|taw=5 ms|did you mean tau?"),
        ("populations.E.0", "5 ms", "populations.E.0: unknown key|0=5 ms|known: model, size"),
        ("projections.exc.pre", "E[:9]", "projections.exc.pre: E[:9] is out of range|E[:9]|E has 8 neurons"),
        ("projections.exc.post.1", "X", "projections.exc.post[1]: there is no population 'X'|X|"),
        ("projections.exc.connect", "{rule: fixed_prob, p: 3}", "projections.exc.connect.p: 3 is not allowed here|3}|"),
        ("projections.exc.weight", "{normal: {mean: 1 nS, std: 2}}", "normal.std: |2}}|write 2 nS"),
        ("populatoins.E.size", "3", "populatoins: there is no such part|populatoins.|did you mean populations?"),
        ("populations.E.tau.x", "3", "populations.E.tau.x: there is no such part|x=3|populations.E.tau is a value without parts"),
        ("populations.X", "{size: 3}", "populations.X: model is missing|X={|add model"),
        (
            "populations.X.size",
            "3",
            "populations.X: there is no such part|X.size|a new one is set as a whole: populations.X={...}",
        ),
        ("projections.exc.connect.p", "{a: 1", "p: a bracket is not closed||write } at the end"),
        ("projections.exc.connect.p", "'a", "p: a quotation mark is not closed|'a|it opens here"),
        ("name", "a: b", "name: this is no YAML: a colon is not expected here|: b|write a mapping in { }"),
        ("dt", "", "dt: a time is wanted here||like 5 ms"),
    ],
)
def test_a_mistake_in_an_option_is_shown_in_the_option(folder, path, value, shown):
    said, at, hint = shown.split("|")
    head, text, caret, *_ = found_in(folder, VALID, [Override(tuple(path.split(".")), value, "--set #1")])[1].split("\n")
    assert head.startswith("--set #1: ") and said in head
    assert text == f"      | {path}={value}"
    assert text[caret.index("^") :].startswith(at) and hint in caret


def test_a_section_that_the_file_lacks_is_set_with_its_first_entry(folder):
    whole = VALID.split("projections:")[0]
    item = Override(
        ("projections", "exc"), "{pre: E, post: I, connect: {rule: all_to_all}, weight: 1 mV, synapse: {model: delta}}", ""
    )
    assert "exc" in load(folder, whole, [item]).spec.projections
    shown = found_in(folder, whole, [Override(("projektions", "exc"), "{}", "--set #1")])[1]
    assert "--set #1: projektions: unknown key" in shown and "did you mean projections?" in shown


def test_what_an_option_breaks_elsewhere_is_shown_there(folder):
    objects, _ = found_in(folder, VALID, [Override(("dt",), "0.3 ms", "--set #1")])
    assert {"populations.E.tau_ref", "duration"} <= {entry["path"] for entry in objects}
    assert all(entry["file"].endswith("net.yaml") for entry in objects)


def test_an_option_for_one_population_does_not_change_the_one_that_merges_it(folder):
    found = load(folder, VALID, [Override(("populations", "E", "tau"), "7 ms", "--set #1")]).spec
    assert (found.populations["E"].tau, found.populations["I"].tau) == (7.0, 20.0)


# ---- whatever a user may write ---------------------------------------------------------------------------------------

ODD = [None, [], {}, [1], {"a": 1}, 10**90, -(10**20), 2**63, 2**64, math.nan, math.inf, -math.inf, -1, 0, 1.5, "", True, "x",
       "5",
       "5 ms", "-3 mV", "0 ms", "1e400 ms", "1e-320 ms", "1e300 s", "nan mV", "E", "N[9:]", "E[-1]", "N[" + "9" * 5000 + "]",
       "\u00b2[\u00b2]", "a\0b", {"normal": None}, {"normal": {"mean": "1 ms", "std": 0}}, {"uniform": []}, {"redraw": 1},
       {"file": "no.csv", "column": "a_ms"}, {"file": "\0.csv", "column": "b"}, {"file": "a" * 300 + ".csv", "column": "b"},
       [[0, 1]], [[None]], {"model": []}, {"model": {}}, {"rule": {"a": 1}}, {"model": "lif"}, {"rule": "pairs"}]  # fmt: skip
TEXTS = {path: path.read_text(encoding="utf-8") for path in CONFIGS}
TREES = {path: document.read(path).tree for path in CONFIGS}
PIECES = ["&a ", "*lif ", "[", "{", "]", ":", "\n", "- ", "? ", "!!int ", "|", '"', "<<: ", "\u2028", "\x85", "---\n", "#", "~: ",
          "!!map ", "\t", "\x00", "%", "@", "'", "\r"]  # fmt: skip


def paths(tree, path=()):
    yield path
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield from paths(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def mutated(tree, rng):
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 2, 3])):
        every = list(paths(tree))
        if len(every) == 1:
            break
        path = rng.choice(every[1:])
        parent, what = at(tree, path[:-1]), rng.choice(["replace", "replace", "replace", "delete", "rename", "copy"])
        if what == "delete":
            del parent[path[-1]]
        elif what == "rename" and isinstance(parent, dict):
            parent[rng.choice(["zz", "lif", "rate", "", "1", "model", "file"])] = parent.pop(path[-1])
        else:
            parent[path[-1]] = copy.deepcopy(at(tree, rng.choice(every)) if what == "copy" else rng.choice(ODD))
    return tree


def garbled(text, rng):
    data = text.encode()
    for _ in range(rng.choice([1, 1, 3])):
        i = rng.randrange(len(data) + 1)
        piece = rng.choice([bytes([rng.randrange(256)]), rng.choice(PIECES).encode()])
        data = rng.choice([data[:i], data[:i] + piece + data[i:], data[:i] + data[i + rng.randrange(9) :]])
    return data


def assert_loads_or_explains(folder, text, overrides=()):
    try:
        loaded = load(folder, text, overrides, "fuzz.yaml")
    except SpecError as error:
        shown = document.render(error.document, error.faults)
        assert error.faults and len(document.as_objects(error.document, error.faults)) >= 1
        assert all(fault.message for fault in error.faults) and len(shown) < 10**5
    else:
        document.render(loaded.document, loaded.warnings, "warning")


FUZZ = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_survives_being_written_anew(folder, path):
    tree = document.read(path).tree
    assert load(folder, yaml.safe_dump(tree, sort_keys=False), name=path.name).spec == check.load(path).spec


@FUZZ
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32))
def test_no_value_however_odd_is_answered_with_a_traceback(folder, path, seed):
    tree = mutated(TREES[path], random.Random(seed))
    assert_loads_or_explains(folder, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


@FUZZ
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32))
def test_no_text_however_broken_is_answered_with_a_traceback(folder, path, seed):
    assert_loads_or_explains(folder, garbled(TEXTS[path], random.Random(seed)))


@FUZZ
@given(
    st.sampled_from(CONFIGS),
    st.integers(0, 2**32),
    st.sampled_from(["", "5", "{a: 1}", "[", "\n", "&a [*a]", ": x", "- 1"]) | st.text(),
)
def test_no_option_however_odd_is_answered_with_a_traceback(folder, path, seed, value):
    rng = random.Random(seed)
    target = tuple(map(str, rng.choice(list(paths(TREES[path]))[1:]))) + (("x",) if rng.random() < 0.2 else ())
    assert_loads_or_explains(folder, TEXTS[path], [Override(target, value, "--set #1")])


# ---- a faulty part does not hide what else is wrong ------------------------------------------------------------------

MANY = """
duration: 100
populations:
  N: {size: 40, model: lif, tau: 20, V_rest: -65 mV, V_reset: -40 mV, V_th: -50 mV, R: 1 MOhm}
  M: {size: 4.5, model: lif, tau: 20 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 1 MOhm}
projections:
  a: {pre: "N[:50]", post: Q, connect: {rule: fixed_prob, p: 2}, weight: 5 mV, synapse: {model: expon, tau: 3 ms}}
  b: {pre: "M[:50]", post: N, connect: {rule: one_to_one}, weight: 5 mV, synapse: {model: expn, tau: 3 ms}}
monitors:
  s: {model: state, of: N, variables: [U], every: 0.25 ms}
"""


def test_everything_else_is_checked_although_parts_are_faulty(tmp_path):
    """Also what concerns a faulty population or projection, but nothing that hangs on the faulty value itself."""
    (tmp_path / "net.yaml").write_text(MANY)
    with pytest.raises(document.SpecError) as caught:
        check.load(tmp_path / "net.yaml")
    assert {document.dotted(fault.path) for fault in caught.value.faults} == {
        "duration",
        "populations.N.tau",
        "populations.N.V_reset",
        "populations.M.size",
        "projections.a.pre",
        "projections.a.post",
        "projections.a.connect.p",
        "projections.a.weight",
        "projections.b.synapse.model",
        "monitors.s.every",
    }


def test_set_reaches_an_optional_part_that_the_file_leaves_out(tmp_path):
    (tmp_path / "net.yaml").write_text(MANY.split("projections:")[0].replace("100", "1 s").replace("tau: 20,", "tau: 20 ms,")
                                       .replace("-40 mV", "-65 mV").replace("4.5", "4"))  # fmt: skip

    def loaded(path: str, value: str):
        return check.load(tmp_path / "net.yaml", [document.Override(tuple(path.split(".")), value, "--set #1")]).spec

    assert loaded("populations.N.init.V", "-60 mV").populations["N"].init.V == -60.0
    with pytest.raises(document.SpecError) as caught:
        loaded("populations.N.inti.V", "-60 mV")
    shown = document.render(caught.value.document, caught.value.faults)
    assert "--set #1: populations.N.inti: unknown key" in shown and "^ did you mean init?" in shown


SHARED = """
duration: 10 ms
populations:
  N: {size: 4, model: lif, tau: 20 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 1 MOhm}
projections:
  exc: {pre: N, post: N, connect: {rule: all_to_all}, weight: 5 pA, delay: 1 s, synapse: &s {model: expon, tau: 3 ms},
        stp: {U: 0.5, tau_d: 100 ms}}
  inh: {pre: N, post: N, connect: {rule: all_to_all}, weight: -5 pA, synapse: *s}
  own: {pre: N, post: N, connect: {rule: all_to_all}, weight: -5 pA, synapse: {model: expon, tau: 4 ms}}
monitors:
  state: {model: state, of: N, variables: [V, inh.x, own.x, exc.stp.u]}
  input: {model: input, of: N, receptors: [exc, own]}
  all: {model: input, of: N}
"""


def test_a_monitor_of_one_of_several_that_share_a_receptor_is_warned_of(tmp_path):
    (tmp_path / "net.yaml").write_text(SHARED)
    warnings = {document.dotted(warning.path): warning.message for warning in check.load(tmp_path / "net.yaml").warnings}
    assert warnings == {
        "projections.exc.delay": "nothing arrives before the end of the run",
        "monitors.state.variables[1]": "inh shares its receptor with exc: what is recorded is their sum",
        "monitors.input.receptors[0]": "exc shares its receptor with inh: what is recorded is their sum",
    }
