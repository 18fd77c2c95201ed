"""The readers of leaf extensions, in two kinds."""

from collections.abc import Callable
from typing import Any, Final

from . import codes, scalars, times

Reader = Callable[[bytes], Any]

KEYED: Final[dict[int, Reader]] = {
    codes.DATETIME: times.read_datetime,
    codes.DATE: times.read_date,
    codes.TIME: times.read_time,
    codes.TIMEDELTA: times.read_timedelta,
    codes.PATH: scalars.read_path,
}
"""Values of which nobody can make thousands with one hash: it is keyed per process, or they are too few."""

UNKEYED: Final[dict[int, Reader]] = {
    codes.INT: scalars.read_int,
    codes.DECIMAL: scalars.read_decimal,
    codes.FRACTION: scalars.read_fraction,
    codes.COMPLEX: scalars.read_complex,
    codes.UUID: scalars.read_uuid,
}
"""Values whose hash is plain arithmetic (modulo 2**61 - 1), so that a sender can make any number of them collide."""
