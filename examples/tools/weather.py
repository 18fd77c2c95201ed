"""A weather service that answers from a table, after as long as a real one might take."""

import asyncio

from cloche import tool

__all__ = ["CITIES", "weather"]

CITIES = {"Oslo": -3.0, "Cairo": 24.0, "Lima": 19.0, "Delhi": 21.0, "Nuuk": -9.0, "Rome": 14.0}


@tool
async def weather(city: str) -> float:
    """Return the temperature in a city, in degrees Celsius.

    Args:
        city: Its name.
    """
    await asyncio.sleep(0.05)
    if city not in CITIES:
        raise LookupError(f"no weather for {city!r}; there is some for {', '.join(CITIES)}")
    return CITIES[city]
