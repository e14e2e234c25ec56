"""The command ``alos-mosaic``: a thin skin over the package."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

import alos_mosaic
from alos_mosaic.cli import inventory
from alos_mosaic.cli.console import Commands
from alos_mosaic.cli.destroy import destroy
from alos_mosaic.cli.doctor import doctor
from alos_mosaic.cli.failures import failures, logs
from alos_mosaic.cli.plan import plan
from alos_mosaic.cli.process import process
from alos_mosaic.cli.published import catalogue, show, validate
from alos_mosaic.cli.reconcile import reconcile
from alos_mosaic.cli.report import report
from alos_mosaic.cli.run import redrive, resume, run
from alos_mosaic.cli.selection import ProductOption
from alos_mosaic.cli.status import runs, status
from alos_mosaic.messages import RunRequest
from alos_mosaic.seeding import tiles_to_seed
from alos_mosaic.settings import DEFAULT_REGION

app = typer.Typer(
    cls=Commands,
    help="JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(inventory.app, name="inventory")
for command in (
    plan, run, status, runs, failures, redrive, resume, logs, report,
    reconcile, validate, show, catalogue, doctor, destroy, process,
):  # fmt: skip
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(alos_mosaic.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data."""


@app.command()
def tiles(
    years: Annotated[str, typer.Option(help="Years, separated by commas.")],
    region: Annotated[str | None, typer.Option(help=f"A named region; {DEFAULT_REGION} if nothing is chosen.")] = None,
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.")] = None,
    product: ProductOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects with year and tile.")] = False,
) -> None:
    """List the tiles that a run over a selection would seed: those that JAXA publishes, as far as is known.

    Example: alos-mosaic tiles --years 2020 --region africa
    """
    given: dict[str, Any] = {"years": years.split(",")}
    given |= {} if product is None else {"product": product}
    given |= {} if region is None else {"region": region}
    given |= {} if bbox is None else {"bbox": [_number(text) for text in bbox.split(",")]}
    listed = tiles_to_seed(RunRequest.from_input(given, DEFAULT_REGION))
    if as_json:
        typer.echo(json.dumps([tile_year.to_dict() for tile_year in listed]))
        return
    for tile_year in listed:
        typer.echo(f"{tile_year.year}/{tile_year.tile}")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
