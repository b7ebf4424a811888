"""Outputs: how a receptor variable acts on the membrane."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.outputs import coba, cuba, mg_block

Output = Annotated[cuba.Spec | coba.Spec | mg_block.Spec, Field(discriminator="model")]

MODELS: dict[str, interface.Output] = {"cuba": cuba.MODEL, "coba": coba.MODEL, "mg_block": mg_block.MODEL}
USUAL = cuba.Spec()
"""That of a synapse whose output is not given."""
