"""The model of an example: a live one where CLOCHE_MODEL names it, else the answers written down here."""

import os
from collections.abc import Iterable

from cloche.agent import LiteLLMModel, Model, ScriptedModel
from cloche.agent.models.scripted import Line

__all__ = ["code", "model_or"]


def model_or(lines: Iterable[Line]) -> Model:
    """Return the live model (``CLOCHE_MODEL=openai/gpt-5-mini``, ``ollama_chat/qwen3``, ...), or a scripted one."""
    name = os.environ.get("CLOCHE_MODEL")
    return LiteLLMModel(name) if name else ScriptedModel(lines)


def code(thought: str, program: str) -> str:
    """Return an answer as a model writes it: a thought, then a program between the tags."""
    return f"{thought}\n<code>\n{program}\n</code>"
