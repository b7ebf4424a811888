"""Files of pictures: their names, and that an old one stays until the new one is complete."""

import os
import stat
import tempfile
import warnings
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from snnrun.view import PlotError

ENDINGS = (".png", ".pdf", ".svg")
_LISTED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
# letters stay letters in a PDF; and a PNG is half as large as without compression, in a third of the time of the best
_SETTINGS: dict[Any, Any] = {"pdf.fonttype": 42, "svg.hashsalt": "snnrun"}
_PNG = {"compress_level": 2}


def picture_of(results: Path, kind: str = "summary") -> Path:
    """Where the picture of a results file goes that was given no name."""
    whole = results.with_name(results.name.removesuffix(".partial"))
    return whole.with_suffix(".png" if kind == "summary" else f".{kind}.png")


def check_name(path: Path) -> None:
    """That a picture can have this name. Raises PlotError."""
    if path.is_dir():
        raise PlotError(f"{path} is a folder: name a file that ends in {_LISTED}")
    if path.suffix.lower() not in ENDINGS:
        raise PlotError(f"{path} does not say what kind of picture it is: let its name end in {_LISTED}")
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:  # a link that leads round in a circle, a folder that is a file
        raise PlotError(f"{path} cannot be written: {error.strerror}") from None
    if not regular:
        raise PlotError(f"{path} is no regular file")


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure; its kind follows from the ending. What was there stays until the new one is complete."""
    check_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))
        with (
            tempfile.TemporaryDirectory(prefix=".snnrun-", dir=target.parent) as folder,
            warnings.catch_warnings(),
            matplotlib.rc_context(_SETTINGS),
        ):
            warnings.simplefilter("ignore")  # a name with letters that the font lacks is no reason to fail
            drawn = Path(folder) / target.name
            if (engine := figure.get_layout_engine()) is not None:  # once, and not with a drawing for the sake of its size
                engine.execute(figure)
                figure.set_layout_engine("none")
            options: dict[str, Any] = {"pil_kwargs": _PNG} if path.suffix.lower() == ".png" else {}
            figure.savefig(drawn, dpi=dpi, **options)
            drawn.replace(target)
    except OSError as error:  # the system does not name the file when a disk is full
        raise PlotError(f"{path} cannot be written: {error.strerror or error}", failure=True) from error
    except (ValueError, ArithmeticError, MemoryError) as error:  # numbers that no axis can show
        raise PlotError(f"{path} cannot be drawn: {error}") from error
