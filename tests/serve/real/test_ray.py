"""Nodes on the machines of a real Ray, two of which are processes here: ``make ray``.

Not with the other tests: Ray gives a machine thirty seconds to start, which is not enough on one that has other work.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.databases import running_postgres
from tests.processes import ended_afterwards
from tests.serve.real.test_nodes import new_session, run
from tests.serve.servers import write_config

pytestmark = pytest.mark.skipif(os.environ.get("CLOCHE_RAY") != "1", reason="a Ray cluster is started by make ray")
_STORE = 80_000_000


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    cluster_of: Any = pytest.importorskip("ray.cluster_utils").Cluster
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE}
    cluster: Any = cluster_of(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_nodes_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    other = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
    (tmp_path / "secret").write_bytes(os.urandom(32))
    with running_postgres() as url:
        settings = {"ledger": url, "secret": str(tmp_path / "secret"), "node_life": 2.0}
        headers = {"authorization": f"Bearer {write_config(tmp_path, {'north': {}}, **settings)['north']}"}
        command = [sys.executable, "-m", "cloche", "serve", "--config", str(tmp_path / "cloche.toml")]
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        with ended_afterwards(process):
            assert process.stdout is not None

            def next_node() -> httpx.Client:
                # Ray has lines of its own here.
                for line in process.stdout or ():
                    if found := re.search(r"^serving .* at (http://\S+)", line):
                        return httpx.Client(base_url=found[1], headers=headers, timeout=120)
                raise AssertionError("there is no other node")

            first, second = next_node(), next_node()
            sessions = [new_session(each) for each in (first, second, first, second)]
            for number, session in enumerate(sessions):
                assert run(second, session, f"n = {number}\nn", id="r")["value"] == number

            # A server that is killed is started again by Ray, and its sessions are wherever they are asked for.
            served = subprocess.run(
                ["pgrep", "-f", f"cloche serve --config {tmp_path}.*--with-parent"], capture_output=True, check=True
            )
            pids = [int(pid) for pid in served.stdout.split()]
            assert len(pids) == 2
            os.kill(pids[0], signal.SIGKILL)
            third = next_node()
            for number, session in enumerate(sessions):
                assert run(third, session, "n += 1\nn", id="next")["value"] == number + 1

            # A machine that is gone, and one that comes.
            cluster.remove_node(other, allow_graceful=False)
            cluster.add_node(num_cpus=1, object_store_memory=_STORE)
            fourth = next_node()
            for number, session in enumerate(sessions):
                assert run(fourth, session, "n += 1\nn", id="last")["value"] == number + 2
            for each in (first, second, third, fourth):
                each.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
