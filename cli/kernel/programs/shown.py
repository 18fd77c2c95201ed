"""Runs once in the guest of each kernel: from then on a run's value is what a notebook shows of it.

That is a dict of texts and bytes by their media types, made by the methods that IPython knows, or None. ``display`` and
``IPython.display`` are there too, figures of matplotlib are shown at the end of a cell, and ``_`` is the last value.
"""


def _show_values() -> None:
    # Imported here, and deleted below: the session begins with an empty namespace.
    import builtins
    import inspect
    import keyword
    import re
    import rlcompleter
    import sys
    from collections.abc import Callable
    from types import FunctionType, ModuleType
    from typing import Any, cast

    namespace = vars(sys.modules["__main__"])
    send = namespace.pop("display_data")
    methods = {
        "text/html": "_repr_html_",
        "text/markdown": "_repr_markdown_",
        "text/latex": "_repr_latex_",
        "image/svg+xml": "_repr_svg_",
        "image/png": "_repr_png_",
        "image/jpeg": "_repr_jpeg_",
        "application/json": "_repr_json_",
    }

    def made(value: Any, name: str) -> Any:
        """Return what one of the methods makes of a value, None if it has none or it raised."""
        if isinstance(value, type):
            return None
        method = getattr(cast("object", value).__class__, name, None)
        try:
            shown: Any = None if method is None else method(value)
        except Exception:
            return None
        # The method may give (data, metadata).
        return cast("Any", shown)[0] if type(shown) is tuple and len(cast("Any", shown)) == 2 else cast("Any", shown)

    def bundle(value: Any) -> dict[str, Any]:
        """Return a value by media types; the text is there in any case."""
        bundles = made(value, "_repr_mimebundle_")
        shown: dict[str, Any] = dict(cast("Any", bundles)) if isinstance(bundles, dict) else {}
        for media_type, name in methods.items():
            data = made(value, name)
            if data is not None:
                shown.setdefault(media_type, data)
        shown.setdefault("text/plain", repr(value))
        return shown

    def display(*values: Any, **_: Any) -> None:
        """Show values in the notebook, as the end of a cell shows its value."""
        sys.stdout.flush()
        for value in values:
            send(bundle(value))

    def show_figures() -> None:
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None and pyplot.get_fignums():
            import io

            for number in pyplot.get_fignums():
                image = io.BytesIO()
                pyplot.figure(number).savefig(image, format="png", bbox_inches="tight")
                send({"image/png": image.getvalue(), "text/plain": f"<Figure {number}>"})
            pyplot.close("all")

    def complete(code: str, place: int) -> dict[str, Any]:
        """Return the names that could stand at this place, and where the one begins that is being written."""
        written = re.search(r"[\w.]*$", code[:place])
        word = written.group() if written else ""
        completer, found = rlcompleter.Completer(namespace), set[str]()
        while len(found) < 500:
            # By numbers from 0, until there is none left.
            match = completer.complete(word, len(found))
            if match is None or match.rstrip("( :") in found:
                break
            found.add(match.rstrip("( :"))
        return {"start": place - len(word), "names": sorted(found, key=lambda name: (keyword.iskeyword(name), name))}

    def explain(code: str, place: int) -> str:
        """Return the signature and the documentation of the name at this place; empty if there is none."""
        before, after = re.search(r"[\w.]*$", code[:place]), re.match(r"\w*", code[place:])
        name = (before.group() if before else "") + (after.group() if after else "")
        value: Any = {**vars(builtins), **namespace}
        try:
            for position, part in enumerate(name.split(".")):
                value = getattr(value, part) if position else value[part]
        except (KeyError, AttributeError):
            return ""
        try:
            head = f"{name}{inspect.signature(value)}" if callable(value) else f"{name}: {type(value).__name__}"
        except (TypeError, ValueError):
            head = name
        return f"{head}\n\n{inspect.getdoc(value) or ''}".strip()

    def holder(media_type: str, kind: str) -> type:
        """Return a class of IPython.display, which holds text or bytes to be shown as they are."""

        class Shown:
            def __init__(self, data: Any = None, **_: Any) -> None:
                self.data = data

            def _repr_mimebundle_(self) -> dict[str, Any]:
                return {media_type: self.data, "text/plain": f"<{kind}>"}

        Shown.__name__ = Shown.__qualname__ = kind
        return Shown

    def add_module() -> None:
        package, module = ModuleType("IPython"), ModuleType("IPython.display")
        kinds = {"HTML": "text/html", "Markdown": "text/markdown", "Latex": "text/latex", "SVG": "image/svg+xml"}
        kinds |= {"Image": "image/png", "JSON": "application/json"}
        vars(module).update({kind: holder(media_type, kind) for kind, media_type in kinds.items()})
        vars(module).update(display=display, clear_output=lambda wait=False: None)
        vars(package).update(display=module, __path__=[])
        sys.modules.update({"IPython": package, "IPython.display": module})

    step: Any = sys.modules["cloche_guest.step"]
    run = step.run

    def run_and_show(source: str, filename: str) -> Any:
        if source.startswith(aside):
            # For the editor: a call of one of the functions above.
            name, *arguments = run(source[len(aside) :], filename)
            return asked[name](*arguments)
        try:
            value = run(source, filename)
        finally:
            show_figures()
        if value is None or source.rstrip().endswith(";"):
            return None
        namespace["_"] = value
        return bundle(value)

    aside = "#cloche-aside\n"
    asked: dict[str, Callable[[str, int], Any]] = {"complete": complete, "explain": explain}
    # With the prelude's name on its globals its frame is, like the prelude's own, left out of tracebacks.
    home = {"__name__": "cloche_guest.kernel"}
    step.run = FunctionType(run_and_show.__code__, home, closure=run_and_show.__closure__)
    namespace["display"] = display
    add_module()


_show_values()
del _show_values
