"""The way back in: redrive and resume, on moto."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from alos_mosaic import parallel
from alos_mosaic import redrive as redriving
from alos_mosaic.errors import InvalidRequestError, ServiceError, SourceUnavailableError
from alos_mosaic.results import TileFailure
from lambdas.redrive_tiles import handler as redrive_tiles
from lambdas.seed_tiles import handler as seed_tiles
from tests.lambdas.desk import CONTEXT, Desk, desk_on_moto, names


@pytest.fixture
def desk() -> Iterator[Desk]:
    with desk_on_moto() as desk:
        yield desk


def test_failed_tiles_become_a_run_of_their_own(desk: Desk) -> None:
    desk.fail("N10E010")
    desk.fail("N15E010", mode="overwrite", product="alos_palsar_fnf", accept_partial=True)
    seed = desk.redrive()
    assert {key: value for key, value in seed.items() if key != "redrive"} == {
        "schema_version": 1, "run": "again", "bucket": "runs", "key": "runs/again/manifest.json", "count": 2,
        "max_concurrency": 2, "max_tiles": 25_000, "estimated_usd": 0.1564, "max_usd": 1000.0, "cost_refusal": "",
    }  # fmt: skip
    assert sorted(desk.manifest(), key=lambda line: str(line["tile"])) == [
        {"year": 2020, "tile": "N10E010", "mode": "skip", "product": None, "accept_partial": False,
         "since": "2026-11-23T20:00:00Z", "staged_in": "first", "first_run": "first"},
        {"year": 2020, "tile": "N15E010", "mode": "overwrite", "product": "alos_palsar_fnf", "accept_partial": True,
         "since": "2026-11-23T20:00:00Z", "staged_in": "first", "first_run": "first"},
    ]  # fmt: skip
    assert desk.letters() == 0


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"error": "CorruptArchiveError"}, {"2020/N15E010"}),
        ({"year": 2017}, {"2017/N10E010"}),
        ({"tile": "N10E010"}, {"2020/N10E010", "2017/N10E010"}),
        ({"run": "second"}, {"2017/N10E010"}),
        ({"tile": "N10E010", "year": "2020"}, {"2020/N10E010"}),
        ({"error": "PublishError"}, set()),
    ],
)
def test_what_is_not_asked_for_stays_in_the_queue(desk: Desk, which: dict[str, Any], expected: set[str]) -> None:
    desk.fail("N10E010")
    desk.fail("N15E010", error="CorruptArchiveError")
    desk.fail("N10E010", year=2017, run="second")
    assert desk.redrive(**which)["count"] == len(expected)
    is_written = desk.s3.list_objects_v2(Bucket="runs", Prefix="runs/again")["KeyCount"] > 0
    assert set(names(desk.manifest()) if is_written else ()) == expected
    assert desk.letters() == desk.in_sight() == 3 - len(expected)


def test_a_limit_leaves_the_rest_in_the_queue(desk: Desk) -> None:
    for south in range(0, 30, 5):
        desk.fail(f"N{south:02d}E010")
    desk.fail("N05E010")
    assert desk.redrive(limit=4)["count"] == 4
    left = desk.letters()
    assert left in (2, 3), "the second letter of one of the four may lie behind the limit"
    assert desk.redrive("and-again")["count"] in (2, 3)
    assert desk.letters() == 0
    assert len({*names(desk.manifest()), *names(desk.manifest("and-again"))}) == 6


def test_a_dry_run_says_what_would_be_and_leaves_all_as_it_was(desk: Desk) -> None:
    desk.fail("N10E010")
    desk.fail("N15E010", error="CorruptArchiveError")
    desk.fail("N20E010")
    desk.publish("N20E010")
    told = desk.redrive(dry_run=True)
    assert told["count"] == 0
    assert told["redrive"] == {
        "dry_run": True, "tiles": 2, "first_tiles": told["redrive"]["first_tiles"],
        "letters_by_error": {"SourceUnavailableError": 2, "CorruptArchiveError": 1}, "published_since": 1,
        "left_in_queue": 0, "left_by_error": {}, "unreadable": 0, "estimated_usd": 0.1564,
    }  # fmt: skip
    assert set(told["redrive"]["first_tiles"]) == {"2020/N10E010", "2020/N15E010"}
    assert desk.in_sight() == 3
    assert desk.s3.list_objects_v2(Bucket="runs")["KeyCount"] == 0


def test_a_tile_is_listed_once_however_often_it_failed(desk: Desk) -> None:
    desk.fail("N10E010", time="2026-11-23T20:00:00Z")
    desk.fail("N10E010", time="2026-11-23T22:00:00Z", run="second")
    desk.fail("N10E010", time="2026-11-23T21:00:00Z", run="third")
    assert desk.redrive()["count"] == 1
    (line,) = desk.manifest()
    assert (line["since"], line["first_run"]) == ("2026-11-23T22:00:00Z", "second")
    assert desk.letters() == 0


def test_what_was_published_since_is_left_out_and_its_letter_goes(desk: Desk) -> None:
    desk.fail("N10E010")
    desk.fail("N15E010", time=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    for tile in ("N10E010", "N15E010"):
        desk.publish(tile)
    seed = desk.redrive()
    assert names(desk.manifest()) == ["2020/N15E010"], "that one failed after it was published"
    assert seed["redrive"]["published_since"] == 1
    assert desk.letters() == 0


@pytest.mark.parametrize(
    ("asked", "published", "is_done"),
    [
        ({}, {}, True),
        ({"mode": "overwrite"}, {}, True),
        ({"mode": "overwrite"}, {"alos_mosaic:pixels_made": "2026-11-23T19:00:00Z"}, False),
        ({"mode": "metadata-only"}, {"alos_mosaic:pixels_made": "2026-11-23T19:00:00Z"}, True),
        ({}, {"alos_mosaic:cells_defective": ["N10E010"]}, False),
        ({"accept_partial": True}, {"alos_mosaic:cells_defective": ["N10E010"]}, True),
        ({}, {"updated": "yesterday"}, False),
    ],
)
def test_only_what_was_asked_for_counts_as_published_since(
    desk: Desk, asked: dict[str, Any], published: dict[str, Any], is_done: bool
) -> None:
    desk.fail("N10E010", **asked)
    desk.publish("N10E010", **published)
    assert desk.redrive()["count"] == (0 if is_done else 1)
    assert desk.letters() == 0


def test_a_letter_that_asks_for_the_same_tile_in_another_way_waits_for_the_next_redrive(desk: Desk) -> None:
    desk.fail("N10E010", mode="overwrite")
    desk.fail("N10E010", mode="skip", time="2026-11-23T22:00:00Z")
    assert desk.redrive()["count"] == 1
    assert desk.in_sight() == 1
    assert desk.redrive("and-again")["count"] == 1
    modes = [line["mode"] for run in ("again", "and-again") for line in desk.manifest(run)]
    assert sorted(modes) == ["overwrite", "skip"]
    assert desk.letters() == 0


def test_a_redrive_takes_no_more_letters_than_its_run_may_have_tiles(desk: Desk) -> None:
    for south in range(5, 30, 5):
        desk.fail(f"N{south:02d}E010")
    given = {"redrive": {}, "max_tiles": 2}
    assert redrive_tiles.lambda_handler(desk.event("again", given), CONTEXT)["count"] == 2
    assert desk.letters() == 3


def test_a_redrive_tells_the_errors_of_what_it_passes_over(desk: Desk) -> None:
    desk.fail("N10E010", "OutputError")
    desk.fail("N15E010", "OutputError")
    desk.fail("N20E010", "PublishError")
    told = desk.redrive(error="Output")["redrive"]
    assert (told["tiles"], told["left_in_queue"]) == (0, 3)
    assert told["left_by_error"] == {"OutputError": 2, "PublishError": 1}


def test_nothing_to_redrive_is_nothing_to_do(desk: Desk) -> None:
    assert desk.redrive()["count"] == 0
    desk.fail("N10E010")
    desk.publish("N10E010")
    assert desk.redrive()["count"] == 0
    assert desk.letters() == 0


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "{}", '{"year": 2020, "tile": "N12E010"}', '{"year": "x", "tile": 1}']
)
def test_a_letter_that_makes_no_sense_stays_and_stops_nothing(desk: Desk, body: str) -> None:
    desk.sqs.send_message(QueueUrl=desk.queue, MessageBody=body or " ")
    desk.fail("N10E010")
    seed = desk.redrive()
    assert (seed["count"], seed["redrive"]["unreadable"], seed["redrive"]["left_in_queue"]) == (1, 1, 1)
    assert desk.in_sight() == 1


def test_a_redrive_that_dies_ahead_of_its_manifest_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fail("N10E010")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(redriving, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            desk.redrive()
    assert desk.letters() == 1


@pytest.mark.parametrize("step", ["Publications.missing", "write_manifest"])
def test_a_redrive_that_fails_leaves_its_letters_in_sight_of_the_next_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Or the state machine, which tries again at once, would find nothing and end well."""
    desk.fail("N10E010")
    desk.fail("N15E010", run="second")

    def fail(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectsV2")

    with monkeypatch.context() as patched:
        patched.setattr(f"{redriving.__name__}.{step}", fail)
        with pytest.raises(ServiceError, match="AccessDenied"):
            desk.redrive(run="first")
    assert desk.letters() == desk.in_sight() == 2
    assert desk.redrive()["count"] == 2


def test_a_redrive_that_dies_behind_its_manifest_goes_on_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for south in range(5, 30, 5):
        desk.fail(f"N{south:02d}E010")
    deleted: list[str] = []

    def die(redrive: redriving.Redrive, handles: list[str]) -> None:
        deleted.extend(handles)
        redrive._sqs.delete_message(QueueUrl=desk.queue, ReceiptHandle=handles[0])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(redriving.Redrive, "_delete", die)
        with pytest.raises(KeyboardInterrupt):
            desk.redrive()
    assert (len(deleted), desk.letters()) == (5, 4)
    assert desk.redrive()["count"] == 5, "the same execution again: its manifest holds"
    assert len(desk.manifest()) == 5


def test_an_old_manifest_under_the_same_name_is_not_taken_for_this_ones(desk: Desk) -> None:
    desk.fail("N10E010")
    desk.redrive()
    desk.fail("N15E010")
    event = desk.event("again", {"redrive": {}}, started="2027-03-01T00:00:00Z")
    assert redrive_tiles.lambda_handler(event, CONTEXT)["count"] == 1
    assert names(desk.manifest()) == ["2020/N15E010"]


def test_a_queue_that_does_not_answer_is_a_service_error(desk: Desk) -> None:
    desk.sqs.delete_queue(QueueUrl=desk.queue)
    with pytest.raises(ServiceError):
        desk.redrive()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"redrive": {"errors": "x"}}, "errors"),
        ({"redrive": []}, "redrive is a JSON object"),
        ({"redrive": {}, "years": [2020]}, "years"),
        ({"redrive": {"limit": 0}}, "limit"),
        ({"redrive": {"dry_run": "yes"}}, "dry_run"),
        ({"redrive": {"tile": "N12E010"}}, "N12E010"),
        ({"redrive": {"year": 2012}}, "2012"),
        ({"redrive": {"error": 5}}, "error is a name"),
    ],
)
def test_a_redrive_that_makes_no_sense_touches_nothing(desk: Desk, given: object, said: str) -> None:
    desk.fail("N10E010")
    with pytest.raises(InvalidRequestError, match=said):
        redrive_tiles.lambda_handler(desk.event("again", given), CONTEXT)
    assert desk.in_sight() == 1


