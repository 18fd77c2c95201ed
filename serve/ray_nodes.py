"""``cloche serve --placement ray``: a node of the server on each machine of a Ray cluster, started again where it ends.

Ray places, restarts and finds machines, and nothing else: no request passes through it, and it has the only copy of
nothing. On each of its machines one long-lived actor has a whole server as its child, gateway and workers; these find
each other in the ledger that they share. The configuration file, and the secret that it names, are at the same path on
each machine.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from cloche.runtime.errors import ConfigurationError
from cloche.serve.tenants import ServerConfig

# Large, not typed, and in few environments.
ray: Any = import_module("ray")
RayError: type[Exception] = import_module("ray.exceptions").RayError
_on_machine: Any = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy

__all__ = ["NodeKeeper", "RayNodes", "serve_on_ray"]

_LOOK = 2.0
"""Seconds between two looks at the machines of the cluster."""
_NAMESPACE = "cloche"
_START = 120.0
"""Seconds in which a node has to be ready."""
_SHORT = 1.0


class NodeKeeper:
    """The actor of one machine: its server lives with it. Raises RuntimeError where that does not start."""

    def __init__(self, path: str, port: int) -> None:
        command = [sys.executable, "-m", "cloche", "serve", "--config", path, "--placement", "local", "--with-parent"]
        command += ["--host", ray.util.get_node_ip_address(), "--port", str(port)]
        self._ended = False
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        found = re.search(r"https?://\S+", self._server.stdout.readline())
        if found is None:
            raise RuntimeError(f"the server did not start; it ended with {self._server.wait(10)}, see its log")
        self._url = found[0]
        threading.Thread(target=self._watch, daemon=True).start()

    def node(self) -> tuple[str, int]:
        """Return where this machine's server is, and its process."""
        return self._url, self._server.pid

    def drain(self) -> None:
        """Have the server store every session and end."""
        self._ended = True
        self._server.send_signal(signal.SIGTERM)
        self._server.wait()

    def _watch(self) -> None:
        self._server.wait()
        if not self._ended:
            # Ray starts an actor again whose process has ended.
            os._exit(1)


class RayNodes:
    """The nodes on the machines of the cluster that this process is connected to. Not thread-safe.

    ``on_node`` is called with the address of each that has started.
    """

    def __init__(self, path: Path, port: int, on_node: Callable[[str], None]) -> None:
        self._path, self._port, self._on_node = str(path.resolve()), port, on_node
        self._keepers: dict[str, Any] = {}
        self._urls: dict[str, str] = {}

    def look(self) -> None:
        """Start a node on each machine that has none, and forget those of machines that are gone."""
        machines = {machine["NodeID"] for machine in ray.nodes() if machine["Alive"]}
        for gone in self._keepers.keys() - machines:
            self._forget(gone)
        for machine in machines - self._keepers.keys():
            self._keepers[machine] = self._keeper(machine)
        asked = {machine: keeper.node.remote() for machine, keeper in self._keepers.items()}
        answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=_SHORT)
        for machine, answer in asked.items():
            if answer not in answered:
                # It is being started, or started again.
                continue
            try:
                url, _ = ray.get(answer)
            except RayError:
                if not self._is_restarting(machine):
                    self._forget(machine)
                continue
            if self._urls.get(machine) != url:
                self._urls[machine] = url
                self._on_node(url)

    def drain(self, grace: float) -> None:
        """Have every node store its sessions and end, within so many seconds."""
        ends = [keeper.drain.remote() for keeper in self._keepers.values()]
        ray.wait(ends, num_returns=len(ends), timeout=grace)
        for machine in list(self._keepers):
            self._forget(machine)

    def _keeper(self, machine: str) -> Any:
        """Return the machine's actor, which may be there from before this process was."""
        options: dict[str, Any] = {
            "name": f"node-{machine}",
            "get_if_exists": True,
            # The nodes are not to end with the process that started them.
            "lifetime": "detached",
            "max_restarts": -1,
            "num_cpus": 0,
            "scheduling_strategy": _on_machine(machine, soft=False),
        }
        return ray.remote(NodeKeeper).options(**options).remote(self._path, self._port)

    def _is_restarting(self, machine: str) -> bool:
        try:
            ray.get(self._keepers[machine].node.remote(), timeout=_START)
        except RayError:
            return False
        return True

    def _forget(self, machine: str) -> None:
        ray.kill(self._keepers.pop(machine), no_restart=True)
        self._urls.pop(machine, None)


def serve_on_ray(config: ServerConfig, path: Path, on_node: Callable[[str], None]) -> None:
    """Keep a node on each machine of the cluster that RAY_ADDRESS names, or of the one that is here; until SIGTERM.

    Raises ConfigurationError where the configuration is for one node, or ConnectionError where there is no cluster.
    """
    if not config.ledger or config.secret is None:
        raise ConfigurationError("ledger", "nodes on a cluster share one, and a secret: see docs/guides/serving.md")
    ending = threading.Event()

    def end(number: int, frame: object) -> None:
        ending.set()

    ray.init(address="auto", namespace=_NAMESPACE, log_to_driver=False)
    # After that, which sets handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    nodes = RayNodes(path, config.port, on_node)
    while not ending.is_set():
        nodes.look()
        ending.wait(_LOOK)
    nodes.drain(config.grace + 10)
    ray.shutdown()
