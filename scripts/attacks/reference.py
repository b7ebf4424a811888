"""Uninterrupted runs, against whose bits all others are held."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from attacks import children, networks

CHECKPOINTS = ("--checkpoint-every", "0.2s")


class Reference(NamedTuple):
    """What a network gives when nobody disturbs it, and how long that takes."""

    text: str
    digests: dict[str, str]
    seconds: dict[str, float]  # by kernel, with everything compiled


@cache
def reference(name: str, duration: str, kernels: tuple[str, ...]) -> Reference:
    """Run a network twice with each kernel: the first run compiles. Raises RuntimeError where that fails, or bits differ."""
    folder = Path(mkdtemp(prefix="snnrun-reference-"))
    text = networks.lasting(name, duration)
    (folder / "net.yaml").write_text(text)
    digests, seconds = {}, {}
    for kernel in kernels:
        for _ in range(2):
            arguments = ("simulate", "net.yaml", "-o", "out.h5", "--overwrite", "--no-plot", "--kernel", kernel)
            ended = children.ran(arguments, folder)
            if ended.code != 0:
                raise RuntimeError(f"an undisturbed run failed: {ended.err}")
            seconds[kernel] = ended.seconds
        found = children.digests(folder / "out.h5")
        if differing := children.differing(found, digests or found):
            raise RuntimeError(f"kernels differ in {differing}")
        digests = found
    return Reference(text, digests, seconds)


def differs(results: Path, wanted: Reference) -> str:
    """What differs between results and those of the undisturbed run; nothing if nothing does."""
    from snnrun.results import ResultsError

    try:
        found = children.differing(children.digests(results), wanted.digests)
    except ResultsError as error:
        return f"the results cannot be read: {error}"
    return f"{len(found)} of {len(wanted.digests)} datasets differ: {', '.join(found[:5])}" if found else ""


def kept(results: Path) -> str:
    """What is there of a run that was stopped: for the table."""
    from snnrun.results import Results, ResultsError

    beside = [end for end in (".partial", ".checkpoint") if results.with_name(results.name + end).exists()]
    if results.exists():
        return "results"
    if not beside:
        return "nothing"
    try:
        with Results(results) as found:
            found.spike_counts()
        readable = "can be read"
    except ResultsError:
        readable = "cannot be read"
    return f"{' and '.join(end[1:] for end in beside)}, {readable}"
