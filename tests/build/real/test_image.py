"""The shipped image: what it imports, what it exports, and that it can be made again bit by bit."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from cloche.runtime.limits import Limits
from cloche.runtime.wasm import module_file
from cloche.runtime.wasm.module_file import ModuleSection, Reader
from recipe import bake, link, stdlib
from recipe.inputs import BUILD

ROOT = BUILD.parent
IMPORTS = [("cloche", name) for name in ("call", "take", "write", "clock", "entropy")]


@pytest.fixture(scope="module")
def image() -> bytes:
    return (bake.IMAGE / "cloche.wasm").read_bytes()


def test_the_imports_are_the_bridge_and_nothing_else(image: bytes) -> None:
    assert sorted(module_file.imports(image)) == sorted(IMPORTS)


def test_each_import_has_a_documented_purpose() -> None:
    text = (ROOT / "docs" / "abi.md").read_text()
    for _, name in IMPORTS:
        assert re.search(rf"^\| `{name}\(.*\| \w+", text, re.M), name


def test_the_exports_are_those_of_run_time(image: bytes) -> None:
    (payload,) = (s.payload for s in module_file.sections(image) if s.id == ModuleSection.EXPORT)
    reader, names = Reader(payload), set[str]()
    for _ in range(reader.number()):
        names.add(reader.name())
        reader.byte()
        reader.number()
    assert names == module_file.EXPORTS


def test_the_manifest_tells_the_truth(image: bytes) -> None:
    manifest = json.loads((bake.IMAGE / "cloche.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(image).hexdigest()
    assert manifest["size"] == len(image)
    assert manifest["imports"] == [name for _, name in module_file.imports(image)]


def test_what_is_said_to_be_called_often_has_an_address(image: bytes) -> None:
    often = json.loads((bake.IMAGE / "cloche.json").read_text())["often"]
    _, functions = module_file.addressed(image)
    assert len(often) == len(set(often))
    assert set(often) <= set(functions)
    # Else they would not be the few that lie side by side.
    assert 0 < len(often) < len(functions) / 8


def test_the_image_knows_the_default_caps() -> None:
    manifest = json.loads((bake.IMAGE / "cloche.json").read_text())
    assert manifest["caps"] == Limits().guest_caps()


def test_every_package_inside_has_its_licence_beside_the_image() -> None:
    manifest = json.loads((bake.IMAGE / "cloche.json").read_text())
    for package in manifest["packages"]:
        assert (bake.IMAGE / "licenses" / f"{package['name']}.txt").stat().st_size > 100


def test_baking_twice_gives_the_same_bytes(image: bytes) -> None:
    assert bake.bake(link.linked() / "guest.wasm", stdlib.everything())[0] == image


def test_no_path_of_the_building_machine_is_in_the_image(image: bytes) -> None:
    assert str(Path.home()).encode() + b"/" not in image
    assert str(ROOT).encode() not in image
