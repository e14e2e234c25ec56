"""Validating: one published tile, read as a stranger would, down to every byte."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rasterio
from pystac.validation import JsonSchemaSTACValidator, validate_dict
from rasterio.errors import RasterioError
from rasterio.session import DummySession
from rio_cogeo.cogeo import cog_validate

from alos_mosaic.bands import NODATA
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import EPSG, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import EO3_RELATION, THUMBNAIL, item_key
from alos_mosaic.processing.checks import Check, Verdict
from alos_mosaic.processing.checksums import from_multihash, sha256_of
from alos_mosaic.processing.publish import Target
from alos_mosaic.processing.standing import Standing, eo3_links, look
from alos_mosaic.products import PRODUCTS, Product

_PLACE: Final = re.compile(
    rf"(?P<root>.*?)/?(?P<product>{'|'.join(PRODUCTS)})/(?P<year>\d{{4}})/(?P<tile>[NS]\d\d[EW]\d{{3}})(?:/.*)?"
)


@dataclass(frozen=True)
class PublishedPlace:
    """Where a published tile lies: what a URI of its folder, its item or any file of it says."""

    root: str
    """URI of the target that its key counts from."""
    product: Product
    tile_year: TileYear

    @classmethod
    def from_uri(cls, uri: str) -> PublishedPlace:
        """Read ``s3://bucket/folder/alos_palsar_mosaic/2020/N10E010`` and whatever may follow.

        :class:`InvalidRequestError` if it names no product, year and tile.

        >>> place = PublishedPlace.from_uri("file:///m/alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json")
        >>> place.root, place.product.name, place.tile_year.year, place.tile_year.tile.name
        ('file:///m', 'alos_palsar_mosaic', 2020, 'N10E010')
        """
        match = _PLACE.fullmatch(uri)
        if match is None:
            raise InvalidRequestError(
                f"{uri!r} is no tile of ours; one looks like s3://bucket/alos_palsar_mosaic/2020/N10E010"
            )
        tile_year = TileYear(int(match["year"]), Tile.from_name(match["tile"]))
        return cls(match["root"], PRODUCTS[match["product"]], tile_year)

    @property
    def item_key(self) -> str:
        """Key of the tile's item."""
        return item_key(self.product, self.tile_year.year, self.tile_year.tile)


def validate_tile(place: PublishedPlace, target: Target, work: Path) -> tuple[Check, ...]:
    """Return what was checked of a published tile; ``work`` is an empty folder for files that are fetched.

    Raises :class:`~alos_mosaic.errors.PublishError` if the target can't be read.
    """
    standing = look(target, place.item_key)
    if not standing.item:
        reason = "is no JSON object" if standing.has_item else "does not exist"
        return (Check("item", "is there", Verdict.FAILED, f"{target.uri(place.item_key)} {reason}"),)
    checks = [Check("item", "is there", Verdict.OK, target.uri(place.item_key)), *_schemas(standing.item)]
    assets = standing.item.get("assets")
    if not isinstance(assets, dict) or not assets:
        return (*checks, Check("item", "assets", Verdict.FAILED, "it names none"))
    for name, asset in assets.items():
        checks += _asset(name, asset, place, standing, target, work)
    for link in eo3_links(standing.item):
        checks += _asset(EO3_RELATION, link, place, standing, target, work)
    return tuple(checks)


def _schemas(item: dict[str, Any] | Any) -> Iterator[Check]:
    """Validate against STAC's schema, which pystac brings, and those of extensions, which lie on the web."""
    core = {**item, "stac_extensions": []}
    yield _valid("STAC schema", core)
    for uri in item.get("stac_extensions", ()):
        if "/alos_mosaic" not in uri:
            yield _valid(f"schema of {'/'.join(uri.split('/')[3:5])}", {**item, "stac_extensions": [uri]})


def _valid(name: str, item: dict[str, Any]) -> Check:
    logging.getLogger("pystac").setLevel(logging.CRITICAL)  # it logs whole tracebacks of what it raises, too
    try:
        validate_dict(item, validator=JsonSchemaSTACValidator())
    except Exception as error:  # noqa: BLE001 - pystac lets out whatever its validator and the network raise
        if "GetSchemaError" in type(error).__name__ or isinstance(error, OSError):
            return Check("item", name, Verdict.SKIPPED, "its schema can't be read from the web")
        return Check("item", name, Verdict.FAILED, " ".join(str(error).split())[:300])
    return Check("item", name, Verdict.OK)


def _asset(
    name: str, asset: Any, place: PublishedPlace, standing: Standing, target: Target, work: Path
) -> Iterator[Check]:
    """Check one file: that it is there, has the promised bytes, and is a Cloud-Optimized GeoTIFF on the grid."""
    try:
        file_name, size = str(asset["href"]).removeprefix("./"), int(asset["file:size"])
        sha256 = from_multihash(str(asset["file:checksum"]))
    except (KeyError, TypeError, ValueError) as error:
        yield Check(name, "is described", Verdict.FAILED, f"the item lacks or garbles {error}")
        return
    if file_name not in standing.names:
        yield Check(name, "is there", Verdict.FAILED, f"{file_name} is missing")
        return
    path = target.fetch(f"{standing.folder}/{file_name}", work)
    try:
        found = path.stat().st_size, sha256_of(path)
        is_same = found == (size, sha256)
        detail = f"{size:,} bytes" if is_same else f"{found[0]:,} bytes, the item says {size:,}; or another checksum"
        yield Check(name, "bytes are the item's", Verdict.OK if is_same else Verdict.FAILED, detail)
        if name not in (THUMBNAIL, EO3_RELATION):
            yield from _raster(name, path, place, tuple(standing.item["properties"].get("proj:shape", ())))
    finally:
        if path.is_relative_to(work):
            path.unlink(missing_ok=True)


def _raster(name: str, path: Path, place: PublishedPlace, shape: tuple[int, ...]) -> Iterator[Check]:
    try:
        with rasterio.Env(session=DummySession()):
            is_cog, problems, warnings = cog_validate(path, strict=True, quiet=True)
            with rasterio.open(path) as dataset:
                grid = Grid(dataset.width // 5)
                wrong = [
                    what
                    for what, is_good in (
                        ("size", dataset.shape == shape and dataset.width == grid.tile_pixels == dataset.height),
                        ("place", tuple(dataset.transform)[:6] == grid.transform(place.tile_year.tile)),
                        ("reference system", dataset.crs is not None and dataset.crs.to_epsg() == EPSG),
                        ("nodata", dataset.nodata == NODATA),
                        ("bands", dataset.count == 1),
                    )
                    if not is_good
                ]
    except (RasterioError, ValueError, InvalidRequestError) as error:
        yield Check(name, "can be read", Verdict.FAILED, str(error))
        return
    told = "; ".join((*problems, *warnings))
    yield Check(name, "is cloud-optimized", Verdict.OK if is_cog and not told else Verdict.FAILED, told)
    yield Check(
        name, "is on the grid", Verdict.FAILED if wrong else Verdict.OK, f"wrong {', '.join(wrong)}" if wrong else ""
    )


def read_item(target: Target, place: PublishedPlace) -> dict[str, Any]:
    """Return a tile's item; :class:`InvalidRequestError` if there is none."""
    content = target.read(place.item_key)
    if content is None:
        raise InvalidRequestError(f"nothing is published at {target.uri(place.item_key)}")
    read = json.loads(content)
    if not isinstance(read, dict):
        raise InvalidRequestError(f"{target.uri(place.item_key)} is no item")
    return read
