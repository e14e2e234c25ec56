"""``alos-mosaic destroy``: take a deployment down, all but what it has published."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from alos_mosaic.cli.console import JsonOption, ask, errors, print_json
from alos_mosaic.cli.deployment import OUTPUTS, AwsRegionOption, ProfileOption
from alos_mosaic.errors import MosaicError
from alos_mosaic.naming import STACK_DESCRIPTION
from alos_mosaic.quantities import counted
from alos_mosaic.runs import list_runs

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

OUTPUT_BUCKET: Final = "OutputBucketName"
"""Output of the stack that names the bucket with what is published: that one is never touched."""

_BUCKET: Final = "AWS::S3::Bucket"
_QUEUE: Final = "AWS::SQS::Queue"
_STATE_MACHINE: Final = "AWS::StepFunctions::StateMachine"
_RETAINED: Final = ("Retain", "RetainExceptOnCreate")
_PARTS: Final = ("AWS::Lambda::Version", "AWS::S3::BucketPolicy")
"""Go or stay with what they belong to."""
_ATTEMPTS: Final = 3
"""S3 delivers access logs late, also into a bucket that was empty a moment ago."""
_POLL_SECONDS: Final = 5
_TIME_LIMIT_SECONDS: Final = 3600
"""Lambda may take half an hour to leave a VPC."""


class DestroyError(MosaicError):
    """The stack is not one of ours, may not be deleted now, or could not be; the text is a sentence."""


@dataclass(frozen=True)
class Resource:
    """A resource of a stack."""

    kind: str
    name: str
    """The physical id: a bucket's name, a queue's URL, an ARN."""
    is_retained: bool


@dataclass(frozen=True)
class DeployedStack:
    """A stack as it stands in the account."""

    stack_id: str
    output_bucket: str
    is_protected: bool
    resources: tuple[Resource, ...]

    def names(self, kind: str) -> list[str]:
        """Return the names of the resources of a kind that go with the stack."""
        return sorted(resource.name for resource in self.going if resource.kind == kind)

    @property
    def buckets(self) -> list[str]:
        """The buckets that go with the stack and must be empty then."""
        return [name for name in self.names(_BUCKET) if name != self.output_bucket]

    @property
    def going(self) -> list[Resource]:
        """What goes with the stack."""
        return [resource for resource in self.resources if not resource.is_retained]

    @property
    def staying(self) -> list[str]:
        """What stays: the output bucket, whoever made it, and what the template retains."""
        retained = {resource.name for resource in self.resources if resource.is_retained}
        return sorted(retained | {self.output_bucket})


def destroy(
    stack: Annotated[
        str,
        typer.Option(
            help="Name of the stack, like AlosMosaic-dev; always to be said, ALOS_MOSAIC_STACK does not count."
        ),
    ],
    profile: ProfileOption = None,
    aws_region: AwsRegionOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Delete a deployment with its run records, logs and dead letters; what is published stays.

    Empties the stack's own buckets, which CloudFormation can't delete otherwise, all but the output bucket, then
    deletes the stack and waits. Refuses while a run is going on.

    Example: alos-mosaic destroy --stack AlosMosaic-dev
    """
    import boto3  # noqa: PLC0415 - it takes a third of a second, which --help need not wait for

    session = boto3.Session(profile_name=profile, region_name=aws_region)
    cloudformation, s3 = session.client("cloudformation"), session.client("s3")
    found = read_stack(cloudformation, stack)
    check_idle(found, session.client("stepfunctions"))
    if not as_json:
        _show(stack, found, session.client("sqs"))
    ask(yes, f"Delete all of {stack} that goes?")
    delete_stack(found, cloudformation, s3)
    if as_json:
        print_json({"stack": stack, "deleted": len(found.going), "stayed": found.staying})
    else:
        typer.echo(f"{stack} is gone. What stayed: {', '.join(found.staying)}")


