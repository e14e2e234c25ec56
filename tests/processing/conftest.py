"""A mirror of tiny synthetic archives, and a place to work in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alos_mosaic.grid import Grid
from alos_mosaic.processing import download
from alos_mosaic.processing.pipeline import Workplace
from alos_mosaic.processing.publish import FileTarget


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try broken transfers again at once."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """An empty mirror of the server."""
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder things are published to."""
    return tmp_path / "published"


@pytest.fixture
def place(tmp_path: Path, mirror: Path, published: Path, grid: Grid) -> Callable[[], Workplace]:
    """Make workplaces between the mirror and the folder, each with a fresh scratch folder."""
    made = 0

    def make() -> Workplace:
        nonlocal made
        made += 1
        work = tmp_path / f"work-{made}"
        work.mkdir()
        return Workplace(mirror.as_uri(), FileTarget(published), work, grid=grid)

    return make
