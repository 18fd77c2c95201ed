"""Run Python that a model wrote, in a sealed CPython.

::

    from cloche import Limits, Sandbox, tool

Each name is imported from its module when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module

from cloche.runtime._imports import installed_version, lazy_names
from cloche.runtime.converters import register_converter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    __version__: str
    """The version of the installed package, ``"(not installed)"`` where it runs from its sources."""
    REMOVE_PARAMETER: Any
    """As the value of a model's option: requests do not have the option at all."""

    from cloche.agent import (
        ActionStep,
        AgentMemory,
        AmazonBedrockModel,
        AzureOpenAIModel,
        BlaxelExecutor,
        ChatMessage,
        CodeAgent,
        DockerExecutor,
        E2BExecutor,
        FinalAnswerStep,
        HfApiModel,
        InferenceClientModel,
        LiteLLMModel,
        LiteLLMRouterModel,
        LocalPythonExecutor,
        MLXModel,
        ModalExecutor,
        Model,
        MultiStepAgent,
        OpenAIModel,
        PlanningStep,
        RunResult,
        SystemPromptStep,
        TaskStep,
        ToolCallingAgent,
        TransformersModel,
        VLLMModel,
    )
    from cloche.host_tools import Tool, ToolDefinitionError, ToolRegistry, ToolRejected, tool
    from cloche.host_tools.builtin import (
        DuckDuckGoSearchTool,
        FinalAnswerTool,
        GoogleSearchTool,
        PythonInterpreterTool,
        UserInputTool,
        VisitWebpageTool,
        WebSearchTool,
        WikipediaSearchTool,
    )
    from cloche.host_tools.external import MCPClient, ToolCollection, load_tool
    from cloche.integrations.gradio import GradioUI, gradio_app
    from cloche.runtime.bridge.environment import FuelClock
    from cloche.runtime.bridge.pending import SuspendedCall
    from cloche.runtime.driving.scheduler import Scheduler
    from cloche.runtime.errors import (
        BlockedTools,
        BudgetSpent,
        CallerError,
        CallsExceeded,
        CannotPause,
        ClocheError,
        ConfigurationError,
        FuelExhausted,
        GuestCrashed,
        GuestError,
        GuestException,
        HostMemoryExceeded,
        ImageError,
        ImageNotFound,
        Interrupted,
        LimitExceeded,
        MemoryExceeded,
        NotSuspended,
        OutputExceeded,
        PackageRefused,
        ProtocolError,
        RecordingError,
        ResultTooLarge,
        SessionBusy,
        SessionClosed,
        SessionSuspended,
        SnapshotBusy,
        SnapshotCorrupt,
        SnapshotError,
        SnapshotMismatch,
        SnapshotNotFound,
        StackOverflow,
        TimeExceeded,
        UnserializableValue,
    )
    from cloche.runtime.images import Image
    from cloche.runtime.limits import Limits, SessionBudget, Spent
    from cloche.runtime.recording.recorder import Recorder
    from cloche.runtime.recording.recording import Recording
    from cloche.runtime.recording.replay import Replay, replay
    from cloche.runtime.result import (
        Display,
        Event,
        Finished,
        Output,
        Result,
        ToolCallRecord,
        ToolFinished,
        ToolStarted,
        Usage,
        ValueRepr,
    )
    from cloche.runtime.sandbox import Sandbox
    from cloche.runtime.session.session import Session, Suspended
    from cloche.runtime.snapshots.snapshot import Snapshot
    from cloche.runtime.snapshots.stores.base import SnapshotStore
    from cloche.runtime.snapshots.stores.folder import FolderStore
    from cloche.runtime.snapshots.stores.fsspec import FsspecStore
    from cloche.runtime.snapshots.stores.redis import RedisStore
    from cloche.runtime.snapshots.stores.sqlite import SQLiteStore
    from cloche.serve.client import Client

