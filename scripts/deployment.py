"""A deployed stack in a real account, as the checks see it: its outputs, its resources, and its runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


class CheckError(Exception):
    """What was looked at is not as it should be; the text is a sentence."""


@dataclass(frozen=True)
class Deployment:
    """A stack called ``stack`` in the account and region of the AWS environment."""

    stack: str
    run_limit_seconds: float = 3600.0
    """How long a run may take before a check gives up."""
    poll_seconds: float = 2.0
    """How long between two looks at what is waited for."""
    session: Any = field(default_factory=boto3.Session)

    def client(self, service: str, **options: Any) -> Any:
        """Return a client of a service; options go to botocore's ``Config``, ``use_ssl`` to the client."""
        use_ssl = options.pop("use_ssl", True)
        return self.session.client(service, use_ssl=use_ssl, config=Config(**options))

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs; :class:`CheckError` if there is no such stack."""
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            raise CheckError(f"there is no stack {self.stack} here: {error}") from error
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    def resources(self, kind: str) -> list[str]:
        """Return the names of the stack's resources of a type."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
        found = (entry for page in pages for entry in page["StackResourceSummaries"])
        return sorted(entry["PhysicalResourceId"] for entry in found if entry["ResourceType"] == kind)

    def run(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Start an execution, wait for its end, and return it; ``output`` is read, {} if it failed."""
        states = self.client("stepfunctions")
        started = states.start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], name=name, input=json.dumps(given)
        )
        end = time.monotonic() + self.run_limit_seconds
        while time.monotonic() < end:
            execution: dict[str, Any] = states.describe_execution(executionArn=started["executionArn"])
            if execution["status"] != "RUNNING":
                return {**execution, "output": json.loads(execution.get("output") or "{}")}
            time.sleep(self.poll_seconds)
        raise CheckError(f"run {name} still goes on after {self.run_limit_seconds:.0f} s")

    def succeeded(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do the same; :class:`CheckError` with error and cause unless the run succeeded."""
        execution = self.run(name, given)
        if execution["status"] != "SUCCEEDED":
            told = f"{execution.get('error')}: {execution.get('cause')}"
            raise CheckError(f"run {name} ended as {execution['status']}, {told}")
        return execution

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys below a prefix of the bucket that the output ``bucket`` names."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.outputs[bucket], Prefix=prefix)
        for page in pages:
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def read(self, bucket: str, key: str) -> Any:
        """Read a JSON object of the bucket that the output ``bucket`` names."""
        return json.loads(self.client("s3").get_object(Bucket=self.outputs[bucket], Key=key)["Body"].read())
