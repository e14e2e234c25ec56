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

from alos_mosaic.runbook import anchor

NAME: Final = "alos-mosaic"
_TYPER: Final = ("-m", "typer", "alos_mosaic.cli.main", "utils", "docs", "--name", NAME, "--title", "Commands")
_EXAMPLE: Final = re.compile(r"^Example: (.+)$", re.MULTILINE)
_SECTION: Final = re.compile(rf"^#+ `{NAME} ([^`]+)`\n\n(.+?)\n\n", re.MULTILINE | re.DOTALL)
_LISTED: Final = re.compile(r"^\* `([a-z-]+)`: .*$", re.MULTILINE)


def reference() -> str:
    """Return all commands, their arguments and options, as Markdown."""
    text = subprocess.run([sys.executable, *_TYPER], stdout=subprocess.PIPE, text=True, check=True).stdout
    sentences = dict(_SECTION.findall(text))
    sections = re.split(r"^(?=##)", text, flags=re.MULTILINE)
    text = "".join(_with_links(section, sentences) for section in sections)
    # An example is to be copied, and code is no place for HTML's entities.
    return _EXAMPLE.sub(lambda found: f"Example:\n\n```sh\n{html.unescape(found[1])}\n```", text)


def _with_links(section: str, sentences: dict[str, str]) -> str:
    """Give a section's list of commands whole sentences, where Typer cuts them at 45 characters, and links."""
    named = re.match(rf"#+ `{NAME} (.+)`\n", section)
    before, title, listed = section.partition("**Commands**:\n")

    def whole(found: re.Match[str]) -> str:
        command = f"{named[1]} {found[1]}" if named else found[1]
        return f"* [`{found[1]}`](#{anchor(f'{NAME} {command}')}): {sentences[command]}"

    return before + title + _LISTED.sub(whole, listed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    target = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(reference(), "utf-8")
