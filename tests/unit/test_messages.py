from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alos_mosaic.errors import MESSAGE_LIMIT_BYTES, InvalidRequestError, error_message
from alos_mosaic.grid import Tile
from alos_mosaic.messages import Mode, RunRequest, TileRequest, TileYear
from alos_mosaic.results import UNKNOWN, State, TileFailure, TileResult

EVENTS = Path(__file__).parents[2] / "events"
N25W165 = Tile.from_name("N25W165")


def read(given: object) -> RunRequest:
    return RunRequest.from_input(given, default_region="africa", current_year=2026)


def test_years_are_enough() -> None:
    request = read({"years": [2017, 2020]})
    assert request.years == (2017, 2020)
    assert (len(request.tiles), request.are_named) == (234, False)
    assert (request.mode, request.max_concurrency, request.max_tiles) == (Mode.SKIP, None, None)


def test_years_may_be_strings_and_come_twice() -> None:
    request = read({"years": ["2020", 2020, "1996"], "tiles": ["N25W165", "N25W165"]})
    assert (request.years, request.tiles, request.are_named) == ((2020, 1996), (N25W165,), True)


def test_every_choice_is_heard() -> None:
    request = read(
        {"years": [2020], "bbox": [179, -17, -179, -16], "max_concurrency": 4, "max_tiles": 9, "mode": "overwrite"}
    )
    assert [tile.name for tile in request.tiles] == ["S15W180", "S15E175"]
    assert (request.mode, request.max_concurrency, request.max_tiles) == (Mode.OVERWRITE, 4, 9)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "lacks years"),
        ([2020], "JSON object"),
        (None, "JSON object"),
        ({"years": []}, "years is empty"),
        ({"years": 2020}, "years is a list"),
        ({"years": [2012]}, "2012.*1993-1998, 2007-2010, 2015-2026"),
        ({"years": [2027]}, "2027"),
        ({"years": ["20x"]}, "20x"),
        ({"years": ["\uff12\uff10\uff12\uff10"]}, "not a year"),
        ({"years": ["9" * 5000]}, "not a year"),
        ({"years": [True]}, "True"),
        ({"years": [2020.0]}, "2020.0"),
        ({"years": [2020], "year": 1}, "unknown keys \\['year'"),
        ({"years": [2020], "tiles": []}, "tiles is empty"),
        ({"years": [2020], "tiles": ["N12E010"]}, "N12E010"),
        ({"years": [2020], "tiles": ["S00E010"]}, "S00E010.*N00E010"),
        ({"years": [2020], "tiles": "N10E010"}, "tiles is a list"),
        ({"years": [2020], "tiles": [None]}, "None"),
        ({"years": [2020], "bbox": [0, 5, 5, 0]}, "south"),
        ({"years": [2020], "bbox": [0, -80, 5, -70]}, "touches no tile"),
        ({"years": [2020], "region": "atlantis"}, "atlantis"),
        ({"years": [2020], "region": ""}, "no region"),
        ({"years": [2020], "region": 7}, "region is a name"),
        ({"years": [2020], "region": "africa", "tiles": ["N10E010"]}, "region and tiles exclude"),
        ({"years": [2020], "max_concurrency": 0}, "max_concurrency"),
        ({"years": [2020], "max_tiles": "5"}, "max_tiles"),
        ({"years": [2020], "max_tiles": True}, "max_tiles"),
        ({"years": [2020], "mode": "again"}, "mode is one of skip, refresh, overwrite, metadata-only"),
        ({"years": [2020], "mode": ["skip"]}, "mode"),
        ({"years": [2020, 1996], "product": "alos_palsar_fnf"}, "1996 has no alos_palsar_fnf"),
        ({"years": [1996], "product": "alos_palsar_mosaic"}, "1996 has no alos_palsar_mosaic; it has jers_sar_mosaic"),
        ({"years": [2020], "product": "forest"}, "no product is called 'forest'"),
        ({"years": [2020], "product": ["alos_palsar_fnf"]}, "no product"),
    ],
)
def test_a_senseless_input_is_refused_with_the_reason(given: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read(given)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    json_values
    | st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["years", "tiles", "bbox", "region", "mode", "product"], json_values)
    )
)
def test_any_input_is_read_or_refused(given: object) -> None:
    with contextlib.suppress(InvalidRequestError):
        read(given)


@given(json_values | st.fixed_dictionaries({"year": json_values, "tile": json_values}, optional={"run": json_values}))
def test_any_event_is_read_or_refused(given: object) -> None:
    with contextlib.suppress(InvalidRequestError):
        TileRequest.from_event(given)


@pytest.mark.parametrize(
    "event", [{"year": 2020, "tile": "N25W165"}, {"year": "2020", "tile": "N25W165"}, "2020/N25W165"]
)
def test_a_tile_event_in_every_form(event: object) -> None:
    assert TileRequest.from_event(event) == TileRequest(TileYear(2020, N25W165))


