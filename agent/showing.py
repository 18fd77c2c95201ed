"""Agents and their memories as text for people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cloche.agent.memory.memory import AgentMemory
from cloche.agent.memory.rendering import messages_of
from cloche.agent.memory.steps import ActionStep, FinalAnswerStep, MemoryStep, PlanningStep, TaskStep

if TYPE_CHECKING:
    from cloche.agent.core import AgentCore

__all__ = ["outline", "told_again"]

_WIDTH = 70


def told_again(memory: AgentMemory, *, detailed: bool = False) -> str:
    """Return what happened, step by step; ``detailed`` puts before each step the messages that led to it."""
    parts: list[str] = [_titled("system prompt", memory.system.prompt)] if detailed else []
    for index, step in enumerate(memory.steps):
        if detailed and isinstance(step, ActionStep):
            parts.append(_titled(f"shown to the model before step {step.number}", _shown(memory.steps[:index])))
        parts.append(_told(step))
    return "\n\n".join(parts)


def outline(agent: "AgentCore", indent: str = "") -> str:
    """Return the agent, its tools and its agents as a tree of lines."""
    return "\n".join(_lines(agent, indent))


def _lines(agent: "AgentCore", indent: str) -> Iterator[str]:
    model = getattr(agent.model, "name", "") or type(agent.model).__name__
    yield f"{indent}{agent.name or type(agent).__name__} ({type(agent).__name__}, {model})"
    if agent.description:
        yield f"{indent}|  {_first_line(agent.description)}"
    for name, tool in agent.tools.items():
        if name not in agent.managed_agents:
            yield f"{indent}+- {name}: {_first_line(tool.description)}"
    for managed in agent.managed_agents.values():
        yield f"{indent}+- agent"
        yield from _lines(managed, f"{indent}   ")


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _shown(steps: list[MemoryStep]) -> str:
    return "\n".join(f"[{message.role}] {message.text}" for message in messages_of(steps, {}))


def _told(step: MemoryStep) -> str:
    match step:
        case TaskStep():
            return _titled("task", step.task)
        case PlanningStep():
            return _titled("plan", step.plan)
        case FinalAnswerStep():
            return _titled("final answer", _text(step.answer))
        case ActionStep():
            requests = "\n".join(f"{request.name}({request.arguments})" for request in step.requests)
            observed = step.observation or "\n".join(outcome.observation for outcome in step.outcomes)
            text = "\n".join(filter(None, [step.output, requests, "-> " + observed if observed else ""]))
            return _titled(f"step {step.number} ({step.seconds:.2f} s)", text)


def _titled(title: str, text: str) -> str:
    return f"--- {title} {'-' * max(0, _WIDTH - len(title))}\n{text}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
