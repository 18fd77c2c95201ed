"""One whole run of the benchmark, from peers to results."""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from cloche import __version__
from cloche.bench.machine import describe, image_digest
from cloche.bench.measuring.contest import Contest, OnBlock
from cloche.bench.measuring.plan import QUICK, STANDARD, tasks_of
from cloche.bench.metrics import METRICS, Metric
from cloche.bench.peers import Peer
from cloche.bench.results import AbsentPeer, FailedMeasurement, Measurement, PeerFacts, Results

__all__ = ["MissingPeer", "Order", "run"]

_MOST_WORDS = 2_000


class MissingPeer(Exception):
    """A peer that was asked for by name cannot be measured. The message says why."""


@dataclass(frozen=True)
class Order:
    """What is to be measured, on whom, against which baseline, and whether a short look is enough.

    ``required`` are the peers without which there is no point in starting; others may be absent.
    """

    metrics: list[Metric]
    peers: list[Peer]
    baseline: str
    quick: bool = False
    required: frozenset[str] = frozenset()


def run(order: Order, on_block: OnBlock) -> Results:
    """Measure. ``on_block`` is called before each block. Raises MissingPeer at the start."""
    machine, created, start = describe(), datetime.now(UTC), perf_counter()
    with Contest(order.peers, QUICK if order.quick else STANDARD, on_block) as contest:
        contest.gather()
        _require(order.required, contest.absent)
        for task in tasks_of(order.metrics):
            contest.play(task)
    return Results(
        format=1,
        created=created.isoformat(timespec="seconds"),
        cloche=__version__,
        image=image_digest(),
        quick=order.quick,
        seconds=round(perf_counter() - start, 1),
        baseline=order.baseline,
        machine=machine,
        peers=_facts(order.peers, contest),
        absent=[AbsentPeer(name=name, reason=reason) for name, reason in contest.absent.items()],
        measurements=_measurements(contest, order),
        failures=_failures(contest, order),
    )


def _require(required: frozenset[str], absent: dict[str, str]) -> None:
    for name in sorted(required & set(absent)):
        raise MissingPeer(f"{name}: {absent[name]}")


def _facts(peers: list[Peer], contest: Contest) -> list[PeerFacts]:
    return [
        PeerFacts(name=peer.name, title=peer.title, isolation=peer.isolation, **contest.hellos[peer.name])
        for peer in peers
        if peer.name in contest.hellos
    ]


def _measurements(contest: Contest, order: Order) -> list[Measurement]:
    wanted = {metric.name for metric in order.metrics}
    return [
        Measurement(metric=metric, peer=peer, unit=METRICS[metric].unit, rounds=_rounded(rounds))
        for (metric, peer), rounds in contest.found.rounds.items()
        if metric in wanted
    ]


def _rounded(rounds: list[list[float]]) -> list[list[float]]:
    # No clock is as good as the digits of a float, and the file is a third as long.
    return [[float(f"{sample:.5g}") for sample in block] for block in rounds]


def _failures(contest: Contest, order: Order) -> list[FailedMeasurement]:
    wanted = {metric.name for metric in order.metrics}
    return [
        FailedMeasurement(metric=metric, peer=peer, type=kind, message=message[-_MOST_WORDS:])
        for (metric, peer), (kind, message) in contest.found.failures.items()
        if metric in wanted
    ]
