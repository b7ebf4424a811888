"""Modules that are imported at their first use.

A model's file holds both what a user may write and what a step computes; checking a file must not pay for loading JAX.
"""

import importlib
from typing import Any


class Lazy:
    """Stands for a module and imports it when an attribute is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


jax = Lazy("jax")
jnp = Lazy("jax.numpy")
lax = Lazy("jax.lax")
ffi = Lazy("jax.ffi")
