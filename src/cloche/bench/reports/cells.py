"""One metric of one peer, in words."""

import re
from dataclasses import dataclass

from cloche.bench.amounts import amount, ratio_text
from cloche.bench.metrics import METRICS
from cloche.bench.results import Failure, Results
from cloche.bench.statistics import ratio, summary_of

__all__ = ["Cell", "cell", "failures_in_words", "last_line", "metrics_in", "order_of"]


# Notes may follow the error in a traceback.
_NAMED = re.compile(r"[\w.]*(?:Error|Exception)\b:")


@dataclass(frozen=True)
class Cell:
    """``text`` is the amount, or what went wrong in one word; ``ratio`` is to the baseline, empty where unknown.

    ``failed`` says that the peer could not; a cell with neither text nor failure was not asked for.
    """

    text: str = ""
    ratio: str = ""
    failed: bool = False


def cell(results: Results, metric: str, peer: str, base: str = "") -> Cell:
    """Return the cell; ratios are to ``base``, by default the run's baseline."""
    found = summary_of(results, metric, peer)
    if found is not None:
        compared = ratio(results, metric, peer, base or results.baseline)
        return Cell(amount(found.median, METRICS[metric].unit), "" if compared is None else ratio_text(compared))
    failure = results.failure(metric, peer)
    return Cell() if failure is None else Cell(failure.type, failed=True)


def metrics_in(results: Results, group: str) -> list[str]:
    """Return the metrics of a group that at least one peer was measured for, in the catalogue's order."""
    asked = {found.metric for found in results.measurements} | {failure.metric for failure in results.failures}
    return [name for name, metric in METRICS.items() if metric.group == group and name in asked]


def order_of(results: Results) -> list[str]:
    """Return the peers' names, as they were measured."""
    return [peer.name for peer in results.peers]


def failures_in_words(results: Results) -> list[tuple[str, str, str]]:
    """Return (peer, metrics, what it said) for everything that could not be measured, same words together."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for failure in results.failures:
        grouped.setdefault((failure.peer, _said(failure)), []).append(failure.metric)
    return [(peer, ", ".join(metrics), said) for (peer, said), metrics in grouped.items()]


def last_line(text: str) -> str:
    """Return the last line that names an error, as a traceback's end does, or else the last that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _NAMED.match(line)]
    return (named or lines or [""])[-1]


def _said(failure: Failure) -> str:
    line = last_line(failure.message)
    return line if line.startswith(failure.type) else f"{failure.type}: {line}"