__all__ = [
    "ActionStep",
    "AgentMemory",
    "AmazonBedrockModel",
    "AzureOpenAIModel",
    "BlaxelExecutor",
    "BlockedTools",
    "BudgetSpent",
    "CallerError",
    "CallsExceeded",
    "CannotPause",
    "ChatMessage",
    "Client",
    "ClocheError",
    "CodeAgent",
    "ConfigurationError",
    "Display",
    "DockerExecutor",
    "DuckDuckGoSearchTool",
    "E2BExecutor",
    "Event",
    "FinalAnswerStep",
    "FinalAnswerTool",
    "Finished",
    "FolderStore",
    "FsspecStore",
    "FuelClock",
    "FuelExhausted",
    "GoogleSearchTool",
    "GradioUI",
    "GuestCrashed",
    "GuestError",
    "GuestException",
    "HfApiModel",
    "HostMemoryExceeded",
    "Image",
    "ImageError",
    "ImageNotFound",
    "InferenceClientModel",
    "Interrupted",
    "LimitExceeded",
    "Limits",
    "LiteLLMModel",
    "LiteLLMRouterModel",
    "LocalPythonExecutor",
    "MCPClient",
    "MLXModel",
    "MemoryExceeded",
    "ModalExecutor",
    "Model",
    "MultiStepAgent",
    "NotSuspended",
    "OpenAIModel",
    "Output",
    "OutputExceeded",
    "PackageRefused",
    "PlanningStep",
    "ProtocolError",
    "PythonInterpreterTool",
    "Recorder",
    "Recording",
    "RecordingError",
    "RedisStore",
    "Replay",
    "Result",
    "ResultTooLarge",
    "RunResult",
    "SQLiteStore",
    "Sandbox",
    "Scheduler",
    "Session",
    "SessionBudget",
    "SessionBusy",
    "SessionClosed",
    "SessionSuspended",
    "Snapshot",
    "SnapshotBusy",
    "SnapshotCorrupt",
    "SnapshotError",
    "SnapshotMismatch",
    "SnapshotNotFound",
    "SnapshotStore",
    "Spent",
    "StackOverflow",
    "Suspended",
    "SuspendedCall",
    "SystemPromptStep",
    "TaskStep",
    "TimeExceeded",
    "Tool",
    "ToolCallRecord",
    "ToolCallingAgent",
    "ToolCollection",
    "ToolDefinitionError",
    "ToolFinished",
    "ToolRegistry",
    "ToolRejected",
    "ToolStarted",
    "TransformersModel",
    "UnserializableValue",
    "Usage",
    "UserInputTool",
    "VLLMModel",
    "ValueRepr",
    "VisitWebpageTool",
    "WebSearchTool",
    "WikipediaSearchTool",
    "gradio_app",
    "load_tool",
    "replay",
    "tool",
]

_NAMES: dict[str, tuple[str, ...]] = {
    "cloche.agent": (
        "ActionStep",
        "AgentMemory",
        "AmazonBedrockModel",
        "AzureOpenAIModel",
        "BlaxelExecutor",
        "ChatMessage",
        "CodeAgent",
        "DockerExecutor",
        "E2BExecutor",
        "FinalAnswerStep",
        "HfApiModel",
        "InferenceClientModel",
        "LiteLLMModel",
        "LiteLLMRouterModel",
        "LocalPythonExecutor",
        "MLXModel",
        "ModalExecutor",
        "Model",
        "MultiStepAgent",
        "OpenAIModel",
        "PlanningStep",
        "REMOVE_PARAMETER",
        "RunResult",
        "SystemPromptStep",
        "TaskStep",
        "ToolCallingAgent",
        "TransformersModel",
        "VLLMModel",
    ),
    "cloche.integrations.gradio": ("GradioUI", "gradio_app"),
    "cloche.host_tools": ("Tool", "ToolDefinitionError", "ToolRegistry", "ToolRejected", "tool"),
    "cloche.host_tools.builtin": (
        "DuckDuckGoSearchTool",
        "FinalAnswerTool",
        "GoogleSearchTool",
        "PythonInterpreterTool",
        "UserInputTool",
        "VisitWebpageTool",
        "WebSearchTool",
        "WikipediaSearchTool",
    ),
    "cloche.host_tools.external": ("MCPClient", "ToolCollection", "load_tool"),
    "cloche.runtime.bridge.environment": ("FuelClock",),
    "cloche.runtime.bridge.pending": ("SuspendedCall",),
    "cloche.runtime.images": ("Image",),
    "cloche.runtime.limits": ("Limits", "SessionBudget", "Spent"),
    "cloche.runtime.recording.recorder": ("Recorder",),
    "cloche.runtime.recording.recording": ("Recording",),
    "cloche.runtime.recording.replay": ("Replay", "replay"),
    "cloche.runtime.result": (
        "Display",
        "Event",
        "Finished",
        "Output",
        "Result",
        "ToolCallRecord",
        "ToolFinished",
        "ToolStarted",
        "Usage",
        "ValueRepr",
    ),
    "cloche.runtime.driving.scheduler": ("Scheduler",),
    "cloche.runtime.sandbox": ("Sandbox",),
    "cloche.runtime.session.session": ("Session", "Suspended"),
    "cloche.runtime.snapshots.snapshot": ("Snapshot",),
    "cloche.runtime.snapshots.stores.base": ("SnapshotStore",),
    "cloche.runtime.snapshots.stores.folder": ("FolderStore",),
    "cloche.runtime.snapshots.stores.fsspec": ("FsspecStore",),
    "cloche.runtime.snapshots.stores.redis": ("RedisStore",),
    "cloche.runtime.snapshots.stores.sqlite": ("SQLiteStore",),
    "cloche.serve.client": ("Client",),
}
# Every other public name is an error.
_NAMES["cloche.runtime.errors"] = tuple(set(__all__).difference(*_NAMES.values()))
_import_name, __dir__ = lazy_names(__name__, _NAMES)


def __getattr__(name: str) -> "Any":
    """Import a public name from its module and keep it. Raises AttributeError for any other name."""
    return installed_version() if name == "__version__" else _import_name(name)


def _dispatcher(tools: "Any") -> "Any":
    # Only here do the layers meet: the runtime knows no tools, and their schemas cost 0.1 s to import.
    return import_module("cloche.host_tools.registry").registry_of(tools)


# At once, so that a Sandbox takes functions wherever it is imported from.
register_converter(_dispatcher)
