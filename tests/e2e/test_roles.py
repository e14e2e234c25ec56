"""A whole run where IAM is enforced over TLS: the roles suffice, and each grant that is taken away is missed.

What goes wrong without a grant is said with AccessDenied, in the dead-letter queue or as the run's cause, and nothing
is lost: with the grant back, a redrive or another run publishes. The state machine's own role is not asked here; its
statements stand in tests/infra/statements_*.txt.

``s3:AbortMultipartUpload`` of the worker has no case: it is asked for only where an upload of 64 MB or more breaks off,
which is a failure of its own, and what can't be aborted is removed after a day by the lifecycle of the stack's buckets.
Nor has ``s3:GetObject`` of the redrive on its manifest, which it reads only where it is tried again after it was broken
off behind writing it, nor the redrive's look at a mirror, which is the seed's.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from alos_mosaic.cli.main import app
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import ITEM_ENDING
from alos_mosaic.results import TileFailure
from infra.application import STACK_NAME, synthesize
from infra.stages import stack_name
from local.archives import place_archive
from local.emulator import running_cloud
from local.emulator.environment import certificate_of
from local.jaxa_server import Account, JaxaServer
from scripts.deployment import Deployment
from scripts.refusals import Stores
from scripts.smoke import Smoke, outcomes
from tests.e2e.test_run import REPOSITORY, TIMEOUT_SECONDS, System
from tests.faults.town import changed_map, keep_no_letter

TILE = TileYear.from_text("2020/N10E010")
BROKEN = TileYear.from_text("2017/N10E010")
GONE = TileYear.from_text("2016/N10E010")
"""Its folder is not there."""
ASKED = {"years": [TILE.year], "tiles": [TILE.tile.name]}
REFRESH = {**ASKED, "mode": "refresh"}
RESUME = {"resume": {"run": "to-be-resumed"}}
SECRET = "jaxa"
REFUSED = re.compile("AccessDenied|not authorized to perform|HeadObject operation: Forbidden")
"""Whoever asks for the head of an object is told no more."""
ACCOUNT = Account("reader", "correct horse")


@dataclass(frozen=True)
class Grant:
    """One action of one role on the resources whose ARNs hold a text."""

    role: str
    action: str
    on: str
    """``{output}`` and ``{runs}`` stand for the names of the buckets."""

    def __str__(self) -> str:
        """Name the case of a test."""
        return f"{self.role} {self.action} {self.on}"


@dataclass
class Guarded(System):
    """A deployed system whose roles are enforced."""

    stack: str = STACK_NAME
    told: str = ""
    """A queue that is subscribed to the topic of the digests."""
    issues: int = 1
    """How often the source has issued the tile, each time with one cell more."""

    def reissue(self, grid: Grid) -> Path:
        """Have the source serve another archive of the tile, so that a refresh replaces what is published."""
        self.issues += 1
        return place_archive(self.mirror, TILE.tile, TILE.year, grid, cells=TILE.tile.cells[: self.issues])

    @contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Take a grant out of its role's policies, as if the template had it not, and give it back."""
        part = grant.on.format(output=self.outputs["OutputBucketName"], runs=self.outputs["RunsBucketName"])
        with self.changed(grant.role, lambda document: _less(document, grant.action, part)):
            yield

    @contextmanager
    def changed(self, role: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
        """Put a role's policies differently, and then as they were; they have to differ."""
        iam, taken = self.cloud.client("iam"), []
        roles = [each["RoleName"] for each in iam.list_roles()["Roles"]]
        (role,) = (name for name in roles if name.startswith(f"{self.stack}-") and f"{role}Role" in name)
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            given = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            if (left := change(given)) != given:
                taken.append((policy, given))
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(left))
        assert taken, f"{role} has no such grant"
        try:
            yield
        finally:
            for policy, given in taken:
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(given))

    def letters(self) -> list[TileFailure]:
        """Look at what lies in the dead-letter queue, and leave it there."""
        sqs, queue = self.cloud.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [TileFailure.from_body(message["Body"]) for message in found]

    def fail(self, run: str) -> None:
        """Have the tile, which is then not published, fail in a run."""
        self.unpublish()
        with self.without(Grant("ProcessTile", "s3:PutObject", "{output}")):
            self.run(run, ASKED)

    def log(self, function: str) -> str:
        """Return what a function's workers have logged."""
        paths = self.cloud.function_log("").parent.glob(f"{self.stack}-*{function}*.log")
        return "".join(path.read_text() for path in paths)

    def counted(self) -> int:
        """Count what lies in the dead-letter queue, hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.cloud.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["DeadLetterQueueUrl"], AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)

    def objects(self) -> dict[str, str]:
        """Entity tags of what is published, by key."""
        found = self.cloud.client("s3").list_objects_v2(Bucket=self.outputs["OutputBucketName"])
        return {entry["Key"]: entry["ETag"] for entry in found.get("Contents", ())}

    def unpublish(self) -> None:
        """Empty the output bucket."""
        for key in self.objects():
            self.cloud.client("s3").delete_object(Bucket=self.outputs["OutputBucketName"], Key=key)

    def invoke(self, function: str, event: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Invoke a function, and tell its answer and whether it failed."""
        client = self.cloud.client("lambda")
        names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
        (name,) = (name for name in names if name.startswith(f"{self.stack}-") and function in name)
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def digests(self) -> list[str]:
        """Take the subjects of the digests that were sent."""
        sqs, found = self.cloud.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.told, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"])["Subject"])
                sqs.delete_message(QueueUrl=self.told, ReceiptHandle=message["ReceiptHandle"])
        return found


