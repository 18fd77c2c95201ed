"""A run with budgets: whatever the model does, it stops at so many tokens, dollars, seconds and tool calls."""

from models import code, model_or

from cloche import tool
from cloche.agent import BudgetExceeded, CodeAgent, RunBudget

LINES = [code("I search again and again.", "for n in range(100): search(f'query {n}')")]


@tool(blocking=False)
def search(query: str) -> str:
    """Search for something.

    Args:
        query: What to search for.
    """
    return f"nothing about {query}"


def main() -> None:
    """Run until the budget is used up; the memory stays."""
    budget = RunBudget(tokens=50_000, seconds=60, tool_calls=20)
    with CodeAgent([search], model_or(LINES), budget=budget) as agent:
        try:
            print(agent.run("Find out everything."))
        except BudgetExceeded as error:
            print(error)
        print(f"{len(agent.memory.actions)} step is remembered")


if __name__ == "__main__":
    main()
