"""The verbs that write files for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import apart
from snnrun.cli import complete
from snnrun.cli.common import (
    AsJson,
    NetworkFile,
    Overwrite,
    Quiet,
    ResultsFile,
    Seed,
    Set,
    expect_results,
    load,
    print_json,
    reporting,
)
from snnrun.cli.help import Verb, Verbs
from snnrun.terminal import say

export = typer.Typer(
    cls=Verbs,
    help="Write edges of a network or weights of a run for other tools.", no_args_is_help=True,
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
