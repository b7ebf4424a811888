"""Neurons that are described by equations: one step of any described.Model.

Step k takes the state x from t_k to t_k + h, with f the right-hand sides and J the coefficient of a variable in its own:

    exact        x <- exp(A h) x + ...        A and what currents add in float64, by a matrix exponential on the host
    exp_euler    x <- x + h phi(h J) f(x)     phi(z) = (exp(z) - 1) / z; each variable by itself, all others at t_k
    rk4          the classical scheme; currents of synapses are those of its three instants
    euler        x <- x + h f(x)

With substeps the last three do this several times. Then noise is added: B dW is B sqrt(h phi(2 h J)) xi with a normal xi per
neuron and step, which is exact where the equation is linear; with rk4 and euler it is B sqrt(h) xi. Synapses that move V do so;
what is held while a neuron is refractory returns to what it was; then the threshold is looked at. A reset sees the values at
the crossing.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, create_model, model_validator

from snnrun import random, units
from snnrun.language.expression import ExpressionError, Node, names, show
from snnrun.language.lift import lifted_together
from snnrun.language.walk import affine, evaluate
from snnrun.lazy import jnp, lax
from snnrun.models import described, normal, precision, refractory
from snnrun.models.described import CURRENT, VOLTAGE, Model, Values, Variable
from snnrun.models.drives import at
from snnrun.models.interface import Drive, Members, Parameters, Population, Rule, State, Words, cast
from snnrun.models.layout import Layout
from snnrun.models.rounded import Functions, Rounded, plain
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Count, Current, Drawable, Frozen, Unit, Whole, fault

LAST = "last spike"  # its step, in a state: no variable is called so
_CERTAIN = 50.0  # spikes that are due in a step: 1 - exp(-50) is 1
UNROLLED = 4  # substeps that are written out; more are a loop


# ---- what a user writes ----------------------------------------------------------------------------------------------


class DescribedSpec(Frozen):
    """Neurons of a described model."""

    part: ClassVar[Any]  # the Equations of the model
    sets: ClassVar[Mapping[str, Mapping[str, str]]]

    @model_validator(mode="before")
    @classmethod
    def _with_set(cls, raw: Any) -> Any:
        """Parameters of a named set stand in for those that are not given."""
        chosen = raw.get("set") if isinstance(raw, dict) else None
        return {**cls.sets[chosen], **raw} if isinstance(chosen, str) and chosen in cls.sets else raw

    @model_validator(mode="after")
    def _one_of_each(self) -> "DescribedSpec":
        for parameter in self.part.model.parameters:
            if parameter.gives is None:
                continue
            target = parameter.gives[0]
            if (getattr(self, parameter.name) is None) == (getattr(self, target) is None):
                either, missing = f"{parameter.name} or {target}", getattr(self, target) is None
                raise fault(
                    f"{either} is missing" if missing else f"{either}: both are given, and the one follows from the other",
                    "write one of them" if missing else "keep one of them",
                    at=() if missing else (target,),
                )
        return self


_LAYOUT: Any = Layout  # as a value, of which | makes another type


def spec_of(model: Model) -> type[DescribedSpec]:
    """The fields of a population of a model."""
    found: dict[str, Any] = {
        "model": (Literal[model.name], ...),
        "size": (Count, Field(description="Number of neurons.")),
        "layout": (_LAYOUT | None, Field(None, description="Where the neurons are.")),
    }
    if model.sets:
        choice: Any = Literal[tuple(name for name, _ in model.sets)]
        found["set"] = (choice | None, Field(None, description="Named parameters, in place of the defaults."))
    given = {p.gives[0] for p in model.parameters if p.gives is not None}
    for p in model.parameters:
        kind: Any = Annotated[float, Unit(p.dimension)]
        if p.name == model.refractory:
            kind = Annotated[float, Unit(p.dimension), Whole()]
        about = p.about[:1].upper() + p.about[1:]
        if p.gives is not None or p.name in given:
            found[p.name] = (Drawable[kind] | None, Field(None, description=about))
        else:
            found[p.name] = (Drawable[kind], Field(... if p.default is None else p.default, description=about))
    if model.takes_current:
        found["I_e"] = (Drawable[Current], Field(0.0, description="Constant current."))
    init: dict[str, Any] = {
        v.name: (Drawable[Annotated[float, Unit(v.dimension)]] | None, Field(None, description=_initial_text(v)))
        for v in model.variables
    }
    start = create_model("Init", __base__=Frozen, __doc__="State at t = 0.", **init)
    start.part = None  # type: ignore[attr-defined]
    found["init"] = (start, Field(start(), description="State at t = 0."))
    solvers: Any = Literal[described.SOLVERS]
    found["solver"] = (
        solvers | None,
        Field(None, description=f"How equations are integrated: {model.solver} if it is not given."),
    )
    most: Any = Annotated[int, Field(ge=1, le=described.MOST_SUBSTEPS, strict=True)]
    about = f"Inner steps of each step; {model.substeps} if neither this nor the solver is given."
    found["substeps"] = (most | None, Field(None, description=about))
    made = create_model("Spec", __base__=DescribedSpec, __doc__=model.about, **found)
    made.sets = {name: dict(values) for name, values in model.sets}
    return made


def _initial_text(variable: Variable) -> str:
    return f"{'its steady value' if variable.init is None else show(variable.init)} where it is not given."


# ---- what a step computes --------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """A model with everything lifted out of its equations that does not change in time."""

    rates: tuple[Node, ...]
    later: dict[str, Node]
    condition: Node | None
    reset: tuple[tuple[str, Node], ...]
    slots: dict[str, Node]  # of parameters


@cache
def _form(model: Model) -> _Form:
    varying = {v.name for v in model.variables} | {CURRENT}
    later = {}
    for name, node in model.abbreviations:
        if not varying.isdisjoint(names(node)):
            varying.add(name)
            later[name] = node
    condition = [] if model.threshold is None else [model.threshold.condition]
    every = [*(v.rate for v in model.variables), *later.values(), *condition, *(node for _, node in model.reset)]
    nodes, slots = lifted_together(every, varying)
    rates, nodes = nodes[: len(model.variables)], nodes[len(model.variables) :]
    bodies, nodes = nodes[: len(later)], nodes[len(later) :]
    kept, nodes = (nodes[0], nodes[1:]) if condition else (None, nodes)
    reset = tuple((name, node) for (name, _), node in zip(model.reset, nodes, strict=True))
    return _Form(tuple(rates), dict(zip(later, bodies, strict=True)), kept, reset, slots)


class Const(NamedTuple):
    """What a step needs; each a number or one value per neuron."""

    zero: Any  # see models/rounded.py
    slots: dict[str, Any]  # what of the equations does not change in time
    h: Any  # ms, of an inner step
    dt: Any  # ms
    I_e: Any  # pA; None where no current is taken
    ref_steps: Any  # whole steps that a neuron is refractory; None where none ever is
    propagator: Any  # exact: coefficients by (variable, what it comes from): a variable, I, or 1
    resting: Any  # the same while what is held is held, where that differs for others
    noise: dict[str, Any]  # strength B, where J is not known before
    noise_per_step: dict[str, Any]  # B sqrt(h phi(2 h J))
    streams: dict[str, Any]  # of random words, by what they are for


class Equations(Population):
    """A described model. Equal to another one of the same model."""

    described = True

    def __init__(self, model: Model) -> None:
        self.model = model
        self.variables = {v.name: unit_of(v.dimension) for v in model.variables}  # type: ignore[misc]
        if model.refractory is not None:
            self.variables["ref"] = "steps"
        self.rules = tuple(_rules(model))  # type: ignore[misc]
        self._hash = hash(model)
        self._held = frozenset(v.name for v in model.variables if v.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equations) and self.model == other.model

    def __hash__(self) -> int:
        return self._hash

    @property
    def Spec(self) -> type[DescribedSpec]:  # type: ignore[override]  # noqa: N802
        return _spec(self)

    def accepts(self, what: str) -> bool:
        """Whether currents, conductances or jumps of V act on it."""
        return {"current": self.model.takes_current, "jump": self.model.has_potential}.get(
            what, self.model.takes_current and self.model.has_potential
        )

    def methods(self, spec: Any, conductances: bool) -> str:
        solver = spec.solver or self.model.solver
        times = spec.substeps or (self.model.substeps if spec.solver is None else 1)
        if solver == "exact" and conductances:
            solver = "exp_euler" if described.unsolvable(self.model, "exp_euler") is None else "rk4"
        return solver if times == 1 or solver == "exact" else f"{solver} x {times}"

    def check(self, spec: Any, checker: Any, path: Any) -> None:
        """That the solver can solve the equations, and that a refractory time is a whole number of steps."""
        if isinstance(self.model.refractory, float):
            checker.on_grid((*path, "model"), self.model.refractory)
        reason = None if spec.solver is None else described.unsolvable(self.model, spec.solver)
        if reason is not None:
            name, error = reason
            message = (
                f"d{name}/dt is not linear in {name if spec.solver == 'exp_euler' else 'the state'}, as {spec.solver} needs it"
            )
            checker.fault((*path, "solver"), message, error.hint)

    def method_text(self, method: str) -> str:
        solver, times = _parts(method)
        return method if times == 1 else f"{solver}, {times} substeps"

    def bears(self, method: str) -> float | None:
        solver, times = _parts(method)
        limit = {"rk4": 2.78, "euler": 1.0}.get(solver)  # rk4: where its factor of decay is 1
        return None if limit is None else limit * times

    def response(self, parameters: Parameters, dt: float) -> Any:
        known = self._known(parameters, dt)
        rate = next(variable.rate for variable in self.model.variables if variable.name == VOLTAGE)
        try:
            found = described.affine_in(self.model, rate, known | self.initial(known, {}), (CURRENT,), np)
        except ExpressionError:
            return None
        return found.coefficients.get(CURRENT)

    def stages(self, method: str) -> tuple[float, ...]:
        solver, times = _parts(method)
        return tuple(i / (2 * times) for i in range(2 * times + 1)) if solver == "rk4" else (0.0,)

    def precision(self, run: str, parameters: Parameters, dt: float) -> str:
        return precision.of(run, self._slowest(parameters, dt), dt)

    def _known(self, parameters: Parameters, dt: float) -> dict[str, Any]:
        """Numbers in internal units, with those that others stand in for; a time in whole steps is one in ms again."""
        known = {name: _wide(value) for name, value in parameters.items() if _numeric(value)}
        if isinstance(self.model.refractory, str):
            known[self.model.refractory] = known[self.model.refractory] * dt
        return described.complete(self.model, known)

    def sound(self, spec: Any, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        """The rules of parameters that others stand in for."""
        given = {name: value for name, value in parameters.items() if _numeric(value)}
        with np.errstate(all="ignore"):
            known = described.complete(self.model, given)
        for parameter in self.model.parameters:
            if parameter.gives is None or parameter.name not in given:
                continue
            target = parameter.gives[0]
            bad = ~np.isfinite(np.asarray(known[target], np.float64))
            if np.any(bad):
                return parameter.name, f"{parameter.name} gives no finite {target}", bad
            for rule in self.rules:
                if target in rule.fields and all(name in known for name in rule.fields):
                    bad = ~np.asarray(rule.holds(*(known[name] for name in rule.fields)))
                    if np.any(bad):
                        return parameter.name, f"{parameter.name} gives a {target} for which {rule.message}", bad
        return None

    def _slowest(self, parameters: Parameters, dt: float) -> Any:
        """The longest time constant of the variables, each by itself at the initial state, in ms."""
        known = self._known(parameters, dt)
        state = {name: np.asarray(value, np.float64) for name, value in self.initial(known, {}).items()}
        longest = 0.0
        for v in self.model.variables:
            with np.errstate(all="ignore"):
                step = 1e-6 * np.maximum(np.abs(state[v.name]), 1e-3)
                low, high = (
                    evaluate(
                        v.rate,
                        described.values_of(self.model, {**known, **state, v.name: state[v.name] + s, CURRENT: 0.0}, np),
                        np,
                    )
                    for s in (-step, step)
                )
                slope = np.max(np.abs(np.asarray(high - low) / (2 * step)), initial=0.0)
            if np.isfinite(slope) and slope > 0:
                longest = max(longest, float(1 / np.min(slope)))
        return longest

    def finest(self, parameters: Parameters) -> float | None:
        known = {name: value for name, value in parameters.items() if _numeric(value)}
        if not self.model.has_potential or len(known) < len(parameters):
            return None
        V = self.initial(parameters, {})[VOLTAGE]
        return float(np.spacing(np.float32(min(max(float(np.max(np.abs(V))), 1.0), precision.MOST))))

    def initial(self, parameters: Parameters, given: State) -> State:
        """Initial values in their order, each from parameters and those before it."""
        known: dict[str, Any] = dict(described.complete(self.model, {n: v for n, v in parameters.items() if _numeric(v)}))
        found: State = {}
        for v in self.model.variables:
            if given.get(v.name) is not None:
                found[v.name] = given[v.name]
            elif v.init is None:
                found[v.name] = described.steady(self.model, v, known)
            else:
                found[v.name] = evaluate(v.init, known, np)
            known[v.name] = found[v.name]
        return found

    # -- before a run

    def lower(self, members: Members, method: str) -> Const:
        model, form = self.model, _form(self.model)
        solver, times = _parts(method)
        h = members.dt / times
        p = self._known(members.parameters, members.dt)
        known = described.values_of(model, p, np)
        with np.errstate(all="ignore"):
            slots = {name: evaluate(node, known, np) for name, node in form.slots.items()}
            used = {name for node in (*form.rates, *form.later.values()) for name in names(node)}
            slots |= {name: value for name, value in p.items() if name in used}
            propagator = resting = None
            if solver == "exact":
                propagator = _propagator(model, p, members.dt, frozenset())
                resting = _propagator(model, p, members.dt, self._held) if self._differs(model, p) else None
            noise, per_step = self._noise(p, known, solver, h, members.dt, propagator)
        ref = model.refractory
        steps = members.parameters[ref] if isinstance(ref, str) else 0 if ref is None else _whole(ref, members.dt)
        streams = {f"noise/{name}": members.streams(f"noise/{name}") for name in (*noise, *per_step)}
        if model.threshold is not None and model.threshold.kind == "rate":
            streams["escape"] = members.streams("escape")

        def held(values: Mapping[Any, Any]) -> dict[Any, Any]:
            return {key: cast(np.asarray(value, np.float64), members.precision) for key, value in values.items()}

        return Const(
            cast(np.float64(0.0), members.precision),
            held(slots),
            cast(np.float64(h), members.precision),
            cast(np.float64(members.dt), members.precision),
            cast(np.asarray(p["I_e"], np.float64), members.precision) if model.takes_current else None,
            refractory.steps(steps),
            None if propagator is None else held(_flat(propagator)),
            None if resting is None else held(_flat(resting)),
            held(noise),
            held(per_step),
            {name: random.side_by_side(keys, members.sizes, members.padded) for name, keys in streams.items()},
        )

    def _differs(self, model: Model, p: Mapping[str, Any]) -> bool:
        """Whether what runs on during refractoriness depends on what is held."""
        if model.refractory is None or not self._held or len(self._held) == len(model.variables):
            return False
        free = [v for v in model.variables if not v.held]
        return any(self._held & set(_linear(model, v, p).coefficients) for v in free)

    def _noise(
        self, p: Mapping[str, Any], known: Values, solver: str, h: float, dt: float, propagator: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Strengths of noise, and what they add per step where that is known before."""
        noise, per_step = {}, {}
        for v in self.model.variables:
            if v.noise is None:
                continue
            strength = evaluate(v.noise, known, np)
            if solver in ("rk4", "euler"):
                per_step[v.name] = strength * math.sqrt(dt)
            elif solver == "exact":
                J = _linear(self.model, v, p).coefficients.get(v.name, 0.0)
                per_step[v.name] = strength * np.sqrt(dt * _phi(2 * dt * np.asarray(J, np.float64)))
            else:
                noise[v.name] = strength
        return noise, per_step

    def gains(self, members: Members, method: str, modes: tuple[tuple[Any, int], ...]) -> tuple[dict[str, Any], ...] | None:
        if method != "exact":
            return None
        p = self._known(members.parameters, members.dt)
        found = []
        for tau, n in modes:
            free = _of_current(self.model, p, members.dt, tau, n, frozenset())
            if self._differs(self.model, p):
                free |= {f"{name} held": value for name, value in
                         _of_current(self.model, p, members.dt, tau, n, self._held).items()}  # fmt: skip
            found.append(free)
        return tuple(found)

    def init(self, const: Const, initial: State, padded: int) -> State:
        state = {name: np.broadcast_to(value, padded) for name, value in initial.items()}
        return state if const.ref_steps is None else state | {LAST: refractory.init(const.ref_steps, padded)}

    # -- in a run

    def settled(self, const: Const, state: State, step: Any) -> State:
        if const.ref_steps is None:
            return state
        return state | {LAST: refractory.settled(const.ref_steps, state[LAST], step)}

    def observed(self, const: Const, state: State, name: str, step: Any) -> Any:
        if name != "ref":
            return state[name]
        if const.ref_steps is None:
            return jnp.zeros(next(iter(state.values())).shape, jnp.int32)
        return refractory.left(const.ref_steps, state[LAST], step)

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        model, form = self.model, _form(self.model)
        solver, times = _parts(method)
        held = None if const.ref_steps is None else refractory.blocks(const.ref_steps, state[LAST], step)
        old = {v.name: state[v.name] for v in model.variables}
        if solver == "exact":
            new = self._exact(const, old, drives[0], held)
        else:
            new = self._integrated(form, const, old, drives, solver, times, held)
        for name, values in self._noises(const, form, old, drives[0], step, words).items():
            new[name] = new[name] + values
        if drives[0].jump is not None and VOLTAGE in new:
            new[VOLTAGE] = new[VOLTAGE] + plain(drives[0].jump)
        if held is not None:
            new |= {name: jnp.where(held, old[name], new[name]) for name in self._held}
        fired = self._fired(const, form, old, new, step, words)
        last = {} if held is None else {LAST: state[LAST]}
        if fired is None:
            return new | last, jnp.zeros(next(iter(new.values())).shape, bool)
        if held is not None:
            fired = fired & ~held
            last = {LAST: jnp.where(fired, refractory.low(step), state[LAST])}
        values = _values(form, const, new)
        reset = {name: plain(evaluate(node, values, values.functions)) for name, node in form.reset}
        after = {name: jnp.where(fired, value, new[name]) for name, value in reset.items()}
        return new | after | last, fired

    def _integrated(self, form: _Form, const: Const, old: State, drives: tuple[Drive, ...], solver: str, times: int,
                    held: Any) -> State:  # fmt: skip
        h, zero = const.h, const.zero

        def rates(x: State, drive: Drive) -> State:
            values = _values(form, const, x, _current(const, _met(drive, x, zero), x))
            found = {}
            for v, node in zip(self.model.variables, form.rates, strict=True):
                rate = plain(evaluate(node, values, values.functions))
                rate = jnp.broadcast_to(rate, old[v.name].shape)
                found[v.name] = rate if held is None or not v.held else jnp.where(held, 0.0, rate)
            return found

        def rk4(x: State, three: tuple[Drive, ...]) -> State:
            # the variables of a stage in one array: XLA would compute each of them again from the state for every later use
            def stage(X: Any, drive: Drive) -> Any:
                found = rates({name: X[i] for i, name in enumerate(x)}, drive)
                return jnp.stack([found[name] for name in x])

            def along(X: Any, by: Any, k: Any) -> Any:
                return X + decayed(by, k, zero)

            X = jnp.stack(list(x.values()))
            k1 = stage(X, three[0])
            k2 = stage(along(X, 0.5 * h, k1), three[1])
            k3 = stage(along(X, 0.5 * h, k2), three[1])
            k4 = stage(along(X, h, k3), three[2])
            inner = decayed(2.0, k2 + k3, zero)
            X = along(X, h / 6.0, (k1 + inner) + k4)
            return {name: X[i] for i, name in enumerate(x)}

        def exp_euler(x: State, drive: Drive) -> State:
            after = {}
            for v, node in zip(self.model.variables, form.rates, strict=True):
                own = self._own(form, const, x, drive, v, node)
                J, X = own.coefficients.get(v.name), Rounded(x[v.name], zero)
                f = own.constant if J is None else own.constant + J * X
                change = h * Rounded(f, zero) if J is None else (h * _phi_of(h * Rounded(J, zero))) * Rounded(f, zero)
                moved = jnp.broadcast_to(plain(X + change), x[v.name].shape)
                after[v.name] = moved if held is None or not v.held else jnp.where(held, x[v.name], moved)
            return after

        def euler(x: State, drive: Drive) -> State:
            k = rates(x, drive)
            return {name: x[name] + decayed(h, k[name], zero) for name in x}

        def inner(i: int, x: State) -> State:
            if solver == "rk4":
                return rk4(x, drives[2 * i : 2 * i + 3])
            return exp_euler(x, drives[0]) if solver == "exp_euler" else euler(x, drives[0])

        if times <= UNROLLED or solver == "rk4":
            x = dict(old)
            for i in range(times):
                x = inner(i, x)
            return x
        return lax.fori_loop(0, times, lambda _, x: inner(0, x), dict(old))

    def _own(self, form: _Form, const: Const, x: State, drive: Drive, v: Variable, node: Node) -> Any:
        """The equation of a variable as a linear function of it, with everything else as it is."""
        others = {name: Rounded(value, const.zero) for name, value in x.items() if name != v.name}
        drive = _met(drive, x, const.zero)
        if v.name == VOLTAGE and CURRENT in _deep_names(self.model, v.rate):
            I: Any = _current_at_rest(const, drive)
            if drive.conductance is not None:
                I = _linear_current(I, drive)
        else:
            I = _current(const, drive, x)
        functions = Functions(const.zero)
        known = {**_rounded(const.slots, const.zero), **others, CURRENT: I}
        found = Values(known, form.later, lambda part, values: affine(part, values, (v.name,), functions))
        return affine(node, found, (v.name,), functions)

    def _exact(self, const: Const, old: State, drive: Drive, held: Any) -> State:
        drive = _met(drive, old, const.zero)

        def by(table: Mapping[str, Any], marked: str) -> State:
            I = _current(const, drive, old) if self.model.takes_current else None
            found = {}
            for v in self.model.variables:
                total: Any = None
                for source in (*(w.name for w in self.model.variables), CURRENT, "1"):
                    factor = table.get(f"{v.name} {source}")
                    if factor is None or (source == CURRENT and I is None):
                        continue
                    part = factor if source == "1" else Rounded(factor, const.zero) * (I if source == CURRENT else old[source])
                    total = part if total is None else total + part
                total = 0.0 if total is None else total
                more = None if drive.increment is None else drive.increment.get(f"{v.name}{marked}")
                found[v.name] = jnp.broadcast_to(plain(total if more is None else total + more), old[v.name].shape)
            return found

        free = by(const.propagator, "")
        if held is None or const.resting is None:
            return free
        resting = by(const.resting, " held")
        return {name: jnp.where(held, resting[name], value) for name, value in free.items()}

    def _noises(self, const: Const, form: _Form, old: State, drive: Drive, step: Any, words: Words) -> State:
        found = {}
        for v, node in zip(self.model.variables, form.rates, strict=True):
            if v.noise is None:
                continue
            xi = normal.of_words(words(const.streams[f"noise/{v.name}"], step), old[v.name].dtype, const.zero)
            if v.name in const.noise_per_step:
                spread = const.noise_per_step[v.name]
            else:
                J = self._own(form, const, old, drive, v, node).coefficients.get(v.name)
                time = const.h if J is None else const.h * _phi_of(2.0 * const.h * Rounded(J, const.zero))
                spread = const.noise[v.name] * jnp.sqrt(plain(time)) + const.zero
            found[v.name] = decayed(spread, xi, const.zero)
        return found

    def _fired(self, const: Const, form: _Form, old: State, new: State, step: Any, words: Words) -> Any:
        """Who has reached the threshold; None where there is none."""
        threshold = self.model.threshold
        if threshold is None or form.condition is None:
            return None
        first = next(iter(new.values()))
        values = _values(form, const, new)
        reached = plain(evaluate(form.condition, values, values.functions))
        if threshold.kind == "rate":
            chance = Rounded(jnp.maximum(reached, 0.0), const.zero) * const.dt
            chance = Rounded(jnp.minimum(plain(chance), _CERTAIN), const.zero)  # an infinite rate is no number below
            chance = chance * _phi_of(-chance)  # 1 - exp(-chance)
            return jnp.broadcast_to(
                words(const.streams["escape"], step).astype(first.dtype) < plain(chance) * 2.0**32, first.shape
            )
        for v in self.model.variables:
            if v.name in _deep_names(self.model, threshold.condition):  # what is infinite stays so, and is found
                reached = reached & (new[v.name] < jnp.inf)
        if threshold.kind == "rising":
            before = _values(form, const, old)
            reached = reached & ~plain(evaluate(form.condition, before, before.functions))
        return jnp.broadcast_to(reached, first.shape)


