"""Synapse models: how the effect of a spike unfolds in time. The variables live on the target, so projections share them."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.synapses import alpha, delta, dual_expon, expon, gap_junction, nmda, transmitter

Synapse = Annotated[
    delta.Spec | expon.Spec | alpha.Spec | dual_expon.Spec | transmitter.Ampa | transmitter.Gabaa | nmda.Spec | gap_junction.Spec,
    Field(discriminator="model"),
]

SIMPLEST = {"model": "delta"}
MODELS: dict[str, interface.Synapse] = {
    "delta": delta.MODEL,
    "expon": expon.MODEL,
    "alpha": alpha.MODEL,
    "dual_expon": dual_expon.MODEL,
    "ampa": transmitter.AMPA,
    "gabaa": transmitter.GABAA,
    "nmda": nmda.MODEL,
    "gap_junction": gap_junction.MODEL,
}
