"""``alos-mosaic validate``, ``show`` and ``catalogue``: what is published, looked at and listed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.deployment import AwsRegionOption, ProfileOption, StackOption, options_said
from alos_mosaic.cli.doctor import print_checks
from alos_mosaic.cli.output import Output, on_output, open_output
from alos_mosaic.cli.source import s3_client
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.checks import Verdict
from alos_mosaic.processing.publish import Target, open_target
from alos_mosaic.processing.published_place import PublishedPlace, quicklook_name, read_item
from alos_mosaic.products import PRODUCTS, product_of

UriArgument = Annotated[
    str,
    typer.Argument(
        help="A tile's folder, its item, or any file of it (s3:// or file:///); or YEAR/TILE or PRODUCT/YEAR/TILE of a "
        "deployment."
    ),
]
_OF_DEPLOYMENT: Final = re.compile(rf"(?:({'|'.join(PRODUCTS)})/)?(\d{{4}}/[NS]\d\d[EW]\d{{3}})")


def validate(
    uri: UriArgument,
    stack: StackOption = None,
    profile: ProfileOption = None,
    aws_region: AwsRegionOption = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Check a published tile down to every byte: that it is the tile of its place, its schemas, checksums, COGs, grid.

    Its pixels are held against the deployment's grid or, where a URI is given, against JAXA's, on which a tile has
    22500 x 22500. Schemas of STAC extensions lie on the web; without it they are left out, and that is said. Exits with
    0 if nothing is wrong, else with 1.

    Example: alos-mosaic validate file:///mosaics/alos_palsar_mosaic/2020/N25W165
    """
    from alos_mosaic.processing.pipeline import work_folder  # noqa: PLC0415 - GDAL and pystac load slowly
    from alos_mosaic.processing.validation import validate_tile  # noqa: PLC0415

    place, target, grid = _opened(uri, stack, profile, aws_region)
    with work_folder(Path(tempfile.gettempdir())) as work:
        checks = validate_tile(place, target, grid, work)
    failed = sum(check.verdict is Verdict.FAILED for check in checks)
    if as_json:
        print_json(
            {"uri": target.uri(place.item_key), "valid": not failed, "checks": [check.to_dict() for check in checks]}
        )
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
    stack: StackOption = None,
    profile: ProfileOption = None,
    aws_region: AwsRegionOption = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Open a published tile's quicklook, or write it to a file.

    Example: alos-mosaic show s3://bucket/alos_palsar_mosaic/2020/N10E010 --to N10E010.webp
    """
    place, target, _ = _opened(uri, stack, profile, aws_region)
    item = read_item(target, place)
    name = quicklook_name(item, place)
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

    Years that have not changed are left alone, so it may follow every run. Needs an extra, out of the repository: pip
    install './layers/alos_mosaic[catalogue]'.

    Example: alos-mosaic catalogue --to s3://bucket
    """
    from alos_mosaic.processing import cataloguing  # noqa: PLC0415 - GDAL and pystac load slowly
    from alos_mosaic.processing.pipeline import work_folder  # noqa: PLC0415

    with work_folder(Path(tempfile.gettempdir())) as work:
        done = cataloguing.catalogue(output.target, work, _write_table)
    if as_json:
        print_json({"catalog": output.target.uri(cataloguing.ROOT_KEY), "years": [year.to_dict() for year in done]})
        return
    shown = table("product", "year", "items", "", right=("items",))
    for year in done:
        shown.add_row(year.product, str(year.year), f"{year.items:,}", "written" if year.is_new else "as it was")
    console = out()
    console.print(shown)
    console.print(f"\n{output.target.uri(cataloguing.ROOT_KEY)}", soft_wrap=True)


def _write_table(items: list[dict[str, Any]], path: Path) -> None:
    try:
        import rustac  # noqa: PLC0415 - an extra, and large
    except ModuleNotFoundError as error:
        raise InvalidRequestError(
            "tables need another package; in the repository: pip install './layers/alos_mosaic[catalogue]'"
        ) from error
    rustac.write_sync(str(path), items)


class _Opened(NamedTuple):
    """A published tile's place, and where and on which grid it lies."""

    place: PublishedPlace
    target: Target
    grid: Grid


def _opened(uri: str, stack: str | None, profile: str | None, aws_region: str | None) -> _Opened:
    """Open what a URI leads to, or what a deployment publishes of a year and tile."""
    named = _OF_DEPLOYMENT.fullmatch(uri)
    if named is None:
        place = PublishedPlace.from_uri(uri)
        if "stack" in options_said(stack, profile, aws_region):
            raise InvalidRequestError("a URI leads to the tile by itself: leave out --stack, or give it YEAR/TILE")
        return _Opened(place, open_target(place.root, s3_client(place.root, profile, aws_region)), Grid())
    tile_year = TileYear.from_text(named[2])
    product = product_of(tile_year.year, named[1])
    output = open_output(None, stack, profile, aws_region)
    return _Opened(PublishedPlace(output.target.uri(""), product, tile_year), output.target, output.grid)
