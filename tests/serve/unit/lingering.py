"""A worker that is ready, closes its socket at the first order, and does not end."""

import os
import sys
import time

import msgpack


def main(descriptor: int) -> None:
    """Take one order."""
    packed: bytes = msgpack.packb([0, "ready", os.getpid()]) or b""
    os.write(descriptor, len(packed).to_bytes(4, "big") + packed)
    os.read(descriptor, 1_000)
    os.close(descriptor)
    time.sleep(600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
