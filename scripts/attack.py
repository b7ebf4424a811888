"""Attack the program: hostile files, kills, signals, failing disks, limits. Prints what came of it.

    python scripts/attack.py                    the short form, a minute or two
    python scripts/attack.py --long             the long form: some hours on two cores
    python scripts/attack.py files data         only these parts
    python scripts/attack.py kills --tries 20   so many tries

Exits with 1 if anything is wrong. The inputs that failed are left in --folder, each with the command that repeats it. The same
seed gives the same files, networks, and moments; what a moment meets is a matter of the machine.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from attacks import outcomes  # noqa: E402
from attacks.parts import PARTS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all, if not given")
    add("--long", action="store_true", help="the long form")
    add("--tries", type=int, metavar="N", help="of each part, instead of those of the form")
    add("--seed", type=int, default=1, metavar="N", help="of everything that is drawn (1)")
    add("--folder", type=Path, metavar="DIR", help="where what failed is kept; a temporary one, if not given")
    add("--markdown", action="store_true", help="print the table as Markdown")
    a = parser.parse_args()
    if unknown := set(a.parts) - set(PARTS):
        parser.error(f"unknown part {' '.join(sorted(unknown))!r}: there are {', '.join(PARTS)}")
    folder = a.folder or Path(tempfile.mkdtemp(prefix="snnrun-attack-"))
    folder.mkdir(parents=True, exist_ok=True)
    tallies = []
    for name in a.parts or PARTS:
        part, began = PARTS[name], time.monotonic()
        tries = a.tries if a.tries is not None else part.long if a.long else part.short
        say(f"{name}: {tries} tries ...")
        tallies.append(outcomes.counted(name, part.attack(tries, a.seed, folder), folder, say))
        say(f"{name}: {time.monotonic() - began:.0f} s")
    print(outcomes.as_markdown(tallies) if a.markdown else outcomes.as_text(tallies))
    return 1 if any(tally.wrong for tally in tallies) else 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
