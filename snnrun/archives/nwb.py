"""Results as Neurodata Without Borders (NWB 2), by pynwb.

    units                     a row for each recorded neuron, silent ones too: spike_times (s), obs_intervals, population, neuron;
                              of the first spikes monitor of each population
    acquisition               a TimeSeries for each monitor, population and variable, `voltage.E.V`, [times, neurons] as the
                              results file has them, with the factor to the SI unit; rates; weights at intervals
    processing["network"]     tables: `neurons` (all, with their positions), `voltage.E` (which neuron each column of the series
                              is), the synapses of weights; units of further spikes monitors
    scratch                   the network file, the same as JSON with overrides, provenance

Samples go from file to file piece by piece.
"""

import itertools
import json
import math
import re
import uuid
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun.archives.plain import said
from snnrun.archives.taken import Facts, Learnt, Rates, Spikes, Taken, Traces, sorted_by_neuron
from snnrun.optional import library
from snnrun.terminal import visible

# What NWB calls the units that are ours, and the factor to them.
_UNITS = {
    "mV": ("volts", 1e-3),
    "pA": ("amperes", 1e-12),
    "nS": ("siemens", 1e-9),
    "ms": ("seconds", 1e-3),
    "pF": ("farads", 1e-12),
    "GOhm": ("ohms", 1e9),
    "MOhm": ("ohms", 1e6),
    "um": ("meters", 1e-6),
    "Hz": ("hertz", 1.0),
    "kHz": ("hertz", 1e3),
    "": ("n.a.", 1.0),
}
_BUFFER = 2**25 / 1e9  # gigabytes that are read at a time
_CHUNK = 1.0  # megabytes of a chunk


def write_nwb(taken: Taken, path: Path) -> None:
    pynwb = library("pynwb", "nwb")
    file = _session(pynwb, taken.facts)
    network = file.create_processing_module(
        "network", "What the network of this simulation has: neurons, synapses, further spikes"
    )
    _neurons(network, taken)
    there: set[str] = set()
    first: list[Spikes] = []
    for monitor, group in itertools.groupby(taken.spikes, lambda spikes: spikes.monitor):
        own = list(group)
        first += [spikes for spikes in own if spikes.population not in there]
        if again := [spikes for spikes in own if spikes.population in there]:
            network.add(_units(monitor, f"Spikes that the monitor {monitor} recorded", again, taken.facts.dt))
        there |= {spikes.population for spikes in own}
    if first:
        what = "Recorded neurons of the simulated populations; silent ones have no spike times"
        file.units = _units("units", what, first, taken.facts.dt)
    for traces in taken.traces:
        _add_traces(pynwb, file, network, traces)
    for rates in taken.rates:
        _add_rates(pynwb, file, rates)
    for learnt in taken.weights:
        _add_weights(pynwb, file, network, learnt)
    with pynwb.NWBHDF5IO(path, "w") as out:
        out.write(file)


def _session(pynwb: Any, facts: Facts) -> Any:
    """The file with what is known of the run as a whole. No field is a list of texts: Neo's reader of NWB breaks on them."""
    created = _created(facts)
    whole = "" if facts.complete else f", of which {facts.reached:g} ms were simulated"
    version = facts.provenance.get("snnrun", "")
    script = f"snnrun {version}: the network file is in scratch/network_yaml; from {visible(facts.file)}"
    identity = json.dumps([facts.provenance, facts.resolved, facts.start, facts.stop], sort_keys=True, default=str)
    file = pynwb.NWBFile(
        session_description=f"Simulation of the spiking neural network {visible(facts.name)!r}, {facts.duration:g} ms in steps "
                            f"of {facts.dt:g} ms{whole}. All data are simulated.",
        identifier=str(uuid.uuid5(uuid.NAMESPACE_URL, identity)),
        session_start_time=created,
        session_id=re.sub(r"[^A-Za-z0-9.-]+", "-", facts.name).strip("-") or "run",
        experiment_description="; ".join(f"population {name}: {size} neurons, model {model}"
                                         for name, (size, model) in facts.populations.items()),
        source_script=script,
        source_script_file_name=visible(facts.file),
    )  # fmt: skip
    text = facts.yaml.encode("utf-8", "replace").decode()
    file.add_scratch(text, name="network_yaml", description="The network file of the simulation (YAML)")
    file.add_scratch(facts.resolved, name="network_json", description="The network as it was run, with overrides (JSON)")
    file.add_scratch(json.dumps(said(facts), indent=2), name="provenance",
                     description="Versions, device, seed and timings of the run (JSON)")  # fmt: skip
    return file


