"""The table of a benchmark from its raw runs."""

from collections.abc import Iterable
from statistics import mean, median
from typing import Any

from references.processes import NAMES

HEAD = ("network", "simulator", "threads", "build s", "compile s", "run s", "real-time factor", "events/s", "bytes/synapse",
        "peak MB", "rate Hz", "run / snnrun", "note")  # fmt: skip
SILENT = 0.1  # Hz
GROWTH = 1_000_000  # synapses from which the growth of a process says something about one of them

BARS = "## What structure and models cost"  # the section of the page that scripts/bars.py writes; it is the last one

TEXT = """\
What is measured. Every run is a process of its own; simulators take turns, run by run, and each repetition has another seed
for all of them. Times are medians over the repetitions. One thread is pinned to one core, two threads to two.

- *run*: the simulation loop with recording the spikes of all neurons, without building, compiling, and closing files. For
  snnrun it includes appending the spikes to the results file (share in the note), for NEST and Brian2 recording them in memory;
  BrainPy returns masks, and counting them is left out. Brian2: wall time around the loop of the standalone program.
- *build*: from the description to a network that can run; where a simulator has no rule of the kind wanted, edges are drawn
  with NumPy. *compile*: XLA's for snnrun (without its cache of compiled programs) and BrainPy, code generation and g++ for
  Brian2.
- *events/s*: spikes times the mean out-degree of their population, per second of run; background trains are not counted.
- *bytes/synapse*: for snnrun and BrainPy the arrays of the connectivity, for NEST the growth of the process while connecting,
  for Brian2 the peak of its program; the last two from a million synapses on.
- *peak MB*: largest resident memory of the host; of Brian2 that of the standalone program.
- snnrun and BrainPy compute in float32, NEST and Brian2 in float64. NEST has no delay of 0 and takes 0.1 ms instead, and its
  neurons with conductances have an adaptive solver.
- *rate*: mean over all neurons and repetitions. A row is void if it differs from snnrun's by more than the network's tolerance,
  which is a few times what graphs with different seeds differ by, or if most of the network is silent.

Where the time goes: [performance.md](performance.md).
"""


def render(raws: list[dict[str, Any]]) -> str:
    """The Markdown of all raw files together."""
    rows = _rows(run for raw in raws for run in raw["runs"])
    lines = ["# Benchmarks", "", _line(HEAD), "|" + "---|" * len(HEAD)]
    lines += [_line(_cells(row, _reference(row, rows))) for row in rows]
    lines += ["", *_threads(rows), TEXT, *_networks(rows), "", *_variation(rows), *_versions(rows), ""]
    lines += list(dict.fromkeys(f"Machine: {raw['machine']}." for raw in raws))
    lines += ["", "Measured with", "", *(f"    {raw['command']}" for raw in raws)]
    return "\n".join(lines) + "\n"


def with_bars(page: str, section: str) -> str:
    """A page with another section of bars."""
    return f"{page.partition(BARS)[0].rstrip()}\n\n{section}"


def bars_of(page: str) -> str:
    """The section of bars of a page; nothing where there is none."""
    _, head, body = page.partition(BARS)
    return head + body


def label(run: dict[str, Any]) -> str:
    """Simulator of a run, with what tells it from others of that name."""
    if run["simulator"] != "snnrun":
        return NAMES[run["simulator"]]
    return f"snnrun {run['kernel']}" + (", GPU" if run["device"] == "gpu" else "")


