"""A file or folder takes its place when it is whole: what was there before stays until then, and stays if writing fails."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_place_of(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place when all is written."""
    _known(target.parent)
    try:
        handle, name = tempfile.mkstemp(suffix=target.suffix, prefix=f".{target.stem[:100]}-", dir=target.parent)
    except OSError as error:  # of the file that was asked for, and not of one that nobody knows
        raise OSError(error.errno, error.strerror, str(target)) from None
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_in_place_of(target: Path) -> Iterator[Path]:
    """An empty folder beside the target that takes its place when all is written; a folder that was there goes as a whole."""
    _known(target.parent)
    with tempfile.TemporaryDirectory(prefix=f".{target.name[:100]}-", dir=target.parent) as room:
        partial, before = Path(room) / "new", Path(room) / "before"
        partial.mkdir()
        yield partial
        if target.exists():
            target.rename(before)
        try:
            partial.rename(target)
        except BaseException:
            if before.exists():
                before.rename(target)
            raise
        shutil.rmtree(before, ignore_errors=True)


def _known(folder: Path) -> None:
    """Raises FileNotFoundError with the name of the folder, not with that of a file that nobody has asked for."""
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{folder}/")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
