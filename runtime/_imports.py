"""Imports on demand: a package's public names when they are first used, and the packages that extras install.

The package imports this module at once, so it imports nothing itself that takes time.
"""

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["installed_version", "later", "lazy_names", "need"]


def lazy_names(
    package: str, homes: "Mapping[str, tuple[str, ...]]"
) -> "tuple[Callable[[str], Any], Callable[[], list[str]]]":
    """Return ``__getattr__`` and ``__dir__`` for a package whose names are imported when they are first used.

    ``homes`` are its modules, within the package or by their full names, each with the names that come from it.
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> "Any":
        """Import a public name from its module and keep it. Raises AttributeError for any other name."""
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = modules[name]
        value = getattr(import_module(module if module.startswith("cloche.") else f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        """Return the public names, imported or not."""
        return sorted({*vars(sys.modules[package]), *modules})

    return get, names


class _Later:
    """Stands for a module, which is imported when something of it is first used; what was used is kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "Any":
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


def later(name: str) -> "Any":
    """Return what stands for a module, which is imported when something of it is first used."""
    return _Later(name)


def installed_version() -> str:
    """Return the version of the installed package, ``"(not installed)"`` where it runs from its sources."""
    # Not at the top: the module takes 20 ms to import.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cloche")
    except PackageNotFoundError:
        return "(not installed)"


def need(module: str, extra: str, *, what: str = "this tool", field: str = "tools") -> "Any":
    """Import a module that an extra installs, for ``what``.

    Raises ConfigurationError, about ``field`` and saying what to install, where it is missing.
    """
    try:
        return import_module(module)
    except ImportError as error:
        from cloche.runtime.errors import ConfigurationError

        # The package may be missing at the bottom of what was asked for.
        package = (error.name or module).partition(".")[0]
        raise ConfigurationError(field, f"{what} needs {package}: pip install 'cloche[{extra}]'") from error
