"""The topics: one that tells people of alarms and ended runs, and one, if wanted, that tells programs of items."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import StackConfig
from infra.encryption import Encryption
from infra.permissions import allow

_USE_KEY: Final = ["kms:Decrypt", "kms:GenerateDataKey*"]
"""What CloudWatch needs to publish to an encrypted topic
(https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services)."""


class Notices(Construct):
    """Encrypted topics, and who may publish to them.

    CloudWatch can't publish to a topic that is encrypted with SNS's own key, whose policy nobody can change. So where
    the stack's data have no key, the topics have one of their own.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig, encryption: Encryption) -> None:
        """Create the topics, and subscribe the addresses of the settings to the people's."""
        super().__init__(scope, construct_id)
        self.key = encryption.key or kms.Key(
            self,
            "Key",
            description=f"Encrypts the messages of {cdk.Stack.of(self).stack_name}",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(7),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.people = self._topic("People")
        for address in config.alarm_emails:
            self.people.add_subscription(subscriptions.EmailSubscription(address))
        self.items = self._topic("Items") if config.publish_notifications else None
        self._let_alarms_publish()

    def _let_alarms_publish(self) -> None:
        """Let CloudWatch publish to the people's topic and use its key, for this account's alarms.

        The policy of a key that was given is not the stack's to change: docs/configuration.md has the statement.
        """
        facts: dict[str, Any] = {
            "principals": [iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            "conditions": {"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
        }
        self.people.add_to_resource_policy(
            iam.PolicyStatement(actions=["sns:Publish"], resources=[self.people.topic_arn], **facts)
        )
        # In a key's policy * is the key.
        self.key.add_to_resource_policy(iam.PolicyStatement(actions=_USE_KEY, resources=["*"], **facts))

    def allow_publishing(self, role: iam.Role, topic: sns.ITopic) -> None:
        """Let a role publish to a topic, and use the key by way of SNS only."""
        allow(role, ["sns:Publish"], [topic.topic_arn])
        via = {"StringEquals": {"kms:ViaService": f"sns.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"}}
        allow(role, ["kms:Decrypt", "kms:GenerateDataKey"], [self.key.key_arn], conditions=via)

    def _topic(self, name: str) -> sns.Topic:
        return sns.Topic(self, name, master_key=self.key, enforce_ssl=True)
