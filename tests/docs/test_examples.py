"""Every example in README.md and docs is executed.

The Python blocks of one page are one program, in order, and run in a process of their own. What it prints is what the
page's ``#> ...`` lines say, and nothing else. In console blocks each ``$ ...`` line is a command, run by a shell in the
page's own folder, with what it prints below it; ``...`` stands for anything. Only a few harmless programs are run.
Commands that install, or take long, stand in ``sh`` blocks: what ``cloche`` is given there is parsed, and nothing run.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from cloche.cli.main import build_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
LANGUAGES = {"python", "console", "sh", "text", "toml"}
# A page must not be able to install, download or remove anything just because a test reads it.
HARMLESS = {"cat", "cloche", "cut", "echo", "export", "head", "printf"}

_FENCE = re.compile(r"^( *)```(.*)$")
_EXPORT = re.compile(r"export (\w+)=(\S+)")
_PRINTED = re.compile(r"^\s*#> ?(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the number of its first line, and its lines."""

    language: str
    line: int
    lines: list[str]


def blocks(page: Path) -> list[Block]:
    """Return the page's fenced blocks."""
    found: list[Block] = []
    opened: Block | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and opened is None:
            opened = Block(fence[2].strip(), number + 1, [])
        elif fence and opened is not None:
            found.append(opened)
            opened = None
        elif opened is not None:
            opened.lines.append(line)
    assert opened is None, f"{page.name}: the block at line {opened and opened.line} has no end"
    return found


def python_of(page: Path) -> list[Block]:
    """Return the page's Python blocks."""
    return [block for block in blocks(page) if block.language == "python"]


def program_of(page: Path) -> str:
    """Return the page's Python as one program, in which each line has the number that it has on the page."""
    lines: list[str] = []
    for block in python_of(page):
        lines += [""] * (block.line - 1 - len(lines)) + block.lines
    return "\n".join(lines) + "\n"


def commands_of(page: Path) -> list[tuple[str, list[str]]]:
    """Return the page's commands with the lines that each is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks(page):
        for line in block.lines if block.language == "console" else []:
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> "):
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            else:
                found[-1][1].append(line)
    return found


def programs_of(command: str) -> set[str]:
    """Return the programs that a command runs: the first word, and the first after each operator of the shell."""
    lexer = shlex.shlex(command.replace("\n", ";"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = [";", *lexer]
    found = {after for before, after in pairwise(words) if set(before) <= set("|&;()")}
    return found | ({"a substitution"} if re.search(r"`|\$\(|[<>]\(", command) else set())


def synopses_of(page: Path) -> list[str]:
    """Return the commands of the page's ``sh`` blocks."""
    lines = (line for block in blocks(page) if block.language == "sh" for line in block.lines)
    return [line.removeprefix("$ ") for line in lines if line.strip()]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which ``cloche`` is that of this checkout, under this interpreter."""
    programs = folder / ".programs"
    programs.mkdir()
    (programs / "cloche").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cloche "$@"\n')
    (programs / "cloche").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PATH": path, "COLUMNS": "80", "NO_COLOR": "1"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page)], ids=name_of)
def test_the_python_of_a_page_runs_and_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    place = tmp_path / "page.py"
    place.write_text(program_of(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", place],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [match[1] for block in python_of(page) for line in block.lines if (match := _PRINTED.match(line))]
    assert done.stdout.splitlines() == said


@pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are those of a POSIX shell")
@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=name_of)
def test_the_commands_of_a_page_print_what_it_says(page: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path)
    strange = {program for command, _ in commands_of(page) for program in programs_of(command)} - HARMLESS
    assert not strange, f"not run, because of {sorted(strange)}: put it into an sh block"
    for command, expected in commands_of(page):
        if exported := _EXPORT.fullmatch(command):
            # It would end with its shell, and the next command be run without it.
            variables[exported[1]] = exported[2]
            continue
        done = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            cwd=tmp_path,
            env=variables,
            timeout=300,
            check=False,
        )
        pattern = re.escape("\n".join(expected).rstrip()).replace(re.escape("..."), r"[\s\S]*?")
        assert re.fullmatch(pattern, done.stdout.rstrip()), f"$ {command}\n{done.stdout}"


@pytest.mark.parametrize("page", [page for page in PAGES if synopses_of(page)], ids=name_of)
def test_commands_that_are_only_shown_are_ones_that_the_parser_takes(page: Path) -> None:
    for command in synopses_of(page):
        program, *arguments = shlex.split(command, comments=True)
        if program == "cloche":
            build_parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("echo 'a; rm b' | cloche run - | cut -c 1-9", {"echo", "cloche", "cut"}),
        ("pip install x", {"pip"}),
        ("echo a;rm b && curl c || wget d & nc", {"echo", "rm", "curl", "wget", "nc"}),
        ("cat a\nrm b", {"cat", "rm"}),
        ("echo $(rm a)", {"echo", "rm", "a substitution"}),
        ("(rm a)", {"rm"}),
    ],
)
def test_no_program_hides_in_a_command(command: str, programs: set[str]) -> None:
    assert programs <= programs_of(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_has_a_language_that_says_whether_it_is_run(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


def test_the_pages_hold_examples() -> None:
    assert sum(len(python_of(page)) for page in PAGES) > 10
    assert python_of(ROOT / "README.md")
