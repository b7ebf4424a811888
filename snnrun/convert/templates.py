"""Model templates of point neurons in SONATA circuits, in the terms of snnrun: what each is, and what its parameters are called.

NEST's parameters are in ms, mV, pA, nS and pF, which are the units inside the program, so that names are all there is to convert.
Defaults are those of NEST 3.10: what a circuit leaves out has them.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Values = Mapping[str, Any]  # numbers, or an array [nodes]
OWN = "snnrun:"  # templates of what only snnrun has


class Port(NamedTuple):
    """A way by which spikes act on a neuron."""

    name: str  # part of the name of a projection
    synapse: dict[str, Any]  # as in a network file, but for parameters, which are named below
    tau: str | None  # the parameter that is its time constant
    E: str | None = None  # the one that is its reversal potential; none where it is a current
    sign: str | None = None  # of the weights that it takes; all where it is None
    scale: float = 1.0  # its weights are those of the circuit, times this


class Neuron(NamedTuple):
    model: str
    names: dict[str, str]  # our parameter -> theirs
    init: dict[str, str]  # our variable -> their parameter
    ports: tuple[Port, ...]  # chosen by the sign of a weight, or by receptor_type, 1 for the first
    by_receptor: bool = False
    fixed: dict[str, float] = {}  # our parameters that are always the same
    derived: dict[str, Callable[[Values], Any]] = {}  # our parameters that follow from several of theirs
    flags: dict[str, bool] = {}  # parameters that say which model it is
    note: str = ""  # what is not quite the same
    switches: tuple[str, ...] = ()  # what is on, under a name that is ours as well


_ALPHA, _EXPON, _DELTA = ({"model": name} for name in ("alpha", "expon", "delta"))
_ANY = (Port("", _DELTA, None),)


def _currents(synapse: dict[str, Any]) -> tuple[Port, ...]:
    return (Port("exc", synapse, "tau_syn_ex", sign="positive"), Port("inh", synapse, "tau_syn_in", sign="negative"))


def _conductances(synapse: dict[str, Any]) -> tuple[Port, ...]:
    exc, inh = _currents(synapse)
    return exc._replace(E="E_ex"), inh._replace(E="E_in", scale=-1.0)


_PSC = {"tau": "tau_m", "C": "C_m", "V_rest": "E_L", "V_reset": "V_reset", "V_th": "V_th", "tau_ref": "t_ref", "I_e": "I_e"}
_COND = {"C": "C_m", "V_rest": "E_L", "V_reset": "V_reset", "V_th": "V_th", "tau_ref": "t_ref", "I_e": "I_e"}
_AEIF = {"C": "C_m", "g_L": "g_L", "V_rest": "E_L", "V_T": "V_th", "Delta_T": "Delta_T", "a": "a", "b": "b", "tau_w": "tau_w",
         "V_reset": "V_reset", "V_th": "V_peak", "tau_ref": "t_ref", "I_e": "I_e"}  # fmt: skip
_HH = {"C": "C_m", "g_L": "g_L", "g_Na": "g_Na", "g_K": "g_K", "E_L": "E_L", "E_Na": "E_Na", "E_K": "E_K", "I_e": "I_e"}
_GATES = {"V": "V_m", "m": "Act_m", "h": "Inact_h", "n": "Act_n"}
_PEAK = "NEST stamps a spike at its peak, snnrun where V rises through {}: some tenths of a millisecond earlier"
_ONE_ABOVE = 1.0000000000000002  # IntFire1 fires where m > 1

_GLIF = {"C": "C_m", "V_rest": "E_L", "V_th": "V_th", "tau_ref": "t_ref"}
_GLIF_RESET = {"V_reset": "V_reset"}
_GLIF_RULES = {"f": "voltage_reset_fraction", "V_add": "voltage_reset_add", "b_s": "th_spike_decay", "theta": "th_spike_add"}
_GLIF_CURRENTS = {f"{ours}{i + 1}": f"{theirs}.{i}" for i in (0, 1)
                  for ours, theirs in (("k", "asc_decay"), ("r", "asc_r"), ("A", "asc_amps"))}  # fmt: skip
_GLIF_THRESHOLD = {"a_v": "th_voltage_index", "b_v": "th_voltage_decay"}
_GLIF_FLAGS = ("spike_dependent_threshold", "after_spike_currents", "adapting_threshold")
_GLIFS: dict[tuple[bool, bool, bool], tuple[str, dict[str, str], bool]] = {
    (False, False, False): ("glif1", _GLIF_RESET, False),
    (True, False, False): ("glif2", _GLIF_RULES, False),
    (False, True, False): ("glif3", _GLIF_RESET | _GLIF_CURRENTS, True),
    (True, True, False): ("glif4", _GLIF_RULES | _GLIF_CURRENTS, True),
    (True, True, True): ("glif5", _GLIF_RULES | _GLIF_CURRENTS | _GLIF_THRESHOLD, True),
}

NEURONS = {
    "nest:iaf_psc_alpha": Neuron("lif", _PSC, {"V": "V_m"}, _currents(_ALPHA)),
    "nest:iaf_psc_exp": Neuron("lif", _PSC, {"V": "V_m"}, _currents(_EXPON)),
    "nest:iaf_psc_delta": Neuron("lif", _PSC, {"V": "V_m"}, _ANY),
    "nest:iaf_cond_alpha": Neuron("lif", _COND, {"V": "V_m"}, _conductances(_ALPHA),
                                  derived={"tau": lambda p: p["C_m"] / p["g_L"]}),
    "nest:iaf_cond_exp": Neuron("lif", _COND, {"V": "V_m"}, _conductances(_EXPON),
                                derived={"tau": lambda p: p["C_m"] / p["g_L"]}),
    "nest:aeif_psc_alpha": Neuron("adex", _AEIF, {"V": "V_m", "w": "w"}, _currents(_ALPHA)),
    "nest:aeif_psc_exp": Neuron("adex", _AEIF, {"V": "V_m", "w": "w"}, _currents(_EXPON)),
    "nest:aeif_psc_delta": Neuron("adex", _AEIF, {"V": "V_m", "w": "w"}, _ANY),
    "nest:aeif_cond_alpha": Neuron("adex", _AEIF, {"V": "V_m", "w": "w"}, _conductances(_ALPHA)),
    "nest:aeif_cond_exp": Neuron("adex", _AEIF, {"V": "V_m", "w": "w"}, _conductances(_EXPON)),
    "nest:izhikevich": Neuron("izhikevich", {"a": "a", "b": "b", "c": "c", "d": "d", "V_peak": "V_th", "I_e": "I_e"},
                              {"V": "V_m", "u": "U_m"}, _ANY, fixed={"C": 1.0}),
    "nest:mat2_psc_exp": Neuron("mat2", {"tau": "tau_m", "C": "C_m", "V_rest": "E_L", "omega": "omega", "tau_1": "tau_1",
                                         "tau_2": "tau_2", "alpha_1": "alpha_1", "alpha_2": "alpha_2", "tau_ref": "t_ref",
                                         "I_e": "I_e"}, {"V": "V_m"}, _currents(_EXPON)),
    "nest:hh_psc_alpha": Neuron("hh", _HH, _GATES, _currents(_ALPHA), fixed={"V_th": 0.0}, note=_PEAK.format("0 mV")),
    "nest:hh_cond_exp_traub": Neuron("hh_traub", _HH | {"V_T": "V_T", "tau_ref": "t_ref"}, _GATES, _conductances(_EXPON),
                                     derived={"V_th": lambda p: p["V_T"] + 30.0}, note=_PEAK.format("V_T + 30 mV")),
    "nrn:IntFire1": Neuron("lif", {}, {}, _ANY, fixed={"V_rest": 0.0, "V_reset": 0.0, "V_th": _ONE_ABOVE, "R": 1.0},
                           derived={"tau": lambda p: 1000.0 * p["tau"], "tau_ref": lambda p: 1000.0 * p["refrac"]},
                           note="m of IntFire1 is V in mV, and a spike adds the weight to it"),
}  # fmt: skip

_MULTI = {  # with a receptor for each of their time constants
    "nest:iaf_psc_alpha_multisynapse": ("nest:iaf_psc_alpha", _ALPHA, False),
    "nest:iaf_psc_exp_multisynapse": ("nest:iaf_psc_exp", _EXPON, False),
    "nest:glif_psc": (None, _ALPHA, False),
    "nest:glif_cond": (None, _ALPHA, True),
}
KNOWN = (*NEURONS, *_MULTI)

_LIF = {"C_m": 250.0, "E_L": -70.0, "I_e": 0.0, "V_m": -70.0, "V_reset": -70.0, "V_th": -55.0, "t_ref": 2.0, "tau_m": 10.0}
_LIF_COND = {"C_m": 250.0, "E_L": -70.0, "I_e": 0.0, "V_m": -70.0, "V_reset": -60.0, "V_th": -55.0, "t_ref": 2.0, "g_L": 16.6667,
             "E_ex": 0.0, "E_in": -85.0, "tau_syn_ex": 0.2, "tau_syn_in": 2.0}  # fmt: skip
_ADEX = {"C_m": 281.0, "Delta_T": 2.0, "E_L": -70.6, "I_e": 0.0, "V_m": -70.6, "V_peak": 0.0, "V_reset": -60.0, "V_th": -50.4,
         "a": 4.0, "b": 80.5, "g_L": 30.0, "t_ref": 0.0, "tau_w": 144.0, "w": 0.0}  # fmt: skip
_GLIF_DEFAULTS = {"C_m": 58.72, "E_L": -78.85, "V_m": -78.85, "V_reset": -78.85, "V_th": -51.68, "asc_amps": [-9.18, -198.94],
                  "asc_decay": [0.003, 0.1], "asc_init": [0.0, 0.0], "asc_r": [1.0, 1.0], "t_ref": 3.75,
                  "th_spike_add": 0.37, "th_spike_decay": 0.009, "th_voltage_decay": 0.09, "th_voltage_index": 0.005,
                  "voltage_reset_add": 18.51, "voltage_reset_fraction": 0.2, **dict.fromkeys(_GLIF_FLAGS, False)}  # fmt: skip
_TWO = {"tau_syn_ex": 2.0, "tau_syn_in": 2.0}
_FAST = {"tau_syn_ex": 0.2, "tau_syn_in": 2.0}
_REVERSALS = {"E_ex": 0.0, "E_in": -85.0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "nest:iaf_psc_alpha": _LIF | _TWO,
    "nest:iaf_psc_exp": _LIF | _TWO,
    "nest:iaf_psc_delta": _LIF,
    "nest:iaf_cond_alpha": _LIF_COND,
    "nest:iaf_cond_exp": _LIF_COND,
    "nest:iaf_psc_alpha_multisynapse": _LIF | {"tau_syn": [2.0]},
    "nest:iaf_psc_exp_multisynapse": _LIF | {"tau_syn": [2.0]},
    "nest:aeif_psc_alpha": _ADEX | _FAST,
    "nest:aeif_psc_exp": _ADEX | _FAST,
    "nest:aeif_psc_delta": _ADEX,
    "nest:aeif_cond_alpha": _ADEX | _FAST | _REVERSALS,
    "nest:aeif_cond_exp": _ADEX | _FAST | _REVERSALS,
    "nest:izhikevich": {"I_e": 0.0, "U_m": -13.0, "V_m": -65.0, "V_th": 30.0, "a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0},
    "nest:mat2_psc_exp": {"C_m": 100.0, "E_L": -70.0, "I_e": 0.0, "V_m": -70.0, "alpha_1": 37.0, "alpha_2": 2.0, "omega": -51.0,
                          "t_ref": 2.0, "tau_1": 10.0, "tau_2": 200.0, "tau_m": 5.0, "tau_syn_ex": 1.0, "tau_syn_in": 3.0},
    "nest:hh_psc_alpha": {"C_m": 100.0, "E_K": -77.0, "E_L": -54.402, "E_Na": 50.0, "I_e": 0.0, "V_m": -65.0, "g_K": 3600.0,
                          "g_L": 30.0, "g_Na": 12000.0, "t_ref": 2.0, "Act_m": 0.05293248525724958, "Act_n": 0.3176769140606974,
                          "Inact_h": 0.5961207535084603, **_FAST},
    "nest:hh_cond_exp_traub": {"C_m": 200.0, "E_K": -90.0, "E_L": -60.0, "E_Na": 50.0, "I_e": 0.0, "V_T": -63.0, "V_m": -60.0,
                               "g_K": 6000.0, "g_L": 10.0, "g_Na": 20000.0, "t_ref": 2.0, "Act_m": 9.895563096746586e-09,
                               "Act_n": 2.551577051602551e-07, "Inact_h": 0.999999999106396, "E_ex": 0.0, "E_in": -80.0,
                               "tau_syn_ex": 5.0, "tau_syn_in": 10.0},
    "nest:glif_psc": _GLIF_DEFAULTS | {"g": 9.43, "tau_syn": [2.0]},
    "nest:glif_cond": _GLIF_DEFAULTS | {"g_m": 9.43, "tau_syn": [0.2, 2.0], "E_rev": [0.0, -85.0]},
    "nrn:IntFire1": {"tau": 0.01, "refrac": 0.005},
}  # fmt: skip

# of no effect on spikes here, and of an effect unless they have this value (or a lower one, of V_min)
IGNORED = {"tau_minus", "tau_minus_triplet", "tau_Ca", "beta_Ca", "gsl_error_tol", "V_dynamics_method", "rho", "type"}
_ONLY = {"delta": 0.0, "refractory_input": False, "ignore_and_spike": False, "consistent_integration": True}
SWITCHES = {"nest:iaf_psc_delta": ("refractory_input",)}
_UNBOUNDED = -1e300
_SPARE = {"asc_amps": 0.0, "asc_init": 0.0, "asc_r": 1.0, "asc_decay": 0.1}  # an after-spike current that is not there


class TemplateError(ValueError):
    """A template or a parameter that snnrun has nothing for: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def resolved(template: str, given: Values, count: int) -> tuple[Neuron, dict[str, Any]]:
    """What a template with the parameters of a node type is, and all of its parameters by their names; those that are lists are
    `tau_syn.0`, `tau_syn.1`. Where NEST wants one number a list has one for each of the `count` nodes. Raises TemplateError."""
    if template.startswith("nest:glif_lif") and given.get("type") == "GLIF":
        template, given = "nest:glif_psc", _of_allen(template, given)
    if template not in DEFAULTS:
        near = ", ".join(name.removeprefix("nest:") for name in KNOWN if name.startswith("nest:"))
        hint = f"of NEST's there are {near}; of NEURON's IntFire1"
        if f"nest:{template}" in DEFAULTS:
            hint = f"write nest:{template}"
        elif similar := difflib.get_close_matches(template, DEFAULTS, n=1, cutoff=0.85):
            hint = f"did you mean {similar[0]}? {hint}"
        if template.startswith("nest:glif_lif"):
            hint = "its dynamics_params are those of the Allen Cell Types Database, with type GLIF"
        raise TemplateError(f"there is no counterpart of the model_template {template!r}", hint)
    found, switches = dict(DEFAULTS[template]), []
    for name, value in given.items():
        if name in IGNORED:
            continue
        if name in SWITCHES.get(template, ()) and isinstance(value, bool):
            switches += [name] * value
            continue
        if name in _ONLY and value == _ONLY[name] or name == "V_min" and isinstance(value, int | float) and value <= _UNBOUNDED:
            continue
        if name in _ONLY or name == "V_min":
            raise TemplateError(f"{name} of {template} is {value!r}", "snnrun's model has nothing like it")
        if name not in found:
            raise TemplateError(f"{template} has no parameter {name!r}", f"it has {', '.join(sorted(found))}")
        found[name] = value
    neuron = _multi(template, found) if template in _MULTI else NEURONS[template]
    neuron = neuron._replace(switches=tuple(sorted(switches)))
    return neuron, _flat(template, found, count)


