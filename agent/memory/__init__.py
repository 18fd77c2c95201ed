"""What an agent remembers: the steps of its runs, and how a model is shown them."""

from cloche.agent.memory.memory import AgentMemory
from cloche.agent.memory.steps import (
    ActionStep,
    FinalAnswerStep,
    GuestUsage,
    MemoryStep,
    PlanningStep,
    StepError,
    SystemPromptStep,
    TaskStep,
    ToolOutcome,
)

__all__ = [
    "ActionStep",
    "AgentMemory",
    "FinalAnswerStep",
    "GuestUsage",
    "MemoryStep",
    "PlanningStep",
    "StepError",
    "SystemPromptStep",
    "TaskStep",
    "ToolOutcome",
]
