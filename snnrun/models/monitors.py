"""Monitors: what is taken from a run, and how large it gets."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from snnrun import units
from snnrun.quantities import FewSteps, Name, Selection, Windowed


class _Spec(Windowed):
    of: Selection
    """Population, slice of one, or list of these."""


class SpikesSpec(_Spec):
    """Spike times with start < t <= stop."""

    model: Literal["spikes"]


class StateSpec(_Spec):
    """State variables at start + i every, before stop."""

    model: Literal["state"]
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of state variables: V, ref, or that of a receptor, like exc.x."""
    every: FewSteps | None = None
    """dt where it is not given."""


class RateSpec(_Spec):
    """Mean rate of the neurons in bins: spikes with start + i bin < t <= start + (i + 1) bin."""

    model: Literal["rate"]
    bin: FewSteps
    """Width of the bins."""


class InputSpec(_Spec):
    """Input through each receptor at start + i every, before stop: pA, or mV per step for delta synapses."""

    model: Literal["input"]
    receptors: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of projections or inputs whose currents are recorded; those of all receptors where it is not given."""
    every: FewSteps | None = None
    """dt where it is not given."""


class WeightsSpec(Windowed):
    """Weights of a plastic projection: those at the end of the run, and at start + i every, before stop, where every is given."""

    model: Literal["weights"]
    of: Name
    """The projection."""
    every: FewSteps | None = None
    """Only those at the end where it is not given."""
    synapses: Annotated[int, Field(ge=1, strict=True)] | None = None
    """How many synapses, evenly among all in the order of source, target and delay; all where it is not given."""


SampledSpec = StateSpec | InputSpec  # of what has a value at every instant

Monitor = Annotated[SpikesSpec | StateSpec | RateSpec | InputSpec | WeightsSpec, Field(discriminator="model")]

Sampled = tuple[str, str, str, int, str]  # label, unit, kind of a plan.Take, receptor or input (-1: the neuron's own), variable


class Kind:
    """What a monitor takes. One that is `spiking` takes spikes of its neurons, any other samples of variables."""

    spiking: ClassVar[bool] = False
    names: ClassVar[str] = ""  # the field that names what is sampled
    own: ClassVar[bool] = False  # whether these are variables, and not receptors
    plastic: ClassVar[bool] = False  # whether it is of a projection, whose weights it takes

    def bin(self, spec: Any) -> float | None:
        """Width of the bins in which spikes are counted; None where they are kept."""
        return None

    def sampled(
        self, spec: Any, own: Any, of_source: dict[str, int], known: dict[str, str], of_input: dict[str, int]
    ) -> Iterator[Sampled]:
        """What is sampled of a population with some receptors and with inputs that act by themselves; `known` are its variables
        and their units."""
        return iter(())

    def text(self, spec: Any, dt: float) -> str:
        labels = getattr(spec, self.names) or ("all receptors",)
        return f"{', '.join(labels)} every {units.show(spec.every or dt, 'time')}"

    def bytes_per_second(self, spec: Any, neurons: float, every: int, itemsize: int, dt: float) -> float:
        """What it writes per second of the network's time, of `every` receptors where none is named; spikes not counted."""
        return neurons * len(getattr(spec, self.names) or range(every)) * itemsize * 1e3 / (spec.every or dt)


class Spikes(Kind):
    spiking = True

    def text(self, spec: Any, dt: float) -> str:
        return "16 B per spike"

    def bytes_per_second(self, spec: Any, neurons: float, every: int, itemsize: int, dt: float) -> float:
        return 0.0


class Rate(Kind):
    spiking = True

    def bin(self, spec: Any) -> float | None:
        return spec.bin

    def text(self, spec: Any, dt: float) -> str:
        return f"bins of {units.show(spec.bin, 'time')}"

    def bytes_per_second(self, spec: Any, neurons: float, every: int, itemsize: int, dt: float) -> float:
        return 8 * 1e3 / spec.bin


class StateVariables(Kind):
    names, own = "variables", True

    def sampled(
        self, spec: Any, own: Any, of_source: dict[str, int], known: dict[str, str], of_input: dict[str, int]
    ) -> Iterator[Sampled]:
        for label in spec.variables:
            name, _, field = label.partition(".")
            if field.startswith("stp."):
                yield label, known[label], "release", name, field.removeprefix("stp.")
            elif field.startswith("gate."):
                yield label, known[label], "gate", name, field.removeprefix("gate.")
            elif field:
                yield label, known[label], "receptor", of_source[name], field
            else:
                yield label, known[label], "neuron", -1, label


class InputCurrent(Kind):
    names = "receptors"

    def sampled(
        self, spec: Any, own: Any, of_source: dict[str, int], known: dict[str, str], of_input: dict[str, int]
    ) -> Iterator[Sampled]:
        for i, receptor in own:
            names = [source.name for source in receptor.sources]
            labels = [receptor.name] if spec.receptors is None else [name for name in spec.receptors if name in names]
            for label in labels:
                yield label, "mV" if receptor.jumps else "pA", "input", i, "x"
        for label in spec.receptors or ():
            if label in of_input:
                yield label, "pA", "driving", of_input[label], ""


class Weights(Kind):
    plastic = True

    def text(self, spec: Any, dt: float) -> str:
        every = "at the end" if spec.every is None else f"every {units.show(spec.every, 'time')}"
        return f"weights of {'all' if spec.synapses is None else f'{spec.synapses:,}'} synapses {every}"

    def bytes_per_second(self, spec: Any, neurons: float, every: int, itemsize: int, dt: float) -> float:
        return 0.0 if spec.every is None else neurons * 8 * 1e3 / spec.every


MODELS: dict[str, Kind] = {
    "spikes": Spikes(),
    "state": StateVariables(),
    "rate": Rate(),
    "input": InputCurrent(),
    "weights": Weights(),
}
