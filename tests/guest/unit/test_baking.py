"""The whole prelude installed, in an interpreter of its own: the stand-ins replace what pytest itself needs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "src"
Bake = Callable[..., list[Any]]
PLACES = "import os\nos.getcwd(), os.path.expanduser('~')"
MAIN = """
import asyncio
async def main():
    await asyncio.sleep(1)
    return type(asyncio.get_running_loop()).__name__
"""


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    """Run snippets in a freshly baked native interpreter; return their responses."""

    def run(*snippets: str, seed: str = "0") -> list[Any]:
        from cloche_guest.values import decode, encode

        done = subprocess.run(
            [sys.executable, str(HERE / "bake_natively.py"), str(tmp_path)],
            input=encode(list(snippets)),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONHASHSEED": seed},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        responses, output = decode(done.stdout)
        return [*responses, output.decode()]

    return run


def value(response: Any) -> Any:
    kind, result, error = response
    assert (kind, error) == (0, None), error["traceback"]
    return result


def test_a_baked_interpreter_runs_programs(bake: Bake, tmp_path: Path) -> None:
    first, second, place, output = bake("x = 41\nprint('hello')", "x + 1", PLACES)
    assert (value(first), value(second)) == (None, 42)
    assert value(place) == (str(tmp_path), str(tmp_path))
    assert output == "hello\n"


def test_usual_modules_are_there_already(bake: Bake) -> None:
    names = "json re math random datetime collections itertools decimal asyncio inspect csv statistics pathlib"
    response, _ = bake(f"import sys\n[n for n in {names.split()!r} if n not in sys.modules]")
    assert value(response) == []


def test_network_modules_import_and_fail_clearly(bake: Bake) -> None:
    attempts = [
        "import socket\nsocket.socket()",
        "import socket\nsocket.create_connection(('example.org', 80))",
        "import urllib.request\nurllib.request.urlopen('http://example.org')",
        "import http.client\nhttp.client.HTTPConnection('example.org').request('GET', '/')",
        "import smtplib\nsmtplib.SMTP('example.org')",
    ]
    *responses, _ = bake(*attempts)
    for _kind, _value, error in responses:
        assert "there is no network in this sandbox" in error["message"], error


def test_asyncio_needs_no_operating_system(bake: Bake) -> None:
    old_way = "asyncio.get_event_loop().run_until_complete(main())"
    run, top, old, _ = bake(MAIN + "asyncio.run(main())", "await main()", old_way)
    assert [value(run), value(top), value(old)] == ["BridgeLoop"] * 3


def test_refusals_are_in_place(bake: Bake) -> None:
    attempts = [
        "import fcntl",
        "import tkinter",
        "input()",
        "import subprocess\nsubprocess.run('ls')",
    ]
    *responses, _ = bake(*attempts)
    kinds = [error["type"] for _, _, error in responses]
    assert kinds == ["ModuleNotFoundError", "ModuleNotFoundError", "EOFError", "OSError"]


def test_builtins_that_site_adds(bake: Bake) -> None:
    exited, quit_, helped, _ = bake("exit()", "quit(3)", "callable(help)")
    assert (exited[2]["type"], exited[2]["message"], quit_[2]["message"]) == ("SystemExit", "None", "3")
    assert value(helped) is True


def test_every_isolate_draws_its_own_numbers(bake: Bake) -> None:
    draw = "import random, uuid, secrets\nrandom.random(), str(uuid.uuid4()), secrets.token_hex()"
    first, again, _ = bake(draw, draw)
    other, _ = bake(draw)
    assert len({*value(first), *value(again), *value(other)}) == 9


def test_modules_the_program_writes_can_be_imported(bake: Bake) -> None:
    response, _ = bake("with open('mine.py', 'w') as f:\n    f.write('x = 5')\nimport mine\nmine.x")
    assert value(response) == 5


def test_standard_modules_import(bake: Bake) -> None:
    names = "socketserver ftplib xmlrpc.client email.mime.text selectors sched zipfile tarfile unittest doctest pdb"
    *responses, _ = bake(*[f"import {name}" for name in names.split()])
    assert [value(response) for response in responses] == [None] * 11


def test_a_program_is_the_file_of_a_folder_that_exists(bake: Bake, tmp_path: Path) -> None:
    code = "import os, sys\n__file__, sys.argv, os.path.isdir(os.path.dirname(os.path.abspath(__file__)))"
    response, usage, output = bake(code, "import argparse\nargparse.ArgumentParser().print_usage()")
    assert value(response) == (str(tmp_path / "main.py"), [str(tmp_path / "main.py")], True)
    assert value(usage) is None
    assert output == "usage: main.py [-h]\n"
