"""An answer of a type: checked while the model's program runs, which reads the error and puts it right."""

from models import code, model_or
from pydantic import BaseModel

from cloche.agent import CodeAgent

LINES = [
    code("I answer.", "final_answer({'name': 'Oslo', 'people': 'many'})"),
    code("people has to be a number.", "final_answer({'name': 'Oslo', 'people': 717710})"),
]


class City(BaseModel):
    """A city."""

    name: str
    people: int


def main() -> None:
    """Print the answer, a City."""
    with CodeAgent([], model_or(LINES), output_type=City) as agent:
        print(repr(agent.run("What is the capital of Norway, and how many people live there?")))


if __name__ == "__main__":
    main()