def _created(facts: Facts) -> datetime:
    try:
        found = datetime.fromisoformat(str(facts.provenance.get("created")))
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _neurons(network: Any, taken: Taken) -> None:
    """The table of all neurons of the populations that are taken."""
    sizes = {name: size for name, (size, _) in taken.facts.populations.items()}
    columns = [
        _column("population", "Name of the population", np.repeat(np.array(list(sizes), object), list(sizes.values()))),
        _column(
            "neuron", "Index of the neuron in its population, from 0", np.concatenate([np.arange(n) for n in sizes.values()])
        ),
    ]
    dimensions = max((points.shape[1] for points in taken.positions.values()), default=0)
    for axis in range(dimensions):
        parts = []
        for name, size in sizes.items():
            points = taken.positions.get(name, np.empty((size, 0)))
            parts.append(points[:, axis] if axis < points.shape[1] else np.full(size, math.nan))
        name = "xyz"[axis]
        columns.append(_column(f"{name}_um", f"Coordinate {name} of the neuron in micrometers; NaN where it has none",
                               np.concatenate(parts)))  # fmt: skip
    network.add(_table("neurons", "All neurons of the network", columns))


def _units(name: str, description: str, every: list[Spikes], dt: float) -> Any:
    """Spikes of some populations as a table of units, whose columns are made at once."""
    misc, common = library("pynwb.misc", "nwb"), library("hdmf.common", "nwb")
    times, ends, last = [], [], 0
    for spikes in every:
        own, own_ends = sorted_by_neuron(spikes)
        times.append(own * 1e-3)
        ends.append(own_ends + last)
        last += len(own)
    rows = [len(spikes.recorded) for spikes in every]
    windows = np.repeat(np.array([[spikes.start, spikes.stop] for spikes in every]) * 1e-3, rows, axis=0)
    spike_times = common.VectorData(name="spike_times", description="Times of the spikes in seconds", data=np.concatenate(times))
    observed = common.VectorData(name="obs_intervals", description="When spikes of the unit were recorded", data=windows)
    columns = [
        spike_times,
        common.VectorIndex(name="spike_times_index", data=np.concatenate(ends), target=spike_times),
        observed,
        common.VectorIndex(name="obs_intervals_index", data=np.arange(1, sum(rows) + 1), target=observed),
        _column("population", "Name of the population", np.repeat(np.array([s.population for s in every], object), rows)),
        _column("neuron", "Index of the neuron in its population, from 0", np.concatenate([s.recorded for s in every])),
        _column("monitor", "Monitor that recorded the spikes", np.repeat(np.array([s.monitor for s in every], object), rows)),
    ]
    return misc.Units(name=name, description=description, columns=columns, id=np.arange(sum(rows)), resolution=dt * 1e-3)


def _add_traces(pynwb: Any, file: Any, network: Any, traces: Traces) -> None:
    at = f"{traces.monitor}.{traces.population}"
    size = len(traces.neurons)
    network.add(_table(at, f"Which neuron each column of the series {at}.* is", [
        _column("population", "Name of the population", np.full(size, traces.population, object)),
        _column("neuron", "Index of the neuron in its population, from 0", traces.neurons),
    ]))  # fmt: skip
    what = "Input current through" if traces.model == "input" else "State variable"
    for name, stored in traces.data.items():
        unit, conversion = _UNITS.get(traces.units[name], (traces.units[name], 1.0))
        data = _streamed((traces.length, size), stored.dtype, lambda frames, n=name: traces.read(n, frames))
        file.add_acquisition(pynwb.TimeSeries(
            name=f"{at}.{name}", data=data, unit=unit, conversion=conversion,
            starting_time=(traces.start + traces.step * traces.first) * 1e-3, rate=1e3 / traces.step,
            description=f"{what} {name} of neurons of population {traces.population}, recorded by the monitor {traces.monitor}; "
                        f"stored in {traces.units[name] or 'no unit'}",
            comments=f"Columns are neurons: see processing/network/{at}",
        ))  # fmt: skip


