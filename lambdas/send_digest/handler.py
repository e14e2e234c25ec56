"""Send the digest of a run that has ended, once, whoever asks for it and how often."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.digest import Digest
from alos_mosaic.errors import ServiceError, raised_as
from alos_mosaic.log_lines import lines_about
from alos_mosaic.run_ends import describe, ended_executions, read_run_end
from alos_mosaic.sending import Turn, is_sent
from alos_mosaic.settings import DigestSettings
from alos_mosaic.summary import READERS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send what has to be sent; :class:`ServiceError` if AWS does not do its part, and then the next one may try.

    Asked with an execution: by the state machine (``{"execution": arn, "so_far": what its states have passed on}``),
    or by EventBridge with its news of one that failed, was aborted or timed out. Asked with a state machine, every
    hour: all that have ended without a digest.
    """
    settings = DigestSettings.from_env()
    with raised_as(ServiceError, BotoCoreError, ClientError):
        if "state_machine" in event:
            return _send_missing(event["state_machine"], settings)
        execution = event["execution"] if "execution" in event else event["detail"]["executionArn"]
        return {"looked_at": 1, "sent": int(_send(execution, settings, event.get("so_far")))}


def _send_missing(state_machine: str, settings: DigestSettings) -> dict[str, Any]:
    """Send the digests of all that have ended without; one that can't be sent does not keep back the others."""
    executions = list(ended_executions(_states(), state_machine, datetime.now(UTC)))
    sent, failed = 0, []
    for execution in executions:
        try:
            sent += _send(execution, settings)
        except Exception:
            logger.exception("Digest not sent", extra={"execution": execution})
            failed.append(execution)
    if failed:
        raise ServiceError(f"{len(failed)} digests can't be sent, the first one of {failed[0]}")
    return {"looked_at": len(executions), "sent": sent}


def _send(arn: str, settings: DigestSettings, so_far: dict[str, Any] | None = None) -> bool:
    """Send the digest of one execution, unless it is sent or the execution has not come to its end."""
    execution, bucket = describe(_states(), arn), settings.runs_bucket
    if so_far is not None:
        execution = replace(execution, output=so_far)
    if is_sent(_s3(), bucket, execution.run, execution.end):
        return False
    with lines_about(run=execution.run):
        end = read_run_end(execution, _s3(), bucket)
        turn = None if end is None else Turn.take(_s3(), bucket, execution.run, execution.end)
        if end is None or turn is None:
            return False
        try:
            digest = Digest(end, settings, datetime.now(UTC))
            text, report = digest.to_text(), digest.to_report()
            answer = _sns().publish(TopicArn=settings.topic_arn, Subject=digest.subject, Message=text)
        except Exception:
            turn.give_back()
            raise
        turn.keep({"message": answer["MessageId"], **report})
        logger.info("Digest sent", extra={"message_id": answer["MessageId"], "sentence": digest.sentence})
        return True


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3", config=Config(max_pool_connections=READERS))


@functools.cache
def _sns() -> SNSClient:
    return boto3.client("sns")


@functools.cache
def _states() -> SFNClient:
    return boto3.client("stepfunctions")
