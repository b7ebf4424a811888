"""The verb that shows what a network becomes."""

from snnrun.cli.common import (
    AsJson,
    Duration,
    Kernel,
    NetworkFile,
    NoMerge,
    Precision,
    Quiet,
    Seed,
    Set,
    Verbose,
    known,
    load,
    print_json,
    refuse,
    reporting,
)
from snnrun.terminal import say


def plan(
    file: NetworkFile,
    set_: Set = None,
    seed: Seed = None,
    duration: Duration = None,
    precision: Precision = None,
    kernel: Kernel = "auto",
    no_merge: NoMerge = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what a network becomes: receptors, delays, kernels, sizes."""
    with reporting(as_json):
        known("kernel", kernel, as_json)
        loaded, _ = load(file, set_, seed, duration, precision, quiet)
        from snnrun import document, kernels, outline

        try:
            described = outline.describe(loaded.spec, loaded.document.folder, not no_merge, kernel)
        except document.SpecError as error:
            raise document.SpecError(error.faults, loaded.document) from None
        except kernels.Unavailable as reason:
            refuse(f"the native kernel {reason}", "use --kernel xla", as_json)
        if as_json:
            print_json(described)
        else:
            for line in outline.lines(described):
                say(line)
