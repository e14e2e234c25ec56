"""Coastlines and borders for maps: Natural Earth's, coarse enough for a report.

They ship as ``coastlines.json`` beside this module, which ``make coastlines`` derives from a pinned package. Its
numbers are tenths of a degree east and south of 0, 0: an SVG's own directions.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from alos_mosaic.grid import Bounds

FILE_NAME: Final = "coastlines.json"
UNITS_PER_DEGREE: Final = 10
ALL_AROUND: Final = 360 * UNITS_PER_DEGREE


@dataclass(frozen=True)
class Outlines:
    """What lies under a map, as SVG path data in units of :data:`UNITS_PER_DEGREE`."""

    land: str
    """Closed rings; holes are seas in them."""
    borders: str
    """Open lines between countries."""


def outlines(view: Bounds) -> Outlines:
    """Return all lines that come near a view, whole: what sticks out of it is for the map to clip."""
    lines = _lines()
    return Outlines(
        "".join(f"{_path(line)}z" for line in lines["land"] if _touches(line, view)),
        "".join(_path(line) for line in lines["borders"] if _touches(line, view)),
    )


def source() -> str:
    """Return where the lines come from, for a map's caption."""
    return str(_read()["source"])


@functools.cache
def _read() -> dict[str, object]:
    text = resources.files(__package__).joinpath(FILE_NAME).read_text("utf-8")
    read: dict[str, object] = json.loads(text)
    return read


@functools.cache
def _lines() -> dict[str, list[list[int]]]:
    given: Any = _read()
    return {"land": [copy for ring in given["land"] for copy in _both_sides(ring)], "borders": given["borders"]}


def _both_sides(ring: list[int]) -> Iterator[list[int]]:
    """Yield a ring; one that goes on beyond the antimeridian twice, for either edge of a map."""
    yield ring
    columns = tuple(itertools.accumulate(ring[::2]))
    for reaches, shift in ((max(columns) > ALL_AROUND / 2, -ALL_AROUND), (min(columns) < -ALL_AROUND / 2, ALL_AROUND)):
        if reaches:
            yield [ring[0] + shift, *ring[1:]]


def _path(line: Sequence[int]) -> str:
    """Return path data; the line is a point and then steps, x and y in turn.

    >>> _path([10, -20, 3, 4, -3, 0])
    'M10-20l3 4-3 0'
    """
    return f"M{_numbers(line[:2])}l{_numbers(line[2:])}"


def _numbers(numbers: Iterable[int]) -> str:
    """Return numbers as short as SVG allows: a minus parts them as well as a space does."""
    return "".join(f" {number}" if number >= 0 else str(number) for number in numbers).removeprefix(" ")


def _touches(line: Sequence[int], view: Bounds) -> bool:
    columns, rows = (tuple(itertools.accumulate(line[axis::2])) for axis in (0, 1))
    unit = UNITS_PER_DEGREE
    return (
        max(columns) >= view.west * unit
        and min(columns) <= view.east * unit
        and max(rows) >= -view.north * unit
        and min(rows) <= -view.south * unit
    )
