"""One run from a network file to results: the only module that wires engine, results and device together."""

import os
import platform
import resource
import sys
import time
import zlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import snnrun
from snnrun import check, connect, estimate, kernels, lower, network, results
from snnrun.check import Loaded
from snnrun.document import SpecError, dotted
from snnrun.plan import Plan


class Refused(Exception):
    """A run that is not begun: what is in the way, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


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


def simulate(request: Request, watcher: Watcher | None = None) -> Summary:
    """Build, run and write one network.

    Raises Refused, results.Exists, SpecError, results.WriteError, engine.NumericalError.
    """
    watcher, clock, created = watcher or Watcher(), _Clock(), datetime.now(UTC)
    spec = request.loaded.spec
    picture = _accepted(request := _resolved(request))
    watcher.stage("starting JAX")
    device, kernel, threads = _machine(request, watcher)
    expected, spare = _expected(request, kernel, threads, watcher)
    clock.lap("import")
    watcher.stage("building the network")
    plan = _plan(request, expected, kernel, threads, spare, watcher, clock)
    structure = plan.structure
    neurons = sum(population.size for population in structure.populations)
    facts = {
        "device": device,
        "threads": threads,
        "kernel": structure.kernel,
        "precision": spec.precision,
        "neurons": neurons,
        "synapses": sum(pathway.synapses for pathway in plan.pathways),
        "estimated_peak_bytes": int(expected.peak_bytes),
        "output": str(request.output),
    }
    watcher.begin(facts)
    meta = results.Meta(
        spec.name,
        request.loaded.document.text,
        request.loaded.document.tree,
        request.overrides,
        {name: monitor.model for name, monitor in spec.monitors.items()},
        _provenance(request, facts, created),
    )
    with results.Writer(request.output, structure, meta, request.compress) as writer:
        _run(plan, writer, watcher, clock)
        spikes, rate = writer.spikes_and_rate()
        writer.complete(
            {
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "peak_memory_bytes": peak_memory(),
                "connectivity_bytes": plan.connectivity_bytes,
                "steps": structure.steps,
                **{f"seconds_{name}": value for name, value in clock.seconds.items()},
            }
        )
    if picture is not None:
        watcher.stage("drawing")
        picture = _draw(request.output, picture, watcher)
    seconds = {name: clock.seconds[name] for name in ("import", "build", "lower", "compile", "run", "write")}
    return Summary(request.output, picture, neurons, facts["synapses"], structure.steps, spikes, rate, facts["device"],
                   structure.kernel, threads, seconds, peak_memory())  # fmt: skip


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
        return request._replace(output=request.output.resolve())
    return request


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


def _run(plan: Plan, writer: results.Writer, watcher: Watcher, clock: _Clock) -> None:
    """Compile and simulate, with frames going to the writer."""
    from snnrun import engine  # JAX has been set up by now

    watcher.stage("compiling")
    sink, steps = _Timed(writer), plan.structure.steps

    def on_progress(step: int) -> None:
        if "compile" not in clock.seconds:
            clock.lap("compile")
        watcher.progress(step, steps)

    engine.simulate(plan, engine.init(plan), steps, sink, progress=on_progress)
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
        if path.resolve() in sources:
            raise Refused(f"{path} is read by this network", "use --output")
        if path.exists() and not path.is_file():
            raise Refused(f"{path} is no regular file", "use --output")
    results.refuse_existing(concerned, request.overwrite)
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
    except RuntimeError:
        hint = "install JAX with CUDA (pip install 'jax[cuda12]'), or use --device cpu"
        raise Refused("no GPU was found that JAX can use", hint) from None
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
    return known | {key.lower(): os.environ[key] for key in slurm if key in os.environ}


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
