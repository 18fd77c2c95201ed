"""Steps as the messages that a model is shown."""

from collections.abc import Iterable
from typing import Any

from cloche.agent.memory.steps import ActionStep, FinalAnswerStep, MemoryStep, PlanningStep, TaskStep
from cloche.agent.messages import Message, Text

__all__ = ["Shown", "messages_of"]

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
            return [Message.of("user", f"New task:\n{step.task}", *step.images)]
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
