"""A toy guest with the real interface: its first request byte says what it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from tests.runtime.checked import CheckedImage, PureImage

from cloche.runtime.wasm import native
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.image import GuestImage
from cloche.runtime.wasm.machine import WasmMachine

from .toy import FakeHandlers, Maker

TOY = Path(__file__).parent / "toy.wat"


@pytest.fixture(scope="session")
def toy_wasm() -> bytes:
    return bytes(wasmtime.wat2wasm(TOY.read_text()))


@pytest.fixture(scope="session")
def image(toy_wasm: bytes, tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    path = tmp_path_factory.mktemp("image") / "toy.wasm"
    path.write_bytes(toy_wasm)
    return GuestImage(path, CompiledCache(tmp_path_factory.mktemp("cache") / "compiled"))


@pytest.fixture(scope="session")
def checked_image(image: GuestImage) -> GuestImage:
    return CheckedImage(image.path, CompiledCache(Path(image.path).parent / "compiled"))


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.shared("fuel")


@pytest.fixture
def handlers() -> FakeHandlers:
    return FakeHandlers()


@pytest.fixture(scope="session")
def pure_image(image: GuestImage) -> GuestImage:
    return PureImage(image.path, CompiledCache(Path(image.path).parent / "compiled"))


@pytest.fixture(params=["unchecked", "pure", "checked"])
def way(request: pytest.FixtureRequest) -> str:
    """The way into the guest: the door in C, ctypes, and wasmtime's public API."""
    if request.param == "pure" and native.host is None:
        pytest.skip("there is no extension: the other test is this one")
    return str(request.param)


@pytest.fixture
def checked(way: str) -> bool:
    return way == "checked"


@pytest.fixture
def make(
    image: GuestImage,
    pure_image: GuestImage,
    checked_image: GuestImage,
    engine: Engine,
    handlers: FakeHandlers,
    way: str,
) -> Iterator[Maker]:
    """Make toy machines, each way."""
    ways = {"unchecked": image, "pure": pure_image, "checked": checked_image}
    machines: list[WasmMachine] = []

    def make_machine(memory_limit: int = 1 << 20, max_frame: int = 1 << 16, engine: Engine = engine) -> WasmMachine:
        machine = WasmMachine(ways[way].template(engine), handlers, memory_limit, max_frame=max_frame)
        machines.append(machine)
        return machine

    yield make_machine
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(make: Maker) -> WasmMachine:
    return make()
