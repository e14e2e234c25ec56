"""Geography for the look-alike of JAXA's archives: coasts, lakes, rivers, mountains and forests out of smooth noise.

The noise is a function of latitude, longitude and seed alone, so coastlines run on across cells, tiles and years and
do not depend on the pixel size. What changes from year to year is the speckle and the strips of orbits. Distributions
are those of a real PALSAR-2 cell: water HH about 1800 +- 25 %, HV about 380.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import Mission, mission_of

Floats = NDArray[np.floating[Any]]
Pixels = dict[str, NDArray[Any]]

WATER, LAYOVER, SHADOW, LAND = 50, 100, 150, 255

_ROWS: Final = 128
"""Rows made at once: a few megabytes, so that the passes over them stay in the processor's cache."""
_SPLINE_VARIANCE: Final = (1 / 3) * (151 / 315) ** 2
"""Of a cubic spline over a lattice of uniform numbers in -1..1."""
_RELIEF: Final = 128
"""Lattice points a degree of the relief's finest detail (some 900 m); coasts are as rough as that."""
_COVER: Final = 32
"""The same of forests and rivers."""
_SEA_DEPTH: Final = np.float32(0.4)
_SHELF: Final = 0.8
"""Below this depth a cell holds no data: JAXA cuts its mosaics some way off the coast."""
_STEEPNESS: Final = np.float32(5)
_LAYOVER_PER_DEGREE: Final = np.float32(0.016)
_SHADOW_SLOPE: Final = 0.8
_LEVELS: Final = {"HH": (3000.0, 6800.0, 1800.0), "HV": (900.0, 3400.0, 380.0)}
"""DN of bare land, dense forest, water."""
_LOOKS: Final = 4.0
"""Looks of the speckle: amplitude varies by 25 % over open water, as in a real cell."""
_STRIPS_PER_DEGREE: Final = 1.6
"""Orbits' swaths, about 70 km wide."""
_TILT: Final = 0.18
"""Degrees east that a swath's edge moves per degree south (an ascending orbit)."""


@dataclass(frozen=True)
class _Noise:
    """Smooth noise over the globe: octaves of cubic B-splines through hashed lattices, about 0 with deviation 1."""

    key: int
    coarsest: int
    """Lattice points per degree in the first octave; doubled up to ``finest``."""
    finest: int
    persistence: float

    @lru_cache(maxsize=512)  # noqa: B019 - small arrays; the same cells are made again for other bands and years
    def lattice(self, cell: Cell) -> NDArray[np.float32]:
        """Return the sum of all octaves as coefficients on the finest lattice, one degree and a point's rim around."""
        total: Floats = np.zeros(0)
        scale, frequency, variance, octave = 1.0, self.coarsest, 0.0, 0
        while frequency <= self.finest:
            points = np.arange(-1, frequency + 2)
            rows = points + (90 - cell.north) * frequency
            columns = (points + cell.west * frequency) % (360 * frequency)
            values = _hashed(rows[:, None], columns[None, :], self.key + octave)
            total = values if octave == 0 else _refined(_refined(total).T).T + scale * values
            variance += scale**2 * _SPLINE_VARIANCE
            scale, frequency, octave = scale * self.persistence, frequency * 2, octave + 1
        return np.asarray(total / variance**0.5, np.float32)


def _refined(rows: Floats) -> Floats:
    """Return the same spline's coefficients on a lattice twice as fine (along the first axis)."""
    finer = np.empty((2 * len(rows) - 3, *rows.shape[1:]))
    finer[0::2] = (rows[:-1] + rows[1:]) / 2
    finer[1::2] = (rows[:-2] + 6 * rows[1:-1] + rows[2:]) / 8
    return finer


def _spline(positions: Floats, derivative: bool = False) -> tuple[NDArray[np.int64], Floats]:
    """Return the lattice points that a cubic B-spline takes at these positions, and its weights as a matrix."""
    base = np.floor(positions).astype(np.int64)
    lattice = np.arange(base.min() - 1, base.max() + 3)
    u = positions - base
    pieces = (
        (-3 * (1 - u) ** 2, 9 * u**2 - 12 * u, -9 * u**2 + 6 * u + 3, 3 * u**2)
        if derivative
        else ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    )
    weights = np.zeros((positions.size, lattice.size))
    for step, piece in enumerate(pieces):
        weights[np.arange(positions.size), base - lattice[0] - 1 + step] = piece / 6
    return lattice, weights


def _hashed(rows: NDArray[np.int64], columns: NDArray[np.int64], key: int) -> Floats:
    """Return a number in -1..1 for every lattice point: splitmix64 of its coordinates."""
    mixed = (rows * 1_000_003 + columns * 7_919 + key * 104_729).astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


@dataclass(frozen=True)
class _Ground:
    """What lies in some rows of a cell, all float32, (rows, columns)."""

    elevation: NDArray[np.float32]
    """About 0 with deviation 1; above 0 is land."""
    slope: NDArray[np.float32]
    """Rise towards the east, metres per metre: what a sensor that looks east from the west has before it."""
    forest: NDArray[np.float32]
    """0 bare to 1 dense."""
    river: NDArray[np.bool_]


