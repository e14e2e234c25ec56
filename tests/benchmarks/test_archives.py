from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alos_mosaic.grid import Grid
from alos_mosaic.naming import parse_member
from benchmarks.archives import FORMS, ArchiveSpec, ensure_archive, make_rough_cell
from benchmarks.contenders.gdal_steps import extract
from local.archives import make_cell
from local.scenery import WATER


@pytest.mark.parametrize("form", FORMS)
def test_the_same_spec_makes_the_same_bytes(form: str, tmp_path: Path) -> None:
    spec = ArchiveSpec(form, 4, 24)
    first, second = (ensure_archive(spec, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_a_kept_archive_is_not_made_again(tmp_path: Path) -> None:
    spec = ArchiveSpec("envi", 1, 8)
    path = ensure_archive(spec, tmp_path)
    path.write_bytes(b"kept")
    assert ensure_archive(spec, tmp_path).read_bytes() == b"kept"
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_archives_lie_where_the_layouts_look_for_them(tmp_path: Path) -> None:
    for form, name in (("envi", "S05W060_17_MOS_F02DAR.tar.gz"), ("geotiff", "S05W060_20_MOS_F02DAR.zip")):
        spec = ArchiveSpec(form, 1, 8)
        assert spec.path(tmp_path).name == name
        assert spec.path(tmp_path).is_relative_to(spec.mirror(tmp_path))


def test_members_are_those_of_the_form_and_hold_the_bytes_promised(tmp_path: Path) -> None:
    spec = ArchiveSpec("envi", 4, 16)
    extract(ensure_archive(spec, tmp_path), tmp_path / "members")
    named = [(path, parse_member(path.name)) for path in (tmp_path / "members").iterdir()]
    assert sum(path.stat().st_size for path, name in named if name and not name.extension) == spec.raw_bytes
    assert {name.cell for _, name in named if name} == set(spec.squares)
    zipped = ArchiveSpec("geotiff", 1, 16)
    extract(ensure_archive(zipped, tmp_path), tmp_path / "zipped")
    assert sorted(path.suffix for path in (tmp_path / "zipped").iterdir()) == [".tif"] * 5 + [".xml"]


def test_angles_are_rough_on_land_only_and_never_look_like_nodata() -> None:
    spec = ArchiveSpec("geotiff", 1, 300)
    bands = make_rough_cell(spec.squares[0], spec).arrays
    smooth = make_cell(spec.squares[0], spec.year, Grid(spec.cell_pixels), 5).arrays
    land = bands["mask"] > WATER
    assert land.any()
    np.testing.assert_array_equal(bands["linci"][~land], smooth["linci"][~land])
    noise = bands["linci"][land].astype(int) - smooth["linci"][land]
    assert 1.0 < noise.std() < 1.4
    assert bands["linci"][bands["mask"] != 0].min() >= 5


@pytest.mark.parametrize(("form", "cells"), [("envi", 2), ("envi", 36), ("envi", 0), ("envi", -1), ("png", 4)])
def test_other_archives_are_refused(form: str, cells: int) -> None:
    with pytest.raises(ValueError, match="form is one of|cells are"):
        ArchiveSpec(form, cells)
