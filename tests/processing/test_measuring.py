"""Peaks of memory and disk."""

from __future__ import annotations

import time
from pathlib import Path

from alos_mosaic.processing.measuring import Peak


def test_what_came_and_went_on_the_disk_is_seen(tmp_path: Path) -> None:
    with Peak(tmp_path) as peak:
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "file").write_bytes(b"x" * 1_000_000)
        (tmp_path / "other").write_bytes(b"x" * 500_000)
        deadline = time.monotonic() + 10
        while peak.disk_bytes < 1_500_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        (tmp_path / "other").unlink()
    assert 1_500_000 <= peak.disk_bytes < 1_600_000


def test_memory_that_came_and_went_is_seen(tmp_path: Path) -> None:
    peak = Peak(tmp_path)
    before = peak.memory_bytes
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    del held
    assert peak.memory_bytes >= before + 150_000_000
