"""Figures, frames and pure packages in the data image."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche import GuestCrashed, GuestException, Image, Limits, Sandbox, Session

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def session(image: Image) -> Iterator[Session]:
    if "matplotlib" not in image.modules:
        pytest.skip("the data image is older than matplotlib in it: make data")
    with Sandbox(image=image).session() as session:
        session.run("import matplotlib.pyplot as plt, numpy as np, pandas as pd").unwrap()
        yield session


def test_figures_that_are_open_are_drawn_and_closed(session: Session) -> None:
    result = session.run("plt.plot([1, 2]); plt.title('$x^2$')\nfig, ax = plt.subplots(constrained_layout=True)\nfig")
    assert [each.kind for each in result.displays] == ["figure", "figure"]
    assert all((each.png or b"").startswith(b"\x89PNG") for each in result.displays)
    assert result.displays[0].data["text/plain"] == "<Figure size 640x480 with 1 Axes>"
    assert session.run("plt.get_fignums()").value == []


def test_a_figure_that_was_shown_is_not_shown_again_unless_it_changed(session: Session) -> None:
    assert [each.kind for each in session.run("plt.plot([1]); plt.show()").displays] == ["shown"]
    changed = session.run("plt.plot([1]); plt.show(); plt.title('x'); None")
    assert [each.kind for each in changed.displays] == ["shown", "figure"]
    assert changed.stderr == ""


def test_a_closed_figure_is_shown_as_the_last_value(session: Session) -> None:
    assert [each.kind for each in session.run("f = plt.figure(); plt.close(f)\nf").displays] == ["value"]
    assert session.run("plt.plot([1]); plt.close('all'); None").displays == ()


def test_svg_where_figures_are_saved_as_that(session: Session) -> None:
    result = session.run("with plt.rc_context({'savefig.format': 'svg'}):\n    plt.plot([1]); plt.show()")
    assert result.displays[0].data["image/svg+xml"].lstrip().startswith("<?xml")


def test_a_program_that_fails_shows_what_it_drew(session: Session) -> None:
    result = session.run("plt.plot([1])\n1 / 0")
    assert isinstance(result.error, GuestException)
    assert [each.kind for each in result.displays] == ["figure"]


def test_no_figure_is_drawn_or_closed_without_displays(session: Session) -> None:
    none = Limits(displays=0, memory="512 MiB")
    assert session.run("plt.plot([1]); plt.show(); None", limits=none).displays == ()
    assert session.run("len(plt.get_fignums())", limits=none).value == 1
    session.run("plt.close('all')")


@pytest.mark.parametrize("inches", [500, 5_000])
def test_a_figure_that_does_not_fit_says_so(session: Session, inches: int) -> None:
    result = session.run(f"plt.figure(figsize=({inches}, {inches})); None")
    assert not isinstance(result.error, GuestCrashed)
    assert "could not be shown" in result.displays[0].text


def test_frames_are_shown_as_html_and_as_data(session: Session) -> None:
    shown = session.run("pd.DataFrame({'a': [1, 2]})").displays[0]
    assert "<td>2</td>" in shown.data["text/html"]
    assert shown.data["application/json"] == '{"columns":["a"],"index":[0,1],"data":[[1],[2]]}'
    large = session.run("pd.DataFrame(np.zeros((500_000, 4)))")
    assert large.ok
    assert "[500000 rows x 4 columns]" in str(large.value)


def test_frames_leave_the_guest_and_come_back_as_they_were(session: Session) -> None:
    session.run((HERE / "frames.py").read_text("utf-8")).unwrap()
    for name in session.run("list(CASES)").unwrap():
        program = f"from cloche_guest.values import decode, encode\nmade = CASES[{name!r}]()\n"
        program += "differ(made, decode(encode(made)))"
        assert session.run(program).unwrap() == "", name


def test_without_pandas_on_the_host_a_frame_is_a_dict_of_lists(session: Session) -> None:
    frame = "pd.DataFrame({'n': [1, 2], 't': ['x', None]}, index=pd.Index([5, 6], name='k'))"
    value = session.run(frame).value
    assert (value if isinstance(value, dict) else value.reset_index().to_dict("list")) == {
        "k": [5, 6],
        "n": [1, 2],
        "t": ["x", None],
    }


PURE = {
    "seaborn": "import seaborn as sns\nsns.histplot([1, 2, 2]).get_ylabel()",
    "html": """
import io
pd.read_html(io.StringIO("<table><tr><th>a<tr><td>1</table>"), flavor="bs4")[0].a.tolist()
""",
    "excel": """
import io
b = io.BytesIO()
pd.DataFrame({"a": [1]}).to_excel(b, index=False)
pd.read_excel(b).a.tolist()
""",
    "text": """
import regex, yaml, jinja2
regex.findall(r"\\p{L}", "ñ1"), yaml.safe_load("a: 1"), jinja2.Template("{{x|e}}").render(x="<")
""",
    "graphs": "import networkx as nx\nnx.shortest_path(nx.path_graph(3), 0, 2)",
    "names": "from importlib.metadata import version\nversion('numpy'), version('pillow')",
    "PIL": """
