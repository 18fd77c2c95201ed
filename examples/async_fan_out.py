"""Many agents at once in one event loop, each in a guest of its own, while tools wait for the network."""

import asyncio

from models import code, model_or
from tools.weather import CITIES, weather

from cloche.agent import CodeAgent


async def warmer(first: str, second: str) -> str:
    """Ask one agent which of two cities is warmer."""
    program = (
        "import asyncio\n"
        f"a, b = await asyncio.gather(weather('{first}'), weather('{second}'))\n"
        f"final_answer('{first}' if a > b else '{second}')"
    )
    with CodeAgent([weather], model_or([code("I ask for both at once.", program)])) as agent:
        return str(await agent.arun(f"Which is warmer now, {first} or {second}?"))


async def main() -> None:
    """Run three agents at the same time."""
    names = list(CITIES)
    print(await asyncio.gather(*(warmer(*names[start : start + 2]) for start in range(0, 6, 2))))


if __name__ == "__main__":
    asyncio.run(main())
