"""A run that is killed at any moment goes on with --resume, and gives the bits that it would have given."""

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from attacks import children, networks, reference
from attacks.outcomes import Outcome

DURATION = "2 s"
MOST = 4  # kills of one run


def attack(tries: int, seed: int, folder: Path, kernels: tuple[str, ...] = ("native", "xla"), names: tuple[str, ...] = (),
           duration: str = DURATION) -> Iterator[Outcome]:  # fmt: skip
    """Kill runs until there are so many kills, each run up to MOST times; then complete it and compare."""
    rng, done, run = Random(f"kills/{seed}"), 0, 0
    names = names or tuple(networks.NETWORKS)
    while done < tries:
        wanted = reference.reference(names[run % len(names)], duration, kernels)
        kills, run = min(rng.randint(1, MOST), tries - done), run + 1
        with TemporaryDirectory() as scratch:
            for outcome in _one(rng, wanted, kills, kernels, Path(scratch)):
                done += outcome.ending.startswith("killed")
                yield outcome
                if outcome.wrong:
                    done += 1  # so that it ends, whatever happens
                    break


def _one(rng: Random, wanted: reference.Reference, kills: int, kernels: tuple[str, ...], place: Path) -> Iterator[Outcome]:
    """One run that is killed, and killed again; the moments are likely where it runs, and some are elsewhere."""
    (place / "net.yaml").write_text(wanted.text)
    said, left = [], kills
    while True:
        kernel, threads = rng.choice(kernels), rng.choice((1, 2))
        arguments = ("simulate", "net.yaml", "-o", "out.h5", "--no-plot", *reference.CHECKPOINTS, "--resume",
                     "--kernel", kernel, "--threads", str(threads))  # fmt: skip
        child = children.Child(arguments, place)
        moment = wanted.seconds[kernel] * rng.uniform(0.0 if rng.random() < 0.2 else 0.4, 1.05)
        if left and child.sleep(moment):
            child.send(signal.SIGKILL)
        ended = child.end()
        said.append(f"{ended.command}  # {f'killed after {ended.seconds:.2f} s' if ended.code == -9 else ended.code}")
        if left and ended.code == -signal.SIGKILL:
            left -= 1
            yield Outcome(f"killed, left: {reference.kept(place / 'out.h5')}")
            continue
        there = {"net.yaml": wanted.text}
        kind, words = children.fault(ended, (0,))
        if not kind and (words := reference.differs(place / "out.h5", wanted)):
            kind = "differs"
        if left and not kind:
            yield Outcome("killed too late: complete")
        yield Outcome("completed with --resume", kind, words, "\n".join(said), there)
        return
