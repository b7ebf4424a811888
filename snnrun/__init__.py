"""snnrun: spiking neural networks from one YAML file, on JAX.

In a notebook: `snnrun.open_results("results.h5")`, and `snnrun.load("net.yaml").simulate()`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnrun.notebook import open_results
    from snnrun.results import ResultsError
    from snnrun.session import NetworkError, load

__version__ = "0.2.0"
__all__ = ["NetworkError", "ResultsError", "__version__", "load", "open_results"]

_FROM = {  # imported when they are first asked for
    "open_results": "snnrun.notebook",
    "ResultsError": "snnrun.results",
    "load": "snnrun.session",
    "NetworkError": "snnrun.session",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_FROM[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
