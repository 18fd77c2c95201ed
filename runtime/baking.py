"""One image on top of another: files, imports and a program run in a guest of the base, whose memory is then the image.

The guest does all of it by itself, with limits and without tools: code of packages that nobody has read runs where
programs of models do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cloche.runtime.bridge.environment import Environment, parse_clock, parse_seed
from cloche.runtime.bridge.protocol import NOTHING, Op, request
from cloche.runtime.dispatch import as_dispatcher
from cloche.runtime.errors import ImageError
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopSignal
from cloche.runtime.result import Result
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.session import Session
from cloche.runtime.wasm import module_file
from cloche.runtime.wasm.image import GuestImage
from cloche.runtime.wasm.machine import ImageSource

__all__ = ["LIMITS", "bake"]

LIMITS = Limits(
    fuel=20_000_000_000_000, time=1_800, memory="3 GiB", output="4 MiB", host_memory="512 MiB", file_bytes="1 GiB"
)
"""What baking may take: much, as compiling a large package to bytecode takes minutes, and bounded."""
# Time stands still at this second while an image is made, and chance is none: the same inputs give the same image.
_CLOCK = 1_000_000_000
_SEED = 0
# Bytes of files that are sent at once.
_PIECE = 1 << 20
# Characters of what a program printed that are shown when it failed.
_SHOWN = 2_000


def bake(
    base: GuestImage, files: Mapping[str, bytes], imports: Sequence[str], setup: str, tell: Callable[[str], None]
) -> bytes:
    """Return the module of the new image. ``files`` are placed where packages lie, by their paths there.

    Raises ImageError with the guest's traceback where a file exists already, an import or the set-up fails.
    """
    source = ImageSource(base)
    guest = SessionGuest(
        source, as_dispatcher(None), Environment(parse_seed(_SEED), parse_clock(_CLOCK)), LIMITS.memory, keeps=False
    )
    with Session(guest, LIMITS) as session:
        done = 0
        for piece in _pieces(files):
            done += len(piece)
            session.set("cloche_files", piece)
            _checked(session.run("__import__('cloche_guest.baking').baking.place(cloche_files)"), "placing its files")
            tell(f"placed and compiled {done} of {len(files)} files")
        session.set("cloche_files", list(imports))
        run = "__import__('cloche_guest.baking').baking.import_modules(cloche_files)"
        _checked(session.run(run), f"importing {', '.join(imports)}")
        _checked(session.run("del cloche_files"), "tidying up")
        tell(f"imported {', '.join(imports)}" if imports else "nothing to import")
        if setup:
            _checked(session.run(setup), "the set-up")
            tell("ran the set-up")
        return _settled(guest, base)


def _pieces(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    piece: dict[str, bytes] = {}
    size = 0
    for name, data in sorted(files.items()):
        if piece and size + len(data) > _PIECE:
            yield piece
            piece, size = {}, 0
        piece[name] = data
        size += len(data)
    if piece:
        yield piece


def _checked(result: Result[object], what: str) -> None:
    if result.error is not None:
        raise ImageError(f"{what} failed in the guest: {result.error}\n{result.stderr[-_SHOWN:]}".rstrip())


def _settled(guest: SessionGuest, base: GuestImage) -> bytes:
    """Have the guest be as before its first request, and return the module with its memory."""
    machine = guest.ready().machine
    machine.allow(LIMITS.fuel, StopSignal.within(LIMITS.time))
    if machine.step(request(Op.SETTLE)) != NOTHING:
        raise ImageError("the guest could not come to rest: is its base of the same version of Cloche?")
    return module_file.rewritten(Path(base.path).read_bytes(), bytes(machine.view()), machine.stack_pointer)
