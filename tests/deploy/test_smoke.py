"""The smoke run against the emulator: what is emulated is found well, what is not is found missing."""

from __future__ import annotations

import subprocess
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

from alos_mosaic.inventory import tiles_of_any_year
from infra.assets import REPOSITORY
from scripts.deployment import CheckError
from scripts.smoke import OCEAN, is_refused, most_at_once, outcomes
from tests.deploy.conftest import SMOKED, STACK, YEAR, Deployed, Desk

NOT_EMULATED = {"tls-only", "private", "result-writer", "alarms"}
"""local/fidelity.md: IAM is not enforced, ResultWriter is ignored, alarms tell nobody."""


@pytest.fixture(scope="module")
def said(desk: Desk, deployed: Deployed) -> dict[str, tuple[str, str]]:
    """Verdict and sentence of each check."""
    command = (".venv/bin/python", "-m", "scripts.smoke", STACK, "--alarm-limit=1")
    done = subprocess.run(command, check=False, cwd=REPOSITORY, env=desk.environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = (line.partition(": ") for line in done.stdout.splitlines())
    return {head.split()[1]: (head.split()[0], sentence) for head, _, sentence in lines}


def test_it_finds_out_what_the_emulator_lacks_and_nothing_else(said: dict[str, tuple[str, str]]) -> None:
    assert {name for name, (verdict, _) in said.items() if verdict == "FAILED"} == NOT_EMULATED, said
    assert said["tls-only"][1].endswith("answers without TLS, too")
    assert said["private"][1].endswith("is listed for anybody")
    assert said["result-writer"][1].startswith("the Map wrote no manifest of its results below runs/smoke-")


def test_it_publishes_a_tile_and_keeps_to_the_concurrency(desk: Desk, said: dict[str, tuple[str, str]]) -> None:
    sentence = said["tile"][1]
    assert sentence.startswith("1 published, 0 skipped, 5 absent, 0 failed of 6 seeded; s3://")
    assert f"/{YEAR}/{SMOKED}/" in sentence
    assert said["max-concurrency"][1] == "6 tiles, never more than 2 at once"


def test_it_redrives_a_message_of_its_own_and_leaves_the_queue_as_it_was(
    desk: Desk, deployed: Deployed, said: dict[str, tuple[str, str]]
) -> None:
    assert said["redrive"][1] == "0 published, 1 skipped, 0 absent, 0 failed of 1 seeded"
    queue = deployed.outputs["DeadLetterQueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = desk.cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    assert set(left.values()) == {"0"}


def test_its_places_in_the_ocean_are_places_in_the_ocean() -> None:
    assert not set(OCEAN) & {tile.name for tile in tiles_of_any_year()}


def test_what_a_check_raises_is_its_sentence() -> None:
    def bad() -> str:
        raise CheckError("the cellar is wet")

    found = list(outcomes({"cellar": bad, "roof": lambda: "dry"}))
    assert found == [("cellar", False, "the cellar is wet"), ("roof", True, "dry")]


@pytest.mark.parametrize(
    ("code", "status", "refused"),
    [("AccessDenied", 403, True), ("AuthorizationError", 403, True), ("com.amazonaws#AccessDenied", 400, True),
     ("NoSuchBucket", 404, None)],
)  # fmt: skip
def test_a_refusal_is_told_from_another_error(code: str, status: int, refused: bool | None) -> None:
    def ask() -> None:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Ask")

    if refused is None:
        with pytest.raises(ClientError):
            is_refused(ask)
    else:
        assert is_refused(ask) is refused


@pytest.mark.parametrize(("hours", "most"), [([], 0), ([(0, 2), (2, 4)], 1), ([(0, 3), (1, 2), (1, 4)], 3)])
def test_most_at_once(hours: list[tuple[int, int]], most: int) -> None:
    assert most_at_once([(datetime(2026, 1, 1, a), datetime(2026, 1, 1, b)) for a, b in hours]) == most
