"""Inputs: currents and noise from outside of the network."""

from types import ModuleType
from typing import Annotated

from pydantic import Field

from snnrun.inputs import constant, poisson, steps

Input = Annotated[constant.Spec | steps.Spec | poisson.Spec, Field(discriminator="model")]

MODELS: dict[str, ModuleType] = {"constant": constant, "steps": steps, "poisson": poisson}