def _add_rates(pynwb: Any, file: Any, rates: Rates) -> None:
    if not len(rates.values):
        return
    file.add_acquisition(pynwb.TimeSeries(
        name=f"{rates.monitor}.{rates.population}", data=rates.values, unit="hertz",
        **_clock(0.5 * (rates.edges[:-1] + rates.edges[1:])),
        description=f"Mean rate per neuron of population {rates.population} in bins of {rates.bin:g} ms, recorded by the monitor "
                    f"{rates.monitor}",
        comments="Timestamps are the middles of the bins; the end of a run may cut the last one short",
    ))  # fmt: skip


def _add_weights(pynwb: Any, file: Any, network: Any, learnt: Learnt) -> None:
    of = learnt.of
    at = f"{learnt.monitor}.{of.projection}"
    columns = [
        _column("pre", "Number of the source within the projection's pre, from 0", of.pre),
        _column("post", "Number of the target within the projection's post, from 0", of.post),
        _column("delay_ms", "Delay in milliseconds", of.delay),
    ]
    if of.last is not None:
        columns.append(_column(f"weight_{of.unit}", f"Weight in {of.unit} at {learnt.end:g} ms", of.last))
    network.add(_table(at, f"Synapses of the projection {of.projection}: {len(of.pre)} of {of.total}", columns))
    if len(of.times):
        unit, conversion = _UNITS.get(of.unit, (of.unit, 1.0))
        file.add_acquisition(pynwb.TimeSeries(
            name=at, data=_streamed((len(of.times), len(of.pre)), np.dtype(np.float64), learnt.read), unit=unit,
            conversion=conversion, **_clock(of.times), 
            description=f"Weights of the projection {of.projection}, stored in {of.unit}",
            comments=f"Columns are synapses: see processing/network/{at}",
        ))  # fmt: skip


def _clock(times: NDArray[np.float64]) -> dict[str, Any]:
    """When samples are, as NWB says it: a rate where the times, in ms, are regular."""
    step = np.diff(times)
    if len(step) and np.allclose(step, step[0], rtol=1e-9, atol=1e-9):
        return {"starting_time": times[0] * 1e-3, "rate": 1e3 / step[0]}
    return {"timestamps": times * 1e-3}


def _column(name: str, description: str, data: NDArray[Any]) -> Any:
    values = data.tolist() if data.dtype == object else data
    return library("hdmf.common", "nwb").VectorData(name=name, description=description, data=values)


def _table(name: str, description: str, columns: Iterable[Any]) -> Any:
    columns = list(columns)
    ids = np.arange(len(columns[0].data))
    return library("hdmf.common", "nwb").DynamicTable(name=name, description=description, columns=columns, id=ids)


def _streamed(shape: tuple[int, int], dtype: Any, read: Any) -> Any:
    """An array [times, columns] that is read while it is written, compressed."""
    if not all(shape):
        return np.zeros(shape, dtype)
    utils, hdf5 = library("hdmf.data_utils", "nwb"), library("hdmf.backends.hdf5", "nwb")

    class Pieces(utils.GenericDataChunkIterator):
        def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
            frames, columns = selection
            return read(frames)[:, columns]

        def _get_maxshape(self) -> tuple[int, int]:
            return shape

        def _get_dtype(self) -> Any:
            return np.dtype(dtype)

    columns = min(shape[1], 2**14)
    rows = min(max(int(_CHUNK * 1e6) // (columns * np.dtype(dtype).itemsize), 1), shape[0])
    several = min(max(int(_BUFFER * 1e9) // (shape[1] * np.dtype(dtype).itemsize) // rows, 1) * rows, shape[0])
    pieces = Pieces(buffer_shape=(several, shape[1]), chunk_shape=(rows, columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hdf5.H5DataIO(data=pieces, compression="gzip", compression_opts=4, shuffle=True, fletcher32=True)
