"""The verbs that read networks of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun.cli import complete
from snnrun.cli.common import AsJson, Overwrite, Quiet, print_json, reporting
from snnrun.cli.help import Verb, Verbs
from snnrun.terminal import say, warn

import_ = typer.Typer(
    cls=Verbs, help="Make a network file of a network of another tool.", no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@import_.command("sonata", cls=Verb)
def import_sonata(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="Configuration of a simulation, or of a circuit (JSON).",
            show_default=False,
            autocompletion=complete.files(".json"),
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The network file.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a network file of a SONATA circuit of point neurons.

    It refers to the circuit's files of edges.
    """
    with reporting(as_json):
        from snnrun.convert import sonata_import

        target = output or Path(f"{config.stem}.yaml")
        made = sonata_import.convert(config, target, overwrite)
        if as_json:
            found = {"output": str(target), "files": [str(file) for file in made.files]}
            print_json(found | {"neurons": made.neurons, "synapses": made.synapses, "notes": made.notes})
        elif not quiet:
            for note in made.notes:
                warn(f"note: {note}")
            say(f"{made.neurons:,} neurons and {made.synapses:,} synapses -> {', '.join(map(str, made.files))}")
