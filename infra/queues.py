"""The dead-letter queue: every tile that failed lies there, with its reason, and finds its way back from there."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.encryption import Encryption
from infra.permissions import accept


class Queues(Construct):
    """The queue of failed tiles."""

    def __init__(self, scope: Construct, construct_id: str, *, encryption: Encryption) -> None:
        """Create the queue; it keeps messages as long as SQS can."""
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=cdk.Duration.days(14),
            encryption=sqs.QueueEncryption.KMS if encryption.key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=encryption.key,
            enforce_ssl=True,
        )
        accept(
            self.dead_letters,
            "AwsSolutions-SQS3",
            because="This is the dead-letter queue: the state machine sends to it, no other queue or function does.",
        )
