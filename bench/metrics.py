"""What is measured: every metric, by name."""

from dataclasses import dataclass
from typing import Literal

from cloche.bench.tasks.compute import PROGRAMS

__all__ = ["GROUPS", "METRICS", "Metric", "Unit", "chosen"]

Unit = Literal["s", "B", "1/s", "n"]


@dataclass(frozen=True)
class Metric:
    """One number that peers are compared by.

    ``task`` is what measures it, ``brief`` fits a table's head. A ``long`` one takes a minute, and is asked for.
    """

    name: str
    title: str
    brief: str
    group: str
    task: str
    unit: Unit = "s"
    long: bool = False

    @property
    def lower_is_better(self) -> bool:
        """False for rates only."""
        return self.unit != "1/s"


GROUPS = {
    "start": "From nothing to a result",
    "session": "In a session",
    "durable": "A session as bytes",
    "tool": "Calling a host function",
    "compute": "Computing",
    "crowd": "Many at once",
    "turns": "Many programs on few threads",
    "threads": "Threads inside a program",
}
"""The groups' titles, by name."""


def _metric(
    name: str, title: str, brief: str, group: str, unit: Unit = "s", task: str = "", *, long: bool = False
) -> Metric:
    return Metric(name, title, brief, group, task or name, unit, long)


_ALL = [
    _metric("process", "new process to its first result", "process", "start"),
    _metric("cold", "the same with no compiled image yet", "cold", "start", long=True),
    _metric("fresh.ready", "fresh isolate, x = 1, after a pause", "fresh", "start"),
    _metric("fresh.sustained", "the same, back to back", "sustained", "start"),
    _metric("fresh.imports", "fresh isolate importing json, re, datetime, decimal", "imports", "start"),
    _metric("fresh.tools", "fresh session with six host functions, x = 1, back to back", "six tools", "start"),
    _metric("session.next", "next program in a session", "next", "session"),
    _metric("session.repeat", "the same program again", "again", "session"),
    _metric("session.tools", "the same, six host functions registered and none called", "six tools", "session"),
    _metric("transcript", "ten turns of an agent, session included", "ten turns", "session"),
    _metric("feeds", "ten small programs, session included", "ten feeds", "session"),
    _metric("durable.snapshot", "write a small session down, 400 kB of it changed", "snapshot", "durable"),
    _metric("durable.restore", "from these bytes to the first result", "restore", "durable"),
    _metric("durable.fork", "fork it, to the fork's first result", "fork", "durable"),
    _metric("durable.large", "write a dict of 100,000 entries down", "100k entries", "durable"),
    _metric(
        "durable.resume", "from the bytes of a program paused after 3 million turns to its end", "resume", "durable"
    ),
    _metric("durable.size", "bytes of a session after x = 1", "x = 1", "durable", "B"),
    _metric("durable.data", "the same with 1 MB of random bytes", "1 MB of data", "durable", "B"),
    _metric("tool.ints", "two ints", "2 ints", "tool"),
    _metric("tool.text", "1 kB of text, each way", "1 kB", "tool"),
    _metric("tool.data", "1 MB of bytes, each way", "1 MB", "tool"),
    _metric("tool.rows", "10,000 rows of four fields, to the guest", "10k rows", "tool"),
    *(_metric(f"compute.{name}", name.replace("_", " "), name, "compute") for name in PROGRAMS),
    _metric("throughput.1", "fresh runs per second, one thread", "1 thread", "crowd", "1/s"),
    _metric("throughput.2", "fresh runs per second, two threads", "2 threads", "crowd", "1/s"),
    _metric("burst", "a hundred fresh runs at the same moment", "burst", "crowd"),
    _metric("busy.median", "a short run beside four that compute", "beside 4", "crowd", task="busy"),
    _metric("busy.slowest", "the same: its 99th percentile", "99th", "crowd", task="busy"),
    _metric("memory.idle", "private memory of an idle session", "idle", "crowd", "B", "memory"),
    _metric("memory.working", "the same, after 1 MB of work", "1 MB used", "crowd", "B", "memory"),
    _metric("live.memory", "1,000 live sessions: memory", "1,000 live", "crowd", "B", "live"),
    _metric("live.open", "1,000 live sessions: time to open", "to open", "crowd", "s", "live"),
    _metric("waiting.time", "1,000 programs that wait a second", "1,000 wait", "turns", task="waiting"),
    _metric("waiting.threads", "the same: the process's threads", "threads", "turns", "n", "waiting"),
    _metric("rest.time", "10,000 programs that wait a second", "10,000 wait", "turns", task="rest", long=True),
    _metric("rest.threads", "the same: the process's threads", "threads", "turns", "n", "rest", long=True),
    _metric("rest.memory", "the same: memory", "memory", "turns", "B", "rest", long=True),
    _metric("await", "a call of a coroutine that answers at once, awaited", "await", "turns"),
    _metric("beside.median", "a short program beside 19 endless ones", "beside 19", "turns", task="beside"),
    _metric("beside.slowest", "the same: its 99th percentile", "99th", "turns", task="beside"),
    _metric("beside.spread", "spread of three accounts with 10, 5, 4 of these", "spread", "turns", "n", "beside"),
    _metric("pause", "leave a computing program, and enter it again", "pause", "turns"),
    _metric("request.median", "have an ordinary program leave where it computes", "request", "turns", task="request"),
    _metric("request.slowest", "the same: its 99th percentile", "99th", "turns", task="request"),
    _metric("request.late", "the same: share of those above 20 ms", "late", "turns", "n", "request"),
    _metric("threads.start", "start a thread and wait for its end", "start", "threads"),
    _metric("threads.queue", "hand something to another thread and get it back", "queue", "threads"),
    _metric("threads.executor", "a call in an executor of four threads", "executor", "threads"),
]
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def chosen(names: list[str], *, long: bool = False) -> list[Metric]:
    """Return the metrics that the names mean, each a metric, a group or a beginning such as ``fresh``; all for none.

    Long ones are among them if ``long`` says so, and if they are named themselves.

    Raises ValueError, naming the one that means nothing.
    """
    for name in names:
        if not any(_means(name, metric) for metric in _ALL):
            raise ValueError(f"nothing is named {name!r}; there are {', '.join([*GROUPS, *METRICS])}")
    found = [metric for metric in _ALL if not names or any(_means(name, metric) for name in names)]
    return [metric for metric in found if long or not metric.long or {metric.name, metric.task} & {*names}]


def _means(name: str, metric: Metric) -> bool:
    return name in (metric.name, metric.group, metric.task) or metric.name.startswith(f"{name}.")
