"""What all commands share: how they print, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import errno
import inspect
import json
import re
import signal
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any, Final, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from alos_mosaic.errors import InvalidRequestError, MosaicError, plain

JsonOption: Final = typer.Option("--json", help="Print JSON for machines.")

_ANY_WIDTH: Final = 10_000
_SPACE_BEHIND: Final = re.compile(r" +$", re.MULTILINE)

NOTHING_TO_DO: Final = 3
"""Exit code of a plan that would start nothing."""

BROKEN_OFF: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

errors: Final = Console(stderr=True, highlight=False, soft_wrap=True)

_NEXT_STEPS: Final = {
    "NoCredentialsError": "name a profile (--profile or AWS_PROFILE) or log in, as for the AWS CLI",
    "PartialCredentialsError": "name a profile (--profile or AWS_PROFILE) or log in, as for the AWS CLI",
    "ProfileNotFound": "`aws configure list-profiles` shows those there are",
    "NoRegionError": "say which: --aws-region eu-central-1, or AWS_REGION",
    "EndpointConnectionError": "is the region right, and the network there?",
    "UnauthorizedSSOTokenError": "log in again: aws sso login",
    "SSOTokenLoadError": "log in again: aws sso login",
    "ExpiredToken": "log in again",
    "ExpiredTokenException": "log in again",
    "AccessDenied": "these credentials lack the right; see docs/operations.md",
    "AccessDeniedException": "these credentials lack the right; see docs/operations.md",
}


class Commands(TyperGroup):
    """A group of commands that end with one sentence when they can't go on; ``--debug`` shows where that was."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and turn what is expected to go wrong at times into a sentence."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or _is_the_commands_own(error):
                raise
            fail(spelt(error) if _is_expected(error) else _unforeseen(error))
        except KeyboardInterrupt as error:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C does not wait for threads to end
            fail(str(error) or "broken off", BROKEN_OFF)


def register(app: typer.Typer, *commands: Callable[..., None]) -> None:
    """Add commands to a group; its list of them has the whole first sentence of each, where typer would cut it."""
    for command in commands:
        paragraph = (inspect.getdoc(command) or "").partition("\n\n")[0]
        app.command(short_help=" ".join(paragraph.split()))(command)


def _is_the_commands_own(error: Exception) -> bool:
    """Tell whether an error is a way in which commands end: a wrong option, an exit, output that nobody reads."""
    is_unread = isinstance(error, OSError) and error.errno == errno.EPIPE
    return is_unread or type(error).__module__.split(".")[0] in ("typer", "click")


def _is_expected(error: Exception) -> bool:
    """Tell whether an error is ours or AWS'; botocore takes a third of a second to import, so it is told by name."""
    return isinstance(error, MosaicError | OSError) or type(error).__module__.split(".")[0] == "botocore"


def _unforeseen(error: Exception) -> str:
    return (
        f"this should not happen, {type(error).__name__}: {error}; `alos-mosaic --debug` with the same command shows "
        "where it came from, for a report of the defect"
    )


def spelt(error: Exception) -> str:
    """Return an error as a sentence with the next step, where one is known of it or of what it came from."""
    step, cause = _next_step(error), error.__cause__
    while step is None and cause is not None:
        step, cause = _next_step(cause), cause.__cause__
    text = str(error).strip().rstrip(".")
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return f"{text}; {step}" if step else text


def _next_step(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    code = response["Error"].get("Code", "") if isinstance(response, dict) and "Error" in response else ""
    return _NEXT_STEPS.get(code) or _NEXT_STEPS.get(type(error).__name__)


def fail(sentence: str, code: int = 1) -> NoReturn:
    """Say why a command ends, and end it."""
    errors.print(f"alos-mosaic: {plain(sentence)}", style="red", markup=False)
    raise typer.Exit(code)


def ask(yes: bool, question: str) -> None:
    """Ask a person, and end the command if the answer is no; without one at the keyboard only ``--yes`` will do."""
    if yes:
        return
    if not is_anybody_there():
        raise InvalidRequestError("nobody is there to be asked: say --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def is_anybody_there() -> bool:
    """Tell whether a person can answer."""
    return sys.stdin.isatty()


def out() -> Console:
    """Return the console for results: where nobody looks, scripts and logs get whole lines, without space behind."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=_ANY_WIDTH, file=cast("IO[str]", _WholeLines()))


class _WholeLines:
    """Standard output, without the space that fills table cells up to the end of a line."""

    encoding = property(lambda _: sys.stdout.encoding)

    def isatty(self) -> bool:
        """Return False: it is for what is no terminal."""
        return False

    def write(self, text: str) -> int:
        """Write whole lines, which is what a console prints."""
        return sys.stdout.write(_SPACE_BEHIND.sub("", text))

    def flush(self) -> None:
        """Flush standard output."""
        sys.stdout.flush()


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return a plain table; columns in ``right`` hold numbers."""
    made = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_facts(console: Console, facts: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print names, each with a text beside it that keeps to its column; in whole lines where nobody looks."""
    pairs = [(" " * indent + name, text) for name, text in facts]
    width = max((len(name) for name, _ in pairs), default=0)
    if not console.is_terminal:
        for name, text in pairs:
            console.print(f"{name:<{width}}  {text}", markup=False, soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=width, no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(name, Text(text))
    console.print(grid)


def print_json(value: Any) -> None:
    """Print a value for machines."""
    typer.echo(json.dumps(value, indent=2, default=str))


def numbers_of(text: str | None, name: str) -> list[float] | None:
    """Return comma-separated numbers; :class:`InvalidRequestError` names what is none."""
    return None if text is None else [_number(part, name) for part in text.split(",")]


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidRequestError(f"{name} holds {text!r}, which is no number") from error
