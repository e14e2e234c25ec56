"""``alos-mosaic validate``, ``show`` and ``catalogue``: what is published, looked at and listed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.doctor import print_checks
from alos_mosaic.cli.output import Output, on_output
from alos_mosaic.cli.source import s3_client
from alos_mosaic.errors import InvalidRequestError, OutputError, shown
from alos_mosaic.naming import THUMBNAIL
from alos_mosaic.processing.checks import Verdict
from alos_mosaic.processing.publish import Target, open_target

if TYPE_CHECKING:
    from alos_mosaic.processing.cataloguing import Catalogued
    from alos_mosaic.processing.validation import PublishedPlace

_SHOWN: Final = 20
"""Items named of those left out."""

UriArgument = Annotated[str, typer.Argument(help="A tile's folder, its item, or any file of it: s3:// or file:///.")]


def validate(uri: UriArgument, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Check a published tile down to every byte: schemas, checksums, COGs, grid.

    Schemas of STAC extensions lie on the web; without it they are left out, and that is said. Exits with 0 if nothing
    is wrong, else with 1.

    Example: alos-mosaic validate file:///mosaics/alos_palsar_mosaic/2020/N25W165
    """
    from alos_mosaic.processing.pipeline import work_folder  # noqa: PLC0415 - GDAL and pystac load slowly
    from alos_mosaic.processing.validation import validate_tile  # noqa: PLC0415

    place, target = _opened(uri)
    with work_folder(Path(tempfile.gettempdir())) as work:
        checks = validate_tile(place, target, work)
    failed = sum(check.verdict is Verdict.FAILED for check in checks)
    if as_json:
        print_json({"uri": uri, "valid": not failed, "checks": [check.to_dict() for check in checks]})
    else:
        console = out()
        print_checks(tuple(check for check in checks if check.verdict is not Verdict.SKIPPED), console)
        skipped = [check for check in checks if check.verdict is Verdict.SKIPPED]
        if skipped:
            console.print(
                f"\n{len(skipped)} of {len(checks)} checks were skipped, like that of {skipped[0].name}: "
                f"{skipped[0].detail}",
                markup=False,
                soft_wrap=True,
            )
        verdict = f"{failed} of {len(checks)} checks failed." if failed else "Nothing is wrong with it."
        console.print(f"\n{verdict}", style="red" if failed else "green")
    raise typer.Exit(1 if failed else 0)


def show(
    uri: UriArgument,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; by default it is opened.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Open a published tile's quicklook, or write it to a file.

    Example: alos-mosaic show s3://bucket/alos_palsar_mosaic/2020/N10E010 --to N10E010.webp
    """
    from alos_mosaic.processing.validation import read_item  # noqa: PLC0415 - GDAL and pystac load slowly

    place, target = _opened(uri)
    item = read_item(target, place)
    asset = item.get("assets", {}).get(THUMBNAIL)
    if asset is None:
        raise InvalidRequestError(f"{target.uri(place.item_key)} has no quicklook; mode metadata-only makes one")
    name = str(asset["href"]).removeprefix("./")
    content = target.read(f"{place.item_key.rpartition('/')[0]}/{name}")
    if content is None:
        raise InvalidRequestError(f"{name} is missing; alos-mosaic validate says what else is")
    path = to or Path(tempfile.gettempdir()) / name
    path.write_bytes(content)
    if as_json:
        print_json({"quicklook": str(path), "bbox": item.get("bbox"), "properties": item.get("properties")})
        return
    typer.echo(f"{path}: {item.get('properties', {}).get('title', name)}")
    if to is None:
        typer.launch(str(path))


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


def _opened(uri: str) -> tuple[PublishedPlace, Target]:
    from alos_mosaic.processing.validation import PublishedPlace  # noqa: PLC0415 - GDAL and pystac load slowly

    place = PublishedPlace.from_uri(uri)
    return place, open_target(place.root, s3_client(place.root))
