"""Validating: one published tile, read as a stranger would, down to every byte."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import rasterio
from pystac.validation import JsonSchemaSTACValidator, validate_dict
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.session import DummySession
from rio_cogeo.cogeo import cog_validate
from shapely.errors import ShapelyError
from shapely.geometry import box, shape

from alos_mosaic.bands import BANDS, NODATA, Band
from alos_mosaic.errors import MosaicError, shown
from alos_mosaic.grid import EPSG, Cell, Grid, Tile
from alos_mosaic.messages import format_time, parse_time
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import EO3_RELATION
from alos_mosaic.processing.checks import Check, Verdict, compared
from alos_mosaic.processing.checksums import from_multihash, sha256_of
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.footprint import footprint
from alos_mosaic.processing.metadata.item import nominal_times, projection
from alos_mosaic.processing.publish import Target
from alos_mosaic.processing.published_place import PublishedPlace
from alos_mosaic.processing.standing import ITEM, Standing, eo3_links, expected_of, held_against, look, object_of

_BY_MEASUREMENT: Final = {band.measurement: band for band in BANDS.values()}


def validate_tile(place: PublishedPlace, target: Target, grid: Grid, work: Path) -> tuple[Check, ...]:
    """Return what was checked of a published tile; ``work`` is an empty folder for files that are fetched.

    Whatever the tile says of itself, it is held against what a tile of its place has to be, on this grid. Raises
    :class:`~alos_mosaic.errors.PublishError` if the target can't be read.
    """
    standing = look(target, place.item_key)
    item = standing.item
    if not item:
        reason = "is no item" if standing.has_item else "does not exist"
        return (Check(ITEM, "is there", Verdict.FAILED, f"{target.uri(place.item_key)} {reason}"),)
    checks = [
        Check(ITEM, "is there", Verdict.OK, target.uri(place.item_key)),
        *held_against(item, expected_of(place.tile_year, place.product, grid)),
        *_facts(item, place, grid),
        *_geometry(item, place.tile_year.tile),
        *_schemas(item),
    ]
    files = [*object_of(item.get("assets")).items(), *((EO3_RELATION, link) for link in eo3_links(item))]
    for name, fields in files:
        checks += _asset(name, object_of(fields), place, grid)
        checks += _file(name, object_of(fields), place, grid, standing, target, work)
    by_subject: dict[str, list[Check]] = {}
    for check in checks:
        by_subject.setdefault(check.subject, []).append(check)
    return tuple(check for of_subject in by_subject.values() for check in of_subject)


def _facts(item: Mapping[str, Any], place: PublishedPlace, grid: Grid) -> Iterator[Check]:
    """Check what follows from the place alone."""
    year, tile = place.tile_year.year, place.tile_year.tile
    properties = object_of(item.get("properties"))
    yield compared(ITEM, "collection", item.get("collection"), place.product.name)
    yield compared(ITEM, "odc:product", properties.get("odc:product"), place.product.name)
    yield compared(ITEM, "odc:region_code", properties.get("odc:region_code"), tile.name)
    yield compared(ITEM, "platform", properties.get("platform"), mission_of(year).platform)
    for name, moment in nominal_times(year).items():
        yield compared(ITEM, name, _instant(properties.get(name)), format_time(moment))
    of_grid = projection(tile, grid)
    for name in ("proj:code", "proj:transform"):
        yield compared(ITEM, name, properties.get(name), of_grid[name])


def _instant(value: object) -> object:
    """Return a time as ours are spelt; what names none stays as it is."""
    try:
        return format_time(parse_time(str(value)))
    except ValueError:
        return value


def _geometry(item: Mapping[str, Any], tile: Tile) -> Iterator[Check]:
    """Check that the geometry is the outline of the cells that the item names, all of this tile, and bbox its box."""
    bounds = tile.bounds
    square = box(bounds.west, bounds.south, bounds.east, bounds.north)
    try:
        geometry = shape(item["geometry"])
        is_inside = geometry.is_valid and not geometry.is_empty and square.covers(geometry)
    except (ShapelyError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        yield Check(ITEM, "geometry", Verdict.FAILED, f"can't be read: {error}")
        return
    if is_inside:
        yield Check(ITEM, "geometry", Verdict.OK, f"lies within {tile}")
    else:
        detail = f"spans {shown(list(geometry.bounds))}, should lie within {shown(list(square.bounds))}"
        yield Check(ITEM, "geometry", Verdict.FAILED, detail)
    yield compared(ITEM, "bbox", item.get("bbox"), list(geometry.bounds))
    names = object_of(item.get("properties")).get(f"{PREFIX}:cells")
    try:
        outline = shape(footprint([Cell.from_name(name) for name in names]))  # type: ignore[union-attr]
        is_outline = geometry.equals(outline)
    except (MosaicError, ShapelyError, TypeError):
        is_outline = False
    verdict = Verdict.OK if is_outline else Verdict.FAILED
    yield Check(
        ITEM, "cells", verdict, f"{shown(names)}{'' if is_outline else ', which the geometry does not outline'}"
    )


def _schemas(item: Mapping[str, Any]) -> Iterator[Check]:
    """Validate against STAC's schema, which pystac brings, and those of extensions, which lie on the web."""
    core = {**item, "stac_extensions": []}
    yield _valid("STAC schema", core)
    uris = item.get("stac_extensions")
    for uri in uris if isinstance(uris, list) else ():
        if isinstance(uri, str) and "/alos_mosaic" not in uri:
            yield _valid(f"schema of {'/'.join(uri.split('/')[3:5])}", {**item, "stac_extensions": [uri]})