def test_a_second_run_beside_one_that_is_going_on_is_refused(desk: Desk) -> None:
    desk.states.start_execution(stateMachineArn=desk.machine, name="first", input="{}")
    given = {"years": [2020], "tiles": ["N10E010"]}
    with pytest.raises(InvalidRequestError, match="the run first is going on since"):
        seed_tiles.lambda_handler(desk.event("second", given), CONTEXT)
    with pytest.raises(InvalidRequestError, match="the run first is going on since"):
        desk.redrive()
    assert desk.redrive(dry_run=True)["count"] == 0
    assert seed_tiles.lambda_handler(desk.event("first", given), CONTEXT)["count"] == 1
    assert seed_tiles.lambda_handler(desk.event("second", {**given, "allow_parallel": True}), CONTEXT)["count"] == 1


def test_of_two_runs_that_begin_together_the_first_goes_on(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.start(name)
    assert [is_let_through(desk, name) for name in ("a", "b")].count(True) == 1


def is_let_through(desk: Desk, name: str) -> bool:
    try:
        seed_tiles.lambda_handler(desk.event(name, {"years": [2020], "tiles": ["N10E010"]}), CONTEXT)
    except InvalidRequestError:
        return False
    return True


@pytest.fixture
def lagging_list(desk: Desk) -> Iterator[None]:
    """A list of executions that lags behind: it tells of none."""
    answer = SimpleNamespace(status_code=200), {"executions": []}
    clients = (seed_tiles._states(), redrive_tiles._states())
    for client in clients:
        client.meta.events.register("before-call.sfn.ListExecutions", lambda **_: answer)
    yield


@pytest.mark.usefixtures("lagging_list")
def test_of_two_runs_that_do_not_see_each_other_one_goes_on(desk: Desk) -> None:
    desk.start("a")
    desk.start("b")
    assert is_let_through(desk, "b")
    assert not is_let_through(desk, "a")
    with pytest.raises(InvalidRequestError, match="the run b is going on since"):
        redrive_tiles.lambda_handler(desk.event("a", {"redrive": {}}), CONTEXT)
    assert is_let_through(desk, "b"), "the same execution, called again"
    assert redrive_tiles.lambda_handler(desk.event("c", {"redrive": {}, "allow_parallel": True}), CONTEXT)
    desk.end("b")
    assert is_let_through(desk, "a")
    assert not is_let_through(desk, "b")


@pytest.mark.usefixtures("lagging_list")
def test_of_two_runs_that_take_over_the_lock_at_once_one_goes_on(desk: Desk) -> None:
    desk.seed("over", {"years": [2020], "tiles": ["N10E010"]})
    for name in ("a", "b"):
        desk.start(name)
    other, ahead = boto3.client("s3"), []

    def get_ahead(params: dict[str, Any], **_: object) -> None:
        if "IfMatch" in params and not ahead:
            ahead.append("b")
            lock = json.dumps({"execution": desk.event("b", {})["execution"]})
            other.put_object(Bucket="runs", Key="runs/.running", Body=lock)

    seed_tiles._s3().meta.events.register("before-parameter-build.s3.PutObject", get_ahead)
    assert not is_let_through(desk, "a")
    assert ahead == ["b"]
    assert is_let_through(desk, "b")


@pytest.mark.parametrize("lock", [b"", b"[]", b"{}", b"5", b"\xff", b"[" * 100_000])
def test_a_lock_that_makes_no_sense_holds_nobody_up(desk: Desk, lock: bytes) -> None:
    desk.start("a")
    desk.s3.put_object(Bucket="runs", Key="runs/.running", Body=lock)
    assert desk.seed("a", {"years": [2020], "tiles": ["N10E010"]})["count"] == 1
    kept = json.loads(desk.s3.get_object(Bucket="runs", Key="runs/.running")["Body"].read())
    assert kept == {"execution": desk.event("a", {})["execution"]}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"[5]", b"5", b"null", b"\xff", b"[" * 100_000, b'[{"year": 2020}]']
)
def test_a_manifest_that_makes_no_sense_is_named(desk: Desk, content: bytes) -> None:
    desk.s3.put_object(Bucket="runs", Key="runs/spoilt/manifest.json", Body=content)
    for ask in (lambda: desk.seed("again", {"resume": {"run": "spoilt"}}), lambda: desk.summarise("spoilt")):
        with pytest.raises(InvalidRequestError, match=r"^s3://runs/runs/spoilt/manifest\.json is no manifest: "):
            ask()


