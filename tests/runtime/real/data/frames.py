"""Frames and their like, by name: made in the guest and on the host alike."""

import sys
from random import Random
from typing import Any

np: Any = sys.modules.get("numpy")
pd: Any = sys.modules.get("pandas")

CASES = {
    "mixed": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, np.nan], "d": [True, False]}),
    "named index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="k")),
    "times": lambda: pd.DataFrame(
        {"t": pd.to_datetime(["2024-01-01", None]), "d": pd.to_timedelta([1, None], unit="s")},
        index=pd.date_range("2024-03-30", periods=2, tz="Europe/Berlin", unit="s"),
    ),
    "zones": lambda: pd.Series(
        pd.to_datetime(["2024-01-01 10:00", "2024-07-01 00:00"]).tz_localize("America/New_York")
    ),
    "far times": lambda: pd.Series(pd.to_datetime(["1900-01-01", "2300-01-01"]).as_unit("s")),
    "categories": lambda: pd.DataFrame({"c": pd.Categorical(["a", None, "a"], ["b", "a"], ordered=True)}),
    "number categories": lambda: pd.Series(pd.Categorical([3, 1, 3])),
    "missing": lambda: pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"),
            "u": pd.array([1, None, 255], dtype="UInt8"),
            "f": pd.array([1.5, None, 2], dtype="Float64"),
            "b": pd.array([True, None, False], dtype="boolean"),
            "s": pd.array(["x", None, "y"], dtype="string"),
        }
    ),
    "objects": lambda: pd.DataFrame({"o": [1, "x", None], "p": [pd.NaT, pd.NA, (1, 2)]}, dtype=object),
    "empty": pd.DataFrame,
    "rows alone": lambda: pd.DataFrame(index=range(3)),
    "columns alone": lambda: pd.DataFrame(columns=["a", "b"]),
    "the same name twice": lambda: pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
    "levels": lambda: pd.DataFrame({"a": [1, 2, 3], "b": [1, 1, 2], "v": [1.0, 2, 3]}).set_index(["a", "b"]),
    "levels of columns": lambda: (
        pd.DataFrame({"k": list("aab"), "v": [1, 2, 3]}).groupby("k").agg({"v": ["sum", "mean"]})
    ),
    "series": lambda: pd.Series([1, 2, 3], name="s"),
    "text as objects": lambda: pd.Series(["a", "b"], dtype=object),
    "periods": lambda: pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
    "small floats": lambda: pd.Series(np.arange(3, dtype="f4")),
    "complex": lambda: pd.Series([1 + 2j]),
    "index": lambda: pd.Index([1, 2], name="x"),
    "range": lambda: pd.RangeIndex(0, 10, 3),
    "index of levels": lambda: pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["n", None]),
    "array of times": lambda: np.array(["2024-01-01", "NaT"], dtype="M8[s]").reshape(2, 1),
    "array of spans": lambda: np.array([1, 2], "m8[ns]"),
    "array of text": lambda: np.array([["a", "bcd"]]),
    "array of objects": lambda: np.array([None, 1, "x"], dtype=object),
}


_TEXTS = ["", "a", "b c", "ünï", "日本", "x" * 40, "nan", "0"]
_ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", None]
_UNITS = ["s", "ms", "us", "ns"]


