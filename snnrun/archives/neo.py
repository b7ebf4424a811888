"""Results as Neo's objects, for Elephant and all that works with Neo, and as a file of them: NIX, which holds no pickled objects.

A Block with one Segment. A SpikeTrain for each recorded neuron, an AnalogSignal [times, neurons] for each monitor, population and
variable, and for rates; weights are signals of synapses. A Group for each population has what belongs to it.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from snnrun.archives.plain import said
from snnrun.archives.taken import Learnt, Rates, Spikes, Taken, Traces, sorted_by_neuron
from snnrun.optional import library
from snnrun.request import Refused
from snnrun.terminal import visible

_SHARE = 0.5  # of the machine's memory that a Block may take


def block_of(taken: Taken) -> Any:
    """All that is taken as a Neo Block, in memory. Raises Missing, Refused."""
    neo = library("neo", "neo")
    _check_size(taken)
    facts = taken.facts
    block = neo.Block(name=visible(facts.name), file_origin=visible(facts.file), description="Simulated by snnrun",
                      network=facts.yaml.encode("utf-8", "replace").decode(), network_json=facts.resolved)  # fmt: skip
    block.annotate(**{key: value for key, value in said(facts).items() if isinstance(value, int | float | str)})
    block.annotate(
        **{f"provenance_{key}": value for key, value in facts.provenance.items() if isinstance(value, int | float | str)}
    )
    segment = neo.Segment(name=visible(facts.name), index=0)
    block.segments.append(segment)
    groups = {}
    for name, (size, model) in facts.populations.items():
        groups[name] = neo.Group(name=name, size=size, model=model, description=f"population {name}")
        for axis, values in zip("xyz", taken.positions[name].T if name in taken.positions else (), strict=False):
            groups[name].annotate(**{f"{axis}_um": values.tolist()})
        block.groups.append(groups[name])
    for spikes in taken.spikes:
        trains = _trains(neo, spikes)
        segment.spiketrains.extend(trains)
        groups[spikes.population].add(*trains)
    for found, population in [*((signal, t.population) for t in taken.traces for signal in _signals(neo, t)),
                              *((_rate(neo, r), r.population) for r in taken.rates if len(r.values))]:  # fmt: skip
        segment.analogsignals.append(found)
        groups[population].add(found)
    for learnt in taken.weights:
        _add_weights(neo, segment, learnt)
    block.check_relationships()
    return block


def write_neo(taken: Taken, path: Path) -> None:
    """Neo's NixIO. Raises Missing, Refused."""
    library("nixio", "neo")
    block = block_of(taken)
    with library("neo.io", "neo").NixIO(str(path), "ow") as out:
        out.write_block(block)


def _trains(neo: Any, spikes: Spikes) -> list[Any]:
    times, ends = sorted_by_neuron(spikes)
    ms = library("quantities", "neo").ms
    found = []
    for neuron, own in zip(spikes.recorded.tolist(), np.split(times, ends[:-1]), strict=True):
        found.append(neo.SpikeTrain(own, units=ms, t_start=spikes.start, t_stop=spikes.stop,
                                    name=f"{spikes.monitor}.{spikes.population}.{neuron}", population=spikes.population,
                                    neuron=neuron, monitor=spikes.monitor))  # fmt: skip
    return found


def _signals(neo: Any, traces: Traces) -> list[Any]:
    pq = library("quantities", "neo")
    if not traces.length:
        return []
    return [
        neo.AnalogSignal(traces.read(name, slice(0, traces.length)), units=_unit(traces.units[name]),
                         t_start=(traces.start + traces.step * traces.first) * pq.ms, sampling_period=traces.step * pq.ms,
                         name=f"{traces.monitor}.{traces.population}.{name}", population=traces.population,
                         variable=name, monitor=traces.monitor, model=traces.model,
                         unit=traces.units[name], array_annotations={"neuron": traces.neurons})
        for name in traces.data
    ]  # fmt: skip


def _rate(neo: Any, rates: Rates) -> Any:
    """A signal whose samples are at the middles of the bins; the end of a run may cut the last one short."""
    pq = library("quantities", "neo")
    middles = 0.5 * (rates.edges[:-1] + rates.edges[1:])
    return neo.AnalogSignal(rates.values[:, None], units=pq.Hz, t_start=middles[0] * pq.ms, sampling_period=rates.bin * pq.ms,
                            name=f"{rates.monitor}.{rates.population}", population=rates.population, variable="rate",
                            monitor=rates.monitor, bin_ms=rates.bin,
                            last_bin_ms=float(rates.edges[-1] - rates.edges[-2]))  # fmt: skip


def _add_weights(neo: Any, segment: Any, learnt: Learnt) -> None:
    """Weights at intervals, and those at the end as one more time."""
    pq, of = library("quantities", "neo"), learnt.of
    times = of.times if of.last is None else np.append(of.times, learnt.end)
    values = learnt.read(slice(0, len(of.times)))
    values = values if of.last is None else np.vstack([values.reshape(-1, len(of.pre)), of.last])
    if not len(times):
        return
    segment.irregularlysampledsignals.append(neo.IrregularlySampledSignal(
        times * pq.ms, values, units=_unit(of.unit), name=f"{learnt.monitor}.{of.projection}", monitor=learnt.monitor,
        projection=of.projection, variable="weight", array_annotations={"pre": of.pre, "post": of.post, "delay_ms": of.delay},
    ))  # fmt: skip


def _unit(text: str) -> Any:
    """A unit of ours as one of quantities; what it does not know, like steps, has none."""
    pq = library("quantities", "neo")
    for ours, theirs in (("GOhm", "mV/pA"), ("MOhm", "Mohm"), ("^", "**")):
        text = text.replace(ours, theirs)
    try:
        return pq.Quantity(1.0, text or "dimensionless").units
    except LookupError:
        return pq.dimensionless


def _check_size(taken: Taken) -> None:
    """Neo's objects are in memory."""
    samples = sum(t.length * len(t.neurons) * data.dtype.itemsize for t in taken.traces for data in t.data.values())
    weights = sum(8 * len(learnt.of.times) * len(learnt.of.pre) for learnt in taken.weights)
    needed = samples + weights + sum(8 * spikes.number for spikes in taken.spikes)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > _SHARE * there:
        raise Refused(
            f"Neo keeps everything in memory, and this is {needed / 1e9:.3g} GB of the machine's {there / 1e9:.3g} GB",
            "choose monitors, populations or times, or use nwb or parquet, which are written piece by piece",
        )
