"""The files of a script: its text, and beside it what snnrun has drawn."""

from pathlib import Path

import numpy as np

from snnrun.convert.scripts import Script, drawn_file
from snnrun.files import in_place_of
from snnrun.request import Refused
from snnrun.results import refuse_existing


def named(target: Path, suffix: str) -> None:
    """That a file has the ending that it needs, and a folder. Raises Refused."""
    if target.suffix != suffix:
        raise Refused(f"{target} is no name of such a file", f"let it end in {suffix}")
    if not target.parent.is_dir():
        raise Refused(f"there is no folder {target.parent}", "make it, or use --output for another name")


def write(found: Script, target: Path, overwrite: bool) -> list[Path]:
    """Write a script and what it reads; raises Exists, OSError."""
    beside = drawn_file(target)
    every = [target, beside] if found.drawn else [target]
    refuse_existing(every, overwrite)
    if found.drawn:
        with in_place_of(beside) as partial:
            np.savez_compressed(partial, **found.drawn)
    with in_place_of(target) as partial:
        partial.write_text(found.text, "utf-8")
    return every


def write_text(text: str, target: Path, overwrite: bool) -> None:
    """Write a text; raises Exists, OSError."""
    refuse_existing([target], overwrite)
    with in_place_of(target) as partial:
        partial.write_text(text, "utf-8")
