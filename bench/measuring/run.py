"""One whole run of the benchmark, from peers to results, with what the machine is that it ran on."""

import os
import platform
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from cloche import __version__
from cloche.bench.measuring.contest import Contest, OnBlock
from cloche.bench.measuring.plan import QUICK, STANDARD, Plan, tasks_of
from cloche.bench.metrics import METRICS, Metric
from cloche.bench.peers import Peer
from cloche.bench.results import AbsentPeer, FailedMeasurement, MachineFacts, Measurement, PeerFacts, Results
from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.image import DEFAULT_IMAGE, read_manifest

__all__ = ["MissingPeer", "Order", "run"]

_MOST_WORDS = 2_000
# Seconds that the long metrics may take beside the others.
_LONG = 180.0


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
    machine, created, start = _describe(), datetime.now(UTC), perf_counter()
    with Contest(order.peers, _plan(order), on_block) as contest:
        contest.gather()
        _require(order.required, contest.absent)
        for task in tasks_of(order.metrics):
            contest.play(task)
    return Results(
        format=1,
        created=created.isoformat(timespec="seconds"),
        cloche=__version__,
        image=_image_digest(),
        quick=order.quick,
        seconds=round(perf_counter() - start, 1),
        baseline=order.baseline,
        machine=machine,
        peers=_facts(order.peers, contest),
        absent=[AbsentPeer(name=name, reason=reason) for name, reason in contest.absent.items()],
        measurements=_measurements(contest, order),
        failures=_failures(contest, order),
    )


def _plan(order: Order) -> Plan:
    if order.quick or not any(metric.long for metric in order.metrics):
        return QUICK if order.quick else STANDARD
    return replace(STANDARD, short_after=STANDARD.short_after + _LONG, end_after=STANDARD.end_after + _LONG)


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


def _image_digest() -> str:
    """Return the SHA-256 that the guest image's manifest states, empty if there is no image."""
    try:
        return str(read_manifest(DEFAULT_IMAGE)["sha256"])
    except ImageError:
        return ""


def _describe() -> MachineFacts:
    """Return the facts that numbers depend on."""
    return MachineFacts(
        system=f"{platform.system()} {platform.release()}",
        processor=f"{_processor()} ({platform.machine()})",
        cores=_cores(),
        memory=_memory(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _cores() -> int:
    """Return the cores that this process may use, which containers make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
