"""The page of commands: every command and every option of them, whatever they are by now."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from alos_mosaic.cli.main import app
from local.command_reference import reference


@pytest.fixture(scope="module")
def page() -> str:
    return reference()


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield f"{path} {name}", each
        yield from commands(each, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app), "alos-mosaic"))


def test_there_are_commands() -> None:
    assert {"alos-mosaic process", "alos-mosaic inventory refresh"} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_is_there_with_all_that_it_takes(path: str, page: str) -> None:
    sections = {
        part.partition("`\n")[0].lstrip("# `"): part for part in page.split("\n## ") for part in part.split("\n### ")
    }
    section = html.unescape(sections[path])
    assert COMMANDS[path].help.partition("\n\n")[0].strip() in section
    for parameter in COMMANDS[path].params:
        if not getattr(parameter, "hidden", False):
            assert any(f"`{spelled}" in section for spelled in (*parameter.opts, f"{{{parameter.name}}}")), (
                parameter.name
            )


def test_lists_of_commands_are_whole_sentences_with_links(page: str) -> None:
    assert "* [`tiles`](#alos-mosaic-tiles): List the tiles that a run over a selection would seed" in page
    assert "* [`refresh`](#alos-mosaic-inventory-refresh): " in page
    assert "...\n" not in page.replace("[ARGS]...\n", "")


def test_examples_can_be_copied(page: str) -> None:
    assert "```sh\nalos-mosaic tiles --years 2020 --region africa\n```" in page
