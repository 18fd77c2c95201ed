"""Clients that mean harm: nothing they send is answered with 500, costs memory, or reaches another tenant."""

import json
import random
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.serve.servers import Served, serving

from cloche.bench.serve import PIECES, TAILS


def raw(server: Served, data: bytes, *, pause: bytes = b"") -> bytes:
    """Send bytes, and return what comes back until the server closes."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        try:
            connection.sendall(data)
            if pause:
                time.sleep(0.2)
                connection.sendall(pause)
        except OSError:
            # It did not wait for the end of what is too large.
            pass
        got = b""
        try:
            while piece := connection.recv(65_536):
                got += piece
        except OSError:
            pass
        return got


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer else 0


def head(server: Served, method: str = "GET", path: str = "/v1/usage", *lines: str) -> bytes:
    key = server.keys["north"]
    fields = [f"{method} {path} HTTP/1.1", "host: x", "connection: close", f"authorization: Bearer {key}", *lines]
    return ("\r\n".join(fields) + "\r\n\r\n").encode()


def test_keys(server: Served) -> None:
    good = server.keys["north"]
    for key in ("x", good[:-1], good + "x", good.swapcase(), "é", good * 100):
        headers = [(b"authorization", f"Bearer {key}".encode())]
        answer = httpx.get(f"{server.url}/v1/sessions", headers=headers)
        assert answer.status_code in (400, 401), (key, answer.text)
    assert status(raw(server, head(server).replace(good.encode(), b"\x00"))) in (400, 401)
    for value in (good, f"Basic {good}", "Bearer"):
        assert httpx.get(f"{server.url}/v1/usage", headers={"authorization": value}).status_code == 401


def test_heads(server: Served) -> None:
    assert status(raw(server, head(server, "GET", "/v1/usage", "x: " + "y" * 100_000))) == 431
    assert status(raw(server, head(server, "GET", "/v1/usage", *[f"x{n}: y" for n in range(100)]))) == 431
    assert status(raw(server, head(server, "GET", "/v1/usage?" + "q" * 20_000))) == 431
    assert status(raw(server, b"GET /v1/usage HTTP/1.1\r\nx: " + b"y" * 3_000_000)) == 431
    assert status(raw(server, b"nothing of the kind\r\n\r\n")) == 400
    assert status(raw(server, b"\x16\x03\x01\x02\x00\x01\x00")) == 400
    # A head that never ends is given up after the time for it.
    assert status(raw(server, b"GET /v1/usage HTTP/1.1\r\nx: y\r\n")) == 408
    assert status(raw(server, b"")) in (0, 408)


def test_bodies(server: Served) -> None:
    assert status(raw(server, head(server, "POST", "/v1/sessions", "content-length: 99999999999") + b"{")) == 413
    for length in ("-1", "1e3", "9" * 30, "0x10", "1, 2"):
        answer = raw(server, head(server, "POST", "/v1/sessions", f"content-length: {length}") + b"{}")
        assert status(answer) in (0, 400, 413), length
    chunk = b"%x\r\n" % 65_536 + b"a" * 65_536 + b"\r\n"
    assert status(raw(server, head(server, "POST", "/v1/sessions", "transfer-encoding: chunked") + chunk * 40)) == 413
    assert status(raw(server, head(server, "POST", "/v1/sessions", "content-length: 10") + b"{", pause=b"}")) == 408
    smuggled = head(server, "POST", "/v1/sessions", "content-length: 2", "transfer-encoding: chunked") + b"0\r\n\r\n"
    assert status(raw(server, smuggled)) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"code": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"code": 1}',
        b'{"code": null}',
        b'{"code": "1", "code": 2}',
        b'{"code": "1", "limits": {"fuel": ' + b"9" * 5_000 + b"}}",
        b'{"code": "1", "limits": {"fuel": -1}}',
        b'{"code": "1", "limits": {"fuel": true}}',
        b'{"code": "1", "limits": {"memory": "10 MB"}}',
        b'{"code": "1", "limits": {"__class__": 1}}',
        b'{"code": "1", "id": "../x"}',
        b'{"code": "1", "id": "' + b"x" * 97 + b'"}',
        b'{"code": "1", "stdin": {}}',
        b'{"code": "\\ud800"}',
        b"\xff\xfe{}",
        b"nan",
        b'{"code": "1"} trailing',
    ],
)
def test_json(server: Served, body: bytes) -> None:
    http = server.http()
    session = http.post("/v1/sessions", json={}).json()["id"]
    answer = http.post(f"/v1/sessions/{session}/runs", content=body)
    assert answer.status_code == 422, answer.text
    assert len(answer.content) < 2_000


def test_paths(server: Served) -> None:
    http = server.http()
    session = http.post("/v1/sessions", json={}).json()["id"]
    for id in ("..", "%2e%2e", "a%2fb", "a%00b", "%ff", "' OR 1=1", "x" * 5_000, "s_%0a", "{}"):
        assert http.get(f"/v1/sessions/{id}").status_code in (307, 404, 405), id
    for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "a%00b", "%ff"):
        assert http.get(f"/v1/sessions/{session}/files/{path}").status_code in (404, 422), path
    for name in ("x.y", "__import__('os')", "%00", "a b", "x" * 5_000):
        assert http.get(f"/v1/sessions/{session}/variables/{name}").status_code in (404, 422), name


def test_files_are_never_pages(server: Served) -> None:
    http = server.http()
    session = http.post("/v1/sessions", json={}).json()["id"]
    http.put(f"/v1/sessions/{session}/files/x.html", content=b"<script>alert(1)</script>")
    answer = http.get(f"/v1/sessions/{session}/files/x.html")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "attachment"


def test_a_state_of_another_tenant_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ids = {}
        for tenant in ("north", "south"):
            ids[tenant] = server.http(tenant).post("/v1/sessions", json={}).json()["id"]
            server.http(tenant).post(f"/v1/sessions/{ids[tenant]}/runs", json={"code": f"x = '{tenant}'"})
    ledger = sqlite3.connect(tmp_path / "store" / "ledger.db")
    (state,) = ledger.execute("SELECT state FROM sessions WHERE id = ?", (ids["north"],)).fetchone()
    ledger.execute("UPDATE sessions SET state = ? WHERE id = ?", (state, ids["south"]))
    ledger.commit()
    ledger.close()
    with serving(tmp_path, keys=server.keys) as again:
        stolen = again.http("south").get(f"/v1/sessions/{ids['south']}/variables/x")
        assert (stolen.status_code, stolen.json()["code"]) == (409, "snapshot_refused")
        assert again.http("north").get(f"/v1/sessions/{ids['north']}/variables/x").json() == {"value": "north"}


def test_requests_made_of_pieces_of_good_ones(server: Served) -> None:
    """A few hundred of what ``cloche bench serve hostile`` sends a hundred thousand of."""
    draw = random.Random(7)
    http = server.http()
    session = http.post("/v1/sessions", json={}).json()["id"]
    paths = ["/v1/sessions", f"/v1/sessions/{session}", "/v1/resume", "/v1/runs", "/v1/usage", "/v1/snapshots"]
    for _ in range(300):
        body = {str(draw.choice(PIECES)): draw.choice(PIECES) for _ in range(draw.randrange(4))}
        text = json.dumps(body)
        cut = text[: draw.randrange(len(text) + 1)] if draw.random() < 0.3 else text
        answer = http.request(
            draw.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
            draw.choice(paths) + draw.choice(TAILS),
            content=cut.encode(),
            headers={"last-event-id": str(draw.choice(PIECES))[:50].replace("\n", "")},
        )
        assert answer.status_code < 500, (answer.request.method, answer.request.url, cut, answer.text)
    assert http.get("/readyz").status_code == 200
