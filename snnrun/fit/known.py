"""What the evaluations of a fit tell of its values: where they are best, and how well each is determined.

Near a place u_0 each term is taken to be linear, or quadratic where there are evaluations enough,

    z = (term - target) / tolerance = z_0 + J (u - u_0) + ...

by least squares over the evaluations around, weighted by exp(-|u - u_0|^2 / 2 h^2). The place where z_0 + J (u - u_0) is least
is the estimate, and the fit is made again around it. It averages over the noise of many runs, where the candidate with the lowest
loss is the one with the luckiest seeds, and a search that goes by losses ends on a noise of its own.

A direction in which all terms together change by less than one tolerance over a good part of the range is one that the objective
does not determine: along it, other values serve as well (Fisher's information J^T J, whose eigenvalues are the squares of these
changes).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.fit.block import Fit

WIDTHS = np.geomspace(0.02, 0.5, 14)  # h, in parts of the ranges; the least with evaluations enough around
ENOUGH, FEWEST = 12, 4  # evaluations for each number that is fitted: wanted, and needed of the widest h
LOOSE = 0.15  # of a range, over which all terms change by less than their tolerances
QUADRATIC = 6  # evaluations for each number, from which on terms are fitted by parabolas
_ROUNDS = 20


class Known(NamedTuple):
    """How well values are determined; in parts of their ranges."""

    enough: bool  # whether there were evaluations enough to tell
    estimate: tuple[float, ...] | None  # places; None where there were not
    error: dict[str, float]  # by path: standard error of the estimate, from the noise; infinite where it is not determined
    width: dict[str, float]  # by path: over how much of its range it may go while the others follow, within the tolerances
    loose: list[dict[str, float]]  # directions that are not determined: by path
    condition: float  # of the best determined direction to the worst; infinite where nothing determines that

    @property
    def ridge(self) -> bool:
        return bool(self.loose)


class _Linear(NamedTuple):
    """z = J (u - centre) + z_0 around a centre."""

    slope: NDArray[np.float64]  # J, [terms, values]
    constant: NDArray[np.float64]  # z_0
    error: NDArray[np.float64]  # of z_0: that of a mean over generations, whose candidates have their seeds in common


def known(fit: Fit, candidates: Sequence[Any], middle: Sequence[float]) -> Known:
    paths = [free.path for free in fit.free]
    kept = [c for c in candidates if not c.failed]
    places = np.array([c.places for c in kept]).reshape(-1, len(paths))
    terms = np.array([[(c.measured[t.name] - t.target) / t.tolerance for t in fit.terms] for c in kept]).reshape(
        -1, len(fit.terms)
    )
    generation = np.array([c.number // fit.population if fit.fresh else c.number for c in kept])
    centre, linear = np.array(middle, np.float64), None
    for _ in range(_ROUNDS):
        width = _width(places, centre)
        if width is None:
            return Known(False, None, {}, {}, [], math.nan)
        linear = _linear(places, terms, centre, width, generation)
        step = -np.linalg.lstsq(linear.slope, linear.constant, rcond=1e-6)[0]
        length = float(np.linalg.norm(step))
        centre = np.clip(centre + step * min(1.0, width / max(length, 1e-12)), 0.0, 1.0)
        if length < 1e-4:
            break
    assert linear is not None
    return _told(paths, linear, centre)


def _width(places: NDArray[np.float64], centre: NDArray[np.float64]) -> float | None:
    away, numbers = ((places - centre) ** 2).sum(axis=1), len(centre) + 1
    for width in WIDTHS:
        wanted = (ENOUGH if width < WIDTHS[-1] else FEWEST) * numbers
        if np.exp(-away / (2 * width**2)).sum() >= wanted:
            return float(width)
    return None


def _linear(
    places: NDArray[np.float64],
    terms: NDArray[np.float64],
    centre: NDArray[np.float64],
    width: float,
    generation: NDArray[np.int64],
) -> _Linear:
    away = places - centre
    count = away.shape[1]
    weight = np.exp(-(away**2).sum(axis=1) / (2 * width**2))
    root = np.sqrt(weight)[:, None]
    design = np.column_stack([np.ones(len(away)), away])
    first, second = np.triu_indices(count)
    if weight.sum() >= QUADRATIC * (1 + count + len(first)):
        design = np.column_stack([design, away[:, first] * away[:, second]])
    solved = np.linalg.lstsq(design * root, terms * root, rcond=None)[0]
    rest = terms - design @ solved
    inverse = np.linalg.pinv(design * root)[0] * root[:, 0]  # what each evaluation adds to z_0
    together = np.zeros((int(generation.max()) + 1, terms.shape[1]))
    np.add.at(together, generation, inverse[:, None] * rest)
    return _Linear(solved[1 : 1 + count].T, solved[0], np.sqrt((together**2).sum(axis=0)))


def _told(paths: list[str], linear: _Linear, centre: NDArray[np.float64]) -> Known:
    information = linear.slope.T @ linear.slope
    eigenvalues, directions = np.linalg.eigh(information)
    eigenvalues = np.where(eigenvalues < eigenvalues.max(initial=0.0) * 1e-12, 0.0, eigenvalues)
    with np.errstate(divide="ignore"):
        widths = np.minimum(1.0 / np.sqrt(eigenvalues), 1e6)
    each = np.sqrt((directions**2 * widths**2).sum(axis=1))
    inverse = np.linalg.pinv(linear.slope, rcond=1e-6)
    error = np.sqrt(((inverse * linear.error) ** 2).sum(axis=1))
    loose = [
        {path: float(part) for path, part in zip(paths, directions[:, i], strict=True) if abs(part) > 0.1}
        for i in range(len(paths))
        if widths[i] > LOOSE
    ]
    undetermined = {path for direction in loose for path in direction}
    error = np.where([path in undetermined for path in paths], math.inf, error)
    condition = float(widths.max() / widths.min()) if (eigenvalues > 0).all() else math.inf
    by_path = [dict(zip(paths, map(float, values), strict=True)) for values in (error, each)]
    return Known(True, tuple(map(float, centre)), by_path[0], by_path[1], loose, condition)
