"""A SONATA circuit, with a simulation of it, as a network file that refers to the circuit's edges."""

from pathlib import Path
from typing import Any, NamedTuple

from snnrun.convert import netfile, sonata_circuit, sonata_config, sonata_inputs, sonata_projections
from snnrun.convert.problems import Problem
from snnrun.convert.sonata_circuit import Circuit
from snnrun.convert.sonata_config import Config
from snnrun.convert.sonata_output import Output
from snnrun.tables import sonata


class Made(NamedTuple):
    """What was written, and what is to be known of it."""

    neurons: int
    synapses: int
    files: list[Path]
    notes: list[str]


def convert(path: Path, output: Path, overwrite: bool = False) -> Made:
    """Write a network file of a circuit, and what it needs beside it. Raises Inconvertible, Exists, OSError."""
    config, out = sonata_config.read(path), Output(output)
    dt, duration = _run(config, out)
    circuit = sonata_circuit.read(config, out)
    out.check()
    populations = _populations(circuit, dt, out)
    out.check()
    projections, synapses = _projections(circuit, out)
    inputs = _inputs(circuit, populations, dt, out)
    monitors = _monitors(circuit, dt, duration, out)
    out.check()
    own = config.rest["run"].get("snnrun", {})  # what the export of a network file keeps of it
    own = own if isinstance(own, dict) else {}
    tree: dict[str, Any] = {"name": own["name"]} if isinstance(own.get("name"), str) else {}
    tree |= {"seed": own["seed"]} if isinstance(own.get("seed"), int) else {}
    tree |= {"duration": netfile.quantity(duration, "time"), "dt": netfile.quantity(dt, "time")}
    tree |= {"precision": own.get("precision", "float64")}
    sections = {"populations": populations, "inputs": inputs, "projections": projections, "monitors": monitors}
    if own.get("sections") == ["projections", "inputs"]:  # receptors of a neuron act in the order of the file
        sections = {name: sections[name] for name in ("populations", "projections", "inputs", "monitors")}
    tree |= {name: section for name, section in sections.items() if section}
    head = [f"Made of {config.name} by snnrun import sonata."]
    head += [""] + out.notes if out.notes else []
    files = out.write(netfile.text(tree, head, out.comments), overwrite)
    return Made(sum(nodes.size for nodes in circuit.nodes.values()), synapses, files, out.notes)


def _populations(circuit: Circuit, dt: float, out: Output) -> dict[str, Any]:
    found = {}
    for name, groups in circuit.groups.items():
        for group in groups:
            with out.at(circuit.nodes[name].file):
                found[group.name] = sonata_circuit.population(circuit, name, group, dt, out)
    return found


def _projections(circuit: Circuit, out: Output) -> tuple[dict[str, Any], int]:
    """The projections, and how many edges the circuit has."""
    found, synapses = {}, 0
    for pair in circuit.config.edges:
        with out.at(pair.where):
            for population in sonata.populations(pair.file, "edges"):
                projections, count = sonata_projections.projections(circuit, pair, population, out)
                found |= projections
                synapses += count
    if circuit.config.rest["gap_juncs"]:
        out.notes.append(f"The gap_juncs of {circuit.config.circuit} are left out.")
    return found, synapses


def _inputs(circuit: Circuit, populations: dict[str, Any], dt: float, out: Output) -> dict[str, Any]:
    """The inputs; sources among the populations get the spikes that they have."""
    config, found = circuit.config, {}
    driven: dict[str, list[sonata_inputs.Trains]] = {}
    for name, entry in config.rest["inputs"].items():
        with out.at(config.where("inputs", name)):
            found |= sonata_inputs.entry_of(circuit, name, entry, driven, dt, out)
    for name in populations:
        with out.at(config.where("inputs")):
            sonata_inputs.drive(circuit, name, populations[name], driven.get(name, []), out)
    return found


def _monitors(circuit: Circuit, dt: float, duration: float, out: Output) -> dict[str, Any]:
    """All spikes, and what the reports ask for."""
    config, found = circuit.config, {}
    receiving = [group.name for groups in circuit.groups.values() for group in groups if not group.kind.virtual]
    if receiving:
        found["spikes"] = {"model": "spikes", "of": receiving if len(receiving) > 1 else receiving[0]}
    for name, entry in config.rest["reports"].items():
        with out.at(config.where("reports", name)):
            found |= sonata_inputs.report(circuit, name, entry, dt, duration, out)
    return found


def _run(config: Config, out: Output) -> tuple[float, float]:
    """dt and duration, in ms."""
    run = config.rest["run"]

    def number(name: str, default: float) -> float:
        value = run.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            out.problems.append(Problem(config.where("run", name), f"this is {value!r}", "write a positive number, in ms"))
            return default
        return float(value)

    dt = number("dt", 0.1)
    given = "duration" if "duration" in run else "tstop"
    if given not in run:
        out.notes.append(f"{config.name} says no tstop: one second is simulated.")
    duration = number(given, 1000.0)
    steps = max(round(duration / dt), 1)
    if abs(steps * dt - duration) > 1e-6 * dt:
        out.notes.append(f"{given} is {netfile.number(duration)} ms and was rounded to whole steps.")
        duration = round(steps * dt, 9)
    return dt, duration
