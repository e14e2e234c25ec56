"""The state machine's definition, above all what no emulator on one machine shows: see local/fidelity.md."""

from __future__ import annotations

import copy
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from alos_mosaic import errors
from alos_mosaic.messages import MOST_INVOCATIONS, SCHEMA_VERSION, Mode, TileRequest, TileYear, Transfer
from alos_mosaic.naming import letters_prefix
from alos_mosaic.results import TileFailure
from alos_mosaic.settings import MAX_TILES_CEILING
from infra.config import CHILD_OUTPUT, STATE_LIMIT_BYTES, StackConfig
from tests.infra.conftest import Synthesized, all_states

OWN_ERRORS = {name for name, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)}

TOLD = {"execution.$": "$$.Execution.Id", "so_far.$": "$"}
"""What the digest is made of."""


@pytest.fixture
def tile_map(definition: dict[str, Any]) -> dict[str, Any]:
    (state,) = (state for state in definition["States"].values() if state["Type"] == "Map")
    return state


def _next_of(state: dict[str, Any]) -> set[str]:
    targets = [state.get("Next"), state.get("Default")]
    targets += [branch["Next"] for branch in state.get("Choices", []) + state.get("Catch", [])]
    return {target for target in targets if target}


def _ends(state: dict[str, Any]) -> bool:
    return state.get("End") is True or state["Type"] in ("Succeed", "Fail")


def test_each_task_has_retry_and_a_last_catch_of_everything(definition: dict[str, Any]) -> None:
    tasks = {name: state for name, state in all_states(definition).items() if state["Type"] == "Task"}
    assert len(tasks) == 7
    for name, task in tasks.items():
        assert task["Retry"], name
        assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


def test_a_failed_map_still_comes_to_the_summary(tile_map: dict[str, Any]) -> None:
    (catch,) = tile_map["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    assert catch["Next"] == tile_map["Next"] == "SummariseRun"


def test_each_error_name_is_in_the_vocabulary(definition: dict[str, Any]) -> None:
    named = set()
    for state in all_states(definition).values():
        for handler in state.get("Retry", []) + state.get("Catch", []):
            named.update(handler["ErrorEquals"])
        named.update([state["Error"]] if "Error" in state else [])
    assert named <= OWN_ERRORS | errors.PLATFORM_ERRORS
    assert named >= errors.PLATFORM_ERRORS, "every error of the platform's table is dealt with somewhere"


def test_what_would_fail_the_same_way_again_is_never_retried(definition: dict[str, Any]) -> None:
    retries = all_states(definition)["ProcessTile"]["Retry"]
    attempts = {name: retry["MaxAttempts"] for retry in retries for name in retry["ErrorEquals"]}
    assert not attempts.keys() & {"InvalidRequestError", "OutputError", "TileAbsentError", "States.ALL"}
    assert attempts["SourceUnavailableError"] >= 5
    for once in ("CorruptArchiveError", *errors.LAMBDA_DIED):
        assert attempts[once] == 1, once


def test_a_busy_source_is_left_alone_for_long(definition: dict[str, Any]) -> None:
    retries = all_states(definition)["ProcessTile"]["Retry"]
    (retry,) = (retry for retry in retries if retry["ErrorEquals"] == ["SourceUnavailableError"])
    assert retry["IntervalSeconds"] >= 60
    assert retry["MaxDelaySeconds"] <= 900
    assert retry["JitterStrategy"] == "FULL"


def test_one_archive_holds_a_run_up_for_minutes_only(definition: dict[str, Any]) -> None:
    retries = all_states(definition)["ProcessTile"]["Retry"]
    (retry,) = (retry for retry in retries if retry["ErrorEquals"] == ["ArchiveUnavailableError"])
    waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** number for number in range(retry["MaxAttempts"])]
    assert waits[0] >= 60
    assert sum(waits) <= 600
    assert retry["JitterStrategy"] == "FULL"


def _problems(definition: dict[str, Any]) -> list[str]:
    """What is wrong with the transitions of a definition and of its maps; cfn-lint does not look at them."""
    found: list[str] = []
    states, waiting, reached = definition["States"], {definition["StartAt"]}, set[str]()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if name not in states:
            found.append(f"{name} does not exist")
            continue
        if bool(_next_of(states[name])) is _ends(states[name]):
            found.append(f"{name} must either end or go on")
        waiting |= _next_of(states[name]) - reached
        found += _problems(states[name]["ItemProcessor"]) if "ItemProcessor" in states[name] else []
    return found + [f"{name} is never reached" for name in states.keys() - reached]


