"""What a digest says of each kind of end."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from alos_mosaic.costs import US_EAST_1, Architecture, Worker
from alos_mosaic.digest import Digest
from alos_mosaic.inventory import cells_of_tile
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_ends import Execution, RunEnd
from alos_mosaic.settings import DigestSettings
from alos_mosaic.summary import Summary

NOW = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:Run"
EXECUTION = Execution("africa", f"{MACHINE}:africa", MACHINE, "FAILED", NOW, 0, None, None)
SETTINGS = DigestSettings(
    runs_bucket="runs", topic_arn="arn:t", memory_mib=2048, ephemeral_storage_mib=10_240, architecture="x86_64",
    runbook_url="https://wiki/operations", stack_name="Trial", aws_region="us-east-1",
)  # fmt: skip
NAMES = ("2020/N10E010", "2020/N20E010", "2020/N30E010", "2020/N40E010")
REQUESTS = tuple(TileRequest(TileYear.from_text(name)) for name in NAMES)


def result(name: str, state: State, **facts: Any) -> TileResult:
    place = TileYear.from_text(name)
    return TileResult(state, place.year, place.tile.name, "africa", **facts)


def failed(name: str, error: str = "SourceUnavailableError", cause: str = "421 too many") -> TileResult:
    return result(name, State.FAILED, error=error, cause=cause)


def summed_up(*results: TileResult, **facts: Any) -> Digest:
    summary = Summary("africa", results, **facts).to_report()
    return Digest(RunEnd(EXECUTION, REQUESTS, results, summary=summary), SETTINGS, NOW)


def input_of(text: str) -> Any:
    """The input of the command that a digest gives, ready to paste."""
    (given,) = re.findall(r"--input '(.*)'", text)
    return json.loads(given)


def test_a_complete_run_leaves_nothing_to_do() -> None:
    digest = summed_up(*(result(name, State.PUBLISHED) for name in NAMES))
    assert digest.subject == "alos-mosaic africa: complete, 4 published, 0 skipped, 0 absent, 0 failed of 4 seeded"
    assert digest.to_text().endswith("What to do next\n  Nothing.\n")
    assert "Why" not in digest.to_text()


def test_failed_tiles_are_grouped_by_error_and_come_back_by_a_redrive() -> None:
    digest = summed_up(
        failed(NAMES[0]),
        failed(NAMES[1], "OutputError", "no space"),
        failed(NAMES[2], cause="450 busy"),
        failed(NAMES[3]),
    )
    text = digest.to_text()
    assert "  3 x SourceUnavailableError, like 2020/N10E010: 421 too many\n" in text
    assert "    https://wiki/operations#sourceunavailableerror\n" in text
    assert text.index("SourceUnavailableError") < text.index("1 x OutputError, like 2020/N20E010: no space")
    assert "\n    alos-mosaic redrive --run africa --wait --stack Trial --aws-region us-east-1\n" in text
    assert f"\n    aws stepfunctions start-execution --region us-east-1 --state-machine-arn {MACHINE} --name" in text
    assert input_of(text) == {"redrive": {"run": "africa"}}
    assert digest.report_uri == "s3://runs/runs/africa/summary.json"
    assert digest.to_report()["failures_by_error"] == {"SourceUnavailableError": 3, "OutputError": 1}
    assert "tiles" not in digest.to_report()


def test_failures_within_the_limit_are_told_of_too() -> None:
    published = (result(name, State.PUBLISHED) for name in NAMES[1:])
    digest = summed_up(failed(NAMES[0]), *published, failure_limit_percent=50)
    assert digest.word == "complete"
    assert input_of(digest.to_text()) == {"redrive": {"run": "africa"}}


def test_known_tiles_that_are_absent_send_one_to_the_source() -> None:
    digest = summed_up(result(NAMES[0], State.ABSENT), *(result(name, State.PUBLISHED) for name in NAMES[1:]))
    assert digest.word == "incomplete"
    doctor = "alos-mosaic doctor --source ftp://ftp.eorc.jaxa.jp"
    assert "has JAXA moved its folders?\nAs of" in digest.to_text()
    assert f"\n    {doctor}\n  https://wiki/operations#incompleterunerror\n" in digest.to_text()
    assert "start-execution" not in digest.to_text()


def test_a_year_that_is_absent_as_a_whole_sends_one_to_the_source_too() -> None:
    """JAXA's listings do not know it, so none of its tiles is a known one."""
    absent = (result(f"2021/N{north:02d}E{east:03d}", State.ABSENT) for north in (10, 15) for east in range(10, 35, 5))
    digest = summed_up(*absent)
    assert digest.word == "incomplete"
    assert "alos-mosaic doctor" in digest.to_text()


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_a_run_that_was_broken_off_is_summed_up_as_far_as_it_came(status: str) -> None:
    execution = replace(EXECUTION, status=status, error="ServiceError", cause="S3 is down")
    recorded = (result(NAMES[0], State.PUBLISHED), failed(NAMES[1]))
    digest = Digest(RunEnd(execution, REQUESTS, recorded, unfinished=2), SETTINGS, NOW)
    text = digest.to_text()
    assert "1 published, 0 skipped, 0 absent, 1 failed, 2 not ended of 4 seeded." in text
    assert f"As of 2026-11-24T06:30:00Z; Step Functions says {status}, ServiceError." in text
    assert "the run itself: ServiceError: S3 is down\n    https://wiki/operations#serviceerror" in text
    assert "\n    alos-mosaic resume africa --wait --stack Trial --aws-region us-east-1\n" in text
    assert input_of(text) == {"resume": {"run": "africa"}}
    assert digest.report_uri == "s3://runs/runs/africa/digest.json"
    assert [tile["state"] for tile in digest.to_report()["tiles"]] == ["published", "failed"]


