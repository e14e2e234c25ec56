"""Metrics of the tile Lambda: their names, units and dimensions, as alarms, dashboard and the worker agree on them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Metric(StrEnum):
    """What an invocation of the tile Lambda measures; the value is the metric's name in CloudWatch."""

    TILES = "Tiles"
    """1, counted by outcome."""
    ARCHIVE_BYTES = "ArchiveBytes"
    """Received from the source in this invocation."""
    OUTPUT_BYTES = "OutputBytes"
    """Of the COGs that were published."""
    TRANSFER_RATE = "TransferRate"
    """From the source, in bytes a second, while the transfer lasted."""
    INVOCATION_SECONDS = "InvocationSeconds"
    PEAK_MEMORY_BYTES = "PeakMemoryBytes"
    """The largest resident set."""
    PEAK_DISK_BYTES = "PeakDiskBytes"
    """The most that lay in the work folder."""
    NOTIFICATIONS_FAILED = "NotificationsFailed"
    """Messages of published items that SNS did not take."""


STAGES: Final = ("check", "gather", "transfer", "write", "describe", "publish")
"""Stages of a tile that are timed; the transfer happens within the gathering."""

DIMENSIONS: Final = ("product", "outcome")
"""Every metric is there once by these and once without any. Never a run, a tile or a year: each value of a dimension is
a metric that CloudWatch bills."""


def stage_metric(stage: str) -> str:
    """Return the name of a stage's metric.

    >>> stage_metric("gather")
    'GatherSeconds'
    """
    return f"{stage.title()}Seconds"


UNITS: Final = {
    Metric.TILES: "Count",
    Metric.ARCHIVE_BYTES: "Bytes",
    Metric.OUTPUT_BYTES: "Bytes",
    Metric.TRANSFER_RATE: "Bytes/Second",
    Metric.INVOCATION_SECONDS: "Seconds",
    Metric.PEAK_MEMORY_BYTES: "Bytes",
    Metric.PEAK_DISK_BYTES: "Bytes",
    Metric.NOTIFICATIONS_FAILED: "Count",
    **{stage_metric(stage): "Seconds" for stage in STAGES},
}
"""Of every metric, as CloudWatch spells them."""
