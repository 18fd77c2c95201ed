"""The versions of what is installed."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["cloche_version", "package_version"]


def cloche_version() -> str:
    """Return this package's version, or ``"(not installed)"`` when it runs from its sources."""
    return package_version("cloche")


def package_version(name: str) -> str:
    """Return an installed distribution's version, or ``"(not installed)"``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"
