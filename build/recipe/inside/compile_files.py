"""Runs inside the guest while it is built: every file under /source to bytecode, one frame each to the host."""

import importlib.util
import marshal
import os

import _cloche

# Header of a hash-based .pyc that is never checked against a source (PEP 552: flags 0b01).
HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


def send(path: str) -> None:
    """Compile one file; it will stand under /lib."""
    final = "lib" + path.removeprefix("/source")
    with open(path, "rb") as file:
        code = compile(file.read(), "/" + final, "exec", dont_inherit=True, optimize=0)
    _cloche.call((final + "c").encode() + b"\0" + HEADER + marshal.dumps(code))


for folder, folders, files in os.walk("/source"):
    folders.sort()
    for name in sorted(files):
        send(f"{folder}/{name}")
