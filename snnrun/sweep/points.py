"""Which values a sweep takes: from a block of the network file and from options to a list of points.

    sweep:
      grid: {populations.E.tau: [10 ms, 20 ms], projections.inh.weight: {low: 1 nS, high: 9 nS, points: 5, scale: log}}
      zip: {inputs.a.rate: [1 kHz, 2 kHz], inputs.b.rate: [2 kHz, 4 kHz]}      # these go together
      list: [{populations.I.size: 500}, {populations.I.size: 1000}]           # point by point
      random: {projections.exc.weight: {low: 0.1 nS, high: 1 nS, scale: log}}   # drawn, `samples` of them
      samples: 20
      seeds: 5                                                                # of each point; or a list of them

Paths are those that --set takes, and values what may stand there. What is given of grid, zip, list and random is combined in all
ways, the last one running fastest, and each combination with all seeds. A point is a number, and so are its values: they do
not depend on who works on it, nor on which others there are after it.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from snnrun import random, units
from snnrun.document import Document, Fault, Key, Override, SpecError, nearest, path_of, text_of
from snnrun.quantities import Law

SECTION = "sweep"
MOST = 1_000_000  # points
_KEYS = ("grid", "zip", "list", "random", "samples", "seeds")


class Point(NamedTuple):
    number: int
    values: dict[str, str]  # by path, as they would stand behind --set
    seed: int

    def overrides(self) -> list[Override]:
        """What is replaced in the network file."""
        texts = [*self.values.items(), ("seed", str(self.seed))]
        return [
            Override(path_of(path), text, f"point {self.number}, value {i}", f"{path}={text}")
            for i, (path, text) in enumerate(texts, 1)
        ]


class Sweep(NamedTuple):
    """All points, without making them."""

    blocks: tuple[tuple[dict[str, str], ...], ...]  # each a list of values that are taken together
    seeds: tuple[int, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for block in self.blocks for values in block for path in values))

    def __len__(self) -> int:
        return math.prod(map(len, self.blocks)) * len(self.seeds)

    def points(self) -> Iterable[Point]:
        number = 0
        for chosen in itertools.product(*self.blocks):
            values = {path: text for one in chosen for path, text in one.items()}
            for seed in self.seeds:
                yield Point(number, values, seed)
                number += 1


def sweep(document: Document, block: Any, grid: Mapping[str, Any], seeds: Any, seed: int) -> Sweep:
    """The sweep of a block (None where there is none) and of options, which replace what the block says of the same path; `seed`
    is that of the network file. Raises SpecError."""
    faults: list[Fault] = []
    block = _mapping(block, (SECTION,), faults) if block is not None else {}
    for key in block:
        if key not in _KEYS:
            faults.append(Fault((SECTION, key), "unknown key", nearest(str(key), _KEYS), at_key=True))
    blocks: list[tuple[dict[str, str], ...]] = []
    of_grid = _mapping(block.get("grid", {}), (SECTION, "grid"), faults)
    axes = {path: _values(values, (SECTION, "grid", path), faults) for path, values in of_grid.items() if path not in grid}
    axes |= {path: _values(values, (), faults) for path, values in grid.items()}
    order = [*of_grid, *(path for path in grid if path not in of_grid)]
    blocks += [tuple({path: text} for text in axes[path]) for path in order]
    together = _mapping(block.get("zip", {}), (SECTION, "zip"), faults)
    zipped = {path: _values(values, (SECTION, "zip", path), faults) for path, values in together.items()}
    if len({len(values) for values in zipped.values() if values}) > 1:
        counts = ", ".join(f"{path} has {len(values)}" for path, values in zipped.items())
        faults.append(Fault((SECTION, "zip"), f"values that go together are as many: {counts}", at_key=True))
    elif zipped:
        blocks.append(tuple(dict(zip(zipped, values, strict=True)) for values in zip(*zipped.values(), strict=False)))
    blocks += _listed(block.get("list"), faults)
    blocks += _drawn(block, seed, faults)
    found = Sweep(tuple(blocks), _seeds(block.get("seeds") if seeds is None else seeds, seed, (SECTION, "seeds"), faults))
    several = [path for path in found.paths if sum(any(path in one for one in of) for of in found.blocks) > 1]
    faults += [Fault((SECTION,), f"{path} is varied twice", "keep one of the two", at_key=True) for path in several]
    if not faults and len(found) > MOST:
        faults.append(Fault((SECTION,), f"these are {len(found):,} points", f"at most {MOST:,}", at_key=True))
    if not faults and not blocks and len(found.seeds) < 2:
        hint = "add --grid PATH=VALUE,VALUE, --seeds N, or a block sweep: in the network file"
        faults.append(Fault((), "nothing is varied", hint))
    if faults:
        raise SpecError(faults, document)
    return found


def _mapping(raw: Any, path: Key, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(raw, dict) and all(isinstance(key, str) for key in raw):
        return raw
    faults.append(Fault(path, "a mapping of paths is wanted here", "like {populations.E.tau: [10 ms, 20 ms]}"))
    return {}


def _values(raw: Any, path: Key, faults: list[Fault]) -> tuple[str, ...]:
    """Texts of a list of values, or of a range."""
    if isinstance(raw, dict) and {"low", "high", "points"} <= raw.keys() and raw.keys() <= {"low", "high", "points", "scale"}:
        points = raw["points"]
        if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST:
            faults.append(Fault((*path, "points"), "a whole number of points is wanted, at least 2"))
            return ()
        return _between(raw, np.arange(points) / (points - 1), path, faults)
    if not isinstance(raw, list | tuple) or not raw:
        hint = "write [10 ms, 20 ms], or {low: 10 ms, high: 20 ms, points: 5}"
        faults.append(Fault(path, "a list of values is wanted here", hint))
        return ()
    return tuple(map(text_of, raw))


def _between(raw: Mapping[str, Any], parts: Any, path: Key, faults: list[Fault]) -> tuple[str, ...]:
    """Texts of values at parts of the way from low to high."""
    ends = []
    for name in ("low", "high"):
        try:
            ends.append(units.parse(raw[name]) if isinstance(raw[name], str) else (float(raw[name]), "number"))
        except (units.UnitError, TypeError, ValueError) as error:
            unitless = isinstance(error, units.UnitError) and error.message == "a unit is missing"
            if unitless:
                ends.append((float(raw[name]), "number"))
                continue
            faults.append(Fault((*path, name), "a number, or one with its unit, is wanted here"))
    if len(ends) < 2:
        return ()
    (low, dimension), (high, other) = ends
    scale = raw.get("scale", "linear")
    if dimension != other:
        faults.append(Fault((*path, "high"), f"low is {units.article(dimension)}, and high is {units.article(other)}"))
    elif scale not in ("linear", "log"):
        faults.append(Fault((*path, "scale"), f"unknown scale {scale!r}", "linear or log"))
    elif not low < high:
        faults.append(Fault((*path, "low"), "low must lie below high"))
    elif scale == "log" and not low * high > 0:
        faults.append(Fault((*path, "scale"), "a logarithmic scale has no 0 and no change of sign", "write scale: linear"))
    else:
        values = low + (high - low) * parts if scale == "linear" else low * (high / low) ** parts
        unit = units.usual(dimension)
        return tuple(f"{units.number_text(float(value))} {unit}".strip() for value in np.atleast_1d(values))
    return ()


def _listed(raw: Any, faults: list[Fault]) -> list[tuple[dict[str, str], ...]]:
    if raw is None:
        return []
    if not isinstance(raw, list) or not raw or not all(isinstance(one, dict) and one for one in raw):
        faults.append(Fault((SECTION, "list"), "a list of points is wanted here", "like [{populations.E.tau: 10 ms}, ...]"))
        return []
    return [tuple({str(path): text_of(value) for path, value in one.items()} for one in raw)]


def _drawn(block: Mapping[str, Any], seed: int, faults: list[Fault]) -> list[tuple[dict[str, str], ...]]:
    """Values that are drawn evenly within bounds, each path by itself."""
    if "random" not in block:
        if "samples" in block:
            faults.append(Fault((SECTION, "samples"), "samples are of what is drawn, and nothing is", "add random: {...}"))
        return []
    samples = block.get("samples")
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST:
        faults.append(Fault((SECTION, *(("samples",) if "samples" in block else ("random",))), "samples is missing, or no number",
                            "add samples: 100"))  # fmt: skip
        return []
    law, columns = Law("uniform", 0.0, 1.0, None, None), {}
    for path, bounds in _mapping(block["random"], (SECTION, "random"), faults).items():
        where = (SECTION, "random", path)
        if not isinstance(bounds, dict) or not {"low", "high"} <= bounds.keys() <= {"low", "high", "scale"}:
            faults.append(Fault(where, "bounds are wanted here", "like {low: 1 nS, high: 9 nS, scale: log}"))
            continue
        parts = random.draw(random.key(seed, f"sweep/{path}"), law, np.arange(samples, dtype=np.uint64))
        columns[path] = _between(bounds, parts, where, faults)
    if not all(columns.values()):
        return []
    return [tuple(dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))]


def _seeds(raw: Any, first: int, path: Key, faults: list[Fault]) -> tuple[int, ...]:
    """Seeds of each combination: so many, from that of the network file on, or those of a list."""
    if raw is None:
        return (first,)
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MOST:
        return tuple(range(first, first + raw))
    if isinstance(raw, list | tuple) and raw and all(isinstance(one, int) and not isinstance(one, bool) for one in raw):
        if len(set(raw)) == len(raw):
            return tuple(raw)
        faults.append(Fault(path, "a seed stands here twice", "keep one"))
        return (first,)
    faults.append(Fault(path, "a number of seeds, or a list of them, is wanted here", "like 5, or [1, 2, 3]"))
    return (first,)
