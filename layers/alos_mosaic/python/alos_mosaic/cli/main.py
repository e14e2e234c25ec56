"""The command ``alos-mosaic``: a thin skin over the package."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any, Final

import typer

import alos_mosaic
from alos_mosaic.cli import inventory
from alos_mosaic.cli.catalogue import catalogue
from alos_mosaic.cli.console import NOTHING_TO_DO, Commands, JsonOption, fail, print_json, register
from alos_mosaic.cli.destroy import destroy
from alos_mosaic.cli.doctor import doctor
from alos_mosaic.cli.failures import failures
from alos_mosaic.cli.logs import logs
from alos_mosaic.cli.plan import plan
from alos_mosaic.cli.process import process
from alos_mosaic.cli.published import show, validate
from alos_mosaic.cli.reconcile import reconcile
from alos_mosaic.cli.report import report
from alos_mosaic.cli.run import redrive, resume, run
from alos_mosaic.cli.selection import selecting_without_mode
from alos_mosaic.cli.status import runs, status
from alos_mosaic.messages import RunRequest
from alos_mosaic.seeding import none_of, tiles_to_try
from alos_mosaic.settings import DEFAULT_REGION

_DEBUG: Final = "--debug"


class _Desk(Commands):
    """The command itself, which takes ``--debug`` wherever it stands: whoever adds it has the rest typed already."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words behind the command's name."""
        if _DEBUG in args:
            args = [_DEBUG, *(word for word in args if word != _DEBUG)]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Desk,
    help="JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,  # frames only where somebody looks
)
app.add_typer(inventory.app, name="inventory", short_help=inventory.app.info.help)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(alos_mosaic.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[  # noqa: ARG001 - its callback ends the command
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            _DEBUG, help="Show where an error came from, and what is logged on the way; also behind a command's name."
        ),
    ] = False,
) -> None:
    """JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data."""
    if debug:
        logging.basicConfig(level=logging.INFO)
    else:
        logging.getLogger(alos_mosaic.__name__).addHandler(logging.NullHandler())  # commands tell what matters


@selecting_without_mode
def tiles(selected: dict[str, Any], as_json: Annotated[bool, JsonOption] = False) -> None:
    """List the tiles that a run over a selection would seed: those that JAXA publishes, as far as is known.

    Nobody is asked, no deployment either: without a place it is the whole globe. Exits with 3 if there is no such tile,
    and with 2 if the options make no sense.

    Example: alos-mosaic tiles --years 2020 --region africa
    """
    request = RunRequest.from_input(selected, DEFAULT_REGION)
    listed = tiles_to_try(request)
    if as_json:
        print_json([tile_year.to_dict() for tile_year in listed])
    else:
        for tile_year in listed:
            typer.echo(f"{tile_year.year}/{tile_year.tile}")
    if not listed:
        fail(f"{none_of(request)}; name them in --tiles to have them tried all the same", NOTHING_TO_DO)


register(
    app, plan, run, status, runs, failures, redrive, resume, logs, report,
    reconcile, validate, show, catalogue, doctor, destroy, process, tiles,
)  # fmt: skip
