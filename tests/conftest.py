"""Tests run as the program does: 64-bit types on, and every dtype explicit."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", jax.config.jax_platforms or "cpu")


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    return request.param
