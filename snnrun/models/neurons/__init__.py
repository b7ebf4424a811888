"""Neuron models and sources: what a population can consist of.

lif and the sources are written by hand; all others are described by equations, each in a file NAME.yaml of this folder.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from snnrun import document
from snnrun.models import interface
from snnrun.models.neurons import gamma, lif, poisson, regular, spike_times

if TYPE_CHECKING:
    from snnrun.models.described import Model

Population = Annotated[lif.Spec | poisson.Spec | spike_times.Spec | regular.Spec | gamma.Spec, Field(discriminator="model")]

WRITTEN: dict[str, interface.Population] = {
    "lif": lif.MODEL,
    "poisson": poisson.MODEL,
    "spike_times": spike_times.MODEL,
    "regular": regular.MODEL,
    "gamma": gamma.MODEL,
}
FOLDER = Path(__file__).parent


@cache
def descriptions() -> tuple[str, ...]:
    """The names of all models that are described in this folder; lif is, too."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def description(name: str) -> "Model":
    """A model of this folder."""
    from snnrun.models import described

    path = FOLDER / f"{name}.yaml"
    found = document.parse(document.Document(path.name, path.read_text("utf-8"), FOLDER))
    reading = described.read(name, found.tree.get(name), (name,))
    if reading.model is None:
        raise document.SpecError(reading.faults, found)
    return reading.model


class _Models(Mapping[str, interface.Population]):
    """All of them by name. A file is read when its model is first asked for."""

    def __getitem__(self, name: str) -> interface.Population:
        if name in WRITTEN:
            return WRITTEN[name]
        if name not in descriptions():
            raise KeyError(name)
        from snnrun.models.neurons import equations  # only a network that needs it pays for it

        return equations.of_model(description(name))

    def __iter__(self) -> Iterator[str]:
        yield from WRITTEN
        yield from (name for name in descriptions() if name not in WRITTEN)

    def __len__(self) -> int:
        return sum(1 for _ in self)


MODELS: Mapping[str, interface.Population] = _Models()


def of(population: Any) -> interface.Population:
    """The model of what a user wrote."""
    return getattr(type(population), "part", None) or MODELS[population.model]
