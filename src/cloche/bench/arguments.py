"""``cloche bench``'s command line. Kept apart, because every ``cloche`` command builds the whole parser."""

import argparse
from pathlib import Path

from cloche.bench.peers import BASELINE

__all__ = ["add_arguments"]

_EPILOG = """\
cloche bench compare A.json B.json   what changed between two runs, beyond noise
cloche bench show A.json             the tables (or --html, --markdown) of an earlier run
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
    parser.add_argument("--bars", action="store_true", help="print the bars too, and what was measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table instead of the others")
    parser.add_argument("--list", action="store_true", help="list the metrics and the peers")
