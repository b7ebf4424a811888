"""Which variables a run in float32 keeps in float64.

In a step of dt a variable of time constant tau changes by dt / tau of what is left of its way, and is rounded by up to 2**-24 of
itself. So in float32 a step may be wrong by 2**-24 tau / dt of what it is, and a variable stands still at that part of its way
before the end. What is slower than SLOWEST steps is therefore kept in float64; a membrane whose potentials lie further apart than
SPAN, from where it would stand still further from the end than one of that span.
"""

from typing import Any

import numpy as np

SLOWEST = 2**12  # steps; float32 is then right to 2**-12 of a step
SPAN = 16.0  # mV; of these, 2**-12 are 4 uV
SLOWEST_OF_ALL = 2**41  # steps; float64 is then right to 2**-12 of a step
LEAST, MOST = (float(bound) for bound in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))  # of float32, in absolute value


def of(run: str, tau: Any, dt: float) -> str:
    """Precision of a variable in a run, from its time constants in ms."""
    return "float64" if run == "float64" or np.max(tau) > SLOWEST * dt else "float32"
