"""Results in a notebook: `results = snnrun.open_results("results.h5")`.

A layer over `results.Results` of what one looks for by name: what is there is completed by Tab and told by an error. It keeps
no data: what is asked for is read.
"""

import html
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from snnrun import statistics
from snnrun.results import Rate, Results, ResultsError, Samples, Series, Train, Weights
from snnrun.terminal import several, visible
from snnrun.units import show_time

_Value = TypeVar("_Value")


class NoSuchName(ResultsError, KeyError):
    """A name that results do not have."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class Named(Mapping[str, _Value], Generic[_Value]):
    """Things by name, as items or as attributes: `populations["E"]` or `populations.E`. The names are looked for when the first
    of them is wanted, and each thing is made when it is asked for."""

    def __init__(self, kind: str, find: Callable[[], dict[str, Callable[[], _Value]]]) -> None:
        self._kind, self._find = kind, find

    @cached_property
    def _makers(self) -> dict[str, Callable[[], _Value]]:
        return self._find()

    def __getitem__(self, name: str) -> _Value:
        if name not in self._makers:
            raise NoSuchName(self._unknown(name))
        return self._makers[name]()

    def __getattr__(self, name: str) -> _Value:
        if name.startswith("_"):  # names of the file begin with a letter
            raise AttributeError(name)
        if name not in self._makers:
            raise AttributeError(self._unknown(name))
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in self._makers if name.isidentifier())})

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._makers)

    def __repr__(self) -> str:
        return f"<{self._kind}: {visible(', '.join(self._makers)) or 'none'}>"

    def _unknown(self, name: Any) -> str:
        if not self._makers:
            return f"there is no {self._kind} {name!r}: the run has recorded none"
        return f"there is no {self._kind} {name!r}; {_near(name, self._makers)}there are: {', '.join(self._makers)}"


class Population:
    """What is known of one population, and what was recorded of it.

    `traces` are recorded variables, and currents through receptors, by name: `times` (ms), `values` [times, neurons].
    """

    def __init__(self, results: Results, name: str, size: int, model: str) -> None:
        self._results = results
        self.name, self.size, self.model = name, size, model
        self.traces: Named[Series] = Named(f"recorded variable of population {name}", lambda: {
            variable: partial(_series, samples) for variable, samples in self._samples().items()
        })  # fmt: skip

    @property
    def parameters(self) -> dict[str, Any]:
        """What the network file says of it."""
        return dict(self._results.resolved["populations"][self.name])

    @property
    def spikes(self) -> Train:
        """All its recorded spikes: `times` (ms), `neurons`; of the first monitor that has them. Raises ResultsError."""
        return _spikes_of(self._results)[self.name]

    @property
    def mean_rate(self) -> float:
        """Hz per recorded neuron; reads no spike. Raises ResultsError."""
        counts = self._results.spike_counts()
        if self.name not in counts:
            raise NoSuchName(_spikes_of(self._results)._unknown(self.name))
        return counts[self.name].rate

    @property
    def rate(self) -> Rate:
        """The rate over time: `times` (ms), `values` (Hz), of the first rate monitor of the population. Raises ResultsError."""
        return _rates_of(self._results)[self.name]

    def trace(self, variable: str, t0: float = 0.0, t1: float = math.inf) -> Series:
        """The frames of one variable with t0 <= t <= t1, in ms; only these are read. Raises ResultsError."""
        known = self._samples()
        if variable not in known:
            raise NoSuchName(self.traces._unknown(variable))
        return _series(known[variable], t0, t1)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where its neurons are, in um: [neurons, dimensions]. Raises ResultsError."""
        return self._results.positions(self.name)

    def statistics(self, t0: float = 0.0, t1: float = math.inf) -> dict[str, float]:
        """Rate, irregularity, correlation and more of its spikes with t0 < t <= t1, in ms. Raises ResultsError."""
        if self.name not in self._results.spike_counts():
            raise NoSuchName(_spikes_of(self._results)._unknown(self.name))
        return statistics.measure(self._results.measured(self.name, t0, t1))

    def _samples(self) -> dict[str, Samples]:
        found: dict[str, Samples] = {}
        for monitor, model in self._results.monitors.items():
            if model in ("state", "input"):
                for (population, variable), samples in self._results.samples(monitor).items():
                    if population == self.name:
                        found.setdefault(variable, samples)
        return found

    def __repr__(self) -> str:
        facts = [several(self.size, "neuron"), self.model]
        counts = self._results.spike_counts()
        if self.name in counts:
            facts.append(f"{counts[self.name].spikes:,} spikes, {counts[self.name].rate:.4g} Hz")
        if variables := list(self._samples()):
            facts.append(f"traces of {', '.join(variables)}")
        return visible(f"<Population {self.name}: {'; '.join(facts)}>")