def _valid(name: str, item: dict[str, Any]) -> Check:
    logging.getLogger("pystac").setLevel(logging.CRITICAL)  # it logs whole tracebacks of what it raises, too
    try:
        validate_dict(item, validator=JsonSchemaSTACValidator())
    except Exception as error:  # noqa: BLE001 - pystac lets out whatever its validator and the network raise
        if "GetSchemaError" in type(error).__name__ or isinstance(error, OSError):
            return Check(ITEM, name, Verdict.SKIPPED, "its schema can't be read from the web")
        return Check(ITEM, name, Verdict.FAILED, " ".join(str(error).split())[:300])
    return Check(ITEM, name, Verdict.OK)


def _asset(name: str, fields: Mapping[str, Any], place: PublishedPlace, grid: Grid) -> Iterator[Check]:
    """Check what an asset says of its pixels: its band, and its projection if it does not leave that to the item."""
    band = _BY_MEASUREMENT.get(name)
    if band is None:
        return
    described = fields.get("bands")
    found = [object_of(each) for each in described] if isinstance(described, list) else []
    told = {"name": band.code, "data_type": band.dtype, "nodata": NODATA}
    yield compared(name, "bands", [{key: each.get(key) for key in told} for each in found], [told])
    for key, value in projection(place.tile_year.tile, grid).items():
        if key in fields:
            yield compared(name, key, fields[key], value)


def _file(
    name: str,
    fields: Mapping[str, Any],
    place: PublishedPlace,
    grid: Grid,
    standing: Standing,
    target: Target,
    work: Path,
) -> Iterator[Check]:
    """Check one file: that it is there, has the promised bytes, and is a Cloud-Optimized GeoTIFF on the grid."""
    try:
        file_name, size = str(fields["href"]).removeprefix("./"), int(fields["file:size"])
        sha256 = from_multihash(str(fields["file:checksum"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        yield Check(name, "is described", Verdict.FAILED, f"the item lacks or garbles {error}")
        return
    if file_name not in standing.names:
        yield Check(name, "is there", Verdict.FAILED, f"{shown(file_name)} is missing")
        return
    path = target.fetch(f"{standing.folder}/{file_name}", work)
    try:
        yield _bytes(name, path, size, sha256)
        if name in _BY_MEASUREMENT:
            yield from _raster(path, _BY_MEASUREMENT[name], place.tile_year.tile, grid)
    finally:
        if path.is_relative_to(work):
            path.unlink(missing_ok=True)


def _bytes(name: str, path: Path, size: int, sha256: str) -> Check:
    found_size, found_sha256 = path.stat().st_size, sha256_of(path)
    if found_size != size:
        detail = f"it has {found_size:,} bytes, the item says {size:,}"
    elif found_sha256 != sha256:
        detail = f"its sha256 is {found_sha256[:12]}..., the item says {sha256[:12]}..."
    else:
        return Check(name, "bytes are the item's", Verdict.OK, f"{size:,} bytes")
    return Check(name, "bytes are the item's", Verdict.FAILED, detail)


def _raster(path: Path, band: Band, tile: Tile, grid: Grid) -> Iterator[Check]:
    try:
        with rasterio.Env(session=DummySession()):
            is_cog, problems, warnings = cog_validate(path, strict=True, quiet=True)
            with rasterio.open(path) as dataset:
                found = tuple(_pixels(dataset, band, tile, grid))
    except (RasterioError, ValueError) as error:
        yield Check(band.measurement, "can be read", Verdict.FAILED, str(error))
        return
    told = "; ".join((*problems, *warnings))
    yield Check(band.measurement, "is cloud-optimized", Verdict.OK if is_cog and not told else Verdict.FAILED, told)
    yield from found


def _pixels(dataset: DatasetReader, band: Band, tile: Tile, grid: Grid) -> Iterator[Check]:
    """Hold a raster against the grid and its band's row of the table."""
    name = band.measurement
    pixels = grid.tile_pixels
    yield compared(name, "size", "{} x {}".format(*dataset.shape), f"{pixels} x {pixels}")
    yield compared(name, "transform", list(dataset.transform)[:6], list(grid.transform(tile)))
    code = None if dataset.crs is None else dataset.crs.to_epsg()
    yield compared(name, "reference system", code and f"EPSG:{code}", f"EPSG:{EPSG}")
    yield compared(name, "type", ", ".join(dataset.dtypes), band.dtype)
    yield compared(name, "nodata", dataset.nodata, NODATA)
