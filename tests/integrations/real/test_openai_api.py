"""Agents as models of OpenAI's API, asked by its own SDK over real sockets."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

openai = pytest.importorskip("openai", reason="needs the openai SDK, which cloche[agent] brings")
uvicorn = pytest.importorskip("uvicorn", reason="needs cloche[serve]")
httpx = pytest.importorskip("httpx", reason="needs httpx")

from cloche import tool  # noqa: E402
from cloche.agent import CodeAgent, ImagePart, ScriptedModel  # noqa: E402
from cloche.integrations.openai_api import openai_app  # noqa: E402
from cloche.runtime.errors import ConfigurationError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
KEY = "a key"
IMAGE = b'{"role": "user", "content": [{"type": "image_url", "image_url": "/etc/passwd"}]}'


def code(program: str) -> str:
    return f"<code>\n{program}\n</code>"


def answers(request: Any) -> str:
    """Be a model that counts what it was given in its session, and says what it was asked."""
    task = next(m.text for m in reversed(request.messages) if m.role == "user" and "question:" in m.text)
    images = sum(isinstance(part, ImagePart) for message in request.messages for part in message.content)
    word = task.split("question:")[1].strip().split()[0]
    programs = {
        "begin": "total = 1\nprint('counted to', total)\nfinal_answer('begun')",
        "more": "total += 1\nfinal_answer(f'total {total}')",
        "history": f"final_answer({task!r})",
        "order": "try: final_answer(order('a printer'))\nexcept PermissionError as no: final_answer(str(no))",
        "huge": "note = '```'\nfinal_answer(10**5000)",
        "look": f"final_answer({images} * 'image ')",
        "spin": "while True:\n    pass",
    }
    return code(programs[word])


@tool(approval=True)
def order(what: str) -> str:
    """Order something.

    Args:
        what: A thing.
    """
    return f"{what} is ordered"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    agent = CodeAgent([order], ScriptedModel(answers), max_steps=2)
    server = uvicorn.Server(uvicorn.Config(openai_app({"helper": agent}, keys=[KEY], runs=4), log_level="critical"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()
    agent.close()


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=address, api_key=KEY, max_retries=0, timeout=120) as client:
        yield client


def chat(client: Any, *texts: str, **options: Any) -> Any:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return client.chat.completions.create(model="helper", messages=messages, **options)


def test_the_agents_are_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["helper"]
    assert client.models.retrieve("helper").owned_by == "cloche"
    with pytest.raises(openai.NotFoundError, match="there is no model 'other'; there are: helper"):
        client.models.retrieve("other")


def test_a_chat_that_continues_has_its_variables(client: Any) -> None:
    first = chat(client, "question: begin")
    message = first.choices[0].message
    assert message.content == "begun"
    assert "total = 1" in message.reasoning_content
    assert "counted to 1" in message.reasoning_content
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens
    assert chat(client, "question: begin", "begun", "question: more").choices[0].message.content == "total 2"


def test_an_answer_may_be_too_long_a_number_to_write_and_a_program_holds_fences(client: Any) -> None:
    message = chat(client, "question: huge").choices[0].message
    assert message.content
    assert "````python\nnote = '```'" in message.reasoning_content


def test_images_come_inline_or_by_their_address(client: Any) -> None:
    pixel = "data:image/png;base64,iVBORw0KGgo="
    content = [
        {"type": "text", "text": "question: look"},
        {"type": "image_url", "image_url": {"url": pixel}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    shown = client.chat.completions.create(model="helper", messages=[{"role": "user", "content": content}])
    assert shown.choices[0].message.content == "image image "
    parts = [{"type": "input_text", "text": "question: look"}, {"type": "input_image", "image_url": pixel}]
    assert client.responses.create(model="helper", input=[{"role": "user", "content": parts}]).output_text == "image "


def test_a_chat_that_is_not_known_gets_its_text(client: Any) -> None:
    shown = chat(client, "my name is Ada", "hello Ada", "question: history").choices[0].message.content
    assert "my name is Ada" in shown
    assert "hello Ada" in shown


def test_a_user_never_continues_the_chat_of_another(client: Any) -> None:
    chat(client, "question: begin", user="one")
    other, own = (chat(client, "question: begin", "begun", "question: more", user=user) for user in ("two", "one"))
    assert "total 2" not in other.choices[0].message.content
    assert own.choices[0].message.content == "total 2"


def test_a_chat_is_streamed_with_its_reasoning(client: Any) -> None:
    chunks = list(chat(client, "question: begin", stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "begun"
    assert "total = 1" in "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


@pytest.mark.parametrize(("reply", "outcome"), [("Approve.", "a printer is ordered"), ("too dear", "too dear")])
def test_a_call_that_waits_is_decided_by_the_next_message(client: Any, reply: str, outcome: str) -> None:
    asked = chat(client, "question: order", user=reply).choices[0].message.content
    assert "`order`" in asked
    assert "a printer" in asked
    assert outcome in chat(client, "question: order", asked, reply, user=reply).choices[0].message.content


def test_responses_continue_by_their_ids(client: Any) -> None:
    first = client.responses.create(model="helper", input="question: begin", instructions="be brief")
    assert first.output_text == "begun"
    assert [item.type for item in first.output] == ["reasoning", "message"]
    second = client.responses.create(model="helper", input="question: more", previous_response_id=first.id)
    assert second.output_text == "total 2"


def test_responses_are_streamed(client: Any) -> None:
    with client.responses.stream(model="helper", input="question: begin") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == "begun"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.reasoning_summary_text.delta" in kinds


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"[", 400, "the body is no JSON"),
        (b"[" * 100_000, 400, "the body is no JSON"),
        (b"[]", 400, "the body is no object"),
        (b'{"model": "helper"}', 400, "'messages' is no list"),
        (b'{"model": "helper", "messages": []}', 400, "expected 1 to 2000 messages, got 0"),
        (b'{"model": "helper", "messages": [{"role": "assistant", "content": "x"}]}', 400, "is not the user's"),
        (b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}', 404, "there is no model 'other'"),
        (b'{"model": "helper", "messages": [%s]}' % IMAGE, 400, "an image is neither"),
    ],
)
def test_a_bad_request_is_refused_in_the_shape_of_the_api(address: str, body: bytes, status: int, message: str) -> None:
    reply = httpx.post(f"{address}/chat/completions", content=body, headers={"Authorization": f"Bearer {KEY}"})
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


@pytest.mark.parametrize("key", ["wrong", "a keyy", "b"])
def test_a_wrong_key_is_refused(address: str, key: str) -> None:
    for path in ("models", "models/helper"):
        assert httpx.get(f"{address}/{path}", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    assert httpx.post(f"{address}/chat/completions", content=b"{}").status_code == 401


def test_a_client_that_goes_away_ends_its_run(address: str) -> None:
    body = {"model": "helper", "messages": [{"role": "user", "content": "question: spin"}]}
    headers = {"Authorization": f"Bearer {KEY}"}

    def leaves() -> bool:
        try:
            reply = httpx.post(f"{address}/chat/completions", json=body, headers=headers, timeout=1)
        except httpx.ReadTimeout:
            return True
        assert reply.status_code == 429
        return False

    for _ in range(8):  # more than may run at once
        assert until(leaves)


def until(works: Callable[[], bool]) -> bool:
    return any(works() or threading.Event().wait(0.1) for _ in range(300))


def test_agents_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match="name at least one"):
        openai_app({})


def test_the_conversation_used_last_is_kept_and_an_older_one_begins_with_its_text() -> None:
    closed: list[int] = []

    class Noted(CodeAgent):
        def close(self) -> None:
            closed.append(id(self))
            super().close()

    async def talk(client: Any, user: str, *texts: str) -> str:
        messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
        body = {"model": "helper", "user": user, "messages": messages}
        reply = await client.post("/v1/chat/completions", json=body, timeout=120)
        text: str = reply.json()["choices"][0]["message"]["content"]
        return text

    async def talks() -> None:
        with Noted([], ScriptedModel(answers), max_steps=2) as agent:
            transport = httpx.ASGITransport(openai_app({"helper": agent}, conversations=1))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                await talk(client, "one", "question: begin")
                assert not closed
                await talk(client, "two", "question: begin")
                assert len(closed) == 1
                # All of it is its task then, and the model answers the first question that it sees.
                again = ("question: begin", "begun", "question: more")
                assert await talk(client, "one", *again) == "begun"
                # Now that one is kept, and the other gave way to it.
                assert await talk(client, "one", *again, "begun", "question: more") == "total 2"
                assert len(set(closed)) == 2

    asyncio.run(talks())
