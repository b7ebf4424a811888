"""A signal at any moment ends a run with its exit code and a checkpoint, from which --resume gives the same bits."""

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from attacks import children, networks, reference
from attacks.outcomes import Outcome

DURATION = "2 s"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
CTRL_C, STOPPED = 130, 75
START = 0.1  # seconds in which Python comes to the first line of the program; what a signal does then is Python's matter
DRAWING = 1.0  # seconds after the end of a run without a picture


def attack(tries: int, seed: int, folder: Path, kernels: tuple[str, ...] = ("native", "xla"), names: tuple[str, ...] = (),
           duration: str = DURATION) -> Iterator[Outcome]:  # fmt: skip
    names = names or tuple(networks.NETWORKS)
    for number in range(tries):
        rng = Random(f"interrupts/{seed}/{number}")
        wanted = reference.reference(names[number % len(names)], duration, kernels)
        with TemporaryDirectory() as scratch:
            yield from _one(rng, SIGNALS[number % len(SIGNALS)], wanted, kernels, Path(scratch))


def _one(rng: Random, first: signal.Signals, wanted: reference.Reference, kernels: tuple[str, ...],
         place: Path) -> Iterator[Outcome]:  # fmt: skip
    (place / "net.yaml").write_text(wanted.text)
    run = ["simulate", "net.yaml", "-o", "out.h5", *reference.CHECKPOINTS, *(["--no-plot"] if rng.random() < 0.5 else [])]
    kernel = rng.choice(kernels)
    end = wanted.seconds[kernel] + (0.0 if "--no-plot" in run else DRAWING)
    moment, sent = rng.uniform(START, 1.05 * end), [first]
    limited = rng.random() < 0.1
    if limited:  # the limit of the time in place of the signal
        run += ["--max-walltime", f"{max(moment, 0.5):.1f}s"]
    elif rng.random() < 0.4:
        sent.append(rng.choice(SIGNALS))
    child = children.Child([*run, "--kernel", kernel, "--threads", str(rng.choice((1, 2)))], place)
    when = 0.0
    for number in [] if limited else sent:
        when = (when or moment) + (0.0 if not when else rng.choice((0.0, rng.uniform(0.0, 0.5))))
        if child.sleep(when):
            child.send(number)
    ended = child.end()
    codes = {0, *((STOPPED,) if limited else (CTRL_C if number == signal.SIGINT else STOPPED for number in sent))}
    kind, words = children.fault(ended, tuple(sorted(codes)))
    name = "time limit" if limited else "+".join(number.name for number in sent)
    how = f"{ended.command}  # {name} after {moment:.2f} s of about {end:.2f} s"
    yield Outcome(f"{name.split('+')[0]}{' and another' if '+' in name else ''}: exit code {ended.code}", kind, words, how,
                  {"net.yaml": wanted.text})  # fmt: skip
    if ended.code != 0:
        again = children.ran([*run[:4], "--resume", "--no-plot", "--kernel", rng.choice(kernels)], place)
        kind, words = children.fault(again, (0,))
        if not kind and (words := reference.differs(place / "out.h5", wanted)):
            kind = "differs"
        yield Outcome("completed with --resume", kind, words, f"{how}\n{again.command}", {"net.yaml": wanted.text})
    elif words := reference.differs(place / "out.h5", wanted):
        yield Outcome("too late", "differs", words, how, {"net.yaml": wanted.text})
