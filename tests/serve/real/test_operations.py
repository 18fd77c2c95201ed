"""What an operator sets: certificates, tools of MCP servers, the memory of workers."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.servers import serving

MCP_SERVER = Path(__file__).parents[2] / "host_tools" / "unit" / "external" / "mcp_server.py"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_requests_are_encrypted_with_the_certificate_that_is_given(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cloche"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with serving(tmp_path, tls_certificate="certificate.pem", tls_key="key.pem") as server:
        assert server.url.startswith("https://")
        headers = {"authorization": f"Bearer {server.keys['north']}"}
        import ssl

        trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        answer = httpx.post(
            f"{server.url}/v1/runs", json={"code": "6 * 7"}, headers=headers, verify=trusted, timeout=120
        )
        assert answer.json()["value"] == 42
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            httpx.get(f"{server.url}/healthz")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{server.url.replace('https', 'http')}/healthz")


def test_tools_of_an_mcp_server_are_a_tenants(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")
    tenants: dict[str, Any] = {
        "north": {"mcp": [{"command": sys.executable, "args": [str(MCP_SERVER)]}]},
        "south": {},
    }
    with serving(tmp_path, tenants) as server:
        north, south = server.client("north"), server.client("south")
        with north, south, north.session() as session, south.session() as other:
            added = session.run("add(2, b=3)")
            assert added.value == 5, added.error
            assert "NameError" in str(other.run("add(2, b=3)").error)


def test_a_worker_that_is_full_parks_and_takes_no_more_than_it_can(tmp_path: Path) -> None:
    code = "x = bytes([1]) * (24 << 20)\nlen(x)"
    with serving(tmp_path, worker_memory="160 MiB") as server:
        http = server.http()

        def run(path: str, code: str) -> Any:
            while True:
                answer = http.post(f"{path}/runs", json={"code": code})
                if answer.status_code == 200:
                    return answer.json()["value"]
                # Until what is there was parked.
                assert answer.status_code == 503, answer.text
                assert answer.json()["code"] in ("no_capacity", "worker_lost")
                time.sleep(0.1)

        paths: list[str] = []
        for _ in range(10):
            paths.append(f"/v1/sessions/{http.post('/v1/sessions', json={}).json()['id']}")
            assert run(paths[-1], code) == 24 << 20
        for path in paths:
            assert run(path, "len(x)") == 24 << 20
        while True:
            live = int(httpx.get(f"{server.url}/metrics").text.partition("\ncloche_live_sessions ")[2].split(".")[0])
            if live < len(paths):
                break
            time.sleep(0.1)
