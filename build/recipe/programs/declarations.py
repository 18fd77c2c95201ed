"""Stands in for a package where others are compiled with its headers: it says where these are, and no more."""

from pathlib import Path


def get_include() -> str:
    """Return the folder of its headers."""
    return str(Path(__file__).parent / "_core" / "include")
