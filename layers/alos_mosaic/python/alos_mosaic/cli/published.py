"""``alos-mosaic validate`` and ``show``: what is published, looked at."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alos_mosaic.cli.console import JsonOption, errors, out, print_json
from alos_mosaic.cli.doctor import print_checks
from alos_mosaic.cli.source import s3_client
from alos_mosaic.cli.viewer import open_file
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.naming import THUMBNAIL
from alos_mosaic.processing.checks import Verdict
from alos_mosaic.processing.publish import Target, open_target
from alos_mosaic.quantities import counted

if TYPE_CHECKING:
    from alos_mosaic.processing.validation import PublishedPlace

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
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Open a published tile's quicklook, or write it to a file.

    Example: alos-mosaic show s3://bucket/alos_palsar_mosaic/2020/N10E010 --to N10E010.webp
    """
    from alos_mosaic.processing.quicklook import check_suffix, converted  # noqa: PLC0415 - GDAL and pystac load slowly
    from alos_mosaic.processing.validation import read_item  # noqa: PLC0415

    place, target = _opened(uri)
    if to is not None:
        check_suffix(to.suffix)
    item = read_item(target, place)
    asset = item.get("assets", {}).get(THUMBNAIL)
    if asset is None:
        raise InvalidRequestError(f"{target.uri(place.item_key)} has no quicklook; mode metadata-only makes one")
    name = str(asset["href"]).removeprefix("./")
    content = target.read(f"{place.item_key.rpartition('/')[0]}/{name}")
    if content is None:
        raise InvalidRequestError(
            f"{name} is missing; {shlex.join(('alos-mosaic', 'validate', uri))} says what else is"
        )
    path = to or Path(tempfile.gettempdir()) / name
    path.write_bytes(content if to is None else converted(content, to.suffix))
    if as_json:
        print_json({"quicklook": str(path), "bbox": item.get("bbox"), "properties": item.get("properties")})
        return
    typer.echo(f"{path}: {item.get('properties', {}).get('title', name)}")
    if to is None and not open_file(path):
        errors.print("No viewer was found to open it: copy it, or name a file with --to", style="yellow")


def _opened(uri: str) -> tuple[PublishedPlace, Target]:
    from alos_mosaic.processing.validation import PublishedPlace  # noqa: PLC0415 - GDAL and pystac load slowly

    place = PublishedPlace.from_uri(uri)
    return place, open_target(place.root, s3_client(place.root))
