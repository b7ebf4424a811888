"""A network as a script for NEST.

Its rules of time are those of snnrun: a spike is stamped with the end of its step, V is held for tau_ref after it, an arrival
acts a delay after the stamp. NEST has no delay of 0: it becomes one step. Neurons with conductances and those with equations
that are not linear are integrated adaptively, so that their spikes agree in statistics.

Which of NEST's models a population becomes is a matter of its own model and of what acts on it: the table NEURONS.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snnrun.check import Loaded, connected
from snnrun.convert import scripts as common
from snnrun.convert.scripts import EDGES, Script, Value, Writing, number, written
from snnrun.document import Key
from snnrun.language.expression import names, parse
from snnrun.language.walk import evaluate
from snnrun.models import connect, stdp
from snnrun.quantities import Law, is_literal, law_of, plain
from snnrun.receptors import Receptor, receptors, weight_dimension
from snnrun.selections import Part

_FINEST = 10**6  # parts of a ms of which NEST's steps may be made
JUMP, CURRENT, CONDUCTANCE = "jump", "current", "conductance"


class Acting(NamedTuple):
    """One of NEST's models by what acts on it: `several` is the one with any number of receptors."""

    name: str
    several: str | None = None


class Neuron(NamedTuple):
    parameters: Mapping[str, str | tuple[str, ...]]  # NEST's name -> an expression of ours
    states: Mapping[str, str | tuple[str, ...]]  # NEST's name -> a variable of ours
    acting: Mapping[tuple[str, str], Acting]  # (synapse, effect) -> the model
    usual: str  # without any synapse
    more: Mapping[str, str] = {}  # expressions of those models alone whose receptors are conductances
    currents: Mapping[str, str] = {}  # of all others
    jumps: Mapping[str, str] = {}  # NEST's name -> a field that is true or false, of those whose receptors are jumps
    fixed: Mapping[str, Any] = {}
    needs: Mapping[str, float] = {}  # what parameters NEST's has not, and their value there
    held: bool = True  # whether it has a constant current of its own, I_e


_LEAK = {"E_L": "V_rest", "V_th": "V_th", "V_reset": "V_reset", "t_ref": "tau_ref", "C_m": "C"}
_HH = {"C_m": "C", "g_L": "g_L", "g_Na": "g_Na", "g_K": "g_K", "E_L": "E_L", "E_Na": "E_Na", "E_K": "E_K"}
_V = {"V_m": "V"}
_GATES = {"Act_m": "m", "Inact_h": "h", "Act_n": "n"}  # NEST has them at rest at a potential of its own

NEURONS: dict[str, Neuron] = {
    "lif": Neuron(
        _LEAK, _V,
        {("delta", JUMP): Acting("iaf_psc_delta"), ("expon", CURRENT): Acting("iaf_psc_exp", "iaf_psc_exp_multisynapse"),
         ("alpha", CURRENT): Acting("iaf_psc_alpha", "iaf_psc_alpha_multisynapse"), 
         ("expon", CONDUCTANCE): Acting("iaf_cond_exp"), ("alpha", CONDUCTANCE): Acting("iaf_cond_alpha"),
         ("dual_expon", CONDUCTANCE): Acting("iaf_cond_beta")},
        "iaf_psc_delta", {"g_L": "C / tau"}, {"tau_m": "tau"}, {"refractory_input": "refractory_input"}, {}, {"noise": 0.0},
    ),
    "adex": Neuron(
        {"C_m": "C", "g_L": "g_L", "E_L": "V_rest", "V_th": "V_T", "Delta_T": "Delta_T", "a": "a", "b": "b", "tau_w": "tau_w",
         "V_reset": "V_reset", "V_peak": "V_th", "t_ref": "tau_ref"}, {"V_m": "V", "w": "w"},
        {("delta", JUMP): Acting("aeif_psc_delta"), ("expon", CURRENT): Acting("aeif_psc_exp"),
         ("alpha", CURRENT): Acting("aeif_psc_alpha"),
         ("expon", CONDUCTANCE): Acting("aeif_cond_exp"),
         ("alpha", CONDUCTANCE): Acting("aeif_cond_alpha", "aeif_cond_alpha_multisynapse"),
         ("dual_expon", CONDUCTANCE): Acting("aeif_cond_beta_multisynapse", "aeif_cond_beta_multisynapse")},
        "aeif_psc_delta",
    ),
    "izhikevich": Neuron(
        {"a": "a", "b": "b", "c": "c", "d": "d", "V_th": "V_peak"}, {"V_m": "V", "U_m": "u"},
        {("delta", JUMP): Acting("izhikevich")}, "izhikevich", fixed={"consistent_integration": True}, needs={"C": 1.0},
    ),
    "hh": Neuron(_HH, _V | _GATES, {("alpha", CURRENT): Acting("hh_psc_alpha")}, "hh_psc_alpha"),
    "hh_traub": Neuron(  # NEST takes each step after a peak for a spike, but for t_ref
        {**_HH, "V_T": "V_T", "t_ref": "max(tau_ref, 2)"}, _V | _GATES,
        {("expon", CONDUCTANCE): Acting("hh_cond_exp_traub")}, "hh_cond_exp_traub",
    ),
    "mat2": Neuron(
        {"tau_m": "tau", "C_m": "C", "E_L": "V_rest", "omega": "omega", "tau_1": "tau_1", "tau_2": "tau_2", "alpha_1": "alpha_1",
         "alpha_2": "alpha_2", "t_ref": "tau_ref"}, _V, {("expon", CURRENT): Acting("mat2_psc_exp")}, "mat2_psc_exp",
    ),
    "lif_cond_sfa_rr": Neuron(
        {"C_m": "C", "g_L": "g_L", "E_L": "V_rest", "V_th": "V_th", "V_reset": "V_reset", "t_ref": "tau_ref", "E_sfa": "E_sfa",
         "E_rr": "E_rr", "q_sfa": "q_sfa", "q_rr": "q_rr", "tau_sfa": "tau_sfa", "tau_rr": "tau_rr"}, _V,
        {("expon", CONDUCTANCE): Acting("iaf_cond_exp_sfa_rr")}, "iaf_cond_exp_sfa_rr",
    ),
    "gif_escape": Neuron(
        {"C_m": "C", "g_L": "g_L", "E_L": "E_L", "V_reset": "V_reset", "V_T_star": "V_T", "Delta_V": "Delta_V",
         "lambda_0": "1000 * lambda_0", "t_ref": "tau_ref", "q_stc": ("q1", "q2"), "tau_stc": ("tau_q1", "tau_q2"),
         "q_sfa": ("g1", "g2"), "tau_sfa": ("tau_g1", "tau_g2")}, _V,
        {("expon", CURRENT): Acting("gif_psc_exp", "gif_psc_exp_multisynapse"),
         ("expon", CONDUCTANCE): Acting("gif_cond_exp", "gif_cond_exp_multisynapse")},
        "gif_psc_exp",
    ),
}  # fmt: skip