def _less(document: dict[str, Any], action: str, part: str) -> dict[str, Any]:
    """Return a policy without an action on the resources that hold a text."""
    left: list[dict[str, Any]] = []
    for statement in document["Statement"]:
        actions, resources = _as_list(statement["Action"]), _as_list(statement["Resource"])
        meant = [arn for arn in resources if part in arn] if action in actions else []
        if not meant:
            left.append(statement)
            continue
        for its_actions, its_resources in (
            (actions, [arn for arn in resources if arn not in meant]),
            ([each for each in actions if each != action], meant),
        ):
            if its_actions and its_resources:
                left.append({**statement, "Action": its_actions, "Resource": its_resources})
    return {**document, "Statement": left}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    for place in (TILE, BROKEN):
        archive = place_archive(folder / "mirror", place.tile, place.year, grid, cells=place.tile.cells[:1])
    archive.write_bytes(archive.read_bytes()[:-500])
    with (
        JaxaServer(folder / "mirror", account=ACCOUNT) as source,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0, enforce=True) as cloud,
    ):
        context: dict[str, object] = {"source_uri": source.url, "cell_pixels": grid.cell_pixels}
        context |= {"source_secret_name": SECRET, "allow_plain_login": True, "keep_archives_in": "own"}
        context |= {"publish_notifications": True, "watch_schedule": "rate(7 days)", "watch_years": str(TILE.year)}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        login = json.dumps({"username": ACCOUNT.user, "password": ACCOUNT.password})
        cloud.client("secretsmanager").create_secret(Name=SECRET, SecretString=login)
        system = Guarded(cloud, outputs, json.loads(path.read_text()), folder / "mirror", source)
        system.told = _subscribed(system)
        yield system


