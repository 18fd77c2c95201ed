"""Frames and their like, by name: made in the guest and on the host alike."""

import sys
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
