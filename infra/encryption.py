"""The key that encrypts what the stack keeps, if a deployment wants one other than S3's and SQS's own."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.config import NEW_KEY, NO_KEY, StackConfig
from infra.permissions import allow

_READ = ["kms:Decrypt"]
_WRITE = ["kms:Decrypt", "kms:GenerateDataKey"]
"""Both: whoever ends a multipart upload, or sends to a queue, also decrypts the data key."""


class Encryption(Construct):
    """A key of the stack's own, a given one, or none: then grants are not needed, and the methods grant nothing."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig) -> None:
        """Create or look up the key.

        One of the stack's own always outlives it: what it encrypts may be in a bucket that stays, also one that an
        earlier deployment, with other settings, has left.
        """
        super().__init__(scope, construct_id)
        self.key: kms.IKey | None = None
        if config.kms_key == NEW_KEY:
            self.key = kms.Key(
                self,
                "Key",
                description=f"Encrypts what {cdk.Stack.of(self).stack_name} publishes and keeps",
                enable_key_rotation=True,
                removal_policy=cdk.RemovalPolicy.RETAIN,
            )
        elif config.kms_key != NO_KEY:
            self.key = kms.Key.from_key_arn(self, "Key", config.kms_key)

    def allow_reading(self, role: iam.Role, service: str) -> None:
        """Let a role read what ``service`` ("s3", "sqs", "secretsmanager") keeps, by way of that service only."""
        self._allow(role, _READ, service)

    def allow_writing(self, role: iam.Role, service: str) -> None:
        """Let a role write what ``service`` keeps, and read it."""
        self._allow(role, _WRITE, service)

    def _allow(self, role: iam.Role, actions: list[str], service: str) -> None:
        if self.key is None:
            return
        via = f"{service}.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
        allow(role, actions, [self.key.key_arn], conditions={"StringEquals": {"kms:ViaService": via}})
