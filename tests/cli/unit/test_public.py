import subprocess
import sys

import pytest

import cloche
from cloche.runtime import errors


def test_all_is_sorted_complete_and_importable() -> None:
    assert len(cloche.__all__) == len(set(cloche.__all__))
    assert set(errors.__all__) < set(cloche.__all__)
    for name in cloche.__all__:
        assert getattr(cloche, name).__name__ == name if name != "Event" else cloche.Event
    assert set(cloche.__all__) <= set(dir(cloche))


def test_each_name_is_the_one_of_its_module() -> None:
    from cloche.host_tools import tool
    from cloche.runtime.limits import Limits

    assert cloche.Limits is Limits
    assert cloche.tool is tool


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cloche' has no attribute 'Sandbx'"):
        cloche.__getattr__("Sandbx")


def test_importing_the_package_loads_nothing_else() -> None:
    heavy = "{'wasmtime', 'pydantic', 'msgpack', 'rich', 'cloche.runtime.errors', 'asyncio'}"
    program = f"import sys, cloche; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_importing_the_package_loads_a_few_modules_of_the_standard_library() -> None:
    program = "import sys; before = set(sys.modules); import cloche; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    own = {name for name in loaded if name.startswith("cloche")}
    # The two let a Sandbox take functions, wherever it is imported from.
    assert own == {"cloche", "cloche.runtime", "cloche.runtime.converters"}
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
