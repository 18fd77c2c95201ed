"""Servers of databases that tests start for themselves, on ports of their own; where there is none, they skip."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.processes import ended_afterwards

__all__ = ["free_port", "running_postgres", "running_redis"]


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port: int = chosen.getsockname()[1]
        return port


@contextmanager
def running_redis(*, durable: bool = False) -> Generator[str, None, None]:
    """Start Redis, which keeps nothing on the disk unless it is ``durable``, and yield ``unix://`` of it."""
    redis: Any = pytest.importorskip("redis", reason="the client of Redis is not installed")
    if not shutil.which("redis-server"):
        pytest.skip("Redis is not installed")
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        socket_path = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", socket_path, "--save", "", "--dir", folder]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        process = subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True)
        with ended_afterwards(process):
            assert process.stdout is not None
            for line in process.stdout:
                if "ready to accept connections" in line.lower():
                    break
            with redis.Redis(unix_socket_path=socket_path) as client:
                client.ping()
            yield f"unix://{socket_path}"


@contextmanager
def running_postgres(user: str = "cloche") -> Generator[str, None, None]:
    """Start PostgreSQL with one user and an empty database, and yield ``postgresql://`` of it."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    options: dict[str, Any] = {"capture_output": True, "cwd": "/"}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user 'postgres', and PostgreSQL does not run as root")
        options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    port = free_port()
    make = ["initdb", "-D", str(folder / "data"), "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(make, check=True, **options)
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    start = ["pg_ctl", "-D", str(folder / "data"), "-w", "-l", str(folder / "log"), "-o", settings, "start"]
    subprocess.run(start, check=True, **options)
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(["pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], check=True, **options)
        shutil.rmtree(folder, ignore_errors=True)