class _Map:
    """A cell's ground at any rows of its pixels."""

    def __init__(self, cell: Cell, pixels: int, seed: int) -> None:
        relief = _Noise(1000 * seed + 1, 1, _RELIEF, 0.6).lattice(cell)
        forest = _Noise(1000 * seed + 101, 1, _COVER, 0.7).lattice(cell)
        river = _Noise(1000 * seed + 201, 1, _COVER, 0.45).lattice(cell)
        fine, coarse = _weights(pixels, _RELIEF), _weights(pixels, _COVER)
        self._rows = fine, coarse
        self._elevation = relief @ fine.T
        self._slope = relief @ _weights(pixels, _RELIEF, derivative=True).T
        self._forest, self._river = forest @ coarse.T, river @ coarse.T

    def ground(self, rows: slice) -> _Ground:
        """Return what lies in these rows."""
        fine, coarse = self._rows[0][rows], self._rows[1][rows]
        elevation = fine @ self._elevation + _SEA_DEPTH
        height = np.maximum(elevation, 0)
        slope = (fine @ self._slope) * height * _STEEPNESS
        forest = np.clip((coarse @ self._forest) * np.float32(0.9) + np.float32(0.55), 0, 1)
        river = np.abs(coarse @ self._river) < np.float32(0.02) * (1 - height)
        return _Ground(elevation, slope, forest, river)


@lru_cache(maxsize=8)
def _weights(pixels: int, finest: int, derivative: bool = False) -> NDArray[np.float32]:
    """Return spline weights of a row of pixels over the lattice of :class:`_Noise`, (pixels, finest + 3)."""
    lattice, weights = _spline((np.arange(pixels) + 0.5) / pixels * finest, derivative)
    full = np.zeros((pixels, finest + 3), np.float32)
    full[:, lattice[0] + 1 : lattice[-1] + 2] = weights
    return full


class _Swaths:
    """The orbits over a cell: which day a pixel was seen, and how far across its swath it lies."""

    def __init__(self, cell: Cell, mission: Mission, year: int, pixels: int) -> None:
        centres = (np.arange(pixels) + 0.5) / pixels
        self._across = ((cell.west % 360 + centres) * _STRIPS_PER_DEGREE).astype(np.float64)
        self._down = (90 - cell.north + centres) * (_TILT * _STRIPS_PER_DEGREE) + year % 7 / 7
        self._first = int(np.floor(self._across[0] + self._down[0]))
        strips = np.arange(self._first, self._first + int(_STRIPS_PER_DEGREE * 2) + 3)[None, :]
        luck = (_hashed(np.array([[year]]), strips, 7)[0] + 1) / 2
        day_of_year = np.floor(luck * 380).astype(np.int64) - 15
        first_day = (date(year, 1, 1) - mission.date_epoch).days
        self._days = (first_day + np.minimum(day_of_year, 364)).astype(np.uint16)
        self._gains = (0.96 + 0.08 * (luck * 97 % 1)).astype(np.float32)

    def seen(self, rows: slice) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float32]]:
        """Return days since the mission's epoch, look angle in degrees, and the swath's own brightness (near 1)."""
        position = (self._down[rows, None] + (self._across - self._first)[None, :]).astype(np.float32)
        strip = position.astype(np.uint8)
        look = 30 + 10 * (position - strip)
        return self._days[strip], look, self._gains[strip]


def make_pixels(cell: Cell, year: int, grid: Grid, seed: int, nodata: int) -> Pixels:
    """Return a cell's bands by code, (rows, columns), dtypes as in :mod:`alos_mosaic.bands`.

    ``nodata`` stands in every band but the mask wherever the mask is 0, and never anywhere else.
    """
    mission, pixels = mission_of(year), grid.cell_pixels
    bands: Pixels = {band.code: np.empty((pixels, pixels), band.dtype) for band in bands_of(mission)}
    ground_of, swaths = _Map(cell, pixels, seed), _Swaths(cell, mission, year, pixels)
    random = np.random.default_rng([seed, year, cell.north + 90, cell.west + 180])
    for top in range(0, pixels, _ROWS):
        rows = slice(top, min(top + _ROWS, pixels))
        ground = ground_of.ground(rows)
        days, look, gain = swaths.seen(rows)
        mask = _classify(ground, look)
        values: Pixels = {"mask": mask, "date": days, "linci": _incidence(ground, look)}
        for code in mission.polarizations:
            values[code] = _amplitude(code, ground, mask, gain, random)
        for code, value in values.items():
            if code != "mask":
                value[mask == 0] = nodata
            bands[code][rows] = value
    return bands


def _classify(ground: _Ground, look: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the mask band: no data far from the coast, water, land, and what the relief hides."""
    mask = np.where((ground.elevation > 0) & ~ground.river, np.uint8(LAND), np.uint8(WATER))
    mask[ground.slope > look * _LAYOVER_PER_DEGREE] = LAYOVER
    mask[ground.slope < -_SHADOW_SLOPE] = SHADOW
    mask[ground.elevation < -_SHELF] = 0
    return mask


def _incidence(ground: _Ground, look: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the local incidence angle in whole degrees, 5 to 88."""
    tilt = ground.slope / (1 + np.abs(ground.slope)) * 60
    return np.asarray(np.clip(look - tilt, 5, 88), np.uint8)


def _amplitude(
    code: str, ground: _Ground, mask: NDArray[np.uint8], gain: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.uint16]:
    """Return a polarization's DN: the ground's mean amplitude times speckle, at least 5."""
    bare, dense, water = _LEVELS[code]
    facing = 1 + np.clip(ground.slope, -0.8, 1.5) * np.float32(0.75)
    mean = (bare + (dense - bare) * ground.forest) * facing * gain
    mean = np.where(mask == WATER, np.float32(water), mean)
    speckle = _SPECKLE[random.integers(0, _SPECKLE.size, mask.shape, np.uint16)]
    return np.asarray(np.clip(mean * speckle, 5, 65535), np.uint16)


def _speckle_quantiles() -> NDArray[np.float32]:
    """Return 65536 amplitudes of unit power in ascending order: picking one at random is fast speckle."""
    power = np.random.default_rng(0).standard_gamma(_LOOKS, 1 << 16) / _LOOKS
    return np.sqrt(np.sort(power)).astype(np.float32)


_SPECKLE: Final = _speckle_quantiles()
