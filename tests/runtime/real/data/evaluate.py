"""Evaluates expressions with NumPy and pandas, natively and in the guest alike: what each gives, or how it fails.

`python -m tests.runtime.real.data.evaluate` writes `expected.json`, with the versions that the image has.
"""

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def evaluate(line: str) -> str:
    """Run the statements of a line, and return the repr of its last expression, or the error's type and message."""
    import numpy as np

    names: dict[str, Any] = {"np": np, "pd": sys.modules.get("pandas")}
    *statements, last = line.split("; ")
    with np.printoptions(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for statement in statements:
                exec(statement, names)
            return _ADDRESS.sub("", repr(eval(last, names)))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def lines() -> list[str]:
    """Return the expressions of the file beside this one."""
    text = Path(__file__).with_name("expressions.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    import importlib

    importlib.import_module("pandas")
    found = {line: evaluate(line) for line in lines()}
    Path(__file__).with_name("expected.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
