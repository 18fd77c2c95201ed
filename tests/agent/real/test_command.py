"""``cloche agent``."""

import shlex
import sys
from pathlib import Path

import pytest

from cloche.cli.flags import MODELS_BY_KEY
from cloche.cli.main import main

from .chat_server import chat_server

ANSWER = "1! + 1 = 2, 2! + 1 = 3, 3! + 1 = 7\n"


@pytest.mark.parametrize("flags", [[], ["--calls-tools"], ["--plan", "9", "Any task"]])
def test_the_script_runs_without_key_and_network(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if "--plan" in flags:
        # The plan is one more thing to say, so the script is over one step early.
        assert main(["agent", "--scripted", "--quiet", *flags]) == 1
        assert "ModelRefused" in capsys.readouterr().err
        return
    assert main(["agent", "--scripted", "--quiet", *flags]) == 0
    assert capsys.readouterr().out == ANSWER


def test_without_a_model_it_says_what_would_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in MODELS_BY_KEY:
        monkeypatch.delenv(key, raising=False)
    assert main(["agent", "Do it"]) == 2
    told = capsys.readouterr().err
    assert "OPENAI_API_KEY" in told
    assert "cloche agent --scripted" in told


def test_steps_are_shown_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "--scripted", "--record", str(tmp_path / "run.jsonl")]) == 0
    captured = capsys.readouterr()
    assert "tool factorial returned" in captured.err
    assert captured.out == ANSWER
    assert main(["trace", str(tmp_path / "run.jsonl")]) == 0


@pytest.mark.filterwarnings("ignore")
def test_tools_of_an_mcp_server(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mcp")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    serve = f"import sys; sys.path[:0] = {sys.path!r}; from cloche.cli.main import main; main(['mcp'])"
    program = "<code>\nfinal_answer(callable(run_python))\n</code>"
    with chat_server(program) as chat:
        flags = [
            "--model",
            "openai/local",
            "--api-base",
            chat.url,
            "--quiet",
            "--mcp",
            shlex.join([sys.executable, "-c", serve]),
        ]
        assert main(["agent", "Look", *flags]) == 0
    assert capfd.readouterr().out == "True\n"
    assert main(["agent", "Look", "--scripted", "--mcp", "http://127.0.0.1:9/mcp"]) == 2


@pytest.mark.filterwarnings("ignore")
def test_a_conversation_at_the_keyboard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["What is x?", "", "And now?"])

    def typed(prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    with chat_server("<code>\nx = 5\nfinal_answer(x)\n</code>", "<code>\nfinal_answer(x + 1)\n</code>") as server:
        assert main(["agent", "--model", "openai/local", "--api-base", server.url, "--quiet"]) == 0
    assert capsys.readouterr().out == "5\n6\n"
    assert len(server.requests[1]["messages"]) > len(server.requests[0]["messages"])


@pytest.mark.parametrize(("typed", "answer"), [("y", "1! + 1 = 2"), ("n", "not allowed"), (None, "not allowed")])
def test_asks_before_calls_of_the_named_tool(
    typed: str | None, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        if typed is None:
            raise EOFError
        return typed

    monkeypatch.setattr("builtins.input", reply)
    main(["agent", "--scripted", "--approve", "factorial"])
    captured = capsys.readouterr()
    assert asked[0] == "allow factorial(n=1)? [y/N] "
    assert len(asked) >= (8 if typed == "y" else 1)
    assert answer in captured.out + captured.err


@pytest.mark.filterwarnings("ignore")
def test_asks_about_a_tool_that_always_needs_approval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "till.py").write_text(
        "from cloche import tool\n\n\n@tool(approval=True)\ndef pay(to: str) -> str:\n"
        '    """Pay.\n\n    Args:\n        to: Who.\n    """\n    return f"paid {to}"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        return "y" if "ann" in prompt else "n"

    monkeypatch.setattr("builtins.input", reply)
    program = "<code>\nfirst = pay('ann\\x1b[2J')\ntry:\n    pay('bob')\nexcept PermissionError as no:\n"
    program += "    final_answer([first, str(no)])\n</code>"
    with chat_server(program) as server:
        flags = ["--model", "openai/local", "--api-base", server.url, "--quiet", "--tool", "till:pay"]
        assert main(["agent", "Pay", *flags]) == 0
    assert asked == [r"allow pay('ann\x1b[2J')? [y/N] ", "allow pay('bob')? [y/N] "]
    assert "the user said no" in capsys.readouterr().out


def test_a_tool_to_approve_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "--scripted", "--approve", "nothing"]) == 2
    assert "there are prime_checker, factorial" in capsys.readouterr().err


def test_used_up_steps_have_an_exit_code_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "--scripted", "--quiet", "--max-steps", "1"]) == 3
    assert "StepsExceeded" in capsys.readouterr().err


def test_imports_are_restricted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    program = "<code>\ntry:\n    import json, math\nexcept ImportError as no:\n    final_answer(str(no))\n</code>"
    with chat_server(program) as chat:
        flags = ["--model", "openai/local", "--api-base", chat.url, "--quiet", "--imports", "json"]
        assert main(["agent", "Import", *flags]) == 0
    assert "'math' may not be imported here; allowed: json" in capsys.readouterr().out


def test_imports_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["agent", "--imports", "json", "Do it"])
    assert "write the TASK before --imports" in capsys.readouterr().err
    assert main(["agent", "Do it", "--scripted", "--calls-tools", "--imports", "json"]) == 2
