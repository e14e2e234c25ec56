"""A little fuzzing in every test run (``make fuzz`` does more of it), and what fuzzing found once."""

from __future__ import annotations

import json
import signal
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import RunRequest, TileRequest
from alos_mosaic.naming import parse_member, parse_sidecar
from alos_mosaic.results import TileFailure
from tests.faults.fuzz import CELL, Target, fuzz, input_of, quiet, targets, tried

SEED = 20261124
_JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
_KEYS = ("years", "year", "tile", "tiles", "bbox", "region", "mode", "run", "retries", "product", "since", "max_tiles")


@pytest.fixture
def known(tmp_path: Path) -> dict[str, Target]:
    return {target.name: target for target in targets(tmp_path)}


def test_nothing_but_documented_errors_comes_out() -> None:
    assert [finding.story for finding in fuzz(range(2_000), SEED)] == []


def test_an_input_is_known_by_seed_and_number(known: dict[str, Target]) -> None:
    for target in known.values():
        assert repr(input_of(target, 1, 7)) == repr(input_of(target, 1, 7)) != repr(input_of(target, 2, 7))


def test_what_is_changed_was_read_well_before(known: dict[str, Target]) -> None:
    """Or the fuzzer would try nothing but ways to be refused."""
    with quiet():
        for target in known.values():
            for good in target.inputs:
                target.read(good)


def test_an_error_that_nobody_documents_and_a_hang_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_: object) -> None:
        while True:
            pass

    monkeypatch.setattr("tests.faults.fuzz._LIMITS", {signal.SIGPROF: 0.05, signal.SIGALRM: 60.0})
    for read, name in ((hang, "HangError"), (lambda _: 1 // 0, "ZeroDivisionError")):
        finding = tried(Target("any", [b""], read, (ValueError,)), b"", 3)
        assert finding is not None
        assert name in finding.story


FOUND: list[tuple[str, Any]] = [
    ("dead letter", {"year": float("inf"), "tile": "N25W165"}),
    ("dead letter", {"year": 2020, "tile": "N25W165", "time": "9999-12-31T23:59:59-23:59"}),
    ("tile's event", {"year": 2020, "tile": "N25W165", "since": "0001-01-01T00:00:00+23:59"}),
]


@pytest.mark.parametrize(("name", "found"), FOUND)
def test_what_was_found_once_is_mended(known: dict[str, Target], name: str, found: Any) -> None:
    finding = tried(known[name], found, 0)
    assert finding is None, finding.story


@settings(max_examples=200)
@given(st.text(alphabet=string.ascii_uppercase + string.digits + "_.slmaktifhdrx", max_size=40) | st.text())
def test_any_text_is_a_name_or_none(text: str) -> None:
    for parse in (parse_member, parse_sidecar):
        for name in (text, f"{CELL}_20_{text}"):
            try:
                parsed = parse(name)
            except InvalidRequestError:
                continue
            assert parsed is None or parsed.cell.name in name


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(_KEYS), _JSON) | _JSON)
def test_any_json_is_a_request_or_refused(event: Any) -> None:
    for read in (TileRequest.from_event, lambda given: RunRequest.from_input(given, "africa", 2026)):
        for asked in (event, {"year": 2020, "tile": "N25W165", **event} if isinstance(event, dict) else event):
            try:
                read(asked)
            except InvalidRequestError as error:
                assert len(str(error)) < 1000


@settings(max_examples=200)
@given(st.text() | _JSON.map(json.dumps))
def test_any_text_is_a_dead_letter_or_makes_no_sense(body: str) -> None:
    try:
        TileFailure.from_body(body).to_request()
    except (ValueError, KeyError, TypeError, RecursionError, InvalidRequestError):
        return
