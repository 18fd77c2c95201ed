"""An approval that takes days: the agent is saved in the middle of a program, and another process resumes it.

The same file is both: without an argument it works until a person has to decide, with a folder it brings the decision.
"""

import subprocess
import sys
import tempfile

from models import code, model_or

from cloche import tool
from cloche.agent import AgentSuspended, CodeAgent, MultiStepAgent

ORDER = [
    code(
        "I order both; a person has to approve the orders.",
        "done = []\nfor what, price in [('paper', 20), ('a printer', 400)]:\n"
        "    try:\n        done.append(order(what, price))\n"
        "    except PermissionError as error:\n        done.append(f'refused: {error}')\nprint(done)",
    )
]
REPORT = [code("Both are decided.", "final_answer('; '.join(done))")]


@tool(approval=True)
def order(what: str, price: int) -> str:
    """Order something.

    Args:
        what: What to order.
        price: In euros.
    """
    return f"{what} ordered for {price} euros"


def begin(folder: str) -> None:
    """Work until the program waits, and save the agent with it."""
    with CodeAgent([order], model_or(ORDER)) as agent:
        try:
            agent.run("Order paper for 20 euros and a printer for 400 euros.")
        except AgentSuspended as waiting:
            print(f"waits: {waiting.calls[0].name}{tuple(waiting.calls[0].args)}", flush=True)
            agent.save(folder)


def go_on(folder: str) -> None:
    """Decide on whatever waits: small orders are approved."""
    with MultiStepAgent.load(folder, model_or(REPORT), tools=[order]) as agent:
        result = agent.resume(approve=[1], return_full_result=True)
        while isinstance(result.error, AgentSuspended):
            (call,) = result.error.calls
            print(f"waits: {call.name}{tuple(call.args)}")
            result = agent.resume(deny={call.id: "too expensive"}, return_full_result=True)
        print(result.unwrap())


def main() -> None:
    """Begin here, and resume in a process of its own."""
    if len(sys.argv) > 1:
        go_on(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        begin(folder)
        subprocess.run([sys.executable, __file__, folder], check=True)


if __name__ == "__main__":
    main()
