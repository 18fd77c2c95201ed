"""Runs of agents over the API: what happens in them, who may decide what, and what is left of them."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served, serving

_AGENTS = r'''
import time
from cloche import tool
from cloche.agent import CodeAgent, ScriptedModel

@tool(approval=True)
def pay(to: str, amount: int) -> str:
    "Pay a person."
    return f"paid {amount} to {to}"

def _code(program):
    return f"I think.\n<code>\n{program}\n</code>"

def _agent(*programs, tools=(), **options):
    lines = [_code(program) for program in programs]
    def answer(request):
        said = sum(message.role == "assistant" for message in request.messages)
        return lines[min(said, len(lines) - 1)]
    return CodeAgent(list(tools), ScriptedModel(answer, cost=0.25), **options)

def payer():
    pays = """first = pay('ann', 20)
print(first)
try:
    second = pay('bob', 400)
except PermissionError as error:
    second = str(error)"""
    return _agent("seen = 1\nprint('<b>seen</b>')", pays, "final_answer([first, second, seen])",
        "final_answer(seen + 1)", tools=[pay], name="payer")

def looper():
    return _agent("print('begun')\nwhile True: pass")

def slow():
    time.sleep(1)
    return looper()

def reader():
    return _agent("final_answer(open('note.txt').read())")

def flooder():
    return _agent("for _ in range(12_000): print('x' * 999)\nfinal_answer(1)")

def manager():
    helper = _agent("print('deep')\nfinal_answer(7)", name="helper", description="Helps.")
    return _agent("final_answer(helper('do it'))", name="manager", managed_agents=[helper])

broken = 3
'''
_MODULE = "team_under_test"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("agents")
    (folder / f"{_MODULE}.py").write_text(_AGENTS)
    names = ("payer", "looper", "slow", "reader", "flooder", "manager", "broken")
    agents = {name: f"{_MODULE}:{name}" for name in names if name != "broken"}
    tenants: dict[str, dict[str, Any]] = {
        "north": {"agents": agents},
        "south": {"agents": {"payer": f"{_MODULE}:payer"}, "quotas": {"concurrent_runs": 1}},
    }
    with serving(folder, tenants) as server:
        yield server


@pytest.fixture
def http(served: Served) -> httpx.Client:
    return served.http()


def begin(http: httpx.Client, agent: str, task: str = "Do it.", **more: Any) -> str:
    answer = http.post("/v1/agent-runs", json={"agent": agent, "task": task, **more})
    assert answer.status_code == 201, answer.text
    return f"/v1/agent-runs/{answer.json()['id']}"


def follow(http: httpx.Client, run: str, until: str = "over", after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    """Return a run's events with their numbers, up to one of that name."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    number, name = 0, ""
    with http.stream("GET", f"{run}/events", headers={"last-event-id": str(after)}) as answer:
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                number = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                found.append((number, name, json.loads(value)))
                if name == until:
                    break
    return found


def names(events: list[tuple[int, str, dict[str, Any]]]) -> list[str]:
    return [name for _, name, _ in events]


def test_a_run_waits_for_a_person_and_takes_corrections(http: httpx.Client) -> None:
    run = begin(http, "payer")
    first = follow(http, run, "waiting")
    assert [number for number, _, _ in first] == list(range(1, len(first) + 1))
    (call,) = first[-1][2]["calls"]
    assert (call["name"], call["arguments"], call["line"]) == ("pay", {"to": "ann", "amount": 20}, 1)
    assert http.get(run).json()["status"] == "waiting"
    answer = {"approve": True, "arguments": {"to": "ann", "amount": 2}}
    assert http.post(f"{run}/calls/1", json=answer).status_code == 204
    second = follow(http, run, "waiting", after=first[-1][0])
    assert second[0][0] == first[-1][0] + 1
    assert http.post(f"{run}/calls/1", json=answer).json()["code"] == "call_answered"
    assert http.post(f"{run}/calls/2", json={"value": 3}).status_code == 422
    assert http.post(f"{run}/calls/2", json={"deny": "too much"}).status_code == 204
    rest = follow(http, run, after=second[-1][0])
    (output,) = [event["output"] for _, name, event in rest if name == "run_ended"]
    assert output == ["paid 2 to ann", "pay() is not allowed: too much", 1]
    assert rest[-1][2]["state"] == "success"
    ended = http.get(run).json()
    assert ended["used"]["steps"] == 3
    assert ended["used"]["cost"] == 0.75
    everything = follow(http, run)
    assert [number for number, _, _ in everything] == list(range(1, len(everything) + 1))
    assert len(everything) == len(first) + len(second) + len(rest)


def test_a_follow_up_and_a_fork_begin_where_a_run_was(http: httpx.Client) -> None:
    run = begin(http, "payer")
    follow(http, run, "waiting")
    origin = {"run": run.rsplit("/", 1)[1], "step": 1}
    fork = begin(http, "payer", "Again.", origin=origin)
    events = follow(http, fork, "waiting")
    assert "<b>seen</b>" not in "".join(event.get("text", "") for _, name, event in events if name == "printed")
    assert http.post("/v1/agent-runs", json={"agent": "payer", "task": "x", "origin": {"run": origin["run"]}}).json()[
        "code"
    ] == ("run_in_progress")
    for call in ("1", "2"):
        assert http.post(f"{run}/calls/{call}", json={"approve": True}).status_code == 204
        follow(http, run, "waiting" if call == "1" else "over", after=len(follow(http, run, "answered")))
    assert http.get(run).json()["state"] == "success"
    more = begin(http, "payer", "And now?", origin={"run": origin["run"]})
    (output,) = [event["output"] for _, name, event in follow(http, more) if name == "run_ended"]
    assert output == 2


