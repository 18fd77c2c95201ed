"""The kinds of steps, as plain data that callbacks may change."""

import time
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from cloche.agent.messages import ImagePart, TokenUsage, ToolRequest
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


def _loaded(images: Any) -> Any:
    """Return images of any kind (PIL's, bytes, paths, URLs) as ours; None for none, as smolagents has it."""
    return [image if isinstance(image, dict) else ImagePart.load(image) for image in images or ()]


Images = Annotated[list[ImagePart], BeforeValidator(_loaded)]


class SystemPromptStep(BaseModel):
    """The system prompt."""

    kind: Literal["system_prompt"] = "system_prompt"
    prompt: str = ""

    @property
    def system_prompt(self) -> str:
        """The prompt, by smolagents' name."""
        return self.prompt

    @system_prompt.setter
    def system_prompt(self, text: str) -> None:
        self.prompt = text


class TaskStep(BaseModel):
    """What the agent was asked to do. smolagents' name for ``images``, ``task_images``, works too."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["task"] = "task"
    task: str
    images: Images = Field(default_factory=list[ImagePart], validation_alias=AliasChoices("images", "task_images"))

    @property
    def task_images(self) -> list[ImagePart] | None:
        """The images, None if there are none."""
        return self.images or None

    @task_images.setter
    def task_images(self, images: Any) -> None:
        self.images = _loaded(images)


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

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


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
    program's last value. ``started`` is seconds since the epoch, ``seconds`` the whole step's time. smolagents' names
    (``step_number``, ``observations``, ``observations_images``, ``model_output``, ``code_action``, ...) read and set
    the same.
    """

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["action"] = "action"
    number: int = Field(validation_alias=AliasChoices("number", "step_number"))
    output: str = ""
    reasoning: str = ""
    code: str = ""
    requests: list[ToolRequest] = Field(default_factory=list[ToolRequest])
    outcomes: list[ToolOutcome] = Field(default_factory=list[ToolOutcome])
    observation: str = Field(default="", validation_alias=AliasChoices("observation", "observations"))
    images: Images = Field(
        default_factory=list[ImagePart], validation_alias=AliasChoices("images", "observations_images")
    )
    value: Loose = None
    error: StepError | None = None
    usage: TokenUsage | None = None
    guest: GuestUsage | None = None
    started: float = Field(default_factory=time.time)
    seconds: float = 0.0
    is_final: bool = False
    waits: bool = False
    cut_off: bool = False

    @property
    def step_number(self) -> int:
        """The number."""
        return self.number

    @step_number.setter
    def step_number(self, number: int) -> None:
        self.number = number

    @property
    def observations(self) -> str | None:
        """The observation, None if there is none."""
        return self.observation or None

    @observations.setter
    def observations(self, text: str | None) -> None:
        self.observation = text or ""

    @property
    def observations_images(self) -> list[ImagePart] | None:
        """The images, None if there are none; set as PIL images, bytes, paths or URLs."""
        return self.images or None

    @observations_images.setter
    def observations_images(self, images: Any) -> None:
        self.images = _loaded(images)

    @property
    def model_output(self) -> str | None:
        """The model's text."""
        return self.output or None

    @model_output.setter
    def model_output(self, text: str | None) -> None:
        self.output = text or ""

    @property
    def code_action(self) -> str | None:
        """The program."""
        return self.code or None

    @property
    def action_output(self) -> Any:
        """The program's last value."""
        return self.value

    @property
    def tool_calls(self) -> list[ToolRequest] | None:
        """The tool calls that the model asked for."""
        return self.requests or None

    @property
    def token_usage(self) -> TokenUsage | None:
        """What the model call used."""
        return self.usage

    @property
    def duration(self) -> float:
        """Seconds that the step took."""
        return self.seconds

    @property
    def is_final_answer(self) -> bool:
        """Whether it gave the answer."""
        return self.is_final


class FinalAnswerStep(BaseModel):
    """The run's answer."""

    kind: Literal["final_answer"] = "final_answer"
    answer: Loose = None

    @property
    def output(self) -> Any:
        """The answer, by smolagents' name."""
        return self.answer


MemoryStep = Annotated[TaskStep | PlanningStep | ActionStep | FinalAnswerStep, Field(discriminator="kind")]
"""Any step after the system prompt."""
