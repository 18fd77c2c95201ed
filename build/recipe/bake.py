"""`bake`: start the interpreter once, and ship its memory.

The shipped module is the linked one with its memory as the only data segment, the stack pointer where it
stood, and the run-time exports only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import wasmtime as wt

from cloche.runtime.wasm import module_file
from recipe import licences, link, pausing, stdlib
from recipe.inputs import BUILD, load
from recipe.progress import progress
from recipe.stagehost import StageHost
from recipe.workspace import BuildError, digest_of, step

ABI = 1
PROGRAMS = Path(__file__).parent / "programs"
OFTEN = PROGRAMS / "often.txt"
TABLE = "table"
IMAGE = BUILD.parent / "runtime" / "image"


Files = Mapping[str, bytes | stdlib.Packed]


def initialised(wasm: Path, files: Files) -> StageHost:
    """A guest just before it is written down: prelude set up, standard modules imported, files sealed."""
    host = stdlib.start(wasm, files)
    stdlib.run(host, (PROGRAMS / "bake.py").read_text())
    host.checked("cloche_bake_seal")
    host.checked("cloche_bake_close_holes")
    # Empty lines are what the programs print that warm the interpreter up.
    if host.output.strip():
        raise BuildError(f"the guest printed while it was baked:\n{host.output.decode(errors='replace')}")
    return host


def image_of(host: StageHost, wasm: bytes) -> bytes:
    """The module with the guest's memory, as it is now, from the start."""
    memory = host.read(0, host.memory.data_len(host.store))
    return module_file.rewritten(wasm, memory, int(host.global_value("__stack_pointer")))


# In Python what the image has in C.
RARE = ("_pydatetime", "_pydecimal", "_pyio")


def chosen(wasm: Path, contents: stdlib.Contents) -> Files:
    """The files of the image. Bytecode that is hardly ever read is packed: of modules that are in memory, or in C."""
    files: dict[str, bytes | stdlib.Packed] = {**contents.packed, **contents.plain}
    host = initialised(wasm, files)
    stdlib.run(host, (PROGRAMS / "loaded.py").read_text())
    unread = host.frames[-1].decode().split("\n") + [f"lib/__pycache__/{name}.cpython-313.pyc" for name in RARE]
    return files | {path: contents.packed[path] for path in unread if path in contents.packed}


def bake(wasm: Path, contents: stdlib.Contents) -> tuple[bytes, dict[str, int]]:
    """The baked module's bytes, and the caps that its interpreter applies: the same for the same inputs."""
    host = initialised(wasm, chosen(wasm, contents))
    image = image_of(host, wasm.read_bytes())
    stdlib.run(host, (PROGRAMS / "caps.py").read_text())
    return image, json.loads(host.frames[-1])


def often(wasm: Path, files: Files) -> list[int]:
    """The functions that usual programs reach by their addresses, by number, in the order of their first calls.

    An engine keeps words for each such function in each guest; the runtime has it put those of these side by side.
    """
    code = wasm.read_bytes()
    with TemporaryDirectory() as folder:
        opened = Path(folder) / "guest.wasm"
        opened.write_bytes(module_file.with_table(code, TABLE))
        host = initialised(opened, files)
    called = _noting(host, *module_file.addressed(code))
    inbox = host.call("cloche_inbox", 0)
    for program in OFTEN.read_text().split("\n\n"):
        text = program.encode()
        request = b"\x94\x01\xda" + len(text).to_bytes(2, "big") + text + b"\xa7<run 1>\x80"
        host.write(inbox, request)
        packed = host.call("cloche_step", len(request))
        response = host.read(packed >> 32, packed & 0xFFFFFFFF)
        if response[:2] != b"\x93\x00" or response[-1:] != b"\xc0":
            raise BuildError(f"a usual program failed: {program}\n{response!r:.400}")
    return list(called)


def _noting(host: StageHost, first: int, functions: list[int]) -> dict[int, None]:
    """Have each function that is called through the table noted, in what this returns."""
    called: dict[int, None] = {}
    table = host.instance.exports(host.store)[TABLE]
    assert isinstance(table, wt.Table)

    def noting(number: int, function: wt.Func) -> wt.Func:
        def call(*arguments: int | float) -> Any:
            called.setdefault(number)
            return function(host.store, *arguments)

        return wt.Func(host.store, function.type(host.store), call)

    for place, number in enumerate(functions, first):
        function = table.get(host.store, place)
        assert isinstance(function, wt.Func)
        table.set(host.store, place, noting(number, function))
    return called


def manifest(baked: bytes, caps: Mapping[str, int]) -> dict[str, object]:
    """What `cloche info` tells of an image, and what the runtime checks."""
    return {
        "abi": ABI,
        "sha256": hashlib.sha256(baked).hexdigest(),
        "size": len(baked),
        "python": load()["cpython"].version,
        "caps": dict(caps),
        "imports": [name for _, name in module_file.imports(baked)],
        "packages": [package.facts() for package in licences.packages()],
        "pause": pausing.measured(),
    }


def baked() -> Path:
    """The folder of `cloche.wasm` and its manifest. Raises `BuildError`."""
    wasm, contents = link.linked() / "guest.wasm", stdlib.everything()
    inside = [PROGRAMS / f"{name}.py" for name in ("bake", "caps", "loaded")]
    modules = [Path(part) for part in (__file__, module_file.__file__, licences.__file__, pausing.__file__)]
    recipe = [path.read_bytes() for path in (*modules, *inside, pausing.PROGRAM, OFTEN)]
    files = sorted(contents.plain.items()) + sorted((path, item.data) for path, item in contents.packed.items())
    content = digest_of(*(part for item in files for part in item))

    def work(folder: Path) -> None:
        with progress("bake the image"):
            image, caps = bake(wasm, contents)
            facts = manifest(image, caps) | {"often": often(wasm, {**contents.packed, **contents.plain})}
        (folder / "cloche.wasm").write_bytes(image)
        (folder / "cloche.json").write_text(json.dumps(facts, indent=2) + "\n")

    return step("bake", digest_of(link.key(), content, *recipe), work)


def _place(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.replace(target)


def install() -> Path:
    """Put the baked image where the runtime looks for it, unless it is there. Returns its path."""
    folder = baked()
    manifest_file = IMAGE / "cloche.json"
    wanted = (folder / "cloche.json").read_bytes()
    image = IMAGE / "cloche.wasm"
    if not (image.exists() and manifest_file.exists() and manifest_file.read_bytes() == wanted):
        IMAGE.mkdir(parents=True, exist_ok=True)
        licences.write(IMAGE / "licenses")
        _place(folder / "cloche.wasm", image)
        _place(folder / "cloche.json", manifest_file)
    return image
