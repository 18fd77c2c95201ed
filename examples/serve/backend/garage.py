"""The garage's tool."""

from cloche import tool

__all__ = ["parts"]


@tool
def parts(car: str) -> list[str]:
    """Return the parts that are there for a car."""
    return {"beetle": ["clutch", "wiper"]}.get(car, [])
