"""What ``cloche.agent`` offers: these names and no others, each from a module that says it exports them."""

import importlib
import pkgutil

import pytest

import cloche.agent

PUBLIC = [
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
MODULES = sorted(found.name for found in pkgutil.walk_packages(cloche.agent.__path__, "cloche.agent."))


def test_the_public_names_are_these() -> None:
    assert cloche.agent.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_comes_from_a_module_that_exports_it(name: str) -> None:
    value = getattr(cloche.agent, name)
    home = getattr(value, "__module__", "")
    # AgentEvent is a union, which has no module.
    assert not home.startswith("cloche.") or name in importlib.import_module(home).__all__


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_says(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(exported) == len(set(exported))
    assert all(hasattr(module, one) for one in exported)
