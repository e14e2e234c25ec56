"""The documentation: its links lead to what is there, and its commands are the command's own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

from alos_mosaic.cli.main import app
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


COMMANDS: Final = typer.main.get_command(app)
_COMMAND: Final = re.compile(r"^(?:\$ )?(?:\S+/)?alos-mosaic (.+)$", re.MULTILINE)


def _code(tokens: list[Token]) -> Iterator[str]:
    """Yield the code of a page: blocks, and what stands in lines."""
    for token in tokens:
        if token.type in ("fence", "code_inline"):
            yield token.content
        yield from _code(token.children or [])


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words behind ``alos-mosaic`` wherever a page shows it with any, without placeholders' brackets."""
    for code in _code(MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8"))):
        for line in _COMMAND.findall(code.replace("\\\n", " ")):
            yield shlex.split(re.sub("[<>]|\\.\\.\\.", "", line), comments=True)


def unknown(words: list[str]) -> list[str]:
    """Return what of a command's words is no command or no option of it."""
    at = COMMANDS
    for word in words:
        if word.startswith("-"):
            name = word.partition("=")[0]
            if name not in {each for option in at.params for each in option.opts} | {"--help"}:
                return [name]
        elif isinstance(at, typer.core.TyperGroup):
            if word not in at.commands:
                return [word]
            at = at.commands[word]
    return []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_commands_are_there_with_their_options(path: Path) -> None:
    assert [shlex.join(words) for words in commands(path) if unknown(words)] == []


def test_a_wrong_command_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`alos-mosaic fly` and `alos-mosaic status <run>`\n\n```sh\n.venv/bin/alos-mosaic run --years 2020 \\\n"
        "    --yeah  # no\nalos-mosaic inventory refresh --date 2021-04\n```\n\n"
        "```console\n$ alos-mosaic plan --htm x\n```\n"
    )
    found = {words[0]: unknown(words) for words in commands(page)}
    assert found == {"fly": ["fly"], "status": [], "run": ["--yeah"], "inventory": [], "plan": ["--htm"]}
