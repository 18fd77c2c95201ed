"""Is loaded once into the guest of each session whose runs are cells: from then on a marked run is a notebook's cell.

The mark is the last line of the source, a comment with JSON: the cell's context and environment variables, or what is
asked about files. A cell's value is what a notebook shows of its last value. Runs without a mark are as they were.

It is compiled statement by statement, by ``load.py``: what the compiler leaves behind is in the state of each session.
"""

# What few cells need is imported where they do, for the same reason.
import builtins
import json
import os
import re
import sys
from types import ModuleType
from typing import Any

mark = "\n#cloche-cell "
home = "/home/user"
max_entries = 10_000
namespace = vars(sys.modules["__main__"])
step: Any = sys.modules["cloche_guest.step"]
run = step.run
displays: Any = sys.modules["cloche_guest.displays"]
# Names under which packages are installed, where they are imported by others.
imported = {"pillow": "PIL", "beautifulsoup4": "bs4", "scikit-learn": "sklearn", "pyyaml": "yaml"}
contexts: dict[str, tuple[dict[str, Any], str]] = {}
now: dict[str, Any] = {"context": "", "count": 0}
fresh: dict[str, Any] = {}


# What notebooks have to show things with.


def holder(mime: str, kind: str) -> type:
    """Return a class of IPython.display, which holds text or bytes to be shown as they are."""

    class Shown:
        def __init__(self, data: Any = None, **_: Any) -> None:
            self.data = data

        def _repr_mimebundle_(self) -> dict[str, Any]:
            return {mime: self.data}

    Shown.__name__ = Shown.__qualname__ = kind
    return Shown


def display(*values: Any, **_: Any) -> None:
    """Show values beside the cell's own."""
    displays.show(*values)


def add_module() -> None:
    """Add IPython.display."""
    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    kinds = {"HTML": "text/html", "Markdown": "text/markdown", "Latex": "text/latex", "SVG": "image/svg+xml"}
    vars(module).update({kind: holder(mime, kind) for kind, mime in {**kinds, "Image": "image/png"}.items()})
    vars(module).update(display=display, clear_output=lambda wait=False: None)
    vars(package).update(display=module, __path__=[])
    sys.modules.update({"IPython": package, "IPython.display": module})


# Lines that are no Python, as notebooks have them.


def stand_in(name: str, missing: str) -> None:
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


def magic(line: str) -> None:
    """Do what such a line asks for, if that is nothing: what it asks to be installed is there, or cannot be."""
    import importlib.util

    words = line.lstrip("!% ").split()
    if words[:2] == ["pip", "install"] or words[:4] == ["python", "-m", "pip", "install"]:
        for word in words[words.index("install") + 1 :]:
            name = re.split(r"[\[=<>~!;]", word)[0]
            if not name or name.startswith("-"):
                continue
            module = imported.get(name.lower(), name.replace("-", "_")).partition(".")[0]
            missing = f"{name} is not in this image, and there is no network to get it from"
            if module not in sys.modules and importlib.util.find_spec(module) is None:
                stand_in(module, missing)
            is_there = not hasattr(sys.modules.get(module), "__stand_in__")
            if is_there:
                print(f"Requirement already satisfied: {name}")
            else:
                print(f"ERROR: {missing}", file=sys.stderr)
    elif line.startswith("!"):
        raise OSError(f"there are no shell commands in this sandbox: {line[:80]}")
    elif words[:1] not in (["matplotlib"], ["config"], ["load_ext"], ["autoreload"]):
        raise NotImplementedError(f"this is not known here: {line[:80]}")


def prepared(source: str) -> str:
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


def enter(context: str) -> None:
    """Put the names and the folder of a context in place."""
    if context != now["context"]:
        contexts[now["context"]] = dict(namespace), os.getcwd()
        names, folder = contexts.pop(context, (dict(fresh), home))
        namespace.clear()
        namespace.update(names)
        now["context"] = context
        os.chdir(folder)


def forget(context: str, cwd: str = "") -> None:
    """Have a context begin anew, in a folder that is made where there is none."""
    folder = resolved(cwd or home)
    os.makedirs(folder, exist_ok=True)
    contexts.pop(context, None)
    if context == now["context"]:
        namespace.clear()
        namespace.update(fresh)
        os.chdir(folder)
    else:
        contexts[context] = dict(fresh), folder


# Files.


def resolved(path: str) -> str:
    """Return a path from the root."""
    return os.path.normpath(os.path.join(home, os.path.expanduser(path)))


def entry(path: str) -> dict[str, Any]:
    """Describe a file or folder."""
    import stat
    from datetime import UTC, datetime

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


def listed(path: str, depth: int) -> list[dict[str, Any]]:
    """Describe what is in a folder, so many levels deep."""
    entries: list[dict[str, Any]] = []
    folders = [(path, 1)]
    for folder, level in folders:
        for name in sorted(os.listdir(folder)):
            entries.append(entry(os.path.join(folder, name)))
            if len(entries) > max_entries:
                raise ValueError(f"there are more than {max_entries:,} entries below {path}")
            if level < depth and entries[-1]["type"] == "FILE_TYPE_DIRECTORY":
                folders.append((entries[-1]["path"], level + 1))
    return entries


def asked(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked about files."""
    path = resolved(str(given.get("path", "")))
    if what == "Stat":
        return {"entry": entry(path)}
    if what == "ListDir":
        return {"entries": listed(path, int(given.get("depth") or 1))}
    if what == "MakeDir":
        os.makedirs(path)
        return {"entry": entry(path)}
    if what == "Move":
        source, target = resolved(str(given.get("source", ""))), resolved(str(given.get("destination", "")))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
        return {"entry": entry(target)}
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
    else:
        os.remove(path)
    return {}


def answered(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked about files; return an error as its code and text."""
    codes: dict[type[Exception], str] = {
        FileNotFoundError: "not_found",
        FileExistsError: "already_exists",
        PermissionError: "permission_denied",
    }
    try:
        return asked(what, given)
    except (OSError, ValueError) as error:
        return {"code": codes.get(type(error), "invalid_argument"), "message": str(error)}


# Runs.


def cell(source: str, filename: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run a cell in its context."""
    enter(given["context"])
    before = {name: os.environ.get(name) for name in given["envs"]}
    os.environ.update(given["envs"])
    try:
        value = run(prepared(source), filename)
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text
    now["count"] += 1
    if value is not None:
        namespace["_"] = value
    own = value is not None and not source.rstrip().endswith(";")
    # As the prelude makes them of a run's last value, which here is not the cell's.
    return {"count": now["count"], "value": {**displays._bundle(value), "text/plain": repr(value)} if own else None}


def run_marked(source: str, filename: str) -> Any:
    """Run a source as its mark has it, in place of the prelude's own function."""
    code, found, text = source.rpartition(mark)
    if not found:
        return run(source, filename)
    given = json.loads(text)
    if given["do"] == "cell":
        return cell(code, filename, given)
    if given["do"] == "forget":
        return forget(given["context"], given["cwd"])
    if given["do"] == "drop":
        if given["context"] == now["context"]:
            enter("")
        contexts.pop(given["context"], None)
        return None
    if given["do"] == "envs":
        return os.environ.update(given["envs"])
    return answered(given["do"], given)


def install() -> None:
    """Have the guest know cells, in a context where there is nothing yet."""
    os.makedirs(home, exist_ok=True)
    os.environ["HOME"] = home
    os.chdir(home)
    fresh.update(namespace)
    for name, function in {"__magic__": magic, "display": display}.items():
        setattr(builtins, name, function)
    add_module()
    step.run = run_marked


install()
