"""What an agent remembers: the steps of its runs in order, and how a model is shown them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, PrivateAttr

from cloche.agent.messages import TASK, Message, Text, TokenUsage
from cloche.agent.steps import (
    ActionStep,
    FinalAnswerStep,
    MemoryStep,
    PlanningStep,
    StepError,
    SystemPromptStep,
    TaskStep,
)

__all__ = ["AgentMemory", "Shown", "messages_of"]


Shown = dict[int, tuple[MemoryStep, Any, list[Message]]]
"""What steps look like to the model, by their ids, with what that was made of."""


def messages_of(steps: Iterable[MemoryStep], shown: Shown) -> list[Message]:
    """Return the messages of these steps in order.

    A model is shown all steps each time, so ``shown`` keeps what was made before. Steps may change: those that did are
    made anew.
    """
    return [message for step in steps for message in _remembered(step, shown)]


def _remembered(step: MemoryStep, shown: Shown) -> list[Message]:
    if not isinstance(step, ActionStep):
        return _messages(step)
    known, made_of = shown.get(id(step)), _made_of(step)
    if known is not None and known[0] is step and known[1] == made_of:
        return known[2]
    messages = _messages(step)
    shown[id(step)] = (step, made_of, messages)
    return messages


def _made_of(step: ActionStep) -> Any:
    # Mostly one and the same objects as before, which are compared in no time.
    if not step.requests:
        return step.output, step.observation, *step.images
    outcomes = [(outcome.id, outcome.observation) for outcome in step.outcomes]
    return step.output, step.observation, tuple(step.images), tuple(step.requests), outcomes


def _messages(step: MemoryStep) -> list[Message]:
    match step:
        case TaskStep():
            return [Message.of("user", f"{TASK}{step.task}", *step.images)]
        case PlanningStep():
            return [Message.of("assistant", step.plan), Message.of("user", "Now carry out this plan.")]
        case ActionStep():
            return _action(step)
        case FinalAnswerStep():
            return []


def _action(step: ActionStep) -> list[Message]:
    return [*_said(step), *_came_of(step)]


def _said(step: ActionStep) -> list[Message]:
    if not step.output and not step.requests:
        return []
    content = (Text(text=step.output),) if step.output else ()
    return [Message(role="assistant", content=content, tool_calls=tuple(step.requests))]


def _came_of(step: ActionStep) -> list[Message]:
    if not step.requests:
        text = f"Observation:\n{step.observation}" if step.observation else ""
        return [Message.of("user", text, *step.images)] if text or step.images else []
    # A provider refuses a tool call without its answer, so each request gets one, whatever happened.
    answered = {outcome.id: outcome.observation for outcome in step.outcomes}
    messages = [_answer(request.id, answered.get(request.id, "not run")) for request in step.requests]
    note = f"Observation:\n{step.observation}" if step.observation and not step.outcomes else ""
    return [*messages, *([Message.of("user", note, *step.images)] if note or step.images else [])]


def _answer(id: str, text: str) -> Message:
    return Message(role="tool", content=(Text(text=text),), tool_call_id=id)


class AgentMemory(BaseModel):
    """What an agent remembers. ``steps`` is a plain list: change it, or the steps in it, from a step callback."""

    system: SystemPromptStep = Field(default_factory=SystemPromptStep)
    steps: list[MemoryStep] = Field(default_factory=list[MemoryStep])

    _shown: Shown = PrivateAttr(default_factory=dict[int, tuple[MemoryStep, Any, list[Message]]])

    def reset(self) -> None:
        """Forget all steps; the system prompt stays."""
        self.steps = []

    def messages(self, *, summary: bool = False) -> list[Message]:
        """Return what a model is shown. ``summary`` leaves out the system prompt and earlier plans."""
        system = [] if summary else [Message.of("system", self.system.prompt)]
        steps = [step for step in self.steps if not (summary and isinstance(step, PlanningStep))]
        shown = self._shown
        if len(shown) > 2 * len(steps):
            # Forgotten steps are not kept alive here.
            shown.clear()
        return [*system, *messages_of(steps, shown)]

    @property
    def system_prompt(self) -> SystemPromptStep:
        """The system prompt's step, by smolagents' name."""
        return self.system

    def get_full_steps(self) -> list[dict[str, Any]]:
        """Return the steps as plain data, without the system prompt."""
        return [step.model_dump() for step in self.steps]

    def get_succinct_steps(self) -> list[dict[str, Any]]:
        """Return the steps as plain data, without what each model call was given and used."""
        return [step.model_dump(exclude={"usage", "guest", "images"}) for step in self.steps]

    def return_full_code(self) -> str:
        """Return the code of all steps as one program."""
        return "\n\n".join(step.code for step in self.actions if step.code)

    @property
    def actions(self) -> list[ActionStep]:
        """The action steps, oldest first."""
        return [step for step in self.steps if isinstance(step, ActionStep)]

    @property
    def task(self) -> str:
        """The latest task; empty if there is none."""
        return next((step.task for step in reversed(self.steps) if isinstance(step, TaskStep)), "")

    @property
    def waiting(self) -> ActionStep | None:
        """The latest step, if its program waits for answers."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, ActionStep) and last.waits else None

    def give_up(self) -> None:
        """Record that suspended programs will never be continued."""
        for step in self.actions:
            if step.waits:
                step.waits = False
                step.observation = "Error: the calls of this program were never answered, and it was given up."
                step.error = StepError(type="GivenUp", message="its calls were never answered", state="rolled_back")

    @property
    def usage(self) -> TokenUsage:
        """What all model calls in it used together."""
        total = TokenUsage()
        for step in self.steps:
            if isinstance(step, ActionStep | PlanningStep) and step.usage is not None:
                total += step.usage
        return total

    def save(self, path: str | Path) -> None:
        """Write the memory to a file, as JSON."""
        Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that :meth:`save` wrote. Raises pydantic's ValidationError for anything else."""
        return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
