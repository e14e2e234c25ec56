"""Every IAM statement of the stack as text, so that a change of what anyone may do shows in a diff.

``python -m tests.infra.statements`` writes the files beside this one anew; tests/infra/test_statements.py compares.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from infra.application import STACK_NAME, synthesize
from infra.images import image_stack_name
from tests.infra.conftest import Synthesized, as_list, flat, read_stack

EVERYTHING: Final[Mapping[str, Any]] = {
    "source_uri": "s3://an-archive/of-jaxa",
    "source_secret_name": "login",
    "keep_archives_in": "own",
    "kms_key": "new",
    "publish_notifications": True,
    "watch_schedule": "rate(7 days)",
    "watch_action": "refresh",
    "vpc_id": "vpc-12345678",
    "vpc_subnet_ids": "subnet-12345678,subnet-87654321",
    "image_repository": True,
}
"""All that a setting can make the stack grant, at once."""

_HASH: Final = re.compile("[0-9A-F]{8}$")
"""What the CDK puts behind a construct's names to make a logical id of them."""
POLICIES: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::IAM::Role": ("AssumeRolePolicyDocument", ""),
    "AWS::IAM::Policy": ("PolicyDocument", "Roles"),
    "AWS::S3::BucketPolicy": ("PolicyDocument", "Bucket"),
    "AWS::SQS::QueuePolicy": ("PolicyDocument", "Queues"),
    "AWS::SNS::TopicPolicy": ("PolicyDocument", "Topics"),
    "AWS::KMS::Key": ("KeyPolicy", ""),
    "AWS::ECR::Repository": ("RepositoryPolicyText", ""),
}
"""Where a type of resource keeps its statements, and where the names of what they are about."""


def deployments() -> dict[str, Callable[[Path], Synthesized]]:
    """Return what is reviewed, by name, each with what synthesizes it into a folder."""
    everything = {f"alos-mosaic:{name}": value for name, value in EVERYTHING.items()}
    return {
        "dev": lambda folder: read_stack(synthesize(folder, stage="dev")),
        "prod": lambda folder: read_stack(synthesize(folder, stage="prod")),
        "everything": lambda folder: _with_images(read_stack(synthesize(folder, everything))),
    }


def _with_images(stack: Synthesized) -> Synthesized:
    """Add what the stack of the image repository, ahead of the other, consists of."""
    images = read_stack(stack.folder / f"{image_stack_name(STACK_NAME)}.template.json")
    return replace(stack, resources=stack.resources | images.resources)


def file_of(deployment: str) -> Path:
    """Return where the reviewed statements of a deployment stand."""
    return Path(__file__).with_name(f"statements_{deployment}.txt")


def described(stack: Synthesized) -> str:
    """Return all statements of a stack, those of one role, bucket, queue, topic or key together."""
    found: dict[str, list[str]] = {}
    for name, resource in stack.resources.items():
        if resource["Type"] == "AWS::Lambda::Permission":
            owner, lines = _permission(stack, resource["Properties"])
            found.setdefault(owner, []).extend(lines)
        if resource["Type"] not in POLICIES:
            continue
        document, owners = POLICIES[resource["Type"]]
        of = as_list(resource["Properties"][owners]) if owners else [{"Ref": name}]
        reasons = reasons_of(resource)
        for owner in of:
            for statement in resource["Properties"][document]["Statement"]:
                found.setdefault(_short(stack, owner), []).extend(_lines(stack, statement, reasons))
    blocks = ("\n".join([owner, *lines]) for owner, lines in sorted(found.items()))
    return "\n\n".join(blocks) + "\n"


def reasons_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return why a policy's wildcards are accepted, by the ARN as cdk-nag spells it."""
    rules = resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", [])
    spelt = {rule["id"]: rule["reason"] for rule in rules}
    prefix = "AwsSolutions-IAM5[Resource::"
    return {name.removeprefix(prefix)[:-1]: why for name, why in spelt.items() if name.startswith(prefix)}


def _permission(stack: Synthesized, permission: Mapping[str, Any]) -> tuple[str, list[str]]:
    lines = [f"  Allow {permission['Action']}", f"    to {permission['Principal']}"]
    lines += [f"    if {key} is {_short(stack, permission[key])}" for key in ("SourceArn",) if key in permission]
    return _short(stack, permission["FunctionName"]).removesuffix(".Arn}") + "}", lines


def _lines(stack: Synthesized, statement: Mapping[str, Any], reasons: Mapping[str, str]) -> Iterator[str]:
    yield f"  {statement['Effect']} {' '.join(sorted(as_list(statement['Action'])))}"
    principal = statement.get("Principal")
    for kind, names in principal.items() if isinstance(principal, dict) else ():
        yield f"    to {kind} {' '.join(sorted(_short(stack, each) for each in as_list(names)))}"
    if isinstance(principal, str):
        yield f"    to {principal}"
    for arn in sorted(as_list(statement.get("Resource", [])), key=flat):
        yield f"    on {_short(stack, arn)}"
        spelt = flat(arn).replace("${", "<").replace("}", ">")
        if spelt in reasons:
            yield f"       because: {reasons[spelt]}"
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            yield f"    if {key} {operator} {' '.join(_short(stack, each) for each in as_list(value))}"


def _short(stack: Synthesized, value: Any) -> str:
    """Spell a value of a template, its references without the hashes of logical ids."""
    text = flat(value if isinstance(value, (str, dict)) else str(value))
    for name in sorted(stack.resources, key=len, reverse=True):
        text = re.sub(rf"\$\{{{name}(?=[.}}])", "${" + _HASH.sub("", name), text)
    return text


def main() -> None:
    """Write all files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, synthesized in deployments().items():
            file_of(name).write_text(described(synthesized(Path(folder) / name)), encoding="utf-8")


if __name__ == "__main__":
    main()
