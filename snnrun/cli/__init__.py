"""The command line: one file per verb says what it takes and prints. No numerics, and no import of what a verb does not need."""

import logging
import os
from typing import Annotated

import typer

import snnrun
from snnrun import terminal
from snnrun.cli.export import export
from snnrun.cli.fit import fit
from snnrun.cli.help import Verb, Verbs
from snnrun.cli.import_ import import_
from snnrun.cli.info import info
from snnrun.cli.models import explain_, models, schema
from snnrun.cli.new import new
from snnrun.cli.plan import plan
from snnrun.cli.plot import plot
from snnrun.cli.report import report
from snnrun.cli.simulate import simulate
from snnrun.cli.sweep import sweep
from snnrun.cli.validate import validate
from snnrun.cli.watch import watch
from snnrun.signals import Stop
from snnrun.terminal import say

app = typer.Typer(
    name="snnrun",
    cls=Verbs,
    help="Simulate spiking neural networks that are described in one YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (new, validate, plan, simulate, watch, plot, report, info, models):
    app.command(cls=Verb)(verb)
app.command(cls=Verb)(fit)
app.command("explain", cls=Verb)(explain_)
app.command(cls=Verb)(schema)
app.add_typer(sweep, name="sweep")
app.add_typer(export, name="export")
app.add_typer(import_, name="import")


def main(stop: Stop | None = None) -> None:
    """Run the command line; `stop` says whether a run is asked to stop."""
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files, whatever the user's notebooks draw with
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where there is no place for its cache, it does without
    with terminal.guarded():
        app(obj=stop)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"snnrun {snnrun.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


if __name__ == "__main__":
    main()
