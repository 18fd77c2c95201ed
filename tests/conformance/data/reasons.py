"""Why an expression with NumPy or pandas may show something else in the guest than natively."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conformance import differential

from cloche import Sandbox

__all__ = ["Difference", "differences"]

INSIDE = Path(__file__).with_name("inside_differential.py")
_NUMBER = re.compile(r"-?[0-9]+\.?[0-9]*(?:e[-+]?[0-9]+)?")
# Of sums: natively they are added up in another order, by vector units or by a library for products of matrices.
_LAST_PLACES = 1e-14


class Difference(differential.Difference):
    """An expression, and what it shows natively and in the guest."""

    __slots__ = ()

    @property
    def reason(self) -> str:
        """Why it is no fault; empty if that is not known."""
        if "memory_usage" in self.program or ".info()" in self.program:
            return "objects are smaller where pointers have 32 bits"
        if "read_html" in self.program and "Import lxml" in self.native:
            return "the error says as well what to use instead"
        if "np.bincount" in self.program and "negative elements" in self.native:
            return "bincount takes the lowest 32 bits of integers that have more"
        if "encountered in dot" in self.native:
            return "products of matrices overflow silently"
        if "unexpected key(s)" in self.native:
            return "a set of texts has another order in each process"
        if known := super().reason:
            return known
        return "numbers are added up in another order" if self._is_near() else ""

    def _is_near(self) -> bool:
        here, there = _NUMBER.findall(self.native), _NUMBER.findall(self.guest)
        if _NUMBER.sub("0", self.native) != _NUMBER.sub("0", self.guest):
            return False
        pairs = ((float(one), float(other)) for one, other in zip(here, there, strict=True))
        return all(abs(one - other) <= _LAST_PLACES * max(abs(one), abs(other)) for one, other in pairs)


def differences(python: Path, drawn: Iterable[str], sandbox: Sandbox) -> Iterator[Difference]:
    """Yield the expressions that show something else in the guest than in this Python."""
    for each in differential.differences(python, drawn, INSIDE, sandbox):
        yield Difference(*each)
