"""Refusals: what AWS says no to, told from everything else that can go wrong, and what a store is asked to find out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from botocore import UNSIGNED
from botocore.exceptions import ClientError

from scripts.deployment import CheckError, Deployment

_REFUSALS: Final = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
"""Codes of S3 and SQS, of SQS' JSON protocol, and of SNS, without what some put ahead of them."""


@dataclass(frozen=True)
class Stores:
    """The buckets, the queue and the topics that a stack has made."""

    deployment: Deployment

    def refused_plain(self) -> list[str]:
        """Return the names of all of them, each of which refuses without TLS what it grants over it.

        :class:`CheckError` for one that does not refuse it. What is not even granted over TLS raises its own error: for
        want of a right everything is refused.
        """
        asks = self.asks()
        for name, ask in asks.items():
            ask(True)
            if not is_refused(partial(ask, False)):
                raise CheckError(f"{name} answers without TLS, too")
        return list(asks)

    def refused_unsigned(self) -> list[str]:
        """Return the names of the buckets, each of which nobody can list; :class:`CheckError` if one can be."""
        client = self.deployment.client("s3", signature_version=UNSIGNED)
        for bucket in self._buckets:
            if not is_refused(partial(client.list_objects_v2, Bucket=bucket)):
                raise CheckError(f"{bucket} is listed for anybody")
        return self._buckets

    def asks(self) -> dict[str, Callable[[bool], Any]]:
        """Return what each is asked, over TLS or without."""
        topics = self.deployment.resources("AWS::SNS::Topic")
        return {
            **{bucket: partial(self._ask_bucket, bucket) for bucket in self._buckets},
            "the dead-letter queue": partial(self._ask_queue, self.deployment.outputs["DeadLetterQueueUrl"]),
            **{topic.rpartition(":")[2]: partial(self._ask_topic, topic) for topic in topics},
        }

    @property
    def _buckets(self) -> list[str]:
        """A given output bucket is not among them: its policy is its owner's."""
        return self.deployment.resources("AWS::S3::Bucket")

    def _ask_bucket(self, bucket: str, tls: bool) -> None:
        self.deployment.client("s3", use_ssl=tls).list_objects_v2(Bucket=bucket, Prefix="smoke/", MaxKeys=1)

    def _ask_queue(self, url: str, tls: bool) -> None:
        url = url if tls else url.replace("https://", "http://", 1)
        self.deployment.client("sqs", use_ssl=tls).get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])

    def _ask_topic(self, topic: str, tls: bool) -> None:
        """Publish: nothing else is what a topic's policy refuses. People read it, and programs that filter do not."""
        plain = "Sent without TLS by the smoke run: the topic should refuse it"
        text = "Sent over TLS by the smoke run; nothing is wrong" if tls else plain
        self.deployment.client("sns", use_ssl=tls).publish(TopicArn=topic, Message=text)


def is_refused(ask: Callable[[], Any]) -> bool:
    """Tell whether AWS refuses what is asked for lack of a right; other errors are raised.

    So is that of a key which may not be used: it tells nothing of the store that is encrypted with it.
    """
    try:
        ask()
    except ClientError as error:
        if _is_refusal(**error.response["Error"]):
            return True
        raise
    return False


def _is_refusal(Code: str = "", Message: str = "", **_: Any) -> bool:  # noqa: N803 - AWS' names
    """S3 says by the message alone that it was KMS that refused: "not authorized to perform: kms:Decrypt"."""
    of_key = "kms" in Code.lower() or "kms:" in Message.lower()
    return not of_key and re.split("[#.]", Code)[-1] in _REFUSALS