@cache
def of_model(model: Model) -> Equations:
    return Equations(model)


@cache
def _spec(part: Equations) -> type[DescribedSpec]:
    made = spec_of(part.model)
    made.part = part
    return made


def unit_of(dimension: str) -> str:
    """The internal unit of a dimension."""
    if not units.is_simple(dimension):
        return units.usual(dimension)
    return next(unit for unit in units.of_dimension(dimension) if units.UNITS[unit][1] == 0)


def _rules(model: Model) -> list[Rule]:
    found = []
    for p in model.parameters:
        for node in p.where:
            fields = tuple(dict.fromkeys((p.name, *names(node)))) if p.name in names(node) else tuple(names(node))

            def holds(*values: Any, node: Node = node, fields: tuple[str, ...] = fields) -> Any:
                return evaluate(node, dict(zip(fields, values, strict=True)), np)

            found.append(Rule(fields, holds, f"{show(node)} must hold"))
    if isinstance(model.refractory, str):
        found.append(Rule((model.refractory,), lambda time: np.asarray(time) >= 0, f"{model.refractory} must not be negative"))
    return found


def _numeric(value: Any) -> bool:
    return value is not None and not isinstance(value, str | bool)


def _wide(value: Any) -> Any:
    return np.asarray(value, np.float64) if np.ndim(value) else float(value)


