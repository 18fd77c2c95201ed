"""An agent that writes a plan first, and a new one every two steps."""

from models import code, model_or
from tools.maths import prime_checker

from cloche.agent import CodeAgent, PlanningStep

LINES = [
    "1. Find the primes below 50.\n2. Look for twins among them.",
    code("The first part.", "primes = [n for n in range(50) if prime_checker(n)]\nprint(len(primes))"),
    code("The second part.", "twins = [(p, p + 2) for p in primes if p + 2 in primes]\nprint(twins[-1])"),
    "The twins are known. 1. Answer.",
    code("As planned.", "final_answer(f'{len(twins)} pairs, the last is {twins[-1]}')"),
]


def main() -> None:
    """Run the agent and print its plans and its answer."""
    with CodeAgent([prime_checker], model_or(LINES), planning_interval=2) as agent:
        answer = agent.run("How many pairs of twin primes are there below 50?")
        for step in agent.memory.steps:
            if isinstance(step, PlanningStep):
                print(f"plan: {step.plan.splitlines()[0]}")
        print(answer)


if __name__ == "__main__":
    main()
