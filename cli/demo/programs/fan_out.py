# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Ask a slow service for eight prices at once."""

import asyncio

cities = ["Oslo", "Lima", "Cairo", "Quito", "Hanoi", "Perth", "Accra", "Turin"]
prices = await asyncio.gather(*(hotel_price(city) for city in cities))
cheapest = min(zip(prices, cities))
print(f"{len(prices)} prices, the cheapest is {cheapest[1]}")
{"city": cheapest[1], "price": cheapest[0]}
