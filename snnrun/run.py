"""One run from a network file to results: the only module that wires engine, results and device together."""

import errno
import os
import platform
import resource
import shutil
import sys
import time
import zlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import snnrun
from snnrun import check, checkpoint, connect, estimate, kernels, lower, network, results, units
from snnrun.check import Loaded
from snnrun.checkpoint import Checkpoint, CheckpointError
from snnrun.document import SpecError, dotted
from snnrun.plan import Plan
from snnrun.signals import Stop
from snnrun.terminal import visible


class Refused(Exception):
    """A run that is not begun: what is in the way, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Ended(Exception):
    """A run that was asked to stop, and goes on from its checkpoint with `resume`: what asked, and how far it is."""

    def __init__(self, reason: str, reached: float, duration: float, path: Path) -> None:
        at = f"{units.show(reached, 'time')} of {units.show(duration, 'time')}"
        super().__init__(f"stopped by {reason} at {at}; {path.name} was written")


class Every(NamedTuple):
    """How often a checkpoint is written; one of the two."""

    wall: float | None = None  # seconds
    model: float | None = None  # ms


class Request(NamedTuple):
    """What a user asks of one run."""

    loaded: Loaded
    output: Path
    overrides: list[str]
    overwrite: bool = False
    kernel: str = "auto"  # auto, native, xla
    device: str = "auto"  # auto, cpu, gpu
    threads: int | None = None
    plot: bool = True
    merge: bool = True
    compress: bool = False
    resume: bool = False  # go on from a checkpoint, where there is one
    every: Every | None = None


class Summary(NamedTuple):
    """What came of a run."""

    results: Path
    picture: Path | None
    neurons: int
    synapses: int
    steps: int
    spikes: int
    rate_hz: float  # mean over the recorded neurons and windows; NaN where no spikes were recorded
    device: str
    kernel: str
    threads: int
    seconds: dict[str, float]  # import, build, lower, compile, run, write
    peak_memory_bytes: int


class Watcher:
    """What a run tells while it goes on. The methods do nothing; a command line shows them."""

    def stage(self, name: str) -> None: ...

    def begin(self, facts: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...

    def progress(self, step: int, steps: int) -> None: ...

    def close(self) -> None: ...


KEPT_PROGRAMS = 400  # files in the cache of compiled programs
SMALL = 2**16, 2**21  # neurons and synapses: with fewer of both, one thread outruns several


def available_threads() -> int:
    """Processors that this process may use: SLURM_CPUS_PER_TASK, or its affinity."""
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit() and int(slurm) > 0:
        return int(slurm)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def picture_path(output: Path) -> Path:
    return output.with_suffix(".png")


def simulate(request: Request, watcher: Watcher | None = None, stop: Stop | None = None) -> Summary:
    """Build, run and write one network, or go on with a run that was stopped.

    Raises Refused, Ended, results.Exists, SpecError, results.WriteError, engine.NumericalError, signals.Stopped.
    """
    watcher, stop, clock, created = watcher or Watcher(), stop or Stop(), _Clock(), datetime.now(UTC)
    picture = _accepted(request := _resolved(request))
    identity = _identity(request)
    if request.resume and (done := _complete(request, identity, picture, watcher)) is not None:
        return done
    earlier = _earlier(request, identity) if request.resume else None
    watcher.stage("starting JAX")
    device, kernel, threads = _machine(request, watcher)
    expected, spare = _expected(request, kernel, threads, watcher)
    clock.lap("import")
    watcher.stage("building the network")
    plan = _plan(request, expected, kernel, threads, spare, watcher, clock)
    facts = _facts(request, plan, device, threads, expected)
    watcher.begin(facts)
    _say_beginning(request, earlier, expected, watcher)
    meta = _meta(request, facts, created, identity, earlier)
    position = None if earlier is None else earlier.position
    if earlier is None:
        checkpoint.remove(request.output)
    durable = request.resume or request.every is not None
    with (
        stop.between_chunks(),
        results.Writer(request.output, plan.structure, meta, request.compress, position, durable) as writer,
    ):
        _run(plan, writer, watcher, clock, _Keeper(request, plan, writer, identity, earlier, watcher), stop, earlier)
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
                   plan.structure.kernel, threads, seconds, peak_memory())  # fmt: skip


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
    small = estimate.estimate(request.loaded.spec, request.loaded.document.folder, "xla")
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


def _expected(request: Request, kernel: str, threads: int, watcher: Watcher) -> tuple[estimate.Estimate, bool]:
    """The expected size of a run that fits into memory, and whether edges must be drawn again for it to fit."""
    spec, folder = request.loaded.spec, request.loaded.document.folder
    for spare in (False, True):
        expected = estimate.estimate(spec, folder, kernel, threads, spare)
        if (problem := estimate.too_large(expected)) is None:
            if spare:
                watcher.note("edges are drawn again whenever their source has fired, because they do not fit into memory")
            return expected, spare
    raise Refused(problem.message, problem.hint)


def _plan(request: Request, expected: estimate.Estimate, kernel: str, threads: int, spare: bool, watcher: Watcher,
          clock: _Clock) -> Plan:  # fmt: skip
    """Draw the network and lower it; needs no JAX."""
    document, spec = request.loaded.document, request.loaded.spec
    try:
        built = network.build(spec, document.folder)
        for fault in built.warnings:
            watcher.note(f"{dotted(fault.path)}: {fault.message}{f': {fault.hint}' if fault.hint else ''}")
        longest = {name: connect.delay_bounds(built.projections[name].connectivity)[1] for name in built.projections}
        problem = estimate.too_large(estimate.estimate(spec, document.folder, kernel, threads, spare, longest))
        if problem is not None:  # delays of files
            raise Refused(problem.message, problem.hint)
        clock.lap("build")
        plan = lower.lower(built, request.merge, kernel, threads, spare)
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
        "kernel": plan.structure.kernel,
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
    return results.Meta(spec.name, document.text, document.tree, request.overrides, monitors, known, identity)


# ---- going on after a stop -------------------------------------------------------------------------------------------


def _identity(request: Request) -> str:
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


def _complete(request: Request, identity: str, picture: Path | None, watcher: Watcher) -> Summary | None:
    """The summary of results that are complete already; None where there is something left to do."""
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
        counts, known = found.spike_counts(), found.provenance
    watcher.note(f"{request.output} is complete already")
    if picture is not None and not picture.exists():
        picture = _draw(request.output, picture, watcher)
    exposure = sum(count.size * (count.stop - count.start) * 1e-3 for count in counts.values())
    spikes = sum(count.spikes for count in counts.values())
    return Summary(
        request.output, picture, int(known["neurons"]), int(known["synapses"]), wanted, spikes,
        spikes / exposure if exposure else float("nan"), str(known["device"]), str(known["kernel"]), int(known["threads"]), {},
        peak_memory(),
    )  # fmt: skip


def _earlier(request: Request, identity: str) -> Checkpoint | None:
    """The checkpoint from which a run goes on; None where it begins. Raises Refused."""
    output, partial = request.output, results.partial_path(request.output)
    found, problem = None, None
    for path in checkpoint.candidates(output):
        try:
            found = checkpoint.read(path)
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


class _Keeper:
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

    def try_to_write(self, state: Any) -> None:
        """A run does not fail for want of a checkpoint."""
        try:
            self.write(state)
        except OSError as error:
            self.watcher.note(f"no checkpoint could be written, and the last one stays: {error.strerror or error}")
            self.last = time.monotonic()


def _state(plan: Plan, earlier: Checkpoint | None) -> Any:
    """The state that a run begins with."""
    from snnrun import engine, snapshot

    if earlier is None:
        return engine.init(plan)
    try:
        return snapshot.restore(plan, earlier.snapshot)
    except snapshot.Mismatch as error:
        raise Refused(f"the checkpoint does not fit: {error}", "use --overwrite in place of --resume to begin anew") from None


def _run(plan: Plan, writer: results.Writer, watcher: Watcher, clock: _Clock, keeper: _Keeper, stop: Stop,
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

    state = _state(plan, earlier)
    while True:
        count = keeper.next_step(int(state.step), steps) - int(state.step)
        state = engine.simulate(plan, state, count, sink, progress=on_progress, stop=lambda: stop.requested() or keeper.due())
        if int(state.step) == steps:
            break
        if stop.reason is not None:
            keeper.write(state)
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


def start_jax(device: str, threads: int) -> str:
    """Load JAX for a device; returns the device in words. The number of threads counts from the first use in a process."""
    if "jax" not in sys.modules:
        os.environ["NPROC"] = str(threads)  # what XLA sizes its pool by; an affinity would pile up runs on one processor
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    jax.config.update("jax_enable_x64", True)
    _keep_programs(jax)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    try:
        found = jax.devices("gpu" if device == "gpu" else None)[0]
    except (RuntimeError, AssertionError):  # the latter is what JAX raises where JAX_PLATFORMS leaves nothing
        asked = os.environ.get("JAX_PLATFORMS")
        hint = f"JAX_PLATFORMS is {asked}; unset it" if asked else "install JAX with CUDA (pip install 'jax[cuda12]')"
        what = "GPU" if device == "gpu" else "device"
        raise Refused(f"no {what} was found that JAX can use", f"{hint}, or use --device cpu") from None
    jax.config.update("jax_default_device", found)
    return f"{found.platform} ({found.device_kind})" if found.platform != "cpu" else "cpu"


def _keep_programs(jax: Any) -> None:
    """Compiled programs are kept in the user's cache folder, apart for each kind of processor: code is not the same for all."""
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        folder = Path(own) / "snnrun" / f"{version('jaxlib')}-{_processor():08x}"
        folder.mkdir(parents=True, exist_ok=True)
        kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-KEPT_PROGRAMS]:
            path.unlink(missing_ok=True)
    except (OSError, RuntimeError):  # also a user without a home
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _processor() -> int:
    """A number that tells processors with different instructions apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described = "".join(dict.fromkeys(line for line in lines if line.startswith(("flags", "model name", "Features"))))
    except OSError:
        described = platform.processor()
    return zlib.crc32(f"{platform.machine()} {described}".encode())


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


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