def _whole(time: float, dt: float) -> int:
    return int(math.floor(time / dt + 0.5))


def _parts(method: str) -> tuple[str, int]:
    """Solver and number of substeps."""
    solver, _, times = method.partition(" x ")
    return solver, int(times or 1)


class _Rounding(Values):
    """Values whose products are rounded."""

    def __init__(self, known: Mapping[str, Any], later: Mapping[str, Node], zero: Any) -> None:
        self.functions = Functions(zero)
        super().__init__(_rounded(known, zero), later, lambda node, values: evaluate(node, values, self.functions))


def _rounded(known: Mapping[str, Any], zero: Any) -> dict[str, Any]:
    return {name: Rounded(value, zero) for name, value in known.items()}


def _values(form: _Form, const: Const, x: State, I: Any = None) -> _Rounding:
    known = {**const.slots, **x} if I is None else {**const.slots, **x, CURRENT: I}
    return _Rounding(known, form.later, const.zero)


def _met(drive: Drive, x: State, zero: Any) -> Drive:
    """What synapses bring neurons that are in a state."""
    drive = at(drive, x[VOLTAGE]) if drive.gates else drive
    return drive._replace(**{name: Rounded(value, zero) for name, value in drive._asdict().items()
                             if value is not None and name not in ("increment", "gates")})  # fmt: skip


