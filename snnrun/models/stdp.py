"""Plasticity of weights that depends on the times of spikes, of whole projections.

Traces r of the source and o of the target are raised by 1 at each spike (`nearest`: set to 1) and decay. With y = (w - w_min) /
(w_max - w_min), and A standing for A / (w_max - w_min),

    pair, nearest   a spike of the target:  y <- y + A_plus (1 - y)^mu_plus r1
                    a spike of the source:  y <- y - A_minus y^mu_minus o1
    power           a spike of the target:  y <- y + A_plus y^mu_plus r1                 Morrison et al., Neural Comput. 19, 2007
                    a spike of the source:  as pair
    triplet         a spike of the target:  y <- y + r1 (A2_plus + A3_plus o2)        Pfister & Gerstner, J. Neurosci. 26, 2006
                    a spike of the source:  y <- y - o1 (A2_minus + A3_minus r2)
    song2000        pair with mu = 0                                              Song, Miller & Abbott, Nat. Neurosci. 3, 2000
    vogels2011      a spike of the target:  y <- y + eta r1                       Vogels et al., Science 334, 2011
                    a spike of the source:  y <- y + eta (o1 - 2 rate tau)

always within 0 ... 1; r and o are those just before the spike. With `delay: dendrite` the delay of a synapse lies behind it: it
sees a spike of its source at once, and one of its target after the delay, as NEST has it. With `delay: axon` it is the other way
round, as Brian2 and BrainPy have it. A spike carries the weight that it leaves behind.

`pair` is NEST's stdp_synapse with A_plus = lambda W_max, A_minus = alpha lambda W_max and w_min = 0 (Guetig et al., J. Neurosci.
23, 2003). `power` with mu_minus = 1 and w_min = 0 is its stdp_pl_synapse_hom, as long as no weight comes to w_max, with A_plus =
lambda W_0^(1 - mu) w_max^mu and A_minus = alpha lambda w_max, where W_0 is 1 pA there.
"""

from abc import abstractmethod
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from snnrun.models.interface import Part, Rule
from snnrun.quantities import Frozen, Number, Rate, Time, WeightQuantity, plain


class _Plastic(Frozen):
    w_min: WeightQuantity | None = None
    """The lowest weight; 0 where it is not given."""
    w_max: WeightQuantity
    """The highest weight."""


class _Paired(_Plastic):
    model: Any  # which says what pairs
    A_plus: WeightQuantity
    """What a spike of the target adds, per trace of the source."""
    A_minus: WeightQuantity
    """What a spike of the source takes, per trace of the target."""
    tau_plus: Time
    """Time constant of the source's trace."""
    tau_minus: Time
    """Time constant of the target's trace."""
    mu_plus: Number = 0.0
    """How potentiation depends on the weight: as (1 - y)**mu_plus."""
    mu_minus: Number = 0.0
    """How depression depends on the weight: as y**mu_minus."""
    delay: Literal["dendrite", "axon"] = "dendrite"
    """Where the delay is."""


class Pair(_Paired):
    """All pairs of spikes, with weight dependence."""

    model: Literal["pair"] = "pair"


class Nearest(_Paired):
    """Each spike is paired with the last one of the other side, with weight dependence."""

    model: Literal["nearest"]


class Power(_Paired):
    """All pairs of spikes; potentiation grows with the weight, by a power law."""

    model: Literal["power"]
    mu_plus: Number = 0.4
    """How potentiation depends on the weight: as y**mu_plus."""
    mu_minus: Number = 1.0
    """How depression depends on the weight: as y**mu_minus."""


class Triplet(_Plastic):
    """Triplets of spikes."""

    model: Literal["triplet"]
    A2_plus: WeightQuantity
    """What a spike of the target adds, per fast trace of the source."""
    A3_plus: WeightQuantity
    """The same, per slow trace of the target as well."""
    A2_minus: WeightQuantity
    """What a spike of the source takes, per fast trace of the target."""
    A3_minus: WeightQuantity
    """The same, per slow trace of the source as well."""
    tau_plus: Time = 16.8
    """Time constant of the source's fast trace."""
    tau_x: Time = 101.0
    """Time constant of the source's slow trace."""
    tau_minus: Time = 33.7
    """Time constant of the target's fast trace."""
    tau_y: Time = 125.0
    """Time constant of the target's slow trace."""
    delay: Literal["dendrite", "axon"] = "dendrite"
    """Where the delay is."""


class Song2000(_Plastic):
    """All pairs of spikes, without weight dependence; the names are BrainPy's."""

    model: Literal["song2000"]
    A1: WeightQuantity
    """What a spike of the target adds, per trace of the source."""
    A2: WeightQuantity
    """What a spike of the source takes, per trace of the target."""
    tau_s: Time = 16.8
    """Time constant of the source's trace."""
    tau_t: Time = 33.7
    """Time constant of the target's trace."""
    delay: Literal["dendrite", "axon"] = "axon"
    """Where the delay is."""


class Vogels2011(_Plastic):
    """Homeostasis by inhibition: keeps targets near a rate."""

    model: Literal["vogels2011"]
    eta: WeightQuantity
    """What a spike of either side adds, per trace of the other one."""
    rate: Rate
    """The rate of targets at which weights stand still."""
    tau: Time = 20.0
    """Time constant of both traces."""
    delay: Literal["dendrite", "axon"] = "axon"
    """Where the delay is."""


