"""``alos-mosaic process``: one tile of one year, on this machine."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Final

import typer

from alos_mosaic.advice import ADVICE_HERE
from alos_mosaic.bands import BACKSCATTER_OVERVIEWS, backscatter_resampling
from alos_mosaic.cli.console import JsonOption, errors, out, print_json, table
from alos_mosaic.cli.selection import ModeOption
from alos_mosaic.cli.source import (
    AllowPlainLoginOption,
    RequesterPaysOption,
    SourceOption,
    extra_layouts,
    s3_client,
    source_access,
)
from alos_mosaic.cli.tile_line import TileLine
from alos_mosaic.errors import plain
from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State, TileResult
from alos_mosaic.settings import CODECS, DEFAULT_SOURCE_URI

EXIT_CODES: Final = {State.PUBLISHED: 0, State.SKIPPED: 0, State.FAILED: 1, State.ABSENT: 3}
"""Scripts rely on these; 2 is a usage error, as everywhere."""


def process(
    context: typer.Context,
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
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Process one tile of one year, with no AWS but where --to says so.

    Exits with 0 for published and skipped, 3 for absent, 1 for failed. A user and password for the source are read
    from ALOS_MOSAIC_SOURCE_USERNAME and ALOS_MOSAIC_SOURCE_PASSWORD, layouts to try ahead of the table's (JSON) from
    ALOS_MOSAIC_EXTRA_LAYOUTS.

    Example: alos-mosaic process 2020/N25W165 --source file:///mirror --to file:///mosaics
    """
    from alos_mosaic.processing.blocks import codec_of  # noqa: PLC0415 - these load slowly
    from alos_mosaic.processing.mirror import open_mirror  # noqa: PLC0415
    from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder  # noqa: PLC0415
    from alos_mosaic.processing.progress import TileProgress  # noqa: PLC0415
    from alos_mosaic.processing.publish import open_target  # noqa: PLC0415

    tile_year, progress = TileYear.from_text(tile), TileProgress()
    is_debugged = bool(context.find_root().params.get("debug"))
    try:
        request = TileRequest(tile_year, mode, product=product, accept_partial=accept_partial)
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
                progress=progress,
            )
            with TileLine(request, progress, wanted=not (as_json or is_debugged)):
                result = process_tile(request, place)
    except Exception as error:  # noqa: BLE001 - whatever ends it, there is a result
        if is_debugged:
            traceback.print_exception(error)
        result = _failure(tile_year, error)
    except KeyboardInterrupt:
        when = "while it was being published" if progress.stage == "publish" else "and is not published"
        raise KeyboardInterrupt(f"{tile} was broken off {when}; the same command begins anew") from None
    _print_result(result, as_json)
    raise typer.Exit(EXIT_CODES[result.state])


def _failure(tile_year: TileYear, error: Exception) -> TileResult:
    name = type(error).__name__
    return TileResult(State.FAILED, tile_year.year, tile_year.tile.name, error=name, cause=plain(str(error)))


def _print_result(result: TileResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_dict())
        return
    name = f"{result.year}/{result.tile}"
    if result.state is State.FAILED:
        errors.print(f"alos-mosaic: {name} failed, {result.error}: {result.cause}", style="red", markup=False)
        if result.error in ADVICE_HERE:
            errors.print(f"To do: {ADVICE_HERE[result.error]}", markup=False)
        return
    if result.state is State.ABSENT:
        typer.echo(f"{name} is absent: {result.cause}")
        return
    typer.echo(f"{name} {result.state}: {result.item_uri}")
    if result.state is State.PUBLISHED:
        shown = table("stage", "seconds", right=("seconds",))
        for stage, seconds in result.seconds.items():
            shown.add_row(stage, f"{seconds:.1f}")
        out().print(shown)
        typer.echo(f"{len(result.cells)} of 25 cells, {result.output_bytes / 1e6:.1f} MB")
        if result.archives_not_kept:
            errors.print(f"archives not kept: {result.archives_not_kept}", style="red", markup=False)
        if result.defective_cells:
            errors.print(f"left out, being defective at the source: {', '.join(result.defective_cells)}", style="red")
