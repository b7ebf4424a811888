"""Mean-field theory: what rate a lif neuron has under noise, and the network of Brunel that drives itself.

    1 / nu = tau_ref + tau sqrt(pi)  integral of exp(x**2) (1 + erf x) dx  from (V_reset - mu) / sigma to (V_th - mu) / sigma

(Siegert 1951; Brunel, J. Comput. Neurosci. 8, 2000), for tau dV/dt = -V + mu + sigma sqrt(tau) times white noise. In steps of dt
the threshold is tested on a grid only, so paths slip over it between two points: it acts like one that lies higher by
0.5826 standard deviations of what the noise adds in a step (-zeta(1/2) / sqrt(2 pi); Chernoff, Ann. Math. Stat. 36, 1965;
Broadie, Glasserman & Kou, Math. Finance 7, 1997). And what arrives within a step acts at its end, undiminished, so that mean and
variance of V are larger by (dt / tau) / (1 - exp(-dt / tau)) and (2 dt / tau) / (1 - exp(-2 dt / tau)). The first correction is
of the order sqrt(dt), the second of the order dt.
"""

import functools
import math
from typing import Any, NamedTuple

import networks
import numpy as np
from references import describe

from snnrun import lower, network

SLIP = 0.5825971579390106  # -zeta(1/2) / sqrt(2 pi)
TAU, TAU_REF, V_TH = 20.0, 2.0, 20.0  # ms, ms, mV; V_rest is 0
J, C_E, C_I = 0.1, 1000, 250  # mV, in-degrees


def siegert(mu: float, sigma: float, V_reset: float, V_th: float = V_TH, tau: float = TAU, tau_ref: float = TAU_REF) -> float:
    """Mean rate in kHz; mu, sigma and the potentials in mV, relative to V_rest."""
    low, high = (V_reset - mu) / sigma, (V_th - mu) / sigma
    nodes, weights = _nodes()
    x = low + (high - low) * (nodes + 1) / 2
    values = [math.exp(v * v) * math.erfc(-v) if v > -26 else -1 / (v * math.sqrt(math.pi)) for v in x]
    return 1.0 / (tau_ref + tau * math.sqrt(math.pi) * (high - low) / 2 * float(np.dot(weights, values)))


@functools.cache
def _nodes() -> tuple[Any, Any]:
    """Points and weights of Gauss and Legendre."""
    return np.polynomial.legendre.leggauss(200)


def on_a_grid(mu: float, sigma: float, V_reset: float, dt: float) -> float:
    """The same where the threshold is tested, and noise arrives, every dt only."""
    slip = SLIP * sigma * math.sqrt(dt / TAU)
    if dt:
        mu *= -(dt / TAU) / math.expm1(-dt / TAU)
        sigma *= math.sqrt(-(2 * dt / TAU) / math.expm1(-2 * dt / TAU))
    return siegert(mu, sigma, V_reset, V_TH + slip)


def brunel(g: float, external: float, V_reset: float, dt: float = 0.0) -> float:
    """Rate in kHz at which Brunel's network sustains itself, with an external rate in kHz per neuron."""

    def excess(nu: float) -> float:
        excitation, inhibition = C_E * nu + external, C_I * nu
        mu = TAU * J * (excitation - g * inhibition)
        sigma = math.sqrt(TAU * J * J * (excitation + g * g * inhibition))
        return on_a_grid(mu, sigma, V_reset, dt) - nu

    low, high = 1e-4, 1.0 / TAU_REF
    for _ in range(60):  # there is one crossing between these two, in each of the four regimes
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


ASYNCHRONOUS = "brunel_c"  # the regime for which the theory is made


class Driven(NamedTuple):
    """Independent neurons under Poisson noise of both signs."""

    dt: float  # ms
    rate: float  # Hz, measured
    error: float  # standard error of that
    grid: float  # Hz, of the theory with steps
    limit: float  # Hz, of the theory without steps


MU, SIGMA, V_RESET, PSP = 15.0, 4.0, 10.0, 0.1  # mV


def driven_text(dt: float, span: float, size: int) -> str:
    """A network file: neurons under excitation and inhibition by Poisson trains, so many that they act like white noise."""
    both, net = SIGMA**2 / (TAU * PSP**2), MU / (TAU * PSP)  # sum and difference of the two rates in kHz
    noise = "model: poisson, to: N, synapse: {model: delta}"
    return f"""\
dt: {dt} ms
duration: {span} ms
populations:
  N:
    {{size: {size}, model: lif, tau: {TAU} ms, tau_ref: {TAU_REF} ms, C: 250 pF,
     V_rest: 0 mV, V_reset: {V_RESET} mV, V_th: {V_TH} mV, init: {{V: {{uniform: {{low: 0 mV, high: 20 mV}}}}}}}}
inputs:
  exc: {{{noise}, rate: {(both + net) / 2} kHz, weight: {PSP} mV}}
  inh: {{{noise}, rate: {(both - net) / 2} kHz, weight: {-PSP} mV}}
monitors:
  spikes: {{model: spikes, of: N}}
"""


def driven(folder: Any, dt: float, span: float, size: int, kernel: str) -> Driven:
    """Measure the rate after 200 ms of a run of `span` ms."""
    file = folder / "driven.yaml"
    file.write_text(driven_text(dt, span, size))
    recorded = networks.run_plan(lower.lower(network.build(describe.load(file), folder), kernel=kernel))
    step, neuron = np.array(recorded.spikes["N"]).T
    rates = np.bincount(neuron[step * dt > 200.0], minlength=size) / (span - 200.0) * 1e3
    theory = (on_a_grid(MU, SIGMA, V_RESET, dt), siegert(MU, SIGMA, V_RESET))
    return Driven(dt, float(rates.mean()), float(rates.std() / math.sqrt(size)), theory[0] * 1e3, theory[1] * 1e3)
