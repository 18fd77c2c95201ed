"""Measured amounts as people read them, and one metric of one peer in words."""

import re
from dataclasses import dataclass

from cloche.bench.metrics import METRICS
from cloche.bench.peers import DEFAULT
from cloche.bench.results import FailedMeasurement, PeerFacts, Results
from cloche.bench.statistics import machine_noise, ratio, summary_of

__all__ = [
    "Cell",
    "amount",
    "cell",
    "failures_in_words",
    "last_line",
    "metrics_in",
    "noise_text",
    "order_of",
    "ratio_text",
    "version_of",
]

_TIMES = "\N{MULTIPLICATION SIGN}"
_SECONDS = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_BYTES = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))
# Notes may follow the error in a traceback.
_NAMED = re.compile(r"[\w.]*(?:Error|Exception)\b:")


def amount(value: float, unit: str) -> str:
    """Return a value with three digits that count: seconds, bytes, runs per second, a number, or ``x`` for a ratio."""
    if unit == "x":
        return ratio_text(value)
    if unit == "n":
        return _digits(value)
    if unit == "1/s":
        return f"{_digits(value)}/s"
    size, name = _scale(value, _SECONDS if unit == "s" else _BYTES)
    return f"{_digits(value / size)} {name}"


def ratio_text(value: float) -> str:
    """Return a ratio: 2.61, 340, 0.021 or 96.0k, and the sign of multiplication."""
    size, name = (1e6, "M") if value >= 999_950 else (1e3, "k") if value >= 9_999.5 else (1.0, "")
    return f"{_digits(value / size)}{name}{_TIMES}"


def _scale(value: float, scales: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    # 999.6 of one unit would be written as 1000 of it.
    return next((scale for scale in reversed(scales) if abs(value) >= 0.9995 * scale[0]), scales[0])


def _digits(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}" if abs(value) >= 0.0995 else f"{value:.2g}"


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


def noise_text(results: Results) -> str:
    """Return the machine's own noise as a sentence, empty where it is not known."""
    found = machine_noise(results)
    return "" if found is None else f"The machine's noise: rounds of {results.baseline} are {found:.0%} apart."


def order_of(results: Results) -> list[str]:
    """Return the peers' names, as they were measured."""
    return [peer.name for peer in results.peers]


def version_of(results: Results, peer: PeerFacts) -> str:
    """Return which version of a peer was measured: its packages', or its interpreter's where it is none."""
    found = [f"{name} {number}" for name, number in peer.versions.items()]
    own = [f"Cloche {results.cloche}"] if peer.name.startswith(DEFAULT) else []
    return ", ".join([*own, *found]) or peer.python


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


def _said(failure: FailedMeasurement) -> str:
    line = last_line(failure.message)
    return line if line.startswith(failure.type) else f"{failure.type}: {line}"
