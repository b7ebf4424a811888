"""The machine that a run is on: its processors, its device, where compiled programs are kept."""

import os
import platform
import resource
import sys
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snnrun.request import Refused

KEPT_PROGRAMS = 400  # files in the cache of compiled programs


def available_threads() -> int:
    """Processors that this process may use: SLURM_CPUS_PER_TASK, or its affinity."""
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit() and int(slurm) > 0:
        return int(slurm)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