class OpenResults:
    """A results file, open: what it has, by name. It shows itself in a notebook.

    `populations` by name; `spikes` and `rates` by population, of the first monitor that has them; `weights` by projection; and
    `monitors`: what each recorded, by population (of weights: by projection), and states and inputs by variable below it.
    """

    def __init__(self, results: Results) -> None:
        self.file = results
        # attributes and no properties, so that Tab knows what is in them
        self.populations: Named[Population] = Named("population", partial(_populations, results))
        self.monitors: Named[Named[Any]] = Named("monitor", partial(_monitors, results))
        self.spikes: Named[Train] = _spikes_of(results)
        self.rates: Named[Rate] = _rates_of(results)
        self.weights: Named[Weights] = Named("projection with recorded weights", partial(_weights, results))

    # ---- what was run --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def complete(self) -> bool:
        """Whether the run has ended as planned."""
        return self.file.complete

    @property
    def duration(self) -> float:
        """Planned time in ms."""
        return self.file.duration

    @property
    def reached(self) -> float:
        """Simulated time in ms."""
        return self.file.reached

    @property
    def dt(self) -> float:
        """Step in ms."""
        return self.file.dt

    @property
    def yaml(self) -> str:
        """Text of the network file."""
        return self.file.yaml

    @property
    def network(self) -> dict[str, Any]:
        """The network file as it was run, with overrides."""
        return self.file.resolved

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, device, seed, timings."""
        return self.file.provenance

    @property
    def timings(self) -> dict[str, float]:
        """Seconds that the parts of the run took."""
        known = self.provenance.items()
        return {key.removeprefix("seconds_"): value for key, value in known if key.startswith("seconds_")}

    # ---- what was recorded ---------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """A population, or a monitor."""
        populations, monitors = self.populations, self.monitors
        if name in populations:
            return populations[name]
        if name in monitors:
            return monitors[name]
        raise NoSuchName(
            f"there is no population or monitor {name!r}; {_near(name, [*populations, *monitors])}"
            f"populations: {', '.join(populations)}; monitors: {', '.join(monitors) or 'none'}"
        )

    def _ipython_key_completions_(self) -> list[str]:
        return list(dict.fromkeys([*self.populations, *self.monitors]))

    # ---- what is made of it --------------------------------------------------------------------------------------

    def plot(self, kind: str = "summary", populations: Any = (), t0: float | None = None, t1: float | None = None,
             neurons: tuple[int, int] | None = None, variables: Any = (), bin: float | None = None, width: str = "screen",
             height: str | None = None, dark: bool = False) -> Any:  # fmt: skip
        """A picture, as a matplotlib Figure; kinds and options are those of `snnrun plot`, times in ms. Raises PlotError."""
        from snnrun import plot

        if kind not in plot.KINDS:
            *others, last = plot.KINDS
            raise plot.PlotError(f"there is no picture {kind!r}; use {', '.join(others)} or {last}")
        style = plot.Style(
            plot.inches_of("width", width), None if height is None else plot.inches_of("height", height), dark=dark
        )  # fmt: skip
        view = plot.View(self.file, _names(populations), t0, t1, neurons, bin, variables=_names(variables))
        figure = plot.draw(kind, view, style)
        vars(figure)["_repr_png_"] = partial(_png, figure)  # a notebook shows it whether or not it has set up matplotlib
        return figure

    def to_neo(self, monitors: Any = (), populations: Any = (), t0: float = 0.0, t1: float = math.inf) -> Any:
        """All of it, or a part, as a Neo Block, for Elephant. Raises Missing where Neo is not installed, Refused."""
        from snnrun import archives

        return archives.to_neo(self.file, archives.Wanted(_names(monitors), _names(populations), t0, t1))

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> "OpenResults":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- how it shows itself -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        try:
            lines = [self._title()]
            for title, head, rows in self._tables():
                cells = [head, *rows]
                widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
                lines += ["", title]
                lines += [
                    "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
                ]
            return "\n".join(map(visible, lines))
        except ResultsError as error:
            return visible(f"<OpenResults: {error}>")

    def _repr_html_(self) -> str:
        """Tables without colours of their own, for light and dark pages alike."""
        try:
            title, tables = self._title(), self._tables()
        except ResultsError as error:
            return f"<p>{_escaped(str(error))}</p>"
        parts = [f"<p><b>{_escaped(title)}</b></p>"]
        for caption, head, rows in tables:
            heads = "".join(f'<th style="text-align:left;{_CELL}">{_escaped(text)}</th>' for text in head)
            body = "".join(
                "<tr>" + "".join(f'<td style="text-align:{_side(text)};{_CELL}">{_escaped(text)}</td>' for text in row) + "</tr>"
                for row in rows
            )
            parts.append(
                f'<table style="border-collapse:collapse;color:inherit;background:none;margin:0 0 1em 0">'
                f'<caption style="text-align:left;color:inherit;opacity:0.7">{_escaped(caption)}</caption>'
                f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
            )
        return f'<div style="color:inherit">{"".join(parts)}</div>'

    def _title(self) -> str:
        whole = (
            show_time(self.duration) if self.complete else f"{show_time(self.reached)} of {show_time(self.duration)}, incomplete"
        )
        return f"{self.name}: {whole}, in steps of {self.dt:g} ms"

    def _tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Populations and monitors: a caption, heads of columns, rows."""
        counts = self.file.spike_counts()
        populations = [
            [
                name,
                f"{size:,}",
                model,
                *([f"{counts[name].spikes:,}", f"{counts[name].rate:.4g}"] if name in counts else ["-", "-"]),
            ]
            for name, (size, model) in self.file.populations.items()
        ]
        found = [("populations", ["name", "neurons", "model", "spikes", "rate (Hz)"], populations)]
        recorded = {name: list(self._recorded(name, model)) for name, model in self.file.monitors.items()}
        if recorded:
            rows = [[name, self.file.monitors[name], ", ".join(of) or "-"] for name, of in recorded.items()]
            found.append(("monitors", ["name", "model", "recorded"], rows))
        return found

    def _recorded(self, monitor: str, model: str) -> Iterator[str]:
        if model == "spikes":
            yield from self.file.stored_spikes(monitor)
        elif model in ("state", "input"):
            for (population, variable), samples in self.file.samples(monitor).items():
                yield f"{variable} of {len(samples.neurons):,} {population}"
        elif model == "rate":
            for population, rate in self.file.rates(monitor).items():
                yield f"{population} every {rate.bin:g} ms"
        elif model == "weights":
            of = self.file.stored_weights(monitor)
            yield f"{len(of.pre):,} synapses of {of.projection}"


