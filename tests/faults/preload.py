"""What workers find loaded: it is imported once, in the process that they are forked off."""

from __future__ import annotations

import boto3

import alos_mosaic.processing.documents  # noqa: F401
import lambdas.process_tile.handler  # noqa: F401

# botocore reads its descriptions of S3 for the first client of a process.
boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