def _rows(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs that differ in their repetition only, together."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in runs:
        key = run["network"], run["seconds"], label(run), run["threads"]
        row = rows.setdefault(key, {**run, "label": label(run), "results": [], "problem": None})
        if "result" in run:  # it worked, even if an earlier file says that it did not
            row |= {"problem": None, "sizes": run["sizes"], "out_degrees": run["out_degrees"]}
            row["results"].append(run["result"])
        elif not (run.get("skipped") and row["results"]):
            row["problem"] = run["problem"]
    groups = list(dict.fromkeys((row["network"], row["seconds"]) for row in rows.values()))
    ranks = ["snnrun native", "snnrun xla", "snnrun xla, GPU", *(name for name in NAMES.values() if name != "snnrun")]
    order = {key: (groups.index(key[:2]), key[3], ranks.index(key[2])) for key in rows}
    found = [rows[key] for key in sorted(rows, key=order.__getitem__)]
    for row in found:
        row["rate"] = mean(result["rate_hz"] for result in row["results"]) if row["results"] else None
    for row in found:
        row["problem"] = row["problem"] or _implausible(row, _reference(row, found, any_threads=True))
    return found


def _reference(row: dict[str, Any], rows: list[dict[str, Any]], any_threads: bool = False) -> dict[str, Any] | None:
    """snnrun's row that another one is compared with."""
    for other in rows:
        same = (other["network"], other["seconds"]) == (row["network"], row["seconds"])
        if same and other["simulator"] == "snnrun" and other["results"] and (any_threads or other["threads"] == row["threads"]):
            return other
    return None


def _implausible(row: dict[str, Any], reference: dict[str, Any] | None) -> str | None:
    """Why the rate of a row makes it void."""
    if row["rate"] is None or row["tolerance"] is None:
        return None
    if row["rate"] < SILENT or _silent_share(row) > 0.5:
        return "void: the network, or most of it, is silent"
    if reference is None or reference is row:
        return None
    difference = row["rate"] / reference["rate"] - 1.0 if reference["rate"] else float("inf")
    if abs(difference) > row["tolerance"]:
        return f"void: its rate is {row['rate']:.2f} Hz and snnrun's {reference['rate']:.2f}, {difference:+.0%}"
    return None


def _silent_share(row: dict[str, Any]) -> float:
    """Share of the neurons that belong to populations which hardly fire, in the first run."""
    spikes = row["results"][0]["population_spikes"]
    silent = [size for size, n in zip(row["sizes"], spikes, strict=True) if n < SILENT * size * row["seconds"]]
    return sum(silent) / sum(row["sizes"])


def _median(row: dict[str, Any], key: str) -> float:
    return median(result[key] for result in row["results"])


def _cells(row: dict[str, Any], reference: dict[str, Any] | None) -> list[str]:
    name = f"{row['network']}, {row['seconds']:g} s"
    if row["problem"]:
        rate = "–" if row["rate"] is None else f"{row['rate']:.2f}"
        return [name, row["label"], str(row["threads"]), *["–"] * 7, rate, "–", row["problem"].replace("|", "\\|")]
    run, events = _median(row, "run"), median(_events(row, result) / result["run"] for result in row["results"])
    compared = reference is not None and not reference["problem"]
    return [
        name, row["label"], str(row["threads"]), _seconds(_median(row, "build")), _seconds(_median(row, "compile")),
        _seconds(run), f"{run / row['seconds']:.3g}", f"{events:.2g}" if events else "–", _bytes(row),
        f"{_median(row, 'peak_bytes') / 1e6:,.0f}", f"{row['rate']:.2f}",
        f"{run / _median(reference, 'run'):.3g}" if compared else "–", _note(row),
    ]  # fmt: skip


def _events(row: dict[str, Any], result: dict[str, Any]) -> float:
    """Synapses that the spikes of a run passed, from mean out-degrees."""
    return sum(n * k for n, k in zip(result["population_spikes"], row["out_degrees"], strict=True))


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _bytes(row: dict[str, Any]) -> str:
    synapses = row["results"][0]["synapses"]
    if not synapses or (row["simulator"] in ("nest", "brian2") and synapses < GROWTH):
        return "–"
    return f"{_median(row, 'connectivity_bytes') / synapses:.1f}"


def _note(row: dict[str, Any]) -> str:
    first, notes = row["results"][0], []
    if "write" in first:
        notes.append(f"{_median(row, 'write') / _median(row, 'run'):.0%} of it writing")
    if first.get("threads_used", row["threads"]) != row["threads"]:
        notes.append(f"{first['threads_used']} virtual processes, which NEST needs for so many synapses")
    if row["tolerance"] is None:
        notes.append(f"{_median(row, 'run') / first['steps'] * 1e6:.3g} µs per step")
    return "; ".join(notes)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# ---- below the table -------------------------------------------------------------------------------------------------


def _threads(rows: list[dict[str, Any]]) -> list[str]:
    """How much several threads gain over one, for the microcircuit."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if not row["network"].startswith("pd14") or row["threads"] == 1 or row["problem"]:
            continue
        for one in rows:
            if one["threads"] == 1 and not one["problem"] and all(one[k] == row[k] for k in ("network", "seconds", "label")):
                gain = _median(one, "run") / _median(row, "run")
                found.setdefault(row["network"], []).append(f"{row['label']} {gain:.2f} with {row['threads']}")
    return [f"Gain by threads, run with one over run with more, {name}: {', '.join(gains)}." for name, gains in found.items()] + (
        [""] if found else []
    )


def _networks(rows: list[dict[str, Any]]) -> list[str]:
    """What the networks are, and how far rates may differ."""
    found = {}
    for row in rows:
        rule = "rates are not compared" if row["tolerance"] is None else f"rates within {row['tolerance']:.0%} of snnrun's"
        found[row["network"]] = f"- {row['network']}: {row['about']}; {rule}."
    return list(found.values())


def _variation(rows: list[dict[str, Any]]) -> list[str]:
    """How much repeated runs differ."""
    spreads = []
    for row in rows:
        runs = [result["run"] for result in row["results"]]
        if len(runs) > 1 and not row["problem"]:
            spreads.append((max(runs) - min(runs)) / median(runs))
    if not spreads:
        return ["Each row is one run.", ""]
    typical, worst = median(spreads), max(spreads)
    return [f"The slowest and the fastest run of a row differ by {typical:.0%} of the median, at most by {worst:.0%}.", ""]


def _versions(rows: list[dict[str, Any]]) -> list[str]:
    results = [result for row in rows for result in row["results"]]
    versions = dict.fromkeys(result["version"] for result in results)
    devices = dict.fromkeys(result["device"] for result in results if result.get("device", "cpu") != "cpu")
    found = [f"Versions: {'; '.join(versions)}."] if versions else []
    return found + [f"Devices: {'; '.join(devices)}."] if devices else found