def test_a_deployment_that_does_not_know_its_name_gives_none() -> None:
    """As one does whose Lambda's environment is of an older release."""
    execution, settings = replace(EXECUTION, status="ABORTED"), replace(SETTINGS, stack_name=None, aws_region=None)
    text = Digest(RunEnd(execution, REQUESTS, (), unfinished=4), settings, NOW).to_text()
    assert "\n    alos-mosaic resume africa --wait\n" in text
    assert "start-execution --state-machine-arn" in text


def test_a_run_that_was_stopped_ahead_of_its_first_tile_is_resumed() -> None:
    digest = Digest(RunEnd(replace(EXECUTION, status="ABORTED"), REQUESTS, (), unfinished=4), SETTINGS, NOW)
    assert digest.word == "aborted before a tile ended"
    assert input_of(digest.to_text()) == {"resume": {"run": "africa"}}


@pytest.mark.parametrize("requests", [(), REQUESTS], ids=["refused", "too large"])
def test_a_run_that_was_refused_is_started_anew(requests: tuple[TileRequest, ...]) -> None:
    execution = replace(EXECUTION, error="RunTooLargeError", cause="The run lists 4 tiles, its limit is 1")
    digest = Digest(RunEnd(execution, requests, unfinished=len(requests)), SETTINGS, NOW)
    text = digest.to_text()
    assert (
        "RunTooLargeError: The run lists 4 tiles, its limit is 1\n    https://wiki/operations#runtoolargeerror" in text
    )
    assert "start the run again" in text
    assert "--input" not in text


@pytest.mark.parametrize(
    ("redrive", "sentence", "next_step"),
    [
        (None, "every tile that it was to go on with is published", "Nothing."),
        (
            {"dry_run": True, "tiles": 3, "estimated_usd": 0.216},
            "a dry run: 3 tiles would be tried again, estimated at 0.22 US dollars",
            "To have them tried, start it again without dry_run, under another name.",
        ),
        (
            {"dry_run": True, "tiles": 0, "estimated_usd": 0.0},
            "a dry run: 0 tiles would be tried again, estimated at 0.00 US dollars",
            "Nothing.",
        ),
        (
            {"dry_run": False, "published_since": 1, "left_in_queue": 2},
            "no tile of the queue is to be tried again: 1 letter taken out of tiles that are published since, 2 left",
            "Nothing.",
        ),
    ],
    ids=["resume", "dry run", "dry run of nothing", "redrive"],
)
def test_a_run_that_had_nothing_to_do_says_what_it_found(
    redrive: dict[str, Any] | None, sentence: str, next_step: str
) -> None:
    seed = {"count": 0} | ({} if redrive is None else {"redrive": redrive})
    digest = Digest(RunEnd(replace(EXECUTION, status="RUNNING", output={"seed": seed})), SETTINGS, NOW)
    assert digest.subject == f"alos-mosaic africa: nothing to do, {sentence}"[:99]
    text = digest.to_text()
    assert text.startswith(f"Run africa: nothing to do.\n{sentence[0].upper()}{sentence[1:]}.\n")
    assert text.endswith(f"What to do next\n  {next_step}\n")
    assert "Cost" not in text
    assert (digest.to_report()["sentence"], digest.to_report()["seeded"]) == (sentence, 0)


def test_costs_are_the_models_and_what_is_on_record() -> None:
    stages = {"gather": 100.0, "transfer": 90.0, "write": 20.0}
    done = (result(NAMES[0], State.PUBLISHED, seconds=stages, output_bytes=0), failed(NAMES[1]))
    digest = Digest(RunEnd(EXECUTION, REQUESTS, done), SETTINGS, NOW)
    worker = Worker(1e6, 2048, Architecture.X86_64, 10_240)
    cells = [len(cells_of_tile(2020, request.tile_year.tile)) for request in REQUESTS]
    assert all(cells)
    assert digest.estimated_usd == pytest.approx(worker.cost_of(cells).total, abs=1e-4)
    assert digest.worker_seconds == 120, "the transfer is a part of the gathering"
    memory = 120 * 2 * US_EAST_1.gb_second[Architecture.X86_64]
    assert memory < digest.actual_usd < memory + 0.001
    assert f"actual    {digest.actual_usd:.2f}, for the 0.03 worker hours on record" in digest.to_text()


def test_subjects_are_what_sns_takes_and_commands_what_step_functions_takes() -> None:
    execution = replace(EXECUTION, run="å" * 80)
    digest = Digest(RunEnd(replace(execution, status="ABORTED"), REQUESTS, unfinished=4), SETTINGS, NOW)
    assert digest.subject.isascii()
    assert len(digest.subject) < 100
    (name,) = re.findall(r"--name (\S+)", digest.to_text())
    assert len(name) == 80


def test_a_message_stays_far_below_what_sns_takes() -> None:
    causes = [failed(NAMES[0], f"Error{number}", "x" * 100_000) for number in range(300)]
    text = Digest(RunEnd(EXECUTION, REQUESTS, tuple(causes)), SETTINGS, NOW).to_text()
    assert len(text.encode()) < 20_000
    assert "and 280 more kinds of error: see the report" in text
