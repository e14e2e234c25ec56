"""``alos-mosaic validate`` and ``show``: what is published, looked at."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from alos_mosaic.cli.console import JsonOption, errors, out, print_json
from alos_mosaic.cli.deployment import AwsRegionOption, ProfileOption, StackOption, options_said
from alos_mosaic.cli.doctor import print_checks
from alos_mosaic.cli.output import open_output
from alos_mosaic.cli.source import s3_client
from alos_mosaic.cli.viewer import open_file
from alos_mosaic.commands import command_line
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.checks import Verdict
from alos_mosaic.processing.publish import Target, open_target
from alos_mosaic.processing.published_place import PublishedPlace, quicklook_name, read_item
from alos_mosaic.products import PRODUCTS, product_of
from alos_mosaic.quantities import counted

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
                f"\nSkipped, {len(skipped)} of {counted(len(checks), 'check')}, like that of {skipped[0].name}: "
                f"{skipped[0].detail}",
                markup=False,
                soft_wrap=True,
            )
        verdict = f"{failed} of {counted(len(checks), 'check')} failed." if failed else "Nothing is wrong with it."
        console.print(f"\n{verdict}", style="red" if failed else "green")
    raise typer.Exit(1 if failed else 0)


def show(
    uri: UriArgument,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write, .webp, .png or .jpg; by default it is opened.")
    ] = None,
    stack: StackOption = None,
    profile: ProfileOption = None,
    aws_region: AwsRegionOption = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Open a published tile's quicklook, or write it to a file.

    Example: alos-mosaic show s3://bucket/alos_palsar_mosaic/2020/N10E010 --to N10E010.webp
    """
    from alos_mosaic.processing.quicklook import check_suffix, converted  # noqa: PLC0415 - GDAL loads slowly

    if to is not None:
        check_suffix(to.suffix)
    place, target, _ = _opened(uri, stack, profile, aws_region)
    item = read_item(target, place)
    name = quicklook_name(item, place)
    content = target.read(f"{place.item_key.rpartition('/')[0]}/{name}")
    if content is None:
        raise InvalidRequestError(f"{name} is missing; {command_line('validate', uri)} says what else is")
    path = to or Path(tempfile.mkdtemp(prefix="alos-mosaic-show-")) / name  # which nobody else can have laid a link in
    path.write_bytes(content if to is None else converted(content, to.suffix))
    if as_json:
        print_json({"quicklook": str(path), "bbox": item.get("bbox"), "properties": item.get("properties")})
        return
    typer.echo(f"{path}: {item.get('properties', {}).get('title', name)}")
    if to is None and not open_file(path):
        errors.print("No viewer was found to open it: copy it, or name a file with --to", style="yellow")


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
