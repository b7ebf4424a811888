"""One run from a network file to results: the only module that wires engine, results and device together."""

import errno
import os
import platform
import shutil
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import snnrun
from snnrun import check, checkpoint, estimate, kernels, lower, network, results, units
from snnrun.checkpoint import Checkpoint
from snnrun.document import SpecError, dotted
from snnrun.machine import available_threads, peak_memory, start_jax
from snnrun.models import connect
from snnrun.plan import Plan
from snnrun.request import Ended, Refused, Request, Summary, Watcher
from snnrun.resume import Keeper, completed, earlier_checkpoint, first_state, identity_of
from snnrun.signals import Stop
from snnrun.terminal import visible

SMALL = 2**16, 2**21  # neurons and synapses: with fewer of both, one thread outruns several


def picture_path(output: Path) -> Path:
    return output.with_suffix(".png")


class Again:
    """What a run leaves for others of networks that differ from its own in a few values."""

    plan: Plan | None = None


def simulate(request: Request, watcher: Watcher | None = None, stop: Stop | None = None, again: Again | None = None) -> Summary:
    """Build, run and write one network, or go on with a run that was stopped. What is the same in runs with one `again` is drawn
    and compiled once.

    Raises Refused, Ended, results.Exists, SpecError, results.WriteError, engine.NumericalError, signals.Stopped.
    """
    watcher, stop, clock, created = watcher or Watcher(), stop or Stop(), _Clock(), datetime.now(UTC)
    picture = _accepted(request := _resolved(request))
    identity = identity_of(request) if request.resume else ""  # it takes reading all files
    if request.resume and (done := completed(request, identity)) is not None:
        watcher.note(f"{request.output} is complete already")
        if picture is not None and not picture.exists():
            picture = _draw(request.output, picture, watcher)
        return done._replace(picture=picture)
    earlier = earlier_checkpoint(request, identity) if request.resume else None
    watcher.stage("starting JAX")
    with stop.deferred():
        device, kernel, threads = _machine(request, watcher)
    stop.check()
    expected, procedural_if_needed = _expected(request, kernel, threads, watcher)
    clock.lap("import")
    watcher.stage("building the network")
    plan = _plan(request, expected, kernel, threads, procedural_if_needed, watcher, clock, again)
    identity = identity or identity_of(request)
    facts = _facts(request, plan, device, threads, expected)
    watcher.begin(facts)
    _say_beginning(request, earlier, expected, watcher)
    meta = _meta(request, facts, created, identity, earlier)
    position = None if earlier is None else earlier.position
    if earlier is None:
        checkpoint.remove(request.output)
    durable = request.resume or request.every is not None
    with (
        stop.deferred(),
        results.Writer(request.output, plan.structure, meta, request.compress, position, durable) as writer,
    ):
        _run(plan, writer, watcher, clock, Keeper(request, plan, writer, identity, earlier, watcher), stop, earlier)
        spikes, rate = writer.spikes_and_rate()
        writer.complete(
            {
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "peak_memory_bytes": peak_memory(),
                "connectivity_bytes": plan.connectivity_bytes,
                "steps": plan.structure.steps,
                **{f"seconds_{name}": value for name, value in clock.seconds.items()},
            }
        )
    if picture is not None:
        watcher.stage("drawing")
        picture = _draw(request.output, picture, watcher)
    seconds = {name: clock.seconds[name] for name in ("import", "build", "lower", "compile", "run", "write")}
    return Summary(request.output, picture, facts["neurons"], facts["synapses"], plan.structure.steps, spikes, rate, device,
                   plan.program.kernel, threads, seconds, peak_memory())  # fmt: skip


class _Clock:
    """Seconds of each stage of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._since = now - self._since, now


def _resolved(request: Request) -> Request:
    """The request with its output resolved."""
    if request.output.is_dir() or not request.output.name:
        raise Refused(f"{request.output} is a folder", "name a file with --output")
    if request.output.is_symlink():  # results go where the link points; the partial file lies there, too
        return request._replace(output=_target(request.output))
    return request


def _target(path: Path) -> Path:
    """What a path leads to. Raises Refused."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{path} is a link that leads round in a circle", "use --output") from None
    return path.resolve()


def _accepted(request: Request) -> Path | None:
    """Where the picture of a request goes. Raises what speaks against beginning."""
    picture = picture_path(request.output) if request.plot else None
    _refuse(request, picture)
    return picture


