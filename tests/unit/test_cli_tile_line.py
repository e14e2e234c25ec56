"""What ``process`` shows while it works, and how it ends when it is broken off."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alos_mosaic.cli.tile_line import TileLine
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.processing.progress import TileProgress
from local.archives import place_archive
from local.jaxa_server import Fault, JaxaServer

COMMAND = shutil.which("alos-mosaic", path=str(Path(sys.executable).parent))
TILE = Tile.from_name("N25W165")
NAME = f"2009/{TILE}"
_SECONDS = 60
"""The command is waited for no longer."""


@dataclass
class Clock:
    """Seconds that pass when they are told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watched:
    """A line, the progress it tells of, and its clock."""

    progress: TileProgress
    name: str = NAME
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.line = TileLine(TileRequest(TileYear.from_text(self.name)), self.progress, clock=self.clock)

    def after(self, seconds: float, received: int = 0) -> str:
        self.clock.now += seconds
        self.progress.received_bytes += received
        return self.line.said()


def test_each_stage_is_said_in_words() -> None:
    watched = Watched(TileProgress())
    said = []
    for stage in ("", "check", "gather", "describe", "keep", "publish"):
        watched.progress.stage = stage
        said.append(watched.line.said())
    assert said == [
        "beginning",
        "looking at what is published",
        "looking for the archive",
        "describing",
        "keeping the archives",
        "publishing",
    ]
    watched.progress.stage, watched.progress.bands, watched.progress.written_bands = "write", 5, 2
    assert watched.line.said() == "writing, 2 of 5 bands"


def test_a_transfer_has_its_rate_and_the_time_left() -> None:
    watched = Watched(TileProgress("gather", expected_bytes=2_000_000_000))
    assert watched.after(0) == "0 B of 2.0 GB, 0 of 6 cells"
    for _ in range(5):
        said = watched.after(1, 5_000_000)
    assert said == "25.0 MB of 2.0 GB, 5.0 MB/s, 6 min 35 s left, 0 of 6 cells"
    watched.progress.merged_cells = 1
    assert watched.after(60) == "25.0 MB of 2.0 GB, nothing for 1 min 0 s, 1 of 6 cells"
    assert watched.after(1, 1_975_000_000) == "merging, 1 of 6 cells"


def test_cells_that_no_listing_tells_of_are_counted_alone() -> None:
    watched = Watched(TileProgress("gather", expected_bytes=10, received_bytes=10, merged_cells=7), "2023/N10E010")
    assert watched.line.said() == "merging, 7 cells"


@pytest.fixture
def silent(tmp_path: Path, grid: Grid) -> Iterator[JaxaServer]:
    """A server that stops sending in the middle of the archive."""
    place_archive(tmp_path / "mirror", TILE, 2009, grid, cells=TILE.cells[:1])
    with JaxaServer(tmp_path / "mirror", faults=[Fault("RETR", at_byte=100, is_silent=True)]) as server:
        yield server


@contextmanager
def processing(
    server: JaxaServer, out: Path, stderr: int, *options: str, terminal: str = "xterm"
) -> Iterator[subprocess.Popen[str]]:
    """Start the command over the silent server's tile; leave it once the archive was asked for."""
    assert COMMAND is not None
    words = [COMMAND, "process", NAME, "--source", server.url, "--to", (out / "out").as_uri(), "--work", str(out)]
    environment = {**os.environ, "TERM": terminal, "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen(
        [*words, *options], env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(descriptor: int, words: str) -> str:
    """Return what comes from a terminal until there are such words, or the end."""
    told, until = "", time.monotonic() + _SECONDS
    while words not in told and time.monotonic() < until:
        if select.select([descriptor], [], [], 1)[0]:
            try:
                told += os.read(descriptor, 4096).decode()
            except OSError:  # nobody has the other end any more
                break
    return told


def await_transfer(server: JaxaServer) -> None:
    until = time.monotonic() + _SECONDS
    while "RETR" not in server.names() and time.monotonic() < until:
        time.sleep(0.05)


def test_a_terminal_sees_how_far_it_is_and_ctrl_c_ends_it_at_once(silent: JaxaServer, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with processing(silent, tmp_path, theirs) as process:
            os.close(theirs)
            assert f"{NAME}  100 B of " in read_until(ours, "0 of 6 cells")
            process.send_signal(signal.SIGINT)
            told = read_until(ours, "begins anew")
            stdout, _ = process.communicate(timeout=_SECONDS / 4)
    finally:
        os.close(ours)
    assert process.returncode == 130, "the source would have been silent for a minute"
    assert stdout == ""
    assert f"alos-mosaic: {NAME} was broken off and is not published; the same command begins anew" in told
    assert "Traceback" not in told
    assert {path.name for path in tmp_path.iterdir()} == {"mirror"}, "nothing is published, no scratch file left"


@pytest.mark.parametrize(("options", "terminal"), [((), None), (("--json",), "xterm"), ((), "dumb")])
def test_whoever_can_not_see_a_line_gets_none(
    silent: JaxaServer, tmp_path: Path, options: tuple[str, ...], terminal: str | None
) -> None:
    ours, theirs = os.pipe() if terminal is None else pty.openpty()
    try:
        with processing(silent, tmp_path, theirs, *options, terminal=terminal or "") as process:
            os.close(theirs)
            await_transfer(silent)
            process.send_signal(signal.SIGINT)
            told = read_until(ours, "begins anew")
            process.wait(timeout=_SECONDS / 4)
    finally:
        with suppress(OSError):
            os.close(ours)
    assert (
        told.split() == f"alos-mosaic: {NAME} was broken off and is not published; the same command begins anew".split()
    )
