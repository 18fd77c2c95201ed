"""What smolagents' guides do, as programs of our own: they run after their import lines were changed, and nothing else.

A sample begins with what the model says, one line for each request, and with what the sample prints:

    #> a program          #? a tool call: its name and arguments          #! plain text          #= printed

When its lines are used up, the model gives the answer "fine".
"""

import re
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest
from tests.agent.guides.outside import MCP_SERVER, program, scripted_models
from tests.agent.real.chat_server import Answer, ChatServer

for extra in ("litellm", "ddgs", "httpx", "markdownify", "sqlalchemy", "PIL", "huggingface_hub", "mcp", "anyio"):
    pytest.importorskip(extra, reason=f"a sample needs {extra}")

pytestmark = pytest.mark.filterwarnings("ignore")

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.txt"))


def answers(sample: str) -> list[Answer]:
    found: list[Answer] = []
    for kind, text in re.findall(r"^#([>?!]) (.*)$", sample, re.M):
        if kind == ">":
            found.append(program(text.replace("\\n", "\n")))
        elif kind == "!":
            found.append(text)
        else:
            name, _, arguments = text.partition(" ")
            found.append([{"name": name, "arguments": arguments}])
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[ChatServer]:
    """A scripted model that takes the place of all that LiteLLM reaches, and no other place on the network."""
    with scripted_models(monkeypatch) as script:
        monkeypatch.setenv("GUIDE_MCP_SERVER", str(MCP_SERVER))
        yield script


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_runs_after_its_import_lines_were_changed(
    path: Path, server: ChatServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = path.read_text(encoding="utf-8")
    changed = re.sub(r"^from smolagents[\w.]* import", "from cloche import", sample, flags=re.M)
    assert "smolagents" not in changed
    server.answers = answers(sample)
    module = ModuleType("sample")
    monkeypatch.setitem(sys.modules, "sample", module)
    # Its code can be read again, as that of a file can.
    exec(compile(changed, str(path), "exec"), vars(module))
    dispose = getattr(vars(module).get("engine"), "dispose", None)
    if dispose is not None:
        # A guide leaves its database open; Python warns of that from 3.13 on.
        dispose()
    printed = capsys.readouterr().out
    for expected in re.findall(r"^#= (.*)$", sample, re.M):
        assert expected in printed, f"{expected!r} is not in {printed!r}"
    assert server.answers == []
