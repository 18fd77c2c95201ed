"""``make sanitize``: tests of the host in C under the sanitizers of addresses and of undefined behaviour; needs gcc.

A plugin of pytest as well, in the processes that this starts: there it loads the sanitized extension for the usual one.
Leaks are not looked for: the interpreter itself keeps much until the process ends.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/runtime/unit/values/test_plain_in_c.py",
    "tests/runtime/unit/wasm/test_imports.py",
    "tests/runtime/unit/wasm/test_step.py",
    "tests/runtime/unit/wasm/test_traps.py",
    "tests/runtime/real/test_express.py",
    "tests/runtime/real/test_fresh_runs.py",
    "tests/runtime/real/test_sessions.py",
    "tests/hostile/test_forged_frames.py",
)
FLAGS = ("-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
# The engine has handlers of its own for the faults that a guest may take.
ASAN = "detect_leaks=0:handle_segv=0:handle_sigill=0:handle_sigfpe=0:allow_user_segv_handler=1:use_sigaltstack=0"


def main() -> int:
    """Build the extension with gcc, and run the tests with it. Returns pytest's status."""
    with tempfile.TemporaryDirectory() as folder:
        extension = Path(folder) / "_host.abi3.so"
        sources = sorted((ROOT / "runtime" / "wasm" / "host").glob("*.c"))
        subprocess.run(["gcc", *FLAGS, "-std=gnu11", "-fPIC", "-shared", "-o", extension, *sources], check=True)
        libraries = " ".join(map(_library, ("libasan.so", "libubsan.so")))
        environment = {"CLOCHE_SANITIZED": str(extension), "LD_PRELOAD": libraries, "ASAN_OPTIONS": ASAN}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sanitized", *(sys.argv[1:] or TESTS)]
        return subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False).returncode


def _library(name: str) -> str:
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def _load(extension: str) -> None:
    loader = ExtensionFileLoader("cloche._host", extension)
    spec = spec_from_loader("cloche._host", loader)
    assert spec is not None
    host = module_from_spec(spec)
    loader.exec_module(host)
    sys.modules["cloche._host"] = host
    assert importlib.import_module("cloche.runtime.wasm.native").host is host


if __name__ == "__main__":
    sys.exit(main())
if "CLOCHE_SANITIZED" in os.environ:
    _load(os.environ["CLOCHE_SANITIZED"])
