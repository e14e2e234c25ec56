"""Look for new years and re-issued archives; tell of them, or start a run over what was found first."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import ServiceError, raised_as
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.log_lines import lines_about
from alos_mosaic.messages import parse_year
from alos_mosaic.processing.sources.listed import listed
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.secret import access_of
from alos_mosaic.processing.watching import READERS, Findings, News, PublishedTiles, Watch
from alos_mosaic.settings import WatchSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LAST_WORDS_SECONDS: Final = 60.0
"""Ahead of Lambda's own end: time for a listing that is under way, and to tell of what was found."""

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def lambda_handler(_event: object, context: Any) -> dict[str, Any]:
    """Compare the source with what is published; a source that is down is an error, and looked at the next time."""
    settings = WatchSettings.from_env()
    years = [parse_year(year) for year in settings.years.split(",") if year]

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis() / 1000 - _LAST_WORDS_SECONDS)

    with lines_about(source=settings.source_uri), raised_as(ServiceError, BotoCoreError, ClientError):
        told = _look(settings, years, seconds_left)
        logger.info("Source looked at", extra=told)
    return told


def _look(settings: WatchSettings, years: Sequence[int], seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Look for news, tell of them or start the run over the first, and return what there was to see."""
    access = access_of(settings, lambda: boto3.client("secretsmanager"), _s3())
    with listed(open_source(settings.source_uri, access)) as source:
        extra = layouts_from_json(settings.extra_layouts)
        findings = Watch(source, PublishedTiles(_s3(), settings.output_uri), extra).look(years, seconds_left)
    started = _start(findings.news[0], settings) if findings.news and settings.action == "refresh" else None
    if findings.news:
        message = _message(findings, settings, started)
        boto3.client("sns").publish(TopicArn=settings.topic_arn, Subject="News from JAXA's mosaics", Message=message)
    return {
        "news": [news.sentence for news in findings.news],
        "compared": findings.compared,
        "not_compared": findings.not_compared,
        "started": started,
    }


def _start(news: News, settings: WatchSettings) -> str:
    """Start the run over one piece of news, once a day at most, and return its name."""
    states = boto3.client("stepfunctions")
    name = f"watch-{news.year}{'' if news.product is None else f'-{news.product}'}-{datetime.now(UTC):%Y-%m-%d}"
    try:
        states.start_execution(stateMachineArn=settings.state_machine_arn, name=name, input=json.dumps(news.to_input()))
    except states.exceptions.ExecutionAlreadyExists:
        logger.info("Run was started before", extra={"run": name})
    return name


def _message(findings: Findings, settings: WatchSettings, started: str | None) -> str:
    """Return what people are told: what is new, and the command for all of it that is not under way."""
    lines = [f"{settings.source_uri} has what is not published in {settings.output_uri}:", ""]
    for number, news in enumerate(findings.news):
        lines.append(f"- {news.sentence}")
        if started is not None and number == 0:
            lines.append(f"  The run {started} makes it; the rest has its turn another time.")
            continue
        given = json.dumps(news.to_input())
        lines.append(
            f"  aws stepfunctions start-execution --state-machine-arn {settings.state_machine_arn} --input '{given}'"
        )
    return "\n".join([*lines, "", f"{findings.compared} published tiles compared, {findings.not_compared} not."])


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3", config=Config(max_pool_connections=READERS))
