"""Rebuilding: what a tile's documents tell, out of its published COGs, without the source.

Pixels are counted anew. Where they come from only the old item knows: that is carried over, or said to be unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.session import DummySession
from rasterio.windows import Window

from alos_mosaic.bands import BANDS, FOREST_CLASSES, NODATA, Band, bands_of, bands_with, possible_codes
from alos_mosaic.errors import InvalidRequestError, MosaicError, OutputError, PublishError
from alos_mosaic.grid import EPSG, Cell
from alos_mosaic.inventory import ArchiveKind, listing_of
from alos_mosaic.messages import TileRequest
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import band_file_stem
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.cog import Cog
from alos_mosaic.processing.documents import drawn_quicklook
from alos_mosaic.processing.metadata import TileProduct
from alos_mosaic.processing.metadata.carried import Carried
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.standing import Expected, Standing, StoredFile
from alos_mosaic.processing.statistics import BandCounts, tile_statistics
from alos_mosaic.products import FOREST_PRODUCT, Product

if TYPE_CHECKING:
    from alos_mosaic.processing.pipeline import Workplace

logger = logging.getLogger(__name__)

_GDAL_OPTIONS: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": 64}
"""A COG is all there is of a raster, and each of its blocks is read once: to keep more MB of them is of no use."""
_BY_MEASUREMENT: Final = {band.measurement: band for band in BANDS.values()}
_RELEASES: Final = {f"v{release}": classes for release, classes in FOREST_CLASSES.items()}


@dataclass(frozen=True)
class _Told:
    """What only an old item tells; by default there is none."""

    cells: tuple[Cell, ...] = ()
    """Those that exist; none where the pixels have to tell."""
    defective: tuple[Cell, ...] = ()
    values_under_nodata: int | None = None
    carried: Carried = field(default_factory=Carried)
    files: Mapping[str, tuple[str, StoredFile]] = field(default_factory=dict)
    """By measurement: a COG's name, size and checksum."""


def rebuilt_tile(
    request: TileRequest, product: Product, place: Workplace, standing: Standing, expected: Expected
) -> TileProduct:
    """Return what a tile's documents tell; the quicklook is drawn, too.

    ``expected`` is what its item says if it is whole; it may be of a partial tile. Raises
    :class:`InvalidRequestError` if nothing is published of the tile, and :class:`OutputError`, which names the file,
    for a COG that is missing, damaged, off the grid, or not the one that the item tells of; where another worker may
    just be replacing that one, :class:`PublishError`, which is tried again.
    """
    told = _told(standing, replace(expected, accept_partial=True))
    cogs = tuple(_cogs(request, product, place, standing, told))
    _check_promise(cogs, told, request, place, standing)
    classes = _classes(told, product, request)
    with rasterio.Env(session=DummySession(), **_GDAL_OPTIONS):
        cells = told.cells or _cells_with_data(cogs, request, place)
        pixels = len(cells) * place.grid.cell_pixels**2
        statistics = tile_statistics(
            {cog.band.code: _counted(cog, request, place) for cog in cogs}, pixels, told.values_under_nodata
        )
    try:
        quicklook = drawn_quicklook(cogs, request.tile_year, classes, place)
    except RasterioError as error:
        raise OutputError(
            f"{place.target.uri(standing.folder)} has COGs whose overviews can't be read: {error}"
        ) from error
    year = request.tile_year.year
    return TileProduct(
        request.tile_year,
        place.grid,
        None,
        cells,
        cogs,
        None,
        product_name=product.name,
        defective_cells=told.defective,
        listing=listing_of(year, ArchiveKind.of_product(product.name)),
        statistics=statistics,
        quicklook=quicklook,
        classes=classes,
        carried=told.carried,
    )


def _told(standing: Standing, expected: Expected) -> _Told:
    files = standing.promised(expected)
    if files is None:
        return _Told()
    try:
        properties = standing.item["properties"]
        return _Told(
            _cells(properties.get(f"{PREFIX}:cells", ())),
            _cells(properties.get(f"{PREFIX}:cells_defective", ())),
            _count(properties.get(f"{PREFIX}:values_under_nodata")),
            Carried.of(properties),
            {name: file for name, file in files.items() if name in _BY_MEASUREMENT},
        )
    except (MosaicError, TypeError, AttributeError) as error:
        logger.warning("Item is not as ours are", extra={"key": standing.item_key, "cause": str(error)})
        return _Told()


def _cells(names: Collection[str]) -> tuple[Cell, ...]:
    return tuple(Cell.from_name(name) for name in names)


def _count(found: object) -> int | None:
    """Return a number of pixels; TypeError for anything else but None."""
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    raise TypeError(f"{found!r:.100} is no number of pixels")


