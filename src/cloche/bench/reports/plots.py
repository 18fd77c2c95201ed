"""Which plots there are: one for each metric, and one for all programs."""

from cloche.bench.amounts import amount
from cloche.bench.bars import native_of
from cloche.bench.metrics import METRICS
from cloche.bench.peers import DEFAULT
from cloche.bench.reports.cells import last_line, order_of
from cloche.bench.reports.chart import Mark, Row, chart
from cloche.bench.results import PeerFacts, Results
from cloche.bench.statistics import Summary, summary_of

__all__ = ["compute_plot", "metric_plot"]

_NOTE = 70


def metric_plot(results: Results, metric: str) -> str:
    """Return one metric's plot: a row for each peer, with its median, its quartiles, or its own error."""
    rows = [row for place, peer in enumerate(results.peers) if (row := _peer_row(results, metric, place, peer))]
    return chart(METRICS[metric].title, rows, METRICS[metric].unit)


def compute_plot(results: Results, metrics: list[str]) -> str:
    """Return a plot of all programs: a row for each, a mark for each peer, in terms of native CPython's median."""
    rows = [Row(METRICS[metric].title, _relative(results, metric)) for metric in metrics]
    return chart("times native CPython", rows, "x", crowded=True)


def _peer_row(results: Results, metric: str, place: int, peer: PeerFacts) -> Row | None:
    strong = peer.name == DEFAULT
    found = summary_of(results, metric, peer.name)
    if found is not None and found.median > 0:
        return Row(peer.title, [_mark(found, place, 1.0, METRICS[metric].unit, peer.title)], strong=strong)
    failure = results.failure(metric, peer.name)
    if failure is None:
        return Row(peer.title, [], "nothing that could be measured", strong) if found else None
    said = last_line(failure.message)
    return Row(peer.title, [], said if len(said) <= _NOTE else f"{said[:_NOTE]}…", strong)


def _relative(results: Results, metric: str) -> list[Mark]:
    native = summary_of(results, metric, native_of(results))
    if native is None or native.median <= 0:
        return []
    found = [(place, peer, summary_of(results, metric, peer)) for place, peer in enumerate(order_of(results))]
    return [_mark(one, place, native.median, "x", peer) for place, peer, one in found if one is not None]


def _mark(found: Summary, place: int, scale: float, unit: str, name: str) -> Mark:
    low, middle, high = found.low / scale, found.median / scale, found.high / scale
    shown, start, end = (amount(value, unit) for value in (middle, low, high))
    label = f"{name}: {shown}, half of {found.count} samples between {start} and {end}"
    return Mark(middle, low, high, place, label)
