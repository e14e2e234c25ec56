"""List the tiles that a run is to process and write them into its manifest."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import ServiceError, raised_as
from alos_mosaic.publication import READERS
from alos_mosaic.seeding import seed_run
from alos_mosaic.settings import SeedSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Turn the execution's input into a manifest in S3 and return where it lies."""
    with raised_as(ServiceError, BotoCoreError, ClientError):
        seed = seed_run(event, SeedSettings.from_env(), _s3(), _states())
    logger.info("Run seeded", extra=seed)
    return seed


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3", config=Config(max_pool_connections=READERS))


@functools.cache
def _states() -> SFNClient:
    return boto3.client("stepfunctions")
