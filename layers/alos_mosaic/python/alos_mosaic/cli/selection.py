"""The options that select a run's tiles, and the execution's input that they make."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from alos_mosaic.cli.console import errors, fail, numbers_of, spelt
from alos_mosaic.cli.options import with_options
from alos_mosaic.commands import command_line
from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.grid import REGIONS, Tile, tiles_of_region
from alos_mosaic.inventory import ArchiveKind, tiles_of_any_year
from alos_mosaic.messages import Mode, RunRequest
from alos_mosaic.missions import mosaic_years, valid_years
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.settings import DEFAULT_REGION

_MODES: Final = (
    "What to do with a tile that is published already: nothing, make it again if the source has another archive now, "
    "make it again anyway, or describe it again without the source."
)
MISUSE: Final = 2
"""Exit code where options make no sense, as of options that there are not."""


def _regions(begun: str) -> list[str]:
    return [name for name in sorted(REGIONS) if name.startswith(begun)]


YearsOption = Annotated[str, typer.Option("--years", help="Years and spans of years, like 2007,2015-2020.")]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        autocompletion=_regions,
        help=f"A named region: {' or '.join(sorted(REGIONS))}; not an AWS region.",
    ),
]
BboxOption = Annotated[str | None, typer.Option("--bbox", help="west,south,east,north in degrees.")]
TilesOption = Annotated[str | None, typer.Option("--tiles", help="Names of tiles, separated by commas.")]
GeojsonOption = Annotated[
    Path | None, typer.Option("--geojson", help="A GeoJSON file: the tiles that its geometries touch.")
]
ProductOption = Annotated[
    str | None, typer.Option("--product", help=f"{FOREST_PRODUCT}, or nothing for each year's own mosaic.")
]
ModeOption = Annotated[Mode, typer.Option("--mode", help=_MODES)]
_SPAN: Final = re.compile(r"(\d{4}) ?- ?(\d{4})")
_LONGEST_COMMAND: Final = 300
"""Characters of a command that is printed; one with a long list of tiles is not."""
_HALF_ROUND: Final = 180
_ROUND: Final = 360
"""Degrees: what spans them all is the globe, and meant so."""
_WHICH: Final[Mapping[str, tuple[Any, Any]]] = {
    "years": (YearsOption, inspect.Parameter.empty),
    "region": (RegionOption, None),
    "bbox": (BboxOption, None),
    "tiles": (TilesOption, None),
    "geojson": (GeojsonOption, None),
    "product": (ProductOption, None),
}
_HOW: Final[Mapping[str, tuple[Any, Any]]] = {"mode": (ModeOption, Mode.SKIP)}


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that select tiles, and hand it the execution's input they make as ``selected``.

    Where they make no sense, the command ends with :data:`MISUSE`.
    """
    return with_options(command, "selected", {**_WHICH, **_HOW}, _checked_input, first=True)


def selecting_without_mode(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that makes none the options that select tiles, as :func:`selecting` does, without ``--mode``."""
    return with_options(command, "selected", _WHICH, _checked_input, first=True)


def _checked_input(**given: Any) -> dict[str, Any]:
    try:
        selected = execution_input(**given)
        RunRequest.from_input(selected, DEFAULT_REGION)
    except (InvalidRequestError, OSError) as error:
        fail(spelt(error), MISUSE)
    return selected


def execution_input(
    years: str,
    region: str | None = None,
    bbox: str | None = None,
    tiles: str | None = None,
    geojson: Path | None = None,
    product: str | None = None,
    mode: Mode = Mode.SKIP,
) -> dict[str, Any]:
    """Return what the state machine is started with; it is checked where it is read.

    >>> execution_input("2017,2020", region="africa")
    {'years': ['2017', '2020'], 'region': 'africa'}
    """
    places = {"region": region, "bbox": numbers_of(bbox, "bbox"), "tiles": _names(tiles)}
    if geojson is not None:
        if any(place is not None for place in places.values()):
            raise InvalidRequestError("--geojson and --region, --bbox, --tiles exclude each other; give one of them")
        places["tiles"] = [tile.name for tile in tiles_of_area(geojson, product)]
    given = {"years": years_of(years), **places, "product": product}
    given["mode"] = None if mode is Mode.SKIP else mode.value
    return {name: value for name, value in given.items() if value is not None}


def years_of(text: str) -> list[str]:
    """Return the years of a list of years and spans; of a span those that have a mosaic, if any has.

    >>> years_of("1997,2009-2016")
    ['1997', '2009', '2010', '2015', '2016']
    """
    return [year for part in text.split(",") for year in _years_of_span(part.strip())]


def _years_of_span(text: str) -> list[str]:
    found = _SPAN.fullmatch(text)
    if found is None:
        return [text]  # it is checked where it is read
    this_year = datetime.now(UTC).year
    years = [str(year) for year in mosaic_years(this_year) if int(found[1]) <= year <= int(found[2])]
    if not years:
        raise InvalidRequestError(f"there is no mosaic of {text}; years are {valid_years(this_year)}")
    return years


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def run_command(selected: Mapping[str, Any], **others: object) -> str:
    """Return the command that starts a run over an execution's input; ``others`` are further options, None for none.

    >>> run_command({"years": ["2020"], "bbox": [-10.0, 0.0, 10.5, 5.0]}, max_concurrency=4, stack=None)
    'alos-mosaic run --years 2020 --bbox -10,0,10.5,5 --max-concurrency 4'
    """
    return spelt_command("run", selected, **others)


def spelt_command(command: str, selected: Mapping[str, Any], **others: object) -> str:
    """Return a command over an execution's input, as :func:`run_command` does."""
    options = {name: _spelt(value) for name, value in (*selected.items(), *others.items()) if value is not None}
    return command_line(command, options=options)


def _spelt(value: object) -> str:
    listed = value if isinstance(value, list) else [value]
    return ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in listed)


