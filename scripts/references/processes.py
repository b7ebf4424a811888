"""The simulators in environments of their own, and runs of them in processes of their own."""

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

RUNNERS = Path(__file__).parent
PACKAGES = {
    "nest": ["nest-simulator==3.10.0", "numpy"],
    "brian2": ["brian2==2.9.0", "numpy<2.3", "cython", "setuptools"],
    "brainpy": ["brainpy==2.8.2", "numba"],
}
NAMES = {"snnrun": "snnrun", "nest": "NEST", "brian2": "Brian2", "brainpy": "BrainPy"}
ENVIRONMENTS = Path(os.environ.get("SNNRUN_PEERS") or Path.home() / ".cache" / "snnrun-bench")


def installed(name: str, folder: Path = ENVIRONMENTS) -> Path | None:
    """The Python of a simulator's environment, if there is one."""
    python = folder / name / "bin" / "python"
    return python if python.exists() else None


def environment(name: str, folder: Path = ENVIRONMENTS) -> Path:
    """The Python of a simulator's environment, which is made where there is none. Raises RuntimeError, OSError."""
    if python := installed(name, folder):
        return python
    target, packages = folder / name, PACKAGES[name]
    python = target / "bin" / "python"
    say(f"installing {packages[0]} into {target}")
    made = False
    try:
        for command in ([sys.executable, "-m", "venv", str(target)], [str(python), "-m", "pip", "install", "--quiet", *packages]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
                raise RuntimeError(said[-1] if said else f"{command[-1]} failed")
        made = True
    finally:
        if not made:
            shutil.rmtree(target, ignore_errors=True)
    return python


def own_snnrun() -> str | None:
    """The program beside this Python."""
    beside = Path(sys.executable).with_name("snnrun")
    return str(beside) if beside.exists() else shutil.which("snnrun")


def run(simulator: str, python: Path | str, request: dict[str, Any], cores: int | None, timeout: float) -> dict[str, Any] | str:
    """What the runner of a simulator makes of a request, or the last line of its error.

    It computes with one thread, or with `cores` threads on as many cores that it alone may use.
    """
    return call([str(python), str(RUNNERS / f"run_{simulator}.py"), json.dumps(request)], cores, timeout)


def call(command: list[str], cores: int | None, timeout: float) -> dict[str, Any] | str:
    """The last line in JSON that a command printed, or the last line of its error."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    confine = None
    if cores is not None:
        places = sorted(os.sched_getaffinity(0))[:cores]
        confine = lambda: os.sched_setaffinity(0, places)  # noqa: E731
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        environment[f"{name}_NUM_THREADS"] = str(cores or 1)
    environment["NPROC"] = str(cores or 1)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env=environment,
        start_new_session=True, preexec_fn=confine,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"it took more than {timeout:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        said = [line.strip() for line in (errors.splitlines() or output.splitlines()) if line.strip()]
        return said[-1][:200] if said else f"ended with {process.returncode}"
    return json.loads(lines[-1])


def machine() -> str:
    """Processor, cores, memory and system."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, "
            f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}")  # fmt: skip


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
