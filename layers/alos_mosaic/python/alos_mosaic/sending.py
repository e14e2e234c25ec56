"""Sending once: a record in the runs bucket that says who sends a run's digest, and that it is sent.

The record is put only if there is none, so of any number of senders one goes ahead. What it puts first holds for a
while only: a sender that dies without a word leaves its turn to the next one, and one that fails gives it back at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from alos_mosaic.messages import SCHEMA_VERSION, format_time, parse_time
from alos_mosaic.naming import digest_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TURN: Final = timedelta(minutes=15)
"""How long a sender has: as long as its function may run, so that no two of them send at the same time."""
_TAKEN: Final = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's words for: another one was quicker."""


@dataclass
class Turn:
    """The turn to send the digest of one end of a run."""

    s3: S3Client
    bucket: str
    run: str
    end: str
    """Which end it is: names come again after 90 days, and Step Functions may redrive an execution that has ended."""
    _etag: str = field(default="", repr=False)

    @classmethod
    def take(cls, s3: S3Client, bucket: str, run: str, end: str) -> Self | None:
        """Return the turn, or None if the digest is sent or another sender has it."""
        turn, until = cls(s3, bucket, run, end), format_time(datetime.now(UTC) + TURN)
        if turn._put({"until": until}, IfNoneMatch="*"):
            return turn
        answer = s3.get_object(Bucket=bucket, Key=digest_key(run))
        if not _is_free(answer["Body"].read(), end):
            return None
        return turn if turn._put({"until": until}, IfMatch=answer["ETag"]) else None

    def keep(self, facts: Mapping[str, Any]) -> None:
        """Record that the digest is sent, and what it said."""
        self._put({"sent": format_time(datetime.now(UTC)), **facts}, IfMatch=self._etag)

    def give_back(self) -> None:
        """Let the next one try at once."""
        self._put({"until": format_time(datetime.now(UTC))}, IfMatch=self._etag)

    def _put(self, facts: Mapping[str, Any], **condition: Any) -> bool:
        body = json.dumps({"schema_version": SCHEMA_VERSION, "run": self.run, "end": self.end, **facts}).encode()
        place: dict[str, Any] = {"Bucket": self.bucket, "Key": digest_key(self.run), "ContentType": "application/json"}
        try:
            self._etag = self.s3.put_object(Body=body, **place, **condition)["ETag"]
        except self.s3.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _TAKEN:
                return False
            raise
        return True


def is_sent(s3: S3Client, bucket: str, run: str, end: str) -> bool:
    """Tell whether the digest of this end is sent, without taking a turn."""
    key = digest_key(run)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
        return False
    try:
        record = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return bool(record["end"] == end and "sent" in record)
    except (ValueError, KeyError, TypeError):
        return False


def _is_free(body: bytes, end: str) -> bool:
    """Tell whether a record leaves the turn to others: it is of another end, or its sender's time is over."""
    try:
        record = json.loads(body)
        if record["end"] != end:
            return True
        return "sent" not in record and parse_time(record["until"]) <= datetime.now(UTC)
    except (ValueError, KeyError, TypeError):
        return True