def _whole(r: Random, rows: int) -> Any:
    kind = r.choice(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
    info = np.iinfo(kind)
    least, most = int(info.min), int(info.max)
    return pd.Series([r.choice([0, 1, least, most, r.randint(least, most)]) for _ in range(rows)], dtype=kind)


def _real(r: Random, rows: int) -> Any:
    values = [r.choice([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, r.uniform(-1e9, 1e9)]) for _ in range(rows)]
    return pd.Series(values, dtype=r.choice(["float16", "float32", "float64", "complex128"]))


def _masked(r: Random, rows: int) -> Any:
    kind = r.choice(["Int8", "UInt16", "Int32", "Int64", "UInt64", "Float32", "Float64", "boolean"])
    known = [True, False] if kind == "boolean" else [0, 1, 5, 100]
    return pd.Series(pd.array([r.choice([None, *known]) for _ in range(rows)], dtype=kind))


def _times(r: Random, rows: int) -> Any:
    seconds = [r.choice([None, 0, r.randrange(-(2**31), 2**32)]) for _ in range(rows)]
    unit, zone = r.choice(_UNITS), r.choice(_ZONES)
    if r.random() < 0.3:
        return pd.Series(pd.to_timedelta(pd.Series(seconds, dtype="Int64"), unit="s")).dt.as_unit(unit)
    moments = pd.Series(pd.to_datetime(pd.Series(seconds, dtype="Int64"), unit="s")).dt.as_unit(unit)
    return moments if zone is None else moments.dt.tz_localize("UTC").dt.tz_convert(zone)


def _text(r: Random, rows: int) -> Any:
    return pd.Series([r.choice([None, *_TEXTS]) for _ in range(rows)], dtype=r.choice(["str", "string", "object"]))


def _category(r: Random, rows: int) -> Any:
    choices: list[Any] = r.choice(
        [["a", "b", "c"], [3, 1, 2], [1.5, 2.5], list(pd.to_datetime(["2024-01-01", "2023-05-06"]))]
    )
    values = [r.choice([None, *choices]) for _ in range(rows)]
    return pd.Series(pd.Categorical(values, categories=choices, ordered=r.random() < 0.5))


def _object(r: Random, rows: int) -> Any:
    known = [None, 1, 2.5, "x", b"y", (1, 2), True, [1, "z"], {"k": 1}, pd.NA, pd.NaT, 10**30]
    return pd.Series([r.choice(known) for _ in range(rows)], dtype=object)


def _flag(r: Random, rows: int) -> Any:
    return pd.Series([r.random() < 0.5 for _ in range(rows)], dtype=bool)


def _period(r: Random, rows: int) -> Any:
    start = f"20{r.randrange(10, 30)}-0{r.randrange(1, 10)}"
    return pd.Series(pd.period_range(start, periods=rows, freq=r.choice(["D", "M", "Y", "h", "Q"])))


_COLUMNS = [_whole, _real, _masked, _times, _text, _category, _object, _flag, _period]


def _labels(r: Random, rows: int) -> Any:
    kind = r.choice(["range", "numbers", "texts", "times", "levels"])
    if kind == "range":
        return pd.RangeIndex(r.randrange(5), r.randrange(5) + 1000, 3)[:rows]
    if kind == "numbers":
        return pd.Index([r.randrange(-9, 9) for _ in range(rows)], name=r.choice([None, "n", 3]), dtype="int64")
    if kind == "texts":
        return pd.Index([r.choice(_TEXTS) for _ in range(rows)], name="t", dtype="str")
    if kind == "times":
        return pd.DatetimeIndex(pd.date_range("2024-03-30", periods=rows, freq="h", tz=r.choice(_ZONES)), name="w")
    pairs = [(r.randrange(3), r.choice("abc")) for _ in range(rows)]
    return pd.MultiIndex.from_tuples(pairs, names=["i", None]) if rows else pd.RangeIndex(0)


def made(seed: int) -> Any:
    """Return a frame, or a series of one, with columns, index and missing values by chance: the same for a seed."""
    r = Random(seed)
    rows = r.choice([0, 1, 2, 5, 40])
    columns = {f"c{place}": r.choice(_COLUMNS)(r, rows) for place in range(r.randrange(1, 6))}
    index = _labels(r, rows)
    for column in columns.values():
        column.index = index
    frame = pd.DataFrame(columns, index=index)
    return frame if r.random() < 0.8 else frame["c0"]


def differ(one: Any, other: Any) -> str:
    """Return how two values differ; empty where they are the same in every type, value, name and missing value."""
    import pandas.testing as check

    if type(one) is not type(other):
        return f"{type(one)} and {type(other)}"
    try:
        if isinstance(one, pd.DataFrame):
            check.assert_frame_equal(one, other, check_freq=False)
        elif isinstance(one, pd.Series):
            check.assert_series_equal(one, other, check_freq=False)
        elif isinstance(one, pd.Index):
            check.assert_index_equal(one, other)
        elif one.dtype != other.dtype or one.shape != other.shape or not ((one == other) | (one != one)).all():
            return f"{one!r} and {other!r}"
    except AssertionError as error:
        return str(error)
    return ""
