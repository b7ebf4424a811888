"""Decay of a receptor variable over a step, with a product that is always rounded before anything is added to it.

A compiler may turn `decay * x + arrivals` into one fused operation, which rounds once instead of twice, or leave it at two: that
depends on which loop it puts the product into, and so on all else that is in the program, and so would results in their last
bit. `decay * x + zero` is the rounded product in either way, and nothing is left to fuse with what is added to it. For this the
zero must not be known when the program is compiled: it is one of its arguments.
"""

from typing import Any


def decayed(decay: Any, x: Any, zero: Any) -> Any:
    """decay x."""
    return decay * x + zero
