"""What a plan says of each tile and of the whole, against sums done by hand; and which tiles a selection spans."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from alos_mosaic.cli.plan import make_plan, print_plan
from alos_mosaic.cli.selection import execution_input, run_command, tiles_of_area
from alos_mosaic.costs import TAR, ZIP, Architecture
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import tiles_of_any_year, tiles_of_year
from alos_mosaic.messages import RunRequest
from alos_mosaic.plan_page import plan_page
from alos_mosaic.planning import Machine, Plan, Standing, nothing_published, plan_run
from alos_mosaic.products import Product

MACHINE = Machine(2048, Architecture.X86_64, 10_240, concurrency=2)
TILE = "N10E010"
"""In every year, with all its cells."""
NOT_IN_2020 = "N00E000"
SEA = "N00W020"


def plan(given: dict[str, Any], published: dict[int, set[str]] | None = None, machine: Machine = MACHINE) -> Plan:
    def there(_product: Product, year: int) -> frozenset[Tile]:
        return frozenset(map(Tile.from_name, (published or {}).get(year, ())))

    return plan_run(RunRequest.from_input(given, "global"), machine, there)


def standings(made: Plan) -> dict[str, str]:
    return {f"{tile.year}/{tile.tile}": tile.standing.value for tile in made.tiles}


def test_each_tile_stands_somewhere() -> None:
    made = plan({"years": [2020], "bbox": [-20, -5, 15, 10]}, {2020: {TILE, "N05E010"}})
    counts = made.counts
    assert sum(counts.values()) == len(made.tiles) == 3 * 7
    found = standings(made)
    assert found[f"2020/{TILE}"] == found["2020/N05E010"] == "published"
    assert found["2020/N10E005"] == "to do"
    assert found[f"2020/{NOT_IN_2020}"] == "absent upstream"
    assert found[f"2020/{SEA}"] == "in no year"
    known = {tile.tile for tile in made.tiles if tile.standing is not Standing.IN_NO_YEAR}
    assert known == {tile.tile for tile in made.tiles} & tiles_of_any_year()
    assert {tile.tile for tile in made.to_do} == (known & tiles_of_year(2020)) - {
        Tile.from_name(name) for name in (TILE, "N05E010")
    }


def printed(made: Plan, **options: Any) -> list[str]:
    console = Console(width=200, record=True, file=io.StringIO())
    print_plan(made, console, **options)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_named_tile_is_tried_though_it_is_not_listed_and_estimated_as_if_jaxa_had_it() -> None:
    made = plan({"years": [2020], "tiles": [NOT_IN_2020, TILE]})
    assert standings(made) == {f"2020/{NOT_IN_2020}": "not listed upstream", f"2020/{TILE}": "to do"}
    assert len(made.to_do) == made.counts["to do"] == made.counts_by_year[2020]["to do"] == made.to_dict()["to_do"] == 2
    assert made.counts["not listed upstream"] == 1, "of the two"
    lines = printed(made)
    assert [line.split() for line in lines[:2]] == [
        ["year", "to", "do", "of", "them", "not", "listed", "upstream"],
        ["2020", "2", "1"],
    ]
    assert "download  4.4 GB at most, as if JAXA had 1 tile not listed" in lines
    assert made.estimate == plan({"years": [2020], "tiles": [TILE, "N05E010"]}).estimate, "which has all its cells"
    assert [tile.cells for tile in made.tiles] == [0, 25], "nobody has seen any of it"


def test_what_is_not_listed_stands_beside_what_it_is_a_part_of() -> None:
    made = plan({"years": [2009, 2020], "tiles": [TILE, "S05E055", NOT_IN_2020]}, {2020: {TILE}})
    assert printed(made)[0].split("  ") == ["year", "to do", "of them not listed upstream", "have an item"]


def test_years_stand_by_themselves() -> None:
    made = plan({"years": [2017, 2020], "tiles": [TILE]}, {2017: {TILE}})
    assert made.counts_by_year[2017]["published"] == made.counts_by_year[2020]["to do"] == 1
    assert made.unlisted_years == ()


def test_a_year_that_nobody_listed_has_the_tiles_of_any_year() -> None:
    made = plan({"years": [2022], "bbox": [0, 0, 15, 10]})
    assert made.unlisted_years == (2022,)
    assert {tile.tile for tile in made.to_do} == {tile.tile for tile in made.tiles} & tiles_of_any_year()
    (cells,) = {tile.cells for tile in made.tiles if tile.tile.name == TILE}
    assert cells == 25


def test_a_mode_that_makes_tiles_again_has_published_ones_to_do() -> None:
    for mode in ("refresh", "overwrite", "metadata-only"):
        made = plan({"years": [2020], "tiles": [TILE], "mode": mode}, {2020: {TILE}})
        assert standings(made) == {f"2020/{TILE}": "to do"}, mode


def test_a_mode_that_makes_tiles_again_needs_no_listing_of_what_is_there() -> None:
    def there(_product: Product, _year: int) -> frozenset[Tile]:
        raise AssertionError("asked")

    given = {"years": [2020], "tiles": [TILE], "mode": "overwrite"}
    assert plan_run(RunRequest.from_input(given, "global"), MACHINE, there).counts["to do"] == 1


def test_all_is_published() -> None:
    made = plan({"years": [2020], "tiles": [TILE]}, {2020: {TILE}})
    assert made.to_do == ()
    said = "Nothing to do: all that JAXA has of it has an item; `alos-mosaic reconcile -x` says whether each is whole"
    assert said in printed(made, check="alos-mosaic reconcile -x")
    assert "All that JAXA has of it has an item." in plan_page(made, datetime(2026, 11, 24, tzinfo=UTC), "")
    for taken in (made.estimate.low, made.estimate.high):
        assert (taken.download_bytes, taken.output_bytes, taken.minutes, taken.dollars) == (0, 0, 0, 0)


def described(tiles: list[str], published: set[str]) -> Plan:
    return plan({"years": [2020], "tiles": tiles, "mode": "metadata-only"}, {2020: published})


def test_what_is_described_again_is_not_fetched() -> None:
    made, whole = described([TILE, "N25W165"], {TILE, "N25W165"}), plan({"years": [2020], "tiles": [TILE, "N25W165"]})
    assert made.counts["to do"] == 2
    assert made.estimate.low == made.estimate.high
    taken, worker = made.estimate.high, MACHINE.worker(1e6, ZIP).describing()
    assert (taken.download_bytes, taken.output_bytes, taken.read_bytes) == (0, 0, 27 * 94_000_000)
    assert taken.dollars == pytest.approx(worker.cost(25).total + worker.cost(2).total)
    assert taken.dollars < whole.estimate.low.dollars / 2
    assert taken.minutes < whole.estimate.low.minutes / 2
    lines = printed(made)
    assert "download  none; 2.5 GB of COGs at most are read from the output" in lines
    assert not any(line.startswith(("output", "source")) for line in lines)
    page = plan_page(made, datetime(2026, 11, 24, tzinfo=UTC), "alos-mosaic run")
    assert "2 tiles would be described anew" in page
    assert "tar.gz at" not in page


def test_what_has_no_item_can_not_be_described_again() -> None:
    made = described([TILE, "N25W165"], {TILE})
    assert standings(made) == {f"2020/{TILE}": "to do", "2020/N25W165": "not published"}
    assert made.estimate == described([TILE], {TILE}).estimate
    said = "1 tile without an item would be tried, too, and fail if there are no COGs. Leave it out, or have"
    assert any(line.startswith(said) for line in printed(made))
    assert "Not drawn: 1 tile without an item" in plan_page(made, datetime(2026, 11, 24, tzinfo=UTC), "alos-mosaic run")
    none = described([TILE], set())
    assert none.to_do == ()
    assert printed(none)[-1] == (
        "Nothing to do: none of it has an item to be made anew from its COGs; --mode skip makes what is not published"
    )


def test_without_a_deployment_what_is_to_be_described_counts_as_published() -> None:
    selected = {"years": [2020], "tiles": [TILE], "mode": "metadata-only"}
    assert make_plan(selected, None, None, None).counts["to do"] == 1


def test_a_place_of_which_jaxa_has_no_tile_has_a_plan_of_nothing() -> None:
    made = plan({"years": [2020], "bbox": [-40, 30, -35, 35]})
    assert (made.to_do, made.counts["in no year"]) == ((), 1)
    assert printed(made) == [
        "year  in no year",
        "2020           1",
        "",
        "Nothing to do: JAXA publishes none of the selected tiles (1) in 2020, as far as its listings tell; name them "
        "in --tiles to have them tried all the same",
    ]
    assert "JAXA publishes none of" in plan_page(made, datetime(2026, 11, 24, tzinfo=UTC), "")


def test_what_a_plan_takes_is_the_sum_over_its_tiles() -> None:
    names = [TILE, "N05E010", "N25W165"]  # 25, 25 and 2 cells
    machine = Machine(2048, Architecture.X86_64, 10_240, concurrency=2, source_bytes_per_second=(10e6, 2e6))
    estimate = plan({"years": [2020], "tiles": names}, machine=machine).estimate
    for taken, rate, engine in ((estimate.low, 10e6, TAR), (estimate.high, 2e6, ZIP)):
        worker = machine.worker(rate, engine)
        seconds = [worker.times(cells).total_seconds for cells in (25, 25, 2)]
        assert taken.megabytes_per_second == rate / 1e6
        assert taken.download_bytes == 52 * engine.archive_bytes
        assert taken.output_bytes == 52 * engine.output_bytes
        assert taken.minutes == pytest.approx(sum(seconds) / 2 / 60)
        assert taken.dollars == pytest.approx(sum(worker.cost(cells).total for cells in (25, 25, 2)))
    assert estimate.low.minutes < estimate.high.minutes
    assert estimate.low.dollars < estimate.high.dollars


def test_no_plan_is_done_before_its_longest_tile() -> None:
    wide = Machine(2048, Architecture.X86_64, 10_240, concurrency=100)
    made = plan({"years": [2020], "tiles": [TILE, "N25W165"]}, machine=wide)
    longest = wide.worker(20e6, TAR).times(25).total_seconds
    assert made.estimate.low.minutes == pytest.approx(longest / 60)
    assert made.max_concurrency == 100


def test_a_box_across_the_antimeridian_has_tiles_on_both_sides() -> None:
    made = plan({"years": [2020], "bbox": [178, -19, -178, -16]})
    assert standings(made) == {"2020/S15W180": "to do", "2020/S15E175": "to do"}
    assert sum(tile.cells for tile in made.to_do) == 18 + 19
    squares = made.to_geojson()["features"]
    assert [square["geometry"]["coordinates"][0][0] for square in squares] == [[-180, -20], [175, -20]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"years": [2012], "tiles": [TILE]}, "there is no mosaic of 2012"),
        (
            {"years": ["2020-2022"], "tiles": [TILE]},
            "'2020-2022' is not a year; years are listed one by one, like 2017,",
        ),
        ({"years": ["twenty"], "tiles": [TILE]}, "'twenty' is not a year; one looks like 2020"),
        ({"years": [2020], "tiles": ["n10e010"]}, "'n10e010' is not a tile name; did you mean N10E010"),
        ({"years": [2020], "tiles": ["x"]}, "'x' is not a tile name; one looks like N10E010"),
        ({"years": [], "tiles": [TILE]}, "years"),
        ({"years": [2020], "tiles": []}, "tiles"),
        ({"years": [1996], "tiles": [TILE], "product": "alos_palsar_fnf"}, "1996 has no alos_palsar_fnf"),
    ],
)
def test_what_a_run_would_be_refused_for_has_no_plan(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        plan(given)


def test_what_a_plan_says_to_machines() -> None:
    told = json.loads(json.dumps(plan({"years": [2020], "tiles": [TILE, "N25W165"]}, {2020: {TILE}}).to_dict()))
    assert told["years"] == {"2020": {
        "to do": 1, "not listed upstream": 0, "published": 1, "not published": 0, "absent upstream": 0, "in no year": 0,
    }}  # fmt: skip
    assert (told["to_do"], told["published"], told["in_no_year"], told["max_concurrency"]) == (1, 1, 0, 2)
    assert told["tiles"][1] == {"year": 2020, "tile": "N25W165", "standing": "to do", "cells": 2}
    assert set(told["estimate"]["low"]) == {
        "megabytes_per_second", "download_bytes", "read_bytes", "output_bytes", "minutes", "dollars",
    }  # fmt: skip


def test_nothing_published_says_so() -> None:
    made = plan_run(RunRequest.from_input({"years": [2020], "tiles": [TILE]}, "global"), MACHINE, nothing_published)
    assert made.counts["to do"] == 1


def area(tmp_path: Path, geometry: object) -> Path:
    path = tmp_path / "area.geojson"
    path.write_text(geometry if isinstance(geometry, str) else json.dumps(geometry))
    return path


def box(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def test_an_area_of_several_parts_touches_the_tiles_of_each(tmp_path: Path) -> None:
    parts = [box(11, 6, 12, 7), box(-164, 21, -163.5, 21.5)]
    multipolygon = {"type": "MultiPolygon", "coordinates": parts}
    features = [{"type": "Feature", "geometry": multipolygon}, {"type": "Feature", "geometry": None}]
    collection = {"type": "FeatureCollection", "features": features}
    geometries = {"type": "GeometryCollection", "geometries": [multipolygon]}
    for given in (multipolygon, collection, geometries):
        assert {tile.name for tile in tiles_of_area(area(tmp_path, given))} == {TILE, "N25W165"}


def test_an_area_cut_at_the_antimeridian_has_tiles_on_both_sides(tmp_path: Path) -> None:
    parts = [box(179, -17, 180, -16), box(-180, -17, -179, -16)]
    given = area(tmp_path, {"type": "MultiPolygon", "coordinates": parts})
    assert {tile.name for tile in tiles_of_area(given)} == {"S15E175", "S15W180"}


@pytest.mark.parametrize(
    ("geometry", "is_warned_of"),
    [
        ({"type": "Polygon", "coordinates": box(-178, -19, 178, -16)}, True),
        ({"type": "MultiPolygon", "coordinates": [box(10, 0, 12, 2), box(-178, -19, 178, -16)]}, True),
        ({"type": "MultiPolygon", "coordinates": [box(178, -19, 180, -16), box(-180, -19, -178, -16)]}, False),
        ({"type": "Polygon", "coordinates": box(-180, -60, 180, 85)}, False),
        ({"type": "Polygon", "coordinates": box(0, 0, 180, 10)}, False),
    ],
)
def test_an_area_that_was_not_cut_at_the_antimeridian_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], geometry: object, is_warned_of: bool
) -> None:
    assert tiles_of_area(area(tmp_path, geometry))
    warned = capsys.readouterr().err
    assert ("wider than 180 degrees; if it is to cross the antimeridian, cut it there" in warned) == is_warned_of
    assert bool(warned) == is_warned_of


def test_a_tile_whose_edge_an_area_shares_is_not_in_it(tmp_path: Path) -> None:
    given = area(tmp_path, {"type": "Polygon", "coordinates": box(10, 5, 15, 10)})
    assert [tile.name for tile in tiles_of_area(given)] == [TILE]


def test_a_polygon_that_crosses_itself_is_taken_as_what_it_encloses(tmp_path: Path) -> None:
    bow = [[[11, 6], [14, 9], [14, 6], [11, 9], [11, 6]]]
    assert [tile.name for tile in tiles_of_area(area(tmp_path, {"type": "Polygon", "coordinates": bow}))] == [TILE]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "holds no GeoJSON"),
        ("[]", "holds no GeoJSON"),
        ({"type": "Point"}, "holds no GeoJSON"),
        ({"type": "Polygon", "coordinates": [[[1, 2]]]}, "holds no GeoJSON"),
        ({"type": "FeatureCollection", "features": []}, "touches no tile"),
        ({"type": "Polygon", "coordinates": box(-36, 31, -35.5, 31.5)}, "touches no tile"),
        ({"type": "Polygon", "coordinates": []}, "touches no tile"),
    ],
)
def test_an_area_that_is_none_is_refused(tmp_path: Path, given: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        tiles_of_area(area(tmp_path, given))


def test_one_selection_at_a_time(tmp_path: Path) -> None:
    given = area(tmp_path, {"type": "Polygon", "coordinates": box(11, 6, 12, 7)})
    with pytest.raises(InvalidRequestError, match="exclude each other"):
        execution_input("2020", region="africa", geojson=given)
    assert execution_input("2020", geojson=given) == {"years": ["2020"], "tiles": [TILE]}


def test_the_command_that_starts_a_plan_asks_for_the_same() -> None:
    given = execution_input("2017, 2020", tiles="N10E010, N25W165", product="alos_palsar_fnf")
    assert run_command(given, stack="my stack", max_concurrency=None) == (
        "alos-mosaic run --years 2017,2020 --tiles N10E010,N25W165 --product alos_palsar_fnf --stack 'my stack'"
    )
