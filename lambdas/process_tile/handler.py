"""Turn one tile of one year into COGs and a published STAC item."""

from __future__ import annotations

import functools
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.bands import backscatter_resampling
from alos_mosaic.errors import (
    CorruptArchiveError,
    InvalidRequestError,
    MosaicError,
    PublishError,
    error_message,
)
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import Grid
from alos_mosaic.invocations import LAST_WORDS_SECONDS
from alos_mosaic.log_lines import concealed, lines_about
from alos_mosaic.messages import SCHEMA_VERSION, TileRequest, Transfer
from alos_mosaic.naming import result_key, staging_prefix
from alos_mosaic.outcomes import outcome_key
from alos_mosaic.processing.blocks import codec_of
from alos_mosaic.processing.deadline import end_if_overdue, run_within
from alos_mosaic.processing.measuring import Peak
from alos_mosaic.processing.mirror import open_mirror
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import open_target
from alos_mosaic.processing.relay import Relay, Staging, TransferPausedError
from alos_mosaic.processing.sources.secret import access_of
from alos_mosaic.results import TRANSFERRING, UNTIL_FAILURE, State, TileResult
from alos_mosaic.settings import TileSettings
from lambdas.process_tile.announcing import announce
from lambdas.process_tile.metrics import Invocation, emit_metrics

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

_ALONE: Final = "alone"
"""Stands for the run's name where a tile is processed without one."""
_IMPATIENT: Final = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
"""Of clients that are asked when a tile's time may be nearly over."""

logger = logging.getLogger(__name__)
logging.getLogger("alos_mosaic").setLevel(logging.INFO)
logger.setLevel(logging.INFO)


def lambda_handler(event: object, context: Any) -> dict[str, Any]:
    """Process a tile, record its result under the run's prefix, and return it.

    What fails is recorded, too, then raised under its own class name, which the state machine's Retry and Catch match,
    with JSON as its text, which readers of the dead-letter queue take apart.
    """
    end_if_overdue()
    log = f"{context.log_group_name} {context.log_stream_name}"
    try:
        request, settings = TileRequest.from_event(event), TileSettings.from_env()
    except InvalidRequestError as error:
        raise InvalidRequestError(error_message(str(error), log=log)) from error
    facts = {"year": request.tile_year.year, "tile": request.tile_year.tile.name, "run": request.run}
    seconds = context.get_remaining_time_in_millis() / 1000 - LAST_WORDS_SECONDS
    with lines_about(**facts, attempt=request.attempt):
        return _answer(request, settings, seconds, {**facts, "log": log})


def _answer(request: TileRequest, settings: TileSettings, seconds: float, facts: dict[str, Any]) -> dict[str, Any]:
    """Process a tile within so many seconds, and leave its record and its metrics, however it ends."""
    begun = time.monotonic()
    peak: Peak | None = None
    staging = _staging(request, settings)
    try:
        with _fresh_work_folder() as work:
            peak = Peak(work)
            place = replace(_workplace(request, settings, work, staging), peak=peak)
            result = run_within(seconds, lambda: _process(request, place))
        if isinstance(result, TileResult):
            _record(result, request, settings, _s3())
    except Exception as error:
        name, cause = type(error).__name__, concealed(str(error))
        taken = time.monotonic() - begun
        logger.exception("Tile failed", extra={"error": name, "log": facts["log"]})
        failure = TileResult(State.FAILED, **facts, attempt=request.attempt, error=name, cause=cause)
        defective = error.defective_cells if isinstance(error, CorruptArchiveError) else ()
        failure = replace(failure, seconds={UNTIL_FAILURE: round(taken, 3)}, defective_cells=defective)
        _record_if_possible(failure, request, settings)
        emit_metrics(settings.metrics_namespace, Invocation(request, failure, taken, peak))
        if staging is not None and isinstance(error, CorruptArchiveError):
            _clear(staging)  # what was spoilt on its way here is not to be taken up again
        if isinstance(error, MosaicError):
            raise type(error)(error_message(cause, **facts, attempt=request.attempt)) from error
        raise
    ended = Invocation(request, result, time.monotonic() - begun, peak)
    if isinstance(result, Transfer):
        logger.info("Transfer goes on in another invocation", extra=result.to_dict())
        emit_metrics(settings.metrics_namespace, ended)
        return {"schema_version": SCHEMA_VERSION, "state": TRANSFERRING, "transfer": result.to_dict()}
    logger.info("Tile ended", extra={"state": result.state})
    announced = announce(_sns, settings.items_topic_arn, request, result)
    emit_metrics(settings.metrics_namespace, replace(ended, announced=announced))
    if staging is not None:
        _clear(staging)
    return result.to_dict()


