"""The bakery's tools: three orders in a run at the most."""

from cloche import tool
from cloche.host_tools.policy import Policy

__all__ = ["order", "price"]

_PRICES = {"bread": 3.2, "roll": 0.6}


@tool
def price(item: str) -> float:
    """Return what one costs.

    Args:
        item: "bread" or "roll".
    """
    return _PRICES[item]


@tool
def order(item: str, count: int) -> str:
    """Order some.

    Args:
        item: What to order.
        count: How many.
    """
    return f"{count} of {item} for {count * _PRICES[item]:.2f}"


POLICIES = {"order": Policy(calls=3)}
