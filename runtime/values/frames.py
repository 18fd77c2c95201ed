"""Frames, series and indexes of pandas by columns, and arrays of numpy whose elements are times, text or objects.

A column is a list: what it is, and its values as something that crosses by itself, numbers as raw bytes. Neither numpy
nor pandas is imported here: what a receiver without pandas gets is a dict of lists, without an index that has no name.
Whatever does not fit together ends in an error, which makes the message malformed; nothing is looked up in a table
that a sender could fill with one hash.
"""

import sys
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import repeat
from typing import Any, Final, cast

from . import arrays, times
from .codes import MalformedValue, UnserializableError

_UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_MASKED: Final = frozenset(
    (*(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)), "Float32", "Float64", "boolean")
)
_TEXTS: Final = frozenset(("str", "string"))
_NAT: Final = -(1 << 63)
# More categories than this are taken as different only where each is greater than the one before it.
_FEW: Final = 4_096
_MAX_EMPTY_ROWS: Final = 1 << 16
MAX_COLUMNS: Final = 2_000
"""Columns of one frame, and of all frames in one message: each takes some kilobytes and some time to make."""

Column = list[Any]


def loaded() -> Any:
    """The pandas module if the program has imported it, else None."""
    pandas = sys.modules.get("pandas")
    return pandas if hasattr(pandas, "DataFrame") and hasattr(pandas, "Categorical") else None


# ---- writing ----


def parts(value: Any) -> list[Any] | None:
    """Kind and parts of a frame, series or index; None for anything else."""
    pandas = loaded()
    if pandas is None:
        return None
    kind = cast("Any", type(value))
    if kind is pandas.DataFrame:
        if value.shape[1] > MAX_COLUMNS - 16:
            count = f"{value.shape[1]:,}"
            raise UnserializableError(f"cannot send a frame of {count} columns: send its values", type_name="DataFrame")
        columns = [_column(value.iloc[:, place]) for place in range(value.shape[1])]
        return ["frame", len(value), _index(value.index), _index(value.columns), *columns]
    if kind is pandas.Series:
        return ["series", _index(value.index), value.name, _column(value)]
    return ["index", _index(value)] if isinstance(value, pandas.Index) else None


def parts_of_array(value: Any) -> list[Any]:
    """Kind and parts of an array of times, text or objects. Raises UnserializableError for other objects."""
    shape, flat = list(value.shape), value.reshape(-1)
    if value.dtype.kind in "Mm":
        return ["array", shape, _times(flat, value.dtype)]
    is_text = value.dtype.kind == "U"
    return ["array", shape, ["text", "U", flat.tolist()] if is_text else ["items", flat.tolist(), [], []]]


def _index(index: Any) -> list[Any]:
    pandas = loaded()
    if isinstance(index, pandas.MultiIndex):
        levels = ([codes, _column(level)] for codes, level in zip(index.codes, index.levels, strict=True))
        return ["levels", list(index.names), *levels]
    if type(index) is pandas.RangeIndex:
        return ["range", index.name, index.start, index.stop, index.step]
    return ["values", index.name, _column(index)]


def _column(column: Any) -> Column:
    """What a series' or index' values are. Raises UnserializableError for a type that has no column here."""
    dtype, values = column.dtype, column.array
    name = type(dtype).__name__
    if name == "CategoricalDtype":
        return ["categories", values.codes, _column(dtype.categories), bool(dtype.ordered)]
    if name == "DatetimeTZDtype":
        return ["times", dtype.unit, _zone(dtype.tz), values.asi8]
    if name == "PeriodDtype":
        return ["periods", str(dtype).removeprefix("period[").removesuffix("]"), values.asi8]
    if name == "StringDtype":
        texts = zip(values, values.isna(), strict=True)
        return ["text", str(dtype), [None if missing else text for text, missing in texts]]
    if str(dtype) in _MASKED:
        return ["masked", str(dtype), values.to_numpy(_number_of(dtype), na_value=0), values.isna()]
    kind = getattr(dtype, "kind", "")
    if kind in "Mm" and hasattr(dtype, "str"):
        return _times(column.to_numpy(), dtype)
    if kind == "O" and hasattr(dtype, "str"):
        return _objects(list(values))
    if hasattr(dtype, "str"):
        return ["numbers", column.to_numpy()]
    raise UnserializableError(f"cannot send a column of type {dtype!s}: change it with astype", type_name=name)


