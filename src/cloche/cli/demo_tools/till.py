"""Prices, and payments that somebody has to allow."""

from cloche.host_tools import tool

__all__ = ["pay", "price"]

_PRICES = {"tea": 3, "kettle": 40, "cup": 8}


@tool
def price(item: str) -> int:
    """Return an item's price."""
    return _PRICES[item]


@tool(approval=True)
def pay(amount: int, to: str) -> str:
    """Pay somebody."""
    return f"paid {amount} to {to}"
