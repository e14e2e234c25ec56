"""On what the numbers were taken."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("alos-mosaic", "isal", "numpy", "rasterio", "rio-cogeo", "imagecodecs", "tifffile")
_CPU_INFO: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A machine, what is installed on it and how busy it was."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]
    started: str
    """UTC, ISO 8601."""
    load_at_start: float
    """Processes that ran or waited to, averaged over the minute before."""


def this_machine(packages: Iterable[str] = _PACKAGES) -> Machine:
    """Describe this machine, now, with the versions of packages that decide about the numbers."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: version(name) for name in packages},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        load_at_start=os.getloadavg()[0],
    )


def _processor() -> str:
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
