"""One agent, two tools: it writes a program that calls them, makes a mistake, reads the error and tries again."""

from models import code, model_or
from tools.maths import factorial, prime_checker

from cloche.agent import CodeAgent

LINES = [
    code("I look at 5! + 1 first.", "print(factorial(5) + 1, is_prime(factorial(5) + 1))"),
    code("The tool is called prime_checker.", "found = [n for n in range(1, 12) if prime_checker(factorial(n) + 1)]"),
    code("Now I know them.", "final_answer(found)"),
]


def main() -> None:
    """Ask the agent and print its answer."""
    with CodeAgent([factorial, prime_checker], model_or(LINES)) as agent:
        print(agent.run("For which n from 1 to 11 is n! + 1 prime?"))
        for step in agent.memory.actions:
            print(f"step {step.number}: {step.error.type if step.error else 'ok'}")


if __name__ == "__main__":
    main()
