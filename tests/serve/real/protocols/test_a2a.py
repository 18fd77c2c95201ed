"""A2A's own SDK against the server: the card, tasks, streams, contexts, input that is required, other tenants."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.serve.servers import Served

pytest.importorskip("a2a", reason="needs a2a-sdk")
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import A2AError, TaskNotFoundError, UnsupportedOperationError

json_format: Any = pytest.importorskip("google.protobuf.json_format")
Use = Callable[[Any], Awaitable[None]]


def with_client(team: Served, use: Use, *, tenant: str = "north", streaming: bool = False) -> None:
    """Read the agent's card, and use it as other agents do."""

    async def connect() -> None:
        headers = {"authorization": f"Bearer {team.keys[tenant]}"}
        async with httpx.AsyncClient(headers=headers, timeout=120) as http:
            card = await A2ACardResolver(http, f"{team.url}/a2a/helper").get_agent_card()
            client = ClientFactory(ClientConfig(httpx_client=http, streaming=streaming)).create(card)
            await use(client)

    asyncio.run(connect())


def said(text: str = "", *, data: Any = None, **more: Any) -> SendMessageRequest:
    parts = [Part(text=text)] if text else [json_format.ParseDict({"data": data}, Part())]
    return SendMessageRequest(message=Message(message_id=str(uuid4()), role="ROLE_USER", parts=parts, **more))


async def sent(client: Any, request: SendMessageRequest) -> list[Any]:
    return [event async for event in client.send_message(request)]


async def task_of(client: Any, request: SendMessageRequest) -> Any:
    return (await sent(client, request))[-1].task


def answer_of(task: Any) -> Any:
    (part,) = json_format.MessageToDict(task)["artifacts"][0]["parts"]
    return part.get("text", part.get("data"))


def test_the_card_says_what_the_agent_is(team: Served) -> None:
    with team.http() as http:
        card = http.get("/a2a/helper/.well-known/agent-card.json").json()
        assert (card["name"], card["description"]) == ("helper", "Helps.")
        assert card["supportedInterfaces"][0]["url"] == f"{team.url}/a2a/helper"
        assert card["capabilities"]["streaming"] is True
        assert {"helper", "pay", "price"} <= {skill["id"] for skill in card["skills"]}
        assert http.get("/a2a/other/.well-known/agent-card.json").status_code == 404
    assert team.http("west").get("/a2a/helper/.well-known/agent-card.json").status_code == 404
    assert httpx.get(f"{team.url}/a2a/helper/.well-known/agent-card.json").status_code == 401


def test_a_task_is_done_shown_and_listed(team: Served) -> None:
    async def use(client: Any) -> None:
        task = await task_of(client, said("do: price of tea"))
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        assert answer_of(task) == 2.5
        shown = await client.get_task(GetTaskRequest(id=task.id))
        assert (shown.id, shown.history[0].parts[0].text) == (task.id, "do: price of tea")
        listed = await client.list_tasks(ListTasksRequest(context_id=task.context_id))
        assert [each.id for each in listed.tasks] == [task.id]
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id="no"))

    with_client(team, use)


def test_a_context_goes_on_with_its_variables(team: Served) -> None:
    async def use(client: Any) -> None:
        first = await task_of(client, said("do: count"))
        second = await task_of(client, said("do: count", context_id=first.context_id))
        assert (answer_of(first), answer_of(second)) == (1, 2)
        assert second.context_id == first.context_id
        assert answer_of(await task_of(client, said("do: count"))) == 1

    with_client(team, use)


def test_a_task_is_streamed(team: Served) -> None:
    async def use(client: Any) -> None:
        events = await sent(client, said("do: count"))
        assert events[0].HasField("task")
        told = [event.status_update.status for event in events if event.HasField("status_update")]
        texts = [status.message.parts[0].text for status in told if status.message.parts]
        assert any("total = 1" in text for text in texts)
        assert "so far 1\n" in texts
        assert [event for event in events if event.HasField("artifact_update")]
        assert told[-1].state == TaskState.TASK_STATE_COMPLETED

    with_client(team, use, streaming=True)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ({"text": "Approve."}, "paid 20 to ann"),
        ({"text": "too dear"}, "too dear"),
        ({"data": {"approved": True, "arguments": {"to": "ann", "amount": 2}}}, "paid 2 to ann"),
        ({"data": {"approved": False, "reason": "no"}}, "no: "),
    ],
)
def test_a_task_wants_input_and_takes_it(team: Served, reply: Any, outcome: str) -> None:
    async def use(client: Any) -> None:
        task = await task_of(client, said("do: pay her"))
        assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert "pay(to=" in task.status.message.parts[0].text
        done = await task_of(client, said(**reply, task_id=task.id, context_id=task.context_id))
        assert (done.id, done.status.state) == (task.id, TaskState.TASK_STATE_COMPLETED)
        assert outcome in answer_of(done)
        with pytest.raises(UnsupportedOperationError):
            await task_of(client, said("again", task_id=task.id))

    with_client(team, use)


