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


def test_what_smolagents_needs_and_cloche_does_not_is_taken_with_a_word_why() -> None:
    with pytest.warns(UserWarning, match="executor_type= is not needed: programs always run in a sandbox") as warned:
        CodeAgent([], MODEL, executor_type="docker", executor_kwargs=None)
    assert len(warned) == 1
    assert warned[0].filename == __file__


def test_tags_go_by_smolagents_name_too() -> None:
    assert CodeAgent([], MODEL, code_block_tags=("[", "]")).tags == ("[", "]")
    assert CodeAgent([], MODEL, code_block_tags="markdown").tags == ("```python", "```")
    with pytest.raises(ConfigurationError, match="markdown"):
        CodeAgent([], MODEL, code_block_tags="html")


def test_keywords_of_code_are_none_of_an_agent_that_calls_tools() -> None:
    with pytest.raises(TypeError, match="additional_authorized_imports"):
        ToolCallingAgent([], MODEL, additional_authorized_imports=["json"])


def test_imports_are_looked_for_in_the_image() -> None:
    with pytest.warns(UserWarning, match=r"fails there: numpy, no\.such$"):
        agent = CodeAgent([], MODEL, additional_authorized_imports=["numpy", "json", "no.such", "xml.dom", "os.*"])
    assert agent.imports is None


def test_a_name_is_a_model() -> None:
    model = CodeAgent([], "openai/gpt-5-mini").model
    assert isinstance(model, LiteLLMModel)
    assert model.name == "openai/gpt-5-mini"


@pytest.mark.parametrize("model", [None, "", LiteLLMModel, object()])
def test_what_cannot_be_asked_is_no_model(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="model"):
        CodeAgent([], model)


@pytest.mark.parametrize(("kind", "more"), [(CodeAgent, set[str]()), (ToolCallingAgent, {"python_interpreter"})])
def test_base_tools_are_added_beside_those_given(kind: Any, more: set[str]) -> None:
    pytest.importorskip("ddgs")

    def visit_webpage(url: str) -> str:
        return "mine"

    agent = kind([visit_webpage], MODEL, add_base_tools=True)
    assert set(agent.tools) == {"web_search", "visit_webpage", "final_answer", *more}
    assert agent.tools["visit_webpage"]("x") == "mine"
