"""The HTTP API as any client sees it, with a real server and real workers."""

import json
import threading
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served


@pytest.fixture
def http(server: Served) -> httpx.Client:
    return server.http()


@pytest.fixture
def session(http: httpx.Client) -> str:
    return f"/v1/sessions/{http.post('/v1/sessions', json={}).json()['id']}"


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    """Return the events of a stream by name."""
    found = [
        dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        for block in answer.text.strip().split("\n\n")
    ]
    return [(each["event"], json.loads(each["data"])) for each in found if each]


def test_a_program_runs_in_a_session_that_keeps_its_state(http: httpx.Client, session: str) -> None:
    assert http.post(f"{session}/runs", json={"code": "x = 20"}).json()["status"] == "done"
    result = http.post(f"{session}/runs", json={"code": "print('hi')\nx + 22"}).json()
    assert (result["value"], result["stdout"], result["error"]) == (42, "hi\n", None)
    assert result["usage"]["fuel"] > 0


def test_what_a_program_does_wrong_is_on_its_result(http: httpx.Client, session: str) -> None:
    answer = http.post(f"{session}/runs", json={"code": "1 / 0"})
    assert answer.status_code == 200
    assert answer.json()["error"]["type"] == "GuestException"
    assert answer.json()["error"]["args"][0] == "ZeroDivisionError"


def test_a_run_of_one_id_is_performed_once(http: httpx.Client, session: str) -> None:
    http.post(f"{session}/runs", json={"code": "n = 0"})
    order = {"id": "mine", "code": "n += 1\nn"}
    first, second = (http.post(f"{session}/runs", json=order).json() for _ in range(2))
    assert first == second
    assert http.get(f"{session}/variables/n").json() == {"value": 1}
    assert http.post(f"{session}/runs", json={"id": "mine", "code": "other"}).json()["code"] == "run_id_reused"
    assert http.get(f"{session}/runs/mine").json() == first


def test_a_stream_can_be_taken_up_behind_any_event(http: httpx.Client, session: str) -> None:
    order = {"id": "s", "code": "for i in range(3): print(i, flush=True)\n'end'"}
    answer = http.post(f"{session}/runs", json=order, headers={"accept": "text/event-stream"})
    seen = events(answer)
    assert "".join(data["text"] for name, data in seen if name == "output") == "0\n1\n2\n"
    assert seen[-1][0] == "done"
    assert seen[-1][1]["value"] == "end"
    rest = http.get(f"{session}/runs/s/events", headers={"last-event-id": str(len(seen) - 1)})
    assert events(rest) == seen[-1:]


def test_the_client_answers_calls_over_the_wire(http: httpx.Client) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"name": "weather", "description": "Return the weather.", "parameters": parameters}
    made = http.post("/v1/sessions", json={"tools": [tool]}).json()
    session = f"/v1/sessions/{made['id']}"
    code = "sorted(map(weather, ['Oslo', 'Rome']))"
    waiting = http.post(f"{session}/runs", json={"id": "w", "code": code})
    assert waiting.status_code == 202
    answers = {"Oslo": "snow", "Rome": "sun"}
    state = waiting.json()
    while state["status"] == "waiting":
        for call in state["calls"]:
            value = {"value": answers[call["arguments"]["city"]]}
            assert http.post(f"{session}/runs/w/calls/{call['id']}", json=value).status_code == 204
        state = http.get(f"{session}/runs/w", params={"wait": 30}).json()
    assert state["value"] == ["snow", "sun"]
    assert http.post(f"{session}/runs/w/calls/c1", json={"value": 1}).status_code == 404


