"""A network as tables and as a drawing, from the tree of its file. Plain data and SVG; every text is escaped where it is put."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from snnrun import units
from snnrun.colours import COLOURS

AROUND = 12  # populations that are drawn in a circle; more make a table of sources and targets
ARROWS = 30  # projections, likewise
CELLS = 60  # populations, along each side of that table
EXCITES, INHIBITS, ELSE = "excites", "inhibits", "other"  # classes in the style sheet
THRESHOLD = -50.0  # mV, where a reversal potential is compared and the target says nothing of its own


class Link(NamedTuple):
    """A projection, as it is drawn: from population to population."""

    name: str
    pre: str
    post: str
    effect: str
    text: str


def phrase(value: Any) -> str:
    """A value of the file in one line: `expon, tau 5 ms`."""
    if isinstance(value, Mapping):
        head = [str(value[key]) for key in ("model", "rule") if key in value]
        rest = [f"{key} {phrase(item)}" for key, item in value.items() if key not in ("model", "rule")]
        return ", ".join(head + rest)
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [phrase(item) for item in value[:4]]
        return ", ".join(shown) + (f", ... ({len(value):,})" if len(value) > 4 else "")
    return "" if value is None else str(value)


def populations_of(selection: Any) -> list[str]:
    """The populations that a selection names, each once."""
    texts = selection if isinstance(selection, list) else [selection]
    return list(dict.fromkeys(str(text).partition("[")[0].strip() for text in texts))


def links(tree: Mapping[str, Any]) -> list[Link]:
    """All projections, one for each pair of populations."""
    found = []
    for name, entry in (tree.get("projections") or {}).items():
        if not isinstance(entry, Mapping):
            continue
        text = "\n".join(
            f"{key}: {phrase(entry[key])}"
            for key in ("pre", "post", "connect", "weight", "delay", "synapse", "output", "stp", "stdp") if key in entry
        )  # fmt: skip
        for pre in populations_of(entry.get("pre")):
            for post in populations_of(entry.get("post")):
                found.append(Link(str(name), pre, post, effect(entry, (tree.get("populations") or {}).get(post)), text))
    return found


def effect(entry: Mapping[str, Any], target: Any) -> str:
    """Whether a projection excites: by its reversal potential and the threshold, or by the sign of its weight."""
    output = entry.get("output")
    if isinstance(output, Mapping) and "E" in output:
        reversal = _number(output["E"])
        threshold = _number(target.get("V_th")) if isinstance(target, Mapping) else None
        if reversal is None:
            return ELSE
        return INHIBITS if reversal < (THRESHOLD if threshold is None else threshold) else EXCITES
    weight = entry.get("weight")
    if isinstance(weight, Mapping) and len(weight) == 1:  # a distribution, by its mean
        (law,) = weight.values()
        if isinstance(law, Mapping):
            weight = law.get("mean", law.get("low"))
    if isinstance(weight, str | int | float) and not isinstance(weight, bool):
        return INHIBITS if str(weight).strip().startswith("-") else EXCITES
    return ELSE


def _number(text: Any) -> float | None:
    try:
        return units.read(text, "voltage")
    except (units.UnitError, TypeError, ValueError):
        return None


class Table(NamedTuple):
    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(tree: Mapping[str, Any]) -> list[Table]:
    """The sections of the file, a row for each entry."""

    def section(name: str) -> list[tuple[str, Mapping[str, Any]]]:
        entries = tree.get(name)
        return [(str(key), entry) for key, entry in entries.items() if isinstance(entry, Mapping)] if isinstance(
            entries, Mapping
        ) else []  # fmt: skip

    def rest(entry: Mapping[str, Any], *known: str) -> str:
        return phrase({key: value for key, value in entry.items() if key not in known})

    return [
        Table("Populations", ("name", "size", "model", "parameters"),
              [(name, phrase(entry.get("size")), phrase(entry.get("model")), rest(entry, "size", "model"))
               for name, entry in section("populations")]),
        Table("Projections", ("name", "from", "to", "rule", "weight", "delay", "synapse", "output", "plasticity"),
              [(name, *(phrase(entry.get(key)) for key in ("pre", "post", "connect", "weight", "delay", "synapse", "output")),
                rest(entry, "pre", "post", "connect", "weight", "delay", "synapse", "output"))
               for name, entry in section("projections")]),
        Table("Inputs", ("name", "to", "model", "parameters"),
              [(name, phrase(entry.get("to")), phrase(entry.get("model")), rest(entry, "to", "model"))
               for name, entry in section("inputs")]),
        Table("Monitors", ("name", "of", "model", "options"),
              [(name, phrase(entry.get("of")), phrase(entry.get("model")), rest(entry, "of", "model"))
               for name, entry in section("monitors")]),
    ]  # fmt: skip


# ---- drawing ---------------------------------------------------------------------------------------------------------


def drawing(sizes: Mapping[str, tuple[int, str]], found: Sequence[Link]) -> str:
    """SVG of a network: circles and arrows, or a table of sources and targets where that would be a tangle."""
    shown = [link for link in found if link.pre in sizes and link.post in sizes]
    if len(sizes) <= AROUND and len(shown) <= ARROWS:
        return _circle(sizes, shown)
    return _grid(sizes, shown)


def _circle(sizes: Mapping[str, tuple[int, str]], found: Sequence[Link]) -> str:
    if not sizes:
        return ""
    n = len(sizes)
    ring = 0.0 if n == 1 else max(95.0, 24.0 * n)
    largest = max((size for size, _ in sizes.values()), default=1)
    names, parts = list(sizes), []
    where = {name: (ring * math.sin(2 * math.pi * i / n), -ring * math.cos(2 * math.pi * i / n)) for i, name in enumerate(names)}
    radius = {name: 14 + 20 * math.sqrt(size / largest) for name, (size, _) in sizes.items()}
    beside: dict[tuple[str, str], int] = {}
    for link in found:
        k = beside[link.pre, link.post] = beside.get((link.pre, link.post), -1) + 1
        path = _loop if link.pre == link.post else _arrow
        parts.append(
            f'<path class="link {link.effect}" d="{path(where, radius, link, k, ring)}" marker-end="url(#{link.effect})">'
            f"<title>{escape(link.name)}\n{escape(link.text)}</title></path>"
        )
    for i, name in enumerate(names):
        x, y = where[name]
        size, model = sizes[name]
        colour = COLOURS[i % len(COLOURS)]
        parts.append(
            f'<g><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius[name]:.1f}" fill="{colour}"><title>{escape(name)}: {size:,} '
            f"{escape(model)}</title></circle>"
            f'<text x="{x:.1f}" y="{y + radius[name] + 14:.1f}" class="name">{escape(_short(name))}</text>'
            f'<text x="{x:.1f}" y="{y + radius[name] + 27:.1f}" class="small">{size:,} {escape(_short(model))}</text></g>'
        )
    heads = "".join(
        f'<marker id="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
        + (f'<circle cx="5" cy="5" r="4" class="head {kind}"/>' if kind == INHIBITS else
           f'<path d="M0 0 L10 5 L0 10 z" class="head {kind}"/>') + "</marker>"
        for kind in (EXCITES, INHIBITS, ELSE)
    )  # fmt: skip
    loops = {link.pre for link in found if link.pre == link.post}
    room = {name: radius[name] + (62 if name in loops else 32) for name in names}
    left, right = min(where[n][0] - room[n] for n in names) - 40, max(where[n][0] + room[n] for n in names) + 40
    top, bottom = min(where[n][1] - room[n] for n in names), max(where[n][1] + room[n] for n in names)
    box = f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}"
    return (f'<svg class="graph" viewBox="{box}" role="img" aria-label="Populations and projections" '
            f'style="max-width:{1.1 * (right - left):.0f}px"><defs>{heads}</defs>{"".join(parts)}</svg>')  # fmt: skip


def _arrow(where: Mapping[str, tuple[float, float]], radius: Mapping[str, float], link: Link, k: int, ring: float) -> str:
    """A curve that leaves room for the one back, and for others between the same two."""
    (x0, y0), (x1, y1) = where[link.pre], where[link.post]
    dx, dy = x1 - x0, y1 - y0
    length = math.hypot(dx, dy)
    bow = 0.14 + 0.12 * k
    cx, cy = (x0 + x1) / 2 + bow * dy, (y0 + y1) / 2 - bow * dx

    def edge(x: float, y: float, r: float) -> tuple[float, float]:
        away = math.hypot(cx - x, cy - y) or length
        return x + (cx - x) / away * r, y + (cy - y) / away * r

    a, b = edge(x0, y0, radius[link.pre]), edge(x1, y1, radius[link.post] + 4)
    return f"M{a[0]:.1f} {a[1]:.1f} Q{cx:.1f} {cy:.1f} {b[0]:.1f} {b[1]:.1f}"


def _loop(where: Mapping[str, tuple[float, float]], radius: Mapping[str, float], link: Link, k: int, ring: float) -> str:
    """A loop outwards."""
    x, y = where[link.pre]
    out = math.atan2(y, x) if ring else -math.pi / 2 + (k - 0.5) * 1.3
    r, far = radius[link.pre], radius[link.pre] + 46 + (10 * k if ring else 0)
    narrow, wide = 0.42, 0.75
    points = [
        (x + reach * math.cos(out + turn), y + reach * math.sin(out + turn))
        for reach, turn in ((r, -narrow), (far, -wide), (far, wide), (r + 4, narrow))
    ]
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
    return f"M{ax:.1f} {ay:.1f} C{bx:.1f} {by:.1f} {cx:.1f} {cy:.1f} {dx:.1f} {dy:.1f}"


def _grid(sizes: Mapping[str, tuple[int, str]], found: Sequence[Link]) -> str:
    """Sources from top to bottom, targets from left to right; a cell says what its projections do."""
    names = [name for name in sizes if any(name in (link.pre, link.post) for link in found)][:CELLS]
    if not names:
        names = list(sizes)[:CELLS]
    place = {name: i for i, name in enumerate(names)}
    cell = 26 if len(names) <= 20 else 12
    left = 8 + 7 * max((len(_short(name)) for name in names), default=1)
    cells: dict[tuple[int, int], list[Link]] = {}
    for link in found:
        if link.pre in place and link.post in place:
            cells.setdefault((place[link.pre], place[link.post]), []).append(link)
    parts = []
    for (i, j), several in cells.items():
        kinds = {link.effect for link in several}
        kind = kinds.pop() if len(kinds) == 1 else ELSE
        said = "\n\n".join(f"{link.name}\n{link.text}" for link in several[:6])
        parts.append(
            f'<rect class="cell {kind}" x="{left + j * cell + 1}" y="{left + i * cell + 1}" width="{cell - 2}" '
            f'height="{cell - 2}" rx="3"><title>{escape(said)}</title></rect>'
        )
    for name, i in place.items():
        middle = left + (i + 0.5) * cell
        parts.append(f'<text class="row" x="{left - 6}" y="{middle + 4:.0f}">{escape(_short(name))}</text>')
        parts.append(
            f'<text class="column" transform="translate({middle + 4:.0f} {left - 6}) rotate(-90)">{escape(_short(name))}</text>'
        )
    whole = left + cell * len(names) + 4
    note = '<p class="note">Sources stand in rows, targets in columns.</p>'
    more = "" if len(names) == len(sizes) or len(names) < CELLS else f"<p>The first {CELLS} of {len(sizes):,} populations.</p>"
    return (f'<svg class="graph" viewBox="0 0 {whole} {whole}" role="img" aria-label="Sources (rows) and targets (columns)" '
            f'style="max-width:{min(whole * 1.3, 900):.0f}px">{"".join(parts)}</svg>{note}{more}')  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= 16 else text[:15] + "…"
