"""Nodes on one PostgreSQL or Redis: requests reach the one that has a session, and what a dead one had comes back."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served, serving, write_config

from cloche.bench.serve import PIECES, TAILS


class Nodes:
    """Servers with the same tenants and ledger, each in a folder of its own."""

    def __init__(self, folder: Path, url: str, stack: ExitStack, states: str = "", **tenant: Any) -> None:
        self._folder, self._stack = folder, stack
        self._settings = {"ledger": url, "secret": str(folder / "secret"), "node_life": 2.0, "states": states}
        (folder / "secret").write_bytes(os.urandom(32))
        self._keys = write_config(folder, {"north": tenant, "south": {}}, **self._settings)
        self.all: list[Served] = []

    def limit(self, tenant: str, **quotas: int) -> None:
        """Set quotas of a tenant, for the nodes that are started after it."""
        path = self._folder / "cloche.toml"
        given = ", ".join(f"{name} = {value}" for name, value in quotas.items())
        path.write_text(
            path.read_text().replace(f"[tenants.{tenant}]\n", f"[tenants.{tenant}]\nquotas = {{{given}}}\n")
        )

    def start(self) -> httpx.Client:
        folder = self._folder / f"node{len(self.all)}"
        folder.mkdir()
        (folder / "cloche.toml").write_text((self._folder / "cloche.toml").read_text())
        self.all.append(self._stack.enter_context(serving(folder, keys=self._keys)))
        return self.all[-1].http()

    def kill(self, number: int) -> None:
        """End a node and its workers at once."""
        node = self.all[number]
        for pid in [node.process.pid, *node.workers()]:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    """Nodes on an empty database: PostgreSQL, or Redis with the states in a folder that all of them see."""
    if getattr(request, "param", "postgres") == "redis":
        import redis

        url, states = request.getfixturevalue("redis_url"), str(tmp_path / "states")
        with redis.Redis.from_url(url) as client:
            client.flushall()
    else:
        import psycopg

        url, states = request.getfixturevalue("postgres"), ""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with ExitStack() as stack:
        yield Nodes(tmp_path, url, stack, states)


on_both = pytest.mark.parametrize("nodes", ["postgres", "redis"], indirect=True)


def new_session(http: httpx.Client, **asked: Any) -> str:
    answer = http.post("/v1/sessions", json=asked)
    assert answer.status_code == 201, answer.text
    return f"/v1/sessions/{answer.json()['id']}"


def run(http: httpx.Client, session: str, code: str, **more: Any) -> Any:
    """Run a program, again under the same id for as long as the answer is to be tried later."""
    form: Any = None
    for _ in range(600):
        answer = http.post(f"{session}/runs", json={"code": code, **more})
        form = answer.json()
        if answer.status_code != 503 or "retry_after" not in form:
            return form
        time.sleep(0.1)
    raise AssertionError(form)


def test_clients_that_were_there_already_reach_their_session_at_any_node(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    key = {"x-api-key": nodes.all[0].keys["north"]}
    made = first.post("/e2b/sandboxes", json={}, headers=key).json()
    token = {"e2b-sandbox-id": made["sandboxID"], "x-access-token": made["envdAccessToken"]}
    bare = [httpx.Client(base_url=node.url, timeout=120) for node in nodes.all]
    for number, http in enumerate((*bare, *bare), 1):
        code = "n = globals().get('n', 0) + 1; n"
        said = http.post("/e2b/execute", json={"code": code}, headers=token).text
        assert f'"text":"{number}"' in said, said
    assert bare[1].get(f"/e2b/sandboxes/{made['sandboxID']}", headers=key).status_code == 200
    assert bare[1].delete(f"/e2b/sandboxes/{made['sandboxID']}", headers=key).status_code == 204
    assert bare[0].post("/e2b/execute", json={"code": "1"}, headers=token).status_code == 502
    container = first.post("/v1/containers", json={"name": "c"}).json()["id"]
    tools = [{"type": "code_interpreter", "container": container}]
    for http, code in ((first, "x = 20"), (second, "x += 1; x * 2")):
        answer = http.post("/v1/responses", json={"model": "python", "tools": tools, "input": code}).json()
    assert answer["output"][1]["content"][0]["text"] == "42\n"
    # A connection of MCP is a node's, and is found by its id.
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    begun = first.post("/mcp", json=_call("initialize", about), headers=accept)
    own = {**accept, "mcp-session-id": begun.headers["mcp-session-id"]}
    for http in (first, second):
        listed = http.post("/mcp", json=_call("tools/list", {}), headers=own)
        assert "run_python" in listed.text, listed.text
    assert second.delete("/mcp", headers=own).status_code == 200
    assert first.post("/mcp", json=_call("tools/list", {}), headers=own).status_code == 404
    for http in bare:
        http.close()


def _call(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_a_request_at_any_node_reaches_its_session(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    session = new_session(first)
    assert run(first, session, "x = 41", id="r1")["status"] == "done"
    assert run(second, session, "x + 1", id="r2")["value"] == 42
    assert second.get(f"{session}/runs/r1").json()["status"] == "done"
    assert second.put(f"{session}/files/work/a.txt", content=b"bytes").status_code == 204
    assert first.get(f"{session}/files/work/a.txt").content == b"bytes"
    with second.stream(
        "POST", f"{session}/runs", json={"code": "print('seen')"}, headers={"accept": "text/event-stream"}
    ) as answer:
        assert "seen" in "".join(answer.iter_lines())
    # A session of someone else does not exist at the other node either.
    foreign = nodes.all[1].http("south")
    assert foreign.get(session).status_code == 404
    assert foreign.post(f"{session}/runs", json={"code": "x"}).status_code == 404
    assert [each["id"] for each in second.get("/v1/sessions").json()["sessions"]] == [session.rpartition("/")[2]]
    forked = second.post(f"{session}/forks", json={"count": 4}).json()["sessions"]
    for each in forked:
        assert run(first, f"/v1/sessions/{each['id']}", "x")["value"] == 41
    assert second.delete(session).status_code == 204
    assert first.get(session).status_code == 404


@on_both
def test_sessions_of_a_killed_node_come_back_at_another(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    sessions = [new_session(first) for _ in range(6)]
    for number, session in enumerate(sessions):
        assert run(first, session, f"n = {number}\nn", id="made")["value"] == number
    nodes.kill(0)
    for number, session in enumerate(sessions):
        again = run(second, session, f"n = {number}\nn", id="made")
        assert again["value"] == number, "an acknowledged run is not performed twice"
        outcome = run(second, session, "n += 1\nn", id="next")
        assert outcome["value"] == number + 1, outcome
        assert run(second, session, "n += 1\nn", id="next")["value"] == number + 1


def test_a_node_that_was_thought_dead_acknowledges_nothing(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    session = new_session(first)
    assert run(first, session, "n = 1", id="r1")["status"] == "done"
    stopped = nodes.all[0].process.pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert run(second, session, "n += 1\nn", id="r2")["value"] == 2
    finally:
        os.kill(stopped, signal.SIGCONT)
    # It may still think that the session is its own; what it would answer from that is not acknowledged, but an error.
    outcome, until = run(first, session, "n += 1\nn", id="r3"), time.monotonic() + 60
    while "value" not in outcome and time.monotonic() < until:
        time.sleep(0.1)
        outcome = run(first, session, "n += 1\nn", id="r3")
    assert outcome["value"] == 3
    assert run(second, session, "n")["value"] == 3


def test_a_node_that_drains_leaves_its_sessions_and_programs_to_the_others(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    tool = {"name": "ask", "suspend": True, "parameters": {"type": "object", "properties": {}}}
    session, computing = new_session(first, tools=[tool]), new_session(first)
    waits = run(first, session, "answer = ask()\nanswer", id="r1")
    code = "print('begun')\nt = 0\nfor i in range(5_000_000): t += 1\nt"
    accept = {"accept": "text/event-stream"}
    with first.stream("POST", f"{computing}/runs", json={"code": code, "id": "long"}, headers=accept) as events:
        assert any("begun" in line for line in events.iter_lines())
    nodes.all[0].process.send_signal(signal.SIGTERM)
    nodes.all[0].process.wait(60)
    answers = {waits["waits"][0]["id"]: {"value": 7}}
    answered = second.post("/v1/resume", json={"token": waits["token"], "answers": answers})
    while answered.status_code == 503:
        # Until the next beat of its own, a node may ask the one that has ended.
        assert answered.json()["code"] == "node_lost", answered.text
        time.sleep(answered.json()["retry_after"])
        answered = second.post("/v1/resume", json={"token": waits["token"], "answers": answers})
    assert answered.json()["value"] == 7
    outcome = second.get(f"{computing}/runs/long")
    while outcome.status_code != 200:
        # The node that drained has stored how far the program is; another takes it in within some seconds.
        assert outcome.status_code in (202, 404, 503), outcome.text
        outcome = second.get(f"{computing}/runs/long", params={"wait": 5})
        time.sleep(0.1)
    assert outcome.json()["value"] == 5_000_000, outcome.text


@pytest.mark.parametrize("nodes", ["redis"], indirect=True)
def test_hostile_requests_and_quotas_at_several_nodes(nodes: Nodes) -> None:
    nodes.limit("south", concurrent_runs=2)
    first, second = nodes.start(), nodes.start()
    session = new_session(first)
    assert run(first, session, "n = 1", id="r1")["status"] == "done"
    mean = [node.http("south") for node in nodes.all]
    draw = random.Random(7)
    paths = [session, "/v1/sessions", "/v1/resume", "/v1/runs", "/v1/snapshots", new_session(mean[0]), "/v1/usage"]
    statuses: set[int] = set()
    for _ in range(240):
        path = draw.choice(paths) + draw.choice(TAILS)
        # Said by a client, it is as good as a request that a node has passed on.
        headers = draw.choice([{}, {"x-cloche-passed-on": "1"}, {"accept": "text/event-stream"}])
        body = {str(draw.choice(PIECES)): draw.choice(PIECES) for _ in range(draw.randrange(4))}
        method = draw.choice(["GET", "POST", "PUT", "DELETE", "PATCH"])
        statuses.add(draw.choice(mean).request(method, path, json=body, headers=headers).status_code)
    assert not statuses & {500, 501, 502, 504}, statuses
    assert run(second, session, "n += 1\nn", id="r2")["value"] == 2, "what others send does nothing to it"

    # As many at once as the tenant may have, over both nodes together.
    code = {"code": "while True: pass", "id": "long", "limits": {"time": 60}}
    busy = [new_session(mean[each]) for each in (0, 0, 1)]
    accept, outcomes = {"accept": "text/event-stream"}, list[int]()
    for number, each in enumerate(busy):
        with mean[number // 2].stream("POST", f"{each}/runs", json=code, headers=accept) as begun:
            outcomes.append(begun.status_code)
    assert outcomes == [200, 200, 429]