def _cogs(request: TileRequest, product: Product, place: Workplace, standing: Standing, told: _Told) -> Iterator[Cog]:
    """Yield a tile's COGs in the order they are published, each on this machine."""
    names = {_BY_MEASUREMENT[name].code: file for name, (file, _) in told.files.items()}
    names = names or _names_found(request, product, standing)
    if not names:
        year, tile = request.tile_year.year, request.tile_year.tile
        raise InvalidRequestError(f"nothing is published of {year}/{tile}, so there is nothing to describe")
    mission = mission_of(request.tile_year.year)
    lacking = [band.code for band in bands_of(mission, product) if names.get(band.code) not in standing.names]
    lacking += [code for code, name in names.items() if name not in standing.names and code not in lacking]
    if lacking:
        raise OutputError(f"{place.target.uri(standing.folder)} has no COG of {', '.join(lacking)}")
    for band in bands_with(names, mission, product):
        path = place.target.fetch(f"{standing.folder}/{names[band.code]}", place.work)
        try:
            yield Cog(band, path, path.stat().st_size, sha256_of(path))
        except OSError as error:
            raise OutputError(f"{path.name} can't be read: {error}") from error


def _names_found(request: TileRequest, product: Product, standing: Standing) -> dict[str, str]:
    """Return the names of the files that are called like a tile's COGs, by band code."""
    year, tile = request.tile_year.year, request.tile_year.tile
    found = {}
    for code in sorted(possible_codes(product)):
        stem = band_file_stem(tile, year, BANDS[code])
        names = sorted(name for name in standing.names if name.startswith((f"{stem}.", f"{stem}_")))
        names = [name for name in names if name.endswith(".tif")]
        if len(names) > 1:
            raise OutputError(f"{' and '.join(names)} are both called like the tile's {code}, and no item tells which")
        if names:
            found[code] = names[0]
    return found


def _check_promise(
    cogs: tuple[Cog, ...], told: _Told, request: TileRequest, place: Workplace, standing: Standing
) -> None:
    """Raise an error for a COG that the old item does not tell of: its provenance would be another's.

    So it is for some seconds, too, while another worker replaces the tile: a second attempt finds that over.
    """
    for cog in cogs:
        promised = told.files.get(cog.band.measurement)
        if promised is None or promised[1] == StoredFile(cog.size_bytes, cog.sha256):
            continue
        wrong = f"{cog.path.name} is not the file that its item tells of"
        if request.attempt == 1 or place.target.read(standing.item_key) != standing.content:
            raise PublishError(f"{wrong}: did another worker publish the tile just now? If not, overwrite it")
        raise OutputError(f"{wrong}; overwrite makes the tile anew")


def _classes(told: _Told, product: Product, request: TileRequest) -> Mapping[int, str] | None:
    """Return the forest map's classes; the same codes mean other things in another release, so it must be known."""
    if product.name != FOREST_PRODUCT:
        return None
    classes = _RELEASES.get(told.carried.source_release or "")
    if classes is None:
        year, tile = request.tile_year.year, request.tile_year.tile
        raise OutputError(f"no item tells of which release the forest map {year}/{tile} is, so what its codes mean")
    return classes


def _cells_with_data(cogs: tuple[Cog, ...], request: TileRequest, place: Workplace) -> tuple[Cell, ...]:
    """Return the cells with a valid pixel in the mask, or in the only band there is."""
    cog = next((cog for cog in cogs if cog.band.code == "mask"), cogs[0])
    side = place.grid.cell_pixels
    with _opened(cog, request, place) as dataset:
        found = []
        for cell in sorted(request.tile_year.tile.cells):
            row, column = place.grid.offset(cell)
            if dataset.read(1, window=Window(column, row, side, side)).any():
                found.append(cell)
    if not found:
        raise OutputError(f"{cog.path.name} has no valid pixel")
    return tuple(found)


def _counted(cog: Cog, request: TileRequest, place: Workplace) -> BandCounts:
    """Count a COG's pixels, block by block."""
    counts = BandCounts(cog.band.code, cog.band.dtype)
    with _opened(cog, request, place) as dataset:
        for _, window in dataset.block_windows(1):
            block = dataset.read(1, window=window)
            least, greatest = int(block.min()), int(block.max())
            if greatest != NODATA:
                counts.add(block, least, greatest)
    return counts


@contextmanager
def _opened(cog: Cog, request: TileRequest, place: Workplace) -> Iterator[DatasetReader]:
    """Yield a COG that is on the tile's grid; OutputError, naming it, for any other and for what can't be read."""
    try:
        with rasterio.open(cog.path, driver="GTiff") as dataset:
            _check_grid(dataset, cog.band, request, place)
            yield dataset
    except (RasterioError, ValueError) as error:  # CRSError is a ValueError
        raise OutputError(f"{cog.path.name} can't be read: {error}") from error


def _check_grid(dataset: DatasetReader, band: Band, request: TileRequest, place: Workplace) -> None:
    grid = place.grid
    seen: dict[str, Any] = {
        "shape": dataset.shape,
        "bands": dataset.dtypes,
        "nodata": dataset.nodata,
        "system": None if dataset.crs is None else dataset.crs.to_epsg(),
        "transform": tuple(dataset.transform)[:6],
    }
    expected = {
        "shape": (grid.tile_pixels, grid.tile_pixels),
        "bands": (band.dtype,),
        "nodata": NODATA,
        "system": EPSG,
        "transform": grid.transform(request.tile_year.tile),
    }
    for name, value in expected.items():
        if seen[name] != value:
            raise ValueError(f"its {name} is {seen[name]}, not {value}")
