"""The verbs that write files for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import apart
from snnrun.cli import complete
from snnrun.cli.common import (
    AsJson,
    Duration,
    NetworkFile,
    Overwrite,
    Quiet,
    ResultsFile,
    Seed,
    Set,
    expect_results,
    load,
    print_json,
    read_time,
    refuse,
    reporting,
    warn_of,
)
from snnrun.cli.help import Verb, Verbs
from snnrun.terminal import say, warn

export = typer.Typer(
    cls=Verbs,
    help="Write networks, edges, weights and results for other tools.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
Edges = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="One projection: .csv or .npz; SONATA: .h5.", show_default=False),
]


@export.command("edges", cls=Verb)
def export_edges(
    file: NetworkFile,
    output: Edges = None,
    projection: Annotated[
        list[str] | None,
        typer.Option("--projection", metavar="NAME", help="Only this one; may be repeated.", autocompletion=complete.projections),
    ] = None,
    set_: Set = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw the synapses of a network and write them into a file.

    Another network file can read it: connect: {rule: file, path: FILE}.
    """
    with reporting(as_json):
        from snnrun import export as writing

        loaded, _ = load(file, set_, seed, None, None, quiet)
        target = output or Path(f"{file.stem}.edges.h5")
        found = writing.write(writing.drawn(loaded.spec, loaded.document, projection or []), target, overwrite)
        if as_json:
            print_json({"output": str(target), "synapses": found})
        elif not quiet:
            for name, count in found.items():
                say(f"{name}: {count:,} synapses -> {target}")


@export.command("weights", cls=Verb)
def export_weights(
    results: ResultsFile,
    output: Edges = None,
    monitor: Annotated[
        str | None,
        typer.Option("--monitor", metavar="NAME", help="Of this monitor.", show_default=False, autocompletion=complete.monitors),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights at the end of a run into a file.

    Another network can begin with them: connect: {rule: file, path: FILE}.
    """
    with reporting(as_json), apart.child(results):
        expect_results(results)
        from snnrun import export as writing
        from snnrun.results import Results

        with Results(results) as found:
            weights = writing.last_weights(found, monitor)
        target = output or results.with_suffix(f".{weights.projection}.npz")
        written = writing.write([writing.of_weights(weights)], target, overwrite)
        if as_json:
            print_json({"output": str(target), "synapses": written})
        elif not quiet:
            say(f"{weights.projection}: {written[weights.projection]:,} weights -> {target}")


@export.command("results", cls=Verb)
def export_results(
    results: ResultsFile,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="nwb, neo, csv, npz or parquet.",
            autocompletion=complete.one_of("nwb", "neo", "csv", "npz", "parquet"),
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="For csv and parquet a folder.", show_default=False),
    ] = None,
    monitor: Annotated[
        list[str] | None,
        typer.Option("--monitor", metavar="NAME", help="Only this one; may be repeated.", autocompletion=complete.monitors),
    ] = None,
    pop: Annotated[
        list[str] | None,
        typer.Option("--pop", metavar="NAME", help="Only this population; may be repeated.", autocompletion=complete.populations),
    ] = None,
    t0: Annotated[str | None, typer.Option("--t0", metavar="TIME", help="From this time on, like '100 ms'.")] = None,
    t1: Annotated[str | None, typer.Option("--t1", metavar="TIME", help="Up to this time.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write results in a format of other tools: NWB, Neo (NIX), CSV, NPZ or Parquet."""
    with reporting(as_json), apart.child(results, limited=False):
        expect_results(results)
        from snnrun import archives
        from snnrun.results import Results

        if not to:
            refuse("the format is missing", f"add --to with {', '.join(archives.FORMATS)}", as_json)
        start, stop = read_time("--t0", t0), read_time("--t1", t1)
        wanted = archives.Wanted(tuple(monitor or ()), tuple(pop or ()), start or 0.0, float("inf") if stop is None else stop)
        with Results(results) as found:
            target = archives.write(found, to, output, wanted, overwrite)
        if as_json:
            print_json({"output": str(target), "format": to})
        elif not quiet:
            say(str(target))


@export.command("sonata", cls=Verb)
def export_sonata(
    file: NetworkFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Where the circuit goes.", show_default=False)
    ] = None,
    set_: Set = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw a network and write it as a SONATA circuit with its simulation.

    For bmtk, libsonata and other tools.
    """
    with reporting(as_json):
        from snnrun.convert import sonata_export

        loaded, _ = load(file, set_, seed, None, None, quiet)
        made = sonata_export.write(loaded, output or Path(f"{file.stem}_sonata"), overwrite)
        if as_json:
            found = {"output": str(made.folder), "neurons": made.neurons, "synapses": made.synapses}
            print_json(found | {"templates": made.templates, "notes": made.notes})
        elif not quiet:
            for note in made.notes:
                warn(f"note: {note}")
            for name, template in made.templates.items():
                say(f"{name}: {template}")
            say(f"{made.neurons:,} neurons and {made.synapses:,} synapses -> {made.folder}")


Beside = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The script.", show_default=False)]
Given = Annotated[bool, typer.Option("--edges", help="Let the script read the neurons and synapses that snnrun draws.")]


@export.command("nest", cls=Verb)
def export_nest(
    file: NetworkFile,
    output: Beside = None,
    edges: Given = False,
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the network as a Python script for NEST."""
    _script("nest", file, output, edges, set_, seed, duration, overwrite, as_json, quiet)


@export.command("brian2", cls=Verb)
def export_brian2(
    file: NetworkFile,
    output: Beside = None,
    edges: Given = False,
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the network as a Python script for Brian2."""
    _script("brian2", file, output, edges, set_, seed, duration, overwrite, as_json, quiet)


def _script(simulator: str, file: Path, output: Path | None, edges: bool, set_: list[str] | None, seed: str | None,
            duration: str | None, overwrite: bool, as_json: bool, quiet: bool) -> None:  # fmt: skip
    with reporting(as_json):
        from importlib import import_module

        from snnrun.convert import script_files as files

        target = output or Path(f"{file.stem}_{simulator}.py")
        files.named(target, ".py")
        loaded, _ = load(file, set_, seed, duration, None, quiet)
        found = import_module(f"snnrun.convert.{simulator}").script(loaded, target, edges)
        written = files.write(found, target, overwrite)
        if as_json:
            said = [{"message": fault.message, "path": list(fault.path)} for fault in found.warnings]
            print_json({"output": [str(path) for path in written], "warnings": said})
        elif not quiet:
            if found.warnings:
                warn_of(loaded.document, found.warnings)
            say(f"written: {', '.join(map(str, written))}")


@export.command("nestml", cls=Verb)
def export_nestml(
    models: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="A model, or a file of models.", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The models.", show_default=False)] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write neuron models that are described by equations in NESTML."""
    with reporting(as_json):
        from snnrun.convert import nestml
        from snnrun.convert import script_files as files

        target = output or Path(f"{Path(models).stem}.nestml")
        files.named(target, ".nestml")
        found, text = nestml.export(models)
        files.write_text(text, target, overwrite)
        if as_json:
            print_json({"output": str(target), "models": [f"{name}_neuron" for name in found]})
        elif not quiet:
            say(f"written: {target}, with {', '.join(f'{name}_neuron' for name in found)}")