Stdp = Annotated[Pair | Nearest | Power | Triplet | Song2000 | Vogels2011, Field(discriminator="model")]
USUAL = "pair"
WEIGHTS = ("w_min", "w_max", "A_plus", "A_minus", "A2_plus", "A3_plus", "A2_minus", "A3_minus", "A1", "A2", "eta")
"""Fields that are measured as the weight is."""


class Coefficients(NamedTuple):
    """The common form: see native/plastic.hpp."""

    source_tau: tuple[float, ...]  # ms, of one or two traces
    target_tau: tuple[float, ...]
    nearest: bool
    grows: bool
    axonal: bool
    up: float
    mu_up: float
    up_pair: float
    up_triplet: float
    down: float
    mu_down: float
    down_pair: float
    down_triplet: float
    down_always: float
    least: float  # in internal units
    range: float


def bounds(spec: Any) -> tuple[float, float]:
    """Lowest and highest weight."""
    return 0.0 if spec.w_min is None else plain(spec.w_min), plain(spec.w_max)


FINE = 4096  # as in native/plastic.hpp


def fading(tau: float, dt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """exp(-n dt / tau) as the product of fine[n % FINE] and coarse[n // FINE], as far as it is not 0."""
    count = min(int(750.0 * tau / dt) // FINE + 2, 2**24)
    return np.exp(-np.arange(FINE) * (dt / tau)), np.exp(-np.arange(count) * (FINE * (dt / tau)))


class _Rule(Part):
    @abstractmethod
    def part(self, spec: Any) -> dict[str, Any]:
        """What it says of the common form; amounts relative to the range of weights."""

    def coefficients(self, spec: Any) -> Coefficients:
        least, most = bounds(spec)
        known: dict[str, Any] = dict(nearest=False, grows=False, mu_up=0.0, up_pair=1.0, up_triplet=0.0, mu_down=0.0,
                                     down_pair=1.0, down_triplet=0.0, down_always=0.0)  # fmt: skip
        known |= self.part(spec) | {"axonal": spec.delay == "axon", "least": least, "range": most - least}
        return Coefficients(**known)

    def _relative(self, spec: Any, name: str) -> float:
        least, most = bounds(spec)
        return plain(getattr(spec, name)) / (most - least)


def _positive(*names: str) -> tuple[Rule, ...]:
    return tuple(Rule((name,), lambda value: value > 0, f"{name} must be positive") for name in names)


class _Pair(_Rule):
    Spec = Pair
    checked = "NEST's stdp_synapse: every weight sent to 1e-11; a reference that goes event by event, to 1e-11"
    nearest = False
    grows = False
    rules = (
        *_positive("tau_plus", "tau_minus"),
        Rule(("mu_plus",), lambda mu: mu >= 0, "mu_plus must not be negative"),
        Rule(("mu_minus",), lambda mu: mu >= 0, "mu_minus must not be negative"),
    )

    def part(self, spec: _Paired) -> dict[str, Any]:
        return dict(source_tau=(spec.tau_plus,), target_tau=(spec.tau_minus,), nearest=self.nearest, grows=self.grows,
                    up=self._relative(spec, "A_plus"), mu_up=spec.mu_plus, down=self._relative(spec, "A_minus"),
                    mu_down=spec.mu_minus)  # fmt: skip


class _Nearest(_Pair):
    Spec = Nearest
    checked = "NEST's stdp_nn_symm_synapse: every weight sent to 1e-11; a reference that goes event by event, to 1e-11"
    nearest = True


class _Power(_Pair):
    Spec = Power
    checked = "a reference that goes event by event, to 1e-11"
    grows = True


class _Triplet(_Rule):
    Spec = Triplet
    checked = "NEST's stdp_triplet_synapse: every weight sent to 1e-11; a reference that goes event by event, to 1e-11"
    rules = _positive("tau_plus", "tau_minus", "tau_x", "tau_y")

    def part(self, spec: Triplet) -> dict[str, Any]:
        return dict(source_tau=(spec.tau_plus, spec.tau_x), target_tau=(spec.tau_minus, spec.tau_y), up=1.0,
                    up_pair=self._relative(spec, "A2_plus"), up_triplet=self._relative(spec, "A3_plus"), down=1.0,
                    down_pair=self._relative(spec, "A2_minus"), down_triplet=self._relative(spec, "A3_minus"))  # fmt: skip


class _Song(_Rule):
    Spec = Song2000
    checked = "a reference that goes event by event, to 1e-11"
    rules = _positive("tau_s", "tau_t")

    def part(self, spec: Song2000) -> dict[str, Any]:
        return dict(source_tau=(spec.tau_s,), target_tau=(spec.tau_t,), up=self._relative(spec, "A1"),
                    down=self._relative(spec, "A2"))  # fmt: skip


class _Vogels(_Rule):
    Spec = Vogels2011
    checked = "NEST's vogels_sprekeler_synapse: every weight sent to 1e-11; a reference that goes event by event, to 1e-11"
    rules = (*_positive("tau"), Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"))

    def part(self, spec: Vogels2011) -> dict[str, Any]:
        eta = self._relative(spec, "eta")
        return dict(source_tau=(spec.tau,), target_tau=(spec.tau,), up=eta, down=eta, down_pair=-1.0,
                    down_always=2 * spec.rate * spec.tau)  # fmt: skip


MODELS: dict[str, _Rule] = {
    "pair": _Pair(),
    "nearest": _Nearest(),
    "power": _Power(),
    "triplet": _Triplet(),
    "song2000": _Song(),
    "vogels2011": _Vogels(),
}
