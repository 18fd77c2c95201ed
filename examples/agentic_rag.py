"""Agentic retrieval: the agent searches, reads what it found, searches again with better words, and cites."""

from models import code, model_or

from cloche.agent import CodeAgent
from cloche.host_tools.builtin import Retriever

HANDBOOK = [
    "Travel. Journeys under 500 km are made by train. The second class is paid, the first one from 4 hours on.",
    "Expenses. Receipts are handed in within 30 days. Later ones need the signature of the head of department.",
    "Illness. Whoever is ill tells the team before 9 o'clock. A doctor's note is wanted from the third day.",
    "Equipment. A laptop is replaced after 4 years, a telephone after 3. Broken ones are replaced at once.",
]
LINES = [
    code("I search for the words of the question.", "for p in retrieve('late invoice', 2): print(p)"),
    code(
        "Nothing fits: a handbook would say receipts, not invoices.",
        "best = retrieve('receipts handed in after days', 1)[0]\nprint(best['text'])",
    ),
    code(
        "That is it.",
        "final_answer(f\"After 30 days a receipt needs the head of department's signature (page {best['source']}).\")",
    ),
]


def main() -> None:
    """Ask, and print the answer with what was searched for."""
    with CodeAgent([Retriever(HANDBOOK)], model_or(LINES)) as agent:
        print(agent.run("I found an invoice of two months ago. Can I still hand it in?"))
        for step in agent.memory.actions:
            print(f"step {step.number}: {[call.arguments['args'][0] for call in step.outcomes]}")


if __name__ == "__main__":
    main()
