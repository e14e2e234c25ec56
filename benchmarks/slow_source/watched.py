"""The tile Lambda's handler, with a note after each invocation of what it took and what it left."""

from __future__ import annotations

import functools
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3

from alos_mosaic.messages import TileRequest
from alos_mosaic.naming import staging_prefix
from alos_mosaic.settings import TileSettings
from lambdas.process_tile import handler

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOTES: Final = "notes/"
"""In the bucket of runs: one note an invocation."""
_STATUS: Final = Path("/proc/self/status")
_HIGH_WATER: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Do what the deployed handler does, raise what it raises, and leave a note."""
    request, settings = TileRequest.from_event(event), TileSettings.from_env()
    note: dict[str, Any] = {
        "transfer": request.transfer.to_dict(),
        "began": time.time(),
        "remaining_seconds": context.get_remaining_time_in_millis() / 1000,
    }
    answer: dict[str, Any] = {"state": "failed"}
    try:
        answer = handler.lambda_handler(event, context)
    except Exception as error:
        answer |= {"error": type(error).__name__, "cause": str(error)}
        raise
    finally:
        note |= {"ended": time.time(), "answer": answer, "peak_rss_bytes": _peak_rss_bytes()}
        note |= {"staged": staged(_s3(), settings.runs_bucket, str(request.run))}
        key = f"{NOTES}{time.time_ns()}.json"
        _s3().put_object(Bucket=settings.runs_bucket, Key=key, Body=json.dumps(note).encode())
    return answer


def staged(client: S3Client, bucket: str, run: str) -> list[int]:
    """Return the sizes in bytes of what is staged of a run."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=staging_prefix(run))
    return [entry["Size"] for page in pages for entry in page.get("Contents", ())]


def _peak_rss_bytes() -> int:
    """Return the most memory since the tile began, which is when the handler sets the mark back."""
    found = _HIGH_WATER.search(_STATUS.read_text())
    return 0 if found is None else 1024 * int(found[1])


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3")
