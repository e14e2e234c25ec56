"""The watch: a schedule that looks for new years and re-issued archives at the source. Off unless wanted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.config import StackConfig
from infra.encryption import Encryption
from infra.functions import Functions
from infra.permissions import allow

_CLOUDWATCH = "cloudwatch.amazonaws.com"


class Watch(Construct):
    """The schedule, its function, who is told, and an alarm where the look itself fails; nothing without a schedule."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        functions: Functions,
        encryption: Encryption,
        state_machine: sfn.StateMachine,
    ) -> None:
        """Create all of it."""
        super().__init__(scope, construct_id)
        if config.watch_schedule is None:
            return
        topic = self._topic(config, encryption)
        function = functions.watch_source(topic, state_machine)
        self._schedule(config.watch_schedule, function)
        self._alarm(function, topic)
        cdk.CfnOutput(cdk.Stack.of(self), "WatchSourceFunctionName", value=function.function_name)

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

    def _alarm(self, function: lambda_.Function, topic: sns.ITopic) -> None:
        alarm = cloudwatch.Alarm(
            self,
            "Failed",
            alarm_name=f"{cdk.Stack.of(self).stack_name}-watch-failed",
            alarm_description="The source could not be looked at for news; it is tried again at the next time of the "
            "schedule. What to do: docs/architecture.md, Watching the source",
            # Not its errors: one that a retry made good is nobody's business. These are what all retries did not help.
            metric=function.metric("AsyncEventsDropped", period=cdk.Duration.hours(1), statistic="Sum"),
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))

    def _topic(self, config: StackConfig, encryption: Encryption) -> sns.Topic:
        """Return a topic that CloudWatch can publish to: without a key of ours it is not encrypted with SNS's own."""
        encryption.allow_service(_CLOUDWATCH)
        topic = sns.Topic(self, "News", master_key=encryption.key, enforce_ssl=True)
        for address in config.alarm_emails:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_CLOUDWATCH)],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        return topic