def _flat(template: str, found: Values, count: int) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        listed = isinstance(DEFAULTS[template][name], list)
        if not listed and isinstance(value, list) and len(value) == count and all(map(_is_number, value)):
            flat[name] = value
            continue
        if listed != isinstance(value, list):
            said = (
                f"{value!r}" if not isinstance(value, list) else f"a list of {len(value):,}, and there are {count:,} such nodes"
            )
            raise TemplateError(f"{name} of {template} is {said}", "a list is wanted" if listed else "a number is wanted")
        if name in _SPARE:
            if len(value) > 2:
                raise TemplateError(f"{name} of {template} has {len(value)} values", "snnrun's have two after-spike currents")
            value = [*value, *2 * [_SPARE[name]]][:2]
        every = {f"{name}.{i}": item for i, item in enumerate(value)} if isinstance(value, list) else {name: value}
        for key, item in every.items():
            if isinstance(item, bool) and name in _GLIF_FLAGS:
                continue
            if not _is_number(item):
                raise TemplateError(f"{key} of {template} is {item!r}", "a number is wanted")
            flat[key] = float(item)
    return flat


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _multi(template: str, found: Values) -> Neuron:
    base, synapse, conductance = _MULTI[template]
    taus = found["tau_syn"]
    if not isinstance(taus, list) or not taus:
        raise TemplateError(f"tau_syn of {template} is {taus!r}", "a list of time constants is wanted")
    if conductance and len(found["E_rev"]) != len(taus):
        raise TemplateError(f"tau_syn and E_rev of {template} differ in length", "give one of each for every receptor")
    ports = _receptors(synapse, len(taus), conductance)
    if base is not None:
        return NEURONS[base]._replace(ports=ports, by_receptor=True)
    flags = tuple(bool(found[flag]) for flag in _GLIF_FLAGS)
    if flags not in _GLIFS:
        said = ", ".join(f"{flag} {'on' if on else 'off'}" for flag, on in zip(_GLIF_FLAGS, flags, strict=True))
        raise TemplateError(f"{template} with {said} is none of the five GLIF models", "NEST does not take it either")
    return _glif(flags, ports, conductance)


