"""What a terminal says while an image is compiled."""

import io
import sys
from pathlib import Path

import pytest

from cloche.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_line_that_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.wasm").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(output, "_TICK", 0.001)
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with output.compiling(str(tmp_path / "x.wasm")):
        while "compiling" not in stream.getvalue():
            pass
    assert "compiling the image for this machine (3 MiB, once): " in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_log_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with output.compiling("no such file"):
        pass
    assert stream.getvalue() == ""
