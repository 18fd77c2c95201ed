import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from cloche.cli.flags import load_tools
from cloche.cli.main import build_parser, main


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must be refused and return what it said."""
    try:
        code: object = main(words)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in said.err
    assert not said.out
    return said.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cloche ")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    help_text = capsys.readouterr().out
    assert all(name in help_text for name in ("demo", "run", "repl", "info"))


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "rnu")
    assert "rnu" in said
    assert "demo" in said
    assert "cloche --help" in said


def test_an_unknown_flag_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--quick" in complaint(capsys, "run", "--quick", "-")


def test_a_missing_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = complaint(capsys, "run", str(tmp_path / "nothing.py"))
    assert "nothing.py: no such file or directory" in said


def test_a_folder_is_no_program(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "directory" in complaint(capsys, "run", str(tmp_path))


def test_a_path_that_cannot_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "null" in complaint(capsys, "run", "a\0b")


def test_a_file_that_is_not_utf_8(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    place = tmp_path / "latin.py"
    place.write_bytes(b"name = 'J\xf8rgen'")
    assert "latin.py is not UTF-8 text: invalid start byte at byte 9" in complaint(capsys, "run", str(place))


def test_a_bad_limit(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "run", "--memory", "lots", "-")
    assert "--memory" in said
    assert "'lots' is not a size" in said


def test_a_bad_metering(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fuel" in complaint(capsys, "run", "--metering", "joules", "-")


@pytest.fixture
def program(tmp_path: Path) -> str:
    place = tmp_path / "program.py"
    place.write_text("1")
    return str(place)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nowhere_to_be_found:f", "cannot be imported"),
        ("shop_tools:gret", "it has NotATool, greet"),
        ("shop_tools", "no built-in tool has this name (there are ask_user, read_page, web_search)"),
        ("shop_tools:number", "not a function or a Tool"),
    ],
)
def test_a_tool_that_cannot_be_had(
    reference: str, said: str, program: str, tool_module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in complaint(capsys, "run", "--tool", reference, program)


def test_a_tool_module_that_breaks(program: str, tool_module: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken_tools.py").write_text("1 / 0")
    Path("leaving_tools.py").write_text("import sys\nsys.exit(0)")
    assert "ZeroDivisionError" in complaint(capsys, "run", "--tool", "broken_tools:f", program)
    assert "importing the module ends the process" in complaint(capsys, "run", "--tool", "leaving_tools:f", program)


def test_the_same_tool_name_twice(program: str, tool_module: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other_tools.py").write_text("def greet(name): ...")
    words = ["--tool", "shop_tools:greet", "--tool", "other_tools:greet"]
    assert "another tool has this name" in complaint(capsys, "run", *words, program)


def test_a_missing_file_to_put(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read absent.csv" in complaint(capsys, "run", "--put", "absent.csv", program)


def test_unknown_demo_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no program is named 'primse'; the programs are primes" in complaint(capsys, "demo", "primse")
    assert "'nosuch'" in complaint(capsys, "demo", "--source", "nosuch")


@pytest.mark.parametrize("command", ["demo", "repl"])
def test_without_rich_it_says_what_to_install(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert "pip install 'cloche[cli]'" in complaint(capsys, command)


def test_the_documented_exit_codes_are_all_of_them() -> None:
    from cloche.cli.exit_codes import EXIT_CODES, ExitCode

    documented = {int(line.split()[0]) for line in EXIT_CODES.splitlines()[1:]}
    assert documented == set(ExitCode)


COMMANDS = ["demo", "run", "repl", "session", "replay", "mcp", "agent", "trace", "info", "bench"]


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), []])
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([*words, "--help"])
    assert stop.value.code == 0
    assert "usage: cloche" in capsys.readouterr().out


def test_the_list_of_commands_imports_none_of_them() -> None:
    heavy = "import sys; from cloche.cli.main import build_parser; build_parser('').format_help(); "
    code = f"{heavy}print([name for name in sys.modules if name.startswith('cloche.cli.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['cloche.cli.exit_codes', 'cloche.cli.main']"


def test_an_unexpected_error_is_one_line_and_its_traceback_can_be_had(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first\nsecond\x1b[2J")

    monkeypatch.setattr("cloche.cli.info._installation", fail)
    assert main(["info"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cloche info: RuntimeError: first second\\x1b[2J\n")
    assert "CLOCHE_TRACEBACK=1" in said
    monkeypatch.setenv("CLOCHE_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main(["info"])


@pytest.mark.parametrize("port", ["0", "65536", "999999999", "-1", "http"])
def test_a_bad_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a port between 1 and 65535" in complaint(capsys, "mcp", f"--http={port}")


def test_a_run_record_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = complaint(capsys, "agent", "--scripted", "--record", str(tmp_path / "none" / "run.jsonl"))
    assert "cannot write" in said


def test_built_in_tools_by_name() -> None:
    assert list(load_tools(["read_page", "ask_user", "web_search"])) == ["read_page", "ask_user", "web_search"]


def test_the_version_is_the_package_s() -> None:
    import cloche

    try:
        expected = version("cloche")
    except PackageNotFoundError:
        expected = "(not installed)"
    assert cloche.__version__ == expected
