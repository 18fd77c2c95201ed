"""The comparison as a Markdown table, for a README."""

from collections.abc import Iterator

from cloche.bench.bars import compute_ratio, native_of
from cloche.bench.peers import DEFAULT
from cloche.bench.reports.cells import cell, noise_text, ratio_text, version_of
from cloche.bench.results import PeerFacts, Results
from cloche.bench.tasks.compute import PROGRAMS as _PROGRAMS

__all__ = ["BEGIN", "END", "comparison"]

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_NOTHING = "-"
_ROWS = {
    "process": "new process to first result",
    "fresh.ready": "fresh isolate, `x = 1`",
    "fresh.sustained": "the same, back to back",
    "session.next": "next program in a session",
    "session.repeat": "the same program again",
    "session.tools": "the same, six tools registered",
    "tool.ints": "tool call, two ints",
    "tool.data": "tool call, 1 MB each way",
    "transcript": "ten turns of an agent",
    "feeds": "ten small programs, session included",
    "burst": "a hundred programs at once",
    "busy.slowest": "a short run beside four busy ones, 99th percentile",
    "memory.idle": "memory of an idle session",
    "live.memory": "1,000 live sessions",
}
_NONBLOCKING = "cloche-nonblocking"


def comparison(results: Results) -> str:
    """Return the table of Cloche and its peers, between two marks by which it can be found again."""
    peers = [peer for peer in results.peers if not peer.name.startswith(("cloche-", "native"))]
    version = ["version measured", *(version_of(results, peer) for peer in peers)]
    isolation = ["isolation", *(peer.isolation.replace("|", "/") for peer in peers)]
    measured = [row for metric in _measured(results) for row in _rows(results, metric, peers)]
    rows = [*measured, _compute(results, peers), version, isolation]
    return "\n".join([BEGIN, _table(_head(peers), rows), _note(results), END])


def _measured(results: Results) -> list[str]:
    measured = {found.metric for found in results.measurements}
    return [metric for metric in _ROWS if metric in measured]


def _head(peers: list[PeerFacts]) -> list[str]:
    return ["", *(f"**{peer.title}**" if peer.name == "cloche" else peer.title for peer in peers)]


def _rows(results: Results, metric: str, peers: list[PeerFacts]) -> Iterator[list[str]]:
    """Yield the metric's row, and one for tools with ``blocking=False`` where they were measured apart."""
    found = [cell(results, metric, peer.name) for peer in peers]
    yield [_ROWS[metric], *(_NOTHING if one.failed or not one.text else one.text for one in found)]
    quicker = cell(results, metric, _NONBLOCKING)
    if quicker.text and not quicker.failed:
        yield ["- a tool with `blocking=False`", *(quicker.text if peer.name == DEFAULT else "" for peer in peers)]


def _compute(results: Results, peers: list[PeerFacts]) -> list[str]:
    return [f"{len(_PROGRAMS)} programs, times native CPython", *(_mean(results, peer.name) for peer in peers)]


def _mean(results: Results, peer: str) -> str:
    mean, count = compute_ratio(results, peer)
    if mean is None:
        return _NOTHING
    return ratio_text(mean) + ("" if count == len(_PROGRAMS) else f" ({count} of {len(_PROGRAMS)})")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *(["--:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _note(results: Results) -> str:
    native = next((peer.python for peer in results.peers if peer.name == native_of(results)), "CPython")
    machine = results.machine
    return (
        f"\nMedians of one run on {results.created[:10]}: {machine.processor}, {machine.cores} cores, "
        f"{machine.python}; native is {native}. A dash: it cannot, or could not in time. "
        f"{noise_text(results)}"
    )
