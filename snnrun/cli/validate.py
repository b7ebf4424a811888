"""The verb that checks network files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from snnrun.cli.common import AsJson, Network, Quiet, Set, Verbose, load, overrides_of, print_json, reporting, warn_of
from snnrun.terminal import say, several


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Network files (YAML).", show_default=False, autocompletion=Network)
    ],
    set_: Set = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check network files, without running anything.

    Prints every mistake at its place, also in the data files that the networks name.
    """
    code, reports = 0, []
    with reporting(as_json):
        overrides_of(set_ or [], {})  # what is wrong with an option is said once
    for file in files:
        with reporting(as_json, file, reports) as outcome:
            loaded, _ = load(file, set_, None, None, None, quiet=True)
            _validated(file, loaded, reports, as_json, quiet)
        code = code or outcome["code"]
    if as_json:
        print_json({"files": reports, "valid": not code})
    raise typer.Exit(code)


def _validated(file: Path, loaded: Any, reports: list[dict[str, Any]], as_json: bool, quiet: bool) -> None:
    """Say how large a sound file is, and what to beware of."""
    from snnrun import document, estimate, network

    found = network.examine(loaded.spec, loaded.document.folder)
    if found.faults:
        raise document.SpecError(found.faults, loaded.document)
    try:
        expected, again = estimate.fitting(
            lambda procedural: estimate.estimate(
                loaded.spec, loaded.document.folder, procedural=procedural, longest=found.delays
            )
        )  # fmt: skip
    except document.SpecError as error:  # of a file that was too large to be read before
        raise document.SpecError(error.faults, loaded.document) from None
    problem = estimate.too_large(expected)
    warnings = [*loaded.warnings, *found.warnings, *([problem] if problem is not None else [])]
    if found.unread:
        read = estimate.size_text(network.EXAMINED)
        hint = f"up to {read} are read in all; simulate reads them"
        warnings.append(document.Fault((), f"the values of {', '.join(found.unread)} were not checked", hint))
    if as_json:
        reports.append(
            {
                "file": str(file),
                "valid": True,
                "warnings": document.as_objects(loaded.document, warnings),
                "neurons": expected.neurons,
                "synapses": round(expected.total_synapses),
                "steps": expected.steps,
                "peak_bytes": round(expected.peak_bytes),
                "output_bytes_per_second": round(expected.output_bytes),
            }
        )
        return
    if warnings:
        warn_of(loaded.document, warnings)
    if not quiet:
        say(
            f"{file}: valid. {several(expected.neurons, 'neuron')}, "
            f"about {expected.total_synapses:,.0f} synapses, "
            f"{expected.steps:,} steps, at most {estimate.size_text(expected.peak_bytes)} of memory"
            f"{f'; {estimate.AGAIN}' if again else ''}"
        )