def test_a_stop_ends_a_program_in_the_middle_and_no_other_run(http: httpx.Client) -> None:
    one, other = begin(http, "looper"), begin(http, "looper")
    follow(http, one, "printed")
    follow(http, other, "printed")
    assert http.post(f"{one}/stop").json() == {"stopped": True}
    assert follow(http, one)[-1][2]["state"] == "interrupted"
    assert http.get(other).json()["status"] == "running"
    assert http.delete(other).status_code == 204
    assert http.get(other).status_code == 404


def test_a_run_is_stopped_whose_agent_is_still_being_made(http: httpx.Client) -> None:
    run = begin(http, "slow")
    assert http.post(f"{run}/stop").json() == {"stopped": True}
    assert follow(http, run)[-1][2]["state"] == "interrupted"
    assert http.post(f"{run}/stop").json() == {"stopped": False}


def test_files_and_agents_that_are_managed(http: httpx.Client) -> None:
    note = base64.b64encode(b"from me").decode()
    run = begin(http, "reader", files={"note.txt": note})
    assert [event["output"] for _, name, event in follow(http, run) if name == "run_ended"] == ["from me"]
    assert http.get(f"{run}/files/work/note.txt").content == b"from me"
    assert http.get(f"{run}/files/work/other.txt").status_code == 404
    run = begin(http, "manager")
    events = follow(http, run)
    started = [event for _, name, event in events if name == "run_started"]
    assert [each["agent"] for each in started] == ["manager", "helper"]
    assert started[1]["parent"] == started[0]["run"]
    assert [event["agent"] for _, name, event in events if name == "text_delta"].count("helper") >= 1


def test_a_run_that_prints_megabytes_is_cut(http: httpx.Client) -> None:
    run = begin(http, "flooder")
    events = follow(http, run)
    printed = "".join(event["text"] for _, name, event in events if name == "printed")
    assert 0 < len(printed) < 2_200_000
    assert events[-1][1] == "over"


def test_what_is_asked_wrongly_is_refused(http: httpx.Client, served: Served) -> None:
    for body, status in (
        ({"agent": "nobody", "task": "x"}, 404),
        ({"agent": "payer"}, 422),
        ({"agent": "payer", "task": ""}, 422),
        ({"agent": "payer", "task": "x", "files": {"../up": ""}}, 422),
        ({"agent": "payer", "task": "x", "images": ["%"]}, 422),
        ({"agent": "payer", "task": "x", "origin": {"run": "none"}}, 404),
    ):
        assert http.post("/v1/agent-runs", json=body).status_code == status, body
    run = begin(http, "payer", id="mine")
    assert begin(http, "payer", id="mine") == run
    assert http.post("/v1/agent-runs", json={"agent": "payer", "task": "other", "id": "mine"}).status_code == 409
    # Another tenant's runs do not exist, and its own quota holds.
    south = served.http("south")
    assert south.get(run).status_code == 404
    assert south.get("/v1/agent-runs").json()["runs"] == []
    assert [each["name"] for each in south.get("/v1/agents").json()["agents"]] == ["payer"]
    listed = http.get("/v1/agent-runs", params={"agent": "payer", "status": "waiting"}).json()["runs"]
    assert all(each["agent"] == "payer" for each in listed)


def test_budgets_only_grow_smaller(http: httpx.Client) -> None:
    run = begin(http, "payer", budget={"cost": 0.2, "max_steps": 50})
    events = follow(http, run)
    assert events[-1][2]["state"] == "budget"
    (budget,) = [event for _, name, event in events if name == "budget"]
    assert (budget["cost"], budget["max_steps"]) == (0.2, 20)


def test_a_run_that_waits_survives_its_server(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("again")
    (folder / f"{_MODULE}.py").write_text(_AGENTS)
    tenants = {"north": {"agents": {"payer": f"{_MODULE}:payer", "looper": f"{_MODULE}:looper"}}}
    with serving(folder, tenants) as first:
        http = first.http()
        run, other = begin(http, "payer"), begin(http, "looper")
        follow(http, run, "waiting")
        follow(http, other, "printed")
        keys = first.keys
        _wait_for_state(http, run, "waiting")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
    with serving(folder, tenants, keys=keys) as second:
        http = second.http()
        assert http.get(other).json()["state"] == "lost"
        assert http.post(f"{run}/calls/1", json={"approve": True}).status_code == 204
        events = follow(http, run, "waiting", after=len(follow(http, run, "answered")))
        assert events[-1][2]["calls"][0]["arguments"]["to"] == "bob"


def _wait_for_state(http: httpx.Client, run: str, status: str) -> None:
    until = time.monotonic() + 60
    while http.get(run).json()["status"] != status:
        assert time.monotonic() < until
        time.sleep(0.05)
