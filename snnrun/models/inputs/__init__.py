"""Inputs: currents, conductances and noise from outside of the network."""

from typing import Annotated, Any

from pydantic import Field

from snnrun.models import interface
from snnrun.models.inputs import constant, ou_noise, poisson, pulses, ramp, sine, steps, waveform, white_noise

Input = Annotated[
    constant.Spec
    | steps.Spec
    | ramp.Spec
    | sine.Spec
    | pulses.Spec
    | waveform.Spec
    | white_noise.Spec
    | ou_noise.Spec
    | poisson.Spec,
    Field(discriminator="model"),
]

MODELS: dict[str, interface.Input] = {
    "constant": constant.MODEL,
    "steps": steps.MODEL,
    "ramp": ramp.MODEL,
    "sine": sine.MODEL,
    "pulses": pulses.MODEL,
    "waveform": waveform.MODEL,
    "white_noise": white_noise.MODEL,
    "ou_noise": ou_noise.MODEL,
    "poisson": poisson.MODEL,
}


def held(entry: Any) -> interface.Current:
    """The model of an input that is held over a step."""
    model = MODELS[entry.model]
    assert isinstance(model, interface.Current)  # any other has a synapse
    return model