def _deep_names(model: Model, node: Node) -> set[str]:
    """Every name that a node depends on."""
    later, found, waiting = dict(model.abbreviations), set(), [node]
    while waiting:
        for name in names(waiting.pop()):
            if name not in found:
                found.add(name)
                if name in later:
                    waiting.append(later[name])
    return found


# ---- currents --------------------------------------------------------------------------------------------------------


def _current_at_rest(const: Const, drive: Drive) -> Any:
    """All of I that does not depend on V: held currents, and conductances times their reversal potentials."""
    total = const.I_e
    for part in (drive.current, drive.reversal):
        if part is not None:
            total = part if total is None else total + part
    return 0.0 if total is None else total


def _current(const: Const, drive: Drive, x: State) -> Any:
    """I, in pA."""
    total = _current_at_rest(const, drive)
    return total if drive.conductance is None else total - drive.conductance * x[VOLTAGE]


def _linear_current(at_rest: Any, drive: Drive) -> Any:
    from snnrun.language.walk import Affine

    return Affine(at_rest, {VOLTAGE: -drive.conductance})


# ---- exact propagation -----------------------------------------------------------------------------------------------


def _linear(model: Model, variable: Variable, p: Mapping[str, Any]) -> Any:
    return described.affine_in(model, variable.rate, p, (*(v.name for v in model.variables), CURRENT), np)


