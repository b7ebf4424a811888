"""The verb that makes a page of a results file."""

from pathlib import Path
from typing import Annotated

import typer

from snnrun import apart
from snnrun.cli.common import Quiet, ResultsFile, expect_results, refuse, reporting
from snnrun.terminal import say


def report(
    results: ResultsFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Page: .html.", show_default=False)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a page of results, to open in any browser.

    One file of HTML: the network, figures to zoom into, statistics, provenance.
    """
    target = output or results.with_name(results.name.removesuffix(".partial")).with_suffix(".html")
    with reporting(False), apart.child(results):
        expect_results(results)
        from snnrun import page
        from snnrun.results import Results

        if target.suffix.lower() not in (".html", ".htm"):
            refuse(f"{target} is no name of a page", "let it end in .html", False)
        if target.exists() and not target.is_file():
            refuse(f"{target} is no regular file", "use --output", False)
        with Results(results) as found:
            page.written(found, target)
        if not quiet:
            say(str(target))
        if open_:
            import webbrowser

            webbrowser.open(target.resolve().as_uri())
