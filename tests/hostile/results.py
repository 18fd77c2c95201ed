"""The last long results of ``make fuzz``, ``make soak`` and ``make kills``, as they stand in the documentation."""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["note_result", "results"]

_FILE = Path(__file__).parent / "results.json"


def results() -> dict[str, Any]:
    """Return the results by the command that made them."""
    noted: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    return noted


def note_result(command: str, numbers: dict[str, Any], seconds: float) -> None:
    """Write a result down in place of the command's last one, with the date and the machine."""
    noted = results() | {
        command: {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": _machine(),
            "minutes": round(seconds / 60, 1),
            **numbers,
        }
    }
    _FILE.write_text(json.dumps(noted, indent=1, sort_keys=False) + "\n", encoding="utf-8")


def _machine() -> str:
    system = f"{platform.system()} on {platform.machine()}"
    return f"{system}, {os.cpu_count()} processors, Python {platform.python_version()}"
