"""Outputs: how a receptor variable acts on the membrane."""

from typing import Annotated

from pydantic import Field

from snnrun.models import interface
from snnrun.models.outputs import coba, cuba

Output = Annotated[cuba.Spec | coba.Spec, Field(discriminator="model")]

MODELS: dict[str, interface.Output] = {"cuba": cuba.MODEL, "coba": coba.MODEL}
USUAL = cuba.Spec()
"""That of a synapse whose output is not given."""
