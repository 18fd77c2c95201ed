"""What this machine is, and which guest image is measured on it."""

import os
import platform
import sys
from pathlib import Path

from cloche.bench.results import MachineFacts
from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.image import DEFAULT_IMAGE, read_manifest

__all__ = ["describe", "image_digest"]


def image_digest() -> str:
    """Return the SHA-256 that the guest image's manifest states, empty if there is no image."""
    try:
        return str(read_manifest(DEFAULT_IMAGE)["sha256"])
    except ImageError:
        return ""


def describe() -> MachineFacts:
    """Return the facts that numbers depend on."""
    return MachineFacts(
        system=f"{platform.system()} {platform.release()}",
        processor=f"{_processor()} ({platform.machine()})",
        cores=_cores(),
        memory=_memory(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _cores() -> int:
    """Return the cores that this process may use, which containers make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
