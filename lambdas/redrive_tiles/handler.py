"""Take failed tiles out of the dead-letter queue and into a run of their own."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import ServiceError, raised_as
from alos_mosaic.parallel import refuse_second_run
from alos_mosaic.publication import READERS
from alos_mosaic.redrive import Redrive, RedriveRequest
from alos_mosaic.settings import RedriveSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Turn the queue's letters into a manifest in S3 and return where it lies, and what was left where it was."""
    request = RedriveRequest.from_input(event["input"])
    settings = RedriveSettings.from_env()
    with raised_as(ServiceError, BotoCoreError, ClientError):
        if not (request.dry_run or request.allow_parallel):
            bucket, machine = settings.runs_bucket, event["state_machine"]
            refuse_second_run(_s3(), _states(), bucket, machine, event["execution"])
        redrive = Redrive(settings, _s3(), _sqs())
        seed = redrive.run(event, request, lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("Redriven", extra={"seed": seed})
    return seed


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3", config=Config(max_pool_connections=READERS))


@functools.cache
def _sqs() -> SQSClient:
    return boto3.client("sqs")


@functools.cache
def _states() -> SFNClient:
    return boto3.client("stepfunctions")
