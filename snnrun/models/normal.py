"""Standard normal numbers from random words, inside a step.

The highest bit of a word gives the sign, the others a tail probability q in (0, 1/2): x = sqrt(2) erfc^-1(2 q). In float32 by the
polynomials of M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2012), which take 4 q (1 - q), so that the tails
keep their precision.
"""

import math
from typing import Any

from snnrun.lazy import jnp, lax

_NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
         0.246640727, 1.50140941)  # fmt: skip
_FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
        1.00167406, 2.83297682)  # fmt: skip


def of_words(words: Any, dtype: Any, zero: Any) -> Any:
    """One number for each 32-bit word, between -6.4 and 6.4; the zero is that of models/rounded.py."""
    sign = jnp.where(words >> 31 == 1, 1.0, -1.0).astype(dtype)
    q = ((words & jnp.uint32(0x7FFFFFFF)).astype(dtype) + 0.5) * 2.0**-32
    x = 1.0 - 2.0 * q
    if dtype == jnp.float64:
        return sign * (math.sqrt(2.0) * lax.erf_inv(x) + zero)
    w = -jnp.log((4.0 * q) * (1.0 - q) + zero)
    near, far = w - 2.5, jnp.sqrt(w) - 3.0
    y = jnp.where(w < 5.0, _polynomial(_NEAR, near, zero), _polynomial(_FAR, far, zero))
    return sign * (math.sqrt(2.0) * (x * y + zero) + zero)


def _polynomial(coefficients: tuple[float, ...], x: Any, zero: Any) -> Any:
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = c + (total * x + zero)
    return total
