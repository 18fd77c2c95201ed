"""The site: its reference has every public name, its navigation every page, and its hooks keep links and docstrings."""

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = (
    "cloche",
    "cloche.agent",
    "cloche.host_tools",
    "cloche.host_tools.builtin",
    "cloche.host_tools.call_log",
    "cloche.host_tools.external",
    "cloche.host_tools.policy",
)

_DIRECTIVE = re.compile(r"^::: (\S+)$", re.M)
_NAV = re.compile(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", re.M)


def directives() -> list[str]:
    """Return the names that the reference's pages document, with the package they are imported from."""
    return [name for page in (DOCS / "reference").glob("*.md") for name in _DIRECTIVE.findall(page.read_text())]


def hook(name: str) -> ModuleType:
    """Import a module of docs/_site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_site_{name}", DOCS / "_site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference_once() -> None:
    found = [name.rpartition(".")[2] for name in directives() if ".integrations." not in name]
    assert {name for name in found if found.count(name) > 1} == set()
    public = {name for package in PACKAGES for name in importlib.import_module(package).__all__}
    assert public - set(found) == set()


def test_every_name_of_the_reference_can_be_imported_from_where_it_is_listed() -> None:
    for name in directives():
        home, _, attribute = name.rpartition(".")
        if ".integrations." in name:
            assert importlib.util.find_spec(home), name
            assert re.search(rf"^(def|class) {attribute}\b", _source(home), re.M), name
        else:
            assert attribute in importlib.import_module(home).__all__, name


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def test_the_navigation_has_every_page_once() -> None:
    pages = _NAV.findall((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert len(pages) == len(set(pages))
    shown = {
        page.relative_to(DOCS).as_posix()
        for page in DOCS.rglob("*.md")
        if page.parent.name != "decisions" or page.name == "README.md"
    }
    from_root = {"overview.md", "security.md", "contributing.md", "changelog.md"}
    assert set(pages) == shown | from_root


def test_the_theme_fetches_nothing() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    assert "://" not in settings


def test_the_strict_build_is_not_quiet() -> None:
    # mkdocs drops warnings before it counts them when it is quiet: a broken link then passes --strict.
    (command,) = re.findall(r"mkdocs build.*", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert set(command.split()) & {"--strict", "--quiet", "-q"} == {"--strict"}


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("guides/limits.md", "[t](../../README.md#the-limits)", "[t](../overview.md#the-limits)"),
        ("guides/limits.md", "[t](tools.md)", "[t](tools.md)"),
        ("overview.md", "[t](docs/guides/tools.md#x)", "[t](guides/tools.md#x)"),
        ("overview.md", "[t](docs/decisions)", "[t](decisions/README.md)"),
        ("overview.md", "[Apache](LICENSE)", "Apache"),
        ("overview.md", "[s](SECURITY.md)", "[s](security.md)"),
        ("releasing.md", "[s](../SECURITY.md)", "[s](security.md)"),
        ("overview.md", "[w](https://example.org/a.md)", "[w](https://example.org/a.md)"),
        ("overview.md", "[here](#there)", "[here](#there)"),
        ("guides/limits.md", "[code](../../runtime/limits.py)", "[code](../../runtime/limits.py)"),
    ],
)
def test_links_between_the_root_and_the_site_are_kept(page: str, link: str, expected: str) -> None:
    pytest.importorskip("mkdocs")
    file = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hook("outside").on_page_markdown(link, page=file, config=None, files=None) == expected


class _Scope:
    """An object of griffe, as far as names are looked up in it."""

    def __init__(self, text: str) -> None:
        self.docstring = SimpleNamespace(value=text)

    def resolve(self, name: str) -> str:
        return f"cloche.{name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See :meth:`Session.run`.", 'See <autoref identifier="cloche.Session.run" optional>`Session.run`</autoref>.'),
        (
            "Limits.\n\n``fuel``    how much;\n            default all.\n``time``, ``calls``  numbers.\n\nRaises.",
            "Limits.\n\n- **`fuel`**: how much;\n  default all.\n- **`time`, `calls`**: numbers.\n\nRaises.",
        ),
        ("Tools.\n\n::\n\n    import x", "Tools.\n\n\n\n    import x"),
        ("Like this::\n\n    import x", "Like this:\n\n    import x"),
    ],
)
def test_docstrings_become_markdown(text: str, expected: str) -> None:
    pytest.importorskip("griffe")
    scope: Any = _Scope(text)
    hook("docstrings").Docstrings().on_object(obj=scope)
    assert scope.docstring.value == expected
