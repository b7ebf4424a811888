"""The receptor variable is a current: I = x (pA)."""

from typing import Literal

from snnrun.neurons.drive import Rule
from snnrun.quantities import Frozen


class Spec(Frozen):
    """Current-based: the weight is a current."""

    model: Literal["cuba"] = "cuba"


DRAWN: dict[str, str] = {}
RULES: tuple[Rule, ...] = ()
WEIGHT = "current"