def _receptors(synapse: dict[str, Any], count: int, conductance: bool) -> tuple[Port, ...]:
    return tuple(Port(f"r{i + 1}", synapse, f"tau_syn.{i}", f"E_rev.{i}" if conductance else None) for i in range(count))


def _glif(flags: tuple[bool, ...], ports: tuple[Port, ...], conductance: bool) -> Neuron:
    model, names, currents = _GLIFS[flags]  # type: ignore[index]
    leak = {"g_L": "g_m" if conductance else "g"}
    init = {"V": "V_m"} | ({"I1": "asc_init.0", "I2": "asc_init.1"} if currents else {})
    return Neuron(model, _GLIF | leak | names, init, ports, by_receptor=True, flags=dict(zip(_GLIF_FLAGS, flags, strict=True)))


def with_receptors(model: str, count: int) -> list[tuple[str, Neuron]]:
    """The templates of a model that have so many receptors, chosen by their numbers."""
    found = []
    for template, (base, synapse, conductance) in _MULTI.items():
        ports = _receptors(synapse, count, conductance)
        if base is not None and NEURONS[base].model == model:
            found.append((template, NEURONS[base]._replace(ports=ports, by_receptor=True)))
        for flags, (glif, *_) in _GLIFS.items():
            if base is None and glif == model:
                found.append((template, _glif(flags, ports, conductance)))
    return found


