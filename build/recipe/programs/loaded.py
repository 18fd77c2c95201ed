"""Runs inside the guest once it is set up: where the bytecode of the modules in memory stands, in one frame."""

import sys

import _cloche

places = [str(getattr(module, "__cached__", None)) for module in list(sys.modules.values())]
_cloche.call("\n".join(sorted(place.removeprefix("/") for place in places)).encode())
