"""LiteLLM's models against a real server on this machine."""

import asyncio
import os
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

from cloche.agent import (
    CodeAgent,
    CostExceeded,
    LiteLLMModel,
    Message,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelReplyInvalid,
    ModelRequest,
    ModelTimeout,
    ModelUnavailable,
    Reply,
    RunBudget,
    RunRecorder,
    ToolCallingAgent,
)
from cloche.agent.events import AgentEvent, RunEnded, TextDelta
from cloche.agent.models import litellm
from cloche.host_tools import tool

from .chat_server import Answer, ChatServer, Misdeed, chat_server

KEY = "sk-local-secret-123456"
REQUEST = ModelRequest((Message.of("system", "Be brief."), Message.of("user", "Hi")), stop=("STOP",))

# LiteLLM's own doing, in its streams, in its threads and at its exit; ours raise no warning.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("ResourceWarning", "DeprecationWarning", "UserWarning", "RuntimeWarning")
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "_FIRST", 0.001)


def model(server: ChatServer, **options: Any) -> LiteLLMModel:
    settings: dict[str, Any] = {"price": (1.0, 2.0), **options}
    return LiteLLMModel("openai/local", api_base=server.url, api_key=KEY, **settings)


def generate(one: LiteLLMModel) -> Reply:
    return one.generate(REQUEST)


def agenerate(one: LiteLLMModel) -> Reply:
    return asyncio.run(one.agenerate(REQUEST))


def stream(one: LiteLLMModel) -> Reply:
    return _last(list(one.stream(REQUEST)))


def astream(one: LiteLLMModel) -> Reply:
    async def main() -> Reply:
        return _last([piece async for piece in one.astream(REQUEST)])

    return asyncio.run(main())


def _last(pieces: list[Any]) -> Reply:
    assert isinstance(pieces[-1], Reply)
    return pieces[-1]


WAYS = pytest.mark.parametrize("ask", [generate, agenerate, stream, astream])
Ask = Callable[[LiteLLMModel], Reply]


@WAYS
def test_an_answer_with_its_tokens_and_cost(ask: Ask) -> None:
    with chat_server("Hello, you. STOP and more") as server:
        reply = ask(model(server, temperature=0.5))
    assert reply.message.text in ("Hello, you. ", "Hello, you. STOP and more")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 20)
    assert reply.usage.cost == pytest.approx(0.00014)
    assert server.keys == [f"Bearer {KEY}"]
    request = server.requests[0]
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert (request["stop"], request["temperature"], request["model"]) == (["STOP"], 0.5, "local")


@WAYS
def test_tool_calls_however_they_arrive(ask: Ask) -> None:
    calls = [{"name": "add", "arguments": '{"a": 1, "b": [2]}'}, {"name": "odd", "arguments": '{"a": '}]
    with chat_server(calls) as server:
        first, second = ask(model(server)).message.tool_calls
    assert (first.id, first.name, first.arguments) == ("call_0", "add", {"a": 1, "b": [2]})
    assert (second.name, second.arguments, second.raw) == ("odd", None, '{"a": ')


LIMITED = Misdeed(429, b'{"error": {"message": "slow down"}}', {"retry-after": "0"})


@WAYS
@pytest.mark.parametrize(
    "deed",
    [
        LIMITED,
        Misdeed(500, b'{"error": {"message": "oops"}}'),
        Misdeed(503, b"overloaded"),
        Misdeed(drop=True),
        Misdeed(200, b"this is no JSON"),
        Misdeed(200, b'{"choices": []}'),
        Misdeed(200, b'{"id": "1", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant"}}]}'),
    ],
    ids=["limited", "failing", "overloaded", "dropped", "no-json", "no-choice", "empty"],
)
def test_what_may_pass_is_tried_again(ask: Ask, deed: Misdeed) -> None:
    with chat_server(deed, deed, "at last") as server:
        assert ask(model(server)).message.text == "at last"
    assert len(server.requests) == 3