def test_transitions_resolve_and_every_state_is_reached(definition: dict[str, Any]) -> None:
    assert _problems(definition) == []


def test_a_broken_transition_would_be_found(definition: dict[str, Any]) -> None:
    broken = copy.deepcopy(definition)
    broken["States"]["SeedTiles"]["Next"] = broken["States"]["RedriveTiles"]["Next"] = "Nowhere"
    del broken["States"]["ProcessTiles"]["ItemProcessor"]["States"]["TileDone"]["End"]
    assert "Nowhere does not exist" in _problems(broken)
    assert "ProcessTiles is never reached" in _problems(broken)
    assert _problems(broken["States"]["ProcessTiles"]["ItemProcessor"]) == ["TileDone must either end or go on"]


def test_every_path_of_a_child_ends_in_nothing_or_in_fail(tile_map: dict[str, Any]) -> None:
    ends = [state for state in tile_map["ItemProcessor"]["States"].values() if _ends(state)]
    assert {state["Type"] for state in ends} == {"Pass", "Fail"}
    for state in ends:
        if state["Type"] == "Pass":
            assert state["Result"] == {}
            assert not state.keys() & {"ResultPath", "OutputPath", "Parameters"}


def test_the_largest_run_stays_below_the_limit_of_a_state() -> None:
    assert MAX_TILES_CEILING * len(CHILD_OUTPUT) < STATE_LIMIT_BYTES


def test_the_map_writes_its_results_elsewhere_and_nobody_reads_them(tile_map: dict[str, Any]) -> None:
    writer = tile_map["ResultWriter"]
    assert writer["Resource"].endswith(":states:::s3:putObject")
    assert writer["Parameters"]["Prefix.$"] == "States.Format('runs/{}/map-run', $$.Execution.Name)"
    assert tile_map["ResultPath"] is None


def test_the_map_takes_its_tiles_and_its_concurrency_from_the_seed(tile_map: dict[str, Any]) -> None:
    assert tile_map["MaxConcurrencyPath"] == "$.seed.max_concurrency"
    assert "MaxConcurrency" not in tile_map
    assert tile_map["ItemReader"]["Parameters"] == {"Bucket.$": "$.seed.bucket", "Key.$": "$.seed.key"}
    assert tile_map["ItemReader"]["ReaderConfig"] == {"InputType": "JSON"}
    assert tile_map["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_children_fail_only_where_the_source_is_down_and_too_many_of_them_stop_the_map(
    tile_map: dict[str, Any],
) -> None:
    states = tile_map["ItemProcessor"]["States"]
    choice = states[states["KeepLetter"]["Next"]]
    (rule,) = choice["Choices"]
    assert (rule["Variable"], rule["StringEquals"]) == ("$.failure.Error", errors.SourceUnavailableError.__name__)
    assert states[rule["Next"]]["Type"] == "Fail"
    assert states[choice["Default"]]["Result"] == {}
    assert tile_map["ToleratedFailureCount"] == StackConfig().source_failures_tolerated
    assert "ToleratedFailurePercentage" not in tile_map


def test_the_hard_cap_stands_before_the_map(definition: dict[str, Any]) -> None:
    states = definition["States"]
    for start in ("SeedTiles", "RedriveTiles"):
        guard = states[states[start]["Next"]]
        rule, dear, nothing = guard["Choices"]
        assert (rule["Variable"], rule["NumericGreaterThanPath"]) == ("$.seed.count", "$.seed.max_tiles")
        assert states[rule["Next"]]["Error"] == errors.RunTooLargeError.__name__
        assert (dear["Variable"], dear["NumericGreaterThanPath"]) == ("$.seed.estimated_usd", "$.seed.max_usd")
        assert states[dear["Next"]]["Error"] == errors.RunTooExpensiveError.__name__
        assert states[dear["Next"]]["CausePath"] == "$.seed.cost_refusal"
        assert (nothing["Variable"], nothing["NumericEquals"]) == ("$.seed.count", 0)
        assert states[nothing["Next"]]["Parameters"]["Payload"] == TOLD
        assert states[states[nothing["Next"]]["Next"]]["Choices"][0]["Next"] == "NothingToDo"
        assert states[guard["Default"]]["Type"] == "Map"


