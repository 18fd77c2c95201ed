"""What ``agent.json`` of a stranger may hold, checked before any of it is used."""

from dataclasses import fields
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloche.agent.budgets import Budget
from cloche.agent.code_agent import default_limits
from cloche.runtime.limits import Limits

__all__ = ["AgentShape", "ToolShape"]

_LIMITS = {field.name for field in fields(Limits)}
_BUDGET = {field.name for field in fields(Budget)}


class ToolShape(BaseModel):
    """A tool by reference; see :class:`cloche.agent.tool_references.ToolFinder`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    where: str = Field(default="", alias="from")
    description: str = ""
    guarded: bool = False


class AgentShape(BaseModel):
    """An agent as data, as :func:`cloche.agent.saving.agent_to_dict` makes it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    kind: Literal["code", "tool_calling"]
    name: str = ""
    description: str = ""
    instructions: str = ""
    max_steps: int = 20
    planning_interval: int | None = None
    observation_limit: int = 20_000
    provide_run_summary: bool = False
    budget: dict[str, float | int | None] = {}
    prompts: dict[str, str] = {}
    tools: list[ToolShape] = []
    managed_agents: "list[AgentShape]" = []
    limits: dict[str, float | int | None] = {}
    imports: list[str] | None = None
    tags: list[str] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        unknown = sorted((self.limits.keys() - _LIMITS) | (self.budget.keys() - _BUDGET))
        if unknown:
            raise ValueError(f"there is no limit or budget {unknown[0]!r}")
        if self.kind == "code" and (not self.limits or len(self.tags) != 2):
            raise ValueError("an agent that writes code has limits, and two tags")
        return self

    def everyone(self) -> "list[AgentShape]":
        """Return this agent and all that it manages, directly or not."""
        return [self, *(one for managed in self.managed_agents for one in managed.everyone())]

    def looser(self) -> str:
        """Name a limit that is looser than the default one, with its value; empty if there is none."""
        defaults = default_limits(manages=bool(self.managed_agents))
        for name, value in self.limits.items():
            most = getattr(defaults, name)
            if most is not None and (value is None or value > most):
                return f"{name}={value} (default {most})"
        return ""
