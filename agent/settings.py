"""How an agent behaves, apart from its tools and its model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cloche.agent.budgets import Budget
from cloche.agent.events import AgentEvent
from cloche.host_tools.names import check_name
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from cloche.agent.multistep import MultiStepAgent
    from cloche.agent.prompting import PromptTemplates

__all__ = ["AgentOptions", "Callbacks", "Observer", "Settings"]

Callbacks = Sequence[Callable[..., Any]] | Mapping[type[Any], Callable[..., Any] | Sequence[Callable[..., Any]]]
"""Functions for action steps, or a mapping from a type of step to the function or functions for it."""

Observer = Callable[[AgentEvent], object]
"""Called with each event, on whichever thread it happens; what it raises ends the run."""


class AgentOptions(TypedDict, total=False):
    """The keywords that every agent takes; see :class:`Settings` for their meaning."""

    name: str
    description: str
    instructions: str
    max_steps: int
    planning_interval: int | None
    managed_agents: "Sequence[MultiStepAgent]"
    step_callbacks: Callbacks
    final_answer_checks: Sequence[Callable[..., Any]]
    output_type: Any
    budget: Budget
    prompts: "PromptTemplates | str | Path | None"
    observers: Sequence[Observer]
    verbosity: int
    observation_limit: int
    provide_run_summary: bool


@dataclass(slots=True)
class Settings:
    """How an agent behaves.

    ``name``, ``description``   needed by an agent that another one manages: its name there, and what it is good for.
    ``instructions``            added to the system prompt.
    ``max_steps``               default 20; after them the model is asked once for an answer from what it has.
    ``planning_interval``       a plan is made before step 1 and before every so many steps; default: no plans.
    ``managed_agents``          agents that this one may call.
    ``step_callbacks``          called with ``(step)`` or ``(step, agent)`` after each step; they may change it.
    ``final_answer_checks``     called with ``(answer)``, ``(answer, memory)`` or ``(answer, memory, agent)``; False or
                                an exception refuses the answer, and the model is told why.
    ``output_type``             the answer's type, checked and converted by pydantic; default: anything.
    ``budget``                  default: no limits.
    ``prompts``                 templates, or a YAML file of them; default: the shipped ones.
    ``observers``               called with each event.
    ``verbosity``               -1 errors only and 0 nothing on the terminal (default 0), 1 each step, 2 everything.
    ``observation_limit``       characters of one observation that the model is shown; default 20,000.
    ``provide_run_summary``     whether a managed agent's answer comes with a summary of its work.
    """

    name: str = ""
    description: str = ""
    instructions: str = ""
    max_steps: int = 20
    planning_interval: int | None = None
    managed_agents: "Sequence[MultiStepAgent]" = ()
    step_callbacks: Callbacks = ()
    final_answer_checks: Sequence[Callable[..., Any]] = ()
    output_type: Any = None
    budget: Budget = field(default_factory=Budget)
    prompts: "PromptTemplates | str | Path | None" = None
    observers: Sequence[Observer] = ()
    verbosity: int = 0
    observation_limit: int = 20_000
    provide_run_summary: bool = False

    def __post_init__(self) -> None:
        # The runtime has budgets of its own, of the same name.
        kind = type(self.budget)
        if kind is not Budget:
            problem = f"{kind.__module__}.{kind.__name__} is not an agent's: use cloche.agent.Budget"
            raise ConfigurationError("budget", problem)
        if self.name:
            check_name(self.name)
        for name in ("max_steps", "observation_limit", "planning_interval"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(name, f"{value!r} is no count: give an int from 1")