def test_a_run_is_cancelled(http: httpx.Client, session: str) -> None:
    results: list[Any] = []
    order = {"id": "loop", "code": "print('on', flush=True)\nwhile True: pass", "limits": {"fuel": 4_000_000_000}}
    with http.stream("POST", f"{session}/runs", json=order, headers={"accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            if line == "event: output":
                assert http.post(f"{session}/runs/loop/cancel").json() == {"interrupted": True}
            if line.startswith("data: "):
                results.append(json.loads(line[6:]))
    assert results[-1]["error"]["type"] in ("Interrupted", "FuelExhausted")
    assert http.post(f"{session}/runs", json={"code": "1"}).json()["value"] == 1


def test_one_run_at_a_time(http: httpx.Client, session: str) -> None:
    order = {"code": "print('on', flush=True)\nwhile True: pass", "id": "busy"}
    with http.stream("POST", f"{session}/runs", json=order, headers={"accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            if line == "event: output":
                second = http.post(f"{session}/runs", json={"code": "1"})
                assert (second.status_code, second.json()["code"]) in ((409, "session_busy"), (200, None))
                http.post(f"{session}/runs/busy/cancel")


def test_files_and_variables(http: httpx.Client, session: str) -> None:
    assert http.put(f"{session}/files/data/a.bin", content=b"\x00\xff").status_code == 204
    assert http.get(f"{session}/files/data/a.bin").content == b"\x00\xff"
    assert http.get(f"{session}/files").json() == {"files": ["/work/data/a.bin"]}
    assert http.put(f"{session}/variables/t", json={"value": {"$tuple": [1, {"$bytes": "AA=="}]}}).status_code == 204
    assert http.post(f"{session}/runs", json={"code": "t == (1, b'\\0')"}).json()["value"] is True
    missing = http.get(f"{session}/variables/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_snapshots_and_forks(http: httpx.Client, session: str) -> None:
    http.post(f"{session}/runs", json={"code": "x = [1]"})
    snapshot = http.post(f"{session}/snapshots").json()["id"]
    forks = http.post(f"{session}/forks", json={"count": 2}).json()["sessions"]
    http.post(f"{session}/runs", json={"code": "x.append(2)"})
    later = http.post("/v1/sessions", json={"snapshot": snapshot}).json()
    for id in (later["id"], *(fork["id"] for fork in forks)):
        assert http.get(f"/v1/sessions/{id}/variables/x").json() == {"value": [1]}
    assert snapshot in [each["id"] for each in http.get("/v1/snapshots").json()["snapshots"]]
    assert http.delete(f"/v1/snapshots/{snapshot}").status_code == 204
    assert http.post("/v1/sessions", json={"snapshot": snapshot}).status_code == 404


def test_a_suspended_program_is_a_token(http: httpx.Client, server: Served, session: str) -> None:
    waiting = http.post(f"{session}/runs", json={"code": "pay(price('tea') * 2)"})
    assert waiting.status_code == 202
    assert [call["name"] for call in waiting.json()["waits"]] == ["pay"]
    token = waiting.json()["token"]
    assert http.post(f"{session}/runs", json={"code": "1"}).json()["code"] == "session_suspended"
    assert server.http("south").post("/v1/resume", json={"token": token}).status_code == 404
    assert http.post("/v1/resume", json={"token": token[:-2] + "AA"}).status_code == 404
    order = {"token": token, "answers": {"1": {"approve": True}}}
    first, second = (http.post("/v1/resume", json=order).json() for _ in range(2))
    assert first["value"] == "paid 5.0"
    assert first == second
    denied = http.post("/v1/resume", json={"token": token, "answers": {"1": {"deny": "no"}}})
    assert denied.json()["code"] == "run_id_reused"


def test_a_suspended_program_can_be_given_up(http: httpx.Client, session: str) -> None:
    http.post(f"{session}/runs", json={"code": "x = 1"})
    token = http.post(f"{session}/runs", json={"code": "x = 2\npay(1.0)"}).json()["token"]
    assert http.delete(f"{session}/suspended").status_code == 204
    assert http.get(f"{session}/variables/x").json() == {"value": 1}
    assert http.post("/v1/resume", json={"token": token}).json()["code"] == "token_used"


def test_limits_are_clamped_to_the_ceilings(http: httpx.Client) -> None:
    made = http.post("/v1/sessions", json={"limits": {"fuel": 10**15, "output": 100}}).json()
    assert (made["limits"]["fuel"], made["limits"]["output"]) == (4_000_000_000, 100)
    path = f"/v1/sessions/{made['id']}/runs"
    error = http.post(path, json={"code": "while True: pass", "limits": {"fuel": 10_000_000}}).json()["error"]
    assert (error["type"], error["args"][1]) == ("FuelExhausted", 10_000_000)
    wrong = http.post(path, json={"code": "1", "limits": {"speed": 1}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")


def test_another_tenants_session_does_not_exist(server: Served, session: str) -> None:
    south = server.http("south")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/runs"), ("POST", "/forks"), ("GET", "/variables/x")):
        answer = south.request(method, session + path, json={"code": "1"} if path == "/runs" else None)
        assert answer.status_code == 404, (method, path, answer.text)
        unknown = south.request(method, "/v1/sessions/s_none" + path, json={"code": "1"} if path == "/runs" else None)
        assert answer.json() == unknown.json()


def test_quotas_are_429_with_retry_after(server: Served) -> None:
    south = server.http("south")
    made = [south.post("/v1/sessions", json={}) for _ in range(4)]
    assert [answer.status_code for answer in made] == [201, 201, 201, 429]
    refused = made[-1]
    assert refused.json()["quota"] == "sessions"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["x-ratelimit-resource"] == "sessions"
    for each in made[:3]:
        assert south.delete(f"/v1/sessions/{each.json()['id']}").status_code == 204


def test_usage_is_the_exact_fuel_of_the_runs(server: Served) -> None:
    south = server.http("south")
    before = south.get("/v1/usage").json()["days"]
    id = south.post("/v1/sessions", json={}).json()["id"]
    fuel = [
        south.post(f"/v1/sessions/{id}/runs", json={"code": "sum(range(1000))"}).json()["usage"]["fuel"] for _ in "ab"
    ]
    south.delete(f"/v1/sessions/{id}")
    after = south.get("/v1/usage").json()["days"][0]
    earlier = before[0] if before else {"fuel": 0, "runs": 0}
    assert (after["fuel"] - earlier["fuel"], after["runs"] - earlier["runs"]) == (sum(fuel), 2)


def test_what_is_wrong_is_a_problem_of_one_shape(http: httpx.Client, server: Served) -> None:
    answers = [
        http.get("/v1/sessions/none"),
        http.post("/v1/sessions", content=b"{"),
        http.post("/v1/sessions", json={"unknown": 1}),
        http.get("/nothing"),
        http.put("/v1/usage"),
        httpx.get(f"{server.url}/v1/usage"),
        httpx.get(f"{server.url}/v1/usage", headers={"authorization": "Bearer ck_wrong"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 422, 422, 404, 405, 401, 401]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"code", "message", "cause", "remedy", "status"} <= answer.json().keys()


def test_the_audit_log_has_no_content(http: httpx.Client, server: Served, session: str) -> None:
    http.post(f"{session}/runs", json={"code": "'a secret of the program'", "id": "audited"})
    text = (server.folder / "audit.log").read_text()
    (line,) = [json.loads(each) for each in text.splitlines() if '"audited"' in each]
    assert (line["tenant"], line["action"], line["status"]) == ("north", "create_run", 200)
    assert "secret" not in text


def test_the_published_description_names_every_route(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    assert described["paths"]["/v1/sessions/{id}/runs"]["post"]["operationId"] == "create_run"
    assert len(described["paths"]) >= 20


def test_metrics_name_no_tenant(http: httpx.Client) -> None:
    text = http.get("/metrics").text
    assert "cloche_request_seconds_bucket" in text
    assert "north" not in text
    assert http.get("/healthz").json()["status"] == "alive"
    assert http.get("/readyz").status_code == 200


def test_two_requests_of_one_id_at_once_are_one_run(http: httpx.Client, session: str) -> None:
    http.post(f"{session}/runs", json={"code": "n = 0"})
    found: list[Any] = []
    order = {"id": "both", "code": "n += 1\nfor i in range(10**5): pass\nn"}
    threads = [
        threading.Thread(target=lambda: found.append(http.post(f"{session}/runs", json=order).json())) for _ in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each["value"] for each in found] == [1, 1, 1]


def test_the_callers_trace_is_in_the_answer_and_in_the_audit_log(http: httpx.Client, server: Served) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = http.get("/v1/usage", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert trace in answer.headers["traceparent"]
    assert f'"trace":"{trace}"' in (server.folder / "audit.log").read_text()
    assert "traceparent" not in http.get("/v1/usage", headers={"traceparent": "00-forged-01"}).headers
