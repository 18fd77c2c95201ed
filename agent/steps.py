"""The kinds of steps, as plain data that callbacks may change."""

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PlainSerializer

from cloche.agent.messages import Image, TokenUsage, ToolRequest
from cloche.agent.values import plain

__all__ = [
    "ActionStep",
    "FinalAnswerStep",
    "GuestUsage",
    "MemoryStep",
    "PlanningStep",
    "StepError",
    "SystemPromptStep",
    "TaskStep",
    "ToolOutcome",
]


Loose = Annotated[Any, PlainSerializer(plain)]
"""Any value; what JSON cannot hold is written as text."""


class SystemPromptStep(BaseModel):
    """The system prompt."""

    kind: Literal["system_prompt"] = "system_prompt"
    prompt: str = ""


class TaskStep(BaseModel):
    """What the agent was asked to do."""

    kind: Literal["task"] = "task"
    task: str
    images: list[Image] = Field(default_factory=list[Image])


class PlanningStep(BaseModel):
    """A plan that the model wrote. ``seconds`` is the model call's wall time."""

    kind: Literal["planning"] = "planning"
    plan: str
    usage: TokenUsage | None = None
    seconds: float = 0.0


class StepError(BaseModel):
    """Why a step failed: the error's class, its text, and what became of the code's state.

    ``state`` is ``"kept"``, ``"rolled_back"`` (to where the step began) or ``"unchanged"`` (nothing was run).
    """

    type: str
    message: str
    line: int | None = None
    state: Literal["kept", "rolled_back", "unchanged"] = "unchanged"


class GuestUsage(BaseModel):
    """What running the step's code used: fuel (None: not metered), seconds, bytes of memory, tool calls."""

    fuel: int | None = None
    seconds: float = 0.0
    memory: int = 0
    calls: int = 0


class ToolOutcome(BaseModel):
    """What became of one tool call: its ``observation`` is what the model sees."""

    id: str = ""
    name: str
    arguments: Loose = None
    outcome: str = "returned"
    observation: str = ""
    seconds: float | None = None


class ActionStep(BaseModel):
    """One turn: what the model said, the code or tool calls in it, and what came of them.

    ``output`` is the model's text without its ``reasoning``, which it is not shown again; ``code`` the program in it
    (CodeAgent), ``requests`` the tool calls (ToolCallingAgent). ``observation`` and ``images`` are what the model sees
    next; a step callback may change both. ``waits`` says that its program is suspended, in the agent's session, until
    its calls are answered. ``cut_off`` says that the reply reached the maximum length of one. ``value`` is the
    program's last value. ``started`` is seconds since the epoch, ``seconds`` the whole step's time.
    """

    kind: Literal["action"] = "action"
    number: int
    output: str = ""
    reasoning: str = ""
    code: str = ""
    requests: list[ToolRequest] = Field(default_factory=list[ToolRequest])
    outcomes: list[ToolOutcome] = Field(default_factory=list[ToolOutcome])
    observation: str = ""
    images: list[Image] = Field(default_factory=list[Image])
    value: Loose = None
    error: StepError | None = None
    usage: TokenUsage | None = None
    guest: GuestUsage | None = None
    started: float = Field(default_factory=time.time)
    seconds: float = 0.0
    is_final: bool = False
    waits: bool = False
    cut_off: bool = False


class FinalAnswerStep(BaseModel):
    """The run's answer."""

    kind: Literal["final_answer"] = "final_answer"
    answer: Loose = None


MemoryStep = Annotated[TaskStep | PlanningStep | ActionStep | FinalAnswerStep, Field(discriminator="kind")]
"""Any step after the system prompt."""
