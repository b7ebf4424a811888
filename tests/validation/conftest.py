"""What the tests of this folder share."""

import pytest

from snnrun import kernels


@pytest.fixture(scope="session")
def fastest():
    """The kernel that a run chooses on a CPU: the native one, or XLA's where that was never built."""
    return kernels.choose().name
