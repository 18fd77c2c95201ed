"""What can go wrong around an agent::

    ClocheError
    +-- AgentError
        +-- ModelError            the model could not be asked, or answered with nothing usable: retryable, status
        |   +-- ModelTimeout      no answer in time
        |   +-- ModelRateLimited  too many requests: retry_after
        |   +-- ModelUnavailable  a dropped connection, an overloaded or failing server
        |   +-- ModelRefused      the key, the model's name or the request is wrong: trying again does not help
        |   +-- ModelReplyInvalid the answer is damaged
        +-- BudgetExceeded        used, limit
        |   +-- StepsExceeded, TokensExceeded, CostExceeded, RunTimeExceeded, ToolCallsExceeded
        +-- BudgetUnmeasured      a budget is set for something that the model does not report
        +-- AgentInterrupted      the caller stopped the run
        +-- AgentSuspended        the program waits for answers to calls: resume(approve=..., deny=..., values=...)
        +-- AgentBusy             one agent, two runs at a time
        +-- StepProblem           becomes an observation for the model, is not raised to the caller
            +-- ReplyUnparsable   no code or no tool call where one was asked for

A run that ends with one of these keeps its memory: ``agent.resume()`` continues it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloche.runtime.errors import ClocheError

if TYPE_CHECKING:
    from cloche.runtime.bridge.pending import SuspendedCall

__all__ = [
    "AgentBusy",
    "AgentError",
    "AgentInterrupted",
    "AgentSuspended",
    "BudgetExceeded",
    "BudgetUnmeasured",
    "CostExceeded",
    "ModelError",
    "ModelRateLimited",
    "ModelRefused",
    "ModelReplyInvalid",
    "ModelTimeout",
    "ModelUnavailable",
    "ReplyUnparsable",
    "RunTimeExceeded",
    "StepProblem",
    "StepsExceeded",
    "TokensExceeded",
    "ToolCallsExceeded",
]


class AgentError(ClocheError):
    """The root of what goes wrong around an agent."""


class ModelError(AgentError):
    """The model could not be asked. ``retryable`` says whether asking again may help; ``status`` is HTTP's, or None."""

    retryable = False

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message if self.status is None else f"{self.message} (HTTP status {self.status})"


class ModelTimeout(ModelError):
    """The model did not answer in time."""

    retryable = True


class ModelRateLimited(ModelError):
    """The provider asks for fewer requests. ``retry_after`` is how many seconds it asks to wait, or None."""

    retryable = True

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, status)
        self.args = (message, status, retry_after)
        self.retry_after = retry_after


class ModelUnavailable(ModelError):
    """The connection was refused or dropped, or the server failed."""

    retryable = True


class ModelRefused(ModelError):
    """The request itself is wrong: the key, the model's name, a parameter, too long a prompt."""


class ModelReplyInvalid(ModelError):
    """The answer is damaged: no choice in it, or no JSON at all."""

    retryable = True


class BudgetExceeded(AgentError):
    """A run has used up one of its budgets. ``used`` and ``limit`` have the budget's own unit."""

    unit = ""

    def __init__(self, used: float, limit: float) -> None:
        super().__init__(used, limit)
        self.used = used
        self.limit = limit

    def __str__(self) -> str:
        return f"the run used {self.used:,.6g} {self.unit} and its budget is {self.limit:,.6g}: raise RunBudget(...)"


class StepsExceeded(BudgetExceeded):
    """Too many steps without a final answer."""

    unit = "steps"

    def __str__(self) -> str:
        return f"no final answer after {self.used:,.0f} steps, which is max_steps"


class TokensExceeded(BudgetExceeded):
    """Too many tokens, prompts and replies together, sub-agents included."""

    unit = "tokens"


class CostExceeded(BudgetExceeded):
    """Too much money, in US dollars, sub-agents included."""

    unit = "US dollars"


class RunTimeExceeded(BudgetExceeded):
    """Too many seconds of wall time."""

    unit = "seconds"


class ToolCallsExceeded(BudgetExceeded):
    """Too many tool calls, sub-agents' included."""

    unit = "tool calls"


class BudgetUnmeasured(AgentError):
    """A budget is set, but the model does not report what it would count."""


class AgentInterrupted(AgentError):
    """The caller stopped the run with ``agent.interrupt()``."""

    def __str__(self) -> str:
        return self.args[0] if self.args else "the caller interrupted the agent"


class AgentSuspended(AgentError):
    """The step's program is suspended until its tool calls are answered; ``calls`` are those that are pending.

    ``agent.resume(approve=[1])`` or another answer continues it, in another process too if the agent was saved.
    """

    def __init__(self, calls: "Sequence[SuspendedCall]") -> None:
        super().__init__(calls)
        self.calls = tuple(calls)

    def __str__(self) -> str:
        waiting = ", ".join(f"{call.name} (call {call.id})" for call in self.calls)
        return (
            f"the program waits for an answer to {waiting}: agent.resume(approve=[...]), deny={{...}} or values={{...}}"
        )


class AgentBusy(AgentError):
    """The agent was asked to run while it was running."""

    def __str__(self) -> str:
        return "this agent is running: wait for it, or use agent.copy() for a second run at the same time"


class StepProblem(AgentError):
    """Something the model can correct: it becomes the step's observation."""


class ReplyUnparsable(StepProblem):
    """The model's text holds no code, or no tool call, in the form that was asked for."""
