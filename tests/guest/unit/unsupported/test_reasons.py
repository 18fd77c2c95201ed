"""Imports that fail with the reason why."""

import sys
from typing import TYPE_CHECKING, Any

import pytest

from cloche_guest.unsupported.reasons import ABSENT, BLOCKED, Absent, install

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", sys.modules)
    for name in [name for name in sys.modules if name.partition(".")[0] in {**ABSENT, **BLOCKED}]:
        monkeypatch.delitem(sys.modules, name)
    install()


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("name", ["turtle", "tkinter", "curses", "tkinter.ttk", "pip"])
def test_blocked_modules_say_why(guest: "Guest", name: str) -> None:
    error = guest.fail(f"import {name}")
    assert error["type"] == "ModuleNotFoundError"
    assert "in this sandbox" in error["message"]


@pytest.mark.usefixtures("absent")
def test_a_blocked_module_is_an_import_error(guest: "Guest") -> None:
    assert guest.run("try:\n    import fcntl\nexcept ImportError as e:\n    name = e.name\nname") == "fcntl"


@pytest.mark.usefixtures("absent")
def test_other_imports_are_as_ever(guest: "Guest") -> None:
    assert guest.fail("import no_such_module_at_all")["message"] == "No module named 'no_such_module_at_all'"
    assert guest.run("import colorsys\ncolorsys.rgb_to_hsv(0, 0, 0)") == (0.0, 0.0, 0)


def test_reasons_for_packages_come_last(guest: "Guest", monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(
        sys, "meta_path", [*sys.meta_path, Absent({"httpx_of_the_test": "no network", "here_too": "no"})]
    )
    (tmp_path / "here_too.py").write_text("value = 1")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert guest.run("import here_too\nhere_too.value") == 1
    assert guest.fail("import httpx_of_the_test")["message"] == "No module named 'httpx_of_the_test': no network"
