"""The host functions that programs call."""

from typing import Any

__all__ = ["ROWS", "add", "ask", "echo_data", "echo_text", "find_rows", "look_up"]

ROWS: list[dict[str, Any]] = [
    {"id": number, "name": f"customer {number}", "score": number / 7, "active": number % 3 == 0}
    for number in range(10_000)
]
_PRICES = {"apples": 3, "pears": 4, "plums": 6}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def ask(question: str) -> int:
    """Ask a person, who is not there: whoever goes on with the program answers."""
    raise RuntimeError(f"nobody answers {question}")


def echo_text(text: str) -> str:
    """Return the text."""
    return text


def echo_data(data: bytes) -> bytes:
    """Return the data."""
    return data


def find_rows() -> list[dict[str, Any]]:
    """Return ten thousand rows."""
    return ROWS


def look_up(name: str) -> dict[str, Any]:
    """Return what is known of a fruit.

    Args:
        name: The fruit's name.
    """
    return {"name": name, "price": _PRICES[name], "stock": 10 * len(name)}
