"""Arrays whose products are rounded before anything is added to them.

A compiler may turn a product and a sum into one operation that rounds once, and does so or not depending on what else is in the
program. `a * b + zero`, with a zero that it does not know, is the rounded product either way: see synapses/decay.py. Here that is
done for every product, and for what is divided by a constant, which a compiler makes a product of: the same equations give the
same bits in every program.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from snnrun.lazy import jnp


def plain(value: Any) -> Any:
    """The array itself."""
    return value.value if isinstance(value, Rounded) else value


class Rounded:
    """An array, and the zero that its products are rounded by."""

    __slots__ = ("value", "zero")
    __array_ufunc__ = None  # of NumPy's numbers, which leave it to the operators here

    def __init__(self, value: Any, zero: Any) -> None:
        self.value, self.zero = plain(value), zero

    def _with(self, value: Any) -> "Rounded":
        return Rounded(value, self.zero)

    def __add__(self, other: Any) -> "Rounded":
        return self._with(self.value + plain(other))

    def __radd__(self, other: Any) -> "Rounded":
        return self._with(plain(other) + self.value)

    def __sub__(self, other: Any) -> "Rounded":
        return self._with(self.value - plain(other))

    def __rsub__(self, other: Any) -> "Rounded":
        return self._with(plain(other) - self.value)

    def __mul__(self, other: Any) -> "Rounded":
        return self._with(self.value * plain(other) + self.zero)

    def __rmul__(self, other: Any) -> "Rounded":
        return self._with(plain(other) * self.value + self.zero)

    def __truediv__(self, other: Any) -> "Rounded":
        return self._with(self.value / plain(other) + self.zero)

    def __rtruediv__(self, other: Any) -> "Rounded":
        return self._with(plain(other) / self.value)

    def __neg__(self) -> "Rounded":
        return self._with(-self.value)

    def __abs__(self) -> "Rounded":
        return self._with(abs(self.value))

    def __ge__(self, other: Any) -> Any:
        return self.value >= plain(other)

    def __le__(self, other: Any) -> Any:
        return self.value <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.value > plain(other)

    def __lt__(self, other: Any) -> Any:
        return self.value < plain(other)


class Functions:
    """Those of jax.numpy, of such arrays."""

    def __init__(self, zero: Any) -> None:
        self.zero, self.single = zero, zero.dtype == np.float32

    def __getattr__(self, name: str) -> Callable[..., Rounded]:
        function = getattr(jnp, name)
        return lambda *parts: Rounded(function(*map(plain, parts)), self.zero)
