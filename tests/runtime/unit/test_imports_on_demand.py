"""Names that are imported when they are first used, and packages that an extra installs."""

import subprocess
import sys

import pytest

import cloche
from cloche import agent
from cloche.host_tools import builtin
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError


@pytest.mark.parametrize("package", [cloche, agent, builtin])
def test_each_public_name_is_found_and_listed(package: object) -> None:
    names: list[str] = getattr(package, "__all__")  # noqa: B009
    assert set(names) <= set(dir(package))
    for name in names:
        assert getattr(package, name) is getattr(package, name)
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        getattr(package, "missing")  # noqa: B009


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import cloche; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith("cloche")] == [
        "cloche",
        "cloche.runtime",
        "cloche.runtime._imports",
        "cloche.runtime.converters",
    ]


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"^url: this store needs nowhere: pip install 'cloche\[far\]'$"):
        need("nowhere.core", "far", what="this store", field="url")
