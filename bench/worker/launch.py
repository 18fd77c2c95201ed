"""Run by its path, in any CPython from 3.11: serves one peer, over the streams that it was started with.

``launch.py MODULE:CLASS [DISTRIBUTION ...]``
"""

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    """Serve until the requests end."""
    _load_package(Path(__file__).absolute().parents[2])
    from cloche.bench.worker.serving import serve

    # What programs print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    serve(sys.argv[1], sys.argv[2:], sys.stdin, answers)


def _load_package(folder: Path) -> None:
    """Make ``cloche`` the very package that this file is in, and change nothing else of where modules come from."""
    spec = importlib.util.spec_from_file_location(
        "cloche", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no package at {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["cloche"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    main()
