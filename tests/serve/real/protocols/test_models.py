"""A tenant's agents as models, asked by OpenAI's SDK, LiteLLM, and as Open WebUI does.

What their answers look like is tested with ``cloche.integrations.openai_api``, which has the same shapes.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
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


def open_webui(http: httpx.Client, chat: str, *texts: str, user: str = "u-1", **options: Any) -> httpx.Response:
    """Send what Open WebUI 0.6 sends for a message, with ENABLE_FORWARD_USER_INFO_HEADERS."""
    headers = {
        "content-type": "application/json",
        "x-openwebui-user-name": "Ada%20L",
        "x-openwebui-user-id": user,
        "x-openwebui-user-email": "ada@example.org",
        "x-openwebui-user-role": "user",
        "x-openwebui-chat-id": chat,
    }
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    body = {"stream": True, "model": "helper", "messages": messages, **options}
    return http.post("/v1/chat/completions", json=body, headers=headers)


def streamed(answer: httpx.Response) -> tuple[str, str]:
    """Return the text and the reasoning of a streamed answer, as Open WebUI puts them together."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    choices = [choice for line in lines[:-1] for choice in json.loads(line)["choices"]]
    assert choices[-1]["finish_reason"] == "stop"
    deltas = [choice["delta"] for choice in choices]
    return tuple("".join(delta.get(key) or "" for delta in deltas) for key in ("content", "reasoning_content"))  # type: ignore[return-value]


def test_open_webui_finds_its_chats_again_by_their_ids(team: Served) -> None:
    http = team.http()
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["helper", "python"]
    options: dict[str, Any] = {"stream_options": {"include_usage": True}, "temperature": 0.8}
    text, reasoning = streamed(open_webui(http, "c-1", "do: count", **options))
    assert text == "1"
    assert "so far 1" in reasoning
    assert streamed(open_webui(http, "c-1", "do: count", "1\n", "do: count"))[0] == "2"
    # The same words in another chat, or of another user, are another conversation.
    assert streamed(open_webui(http, "c-2", "do: count", "1", "do: count"))[0] == "1"
    assert streamed(open_webui(http, "c-1", "do: count", "1", "do: count", user="u-2"))[0] == "1"
    first, second = (streamed(open_webui(http, chat, "do: pay"))[0] for chat in ("c-3", "c-4"))
    assert first == second
    assert streamed(open_webui(http, "c-3", "do: pay", first, "too dear"))[0].endswith("too dear")
    assert streamed(open_webui(http, "c-4", "do: pay", second, "approve"))[0] == "paid 20 to ann"


def test_litellm_asks_the_agents(team: Served) -> None:
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("needs litellm, of cloche[agent]")
    command = [sys.executable, "-m", "tests.serve.litellm_client", team.url, team.keys["north"]]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[4], check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["text"], said["tokens"] > 0, said["pieces"], said["response"]) == ("1", True, "2", "1")
    assert "so far 1" in said["reasoning"]
    assert "so far 2" in said["reasoning_pieces"]
    assert "completed" in said["last_kind"].lower()
    assert said["refused"] == "NotFoundError"


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
