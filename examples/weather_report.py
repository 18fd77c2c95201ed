"""An agent with two tools that are awaited and combined in one program: a weather service and a converter of units."""

from models import code, model_or
from tools.units import convert
from tools.weather import weather

from cloche.agent import CodeAgent

LINES = [
    code(
        "I ask for all three at once, then convert.",
        "import asyncio\n"
        "cities = ['Oslo', 'Rome', 'Quito']\n"
        "found = await asyncio.gather(*(weather(city) for city in cities), return_exceptions=True)\n"
        "for city, celsius in zip(cities, found):\n    print(city, celsius)",
    ),
    code(
        "There is none for Quito, so I report the other two.",
        "known = {c: convert(t, 'C', 'F') for c, t in zip(cities, found) if isinstance(t, float)}\n"
        "final_answer(', '.join(f'{city}: {f:.1f} F' for city, f in known.items()))",
    ),
]


def main() -> None:
    """Ask the agent and print its answer."""
    with CodeAgent([weather, convert], model_or(LINES)) as agent:
        print(agent.run("How warm is it in Oslo, Rome and Quito, in Fahrenheit?"))


if __name__ == "__main__":
    main()
