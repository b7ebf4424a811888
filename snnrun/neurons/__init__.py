"""Neuron models and sources: what a population can consist of."""

from types import ModuleType
from typing import Annotated

from pydantic import Field

from snnrun.neurons import lif, poisson, spike_times

Population = Annotated[lif.Spec | poisson.Spec | spike_times.Spec, Field(discriminator="model")]

MODELS: dict[str, ModuleType] = {"lif": lif, "poisson": poisson, "spike_times": spike_times}
SOURCES = {"poisson", "spike_times"}
