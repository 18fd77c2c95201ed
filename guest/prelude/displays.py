"""What a run shows beside its output: its last value and its figures, in the formats that notebooks know.

Each is a map from MIME types to text or bytes. What goes wrong while one is made is said in its text, and changes
nothing else: neither the run's value nor its error.
"""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

from cloche_guest import state, streams
from cloche_guest.state import CAPS
from cloche_guest.tracebacks import shorten
from cloche_guest.values import encode

__all__ = ["bundle", "collect", "figure_formats", "is_due", "show", "show_figure"]

# HTML is made for notebooks and shown as a stranger's; JavaScript is not asked for.
_FORMATS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
}
_KINDS = {**dict.fromkeys(_FORMATS.values(), str), "image/png": bytes, "image/jpeg": bytes, "application/json": str}
_MAX_ITEMS = 100
_MAX_TEXT = 4_000
_MAX_ROWS = 1_000
# Bytes that a format takes besides its content: its name, and the lengths.
_OVERHEAD = 64

_Bundle = dict[str, str | bytes]
figure_formats: list[Callable[[Any], dict[str, str]]] = []
"""What returns more formats of a figure, once it is drawn; for sessions whose clients know them."""
_modules = sys.modules


def is_due() -> bool:
    """Tell whether a run has something to show besides its last value."""
    return bool(state.current.shown) or _has_figures()


def show(*values: object) -> None:
    """Show values now, in the formats that they have, where the run's displays are read."""
    for value in values:
        if CAPS.displays and len(state.current.shown) < _MAX_ITEMS:
            state.current.shown.append(["shown", bundle(value, always=True)])


def collect(value: object) -> bytes:
    """Return the run's displays, encoded, and forget them; empty if it has none.

    These are what was shown meanwhile, then the figures that are open, which are closed, and the run's last value.
    """
    shown, state.current.shown = state.current.shown, []
    if not CAPS.displays:
        return b""
    try:
        figures = list(_figures())
        # One that was shown already is not shown again, unless it has changed.
        shown += [["figure", bundle(each, always=True)] for each in figures if not _is_shown(each)]
        if not any(value is figure for figure in figures):
            last = {} if value is None else bundle(value)
            shown += [["value", last]] if last else []
        if not shown:
            return b""
        return encode(_fitting(shown[:_MAX_ITEMS]))
    finally:
        streams.flush()  # what made them may have printed


def _fitting(shown: list[Any]) -> list[Any]:
    """Leave out formats that are too large for what is left of the limit, the largest first."""
    left = CAPS.displays
    for each in shown:
        bundle: _Bundle = each[1]
        while (size := sum(map(_size, bundle.values()))) > left and bundle:
            largest = max((_size(content), mime) for mime, content in bundle.items())[1]
            bundle["text/plain"] = f"{largest} left out: the run's displays take more than {CAPS.displays} bytes"
            del bundle[largest]
        left -= size
    return [each for each in shown if each[1]]


def _size(content: str | bytes) -> int:
    return _OVERHEAD + (len(content.encode("utf-8", "surrogatepass")) if isinstance(content, str) else len(content))


def bundle(value: object, always: bool = False) -> _Bundle:
    """Return the formats of a value; none if it has but its repr, unless it is to be shown ``always``."""
    try:
        bundle = _rich(value)
        return {**bundle, "text/plain": shorten(repr(value), _MAX_TEXT)} if bundle or always else {}
    except BaseException as error:
        return {"text/plain": shorten(f"it could not be shown: {type(error).__name__}: {error}", _MAX_TEXT)}


def _rich(value: object) -> _Bundle:
    # The class says what its objects have: some objects answer to any name.
    kind = type(value)
    if _is_figure(value):
        return _drawn(value)
    found: dict[Any, Any] = {}
    bundle: Any = getattr(kind, "_repr_mimebundle_", None)
    if bundle is not None:
        made: Any = bundle(value)
        found.update((cast("Any", made)[0] if isinstance(made, tuple) else made) or {})
    for method, mime in _FORMATS.items():
        if mime not in found and hasattr(kind, method):
            found[mime] = getattr(kind, method)(value)
    found.update(_data(value))
    kept: _Bundle = {}
    for mime, content in found.items():
        if isinstance(content, _KINDS.get(mime, ())):
            kept[mime] = cast("Any", content)
    return kept


def _data(value: object) -> _Bundle:
    """Return a frame of pandas as data as well: its columns, index and rows, as many as can be looked at."""
    pandas = _modules.get("pandas")
    if pandas is None or type(value) is not getattr(pandas, "DataFrame", None):
        return {}
    frame: Any = value
    head = frame.head(_MAX_ROWS)
    try:
        return {"application/json": head.to_json(orient="split", date_format="iso", default_handler=str)}
    except ValueError:
        # Its index or columns have a name twice, or one that JSON has not.
        return {}


# ---- figures ----


def _has_figures() -> bool:
    helpers = _modules.get("matplotlib._pylab_helpers")
    return helpers is not None and bool(helpers.Gcf.figs)


def _figures() -> Iterator[Any]:
    """Yield the figures that are open in the order of their numbers, and close them, as notebooks do."""
    if _has_figures():
        manager = _modules["matplotlib._pylab_helpers"].Gcf
        for number, each in sorted(manager.figs.items()):
            yield each.canvas.figure
            manager.destroy(number)


def show_figure(manager: Any) -> None:
    """Show a figure now, for pyplot's ``show()``. It stays open."""
    show(manager.canvas.figure)
    manager.canvas.figure.cloche_shown = True


def _is_shown(figure: Any) -> bool:
    return "cloche_shown" in vars(figure) and not figure.stale


def _is_figure(value: object) -> bool:
    figure = _modules.get("matplotlib.figure")
    return figure is not None and isinstance(value, figure.Figure)


def _drawn(figure: Any) -> _Bundle:
    """Return a figure as PNG; as SVG as well where that is what figures are saved as."""
    bundle: _Bundle = {"image/png": _saved(figure, "png")}
    for formats in figure_formats:
        bundle.update(formats(figure))
    # As at the end of a draw: saving leaves it changed, by the settings that it puts back.
    figure.stale = False
    if _modules["matplotlib"].rcParams["savefig.format"] == "svg":
        bundle["image/svg+xml"] = _saved(figure, "svg").decode()
    return bundle


def _saved(figure: Any, form: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=form, bbox_inches="tight")
    return file.getvalue()
