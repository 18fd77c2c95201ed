"""The Python of a guide: fenced blocks, or, in a text without fences, the runs of lines that are programs."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Block", "blocks", "free_names", "is_of_a_model", "reason_against", "refused_with", "with_other_imports"]


@dataclass(frozen=True)
class Block:
    """One sample: its number in the guide, the line it begins at, and its text."""

    number: int
    line: int
    text: str


_FENCE = re.compile(r"^( *)(```+|~~~+) *(?:python|py|python3)\b[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_BEGINS = re.compile(
    r"^(?:from [\w.]+ import |import \w|@\w|class \w|def \w|[A-Za-z_][\w.]*(?:\[[^\]]*\])? = \S|[\w.]+\(.*\)? *$)"
)
_MAX_LINES = 80


def blocks(text: str) -> list[Block]:
    """Return the guide's samples in their order."""
    fenced = [(match.start(3), _outdented(match[3], match[1])) for match in _FENCE.finditer(text)]
    if fenced:
        found = [(text.count("\n", 0, start) + 1, block) for start, block in fenced]
    else:
        found = list(_programs(text.splitlines()))
    return [Block(number, line, block) for number, (line, block) in enumerate(found, 1)]


def _outdented(text: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in text.splitlines())


def _programs(lines: list[str]) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(lines):
        length = _length(lines[at:]) if _BEGINS.match(lines[at]) else 0
        if length:
            yield at + 1, "\n".join(lines[at : at + length]).rstrip()
        at += max(1, length)


def _length(lines: list[str]) -> int:
    """Return how many of these lines are one program; 0 if not even the first few are."""
    best = 0
    for count in range(1, min(_MAX_LINES, len(lines)) + 1):
        if lines[count - 1].strip() and _parses("\n".join(lines[:count])):
            best = count
    return best


def _parses(text: str) -> bool:
    try:
        compile(filled_in(text), "<guide>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


# What a reader fills in: keys and names in angle brackets or braces, lists of tools.
_PLACEHOLDERS = (
    (re.compile(r"(?<![\"'\w])<YOUR[\w-]*>"), '"key"'),
    (re.compile(r"\[\.\.\.\]"), "[]"),
    (re.compile(r"\{your_username\}"), "user"),
    (re.compile(r"^[ \t]*[%!]\w.*$", re.MULTILINE), ""),
)


def filled_in(text: str) -> str:
    """Return the sample with what it has its reader fill in, and without a notebook's own commands."""
    for pattern, value in _PLACEHOLDERS:
        text = pattern.sub(value, text)
    return text


_IMPORTS = (
    (re.compile(r"^(\s*)from smolagents[\w.]* import", re.MULTILINE), r"\1from cloche import"),
    (re.compile(r"^(\s*)import smolagents$", re.MULTILINE), r"\1import cloche as smolagents"),
    # This one moved within the mcp package, from its first version to its second.
    (
        re.compile(r"^(\s*)from mcp.server.fastmcp import FastMCP$", re.MULTILINE),
        r"\1from mcp.server.mcpserver import MCPServer as FastMCP",
    ),
)


def with_other_imports(text: str) -> str:
    """Return the sample after its import lines were changed, and nothing else."""
    text = filled_in(text)
    for pattern, line in _IMPORTS:
        text = pattern.sub(line, text)
    return text


_REASONS = (
    (r"^import docker$", "drives Docker itself; no agent of ours is in it"),
    (r"^from e2b_code_interpreter import", "drives E2B's service itself; no agent of ours is in it"),
    (r"^from (openinference|phoenix|langfuse)\b", "sets up a tracing service's own hooks into smolagents"),
    (r"^mlflow\.smolagents\.", "sets up a tracing service's own hooks into smolagents"),
    (r"llm_should_continue|compose_prompt\(|sandbox\.run\(code\)|^observation = ", "pseudocode"),
    (
        r"\A(?:import (?:random|ast)\b|conditions = |temp = |ops = )",
        "part of a function whose indentation this copy has lost",
    ),
    (r"python_executor\(\"from helium", "programs drive the host's browser through helium, which no sealed guest can"),
    (r"^langfuse = ", "sets up a tracing service"),
)


def reason_against(block: Block) -> str:
    """Return why a sample cannot be run at all; empty if it can."""
    for pattern, reason in _REASONS:
        if re.search(pattern, block.text, re.MULTILINE):
            return reason
    try:
        tree = ast.parse(filled_in(block.text))
    except SyntaxError as error:
        return f"not Python as it stands: {error.msg}, line {error.lineno}"
    return "" if tree.body else "nothing but a notebook's commands, or comments"


_REFUSED = (
    (r"load_tool\([^,)]*\)", "RemoteCodeRefused"),
    # smolagents wants a model too.
    (r"CodeAgent\(tools=\[[^\]]*\], add_base_tools=True\)", "ConfigurationError"),
    (r"ToolCollection\.from_hub\((?![^)]*trust_remote_code)", "RemoteCodeRefused"),
)


def refused_with(block: Block) -> str:
    """Return the error with which a sample ends, as it does with smolagents; empty for one that has to run."""
    return next((error for pattern, error in _REFUSED if re.search(pattern, block.text)), "")


def free_names(text: str) -> set[str]:
    """Return the names that a sample reads."""
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Load)}


def is_of_a_model(text: str) -> bool:
    """Return whether a sample is what a model writes: a program of calls, which imports and defines nothing."""
    tree = ast.parse(text)
    made = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return bool({"final_answer", "search_docs", "web_search"} & free_names(text)) and not any(
        isinstance(node, made) for node in ast.walk(tree)
    )
