from __future__ import annotations

import pytest

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.settings import SeedSettings, SourceSettings, SummarySettings, TileSettings, check_plain_login


@pytest.mark.parametrize(
    "settings",
    [
        SeedSettings(runs_bucket="runs", output_uri="s3://out", max_concurrency_ceiling=3),
        TileSettings("s3://out/prefix", "runs", source_secret_name="jaxa", cell_pixels=30),
        TileSettings("s3://out", "runs"),
        TileSettings("s3://out", "runs", allow_plain_login=True, requester_pays=False),
        SummarySettings("runs", 2.5, 10.0),
        SourceSettings(),
    ],
)
def test_settings_survive_the_environment(settings: SeedSettings | TileSettings | SummarySettings) -> None:
    assert type(settings).from_env(settings.to_env()) == settings


def test_other_variables_are_passed_over() -> None:
    assert SourceSettings.from_env({"PATH": "/bin", "ALOS_MOSAIC_SOURCE_USERNAME": "me"}).source_username == "me"


def test_a_password_is_never_shown() -> None:
    assert "s3cret" not in repr(SourceSettings("me", "s3cret"))


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="ALOS_MOSAIC_RUNS_BUCKET"):
        SeedSettings.from_env({})


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="ALOS_MOSAIC_CELL_PIXELS is 'many'"):
        TileSettings.from_env({"ALOS_MOSAIC_CELL_PIXELS": "many"})


def test_a_variable_that_is_neither_true_nor_false_is_named() -> None:
    env = {"ALOS_MOSAIC_OUTPUT_URI": "s3://out", "ALOS_MOSAIC_RUNS_BUCKET": "runs"}
    assert TileSettings.from_env({**env, "ALOS_MOSAIC_ALLOW_PLAIN_LOGIN": "true"}).allow_plain_login is True
    with pytest.raises(InvalidRequestError, match="ALOS_MOSAIC_ALLOW_PLAIN_LOGIN is '1', which is neither true nor"):
        TileSettings.from_env({**env, "ALOS_MOSAIC_ALLOW_PLAIN_LOGIN": "1"})


@pytest.mark.parametrize("uri", ["ftp://host", "FTP://host", "http://127.0.0.1:80"])
def test_a_password_travels_in_the_open_only_where_that_is_allowed(uri: str) -> None:
    check_plain_login(uri, has_login=False, is_allowed=False)
    check_plain_login(uri, has_login=True, is_allowed=True)
    with pytest.raises(InvalidRequestError, match="--allow-plain-login"):
        check_plain_login(uri, has_login=True, is_allowed=False)