def _system(model: Model, p: Mapping[str, Any], held: frozenset[str]) -> Any:
    """A of d/dt (variables, I, 1) = A (variables, I, 1), [..., n + 2, n + 2]; what is held stands still."""
    order = [*(v.name for v in model.variables), CURRENT]
    parts = [None if v.name in held else _linear(model, v, p) for v in model.variables]
    values = [
        np.asarray(x, np.float64) for part in parts if part is not None for x in (part.constant, *part.coefficients.values())
    ]
    shape = np.broadcast_shapes(*(value.shape for value in values)) if values else ()
    A = np.zeros((*shape, len(order) + 1, len(order) + 1))
    for i, part in enumerate(parts):
        if part is not None:
            A[..., i, -1] = part.constant
            for name, value in part.coefficients.items():
                A[..., i, order.index(name)] = value
    return A


def _exponential(A: Any) -> Any:
    """exp(A), by scaling, a Taylor series, and squaring of exp(A) - 1, so that what is close to 1 is right to its last digit."""
    norm = float(np.max(np.sum(np.abs(A), axis=-1), initial=0.0))
    squarings = max(0, math.ceil(math.log2(norm)) + 4) if norm > 0 and math.isfinite(norm) else 0
    A = A / 2.0**squarings
    total = term = A
    for n in range(2, 14):  # 2**-4 to the power of 14, over 14!
        term = term @ A / n
        total = total + term
    for _ in range(squarings):
        total = 2.0 * total + total @ total
    return np.eye(A.shape[-1]) + total


