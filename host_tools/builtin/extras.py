"""Packages that only some built-in tools need."""

import importlib
from types import ModuleType

from cloche.runtime.errors import ConfigurationError

__all__ = ["need"]


def need(module: str, extra: str) -> ModuleType:
    """Import a module of an extra. Raises ConfigurationError, saying what to install, where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The package may be missing at the bottom of what was asked for.
        package = (error.name or module).partition(".")[0]
        raise ConfigurationError("tools", f"this tool needs {package}: pip install 'cloche[{extra}]'") from error
