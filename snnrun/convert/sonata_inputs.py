"""What drives a SONATA circuit and what is recorded of it, as inputs, times of sources and monitors of a network file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import tables
from snnrun.convert import netfile, templates
from snnrun.convert.problems import Inconvertible, Problem
from snnrun.convert.sonata_circuit import Circuit, node_set, selected
from snnrun.convert.sonata_config import Config
from snnrun.convert.sonata_output import Output
from snnrun.models import neurons
from snnrun.tables import TableError, csv, hdf5

_POINTS = 20  # of a current, that are written into the network file
_LISTED = 20  # populations that are named one by one


class Trains(NamedTuple):
    """Spikes of a population of sources in a file."""

    where: str  # the input that names them
    path: Path
    population: str | None  # as the file names it, empty where it need not be named; None where only this program reads the file
    trial: Any  # of an NWB file


def entry_of(circuit: Circuit, name: str, entry: Any, driven: dict[str, list[Trains]], dt: float, out: Output) -> dict[str, Any]:
    """An input as entries of a network file; spikes are kept for the populations that they drive."""
    where = circuit.config.where("inputs", name)
    if not isinstance(entry, dict):
        raise Inconvertible([Problem(where, "this is no object", "write {...}")])
    if entry.get("enabled") is False:
        return {}
    module, kind = str(entry.get("module")), str(entry.get("input_type"))
    wanted = node_set(circuit, entry.get("node_set", "all"), where)
    if entry.get("gids", "all") != "all":
        out.notes.append(f"The gids of the input {name} are left out, as bmtk does: node_set says whom it reaches.")
    if module == "snnrun":
        if not isinstance(entry.get("entry"), dict):
            raise Inconvertible([Problem(where, "there is no entry", "write it as in a network file")])
        return {netfile.identifier(name, set()): netfile.moved(entry["entry"], circuit.config.folder, out.folder)}
    if kind == "spikes":
        reached = [population for population in wanted if any(group.kind.virtual for group in circuit.groups[population])]
        if not reached:
            raise Inconvertible([Problem(where, "these spikes reach no virtual nodes", "name their population as node_set")])
        for population, trains in _trains(circuit.config, where, entry, reached, out).items():
            for group in circuit.groups[population]:
                if group.kind.virtual:
                    driven.setdefault(group.name, []).append(trains)
        return {}
    if module == "IClamp" or kind == "current_clamp":
        to = [part for population, nodes in wanted.items() for group in circuit.groups[population]
              if not group.kind.virtual for part in selected(group, nodes)]  # fmt: skip
        if not to:
            raise Inconvertible([Problem(where, "this current reaches no neuron", "name their population as node_set")])
        return {netfile.identifier(name, set()): _current(circuit.config, name, kind, entry, to, dt, out)}
    hint = "snnrun reads spikes (h5, csv, nwb) and IClamp; write others into the network file by hand"
    raise Inconvertible([Problem(where, f"an input of input_type {kind!r} by the module {module!r} is not known", hint)])


def _current(
    config: Config, name: str, kind: str, entry: dict[str, Any], to: list[str], dt: float, out: Output
) -> dict[str, Any]:
    """A current clamp: pA as in PointNet, each value from the step after its time on."""
    where = config.where("inputs", name)
    if kind in ("csv", "file"):
        times, amps = _clamp_file(config, where, entry)
    else:
        lists = {}
        for key in ("amp", "delay", "duration"):
            value = entry.get(key)
            lists[key] = value if isinstance(value, list) else [value]
            if any(isinstance(item, bool) or not isinstance(item, int | float) for item in lists[key]):
                raise Inconvertible([Problem(f"{where}.{key}", f"this is {value!r}", "write a number, or a list of numbers")])
        if len({len(values) for values in lists.values()}) > 1:
            raise Inconvertible([Problem(where, "amp, delay and duration differ in length", "give one of each for every step")])
        times, amps = [], []
        for i, (amp, begin, long) in enumerate(zip(*lists.values(), strict=True)):
            times.append(float(begin))
            amps.append(float(amp))
            if i + 1 == len(lists["amp"]) or begin + long <= lists["delay"][i + 1]:
                times.append(float(begin) + float(long))
                amps.append(0.0)
    steps: dict[int, float] = {}
    for time, amp in zip(times, amps, strict=True):
        if time < 0 or not np.isfinite(time + amp):
            raise Inconvertible([Problem(where, f"the current has the value {amp} at {time} ms", "times are not negative")])
        steps[int(np.floor(time / dt * (1 + 1e-12) + 0.5)) + 1] = amp  # NEST's generator acts a step later
    at = list(steps)
    if at != sorted(at):
        raise Inconvertible([Problem(where, "the times of the current do not ascend", "sort them")])
    if len(at) == 2 and steps[at[1]] == 0:
        ends = {"start": netfile.quantity(round(at[0] * dt, 9), "time"), "stop": netfile.quantity(round(at[1] * dt, 9), "time")}
        return {
            "model": "constant",
            "to": to if len(to) > 1 else to[0],
            "current": netfile.quantity(steps[at[0]], "current"),
        } | ends
    entry = {"model": "steps", "to": to if len(to) > 1 else to[0]}
    if len(at) <= _POINTS:
        return entry | {"times": [netfile.quantity(round(step * dt, 9), "time") for step in at],
                        "currents": [netfile.quantity(steps[step], "current") for step in at]}  # fmt: skip
    file = out.file.with_name(f"{out.file.stem}.{netfile.identifier(name, set())}.npz")
    out.courses[file] = {"time_ms": np.round(np.array(at) * dt, 9), "current_pA": np.array([steps[step] for step in at])}
    return {"model": "waveform", "to": to if len(to) > 1 else to[0], "file": file.name}


def _clamp_file(config: Config, where: str, entry: dict[str, Any]) -> tuple[list[float], list[float]]:
    path = _file_of(config, where, entry, "file")
    columns = [str(entry.get("timestamps_column", "timestamps")), str(entry.get("amplitudes_column", "amps"))]
    values = csv.open(path).read(columns)
    return values[columns[0]].tolist(), values[columns[1]].tolist()


def _file_of(config: Config, where: str, entry: dict[str, Any], *keys: str) -> Path:
    """The file that an input names, under the first of some keys that it has."""
    given = next((entry[key] for key in keys if key in entry), None)
    if not isinstance(given, str):
        raise Inconvertible([Problem(where, f"there is no {keys[0]}", "name the file that has the values")])
    if not (config.folder / given).is_file():
        raise Inconvertible([Problem(where, f"there is no file {config.folder / given}")])
    return config.folder / given


def _trains(config: Config, where: str, entry: dict[str, Any], reached: list[str], out: Output) -> dict[str, Trains]:
    """The spikes of an input for each of the populations that it reaches and that its file has."""
    path = _file_of(config, where, entry, "input_file", "file")
    if entry.get("module") == "nwb" or path.suffix.lower() == ".nwb":
        return dict.fromkeys(reached, Trains(where, path, None, entry.get("trial")))
    names = tables.trained(path)
    found = {one: Trains(where, path, one if len(names) > 1 else "", None) for one in reached if one in names or not names}
    if not found and len(reached) == len(names) == 1:
        out.notes.append(f"{path.name} has spikes of {names[0]}, which are taken for those of {reached[0]}.")
        return {reached[0]: Trains(where, path, "", None)}
    if not found:
        message = f"{path.name} has no spikes of the population {' or '.join(map(repr, reached))}"
        raise TableError(message, f"it has {', '.join(names[:_POINTS])}")
    return found


def drive(circuit: Circuit, name: str, entry: dict[str, Any], given: list[Trains], out: Output) -> None:
    """Give the spikes of inputs to a population of sources: by their file where that has what is wanted, else by a copy."""
    if entry["model"] != "spike_times":
        return
    population, group = next((p, g) for p, groups in circuit.groups.items() for g in groups if g.name == name)
    whole = len(group.nodes) == circuit.nodes[population].size
    layout = entry.pop("layout", None)
    if not given:
        entry["times"] = []
        out.notes.append(f"{name} is of virtual nodes, and no input says when they spike: they are silent.")
    every = []
    for one in given:
        with out.at(one.where):
            neuron, times = _spikes(one)
            every.append((one, neuron, times))
            beyond = (neuron < 0) | (neuron >= circuit.nodes[population].size)
            if beyond.any():
                said = f"node {int(neuron[np.argmax(beyond)])}, and {population} has {circuit.nodes[population].size:,} nodes"
                left = f"{np.count_nonzero(beyond):,} of its spikes are left out"
                out.notes.append(f"{one.path.name} has spikes of {said}: {left}.")
    off_grid = "round" if str(circuit.config.rest.get("target_simulator") or "NEST").upper() == "NEURON" else "up"
    if len(every) == 1 and every[0][0].population is not None and whole:
        one, neuron, _ = every[0]
        if not len(neuron) or 0 <= neuron.min() and neuron.max() < len(group.nodes):
            entry["times"] = {"file": out.named(one.path)} | ({"population": one.population} if one.population else {})
            entry["times"] |= {"off_grid": off_grid}
            every = []
    if every:
        neuron, times = (np.concatenate([one[i] for one in every]) for i in (1, 2))
        there = np.isin(neuron, group.nodes)
        order = np.lexsort((times[there], neuron[there]))
        places = np.searchsorted(group.nodes, neuron[there])
        out.spikes[name] = (places[order].astype(np.uint64), times[there][order])
        entry["times"] = {"file": out.data.name, "population": name, "off_grid": off_grid}
    if layout is not None:
        entry["layout"] = layout


def _spikes(trains: Trains) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which nodes spike, and when, in ms."""
    if trains.population is None:
        return _nwb(trains.path, trains.trial)
    read = tables.trains(trains.path, trains.population or None).read(["neuron", "time_ms"])
    return read["neuron"], read["time_ms"].astype(np.float64)