@WAYS
@pytest.mark.parametrize(
    ("deed", "error"),
    [
        (LIMITED, ModelRateLimited),
        (Misdeed(500, b'{"error": {"message": "oops"}}'), ModelUnavailable),
        (Misdeed(drop=True), (ModelUnavailable, ModelReplyInvalid)),
        (Misdeed(200, b'{"choices": []}'), (ModelReplyInvalid, ModelUnavailable)),
        (Misdeed(hang=30), ModelTimeout),
    ],
    ids=["limited", "failing", "dropped", "no-choice", "hanging"],
)
def test_what_does_not_pass_is_a_typed_error(ask: Ask, deed: Misdeed, error: type[ModelError]) -> None:
    with chat_server(deed, deed) as server, pytest.raises(error):
        ask(model(server, retries=1, timeout=0.5 if deed.hang else 20))
    assert len(server.requests) == 2


@WAYS
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_wrong_request_is_not_repeated_and_the_key_is_not_shown(ask: Ask, status: int) -> None:
    body = f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()
    with chat_server(Misdeed(status, body)) as server, pytest.raises(ModelRefused) as caught:
        ask(model(server))
    assert len(server.requests) == 1
    assert caught.value.status == status
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)


CALL = ModelRequest(REQUEST.messages, tools=({"name": "add", "description": "", "parameters": {}},), must_call=True)


