"""What is left of sessions when workers die, servers end, and sessions are not used."""

import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from tests.serve.servers import Served, serving

_POISON = """
import os

from cloche import tool

@tool(blocking=False)
def die() -> None:
    "End the worker."
    os._exit(1)
"""


def new_session(http: httpx.Client, **asked: Any) -> str:
    return f"/v1/sessions/{http.post('/v1/sessions', json=asked).json()['id']}"


def run(http: httpx.Client, session: str, code: str, **more: Any) -> Any:
    return http.post(f"{session}/runs", json={"code": code, **more}).json()


def until(http: httpx.Client, session: str, status: str) -> None:
    """Wait for a session's status."""
    for _ in range(1_200):
        if http.get(session).json()["status"] == status:
            return
        time.sleep(0.05)
    raise AssertionError(http.get(session).json())


def kill_workers(server: Served) -> None:
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)


def test_an_idle_session_is_parked_and_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, {"north": {"durable": "idle"}}) as server:
        http = server.http()
        session = new_session(http, idle=0.2)
        run(http, session, "def f():\n    yield from range(9)\ng = f()\nnext(g)")
        until(http, session, "parked")
        assert run(http, session, "next(g)")["value"] == 1


def test_what_was_acknowledged_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        http = server.http()
        session = new_session(http)
        run(http, session, "n = 1")
        for expected in (2, 3):
            kill_workers(server)
            assert run(http, session, "n += 1\nn")["value"] == expected


def test_a_session_that_is_not_durable_says_what_it_lost(tmp_path: Path) -> None:
    with serving(tmp_path, {"north": {"durable": "idle"}}) as server:
        http = server.http()
        session = new_session(http)
        run(http, session, "n = 1", id="first")
        kill_workers(server)
        for _ in range(600):
            if http.get(session).json()["lost_runs"]:
                break
            time.sleep(0.05)
        assert http.get(session).json()["lost_runs"] == ["first"]
        assert http.get(f"{session}/runs/first").json()["code"] == "run_lost"
        assert run(http, session, "'n' in globals()")["value"] is False


def test_a_session_whose_runs_end_workers_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "poison.py").write_text(_POISON)
    tenants: dict[str, dict[str, Any]] = {"north": {"tools": ["poison:die"]}, "south": {}}
    with serving(tmp_path, tenants) as server:
        http, other = server.http(), server.http("south")
        session, neighbour = new_session(http), new_session(other)
        run(other, neighbour, "x = 1")
        answers = [http.post(f"{session}/runs", json={"code": "die()"}) for _ in range(3)]
        assert [answer.status_code for answer in answers][-1] == 423
        assert answers[-1].json()["code"] == "session_quarantined"
        assert run(other, neighbour, "x")["value"] == 1


def test_a_restart_finds_sessions_runs_snapshots_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from cloche import tool\n@tool(approval=True)\ndef pay(x: int) -> int:\n    'Pay.'\n    return x\n"
    )
    with serving(tmp_path, {"north": {"tools": ["shop:pay"]}}) as server:
        http = server.http()
        session = new_session(http)
        done = run(http, session, "x = 5", id="one")
        snapshot = http.post(f"{session}/snapshots").json()["id"]
        token = run(http, session, "pay(x)")["token"]
    with serving(tmp_path, keys=server.keys) as again:
        http = again.http()
        assert http.get(f"{session}/runs/one").json() == done
        assert run(http, session, "x = 5", id="one") == done
        resumed = http.post("/v1/resume", json={"token": token, "answers": {"1": {"approve": True}}}).json()
        assert resumed["value"] == 5
        copy = new_session(http, snapshot=snapshot)
        assert run(http, copy, "x")["value"] == 5


