"""The house's own rules: which folder may import which, no circle of any kind, and no crowded folder or giant module.

Imports are read as text, so those in functions and those for types only count like any other.
"""

import ast
from collections import Counter
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[3]

PRODUCT = {
    "runtime": "cloche.runtime",
    "host_tools": "cloche.host_tools",
    "agent": "cloche.agent",
    "cli": "cloche.cli",
    "bench": "cloche.bench",
    "integrations": "cloche.integrations",
    "serve": "cloche.serve",
    "guest/prelude": "cloche_guest",
    "build/recipe": "recipe",
    "src/cloche": "cloche",
}
"""The folders of the product, and the packages that they are. Programs of guests and peers are data."""
DATA = {"programs", "first"}

RUNTIME = (
    "errors",
    "_imports",
    "_files",
    "_terminal",
    "machine_api",
    "converters",
    "dataclass",
    "values",
    "work",
    "result",
    "limits",
    "dispatch",
    "threads",
    "driving",
    "wasm",
    "bridge",
    "rollback",
    "snapshots",
    "snapshots.stores",
    "recording",
    "session",
    "packages",
    "images",
    "sandbox",
)
"""The folders and lone modules of runtime, lowest first: each imports only what stands before it."""

MAX_MODULES = 307
MAX_LINES = 600
MAX_SIBLINGS = 20


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """Return the file of each module of the product by its dotted name. Links are not followed."""
    found: dict[str, Path] = {}
    for top, package in PRODUCT.items():
        base = ROOT / top
        for file in sorted(base.rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            is_linked = any(folder.is_symlink() for folder in file.parents if folder.is_relative_to(base))
            if not is_linked and not DATA.intersection(parts):
                found[".".join([package, *(part for part in parts if part != "__init__")])] = file
    return found


@lru_cache(maxsize=1)
def imports() -> dict[str, set[str]]:
    """Return the modules that each module imports, anywhere in its text."""
    return {name: _imported(name, file) for name, file in modules().items()}


def _imported(name: str, file: Path) -> set[str]:
    known = modules()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    full: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            full.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            submodules = {f"{origin}.{alias.name}" for alias in node.names} & known.keys()
            # ``from package import module`` is about the module, and not about what the package's __init__ imports.
            full.update(submodules or {origin})
    return {each for each in full & known.keys() if each != name}


def _origin(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.rsplit(".", node.level - 1)[0]
    return f"{base}.{node.module}" if node.module else base


def room(name: str) -> str:
    """Return a module's folder as a package's name; a module that stands beside folders is a room of its own."""
    file = modules()[name]
    return (
        name if file.name == "__init__.py" or name.rpartition(".")[0] in PRODUCT.values() else name.rpartition(".")[0]
    )


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected parts of more than one node."""
    reached = {node: _reachable(graph, node) for node in graph}
    parts = {frozenset(other for other in reached[node] if node in reached[other]) | {node} for node in graph}
    return sorted(sorted(part) for part in parts if len(part) > 1)


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        for following in graph[left.pop()] - seen:
            seen.add(following)
            left.append(following)
    return seen


def test_no_folder_of_runtime_imports_a_higher_one() -> None:
    places = {f"cloche.runtime.{each}": place for place, each in enumerate(RUNTIME)}
    rooms = {room(name) for name in modules() if name.startswith("cloche.runtime.")}
    assert rooms == places.keys()
    upward = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        for target in targets
        if room(name) in places and places.get(room(target), -1) > places[room(name)]
    ]
    assert not upward


def test_runtime_imports_nothing_of_the_layers_above() -> None:
    for name, targets in imports().items():
        if name.startswith("cloche.runtime."):
            assert not {target for target in targets if not target.startswith("cloche.runtime.")}, name


def test_the_product_is_of_few_modules_and_none_is_too_long() -> None:
    files = [file for file in modules().values() if file.name not in ("__init__.py", "__main__.py")]
    assert len(files) <= MAX_MODULES
    lines = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("\n") for file in files}
    assert not {file: count for file, count in lines.items() if count > MAX_LINES}


def test_no_folder_is_crowded() -> None:
    siblings = Counter(file.parent.relative_to(ROOT).as_posix() for file in modules().values())
    assert not {folder: count for folder, count in siblings.items() if count > MAX_SIBLINGS}


def test_no_modules_form_a_circle() -> None:
    assert not circles(imports())


def test_no_folders_form_a_circle() -> None:
    rooms: dict[str, set[str]] = {room(name): set() for name in modules()}
    for name, targets in imports().items():
        # A package's __init__ says what the package exports, which is not an arrow from its folder to itself.
        inner = {room(target) for target in targets if modules()[target].name != "__init__.py"}
        rooms[room(name)] |= inner - {room(name)}
    assert not circles(rooms)
