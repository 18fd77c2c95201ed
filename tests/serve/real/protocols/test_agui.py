"""AG-UI's own types over the wire: runs of agents as its events, interrupts, resume, and clients that mean harm."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.serve.servers import Served

core = pytest.importorskip("ag_ui.core", reason="needs ag-ui-protocol")

from pydantic import TypeAdapter  # noqa: E402

EVENTS: TypeAdapter[Any] = TypeAdapter(core.Event)


@pytest.fixture
def http(team: Served) -> httpx.Client:
    return team.http()


def given(thread: str, text: str = "", **more: Any) -> str:
    """Return a request as front ends make it."""
    messages = [core.UserMessage(id="1", content=text)] if text else []
    made = core.RunAgentInput(thread_id=thread, run_id=str(uuid4()), messages=messages, **more)
    body: str = made.model_dump_json(by_alias=True, exclude_none=True)
    return body


def events_of(http: httpx.Client, body: str) -> Iterator[Any]:
    """Run an agent and yield its events, each read by the protocol's own model."""
    with http.stream("POST", "/ag-ui/helper", content=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield EVENTS.validate_json(line.removeprefix("data: "))


def kinds(events: list[Any]) -> list[str]:
    return [event.type.value for event in events]


def check_order(events: list[Any]) -> None:
    """Check what the protocol's clients check: everything that begins ends, in the run."""
    assert kinds(events)[0] == "RUN_STARTED"
    assert kinds(events)[-1] in ("RUN_FINISHED", "RUN_ERROR")
    steps: list[str] = []
    messages: list[str] = []
    for event in events:
        kind = event.type.value
        if kind == "STEP_STARTED":
            steps.append(event.step_name)
        elif kind == "STEP_FINISHED":
            steps.remove(event.step_name)
        elif kind in ("TEXT_MESSAGE_START", "REASONING_MESSAGE_START"):
            messages.append(event.message_id)
        elif kind in ("TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"):
            assert messages[-1] == event.message_id
        elif kind in ("TEXT_MESSAGE_END", "REASONING_MESSAGE_END"):
            messages.remove(event.message_id)
    assert not steps
    assert not messages


def test_a_run_is_steps_reasoning_calls_state_and_a_message(http: httpx.Client) -> None:
    events = list(events_of(http, given(str(uuid4()), "do: price of tea")))
    check_order(events)
    found = {event.type.value: event for event in events}
    assert found["RUN_STARTED"].protocol_version == "1.0"
    assert "I think." in "".join(e.delta for e in events if e.type.value == "REASONING_MESSAGE_CONTENT")
    calls = {e.tool_call_id: e.tool_call_name for e in events if e.type.value == "TOOL_CALL_START"}
    assert sorted(calls.values()) == ["price", "python"]
    arguments = {calls[e.tool_call_id]: json.loads(e.delta) for e in events if e.type.value == "TOOL_CALL_ARGS"}
    assert arguments["price"] == {"args": ["tea"], "kwargs": {}}
    assert "final_answer(price('tea'))" in arguments["python"]["code"]
    results = {calls[e.tool_call_id]: e.content for e in events if e.type.value == "TOOL_CALL_RESULT"}
    assert results["price"] == "2.5"
    assert "".join(e.delta for e in events if e.type.value == "TEXT_MESSAGE_CONTENT") == "2.5"
    assert found["STATE_SNAPSHOT"].snapshot["agent"] == "helper"
    assert found["STATE_DELTA"].delta[0].value["tool_calls"] == 1
    assert (found["RUN_FINISHED"].outcome.type, found["RUN_FINISHED"].result) == ("success", 2.5)


def test_a_thread_goes_on_with_its_variables(http: httpx.Client) -> None:
    thread, other = str(uuid4()), str(uuid4())
    answers = [list(events_of(http, given(each, "do: count")))[-1].result for each in (thread, thread, other)]
    assert answers == [1, 2, 1]


@pytest.mark.parametrize(
    ("payload", "status", "outcome"),
    [
        ({"approved": True}, "resolved", "paid 20 to ann"),
        ({"approved": True, "arguments": {"to": "ann", "amount": 2}}, "resolved", "paid 2 to ann"),
        ({"approved": False, "reason": "too dear"}, "resolved", "too dear"),
        (None, "cancelled", "cancelled by the user"),
    ],
)
def test_an_approval_interrupts_and_resume_goes_on(http: httpx.Client, payload: Any, status: Any, outcome: str) -> None:
    thread = str(uuid4())
    events = list(events_of(http, given(thread, "do: pay her")))
    check_order(events)
    (interrupt,) = events[-1].outcome.interrupts
    assert interrupt.reason == "approval"
    assert interrupt.metadata["arguments"] == {"to": "ann", "amount": 20}
    assert interrupt.response_schema["properties"]["arguments"]["properties"]["amount"]["type"] == "integer"
    assert datetime.fromisoformat(interrupt.expires_at) > datetime.fromtimestamp(0).astimezone()
    refused = http.post("/ag-ui/helper", content=given(thread, "do: count"))
    assert (refused.status_code, refused.json()["code"]) == (409, "interrupted")
    answer = core.ResumeEntry(interrupt_id=interrupt.id, status=status, payload=payload)
    resumed = list(events_of(http, given(thread, resume=[answer])))
    check_order(resumed)
    assert outcome in resumed[-1].result
    again = http.post("/ag-ui/helper", content=given(thread, resume=[answer]))
    assert again.json()["code"] == "not_interrupted"


def test_interrupts_come_one_after_the_other(http: httpx.Client) -> None:
    thread = str(uuid4())
    events = list(events_of(http, given(thread, "do: twice")))
    for _ in range(2):
        (interrupt,) = events[-1].outcome.interrupts
        answer = core.ResumeEntry(interrupt_id=interrupt.id, status="resolved", payload={"approved": True})
        events = list(events_of(http, given(thread, resume=[answer])))
    assert events[-1].result == ["paid 1 to ann", "paid 2 to bob"]


def test_a_run_that_finds_no_answer_is_an_error(http: httpx.Client) -> None:
    events = list(events_of(http, given(str(uuid4()), "do: what the model cannot")))
    check_order(events)
    assert (events[-1].type.value, events[-1].code) == ("RUN_ERROR", "failed")
    events = list(events_of(http, given(str(uuid4()), "do: fail")))
    check_order(events)
    assert any("ZeroDivisionError" in e.content for e in events if e.type.value == "TOOL_CALL_RESULT")


def test_a_client_that_goes_away_ends_its_run(http: httpx.Client) -> None:
    for event in events_of(http, given(str(uuid4()), "do: spin")):
        if event.type.value == "TOOL_CALL_START":
            break
    wait = threading.Event()

    def runs() -> bool:
        return bool(http.get("/v1/agent-runs", params={"in": "spin", "status": "running"}).json()["runs"])

    assert any(not runs() or wait.wait(0.1) for _ in range(600))


def test_hostile_and_foreign_requests_are_refused(team: Served, http: httpx.Client) -> None:
    thread = str(uuid4())
    events = list(events_of(http, given(thread, "do: pay")))
    interrupt = events[-1].outcome.interrupts[0].id
    answer = core.ResumeEntry(interrupt_id=interrupt, status="resolved", payload={"approved": True})
    stranger = team.http("south").post("/ag-ui/helper", content=given(thread, resume=[answer]))
    assert (stranger.status_code, stranger.json()["code"]) == (409, "not_interrupted")
    assert team.http("west").post("/ag-ui/helper", content=given(thread, "do: count")).status_code == 404
    assert httpx.post(f"{team.url}/ag-ui/helper", content=given(thread, "do: count")).status_code == 401
    forged = core.ResumeEntry(interrupt_id="agui.x:1", status="resolved", payload={"approved": True})
    fine = json.loads(given("t", "do: count"))
    bad = [
        given(thread, resume=[forged]),
        "[" * 100_000,
        "[]",
        "{}",
        json.dumps({**fine, "threadId": ""}),
        json.dumps({**fine, "runId": "x" * 1_000}),
        json.dumps({**fine, "messages": []}),
        json.dumps({**fine, "messages": [1] * 5_000}),
        json.dumps({**fine, "messages": [{"role": "assistant", "content": "x"}]}),
        json.dumps({**fine, "messages": [{"role": "user", "content": {"a": 1}}]}),
        json.dumps({**fine, "resume": "yes"}),
    ]
    assert [400 <= http.post("/ag-ui/helper", content=body).status_code < 500 for body in bad] == [True] * len(bad)
    assert http.post("/ag-ui/other", content=given(thread, "do: count")).status_code in (404, 409)
    assert list(events_of(http, given(thread, resume=[answer])))[-1].result == "paid 20 to ann"


_CLIENT = """
const { HttpAgent } = require("@ag-ui/client");
const agent = new HttpAgent({ url: process.argv[1], headers: { Authorization: `Bearer ${process.argv[2]}` } });
agent.messages = [{ id: "1", role: "user", content: "do:count" }];
const seen = [];
agent.runAgent({}, { onEvent: ({ event }) => { seen.push(event.type); } })
  .then(() => console.log(JSON.stringify([seen[0], seen.at(-1), agent.messages.at(-1).content])));
"""


def test_the_client_for_javascript_reads_a_run(team: Served) -> None:
    node = shutil.which("node")
    look = 'require.resolve("@ag-ui/client")'
    if node is None or subprocess.run([node, "-e", look], capture_output=True, check=False).returncode:
        pytest.skip("needs node, and @ag-ui/client on NODE_PATH")
    command = [node, "-e", _CLIENT, f"{team.url}/ag-ui/helper", team.keys["north"]]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ran.stdout) == ["RUN_STARTED", "RUN_FINISHED", "1"]