def _glif(rules: bool, currents: bool, threshold: bool) -> Neuron:
    """A GLIF model of the Allen Institute, which NEST has as one with three switches."""
    parameters: dict[str, str | tuple[str, ...]] = {"C_m": "C", "E_L": "V_rest", "V_th": "V_th", "t_ref": "tau_ref"}
    parameters |= (
        {"voltage_reset_fraction": "f", "voltage_reset_add": "V_add", "th_spike_decay": "b_s", "th_spike_add": "theta"}
        if rules
        else {"V_reset": "V_reset"}
    )
    if currents:
        parameters |= {"asc_decay": ("k1", "k2"), "asc_amps": ("A1", "A2"), "asc_r": ("r1", "r2")}
    if threshold:
        parameters |= {"th_voltage_index": "a_v", "th_voltage_decay": "b_v"}
    switches = {"spike_dependent_threshold": rules, "after_spike_currents": currents, "adapting_threshold": threshold}
    acting = {("alpha", effect): Acting(name, name) for effect, name in ((CURRENT, "glif_psc"), (CONDUCTANCE, "glif_cond"))}
    states = _V | ({"asc_init": ("I1", "I2")} if currents else {})
    return Neuron(parameters, states, acting, "glif_psc", {"g_m": "g_L"}, {"g": "g_L"}, fixed=switches, held=False)


_GLIFS = ((False, False, False), (True, False, False), (False, True, False), (True, True, False), (True, True, True))
NEURONS |= {f"glif{i}": _glif(*switches) for i, switches in enumerate(_GLIFS, 1)}


class Channel(NamedTuple):
    """How NEST's synapses reach a receptor: which one, and what a weight is multiplied by."""

    receptor: int | None
    scale: float


class Group(NamedTuple):
    model: str
    channels: dict[tuple[str, str], Channel]


_GIVES_NOTHING = Group("", {})


def script(loaded: Loaded, target: Path, edges: bool) -> Script:
    """The script. Raises SpecError for what NEST has no counterpart of."""
    w = Writing(loaded, "NEST", (), edges)
    spec = w.spec
    for name in spec.populations:
        w.name("populations", name)
    kept = common.recorded(w)
    windows = common.windows(w, kept)
    own: dict[str, list[Receptor]] = {name: [] for name in spec.populations}
    for receptor in receptors(spec):
        own[receptor.population].append(receptor)
    body, groups = [], {}
    for name, entry in spec.populations.items():
        if hasattr(entry, "init"):
            text, groups[name] = _neurons(w, name, entry, own[name])
        else:
            text = _source(w, name, entry)
        body.append(text)
    shortest = _shortest(w)
    drives = [_drive(w, name, entry, groups) for name, entry in spec.driving]
    drives += [_poisson(w, name, entry, groups, shortest) for name, entry in spec.inputs.items() if hasattr(entry, "synapse")]
    synapses = [_projection(w, name, entry, groups) for name, entry in spec.projections.items()]
    recorders, saved = _recorders(w, kept, windows, groups, shortest)
    how = "Times are those of snnrun. NEST has no delay of 0: the shortest is one step."
    imports = "import nest\nimport numpy as np\n"
    setup = f"nest.set({_tics(w)}resolution=dt_ms, rng_seed={spec.seed % (2**32 - 2) + 1}, print_time=False)\n"
    parts = [common.head(w, target, how, imports), setup + "".join(dict.fromkeys(w.setup))]
    for title, texts in (("neurons", body), ("inputs", drives), ("synapses", synapses), ("the run", [recorders])):
        if any(texts):
            parts += [f"# ---- {title}\n", "\n".join(text for text in texts if text)]
    return w.finish("\n".join([*parts, saved, common.tail(spec, kept, windows)]).replace("\n\n\n\n", "\n\n\n"))


def _tics(w: Writing) -> str:
    """How finely NEST counts time, where a step is no whole number of its usual thousandths of a ms."""
    step = Fraction(w.spec.dt).limit_denominator(_FINEST)
    if (step * 1000).denominator == 1:
        return ""
    if abs(float(step) - w.spec.dt) > 1e-9 * w.spec.dt:
        w.refuse(("dt",), "NEST counts time in whole parts of a ms, and this is none", "write a step like 0.025 ms")
    return f"tics_per_ms={step.denominator * math.ceil(1000 / step.denominator)}, "


def _shortest(w: Writing) -> float:
    """The shortest delay, which sets how often NEST exchanges spikes: what only listens must not be faster."""
    found = []
    for entry in w.spec.projections.values():
        law = law_of(entry.delay)
        found.append(
            plain(entry.delay) if is_literal(entry.delay) else w.spec.dt if law is None or law.redraw is None else law.redraw[0]
        )
    return max(w.spec.dt, round(min(found, default=w.spec.dt) / w.spec.dt) * w.spec.dt if found else w.spec.dt)


# ---- neurons ---------------------------------------------------------------------------------------------------------


