"""Going on with a run that was stopped: from which checkpoint, whether it is of the same network, and writing the next ones."""

import shutil
import time
from pathlib import Path
from typing import Any

from snnrun import check, checkpoint, results, units
from snnrun.checkpoint import Checkpoint, CheckpointError
from snnrun.machine import peak_memory
from snnrun.plan import Plan
from snnrun.request import Every, Refused, Request, Summary, Watcher


def identity_of(request: Request) -> str:
    """The fingerprint of what is to be run."""
    spec, folder = request.loaded.spec, request.loaded.document.folder
    return checkpoint.fingerprint(spec, map(Path, check.referenced_files(spec)), folder, request.merge)


def _steps(request: Request) -> int:
    return units.steps(request.loaded.spec.duration, request.loaded.spec.dt) or 0


def _same(identity: str, other: str, path: Path) -> None:
    """Raise Refused where a file belongs to another network."""
    differing = checkpoint.differences(other, identity)
    if differing:
        more = f", and {len(differing) - 5} more differences" if len(differing) > 5 else ""
        hint = "use --output for another name, or --overwrite in place of --resume to begin anew"
        raise Refused(f"{path} is of another network: {'; '.join(differing[:5])}{more}", hint)


def completed(request: Request, identity: str) -> Summary | None:
    """The summary of results that are complete already, without a picture; None where there is something left to do."""
    if not request.output.exists() or results.partial_path(request.output).exists():
        return None
    with results.Results(request.output) as found:
        _same(identity, found.fingerprint, request.output)
        reached, wanted = round(found.reached / found.dt), _steps(request)
        if reached > wanted:
            hint = f"--duration '{units.show(found.duration, 'time')}' or more goes on with it"
            raise Refused(f"{request.output} is complete, with {units.show(found.duration, 'time')}", hint)
        if reached < wanted:
            return None
        found.verify()
        counts, known = found.spike_counts(), found.provenance
    exposure = sum(count.size * (count.stop - count.start) * 1e-3 for count in counts.values())
    spikes = sum(count.spikes for count in counts.values())
    return Summary(
        request.output, None, int(known["neurons"]), int(known["synapses"]), wanted, spikes,
        spikes / exposure if exposure else float("nan"), str(known["device"]), str(known["kernel"]), int(known["threads"]), {},
        peak_memory(),
    )  # fmt: skip


def earlier_checkpoint(request: Request, identity: str) -> Checkpoint | None:
    """The checkpoint from which a run goes on; None where it begins. Raises Refused."""
    output, partial = request.output, results.partial_path(request.output)
    found, path, problem = None, output, None
    for candidate in checkpoint.candidates(output):
        try:
            found, path = checkpoint.read(candidate), candidate
            break
        except CheckpointError as error:
            problem = problem or error.message
    if found is None:
        if problem is not None:
            raise Refused(problem, "use --overwrite in place of --resume to begin anew")
        if output.exists():
            raise Refused(f"{output} is complete and has no checkpoint, so the run cannot go on",
                          "a run with --checkpoint-every or --resume leaves one")  # fmt: skip
        if partial.exists():
            _same(identity, _fingerprint_of(partial, identity), partial)
        return None
    _same(identity, found.fingerprint, path)
    if (mine := checkpoint.versions()["snnrun"]) != found.versions["snnrun"]:
        raise Refused(f"{path} was written by snnrun {found.versions['snnrun']}, and this is {mine}",
                      "go on with that version, or use --overwrite in place of --resume to begin anew")  # fmt: skip
    if found.snapshot.step > _steps(request):
        reached = units.show(found.snapshot.step * request.loaded.spec.dt, "time")
        raise Refused(f"{path} is from {reached}, beyond the duration", "write a longer --duration")
    if not partial.exists():
        if not output.exists():
            hint = "bring it back, or remove the checkpoint to begin anew"
            raise Refused(f"{path} is there, but {partial} with what was recorded is not", hint)
        copied = partial.with_name(partial.name + ".new")  # what is complete stays until all is
        shutil.copyfile(output, copied)
        copied.replace(partial)
    return found


def _fingerprint_of(partial: Path, otherwise: str) -> str:
    """That of a partial file that has no checkpoint; where it was not begun, it may be replaced."""
    try:
        with results.Results(partial) as found:
            return found.fingerprint
    except results.ResultsError:
        return otherwise


class Keeper:
    """Writes the checkpoints of a run."""

    def __init__(self, request: Request, plan: Plan, writer: results.Writer, identity: str, earlier: Checkpoint | None,
                 watcher: Watcher) -> None:  # fmt: skip
        self.request, self.plan, self.writer, self.identity, self.watcher = request, plan, writer, identity, watcher
        self.every = request.every or Every()
        self.restarts = 0 if earlier is None else earlier.restarts + 1
        self.last, self.step = time.monotonic(), 0 if earlier is None else earlier.snapshot.step
        self.now = self.step

    @property
    def wanted(self) -> bool:
        """Whether a complete run leaves a checkpoint, from which a longer one can go on."""
        return self.request.resume or self.request.every is not None

    def due(self) -> bool:
        """Whether it is time for one, and there is something new to keep."""
        return self.every.wall is not None and self.now > self.step and time.monotonic() - self.last >= self.every.wall

    def next_step(self, step: int, steps: int) -> int:
        """Up to where steps are taken before a checkpoint."""
        if self.every.model is None:
            return steps
        length = max(round(self.every.model / self.plan.structure.dt), 1)
        return min((step // length + 1) * length, steps)

    def write(self, state: Any) -> None:
        """Raises OSError."""
        from snnrun import snapshot

        self.writer.sync()
        kept = Checkpoint(snapshot.take(self.plan, state), self.writer.position(), self.identity, checkpoint.versions(),
                          self.restarts)  # fmt: skip
        checkpoint.write(self.request.output, kept)
        self.last, self.step = time.monotonic(), kept.snapshot.step

    def write_last(self, state: Any, reason: str) -> None:
        """Raises WriteError."""
        try:
            self.write(state)
        except OSError as error:
            before = "the one before it stays" if checkpoint.candidates(self.request.output) else ""
            said = f"stopped by {reason}, and no checkpoint could be written: {error.strerror or error}"
            raise results.WriteError(said, before) from None

    def try_to_write(self, state: Any) -> None:
        """A run does not fail for want of a checkpoint."""
        try:
            self.write(state)
        except OSError as error:
            self.watcher.note(f"no checkpoint could be written, and the last one stays: {error.strerror or error}")
            self.last = time.monotonic()


def first_state(plan: Plan, earlier: Checkpoint | None) -> Any:
    """The state that a run begins with."""
    from snnrun import engine, snapshot

    if earlier is None:
        return engine.init(plan)
    try:
        return snapshot.restore(plan, earlier.snapshot)
    except snapshot.Mismatch as error:
        raise Refused(f"the checkpoint does not fit: {error}", "use --overwrite in place of --resume to begin anew") from None
