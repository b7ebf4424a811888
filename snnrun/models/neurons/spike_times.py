"""A source that spikes at listed times, once or again and again.

A time t is the stamp of the spike: the whole step t / dt, at least one. A neuron spikes at most once in a step. With a period a
neuron spikes at t + n period, n = 0, 1, 2, ...
"""

import re
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Discriminator, Tag

from snnrun import units
from snnrun.lazy import jnp
from snnrun.models.interface import Drive, Members, Parameters, Population, State, Words
from snnrun.models.layout import Layout
from snnrun.quantities import Count, FewSteps, TrainsFile, Windowed, fault, is_list, literals

_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


def _form(raw: Any) -> str:
    if isinstance(raw, dict | TrainsFile):
        own = isinstance(raw, dict) and any(is_list(times) or _NUMBER.fullmatch(str(key)) for key, times in raw.items())
        return "<mapping>" if own else "<file>"
    return "<lists>" if is_list(raw) and any(map(is_list, raw)) else "<list>"


def _index(raw: Any) -> str:
    if not _NUMBER.fullmatch(str(raw)):
        raise fault(f"{str(raw)[:40]!r} is no neuron", "times are given by numbers of neurons, like {0: [1 ms, 5 ms], 3: [2 ms]}")
    return str(raw)


Index = Annotated[str, BeforeValidator(_index)]


class Spec(Windowed):
    """Sources that spike at given times."""

    model: Literal["spike_times"]
    size: Count
    """Number of neurons."""
    layout: Layout | None = None
    """Where the neurons are."""
    times: Annotated[
        Annotated[tuple[FewSteps, ...], Tag("<list>")]
        | Annotated[tuple[tuple[FewSteps, ...], ...], Tag("<lists>")]
        | Annotated[dict[Index, tuple[FewSteps, ...]], Tag("<mapping>")]
        | Annotated[TrainsFile, Tag("<file>")],
        Discriminator(_form),
    ]
    """Times at which all neurons spike; a list of them for each neuron, or for some by their numbers; or a file with the columns
    `neuron` and `time_ms`."""
    period: FewSteps | None = None
    """After which all of this comes again, and again; no shorter than the last of the times."""


NEVER = np.iinfo(np.int64).max


class Const(NamedTuple):
    stamps: Any  # steps, ascending within a neuron, each neuron's list closed by NEVER
    first: Any  # where a neuron's list begins
    period: Any  # steps; None where nothing comes again
    start: Any  # first step and the one after the last
    stop: Any


class SpikeTimes(Population):
    """Its state is how many spikes of its list each neuron has come past."""

    Spec = Spec
    source = True

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        path = (*path, "times")
        if checker.sound((*path[:-1], "size")):
            if is_list(spec.times) and any(map(is_list, spec.times)) and len(spec.times) != spec.size:
                message = f"there are {len(spec.times):,} lists of times, and {spec.size:,} neuron{'' if spec.size == 1 else 's'}"
                checker.fault(path, message, "an empty list is for a neuron that never spikes")
            for neuron in spec.times if isinstance(spec.times, dict) else ():
                if int(neuron) >= spec.size:
                    hint = f"{path[-2]} has {spec.size:,} neurons, 0 to {spec.size - 1}"
                    checker.fault((*path, neuron), f"there is no neuron {neuron}", hint, at_key=True)
        seen: set[Any] = set()
        for below, time in literals(spec.times):
            step = units.steps(time, checker.dt) if checker.dt is not None else None
            if step is not None:
                if (*below[:-1], step) in seen:
                    checker.fault((*path, *below), "two spikes in one step", "a neuron spikes at most once in a step")
                seen.add((*below[:-1], step))
                if spec.period is not None and 0 < spec.period * (1 + units.GRID_TOLERANCE) < time:
                    message = f"{units.show(time, 'time')} lies after the period, {units.show(spec.period, 'time')}"
                    checker.fault((*path, *below), message, "all times lie within the first period")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        _, stamps = parameters["times"]
        if spec.period is None or np.max(stamps, initial=0) <= units.whole(spec.period, dt):
            return None
        last = units.show(float(np.max(stamps)) * dt, "time")
        return "period", f"a spike at {last} lies after the period, {units.show(spec.period, 'time')}", np.True_

    def lower(self, members: Members, method: str) -> Const:
        """The trains are pairs (neuron, stamp), in any order."""
        p = members.parameters
        neurons, stamps = p["times"]
        every_neuron = np.concatenate([neurons, np.arange(members.padded)])
        every_stamp = np.concatenate([stamps, np.full(members.padded, NEVER)])
        order = np.lexsort((every_stamp, every_neuron))
        counts = np.bincount(neurons, minlength=members.padded)
        first = np.concatenate([[0], np.cumsum(counts + 1)[:-1]])
        again = np.any(np.asarray(p["period"]) < NEVER)
        window = np.asarray(p["start"], np.int64), np.asarray(p["stop"], np.int64)
        return Const(every_stamp[order], first.astype(np.int64), np.asarray(p["period"], np.int64) if again else None, *window)

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {"spent": np.zeros(padded, np.int64)}

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        """A spike of step k bears the stamp k + 1."""
        past, spent = step, state["spent"]
        if const.period is not None:
            past = step % const.period
            spent = jnp.where(past == 0, 0, spent)
        due = const.stamps[const.first + spent] == past + 1
        return {"spent": spent + due.astype(jnp.int64)}, due & (step >= const.start) & (step < const.stop)


MODEL = SpikeTimes()
