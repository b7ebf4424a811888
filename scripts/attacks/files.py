"""Network files: each is valid, or its mistakes are shown where they are; what is valid and small can be simulated."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from attacks import mutations
from attacks.outcomes import Outcome
from attacks.served import Died, Hung, Raised, served

SECONDS = 10.0  # of the processor; the largest files of the corpus take 3 on an idle machine
SPARE = 2**30  # bytes of address space
STEPS = 20
SMALL = 2000, 50_000, 10_000, 50 * 2**20  # neurons, synapses, steps of a delay, bytes of recordings per second


class Job(NamedTuple):
    seed: int
    number: int
    folder: str


def attack(tries: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Check many files as `validate` and `plan` do, and then simulate some of those that are valid and small."""
    small: list[Job] = []
    with tempfile.TemporaryDirectory() as scratch:
        jobs = [Job(seed, number, scratch) for number in range(tries)]
        for job, answer in served(checked, jobs, 4 * SECONDS, spare=SPARE):
            if isinstance(answer, dict) and answer["small"]:
                small.append(job)
            yield _outcome(job, answer, "validate")
        some = sorted(small)[: 4 + tries // 200]  # as they are drawn, not as they were done
        for job, answer in served(simulated, some, 60.0, processes=1, spare=4 * SPARE):
            yield _outcome(job, answer, "simulate")


def _outcome(job: Job, answer: Any, verb: str) -> Outcome:
    command = f"snnrun {verb} net.yaml{' --no-plot --duration 2ms' if verb == 'simulate' else ' && snnrun plan net.yaml'}"
    if isinstance(answer, Died):
        ending, wrong, detail = "died", "signal", f"exit code {answer.code}"
    elif isinstance(answer, Hung):
        ending, wrong, detail = "slow", "other", f"more than {answer.seconds} s"
    elif isinstance(answer, Raised):
        ending, wrong, detail = answer.kind, "other" if answer.kind == "MemoryError" else "traceback", answer.text
    else:
        ending, detail = answer["ending"], answer.get("wrong", "")
        wrong = "other" if detail else ""
    return Outcome(f"{verb}: {ending}", wrong, detail, command, {"net.yaml": _content(job)} if wrong else {})


def _content(job: Job) -> bytes:
    """The file of a job."""
    text = mutations.draw(Random(f"{job.seed}/{job.number}"), _schema())
    for errors in ("strict", "surrogateescape", "surrogatepass"):
        try:
            return text.encode("utf-8", errors)
        except UnicodeEncodeError:
            continue
    return text.encode("utf-16")  # surrogates of both kinds


@cache
def _schema() -> dict[str, Any]:
    from snnrun.schema import schema

    return schema()


def _written(job: Job) -> Path:
    path = Path(job.folder) / f"{job.number}.yaml"
    path.write_bytes(_content(job))
    return path


def checked(job: Job) -> dict[str, Any]:
    """What `validate` and `plan` find in the file of a job."""
    from snnrun import check, document, estimate, network, outline

    path = _written(job)
    try:
        began = time.process_time()
        try:
            loaded = check.load(path)
            found = network.examine(loaded.spec, path.parent)
            if found.faults:
                raise document.SpecError(found.faults, loaded.document)
        except document.SpecError as error:
            wrong = unlocated(error) or _unprintable(document.render(error.document, error.faults))
            return {"ending": "located error", "wrong": wrong, "small": False}
        expected = estimate.estimate(loaded.spec, path.parent, longest=found.delays)
        problem = estimate.too_large(expected)
        described = outline.describe(loaded.spec, path.parent)
        said = [*loaded.warnings, *found.warnings, *([problem] if problem else [])]
        warnings = document.render(loaded.document, said, "warning")
        wrong = _unprintable(warnings) or _unprintable("\n".join(outline.lines(described)))
        json.dumps(described)
        if "jax" in sys.modules:
            wrong = "JAX was loaded"
        if time.process_time() - began > SECONDS:
            wrong = f"more than {SECONDS} s"
        return {"ending": "valid", "wrong": wrong, "small": problem is None and _small(expected, loaded.spec, path.parent)}
    finally:
        path.unlink(missing_ok=True)


def _small(expected: Any, spec: Any, folder: Path) -> bool:
    from snnrun.estimate import _delays

    delays = max((_delays(spec, name, folder) for name in spec.projections), default=0.0)
    found = expected.neurons, expected.total_synapses, delays, expected.output_bytes
    return all(value <= most for value, most in zip(found, SMALL, strict=True))


def unlocated(error: Any) -> str:
    """What is wrong with the places of a file's faults; nothing where each has its line."""
    from snnrun import document

    if error.document is None or not error.faults:
        return "an error without a file, or without faults"
    lines = len(document._lines(error.document.text)) or 1
    for found in document.as_objects(error.document, error.faults):
        if found["line"] is None or not 1 <= found["line"] <= lines or found["column"] < 1:
            return f"not located: {found}"
        if not found["message"]:
            return f"says nothing: {found}"
    return ""


def _unprintable(text: str) -> str:
    from snnrun.terminal import hidden

    bad = sorted({c for c in text if hidden(c) and c not in "\n\t"})
    return f"prints {bad}" if bad else ""


def simulated(job: Job) -> dict[str, Any]:
    """What comes of a few steps of the network of a job, with the kernel that its number says."""
    from snnrun import check, document, engine, lower, network

    path = _written(job)
    try:
        loaded = check.load(path)
        try:
            built = network.build(loaded.spec, path.parent)
            plan = lower.lower(built, True, ("native", "xla")[job.number % 2], 1 + job.number // 2 % 2, False)
        except document.SpecError as error:
            located = document.SpecError(error.faults, loaded.document)
            return {"ending": "drawn values, located", "wrong": unlocated(located)}
        try:
            engine.simulate(plan, engine.init(plan), STEPS, _Nowhere(), 8)
        except engine.NumericalError:
            return {"ending": "no finite number any more"}
        return {"ending": "simulated"}
    finally:
        path.unlink(missing_ok=True)


class _Nowhere:
    """A sink that forgets frames."""

    def write(self, frame: Any) -> None: ...


def _prepare_checking() -> None:
    from snnrun import check, document, estimate, outline  # noqa: F401

    _schema()
    from attacks import corpus

    corpus.trees()


def _prepare_simulating() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.devices()
    from snnrun import engine, lower, network  # noqa: F401

    _prepare_checking()


checked.prepare = _prepare_checking  # type: ignore[attr-defined]
simulated.prepare = _prepare_simulating  # type: ignore[attr-defined]
