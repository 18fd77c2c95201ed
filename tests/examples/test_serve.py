"""The examples of serving, run as they stand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serve.servers import serving

from cloche.serve.tenants import hash_key, new_key

ROOT = Path(__file__).parents[2]


def test_embedded() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "examples/serve/embedded.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "a route of the application's own\nthe sandbox says 42\n", done.stderr


def test_smolagents_over_the_wire(tmp_path: Path) -> None:
    pytest.importorskip("smolagents")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with serving(tmp_path) as server:
        command = [sys.executable, "examples/serve/smolagents_executor.py", server.url, server.keys["north"]]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "in stock: 5", done.stderr
        assert server.http().get("/v1/sessions").json()["sessions"] == []


def test_a_backend_with_tools_for_each_tenant(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/serve/backend", tmp_path / "backend")
    path = tmp_path / "backend" / "cloche.toml"
    text, keys = path.read_text(), {}
    for number, name in enumerate(("bakery", "garage"), 1):
        keys[name] = new_key()
        text = text.replace(f"sha256:{number:064}", hash_key(keys[name]))
    path.write_text(text)
    with serving(path.parent, keys=keys) as server:
        bakery, garage = server.client("bakery"), server.client("garage")
        with bakery, garage, bakery.session() as orders, garage.session() as repairs:
            assert orders.run("price('roll'), order('bread', 2)").value == (0.6, "2 of bread for 6.40")
            code = "[order('roll', 1) for _ in range(4)]"
            assert "order" in str(orders.run(code).error)
            assert repairs.run("parts('beetle')").value == ["clutch", "wiper"]
            assert "price" in str(repairs.run("price('roll')").error)
