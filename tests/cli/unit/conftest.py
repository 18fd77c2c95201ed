import sys
from pathlib import Path

import pytest

_TOOLS = '''
def greet(name: str) -> str:
    """Greet a person by name."""
    return f"hello {name}"

class NotATool: ...

number = 5
'''


@pytest.fixture
def tool_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with tools in the current folder; its name."""
    (tmp_path / "shop_tools.py").write_text(_TOOLS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop_tools", raising=False)
    return "shop_tools"