def _subscribed(system: Guarded) -> str:
    sqs, topic = system.cloud.client("sqs"), system.outputs["NoticesTopicArn"]
    queue = str(sqs.create_queue(QueueName="told")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    leave = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [leave]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    system.cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def _name(grant: Grant) -> str:
    """Return a name for a run."""
    return re.sub(r"\W+", "-", str(grant))


def _sentence(ended: dict[str, Any]) -> str:
    return str(json.loads(ended["output"])["summary"]["sentence"])


def test_the_roles_suffice_for_runs_redrives_and_digests(system: Guarded, grid: Grid) -> None:
    asked = {"years": [TILE.year, BROKEN.year, GONE.year], "tiles": [TILE.tile.name]}
    ended = system.run("whole", asked)
    assert ended["cause"] == "1 published, 0 skipped, 0 absent, 2 failed of 3 seeded"
    errors = {letter.error for letter in system.letters()}
    assert errors == {"CorruptArchiveError", "SourceUnavailableError"}
    for place in (BROKEN, GONE):
        place_archive(system.mirror, place.tile, place.year, grid, cells=place.tile.cells[:1])
    assert _sentence(system.run("whole-redriven", {"redrive": {"run": "whole"}})).startswith("2 published, 0 skipped")
    assert system.letters() == []
    system.unpublish()
    assert _sentence(system.run("whole-resumed", {"resume": {"run": "whole"}})).startswith("3 published")
    system.reissue(grid)
    assert _sentence(system.run("whole-again", {**asked, "mode": "refresh"})).startswith("1 published, 2 skipped")
    assert [subject.partition(":")[0] for subject in system.digests()] == [
        f"alos-mosaic {run}" for run in ("whole", "whole-redriven", "whole-resumed", "whole-again")
    ]
    lines = "".join(map(system.log, ("SeedTiles", "RedriveTiles", "ProcessTile", "SummariseRun", "SendDigest")))
    assert "AccessDenied" not in lines
    assert ACCOUNT.password not in lines


def test_the_role_of_the_watch_suffices_and_is_needed(system: Guarded) -> None:
    system.unpublish()
    system.run("to-be-watched", ASKED)
    told, failed = system.invoke("WatchSource", {})
    assert (failed, told["news"], told["compared"]) == (False, [], 1)
    for grant, error in (
        (Grant("WatchSource", "secretsmanager:GetSecretValue", ""), "SourceUnavailableError"),
        (Grant("WatchSource", "s3:ListBucket", "{output}"), "ServiceError"),
        (Grant("WatchSource", "s3:GetObject", "{output}/alos_palsar_mosaic/"), "ServiceError"),
    ):
        with system.without(grant):
            told, failed = system.invoke("WatchSource", {})
        assert (failed, told["errorType"]) == (True, error), grant
        assert "AccessDenied" in told["errorMessage"]


def test_news_that_could_not_be_told_are_told_at_the_next_look(system: Guarded, grid: Grid) -> None:
    system.unpublish()
    system.run("to-be-re-issued", ASKED)
    system.reissue(grid)
    system.digests()
    with system.without(Grant("WatchSource", "sns:Publish", "")):
        told, failed = system.invoke("WatchSource", {})
    assert (failed, told["errorType"]) == (True, "ServiceError")
    assert "not authorized to perform" in told["errorMessage"]
    assert system.digests() == []
    told, failed = system.invoke("WatchSource", {})
    assert (failed, len(told["news"])) == (False, 1), told
    assert system.digests() == ["News from JAXA's mosaics"]


@pytest.mark.parametrize(
    "grant",
    [
        Grant("ProcessTile", "sns:Publish", ""),
        Grant("ProcessTile", "s3:PutObject", "/pub/"),
        Grant("ProcessTile", "s3:GetObject", "/pub/"),
        Grant("ProcessTile", "s3:ListBucket", "storagearchives"),
        Grant("ProcessTile", "s3:DeleteObject", "{runs}/staging/"),
        Grant("ProcessTile", "s3:PutObject", "{runs}/runs/*/outcomes/"),
    ],
    ids=str,
)
def test_a_tile_is_published_also_where_only_what_is_beside_it_fails(system: Guarded, grid: Grid, grant: Grant) -> None:
    """Nobody is told of it, its archive is not kept, what was staged stays until it expires, or its record is read."""
    system.unpublish()
    name = _name(grant)
    system.run(f"before-{name}", ASKED)
    system.reissue(grid)
    logged = len(system.log("ProcessTile"))
    with system.without(grant):
        assert _sentence(system.run(name, REFRESH)).startswith("1 published")
    assert REFUSED.search(system.log("ProcessTile")[logged:]), sorted(system.objects())


def test_a_file_that_only_the_old_item_names_stays_where_it_may_not_be_removed(system: Guarded) -> None:
    system.unpublish()
    system.run("before-unremoved", ASKED)
    bucket, s3 = system.outputs["OutputBucketName"], system.cloud.client("s3")
    (key,) = (key for key in system.objects() if key.endswith(ITEM_ENDING))
    item, old = system.read("OutputBucketName", key), f"{key.removesuffix(ITEM_ENDING)}_old.tif"
    item["assets"]["old"] = {"href": f"./{old.rpartition('/')[2]}"}
    for each, body in ((old, b"old"), (key, json.dumps(item).encode())):
        s3.put_object(Bucket=bucket, Key=each, Body=body)
    logged = len(system.log("ProcessTile"))
    with system.without(Grant("ProcessTile", "s3:DeleteObject", "{output}/alos_palsar_mosaic/")):
        assert _sentence(system.run("unremoved", {**ASKED, "mode": "overwrite"})).startswith("1 published")
    assert REFUSED.search(system.log("ProcessTile")[logged:])
    assert old in system.objects()
    assert "old" not in system.read("OutputBucketName", key)["assets"], "nothing names it any more"


def test_who_has_no_role_may_do_nothing(system: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it no test here could fail for want of a grant."""
    act_as(system, "nobody", monkeypatch)
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.Session().client("s3").list_objects_v2(Bucket=system.outputs["OutputBucketName"])


def act_as(system: Guarded, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a user without any rights, and let whoever asks AWS from now on be that user."""
    iam = system.cloud.client("iam")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    for name, value in {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": system.cloud.region,
        "AWS_ENDPOINT_URL": system.cloud.endpoint_url,
        "AWS_CA_BUNDLE": str(certificate_of(system.cloud.folder)),
    }.items():
        monkeypatch.setenv(name, value)


NOT_SHOWN_HERE = {"tls-only", "result-writer", "metrics", "alarms"}
"""Checks of the smoke run that the emulator can't pass (local/fidelity.md): it has nothing but TLS in this mode."""


def test_the_policy_of_the_smoke_run_is_what_it_needs(system: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it the checks pass, and `alos-mosaic run` does; there is nothing in it that neither asks for."""
    system.cloud.client("sqs").purge_queue(QueueUrl=system.outputs["DeadLetterQueueUrl"])
    on_aws, here = ":stateMachine:WorkflowRun*", f":stateMachine:{STACK_NAME}-WorkflowRun*"
    text = (REPOSITORY / "deploy/policies/smoke.json").read_text().replace(on_aws, here)
    act_as(system, "smoker", monkeypatch)
    system.cloud.client("iam").put_user_policy(UserName="smoker", PolicyName="smoke", PolicyDocument=text)
    asked: set[str] = set()
    session = boto3.Session()
    session.events.register("provide-client-params.*.*", lambda event_name, **_: asked.add(_action(event_name)))
    smoke, found = Smoke(Deployment(STACK_NAME, poll_seconds=0.1, session=session), TILE.tile), []
    for name, check in smoke.checks().items():
        smoke.limit_seconds = 0 if name in NOT_SHOWN_HERE else 20
        found += outcomes({name: check})
    assert {name for name, is_well, _ in found if not is_well} == NOT_SHOWN_HERE, "\n".join(map(str, found))
    assert not [sentence for _, _, sentence in found if "AccessDenied" in sentence]
    for ask in Stores(smoke.deployment).asks().values():
        ask(True)  # the check ends at the first that answers without TLS, too
    system.cloud.client("sqs").purge_queue(QueueUrl=system.told)
    system.unpublish()
    done = CliRunner().invoke(app, ["run", "--years", str(TILE.year), "--tiles", TILE.tile.name, "--yes", "--wait"])
    assert done.exit_code == 0, done.output
    allowed = {action for statement in json.loads(text)["Statement"] for action in _as_list(statement["Action"])}
    assert asked - allowed == set()
    assert {action for action in allowed - asked if not action.startswith("kms:")} == {
        "lambda:GetFunctionConfiguration"
    }, "`alos-mosaic run` asks for it, to say what a run will cost"


def _action(event: str) -> str:
    """Return IAM's name for what a client is about to ask, from botocore's."""
    _, service, operation = event.split(".")
    prefix = {"sfn": "states"}.get(service, service)
    return f"{prefix}:{'ListBucket' if operation == 'ListObjectsV2' else operation}"


@pytest.mark.parametrize(
    ("grant", "given", "error"),
    [
        (Grant("ProcessTile", "s3:PutObject", "{output}/alos_palsar_mosaic/"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:ListBucket", "{output}"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:GetObject", "{output}/alos_palsar_mosaic/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:PutObject", "{runs}/runs/*/results/"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:PutObject", "{runs}/staging/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:GetObject", "{runs}/staging/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:ListBucket", "{runs}"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "secretsmanager:GetSecretValue", ":secret:jaxa-"), ASKED, "SourceUnavailableError"),
    ],
    ids=str,
)
def test_a_tile_without_a_grant_of_its_worker_waits_for_it(
    system: Guarded, grid: Grid, grant: Grant, given: dict[str, Any], error: str
) -> None:
    system.unpublish()
    if given is REFRESH:
        system.run(f"before-{_name(grant)}", ASKED)
        system.reissue(grid)
    _waits_for(system, grant, given, error)


def _waits_for(system: Guarded, grant: Grant, given: dict[str, Any], error: str) -> None:
    number, before = _name(grant), system.objects()
    with system.without(grant):
        ended = system.run(number, given)
    assert (ended["status"], ended.get("error")) == ("FAILED", "IncompleteRunError"), ended
    letters = system.letters()
    assert {letter.run for letter in letters} == {number}
    assert [letter for letter in letters if letter.error == error and REFUSED.search(letter.cause)]
    assert before.items() <= system.objects().items(), "what was published is as it was"
    redriven = system.run(f"{number}-redriven", {"redrive": {"run": number}})
    assert redriven["status"] == "SUCCEEDED", redriven
    assert system.letters() == []
    assert [key for key in system.objects() if key.endswith(".stac-item.json")]


@pytest.fixture(scope="module")
def resumable(system: Guarded) -> None:
    """A run that can be resumed."""
    system.unpublish()
    system.run("to-be-resumed", ASKED)


@pytest.mark.usefixtures("resumable")
@pytest.mark.parametrize(
    ("grant", "given"),
    [
        (Grant("SeedTiles", "s3:PutObject", "{runs}/runs/*/manifest.json"), ASKED),
        (Grant("SeedTiles", "s3:PutObject", "{runs}/runs/.running"), ASKED),
        (Grant("SeedTiles", "s3:GetObject", "{runs}/runs/.running"), ASKED),
        (Grant("SeedTiles", "states:ListExecutions", ":stateMachine:"), ASKED),
        (Grant("SeedTiles", "states:DescribeExecution", ":execution:"), ASKED),
        (Grant("SeedTiles", "s3:GetObject", "{runs}/runs/*/manifest.json"), RESUME),
        (Grant("SeedTiles", "s3:ListBucket", "{runs}"), {"resume": {"run": "never-was"}}),
        (Grant("SeedTiles", "s3:ListBucket", "{output}"), RESUME),
        (Grant("SeedTiles", "s3:GetObject", "{output}/alos_palsar_mosaic/"), RESUME),
    ],
    ids=str,
)
def test_a_run_without_a_grant_of_its_seed_begins_nothing(system: Guarded, grant: Grant, given: dict[str, Any]) -> None:
    before, name = system.objects(), _name(grant)
    with system.without(grant):
        ended = system.run(name, given)
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "AccessDenied" in ended["cause"]
    assert system.objects() == before
    assert system.letters() == []
    again = system.run(f"{name}-again", given)
    assert again["status"] == "SUCCEEDED" or again["error"] == "InvalidRequestError", again


@pytest.mark.parametrize(
    "grant",
    [
        Grant("RedriveTiles", "states:ListExecutions", ":stateMachine:"),
        Grant("RedriveTiles", "states:DescribeExecution", ":execution:"),
        Grant("RedriveTiles", "s3:PutObject", "{runs}/runs/.running"),
        Grant("RedriveTiles", "s3:GetObject", "{runs}/runs/.running"),
        Grant("RedriveTiles", "s3:ListBucket", "{runs}"),
        Grant("RedriveTiles", "sqs:ReceiveMessage", ""),
        Grant("RedriveTiles", "s3:PutObject", "{runs}/runs/*/manifest.json"),
        Grant("RedriveTiles", "s3:ListBucket", "{output}"),
    ],
    ids=str,
)
def test_a_redrive_without_a_grant_leaves_its_letter_in_the_queue(system: Guarded, grant: Grant) -> None:
    name = _name(grant)
    if not system.letters():
        system.fail(f"before-{name}")
    lying = system.counted()
    with system.without(grant):
        ended = system.run(name, {"redrive": {}})
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "AccessDenied" in ended["cause"]
    assert len(system.letters()) == system.counted() == lying > 0


def test_a_redrive_that_may_not_read_items_does_not_take_a_letter_for_done(system: Guarded) -> None:
    system.fail("before-unread")
    system.run("published-since", ASKED)
    lying = system.counted()
    with system.without(Grant("RedriveTiles", "s3:GetObject", "{output}/alos_palsar_mosaic/")):
        ended = system.run("unread", {"redrive": {}})
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "AccessDenied" in ended["cause"]
    assert len(system.letters()) == system.counted() == lying > 0
    assert system.run("read", {"redrive": {}})["status"] == "SUCCEEDED"
    assert system.counted() == 0


def test_letters_that_cant_be_shown_again_come_into_sight_by_themselves(system: Guarded) -> None:
    """After the 15 minutes for which they were taken."""
    if not system.letters():
        system.fail("before-unshown")
    lying, logged = system.counted(), len(system.log("RedriveTiles"))
    with system.without(Grant("RedriveTiles", "sqs:ChangeMessageVisibility", "")):
        ended = system.run("unshown", {"redrive": {"dry_run": True}})
    assert "AccessDenied" in system.log("RedriveTiles")[logged:]
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "out of sight" in ended["cause"], "tried again, it does not take that for an empty queue"
    assert system.letters() == []
    assert system.counted() == lying > 0
    system.cloud.client("sqs").purge_queue(QueueUrl=system.outputs["DeadLetterQueueUrl"])


def test_a_queue_that_may_not_be_counted_is_not_taken_for_an_empty_one(system: Guarded) -> None:
    system.cloud.client("sqs").purge_queue(QueueUrl=system.outputs["DeadLetterQueueUrl"])
    with system.without(Grant("RedriveTiles", "sqs:GetQueueAttributes", "")):
        ended = system.run("uncounted", {"redrive": {}})
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "AccessDenied" in ended["cause"]


def test_redriven_tiles_are_published_also_where_their_letters_cant_be_deleted(system: Guarded) -> None:
    if not system.letters():
        system.fail("before-undeleted")
    with system.without(Grant("RedriveTiles", "sqs:DeleteMessage", "")):
        ended = system.run("undeleted", {"redrive": {}})
    assert _sentence(ended).startswith("1 published"), ended
    assert system.counted() > 0
    system.cloud.client("sqs").purge_queue(QueueUrl=system.outputs["DeadLetterQueueUrl"])


@pytest.mark.parametrize(
    "grant",
    [
        Grant("SummariseRun", "s3:GetObject", "{runs}/"),
        Grant("SummariseRun", "s3:ListBucket", "{runs}"),
        Grant("SummariseRun", "s3:PutObject", "summary.json"),
        Grant("SummariseRun", "s3:PutObject", "report.html"),
        Grant("SummariseRun", "sqs:SendMessage", ""),
    ],
    ids=str,
)
def test_a_run_without_a_grant_of_its_summary_fails_and_loses_nothing(system: Guarded, grant: Grant) -> None:
    """The tile's letter is sent and not kept, so the summary sends another, again each time that it is retried."""
    system.unpublish()
    name = _name(grant)
    results = Grant("ProcessTile", "s3:PutObject", "{runs}/runs/*/results/")
    states, machine = system.cloud.client("stepfunctions"), system.outputs["StateMachineArn"]
    with system.without(grant), system.without(results), changed_map(states, machine, keep_no_letter):
        ended = system.run(name, ASKED)
    assert (ended["status"], ended.get("error")) == ("FAILED", "ServiceError"), ended
    assert "AccessDenied" in ended["cause"]
    assert {letter.run for letter in system.letters()} == {name}
    redriven = system.run(f"{name}-redriven", {"redrive": {"run": name}})
    assert redriven["status"] == "SUCCEEDED", redriven
    assert [key for key in system.objects() if key.endswith(".stac-item.json")]
    assert system.letters() == []


@pytest.mark.parametrize(
    "grant",
    [
        Grant("SendDigest", "sns:Publish", ""),
        Grant("SendDigest", "s3:PutObject", "{runs}/"),
        Grant("SendDigest", "s3:GetObject", "{runs}/"),
        Grant("SendDigest", "s3:ListBucket", "{runs}"),
        Grant("SendDigest", "states:DescribeExecution", ""),
    ],
    ids=str,
)
def test_a_digest_without_a_grant_is_sent_by_the_hourly_look(system: Guarded, grant: Grant) -> None:
    look = {"state_machine": system.outputs["StateMachineArn"]}
    system.invoke("SendDigest", look)
    system.digests()
    name, logged = _name(grant), len(system.log("SendDigest"))
    with system.without(grant):
        assert system.run(name, ASKED)["status"] == "SUCCEEDED", "the run is as good without its digest"
        answer, failed = system.invoke("SendDigest", look)
        assert (failed, answer["errorType"]) == (True, "ServiceError")
    assert system.digests() == []
    assert "is not authorized to perform" in system.log("SendDigest")[logged:]
    answer, failed = system.invoke("SendDigest", look)
    assert (failed, answer["sent"]) == (False, 1)
    (subject,) = system.digests()
    assert subject.startswith(f"alos-mosaic {name}: ")


def test_an_hourly_look_that_may_not_list_runs_says_so(system: Guarded) -> None:
    with system.without(Grant("SendDigest", "states:ListExecutions", ":stateMachine:")):
        answer, failed = system.invoke("SendDigest", {"state_machine": system.outputs["StateMachineArn"]})
    assert (failed, answer["errorType"]) == (True, "ServiceError")
    assert "AccessDenied" in answer["errorMessage"]


def test_a_listing_of_another_prefix_is_denied(system: Guarded) -> None:
    """Conditions count: leave to list another product's folder is none for this one's."""
    with system.changed("ProcessTile", lambda document: _renamed(document, "alos_palsar_mosaic/*", "elsewhere/*")):
        system.unpublish()
        ended = system.run("elsewhere", ASKED)
    assert ended["error"] == "IncompleteRunError"
    (letter,) = system.letters()
    assert "AccessDenied" in letter.cause
    assert "ListObjects" in letter.cause
    assert _sentence(system.run("elsewhere-redriven", {"redrive": {}})).startswith("1 published")


def _renamed(document: dict[str, Any], prefix: str, to: str) -> dict[str, Any]:
    """Return a policy whose conditions name another prefix."""
    statements = copy.deepcopy(document["Statement"])
    for statement in statements:
        condition = statement.get("Condition", {}).get("StringLike", {})
        if prefix in condition.get("s3:prefix", ()):
            condition["s3:prefix"] = [to if each == prefix else each for each in condition["s3:prefix"]]
    return {**document, "Statement": statements}


MIRROR = "a-mirror"


@dataclass
class Mirrored(Guarded):
    """Another stack in the same cloud, whose source is a mirror in S3, and whose watch starts runs."""

    def reissue(self, grid: Grid) -> Path:
        """Put the archive into the mirror, too."""
        path = super().reissue(grid)
        key = path.relative_to(self.mirror.parent).as_posix()
        self.cloud.client("s3").put_object(Bucket=MIRROR, Key=key, Body=path.read_bytes())
        return path


@pytest.fixture(scope="module")
def mirrored(system: Guarded, tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Mirrored:
    folder = tmp_path_factory.mktemp("mirrored")
    system.cloud.client("s3").create_bucket(Bucket=MIRROR)
    context: dict[str, object] = {"source_uri": f"s3://{MIRROR}/jaxa", "cell_pixels": grid.cell_pixels, "stage": "dev"}
    context |= {"watch_schedule": "rate(7 days)", "watch_years": str(TILE.year), "watch_action": "refresh"}
    path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
    outputs = system.cloud.deploy(path.parent, stack_name("dev"))
    template = json.loads(path.read_text())
    made = Mirrored(system.cloud, outputs, template, folder / "jaxa", system.source, stack=stack_name("dev"))
    made.reissue(grid)
    return made


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:ListBucket"])
def test_a_tile_waits_for_a_mirror_that_its_worker_may_not_read(mirrored: Mirrored, action: str) -> None:
    mirrored.unpublish()
    _waits_for(mirrored, Grant("ProcessTile", action, MIRROR), ASKED, "SourceUnavailableError")


def test_a_run_begins_nothing_where_its_seed_may_not_see_the_mirror(mirrored: Mirrored) -> None:
    with mirrored.without(Grant("SeedTiles", "s3:ListBucket", MIRROR)):
        ended = mirrored.run("unseen", ASKED)
    assert (ended["status"], ended.get("error")) == ("FAILED", "SourceUnavailableError"), ended
    assert "AccessDenied" in ended["cause"]
    assert mirrored.run("seen", ASKED)["status"] == "SUCCEEDED"


def test_a_watch_that_could_not_start_its_run_starts_it_at_the_next_look(mirrored: Mirrored, grid: Grid) -> None:
    mirrored.unpublish()
    mirrored.run("to-be-watched", ASKED)
    mirrored.reissue(grid)
    before = mirrored.objects()
    for action, on in (("s3:ListBucket", MIRROR), ("states:StartExecution", "")):
        with mirrored.without(Grant("WatchSource", action, on)):
            told, failed = mirrored.invoke("WatchSource", {})
        assert failed, action
        assert REFUSED.search(told["errorMessage"]), told
    with mirrored.without(Grant("WatchSource", "s3:GetObject", MIRROR)):
        told, failed = mirrored.invoke("WatchSource", {})
    assert (failed, told["news"], told["compared"], told["not_compared"]) == (False, [], 0, 1), "it says so"
    assert mirrored.objects() == before
    told, failed = mirrored.invoke("WatchSource", {})
    assert (failed, len(told.get("news", ()))) == (False, 1), told
    arn = f"{mirrored.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{told['started']}"
    assert _sentence(mirrored.cloud.await_end(arn, TIMEOUT_SECONDS)).startswith("1 published")


def test_the_role_of_the_state_machine_is_not_asked_here(system: Guarded) -> None:
    """Once it is, this fails, and its grants want cases above; until then tests/infra/statements_*.txt cover it."""
    system.unpublish()
    with (
        system.without(Grant("Workflow", "lambda:InvokeFunction", "")),
        system.without(Grant("Workflow", "s3:GetObject", "{runs}")),
        system.without(Grant("Workflow", "sqs:SendMessage", "")),
        system.without(Grant("Workflow", "s3:PutObject", "/letters/")),
        system.without(Grant("ProcessTile", "s3:PutObject", "{output}")),
    ):
        ended = system.run("without-a-role", ASKED)
    assert ended["error"] == "IncompleteRunError"
    assert [letter.run for letter in system.letters()] == ["without-a-role"]