def _number_of(dtype: Any) -> Any:
    return "bool" if dtype.name == "boolean" else dtype.numpy_dtype


def _times(values: Any, dtype: Any) -> Column:
    numpy = arrays.loaded()
    unit = numpy.datetime_data(dtype)[0]
    if unit not in _UNITS or numpy.datetime_data(dtype)[1] != 1:
        raise UnserializableError(f"cannot send times of type {dtype!s}: make it datetime64[s] first")
    whole = values.astype(dtype.newbyteorder("<")).view("<i8")
    return ["times", unit, None, whole] if dtype.kind == "M" else ["spans", unit, whole]


def _zone(zone: Any) -> tzinfo:
    """The time zone as one that crosses."""
    if isinstance(zone, timezone) or type(zone).__name__ == "ZoneInfo":
        known: tzinfo = zone
        return known
    from zoneinfo import ZoneInfo

    return ZoneInfo(str(zone))


def _objects(values: list[Any]) -> Column:
    """Objects, with the places at which pandas' own marks of what is missing stand."""
    pandas = loaded()
    nat = [place for place, value in enumerate(values) if value is pandas.NaT]
    na = [place for place, value in enumerate(values) if value is pandas.NA]
    for place in (*nat, *na):
        values[place] = None
    return ["items", values, nat, na]


# ---- reading ----


def build(items: list[Any]) -> Any:
    """The frame, series, index or array, from what stands behind the mark. Raises whatever is wrong with it."""
    kind, *rest = items
    pandas = loaded()
    if kind == "array":
        return _array(*rest)
    if kind == "frame":
        size, index, names, *columns = rest
        return _lists(size, index, names, columns) if pandas is None else _frame(size, index, names, columns)
    if kind == "series":
        index, name, column = rest
        if pandas is None:
            return _plain(column)
        values = _values(column)
        built = _built_index(index, len(values))
        return pandas.Series(values, index=built, dtype=values.dtype, name=_hashable(name), copy=False)
    if kind == "index":
        (index,) = rest
        return _plain_index(index) if pandas is None else _built_index(index, None)
    raise MalformedValue("a frame of an unknown kind")


def _frame(size: int, index: Column, names: Column, columns: list[Column]) -> Any:
    pandas = loaded()
    if type(size) is not int or size < 0:
        raise MalformedValue("a frame of no size")
    values = [_values(column) for column in columns]
    if any(len(each) != size for each in values):
        raise MalformedValue("a frame whose columns are not of one length")
    if not values and size > _MAX_EMPTY_ROWS:
        raise MalformedValue("a frame of many rows without a column")
    # As series, whose types are what they are: those of bare arrays would be guessed.
    series = {place: pandas.Series(each, dtype=each.dtype, copy=False) for place, each in enumerate(values)}
    frame = pandas.DataFrame(series, copy=False) if series else pandas.DataFrame(index=range(size))
    frame.index = _built_index(index, size)
    frame.columns = _built_index(names, len(values))
    return frame


def _built_index(index: Column, size: int | None) -> Any:
    pandas = loaded()
    match index:
        case ["range", name, int(start), int(stop), int(step)] if step:
            built = pandas.RangeIndex(start, stop, step, name=_hashable(name))
        case ["levels", [*names], *levels] if len(names) == len(levels) > 0:
            built = _levels(names, levels)
        case ["values", name, column]:
            values = _values(column)
            built = pandas.Index(values, dtype=values.dtype, name=_hashable(name), copy=False)
        case _:
            raise MalformedValue("an index of an unknown shape")
    if size is not None and len(built) != size:
        raise MalformedValue("an index that is not as long as what it is of")
    return built


