"""Turn one tile of one year into COGs and a published STAC item."""

from __future__ import annotations

import functools
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.bands import backscatter_resampling
from alos_mosaic.errors import (
    CorruptArchiveError,
    InvalidRequestError,
    MosaicError,
    PublishError,
    SourceUnavailableError,
    error_message,
)
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import Grid
from alos_mosaic.messages import SCHEMA_VERSION, TileRequest, Transfer
from alos_mosaic.naming import result_key, staging_prefix
from alos_mosaic.processing.blocks import codec_of
from alos_mosaic.processing.deadline import end_if_overdue, run_within
from alos_mosaic.processing.mirror import open_mirror
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import open_target
from alos_mosaic.processing.relay import Relay, Staging, TransferPausedError
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from alos_mosaic.results import TRANSFERRING, State, TileResult
from alos_mosaic.settings import TileSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ALONE: Final = "alone"
"""Stands for the run's name where a tile is processed without one."""
_LAST_WORDS_SECONDS: Final = 15.0
"""Ahead of Lambda's own end: time to record a failure and to tell of it."""

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
    facts: dict[str, Any] = {
        "year": request.tile_year.year,
        "tile": request.tile_year.tile.name,
        "run": request.run,
        "log": log,
    }
    seconds = context.get_remaining_time_in_millis() / 1000 - _LAST_WORDS_SECONDS
    staging = _staging(request, settings)
    try:
        with _fresh_work_folder() as work:
            place = _workplace(request, settings, work, staging)
            result = run_within(seconds, lambda: _process(request, place))
        if isinstance(result, TileResult):
            _record(result, request, settings)
    except Exception as error:
        name, cause = type(error).__name__, str(error)
        logger.exception("Tile failed", extra=facts)
        failure = TileResult(State.FAILED, **facts, attempt=request.attempt, error=name, cause=cause)
        _record_if_possible(failure, request, settings)
        if staging is not None and isinstance(error, CorruptArchiveError):
            _clear(staging)  # what was spoilt on its way here is not to be taken up again
        if isinstance(error, MosaicError):
            raise type(error)(error_message(cause, **facts, attempt=request.attempt)) from error
        raise
    if isinstance(result, Transfer):
        logger.info("Transfer goes on in another invocation", extra={**facts, **result.to_dict()})
        return {"schema_version": SCHEMA_VERSION, "state": TRANSFERRING, "transfer": result.to_dict()}
    logger.info("Tile ended", extra={**facts, "state": result.state})
    if staging is not None:
        _clear(staging)
    return result.to_dict()


def _process(request: TileRequest, place: Workplace) -> TileResult | Transfer:
    """Process a tile, or return how far its transfer came."""
    try:
        return process_tile(request, place)
    except TransferPausedError as pause:
        return request.transfer.next(pause.received_bytes, pause.restored_bytes)


def _staging(request: TileRequest, settings: TileSettings) -> Staging | None:
    """Return where a transfer is left for another invocation; None where there is none to come, without a run."""
    if request.run is None:
        return None
    return Staging(_s3(), settings.runs_bucket, f"{_unfinished(request)}/archives/")


def _unfinished(request: TileRequest) -> str:
    """Return the folder below which what is not finished of a tile lies in the bucket of runs."""
    tile = request.tile_year
    return f"{staging_prefix(request.run or _ALONE)}{tile.year}/{tile.tile}/{request.product or 'mosaic'}"


def _clear(staging: Staging) -> None:
    """Remove what was staged; what is left goes by the bucket's lifecycle."""
    try:
        staging.clear()
    except PublishError:
        logger.exception("Staged parts not removed")


def _record(result: TileResult, request: TileRequest, settings: TileSettings) -> None:
    if result.run is None:
        return
    key = result_key(result.run, result.year, result.tile, request.product)
    body = json.dumps(result.to_dict()).encode()
    try:
        _s3().put_object(Bucket=settings.runs_bucket, Key=key, Body=body, ContentType="application/json")
    except (BotoCoreError, ClientError) as error:
        raise PublishError(f"can't record the result under {key}: {error}") from error


def _record_if_possible(failure: TileResult, request: TileRequest, settings: TileSettings) -> None:
    """Record a failure without hiding it behind one of its own; the dead letter tells of the tile all the same."""
    try:
        _record(failure, request, settings)
    except PublishError:
        logger.exception("Failure not recorded")


def _workplace(request: TileRequest, settings: TileSettings, work: Path, staging: Staging | None) -> Workplace:
    return Workplace(
        source_url=settings.source_uri,
        target=open_target(settings.output_uri, _s3(), (settings.runs_bucket, f"{_unfinished(request)}/files/")),
        work=work,
        access=_access(settings),
        mirror=None if settings.keep_archives_in is None else open_mirror(settings.keep_archives_in, _s3()),
        relay=None if staging is None else Relay(staging, settings.transfer_limit_seconds),
        grid=Grid(settings.cell_pixels),
        extra_layouts=layouts_from_json(settings.extra_layouts),
        codec=codec_of(settings.codec),
        backscatter_overviews=backscatter_resampling(settings.backscatter_overviews),
    )


def _access(settings: TileSettings) -> SourceAccess:
    secret = settings.source_secret_name
    return SourceAccess(
        credentials=None if secret is None else _credentials(secret),
        allow_plain_login=settings.allow_plain_login,
        timeout_seconds=settings.source_timeout_seconds,
        requester_pays=settings.requester_pays,
        s3=_s3(),
    )


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3")


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


def _credentials(secret_name: str) -> Credentials:
    """Read the source's user and password, anew each time, since they may be rotated.

    No error text may carry what the secret holds.
    """
    try:
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=secret_name)
    except (BotoCoreError, ClientError) as error:
        raise SourceUnavailableError(f"the secret {secret_name} can't be read: {error}") from error
    try:
        secret = json.loads(answer["SecretString"])
        pair = secret["username"], secret["password"]
    except (ValueError, KeyError, TypeError):
        pair = None
    if pair is not None and all(isinstance(text, str) for text in pair):
        return Credentials(*pair)
    raise SourceUnavailableError(f"the secret {secret_name} is not of the form {{username, password}}")
