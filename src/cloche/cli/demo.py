"""``cloche demo``: programs as a model writes them, good and naughty, really run."""

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode
from cloche.cli.rich_extra import make_console

if TYPE_CHECKING:
    from cloche.cli.demo_catalogue import Program

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Run the chosen programs; 0 if each did what is expected of it. Raises Complaint for an unknown name."""
    if arguments.source:
        return _show_source(arguments.source)
    if arguments.list:
        return _show_list()
    console = make_console()
    programs = _chosen(arguments.names)
    from cloche.cli.demo_show import DemoShow

    show = DemoShow(console)
    show.load_image()
    started = time.perf_counter()
    reports = show.run(programs)
    show.summary(reports, time.perf_counter() - started)
    return ExitCode.FAILED if any(report.deviation for report in reports) else ExitCode.OK


def _chosen(names: Sequence[str]) -> "list[Program]":
    from cloche.cli.demo_catalogue import PROGRAMS

    by_name = {program.name: program for program in PROGRAMS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise Complaint(f"no program is named {unknown[0]!r}; the programs are {', '.join(by_name)}")
    return [by_name[name] for name in names] or list(PROGRAMS)


def _show_source(name: str) -> int:
    print(_chosen([name])[0].source, end="")
    return ExitCode.OK


def _show_list() -> int:
    for program in _chosen([]):
        title = next(line for line in program.source.splitlines() if line.startswith('"""'))
        print(f"{program.name:18} {title.strip(chr(34))}")
    return ExitCode.OK
