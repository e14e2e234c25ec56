"""Announcing published items: one SNS message each, with attributes that subscriptions can filter by."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.messages import SCHEMA_VERSION, TileRequest
from alos_mosaic.missions import mission_of
from alos_mosaic.results import State, TileResult

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

logger = logging.getLogger(__name__)


def announce(sns: Callable[[], SNSClient], topic: str | None, request: TileRequest, result: TileResult) -> bool:
    """Tell a topic of a tile that was published, and return False only if it could not be told.

    A tile without its message is published all the same: that is a line in the log, and a metric.
    """
    if topic is None or result.state is not State.PUBLISHED:
        return True
    message = _message(request, result)
    try:
        sns().publish(TopicArn=topic, Message=json.dumps(message), MessageAttributes=_attributes(message))
    except (BotoCoreError, ClientError):
        logger.exception("Published item not announced")
        return False
    return True


def _message(request: TileRequest, result: TileResult) -> dict[str, Any]:
    bounds = request.tile_year.tile.bounds
    return {
        "schema_version": SCHEMA_VERSION,
        "product": result.product,
        "mission": mission_of(result.year).name,
        "year": result.year,
        "tile": result.tile,
        "bbox": [bounds.west, bounds.south, bounds.east, bounds.north],
        "run": result.run,
        "item_uri": result.item_uri,
        "defective_cells": list(result.defective_cells),
    }


def _attributes(message: dict[str, Any]) -> dict[str, MessageAttributeValueTypeDef]:
    """Return what filter policies see: texts match by value and prefix, numbers also by range."""
    texts = {name: str(message[name]) for name in ("product", "mission", "tile")}
    numbers = {"year": message["year"], **dict(zip(("west", "south", "east", "north"), message["bbox"], strict=True))}
    return {
        **{name: {"DataType": "String", "StringValue": text} for name, text in texts.items()},
        **{name: {"DataType": "Number", "StringValue": str(number)} for name, number in numbers.items()},
    }
