"""Scratch folders: of processes that are alive, of threads, and of processes that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alos_mosaic.processing.publish import FileTarget, FileToPut
from alos_mosaic.processing.scratch import scratch_folder

_TO_BE_KILLED = """
import sys, time
from pathlib import Path
from alos_mosaic.processing.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half.tif").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_fresh_and_goes_away_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert not list(folder.iterdir())
        (folder / "below").mkdir()
    assert not list(tmp_path.iterdir())


def test_a_dead_process_folder_goes_with_the_next_publication_a_live_ones_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TO_BE_KILLED, str(tmp_path)]
    (tmp_path / "file").write_bytes(b"content")
    target = FileTarget(tmp_path / "published")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        left = Path(worker.stdout.readline().strip())
        target.put(FileToPut(tmp_path / "file", "a/file", "text/plain", "x"))
        assert (left / "half.tif").is_file()
        worker.send_signal(signal.SIGKILL)
    assert (left / "half.tif").is_file()
    target.put(FileToPut(tmp_path / "file", "b/file", "text/plain", "x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "published"]
    assert target.names("a") == target.names("b") == {"file"}


def test_folders_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        with scratch_folder(tmp_path) as folder:
            (folder / "mine").write_text(str(number))
            with scratch_folder(tmp_path):
                return (folder / "mine").read_text() == str(number)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(200)))
    assert not list(tmp_path.iterdir())


def test_what_is_no_folder_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / ".alos-mosaic-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".alos-mosaic-file").touch()
    with scratch_folder(tmp_path):
        pass
    assert (tmp_path / "elsewhere" / "kept").exists()
    assert (tmp_path / ".alos-mosaic-link").is_symlink()
    assert (tmp_path / ".alos-mosaic-file").exists()


def test_a_folder_that_was_taken_for_a_dead_ones_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process comes by between a folder's making and its lock."""
    made, original = [], __import__("tempfile").mkdtemp

    def make_and_lose(**given: str) -> str:
        folder = str(original(**given))
        made.append(folder)
        if len(made) == 1:
            with scratch_folder(tmp_path):
                pass
        return folder

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkdtemp", make_and_lose)
        with scratch_folder(tmp_path) as folder:
            assert folder.is_dir()
            assert not Path(made[0]).exists()
