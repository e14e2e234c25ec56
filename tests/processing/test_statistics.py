"""Counting pixels."""

from __future__ import annotations

import numpy as np

from alos_mosaic.grid import Cell, Grid
from alos_mosaic.processing.statistics import TileStatistics, count_values, of_cell
from local.archives import make_cell

TAGS = {"HH": 1.0, "HV": 1.0, "linci": 1.0, "date": 1.0, "mask": 0.0}


def arrays(**changed: list[int]) -> dict[str, np.ndarray]:
    values = {
        "HH": [9, 8, 1, 1],
        "HV": [5, 6, 1, 1],
        "linci": [30, 31, 1, 1],
        "date": [7, 7, 1, 1],
        "mask": [255, 1, 0, 0],
    }
    types = {"linci": np.uint8, "mask": np.uint8}
    return {
        code: np.array(changed.get(code, value), types.get(code, np.uint16)).reshape(2, 2)
        for code, value in values.items()
    }


def test_a_cell_is_counted() -> None:
    assert of_cell(arrays(), TAGS) == TileStatistics(
        {0: 2, 1: 1, 255: 1}, {7: 2}, {}, 0, {"HH": (8, 9), "HV": (5, 6), "linci": (30, 31), "date": (7, 7)}
    )


def test_values_under_mask_0_count_unless_they_are_0_or_the_tag() -> None:
    assert of_cell(arrays(HH=[9, 8, 1, 0], linci=[30, 31, 0, 2]), TAGS).values_under_nodata == 1
    assert of_cell(arrays(HH=[9, 8, 1, 0]), {}).values_under_nodata == 1 + 2 + 2 + 2


def test_the_tag_is_no_value_where_the_mask_says_data() -> None:
    found = of_cell(arrays(HH=[9, 1, 1, 1], date=[7, 1, 1, 1]), TAGS)
    assert found.range_by_band["HH"] == (9, 9)
    assert found.pixels_by_date == {7: 1}


def test_a_forest_map_is_counted_by_class() -> None:
    found = of_cell({"C": np.array([[0, 1], [2, 2]], np.uint8)}, {"C": None})
    assert found == TileStatistics({}, {}, {0: 1, 1: 1, 2: 2}, 0, {"C": (1, 2)})


def test_cells_add_up() -> None:
    one, other = of_cell(arrays(), TAGS), of_cell(arrays(date=[3, 9, 1, 1], HH=[70, 2, 1, 5]), TAGS)
    both = one + other
    assert both == other + one
    assert both == TileStatistics(
        {0: 4, 1: 2, 255: 2}, {3: 1, 7: 2, 9: 1}, {}, 1,
        {"HH": (2, 70), "HV": (5, 6), "linci": (30, 31), "date": (3, 9)},
    )  # fmt: skip
    assert TileStatistics() + one == one


def test_a_cell_without_a_valid_pixel_has_no_range() -> None:
    found = of_cell(arrays(mask=[0, 0, 0, 0]), TAGS)
    assert (found.range_by_band, found.pixels_by_date) == ({}, {})


def test_counts_are_those_of_unique_over_many_rows(grid: Grid) -> None:
    cell = make_cell(Cell.from_name("N23W161"), 2020, Grid(700)).arrays
    for code in ("mask", "date"):
        values, counts = np.unique(cell[code], return_counts=True)
        assert count_values(cell[code]) == dict(zip(values.tolist(), counts.tolist(), strict=True))
