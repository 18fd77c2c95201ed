"""The public surface: what each package names is there, sorted, and documented; the rest is named as private."""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[3] / "host_tools"
PACKAGES = ["", ".builtin", ".call_log", ".external", ".policy"]
MODULES = sorted(
    path.relative_to(HERE).with_suffix("").as_posix().replace("/", ".")
    for path in HERE.rglob("*.py")
    if "programs" not in path.parts and path.stem != "__init__"
)


def public(package: str) -> tuple[Any, list[str]]:
    module = import_module(f"cloche.host_tools{package}")
    return module, list(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_names_what_it_offers(package: str) -> None:
    module, names = public(package)
    assert names == sorted(set(names))
    for name in names:
        value = getattr(module, name)
        assert not name.startswith("_")
        if inspect.isroutine(value) or inspect.isclass(value):
            assert value.__doc__, name


def test_the_surface_of_host_tools() -> None:
    assert public("")[1] == [
        "FunctionTool",
        "HubError",
        "Parameter",
        "RemoteCodeRefused",
        "Tool",
        "ToolDefinitionError",
        "ToolFailed",
        "ToolLike",
        "ToolRegistry",
        "ToolRejected",
        "call_id",
        "from_object",
        "tool",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_everything_that_is_not_private(name: str) -> None:
    path = HERE / f"{name.replace('.', '/')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = [
        node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    named = set(import_module(f"cloche.host_tools.{name}").__all__)
    assert {one for one in defined if not one.startswith("_")} <= named
    assert not any(one.startswith("_") for one in named)
