"""The results as one page that needs nothing else: styles and plots are inside."""

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from cloche.bench.bars import BarVerdict, compute_ratio, native_of, verdicts
from cloche.bench.metrics import GROUPS, METRICS
from cloche.bench.peers import DEFAULT
from cloche.bench.reports.cells import (
    amount,
    failures_in_words,
    last_line,
    metrics_in,
    order_of,
    ratio_text,
    version_of,
)
from cloche.bench.reports.chart import ChartMark, Row, chart, swatch
from cloche.bench.results import PeerFacts, Results
from cloche.bench.statistics import Summary, ratio, summary_of

__all__ = ["compute_plot", "metric_plot", "page"]

_NOTE = 70

_STYLE = Path(__file__).with_name("style.css")
_METHOD = (
    "Each peer runs in a process of its own. The peers take turns within every round, a round begins with another "
    "peer each time, and warm-up samples are thrown away. A mark is the median of all samples, the line behind it the "
    "middle half of them; axes are logarithmic. Programs must answer what CPython answers, or they do not count."
)


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


def _relative(results: Results, metric: str) -> list[ChartMark]:
    native = summary_of(results, metric, native_of(results))
    if native is None or native.median <= 0:
        return []
    found = [(place, peer, summary_of(results, metric, peer)) for place, peer in enumerate(order_of(results))]
    return [_mark(one, place, native.median, "x", peer) for place, peer, one in found if one is not None]


def _mark(found: Summary, place: int, scale: float, unit: str, name: str) -> ChartMark:
    low, middle, high = found.low / scale, found.median / scale, found.high / scale
    shown, start, end = (amount(value, unit) for value in (middle, low, high))
    label = f"{name}: {shown}, half of {found.count} samples between {start} and {end}"
    return ChartMark(middle, low, high, place, label)


def page(results: Results) -> str:
    """Return the whole HTML document."""
    body = "\n".join([*_heading(results), *_bars(results), *_groups(results), *_peers(results), *_table(results)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>What isolation costs</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _heading(results: Results) -> Iterator[str]:
    machine = results.machine
    load = "" if machine.load is None else f" Load at the start: {machine.load:.1f}."
    yield "<h1>What isolation costs</h1>"
    if results.quick:
        yield '<p class="bad">A quick look, one short round: the numbers say little.</p>'
    yield _paragraph(
        f"{machine.processor}, {machine.cores} cores, {machine.memory / 1e9:.0f} GB; {machine.system}; "
        f"{machine.python}; Cloche {results.cloche}, image {results.image[:12] or 'unknown'}; {results.created}.{load}",
        "soft",
    )
    yield _paragraph(_METHOD, "soft")


def _bars(results: Results) -> Iterator[str]:
    yield "<h2>The bars that Cloche sets itself</h2>"
    head = ("", "measured", "must", "over", "goal", "over")
    yield _card(_rows(head, (_bar(verdict) for verdict in verdicts(results))))


def _bar(verdict: BarVerdict) -> list[str]:
    bar, measured = verdict.bar, verdict.measured
    shown = "not measured" if measured is None else amount(measured, bar.unit)
    return [escape(bar.title), shown, *_limit(verdict, bar.must), *_limit(verdict, bar.goal)]


def _limit(verdict: BarVerdict, bar: float | None) -> list[str]:
    if bar is None:
        return ["", ""]
    limit = f"≤ {amount(bar, verdict.bar.unit)}"
    if verdict.measured is None:
        return [limit, "?"]
    mark, name = ("✓", "good") if verdict.measured <= bar else ("✗", "bad")
    return [limit, f'<span class="{name}">{ratio_text(verdict.measured / bar)} {mark}</span>']


def _groups(results: Results) -> Iterator[str]:
    for group, title in GROUPS.items():
        metrics = metrics_in(results, group)
        if metrics:
            yield f"<h2>{escape(title)}</h2>"
            yield from _compute(results, metrics) if group == "compute" else _plots(results, metrics)


def _plots(results: Results, metrics: list[str]) -> Iterator[str]:
    for metric in metrics:
        plot = metric_plot(results, metric)
        better = "less" if METRICS[metric].lower_is_better else "more"
        yield f'<h3>{escape(METRICS[metric].title)} <span class="soft">({better} is better)</span></h3>'
        yield _card(plot or "not measured on any peer")


def _compute(results: Results, metrics: list[str]) -> Iterator[str]:
    base = native_of(results)
    python = next((peer.python for peer in results.peers if peer.name == base), "")
    yield _paragraph(f"Each program's time in terms of {base}: {python}, in process. Less is better.")
    yield _card(_legend(results) + (compute_plot(results, metrics) or "not measured on any peer"))
    means = [(peer, compute_ratio(results, peer.name)) for peer in results.peers]
    rows = ([escape(peer.title), ratio_text(mean), str(count)] for peer, (mean, count) in means if mean is not None)
    yield _card(_rows(("", "geometric mean", "programs"), rows))


def _legend(results: Results) -> str:
    items = (f"<span>{swatch(place)}{escape(peer)}</span>" for place, peer in enumerate(order_of(results)))
    return f'<div class="legend">{"".join(items)}</div>'


def _peers(results: Results) -> Iterator[str]:
    yield "<h2>What each of them isolates</h2>"
    rows = (
        [escape(peer.title), escape(peer.isolation), escape(version_of(results, peer)), escape(peer.python)]
        for peer in results.peers
    )
    yield _card(_rows(("", "isolation", "version", "interpreter"), rows, numbers=False))
    failed = ([escape(text) for text in failure] for failure in failures_in_words(results))
    yield "<h2>What could not be measured</h2>"
    absent = ([escape(one.name), "everything", escape(one.reason)] for one in results.absent)
    yield _card(_rows(("peer", "what", "its own words"), [*failed, *absent], numbers=False))


def _table(results: Results) -> Iterator[str]:
    yield "<h2>All numbers</h2>"
    head = ("metric", "peer", "median", "middle half", "samples", f"to {results.baseline}")
    yield _card(_rows(head, _numbers(results), texts=2))


def _numbers(results: Results) -> Iterator[list[str]]:
    for metric, facts in METRICS.items():
        for peer in order_of(results):
            found = summary_of(results, metric, peer)
            if found is not None:
                spread = f"{amount(found.low, facts.unit)} to {amount(found.high, facts.unit)}"
                compared = ratio(results, metric, peer, results.baseline)
                times = "" if compared is None else ratio_text(compared)
                yield [metric, escape(peer), amount(found.median, facts.unit), spread, str(found.count), times]


def _paragraph(text: str, name: str = "") -> str:
    return f'<p class="{name}">{escape(text)}</p>' if name else f"<p>{escape(text)}</p>"


def _card(content: str) -> str:
    return f'<div class="card">{content}</div>'


def _rows(head: Iterable[str], rows: Iterable[list[str]], *, numbers: bool = True, texts: int = 1) -> str:
    """Return a table; cells are HTML already. The first ``texts`` columns are words, the rest numbers if they are."""

    def line(cells: Iterable[str], tag: str) -> str:
        kinds = (' class="number"' if numbers and place >= texts else "" for place in range(99))
        return (
            "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds, strict=False)) + "</tr>"
        )

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
