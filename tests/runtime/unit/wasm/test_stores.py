"""What one store may hold besides memory: table elements, tables, one memory."""

from pathlib import Path

import pytest
import wasmtime
from tests.runtime.checked import CheckedImage

from cloche.runtime.errors import ConfigurationError, ImageError
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.image import GuestImage, read_manifest
from cloche.runtime.wasm.machine import TABLE_ELEMENTS, WasmMachine

from .toy import FakeHandlers, Maker, Toy, answer, deed


def test_a_table_grows_up_to_the_limit_and_no_further(make: Maker) -> None:
    machine = make()
    assert answer(machine.step(deed(Toy.TABLE_GROW, TABLE_ELEMENTS))) == -1
    assert answer(machine.step(deed(Toy.TABLE_GROW, 0xFFFF_FFFF))) == -1
    assert answer(machine.step(deed(Toy.TABLE_GROW, TABLE_ELEMENTS - 4))) == 4
    assert answer(machine.step(deed(Toy.TABLE_GROW, 1))) == -1
    assert not machine.dead


@pytest.mark.parametrize("elements", [0, -1, 1 << 32])
def test_no_number_of_elements_means_no_limit(image: GuestImage, engine: Engine, elements: int) -> None:
    with pytest.raises(ConfigurationError, match="table_elements"):
        WasmMachine(image.template(engine), FakeHandlers(), 1 << 20, table_elements=elements)


@pytest.mark.parametrize("memory", [0, -1, 4 * 65536 - 1, (1 << 32) + 1, 1 << 63])
def test_no_size_of_memory_means_no_limit(image: GuestImage, engine: Engine, memory: int) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        WasmMachine(image.template(engine), FakeHandlers(), memory)


def module(text: str, folder: Path, checked: bool) -> GuestImage:
    path = folder / "module.wasm"
    path.write_bytes(wasmtime.wat2wasm(text))
    return (CheckedImage if checked else GuestImage)(path, CompiledCache(folder / "compiled"))


DOOR = """
  (func (export "cloche_inbox") (param i32) (result i32) (i32.const 0))
  (func (export "cloche_step") (param i32) (result i64) (i64.const 0))
  (global (export "__stack_pointer") (mut i32) (i32.const 0))
"""
MEMORY = '(memory (export "memory") 1)'

REFUSED = {
    "an import of WASI": '(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))'
    + MEMORY + DOOR,
    "an import that is not the bridge's": '(import "cloche" "open" (func (param i32) (result i32)))' + MEMORY + DOOR,
    "an import of another type": '(import "cloche" "clock" (func (param i64) (result i64)))' + MEMORY + DOOR,
    "an imported memory": '(import "cloche" "call" (memory 1)) (export "memory" (memory 0))' + DOOR,
    "no memory": DOOR,
    "no stack pointer": MEMORY + DOOR.replace("__stack_pointer", "sp"),
    "a stack pointer that is fixed": MEMORY + DOOR.replace("(mut i32)", "i32"),
    "a step of another type": MEMORY + DOOR.replace("(result i64) (i64", "(result i32) (i32"),
    "no inbox": MEMORY + DOOR.replace("cloche_inbox", "inbox"),
    "a start that traps": MEMORY + DOOR + "(func $s unreachable) (start $s)",
    "more tables than allowed": MEMORY + DOOR + "(table 1 funcref)" * 5,
    "a table larger than allowed": MEMORY + DOOR + f"(table {TABLE_ELEMENTS + 1} funcref)",
    "an active segment outside": MEMORY + DOOR + '(data (i32.const 70000) "x")',
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_are_refused(name: str, tmp_path: Path, engine: Engine, checked: bool) -> None:
    text = f"(module {REFUSED[name]})"
    with pytest.raises(ImageError):
        WasmMachine(module(text, tmp_path, checked).template(engine), FakeHandlers(), 1 << 20)


def test_a_start_function_that_calls_the_host(tmp_path: Path, engine: Engine, checked: bool) -> None:
    text = '(module (import "cloche" "write" (func $w (param i32 i32 i32)))' + MEMORY + DOOR
    text += "(func $s (call $w (i32.const 1) (i32.const 0) (i32.const 5))) (start $s))"
    handlers = FakeHandlers()
    with pytest.raises(ImageError):
        WasmMachine(module(text, tmp_path, checked).template(engine), handlers, 1 << 20)
    assert handlers.written == []


@pytest.mark.parametrize("content", [b"", b"\0asm", b"\0asm\1\0\0\0\xff", b"not a module" * 100])
def test_bytes_that_are_no_module(tmp_path: Path, engine: Engine, content: bytes) -> None:
    path = tmp_path / "broken.wasm"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        GuestImage(path, CompiledCache(tmp_path / "compiled")).module(engine)


def test_an_image_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="make guest"):
        GuestImage.load(tmp_path / "none.wasm")


@pytest.mark.parametrize(
    ("manifest", "matching"),
    [("{}", "manifest"), ("[]", "manifest"), ("{", "manifest"), ('{"sha256": "00", "size": 3}', "3 bytes")],
)
def test_an_image_that_does_not_fit_its_manifest(tmp_path: Path, manifest: str, matching: str) -> None:
    (tmp_path / "image.wasm").write_bytes(b"\0asm")
    (tmp_path / "image.json").write_text(manifest)
    with pytest.raises(ImageError, match=matching):
        GuestImage(tmp_path / "image.wasm")


def test_an_image_with_other_bytes_than_its_manifest_says(tmp_path: Path, engine: Engine) -> None:
    content = wasmtime.wat2wasm(f"(module {MEMORY} {DOOR})")
    (tmp_path / "image.wasm").write_bytes(content)
    (tmp_path / "image.json").write_text(f'{{"sha256": "{"0" * 64}", "size": {len(content)}}}')
    with pytest.raises(ImageError, match="does not fit its manifest"):
        GuestImage(tmp_path / "image.wasm", CompiledCache(tmp_path / "compiled")).module(engine)


def test_a_manifest_is_read_whole_or_refused(tmp_path: Path) -> None:
    image = tmp_path / "image.wasm"
    with pytest.raises(ImageError, match=r"manifest .*image\.json"):
        read_manifest(image)
    image.with_suffix(".json").write_text('{"sha256": "00", "size": 3, "python": "3.13.5"}')
    assert read_manifest(image) == {"sha256": "00", "size": 3, "python": "3.13.5"}
    for text in ("[1]", "{}", '{"sha256": 0, "size": 3}', '{"sha256": "00", "size": "3"}', "null", "\xff"):
        image.with_suffix(".json").write_text(text, encoding="latin-1")
        with pytest.raises(ImageError, match="sha256 and size"):
            read_manifest(image)
