"""Where a sandbox gets its machines: one image on one engine."""

from cloche.runtime.seam import Handlers
from cloche.runtime.wasm import stack
from cloche.runtime.wasm.engine import Engine, Metering
from cloche.runtime.wasm.image import Image
from cloche.runtime.wasm.machine import Machine

__all__ = ["ImageSource"]


class ImageSource:
    """Makes fresh machines of ``image``, by default the shipped one, on the process's engine of that metering.

    The image is loaded when it is first needed; that raises ImageError where it cannot be. May be shared by threads.
    """

    def __init__(self, image: Image | None = None, metering: Metering = "fuel") -> None:
        self.engine = Engine.shared(metering)
        self.image = image if image is not None else Image.load()

    @property
    def digest(self) -> str:
        """The SHA-256 of the image, in hexadecimal."""
        return self.image.digest

    @property
    def metered(self) -> bool:
        """Whether its machines count fuel."""
        return self.engine.metering == "fuel"

    @property
    def least_memory(self) -> int:
        """Bytes of linear memory that a fresh machine has."""
        return self.image.minimum_memory(self.engine)

    def new(self, handlers: Handlers, memory_limit: int) -> Machine:
        """Return a machine as the image left it, with this cap of linear memory in bytes."""
        return Machine(self.image, self.engine, handlers, memory_limit)

    def pristine(self) -> memoryview:
        """Return the read-only memory of a machine as the image left it. It costs address space, not memory."""
        return self.image.pristine(self.engine)

    def fits_here(self) -> bool:
        """Return whether the calling thread's stack has room for a guest."""
        return stack.fits(self.engine.max_wasm_stack)
