"""The steps of an agent's runs in order."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, PrivateAttr

from cloche.agent.memory.rendering import Shown, messages_of
from cloche.agent.memory.steps import ActionStep, MemoryStep, PlanningStep, StepError, SystemPromptStep
from cloche.agent.messages import Message, TokenUsage

__all__ = ["AgentMemory"]


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
            # Steps that were forgotten are not kept for this.
            shown.clear()
        return [*system, *messages_of(steps, shown)]

    def return_full_code(self) -> str:
        """Return the code of all steps as one program."""
        return "\n\n".join(step.code for step in self.actions if step.code)

    @property
    def actions(self) -> list[ActionStep]:
        """The action steps, oldest first."""
        return [step for step in self.steps if isinstance(step, ActionStep)]

    @property
    def waiting(self) -> ActionStep | None:
        """The latest step, if its program waits for answers."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, ActionStep) and last.waits else None

    def give_up(self) -> None:
        """Note that programs which wait for answers never go on."""
        for step in self.actions:
            if step.waits:
                step.waits = False
                step.observation = "Error: nobody answered the calls that this program waited for, and it was given up."
                step.error = StepError(type="GivenUp", message="nobody answered its calls", state="rolled_back")

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
