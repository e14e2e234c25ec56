"""Running a command and taking its measures."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 2000
_STAT_BLOCK: Final = 512
"""What ``st_blocks`` counts in, whatever the file system's own blocks are."""


class ContenderFailedError(Exception):
    """A contender ended with an exit code that is not 0; the message ends with what it said last."""


@dataclass(frozen=True)
class Usage:
    """What one run of a command took."""

    wall_seconds: float
    cpu_seconds: float
    """User and system, of the process and of the children it waited for."""
    peak_rss_bytes: int
    """Most memory of the process, or of it and its children together, if that was more (polled)."""
    peak_disk_bytes: int
    """Most space that its work folder took on the disk (polled); the output folder does not count."""
    others_cpu_seconds: float
    """What the rest of the machine took meanwhile: above a few percent of the wall time, the run was disturbed."""
    output: str
    """What it printed."""


class _Watch(threading.Thread):
    """Polls memory and disk of a running process."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self._process, self._folder, self._ended = psutil.Process(pid), folder, threading.Event()
        self.rss_bytes = self.disk_bytes = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Poll until the block is left."""
        while not self._ended.wait(_POLL_SECONDS):
            self.disk_bytes = max(self.disk_bytes, allocated_bytes(self._folder))
            self.rss_bytes = max(self.rss_bytes, self._family_bytes())

    def _family_bytes(self) -> int:
        total = 0
        try:
            for process in (self._process, *self._process.children(recursive=True)):
                total += process.memory_info().rss
        except psutil.Error:  # it, or a child, has just ended
            return 0
        return total


def allocated_bytes(folder: Path) -> int:
    """Return what the files below a folder take on the disk; files that vanish meanwhile count as nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(path, name).lstat().st_blocks * _STAT_BLOCK
            except FileNotFoundError:
                continue
    return total


def measure(command: list[str], work: Path, log: Path) -> Usage:
    """Run a command, TMPDIR in its work folder, and return what it took; :class:`ContenderFailedError` if it failed.

    The caller should be small: Linux counts a parent's memory at the fork as its child's.
    """
    others = -_machine_cpu_seconds()
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, "TMPDIR": str(work)}
        ) as process,
    ):
        start = time.perf_counter()
        with _Watch(process.pid, work) as watch:
            output = process.stdout.read() if process.stdout else b""
            _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = (log.read_bytes() + output)[-_LOG_TAIL:].decode(errors="replace")
        raise ContenderFailedError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    cpu = used.ru_utime + used.ru_stime
    return Usage(
        wall_seconds=wall,
        cpu_seconds=cpu,
        peak_rss_bytes=max(used.ru_maxrss * 1024, watch.rss_bytes),
        peak_disk_bytes=watch.disk_bytes,
        others_cpu_seconds=max(0.0, others + _machine_cpu_seconds() - cpu),
        output=output.decode(),
    )


def _machine_cpu_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
