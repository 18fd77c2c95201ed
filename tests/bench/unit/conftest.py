from collections.abc import Callable

import pytest

from cloche.bench.metrics import METRICS
from cloche.bench.results import AbsentPeer, FailedMeasurement, MachineFacts, Measurement, PeerFacts, Results

MakeResults = Callable[..., Results]


@pytest.fixture
def make_results() -> MakeResults:
    """Makes results from ``{(metric, peer): rounds}``, with failures as ``{(metric, peer): (type, message)}``."""

    def make(
        found: dict[tuple[str, str], list[list[float]]],
        failures: dict[tuple[str, str], tuple[str, str]] | None = None,
        *,
        title: str = "",
        versions: dict[str, dict[str, str]] | None = None,
    ) -> Results:
        failures = failures or {}
        names = list(dict.fromkeys(peer for _, peer in (*found, *failures)))
        return Results(
            format=1,
            created="2026-01-02T03:04:05+00:00",
            cloche="0.1.0",
            image="ab" * 32,
            quick=False,
            seconds=12.0,
            baseline="exec",
            machine=MachineFacts(
                system="Linux 6", processor="abacus", cores=2, memory=8 << 30, python="CPython", load=0.5
            ),
            peers=[
                PeerFacts(
                    name=name,
                    title=title or name,
                    isolation="glass",
                    python="CPython 3.13.5",
                    versions=(versions or {}).get(name, {}),
                )
                for name in names
            ],
            absent=[AbsentPeer(name="missing-peer", reason="not installed: No module named 'missing'")],
            measurements=[
                Measurement(metric=metric, peer=peer, unit=METRICS[metric].unit, rounds=rounds)
                for (metric, peer), rounds in found.items()
            ],
            failures=[
                FailedMeasurement(metric=metric, peer=peer, type=kind, message=message)
                for (metric, peer), (kind, message) in failures.items()
            ],
        )

    return make
