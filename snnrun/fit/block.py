"""What a fit is: the block `fit:` of a network file.

fit:
  free:
    projections.exc.weight: {low: 0.05 uS, high: 5 uS, scale: log}     # start: the value in the file, unless it is given
    populations.I.tau: {equal: populations.E.tau}                      # goes with another one
  objective:
    rate: {model: rate, of: N, target: 21.5 Hz, tolerance: 1 Hz}
    irregular: {model: cv, of: N, target: {file: reference.h5}, tolerance: 0.02}
    alike: {model: distance, of: N, quantity: isi, data: {file: reference.h5}, tolerance: 0.05}
  seeds: 2
  limits: {rate: 200 Hz}
  search: {method: cma, evaluations: 400}
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import statistics, units
from snnrun.document import Document, Fault, Key, SpecError, nearest
from snnrun.results import ResultsError

SECTION = "fit"
METHODS = ("cma", "random", "grid")
QUANTITIES = ("rate", *statistics.DISTRIBUTIONS)
MODELS = (*(m.name.replace(" ", "_") for m in statistics.MEASURES), "distance", "van_rossum", "spectrum")
_SEARCH = {"method": "cma", "evaluations": 400, "population": None, "sigma": 0.15, "stop": None, "seed": 1, "points": 10}


class Free(NamedTuple):
    """A value that is looked for, between bounds; a place in them is a number from 0 to 1."""

    path: str
    low: float  # internal units
    high: float
    dimension: str
    log: bool
    start: float  # place
    tied: tuple[str, ...] = ()  # paths that have the same value

    def value(self, place: float) -> float:
        place = min(max(place, 0.0), 1.0)
        return self.low * (self.high / self.low) ** place if self.log else self.low + (self.high - self.low) * place

    def place(self, value: float) -> float:
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def slope(self, place: float) -> float:
        """How fast the value goes with the place."""
        return abs(self.value(place) * math.log(self.high / self.low)) if self.log else self.high - self.low

    def text(self, place: float) -> str:
        """As it stands in a network file, to nine digits."""
        number = f"{self.value(place):.9g}"
        return f"{number} {units.usual(self.dimension)}" if self.dimension != "number" else number


class Term(NamedTuple):
    """A part of the objective: ((value - target) / tolerance)^2."""

    name: str
    model: str
    population: str
    target: float
    tolerance: float
    quantity: str = ""  # of a distance
    reference: Any = None  # of a distance: a sample; of trains: spike times of each neuron
    tau: float = 0.0  # ms, of van_rossum
    band: tuple[float, float] = (0.0, 0.0)  # Hz, of a spectrum

    def of(self, trains: statistics.Trains) -> float:
        """The value; 0 where there is none, like the CV of silent neurons."""
        value = self._value(trains)
        return value if math.isfinite(value) else 0.0

    def _value(self, trains: statistics.Trains) -> float:
        if self.model == "distance":
            sample = sample_of(self.quantity, trains)
            return statistics.distance(sample, self.reference) if len(sample) else 1.0
        if self.model == "van_rossum":
            own = times_of(trains)
            return float(np.mean([statistics.van_rossum(a, b, self.tau) for a, b in zip(own, self.reference, strict=False)]))
        if self.model == "spectrum":
            frequency, power = statistics.spectrum(trains)
            inside = (frequency >= self.band[0]) & (frequency <= self.band[1])
            return float(power[inside].mean()) if inside.any() else math.nan
        return next(m.of(trains) for m in statistics.MEASURES if m.name.replace(" ", "_") == self.model)


def sample_of(quantity: str, trains: statistics.Trains) -> NDArray[np.float64]:
    return statistics.rates(trains) if quantity == "rate" else statistics.DISTRIBUTIONS[quantity].of(trains)


def times_of(trains: statistics.Trains) -> list[NDArray[np.float64]]:
    """The spike times of each neuron."""
    return np.split(trains.times, np.searchsorted(trains.neurons, np.arange(1, trains.size)))


class Fit(NamedTuple):
    free: tuple[Free, ...]
    terms: tuple[Term, ...]
    seeds: tuple[int, ...]
    fresh: bool  # whether each generation has seeds of its own
    most: float  # Hz, above which a run is stopped
    method: str
    evaluations: int  # runs, at most
    population: int  # candidates of a generation
    sigma: float  # of the range of each value, at first
    stop: float | None  # loss at which the search ends
    seed: int  # of the search
    points: int  # of a grid, along each value

    def seeds_of(self, generation: int) -> tuple[int, ...]:
        """Those of a generation: all of its candidates have the same."""
        return tuple(seed + generation * len(self.seeds) for seed in self.seeds) if self.fresh else self.seeds

    def values(self, places: Any) -> dict[str, str]:
        """What is replaced in the network file."""
        found = {}
        for free, place in zip(self.free, places, strict=True):
            found |= dict.fromkeys((free.path, *free.tied), free.text(float(place)))
        return found


def read(document: Document, tree: Any, seed: int, populations: tuple[str, ...], trains_of: Any) -> Fit:
    """The fit of a document, of which `tree` is the network with all else replaced; `trains_of(file)` gives the spikes of a
    results file by population. Raises SpecError with every mistake at its place."""
    reading = _Reading(tree, populations, trains_of)
    raw = document.tree.get(SECTION) if isinstance(document.tree, dict) else None
    found = reading.fit(raw, seed)
    if reading.faults or found is None:
        raise SpecError(reading.faults, document)
    return found


class _Reading:
    def __init__(self, tree: Any, populations: tuple[str, ...], trains_of: Any) -> None:
        self.tree, self.populations, self.trains_of = tree, populations, trains_of
        self.faults: list[Fault] = []

    def fault(self, path: Key, message: str, hint: str = "", at_key: bool = False) -> None:
        self.faults.append(Fault((SECTION, *path), message, hint, at_key=at_key))

    def fit(self, raw: Any, seed: int) -> Fit | None:
        if not isinstance(raw, dict):
            self.faults.append(Fault((), "there is no fit in the network file", "add a block fit: with free: and objective:"))
            return None
        self.known((), raw, ("free", "objective", "seeds", "fresh", "limits", "search"))
        free, terms = self.free(raw.get("free")), self.terms(raw.get("objective"))
        search = {**_SEARCH, **self.mapping(("search",), raw.get("search", {}), _SEARCH)}
        if search["method"] not in METHODS:
            self.fault(("search", "method"), f"unknown method {search['method']!r}", nearest(str(search["method"]), METHODS))
        for name, least in (("evaluations", 1), ("population", 2), ("seed", 1), ("points", 2)):
            if not (name == "population" and search[name] is None) and not _whole(search[name], least):
                self.fault(("search", name), f"a whole number of at least {least} is wanted")
        for name in ("sigma", "stop"):
            if not (name == "stop" and search[name] is None) and not (_number(search[name]) and search[name] > 0):
                self.fault(("search", name), "a number above 0 is wanted")
        limits = self.mapping(("limits",), raw.get("limits", {}), ("rate",))
        most = self.quantity(("limits", "rate"), limits["rate"], "rate") if "rate" in limits else math.inf
        seeds = self.seeds(raw.get("seeds", 1), seed)
        fresh = raw.get("fresh", not isinstance(raw.get("seeds"), list))
        if not isinstance(fresh, bool):
            self.fault(("fresh",), "true or false is wanted here")
        if self.faults:
            return None
        population = search["population"] or 4 + int(3 * math.log(len(free))) + 2
        most = math.inf if most is None else most * 1e3
        return Fit(tuple(free), tuple(terms), seeds, fresh, most, search["method"], search["evaluations"],
                   population, search["sigma"], search["stop"], search["seed"], search["points"])  # fmt: skip

    def known(self, path: Key, raw: Mapping[str, Any], names: Any) -> None:
        for key in raw:
            if key not in names:
                self.fault((*path, key), "unknown key", nearest(str(key), names), at_key=True)

    def mapping(self, path: Key, raw: Any, names: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            self.fault(path, "a mapping is wanted here")
            return {}
        self.known(path, raw, names)
        return raw

    def seeds(self, raw: Any, first: int) -> tuple[int, ...]:
        if _whole(raw, 1):
            return tuple(range(first, first + raw))
        if isinstance(raw, list) and raw and all(_whole(one, 0) for one in raw) and len(set(raw)) == len(raw):
            return tuple(raw)
        self.fault(("seeds",), "a number of seeds, or a list of different ones, is wanted here", "like 2, or [1, 2]")
        return ()

    def quantity(self, path: Key, raw: Any, dimension: str) -> float | None:
        try:
            return units.read(raw, dimension)
        except units.UnitError as error:
            self.fault(path, error.message, error.hint)
            return None

    # ---- values that are looked for ----------------------------------------------------------------------------------

    def free(self, raw: Any) -> list[Free]:
        if not isinstance(raw, dict) or not raw:
            self.fault(("free",) if raw is not None else (), "a mapping of paths is wanted under free:",
                       "like {projections.exc.weight: {low: 0.1 mV, high: 1 mV}}")  # fmt: skip
            return []
        tied: dict[str, list[str]] = {}
        for path, given in raw.items():
            if isinstance(given, dict) and "equal" in given:
                self.known(("free", path), given, ("equal",))
                if given["equal"] not in raw or "equal" in (raw[given["equal"]] or {}):
                    self.fault(("free", path, "equal"), f"{given['equal']!r} is not free", nearest(str(given["equal"]), raw))
                tied.setdefault(str(given["equal"]), []).append(path)
        found = [self.one(path, given) for path, given in raw.items() if not (isinstance(given, dict) and "equal" in given)]
        return [free._replace(tied=tuple(tied.get(free.path, ()))) for free in found if free is not None]

    def one(self, path: str, given: Any) -> Free | None:
        where: Key = ("free", path)
        if not isinstance(given, dict) or not {"low", "high"} <= given.keys():
            self.fault(where, "bounds are wanted here", "like {low: 0.1 mV, high: 1 mV, scale: log}")
            return None
        self.known(where, given, ("low", "high", "scale", "start"))
        least, most = (self.any_quantity((*where, name), given[name]) for name in ("low", "high"))
        scale = given.get("scale", "linear")
        if scale not in ("linear", "log"):
            self.fault((*where, "scale"), f"unknown scale {scale!r}", "linear or log")
        if least is None or most is None:
            return None
        (low, dimension), (high, other) = least, most
        if dimension != other:
            self.fault((*where, "high"), f"low is {units.article(dimension)}, and high is {units.article(other)}")
        elif not low < high:
            self.fault((*where, "low"), "low must lie below high")
        elif scale == "log" and not low * high > 0:
            self.fault((*where, "scale"), "a logarithmic scale has no 0 and no change of sign", "write scale: linear")
        else:
            free = Free(path, low, high, dimension, scale == "log", 0.5)
            begin = self.start(where, path, given, dimension)
            if begin is not None and not low <= begin <= high:
                at = (*where, "start") if "start" in given else where
                self.fault(at, "the search begins outside of its bounds", "write start: ..., within them")
            return None if begin is None else free._replace(start=free.place(begin))
        return None

    def any_quantity(self, path: Key, raw: Any) -> tuple[float, str] | None:
        try:
            return units.parse(raw) if isinstance(raw, str) else (float(raw), "number")
        except (units.UnitError, TypeError, ValueError):
            self.fault(path, "a number, or one with its unit, is wanted here")
            return None

    def start(self, where: Key, path: str, given: Mapping[str, Any], dimension: str) -> float | None:
        raw = given["start"] if "start" in given else _at(self.tree, path)
        found = None
        if raw is not None and not isinstance(raw, dict | list | bool):
            try:
                found = units.parse(raw) if isinstance(raw, str) else (float(raw), "number")
            except units.UnitError:
                found = None
        if found is None or found[1] != dimension:
            at = (*where, "start") if "start" in given else where
            self.fault(at, f"{'start' if 'start' in given else 'the value in the file'} is not {units.article(dimension)}",
                       f"write start: {given['low']}" if "start" not in given else units.written_in(dimension))  # fmt: skip
            return None
        return found[0]

    # ---- the objective -----------------------------------------------------------------------------------------------

    def terms(self, raw: Any) -> list[Term]:
        if not isinstance(raw, dict) or not raw:
            self.fault(("objective",) if raw is not None else (), "a mapping of terms is wanted under objective:",
                       "like {rate: {model: rate, of: E, target: 5 Hz, tolerance: 0.5 Hz}}")  # fmt: skip
            return []
        return [term for name, given in raw.items() if (term := self.term(str(name), given)) is not None]

    def term(self, name: str, given: Any) -> Term | None:
        where: Key = ("objective", name)
        if not isinstance(given, dict) or "model" not in given:
            self.fault(where, "model is missing", f"one of {', '.join(MODELS)}", at_key=True)
            return None
        model, before = given["model"], len(self.faults)
        if model not in MODELS:
            self.fault((*where, "model"), f"unknown model {model!r}", nearest(str(model), MODELS))
            return None
        more = {"distance": ("quantity", "data"), "van_rossum": ("tau", "data"), "spectrum": ("band", "target")}.get(
            model, ("target",)
        )
        self.known(where, given, ("model", "of", "tolerance", *more))
        for key in ("of", "tolerance", *(one for one in more if one != "target" or model not in ("distance", "van_rossum"))):
            if key not in given:
                self.fault(where, f"{key} is missing", f"add {key}: ...", at_key=True)
        if given.get("of") not in (None, *self.populations):
            self.fault((*where, "of"), f"no spikes are recorded of {given['of']!r}", nearest(str(given["of"]), self.populations))
        if len(self.faults) > before:
            return None
        rates = model in ("rate", "spread_of_rates")
        tolerance = self.measure((*where, "tolerance"), given["tolerance"], rates)
        if tolerance is not None and not tolerance > 0:
            self.fault((*where, "tolerance"), "a tolerance lies above 0")
        term = Term(name, model, given["of"], 0.0, tolerance or 1.0)
        if "band" in more:
            term = term._replace(band=self.band((*where, "band"), given["band"]))
        if model == "distance":
            if given["quantity"] not in QUANTITIES:
                self.fault(
                    (*where, "quantity"), f"unknown quantity {given['quantity']!r}", nearest(str(given["quantity"]), QUANTITIES)
                )
                return None
            trains = self.data((*where, "data"), given["data"], given["of"])
            if trains is not None:
                term = term._replace(quantity=given["quantity"], reference=sample_of(given["quantity"], trains))
        elif model == "van_rossum":
            tau = self.quantity((*where, "tau"), given["tau"], "time")
            if tau is not None and not tau > 0:
                self.fault((*where, "tau"), "tau must be positive")
            trains = self.data((*where, "data"), given["data"], given["of"])
            term = term._replace(tau=tau or 1.0, reference=None if trains is None else times_of(trains))
        elif isinstance(given["target"], dict):
            trains = self.data((*where, "target"), given["target"], given["of"])
            term = term._replace(target=math.nan if trains is None else term.of(trains))
        else:
            term = term._replace(target=self.measure((*where, "target"), given["target"], rates) or 0.0)
        return term if len(self.faults) == before else None

    def measure(self, path: Key, raw: Any, rate: bool) -> float | None:
        """A number, or a rate in Hz."""
        if rate:
            found = self.quantity(path, raw, "rate")
            return None if found is None else found * 1e3
        return self.quantity(path, raw, "number")

    def band(self, path: Key, raw: Any) -> tuple[float, float]:
        if isinstance(raw, list) and len(raw) == 2:
            low, high = (self.quantity((*path, i), one, "rate") for i, one in enumerate(raw))
            if low is not None and high is not None:
                if low < high:
                    return low * 1e3, high * 1e3
                self.fault(path, "the first frequency lies below the second")
            return 0.0, 0.0
        self.fault(path, "two frequencies are wanted here", "like [20 Hz, 80 Hz]")
        return 0.0, 0.0

    def data(self, path: Key, raw: Any, population: str) -> statistics.Trains | None:
        if not isinstance(raw, dict) or set(raw) != {"file"} or not isinstance(raw["file"], str):
            self.fault(path, "a results file is wanted here", "write {file: reference.h5}")
            return None
        try:
            found = self.trains_of(raw["file"])
        except (ResultsError, OSError) as error:
            self.fault((*path, "file"), str(error))
            return None
        if population not in found:
            self.fault(
                (*path, "file"), f"{raw['file']} has no spikes of {population}", f"it has those of {', '.join(found) or 'none'}"
            )
            return None
        return found[population]


def _at(tree: Any, path: str) -> Any:
    from snnrun.document import path_of

    for part in path_of(path):
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and str(part).isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return None
    return tree


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