def test_a_redrive_begins_with_the_queue_and_everything_else_with_the_seed(definition: dict[str, Any]) -> None:
    states = definition["States"]
    choice = states[definition["StartAt"]]
    (rule,) = choice["Choices"]
    assert (rule["Variable"], rule["IsPresent"]) == ("$.redrive", True)
    assert (rule["Next"], choice["Default"]) == ("RedriveTiles", "SeedTiles")
    for name in ("RedriveTiles", "SeedTiles"):
        assert states[name]["Parameters"]["Payload"] == {
            "run.$": "$$.Execution.Name", "execution.$": "$$.Execution.Id", "started.$": "$$.Execution.StartTime",
            "state_machine.$": "$$.StateMachine.Id", "input.$": "$$.Execution.Input",
        }  # fmt: skip


def test_a_worker_whose_transfer_goes_on_is_invoked_again_with_how_far_it_came(tile_map: dict[str, Any]) -> None:
    states = tile_map["ItemProcessor"]["States"]
    choice = states[states["ProcessTile"]["Next"]]
    (rule,) = choice["Choices"]
    assert (rule["Variable"], rule["StringEquals"]) == ("$.worker.answer.state", "transferring")
    again = states[rule["Next"]]
    assert (again["Type"], again["Next"]) == ("Pass", "ProcessTile")
    assert again["Parameters"]["transfer.$"] == "$.worker.answer.transfer"
    handed = {key.removesuffix(".$") for key in again["Parameters"]}
    assert handed == {key.removesuffix(".$") for key in tile_map["ItemSelector"]}
    assert states[choice["Default"]]["Result"] == {}


@pytest.mark.parametrize("failures_between", [0, 1, 5, 17])
def test_however_a_source_fails_between_transfers_it_is_asked_a_bounded_number_of_times(
    definition: dict[str, Any], failures_between: int
) -> None:
    """The state machine's own counts begin anew with each invocation whose transfer goes on; the worker's do not."""
    retries = all_states(definition)["ProcessTile"]["Retry"]
    left_at_entry = sum(retry["MaxAttempts"] for retry in retries)
    (unavailable,) = (retry for retry in retries if "ArchiveUnavailableError" in retry["ErrorEquals"])
    transfer, asked, invoked, is_over = Transfer(), 0, 0, False
    while not is_over:
        tried, refused = 0, 0
        while True:
            invoked += 1
            event = {"year": 2020, "tile": "N25W165", "transfer": transfer.to_dict(), "retries": tried}
            request = TileRequest.from_event(event)
            try:
                request.check_attempt()
                asked += 1
                if tried == min(failures_between, left_at_entry):
                    transfer = Transfer.after(request.attempt, 1000 * request.attempt, 1)
                    break
            except errors.ArchiveUnavailableError:
                refused += 1
            tried += 1
            if refused > unavailable["MaxAttempts"] or tried > left_at_entry:
                is_over = True
                break
    assert asked == MOST_INVOCATIONS == 20
    assert invoked <= MOST_INVOCATIONS + 1 + unavailable["MaxAttempts"]


def test_a_line_of_the_manifest_is_handed_on_whole(tile_map: dict[str, Any]) -> None:
    line = TileRequest(TileYear.from_text("2020/N25W165")).to_line()
    paths = [path for path in tile_map["ItemSelector"].values() if isinstance(path, str)]
    handed = {path.removeprefix("$$.Map.Item.Value.") for path in paths if "Map" in path}
    assert handed == line.keys()


def test_the_worker_understands_what_it_is_sent(definition: dict[str, Any], tile_map: dict[str, Any]) -> None:
    payload = all_states(definition)["ProcessTile"]["Parameters"]["Payload"]
    item = {"$." + key.removesuffix(".$"): value for key, value in tile_map["ItemSelector"].items()}
    known = {
        "$.seed.schema_version": SCHEMA_VERSION,
        "$.seed.run": "r1",
        "$$.Map.Item.Value.mode": "overwrite",
        "$$.Map.Item.Value.product": "alos_palsar_fnf",
        "$$.Map.Item.Value.accept_partial": True,
        "$$.Map.Item.Value.since": "2026-11-24T06:30:00Z",
        "$$.Map.Item.Value.staged_in": "r0",
        "$$.Map.Item.Value.year": 2020,
        "$$.Map.Item.Value.tile": "N25W165",
    }
    assert tile_map["ItemSelector"]["transfer"] == {"invocations": 0, "received_bytes": 0}
    item["$.transfer"], known["none yet"] = "none yet", {"invocations": 3, "received_bytes": 1000}
    context = {"$$.State.RetryCount": 2}
    event = {
        key.removesuffix(".$"): context[path] if path in context else known[item[path]] for key, path in payload.items()
    }
    request = TileRequest.from_event(event)
    assert (request.run, request.tile_year.year, request.tile_year.tile.name) == ("r1", 2020, "N25W165")
    assert request.staged_in == "r0"
    assert (request.attempt, request.product, request.accept_partial) == (6, "alos_palsar_fnf", True)
    assert request.transfer == Transfer(3, 1000)
    assert (request.mode, request.since) == (Mode.OVERWRITE, datetime(2026, 11, 24, 6, 30, tzinfo=UTC))