def _machine(request: Request, watcher: Watcher) -> tuple[str, str, int]:
    """Device in words, kernel and threads of a run; loads JAX."""
    small = _estimated(request, "xla")
    many = small.neurons >= SMALL[0] or small.total_synapses >= SMALL[1]
    threads = request.threads or (available_threads() if many else 1)
    # XLA's own threads make its loops over the neurons slower; the native kernel has threads of its own
    own = request.kernel == "xla" or request.device == "gpu" or kernels.choose().name == "xla"
    device = start_jax(request.device, threads if own else 1)
    try:
        kernel, reason = kernels.choose(request.kernel, device.split()[0])
    except kernels.Unavailable as error:
        raise Refused(f"the native kernel {error}", "use --kernel xla") from None
    if reason is not None:
        watcher.note(f"XLA's kernel is used, which is slower: the native one {reason}")
    return device, kernel, threads


def _estimated(request: Request, kernel: str, threads: int = 1, procedural_if_needed: bool = False) -> estimate.Estimate:
    document = request.loaded.document
    try:
        return estimate.estimate(request.loaded.spec, document.folder, kernel, threads, procedural_if_needed)
    except SpecError as error:
        raise SpecError(error.faults, document) from None


def _expected(request: Request, kernel: str, threads: int, watcher: Watcher) -> tuple[estimate.Estimate, bool]:
    """The expected size of a run that fits into memory, and whether edges must be drawn again for it to fit."""
    expected, procedural_if_needed = estimate.fitting(lambda procedural: _estimated(request, kernel, threads, procedural))
    if (problem := estimate.too_large(expected)) is not None:
        raise Refused(problem.message, problem.hint)
    if procedural_if_needed:
        watcher.note(f"{estimate.AGAIN}, because they do not fit into memory")
    return expected, procedural_if_needed


def _plan(request: Request, expected: estimate.Estimate, kernel: str, threads: int, procedural_if_needed: bool, watcher: Watcher,
          clock: _Clock, again: Again | None) -> Plan:  # fmt: skip
    """Draw the network and lower it; needs no JAX."""
    document, spec = request.loaded.document, request.loaded.spec
    try:
        built = network.build(spec, document.folder)
        for fault in built.warnings:
            watcher.note(f"{dotted(fault.path)}: {fault.message}{f': {fault.hint}' if fault.hint else ''}")
        longest = {name: connect.delay_bounds(built.projections[name].connectivity)[1] for name in built.projections}
        problem = estimate.too_large(estimate.estimate(spec, document.folder, kernel, threads, procedural_if_needed, longest))
        if problem is not None:  # delays of files
            raise Refused(problem.message, problem.hint)
        clock.lap("build")
        before = None if again is None else again.plan
        plan = lower.lower(built, request.merge, kernel, threads, procedural_if_needed, again is not None, before)
        if again is not None:
            again.plan = plan
    except SpecError as error:
        raise SpecError(error.faults, document) from None
    except MemoryError:
        raise Refused(f"the network does not fit into memory (about {estimate.size_text(expected.peak_bytes)})") from None
    clock.lap("lower")
    return plan


def _facts(request: Request, plan: Plan, device: str, threads: int, expected: estimate.Estimate) -> dict[str, Any]:
    """What is said of a run when it begins."""
    return {
        "device": device,
        "threads": threads,
        "kernel": plan.program.kernel,
        "precision": request.loaded.spec.precision,
        "neurons": sum(population.size for population in plan.structure.populations),
        "synapses": sum(pathway.synapses for pathway in plan.pathways),
        "estimated_peak_bytes": int(expected.peak_bytes),
        "output": str(request.output),
    }


def _meta(request: Request, facts: dict[str, Any], created: datetime, identity: str, earlier: Checkpoint | None) -> results.Meta:
    spec, document = request.loaded.spec, request.loaded.document
    known = _provenance(request, facts, created)
    if earlier is not None:  # the run was created before
        known = {**known, "restarts": earlier.restarts + 1, "resumed": known.pop("created")}
    monitors = {name: monitor.model for name, monitor in spec.monitors.items()}
    placed = [name for name, population in spec.populations.items() if population.layout is not None]
    positions = {name: network.places(spec, name, document.folder).points for name in placed}
    return results.Meta(spec.name, document.text, document.tree, request.overrides, monitors, known, identity, positions)


def _say_beginning(request: Request, earlier: Checkpoint | None, expected: estimate.Estimate, watcher: Watcher) -> None:
    dt, duration, done = request.loaded.spec.dt, request.loaded.spec.duration, 0.0
    if earlier is not None:
        done = earlier.snapshot.step * dt
        watcher.note(f"goes on at {units.show(done, 'time')} of {units.show(duration, 'time')}")
        for name, there in checkpoint.versions().items():
            if (then := earlier.versions.get(name)) != there:
                watcher.note(f"the run was begun with {name} {then}, and this is {there}: its last bits may depend on that")
    folder = request.output.parent
    while not folder.exists():
        folder = folder.parent
    wanted, free = expected.output_bytes * (duration - done) * 1e-3, shutil.disk_usage(folder).free
    if wanted > free:
        watcher.note(
            f"warning: the samples will take {estimate.size_text(wanted)}, and {folder} has {estimate.size_text(free)} left; "
            "record fewer neurons, or use a larger `every`"
        )


