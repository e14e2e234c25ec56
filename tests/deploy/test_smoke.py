"""The smoke run against the emulator: what is emulated is found well, what is not is found missing."""

from __future__ import annotations

import subprocess

import pytest

from infra.assets import REPOSITORY
from tests.deploy.conftest import SMOKED, STACK, YEAR, Deployed, Desk

NOT_EMULATED = {"tls-only", "private", "result-writer", "metrics", "alarms"}
"""local/fidelity.md: IAM is not enforced, ResultWriter is ignored, no metrics come of log lines, alarms tell nobody."""


@pytest.fixture(scope="module")
def said(desk: Desk, deployed: Deployed) -> dict[str, tuple[str, str]]:
    """Verdict and sentence of each check."""
    command = (".venv/bin/python", "-m", "scripts.smoke", STACK, "--limit=10")
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


def test_it_finds_the_digests_that_the_state_machine_and_the_rule_had_sent(said: dict[str, tuple[str, str]]) -> None:
    assert "tells of smoke-" in said["digest"][1]
    assert said["bad-end"][1].endswith("-refused, InvalidRequestError")


def test_it_redrives_a_message_of_its_own_and_leaves_the_queue_as_it_was(
    desk: Desk, deployed: Deployed, said: dict[str, tuple[str, str]]
) -> None:
    assert said["redrive"][1] == "0 published, 1 skipped, 0 absent, 0 failed of 1 seeded"
    queue = deployed.outputs["DeadLetterQueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = desk.cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    assert set(left.values()) == {"0"}