@pytest.mark.parametrize("product", [None, "alos_palsar_mosaic", "alos_palsar_fnf"])
def test_a_product_is_heard(product: str | None) -> None:
    assert read({"years": [2009, 2020], "tiles": ["N25W165"], "product": product}).product == product
    event = {"year": 2020, "tile": "N25W165", "product": product}
    assert TileRequest.from_event(event) == TileRequest(TileYear(2020, N25W165), product=product)
    body = json.dumps({"year": 2020, "tile": "N25W165", "product": product})
    assert TileFailure.from_body(body).product == product


def test_a_tile_event_as_the_state_machine_makes_it() -> None:
    event = {"schema_version": 1, "year": 2020, "tile": "N25W165", "mode": "overwrite", "run": "r", "retries": 2}
    assert TileRequest.from_event(event) == TileRequest(TileYear(2020, N25W165), Mode.OVERWRITE, "r", 3)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("2020-N25W165", "YEAR/TILE"),
        ({"year": 2020}, "lacks tile"),
        ({"tile": "N25W165"}, "lacks year"),
        ({"year": 2020, "tile": "N25W165", "schema_version": 2}, "schema version 2"),
        ({"year": 2020, "tile": "N25W165", "run": "a/b"}, "run"),
        ({"year": 2020, "tile": "N25W165", "run": ""}, "run"),
        ({"year": 2020, "tile": "N25W165", "retries": -1}, "retries"),
        ({"year": 1996, "tile": "N25W165", "product": "alos_palsar_fnf"}, "1996 has no alos_palsar_fnf"),
        ({"year": 2020, "tile": "N25W165", "product": {}}, "no product"),
        ({"year": 2020, "tile": "N25W165", "Year": 1}, "unknown keys \\['Year'"),
        (7, "JSON object"),
    ],
)
def test_a_senseless_event_is_refused_with_the_reason(event: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        TileRequest.from_event(event)


@pytest.mark.parametrize("path", sorted(EVENTS.glob("tile*.json")), ids=lambda path: path.stem)
def test_the_ready_tile_events_are_read(path: Path) -> None:
    assert TileRequest.from_event(json.loads(path.read_text())).tile_year.tile == N25W165


@pytest.mark.parametrize("path", sorted(EVENTS.glob("run*.json")), ids=lambda path: path.stem)
def test_the_ready_run_inputs_are_read(path: Path) -> None:
    assert read(json.loads(path.read_text())).tiles


def test_a_result_survives_its_json() -> None:
    result = TileResult(
        State.PUBLISHED, 2020, "N25W165", "r",
        cells=("N23W161",), defective_cells=("N25W164",), values_under_nodata=17, seconds={"fetch": 1.5},
    )  # fmt: skip
    assert TileResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert "error" not in result.to_dict()


def dead_letter(cause: str) -> str:
    return json.dumps({"year": 2020, "tile": "N25W165", "error": "OutputError", "cause": cause, "run": "r"})


def test_a_dead_letter_tells_what_the_worker_said() -> None:
    raised = error_message("disk full", year=2020, tile="N25W165", attempt=2)
    failure = TileFailure.from_body(dead_letter(json.dumps({"errorMessage": raised, "errorType": "OutputError"})))
    assert (failure.cause, failure.attempt, failure.run, failure.execution) == ("disk full", 2, "r", UNKNOWN)


@pytest.mark.parametrize(
    "cause",
    [
        "Task timed out after 900 seconds",
        "",
        "null",
        "[]",
        '{"errorMessage": 5}',
        '{"errorMessage": "plain text"}',
        "{}",
    ],
)
def test_a_dead_letter_of_a_worker_that_died_is_read_all_the_same(cause: str) -> None:
    failure = TileFailure.from_body(dead_letter(cause))
    assert failure.attempt == UNKNOWN
    assert failure.error == "OutputError"
    assert failure.cause == {'{"errorMessage": 5}': "5", '{"errorMessage": "plain text"}': "plain text"}.get(
        cause, cause
    )


@pytest.mark.parametrize("body", ["[]", "null", "5"])
def test_what_is_no_dead_letter_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequestError):
        TileFailure.from_body(body)


def test_a_huge_input_is_not_echoed() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read({"years": ["x" * 200_000]})
    assert len(str(caught.value)) < 500


@given(st.text(max_size=9000))
def test_an_error_message_is_json_and_bounded(cause: str) -> None:
    text = error_message(cause, tile="N25W165")
    assert len(text.encode()) <= MESSAGE_LIMIT_BYTES + len(" ...")
    assert json.loads(text)["tile"] == "N25W165"


def test_accepting_partial_tiles_is_heard_and_is_a_switch() -> None:
    assert read({"years": [2020], "tiles": ["N25W165"], "accept_partial": True}).accept_partial
    assert not read({"years": [2020], "tiles": ["N25W165"]}).accept_partial
    event = {"year": 2020, "tile": "N25W165", "accept_partial": True}
    assert TileRequest.from_event(event).accept_partial
    assert TileFailure.from_body(json.dumps(event)).accept_partial
    for wrong in ("yes", 1, "true", []):
        with pytest.raises(InvalidRequestError, match="accept_partial is true or false"):
            TileRequest.from_event({**event, "accept_partial": wrong})
