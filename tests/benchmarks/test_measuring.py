from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.machine import this_machine
from benchmarks.measuring import ContenderFailedError, allocated_bytes, measure


def run(code: str, tmp_path: Path) -> object:
    work = tmp_path / "work"
    work.mkdir()
    return measure([sys.executable, "-c", code], work, tmp_path / "log")


def test_memory_disk_and_cpu_of_a_child_are_seen(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    child = f"""
import time, pathlib
held = bytearray(b'x') * 200_000_000
path = pathlib.Path({str(work)!r}, 'scratch')
path.write_bytes(held[:50_000_000])
while time.process_time() < 0.5: pass
time.sleep(0.5)
path.unlink()
"""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True); print('done')"
    usage = measure([sys.executable, "-c", code], work, tmp_path / "log")
    assert usage.output == "done\n"
    assert 200e6 < usage.peak_rss_bytes < 400e6
    assert 49e6 < usage.peak_disk_bytes < 60e6
    assert usage.cpu_seconds > 0.5
    assert usage.wall_seconds > 1.0
    assert allocated_bytes(work) == 0


def test_a_contender_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ContenderFailedError, match="ended with 3:\n(?s:.*)no space"):
        run("import sys; print('no space', file=sys.stderr); sys.exit(3)", tmp_path)


def test_scratch_files_go_to_the_work_folder(tmp_path: Path) -> None:
    usage = run("import tempfile; print(tempfile.gettempdir(), end='')", tmp_path)
    assert usage.output == str(tmp_path / "work")  # type: ignore[attr-defined]


def test_the_machine_is_named() -> None:
    machine = this_machine()
    assert machine.processor
    assert machine.cores > 0
    assert set(machine.versions) >= {"isal", "rasterio"}
