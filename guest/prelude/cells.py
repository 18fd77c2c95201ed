"""Cells of notebooks, for sessions that :func:`install` was called in: a marked run is then a cell.

The mark is the last line of the source, a comment with JSON: the cell's context and environment variables, or what is
asked about files. A cell's value is what a notebook shows of its last value. Runs without a mark are as they were.
"""

import builtins
import importlib.util
import json
import os
import re
import shutil
import stat
import sys
from datetime import UTC, datetime
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
