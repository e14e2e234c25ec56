"""The commands as a page of the documentation: ``python -m local.command_reference FILE``.

Typer writes it from the command itself, so it has whatever the command has.
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_TYPER: Final = ("-m", "typer", "alos_mosaic.cli.main", "utils", "docs", "--name", "alos-mosaic", "--title", "Commands")
_EXAMPLE: Final = re.compile(r"^Example: (.+)$", re.MULTILINE)


def reference() -> str:
    """Return all commands, their arguments and options, as Markdown."""
    text = subprocess.run([sys.executable, *_TYPER], stdout=subprocess.PIPE, text=True, check=True).stdout
    # An example is to be copied, and code is no place for HTML's entities.
    return _EXAMPLE.sub(lambda found: f"Example:\n\n```sh\n{html.unescape(found[1])}\n```", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    target = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(reference(), "utf-8")