def test_a_task_is_cancelled_and_followed(team: Served) -> None:
    async def use(client: Any) -> None:
        sending = client.send_message(said("do: spin"))
        task = (await anext(sending)).task
        while "begun" not in str((await anext(sending)).status_update.status.message):
            pass
        following = client.subscribe(SubscribeToTaskRequest(id=task.id))
        assert (await anext(following)).task.id == task.id
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        for stream in (sending, following):
            last = [event async for event in stream][-1]
            assert last.status_update.status.state == TaskState.TASK_STATE_CANCELED
        with pytest.raises(A2AError):
            await client.cancel_task(CancelTaskRequest(id=task.id))

    with_client(team, use, streaming=True)


def test_a_task_is_cancelled_at_once(team: Served) -> None:
    async def use(client: Any) -> None:
        request = said("do: spin")
        request.configuration.return_immediately = True
        task = await task_of(client, request)
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED

    with_client(team, use)


def test_a_task_that_fails_says_why(team: Served) -> None:
    async def use(client: Any) -> None:
        task = await task_of(client, said("do: what the model cannot"))
        assert task.status.state == TaskState.TASK_STATE_FAILED
        assert "KeyError" in task.status.message.parts[0].text

    with_client(team, use)


def test_another_tenants_task_does_not_exist(team: Served) -> None:
    tasks: list[Any] = []

    async def make(client: Any) -> None:
        tasks.append(await task_of(client, said("do: pay")))

    async def steal(client: Any) -> None:
        for attempt in (
            client.get_task(GetTaskRequest(id=tasks[0].id)),
            client.cancel_task(CancelTaskRequest(id=tasks[0].id)),
            task_of(client, said("approve", task_id=tasks[0].id)),
        ):
            with pytest.raises(TaskNotFoundError):
                await attempt
        # A context of that name is the tenant's own.
        own = await task_of(client, said("do: count", context_id=tasks[0].context_id))
        assert answer_of(own) == 1
        listed = await client.list_tasks(ListTasksRequest(context_id=tasks[0].context_id))
        assert [each.id for each in listed.tasks] == [own.id]

    with_client(team, make)
    with_client(team, steal, tenant="south")


def test_hostile_calls_are_errors_of_the_protocol(team: Served) -> None:
    def call(method: str, params: Any) -> str:
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    message = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "do: count"}]}
    bad = {
        "[" * 100_000: -32700,
        "[]": -32700,
        "{}": -32600,
        call("SendMessage", []): -32600,
        call("SendMessage", {}): -32602,
        call("SendMessage", {"message": {"parts": [1, {"text": {"a": 1}}]}}): -32602,
        call("SendMessage", {"message": {**message, "parts": [{"text": "x" * 300_000}]}}): -32602,
        call("SendMessage", {"message": {**message, "taskId": "no"}}): -32001,
        call("GetTask", {"id": "../../etc"}): -32001,
        call("GetTask", {"id": {"a": 1}}): -32602,
        call("ListTasks", {"pageSize": 10**9}): -32602,
        call("CreateTaskPushNotificationConfig", {"url": "http://127.0.0.1"}): -32003,
        call("Nothing", {}): -32601,
    }
    with team.http() as http:
        for body, code in bad.items():
            answer = http.post("/a2a/helper", content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (200, code), body[:200]
        assert http.post("/a2a/helper", content=bytes(2 << 20)).status_code == 413
        assert http.post("/a2a/other", content=call("GetTask", {"id": "x"})).status_code == 404
    assert httpx.post(f"{team.url}/a2a/helper", content=call("GetTask", {"id": "x"})).status_code == 401