def test_a_dead_letter_says_all_that_its_readers_want(definition: dict[str, Any]) -> None:
    body = all_states(definition)["SendDeadLetter"]["Parameters"]["MessageBody"]
    said = {key.removesuffix(".$") for key in body}
    # the attempt stands in the cause, which the worker wrote
    assert said >= set(TileFailure.__dataclass_fields__) - {"attempt"}
    assert said >= {"schema_version", "mode", "product"}
    assert not [path for path in body.values() if path.startswith("States.")], "a cause is never parsed here"


def test_a_letter_that_was_sent_is_kept_where_the_summary_looks(definition: dict[str, Any]) -> None:
    states = all_states(definition)
    send, keep = states["SendDeadLetter"], states["KeepLetter"]
    assert send["Next"] == "KeepLetter"
    assert keep["Resource"].endswith(":states:::aws-sdk:s3:putObject")
    given = keep["Parameters"]
    assert given["Body"] == send["Parameters"]["MessageBody"]
    assert given["Key.$"] == "States.Format('runs/{}/letters/{}.json', $.run, $$.Execution.Name)"
    assert letters_prefix("{}") == "runs/{}/letters/"
    (catch,) = keep["Catch"]
    assert catch["Next"] == keep["Next"] == "SourceDown?", "without its copy the letter is sent twice, no more"


def test_functions_are_invoked_by_version(definition: dict[str, Any], stack: Synthesized) -> None:
    versions = stack.of_type("AWS::Lambda::Version")
    invoked = [
        state["Parameters"]["FunctionName"]
        for state in all_states(definition).values()
        if state.get("Resource", "").endswith(":lambda:invoke")
    ]
    assert len(invoked) == 5
    assert {name.strip("${}") for name in invoked} == set(versions)


def test_the_summary_decides_how_a_run_ends(definition: dict[str, Any]) -> None:
    states = definition["States"]
    choice = states[states[states["SummariseRun"]["Next"]]["Next"]]
    nothing, rule = choice["Choices"]
    assert nothing["Not"] == {"Variable": "$.summary", "IsPresent": True}
    assert states[nothing["Next"]] == {"Type": "Succeed"}
    assert (rule["Variable"], rule["BooleanEquals"]) == ("$.summary.complete", True)
    assert states[rule["Next"]]["Type"] == "Succeed"
    assert states[choice["Default"]]["Error"] == errors.IncompleteRunError.__name__
    assert states[choice["Default"]]["CausePath"] == "$.summary.sentence"
    payload = states["SummariseRun"]["Parameters"]["Payload"]
    assert payload["so_far.$"] == "$", "what broke the Map off is among it"


def test_who_begins_a_run_is_patient_with_the_source(definition: dict[str, Any]) -> None:
    for name in ("SeedTiles", "RedriveTiles"):
        tried_again = [retry["ErrorEquals"] for retry in definition["States"][name]["Retry"]]
        assert [errors.SourceUnavailableError.__name__] in tried_again, name


def test_people_are_told_of_a_run_that_is_summed_up_and_the_run_ends_whether_they_are_or_not(
    definition: dict[str, Any],
) -> None:
    states = definition["States"]
    digest = states[states["SummariseRun"]["Next"]]
    assert digest["Parameters"]["Payload"] == TOLD
    assert digest["ResultPath"] is None, "what the summary said decides how the run ends"
    (catch,) = digest["Catch"]
    assert (catch["ErrorEquals"], catch["Next"]) == (["States.ALL"], digest["Next"])
    assert catch["ResultPath"] == "$.digest_failure"
