"""Bakes a native interpreter with the prelude and lets it run the snippets given; the tests start it as a process.

Arguments: the folder to call home. Standard input: a msgpack list of snippets. Standard output: their responses.
"""

import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path

WRITTEN: list[tuple[int, bytes]] = []
STEPS: list[Callable[[bytes], bytes]] = []


def _call(frame: bytes) -> bytes:
    from cloche_guest.values import encode

    return encode([0, None])


def _write(stream: int, data: bytes) -> None:
    WRITTEN.append((stream, data))


def _connect() -> None:
    bridge = types.ModuleType("_cloche")
    stand_ins = runpy.run_path(str(Path(__file__).with_name("stand_ins.py")), run_name="cloche_guest.stand_ins")
    vars(bridge).update(stand_ins["STAND_INS"], call=_call, write=_write, set_step=STEPS.append)
    sys.modules["_cloche"] = bridge


def main() -> None:
    """Bake, run, report."""
    # The text stream too: baking lets go of it, and its end would be that of the bytes below.
    requests, _text, output = sys.stdin.buffer.read(), sys.stdout, sys.stdout.buffer
    _connect()
    from cloche_guest import baking

    baking.main(sys.argv[1])
    WRITTEN.clear()
    from cloche_guest.values import decode, encode

    snippets: list[str] = decode(requests)
    options: dict[str, None] = {}
    responses = [decode(STEPS[0](encode([1, code, "", options]))) for code in snippets]
    output.write(encode([responses, b"".join(data for _, data in WRITTEN)]))
    output.flush()


if __name__ == "__main__":
    main()
