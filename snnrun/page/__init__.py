"""A results file as one page of HTML: the network, figures that can be zoomed, statistics, provenance, the network file.

The page contains all that it needs and asks no network for anything. Everything that comes from the file is escaped, and a
policy in the page lets run no program but its own.
"""

import base64
import hashlib
import json
import math
import os
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import snnrun
from snnrun import statistics
from snnrun.files import in_place_of
from snnrun.page import charts, network
from snnrun.results import Results
from snnrun.terminal import visible
from snnrun.units import show_time
from snnrun.view import View

COLUMNS = 24  # populations in the table of statistics


def written(results: Results, path: Path) -> None:
    """Write the page of a run. What was there stays until the new one is complete. Raises ResultsError, OSError."""
    text = page(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_place_of(Path(os.path.realpath(path))) as partial:
        partial.write_text(text, "utf-8")


def page(results: Results, live: bool = False) -> str:
    """The whole page. One that is `live` asks the server that it came from for news."""
    facts = body(results)
    script = _static("uPlot.iife.min.js") + "\n" + _static("page.js")
    style = _static("uPlot.min.css") + "\n" + _static("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    policy += "; connect-src 'self'" if live else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="snnrun {snnrun.__version__}">
<title>{escape(facts["title"])}</title>
<style>{style}</style>
</head>
<body{' class="live"' if live else ""}>
<main>{facts["html"]}</main>
<script type="application/json" id="data">{facts["data"]}</script>
<script>{script}</script>
</body>
</html>
"""


def body(results: Results) -> dict[str, str]:
    """Title, HTML and data of a page: what changes while a run goes on."""
    view = View(results) if results.reached > 0 else None
    tree, sizes = results.resolved, results.populations
    found = charts.charts(view) if view is not None else None
    # no sequence of letters in the data may end the element that it stands in
    data = json.dumps(found, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    sections = [
        _head(results, view),
        _figures(found),
        _statistics(view),
        _network(tree, sizes),
        _provenance(results),
        _file(results),
    ]
    return {"title": visible(results.name), "html": "\n".join(sections), "data": data}


def _static(name: str) -> str:
    return resources.files("snnrun.page").joinpath("static", name).read_text("utf-8")


def _size(count: float) -> str:
    return f"{count:,.0f}"


def _shown(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _head(results: Results, view: View | None) -> str:
    known = results.provenance
    reached, duration = results.reached, results.duration
    state = "" if results.complete else f' <span class="state">{show_time(reached)} of {show_time(duration)}</span>'
    neurons = sum(size for size, _ in results.populations.values())
    cards = [("neurons", _size(neurons))]
    if isinstance(known.get("synapses"), int):
        cards.append(("synapses", _size(known["synapses"])))
    cards.append(("simulated", show_time(reached)))
    if view is not None and view.trains:
        spikes = sum(len(shown.train.times) for shown in view.trains.values())
        heard = sum(shown.train.size * (shown.train.stop - shown.train.start) for shown in view.trains.values())
        cards += [("spikes", _size(spikes)), ("mean rate", f"{spikes / heard * 1e3:.3g} Hz" if heard else "–")]
    seconds = known.get("seconds_run")
    if isinstance(seconds, float) and seconds > 0:
        cards.append(("computed in", show_time(seconds * 1e3)))
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cards)
    return f'<header><h1>{escape(visible(results.name))}{state}</h1><dl class="cards">{shown}</dl></header>'


def _figures(found: dict[str, Any] | None) -> str:
    if not found or not any(found[key] for key in ("spikes", "rates", "traces")):
        return '<section id="figures"><h2>Activity</h2><p>Nothing was recorded that could be drawn.</p></section>'
    thin = ""
    spikes = found["spikes"]
    if spikes and spikes["every"] > 1:
        thin = f'<p class="note">Of {_size(spikes["total"])} spikes those of every {spikes["every"]}th neuron are shown.</p>'
    more = (
        '<section id="measures"><h2>Distributions</h2><div class="charts small"></div></section>'
        if found["distributions"]
        else ""
    )
    return (
        '<section id="figures"><h2>Activity</h2>'
        '<div class="tools" role="group" aria-label="Time shown"><button data-do="left" aria-label="Earlier">←</button>'
        '<button data-do="in" aria-label="Closer">+</button><button data-do="out" aria-label="Wider">−</button>'
        '<button data-do="right" aria-label="Later">→</button><button data-do="all">All</button>'
        '<span class="hint">Drag to zoom, scroll to zoom at the pointer, shift and drag to move, double-click for all.</span>'
        "</div>"
        f'{thin}<div class="charts"></div></section>{more}'
    )


def _statistics(view: View | None) -> str:
    if view is None or not view.trains:
        return ""
    names = list(view.trains)[:COLUMNS]
    columns = [statistics.measure(view.measured(name)) for name in names]
    heads = "".join(f"<th scope='col'>{escape(visible(name))}</th>" for name in names)
    rows = "".join(
        f"<tr><th scope='row'>{one.name}</th>"
        + "".join(f"<td>{_shown(column[one.name])}</td>" for column in columns)
        + f"<td class='unit'>{one.unit}</td><td class='meaning'>{escape(one.meaning)}</td></tr>"
        for one in statistics.MEASURES
    )
    more = f"<p>The first {COLUMNS} of {len(view.trains):,} populations.</p>" if len(view.trains) > COLUMNS else ""
    return (f'<section id="statistics"><h2>Statistics</h2><div class="wide"><table class="numbers"><thead><tr><td></td>{heads}'
            f"<td></td><td></td></tr></thead><tbody>{rows}</tbody></table></div>{more}</section>")  # fmt: skip


def _network(tree: dict[str, Any], sizes: dict[str, tuple[int, str]]) -> str:
    drawn = network.drawing(sizes, network.links(tree))
    parts = []
    for table in network.tables(tree):
        if not table.rows:
            continue
        used = [i for i in range(len(table.heads)) if i == 0 or any(row[i] for row in table.rows)]
        heads = "".join(f"<th scope='col'>{table.heads[i]}</th>" for i in used)
        rows = "".join(
            "<tr>" + "".join(f"<{'th' if i == 0 else 'td'}>{escape(visible(row[i]))}</{'th' if i == 0 else 'td'}>" for i in used)
            + "</tr>" for row in table.rows
        )  # fmt: skip
        closed = "" if len(table.rows) > 12 else " open"
        body = f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        parts.append(f"<details{closed}><summary>{table.title} <span>{len(table.rows)}</span></summary>{body}</details>")
    legend = ('<p class="legend"><span class="excites">excites</span> <span class="inhibits">inhibits</span>'
              ' <span class="other">neither is known</span></p>') if tree.get("projections") else ""  # fmt: skip
    return f'<section id="network"><h2>Network</h2><figure>{drawn}{legend}</figure>{"".join(parts)}</section>'


def _provenance(results: Results) -> str:
    known = results.provenance
    timings = {key.removeprefix("seconds_"): value for key, value in known.items() if key.startswith("seconds_")}
    rest = {key: value for key, value in known.items() if not key.startswith("seconds_")}
    total = sum(value for value in timings.values() if isinstance(value, float)) or 1.0
    bars = "".join(
        f"<tr><th scope='row'>{escape(key)}</th><td>{value:.3g} s</td>"
        f'<td class="bar"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * value / total:.2f}" height="8"/></svg></td></tr>'
        for key, value in timings.items() if isinstance(value, float)
    )  # fmt: skip
    rows = "".join(
        f"<tr><th scope='row'>{escape(visible(key.replace('_', ' ')))}</th><td>{escape(visible(_plain(value)))}</td></tr>"
        for key, value in rest.items()
    )
    times = f"<details open><summary>Where the time went</summary><table>{bars}</table></details>" if timings else ""
    made = f'<details><summary>How it was made</summary><div class="wide"><table>{rows}</table></div></details>'
    return f'<section id="provenance"><h2>Provenance</h2>{times}{made}</section>'


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _file(results: Results) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import YamlLexer

    text = visible(results.yaml, kept="\t\n")
    shown = highlight(text, YamlLexer(), HtmlFormatter(nowrap=True)) if len(text) < 200_000 else escape(text)
    changed = [str(item) for item in results.overrides]
    over = "".join(f"<li><code>{escape(visible(item))}</code></li>" for item in changed)
    replaced = f"<p>Replaced on the command line:</p><ul>{over}</ul>" if changed else ""
    return f'<section id="file"><h2>Network file</h2>{replaced}<pre class="wide"><code>{shown}</code></pre></section>'
