"""What holds for every command: help with an example that can be typed, JSON, errors that are a sentence."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner, Result

from alos_mosaic.cli.main import app
from alos_mosaic.errors import InvalidRequestError

ROOT = "alos-mosaic"
COMMAND = shutil.which(ROOT, path=str(Path(sys.executable).parent))
NEEDS_NO_AWS = {"process", "tiles", "doctor", "validate", "show", "inventory show", "inventory refresh"}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in command.commands.items():
        full = f"{path} {name}".strip()
        yield from leaves(each, full) if hasattr(each, "commands") else [(full, each)]


COMMANDS = dict(leaves(typer.main.get_command(app)))
ON_AWS = sorted(set(COMMANDS) - NEEDS_NO_AWS)


def invoke(*arguments: str, **environment: str | None) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


def example_of(path: str) -> list[str]:
    """Return the arguments of the example in a command's help, without the command's own name."""
    text = re.sub(r"\s+", " ", COMMANDS[path].help)
    _, found, example = text.partition(f"Example: {ROOT} {path}")
    assert found, f"the help of {path} has no example"
    return shlex.split(example)


def test_all_commands_are_looked_at() -> None:
    assert set(COMMANDS) >= NEEDS_NO_AWS
    assert {"plan", "run", "status", "redrive", "catalogue", "destroy"} <= set(ON_AWS)


@pytest.mark.parametrize("path", COMMANDS)
def test_help_has_an_example_that_the_command_takes(path: str) -> None:
    shown = invoke(*path.split(), "--help")
    assert shown.exit_code == 0
    assert f"Example: {ROOT} {path}" in re.sub(r"\s+", " ", shown.stdout)
    COMMANDS[path].make_context(path, example_of(path))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_speaks_json(path: str) -> None:
    assert COMMANDS[path].make_context(path, [*example_of(path), "--json"]).params["as_json"] is True


@pytest.mark.parametrize("path", ["", "inventory", *COMMANDS])
def test_without_a_terminal_help_is_plain_text(path: str) -> None:
    shown = invoke(*path.split(), "--help").stdout
    assert shown.isascii(), [character for character in shown if ord(character) > 127]
    assert "\x1b" not in shown
    assert "..." not in shown.replace("[ARGS]...", ""), "no sentence is cut"


@pytest.mark.parametrize("path", COMMANDS)
def test_an_unknown_option_is_a_usage_error(path: str) -> None:
    done = invoke(*path.split(), "--nonsense")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--nonsense" in done.stderr


@pytest.mark.parametrize("path", ON_AWS)
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
            "is the region right, and the network there?",
        ),
        ({"AWS_DEFAULT_REGION": None, "AWS_REGION": None}, "say which: --aws-region eu-central-1, or AWS_REGION"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "name a profile (--profile or AWS_PROFILE) or log in, as for the AWS CLI",
        ),
        ({"AWS_PROFILE": "nope"}, "`aws configure list-profiles` shows those there are"),
    ],
)
def test_aws_out_of_reach_is_one_sentence_with_the_next_step(
    path: str, environment: dict[str, str | None], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "AWS_PROFILE" in environment:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    arguments = [word for word in example_of(path) if not word.startswith("s3://") and word != "--to"]
    done = invoke(*path.split(), *arguments, **environment)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("alos-mosaic: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def broken(kind: type[Exception]) -> typer.Typer:
    def fails() -> None:
        raise kind("it broke")

    made = typer.Typer(cls=app.info.cls, callback=app.registered_callback.callback)  # type: ignore[union-attr]
    made.command()(fails)
    return made


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (InvalidRequestError, "alos-mosaic: it broke"),
        (OSError, "alos-mosaic: it broke"),
        (ValueError, "alos-mosaic: this should not happen, ValueError: it broke; `alos-mosaic --debug`"),
    ],
)
def test_a_stack_trace_is_shown_to_whom_asks(kind: type[Exception], said: str) -> None:
    done = CliRunner().invoke(broken(kind), ["fails"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    for words in (["--debug", "fails"], ["fails", "--debug"]):
        debugged = CliRunner().invoke(broken(kind), words)
        assert isinstance(debugged.exception, kind), "which Python shows with its trace"


def test_the_trace_of_a_tile_that_fails_is_shown_to_whom_asks(tmp_path: Path) -> None:
    arguments = ("process", "1997/N10E010", "--source", tmp_path.as_uri(), "--to", (tmp_path / "out").as_uri())
    quiet, loud = invoke(*arguments), invoke("--debug", *arguments)
    assert quiet.exit_code == loud.exit_code == 1
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert "process_tile" in loud.stderr


def test_output_that_nobody_reads_on_is_no_error() -> None:
    assert COMMAND is not None
    words = f"set -o pipefail; {shlex.quote(COMMAND)} tiles --years 2020 | head -1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"2020/\w+\n", done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["st"], {"status"}),
        (["re"], {"redrive", "resume", "report", "reconcile"}),
        (["inventory", "re"], {"refresh"}),
        (["plan", "--ge"], {"--geojson", "--geojson-out"}),
        (["plan", "--mode", "re"], {"refresh"}),
        (["tiles", "--region", ""], {"africa", "global"}),
        (["run", "--region", "gl"], {"global"}),
    ],
)
def test_the_shell_completes(words: list[str], expected: set[str]) -> None:
    """By bash itself, with the function that --install-completion writes."""
    assert COMMAND is not None
    env = {**os.environ, "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    script = (
        f'eval "$(_ALOS_MOSAIC_COMPLETE=source_bash {ROOT})"; COMP_WORDS=({ROOT} {" ".join(words)}); '
        f'COMP_CWORD={len(words)}; COMPREPLY=(); $(complete -p {ROOT} | grep -o "_[a-z_]*completion") {ROOT}; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected, done.stderr