from PIL import Image, ImageDraw
i = Image.new("L", (8, 8))
ImageDraw.Draw(i).line((0, 0, 7, 7), 255)
i.getpixel((3, 3))
""",
    "triangles": """
import matplotlib.tri as t
try:
    t.Triangulation([0, 1, 2], [0, 1, 2])
except RuntimeError as e:
    x = "qhull" in str(e)
x
""",
    "notebook": "from IPython.display import HTML, display\ndisplay(HTML('<b>'), 5)",
    "count": "np.count_nonzero([1, 2]).dtype.name",
}
EXPECTED = {
    "seaborn": "Count",
    "html": [1],
    "excel": [1],
    "text": (["ñ"], {"a": 1}, "&lt;"),
    "graphs": [0, 1, 2],
    "names": ("2.5.5", "13.0.0"),
    "PIL": 255,
    "triangles": True,
    "notebook": None,
    "count": "int64",
}


@pytest.mark.parametrize("name", PURE)
def test_packages_work(session: Session, name: str) -> None:
    assert session.run(PURE[name]).unwrap() == EXPECTED[name]


@pytest.fixture(scope="module")
def notebook(session: Session) -> Iterator[Session]:
    """A session that knows cells, as the protocols of notebooks have it."""
    with session.fork() as notebook:
        if not notebook.run("from cloche_guest import displays\nhasattr(displays, 'figure_formats')").value:
            pytest.skip("the data image is older than charts in it: make data")
        notebook.run("__import__('cloche_guest.cells', fromlist=('_',)).install()").unwrap()
        yield notebook


def _chart(notebook: Session, program: str) -> Any:
    (figure,) = notebook.run(program).displays
    text = figure.data.get("application/vnd.e2b.chart+json", "null")
    assert isinstance(text, str)
    return json.loads(text)


def test_lines_and_clouds_are_points_with_axes(notebook: Session) -> None:
    line = _chart(
        notebook,
        "plt.plot(['a', 'b'], [1, np.nan], label='x')\nplt.plot([2, 4]); plt.axhline(3); plt.ylabel('Price ($)')",
    )
    assert [(each["label"], each["points"]) for each in line["elements"]] == [
        ("x", [["a", 1.0], ["b", None]]),
        ("Line 1", [[0.0, 2.0], [1.0, 4.0]]),
    ]
    assert (line["type"], line["x_scale"], line["y_scale"]) == ("line", "categorical", "linear")
    assert (line["y_label"], line["y_unit"], line["x_tick_labels"]) == ("Price ($)", "$", ["a", "b"])
    cloud = _chart(
        notebook, "plt.scatter(np.array(['2024-01-01', '2024-03-01'], 'datetime64[D]'), [1, 2]); plt.yscale('log')"
    )
    assert (cloud["type"], cloud["x_scale"], cloud["y_scale"]) == ("scatter", "datetime", "log")


def test_bars_and_slices_have_labels_and_values(notebook: Session) -> None:
    frame = "frame = pd.DataFrame({'a': [1, 2], 'b': [3, 4]}, index=['x', 'y'])\n"
    for program in ("frame.plot.bar(ylabel='Cases')", "frame.plot.barh(xlabel='Cases')"):
        bars = _chart(notebook, f"{frame}{program}\nNone")
        assert (bars["type"], bars["x_label"], bars["y_label"]) == ("bar", None, "Cases")
        found = [(each["group"], each["label"], each["value"]) for each in bars["elements"]]
        assert found == [("a", "x", 1.0), ("a", "y", 2.0), ("b", "x", 3.0), ("b", "y", 4.0)]
    assert [each["label"] for each in _chart(notebook, "plt.bar(range(99), 1); None")["elements"]] == list(
        map(str, range(99))
    )
    pie = _chart(notebook, "plt.pie([1, 3], labels=['a', 'b']); None")
    assert [(each["label"], each["angle"]) for each in pie["elements"]] == [("a", 90.0), ("b", 270.0)]


@pytest.mark.parametrize("options", ["", "patch_artist=True, notch=True, showmeans=True", "vert=False, showcaps=False"])
def test_boxes_have_quartiles_and_outliers(notebook: Session, options: str) -> None:
    program = f"plt.boxplot([[1, 2, 3, 4, 50], [2, 3, 4]], tick_labels=['A', 'B'], {options}); None"
    boxes = _chart(notebook, program)
    assert boxes["type"] == "box_and_whisker"
    assert [tuple(each.values()) for each in boxes["elements"]] == [
        ("A", 1.0, 2.0, 3.0, 4.0, 4.0, [50.0]),
        ("B", 2.0, 2.5, 3.0, 3.5, 4.0, []),
    ]


def test_several_axes_are_a_superchart_and_what_is_not_simple_is_unknown_or_none(notebook: Session) -> None:
    several = _chart(
        notebook, "f, axes = plt.subplots(1, 2); f.suptitle('S')\naxes[0].plot([1]); axes[1].imshow([[1]]); None"
    )
    assert (several["type"], several["title"]) == ("superchart", "S")
    assert [each["type"] for each in several["elements"]] == ["line", "unknown"]
    assert _chart(notebook, "plt.subplot(projection='polar').plot([1, 2]); None")["type"] == "unknown"
    assert _chart(notebook, "plt.plot(range(30_000)); None") is None
