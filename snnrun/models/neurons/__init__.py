"""Neuron models and sources: what a population can consist of."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.neurons import lif, poisson, spike_times

Population = Annotated[lif.Spec | poisson.Spec | spike_times.Spec, Field(discriminator="model")]

MODELS: dict[str, interface.Population] = {
    "lif": lif.MODEL,
    "poisson": poisson.MODEL,
    "spike_times": spike_times.MODEL,
}
