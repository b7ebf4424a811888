"""Weights that change, in plain XLA operations: every synapse is looked at in every step.

What native/plastic.hpp says, with the same operations in the same order, so that a weight has the same bits. For the last steps
it is known of each plastic source and target when it fired last and what its traces were after that: row k % rows of [rows,
neurons, (stamp, traces)] holds what was so at the end of step k - 1. A step k takes a synapse of a delay of d, of which
`dendritic` are behind it, to the time k + 1 - dendritic: there a spike of the source arrives that was stamped k + 1 - d, and one
of the target that was stamped k + 1 - 2 dendritic.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from snnrun.kernels import Pathway, Weights, edges_of
from snnrun.lazy import jnp, lax
from snnrun.models import stdp
from snnrun.models.interface import State
from snnrun.models.rounded import Rounded, plain
from snnrun.plan import Plasticity, Program

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # as in native/law.hpp


class Part(NamedTuple):
    """A plastic projection; edges in the order of source, target and delay."""

    source: Any  # int32 [edges] place on the axis of plastic sources
    target: Any  # int32 [edges]
    to: Any  # int32 [edges] place on the axis of targets
    delay: Any  # int64 [edges]
    fading: Any  # of the traces of the source, then of the target: (fine, coarse) each
    numbers: Any  # stdp.Coefficients' floats, least and range in quanta
    pre: Any
    post: Any
    start: Any  # float64 [edges] y at t = 0


_NUMBERS = ("up", "mu_up", "up_pair", "up_triplet", "down", "mu_down", "down_pair", "down_triplet", "down_always")


def part(pathway: Pathway) -> Part:
    """The edges of a plastic pathway, drawn."""
    c, own = pathway.changing.coefficients, pathway.changing
    # that each neuron has a place of its own tells the neurons of the selections
    edges = edges_of(pathway._replace(wide=True))
    pre, post = (np.zeros(int(side.max(initial=0)) + 1, np.int32) for side in (pathway.source, pathway.target))
    pre[pathway.source], post[pathway.target] = np.arange(len(pathway.source)), np.arange(len(pathway.target))
    pre, post = pre[edges.source], post[edges.target]
    delay, weight = (np.broadcast_to(values, pre.shape) for values in (edges.delay, edges.weight))
    order = np.lexsort((delay, post, pre))
    pre, post, delay = pre[order], post[order], delay[order].astype(np.int64)
    start = np.clip((weight[order] * pathway.quantum - c.least) / c.range, 0.0, 1.0)
    fading = tuple(stdp.fading(tau, pathway.connectivity.dt) for tau in (*c.source_tau, *c.target_tau))
    numbers = {name: np.float64(getattr(c, name)) for name in _NUMBERS}
    numbers |= {"least": np.float64(c.least / pathway.quantum), "range": np.float64(c.range / pathway.quantum)}
    return Part(own.source[pre], own.target[post], pathway.target[post], delay, fading, numbers, pre, post, start)


def nbytes(parts: tuple[Part, ...]) -> int:
    return sum(array.nbytes for part in parts for array in (part.source, part.target, part.to, part.delay, part.start))


# ---- the state -------------------------------------------------------------------------------------------------------


def _rows(own: Plasticity) -> int:
    return 2 * own.longest + 2


def plastic(p: Program, parts: tuple[Part, ...], every: list[Any], known: Mapping[str, Weights], step: int) -> State:
    """The state of weights, from what is known of them free of a kernel or at t = 0."""
    own = p.plasticity
    if not own.weights:
        return {}
    pairs = list(zip(parts, every, strict=True))
    state = {"y": np.concatenate([known[own.name].y if own.name in known else part.start for part, own in pairs])}
    for side, neurons in (("source", own.sources), ("target", own.targets)):
        state[side] = np.zeros((_rows(own), neurons, own.width))
    for changing in every:
        if changing.name not in known:
            continue
        weights = known[changing.name]
        for side, places, spikes in (("source", changing.source, weights.source), ("target", changing.target, weights.target)):
            for age in range(_rows(own)):
                time = step - age
                late = (spikes[:, :, 0] > 0) & (spikes[:, :, 0] <= time)
                count = np.count_nonzero(late, axis=1)
                last = spikes[np.arange(len(spikes)), np.maximum(count - 1, 0)]
                state[side][time % _rows(own), places] = np.where(count[:, None] > 0, last, 0.0)
    return state


def weights(p: Program, parts: tuple[Part, ...], every: list[Any], state: State, step: int) -> list[Weights]:
    """The weights of each plastic projection and what they will need, free of the kernel."""
    found, first = [], 0
    for part, changing in zip(parts, every, strict=True):
        if not len(part.start):
            continue
        sides = []
        for side, places, times in (("source", changing.source, 1), ("target", changing.target, 2)):
            rows = np.asarray(state[side])
            steps = np.arange(max(step - times * p.plasticity.longest, 0), step + 1) % _rows(p.plasticity)
            spikes = rows[steps][:, places].transpose(1, 0, 2)  # the one before the window, and all in it
            new = np.ones(spikes.shape[:2], bool)
            new[:, 1:] = spikes[:, 1:, 0] != spikes[:, :-1, 0]
            new &= spikes[:, :, 0] > 0
            order = np.argsort(~new, axis=1, kind="stable")
            spikes = np.where(new[:, :, None], spikes, 0.0)[np.arange(len(spikes))[:, None], order]
            sides.append(spikes[:, : max(int(new.sum(axis=1).max(initial=0)), 1)])
        y = np.asarray(state["y"])[first : first + len(part.start)]
        found.append(Weights(changing.name, part.pre, part.post, part.delay.astype(np.int32), y, *sides))
        first += len(part.start)
    return found


# ---- a step ----------------------------------------------------------------------------------------------------------


def remembered(p: Program, parts: tuple[Part, ...], zero: Any, state: State, row: Any, step: Any) -> State:
    """The state with the spikes of a step, whose bits are given."""
    own = p.plasticity
    state = dict(state)
    for side, runs in (("source", own.source_runs), ("target", own.target_runs)):
        before = state[side][step % _rows(own)]
        pieces = []
        for run in runs:
            words = row[run.first_word : run.first_word + run.words]
            fired = ((words[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1).astype(bool).reshape(-1)
            was, part = before[run.place : run.place + 32 * run.words], parts[run.number]
            traces = []
            for i in range(own.width - 1):
                grown = jnp.ones(len(was))
                table = _table(part, own, side, i)
                if table is not None and not own.kinds[run.number].nearest:
                    since = (step + 1) - was[:, 0].astype(jnp.int64)
                    grown = plain(Rounded(was[:, 1 + i], zero) * _faded(table, since, zero) + 1.0)
                    grown = jnp.where(was[:, 0] > 0, grown, 1.0)
                traces.append(grown)
            stamp = jnp.broadcast_to((step + 1).astype(jnp.float64), was[:, 0].shape)
            pieces.append(jnp.where(fired[:, None], jnp.stack([stamp, *traces], axis=1), was))
        after = jnp.concatenate(pieces)
        state[side] = lax.dynamic_update_index_in_dim(state[side], after, (step + 1) % _rows(own), 0)
    return state


def _table(part: Part, own: Plasticity, side: str, i: int) -> Any:
    """Of the i-th trace of a side; None where there is none."""
    each = len(part.fading) // 2
    return part.fading[i + (each if side == "target" else 0)] if i < each else None


def _faded(table: Any, n: Any, zero: Any) -> Rounded:
    """exp(-n dt / tau) of whole n."""
    fine, coarse = table
    high = jnp.maximum(n, 0) // stdp.FINE
    product = Rounded(fine[jnp.maximum(n, 0) % stdp.FINE], zero) * coarse[jnp.minimum(high, len(coarse) - 1)]
    return Rounded(jnp.where(high < len(coarse), plain(product), 0.0), zero)


def sent(p: Program, parts: tuple[Part, ...], zero: Any, state: State, step: Any, jumps: bool, sums: Any) -> tuple[State, Any]:
    """The weights after a step, of synapses that move V or of all others; and the sums with what their spikes bring."""
    own, first, every = p.plasticity, 0, []
    for number, part in enumerate(parts):
        y = state["y"][first : first + len(part.start)]
        first += len(part.start)
        kind = own.kinds[number]
        if kind.jumps == jumps:
            y, quanta = lax.cond(
                _anything(own, kind, part, state, step),
                lambda y, part=part, kind=kind: _changed(own, kind, part, zero, state, step, y),
                lambda y: (y, jnp.zeros(y.shape, jnp.int64)),
                y,
            )
            sums = sums.at[part.to].add(quanta, mode="promise_in_bounds")
        every.append(y)
    return state | {"y": jnp.concatenate(every)}, sums


def _times(kind: Any, part: Part, step: Any) -> tuple[Any, Any]:
    """Stamps of the spikes of source and target that reach each synapse in a step."""
    now = step + 1
    return now - part.delay, (now if kind.axonal else now - 2 * part.delay) + 0 * part.delay


def _hit(rows: Any, place: Any, stamp: Any) -> Any:
    return (rows[stamp % len(rows), place, 0] == stamp) & (stamp > 0)


def _anything(own: Plasticity, kind: Any, part: Part, state: State, step: Any) -> Any:
    t, s = _times(kind, part, step)
    return jnp.any(_hit(state["source"], part.source, t) | _hit(state["target"], part.target, s))


def _changed(own: Plasticity, kind: Any, part: Part, zero: Any, state: State, step: Any, y: Any) -> tuple[Any, Any]:
    t, s = _times(kind, part, step)
    source, target = _hit(state["source"], part.source, t), _hit(state["target"], part.target, s)
    c = {name: Rounded(value, zero) for name, value in part.numbers.items()}

    def trace(side: str, place: Any, stamp: Any, i: int) -> Rounded:
        rows = state[side]
        last = rows[(stamp - 1) % len(rows), place]
        table = _table(part, own, side, i)
        since = stamp - last[:, 0].astype(jnp.int64)
        value = Rounded(last[:, 1 + i], zero) * _faded(table, since, zero)
        return Rounded(jnp.where((last[:, 0] > 0) & (stamp > 1), plain(value), 0.0), zero)

    r1, o1 = trace("source", part.source, t, 0), trace("target", part.target, s, 0)
    up_with = c["up_pair"]
    down_with = c["down_pair"]
    if own.width > 2 and len(part.fading) > 2:
        up_with = up_with + c["up_triplet"] * trace("target", part.target, s, 1)
        down_with = down_with + c["down_triplet"] * trace("source", part.source, t, 1)
    Y = Rounded(y, zero)
    raised = _within(Y + (c["up"] * _power(Y if kind.grows else 1.0 - Y, kind.mu_up, c["mu_up"])) * (r1 * up_with))
    Y = Rounded(jnp.where(target, plain(raised), y), zero)
    lowered = _within(Y - c["down"] * (_power(Y, kind.mu_down, c["mu_down"]) * (o1 * down_with) + c["down_always"]))
    y = jnp.where(source, plain(lowered), plain(Y))
    quanta = jnp.rint(plain(c["least"] + Rounded(y, zero) * c["range"])).astype(jnp.int64)
    return y, jnp.where(source, quanta, 0)


def _within(y: Rounded) -> Rounded:
    return Rounded(jnp.minimum(jnp.maximum(plain(y), 0.0), 1.0), y.zero)


def _power(x: Rounded, known: float | None, mu: Rounded) -> Any:
    """x**mu for x in 0 ... 1; `known` is a mu that is 0 or 1."""
    if known is not None:
        return 1.0 if known == 0 else x
    positive = plain(x) > 0
    log = _log(Rounded(jnp.where(positive, plain(x), 1.0), x.zero))
    found = _exp(Rounded(jnp.maximum(plain(mu * log), -690.0), x.zero))
    return Rounded(jnp.where(positive, plain(found), 0.0), x.zero)


def _log(x: Rounded) -> Rounded:
    """The logarithm of native/law.hpp."""
    mantissa, exponent = jnp.frexp(plain(x))
    low = mantissa < 0.70710678118654757
    mantissa, k = jnp.where(low, mantissa * 2.0, mantissa), Rounded((exponent - low).astype(jnp.float64), x.zero)
    s = Rounded((mantissa - 1.0) / (mantissa + 1.0), x.zero)
    z = s * s
    series = Rounded(jnp.zeros(mantissa.shape), x.zero)
    for n in range(23, 1, -2):
        series = (series + 1.0 / n) * z
    return k * _LN2_HIGH + (k * _LN2_LOW + 2.0 * (s + s * series))


def _exp(x: Rounded) -> Rounded:
    """The exponential of native/law.hpp."""
    k = Rounded(jnp.floor(plain(x * 1.4426950408889634 + 0.5)), x.zero)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = Rounded(jnp.ones(plain(x).shape), x.zero)
    nothing = plain(k * x.zero)  # of each element, so that the compiler does not multiply by the inverse of what divides all
    for n in range(16, 0, -1):
        series = 1.0 + Rounded(plain(series * r) / (n + nothing), x.zero)
    power = lax.bitcast_convert_type((plain(k).astype(jnp.int64) + 1023) << 52, jnp.float64)  # 2**k, exactly
    return series * power