def read_stack(cloudformation: CloudFormationClient, name: str) -> DeployedStack:
    """Read a stack's resources and which of them its template retains.

    Raises :class:`DestroyError` if there is no such stack, it is not a deployment of this system, or the bucket with
    what is published would go with it.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    try:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            raise DestroyError(f"there is no stack {name} in {cloudformation.meta.region_name}") from error
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    template: Any = cloudformation.get_template(StackName=name)["TemplateBody"]
    missing = sorted(OUTPUTS - outputs.keys())
    if missing or not isinstance(template, dict) or template.get("Description") != STACK_DESCRIPTION:
        lacks = f"it lacks the output {missing[0]}" if missing else f"its description is not {STACK_DESCRIPTION!r}"
        raise DestroyError(f"{name} is not a deployment of alos-mosaic ({lacks}), so it is left alone")
    declared = template["Resources"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    resources = tuple(
        Resource(
            entry["ResourceType"],
            entry["PhysicalResourceId"],
            _is_retained(declared.get(entry["LogicalResourceId"])),
        )
        for page in pages
        for entry in page["StackResourceSummaries"]
        if "PhysicalResourceId" in entry
        and entry["ResourceStatus"] != "DELETE_COMPLETE"
        and entry["ResourceType"] not in _PARTS
    )
    output = outputs[OUTPUT_BUCKET]
    if any(each.name == output and not each.is_retained for each in resources):
        raise DestroyError(
            f"{name}'s template would let the bucket {output} go, with all that is published; deploy it again with a "
            "template of ours, which retains it, or copy what is published and delete the stack by other means"
        )
    protected = stack.get("EnableTerminationProtection", False)
    return DeployedStack(stack["StackId"], output, protected, resources)


def _is_retained(declared: Mapping[str, Any] | None) -> bool:
    """Tell whether a resource stays; what an update has left over, which the template lacks, is not ours to empty."""
    return declared is None or declared.get("DeletionPolicy") in _RETAINED


def check_idle(stack: DeployedStack, stepfunctions: Any) -> None:
    """Raise :class:`DestroyError` if the stack is protected, or a run of it is going on."""
    if stack.is_protected:
        raise DestroyError(
            "the stack is protected from deletion; deploy it with termination_protection=false first, "
            "or switch that off in CloudFormation's console"
        )
    for machine in stack.names(_STATE_MACHINE):
        for run in list_runs(stepfunctions, machine, only_running=True):
            raise DestroyError(
                f"run {run.name} is going on; wait for its end or stop it: "
                f"aws stepfunctions stop-execution --execution-arn {run.arn}"
            )


def delete_stack(stack: DeployedStack, cloudformation: CloudFormationClient, s3: S3Client) -> None:
    """Empty the buckets, delete the stack and wait until it is gone.

    Raises :class:`DestroyError` with CloudFormation's reasons if it is not.
    """
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - as above

    wait = {"Delay": _POLL_SECONDS, "MaxAttempts": _TIME_LIMIT_SECONDS // _POLL_SECONDS}
    waiter = cloudformation.get_waiter("stack_delete_complete")
    for attempt in itertools.count(1):
        for bucket in stack.buckets:
            count = empty_bucket(s3, bucket)
            errors.print(f"Emptied {bucket}: {counted(count, 'version')} of objects")
        cloudformation.delete_stack(StackName=stack.stack_id)
        try:
            waiter.wait(StackName=stack.stack_id, WaiterConfig=wait)  # type: ignore[arg-type]
        except WaiterError as error:
            if attempt == _ATTEMPTS or not any(_has_content(s3, bucket) for bucket in stack.buckets):
                reasons = "; ".join(_reasons(cloudformation, stack.stack_id))
                raise DestroyError(f"the stack is not deleted: {reasons or error}") from error
        else:
            return


def empty_bucket(s3: S3Client, bucket: str) -> int:
    """Delete every version of every object and every delete marker; return how many, 0 for a bucket that is gone."""
    count = 0
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if not entries:
                continue
            doomed = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})  # type: ignore[typeddict-item]
            for error in answer.get("Errors", ()):
                raise DestroyError(f"{error['Key']} in {bucket} can't be deleted: {error['Message']}")
            count += len(doomed)
    except s3.exceptions.NoSuchBucket:
        return 0
    return count


def _has_content(s3: S3Client, bucket: str) -> bool:
    try:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    except s3.exceptions.NoSuchBucket:
        return False
    return bool(page.get("Versions") or page.get("DeleteMarkers"))


def _reasons(cloudformation: CloudFormationClient, stack_id: str) -> list[str]:
    """Return why resources were not deleted: what the stack's events say since this deletion began, newest first."""
    reasons: list[str] = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for event in page["StackEvents"]:
            is_stack = event["PhysicalResourceId"] == stack_id
            if is_stack and event["ResourceStatus"] == "DELETE_IN_PROGRESS":
                return reasons
            if not is_stack and event["ResourceStatus"] == "DELETE_FAILED":
                reasons.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
    return reasons


def _show(name: str, stack: DeployedStack, sqs: Any) -> None:
    """Say what goes and what stays."""
    typer.echo(f"Of {name} these go, with all that is in them:")
    for bucket in stack.buckets:
        typer.echo(f"  bucket {bucket}")
    for url in stack.names(_QUEUE):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        count = attributes["Attributes"]["ApproximateNumberOfMessages"]
        typer.echo(f"  queue {url.rpartition('/')[2]}, some {counted(int(count), 'message')} in it")
    others = Counter(resource.kind for resource in stack.going if resource.kind not in (_BUCKET, _QUEUE))
    typer.echo(f"  {', '.join(f'{count} {kind}' for kind, count in sorted(others.items()))}")
    typer.echo("These stay:")
    for resource in stack.staying:
        typer.echo(f"  {resource}")
