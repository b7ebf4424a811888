"""The verb that writes a network file to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import examples, terminal
from snnrun.cli import complete
from snnrun.cli.common import AsJson, Quiet, print_json, refuse, reporting
from snnrun.terminal import say


def new(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Network file to write; if not given, net.yaml or NAME.yaml.", show_default=False),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="NAME", help="Network to begin with: a copy, comments and all.", autocompletion=complete.networks
        ),
    ] = examples.STARTER,
    list_: Annotated[bool, typer.Option("--list", help="List these networks and write nothing.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a network file to begin with, or a copy of a known network.

    What is written has a comment on every block and runs as it is. Files that are there are never replaced.
    """
    with reporting(as_json):
        known = examples.examples()
        if list_:
            if as_json:
                print_json({name: example.title for name, example in known.items()})
                return
            width = max(map(len, known))
            for example in known.values():
                say(f"{example.name:<{width}}  {example.title}")
            return
        target = file or Path("net.yaml" if source == examples.STARTER else f"{source}.yaml")
        if source not in known:
            refuse(f"--from: there is no network {source!r}", _meant(source, known), as_json)
        if target.suffix not in (".yaml", ".yml"):
            copy = f", or --from {target} for a copy of that network" if str(target) in known else ""
            refuse(f"{target} is no name of a network file", f"write {target}.yaml{copy}", as_json)
        if not target.parent.is_dir():
            refuse(f"there is no folder {target.parent}", f"make it first: mkdir -p {target.parent}", as_json)
        found = examples.files(known[source], target)
        schema = target.with_name(examples.SCHEMA)
        older = schema.is_file() and schema.read_bytes() != found.get(schema)
        try:
            examples.write(found)
        except examples.Taken as taken:
            refuse(f"{taken} exists already", "name another file: snnrun new FILE.yaml", as_json)
        if as_json:
            print_json({"file": str(target), "from": source})
            return
        say(str(target))
        if not quiet:
            if older:
                terminal.warn(f"{schema} is that of another version: snnrun schema > {schema} writes it anew")
            terminal.warn(f"a copy of {source}: {known[source].title}. Now: snnrun simulate {target}")


def _meant(source: str, known: dict[str, examples.Example]) -> str:
    from snnrun.document import nearest

    near = nearest(Path(source).stem, known)
    return near if near.startswith("did") else "snnrun new --list shows them"
