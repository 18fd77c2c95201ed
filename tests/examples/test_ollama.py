"""The example of a local model, with a server that speaks as Ollama does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("litellm")

EXAMPLE = Path(__file__).parents[2] / "examples" / "local_ollama.py"
ANSWER = "I try them.\n<code>\nfinal_answer([n for n in range(90, 101) if prime_checker(n)])\n</code>"


class Ollama(BaseHTTPRequestHandler):
    """Answers every chat with the same program."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, **request})
        message = {"role": "assistant", "content": ANSWER}
        counts = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 5}
        body = json.dumps({"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "message": message, **counts})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Generator[ThreadingHTTPServer, None, None]:
    Ollama.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_agent_with_a_local_model(server: ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{server.server_address[1]}"
    environment = {**os.environ, "OLLAMA_HOST": base, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(EXAMPLE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "[97]\n", done.stderr
    chats = [asked for asked in Ollama.asked if asked["path"] == "/api/chat"]
    assert len(chats) == 1
    assert chats[0]["model"] == "qwen3"
    assert "prime_checker" in chats[0]["messages"][0]["content"]
