"""The work folder: fresh for each tile, also after a worker that was killed; and a disk that is really full.

That a tile leaves nothing there, whatever happened to it, is checked with every case of the matrix; what a leftover is
to the handler stands in tests/lambdas/test_handlers.py.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alos_mosaic.errors import MosaicError, OutputError
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.results import State
from lambdas.process_tile import handler
from local.archives import place_archive
from local.jaxa_server import JaxaServer
from tests.faults.world import CELL, TILE, YEAR

_TO_BE_KILLED = """
import sys, time
from lambdas.process_tile.handler import _fresh_work_folder
with _fresh_work_folder() as folder:
    (folder / "pass-1").mkdir()
    (folder / "pass-1" / "half.tif").write_bytes(bytes(100_000))
    print(folder, flush=True)
    time.sleep(60)
"""
_LIBC = ctypes.CDLL(None, use_errno=True)


def test_what_a_killed_worker_left_is_gone_for_the_next(scratch: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _TO_BE_KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        assert worker.stdout is not None
        left = Path(worker.stdout.readline().strip())
        worker.send_signal(signal.SIGKILL)
    assert (left / "pass-1" / "half.tif").is_file()
    with handler._fresh_work_folder() as folder:
        assert not left.exists()
        assert list(folder.parent.iterdir()) == [folder]
    assert not list(scratch.iterdir())


@contextmanager
def tmpfs(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of so many bytes (whole pages of 4096); skips where that isn't allowed."""
    folder.mkdir(exist_ok=True)
    if _LIBC.mount(b"none", bytes(folder), b"tmpfs", 0, f"size={size_bytes}".encode()) != 0:
        pytest.skip(f"a full disk can't be made here: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        _LIBC.umount2(bytes(folder), 2)  # MNT_DETACH


def test_a_disk_that_is_full_at_any_moment_is_an_output_error(tmp_path: Path, grid: Grid) -> None:
    """A page more each time, until it does: the archive fits first, then what is made of it, at last the documents."""
    place_archive(tmp_path / "mirror", TILE, YEAR, grid, cells=[CELL])
    published, disk, ends = tmp_path / "published", tmp_path / "disk", []
    with JaxaServer(tmp_path / "mirror") as server:
        for pages in range(1, 100):
            with tmpfs(disk, pages * 4096):
                ends.append(_end_of_a_tile(server.url, published, disk, grid))
                assert ends[-1] == "OutputError" or ends[-1] is State.PUBLISHED
                if ends[-1] is State.PUBLISHED:
                    break
                assert not list(published.rglob("*.stac-item.json"))
                assert not list(disk.iterdir())
    assert ends[-1] is State.PUBLISHED
    assert len(ends) > 5


def _end_of_a_tile(url: str, published: Path, disk: Path, grid: Grid) -> str:
    request = TileRequest(TileYear(YEAR, TILE))
    try:
        with work_folder(disk) as work:
            return process_tile(request, Workplace(url, FileTarget(published), work, grid=grid)).state
    except MosaicError as error:
        return type(error).__name__


def test_a_folder_that_can_not_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), work_folder(tmp_path / "file" / "below"):
        pass
