"""Tools that take their time."""

import asyncio
import threading

from cloche.host_tools import Tool, tool

__all__ = ["Desk", "Prices"]


class Prices:
    """A slow service, which notes how many callers it serves at once."""

    def __init__(self) -> None:
        self.at_once = self.most_at_once = 0

    def tools(self) -> list[Tool]:
        """Return the tool that asks this service."""

        @tool
        async def hotel_price(city: str) -> int:
            """Return the price of a night in a city, after a while."""
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.25)
            self.at_once -= 1
            return 40 + sum(city.encode()) % 90

        return [hotel_price]


class Desk:
    """People who answer late: their tool blocks until :meth:`go_home`, an hour at most."""

    def __init__(self) -> None:
        self._closing = threading.Event()

    def tools(self) -> list[Tool]:
        """Return the tool that waits for these people."""

        @tool
        def approve_refund(order: int) -> bool:
            """Ask a person whether an order may be refunded, and wait for the answer."""
            return self._closing.wait(3_600)

        return [approve_refund]

    def go_home(self) -> None:
        """Let every waiting call return."""
        self._closing.set()
