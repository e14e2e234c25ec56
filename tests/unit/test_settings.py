from __future__ import annotations

import pytest

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.settings import SeedSettings, SourceSettings, SummarySettings, TileSettings


@pytest.mark.parametrize(
    "settings",
    [
        SeedSettings("runs", max_concurrency_ceiling=3),
        TileSettings("s3://out/prefix", "runs", source_secret_name="jaxa", cell_pixels=30),
        TileSettings("s3://out", "runs"),
        SummarySettings("runs", 2.5, 10.0),
        SourceSettings(),
    ],
)
def test_settings_survive_the_environment(settings: SeedSettings | TileSettings | SummarySettings) -> None:
    assert type(settings).from_env(settings.to_env()) == settings


def test_other_variables_are_passed_over() -> None:
    assert SourceSettings.from_env({"PATH": "/bin", "ALOS_MOSAIC_SOURCE_USERNAME": "me"}).source_username == "me"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="ALOS_MOSAIC_RUNS_BUCKET"):
        SeedSettings.from_env({})


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="ALOS_MOSAIC_CELL_PIXELS is 'many'"):
        TileSettings.from_env({"ALOS_MOSAIC_CELL_PIXELS": "many"})
