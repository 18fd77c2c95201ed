"""Cells of notebooks, for sessions that :func:`install` was called in: a marked run is then a cell.

The mark is the last line of the source, a comment with JSON: the cell's context and environment variables, or what is
asked about files. A cell's value is what a notebook shows of its last value. Runs without a mark are as they were.
"""

import builtins
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import stat
import sys
from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any

from cloche_guest import displays, step
from cloche_guest.program import NAMESPACE, run

__all__ = ["install"]

_MARK = "\n#cloche-cell "
_HOME = "/home/user"
_MAX_ENTRIES = 10_000
# Names under which packages are installed, where they are imported by others.
_IMPORTED = {"pillow": "PIL", "beautifulsoup4": "bs4", "scikit-learn": "sklearn", "pyyaml": "yaml"}
_CHART = "application/vnd.e2b.chart+json"
_MAX_CHART = 1 << 20
_MAX_POINTS = 20_000
_MAX_AXES = 64
_MAX_LABEL = 1_000
_contexts: dict[str, tuple[dict[str, Any], str]] = {}
_now: dict[str, Any] = {"context": "", "count": 0}
_fresh: dict[str, Any] = {}


def install() -> None:
    """Have the guest know cells, in a context where there is nothing yet."""
    os.makedirs(_HOME, exist_ok=True)
    os.environ["HOME"] = _HOME
    os.chdir(_HOME)
    _fresh.update(NAMESPACE)
    for name, function in {"__magic__": _magic, "display": _display}.items():
        setattr(builtins, name, function)
    _add_module()
    if _chart_format not in displays.figure_formats:
        displays.figure_formats.append(_chart_format)
    setattr(step, "run", _run_marked)  # noqa: B010  (in place of the prelude's own)


# What notebooks have to show things with.


def _holder(mime: str, kind: str) -> type:
    """Return a class of IPython.display, which holds text or bytes to be shown as they are."""

    class Shown:
        def __init__(self, data: Any = None, **_: Any) -> None:
            self.data = data

        def _repr_mimebundle_(self) -> dict[str, Any]:
            return {mime: self.data}

    Shown.__name__ = Shown.__qualname__ = kind
    return Shown


def _display(*values: Any, **_: Any) -> None:
    """Show values beside the cell's own."""
    displays.show(*values)


def _add_module() -> None:
    """Add IPython.display."""
    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    kinds = {"HTML": "text/html", "Markdown": "text/markdown", "Latex": "text/latex", "SVG": "image/svg+xml"}
    vars(module).update({kind: _holder(mime, kind) for kind, mime in {**kinds, "Image": "image/png"}.items()})
    vars(module).update(display=_display, clear_output=lambda wait=False: None)
    vars(package).update(display=module, __path__=[])
    sys.modules.update({"IPython": package, "IPython.display": module})


# Figures of matplotlib as data, in the shape in which E2B's SDK knows charts.


def _chart_format(figure: Any) -> dict[str, str]:
    """Return a figure's data; nothing of one that is too large."""
    try:
        axes = figure.axes
        lines = [line for each in axes for line in each.lines]
        clouds = [cloud for each in axes for cloud in each.collections]
        points = sum(len(line.get_xdata()) for line in lines) + sum(len(cloud.get_offsets()) for cloud in clouds)
        if not axes or len(axes) > _MAX_AXES or points + sum(len(each.patches) for each in axes) > _MAX_POINTS:
            return {}
        charts = [_chart(each) for each in axes]
        if len(charts) > 1:
            title = figure.get_suptitle()[:_MAX_LABEL] or None
            charts = [{"type": "superchart", "title": title, "elements": charts}]
        text = json.dumps(charts[0], allow_nan=False)
    except Exception:
        # Axes of other packages need not have what matplotlib's have: the drawing says it all the same.
        return {}
    return {_CHART: text} if len(text) <= _MAX_CHART else {}