def _neurons(w: Writing, name: str, entry: Any, own: list[Receptor]) -> tuple[str, Group]:
    path: Key = ("populations", name)
    neuron = NEURONS.get(entry.model) if name_is_ours(w, entry) else None
    if neuron is None:
        mine = "" if name_is_ours(w, entry) else ", a model of this file,"
        hint = "snnrun export nestml writes its equations for NEST's compiler; snnrun export brian2 writes them for Brian2"
        w.refuse((*path, "model"), f"{entry.model}{mine} has no counterpart among NEST's models", hint)
        return "", _GIVES_NOTHING
    python, n = w.name("populations", name), str(entry.size)
    values = common.parameters(w, name, entry)
    lines = [f"# {name}: {entry.size:,} {entry.model} neurons"]

    def one(text: str) -> Value:
        """The value of an expression of parameters, which an array that it needs gets a name for."""
        node = parse(text)
        used = names(node)
        for x in used:
            if values[x].number is None and not values[x].text.startswith(f"{python}_"):
                lines.append(f"{python}_{x} = {values[x].text}")
                values[x] = Value(f"{python}_{x}")
        if all(values[x].number is not None for x in used):
            found = float(evaluate(node, {x: values[x].number for x in used}, np))
            return Value(number(round(found, 12) if abs(found) < 1e6 else found), found)
        return Value(written(node, common.plain_python(w, {x: values[x].text for x in used})))

    def listed(texts: tuple[str, ...]) -> str:
        """Values that are one list in NEST, which all neurons share."""
        for text in texts:
            if one(text).number is None:
                message = f"{text} that differs from neuron to neuron has no place in NEST's model"
                w.refuse((*path, "model"), message, "write one number")
        return f"[{', '.join(one(text).text for text in texts)}]"

    for needed, only in neuron.needs.items():
        if needed in values and values[needed].number != only:
            w.refuse((*path, needed if getattr(entry, needed, None) is not None else "model"),
                     f"NEST's counterpart of {entry.model} has no {needed} other than {number(only)}",
                     "snnrun export brian2 has" if needed == "noise" else f"leave out {needed}")  # fmt: skip
    model, receptors_text, channels, conductances = _acting(w, path, neuron, entry, own)
    texts = {}
    given = {**neuron.parameters, **(neuron.more if conductances else neuron.currents)}
    for key, text in given.items():
        texts[key] = listed(text) if isinstance(text, tuple) else one(text).text
    texts |= {key: repr(value) for key, value in neuron.fixed.items()} | receptors_text
    if any(receptor.jumps for receptor in own):
        texts |= {key: "True" for key, field in neuron.jumps.items() if getattr(entry, field)}
    current = _constant(w, name, entry)
    if current and neuron.held:
        texts["I_e"] = current
    initial = common.initial(w, name, entry, values)
    for key, x in neuron.states.items():
        every = x if isinstance(x, tuple) else (x,)
        if set(every) <= set(initial):
            values |= {x: initial[x] for x in every}
            texts[key] = listed(x) if isinstance(x, tuple) else one(x).text
    _left_out(w, name, entry, model, neuron, [*given.values(), *neuron.states.values()])
    if (tau := _tau_minus(w, name)) is not None:
        texts["tau_minus"] = number(tau)
    lists = {key: value for key, value in texts.items() if value.startswith("[")}
    if lists:  # which Create would take for values of one neuron each
        own_model = f"{python}_model"
        values_text = ", ".join(f'"{key}": {value}' for key, value in lists.items())
        lines.append(f'nest.CopyModel("{model}", "{own_model}", {{{values_text}}})')
        model, texts = own_model, {key: value for key, value in texts.items() if key not in lists}
    pairs = [f'"{key}": {value}' for key, value in texts.items()]
    rows = ",\n    ".join(map(", ".join, common.rows(pairs)))
    lines.append(f'{python} = nest.Create("{model}", {n}, params={{\n    {rows},\n}})')
    if current and not neuron.held:
        w.helpers["raise_current"] = _RAISE
        lines.append(f"raise_current({python}, {current})")
    return "\n".join(lines) + "\n", Group(model, channels)


def _left_out(w: Writing, name: str, entry: Any, model: str, neuron: Neuron, taken: list[str | tuple[str, ...]]) -> None:
    """Warnings of what the file gives and NEST's model has not."""
    expressions = [text for item in taken for text in (item if isinstance(item, tuple) else (item,))]
    used = {x for text in expressions for x in names(parse(text))} | set(neuron.needs)
    described = common.model_of(entry)
    for p in described.parameters:
        if getattr(entry, p.name, None) is not None and p.name not in used and (p.gives is None or p.gives[0] not in used):
            w.warn(("populations", name, p.name), f"NEST's {model} has no {p.name}, which is left out", "")
    for v in described.variables:
        if getattr(entry.init, v.name, None) is not None and v.name not in used:
            w.warn(("populations", name, "init", v.name), f"NEST's {model} has no {v.name} to set, which is left out", "")


def name_is_ours(w: Writing, entry: Any) -> bool:
    return entry.model not in w.spec.models


def _constant(w: Writing, name: str, entry: Any) -> str:
    """The constant current of all neurons of a population, with that of inputs that never change."""
    total, texts = 0.0, []
    path: Key = ("populations", name, "I_e")
    given = getattr(entry, "I_e", 0.0)
    built = lambda: w.network.populations[name].parameters["I_e"]  # type: ignore[union-attr]  # noqa: E731
    value = w.value(f"{name}.I_e", path, given, built, str(entry.size))
    for item in [value, *(v for key, drive in w.spec.driving if (v := _whole(w, key, drive, name)) is not None)]:
        if item.number is None:
            texts.append(item.text)
        else:
            total += item.number
    if total or not texts:
        texts = [*([number(total)] if total else []), *texts]
    return " + ".join(texts)


def _unchanging(drive: Any) -> bool:
    return drive.model == "constant" and not drive.start and drive.stop is None and drive.current is not None


def _whole(w: Writing, key: str, drive: Any, name: str) -> Value | None:
    """A constant current of a whole population."""
    if not _unchanging(drive):
        return None
    for index, part in enumerate(w.parts(drive.to)):
        if part.population == name and part.size == w.sizes[name]:
            built = lambda i=index: w.network.inputs[key].values[i]["current"]  # type: ignore[union-attr]  # noqa: E731
            return w.value(f"{key}.{name}", ("inputs", key, "current"), drive.current, built, str(part.size))
    return None


def _acting(w: Writing, path: Key, neuron: Neuron, entry: Any, own: list[Receptor]) -> tuple[
        str, dict[str, str], dict[tuple[str, str], Channel], bool]:  # fmt: skip
    """NEST's model for what acts on a population, parameters of its receptors, and how each is reached."""
    none = neuron.usual, {}, {}, any("cond" in x for x in (neuron.usual,))
    kinds: dict[tuple[str, str], Receptor] = {}
    for receptor in own:
        effect = (
            JUMP
            if receptor.jumps
            else CURRENT
            if receptor.output is not None and receptor.output.model == "cuba"
            else CONDUCTANCE
        )
        kind = receptor.synapse.model, effect
        kinds.setdefault(kind, receptor)
        source = receptor.sources[0]
        where: Key = (source.section, source.name, "synapse")
        if receptor.output is not None and receptor.output.model == "mg_block":
            w.refuse((*where[:2], "output"), "mg_block has no counterpart on NEST's neurons", "snnrun export brian2 has it")
            return none
        if kind not in neuron.acting:
            there = sorted(f"{a} as a {b}" for a, b in neuron.acting)
            w.refuse(
                where, f"{kind[0]} as a {kind[1]} has no counterpart on NEST's {entry.model}", f"there are {', '.join(there)}"
            )
            return none
        for part in (receptor.synapse, receptor.output):
            for field in [] if part is None else type(part).model_fields:
                if field not in ("model", "normalize") and not is_literal(getattr(part, field)):
                    w.refuse((*where[:2], "synapse" if part is receptor.synapse else "output", field),
                             "a receptor that differs among neurons is not written for NEST", "write one number")  # fmt: skip
                    return none
    if not kinds:
        return none
    if len(kinds) > 1:
        first, second = list(kinds)[:2]
        source = kinds[second].sources[0]
        message = f"{first[0]} as a {first[1]} and {second[0]} as a {second[1]} on one neuron have no counterpart in NEST"
        w.refuse((source.section, source.name, "synapse"), message, "use one kind of synapse for each population")
        return none
    (kind,) = kinds
    acting = neuron.acting[kind]
    if kind[1] == JUMP:
        return acting.name, {}, {(s.section, s.name): Channel(None, 1.0) for r in own for s in r.sources}, False
    return (_currents if kind[1] == CURRENT else _conductances)(w, path, acting, kind[0], own, neuron)


