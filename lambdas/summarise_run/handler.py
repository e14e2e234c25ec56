"""Count how the tiles of a run ended, and keep the summary beside its manifest."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import ServiceError, raised_as
from alos_mosaic.settings import SummarySettings
from alos_mosaic.summary import READERS, summarise_run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Compare the run's manifest with its workers' records and return the four counts and the verdict."""
    so_far, settings = event.get("so_far", {}), SummarySettings.from_env()
    stopped_by = so_far.get("map_failure", {}).get("Error")
    with raised_as(ServiceError, BotoCoreError, ClientError):
        summary = summarise_run(event, settings, _s3(), _sqs(), stopped_by, so_far.get("seed", {})).to_dict()
    logger.info("Run summarised", extra=summary)
    return summary


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3", config=Config(max_pool_connections=READERS))


@functools.cache
def _sqs() -> SQSClient:
    return boto3.client("sqs")
