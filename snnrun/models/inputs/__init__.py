"""Inputs: currents and noise from outside of the network."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.inputs import constant, poisson, steps

Input = Annotated[constant.Spec | steps.Spec | poisson.Spec, Field(discriminator="model")]

MODELS: dict[str, interface.Input] = {"constant": constant.MODEL, "steps": steps.MODEL, "poisson": poisson.MODEL}