def _scale(receptor: Receptor) -> float:
    """What makes of a weight the peak of the response, which is the weight of NEST; of an expon both are the same."""
    s = receptor.synapse
    if s.model == "alpha":
        return 1.0 if s.normalize == "peak" else 1 / math.e
    if s.model == "dual_expon":
        peak = math.log(s.tau_decay / s.tau_rise) / (1 / s.tau_rise - 1 / s.tau_decay)
        height = math.exp(-peak / s.tau_decay) - math.exp(-peak / s.tau_rise)
        return {"peak": 1.0, "none": height, "area": height * s.tau_decay / (s.tau_decay - s.tau_rise)}[s.normalize]
    return 1.0


def _currents(w: Writing, path: Key, acting: Acting, kind: str, own: list[Receptor], neuron: Neuron) -> Any:
    """Receptors for positive and negative weights where those have a time constant each, or as many as there are."""
    signs = {receptor: {_sign(w, s.section, s.name) for s in receptor.sources} for receptor in own}
    taus: dict[int, set[float]] = {1: set(), -1: set()}
    for receptor, found in signs.items():
        for sign in found:
            for side in (1, -1) if sign == 0 else (sign,):
                taus[side].add(receptor.synapse.tau)
    channels = {}
    if acting.several != acting.name and all(len(found) <= 1 for found in taus.values()):
        every = next(iter(taus[1] | taus[-1]))
        up, down = (next(iter(taus[side]), every) for side in (1, -1))
        for receptor in own:
            channels |= {(s.section, s.name): Channel(None, _scale(receptor)) for s in receptor.sources}
        return acting.name, {"tau_syn_ex": number(up), "tau_syn_in": number(down)}, channels, False
    if acting.several is None:
        source = own[-1].sources[0]
        w.refuse((source.section, source.name, "synapse"), f"weights of one sign with several time constants have no place on "
                 f"NEST's {acting.name}", "use one for positive and one for negative weights")  # fmt: skip
        return acting.name, {}, {}, False
    for i, receptor in enumerate(own, 1):
        channels |= {(s.section, s.name): Channel(i, _scale(receptor)) for s in receptor.sources}
    return acting.several, {"tau_syn": f"[{', '.join(number(r.synapse.tau) for r in own)}]"}, channels, False


def _conductances(w: Writing, path: Key, acting: Acting, kind: str, own: list[Receptor], neuron: Neuron) -> Any:
    """Two receptors, of which the one with the lower reversal potential takes negative weights; or as many as there are."""
    alike: dict[Any, list[Receptor]] = {}
    for receptor in own:
        times = tuple(getattr(receptor.synapse, f) for f in ("tau", "tau_decay", "tau_rise") if hasattr(receptor.synapse, f))
        alike.setdefault((receptor.output.E, *times), []).append(receptor)
    several = acting.several is not None and (acting.several == acting.name or len(alike) > 2)
    if len(alike) > 2 and not several:
        source = own[-1].sources[0]
        w.refuse((source.section, source.name, "synapse"), f"three kinds of conductances on one neuron have no counterpart on "
                 f"NEST's {acting.name}", "use two, or alpha synapses on adex neurons")  # fmt: skip
        return acting.name, {}, {}, True
    channels = {}
    order = sorted(alike, reverse=True) if not several else list(alike)
    for i, key in enumerate(order):
        for receptor in alike[key]:
            scale = _scale(receptor) * (-1 if i and not several else 1)
            channels |= {(s.section, s.name): Channel(i + 1 if several else None, scale) for s in receptor.sources}
    if several:
        columns = list(zip(*order, strict=True))
        fields = ("E_rev", "tau_decay", "tau_rise") if kind == "dual_expon" else ("E_rev", "tau_syn")
        texts = {f: f"[{', '.join(map(number, column))}]" for f, column in zip(fields, columns, strict=True)}
        return acting.several, texts, channels, True
    texts = {}
    for side, (E, *times) in zip(("ex", "in"), order, strict=False):
        fields = (f"tau_decay_{side}", f"tau_rise_{side}") if kind == "dual_expon" else (f"tau_syn_{side}",)
        texts |= {f"E_{side}": number(E)} | {f: number(time) for f, time in zip(fields, times, strict=True)}
    return acting.name, texts, channels, True


def _sign(w: Writing, section: str, name: str) -> int:
    """The sign of all weights of a projection or input; 0 where there are both."""
    entry = getattr(w.spec, section)[name]
    if section == "projections" and w.network is not None:
        low, high = connect.weight_bounds(w.network.projections[name].connectivity)
    else:
        law = law_of(entry.weight)
        value = plain(entry.weight) if is_literal(entry.weight) else 0.0
        low, high = (value, value) if law is None else _range(law)
    return 1 if low >= 0 else -1 if high <= 0 else 0


def _range(law: Law) -> tuple[float, float]:
    bounds = law.redraw or law.clip or (-math.inf, math.inf)
    own = {"uniform": (law.first, law.second), "normal": (-math.inf, math.inf)}.get(law.kind, (0.0, math.inf))
    return max(bounds[0], own[0]), min(bounds[1], own[1])


def _tau_minus(w: Writing, name: str) -> float | None:
    """The time constant of the traces that spikes of a population leave for plastic synapses."""
    found: dict[float, str] = {}
    for key, entry in w.spec.projections.items():
        if entry.stdp is not None and any(part.population == name for part in w.parts(entry.post)):
            c = stdp.MODELS[entry.stdp.model].coefficients(entry.stdp)
            found.setdefault(c.target_tau[0], key)
    if len(found) > 1:
        w.refuse(("projections", [*found.values()][1], "stdp"), f"NEST's neurons have one trace, and {name} needs {len(found)}",
                 "give all plastic projections onto a population one time constant")  # fmt: skip
    return next(iter(found), None)


# ---- inputs ----------------------------------------------------------------------------------------------------------


def _place(w: Writing, part: Part) -> str:
    python = w.name("populations", part.population)
    return python if part.size == w.sizes[part.population] else f"{python}[{part.start}:{part.stop}]"


_RAISE = '''
def raise_current(targets, value):
    """Add to the constant current of neurons. Those that have none get it from generators, which are heard a step later."""
    value = np.broadcast_to(value, len(targets))
    if "I_e" in targets[0].get():
        targets.set(I_e=(np.broadcast_to(targets.get("I_e"), len(targets)) + value).tolist())
    else:
        generators = nest.Create("dc_generator", len(targets), params={"amplitude": value.tolist()})
        nest.Connect(generators, targets, "one_to_one", {"delay": dt_ms})
'''

