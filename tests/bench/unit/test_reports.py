import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from cloche.bench.bars import BARS, compute_ratio, verdicts
from cloche.bench.compare import changes
from cloche.bench.metrics import METRICS
from cloche.bench.reports.cells import cell, failures_in_words, last_line
from cloche.bench.reports.chart import ChartMark, Row, chart
from cloche.bench.reports.markdown import BEGIN, END, comparison
from cloche.bench.reports.page import page
from cloche.bench.reports.terminal import show, show_bars, show_changes
from cloche.bench.results import Results

MakeResults = Callable[..., Results]
SCALE = {"s": 1e-3, "B": 1e6, "1/s": 1e3, "n": 3.0}
HOSTILE = "<script>alert('&')</script> [bold]"


@pytest.fixture
def results(make_results: MakeResults) -> Results:
    """Every metric of three peers; the last one fails at classes and at bytes, in words that are not harmless."""
    found = {
        (name, peer): [[factor * SCALE[METRICS[name].unit] * step for step in steps] for steps in ((1, 1.1), (1.05,))]
        for name in METRICS
        for peer, factor in (("exec", 1.0), ("cloche", 2.5), ("monty", 2.0))
        if (name, peer) not in (("compute.classes", "monty"), ("tool.data", "monty"))
    }
    failures = {
        ("compute.classes", "monty"): ("NotImplementedError", HOSTILE),
        ("tool.data", "monty"): ("TypeError", f"Traceback:\n  File x\nTypeError: {HOSTILE}\na note"),
    }
    return make_results(found, failures, title=HOSTILE)


def terminal(width: int = 100) -> Console:
    return Console(file=StringIO(), width=width, markup=False, emoji=False, highlight=False)


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_page_is_well_formed(results: Results) -> None:
    root = ElementTree.fromstring(page(results).replace("<!DOCTYPE html>", ""))
    assert root.tag == "html"
    plots = [element for element in root.iter("svg") if element.get("role") == "img"]
    assert len(plots) == sum(metric.group != "compute" for metric in METRICS.values()) + 1


def test_the_page_needs_nothing_else(results: Results) -> None:
    text = page(results)
    root = ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
    assert not {element.tag for element in root.iter()} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not {name for element in root.iter() for name in element.attrib} & {"src", "href", "srcset", "data"}
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in re.sub(r"</?\w+", "", text)


def test_the_page_serves_light_and_dark(results: Results) -> None:
    text = page(results)
    light, dark = text.split("prefers-color-scheme: dark", 1)
    colours = re.compile(r"(--\w+): #[0-9a-f]{6}")
    dark = dark[: dark.index("* {")]
    assert set(colours.findall(light)) == set(colours.findall(dark))


def test_what_peers_say_is_shown_and_stays_text(results: Results) -> None:
    text = page(results)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_an_axis_is_logarithmic() -> None:
    rows = [Row(str(value), [ChartMark(value, value, value, 0, "")]) for value in (1.0, 10.0, 100.0, 1000.0)]
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart("t", rows, "s"))]
    steps = [after - before for before, after in pairwise(places)]
    assert steps[0] > 0
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_every_mark_and_tick_is_inside_the_chart() -> None:
    rows = [
        Row("r", [ChartMark(value, value / 3, value * 3, place, "")]) for place, value in enumerate((2e-7, 3.3, 4e4))
    ]
    text = chart("t", rows, "s", crowded=True)
    _, _, width, height = (float(part) for part in re.search(r'viewBox="([^"]+)"', text)[1].split())  # type: ignore[index]
    across = [float(value) for value in re.findall(r'(?:x|x1|x2|cx)="([\d.]+)"', text)]
    down = [float(value) for value in re.findall(r'(?:y|y1|y2|cy)="([\d.]+)"', text)]
    assert 0 <= min(across) < max(across) <= width
    assert 0 <= min(down) < max(down) <= height


def test_nothing_to_draw_is_no_chart() -> None:
    assert chart("t", [Row("only words", [], "no")], "s") == ""
    assert chart("t", [Row("zero", [ChartMark(0.0, 0.0, 0.0, 0, "")])], "s") == ""


def test_the_terminal_shows_everything(results: Results) -> None:
    console = terminal()
    show(console, results)
    text = written(console)
    assert all(METRICS[name].brief in text for name, metric in METRICS.items() if metric.group != "compute")
    assert "2.50" in text
    assert "alert" in text
    assert "missing-peer" in text
    assert "of 11" in text, "a mean over fewer programs says so"


