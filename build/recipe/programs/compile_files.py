"""Runs inside the guest while it is built: every file under /source to bytecode, and both compressed, to the host.

Compressed by the guest, as another zlib may give other bytes.
"""

import importlib.util
import marshal
import os
import zlib

import _cloche

# Header of a hash-based .pyc that is never checked against a source (PEP 552: flags 0b01).
HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


def send(path: str) -> None:
    """Compile one file; it will stand under /lib."""
    final = "lib" + path.removeprefix("/source")
    with open(path, "rb") as file:
        source = file.read()
    code = HEADER + marshal.dumps(compile(source, _shown(final), "exec", dont_inherit=True, optimize=0))
    _cloche.call((final + "c").encode() + b"\0" + code)
    for name, data in ((final, source), (final + "c", code)):
        _cloche.call((name + ".z").encode() + b"\0" + zlib.compress(data, 9))


def _shown(final: str) -> str:
    """Return the file name of a module's code. Of the prelude it is none, as of modules frozen into CPython.

    So tools that read the sources of what they have traced leave it out.
    """
    return f"<{final}>" if final.startswith("lib/cloche_guest/") else f"/{final}"


for folder, folders, files in os.walk("/source"):
    folders.sort()
    for name in sorted(files):
        send(f"{folder}/{name}")
