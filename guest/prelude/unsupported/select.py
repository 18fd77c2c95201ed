"""The module ``select`` of a system without file descriptors to wait for; ``selectors`` and ``asyncio`` import it."""

import time
from functools import partial
from typing import Any

from cloche_guest.unsupported.reasons import NO_NETWORK

__all__ = ["error", "select"]


error = OSError


def _select(
    rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """Wait ``timeout`` seconds for nothing at all; raises OSError if there is something to watch, or no end."""
    if list(rlist) or list(wlist) or list(xlist) or timeout is None:
        raise OSError(NO_NETWORK)
    time.sleep(timeout)
    return [], [], []


# No function of Python: selectors has it as an attribute of a class, where that would become a method.
select = partial(_select)
