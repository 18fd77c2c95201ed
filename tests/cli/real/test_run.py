"""``cloche run`` as a user runs it: a process, a program, a real guest."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.processes import ended_afterwards

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_file_prints_its_output_and_then_its_value(cloche: Run, folder: Path) -> None:
    (folder / "program.py").write_text("print('hello')\n6 * 7\n")
    done = cloche("run", "program.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n42\n", "")


def test_a_program_from_standard_input_with_its_own_streams(cloche: Run) -> None:
    done = cloche("run", "-", stdin="import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_tools_of_the_current_folder(cloche: Run) -> None:
    program = "[price('tea', count=2), await stock('cup')]"
    done = cloche("run", "-", "--tool", "shop:price", "--tool", "shop:stock", stdin=program)
    assert (done.returncode, done.stdout) == (0, "[5.0, 3]\n")


def test_json_tells_everything(cloche: Run) -> None:
    done = cloche("run", "-", "--json", "--tool", "shop:price", stdin="print('x')\n{'total': price('tea', 4)}")
    told = json.loads(done.stdout)
    assert told["value"] == {"total": 10.0}
    assert told["stdout"] == "x\n"
    assert told["error"] is None
    assert told["usage"]["fuel"] > 0
    assert told["usage"]["calls"] == 1
    (call,) = told["calls"]
    assert (call["name"], call["args"], call["value"], call["outcome"]) == ("price", ["tea", 4], 10.0, "returned")


def test_displays_are_written_to_a_folder(cloche: Run, folder: Path) -> None:
    program = "class Rich:\n    def _repr_html_(self): return '<b>'\n    def __repr__(self): return 'Rich'\nRich()"
    done = cloche("run", "-", "--save-displays", "shown/deep", stdin=program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Rich\n", "wrote shown/deep/1-value.html\n")
    assert (folder / "shown/deep/1-value.html").read_text() == "<b>"
    told = json.loads(cloche("run", "-", "--json", stdin=program).stdout)
    assert told["displays"] == [{"kind": "value", "data": {"text/html": "<b>", "text/plain": "Rich"}}]


def test_json_of_a_limit_has_its_numbers(cloche: Run) -> None:
    done = cloche("run", "-", "--json", "--fuel", "20e6", stdin="while True: pass")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 3
    assert (error["type"], error["limit"]) == ("FuelExhausted", 20_000_000)
    assert error["used"] >= error["limit"]


def test_an_exception_shows_the_programs_own_lines(cloche: Run) -> None:
    done = cloche("run", "-", stdin="def half(x):\n    return x / 0\n\nhalf(1)\n")
    assert done.returncode == 1
    assert "line 4, in <module>" in done.stderr
    assert "return x / 0" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "cloche_guest" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "program", "error"),
    [
        (["--fuel", "none", "--time", "0.2"], "while True: pass", "TimeExceeded"),
        (["--memory", "64MiB"], "x = [bytes(10**6) for _ in range(1000)]", "MemoryExceeded"),
        (["--output", "1 KiB"], "while True: print('x' * 100)", "OutputExceeded"),
        (["--result", "1 KiB"], "'x' * 5000", "ResultTooLarge"),
        (["--calls", "2", "--tool", "shop:price"], "[price('tea') for _ in range(9)]", "CallsExceeded"),
    ],
)
def test_a_limit_as_a_flag_ends_the_program(cloche: Run, flags: list[str], program: str, error: str) -> None:
    done = cloche("run", "-", *flags, stdin=program)
    assert done.returncode == 3
    assert done.stderr.startswith(f"{error}: ")


def test_a_value_that_cannot_leave(cloche: Run) -> None:
    done = cloche("run", "-", stdin="open")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "<built-in function open>\n"


def test_files_are_put_into_the_sandbox(cloche: Run, folder: Path) -> None:
    (folder / "data.csv").write_text("a,b\n")
    program = "open('data.csv').read() + open('/work/in/other.csv').read()"
    done = cloche("run", "-", "--put", "data.csv", "--put", "data.csv=in/other.csv", stdin=program)
    assert (done.returncode, done.stdout) == (0, "'a,b\\na,b\\n'\n")


def test_a_seed_makes_chance_repeatable(cloche: Run) -> None:
    program = "import random, uuid; (random.random(), str(uuid.uuid4()))"
    first, second, other = (cloche("run", "-", "--seed", seed, stdin=program).stdout for seed in ("7", "7", "8"))
    assert first == second != other


def test_control_characters_are_written_out(cloche: Run) -> None:
    done = cloche("run", "-", stdin=r"print('\x1b[2J')" + "\n" + r"raise ValueError('\x1b]0;title\x07')")
    assert done.stdout == "\\x1b[2J\n"
    assert "\x1b" not in done.stderr
    assert "\\x1b]0;title\\x07" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "saying"),
    [
        (["run", "missing.py"], "", "cannot read missing.py: no such file or directory"),
        (["run", "."], "", "cannot read .: is a directory"),
        (["run", "-"], b"\xff\xfe", "standard input is not UTF-8 text"),
        (["run", "-", "--tool", "shop:nothing"], "", "has no 'nothing'"),
        (["run", "-", "--tool", "shop:number"], "", "not a function or a Tool"),
        (["run", "-", "--tool", "no_such_module:f"], "", "cannot be imported"),
        (["run", "-", "--tool", "shop"], "", "module:function"),
        (["run", "-", "--fuel", "lots"], "", "'lots' is not a number"),
        (["run", "-", "--memory", "2 MiB"], "", "do not hold the interpreter"),
        (["run", "-", "--put", "missing.csv"], "", "cannot read missing.csv"),
        (["run"], "", "FILE"),
        (["fly"], "", "invalid choice: 'fly'"),
    ],
)
def test_a_users_mistake_is_one_message(cloche: Run, arguments: list[str], stdin: str | bytes, saying: str) -> None:
    done = cloche(*arguments, stdin=stdin)
    assert done.returncode == 2
    assert done.stderr.startswith("cloche")
    assert saying in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_reader_that_leaves_is_no_problem(folder: Path, environment: Callable[..., dict[str, str]]) -> None:
    (folder / "long.py").write_text("for i in range(100_000): print(i)")
    with ended_afterwards(_start(folder, environment, "long.py")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C another way")
def test_ctrl_c_ends_the_program(folder: Path, environment: Callable[..., dict[str, str]]) -> None:
    (folder / "loop.py").write_text("print('on', flush=True)\nwhile True: pass")
    with ended_afterwards(_start(folder, environment, "loop.py", "--fuel", "none", "--time", "none")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors.startswith("Interrupted: ")


def _start(folder: Path, environment: Callable[..., dict[str, str]], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cloche", "run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(),
    )


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_code_is_the_programs_own(
    folder: Path, environment: Callable[..., dict[str, str]], status: int
) -> None:
    (folder / "exits.py").write_text(f"import sys\nprint('done')\nsys.exit({status})")
    with ended_afterwards(_start(folder, environment, "exits.py")) as process:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (status, "done\n")


READER = "print('hello', input())\nimport atexit\natexit.register(print, 'end')\nNone\n"


def test_a_program_reads_standard_input_or_a_file(cloche: Run, folder: Path) -> None:
    (folder / "reader.py").write_text(READER)
    (folder / "names.txt").write_text("Zoë\n", encoding="utf-8")
    assert cloche("run", "reader.py", stdin="Ann\n").stdout == "hello Ann\nend\n"
    assert cloche("run", "reader.py", "--stdin", "-", stdin="Ann\n").stdout == "hello Ann\nend\n"
    assert cloche("run", "reader.py", "--stdin", "names.txt").stdout == "hello Zoë\nend\n"
    done = cloche("run", "-", "--stdin", "-", stdin="input()")
    assert (done.returncode, "both the program and what it reads" in done.stderr) == (2, True)
