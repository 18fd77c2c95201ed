"""Models by smolagents' names, asked by hand and by agents, with a server on this machine."""

from collections.abc import Generator
from typing import Any

import pytest

pytest.importorskip("litellm", reason="the extra 'agent' is not installed")

import cloche
from cloche import (
    REMOVE_PARAMETER,
    AmazonBedrockModel,
    AzureOpenAIModel,
    CodeAgent,
    HfApiModel,
    InferenceClientModel,
    LiteLLMModel,
    LiteLLMRouterModel,
    MLXModel,
    OpenAIModel,
    ToolCallingAgent,
    TransformersModel,
    VLLMModel,
)
from cloche.agent import ModelRefused, ScriptedModel, ToolRequest
from cloche.runtime.errors import ConfigurationError

from .chat_server import ChatServer, chat_server

# LiteLLM's import warns, with some versions of pydantic.
pytestmark = pytest.mark.filterwarnings("ignore")

# A protocol for type checkers; called or subclassed it is more.
BASE: Any = cloche.Model
HELLO = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


@pytest.fixture
def server() -> Generator[ChatServer]:
    with chat_server("one", "two", "three") as script:
        yield script


def test_a_model_is_called_with_messages(server: ChatServer) -> None:
    model = OpenAIModel(model_id="org/m", api_base=server.url, api_key="key", temperature=0.5)
    said = model([{"role": "system", "content": "Be brief."}, *HELLO], stop_sequences=["END"])
    assert (said.role, said.content, said.tool_calls) == ("assistant", "one", ())
    assert said.token_usage is not None
    assert said.token_usage.total == 120
    request = server.requests[0]
    assert (request["model"], request["temperature"], request["stop"]) == ("org/m", 0.5, ["END"])
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert model.model_id == "openai/org/m"


def test_a_parameter_can_be_removed(server: ChatServer) -> None:
    model = OpenAIModel("m", api_base=server.url, api_key="k", stop=REMOVE_PARAMETER)
    model(HELLO, stop_sequences=["END"])
    assert "stop" not in server.requests[0]


def test_hugging_face_is_asked_with_its_own_key_only(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", "/nowhere/at/all")
    InferenceClientModel("org/m", provider="together", base_url=server.url)(HELLO)
    monkeypatch.setenv("HF_TOKEN", "of-hf")
    HfApiModel("org/m", base_url=server.url)(HELLO)
    assert [request["model"] for request in server.requests] == ["org/m:together", "org/m"]
    assert server.keys == ["Bearer no-token", "Bearer of-hf"]


def test_a_router_chooses_among_models(server: ChatServer) -> None:
    place = {"model": "openai/small", "api_base": server.url, "api_key": "k"}
    model = LiteLLMRouterModel(
        model_id="group",
        model_list=[{"model_name": "group", "litellm_params": place}],
        client_kwargs={"routing_strategy": "simple-shuffle"},
    )
    assert model(HELLO).content == "one"
    assert server.requests[0]["model"] == "small"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LiteLLMModel(model_name="bedrock/x"), "bedrock/x"),
        (AzureOpenAIModel("dep", azure_endpoint="https://e", api_version="1", api_key="k"), "azure/dep"),
        (AmazonBedrockModel("amazon.nova", client_kwargs={"region_name": "eu"}), "bedrock/amazon.nova"),
        (MLXModel("mlx/m"), "openai/mlx/m"),
        (VLLMModel(model_id="v/m"), "openai/v/m"),
        (TransformersModel(model_id="org/m", max_new_tokens=9, temperature=0.7, device_map="auto"), "org/m"),
        (BASE("ollama_chat/m"), "ollama_chat/m"),
    ],
)
def test_names(model: Any, name: str) -> None:
    assert model.name == model.model_id == name


def test_settings_go_where_the_provider_wants_them() -> None:
    azure: Any = AzureOpenAIModel("dep", azure_endpoint="https://e", api_version="1")
    assert (azure.api_base, azure.options) == ("https://e", {"api_version": "1"})

    class Keys:
        access_key, secret_key, token = "a", "s", None

    class Client:
        meta = type("Meta", (), {"region_name": "eu"})
        _request_signer = type("Signer", (), {"_credentials": Keys})

    bedrock: Any = AmazonBedrockModel("m", client=Client())
    assert bedrock.options == {"aws_region_name": "eu", "aws_access_key_id": "a", "aws_secret_access_key": "s"}


@pytest.mark.parametrize("kind", [OpenAIModel, AzureOpenAIModel, AmazonBedrockModel, TransformersModel])
@pytest.mark.parametrize("model_id", [None, ""])
def test_a_model_without_a_name_is_refused(kind: Any, model_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        kind(model_id=model_id)


class Echo(BASE):  # type: ignore[misc]
    """A model of one's own as smolagents has it."""

    def generate(self, messages: Any, stop_sequences: Any = None, **options: Any) -> Any:
        self.seen = messages
        self.stop = stop_sequences
        return type("Answer", (), {"content": "Well.\n<code>\nfinal_answer(len('abc'))\n</code>", "tool_calls": None})


def test_a_model_of_ones_own_takes_messages() -> None:
    model = Echo(model_id="mine")
    with CodeAgent([], model) as agent:
        assert agent.run("t") == 3
    assert [message["role"] for message in model.seen] == ["system", "user"]
    assert model.seen[1]["content"][0]["type"] == "text"
    assert model.stop == ["\nObservation:"]


def test_a_function_is_a_model() -> None:
    def answer(messages: list[dict[str, Any]]) -> dict[str, Any]:
        function = {"name": "final_answer", "arguments": '{"answer": "yes"}'}
        usage = {"input_tokens": 1, "output_tokens": 2}
        return {"role": "assistant", "content": None, "tool_calls": [{"function": function}], "token_usage": usage}

    given: Any = answer
    result = ToolCallingAgent([], given).run("t", return_full_result=True)
    assert (result.output, result.usage.total) == ("yes", 3)


def test_what_such_a_model_raises_ends_the_run_typed() -> None:
    def broken(messages: Any) -> str:
        raise ZeroDivisionError("inside")

    given: Any = broken
    with CodeAgent([], given) as agent, pytest.raises(ModelRefused, match="ZeroDivisionError: inside"):
        agent.run("t")


def test_a_step_before_reads_as_text_for_such_a_model() -> None:
    seen: list[Any] = []
    lines = iter(['{"name": "double", "arguments": {"n": 4}}', '{"name": "final_answer", "arguments": {"answer": 8}}'])

    def double(n: int) -> int:
        return 2 * n

    def answer(messages: Any, stop_sequences: Any) -> str:
        seen[:] = messages
        return next(lines)

    given: Any = answer
    assert ToolCallingAgent([double], given).run("t") == 8
    assert {"role": "user", "content": [{"type": "text", "text": "8"}]} in seen


def test_a_scripted_model_stays_what_it_is() -> None:
    model = ScriptedModel([ToolRequest(id="1", name="final_answer", arguments={"answer": 1})])
    assert ToolCallingAgent([], model).model is model