def _levels(names: list[Any], levels: list[Any]) -> Any:
    pandas, codes, choices = loaded(), list[Any](), list[Any]()
    for places, column in levels:
        values = _values(column)
        choices.append(pandas.Index(values, dtype=values.dtype))
        codes.append(_places(places, len(values)))
    if len({len(places) for places in codes}) != 1:
        raise MalformedValue("levels of an index that are not of one length")
    # Unchecked, as a check would put the values into a table.
    hashable = [_hashable(name) for name in names]
    return pandas.MultiIndex(levels=choices, codes=codes, names=hashable, verify_integrity=False)


def _places(places: Any, size: int) -> Any:
    """Places in a list of so many, -1 for none of them."""
    if _flat(places).dtype.kind != "i" or (len(places) and not -1 <= places.min() <= places.max() < size):
        raise MalformedValue("places that are not there")
    return places


def _hashable(name: Any) -> Any:
    if not isinstance(name, Hashable):
        raise MalformedValue("a name that cannot be one")
    hash(name)
    return name


def _values(column: Column) -> Any:
    """A column's values, as pandas has them."""
    pandas, numpy = loaded(), arrays.loaded()
    match column:
        case ["numbers", values]:
            return _flat(values)
        case ["times", unit, zone, whole] if unit in _UNITS:
            moments = _whole(whole).view(f"<M8[{unit}]")
            if zone is None:
                return moments
            if isinstance(zone, times.UnknownZone) or not isinstance(zone, tzinfo):
                zone = UTC
            return pandas.DatetimeIndex(moments).tz_localize("UTC").tz_convert(zone).array
        case ["spans", unit, whole] if unit in _UNITS:
            return _whole(whole).view(f"<m8[{unit}]")
        case ["periods", str(freq), whole] if len(freq) <= 16:
            return pandas.PeriodIndex.from_ordinals(_whole(whole), freq=freq).array
        case ["text", str(name), [*texts]] if name in _TEXTS and all(map(_is_text, texts)):
            return pandas.array(texts, dtype=name)
        case ["masked", str(name), values, mask] if name in _MASKED and _flat(mask).dtype == bool:
            built = pandas.array(_flat(values), dtype=name)
            built[_flat(mask)] = pandas.NA
            return built
        case ["categories", places, choices, bool(ordered)]:
            values = _values(choices)
            categories = pandas.Index(values, dtype=values.dtype)
            if len(categories) > _FEW and choices[0] != "text" and not categories.is_monotonic_increasing:
                raise MalformedValue(f"more than {_FEW} categories that are not in order")
            return pandas.Categorical.from_codes(
                _places(places, len(categories)), categories=categories, ordered=ordered
            )
        case ["items", [*values], [*nat], [*na]]:
            built = numpy.empty(len(values), object)
            built[:] = values
            for place in nat:
                built[place] = pandas.NaT
            for place in na:
                built[place] = pandas.NA
            return built
        case _:
            raise MalformedValue("a column of an unknown shape")


def _is_text(value: Any) -> bool:
    return value is None or type(value) is str


def _flat(values: Any) -> Any:
    """An array of numbers of one dimension."""
    numpy = arrays.loaded()
    if type(values) is not numpy.ndarray or values.ndim != 1 or values.dtype.kind not in "biufc":
        raise MalformedValue("a column that is no array of numbers")
    return values


def _whole(values: Any) -> Any:
    if _flat(values).dtype.str != "<i8":
        raise MalformedValue("times that are no whole numbers")
    return values


