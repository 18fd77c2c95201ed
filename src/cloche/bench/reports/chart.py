"""Plots as SVG, drawn with nothing but text: amounts on a logarithmic axis."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from cloche.bench.amounts import amount

__all__ = ["Mark", "Row", "chart", "swatch"]

_WIDTH = 760
_LEFT = 190
_RIGHT = 90
_LINE = 26
_TOP = 10
_BOTTOM = 30
_RADIUS = 5


@dataclass(frozen=True)
class Mark:
    """One median on a row, with its quartiles. ``series`` picks colour and shape; ``label`` is told on pointing at it."""

    value: float
    low: float
    high: float
    series: int
    label: str


@dataclass(frozen=True)
class Row:
    """One line of a chart. Without marks it shows ``note`` instead."""

    title: str
    marks: Sequence[Mark]
    note: str = ""
    strong: bool = False


def chart(title: str, rows: Sequence[Row], unit: str, *, values: bool = True) -> str:
    """Return an SVG element, empty text if no row has a mark. ``values`` writes each row's amount at its end.

    Amounts must be positive: the axis is logarithmic, from the power of ten below the least to the one above the most.
    """
    edges = [edge for row in rows for mark in row.marks for edge in (mark.low, mark.high, mark.value) if edge > 0]
    if not edges:
        return ""
    axis = _Axis(min(edges), max(edges))
    height = _TOP + _LINE * len(rows) + _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        *_grid(axis, height, unit),
        *(part for place, row in enumerate(rows) for part in _row(row, place, axis, unit if values else "")),
        "</svg>",
    ]
    return "\n".join(parts)


def swatch(series: int) -> str:
    """Return a series' colour and shape alone, for a legend."""
    return f'<svg viewBox="-7 -7 14 14" aria-hidden="true"><g class="s{series}">{_shape(series, 0, 0)}</g></svg>'


class _Axis:
    def __init__(self, least: float, most: float) -> None:
        self.low = math.floor(math.log10(least))
        self.high = max(math.ceil(math.log10(most)), self.low + 1)

    def x(self, value: float) -> float:
        share = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self) -> Iterator[float]:
        return (10.0**power for power in range(self.low, self.high + 1))

    def minor(self) -> Iterator[float]:
        return (digit * tick for tick in list(self.ticks())[:-1] for digit in range(2, 10))


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
    if "." in number:
        number = number.rstrip("0").rstrip(".") if number[-1] == "0" else number.replace(".00", "").replace(".0", "")
    return escape(f"{number} {rest}".strip())


def _row(row: Row, place: int, axis: _Axis, unit: str) -> Iterator[str]:
    y = _TOP + _LINE * place + _LINE / 2
    strong = " strong" if row.strong else ""
    yield f'<text class="name{strong}" x="{_LEFT - 12}" y="{y + 4}">{escape(row.title)}</text>'
    if not row.marks:
        yield f'<text class="note" x="{_LEFT + 6}" y="{y + 4}">{escape(row.note)}</text>'
    for mark in row.marks:
        yield from _mark(mark, axis, y)
    if unit and row.marks:
        text = escape(amount(row.marks[0].value, unit))
        yield f'<text class="value{strong}" x="{_WIDTH - _RIGHT + 10}" y="{y + 4}">{text}</text>'


def _mark(mark: Mark, axis: _Axis, y: float) -> Iterator[str]:
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
