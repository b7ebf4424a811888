"""Synapse models: how the effect of a spike unfolds in time. The variables live on the target, so projections share them."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.synapses import alpha, delta, dual_expon, expon, gap_junction, nmda, transmitter
from snnrun.quantities import AnyQuantity, Drawable, Frozen

Synapse = Annotated[
    delta.Spec | expon.Spec | alpha.Spec | dual_expon.Spec | transmitter.Ampa | transmitter.Gabaa | nmda.Spec | gap_junction.Spec,
    Field(discriminator="model"),
]


class Init(Frozen):
    """What the synapses of a projection hold at t = 0. Projections that share a variable add theirs."""

    x: Drawable[AnyQuantity] | None = None
    """What acts on each target, in the unit of the weight: of expon, alpha and dual_expon. Of nmda, a number for each source:
    what opens its gate."""
    y: Drawable[AnyQuantity] | None = None
    """What makes x rise, in the unit of the weight per ms: of alpha and dual_expon."""
    s: Drawable[AnyQuantity] | None = None
    """Part of the receptors that each source holds open: of ampa, gabaa and nmda. Before t = 0 it is 0."""
    pulse: Drawable[AnyQuantity] | None = None
    """Steps for which the pulse of transmitter of each source still lasts: of ampa and gabaa."""


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