def _run(plan: Plan, writer: results.Writer, watcher: Watcher, clock: _Clock, keeper: Keeper, stop: Stop,
         earlier: Checkpoint | None) -> None:  # fmt: skip
    """Compile and simulate, with frames going to the writer. Raises Ended where the run was asked to stop."""
    from snnrun import engine  # JAX has been set up by now

    watcher.stage("compiling")
    sink, steps = _Timed(writer), plan.structure.steps

    def on_progress(step: int) -> None:
        if "compile" not in clock.seconds:
            clock.lap("compile")
        keeper.now = step
        watcher.progress(step, steps)

    state = first_state(plan, earlier)
    while True:
        count = keeper.next_step(int(state.step), steps) - int(state.step)
        state = engine.simulate(plan, state, count, sink, progress=on_progress, stop=lambda: stop.requested() or keeper.due())
        if int(state.step) == steps:
            if plan.structure.weights:
                writer.last_weights(engine.weights(plan, state))
            sink.hand_over()
            break
        if stop.reason is not None:
            keeper.write_last(state, stop.reason)
            raise Ended(stop.reason, int(state.step) * plan.structure.dt, steps * plan.structure.dt,
                        checkpoint.path_of(keeper.request.output))  # fmt: skip
        keeper.try_to_write(state)
    if keeper.wanted:
        keeper.try_to_write(state)
    clock.lap("run")
    clock.seconds["run"] -= sink.seconds
    clock.seconds["write"] = sink.seconds


class _Timed:
    """A sink that counts the seconds that another one takes."""

    def __init__(self, sink: Any) -> None:
        self.sink, self.seconds = sink, 0.0

    def write(self, frame: Any) -> None:
        begin = time.perf_counter()
        self.sink.write(frame)
        self.seconds += time.perf_counter() - begin

    def hand_over(self) -> None:
        begin = time.perf_counter()
        self.sink.hand_over()
        self.seconds += time.perf_counter() - begin


def _refuse(request: Request, picture: Path | None) -> None:
    """Everything that speaks against beginning, before anything is built."""
    concerned = [request.output, results.partial_path(request.output), *([picture] if picture is not None else [])]
    if picture == request.output:
        raise Refused(f"{request.output} would be both results and picture", "name the results *.h5, or use --no-plot")
    document = request.loaded.document
    sources = {
        Path(document.name).resolve(),
        *(((document.folder / file).resolve()) for file in check.referenced_files(request.loaded.spec)),
    }
    for path in concerned:
        if _target(path) in sources:
            raise Refused(f"{path} is read by this network", "use --output")
        if path.exists() and not path.is_file():
            raise Refused(f"{path} is no regular file", "use --output")
    there = checkpoint.candidates(request.output)
    if request.resume and request.overwrite:
        raise Refused("--resume goes on with what is there, and --overwrite begins anew", "leave out one of the two")
    if there and not (request.resume or request.overwrite):
        raise Refused(f"{there[0]} exists already", "use --resume to go on from it, or --overwrite to begin anew")
    results.refuse_existing([] if request.resume else concerned, request.overwrite)
    parent = request.output.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise Refused(f"{request.output} cannot be written: {parent} is no folder that may be written to", "use --output")


def _draw(output: Path, picture: Path, watcher: Watcher) -> Path | None:
    """The default figure; None, with a note, where it cannot be drawn: the results are there all the same."""
    from snnrun import plot

    try:
        with results.Results(output) as found:
            plot.save(plot.summary(found), picture)
    except (plot.PlotError, OSError) as error:
        watcher.note(f"no picture was drawn: {error}")
        return None
    return picture


def _provenance(request: Request, facts: dict[str, Any], created: datetime) -> dict[str, Any]:
    spec = request.loaded.spec
    known = {
        "created": created.isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "host": platform.node(),
        "system": platform.platform(),
        "snnrun": snnrun.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "jaxlib", "numpy", "h5py")},
        "seed": np.uint64(spec.seed),
        "generator": "Philox4x32-10, version 1",
        "precision": spec.precision,
        "merged": request.merge,
        **({"XLA_FLAGS": os.environ["XLA_FLAGS"]} if "XLA_FLAGS" in os.environ else {}),
        **{key: facts[key] for key in ("device", "threads", "kernel", "neurons", "synapses")},
    }
    slurm = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    known |= {key.lower(): os.environ[key] for key in slurm if key in os.environ}
    return {key: visible(value) if isinstance(value, str) else value for key, value in known.items()}  # bytes that are no text
