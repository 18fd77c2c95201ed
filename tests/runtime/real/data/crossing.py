"""Writes and reads random frames as Cloche's codec has them, natively: what a host with pandas does. Run by its path.

Reads lines of JSON: ``["write", seed]`` is answered by the bytes in hexadecimal, ``["read", seed, bytes]`` by how what
they are differs from the frame of that seed; empty where it does not.
"""

import importlib
import json
import sys
from typing import Any

from cloche.runtime.values import decode, encode

# The codec and the frames use what is imported.
frames: Any = [importlib.import_module(name) for name in ("numpy", "pandas", "frames")][-1]

for line in sys.stdin:
    what, seed, *rest = json.loads(line)
    if what == "write":
        print(json.dumps(encode(frames.made(seed)).hex()), flush=True)
    else:
        print(json.dumps(frames.differ(frames.made(seed), decode(bytes.fromhex(rest[0])))), flush=True)
