"""Results in the formats of other tools. `FORMATS` is all there is; each is written from what `taken` takes of a results file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.archives import neo, nwb, plain
from snnrun.archives.taken import Taken, Wanted, take
from snnrun.files import folder_in_place_of, in_place_of
from snnrun.request import Refused
from snnrun.results import Results, refuse_existing

__all__ = ["FORMATS", "Format", "Wanted", "to_neo", "write"]


class Format(NamedTuple):
    """How one of them is written, into a file or a folder that nobody sees before it is whole."""

    write: Callable[[Taken, Path], None]
    ending: str
    folder: bool = False


FORMATS = {
    "nwb": Format(nwb.write_nwb, ".nwb"),
    "neo": Format(neo.write_neo, ".nix"),
    "csv": Format(plain.write_csv, "-csv", folder=True),
    "npz": Format(plain.write_npz, ".npz"),
    "parquet": Format(plain.write_parquet, "-parquet", folder=True),
}


def write(results: Results, kind: str, target: Path | None = None, wanted: Wanted | None = None, overwrite: bool = False) -> Path:
    """Write results in one of FORMATS, and say where. Raises Refused, Exists, Missing, ResultsError, OSError: what was there then
    is there still."""
    if kind not in FORMATS:
        *others, last = FORMATS
        raise Refused(f"there is no format {kind!r}", f"use {', '.join(others)} or {last}")
    form = FORMATS[kind]
    if target is None:
        target = results.path.with_name(results.path.name.removesuffix(".partial").removesuffix(".h5") + form.ending)
    _check_target(target, form, overwrite)
    taken = take(results, wanted)
    with (folder_in_place_of if form.folder else in_place_of)(target) as partial:
        form.write(taken, partial)
    return target


def to_neo(results: Any, wanted: Wanted | None = None) -> Any:
    """Results, or a file of them, as a Neo Block. Raises Refused, Missing, ResultsError."""
    if isinstance(results, str | Path):
        with Results(results) as opened:
            return neo.block_of(take(opened, wanted))
    return neo.block_of(take(results, wanted))


def _check_target(target: Path, form: Format, overwrite: bool) -> None:
    """Raises Refused, Exists."""
    if not form.folder:
        if target.is_dir():
            raise Refused(f"{target} is a folder", "name a file")
        if target.suffix.lower() != form.ending:
            raise Refused(f"{target} is no name of such a file", f"let it end in {form.ending}")
        refuse_existing([target], overwrite)
    elif target.exists() and not target.is_dir():
        raise Refused(f"{target} is a file", "name a folder: each monitor and population has a file of its own")
    elif target.exists() and any(target.iterdir()):
        refuse_existing([target], overwrite)
        if not plain.is_export(target):
            raise Refused(f"{target} has other files than those of an export", "name another folder")
