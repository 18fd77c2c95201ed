"""What happens while an agent runs, as typed events, in the order in which it happens."""

from dataclasses import dataclass, field
from typing import Any, Literal

from cloche.agent.messages import TokenUsage
from cloche.agent.models.base import ModelRequest
from cloche.agent.steps import ActionStep, PlanningStep
from cloche.runtime.result import Result, ToolCallRecord

__all__ = [
    "AgentEvent",
    "CodeFinished",
    "CodeStarted",
    "ModelFinished",
    "ModelLoading",
    "ModelStarted",
    "PlanMade",
    "Printed",
    "RunEnded",
    "RunResult",
    "RunStarted",
    "StepEnded",
    "StepStarted",
    "TextDelta",
    "ToolCallEnded",
    "ToolCallStarted",
]

RunState = Literal["success", "max_steps", "budget", "model_error", "interrupted", "suspended", "failed"]


@dataclass(slots=True)
class RunResult:
    """The outcome of one run.

    ``output``  the final answer; None if there is none.
    ``state``   ``"success"``, or what ended the run; ``error`` is then the typed error.
    ``steps``   the run's own steps, oldest first.
    ``usage``   tokens and dollars, sub-agents included; ``seconds`` of wall time; ``tool_calls`` made.
    """

    output: Any
    state: RunState
    steps: list[Any]
    usage: TokenUsage
    seconds: float
    tool_calls: int
    error: Exception | None = None
    run_id: str = ""

    def unwrap(self) -> Any:
        """Return the answer, or raise the error of a run that has none."""
        if self.error is not None and self.output is None:
            raise self.error
        return self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """``agent`` is the agent's name and ``run_id`` names its run; see RunStarted for how runs hang together."""

    agent: str = field(default="")
    run_id: str = field(default="")


@dataclass(frozen=True, slots=True)
class RunStarted(_Event):
    """A run begins. ``parent`` is the run_id of the agent that called this one, or empty.

    ``request`` is the task in the words of that call.
    """

    task: str
    parent: str = ""
    model: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted(_Event):
    """Step ``number`` (from 1) begins."""

    number: int


@dataclass(frozen=True, slots=True)
class ModelLoading(_Event):
    """What the model needs, ``what``, is still being loaded, which takes seconds, once in a process."""

    what: str


@dataclass(frozen=True, slots=True)
class ModelStarted(_Event):
    """The model is asked; ``purpose`` is ``"step"``, ``"plan"`` or ``"answer"``, ``request`` all that it is asked."""

    purpose: str
    messages: int
    request: ModelRequest | None = None


@dataclass(frozen=True, slots=True)
class TextDelta(_Event):
    """A piece of the model's text, when streaming. ``restart`` takes back what came before in this model call."""

    text: str
    restart: bool = False


@dataclass(frozen=True, slots=True)
class ModelFinished(_Event):
    """The model has answered, or failed: ``error``."""

    text: str
    usage: TokenUsage | None
    seconds: float
    model: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlanMade(_Event):
    """The model has written a plan."""

    step: PlanningStep


@dataclass(frozen=True, slots=True)
class CodeStarted(_Event):
    """The step's program is about to run."""

    code: str


@dataclass(frozen=True, slots=True)
class Printed(_Event):
    """The program printed ``text``."""

    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted(_Event):
    """A tool is about to be called."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class ToolCallEnded(_Event):
    """A tool call ended; ``record`` has its outcome."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class CodeFinished(_Event):
    """The step's program ended."""

    result: Result[Any]


@dataclass(frozen=True, slots=True)
class StepEnded(_Event):
    """A step is over and in the memory; callbacks have seen it."""

    step: ActionStep


@dataclass(frozen=True, slots=True)
class RunEnded(_Event):
    """The run is over. Always the last event."""

    result: RunResult


AgentEvent = (
    RunStarted
    | StepStarted
    | ModelLoading
    | ModelStarted
    | TextDelta
    | ModelFinished
    | PlanMade
    | CodeStarted
    | Printed
    | ToolCallStarted
    | ToolCallEnded
    | CodeFinished
    | StepEnded
    | RunEnded
)
