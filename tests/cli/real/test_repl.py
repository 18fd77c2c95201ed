"""``cloche repl`` from a pipe and at a terminal."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_pieces_share_one_session(cloche: Run) -> None:
    done = cloche("repl", stdin="x = 41\nx + 1\ndef f():\n    return x\n\nf()\nclass A: pass\n\nA() is not None\n_\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n41\nTrue\nTrue\n", "")


def test_values_of_the_sessions_own_classes_are_shown(cloche: Run) -> None:
    done = cloche("repl", stdin="class A:\n    def __repr__(self): return 'an A'\n\nA()\n")
    assert (done.stdout, done.stderr) == ("an A\n", "")


def test_an_exception_leaves_the_session_as_it_is(cloche: Run) -> None:
    done = cloche("repl", stdin="x = 1\n1 / 0\nx\n")
    assert done.stdout == "1\n"
    assert "ZeroDivisionError" in done.stderr
    assert "1 / 0" in done.stderr
    assert "run_and_show" not in done.stderr


def test_limits_can_be_changed_between_pieces(cloche: Run) -> None:
    done = cloche("repl", stdin="x = 1\n:limits fuel=30e6\nwhile True: x += 1\n\nx\n:limits fuel=1e9\nx\n")
    assert "fuel       30,000,000" in done.stdout
    assert "FuelExhausted" in done.stderr
    assert "the session is as it was before this piece" in done.stderr
    assert done.stdout.endswith("\n1\n") or done.stdout.splitlines()[-1] == "1"


def test_commands(cloche: Run, folder: Path) -> None:
    (folder / "data.csv").write_text("a,b\n")
    script = (
        ":tools\n:put data.csv\n:files\nprice('tea')\n:usage\n:reset\n:files\n:help\n:nonsense\n:limits memory=64MiB\n"
    )
    done = cloche("repl", "--tool", "shop:price", stdin=script)
    told = done.stdout.splitlines()
    assert told[0] == "  price  Return the price of some items."
    assert told[1:4] == ["4 bytes are now in data.csv", "  /work/data.csv", "2.5"]
    assert "1 calls" in told[4]
    assert told[5:7] == ["a fresh session", "no files"]
    assert any(line.strip().startswith(":limits") for line in told[7:])
    assert "there is no command :nonsense" in done.stderr
    assert "start cloche repl with --memory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("word", [":quit", "exit()", "raise SystemExit"])
def test_leaving(cloche: Run, word: str) -> None:
    done = cloche("repl", stdin=f"1\n{word}\n2\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_has_prompts_ctrl_c_and_history(folder: Path, environment: Callable[..., dict[str, str]]) -> None:
    private = {"HOME": str(folder), "XDG_CACHE_HOME": "", "TERM": "xterm"}
    home = _cache_with_the_image(folder)
    with _terminal(folder, environment(**private, CLOCHE_CACHE=str(home))) as terminal:
        assert "Ctrl-D leaves" in terminal.expect(">>> ")
        terminal.type("answer = 42\n", ">>> ")
        terminal.type("while True: spoken = 'spoken' in dir() or print('go' + 'ing') or True\n", "... ")
        terminal.type("\n", "going")
        terminal.process.send_signal(signal.SIGINT)  # what a terminal makes of Ctrl-C
        assert "Interrupted" in terminal.expect(">>> ")
        assert "42" in terminal.type("answer\n", ">>> ")
        os.write(terminal.fd, b"\x04")
        assert terminal.ended() == 0
    kept = home / "repl_history"
    assert "answer = 42" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def _cache_with_the_image(folder: Path) -> Path:
    """Return a cache folder of its own that shares the compiled image, so that nothing has to be compiled."""
    from cloche.runtime.wasm.cache import cache_home, private_folder

    home = folder / "cache"
    for compiled in Path(cache_home(), "compiled").glob("*.cwasm"):
        os.link(compiled, Path(private_folder(home / "compiled"), compiled.name))
    return home


class _Terminal:
    """A process behind a pseudo-terminal."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.fd = fd

    def expect(self, text: str, seconds: float = 120.0) -> str:
        """Read until the text appears, and return all that was read."""
        read = ""
        deadline = time.monotonic() + seconds
        while text not in read:
            assert select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0], f"waited for {text!r}"
            read += os.read(self.fd, 65_536).decode(errors="replace")
        return read

    def type(self, keys: str, until: str) -> str:
        """Press keys and read until the text appears."""
        os.write(self.fd, keys.encode())
        return self.expect(until)

    def ended(self) -> int:
        """Wait for the process's end."""
        return self.process.wait(60)


class _terminal:
    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = env

    def __enter__(self) -> _Terminal:
        import pty

        self._fd, inner = pty.openpty()
        command = [sys.executable, "-m", "cloche", "repl", "--fuel", "none", "--time", "none"]
        self._process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, cwd=self._folder, env=self._env, start_new_session=True
        )
        os.close(inner)
        return _Terminal(self._process, self._fd)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)