def _propagator(model: Model, p: Mapping[str, Any], dt: float, held: frozenset[str]) -> dict[tuple[str, str], Any]:
    """What each variable is after a step, as coefficients of the variables, I and 1 before it; zeros are left out."""
    P = _exponential(_system(model, p, held) * dt)
    order = [*(v.name for v in model.variables), CURRENT, "1"]
    return {
        (v.name, source): P[..., i, j][()]
        for i, v in enumerate(model.variables)
        for j, source in enumerate(order)
        if np.any(P[..., i, j])
    }


def _flat(table: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    return {f"{name} {source}": value for (name, source), value in table.items()}


def _of_current(model: Model, p: Mapping[str, Any], dt: float, tau: Any, n: int, held: frozenset[str]) -> dict[str, Any]:
    """What a current t^n exp(-t / tau) adds to each variable over a step, per pA / ms^n."""
    A = _system(model, p, held)
    size, variables = A.shape[-1], len(model.variables)
    tau = np.asarray(tau, np.float64)
    shape = np.broadcast_shapes(A.shape[:-2], tau.shape)
    B = np.zeros((*shape, size + n, size + n))  # I, then its derivative, in place of a constant; no 1
    B[..., : size - 1, : size - 1] = A[..., : size - 1, : size - 1]
    B[..., variables, variables] = -1 / tau
    if n:
        B[..., variables, size] = 1.0
        B[..., size, size] = -1 / tau
    P = _exponential(B * dt)
    column = size if n else variables
    return {v.name: P[..., i, column][()] for i, v in enumerate(model.variables) if np.any(P[..., i, column])}


def _phi(z: Any) -> Any:
    z = np.asarray(z, np.float64)
    return np.where(z == 0, 1.0, np.expm1(z) / np.where(z == 0, 1.0, z))


def _phi_of(z: Rounded) -> Rounded:
    """(exp(z) - 1) / z."""
    return evaluate(_EXPREL, {"z": z}, Functions(z.zero))


def _exprel() -> Node:
    from snnrun.language.expression import parse

    return parse("exprel(z)")


_EXPREL = _exprel()
