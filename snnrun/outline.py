"""What `snnrun plan` prints: populations, receptors with what was merged into them, pathways, monitors, sizes."""

from pathlib import Path
from typing import Any

from snnrun import check, estimate, kernels, network, units
from snnrun.models import connect, monitors, neurons, synapses
from snnrun.models.space import DelayByDistance, WeightByDistance
from snnrun.quantities import Column, Frozen, Slices, Windowed, fields, is_list, is_literal, law_of, plain
from snnrun.receptors import Receptor, conducting, receptors, weight_dimension
from snnrun.selections import brief
from snnrun.spec import Spec
from snnrun.terminal import several, visible


def describe(spec: Spec, folder: Path, merge: bool = True, kernel: str = "auto") -> dict[str, list[dict[str, Any]]]:
    """The rows of a plan as plain data. Synapse numbers are expected ones: only parameters are drawn. Raises SpecError."""
    found = receptors(spec, merge)
    kernel = kernels.choose(kernel).name
    expected = estimate.estimate(spec, folder, kernel)
    return {
        "populations": [_population(name, spec, folder, found) for name, entry in spec.populations.items()],
        "inputs": [_input(name, entry) for name, entry in spec.inputs.items()],
        "receptors": [
            {
                "number": i,
                "population": receptor.population,
                "synapse": _model(receptor.synapse),
                "output": "" if receptor.output is None else _model(receptor.output),
                "from": [source.name for source in receptor.sources],
                "precision": _receptor_precision(receptor, spec, folder),
            }
            for i, receptor in enumerate(found)
        ],
        "pathways": [_pathway(name, entry, found, expected, spec, kernel, folder) for name, entry in spec.projections.items()],
        "monitors": [_monitor(name, entry, spec) for name, entry in spec.monitors.items()],
        "run": [
            {
                "duration": units.show(spec.duration, "time"),
                "dt": units.show(spec.dt, "time"),
                "steps": expected.steps,
                "precision": spec.precision,
                "neurons": expected.neurons,
                "synapses": round(expected.total_synapses),
                "peak_memory": estimate.size_text(expected.peak_bytes),
                "output_per_second": estimate.size_text(expected.output_bytes),
            }
        ],
    }


