"""The public surface: what can be imported from the package and its folders, and nothing else."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import cloche
from cloche.runtime import errors

PACKAGES = (
    "cloche",
    "cloche.agent",
    "cloche.host_tools",
    "cloche.host_tools.builtin",
    "cloche.host_tools.external",
    "cloche.host_tools.policy",
)
each_package = pytest.mark.parametrize("package", PACKAGES)


def imported(package: str) -> set[str]:
    """The names that a package's own text imports for type checkers and other readers."""
    path = importlib.import_module(package).__file__
    assert path is not None
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [node for node in nodes if node.module is not None and node.module.partition(".")[0] == "cloche"]
    return {alias.asname or alias.name for node in own for alias in node.names}


@each_package
def test_all_is_sorted_and_has_no_name_twice(package: str) -> None:
    names = importlib.import_module(package).__all__
    assert names == sorted(set(names))


@each_package
def test_all_is_what_the_package_imports(package: str) -> None:
    names = set(importlib.import_module(package).__all__)
    private = {"installed_version", "lazy_names", "register_converter"}
    assert imported(package) - private == names


@each_package
def test_every_name_can_be_imported_and_says_what_it_is(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert not name.startswith("_")
        found = getattr(module, name)
        assert not inspect.ismodule(found), name
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__name__ == name
            assert inspect.getdoc(found), name


@pytest.mark.parametrize("package", ["cloche", "cloche.agent", "cloche.host_tools", "cloche.host_tools.builtin"])
def test_names_are_listed_before_they_are_imported(package: str) -> None:
    program = f"import {package}; print(set({package}.__all__) <= set(dir({package})))"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "True\n"
    )


@each_package
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'no_such_name'"):
        importlib.import_module(package).no_such_name  # noqa: B018


@each_package
def test_a_star_imports_the_public_names_only(package: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from {package} import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(importlib.import_module(package).__all__)


def test_every_error_is_public() -> None:
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert {name for name in defined if not name.startswith("_")} == set(errors.__all__)
    public = set(errors.__all__) - {"GuestVisibleError"}  # the mark of those that a program sees, for the layers above
    assert public < set(cloche.__all__)
    assert all(issubclass(getattr(cloche, name), cloche.ClocheError) for name in public)


def test_each_name_is_the_one_of_its_module() -> None:
    from cloche.host_tools import tool
    from cloche.runtime.limits import Limits

    assert cloche.Limits is Limits
    assert cloche.tool is tool


def test_importing_the_package_loads_nothing_else() -> None:
    heavy = "{'wasmtime', 'pydantic', 'msgpack', 'rich', 'cloche.runtime.errors', 'asyncio'}"
    program = f"import sys, cloche; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_importing_the_package_loads_a_few_modules_of_the_standard_library() -> None:
    program = "import sys; before = set(sys.modules); import cloche; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    own = {name for name in loaded if name.startswith("cloche")}
    # The converters let a Sandbox take functions, wherever it is imported from.
    assert own == {"cloche", "cloche.runtime", "cloche.runtime._imports", "cloche.runtime.converters"}
    assert {name.partition(".")[0] for name in loaded} <= {"cloche", *sys.stdlib_module_names}
    assert len(loaded) < 50


@pytest.mark.parametrize(
    ("names", "unwanted"),
    [
        ("Limits", {"wasmtime", "pydantic", "asyncio"}),
        ("Sandbox, Session", {"pydantic", "rich", "httpx", "litellm"}),
        ("tool, Tool, ToolRegistry", {"wasmtime", "rich", "httpx", "litellm"}),
    ],
)
def test_a_name_loads_only_what_it_needs(names: str, unwanted: set[str]) -> None:
    program = f"import sys; from cloche import {names}; print(*sorted({unwanted!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