def _chart(axes: Any) -> dict[str, Any]:
    """Return what is drawn in one pair of axes."""
    chart: dict[str, Any] = {"type": "unknown", "title": axes.get_title()[:_MAX_LABEL] or None, "elements": []}
    if axes.name != "rectilinear":
        return chart
    # Without those that go through all of the axes, as axhline's do.
    lines = [line for line in axes.lines if line.get_transform() == axes.transData]
    shapes = [*axes.patches, *axes.collections, *axes.images, *axes.tables]
    kinds = {type(each).__name__ for each in shapes}
    bars = [each for each in axes.containers if type(each).__name__ == "BarContainer"]
    if kinds <= {"PathPatch"} and (boxes := _boxes(axes)):
        return {**chart, "type": "box_and_whisker", **boxes}
    if not kinds or (kinds == {"PathCollection"} and not lines):
        kind, drawn = ("scatter", shapes) if kinds else ("line", lines)
        elements = [{"label": _label(each, kind.title()), "points": _points(each)} for each in drawn]
        plane = {**_names(axes), **_axis("x", axes.xaxis), **_axis("y", axes.yaxis)}
        return {**chart, "type": kind, **plane, "elements": elements}
    if kinds == {"Wedge"} and not lines:
        turns = [(each, abs(float(each.theta2) - float(each.theta1))) for each in shapes]
        pie = [{"label": _label(each, "Part"), "angle": angle, "radius": float(each.r)} for each, angle in turns]
        return {**chart, "type": "pie", "elements": pie}
    if kinds == {"Rectangle"} and bars and not lines and len(shapes) == sum(map(len, bars)):
        return {**chart, "type": "bar", **_bars(axes, bars)}
    return chart


def _names(axes: Any, upright: bool = True) -> dict[str, str | None]:
    """Return what the axes are called, and their units; the one with values is y, whichever way it is drawn."""
    named: dict[str, str | None] = {}
    for name, axis in zip("xy" if upright else "yx", (axes.xaxis, axes.yaxis), strict=True):
        text = axis.get_label_text()[:_MAX_LABEL]
        unit = re.search(r"\s\(([^()]+)\)|\[([^][]+)\]", text)
        named |= {f"{name}_label": text or None, f"{name}_unit": (unit[1] or unit[2]) if unit else None}
    return named


def _axis(name: str, axis: Any) -> dict[str, Any]:
    """Return an axis' scale, ticks and their labels."""
    kind, places = type(axis.get_converter()).__name__, [float(place) for place in axis.get_ticklocs()]
    labels = [each.get_text()[:_MAX_LABEL] for each in axis.get_ticklabels()]
    scale = "datetime" if "Date" in kind else axis.get_scale()
    pairs = enumerate(zip(places, labels, strict=True))
    counted = all(place == number and str(number) != label for number, (place, label) in pairs)
    if scale == "linear" and ("Category" in kind or (places and counted)):
        scale = "categorical"
    ticks = [_place(axis, place) for place in places]
    return {f"{name}_ticks": ticks, f"{name}_tick_labels": labels, f"{name}_scale": scale}


def _place(axis: Any, place: float) -> Any:
    """Return where something is on an axis: a time, if it has those."""
    if "Date" in type(axis.get_converter()).__name__:
        return sys.modules["matplotlib.dates"].num2date(place).isoformat()
    return _plain(place)


def _tick_label(axis: Any, place: float, reach: float) -> str:
    """Return the label of the tick that is in reach of a place, or the place itself."""
    near = min(axis.get_major_ticks(), key=lambda tick: abs(tick.get_loc() - place), default=None)
    if near is not None and abs(near.get_loc() - place) <= reach * 1.001 and near.label1.get_text():
        return str(near.label1.get_text()[:_MAX_LABEL])
    found = _place(axis, place)
    return f"{found:g}" if isinstance(found, float) else str(found)


def _label(artist: Any, kind: str) -> str:
    """Return what an artist is called in a legend; the names that matplotlib makes up are numbers."""
    made_up = re.fullmatch(r"_(?:child|container)(\d+)", label := str(artist.get_label()))
    return f"{kind} {made_up[1]}" if made_up else label[:_MAX_LABEL]


def _points(artist: Any) -> list[tuple[Any, Any]]:
    """Return a line's or a cloud's points."""
    pairs = artist.get_offsets() if hasattr(artist, "get_offsets") else zip(*artist.get_data(), strict=True)
    return [(_plain(x), _plain(y)) for x, y in pairs]