def _of_allen(template: str, config: Values) -> dict[str, Any]:
    """GLIF parameters of the Allen Cell Types Database as those of NEST's glif_psc, as bmtk converts them."""
    kind = template.removeprefix("nest:glif_lif").removesuffix("_psc").strip("_")
    known = {"": 0, "r": 1, "asc": 2, "r_asc": 3, "r_asc_a": 4}
    if not template.endswith("_psc") or kind not in known:
        known_names = ", ".join("glif_lif_" + "_".join(filter(None, (name, "psc"))) for name in known)
        raise TemplateError(f"there is no counterpart of the model_template {template!r}", f"there are {known_names}")
    try:
        coeffs, rest = config["coeffs"], config["El_reference"] * 1e3
        found = {"V_m": config["El"] * 1e3 + rest, "V_th": coeffs["th_inf"] * config["th_inf"] * 1e3 + rest,
                 "g": coeffs["G"] / config["R_input"] * 1e9, "E_L": config["El"] * 1e3 + rest,
                 "C_m": coeffs["C"] * config["C"] * 1e12, "t_ref": config["spike_cut_length"] * config["dt"] * 1e3,
                 "tau_syn": [5.5, 8.5, 2.8, 5.8]}  # fmt: skip
        found |= dict(zip(_GLIF_FLAGS, ("r" in kind.split("_"), "asc" in kind, kind.endswith("_a")), strict=True))
        if not found["spike_dependent_threshold"]:
            found["V_reset"] = rest
        else:
            threshold, reset = config["threshold_dynamics_method"]["params"], config["voltage_reset_method"]["params"]
            found |= {"th_spike_add": threshold["a_spike"] * 1e3, "th_spike_decay": threshold["b_spike"] * 1e-3,
                      "voltage_reset_fraction": reset["a"], "voltage_reset_add": reset["b"] * 1e3}  # fmt: skip
        if found["after_spike_currents"]:
            amps = zip(config["asc_amp_array"], coeffs["asc_amp_array"], strict=True)
            found |= {"asc_init": [value * 1e12 for value in config["init_AScurrents"]],
                      "asc_decay": [1.0 / tau * 1e-3 for tau in config["asc_tau_array"]],
                      "asc_amps": [a * b * 1e12 for a, b in amps]}  # fmt: skip
        if found["adapting_threshold"]:
            threshold = config["threshold_dynamics_method"]["params"]
            found |= {"th_voltage_index": threshold["a_voltage"] * coeffs["a"] * 1e-3,
                      "th_voltage_decay": threshold["b_voltage"] * coeffs["b"] * 1e-3}  # fmt: skip
    except (KeyError, TypeError, ZeroDivisionError, ValueError) as error:
        raise TemplateError(f"the GLIF parameters of {template} are not whole: {error}") from None
    return found
