"""The watch: a schedule that looks for new years and re-issued archives at the source. Off unless wanted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.config import StackConfig
from infra.functions import Functions
from infra.permissions import allow


class Watch(Construct):
    """The schedule and its function; nothing without a schedule."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        functions: Functions,
        state_machine: sfn.StateMachine,
    ) -> None:
        """Create all of it."""
        super().__init__(scope, construct_id)
        self.function: lambda_.Function | None = None
        if config.watch_schedule is None:
            return
        self.function = functions.watch_source(state_machine)
        self._schedule(config.watch_schedule, self.function)
        cdk.CfnOutput(cdk.Stack.of(self), "WatchSourceFunctionName", value=self.function.function_name)

    def _schedule(self, expression: str, function: lambda_.Function) -> None:
        """Invoke the function; Lambda tries again twice where it fails, after one minute and after two."""
        stack = cdk.Stack.of(self)
        here = {"StringEquals": {"aws:SourceAccount": stack.account}}
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com", conditions=here),
            description="What the schedule of the watch may do",
        )
        allow(role, ["lambda:InvokeFunction"], [function.function_arn])
        scheduler.CfnSchedule(
            self,
            "Schedule",
            description="Look for new years and re-issued archives at the source",
            schedule_expression=expression,
            # Many deployments ask the same server.
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE", maximum_window_in_minutes=60
            ),
            target=scheduler.CfnSchedule.TargetProperty(arn=function.function_arn, role_arn=role.role_arn),
        )
