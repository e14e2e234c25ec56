"""What has a run's digest sent where the state machine itself could not: news of its end, and a look every hour."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.permissions import allow_asking_for_runs

BAD_ENDS: Final = ["FAILED", "ABORTED", "TIMED_OUT"]
"""Ends of an execution at which its own last states may not have run."""


class DigestTriggers(Construct):
    """The rule and the schedule; EventBridge delivers news of ends as well as it can, which is not always."""

    def __init__(
        self, scope: Construct, construct_id: str, *, state_machine: sfn.StateMachine, send_digest: lambda_.Function
    ) -> None:
        """Create both, and let the function look at the executions that they are about."""
        super().__init__(scope, construct_id)
        machine = state_machine.state_machine_arn
        events.Rule(
            self,
            "BadEnd",
            description="A run failed, was aborted or timed out",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"stateMachineArn": [machine], "status": BAD_ENDS},
            ),
            targets=[targets.LambdaFunction(send_digest)],
        )
        events.Rule(
            self,
            "Hourly",
            description="Looks for runs that have ended without a digest",
            schedule=events.Schedule.rate(cdk.Duration.hours(1)),
            targets=[
                targets.LambdaFunction(
                    send_digest, event=events.RuleTargetInput.from_object({"state_machine": machine})
                )
            ],
        )
        allow_asking_for_runs(self, "LookAtRuns", (send_digest,), state_machine)