_INJECT = '''
def inject(targets, course):
    """A current with a value for each step. A generator is heard a step later, so it begins earlier; what is there from
    the start is a constant current."""
    at = np.flatnonzero(np.diff(course)) + 1
    at, value = np.maximum(at, 2), course[at] - course[0]
    last = np.append(at[1:] != at[:-1], True)[: len(at)]
    raise_current(targets, course[0])
    if len(at):
        times = np.round((at[last] - 1) * dt_ms, 9)
        generator = nest.Create("step_current_generator", params={"amplitude_times": times, "amplitude_values": value[last]})
        nest.Connect(generator, targets, syn_spec={"delay": dt_ms})
'''


def _drive(w: Writing, name: str, entry: Any, groups: dict[str, Group]) -> str:
    """A current from outside."""
    path: Key = ("inputs", name)
    if entry.output is not None and entry.output.model != "cuba":
        w.refuse((*path, "output"), "inputs that are conductances have no counterpart in NEST", "snnrun export brian2 has them")
        return ""
    targets = w.parts(entry.to)
    if any(part.population not in groups for part in targets):
        return ""
    python = f"# {name}: {entry.model}"
    if entry.model == "white_noise":
        return _white(w, path, entry, targets)
    if entry.model not in common.COURSES:
        w.refuse(
            path,
            f"inputs of model {entry.model} have no counterpart in NEST",
            f"there are {', '.join(common.COURSES)} and white_noise",
        )
        return ""
    if _unchanging(entry):
        lines = []
        for index, part in enumerate(targets):
            if part.size == w.sizes[part.population]:
                continue  # with the parameters of the population
            built = lambda i=index: w.network.inputs[name].values[i]["current"]  # type: ignore[union-attr]  # noqa: E731
            value = w.value(f"{name}.{index}", (*path, "current"), entry.current, built, str(part.size))
            w.helpers["raise_current"] = _RAISE
            lines.append(f"raise_current({_place(w, part)}, {value.text})")
        return "\n".join([python, *lines, ""]) if lines else ""
    course = w.course(path, entry)
    if course is None:
        return ""
    w.helpers |= {"raise_current": _RAISE, "inject": _INJECT}
    lines = [f"course = {course}", *(f"inject({_place(w, part)}, course)" for part in targets)]
    return "\n".join([python, *lines, ""])


def _white(w: Writing, path: Key, entry: Any, targets: list[Part]) -> str:
    for field in ("mean", "std", "sigma"):
        if getattr(entry, field) is not None and not is_literal(getattr(entry, field)):
            w.refuse((*path, field), "noise that differs from target to target has no counterpart in NEST", "write one number")
            return ""
    if entry.std is None:
        w.refuse((*path, "sigma"), "the strength of noise on a membrane is not written for NEST", "give std, in pA")
        return ""
    if entry.correlation:
        w.refuse((*path, "correlation"), "correlated noise has no counterpart in NEST", "leave it out")
        return ""
    every = w.spec.dt if entry.every is None else entry.every
    window = [f'"start": {number(entry.start)}'] if entry.start else []
    window += [f'"stop": {number(entry.stop)}'] if entry.stop is not None else []
    mean = 0.0 if entry.mean is None else plain(entry.mean)
    values = ", ".join([f'"mean": {number(mean)}, "std": {number(plain(entry.std))}, "dt": {number(every)}', *window])
    name = w.name("inputs", path[1])  # type: ignore[arg-type]
    lines = [f"# {path[1]}: white_noise", f'{name} = nest.Create("noise_generator", params={{{values}}})']
    return "\n".join([*lines, *(f'nest.Connect({name}, {_place(w, part)}, syn_spec={{"delay": dt_ms}})' for part in targets), ""])


def _poisson(w: Writing, name: str, entry: Any, groups: dict[str, Group], shortest: float) -> str:
    """Poisson trains, one for each target."""
    path: Key = ("inputs", name)
    python = w.name("inputs", name)
    created = _generator(w, path, entry, python)
    if created is None:
        return ""
    lines = [f"# {name}", created]
    # a train of poisson_generator begins a delay later; without a delay of its own it has the shortest, which costs NEST nothing
    delay = max(entry.delay, w.spec.dt) if entry.delay else shortest
    for index, part in enumerate(w.parts(entry.to)):
        channel = groups.get(part.population, _GIVES_NOTHING).channels.get(("inputs", name))
        if channel is None:
            continue
        built = lambda i=index: w.network.inputs[name].values[i]["weight"]  # type: ignore[union-attr]  # noqa: E731
        weight = _weight(w, (*path, "weight"), entry.weight, channel, built, f"{name}.{index}.weight", part.size)
        spec = [f'"weight": {weight}', f'"delay": {number(delay)}']
        spec += [f'"receptor_type": {channel.receptor}'] if channel.receptor is not None else []
        lines.append(f"nest.Connect({python}, {_place(w, part)}, syn_spec={{{', '.join(spec)}}})")
    return "\n".join([*lines, ""])


def _weight(w: Writing, path: Key, given: Any, channel: Channel, built: Any, key: str, n: int) -> str:
    if is_literal(given):
        return number(plain(given) * channel.scale)
    if not w.edges and (law := law_of(given)) is not None:
        return _random(w, path, law, channel.scale)
    text = w.value(key, path, given, built, str(n)).text
    return (
        f"{text}[None, :]".replace("[None, :]", ".reshape(-1, 1)")
        if channel.scale == 1
        else f"({text} * {number(channel.scale)}).reshape(-1, 1)"
    )


def _generator(w: Writing, path: Key, entry: Any, python: str) -> str | None:
    window = [f'"start": {number(entry.start)}'] if entry.start else []
    window += [f'"stop": {number(entry.stop)}'] if entry.stop is not None else []
    correlation = getattr(entry, "correlation", 0.0)
    if entry.course is None and not is_literal(entry.rate):
        w.refuse((*path, "rate"), "a rate for each target has no counterpart among NEST's generators", "write one rate")
        return None
    if correlation:
        if entry.course is not None:
            w.refuse(
                (*path, "course"), "correlated trains with a rate that goes in time have no counterpart in NEST", "write one rate"
            )
            return None
        values = [f'"rate": {number(plain(entry.rate) * 1e3 / correlation)}', f'"p_copy": {number(correlation)}', *window]
        return f'{python} = nest.Create("mip_generator", params={{{", ".join(values)}}})'
    if entry.course is None:
        values = [f'"rate": {number(round(plain(entry.rate) * 1e3, 9))}', *window]
        return f'{python} = nest.Create("poisson_generator", params={{{", ".join(values)}}})'
    course = entry.course
    if course.model == "sine":
        values = [f'"rate": {number(course.mean * 1e3)}', f'"amplitude": {number(course.amplitude * 1e3)}',
                  f'"frequency": {number(course.frequency * 1e3)}', f'"phase": {number(math.degrees(course.phase))}',
                  *window]  # fmt: skip
        return f'{python} = nest.Create("sinusoidal_poisson_generator", params={{{", ".join(values)}}})'
    if course.model != "steps":
        w.refuse((*path, "course"), "rates of a file are not read by a script for NEST", "write them as steps")
        return None
    times = [max(time, w.spec.dt) for time in course.times]
    rates = [rate * 1e3 for rate in course.rates]
    kept = [i for i in range(len(times)) if i + 1 == len(times) or times[i + 1] > times[i]]
    columns = {"rate_times": [times[i] for i in kept], "rate_values": [rates[i] for i in kept]}
    values = [*(f'"{key}": [{", ".join(map(number, column))}]' for key, column in columns.items()), *window]
    return f'{python} = nest.Create("inhomogeneous_poisson_generator", params={{{", ".join(values)}}})'


