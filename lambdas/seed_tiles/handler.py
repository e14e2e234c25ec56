"""List the tiles that a run is to process and write them into its manifest."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import boto3

from alos_mosaic.seeding import seed_run
from alos_mosaic.settings import SeedSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Turn the execution's input into a manifest in S3 and return where it lies."""
    seed = seed_run(event, SeedSettings.from_env(), _s3())
    logger.info("Run seeded", extra=seed)
    return seed


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3")