def _process(request: TileRequest, place: Workplace) -> TileResult | Transfer:
    """Process a tile, or return how far its transfer came."""
    request.check_attempt()
    try:
        return process_tile(request, place)
    except TransferPausedError as pause:
        return Transfer.after(request.attempt, pause.received_bytes, pause.restored_bytes)


def _staging(request: TileRequest, settings: TileSettings) -> Staging | None:
    """Return where a transfer is left for another invocation; None where there is none to come, without a run."""
    if request.run is None:
        return None
    folder = _unfinished(request, request.staged_in or request.run)
    return Staging(_s3(), settings.runs_bucket, f"{folder}/archives/")


def _unfinished(request: TileRequest, run: str) -> str:
    """Return the folder below which what is not finished of a tile in a run lies in the bucket of runs."""
    tile = request.tile_year
    return f"{staging_prefix(run)}{tile.year}/{tile.tile}/{request.product or 'mosaic'}"


def _clear(staging: Staging) -> None:
    """Remove what was staged; what is left goes by the bucket's lifecycle."""
    try:
        staging.clear()
    except PublishError:
        logger.exception("Staged parts not removed")


def _record(result: TileResult, request: TileRequest, settings: TileSettings, s3: S3Client) -> None:
    if result.run is None:
        return
    key = result_key(result.run, result.year, result.tile, request.product)
    body = json.dumps(result.to_dict()).encode()
    try:
        record = s3.put_object(Bucket=settings.runs_bucket, Key=key, Body=body, ContentType="application/json")
    except (BotoCoreError, ClientError) as error:
        raise PublishError(f"can't record the result under {key}: {error}") from error
    if result.state is not State.FAILED:
        _tell_in_short(outcome_key(result, record["ETag"], request.product), settings)


def _tell_in_short(key: str, settings: TileSettings) -> None:
    """Leave a key that tells what the record says; where that does not work, the record is read instead."""
    try:
        _impatient_s3().put_object(Bucket=settings.runs_bucket, Key=key)
    except (BotoCoreError, ClientError):
        logger.exception("Outcome not told in short")


def _record_if_possible(failure: TileResult, request: TileRequest, settings: TileSettings) -> None:
    """Record a failure without hiding it behind one of its own; the dead letter tells of the tile all the same."""
    try:
        _record(failure, request, settings, _impatient_s3())
    except PublishError:
        logger.exception("Failure not recorded")


def _workplace(request: TileRequest, settings: TileSettings, work: Path, staging: Staging | None) -> Workplace:
    files = f"{_unfinished(request, request.run or _ALONE)}/files/"
    return Workplace(
        source_url=settings.source_uri,
        target=open_target(settings.output_uri, _s3(), (settings.runs_bucket, files)),
        work=work,
        access=access_of(settings, lambda: boto3.client("secretsmanager"), _s3()),
        mirror=None if settings.keep_archives_in is None else open_mirror(settings.keep_archives_in, _s3()),
        relay=None if staging is None else Relay(staging, settings.transfer_limit_seconds),
        grid=Grid(settings.cell_pixels),
        extra_layouts=layouts_from_json(settings.extra_layouts),
        codec=codec_of(settings.codec),
        backscatter_overviews=backscatter_resampling(settings.backscatter_overviews),
    )


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3")


@functools.cache
def _impatient_s3() -> S3Client:
    # For last words: S3 may be what hangs, and the error has to be raised ahead of Lambda's own end all the same.
    return boto3.client("s3", config=_IMPATIENT)


@functools.cache
def _sns() -> SNSClient:
    # A message that does not get out must not cost the tile, whose time may be nearly over.
    return boto3.client("sns", config=_IMPATIENT)


@contextmanager
def _fresh_work_folder() -> Iterator[Path]:
    """Yield an empty folder; what a worker that died left in this warm environment, which is ours alone, goes first."""
    parent = Path(tempfile.gettempdir()) / "alos-mosaic"
    shutil.rmtree(parent, ignore_errors=True)
    try:
        with work_folder(parent) as folder:
            yield folder
    finally:
        shutil.rmtree(parent, ignore_errors=True)
