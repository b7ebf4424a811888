"""What came of a try, and how many tries came to what."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

WRONG = ("traceback", "signal", "differs", "other")


class Outcome(NamedTuple):
    """One try: how it ended, and what is wrong with that, if anything."""

    ending: str  # in words, the same for all that ended alike
    wrong: str = ""  # nothing, or one of WRONG
    detail: str = ""  # what is wrong, for people
    command: str = ""  # repeats it in the folder where `inputs` lie
    inputs: dict[str, str | bytes | Path] = {}  # name -> contents, or a file to copy


class Tally(NamedTuple):
    """The outcomes of one part."""

    part: str
    endings: Counter[str]
    wrong: Counter[str]

    @property
    def tries(self) -> int:
        return sum(self.endings.values())


KEPT = 3  # failures of a kind whose inputs are kept


def counted(part: str, outcomes: Iterable[Outcome], folder: Path, say: Callable[[str], object] = lambda text: None) -> Tally:
    """Count outcomes; some that failed are kept in `folder`, each with the command that repeats it, and said at once."""
    tally, kinds = Tally(part, Counter(), Counter()), Counter[tuple[str, ...]]()
    for outcome in outcomes:
        tally.endings[outcome.ending] += 1
        if not outcome.wrong:
            continue
        assert outcome.wrong in WRONG
        tally.wrong[outcome.wrong] += 1
        lines = re.sub(r"[^A-Za-z \n]+", "", outcome.detail).strip().splitlines() or [""]
        kind = outcome.ending, outcome.wrong, lines[-1][:60]  # the last line of a traceback says what was raised
        kinds[kind] += 1
        if kinds[kind] <= KEPT:
            place = folder / f"{part}-{sum(min(count, KEPT) for count in kinds.values())}"
            _keep(place, outcome)
            say(f"{place}: {outcome.ending}: {outcome.wrong}: {outcome.detail.strip()[-400:]}")
    return tally


def _keep(place: Path, outcome: Outcome) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "what.txt").write_text(
        f"{outcome.ending}\n{outcome.wrong}\n{outcome.detail}\n\n{outcome.command}\n", "utf-8", "backslashreplace"
    )
    for name, content in outcome.inputs.items():
        if isinstance(content, Path):
            if content.exists():
                shutil.copyfile(content, place / name)
        else:
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def rows(tallies: Iterable[Tally]) -> Iterator[list[str]]:
    """A table: part, tries, then each kind of wrong, then how the tries ended."""
    yield ["part", "tries", "tracebacks", "signals", "differing", "otherwise wrong", "endings"]
    for tally in tallies:
        most = sorted(tally.endings.items(), key=lambda entry: (-entry[1], entry[0]))
        endings = ", ".join(f"{ending}: {count:,}" for ending, count in most)
        yield [tally.part, f"{tally.tries:,}", *(f"{tally.wrong[kind]:,}" for kind in WRONG), endings]


def as_text(tallies: Iterable[Tally]) -> str:
    table = list(rows(tallies))
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)


def as_markdown(tallies: Iterable[Tally]) -> str:
    head, *body = rows(tallies)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])
