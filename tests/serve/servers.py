"""Servers for tests: real processes on a port that the system chooses, ended with the block."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.processes import ended_afterwards

from cloche.serve.client import Client
from cloche.serve.tenants import hash_key, new_key

__all__ = ["Served", "serving", "write_config"]


@dataclass
class Served:
    """A server that runs: where, with which keys, as which process."""

    url: str
    keys: dict[str, str]
    process: "subprocess.Popen[str]"
    folder: Path
    clients: list[httpx.Client] = field(default_factory=list[httpx.Client])

    def http(self, tenant: str = "north") -> httpx.Client:
        """Return a plain client with a tenant's key."""
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        self.clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=120))
        return self.clients[-1]

    def client(self, tenant: str = "north") -> Client:
        """Return the typed client of a tenant."""
        return Client(self.url, self.keys[tenant])

    def workers(self) -> list[int]:
        """Return the worker processes that hold or may hold sessions."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if "cloche.serve.worker" in line]

    def worker_of(self, session: str) -> None:
        """Kill the worker processes, so that whichever has the session is gone."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)


def write_config(folder: Path, tenants: dict[str, dict[str, Any]] | None = None, **server: Any) -> dict[str, str]:
    """Write a configuration and return the tenants' keys by name."""
    keys: dict[str, str] = {}
    lines = [
        f"{name} = {_toml(value)}" for name, value in {"port": 0, "workers": 1, "store": "store", **server}.items()
    ]
    for name, settings in (tenants or {"north": {}, "south": {}}).items():
        keys[name] = new_key()
        lines.append(f"[tenants.{name}]")
        lines.append(f'keys = ["{hash_key(keys[name])}"]')
        lines += [f"{key} = {_toml(value)}" for key, value in settings.items()]
    (folder / "cloche.toml").write_text("\n".join(lines) + "\n")
    return keys


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"  # pyright: ignore[reportUnknownArgumentType]
    return json.dumps(value)


@contextmanager
def serving(
    folder: Path, tenants: dict[str, dict[str, Any]] | None = None, *, keys: dict[str, str] | None = None, **server: Any
) -> Generator[Served, None, None]:
    """Start a server, with a new configuration unless there are ``keys`` of one, and end it with the block."""
    known = write_config(folder, tenants, **server) if keys is None else keys
    command = [sys.executable, "-m", "cloche", "serve", "--config", str(folder / "cloche.toml"), "--port", "0"]
    paths = [str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[2]), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    with open(folder / "log.txt", "a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder)
    with ended_afterwards(process):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"https?://\S+", line)
        assert found is not None, (line, (folder / "log.txt").read_text())
        served = Served(found[0], known, process, folder)
        try:
            yield served
        finally:
            for client in served.clients:
                client.close()
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
