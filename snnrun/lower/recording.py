"""Monitors as places: what is taken of the groups and stacks, and where in that each population's part stands."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from snnrun import units
from snnrun.document import Fault, SpecError
from snnrun.lower.groups import Placed, stops
from snnrun.models import monitors, stdp
from snnrun.plan import GatePlace, InputPlace, ReleasePlace, Sample, SpikeTap, Take, WeightTap
from snnrun.receptors import Receptor, variables, weight_dimension
from snnrun.receptors import released as released_of
from snnrun.selections import Part, parts
from snnrun.spec import Spec

MOST_RUNS = 8  # pieces that are taken as such; of more, place by place


class Recording(NamedTuple):
    takes: tuple[Take, ...]
    taken: tuple[Any, ...]  # int32 places of each take, or None
    samples: tuple[Sample, ...]
    taps: tuple[SpikeTap, ...]
    tapped: tuple[tuple[int, int], ...]


def recording(spec: Spec, found: list[Receptor], placed: Placed, released: tuple[ReleasePlace, ...],
              gates: tuple[GatePlace, ...], driving: tuple[InputPlace, ...]) -> Recording:  # fmt: skip
    sizes = {name: population.size for name, population in spec.populations.items()}
    index = {name: i for i, name in enumerate(spec.populations)}
    by_name = {population.name: population for population in placed.populations}
    own: dict[str, list[int]] = {name: [] for name in sizes}
    for i, receptor in enumerate(found):
        own[receptor.population].append(i)
    tapped, bits = _tapped(spec, sizes, placed, by_name)
    samples: list[Sample] = []
    taps: list[SpikeTap] = []
    runs: dict[Any, list[tuple[int, int]]] = {}  # of each take, which is described by all but its runs
    order: dict[Any, int] = {}
    columns: dict[Any, int] = {}
    steps = partial(units.whole, dt=spec.dt)
    for name, monitor in spec.monitors.items():
        first, last = steps(monitor.start), stops(monitor.stop, steps)
        if isinstance(monitor, monitors.WeightsSpec):
            continue
        model = monitors.MODELS[monitor.model]
        for part in parts(monitor.of, sizes):
            if model.spiking:
                width = model.bin(monitor)
                bin_steps = None if width is None else steps(width)
                taps.append(SpikeTap(name, part.population, part.neurons, first, last, bits[part.population], bin_steps))
                continue
            assert isinstance(monitor, monitors.SampledSpec)
            every = 1 if monitor.every is None else steps(monitor.every)
            mine = [(i, found[i]) for i in own[part.population]]
            of_input = {d.name: i for i, d in enumerate(driving) if placed.populations[d.population].name == part.population}
            for label, unit, kind, i, field in _sampled(spec, monitor, model, part, mine, of_input):
                if kind == "neuron":
                    place, begin = by_name[part.population].group, by_name[part.population].first
                elif kind == "release":
                    place, begin = 0, _neuron_0(released, i, part, parts(spec.projections[i].pre, sizes))
                elif kind == "gate":
                    place, begin = next(g.value for g in gates if (g.projection, g.population) == (i, index[part.population])), 0
                elif kind == "driving":
                    place, begin = driving[i].layer, driving[i].first
                else:
                    place, begin = placed.receptors[i].stack, placed.receptors[i].first
                key = kind, place, field, every, first, last
                take, column = order.setdefault(key, len(order)), columns.get(key, 0)
                columns[key] = column + part.size
                pieces = runs.setdefault(key, [])
                for low, high in part.runs:
                    if pieces and pieces[-1][1] == begin + low:
                        pieces[-1] = pieces[-1][0], begin + high
                    else:
                        pieces.append((begin + low, begin + high))
                samples.append(Sample(name, part.population, label, unit, kind == "neuron", part.neurons, every, first, last,
                                      take, column))  # fmt: skip
    takes, taken = [], []
    for (kind, place, field, *window), pieces in runs.items():
        few = len(pieces) <= MOST_RUNS
        takes.append(Take(kind, place, field, tuple(pieces) if few else None, *window))
        taken.append(None if few else np.concatenate([np.arange(low, high, dtype=np.int32) for low, high in pieces]))
    return Recording(tuple(takes), tuple(taken), tuple(samples), tuple(taps), tapped)


def weights(spec: Spec, synapses: dict[str, int]) -> tuple[WeightTap, ...]:
    """What weights monitors take. Raises SpecError."""
    found, steps = [], partial(units.whole, dt=spec.dt)
    for name, monitor in spec.monitors.items():
        if not isinstance(monitor, monitors.WeightsSpec):
            continue
        entry, total = spec.projections[monitor.of], synapses[monitor.of]
        if not total:
            message = f"{monitor.of} has no synapses, so there is nothing to record"
            raise SpecError([Fault(("monitors", name, "of"), message)])
        least, most = stdp.bounds(entry.stdp)
        every = None if monitor.every is None else steps(monitor.every)
        window = steps(monitor.start), stops(monitor.stop, steps)
        count = total if monitor.synapses is None else min(monitor.synapses, total)
        unit = units.usual(weight_dimension(entry))
        found.append(WeightTap(name, monitor.of, every, *window, count, total, least, most - least, unit))
    return tuple(found)


def _tapped(spec: Spec, sizes: dict[str, int], placed: Placed, by_name: dict[str, Any]):
    """Runs of words of a row that spike monitors want, and for each population the bit of its neuron 0 in these."""
    of_neurons = [m for m in spec.monitors.values() if not isinstance(m, monitors.WeightsSpec)]
    spiking = [m for m in of_neurons if monitors.MODELS[m.model].spiking]
    names = {part.population for m in spiking for part in parts(m.of, sizes)}
    begin = {name: placed.groups[by_name[name].group].first + by_name[name].first for name in names}
    runs: list[tuple[int, int]] = []
    bits, row = {}, 0
    for name in sorted(names, key=begin.__getitem__):
        low, high = begin[name] // 32, -(-(begin[name] + sizes[name]) // 32)
        if runs and low <= runs[-1][1]:
            row += max(high - runs[-1][1], 0)
            runs[-1] = runs[-1][0], max(high, runs[-1][1])
        else:
            row += high - low
            runs.append((low, high))
        bits[name] = begin[name] - 32 * runs[-1][1] + 32 * row
    return tuple(runs), bits


def _neuron_0(released: tuple[ReleasePlace, ...], projection: str, part: Part, pre: list[Part]) -> int:
    """Where neuron 0 of a population would be on the axis of releases, beside the neurons of a part."""
    for r in released:
        if r.projection == projection and r.name == part.population and set(part.neurons) <= set(pre[r.part].neurons):
            return r.first - r.start
    raise AssertionError("a neuron that is no source is recorded")


def _sampled(spec: Spec, monitor: Any, model: Any, part: Part, own: list[tuple[int, Receptor]], of_input: dict[str, int]):
    """(label, unit, kind, receptor or input, variable) of each thing that a monitor takes of a population."""
    of_source = {source.name: i for i, receptor in own for source in receptor.sources}
    known = variables(spec.populations[part.population], [receptor for _, receptor in own])
    known |= released_of(spec, part.population)
    yield from model.sampled(monitor, own, of_source, known, of_input)
