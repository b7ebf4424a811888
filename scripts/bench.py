"""Measure snnrun beside NEST, Brian2 and BrainPy on the same networks.

    python scripts/bench.py --networks einet cuba --threads 1 2 --raw runs.json
    python scripts/bench.py --input runs.json more.json --write

Run it with the Python that snnrun is installed for, on Linux and on an idle machine. The other simulators are installed into
environments of their own when they are first needed. What the figures mean stands below the table.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

try:
    from references import describe, networks, processes, table
    from references.processes import PACKAGES, say
except ModuleNotFoundError as error:
    print(f"bench.py: {error}: run it with the Python that snnrun is installed for", file=sys.stderr)
    sys.exit(2)

ROOT = Path(__file__).parents[1]
LARGEST = {"nest": 16_000}  # of the scaling series without --full


class Job(NamedTuple):
    """One row of the table."""

    network: str
    simulator: str
    threads: int
    kernel: str | None
    device: str


def main() -> int:
    a = _arguments()
    complete = True
    if a.input:
        raws = a.input
    else:
        raws, complete = _measure(a)
    text = table.render(raws)
    print(text, end="")
    if a.output is not None:
        a.output.write_text(text)
    if a.write:
        page = ROOT / "docs" / "benchmarks.md"
        bars = table.bars_of(page.read_text())
        page.write_text(table.with_bars(text, bars) if bars else text)
    return 0 if complete else 130


# ---- the command line ------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--networks", nargs="+", default=["all"], metavar="NAME", help=f"{', '.join((*networks.ALL, *networks.GROUPS))}, "
        "einet_<size>, pd14_<scale>, pd14_dc_<scale>")  # fmt: skip
    add("--peers", nargs="+", metavar="NAME", help=f"{', '.join(PACKAGES)}, none; all, if not given, and none with --device gpu")
    add("--threads", nargs="+", type=int, default=[1], metavar="N", help="numbers of threads")
    add("--repeats", type=int, default=3, metavar="N", help="runs of each row")
    add("--duration", type=float, default=1.0, metavar="S", help="model seconds")
    add("--seed", type=int, default=1, help="of the first repetition; the next ones count up")
    add("--kernel", nargs="+", metavar="NAME", help="snnrun's, native or xla or both; native, if not given, and xla on a GPU")
    add("--device", choices=("cpu", "gpu"), default="cpu", help="snnrun's")
    add("--full", action="store_true", help="also what takes many gigabytes or most of an hour")
    add("--timeout", type=float, default=1800.0, metavar="S", help="seconds that one run may take")
    add("--environments", type=Path, default=processes.ENVIRONMENTS, metavar="DIR",
        help="folder with an environment for each peer; made where there is none")  # fmt: skip
    add("--snnrun", metavar="PROGRAM", help="the snnrun to measure; that of this Python, if not given")
    add("--raw", type=Path, metavar="FILE", help="where all runs go as JSON, after each of them")
    add("--input", nargs="+", type=Path, metavar="FILE", help="raw files to make the table from; nothing is measured")
    add("--output", type=Path, metavar="FILE", help="where the table goes, too")
    add("--write", action="store_true", help="the table goes to docs/benchmarks.md")
    a = parser.parse_args()
    if problem := _check(a):
        parser.error(problem)
    return a


def _check(a: argparse.Namespace) -> str | None:
    """Complete the arguments; says what is wrong with them."""
    if a.input:
        return _read(a)
    if sys.platform != "linux":
        return "measuring needs Linux"
    try:
        a.networks = networks.expand(a.networks)
    except networks.Unknown as error:
        return str(error)
    if a.peers is None:
        a.peers = list(PACKAGES) if a.device == "cpu" else []
    a.peers = [] if a.peers == ["none"] else list(dict.fromkeys(a.peers))
    a.kernel = a.kernel or ["native" if a.device == "cpu" else "xla"]
    a.threads = sorted(set(a.threads))
    a.snnrun = a.snnrun or processes.own_snnrun()
    cores, steps = len(os.sched_getaffinity(0)), a.duration * 1e4
    for wrong, message in (
        (set(a.peers) - set(PACKAGES), f"unknown peer in {' '.join(a.peers)!r}: there are {', '.join(PACKAGES)}, none"),
        (set(a.kernel) - {"native", "xla"}, f"unknown kernel in {' '.join(a.kernel)!r}: there are native, xla"),
        (a.device == "gpu" and "native" in a.kernel, "the native kernel runs on CPUs only"),
        (not 1 <= a.threads[0] <= a.threads[-1] <= cores, f"--threads must lie within 1 and {cores}, the cores of this machine"),
        (a.repeats < 1, "--repeats must be positive"),
        (a.timeout <= 0, "--timeout must be positive"),
        (not 1 <= steps < 1e9 or abs(steps - round(steps)) > 1e-6, "--duration must be a whole number of steps of 0.1 ms"),
        (not 0 <= a.seed < 2**30, "--seed must lie within 0 and 2^30"),
        (a.snnrun is None, "there is no snnrun beside this Python; name it with --snnrun"),
        (a.raw is not None and a.raw.exists(), f"{a.raw} exists; name another file with --raw"),
    ):
        if wrong:
            return message
    return None


def _read(a: argparse.Namespace) -> str | None:
    """Replace names of raw files by what is in them; says what is wrong with one."""
    raws = []
    for path in a.input:
        try:
            raws.append(json.loads(path.read_text()))
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        except ValueError:
            return f"{path} is no JSON"
        if not isinstance(raws[-1], dict) or not {"runs", "machine", "command"} <= set(raws[-1]):
            return f"{path} holds no runs of this script"
    a.input = raws
    return None


def _command(a: argparse.Namespace) -> str:
    """The command line without what says only where things are."""
    names = ("networks", "peers", "threads", "repeats", "duration", "seed", "kernel", "device")
    words = ["python", "scripts/bench.py"]
    for name in names:
        value = getattr(a, name)
        values = (value or ["none"]) if isinstance(value, list) else [value]
        words += [f"--{name}", *(f"{part:g}" if isinstance(part, float) else str(part) for part in values)]
    return shlex.join([*words, *(["--full"] if a.full else [])])


# ---- measuring -------------------------------------------------------------------------------------------------------


def _measure(a: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """All runs, stored after each; and whether none is missing, because somebody interrupted."""
    raw: dict[str, Any] = {"machine": processes.machine(), "command": _command(a), "runs": []}
    jobs = [(job, _objection(job, a)) for name in a.networks for threads in a.threads for job in _jobs(name, threads, a)]
    problems = {job: reason for job, reason in jobs if reason is not None}
    pythons = _environments(a, {job.simulator for job, reason in jobs if reason is None})
    try:
        for name in a.networks:
            for threads in a.threads:
                group = [job for job, _ in jobs if (job.network, job.threads) == (name, threads)]
                for repeat in range(a.repeats):
                    for job in group:
                        _take(job, repeat, a, pythons, problems, raw)
    except KeyboardInterrupt:
        say("interrupted")
        return [raw], False
    return [raw], True


def _jobs(name: str, threads: int, a: argparse.Namespace) -> list[Job]:
    own = [Job(name, "snnrun", threads, kernel, a.device) for kernel in a.kernel]
    return own + [Job(name, peer, threads, None, "cpu") for peer in a.peers if name != "neurons"]


def _objection(job: Job, a: argparse.Namespace) -> str | None:
    """Why a row is not measured."""
    kind, number = networks.kind(job.network)
    if kind.startswith("pd14"):
        if job.simulator == "nest" and number > 0.5:
            if not a.full:
                return "14 GB and minutes at full scale: only with --full"
            if job.threads != a.threads[-1]:
                return "needs several virtual processes: measured with the most threads only"
        if job.simulator == "brian2" and number > 0.3 and not a.full:
            return "some 70 bytes per synapse, 20 GB at full scale: only with --full"
    if kind == "scaled" and number > LARGEST.get(job.simulator, number) and not a.full:
        return f"takes too long with more than {LARGEST[job.simulator]:,} neurons: only with --full"
    return None


def _take(
    job: Job, repeat: int, a: argparse.Namespace, pythons: dict[str, Any], problems: dict[Job, str], raw: dict[str, Any]
) -> None:
    """Make one run of a job and add it to the raw runs; after a problem there is no further one."""
    if job in problems and repeat:
        return
    network = networks.make(job.network, a.duration, a.seed + repeat)
    run: dict[str, Any] = {**job._asdict(), "seconds": a.duration, "repeat": repeat, "seed": a.seed + repeat}
    run |= {"about": network.about, "tolerance": network.tolerance}
    if job in problems:
        run |= {"problem": problems[job], "skipped": True}
    elif isinstance(python := pythons[job.simulator], Exception):
        run["problem"] = problems[job] = f"void: not installed: {python}"
    else:
        run |= _run(job, network, Path(python), a)
        if "problem" in run:
            problems[job] = run["problem"]
    raw["runs"].append(run)
    if a.raw is not None:
        a.raw.write_text(json.dumps(raw, indent=1) + "\n")
    result = run.get("result")
    told = run["problem"] if result is None else f"{result['run']:.3f} s, {result['rate_hz']:.2f} Hz"
    say(f"{job.network}, {job.threads} thread{'s' * (job.threads > 1)}, {table.label(run)}, run {repeat + 1}: {told}")


def _run(job: Job, network: networks.Network, python: Path, a: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own: its result, or its problem."""
    with tempfile.TemporaryDirectory(prefix="snnrun-bench-", ignore_cleanup_errors=True) as folder:
        file, description = Path(folder) / "network.yaml", Path(folder) / "network.json"
        file.write_text(network.text)
        described = describe.describe(file)
        description.write_text(json.dumps(described))
        request = {"network": str(description), "file": str(file), "folder": folder, "threads": job.threads,
                   "snnrun": a.snnrun, "kernel": job.kernel, "device": job.device}  # fmt: skip
        found = processes.run(job.simulator, python, request, None if job.device == "gpu" else job.threads, a.timeout)
    if isinstance(found, str):
        return {"problem": f"void: {found}"}
    if "unsupported" in found:
        return {"problem": found["unsupported"], "skipped": True}
    sizes = [population["size"] for population in described["populations"]]
    return {"result": found, "sizes": sizes, "out_degrees": describe.out_degrees(described)}


def _environments(a: argparse.Namespace, simulators: set[str]) -> dict[str, Any]:
    """The Python of each simulator, or why there is none."""
    pythons: dict[str, Any] = {"snnrun": sys.executable}
    for name in PACKAGES:
        if name in simulators:
            try:
                pythons[name] = processes.environment(name, a.environments)
            except (OSError, RuntimeError) as error:
                pythons[name] = error
                say(f"{name} is not there: {error}")
    return pythons


if __name__ == "__main__":
    sys.exit(main())
