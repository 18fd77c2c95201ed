"""Tools that compute."""

import math

from cloche.host_tools import tool

__all__ = ["convert", "factorial", "prime_checker"]


@tool(blocking=False)
def factorial(n: int) -> int:
    """Return n! for n up to 1,000."""
    if not 0 <= n <= 1_000:
        raise ValueError("n must be between 0 and 1,000")
    return math.factorial(n)


@tool(blocking=False)
def prime_checker(n: int) -> bool:
    """Return whether n, at most a million million, is a prime number."""
    if n > 10**12:
        raise ValueError("n is too large to check")
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


_METRES_OR_LITRES = {
    "metre": ("length", 1.0),
    "kilometre": ("length", 1_000.0),
    "mile": ("length", 1_609.344),
    "litre": ("volume", 1.0),
    "gallon": ("volume", 3.785411784),
}


@tool(blocking=False)
def convert(amount: float, source: str, target: str) -> float:
    """Convert between metre, kilometre and mile, or between litre and gallon (of the US)."""
    try:
        (kind, factor), (other_kind, divisor) = _METRES_OR_LITRES[source], _METRES_OR_LITRES[target]
    except KeyError as error:
        raise ValueError(f"unknown unit {error}; known are {', '.join(_METRES_OR_LITRES)}") from None
    if kind != other_kind:
        raise ValueError(f"{source} is a {kind} and {target} a {other_kind}")
    return amount * factor / divisor