def lines(plan: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A plan as text, in columns."""
    run = plan["run"][0]

    def kept(part: dict[str, Any]) -> str:
        return f"in {part['precision']}" if part["precision"] != run["precision"] else ""

    rows: list[tuple[str, list[list[str]]]] = [
        ("populations", [[p["name"], p["model"], f"{p['size']:,}", p["method"], kept(p)] for p in plan["populations"]]),
        ("inputs", [[p["name"], f"{p['model']} → {p['to']}", p["text"]] for p in plan["inputs"]]),
        (
            "receptors",
            [
                [
                    str(r["number"]),
                    f"{r['population']} ← {' · '.join(filter(None, (r['synapse'], r['output'])))}",
                    f"from {', '.join(r['from'])}",
                    kept(r),
                ]
                for r in plan["receptors"]
            ],
        ),
        (
            "pathways",
            [
                [
                    p["name"],
                    f"{p['pre']} → {', '.join(map(str, p['receptors']))}",
                    f"{p['rule']}",
                    f"about {p['synapses']:,} synapses" if p["drawn"] else f"{p['synapses']:,} synapses",
                    f"delay {p['delay']}",
                    f"weight {p['weight']}",
                    p["kernel"],
                    p["size"],
                ]
                for p in plan["pathways"]
            ],
        ),
        ("monitors", [[m["name"], m["model"], m["of"], m["text"]] for m in plan["monitors"]]),
    ]
    text = []
    for title, table in rows:
        table = [[visible(cell) for cell in row] for row in table]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))] if table else []
        for i, row in enumerate(table):
            cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            text.append(f"{title if i == 0 else '':<13}{cells}".rstrip())
    text.append(
        f"{'run':<13}{run['duration']} in {run['steps']:,} steps of {run['dt']}  {run['precision']}  "
        f"{several(run['neurons'], 'neuron')}  {several(run['synapses'], 'synapse')}"
    )
    text.append(
        f"{'memory':<13}about {run['peak_memory']} at most; samples take {run['output_per_second']} per second of network time"
    )
    return text


def value_text(value: Any, dimension: str) -> str:
    """A drawable value for people: `1.5 ms`, `normal(1.5 ms, 0.75 ms)`, `weights of edges.csv`."""
    if value is None:
        return "from the file"
    if is_literal(value):
        return units.show(plain(value), dimension)
    if isinstance(value, WeightByDistance):
        base, top = (units.show(end, dimension) for end in value.distance.ends)
        return f"{top} to {base} by distance"
    if isinstance(value, DelayByDistance):
        speed = units.number_text(value.distance.velocity * 1e-3)  # um/ms in m/s
        return f"{units.show(value.distance.offset, 'time')} + distance / ({speed} m/s)"
    if isinstance(value, Column):
        return f"{value.column} of {value.file}"
    if is_list(value):
        return f"{len(value)} value{'' if len(value) == 1 else 's'}"
    if isinstance(value, Slices):
        return " and ".join(f"{value_text(each, dimension)} {text}" for text, each in value.slices.items())
    law = law_of(value)
    assert law is not None
    numbers = (law.first,) if law.kind == "exponential" else (law.first, law.second)
    return f"{law.kind}({', '.join(units.show(number, dimension) for number in numbers)})"


def _model(part: Frozen) -> str:
    """`expon(5 ms)`, `coba(0 mV)`, `delta`."""
    quantities = {field.name: field.dimension for field in fields(type(part))}
    values = [value_text(getattr(part, name), dimension) for name, dimension in quantities.items() if dimension is not None]
    values += [str(value) for name, value in part if name not in quantities and name != "model"]
    return f"{part.model}({', '.join(values)})" if values else part.model  # type: ignore[attr-defined]


def _population(name: str, spec: Spec, folder: Path, found: list[Receptor]) -> dict[str, Any]:
    entry = spec.populations[name]
    model = neurons.of(entry)
    method = model.methods(entry, name in conducting(spec))
    usual = model.methods(entry, False)
    text = model.method_text(method)
    if method != usual and model.described:  # conductances are not linear
        text += f" in place of {model.method_text(usual)}"
    kept = spec.precision
    if not model.source:
        kept = model.precision(spec.precision, network.population(spec, name, folder, []).parameters, spec.dt)
    return {
        "name": name, "model": entry.model, "size": entry.size, "method": text, "precision": kept
    }  # fmt: skip


def _receptor_precision(receptor: Receptor, spec: Spec, folder: Path) -> str:
    section, name = receptor.sources[0]
    entry = getattr(spec, section)[name]
    kinetics = network.kinetics(spec, section, name, entry, receptor.population, folder)
    return network.precision_of(spec, receptor, kinetics)


def _selection(selection: tuple[str, ...]) -> str:
    return brief(selection[0]) if len(selection) == 1 else f"[{', '.join(map(brief, selection))}]"


def _input(name: str, entry: Any) -> dict[str, Any]:
    told, usual = [], type(entry).model_fields
    for field in sorted(fields(type(entry)), key=lambda field: field.name in Windowed.model_fields):
        value = getattr(entry, field.name)
        if is_list(value) and not field.drawable:
            told += [f"{len(value)} {field.name}"]
        elif value is not None and value != usual[field.name].default:
            text = value_text(value, field.dimension or weight_dimension(entry))
            told += [f"{field.name} {text}" if told else text]
    if getattr(entry, "course", None) is not None:
        told = [entry.course.model, *told]
    if getattr(entry, "correlation", 0):
        told += [f"correlation {entry.correlation:g}"]
    if (file := getattr(entry, "file", None)) is not None:
        told = [file, *told]
    if not hasattr(entry, "synapse") and entry.output is not None:
        told += [_model(entry.output)]
    return {"name": name, "model": entry.model, "to": _selection(entry.to), "text": ", ".join(told)}


def _pathway(
    name: str, entry: Any, found: list[Receptor], expected: estimate.Estimate, spec: Spec, kernel: str, folder: Path
) -> dict[str, Any]:
    own = [i for i, receptor in enumerate(found) if name in [s.name for s in receptor.sources if s.section == "projections"]]
    table = check.edges_table(entry.connect, folder) if isinstance(entry.connect, connect.File) else None
    columns = () if table is None else check.edges_columns(table, entry.connect)
    from_file = {"delay" if column == "delay_ms" else "weight" for column in columns if column not in ("pre", "post", "nsyns")}
    uniform = entry.weight is not None and is_literal(entry.weight) and not {"weight", "nsyns"} & {*from_file, *columns}
    wide = 8 if spec.precision == "float64" else 4
    can = kernels.KERNELS[kernel]
    per_synapse = can.target_bytes + (8 if entry.stdp is not None else 0 if uniform else wide)
    if can.can_redraw and entry.connect.redrawn and entry.connect.storage == "procedural":
        per_synapse = 0
    graded = synapses.MODELS[entry.synapse.model].graded
    if graded:
        per_synapse = 0 if estimate.summed(entry) else 12 if is_literal(entry.delay) and "delay" not in from_file else 16
    return {
        "name": name,
        "pre": _selection(entry.pre),
        "post": _selection(entry.post),
        "receptors": own,
        "rule": entry.connect.rule,
        "synapses": round(expected.synapses[name]),
        "drawn": entry.connect.random_number,
        "delay": "from the file" if "delay" in from_file else value_text(entry.delay, "time"),
        "weight": "from the file" if "weight" in from_file else value_text(entry.weight, weight_dimension(entry)),
        "kernel": "every step" if graded else kernel,
        "size": estimate.size_text(per_synapse * expected.synapses[name])
        if per_synapse
        else "a sum"
        if graded
        else "drawn again",
    }


def _monitor(name: str, entry: Any, spec: Spec) -> dict[str, Any]:
    text = monitors.MODELS[entry.model].text(entry, spec.dt)
    return {
        "name": name,
        "model": entry.model,
        "of": entry.of if isinstance(entry.of, str) else _selection(entry.of),
        "text": text,
    }