def _plain(value: Any) -> float | str | None:
    """Return a coordinate as JSON has it: null for what it cannot have, text for times."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) or type(value).__name__ == "datetime64":
        return str(value)[:_MAX_LABEL]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)[:_MAX_LABEL]
    return number if math.isfinite(number) else None


def _bars(axes: Any, groups: list[Any]) -> dict[str, Any]:
    """Return bars, upright or not, by group."""
    upright = groups[0].orientation != "horizontal"
    axis = axes.xaxis if upright else axes.yaxis
    elements: list[dict[str, Any]] = []
    for group in groups:
        spans = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in group]
        if not upright:
            spans = [(bar.get_y(), bar.get_height(), bar.get_width()) for bar in group]
        places = [start + width / 2 for start, width, _ in spans]
        gaps = [abs(one - other) for one, other in itertools.pairwise(places)]
        reach = min(gaps, default=2 * spans[0][1] if spans else 0) / 2
        for place, (_, _, value) in zip(places, spans, strict=True):
            label = _tick_label(axis, place, reach)
            elements.append({"label": label, "group": _label(group, "Group"), "value": _plain(value)})
    return {**_names(axes, upright), "elements": elements}


def _boxes(axes: Any) -> dict[str, Any]:
    """Return boxes with whiskers; nothing if the lines are others. Each box comes before its own whiskers and caps."""
    drawn = [each for each in axes.get_children() if type(each).__name__ in ("PathPatch", "Line2D")]
    boxes: list[list[tuple[Any, list[list[float]]]]] = []
    for each in drawn:
        corners = each.get_path().vertices.tolist()
        if type(each).__name__ == "PathPatch" or (len(corners) > 4 and corners[0] == corners[-1]):
            boxes.append([])
        if not boxes:
            return {}
        boxes[-1].append((each, corners))
    if not boxes or any(len(box) < 4 or len(box[1][1]) != 2 for box in boxes):
        return {}
    upright = all(box[1][1][0][0] == box[1][1][1][0] for box in boxes)
    axis = axes.xaxis if upright else axes.yaxis
    elements = [_box(box, 1 if upright else 0, axis) for box in boxes]
    return {**_names(axes, upright), "elements": elements} if all(elements) else {}


def _box(box: list[tuple[Any, list[list[float]]]], along: int, axis: Any) -> dict[str, Any]:
    """Return one box, whose values go along an axis; nothing if its lines are not where a box has them."""
    sides = [[corner[along] for corner in corners] for _, corners in box]
    (low, least), (high, greatest) = sides[1], sides[2]
    if low not in sides[0] or high not in sides[0]:
        return {}
    across = [values[0] for values in sides[3:] if len(values) == 2 and values[0] == values[1]]
    median = across[2] if len(across) > 2 else across[-1]  # behind the caps, if there are any
    dots = [values for (each, _), values in zip(box[3:], sides[3:], strict=True) if each.get_linestyle() == "None"]
    outliers = [value for value in (dots[-1] if dots else []) if not least <= value <= greatest]
    quartiles = {"first_quartile": low, "median": median, "third_quartile": high}
    width = [corner[1 - along] for corner in box[0][1]]
    label = _tick_label(axis, box[1][1][0][1 - along], max(width) - min(width))
    return {"label": label, "min": least, **quartiles, "max": greatest, "outliers": outliers}


# Lines that are no Python, as notebooks have them.


def _stand_in(name: str, missing: str) -> None:
    """Let a module be imported that was to be installed and cannot be; to use it raises ImportError.

    Frameworks install and import what their helpers might need, and catch the error where it is needed.
    """

    def missed(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise ModuleNotFoundError(missing, name=name)

    module: Any = ModuleType(name, missing)
    module.__path__, module.__getattr__, module.__stand_in__ = [], missed, True
    sys.modules[name] = module


def _magic(line: str) -> None:
    """Do what such a line asks for, if that is nothing: what it asks to be installed is there, or cannot be."""
    words = line.lstrip("!% ").split()
    if words[:2] == ["pip", "install"] or words[:4] == ["python", "-m", "pip", "install"]:
        for word in words[words.index("install") + 1 :]:
            name = re.split(r"[\[=<>~!;]", word)[0]
            if not name or name.startswith("-"):
                continue
            module = _IMPORTED.get(name.lower(), name.replace("-", "_")).partition(".")[0]
            missing = f"{name} is not in this image, and there is no network to get it from"
            if module not in sys.modules and importlib.util.find_spec(module) is None:
                _stand_in(module, missing)
            is_there = not hasattr(sys.modules.get(module), "__stand_in__")
            if is_there:
                print(f"Requirement already satisfied: {name}")
            else:
                print(f"ERROR: {missing}", file=sys.stderr)
    elif line.startswith("!"):
        raise OSError(f"there are no shell commands in this sandbox: {line[:80]}")
    elif words[:1] not in (["matplotlib"], ["config"], ["load_ext"], ["autoreload"]):
        raise NotImplementedError(f"this is not known here: {line[:80]}")


def _prepared(source: str) -> str:
    """Return the source with calls in place of the lines that are no Python: those that the compiler stops at."""
    for _ in range(len(re.findall(r"^[ \t]*[!%]", source, re.MULTILINE))):
        try:
            compile(source, "<cell>", "exec", 0x2000)  # with await at the top level
        except SyntaxError as error:
            lines, place = source.split("\n"), (error.lineno or 0) - 1
            line = lines[place] if 0 <= place < len(lines) else ""
            if not line.lstrip().startswith(("!", "%")):
                break
            lines[place] = f"{line[: -len(line.lstrip())]}__magic__({line.strip()!r})"
            source = "\n".join(lines)
        else:
            break
    return source


# Contexts: the names and the folder of each, of which one is in place.


def _enter(context: str) -> None:
    """Put the names and the folder of a context in place."""
    if context != _now["context"]:
        _contexts[_now["context"]] = dict(NAMESPACE), os.getcwd()
        names, folder = _contexts.pop(context, (dict(_fresh), _HOME))
        NAMESPACE.clear()
        NAMESPACE.update(names)
        _now["context"] = context
        os.chdir(folder)


def _forget(context: str, cwd: str = "") -> None:
    """Have a context begin anew, in a folder that is made where there is none."""
    folder = _resolved(cwd or _HOME)
    os.makedirs(folder, exist_ok=True)
    _contexts.pop(context, None)
    if context == _now["context"]:
        NAMESPACE.clear()
        NAMESPACE.update(_fresh)
        os.chdir(folder)
    else:
        _contexts[context] = dict(_fresh), folder


# Files.


def _resolved(path: str) -> str:
    """Return a path from the root."""
    return os.path.normpath(os.path.join(_HOME, os.path.expanduser(path)))


def _entry(path: str) -> dict[str, Any]:
    """Describe a file or folder."""
    found = os.lstat(path)
    is_folder = os.path.isdir(path)
    described: dict[str, Any] = {
        "name": os.path.basename(path),
        "type": "FILE_TYPE_DIRECTORY" if is_folder else "FILE_TYPE_FILE",
        "path": path,
        "size": str(found.st_size),
        "mode": stat.S_IMODE(found.st_mode),
        "permissions": stat.filemode(found.st_mode),
        "owner": "user",
        "group": "user",
        "modifiedTime": datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    if stat.S_ISLNK(found.st_mode):
        described |= {"isSymlink": True, "symlinkTarget": os.readlink(path)}
    return described


def _listed(path: str, depth: int) -> list[dict[str, Any]]:
    """Describe what is in a folder, so many levels deep."""
    entries: list[dict[str, Any]] = []
    folders = [(path, 1)]
    for folder, level in folders:
        for name in sorted(os.listdir(folder)):
            entries.append(_entry(os.path.join(folder, name)))
            if len(entries) > _MAX_ENTRIES:
                raise ValueError(f"there are more than {_MAX_ENTRIES:,} entries below {path}")
            if level < depth and entries[-1]["type"] == "FILE_TYPE_DIRECTORY":
                folders.append((entries[-1]["path"], level + 1))
    return entries


def _asked(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked about files."""
    path = _resolved(str(given.get("path", "")))
    if what == "Stat":
        return {"entry": _entry(path)}
    if what == "ListDir":
        return {"entries": _listed(path, int(given.get("depth") or 1))}
    if what == "MakeDir":
        os.makedirs(path)
        return {"entry": _entry(path)}
    if what == "Move":
        source, target = _resolved(str(given.get("source", ""))), _resolved(str(given.get("destination", "")))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
        return {"entry": _entry(target)}
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)
    return {}