@pytest.mark.parametrize("width", [80, 100, 130])
@pytest.mark.parametrize("factor", [1e-7, 1.0, 1e4])
def test_the_tables_fit(make_results: MakeResults, width: int, factor: float) -> None:
    results = make_results(
        {(name, peer): [[value]] for name in METRICS for peer, value in (("exec", 0.12345), ("cloche-epoch", factor))}
    )
    console = terminal(width)
    show(console, results)
    show_bars(console, results)
    assert max(map(len, written(console).splitlines())) <= width
    assert "…" not in written(console)


def test_every_bar_is_printed_with_its_ratio(results: Results) -> None:
    console = terminal(120)
    show_bars(console, results)
    text = written(console)
    assert all(bar.title in text for bar in BARS)
    # 2.625 ms where 0.5 ms are allowed.
    assert "5.25\N{MULTIPLICATION SIGN} ✗" in text
    assert "✓" in text


def test_bars_are_about_medians_and_ratios(results: Results) -> None:
    found = {verdict.bar.title: verdict for verdict in verdicts(results)}
    fresh, compute = found["fresh isolate, x = 1, ready pool"], found["compute, default metering, to native"]
    assert fresh.measured == pytest.approx(2.625e-3)
    assert fresh.must_met is False
    assert compute.measured == pytest.approx(2.5)
    assert (compute.must_met, compute.goal_met) == (False, None)
    assert found["compute, no metering, to native"].must_met is None


def test_a_mean_says_over_how_many(results: Results) -> None:
    ratio, count = compute_ratio(results, "monty")
    assert ratio == pytest.approx(2.0)
    assert count == 11
    assert compute_ratio(results, "absent") == (None, 0)


def test_cells(results: Results) -> None:
    assert cell(results, "fresh.ready", "cloche").ratio.startswith("2.50")
    assert cell(results, "tool.data", "monty").failed
    assert cell(results, "tool.data", "absent").text == ""


def test_of_a_traceback_the_error_is_said(results: Results) -> None:
    assert last_line("Traceback:\n File\nTypeError: no bytes\nwhen serializing") == "TypeError: no bytes"
    assert last_line("a plain word") == "a plain word"
    assert last_line("") == ""
    assert ("monty", "tool.data", f"TypeError: {HOSTILE}") in failures_in_words(results)


def test_the_markdown_table_can_be_found_again(results: Results) -> None:
    lines = comparison(results).splitlines()
    assert lines[0] == BEGIN
    assert lines[-1] == END
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert any("(11 of 12)" in line for line in table)


def test_the_comparison_says_which_versions_were_measured(make_results: MakeResults) -> None:
    found = {("fresh.ready", peer): [[1.0]] for peer in ("exec", "cloche", "monty")}
    versions = {"cloche": {"wasmtime": "50.0.1"}, "monty": {"pydantic-monty": "1.4.0"}}
    results = make_results(found, versions=versions)
    expected = "| version measured | CPython 3.13.5 | Cloche 0.1.0, wasmtime 50.0.1 | pydantic-monty 1.4.0 |"
    assert expected in comparison(results).splitlines()
    assert "pydantic-monty 1.4.0" in page(results)
    console = terminal(200)
    show(console, results)
    assert "pydantic-monty 1.4.0" in written(console)


def test_the_comparison_shows_what_a_tool_costs_that_may_block_and_one_that_does_not(make_results: MakeResults) -> None:
    found = {("tool.ints", "exec"): [[1e-6]], ("tool.ints", "cloche"): [[4e-6]]}
    found |= {("tool.ints", "cloche-nonblocking"): [[3e-6]]}
    lines = comparison(make_results(found)).splitlines()
    place = lines.index("| tool call, two ints | 1.00 µs | 4.00 µs |")
    assert lines[place + 1] == "| - a tool with `blocking=False` |  | 3.00 µs |"


def test_changes_are_shown_and_the_rest_counted(make_results: MakeResults) -> None:
    before = make_results({("fresh.ready", "cloche"): [[1.0]], ("process", "cloche"): [[1.0]]})
    after = make_results({("fresh.ready", "cloche"): [[2.0]], ("process", "cloche"): [[1.0]]})
    console = terminal()
    show_changes(console, changes(before, after))
    text = written(console)
    assert "worse" in text
    assert "2.00" in text
    assert "1 of 2 the same" in text
