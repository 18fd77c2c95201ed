"""Runs in the guest before the data image is written down: what data programs use first is made, and specialised."""


def _warm() -> None:
    import importlib.util
    import io

    import numpy as np
    from numpy._core import multiarray

    # Of a whole array it is a number of C's size, which has 32 bits here.
    counted = multiarray.count_nonzero
    multiarray.count_nonzero = lambda array: np.int64(counted(array))

    for _ in range(20):
        a = np.arange(12.0).reshape(3, 4)
        repr(a), str(a.sum()), a.mean(axis=0), a @ a.T, np.sort(a.ravel()), a[a > 3], np.where(a > 1, a, 0)
        np.linalg.inv(np.eye(3)), np.array([1, 2, 3]).dtype, np.concatenate([a, a]), a.std(), np.unique([1, 2, 1])
        np.random.default_rng(1).normal(size=3)
    if importlib.util.find_spec("pandas") is None:
        return

    import pandas as pd

    from cloche_guest.values import decode, encode

    # What is read at first use: regular expressions, readers and writers.
    pd.read_html(io.StringIO("<table><tr><th>a<tr><td>1</table>"), flavor="bs4")
    sheet = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_excel(sheet, index=False)
    pd.read_excel(sheet), pd.read_json(io.StringIO('[{"a": 1}]'))

    for _ in range(20):
        df = pd.read_csv(io.StringIO("a,b,c\n1,2.5,x\n3,4.5,y\n,6,z\n"))
        repr(df), repr(df.groupby("c").sum()), df.describe(), df.merge(df, on="c"), df.to_csv(), df["b"].mean()
        pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}).groupby("k").agg({"v": "sum"}), df.sort_values("b")
        pd.to_datetime(["2024-01-01"]), pd.Series([1.0, 2]).rolling(2).mean(), df.to_dict("records"), df[df.b > 3]
        decode(encode(df)), decode(encode(df.b))


def _plot() -> None:
    import importlib.util
    import io
    import os

    if importlib.util.find_spec("matplotlib") is None:
        return

    import matplotlib.backend_bases
    import matplotlib.pyplot as plt
    import numpy as np

    from cloche_guest.displays import show_figure

    # In place of one that raises, as there is no window to show figures in.
    matplotlib.backend_bases.FigureManagerBase.show = show_figure
    plt.switch_backend("agg")
    for _ in range(8):
        figure, axes = plt.subplots(1, 2)
        axes[0].plot(np.arange(10), label="a")
        axes[0].set_title("$x^2$")
        axes[0].legend()
        axes[1].bar(["a", "b"], [1, 2])
        axes[1].hist(np.arange(10.0))
        figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
        plt.close("all")
    assert os.listdir("/tmp") == []


_warm()
_plot()
del _warm, _plot
