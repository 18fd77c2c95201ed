"""Two tools for numbers."""

import math

from cloche import tool

__all__ = ["factorial", "prime_checker"]


@tool(blocking=False)
def prime_checker(n: int) -> bool:
    """Say whether a number is prime.

    Args:
        n: The number.
    """
    return n > 1 and all(n % divisor for divisor in range(2, int(n**0.5) + 1))


@tool(blocking=False)
def factorial(n: int) -> int:
    """Return n!.

    Args:
        n: A whole number from 0 to 1,000.
    """
    if not 0 <= n <= 1_000:
        raise ValueError(f"{n} is not from 0 to 1,000")
    return math.factorial(n)
