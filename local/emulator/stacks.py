"""Create and update CloudFormation stacks, and wait for them."""

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

_POLL_SECONDS = 0.1
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class DeploymentError(Exception):
    """A stack could not be created or updated; the message tells the reasons that its events give."""


def deploy_stack(
    cloudformation: Any, name: str, template: Mapping[str, str], parameters: Mapping[str, str]
) -> dict[str, str]:
    """Create the stack, or update it when it exists, and return its outputs.

    ``template`` is ``{"TemplateBody": ...}`` or ``{"TemplateURL": ...}``. On an update, parameters that are not named
    take the template's defaults.

    Raises:
        DeploymentError: CloudFormation refused, or rolled back.
    """
    status = _status(cloudformation, name)
    if status == "ROLLBACK_COMPLETE":  # what a failed creation leaves can only be deleted
        cloudformation.delete_stack(StackName=name)
        status = _wait(cloudformation, name)
    request = {
        "StackName": name,
        "Capabilities": _CAPABILITIES,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        **template,
    }
    act = cloudformation.create_stack if status in (None, "DELETE_COMPLETE") else cloudformation.update_stack
    try:
        act(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return _outputs(cloudformation, name)
        raise DeploymentError(f"stack {name}: {error}") from error
    status = _wait(cloudformation, name)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeploymentError(f"stack {name} ended as {status}: {_reasons(cloudformation, name)}")
    return _outputs(cloudformation, name)


def _describe(cloudformation: Any, name: str) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return stack


def _status(cloudformation: Any, name: str) -> str | None:
    stack = _describe(cloudformation, name)
    return None if stack is None else str(stack["StackStatus"])


def _wait(cloudformation: Any, name: str) -> str | None:
    while True:
        status = _status(cloudformation, name)
        if status is None or not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(_POLL_SECONDS)


def _outputs(cloudformation: Any, name: str) -> dict[str, str]:
    stack = _describe(cloudformation, name) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _reasons(cloudformation: Any, name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '?')}" for event in failed)
