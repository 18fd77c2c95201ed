"""Which model the environment's keys reach."""

import os

__all__ = ["MODELS_BY_KEY", "model_of_environment"]

MODELS_BY_KEY = {
    "OPENAI_API_KEY": "openai/gpt-5-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-large-latest",
    "HF_TOKEN": "huggingface/Qwen/Qwen3-Coder-480B-A35B-Instruct",
}
"""A model for each variable that may hold a key, by LiteLLM's names."""


def model_of_environment() -> str | None:
    """Return the name of the first model whose key is set, None if there is none."""
    return next((model for key, model in MODELS_BY_KEY.items() if os.environ.get(key)), None)
