"""Buffers: used again, bounded, and what waits comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from alos_mosaic.errors import OutputError
from alos_mosaic.processing.buffers import Buffers


def test_a_buffer_that_was_given_back_is_used_again() -> None:
    buffers = Buffers()
    first = buffers.take(100)
    assert len(first) == 100
    buffers.give_back(first)
    assert buffers.take(50) is not first
    assert buffers.take(100) is first
    assert buffers.idle_bytes == 0


def test_of_what_is_idle_only_so_much_is_kept_whatever_its_sizes() -> None:
    buffers = Buffers(idle_limit_bytes=1000)
    for size in range(300, 400):
        buffers.give_back(bytearray(size))
        assert buffers.idle_bytes <= 1000
    assert buffers.idle_bytes == 398 + 399
    buffers.drop()
    assert buffers.idle_bytes == 0
    buffers.give_back(bytearray(999))
    assert buffers.idle_bytes == 999


def test_what_waits_stays_in_memory_up_to_the_limit_and_lies_in_files_beyond(tmp_path: Path) -> None:
    buffers = Buffers(waiting_limit_bytes=250)
    contents = [bytearray([number]) * 100 for number in range(5)]
    parked = [buffers.park(content, tmp_path) for content in contents]
    assert [len(each.content) for each in parked] == [100, 100, 0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 3
    for number in (3, 0, 4, 2, 1):
        assert buffers.unpark(parked[number]) == bytearray([number]) * 100
    assert list(tmp_path.iterdir()) == []
    again = buffers.park(bytearray(250), tmp_path)
    assert again.path is None, "what was taken out leaves room for others"


def test_files_of_what_waited_are_read_into_buffers_that_are_there(tmp_path: Path) -> None:
    buffers = Buffers(waiting_limit_bytes=0)
    content = bytearray(b"x" * 100)
    parked = buffers.park(content, tmp_path)
    assert buffers.idle_bytes == 100
    assert buffers.unpark(parked) is content
    assert buffers.idle_bytes == 0


def test_a_disk_that_takes_or_gives_nothing_is_an_output_error(tmp_path: Path) -> None:
    buffers = Buffers(waiting_limit_bytes=0)
    with pytest.raises(OutputError, match="can't write waiting-1"):
        buffers.park(bytearray(10), tmp_path / "gone")
    parked = buffers.park(bytearray(10), tmp_path)
    assert parked.path is not None
    parked.path.write_bytes(b"short")
    with pytest.raises(OutputError, match="waiting-2 has lost bytes behind 5"):
        buffers.unpark(parked)
    with pytest.raises(OutputError, match="can't read waiting-2"):
        buffers.unpark(parked)
