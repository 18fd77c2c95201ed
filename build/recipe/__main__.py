"""The verbs: `python -m recipe fetch | configure | compile | link | bake | host | all | wheels | profile | data`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from recipe import bake, cpython, host, link, profile
from recipe.data import image, wheel
from recipe.fetch import downloads, fetch
from recipe.inputs import load
from recipe.workspace import BuildError


def fetch_all() -> Path:
    """Fetch and verify every pinned archive."""
    for source in load().values():
        fetch(source)
    return downloads()


def all_of_it() -> Path:
    """Have the image and the host in C where the runtime looks for them. Returns the image's path."""
    host.install()
    return bake.install()


VERBS: dict[str, Callable[[], Path | None]] = {
    "fetch": fetch_all,
    "configure": cpython.configured,
    "compile": cpython.compiled,
    "link": link.linked,
    "bake": bake.baked,
    "host": host.install,
    "all": all_of_it,
    "wheels": host.wheels,
    "profile": profile.profiled,
    "data": image.install,
    "wheel-data": wheel.built,
}
HELP = "each verb does what it needs of the ones before it, and nothing that is done already"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; print where its result is. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="recipe", description=f"Build the guest image; {HELP}.")
    parser.add_argument("verb", choices=VERBS)
    try:
        place = VERBS[parser.parse_args(arguments).verb]()
        if place is not None:
            print(place)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