def open_results(path: Path | str) -> OpenResults:
    """A results file of snnrun, finished or not, for a notebook. Raises ResultsError.

    Of a run that goes on one sees what there was when the file was opened: open it again to see more.
    """
    return OpenResults(Results(Path(path).expanduser()))


_CELL = "padding:0.15em 0.8em;border:none;border-bottom:1px solid rgba(128,128,128,0.4);color:inherit;background:none"


def _near(name: Any, there: Iterable[str]) -> str:
    text = str(name)
    near = [one for one in there if one.casefold() == text.casefold()] or get_close_matches(text, list(there), 1)
    return f"did you mean {near[0]!r}? " if near else ""


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _side(text: str) -> str:
    """Numbers stand at the right."""
    return "right" if re.fullmatch(r"[0-9.,e+-]+|nan|-", text) else "left"


def _names(given: Any) -> tuple[str, ...]:
    """One name, or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def _png(figure: Any) -> bytes:
    import io

    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def _populations(results: Results) -> dict[str, Callable[[], Population]]:
    return {name: partial(Population, results, name, size, model) for name, (size, model) in results.populations.items()}


def _first(results: Results, read: Callable[[str], dict[str, Any]], model: str) -> dict[str, str]:
    """The first monitor of some model that has recorded each population."""
    found: dict[str, str] = {}
    for monitor, own in results.monitors.items():
        if own == model:
            for population in read(monitor):
                found.setdefault(population, monitor)
    return found


def _one(read: Callable[[str], dict[str, _Value]], monitor: str, population: str) -> _Value:
    return read(monitor)[population]


def _spikes_of(results: Results) -> Named[Train]:
    return Named("population with recorded spikes", lambda: {
        population: partial(_one, results.spikes, monitor, population)
        for population, monitor in _first(results, results.stored_spikes, "spikes").items()
    })  # fmt: skip


def _rates_of(results: Results) -> Named[Rate]:
    return Named("population with a recorded rate", lambda: {
        population: partial(_one, results.rates, monitor, population)
        for population, monitor in _first(results, results.rates, "rate").items()
    })  # fmt: skip


def _weights(results: Results) -> dict[str, Callable[[], Weights]]:
    found: dict[str, Callable[[], Weights]] = {}
    for monitor, model in results.monitors.items():
        if model == "weights":
            found.setdefault(results.stored_weights(monitor).projection, partial(results.weights, monitor))
    return found


def _monitors(results: Results) -> dict[str, Callable[[], Named[Any]]]:
    return {
        name: partial(Named, f"{'projection' if model == 'weights' else 'population'} of monitor {name}",
                      partial(_recorded, results, name, model))
        for name, model in results.monitors.items()
    }  # fmt: skip


def _recorded(results: Results, monitor: str, model: str) -> dict[str, Callable[[], Any]]:
    """What one monitor has recorded."""
    if model == "spikes":
        return {population: partial(_one, results.spikes, monitor, population) for population in results.stored_spikes(monitor)}
    if model == "rate":
        return {population: partial(_one, results.rates, monitor, population) for population in results.rates(monitor)}
    if model == "weights":
        return {results.stored_weights(monitor).projection: partial(results.weights, monitor)}
    by: dict[str, dict[str, Callable[[], Series]]] = {}
    for (population, variable), samples in results.samples(monitor).items():
        by.setdefault(population, {})[variable] = partial(_series, samples)
    kind = f"variable of monitor {monitor}"
    return {population: partial(Named, kind, partial(dict, makers)) for population, makers in by.items()}


def _series(samples: Samples, t0: float = 0.0, t1: float = math.inf) -> Series:
    """The frames from t0 to t1, in ms, read."""
    every = samples.times(slice(None))
    slack = 1e-6 * samples.step
    frames = slice(int(np.searchsorted(every, t0 - slack)), int(np.searchsorted(every, t1 + slack, side="right")))
    return Series(every[frames], samples.data[frames], samples.neurons, samples.unit)
