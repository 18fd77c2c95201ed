"""Plots as SVG, drawn with nothing but text: amounts on a logarithmic axis."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from cloche.bench.reports.cells import amount

__all__ = ["ChartMark", "Row", "chart", "swatch"]

# Digits after the point that say nothing, before the end or a unit.
_ZEROS = re.compile(r"(?<=\d)\.0+(?!\d)|(?<=\.[1-9])0+(?!\d)")
_WIDTH = 760
_LEFT = 190
_RIGHT = 90
_LINE = 26
_TOP = 10
_BOTTOM = 30
_RADIUS = 5
_ROOM = 22


@dataclass(frozen=True)
class ChartMark:
    """One median on a row, with its quartiles. ``series`` picks colour and shape; ``label`` shows on pointing at it."""

    value: float
    low: float
    high: float
    series: int
    label: str


@dataclass(frozen=True)
class Row:
    """One line of a chart. Without marks it shows ``note`` instead."""

    title: str
    marks: Sequence[ChartMark]
    note: str = ""
    strong: bool = False


def chart(title: str, rows: Sequence[Row], unit: str, *, crowded: bool = False) -> str:
    """Return an SVG element, empty text if no row has a mark. Amounts of 0 and less are left out: the axis has none.

    ``crowded`` is for rows with many marks: they get room and lie above each other, and no amounts are written.
    """
    edges = [edge for row in rows for mark in row.marks for edge in (mark.low, mark.high, mark.value) if edge > 0]
    if not edges:
        return ""
    axis = _Axis(min(edges), max(edges))
    line = _LINE + _ROOM * crowded
    height = _TOP + line * len(rows) + _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        *_grid(axis, height, unit),
        *(
            part
            for place, row in enumerate(rows)
            for part in _row(row, _TOP + line * (place + 0.5), axis, "" if crowded else unit)
        ),
        "</svg>",
    ]
    return "\n".join(parts)


def swatch(series: int) -> str:
    """Return a series' colour and shape alone, for a legend."""
    return f'<svg viewBox="-7 -7 14 14" aria-hidden="true"><g class="s{series}">{_shape(series, 0, 0)}</g></svg>'


class _Axis:
    """A logarithmic axis between two round numbers; ticks at powers of ten, on short axes also at 2 and 5."""

    def __init__(self, smallest: float, largest: float) -> None:
        self._low = max(step for step in _steps(smallest) if step <= smallest * 1.001)
        self._high = min(step for step in _steps(largest) if step >= largest * 0.999 and step > self._low)
        self._short = self._high / self._low <= 500

    def x(self, value: float) -> float:
        share = math.log(max(value, self._low) / self._low) / math.log(self._high / self._low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self) -> Iterator[float]:
        return (step for step in self._between((1, 2, 5) if self._short else (1,)))

    def minor(self) -> Iterator[float]:
        return self._between(range(1, 10))

    def _between(self, digits: Sequence[int]) -> Iterator[float]:
        powers = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)) + 1)
        steps = (digit * 10.0**power for power in powers for digit in digits)
        return (step for step in steps if self._low * 0.999 <= step <= self._high * 1.001)


def _steps(value: float) -> list[float]:
    power = math.floor(math.log10(value))
    return [digit * 10.0**near for near in (power - 1, power, power + 1, power + 2) for digit in (1, 2, 5)]


def _grid(axis: _Axis, height: int, unit: str) -> Iterator[str]:
    bottom = height - _BOTTOM
    for tick in axis.minor():
        yield f'<line class="minor" x1="{axis.x(tick)}" x2="{axis.x(tick)}" y1="{_TOP}" y2="{bottom}"/>'
    for tick in axis.ticks():
        yield f'<line class="grid" x1="{axis.x(tick)}" x2="{axis.x(tick)}" y1="{_TOP}" y2="{bottom}"/>'
        yield f'<text class="tick" x="{axis.x(tick)}" y="{bottom + 18}">{_tick(tick, unit)}</text>'


def _tick(value: float, unit: str) -> str:
    """Return the amount of a power of ten without the digits that would all be zeros."""
    number, _, rest = amount(value, unit).partition(" ")
    return escape(f"{_ZEROS.sub('', number)} {rest}".strip())


def _row(row: Row, y: float, axis: _Axis, unit: str) -> Iterator[str]:
    strong = " strong" if row.strong else ""
    yield f'<text class="name{strong}" x="{_LEFT - 12}" y="{y + 4}">{escape(row.title)}</text>'
    if not row.marks:
        yield f'<text class="note" x="{_LEFT + 6}" y="{y + 4}">{escape(row.note)}</text>'
    for mark in row.marks:
        yield from _mark(mark, axis, y if unit else y + _ROOM / 3 * (mark.series % 3 - 1))
    if unit and row.marks:
        text = escape(amount(row.marks[0].value, unit))
        yield f'<text class="value{strong}" x="{_WIDTH - _RIGHT + 10}" y="{y + 4}">{text}</text>'


def _mark(mark: ChartMark, axis: _Axis, y: float) -> Iterator[str]:
    yield f'<g class="s{mark.series}"><title>{escape(mark.label)}</title>'
    yield f'<line class="spread" x1="{axis.x(mark.low)}" x2="{axis.x(mark.high)}" y1="{y}" y2="{y}"/>'
    yield f"{_shape(mark.series, axis.x(mark.value), y)}</g>"


def _shape(series: int, x: float, y: float) -> str:
    """Return a circle, a square, a diamond or a triangle: colours alone do not reach everybody."""
    r = _RADIUS
    match series % 4:
        case 0:
            return f'<circle cx="{x}" cy="{y}" r="{r}"/>'
        case 1:
            return f'<rect x="{x - r + 0.5:.1f}" y="{y - r + 0.5:.1f}" width="{2 * r - 1}" height="{2 * r - 1}"/>'
        case 2:
            return f'<path d="M{x} {y - r - 1} L{x + r + 1:.1f} {y} L{x} {y + r + 1} L{x - r - 1:.1f} {y} Z"/>'
        case _:
            return f'<path d="M{x} {y - r} L{x + r:.1f} {y + r} L{x - r:.1f} {y + r} Z"/>'