def _nwb(path: Path, trial: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Spikes of an NWB file: of version 1, in ms, as bmtk has them, or of the table `units`, in s."""
    with hdf5.opened(path) as file:
        if "units/spike_times" in file and "units/spike_times_index" in file:
            ends = hdf5.values(file, "units/spike_times_index", path.name).astype(np.int64)
            times = hdf5.values(file, "units/spike_times", path.name) * 1000.0
            ids = hdf5.values(file, "units/id", path.name) if "units/id" in file else np.arange(len(ends))
            return np.repeat(ids, np.diff(ends, prepend=0)), times
        root = f"processing/{trial}/spike_train"
        if trial is None or root not in file:
            there = ", ".join(file["processing"]) if "processing" in file else "none"
            raise TableError(f"{path.name} has no spikes of the trial {trial!r}", f"name one by trial; there are {there}")
        found = [(int(node), hdf5.values(file, f"{root}/{node}/data", path.name)) for node in file[root]]
    ids = np.concatenate([np.full(len(times), node) for node, times in found] or [np.empty(0, np.int64)])
    return ids, np.concatenate([times for _, times in found] or [np.empty(0)])


_VARIABLES = {"V_m": "V", "v": "V", "V": "V", "w": "w", "U_m": "u", "Act_m": "m", "Inact_h": "h", "Act_n": "n"}


def report(circuit: Circuit, name: str, entry: Any, dt: float, duration: float, out: Output) -> dict[str, Any]:
    """A report of variables as monitors; what else is asked for is noted."""
    where = circuit.config.where("reports", name)
    if not isinstance(entry, dict):
        raise Inconvertible([Problem(where, "this is no object", "write {...}")])
    if entry.get("enabled") is False:
        return {}
    module = entry.get("module")
    if module == "spikes_report":
        return {}
    if module not in ("membrane_report", "multimeter_report", "multimeter"):
        out.notes.append(f"The report {name} of the module {module} is left out.")
        return {}
    variables = entry.get("variable_name", "V_m")
    wanted = [_VARIABLES.get(str(one), str(one)) for one in (variables if isinstance(variables, list) else [variables])]
    found: dict[tuple[str, ...], list[str]] = {}  # variables and whose
    for population, nodes in node_set(circuit, entry.get("cells", "all"), where).items():
        for group in circuit.groups[population]:
            to = [] if group.kind.virtual else selected(group, nodes[np.isin(nodes, group.nodes)])
            if not to:
                continue
            model = group.kind.neuron.model if group.kind.neuron else group.kind.template.removeprefix(templates.OWN)
            states = neurons.MODELS[model].variables
            lacking = [one for one in wanted if one not in states]
            if lacking:
                out.notes.append(f"The report {name} wants {lacking[0]} of {group.name}, which {model} does not have.")
            if have := tuple(one for one in wanted if one in states):
                found.setdefault(have, []).extend(to)
    window = {}
    for key, theirs in (("every", ("dt", "interval")), ("start", ("start_time", "tstart")), ("stop", ("end_time", "tstop"))):
        value = next((entry[one] for one in theirs if isinstance(entry.get(one), int | float)), None)
        if value is not None and not (key == "start" and value == 0 or key == "stop" and value >= duration):
            window[key] = netfile.quantity(round(max(round(value / dt), key == "every") * dt, 9), "time")
    taken = {"spikes"}
    monitors = {}
    for have, to in found.items():
        of = to if len(to) > 1 else to[0]
        monitors[netfile.identifier(name, taken)] = {"model": "state", "of": of, "variables": list(have), **window}
    return monitors
