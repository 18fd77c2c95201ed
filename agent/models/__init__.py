"""Models: what an agent asks for its next step."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloche.agent.models.base import AsyncModel, Delta, Model, ModelRequest, Reply
    from cloche.agent.models.fallback import FallbackModel
    from cloche.agent.models.litellm import LiteLLMModel
    from cloche.agent.models.scripted import RecordingModel, ReplayModel, ScriptedModel
    from cloche.agent.models.transformers import TransformersModel

__all__ = [
    "AsyncModel",
    "Delta",
    "FallbackModel",
    "LiteLLMModel",
    "Model",
    "ModelRequest",
    "RecordingModel",
    "ReplayModel",
    "Reply",
    "ScriptedModel",
    "TransformersModel",
]

_HOMES = {
    "FallbackModel": "fallback",
    "LiteLLMModel": "litellm",
    "RecordingModel": "scripted",
    "ReplayModel": "scripted",
    "ScriptedModel": "scripted",
    "TransformersModel": "transformers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cloche.agent.models' has no attribute {name!r}")
    return getattr(import_module(f"cloche.agent.models.{_HOMES.get(name, 'base')}"), name)
