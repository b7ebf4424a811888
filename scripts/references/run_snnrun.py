"""snnrun, by its command line. Its run is the loop with appending spikes to the results file; both parts are kept apart, too."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import runner


def simulate(network, request):
    output = Path(request["folder"]) / "results.h5"
    command = [request["snnrun"], "simulate", request["file"], "--json", "--no-plot", "--quiet", "--overwrite", "-o", output,
               "--threads", request["threads"], "--kernel", request["kernel"], "--device", request["device"]]  # fmt: skip
    if "precision" in request:
        command += ["--precision", request["precision"]]
    # with a cache of its own for compiled programs the time to compile is that of a network that was never run before
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(Path(request["folder"]) / "compiled")}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(problem(done))
    summary = json.loads(done.stdout)
    with h5py.File(output) as file:
        provenance = dict(file["snnrun/provenance"].attrs)
        recorded = file["snnrun/monitors/spikes"]
        spikes = [recorded[population["name"]]["timestamps"].shape[0] for population in network["populations"]]
        if "keep" in request:
            stamps = [recorded[p["name"]]["timestamps"][:] / network["dt"] for p in network["populations"]]
            neurons = [recorded[p["name"]]["node_ids"][:] + p["first"] for p in network["populations"]]
            runner.keep(request, network, np.concatenate(stamps), np.concatenate(neurons))
    seconds = summary["seconds"]
    return {
        "build": seconds["build"] + seconds["lower"], "compile": seconds["compile"], "run": seconds["run"] + seconds["write"],
        "loop": seconds["run"], "write": seconds["write"], "import": seconds["import"],
        "version": f"snnrun {provenance['snnrun']}, jax {provenance['jax']}",
        "spikes": summary["spikes"], "population_spikes": spikes, "rate_hz": summary["rate_hz"],
        "neurons": summary["neurons"], "synapses": summary["synapses"], "steps": summary["steps"],
        "connectivity_bytes": int(provenance["connectivity_bytes"]), "peak_bytes": summary["peak_memory_bytes"],
        "kernel": summary["kernel"], "device": summary["device"], "threads_used": summary["threads"],
    }  # fmt: skip


def problem(done):
    """What snnrun says went wrong: an error in JSON, or its last words."""
    with contextlib.suppress(ValueError, KeyError, IndexError):
        return json.loads(done.stdout)["errors"][0]["message"]
    return done.stderr.strip() or f"snnrun ended with {done.returncode}"


if __name__ == "__main__":
    runner.main(simulate)