def _plastic(w: Writing, name: str) -> bool:
    """Whether synapses of a population are plastic."""
    return any(
        (entry.stp is not None or entry.stdp is not None) and any(part.population == name for part in w.parts(entry.pre))
        for entry in w.spec.projections.values()
    )


def _source(w: Writing, name: str, entry: Any) -> str:
    """A population that spikes by itself: generators of given spikes, or parrots that repeat Poisson trains."""
    python = w.name("populations", name)
    about = f"# {name}: {entry.size:,} {entry.model} sources"
    found = common.trains(w, name, entry)
    if found is not None:
        # devices have no plastic synapses: parrots repeat their spikes a step later, and one in the first step comes late
        repeated = _plastic(w, name)
        when = "np.maximum(stamps[neurons == i] - 1, 1)" if repeated else "stamps[neurons == i]"
        params = f'[{{"spike_times": np.sort({when}) * dt_ms}} for i in range({entry.size})]'
        kept = f"{python}_spikes = neurons, stamps"
        made = f'{python}{"_trains" * repeated} = nest.Create("spike_generator", {entry.size}, params={params})\n'
        if repeated:
            made += f'{python} = nest.Create("parrot_neuron", {entry.size})\n'
            made += f'nest.Connect({python}_trains, {python}, "one_to_one", {{"delay": dt_ms}})\n'
        return f"{about}\nneurons, stamps = {found}\n{kept}\n{made}"
    if entry.model != "poisson":
        return ""
    created = _generator(w, ("populations", name), entry, f"{python}_trains")
    if created is None:
        return ""
    parrots = f'{python} = nest.Create("parrot_neuron", {entry.size})\n'
    parrots += f'nest.Connect({python}_trains, {python}, syn_spec={{"delay": dt_ms}})'
    return f"{about}\n{created}\n{parrots}\n"


# ---- synapses --------------------------------------------------------------------------------------------------------


_NODES = '''
def nodes(*groups):
    """Numbers of neurons in NEST, in the order of a selection."""
    return np.concatenate([np.atleast_1d(group.tolist()) for group in groups])
'''


def _random(w: Writing, path: Key, law: Law, scale: float = 1.0, least: float | None = None) -> str:
    """A distribution as NEST draws it for each synapse."""
    a, b = law.first, law.second
    if law.kind == "lognormal":
        variance = math.log1p((b / a) ** 2)
        a, b = math.log(a) - variance / 2, math.sqrt(variance)
    if law.kind == "gamma":
        w.refuse((*path, "gamma"), "NEST draws no gamma distribution for synapses", EDGES)
    texts = [number(a)] if law.kind == "exponential" else [number(a), number(b)]
    text = f"nest.random.{law.kind}({', '.join(texts)})"
    if law.redraw is not None:
        low, high = (number(max(min(bound, 1e300), -1e300)) for bound in law.redraw)
        text = f"nest.math.redraw({text}, min={low}, max={high})"
    if law.clip is not None:
        text = text if law.clip[0] == -math.inf else f"nest.math.max({text}, {number(law.clip[0])})"
        text = text if law.clip[1] == math.inf else f"nest.math.min({text}, {number(law.clip[1])})"
    if least is not None:
        text = f"nest.math.max({text}, {number(least)})"
    return text if scale == 1 else f"{number(scale)} * {text}"


def _projection(w: Writing, name: str, entry: Any, groups: dict[str, Group]) -> str:
    path: Key = ("projections", name)
    posts = w.parts(entry.post)
    channels = [groups.get(part.population, _GIVES_NOTHING).channels.get(("projections", name)) for part in posts]
    if any(channel is None for channel in channels):
        return ""
    if w.spec.dt > (plain(entry.delay) if is_literal(entry.delay) else math.inf) and not _jumps(entry):
        w.warn((*path, "delay"), f"NEST has no delay of 0, so that it is {number(w.spec.dt)} ms there", "")
    lines = [f"# {name}: {entry.connect.rule}"]
    if w.edges:
        return "\n".join(lines + _listed(w, name, entry, path, posts, channels)) + "\n"  # type: ignore[arg-type]
    rule = _rule(w, entry, path)
    if rule is None:
        return ""
    if isinstance(rule, str):  # edges that numpy draws
        return "\n".join(lines + _listed(w, name, entry, path, posts, channels, rule)) + "\n"  # type: ignore[arg-type]
    pre = " + ".join(_place(w, part) for part in w.parts(entry.pre))
    separable = entry.connect.rule in ("all_to_all", "fixed_prob", "fixed_indegree", "pairwise_poisson")
    together: dict[Channel, list[Part]] = {}
    for part, channel in zip(posts, channels, strict=True):
        together.setdefault(channel, []).append(part)  # type: ignore[arg-type]
    if len(together) > 1 and not separable:
        w.refuse((*path, "post"), f"{entry.connect.rule} onto populations with different receptors is not drawn by NEST", EDGES)
    for channel, targets in together.items():
        weight = _per_edge(w, (*path, "weight"), entry.weight, channel.scale)
        if is_literal(entry.delay):
            delay = number(max(plain(entry.delay), w.spec.dt))
        else:
            law = law_of(entry.delay)
            if law is None:
                w.refuse(
                    (*path, "delay"),
                    "a delay that depends on the distance, or on a file, is not drawn by a script for NEST",
                    EDGES,
                )
                return ""
            delay = _random(w, (*path, "delay"), law, least=w.spec.dt)
        synapse = _synapse(w, name, entry, path, channel)
        if weight is None or synapse is None:
            return ""
        spec = [*synapse, f'"weight": {weight}', f'"delay": {delay}']
        spec += [f'"receptor_type": {channel.receptor}'] if channel.receptor is not None else []
        post = " + ".join(_place(w, part) for part in targets)
        conn = ", ".join(f'"{key}": {value!r}'.replace("'", '"') for key, value in rule.items())
        lines.append(f"nest.Connect({pre}, {post}, {{{conn}}}, {{{', '.join(spec)}}})")
    return "\n".join(lines) + "\n"


