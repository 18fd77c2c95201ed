"""A person is asked before a tool call in the middle of a program, and the program continues with the answer."""

from models import code, model_or

from cloche import tool
from cloche.agent import CodeAgent
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import Approval, GuardedTools, PlannedCall, Policy

ORDERS = [("paper", 20), ("a printer", 400)]
LINES = [
    code(
        "I order both and look at what comes of it.",
        f"for what, price in {ORDERS!r}:\n    try:\n        print(order(what, price))\n"
        "    except PermissionError as error:\n        print('refused:', error)",
    ),
    code("The printer was refused, which I report.", "final_answer('The paper is ordered, the printer was refused.')"),
]


@tool
def order(what: str, price: int) -> str:
    """Order something.

    Args:
        what: What to order.
        price: In euros.
    """
    return f"{what} ordered for {price} euros"


def ask(call: PlannedCall) -> Approval:
    """Decide; a real one would ask a person here, in a terminal or a web page."""
    return Approval(call.arguments["price"] < 100, by="kim", reason="too expensive")


def main() -> None:
    """Run the agent, then show the record of its calls."""
    log = MemoryLog()
    tools = GuardedTools([order], {"order": Policy(approve=ask)}, log=log)
    with CodeAgent(tools, model_or(LINES)) as agent:
        print(agent.run("Order paper for 20 euros and a printer for 400 euros."))
    for record in log.records:
        print(record.tool, record.arguments, record.outcome, record.approval)


if __name__ == "__main__":
    main()
