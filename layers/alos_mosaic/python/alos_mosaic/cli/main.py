"""The command ``alos-mosaic``: a thin skin over the package."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer

import alos_mosaic
from alos_mosaic.cli import inventory
from alos_mosaic.cli.catalogue import catalogue
from alos_mosaic.cli.console import Commands, JsonOption, numbers_of, print_json, register
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
from alos_mosaic.cli.selection import ProductOption, YearsOption, years_of
from alos_mosaic.cli.status import runs, status
from alos_mosaic.messages import RunRequest
from alos_mosaic.seeding import tiles_to_seed
from alos_mosaic.settings import DEFAULT_REGION

app = typer.Typer(
    cls=Commands,
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
        bool, typer.Option("--debug", help="Show where an error came from, and what is logged on the way.")
    ] = False,
) -> None:
    """JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data."""
    if debug:
        logging.basicConfig(level=logging.INFO)
    else:
        logging.getLogger(alos_mosaic.__name__).addHandler(logging.NullHandler())  # commands tell what matters


def tiles(
    years: YearsOption,
    region: Annotated[str | None, typer.Option(help=f"A named region; {DEFAULT_REGION} if nothing is chosen.")] = None,
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.")] = None,
    product: ProductOption = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List the tiles that a run over a selection would seed: those that JAXA publishes, as far as is known.

    Example: alos-mosaic tiles --years 2020 --region africa
    """
    given: dict[str, Any] = {"years": years_of(years)}
    given |= {} if product is None else {"product": product}
    given |= {} if region is None else {"region": region}
    given |= {} if bbox is None else {"bbox": numbers_of(bbox, "bbox")}
    listed = tiles_to_seed(RunRequest.from_input(given, DEFAULT_REGION))
    if as_json:
        print_json([tile_year.to_dict() for tile_year in listed])
        return
    for tile_year in listed:
        typer.echo(f"{tile_year.year}/{tile_year.tile}")


register(
    app, plan, run, status, runs, failures, redrive, resume, logs, report,
    reconcile, validate, show, catalogue, doctor, destroy, process, tiles,
)  # fmt: skip
