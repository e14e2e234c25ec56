"""Opening a file in the desktop's own viewer, without a word of the programs that are tried for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import typer

_OPENER: Final = "xdg-open"
_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
_PATIENCE_SECONDS: Final = 5
"""Some viewers end at once, others stay in front: one that is still there after so long shows the file."""


def open_file(path: Path) -> bool:
    """Open a file, and tell whether a viewer was found: without a display, as over SSH, there is none."""
    if sys.platform in ("darwin", "win32"):
        return typer.launch(str(path)) == 0
    opener = shutil.which(_OPENER)
    if opener is None or not any(os.environ.get(name) for name in _DISPLAYS):
        return False
    quiet = subprocess.DEVNULL
    viewer = subprocess.Popen([opener, path], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        return viewer.wait(_PATIENCE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return True