def _jumps(entry: Any) -> bool:
    return weight_dimension(entry) == "voltage"


def _rule(w: Writing, entry: Any, path: Key) -> dict[str, Any] | str | None:
    """NEST's own rule, or a text of `pre, post` that numpy draws."""
    rule, ends = entry.connect, connected(w.parts(entry.pre), w.parts(entry.post))
    if getattr(rule, "symmetric", False):
        w.refuse((*path, "connect", "symmetric"), "symmetric graphs are not drawn by a script for NEST", EDGES)
        return None
    apart = {} if rule.autapses else {"allow_autapses": False}
    more = {} if getattr(rule, "multapses", True) else {"allow_multapses": False}
    kind = rule.rule
    own = {
        "one_to_one": lambda: {"rule": "one_to_one"},
        "all_to_all": lambda: {"rule": "all_to_all", **apart},
        "fixed_prob": lambda: {"rule": "pairwise_bernoulli", "p": rule.p, **apart},
        "fixed_indegree": lambda: {"rule": "fixed_indegree", "indegree": rule.n, **apart, **more},
        "fixed_outdegree": lambda: {"rule": "fixed_outdegree", "outdegree": rule.n, **apart, **more},
        "fixed_total": lambda: {"rule": "fixed_total_number", "N": rule.n, **apart, **more},
        "pairwise_poisson": lambda: {"rule": "pairwise_poisson", "pairwise_avg_num_conns": rule.mean, **apart},
    }
    if kind in own:
        return own[kind]()
    text = common.listed_rule(w, entry, ends, path)
    if text is None:
        w.refuse((*path, "connect", "rule"), f"the rule {kind} has no counterpart in NEST", EDGES)
    return text


def _per_edge(w: Writing, path: Key, given: Any, scale: float) -> str | None:
    if given is None or not is_literal(given) and law_of(given) is None:
        what = "weights of a file of edges are" if given is None else "a weight that depends on the distance, or on a file, is"
        w.refuse(path if given is not None else path[:-1], f"{what} not drawn by a script for NEST", EDGES)
        return None
    if is_literal(given):
        return number(plain(given) * scale)
    law = law_of(given)
    assert law is not None
    return _random(w, path, law, scale)


def _listed(
    w: Writing, name: str, entry: Any, path: Key, posts: list[Part], channels: list[Channel], rule: str | None = None
) -> list[str]:
    """Synapses one by one: those that snnrun draws, or those of a rule that numpy draws."""
    w.helpers["nodes"] = _NODES
    if rule is None:
        listed, weight, delay = common.drawn_edges(w, name)
    else:
        values = []
        for field in ("weight", "delay"):
            given, law = getattr(entry, field), law_of(getattr(entry, field))
            if is_literal(given):
                values.append(Value(number(plain(given)), plain(given)))
            elif law is None:
                w.refuse(
                    (*path, field),
                    f"a {field} that depends on the distance, or on a file, is not drawn by a script for NEST",
                    EDGES,
                )
                return []
            else:
                values.append(Value(w.law(law, "len(pre)")))
        listed, (weight, delay) = rule, values
    lines = [f"pre, post = {listed}"]
    sides = [f"nodes({', '.join(_place(w, part) for part in w.parts(side))})" for side in (entry.pre, entry.post)]
    late = (
        number(max(delay.number, w.spec.dt))
        if delay.number is not None
        else f"np.maximum(np.round({delay.text} / dt_ms), 1) * dt_ms"
    )
    lines += [f"delays = np.full(len(pre), {late})" if delay.number is not None else f"delays = {late}"]
    scales = {channel.scale for channel in channels}
    own = number(weight.number) if weight.number is not None else weight.text
    if len(scales) == 1:
        (scale,) = scales
        own = number(weight.number * scale) if weight.number is not None else own if scale == 1 else f"{number(scale)} * {own}"
        lines.append(f"weights = np.full(len(pre), {own})" if weight.number is not None else f"weights = {own}")
    else:
        by = ", ".join(f"np.full({part.size}, {number(channel.scale)})" for part, channel in zip(posts, channels, strict=True))
        lines.append(f"weights = {own} * np.concatenate([{by}])[post]")
    spec = ['"weight": weights', '"delay": delays']
    if any(channel.receptor is not None for channel in channels):
        by = ", ".join(f"np.full({part.size}, {channel.receptor or 0})" for part, channel in zip(posts, channels, strict=True))
        lines.append(f"receptors = np.concatenate([{by}])[post]")
        spec.append('"receptor_type": receptors')
    synapse = _synapse(w, name, entry, path, channels[0])
    if synapse is None:
        return []
    lines.append(f'nest.Connect({sides[0]}[pre], {sides[1]}[post], "one_to_one", {{{", ".join([*synapse, *spec])}}})')
    return lines


def _synapse(w: Writing, name: str, entry: Any, path: Key, channel: Channel) -> list[str] | None:
    """NEST's synapse model with its parameters, as entries of a dictionary."""
    if entry.stp is not None:
        if entry.stdp is not None:
            w.refuse((*path, "stp"), "plasticity of both kinds at once has no counterpart in NEST", "leave out one")
            return None
        return _short(w, path, entry.stp)
    if entry.stdp is None:
        return []
    rule, dt = entry.stdp, w.spec.dt
    late = not is_literal(entry.delay) or plain(entry.delay) > dt
    if rule.delay == "axon" and late:
        w.refuse(
            (*path, "stdp"),
            "NEST has the delay of plastic synapses in the dendrite",
            "write delay: dendrite, or a delay of one step",
        )
        return None
    c = stdp.MODELS[rule.model].coefficients(rule)
    if c.least != 0:
        w.refuse((*path, "stdp", "w_min"), "NEST's plastic synapses are bounded by 0", "leave out w_min")
        return None
    source, w_max = c.source_tau[0], c.range
    scale = channel.scale
    values: dict[str, float] = {}
    if rule.model in ("pair", "song2000", "nearest"):
        model = "stdp_nn_symm_synapse" if rule.model == "nearest" else "stdp_synapse"
        if rule.model == "nearest":
            w.warn(
                (*path, "stdp"), "NEST takes each source to have spiked at 0 ms: spikes of targets before its first one count", ""
            )
        values = {"lambda": c.up, "alpha": c.down / c.up if c.up else 0.0, "Wmax": w_max * scale, "tau_plus": source,
                  "mu_plus": c.mu_up, "mu_minus": c.mu_down}  # fmt: skip
    elif rule.model == "power":
        model = "stdp_pl_synapse_hom"
        if rule.mu_minus != 1:
            w.refuse(
                (*path, "stdp", "mu_minus"), "NEST's power law has a depression in proportion to the weight", "write mu_minus: 1"
            )
        lam = c.up * w_max ** (1 - rule.mu_plus)
        values = {"lambda": lam, "alpha": c.down / lam, "mu": rule.mu_plus, "tau_plus": source}
    elif rule.model == "vogels2011":
        model = "vogels_sprekeler_synapse"
        values = {"eta": c.up * w_max, "alpha": c.down_always, "tau": source, "Wmax": w_max * scale}
    else:
        model = "stdp_triplet_synapse"
        w.refuse(
            (*path, "stdp", "model"), "triplets are not written for NEST", "pair, nearest, power, song2000 and vogels2011 are"
        )
        return None
    if model == "stdp_pl_synapse_hom":  # its parameters are those of the synapse model
        own = f"{common.safe(name)}_stdp"
        texts = ", ".join(f'"{key}": {number(value)}' for key, value in values.items())
        w.setup.append(f'nest.CopyModel("{model}", "{own}", {{{texts}}})\n')
        return [f'"synapse_model": "{own}"']
    if scale < 0 and model != "vogels_sprekeler_synapse":
        w.refuse((*path, "stdp"), f"NEST's {model} has no negative weights, as its inhibitory conductances need them",
                 "let the plastic projection be the excitatory one")  # fmt: skip
        return None
    return [f'"synapse_model": "{model}"', *(f'"{key}": {number(value)}' for key, value in values.items())]


