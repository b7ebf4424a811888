"""The verbs that write files for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import apart
from snnrun.cli.common import AsJson, NetworkFile, Overwrite, Quiet, ResultsFile, Seed, Set, load, print_json, reporting
from snnrun.terminal import say, warn

export = typer.Typer(
    help="Write what was drawn or learnt into files: edges or all of a network, weights of a run.", no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
Edges = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="One projection: .csv or .npz; SONATA: .h5.", show_default=False),
]


@export.command("edges")
def export_edges(
    file: NetworkFile,
    output: Edges = None,
    projection: Annotated[
        list[str] | None, typer.Option("--projection", metavar="NAME", help="Only this one; may be repeated.")
    ] = None,
    set_: Set = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw the synapses of a network and write them into a file, which a network file can read."""
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


@export.command("weights")
def export_weights(
    results: ResultsFile,
    output: Edges = None,
    monitor: Annotated[str | None, typer.Option("--monitor", metavar="NAME", help="Of this monitor.", show_default=False)] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights at the end of a run into a file, with which another network can begin."""
    with reporting(as_json), apart.child(results):
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


@export.command("sonata")
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
    """Draw a network and write it as a SONATA circuit with its simulation, for bmtk, libsonata and other tools."""
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
