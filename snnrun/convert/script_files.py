"""The files of a script: its text, and beside it what snnrun has drawn."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snnrun.convert.scripts import Script, drawn_file
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
        _replaced(beside, lambda file: np.savez_compressed(file, **found.drawn))
    _replaced(target, lambda file: file.write(found.text.encode()))
    return every


def write_text(text: str, target: Path, overwrite: bool) -> None:
    """Write a text; raises Exists, OSError."""
    refuse_existing([target], overwrite)
    _replaced(target, lambda file: file.write(text.encode()))


def _replaced(target: Path, write: Callable[[Any], object]) -> None:
    """A file that takes the place of another one when all is written."""
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:100]}-", dir=target.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