def _short(w: Writing, path: Key, rule: Any) -> list[str] | None:
    for field in type(rule).model_fields:
        if field != "model" and not is_literal(getattr(rule, field)):
            w.refuse(
                (*path, "stp", field),
                "parameters of short-term plasticity that differ are not written for NEST",
                "write one number",
            )
            return None
    if rule.model != "tsodyks" or rule.u or rule.x != 1:
        w.refuse(
            (*path, "stp"),
            "short-term plasticity other than tsodyks from u = 0 and x = 1 has no counterpart in NEST",
            "use tsodyks",
        )
        return None
    values = {"U": rule.U, "u": rule.U, "x": 1.0, "tau_rec": rule.tau_d, "tau_fac": rule.tau_f}
    return ['"synapse_model": "tsodyks2_synapse"', *(f'"{key}": {number(value)}' for key, value in values.items())]


# ---- recorders -------------------------------------------------------------------------------------------------------


def _recorders(w: Writing, kept: list[str], windows: dict[str, tuple[float, float]], groups: dict[str, Group],
               shortest: float) -> tuple[str, str]:  # fmt: skip
    lines, saved = [], ["spikes = {"]
    after = []
    sampled = any(entry.model == "state" for entry in w.spec.monitors.values())
    for name in kept:
        python, entry = w.name("populations", name), w.spec.populations[name]
        start, stop = windows.get(name, (0.0, w.spec.duration))
        if not hasattr(entry, "init") and entry.model != "poisson":
            if name in windows:
                w.helpers["within"] = common.WITHIN
                steps = ", ".join(str(round(time / w.spec.dt)) for time in (start, stop))
                after.append(f"{python}_spikes = within(*{python}_spikes, {steps})")
            saved += [f'    "{name}.times": {python}_spikes[1] * dt_ms,', f'    "{name}.neurons": {python}_spikes[0],']
            continue
        recorder = w.name("spikes", f"{name}_recorder")
        window = f', params={{"start": {number(start)}, "stop": {number(stop)}}}' if name in windows or sampled else ""
        lines.append(f'{recorder} = nest.Create("spike_recorder"{window})')
        lines.append(f'nest.Connect({python}, {recorder}, syn_spec={{"delay": {number(shortest)}}})')
        after.append(f'{name}_events = {recorder}.get("events")'.replace(f"{name}_events", f"{python}_events"))
        saved += [f'    "{name}.times": np.round({python}_events["times"] / dt_ms) * dt_ms,',
                  f'    "{name}.neurons": {python}_events["senders"] - {python}[0].global_id,']  # fmt: skip
    every_monitor: dict[str, Any] = dict(w.spec.monitors)
    for name, entry in every_monitor.items():
        if entry.model not in ("spikes", "rate", "state"):
            w.warn(("monitors", name), f"a monitor of model {entry.model} is left out", "")
        if entry.model != "state":
            continue
        for part in w.parts(entry.of):
            if part.population not in groups:
                continue
            states = NEURONS.get(w.spec.populations[part.population].model, _NONE).states
            known = {ours: theirs for theirs, ours in states.items() if isinstance(ours, str)}
            if left := [x for x in entry.variables if x not in known]:
                w.warn(
                    ("monitors", name),
                    f"{', '.join(left)} is not recorded: NEST's model has no variable that is known to be it",
                    "",
                )
            if not (wanted := [x for x in entry.variables if x in known]):
                continue
            meter = w.name("states", f"{name}_{part.population}")
            every = w.spec.dt if entry.every is None else entry.every
            record = ", ".join(f'"{known[x]}"' for x in wanted)
            values = [f'"record_from": [{record}]', f'"interval": {number(every)}', *_sampled(w, entry, every)]
            lines.append(f'{meter} = nest.Create("multimeter", params={{{", ".join(values)}}})')
            lines.append(f'nest.Connect({meter}, {_place(w, part)}, syn_spec={{"delay": {number(shortest)}}})')
            after += [f'{meter}_events = {meter}.get("events")',
                      f'order = np.lexsort(({meter}_events["senders"], {meter}_events["times"]))']  # fmt: skip
            for x in wanted:
                after.append(f'{meter}_{x} = {meter}_events["{known[x]}"][order].reshape(-1, {part.size})')
                saved.append(f'    "{name}.{part.population}.{x}": {meter}_{x},')
    lines.append("nest.Simulate(steps * dt_ms)")
    lines += [f"nest.Simulate({number(shortest)})      # in which multimeters hand over their last samples"] if sampled else []
    lines += ["", *after]
    return "\n".join(lines) + "\n", "\n".join([*saved, "}"])


def _sampled(w: Writing, entry: Any, every: float) -> list[str]:
    """When a multimeter samples: at start + i every, before stop; NEST's does after its start, and at its stop at the latest."""
    dt, stop = w.spec.dt, w.spec.duration if entry.stop is None else entry.stop
    found = [f'"start": {number(round(entry.start - dt, 9))}'] if entry.start else []
    found.append(f'"stop": {number(round(stop - dt, 9))}')
    rest = round(entry.start / dt) % round(every / dt)
    return found + ([f'"offset": {number(round(rest * dt, 9))}'] if rest else [])


_NONE = Neuron({}, {}, {}, "")
