"""The samples of guides word for word, import lines changed: ``CLOCHE_GUIDES=FOLDER pytest tests/agent/guides``.

The guides themselves are not part of the repository. The folder holds smolagents' own (``docs/source/en`` of its
repository) or any texts about it. Of each guide the samples run in their order, in one namespace, against a scripted
model; what stands outside is on this machine. A sample that is no program is not run, and the reason is printed.
"""

import builtins
import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.agent.guides.blocks import (
    Block,
    blocks,
    free_names,
    is_of_a_model,
    reason_against,
    refused_with,
    with_other_imports,
)
from tests.agent.guides.outside import mcp_server, outside

import cloche
from cloche.agent import ScriptedModel

GUIDES = os.environ.get("CLOCHE_GUIDES", "")
pytestmark = [
    pytest.mark.skipif(not GUIDES, reason="CLOCHE_GUIDES names no folders with guides"),
    pytest.mark.filterwarnings("ignore"),
]
for extra in (
    "litellm",
    "ddgs",
    "httpx",
    "markdownify",
    "sqlalchemy",
    "PIL",
    "huggingface_hub",
    "mcp",
    "gradio_client",
):
    pytest.importorskip(extra, reason=f"a sample needs {extra}")


def _guides() -> list[Path]:
    folders = [Path(folder) for folder in GUIDES.split(os.pathsep) if folder]
    files = [file for folder in folders for file in ([folder] if folder.is_file() else sorted(folder.rglob("*")))]
    return [file for file in files if file.suffix in (".md", ".mdx", ".txt") and blocks(_text(file))]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("guide", _guides(), ids=lambda path: path.stem)
def test_each_sample_runs(guide: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text, ran, left_out, failed = _text(guide), 0, list[str](), list[str]()
    with ExitStack() as stack:
        stack.enter_context(outside(monkeypatch, tmp_path))
        if _SERVED.search(text):
            text = _SERVED.sub(stack.enter_context(mcp_server()), text)
        for name in re.findall(r"environ(?:\.get\(|\[)[\"'](\w+)[\"']", text):
            monkeypatch.setenv(name, "given")
        module = ModuleType("guide")
        module.__file__ = str(tmp_path / "guide.py")
        monkeypatch.setitem(sys.modules, "guide", module)
        for block in blocks(text):
            label = f"sample {block.number}, line {block.line}"
            if reason := reason_against(block):
                left_out.append(f"{label}: {reason}")
                continue
            try:
                _run(block, module, tmp_path)
                ran += 1
            except Exception as error:
                if type(error).__name__ != refused_with(block):
                    failed.append(f"{label}: {type(error).__name__}: {error}")
    print(f"\n{guide.name}: {ran} samples ran", *left_out, sep="\n  not run: ")
    assert not failed, "\n".join(failed)


_SERVED = re.compile(r"http://127\.0\.0\.1:8000/(?:mcp|sse)")


def _run(block: Block, module: ModuleType, folder: Path) -> None:
    text, names = with_other_imports(block.text), vars(module)
    if path := re.match(r"# (\S+\.py) - ", text):
        # A file of its own, which a later sample starts.
        (folder / path[1]).parent.mkdir(exist_ok=True)
        (folder / path[1]).write_text(f"{text}\n\nmcp.run()\n", encoding="utf-8")
        return
    missing = free_names(text) - names.keys() - vars(builtins).keys()
    if is_of_a_model(text):
        _run_as_a_model(text, missing)
        return
    for name in sorted(missing):
        if name in cloche.__all__:
            names[name] = getattr(cloche, name)
        elif name in LEFT_TO_THE_READER:
            names[name] = LEFT_TO_THE_READER[name](names)
    # One file for all of them: the source of what they define can be read.
    file = Path(str(module.__file__))
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(f"{before}{text}\n", encoding="utf-8")
    exec(compile("\n" * before.count("\n") + text, str(file), "exec"), names)


def _run_as_a_model(text: str, missing: set[str]) -> None:
    tools = {name: _tool_called(name) for name in missing - {"final_answer"} if re.search(rf"\b{name}\(", text)}
    model = ScriptedModel([f"<code>\n{text}\n</code>", "<code>\nfinal_answer('fine')\n</code>"])
    with cloche.CodeAgent(tools, model) as agent:
        agent.run("t")
        assert [step.error for step in agent.memory.actions] == [None] * len(agent.memory.actions)


def _model(_: Any) -> Any:
    return cloche.LiteLLMModel("openai/local")


def _agent(names: dict[str, Any]) -> Any:
    return cloche.CodeAgent([], names.get("model") or _model(names))


def _tool_called(name: str) -> Any:
    def echo(query: str) -> str:
        """Return a text as it is.

        Args:
            query: The text.
        """
        return query

    echo.__name__ = name
    return cloche.tool(echo)


def _callback(_: Any) -> Any:
    return lambda memory_step, agent: None


def _tool_for(name: str, _: Any) -> Any:
    return _tool_called(name)


_TOOLS = (
    "calculate",
    "close_popups",
    "factorial",
    "get_weather",
    "go_back",
    "model_download_tool",
    "new_tool",
    "search_item_ctrl_f",
    "visit_webpage",
)
_KEYS = ("GEMINI_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "XAI_API_KEY")
LEFT_TO_THE_READER: dict[str, Callable[[dict[str, Any]], Any]] = {
    "model": _model,
    "agent": _agent,
    "my_callback": _callback,
    "interrupt_after_plan": _callback,
    "update_screenshot": _callback,
    "task": lambda _: "Say something.",
    "model_id": lambda _: "some/model",
    "os": lambda _: os,
    "DuckDuckGoTool": lambda _: cloche.DuckDuckGoSearchTool,
    **dict.fromkeys(_KEYS, lambda _: "key"),
    **{name: partial(_tool_for, name) for name in _TOOLS},
}
"""Names that guides use and do not make: keys, a model, what an earlier page of the same guide had."""