@WAYS
def test_a_call_is_demanded_of_servers_that_can_be_made_to(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.agent.real.test_litellm.REQUEST", CALL)
    refusal = Misdeed(400, b'{"error": {"message": "this model does not support this tool_choice"}}')
    with chat_server(refusal, "one", "two") as server:
        one = model(server)
        assert [ask(one).message.text, ask(one).message.text] == ["one", "two"]
    assert [request.get("tool_choice") for request in server.requests] == ["required", None, None]


@pytest.mark.parametrize("name", ["openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_a_missing_key_is_refused_in_a_line_and_not_retried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if "KEY" in variable or "TOKEN" in variable:
            monkeypatch.delenv(variable)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits") if seconds else None)
    with pytest.raises(ModelRefused, match=r"needs a key: pass api_key=..., or set \w+_API_KEY") as caught:
        LiteLLMModel(name).generate(REQUEST)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["SDK not found. Install it with: pip install 'x[y]'", "No module named 'vertexai'", "boto import failed"]
)
def test_a_package_that_a_provider_lacks_is_not_asked_for_again(text: str) -> None:
    problem: Any = RuntimeError(text)
    problem.status_code = 500
    assert not litellm.model_error(problem, litellm.Secret(None)).retryable
    problem.status_code = 429
    assert litellm.model_error(problem, litellm.Secret(None)).retryable


def test_an_error_is_one_line_without_a_providers_traceback() -> None:
    text = (
        "litellm.APIConnectionError: APIConnectionError: XException - it broke,\nbadly\n"
        "Traceback (most recent call last):"
        '\n  File "x.py", line 1\n\nThis looks like a bug in LiteLLM rather than in your request. File it'
    )
    assert str(litellm.model_error(RuntimeError(text), litellm.Secret(None))) == "it broke, badly"
    long = litellm.model_error(RuntimeError("word " * 1_000), litellm.Secret(None))
    assert len(str(long)) <= 600


def test_no_server_is_unavailable() -> None:
    with chat_server() as server:
        pass
    with pytest.raises(ModelUnavailable):
        model(server, retries=0).generate(REQUEST)


def test_the_key_is_in_no_repr_and_no_pickle() -> None:
    one = LiteLLMModel("openai/local", api_key=KEY)
    assert KEY not in repr(one)
    assert KEY not in repr(vars(one))
    assert KEY.encode() not in pickle.dumps(one._key)  # pyright: ignore[reportPrivateUsage]


def code(program: str) -> str:
    return f"Thinking.\n<code>\n{program}\n</code>"


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def run(agent: Any) -> Any:
    return agent.run("t")


def arun(agent: Any) -> Any:
    return asyncio.run(agent.arun("t"))


def streamed(agent: Any) -> Any:
    return _answer(list(agent.run("t", stream=True)))


def astreamed(agent: Any) -> Any:
    async def main() -> list[AgentEvent]:
        return [event async for event in agent.astream("t")]

    return _answer(asyncio.run(main()))


def _answer(events: list[AgentEvent]) -> Any:
    last = events[-1]
    assert isinstance(last, RunEnded)
    return last.result.unwrap()


RUNS = pytest.mark.parametrize("go", [run, arun, streamed, astreamed])


@RUNS
def test_a_whole_run_of_code_through_all_misfortunes(go: Callable[[Any], Any]) -> None:
    answers: list[Answer] = [
        LIMITED,
        code("x = add(1, 2)"),
        Misdeed(drop=True),
        "I have no code for you.",
        Misdeed(200, b"garbage"),
        code("final_answer(x)"),
    ]
    with chat_server(*answers) as server, CodeAgent([add], model(server)) as agent:
        assert go(agent) == 3
        assert [step.number for step in agent.memory.actions] == [1, 2, 3]
        assert agent.memory.usage.total == 360
    assert len(server.requests) == 6
    # What broke off in between has left nothing in the conversation.
    said = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "assistant"]
    assert said == [code("x = add(1, 2)"), "I have no code for you."]


@RUNS
def test_a_whole_run_of_tool_calls(go: Callable[[Any], Any]) -> None:
    calls = [{"name": "add", "arguments": '{"a": 1, "b": 2}'}, {"name": "add", "arguments": "oops"}]
    final = [{"name": "final_answer", "arguments": '{"answer": 3}'}]
    with chat_server(calls, Misdeed(drop=True), final) as server:
        assert go(ToolCallingAgent([add], model(server))) == 3
    shown = server.requests[-1]["messages"]
    assert [message["role"] for message in shown] == ["system", "user", "assistant", "tool", "tool"]
    assert {tool["function"]["name"] for tool in server.requests[0]["tools"]} == {"add", "final_answer"}
    assert shown[3]["content"] == "3"
    assert "not a JSON object" in shown[4]["content"]


def test_a_stream_that_breaks_is_taken_back_before_it_is_begun_anew() -> None:
    with chat_server(Misdeed(drop=True), code("final_answer(1)")) as server, CodeAgent([], model(server)) as agent:
        deltas = [event for event in agent.run("t", stream=True) if isinstance(event, TextDelta)]
    restart = next(index for index, delta in enumerate(deltas) if delta.restart)
    assert "".join(delta.text for delta in deltas[restart:]).strip().startswith("Thinking.")


def test_nothing_is_lost_when_the_model_stays_away() -> None:
    gone = Misdeed(500, b"{}")
    answers: list[Answer] = [code("x = 6"), gone, gone, code("final_answer(x)")]
    with chat_server(*answers) as server, CodeAgent([], model(server, retries=1)) as agent:
        with pytest.raises(ModelUnavailable):
            agent.run("t")
        assert agent.resume() == 6


def test_money_is_counted_and_bounded() -> None:
    budget = RunBudget(cost=0.0002)
    with chat_server(code("1"), code("2"), code("3")) as server:
        agent = CodeAgent([], model(server), budget=budget)
        with agent, pytest.raises(CostExceeded):
            agent.run("t")
    assert len(server.requests) == 2


def test_keys_reach_no_prompt_and_no_record(tmp_path: Any) -> None:
    path = tmp_path / "run.jsonl"
    program = "import os\nfinal_answer(str(dict(os.environ)) + str(globals()))"
    with chat_server(code(program)) as server, CodeAgent([], model(server), observers=[RunRecorder(path)]) as agent:
        assert KEY not in agent.run("t")
        agent.memory.save(tmp_path / "memory.json")
    assert KEY not in path.read_text() + (tmp_path / "memory.json").read_text() + str(server.requests)


def test_requests_keep_to_their_rate() -> None:
    pace = litellm.Pace(60)
    waits = [pace.take() for _ in range(3)]
    assert waits[0] == 0
    assert waits[1] == pytest.approx(1, abs=0.2)
    assert waits[2] == pytest.approx(2, abs=0.2)


def test_a_router_can_stand_in_between() -> None:
    from litellm.router import Router

    with chat_server("routed") as server:
        entry = {
            "model_name": "any",
            "litellm_params": {"model": "openai/local", "api_base": server.url, "api_key": KEY},
        }
        router = Router(model_list=[entry], num_retries=0)
        reply = LiteLLMModel("any", router=router, price=(0, 0)).generate(REQUEST)
    assert reply.message.text == "routed"
