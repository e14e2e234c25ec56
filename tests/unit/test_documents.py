"""Links of the documentation: each leads to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt

from alos_mosaic.runbook import anchor

REPOSITORY: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "local/fidelity.md"]
)


@cache
def tokens(path: Path) -> list[tuple[str, str]]:
    """Return what a page links to, as ("link", href), and its headings, as ("heading", anchor)."""
    found, heading = [], False
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8")):
        if token.type == "inline" and heading:
            found.append(("heading", anchor("".join(child.content for child in token.children or ()))))
        heading = token.type == "heading_open"
        links = (child.attrs["href"] for child in token.children or () if child.type == "link_open")
        found += [("link", str(href)) for href in links]
    return found


def broken(path: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere in this repository."""
    for kind, href in tokens(path):
        if kind != "link" or re.match("[a-z]+:", href):
            continue
        name, _, fragment = href.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (fragment and ("heading", fragment) not in tokens(target)):
            yield href


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_no_link_is_broken(path: Path) -> None:
    assert list(broken(path)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `heading` of two\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-heading-of-two) [b](there.md#no) [c](gone.md) [d](#page)\n\n| t |\n|---|\n| [e](no) |\n"
    )
    assert list(broken(page)) == ["there.md#no", "gone.md", "#page", "no"]
