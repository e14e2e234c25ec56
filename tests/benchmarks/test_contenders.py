from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import rasterio
from rasterio.enums import Compression
from rich.console import Console

from benchmarks import __main__ as bench
from benchmarks.archives import ArchiveSpec, ensure_archive, make_rough_cell
from benchmarks.contenders import CONTENDERS, FLOOR, OURS, Assignment, Contender, available
from benchmarks.contenders.floor import ENCODERS, run
from benchmarks.contenders.gdal_steps import RECIPES, main
from benchmarks.judging import judge
from benchmarks.rasters import DifferentPixelsError

PIXELS = 600


@pytest.fixture(scope="module", params=["envi", "geotiff"])
def spec(request: pytest.FixtureRequest) -> ArchiveSpec:
    return ArchiveSpec(request.param, 4, PIXELS)


@pytest.fixture(scope="module")
def archive(spec: ArchiveSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_archive(spec, tmp_path_factory.mktemp("kept"))


def steps(recipe: str, archive: Path, folder: Path) -> Path:
    work, out = folder / f"{recipe}-work", folder / recipe
    work.mkdir()
    out.mkdir()
    main(["--recipe", recipe, "--archive", str(archive), "--work", str(work), "--out", str(out)])
    return out


def test_every_recipe_writes_the_archives_pixels(spec: ArchiveSpec, archive: Path, tmp_path: Path) -> None:
    outputs = {recipe: steps(recipe, archive, tmp_path) for recipe in RECIPES}
    cells = [make_rough_cell(cell, spec).arrays for cell in spec.squares]
    for out in outputs.values():
        for code in cells[0]:
            (path,) = out.glob(f"*_sl_{code}_F02DAR.tif")
            with rasterio.open(path) as dataset:
                pixels = dataset.read(1)
            for number, cell in enumerate(cells):
                top, left = number // 2 * PIXELS, number % 2 * PIXELS
                assert (pixels[top : top + PIXELS, left : left + PIXELS] == cell[code]).all()
    verdict = judge(outputs, spec.year, [], "gdal-deflate")
    assert set(verdict["bytes"]) == set(RECIPES)
    assert all(size > 0 for size in verdict["bytes"].values())


def test_ours_is_judged_by_the_reference(tmp_path: Path) -> None:
    spec = ArchiveSpec("envi", 4, PIXELS)
    archive = ensure_archive(spec, tmp_path / "kept")
    same, other = (steps(recipe, archive, tmp_path) for recipe in ("gdal-deflate", "gdal-zstd"))
    verdict = judge({"gdal-deflate": same, "ours": other}, spec.year, ["ours"], "gdal-deflate")
    assert [band["base_pixels"] for band in verdict["compared"]["ours"]] == [4 * PIXELS**2] * 5
    averaged = steps("ancestor", archive, tmp_path)
    with pytest.raises(DifferentPixelsError, match="_sl_HH_.*overview 1:2"):
        judge({"gdal-deflate": same, "ours": averaged}, spec.year, ["ours"], "gdal-deflate")


def test_recipes_do_what_their_names_say(archive: Path, tmp_path: Path) -> None:
    with rasterio.open(next(steps("ancestor", archive, tmp_path).glob("*_HH_*"))) as ancestor:
        assert ancestor.compression is Compression.deflate
        assert ancestor.overviews(1) == [2, 4, 8, 16, 32]
        assert ancestor.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert ancestor.nodata == 0
    with rasterio.open(next(steps("gdal-zstd", archive, tmp_path).glob("*_HH_*"))) as zstd:
        assert zstd.compression is Compression.zstd
        assert zstd.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize("codec", ENCODERS)
def test_the_floor_compresses_every_pixel_of_every_level(codec: str, archive: Path, spec: ArchiveSpec) -> None:
    seen = []
    plain = ENCODERS[codec]
    ENCODERS[codec] = lambda block: seen.append(block.nbytes) or plain(block)
    try:
        size = run(archive, codec)
    finally:
        ENCODERS[codec] = plain
    assert spec.raw_bytes * 1.33 < sum(seen) < spec.raw_bytes * 1.40  # odd sizes round up
    assert 0 < size < spec.raw_bytes


def test_a_lacking_band_is_not_overlooked(archive: Path, spec: ArchiveSpec, tmp_path: Path) -> None:
    out = steps("gdal-deflate", archive, tmp_path)
    next(out.glob("*_date_*")).unlink()
    with pytest.raises(DifferentPixelsError, match="0 rasters of date"):
        judge({"gdal-deflate": out}, spec.year, [], "gdal-deflate")


def test_ours_runs_as_the_real_command(tmp_path: Path) -> None:
    ours = next(row for row in CONTENDERS if row.kind == OURS)
    command = ours.command(
        Assignment(tmp_path / "a.zip", tmp_path / "mirror", 2017, "S05W060", tmp_path / "work", tmp_path / "out")
    )
    assert Path(command[0]).name == "alos-mosaic"
    assert command[1:3] == ["process", "2017/S05W060"]
    assert f"file://{tmp_path}/mirror" in command


def test_a_row_waits_for_its_option() -> None:
    unknown = Contender("ours-new", "ours, new", ("--no-such-option", "x"), "", "new", kind=OURS)
    named = {row.name for row in available((*CONTENDERS, unknown))}
    assert "ours" in named
    assert "floor-zstd" in named
    assert "ours-new" not in named


def test_a_whole_run_over_tiny_archives(tmp_path: Path) -> None:
    rows = tuple(row for row in CONTENDERS if row.name in {"ancestor", "gdal-deflate", "floor"})
    plan = bench.Plan(rows, (ArchiveSpec("envi", 1, PIXELS),), 2, tmp_path)
    report = bench.run(plan, Console(file=io.StringIO()))
    assert [(run.contender, run.repeat) for run in report.measurements] == [
        (row.name, repeat) for repeat in range(2) for row in rows
    ]
    (case,) = report.cases
    assert set(case.output_bytes) == {row.name for row in rows}
    assert json.loads(report.to_json())["cases"][0]["archive_bytes"] > 0
    floors = [run.told["output_bytes"] for run in report.measurements if run.contender == "floor"]
    # ISA-L was seen to write two bytes more or less for the same pixels.
    assert case.output_bytes["floor"] in floors
    assert floors[0] == pytest.approx(floors[1], rel=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["archives"]


def test_no_contender_is_named_twice_and_each_says_what_it_contains() -> None:
    assert len({row.name for row in CONTENDERS}) == len(CONTENDERS)
    assert all(row.contains for row in CONTENDERS)
    assert {row.codec for row in CONTENDERS if row.kind == FLOOR} == set(ENCODERS)
    assert sys.executable in CONTENDERS[0].command(Assignment(*[Path("/x")] * 2, 2017, "S05W060", *[Path("/x")] * 2))
