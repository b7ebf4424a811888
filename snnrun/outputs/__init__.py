"""Outputs: how a receptor variable acts on the membrane."""

from types import ModuleType
from typing import Annotated

from pydantic import Field

from snnrun.outputs import coba, cuba

Output = Annotated[cuba.Spec | coba.Spec, Field(discriminator="model")]

MODELS: dict[str, ModuleType] = {"cuba": cuba, "coba": coba}
