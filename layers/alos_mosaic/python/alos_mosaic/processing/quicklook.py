"""Quicklooks: a picture of a tile for eyes, in fixed colours, so that neighbours and years compare.

The stretch is the same for every tile (dB of gamma-0, linear in between):

======= ============== ==============================
channel mosaic         black to full
======= ============== ==============================
red     HH             -20 to 1 dB
green   HV             -30 to -6 dB
blue    HH / HV        0 to 22 dB
grey    HH (JERS-1)    -24 to -3 dB
======= ============== ==============================

Dense forest is green, bare ground violet and dark, towns are pink to white, open water is navy blue. Pixels
without data are transparent. The forest map is drawn in the colours of its classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from alos_mosaic.bands import NODATA
from alos_mosaic.errors import InvalidRequestError, OutputError, shown
from alos_mosaic.processing.metadata.classes import meaning_of

QUICKLOOK_MEDIA_TYPE: Final = "image/webp"
SIDE_LIMIT_PIXELS: Final = 1024

PICTURE_SUFFIXES: Final = {".webp": "WEBP", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""File names' suffixes that quicklooks can be had in, and GDAL's drivers of them."""
_STORED_DRIVER: Final = "WEBP"
_COLOURS: Final = 3
"""Bands ahead of the one that says what is transparent."""

_HH_DB: Final = (-20.0, 1.0)
_HV_DB: Final = (-30.0, -6.0)
_RATIO_DB: Final = (0.0, 22.0)
_GREY_DB: Final = (-24.0, -3.0)
_OPAQUE: Final = 255

Pixels = NDArray[Any]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def write_quicklook(hh: Pixels, hv: Pixels | None, mask: Pixels, calibration_factor_db: float, path: Path) -> Path:
    """Write a mosaic's quicklook as WebP and return its path.

    ``hh`` and ``hv`` are DN (uint16), ``mask`` the mask band (uint8), all (rows, columns) of one overview; what is
    larger than :data:`SIDE_LIMIT_PIXELS` is thinned out. Without ``hv`` the picture is grey. :class:`OutputError` if it
    can't be written.
    """
    step = _step(mask)
    hh, mask = hh[::step, ::step], mask[::step, ::step]
    hh_db = _decibels(hh, calibration_factor_db)
    if hv is None:
        channels = (_stretched(hh_db, _GREY_DB),) * 3
    else:
        hv = hv[::step, ::step]
        red = _stretched(hh_db, _HH_DB)
        green = _stretched(_decibels(hv, calibration_factor_db), _HV_DB)
        blue = _stretched(_decibels(hh, 0) - _decibels(hv, 0), _RATIO_DB)
        channels = (red, green, blue)
    alpha = np.where((mask == NODATA) | (hh == NODATA), np.uint8(0), np.uint8(_OPAQUE))
    return _write(np.stack((*channels, alpha)), path, QUALITY=85)  # lossy: speckle has no use for exactness


def write_class_quicklook(classes: Pixels, names: Mapping[int, str], path: Path) -> Path:
    """Write the forest map's quicklook as WebP in the colours of its classes, and return its path.

    ``classes`` are (rows, columns) of uint8, ``names`` the class names by value.
    """
    step = _step(classes)
    table = np.zeros((256, 4), np.uint8)
    for value, name in names.items():
        table[value] = (*bytes.fromhex(meaning_of(name).color), _OPAQUE if value != NODATA else 0)
    return _write(np.moveaxis(table[classes[::step, ::step]], -1, 0), path, LOSSLESS="YES")


def check_suffix(suffix: str) -> None:
    """Raise :class:`InvalidRequestError`, which names those that are known, for a suffix that is of no picture."""
    if suffix.lower() not in PICTURE_SUFFIXES:
        *others, last = PICTURE_SUFFIXES
        raise InvalidRequestError(f"a quicklook's file ends in {', '.join(others)} or {last}, not in {shown(suffix)}")


def converted(content: bytes, suffix: str) -> bytes:
    """Return a quicklook's bytes in the format of a file name's suffix, one of :data:`PICTURE_SUFFIXES`.

    JPEG knows no transparency: pixels without data are white there. :class:`InvalidRequestError` names the suffixes
    that are known, :class:`OutputError` says that the content is no picture.
    """
    check_suffix(suffix)
    driver = PICTURE_SUFFIXES[suffix.lower()]
    if driver == _STORED_DRIVER:
        return content
    try:
        with rasterio.Env(session=DummySession()), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(content) as memory, memory.open(driver=_STORED_DRIVER) as dataset:
                bands = dataset.read()
            if driver == "JPEG" and len(bands) > _COLOURS:
                bands = np.where(bands[_COLOURS] == 0, np.uint8(_OPAQUE), bands[:_COLOURS])
            return _encoded(bands, driver)
    except RasterioError as error:
        raise OutputError(f"the quicklook can't be read: {error}") from error


def _step(pixels: Pixels) -> int:
    rows, columns = pixels.shape
    return -(-max(int(rows), int(columns)) // SIDE_LIMIT_PIXELS)


def _decibels(dn: Pixels, calibration_factor_db: float) -> Floats:
    """Return gamma-0 in dB; where there is no signal, that of DN 1."""
    decibels: Floats = 20 * np.log10(np.maximum(dn, 1).astype(np.float32)) + np.float32(calibration_factor_db)
    return decibels


def _stretched(values: Floats, limits: tuple[float, float]) -> Bytes:
    low, high = limits
    return np.asarray(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5, np.uint8)


def _write(bands: Bytes, path: Path, **options: object) -> Path:
    """Write red, green, blue and alpha, (4, rows, columns), with options of GDAL's WEBP driver."""
    # What lies under transparent pixels costs bytes and bleeds into the edges: make it one colour.
    bands[:3, bands[3] == 0] = 0
    try:
        with rasterio.Env(session=DummySession()), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            path.write_bytes(_encoded(bands, _STORED_DRIVER, **options))
    except (RasterioError, OSError) as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
    return path


def _encoded(bands: Bytes, driver: str, **options: object) -> bytes:
    """Return a picture of (bands, rows, columns) as one of GDAL's drivers writes it, with options of that driver."""
    count, rows, columns = bands.shape
    profile = {"driver": driver, "width": columns, "height": rows, "count": count, "dtype": "uint8", **options}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(bands)
        return bytes(memory.getbuffer())