def test_a_server_that_is_killed_has_lost_nothing_acknowledged(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        http = server.http()
        session = new_session(http)
        run(http, session, "n = 0")
        for each in range(1, 6):
            assert run(http, session, "n += 1\nn", id=f"r{each}")["value"] == each
        server.process.kill()
        server.process.wait()
    with serving(tmp_path, keys=server.keys) as again:
        http = again.http()
        assert run(http, session, "n += 1\nn", id="r5")["value"] == 5
        assert run(http, session, "n += 1\nn", id="r6")["value"] == 6


def test_a_program_that_computes_is_paused_by_the_end_and_goes_on_after_it(tmp_path: Path) -> None:
    code = "print('on', flush=True)\nt = 0\nfor i in range(6_000_000): t += i % 7\nt"
    with serving(tmp_path, grace=60.0) as server:
        http = server.http()
        session = new_session(http)
        begun, answers = threading.Event(), list[str]()

        def follow() -> None:
            order = {"code": code, "id": "long"}
            with http.stream("POST", f"{session}/runs", json=order, headers={"accept": "text/event-stream"}) as answer:
                for line in answer.iter_lines():
                    begun.set()
                    if line.startswith("event: "):
                        answers.append(line)

        follower = threading.Thread(target=follow)
        follower.start()
        begun.wait()
        server.process.terminate()
        assert server.process.wait(120) == 0
        follower.join()
    assert answers[-1] in ("event: paused", "event: done")
    with serving(tmp_path, keys=server.keys) as again:
        http = again.http()
        outcome: Any = {"status": "running"}
        while outcome["status"] in ("running", "paused"):
            outcome = http.get(f"{session}/runs/long", params={"wait": 30}).json()
        assert outcome["value"] == sum(i % 7 for i in range(6_000_000))
        assert outcome["stdout"] == "on\n"
        assert run(http, session, "t")["value"] == outcome["value"]


def test_keys_are_taken_in_without_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        old = server.http()
        assert old.get("/v1/usage").status_code == 200
        text = (tmp_path / "cloche.toml").read_text()
        from cloche.serve.tenants import hash_key

        (tmp_path / "cloche.toml").write_text("this is wrong")
        (tmp_path / "cloche.toml").write_text(text.replace(hash_key(server.keys["north"]), hash_key("ck_other")))
        server.process.send_signal(signal.SIGHUP)
        fresh = httpx.Client(base_url=server.url, headers={"authorization": "Bearer ck_other"}, timeout=60)
        server.clients.append(fresh)
        for _ in range(600):
            if fresh.get("/v1/usage").status_code == 200:
                break
            time.sleep(0.05)
        assert fresh.get("/v1/usage").json()["tenant"] == "north"
        assert old.get("/v1/usage").status_code == 401


def test_a_session_ends_with_its_life(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        http = server.http()
        session = new_session(http, life=0.5)
        for _ in range(600):
            if http.get(session).status_code == 404:
                break
            time.sleep(0.05)
        assert http.get(session).status_code == 404
        assert http.get("/v1/sessions").json()["sessions"] == []


def test_a_session_that_is_deleted_in_a_run_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        http = server.http()
        session = new_session(http)
        order = {"code": "print('on', flush=True)\nwhile True: pass", "id": "loop"}
        with http.stream("POST", f"{session}/runs", json=order, headers={"accept": "text/event-stream"}) as answer:
            for line in answer.iter_lines():
                if line == "event: output":
                    assert http.delete(session).status_code == 204
        assert http.get(session).status_code == 404
    ledger = sqlite3.connect(tmp_path / "store" / "ledger.db")
    counts = [ledger.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("sessions", "runs", "states")]
    ledger.close()
    assert counts == [0, 0, 0]


def test_outcomes_that_wait_to_be_stored_are_few_and_found_by_their_ids(tmp_path: Path) -> None:
    with serving(tmp_path, {"north": {"durable": "idle"}}) as server:
        http = server.http()
        session = new_session(http)
        run(http, session, "n = 0")
        for each in range(300):
            run(http, session, "n += 1", id=f"r{each}")
        # One of the first, which is not in memory any more, and one that is stored nowhere yet: neither runs again.
        run(http, session, "n += 1", id="r0")
        run(http, session, "n += 1", id="r299")
        assert run(http, session, "n")["value"] == 300
        assert http.get(session).json()["version"] == 1
