"""Libraries that not everybody installs: what is asked of one that is not there says how to get it."""

import importlib
import importlib.util
from typing import Any


class Missing(ImportError):
    """A library that is not installed, or cannot be loaded, and the command that mends it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}: {hint}")
        self.message, self.hint = message, hint


def there(library: str) -> bool:
    """Whether a library is installed."""
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):  # a folder or a stub of this name
        return False


def library(name: str, extra: str) -> Any:
    """A module of an optional library, which `pip install 'snnrun[extra]'` installs. Raises Missing."""
    first = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        command = f"pip install 'snnrun[{extra}]'"
        if isinstance(error, ModuleNotFoundError) and error.name == first:
            raise Missing(f"{first} is not installed", command) from None
        raise Missing(f"{first} cannot be loaded ({error})", command.replace("install", "install --upgrade")) from error
