"""Synapse models: how the effect of a spike unfolds in time. The variables live on the target, so projections share them."""

from types import ModuleType
from typing import Annotated

from pydantic import Field

from snnrun.synapses import alpha, delta, expon

Synapse = Annotated[delta.Spec | expon.Spec | alpha.Spec, Field(discriminator="model")]

MODELS: dict[str, ModuleType] = {"delta": delta, "expon": expon, "alpha": alpha}