def _answered(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked about files; return an error as its code and text."""
    codes: dict[type[Exception], str] = {
        FileNotFoundError: "not_found",
        FileExistsError: "already_exists",
        PermissionError: "permission_denied",
    }
    try:
        return _asked(what, given)
    except (OSError, ValueError) as error:
        return {"code": codes.get(type(error), "invalid_argument"), "message": str(error)}


# Runs.


def _cell(source: str, filename: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run a cell in its context."""
    _enter(given["context"])
    before = {name: os.environ.get(name) for name in given["envs"]}
    os.environ.update(given["envs"])
    try:
        value = run(_prepared(source), filename)
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text
    _now["count"] += 1
    if value is not None:
        NAMESPACE["_"] = value
    own = value is not None and not source.rstrip().endswith(";")
    # As the prelude makes them of a run's last value, which here is not the cell's.
    return {"count": _now["count"], "value": {**displays.bundle(value), "text/plain": repr(value)} if own else None}


def _run_marked(source: str, filename: str) -> Any:
    """Run a source as its mark has it, in place of the prelude's own function."""
    code, found, text = source.rpartition(_MARK)
    if not found:
        return run(source, filename)
    given = json.loads(text)
    if given["do"] == "cell":
        return _cell(code, filename, given)
    if given["do"] == "forget":
        return _forget(given["context"], given["cwd"])
    if given["do"] == "drop":
        if given["context"] == _now["context"]:
            _enter("")
        _contexts.pop(given["context"], None)
        return None
    if given["do"] == "envs":
        return os.environ.update(given["envs"])
    return _answered(given["do"], given)
