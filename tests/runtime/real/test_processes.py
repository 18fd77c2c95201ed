"""New processes: concurrent first uses of one cache, forks, and what is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import ended_afterwards

HEAVY = (
    "cloche.runtime.recording",
    "cloche.runtime.snapshots",
    "concurrent.futures",
    "dataclasses",
    "decimal",
    "inspect",
    "logging",
    "pathlib",
    "platform",
    "uuid",
    "wasmtime",
)
FIRST_USE = """
import sys
from pathlib import Path
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.image import GuestImage
compiled = []
image = GuestImage(Path(sys.argv[1]), CompiledCache())
compile_image = image._compile
image._compile = lambda engine: (compiled.append(1), compile_image(engine))[1]
image.module(Engine.shared())
print(len(compiled))
"""


def start(code: str, *arguments: str, cache: Path | None = None) -> "subprocess.Popen[str]":
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    if cache is not None:
        environment["CLOCHE_CACHE"] = str(cache)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    with ended_afterwards(process):
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    import wasmtime

    path = tmp_path / "toy.wasm"
    path.write_bytes(wasmtime.wat2wasm((Path(__file__).parents[1] / "unit" / "wasm" / "toy.wat").read_text()))
    return path


def test_of_many_first_uses_one_compiles(toy: Path, tmp_path: Path) -> None:
    processes = [start(FIRST_USE, str(toy), cache=tmp_path / "cache") for _ in range(5)]
    assert sorted(finish(process) for process in processes) == ["0", "0", "0", "0", "1"]
    entries = list((tmp_path / "cache" / "compiled").glob("*.cwasm"))
    assert len(entries) == 1
    assert not list((tmp_path / "cache" / "compiled").glob("*.part"))
    assert entries[0].stat().st_mode & 0o077 == 0


FORK = """
import os, json
from cloche import Sandbox
Sandbox().run("1").unwrap()
read, write = os.pipe()
child = os.fork()
if not child:
    try:
        Sandbox().run("1")
        text = "ran"
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
    os.write(write, text.encode())
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([os.read(read, 1000).decode(), Sandbox().run("6 * 7").unwrap()]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_to_spawn() -> None:
    said, value = json.loads(finish(start(FORK)))
    assert said.startswith("ConfigurationError")
    assert "spawn" in said
    assert value == 42


def test_a_process_ends_with_guests_still_running() -> None:
    code = "import threading, time\nfrom cloche import Sandbox, Limits\n"
    code += "box = Sandbox(limits=Limits(fuel=None, time=60))\nbox.run('1')\n"
    code += "threading.Thread(target=box.run, args=('while True: pass',), daemon=True).start()\n"
    code += "time.sleep(0.2)\nprint('end')"
    assert finish(start(code)) == "end"


def test_a_process_ends_with_a_tool_still_blocked() -> None:
    code = "import time\nfrom cloche import Sandbox, Limits, tool\n@tool\ndef block() -> None:\n"
    code += "    'Block.'\n    time.sleep(60)\n"
    code += "print(type(Sandbox(tools=[block], limits=Limits(time=0.2)).run('block()').error).__name__)"
    assert finish(start(code)) == "TimeExceeded"


def test_importing_does_not_load_what_is_not_needed() -> None:
    code = "import cloche, sys, json\n"
    code += "print(json.dumps([name for name in ('litellm', 'rich', 'httpx') if name in sys.modules]))"
    assert json.loads(finish(start(code))) == []


def test_a_run_imports_no_more_than_it_needs() -> None:
    # What takes longer to import than a guest to run. The first process may have to compile the image.
    code = "from cloche import Sandbox\nSandbox().run('1').unwrap()\nimport sys, json\n"
    code += f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    finish(start(code))
    assert json.loads(finish(start(code))) == []


DIRECT = """
from cloche.runtime.sandbox import Sandbox
def add(a: int, b: int) -> int:
    return a + b
print(Sandbox(tools=[add]).run("add(1, 2)").unwrap())
"""


def test_a_sandbox_takes_functions_wherever_it_is_imported_from() -> None:
    assert finish(start(DIRECT)) == "3"
