"""``alos-mosaic catalogue``: static STAC and tables over all that is published."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.output import Output, on_output
from alos_mosaic.errors import InvalidRequestError, OutputError, shown

if TYPE_CHECKING:
    from alos_mosaic.processing.cataloguing import Catalogued

_SHOWN: Final = 20
"""Items named of those left out."""


@on_output
def catalogue(output: Output, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Write static STAC catalogs and tables (stac-geoparquet) over all that is published.

    Years that have not changed are left alone, so it may follow every run; those that are gone are removed. Items that
    make no sense are named and left out, and it exits with 1. Needs rustac, the package's extra "catalogue": pip
    install 'rustac>=0.9.18,<0.10'.

    Example: alos-mosaic catalogue --to s3://bucket
    """
    from alos_mosaic.processing import catalogs, cataloguing  # noqa: PLC0415 - GDAL and pystac load slowly
    from alos_mosaic.processing.pipeline import work_folder  # noqa: PLC0415

    with work_folder(Path(tempfile.gettempdir())) as work:
        done = cataloguing.catalogue(output.target, work, _write_table)
    if as_json:
        print_json(
            {
                "catalog": output.target.uri(catalogs.ROOT_KEY),
                "years": [year.to_dict() for year in done.years],
                "left_out": [each.to_dict() for each in done.left_out],
            }
        )
    else:
        _print_catalogued(done, output.target.uri(catalogs.ROOT_KEY))
    raise typer.Exit(1 if done.left_out else 0)


def _print_catalogued(done: Catalogued, root: str) -> None:
    console = out()
    years = table("product", "year", "items", "", right=("items",))
    for year in done.years:
        years.add_row(year.product, str(year.year), f"{year.items:,}", year.change.value)
    if done.years:
        console.print(years)
    if not any(year.items for year in done.years):
        console.print("Nothing that is published can be listed; the catalogue is empty.")
    if done.left_out:
        console.print(f"\n{len(done.left_out):,} left out:", style="red")
        for each in done.left_out[:_SHOWN]:
            console.print(f"  {each.uri} {each.reason}", markup=False, soft_wrap=True)
        if len(done.left_out) > _SHOWN:
            console.print(f"  and {len(done.left_out) - _SHOWN:,} more; --json has them all", style="dim")
    console.print(f"\n{root}", markup=False, soft_wrap=True)


def _write_table(items: list[dict[str, Any]], path: Path) -> None:
    try:
        import rustac  # noqa: PLC0415 - an extra, and large
    except ModuleNotFoundError as error:
        raise InvalidRequestError(
            "tables need rustac, the package's extra \"catalogue\": pip install 'rustac>=0.9.18,<0.10'"
        ) from error
    try:
        rustac.write_sync(str(path), items)
    except Exception as error:  # rustac lets out whatever its Rust raises, bare Exception included
        raise OutputError(shown(str(error))) from error
