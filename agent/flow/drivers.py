"""Performing an agent's loop: blocking, or awaiting. The only two places where anything waits."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from typing import Any

from cloche.agent.events import AgentEvent
from cloche.agent.flow.effects import Effect

__all__ = ["Flow", "adrive", "drive"]

Flow = Generator[AgentEvent | Effect[Any], Any, Any]
"""An agent's loop: yields events and effects, and is sent back each effect's value, or thrown what it raised."""


def drive(flow: Flow) -> Iterator[AgentEvent]:
    """Perform a loop on this thread and yield its events. Leaving early closes it."""
    try:
        item = next(flow)
        while True:
            if not isinstance(item, Effect):
                yield item
                item = flow.send(None)
                continue
            try:
                yield from item.perform()
            except Exception as error:
                item = flow.throw(error)
            else:
                item = flow.send(item.value)
    except StopIteration:
        return
    finally:
        flow.close()


async def adrive(flow: Flow) -> AsyncGenerator[AgentEvent, None]:
    """Like :func:`drive`, awaiting. Being cancelled closes the loop."""
    try:
        item = next(flow)
        while True:
            if not isinstance(item, Effect):
                yield item
                item = flow.send(None)
                continue
            try:
                async with aclosing(item.aperform()) as events:
                    async for event in events:
                        yield event
            except Exception as error:
                item = flow.throw(error)
            else:
                item = flow.send(item.value)
    except StopIteration:
        return
    finally:
        flow.close()
