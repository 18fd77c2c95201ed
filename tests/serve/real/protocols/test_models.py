"""OpenAI's SDK against the server: a tenant's agents as models, in chats and responses."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served

openai = pytest.importorskip("openai", reason="needs the openai SDK, which cloche[agent] brings")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def client_of(team: Served, tenant: str) -> Any:
    return openai.OpenAI(base_url=f"{team.url}/v1", api_key=team.keys[tenant], max_retries=0, timeout=120)


@pytest.fixture
def client(team: Served) -> Iterator[Any]:
    with client_of(team, "north") as client:
        yield client


def chat(client: Any, *texts: str, **options: Any) -> Any:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return client.chat.completions.create(model="helper", messages=messages, **options)


def test_the_agents_are_models(team: Served, client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["helper", "python"]
    assert client.models.retrieve("helper").owned_by == "cloche"
    with pytest.raises(openai.NotFoundError, match="there is no model 'other'; there are: helper, python"):
        client.models.retrieve("other")
    with client_of(team, "west") as west:
        assert [model.id for model in west.models.list()] == ["python"]
        with pytest.raises(openai.NotFoundError):
            chat(west, "do: count")


def test_a_chat_that_continues_has_its_variables(team: Served, client: Any) -> None:
    first = chat(client, "do: count", user="one").choices[0].message
    assert first.content == "1"
    assert "total = 1" in first.reasoning_content
    assert "so far 1" in first.reasoning_content
    assert chat(client, "do: count", "1", "do: count", user="one").choices[0].message.content == "2"
    # Neither another user nor another tenant continues it.
    assert chat(client, "do: count", "1", "do: count", user="two").choices[0].message.content == "1"
    with client_of(team, "south") as south:
        assert chat(south, "do: count", "1", "do: count", user="one").choices[0].message.content == "1"


def test_a_chat_is_streamed_with_its_reasoning(client: Any) -> None:
    chunks = list(chat(client, "do: count", stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "1"
    assert "so far 1" in "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert chunks[-1].usage is not None


@pytest.mark.parametrize(("reply", "outcome"), [("Approve.", "paid 20 to ann"), ("too dear", "too dear")])
def test_a_call_that_waits_is_decided_by_the_next_message(client: Any, reply: str, outcome: str) -> None:
    asked = chat(client, "do: pay", user=reply).choices[0].message.content
    assert "`pay`" in asked
    assert '"ann"' in asked
    assert outcome in chat(client, "do: pay", asked, reply, user=reply).choices[0].message.content


def test_one_message_decides_on_all_calls_of_a_program(client: Any) -> None:
    asked = chat(client, "do: twice", user="twice").choices[0].message.content
    done = chat(client, "do: twice", asked, "approve", user="twice").choices[0].message.content
    assert done == '["paid 1 to ann", "paid 2 to bob"]'


def test_responses_continue_and_are_streamed(client: Any) -> None:
    first = client.responses.create(model="helper", input="do: count")
    assert (first.output_text, [item.type for item in first.output]) == ("1", ["reasoning", "message"])
    second = client.responses.create(model="helper", input="do: count", previous_response_id=first.id)
    assert second.output_text == "2"
    # From the same one again, as it was then.
    assert client.responses.create(model="helper", input="do: count", previous_response_id=first.id).output_text == "2"
    with client.responses.stream(model="helper", input="do: count") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "1"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_a_run_that_fails_is_an_error_of_the_api(client: Any) -> None:
    with pytest.raises(openai.APIStatusError, match="KeyError"):
        chat(client, "do: what the model cannot")


def test_a_client_that_goes_away_ends_its_run(team: Served) -> None:
    body = {"model": "helper", "messages": [{"role": "user", "content": "do: spin"}]}
    http, wait = team.http(), threading.Event()
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=1)

    def runs() -> bool:
        return bool(http.get("/v1/agent-runs", params={"in": "spin", "status": "running"}).json()["runs"])

    assert any(not runs() or wait.wait(0.1) for _ in range(600))


def test_hostile_requests_are_refused_in_the_shape_of_the_api(team: Served) -> None:
    fine = {"model": "helper", "messages": [{"role": "user", "content": "do: count"}]}
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}
    with team.http() as http:
        bad = [
            http.post("/v1/chat/completions", content=b"[" * 100_000),
            http.post("/v1/chat/completions", content=b"[]"),
            http.post("/v1/chat/completions", json={"model": "helper"}),
            http.post("/v1/chat/completions", json={**fine, "model": {"a": 1}}),
            http.post("/v1/chat/completions", json={**fine, "messages": [{"role": "system", "content": "x"}]}),
            http.post("/v1/chat/completions", json={**fine, "messages": [1] * 5_000}),
            http.post("/v1/chat/completions", json={**fine, "messages": [{"role": "user", "content": [image]}]}),
            http.post("/v1/chat/completions", content=bytes(2 << 20)),
            http.post("/v1/responses", json={"model": "helper", "input": 5}),
        ]
        assert all(400 <= answer.status_code < 500 for answer in bad), bad
        assert all("message" in answer.json()["error"] for answer in bad)
    assert httpx.post(f"{team.url}/v1/chat/completions", json=fine).status_code == 401
