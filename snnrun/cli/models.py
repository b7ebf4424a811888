"""The verbs that show models, and the schema of the format."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import examples
from snnrun.cli import complete
from snnrun.cli.common import AsJson, print_json, refuse, reporting
from snnrun.terminal import say


def models(as_json: AsJson = False) -> None:
    """List the models: neurons, synapses, inputs, rules, and all else."""
    from snnrun import explain

    if as_json:
        print_json([entry._asdict() for entry in explain.table()])
    else:
        for line in explain.table_lines():
            say(line)


def explain_(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model, a kind of models like stp, or a file with models.",
            show_default=False,
            autocompletion=complete.models,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Print a model: equations, parameters, solver, and its checks."""
    from snnrun import explain
    from snnrun.models import own

    with reporting(as_json):
        if Path(model).suffix in (".yaml", ".yml"):
            texts = {name: explain.of_model(found) for name, found in own.of_file(Path(model)).items()}
        elif model in (*explain.names(), *explain.kinds()):
            texts = {model: explain.lines(model)}
        else:
            from snnrun.document import nearest

            near = nearest(model, [*explain.names(), *explain.kinds()])
            hint = f"{near} snnrun models lists all; of a model of your own name the file".strip()
            if model in examples.examples():
                hint = f"it is a network: snnrun new --from {model} writes it"
            refuse(f"there is no model {model!r}", hint, as_json)
    if as_json:
        print_json({name: "\n".join(lines) for name, lines in texts.items()})
        return
    for i, lines in enumerate(texts.values()):
        for line in ["", *lines] if i else lines:
            say(line)


def schema() -> None:
    """Print the JSON Schema of the file format, for editors."""
    from snnrun.schema import schema as described

    print_json(described())