def test_a_queue_whose_letters_are_out_of_sight_is_not_empty(desk: Desk) -> None:
    """As a redrive leaves it that was killed ahead of its manifest: its retry has not found nothing to do."""
    desk.fail("N10E010")
    assert desk.sqs.receive_message(QueueUrl=desk.queue, VisibilityTimeout=900)["Messages"]
    with pytest.raises(ServiceError, match=r"^1 letter out of sight"):
        desk.redrive()
    assert desk.letters() == 1


def test_what_letters_say_does_not_make_the_answer_long(desk: Desk) -> None:
    """Between states it has 256 KiB."""
    for number in range(60):
        desk.fail("N10E010", error=f"{number:02d}" + "x" * 10_000, year=(2015, 2016, 2017)[number % 3])
    told = desk.redrive()["redrive"]
    assert told["tiles"] == 3
    assert len(told["letters_by_error"]) == 50
    assert {len(name) for name in told["letters_by_error"]} == {100}


def test_a_letter_of_a_run_that_can_be_none_stays_in_the_queue(desk: Desk) -> None:
    desk.fail("N10E010", run="\ud800")
    assert desk.redrive()["redrive"]["unreadable"] == 1
    assert desk.in_sight() == 1


@pytest.mark.usefixtures("lagging_list")
@pytest.mark.parametrize(("age", "is_free"), [(timedelta(hours=1), False), (timedelta(days=2), True)])
@pytest.mark.parametrize("machine", ["runs", "replaced"])
def test_an_execution_that_nobody_knows_holds_the_lock_for_a_day(
    desk: Desk, age: timedelta, is_free: bool, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = json.dumps({"execution": desk.event("forgotten", {})["execution"].replace(":runs:", f":{machine}:")})
    desk.s3.put_object(Bucket="runs", Key="runs/.running", Body=lock)
    now = SimpleNamespace(now=lambda zone: datetime.now(zone) + age)
    monkeypatch.setattr(parallel, "datetime", now)
    assert is_let_through(desk, "a") is is_free


def test_a_run_is_resumed_with_what_it_did_not_publish(desk: Desk) -> None:
    given = {"years": [2020], "tiles": ["N10E010", "N15E010", "N20E010"], "mode": "overwrite"}
    desk.publish("N15E010", updated=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    desk.seed("first", given)
    seeded_at = desk.s3.head_object(Bucket="runs", Key="runs/first/manifest.json")["LastModified"]
    desk.publish("N10E010", updated=(datetime.now(UTC) + timedelta(seconds=2)).isoformat())
    seed = seed_tiles.lambda_handler(desk.event("again", {"resume": {"run": "first"}}), CONTEXT)
    assert seed["count"] == 2
    assert names(desk.manifest()) == ["2020/N15E010", "2020/N20E010"]
    assert {(line["mode"], line["first_run"]) for line in desk.manifest()} == {("overwrite", "first")}
    assert {line["since"] for line in desk.manifest()} == {seeded_at.isoformat().replace("+00:00", "Z")}
    assert {line["staged_in"] for line in desk.manifest()} == {"first"}
    desk.end("again")
    seed_tiles.lambda_handler(desk.event("third", {"resume": {"run": "again"}}), CONTEXT)
    assert {(line["staged_in"], line["first_run"]) for line in desk.manifest("third")} == {("first", "again")}


def test_a_tile_that_failed_in_a_redrive_finds_what_came_in_the_run_before(desk: Desk) -> None:
    desk.fail("N10E010", run="again", staged_in="first")
    desk.fail("N15E010", run="again", staged_in=None)
    staged_in = {line["tile"]: line["staged_in"] for line in desk.redriven("third")}
    assert staged_in == {"N10E010": "first", "N15E010": "again"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"resume": {"run": "nobody"}}, "no run called 'nobody'"),
        ({"resume": {}}, "run is the name"),
        ({"resume": {"run": "first"}, "years": [2020]}, "years"),
    ],
)
def test_a_resume_that_makes_no_sense_starts_nothing(desk: Desk, given: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        seed_tiles.lambda_handler(desk.event("again", given), CONTEXT)


def test_every_failed_tile_has_one_letter_whatever_became_of_the_map(desk: Desk) -> None:
    """Those that the state machine has sent it has kept."""
    tiles = ["N10E010", "N15E010", "N20E010", "N25E010", "N30E010", "N30E020"]
    desk.seed("first", {"years": [2020], "tiles": tiles, "mode": "overwrite"})
    desk.record("first", "N10E010", "published")
    told = {"error": "SourceUnavailableError", "cause": 'said "421"', "attempt": 3, "log": "group stream"}
    desk.record("first", "N15E010", "failed", **told)
    desk.record("first", "N25E010", "failed")
    desk.s3.put_object(Bucket="runs", Key="runs/first/results/2020/N25E010.json", Body=b"{")
    desk.record("first", "N30E010", "failed", **told)
    desk.keep(desk.fail("N30E010"), "child-1")
    desk.keep(desk.fail("N30E020", "Sandbox.Timedout"), "child-2")  # whose worker left no record
    desk.keep({**desk.fail("N15E010", run="other"), "run": "first", "product": "alos_palsar_fnf"}, "child-3")
    desk.s3.put_object(Bucket="runs", Key="runs/first/letters/child-4.json", Body=b"[")
    assert desk.summarise("first")["failed"] == 5
    bodies = [body for body in desk.bodies() if body["run"] == "first"]
    assert sorted(body["tile"] for body in bodies) == tiles[1:], "each once"
    sent_here = [body for body in bodies if body["execution"] != "arn"]
    assert {body["tile"] for body in sent_here} == {"N15E010", "N20E010", "N25E010"}
    assert {(body["run"], body["mode"], body["execution"]) for body in sent_here} == {
        ("first", "overwrite", desk.event("first", {})["execution"])
    }
    failures = {body["tile"]: TileFailure.from_body(json.dumps(body)) for body in bodies}
    found = failures["N15E010"]
    assert (found.error, found.cause, found.attempt) == ("SourceUnavailableError", 'said "421"', 3)
    assert (failures["N20E010"].error, failures["N20E010"].attempt) == ("unknown", "unknown")
    assert "left no result" in failures["N20E010"].cause
    assert "makes no sense" in failures["N25E010"].cause


def test_a_letter_of_an_earlier_run_of_the_name_does_not_count(desk: Desk) -> None:
    desk.keep(desk.fail("N10E010"))
    time.sleep(1.1)  # S3 tells times in whole seconds
    desk.seed("first", {"years": [2020], "tiles": ["N10E010"]})
    desk.summarise("first")
    assert desk.letters() == 2


def test_a_redrive_above_its_price_leaves_all_letters_in_the_queue(desk: Desk) -> None:
    for tile in ("N10E010", "N15E010", "N20E010"):
        desk.fail(tile)
    desk.publish("N20E010")
    seed = redrive_tiles.lambda_handler(desk.event("again", {"redrive": {}, "max_usd": 0.1}), CONTEXT)
    assert (seed["count"], seed["max_usd"], seed["estimated_usd"] > 0.1) == (2, 0.1, True)
    assert seed["cost_refusal"].startswith("2 tiles are estimated at $0.16 (")
    assert desk.in_sight() == 3
    assert desk.written() == 0
    desk.end("again")
    assert redrive_tiles.lambda_handler(desk.event("again", {"redrive": {}}), CONTEXT)["count"] == 2


def test_a_redrive_whose_source_is_down_takes_no_letter(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fail("N10E010")
    with monkeypatch.context() as patch:
        patch.setenv("ALOS_MOSAIC_SOURCE_URI", "ftp://127.0.0.1:1")
        with pytest.raises(SourceUnavailableError):
            desk.redrive()
        assert desk.in_sight() == 1
        assert desk.redrive(dry_run=True)["redrive"]["tiles"] == 1, "a rehearsal needs no source"
    assert desk.redrive()["count"] == 1


def test_letters_that_need_no_source_are_redriven_without_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALOS_MOSAIC_SOURCE_URI", "ftp://127.0.0.1:1")
    desk.fail("N10E010", "PublishError", mode="metadata-only")
    assert desk.redrive("described")["count"] == 1
    assert desk.letters() == 0
    desk.fail("N10E010", "PublishError", mode="metadata-only")
    desk.fail("N15E010")
    with pytest.raises(SourceUnavailableError):
        desk.redrive("both")
    desk.end("both")
    assert desk.in_sight() == 2
    desk.publish("N15E010")
    assert desk.redrive("rest")["count"] == 1, "what is published by now needs none either"


def test_a_resumed_run_has_a_price_too(desk: Desk) -> None:
    given = {"years": [2020], "tiles": ["N10E010", "N15E010"]}
    desk.seed("first", given)
    given = {"resume": {"run": "first"}, "max_usd": 0.1}
    seed = seed_tiles.lambda_handler(desk.event("resumed", given), CONTEXT)
    assert (seed["count"], seed["max_usd"], seed["estimated_usd"] > 0.1) == (2, 0.1, True)
    assert desk.s3.list_objects_v2(Bucket="runs", Prefix="runs/resumed/")["KeyCount"] == 0


def test_a_record_of_an_earlier_run_of_the_name_does_not_count(desk: Desk) -> None:
    desk.record("first", "N10E010", "published")
    time.sleep(1.1)  # S3 tells times in whole seconds
    desk.seed("first", {"years": [2020], "tiles": ["N10E010"]})
    assert desk.summarise("first")["failed"] == 1
    assert desk.letters() == 1
