"""Deadlines, and what becomes of work that misses one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from alos_mosaic.errors import CorruptArchiveError, DeadlineExceededError
from alos_mosaic.processing import deadline
from alos_mosaic.processing.deadline import end_if_overdue, run_within


def test_work_that_is_done_in_time_returns_or_raises_as_it_is() -> None:
    assert run_within(10, lambda: 5) == 5

    def fail() -> None:
        raise CorruptArchiveError("as it is")

    with pytest.raises(CorruptArchiveError, match="as it is"):
        run_within(10, fail)

    def time_out() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        run_within(10, time_out)
    end_if_overdue()


def test_work_that_hangs_ends_by_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_overdue", [])
    go_on = threading.Event()
    start = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="not done after 0 s"):
        run_within(0.1, go_on.wait)
    assert time.monotonic() - start < 5
    (thread,) = deadline._overdue
    go_on.set()
    thread.join()
    end_if_overdue()  # it has ended in the meantime: nothing to be afraid of


def test_a_process_whose_earlier_work_hangs_ends() -> None:
    code = """
        import threading
        from alos_mosaic.processing.deadline import end_if_overdue, run_within
        try:
            run_within(0.1, threading.Event().wait)
        except Exception as error:
            print(type(error).__name__, flush=True)
        end_if_overdue()
        print("still here")
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (70, "DeadlineExceededError\n")
