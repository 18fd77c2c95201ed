"""Stands in for IPython in the data image: what programs written for notebooks show, they show here too."""

from .display import display

__all__ = ["display", "get_ipython"]


def get_ipython() -> None:
    """Return None, as outside of a notebook."""
    return