def _array(shape: list[Any], column: Column) -> Any:
    """An array of times, text or objects: of numpy if it is there, else as lists."""
    numpy = arrays.loaded()
    if any(type(size) is not int or size < 0 for size in shape):
        raise MalformedValue("an array of no shape")
    arrays.check_shape(tuple(shape))
    if numpy is None:
        return _plain(column)
    match column:
        case ["text", "U", [*texts]] if all(type(text) is str for text in texts):
            longest = max(map(len, texts), default=0)
            if 4 * longest * len(texts) > (1 << 20) + 64 * sum(map(len, texts)):
                raise MalformedValue("an array of texts, one of them very long")
            return numpy.array(texts, dtype="U").reshape(shape)
        case ["times" | "spans", *_]:
            return _values(column).reshape(shape)
        case ["items", [*values], [], []]:
            built = numpy.empty(len(values), object)
            built[:] = values
            return built.reshape(shape)
        case _:
            raise MalformedValue("an array of an unknown shape")


# ---- without pandas ----


def _lists(size: int, index: Column, names: Column, columns: list[Column]) -> dict[Any, list[Any]]:
    """The columns by name as lists of plain values, and before them those of the index that have a name."""
    levels = zip(_plain_names(index), _plain_levels(index), strict=True)
    named = [(name, values) for name, values in levels if name is not None]
    found = [(name, _plain(column)) for name, column in zip(_plain_index(names), columns, strict=True)]
    if any(len(values) != size for _, values in (*named, *found)):
        raise MalformedValue("a frame whose columns are not of one length")
    # A range is as long as it says: without a column it may be any number of rows.
    named = named if found else []
    return {_hashable(name): list(values) for name, values in (*named, *found)}


def _plain_names(index: Column) -> list[Any]:
    return list(index[1]) if index[0] == "levels" else [index[1]]


def _plain_levels(index: Column) -> list[Sequence[Any]]:
    return [_plain_level(*level) for level in index[2:]] if index[0] == "levels" else [_plain_index(index)]


def _plain_level(places: Any, column: Column) -> list[Any]:
    known = _plain(column)
    return [None if place < 0 else known[place] for place in _listed(places)]


def _plain_index(index: Column) -> Sequence[Any]:
    match index:
        case ["range", _, int(start), int(stop), int(step)] if step:
            return range(start, stop, step)
        case ["levels", [*_], *levels]:
            return list(zip(*(_plain_level(*level) for level in levels), strict=True))
        case ["values", _, column]:
            return _plain(column)
        case _:
            raise MalformedValue("an index of an unknown shape")


def _plain(column: Column) -> list[Any]:
    """A column's values as Python's own, None where one is missing."""
    match column:
        case ["numbers", values]:
            return _listed(values)
        case ["times", unit, zone, whole] if unit in _UNITS:
            zone = zone if isinstance(zone, tzinfo) else None
            return [_moment(value, _UNITS[unit], zone) for value in _listed(whole)]
        case ["spans", unit, whole] if unit in _UNITS:
            rate = _UNITS[unit]
            return [None if value == _NAT else timedelta(seconds=value / rate) for value in _listed(whole)]
        case ["periods", _, whole]:
            return _listed(whole)
        case ["text", _, [*texts]]:
            return list(texts)
        case ["masked", _, values, mask]:
            return [None if missing else value for value, missing in zip(_listed(values), _listed(mask), strict=True)]
        case ["categories", places, choices, _]:
            known = _plain(choices)
            return [None if place < 0 else known[place] for place in _listed(places)]
        case ["items", [*values], *_]:
            return list(values)
        case _:
            raise MalformedValue("a column of an unknown shape")


def _listed(values: Any) -> list[Any]:
    """Numbers as a list: so they come where there is no numpy."""
    listed: list[Any] = values.tolist() if hasattr(values, "tolist") else values
    if not all(map(isinstance, listed, repeat(_NUMBERS))):
        raise MalformedValue("a column that is no list of numbers")
    return listed


_NUMBERS: Final = (int, float, complex)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(value: int, rate: float, zone: tzinfo | None) -> datetime | None:
    if value == _NAT:
        return None
    moment = _EPOCH + timedelta(seconds=value // int(rate), microseconds=int(value % int(rate) * (1e6 / rate)))
    return moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
