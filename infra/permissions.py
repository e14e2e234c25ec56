"""Grants, each with the reason for its wildcards beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_cdk import Acknowledgment, ArnFormat, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct


def allow(
    role: iam.Role,
    actions: Sequence[str],
    on: Sequence[str],
    *,
    because: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Let a role do ``actions`` on the resources with these ARNs.

    An ARN with a wildcard needs a reason, ``because``; without one the synthesis fails.
    """
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(on), conditions=conditions))
    if because:
        accept_wildcards(role, on, because=because)


def allow_asking_for_runs(
    scope: Construct, construct_id: str, functions: Iterable[lambda_.Function], state_machine: sfn.StateMachine
) -> None:
    """Let functions list a state machine's executions and look at each.

    A policy of its own: the state machine is created after its functions, so their roles can't name it.
    """
    executions = Stack.of(scope).format_arn(
        service="states",
        resource="execution",
        resource_name=f"{state_machine.state_machine_name}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    policy = iam.Policy(scope, construct_id, roles=[each.role for each in functions if each.role is not None])
    policy.add_statements(
        iam.PolicyStatement(actions=["states:ListExecutions"], resources=[state_machine.state_machine_arn]),
        iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[executions]),
    )
    accept_wildcards(policy, [executions], because="Executions get their names when they start.")


def accept_wildcards(construct: IConstruct, arns: Sequence[str], *, because: str) -> None:
    """Acknowledge the wildcards of exactly these ARNs below a role or policy: any other still fails the synthesis."""
    for arn in arns:
        name = _flat(Stack.of(construct).resolve(arn))
        if "*" in name:
            accept(construct, f"AwsSolutions-IAM5[Resource::{name}]", because=because)


def accept(construct: IConstruct, rule: str, *, because: str) -> None:
    """Acknowledge one finding of cdk-nag on one construct."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=because))


def _flat(arn: Any) -> str:
    """Spell a resolved ARN as cdk-nag does in the ids of its findings (its ``flattenCfnReference``)."""
    if isinstance(arn, str):
        return arn
    ((function, value),) = arn.items()
    if function == "Fn::Join":
        separator, parts = value
        return str(separator).join(_flat(part) for part in parts)
    if function == "Fn::GetAtt":
        return f"<{'.'.join(value)}>"
    if function == "Ref":
        return f"<{value}>"
    raise TypeError(f"an ARN made by {function} has no name for cdk-nag")
