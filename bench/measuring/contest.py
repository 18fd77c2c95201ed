"""All peers, task by task and round by round."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from cloche.bench.measuring.plan import Plan, Step
from cloche.bench.measuring.process import Failed, WorkerProcess, first_results
from cloche.bench.metrics import METRICS, Metric
from cloche.bench.peers import Peer, takes_part

__all__ = ["Contest", "Found", "OnBlock"]

OnBlock = Callable[[str, str, int], None]
"""Called before each block with the task, the peer's name and the round."""
# A peer's very first run may compile its image, which it then keeps.
_READY = 300.0

Rounds = list[list[float]]


@dataclass
class Found:
    """What came out: samples by (metric, peer) in rounds, errors as (type, message) by (metric, peer)."""

    rounds: dict[tuple[str, str], Rounds] = field(default_factory=dict[tuple[str, str], Rounds])
    failures: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict[tuple[str, str], tuple[str, str]])


class Contest:
    """The peers in their processes. As a context manager, it ends them.

    ``hellos`` holds what each installed peer said of itself, ``absent`` why the others are not there.
    """

    def __init__(self, peers: list[Peer], plan: Plan, on_block: OnBlock) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._plan = plan
        self._on_block = on_block
        self._workers: dict[str, WorkerProcess] = {}
        self._start = perf_counter()
        self._spent: dict[tuple[str, str], float] = {}
        self.found = Found()
        self.hellos: dict[str, dict[str, Any]] = {}
        self.absent: dict[str, str] = {}

    def gather(self) -> None:
        """Start every peer and let it run once; what is not installed or does not start is absent. Not timed."""
        for name in self._peers:
            self._on_block("getting ready", name, 0)
            try:
                self._greet(name)
            except Failed as failure:
                self.absent[name] = f"{failure.kind}: {failure}"
        self._start = perf_counter()

    def play(self, task: str) -> None:
        """Measure one task on all peers that can do it."""
        step = self._plan.step(task)
        metrics = [metric for metric in METRICS.values() if metric.task == task]
        names = [name for name in self.hellos if any(self._takes_part(name, metric) for metric in metrics)]
        for number in range(step.rounds):
            if self._late(number):
                break
            # Each round begins with another peer, so that none always follows the same neighbour.
            for name in names[number % len(names) :] + names[: number % len(names)] if names else []:
                self._block(task, step, name, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.close()

    def _greet(self, name: str) -> None:
        worker = self._workers[name] = WorkerProcess(self._peers[name])
        if "missing" in worker.hello:
            raise Failed("not installed", worker.hello["missing"])
        self.hellos[name] = worker.hello
        with suppress(Failed):  # it will fail again where it is measured
            worker.ask({"task": "fresh.ready", "block": {"seconds": 0.0, "max_samples": 1, "warm": 0}}, _READY)

    def _takes_part(self, name: str, metric: Metric) -> bool:
        return takes_part(self._peers[name], metric.name, metric.group)

    def _late(self, number: int) -> bool:
        return number > 0 and perf_counter() - self._start > self._plan.short_after

    def _block(self, task: str, step: Step, name: str, number: int) -> None:
        if self._over(task, step, name):
            return
        self._on_block(task, name, number)
        start = perf_counter()
        try:
            self._keep(name, self._take(task, step, name))
        except Failed as failure:
            self._note(task, name, (failure.kind, str(failure)))
        self._spent[task, name] = self._spent.get((task, name), 0.0) + perf_counter() - start

    def _over(self, task: str, step: Step, name: str) -> bool:
        if perf_counter() - self._start > self._plan.end_after:
            self._note(task, name, ("NotMeasured", "the benchmark's time was over"))
        failed = any((metric.name, name) in self.found.failures for metric in METRICS.values() if metric.task == task)
        return failed or self._spent.get((task, name), 0.0) > step.spend

    def _take(self, task: str, step: Step, name: str) -> dict[str, list[float]]:
        if task in ("process", "cold"):
            return first_results(self._peers[name], step.block, task)
        return self._worker(name, step.alone).ask({"task": task, "block": step.block}, step.deadline)

    def _worker(self, name: str, alone: bool) -> WorkerProcess:
        worker = self._workers[name]
        if alone or not worker.alive:
            worker.close()
            worker = self._workers[name] = WorkerProcess(self._peers[name])
        return worker

    def _keep(self, name: str, samples: dict[str, list[float]]) -> None:
        for metric, values in samples.items():
            self.found.rounds.setdefault((metric, name), []).append(values)

    def _note(self, task: str, name: str, failure: tuple[str, str]) -> None:
        for metric in METRICS.values():
            # What was measured in an earlier round stays.
            if metric.task == task and (metric.name, name) not in self.found.rounds:
                self.found.failures.setdefault((metric.name, name), failure)
