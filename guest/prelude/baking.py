"""What happens once, before the image is taken: everything a fresh isolate should find done.

Nothing here may depend on time, chance or the machine: the same inputs give the same image.
"""

import gc
import os
import signal
import sys

import _cloche

# The order matters: the import reasons and the stand-ins come before asyncio asks for ssl, sockets and select.
from cloche_guest import select_stub, socket_stub
from cloche_guest.absent import install as install_absent
from cloche_guest.warming import exercise, import_usual

__all__ = ["main"]

# Free bytes in the image: a run that needs no more does not grow the memory, so that its guest can be used again.
_HEADROOM = 4 << 20


def main(home: str = "/work") -> None:
    """Prepare the interpreter and register the step function. Called once, by the recipe that bakes the image.

    ``home`` becomes the working folder, and the first place where modules are looked for.
    """
    _stand_in()
    _install()
    _settle_in(home)
    _register()
    _warm_up()
    _come_to_rest()


def _stand_in() -> None:
    sys.modules["_socket"] = socket_stub
    sys.modules["select"] = select_stub
    install_absent()


def _install() -> None:
    from cloche_guest import streams
    from cloche_guest.entropy import install as install_entropy
    from cloche_guest.inline import install_executors
    from cloche_guest.namespace import install as install_main
    from cloche_guest.policy import install as install_policy
    from cloche_guest.refusals import install as install_refusals
    from cloche_guest.sources import install as install_sources
    from cloche_guest.threads import install as install_threads
    from cloche_guest.tracebacks import install as install_tracebacks

    install_refusals()
    install_executors()
    install_threads()
    install_policy()
    install_main()
    install_tracebacks()
    install_sources()
    install_entropy()
    streams.restore()


def _settle_in(home: str) -> None:
    os.chdir(home)
    os.environ["HOME"] = home
    sys.path.insert(0, home)  # modules the program writes itself can be imported
    sys.dont_write_bytecode = True
    # asyncio.run puts a handler of its own in place of the default one, at a cost and for nothing here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _warm_up() -> None:
    import_usual()
    exercise()


def _register() -> None:
    from cloche_guest.step import step

    _cloche.set_step(step)


def _come_to_rest() -> None:
    from cloche_guest.entropy import rest

    rest()
    gc.collect()
    # First immortal, as a frozen object is in no list of the collector's.
    _cloche.immortalize(gc.get_objects())
    gc.freeze()
    _cloche.settle(_HEADROOM)
