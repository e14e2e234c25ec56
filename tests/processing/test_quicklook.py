"""Pictures of tiles: colours, transparency, size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from alos_mosaic.errors import OutputError
from alos_mosaic.processing.quicklook import SIDE_LIMIT_PIXELS, write_class_quicklook, write_quicklook

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SHAPE = (96, 64)


def picture(path: Path) -> np.ndarray:
    assert path.read_bytes()[8:12] == b"WEBP"
    with rasterio.open(path) as dataset:
        bands = dataset.read()
    opaque = np.full((1, *bands.shape[1:]), 255, np.uint8)  # WebP drops an alpha band that hides nothing
    return bands if len(bands) == 4 else np.concatenate((bands, opaque))


def dn(decibels: float, calibration_factor_db: float = -83.0) -> np.ndarray:
    return np.full(SHAPE, round(10 ** ((decibels - calibration_factor_db) / 20)), np.uint16)


LAND = np.full(SHAPE, 255, np.uint8)


def colour(hh: float, hv: float, path: Path) -> tuple[int, int, int]:
    red, green, blue, alpha = picture(write_quicklook(dn(hh), dn(hv), LAND, -83.0, path)).mean((1, 2))
    assert alpha == 255
    return int(red), int(green), int(blue)


def test_surfaces_have_the_colours_that_are_promised(tmp_path: Path) -> None:
    red, green, blue = colour(-7, -12.5, tmp_path / "forest.webp")
    assert green > red > blue
    red, green, blue = colour(-18, -31, tmp_path / "water.webp")
    assert blue > 100 > red
    assert green < 20
    red, green, blue = colour(-14, -24, tmp_path / "bare.webp")
    assert blue > red > green
    assert blue < 140


def test_the_stretch_is_the_documented_one(tmp_path: Path) -> None:
    dark, bright = colour(-20, -30, tmp_path / "dark.webp"), colour(1, -6, tmp_path / "bright.webp")
    assert (dark[0], dark[1]) == pytest.approx((0, 0), abs=6)
    assert (bright[0], bright[1]) == pytest.approx((255, 255), abs=6)


def test_one_polarization_is_grey(tmp_path: Path) -> None:
    red, green, blue, _ = picture(write_quicklook(dn(-13.5, -84.66), None, LAND, -84.66, tmp_path / "jers.webp"))
    assert red.mean() == pytest.approx(128, abs=4)
    assert abs(red.astype(int) - green).max() <= 3
    assert abs(red.astype(int) - blue).max() <= 3


def test_nodata_is_transparent_and_mask_1_is_data(tmp_path: Path) -> None:
    mask = LAND.copy()
    mask[:32], mask[32:64] = 0, 1
    alpha = picture(write_quicklook(dn(-7), dn(-12), mask, -83.0, tmp_path / "x.webp"))[3]
    assert not alpha[:32].any()
    assert (alpha[32:] == 255).all()


def test_pictures_are_small_and_the_same_twice(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    hh = (3000 + 800 * random.standard_normal((2813, 2813))).astype(np.uint16)
    mask = np.full(hh.shape, 255, np.uint8)
    one, two = (write_quicklook(hh, hh // 2, mask, -83.0, tmp_path / name) for name in ("one.webp", "two.webp"))
    assert one.read_bytes() == two.read_bytes()
    _, rows, columns = picture(one).shape
    assert SIDE_LIMIT_PIXELS / 2 < rows == columns <= SIDE_LIMIT_PIXELS
    assert one.stat().st_size < 600_000
    assert not list(tmp_path.glob("*.aux.xml"))


def test_classes_are_drawn_exactly(tmp_path: Path) -> None:
    classes = np.zeros(SHAPE, np.uint8)
    classes[:30], classes[30:60] = 1, 2
    found = picture(write_class_quicklook(classes, {0: "no_data", 1: "forest", 2: "non_forest"}, tmp_path / "c.webp"))
    assert tuple(found[:, 0, 0]) == (0x1B, 0x7A, 0x3D, 255)
    assert tuple(found[:, 45, 0]) == (0xEA, 0xDF, 0xA0, 255)
    assert not found[3, 60:].any()


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"x\.webp"):
        write_quicklook(dn(-7), None, LAND, -83.0, tmp_path / "none" / "x.webp")
