"""What Cloche sets itself: the bars, and whether they are met."""

from collections.abc import Callable
from dataclasses import dataclass

from cloche.bench.metrics import METRICS
from cloche.bench.peers import DEFAULT, NATIVE
from cloche.bench.results import Results
from cloche.bench.statistics import geometric_mean, ratio, summary_of

__all__ = ["BARS", "Bar", "BarVerdict", "compute_ratio", "native_of", "verdicts"]

_COMPUTE = [name for name, metric in METRICS.items() if metric.group == "compute"]


@dataclass(frozen=True)
class Bar:
    """One number that must not be exceeded.

    ``must`` is what a release has to reach, ``goal`` where it wants to be; None where there is no such bar.
    ``unit`` is the metric's, or ``x`` for a ratio to native CPython.
    """

    title: str
    unit: str
    must: float | None
    goal: float | None
    measure: Callable[[Results], float | None]


@dataclass(frozen=True)
class BarVerdict:
    """A bar beside what was measured; ``measured`` is None if it could not be measured here."""

    bar: Bar
    measured: float | None

    @property
    def must_met(self) -> bool | None:
        """Whether the bar is met; None where there is none or nothing was measured."""
        return _met(self.measured, self.bar.must)

    @property
    def goal_met(self) -> bool | None:
        """The same of the goal."""
        return _met(self.measured, self.bar.goal)


def verdicts(results: Results) -> list[BarVerdict]:
    """Return every bar beside what was measured."""
    return [BarVerdict(bar, bar.measure(results)) for bar in BARS]


def native_of(results: Results) -> str:
    """Return the peer that compute is compared with: a native CPython of the guest's version if one was there."""
    return NATIVE if any(peer.name == NATIVE for peer in results.peers) else "exec"


def compute_ratio(results: Results, peer: str, base: str | None = None) -> tuple[float | None, int]:
    """Return the geometric mean of a peer's times in terms of native ones, and over how many programs."""
    base = base or native_of(results)
    found = [value for name in _COMPUTE if (value := ratio(results, name, peer, base))]
    return geometric_mean(found), len(found)


def _met(measured: float | None, bar: float | None) -> bool | None:
    return None if measured is None or bar is None else measured <= bar


def _median(metric: str, peer: str = DEFAULT) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        found = summary_of(results, metric, peer)
        return None if found is None else found.median

    return measure


def _slower(peer: str) -> Callable[[Results], float | None]:
    return lambda results: compute_ratio(results, peer)[0]


def _in_terms(metric: str, base: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        mine, theirs = _median(metric)(results), _median(base)(results)
        return None if mine is None or not theirs else mine / theirs

    return measure


def _each(rate: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        found = _median(rate)(results)
        return 1 / found if found else None

    return measure


_MS, _US, _KB, _MB = 1e-3, 1e-6, 1e3, 1e6
BARS = [
    Bar("new process to first result, image cached", "s", 60 * _MS, 40 * _MS, _median("process")),
    Bar("fresh isolate, x = 1, ready pool", "s", 100 * _US, None, _median("fresh.ready")),
    Bar("fresh isolate, sustained, one thread", "s", 60 * _US, None, _median("fresh.sustained")),
    Bar("next run in a session, a new text", "s", 35 * _US, 25 * _US, _median("session.next")),
    Bar("next run in a session, the same text", "s", 9 * _US, None, _median("session.repeat")),
    Bar("next run in a session with six tools", "s", None, 30 * _US, _median("session.tools")),
    Bar("tool call, two ints, as it comes", "s", 8 * _US, 5 * _US, _median("tool.ints")),
    Bar("tool call, two ints, blocking=False", "s", 4 * _US, None, _median("tool.ints", f"{DEFAULT}-nonblocking")),
    Bar("tool call, 1 MB bytes each way", "s", None, 1 * _MS, _median("tool.data")),
    Bar("ten-turn transcript, fresh session included", "s", 0.8 * _MS, 0.5 * _MS, _median("transcript")),
    Bar("ten feeds without tools, session included", "s", 0.5 * _MS, 0.33 * _MS, _median("feeds")),
    Bar("compute, default metering, to native", "x", 1.75, None, _slower(DEFAULT)),
    Bar("compute, epochs, to native", "x", None, 3.2, _slower(f"{DEFAULT}-epoch")),
    Bar("compute, no metering, to native", "x", 1.6, None, _slower(f"{DEFAULT}-none")),
    Bar("private memory per idle session", "B", 200 * _KB, None, _median("memory.idle")),
    Bar("1,000 live sessions, above base", "B", 230 * _MB, None, _median("live.memory")),
    Bar("snapshot of a small session", "s", 0.5 * _MS, None, _median("durable.snapshot")),
    Bar("restore, to the first result", "s", 0.4 * _MS, None, _median("durable.restore")),
    Bar("fork, to the first result", "s", None, 1.5 * _MS, _median("durable.fork")),
    Bar("resume after 3 million turns, to the end", "s", 0.4 * _MS, None, _median("durable.resume")),
    Bar("snapshot of a dict of 100,000 entries", "s", 20 * _MS, None, _median("durable.large")),
    Bar("snapshot's size, x = 1", "B", None, 150 * _KB, _median("durable.size")),
    Bar("snapshot's size, 1 MB of random bytes", "B", None, 2 * _MB, _median("durable.data")),
    Bar("fresh runs of one thread, time of each", "s", 1 / 15_000, None, _each("throughput.1")),
    Bar("one thread's rate, in terms of two threads'", "x", 1 / 1.6, None, _in_terms("throughput.1", "throughput.2")),
    Bar("1,000 programs that wait a second", "s", 2.0, None, _median("waiting.time")),
    Bar("the same: threads", "n", 6, None, _median("waiting.threads")),
    Bar("10,000 programs that wait a second", "s", 20.0, None, _median("rest.time")),
    Bar("the same: threads", "n", 6, None, _median("rest.threads")),
    Bar("the same: memory", "B", 600 * _MB, None, _median("rest.memory")),
    Bar("a call answered at once, awaited", "s", 90 * _US, None, _median("await")),
    Bar("a short program beside 19 endless ones", "s", 4 * _MS, None, _median("beside.median")),
    Bar("the same: 99th percentile", "s", 15 * _MS, None, _median("beside.slowest")),
    Bar("shares of three accounts, spread", "n", 0.03, None, _median("beside.spread")),
    Bar("pause and resume", "s", 8 * _US, None, _median("pause")),
    Bar("request to pause, ordinary programs", "s", 0.2 * _MS, None, _median("request.median")),
    Bar("the same: 99th percentile", "s", 5 * _MS, None, _median("request.slowest")),
    Bar("the same: share above 20 ms", "n", 0.005, None, _median("request.late")),
]
