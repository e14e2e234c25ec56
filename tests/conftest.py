"""Fixtures that several suites share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from alos_mosaic.grid import Grid

TINY_CELL_PIXELS = 30


def pytest_configure(config: pytest.Config) -> None:
    """Let no test depend on how the suite was started.

    A shell has what it starts in the background ignore Ctrl-C, which is inherited by all commands that tests break off.
    No property fails for the time that a busy machine takes; some suites have no hypothesis.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings  # noqa: PLC0415

        settings.register_profile("untimed", deadline=None)
        settings.load_profile("untimed")


@pytest.fixture(scope="session")
def grid() -> Grid:
    """A grid of tiny cells: a tile is 150 pixels a side."""
    return Grid(TINY_CELL_PIXELS)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real data; the test skips, saying so, where there is none."""
    folder = os.environ.get("ALOS_MOSAIC_SAMPLES")
    if not folder:
        pytest.skip("real data: ALOS_MOSAIC_SAMPLES names no folder")
    return Path(folder)


@pytest.fixture(autouse=True)
def _no_aws_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from whoever's account the shell knows."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
