"""Agents: models that solve tasks by writing Python, or by calling tools.

::

    from cloche.agent import CodeAgent, LiteLLMModel

Each name is imported from its module when it is first used; litellm only when a LiteLLMModel is asked.
"""

from typing import TYPE_CHECKING, Any

from cloche.runtime._imports import lazy_names

if TYPE_CHECKING:
    REMOVE_PARAMETER: Any
    """As the value of a model's option: requests do not have the option at all."""

    from cloche.agent.base import MultiStepAgent
    from cloche.agent.code_agent import CodeAgent
    from cloche.agent.errors import (
        AgentBusy,
        AgentError,
        AgentInterrupted,
        AgentSuspended,
        BudgetExceeded,
        BudgetUnmeasured,
        CostExceeded,
        ModelError,
        ModelRateLimited,
        ModelRefused,
        ModelReplyInvalid,
        ModelTimeout,
        ModelUnavailable,
        ReplyUnparsable,
        RunTimeExceeded,
        StepsExceeded,
        TokensExceeded,
        ToolCallsExceeded,
    )
    from cloche.agent.events import AgentEvent, RunEnded, RunResult, StepEnded, TextDelta
    from cloche.agent.executor import (
        BlaxelExecutor,
        CodeOutput,
        DockerExecutor,
        E2BExecutor,
        LocalPythonExecutor,
        ModalExecutor,
        PythonExecutor,
    )
    from cloche.agent.memory import AgentMemory
    from cloche.agent.messages import ImagePart, Message, TokenUsage, ToolRequest
    from cloche.agent.models.base import AsyncModel, Delta, ModelRequest, Reply
    from cloche.agent.models.chat import (
        ChatMessage,
    )
    from cloche.agent.models.litellm import LiteLLMModel
    from cloche.agent.models.named import (
        AmazonBedrockModel,
        AzureOpenAIModel,
        HfApiModel,
        InferenceClientModel,
        LiteLLMRouterModel,
        MLXModel,
        Model,
        OpenAIModel,
        VLLMModel,
    )
    from cloche.agent.models.scripted import RecordingModel, ReplayModel, ScriptedModel
    from cloche.agent.models.transformers import TransformersModel
    from cloche.agent.models.wrapping import CachingModel, FallbackModel
    from cloche.agent.monitoring.records import RunRecorder
    from cloche.agent.monitoring.spans import Tracing
    from cloche.agent.monitoring.terminal import TerminalLog
    from cloche.agent.prompting import PromptTemplates
    from cloche.agent.settings import RunBudget
    from cloche.agent.steps import ActionStep, FinalAnswerStep, PlanningStep, SystemPromptStep, TaskStep
    from cloche.agent.tool_agent import ToolCallingAgent

_HOMES = {
    "base": ("MultiStepAgent",),
    "code_agent": ("CodeAgent",),
    "errors": (
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
        "StepsExceeded",
        "TokensExceeded",
        "ToolCallsExceeded",
    ),
    "events": ("AgentEvent", "RunEnded", "RunResult", "StepEnded", "TextDelta"),
    "memory": ("AgentMemory",),
    "messages": ("ImagePart", "Message", "TokenUsage", "ToolRequest"),
    "models.litellm": ("REMOVE_PARAMETER", "LiteLLMModel"),
    "models.base": ("AsyncModel", "Delta", "ModelRequest", "Reply"),
    "models.scripted": ("RecordingModel", "ReplayModel", "ScriptedModel"),
    "models.transformers": ("TransformersModel",),
    "models.wrapping": ("CachingModel", "FallbackModel"),
    "monitoring.records": ("RunRecorder",),
    "monitoring.spans": ("Tracing",),
    "monitoring.terminal": ("TerminalLog",),
    "prompting": ("PromptTemplates",),
    "executor": (
        "BlaxelExecutor",
        "CodeOutput",
        "DockerExecutor",
        "E2BExecutor",
        "LocalPythonExecutor",
        "ModalExecutor",
        "PythonExecutor",
    ),
    "models.chat": ("ChatMessage",),
    "models.named": (
        "AmazonBedrockModel",
        "AzureOpenAIModel",
        "HfApiModel",
        "InferenceClientModel",
        "LiteLLMRouterModel",
        "MLXModel",
        "Model",
        "OpenAIModel",
        "VLLMModel",
    ),
    "settings": ("RunBudget",),
    "steps": ("ActionStep", "FinalAnswerStep", "PlanningStep", "SystemPromptStep", "TaskStep"),
    "tool_agent": ("ToolCallingAgent",),
}

__all__ = [
    "ActionStep",
    "AgentBusy",
    "AgentError",
    "AgentEvent",
    "AgentInterrupted",
    "AgentMemory",
    "AgentSuspended",
    "AmazonBedrockModel",
    "AsyncModel",
    "AzureOpenAIModel",
    "BlaxelExecutor",
    "BudgetExceeded",
    "BudgetUnmeasured",
    "CachingModel",
    "ChatMessage",
    "CodeAgent",
    "CodeOutput",
    "CostExceeded",
    "Delta",
    "DockerExecutor",
    "E2BExecutor",
    "FallbackModel",
    "FinalAnswerStep",
    "HfApiModel",
    "ImagePart",
    "InferenceClientModel",
    "LiteLLMModel",
    "LiteLLMRouterModel",
    "LocalPythonExecutor",
    "MLXModel",
    "Message",
    "ModalExecutor",
    "Model",
    "ModelError",
    "ModelRateLimited",
    "ModelRefused",
    "ModelReplyInvalid",
    "ModelRequest",
    "ModelTimeout",
    "ModelUnavailable",
    "MultiStepAgent",
    "OpenAIModel",
    "PlanningStep",
    "PromptTemplates",
    "PythonExecutor",
    "RecordingModel",
    "ReplayModel",
    "Reply",
    "ReplyUnparsable",
    "RunBudget",
    "RunEnded",
    "RunRecorder",
    "RunResult",
    "RunTimeExceeded",
    "ScriptedModel",
    "StepEnded",
    "StepsExceeded",
    "SystemPromptStep",
    "TaskStep",
    "TerminalLog",
    "TextDelta",
    "TokenUsage",
    "TokensExceeded",
    "ToolCallingAgent",
    "ToolCallsExceeded",
    "ToolRequest",
    "Tracing",
    "TransformersModel",
    "VLLMModel",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
