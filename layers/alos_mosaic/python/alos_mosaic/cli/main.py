"""The command ``alos-mosaic``: a thin skin over the package."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

import alos_mosaic
from alos_mosaic.bands import BACKSCATTER_OVERVIEWS, backscatter_resampling
from alos_mosaic.cli import inventory
from alos_mosaic.cli.console import Commands, errors
from alos_mosaic.cli.destroy import destroy
from alos_mosaic.cli.doctor import doctor
from alos_mosaic.cli.failures import failures, logs
from alos_mosaic.cli.plan import plan
from alos_mosaic.cli.published import catalogue, show, validate
from alos_mosaic.cli.reconcile import reconcile
from alos_mosaic.cli.report import report
from alos_mosaic.cli.run import redrive, resume, run
from alos_mosaic.cli.selection import ModeOption, ProductOption
from alos_mosaic.cli.source import (
    AllowPlainLoginOption,
    RequesterPaysOption,
    SourceOption,
    extra_layouts,
    s3_client,
    source_access,
)
from alos_mosaic.cli.status import runs, status
from alos_mosaic.messages import Mode, RunRequest, TileRequest, TileYear
from alos_mosaic.processing.blocks import codec_of
from alos_mosaic.processing.mirror import open_mirror
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import open_target
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State, TileResult
from alos_mosaic.seeding import tiles_to_seed
from alos_mosaic.settings import CODECS, DEFAULT_REGION, DEFAULT_SOURCE_URI

EXIT_CODES: Final = {State.PUBLISHED: 0, State.SKIPPED: 0, State.FAILED: 1, State.ABSENT: 3}
"""Scripts rely on these; 2 is a usage error, as everywhere."""

app = typer.Typer(
    cls=Commands,
    help="JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(inventory.app, name="inventory")
app.command()(doctor)
for command in (
    plan, run, status, runs, failures, redrive, resume, logs, report, reconcile, validate, show, catalogue, destroy,
):  # fmt: skip
    app.command()(command)
logger = logging.getLogger(__name__)


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
def process(
    tile: Annotated[str, typer.Argument(help="Year and tile, like 2020/N25W165.")],
    to: Annotated[str, typer.Option(help="Where to publish: s3://bucket/folder or file:///folder.")],
    source: SourceOption = DEFAULT_SOURCE_URI,
    work: Annotated[Path | None, typer.Option(help="Folder for scratch files; a folder is made in it.")] = None,
    mode: ModeOption = Mode.SKIP,
    allow_plain_login: AllowPlainLoginOption = False,
    requester_pays: RequesterPaysOption = False,
    product: Annotated[
        str | None, typer.Option(help=f"{FOREST_PRODUCT}, or nothing for the year's own mosaic.")
    ] = None,
    accept_partial: Annotated[
        bool, typer.Option("--accept-partial", help="Publish without cells that are defective at the source.")
    ] = False,
    backscatter_overviews: Annotated[
        str, typer.Option(help=f"How overviews of HH and HV are made: {' or '.join(BACKSCATTER_OVERVIEWS)}.")
    ] = BACKSCATTER_OVERVIEWS[0],
    codec: Annotated[str, typer.Option(help=f"How COGs are compressed: {' or '.join(CODECS)}.")] = CODECS[0],
    keep_archives_in: Annotated[
        str | None, typer.Option(help="Mirror to keep raw archives in: s3://bucket/folder or file:///folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Process one tile of one year, with no AWS but where --to says so.

    Exits with 0 for published and skipped, 3 for absent, 1 for failed. A user and password for the source are read
    from ALOS_MOSAIC_SOURCE_USERNAME and ALOS_MOSAIC_SOURCE_PASSWORD, layouts to try ahead of the table's (JSON) from
    ALOS_MOSAIC_EXTRA_LAYOUTS.

    Example: alos-mosaic process 2020/N25W165 --source file:///mirror --to file:///mosaics
    """
    try:
        request = TileRequest(TileYear.from_text(tile), mode, product=product, accept_partial=accept_partial)
        target = open_target(to, s3_client(to))
        with work_folder(work or Path(tempfile.gettempdir())) as folder:
            access = source_access(source, allow_plain_login, requester_pays)
            place = Workplace(
                source,
                target,
                folder,
                access,
                extra_layouts=extra_layouts(),
                backscatter_overviews=backscatter_resampling(backscatter_overviews),
                codec=codec_of(codec),
                mirror=open_mirror(keep_archives_in, s3_client(keep_archives_in)) if keep_archives_in else None,
            )
            result = process_tile(request, place)
    except Exception as error:
        logger.debug("Tile failed", exc_info=error)
        result = _failure(tile, error)
    _print_result(result, as_json)
    raise typer.Exit(EXIT_CODES[result.state])


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


def _failure(tile: str, error: Exception) -> TileResult:
    year, _, name = tile.partition("/")
    number = int(year) if re.fullmatch("[0-9]{4}", year) else 0
    return TileResult(State.FAILED, number, name, error=type(error).__name__, cause=str(error))


def _print_result(result: TileResult, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return
    name = f"{result.year}/{result.tile}"
    if result.state is State.FAILED:
        errors.print(f"alos-mosaic: {name} failed, {result.error}: {result.cause}", style="red", markup=False)
        return
    if result.state is State.ABSENT:
        typer.echo(f"{name} is absent: {result.cause}")
        return
    typer.echo(f"{name} {result.state}: {result.item_uri}")
    if result.state is State.PUBLISHED:
        table = Table("stage", "seconds", box=None)
        for stage, seconds in result.seconds.items():
            table.add_row(stage, f"{seconds:.1f}")
        Console().print(table)
        typer.echo(f"{len(result.cells)} of 25 cells, {result.output_bytes / 1e6:.1f} MB")
        if result.archives_not_kept:
            errors.print(f"archives not kept: {result.archives_not_kept}", style="red", markup=False)
        if result.defective_cells:
            errors.print(f"left out, being defective at the source: {', '.join(result.defective_cells)}", style="red")
