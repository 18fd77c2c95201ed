"""``cloche demo``: programs as a model writes them, good and naughty, and a team of agents, really run."""

import argparse
import time
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import Commands
from cloche.cli.output import make_console
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from cloche.cli.demo.catalogue import DemoProgram
    from cloche.cli.demo.show import DemoShow

__all__ = ["add_parser", "command"]

_TEAM = "team"


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    about = "Run a set of programs as a model writes them, good and naughty, and show the outcome of each."
    demo = commands.add_parser(name, help=help, description=about)
    demo.add_argument("names", nargs="*", metavar="NAME", help="only these programs (default: all)")
    demo.add_argument("--list", action="store_true", help="list the programs instead of running them")
    demo.add_argument("--source", metavar="NAME", help="show one program's source")


def command(arguments: argparse.Namespace) -> int:
    """Run the chosen programs; 0 if each has its expected outcome. Raises CommandError for an unknown name."""
    if arguments.source:
        return _show_source(arguments.source)
    if arguments.list:
        return _show_list()
    console = make_console()
    named = [name for name in arguments.names if name != _TEAM]
    programs = _chosen(named) if named or not arguments.names else []
    from cloche.cli.demo.show import DemoShow

    show = DemoShow(console)
    show.load_image()
    fine = not programs or _run(show, programs)
    if _TEAM in arguments.names or not arguments.names:
        fine = _run_team(console) and fine
    return ExitCode.OK if fine else ExitCode.FAILED


def _run(show: "DemoShow", programs: "list[DemoProgram]") -> bool:
    started = time.perf_counter()
    reports = show.run(programs)
    show.summary(reports, time.perf_counter() - started)
    return not any(report.deviation for report in reports)


def _run_team(console: "Console") -> bool:
    """Run the team of agents; where their packages are not installed, say so instead, which is no failure."""
    try:
        for module in ("jinja2", "yaml"):
            need(module, "agent", what="the team of agents")
    except ConfigurationError as error:
        console.print(error.problem)
        return True
    from cloche.cli.demo.team_show import TeamShow

    return TeamShow(console).run()


def _chosen(names: Sequence[str]) -> "list[DemoProgram]":
    from cloche.cli.demo.catalogue import PROGRAMS

    by_name = {program.name: program for program in PROGRAMS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise CommandError(f"no program is named {unknown[0]!r}; the programs are {', '.join([*by_name, _TEAM])}")
    return [by_name[name] for name in names] or list(PROGRAMS)


def _show_source(name: str) -> int:
    print(_team_source() if name == _TEAM else _chosen([name])[0].source, end="")
    return ExitCode.OK


def _team_source() -> str:
    return resources.files("cloche.cli.demo").joinpath("team.py").read_text(encoding="utf-8")


def _show_list() -> int:
    for program in _chosen([]):
        title = next(line for line in program.source.splitlines() if line.startswith('"""'))
        print(f"{program.name:18} {title.strip(chr(34))}")
    print(f"{_TEAM:18} A manager and two specialists, agents with programs in a guest of their own each.")
    return ExitCode.OK