def of_bearable_length(command: str, name: str = "run") -> str:
    """Return a command of that name or, of one with a long list of tiles, how to come by it."""
    return command if len(command) <= _LONGEST_COMMAND else f"alos-mosaic {name}, with the same options"


def tiles_of_area(path: Path, product: str | None = None) -> tuple[Tile, ...]:
    """Return the tiles that share more than an edge with a GeoJSON file's geometries and exist in any year.

    Longitude and latitude in degrees, as RFC 7946 has them: what crosses the antimeridian is cut there.
    What is wider than half the globe, but not as wide as all of it, is warned of: it was hardly cut.
    :class:`InvalidRequestError` if the file holds none, or touches no tile.
    """
    from shapely.errors import ShapelyError  # noqa: PLC0415 - loads slowly
    from shapely.geometry import box, shape  # noqa: PLC0415
    from shapely.prepared import prep  # noqa: PLC0415
    from shapely.validation import make_valid  # noqa: PLC0415

    try:
        areas = [make_valid(shape(geometry)) for geometry in _geometries(json.loads(path.read_text(encoding="utf-8")))]
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, ShapelyError) as error:
        raise InvalidRequestError(f"{path} holds no GeoJSON geometries: {error}") from error
    if any(_HALF_ROUND < part.bounds[2] - part.bounds[0] < _ROUND for area in areas for part in _parts(area)):
        errors.print(
            f"alos-mosaic: a polygon in {path} is wider than 180 degrees; if it is to cross the antimeridian, cut it "
            "there (RFC 7946, 3.1.9)",
            style="yellow",
            markup=False,
        )
    prepared = [prep(area) for area in areas if not area.is_empty]
    existing = tiles_of_any_year(ArchiveKind.of_product(product))
    touched = []
    for tile in tiles_of_region("global"):
        bounds = tile.bounds
        square = box(bounds.west, bounds.south, bounds.east, bounds.north)
        if tile in existing and any(area.intersects(square) and not area.touches(square) for area in prepared):
            touched.append(tile)
    if not touched:
        raise InvalidRequestError(f"{path} touches no tile that JAXA publishes; is it in degrees, longitude first?")
    return tuple(touched)


def _parts(area: Any) -> Iterator[Any]:
    """Yield the polygons, lines and points that a geometry consists of."""
    for part in getattr(area, "geoms", ()):
        yield from _parts(part)
    if not hasattr(area, "geoms") and not area.is_empty:
        yield area


def _geometries(given: Any) -> Iterator[Any]:
    kind = given["type"]
    if kind == "FeatureCollection":
        for feature in given["features"]:
            yield from _geometries(feature)
    elif kind == "Feature":
        if given["geometry"] is not None:
            yield given["geometry"]
    elif "coordinates" in given or kind == "GeometryCollection":
        yield given
    else:
        raise ValueError(f"there is no geometry in {shown(given)}")
