"""Tests run as the program does: 64-bit types on, and every dtype explicit."""

from pathlib import Path

import jax
import pytest
from hypothesis import settings

from snnrun import engine, kernels

settings.register_profile("thorough", max_examples=4000, deadline=None)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", jax.config.jax_platforms or "cpu")


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    return request.param


@pytest.fixture(scope="session")
def native():
    """The native kernel. Only where it was never built its tests are left out: one that was built must be fit for use."""
    from snnrun.kernels import native

    if not any((Path(folder) / native.LIBRARY).exists() for folder in kernels.__path__):
        pytest.skip("the native kernel was not built")
    return native


@pytest.fixture(params=["xla", "native"])
def kernel(request):
    """The name of each kernel that delivers spikes."""
    if request.param == "native":
        request.getfixturevalue("native")
    return request.param


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Compiled programs are kept for the session, and not among those of the user."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        yield folder


@pytest.fixture(scope="module", autouse=True)
def programs():
    """What a file of tests has compiled goes with it: each program takes some of the maps that the system grants a process."""
    yield
    engine.compiled.cache_clear()
    jax.clear_caches()
