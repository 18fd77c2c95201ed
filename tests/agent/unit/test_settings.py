"""Keywords of agents and models: smolagents' names for them, and unknown ones."""

from typing import Any

import pytest

from cloche.agent import CodeAgent, LiteLLMModel, ScriptedModel, ToolCallingAgent
from cloche.runtime.errors import ConfigurationError

MODEL = ScriptedModel([])


@pytest.mark.parametrize("kind", [CodeAgent, ToolCallingAgent])
def test_smolagents_names_are_taken(kind: Any) -> None:
    agent = kind([], MODEL, verbosity_level=2, max_print_outputs_length=100)
    assert (agent.settings.verbosity, agent.settings.observation_limit) == (2, 100)


@pytest.mark.parametrize(
    ("kind", "keyword", "nearest"),
    [
        (CodeAgent, "max_step", "max_steps"),
        (CodeAgent, "import", "imports"),
        (ToolCallingAgent, "verbose", "verbosity"),
    ],
)
def test_an_unknown_keyword_names_the_nearest(kind: Any, keyword: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=f"{keyword}.*did you mean '{nearest}'"):
        kind([], MODEL, **{keyword: 1})


def test_a_model_may_be_named_by_model_id() -> None:
    assert LiteLLMModel(model_id="openai/m").name == "openai/m"
    with pytest.raises(ConfigurationError, match="name the model"):
        LiteLLMModel()
