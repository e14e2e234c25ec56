"""Metrics of one invocation, as a line in CloudWatch's embedded metric format.

The line goes to standard output as it is: Lambda's JSON log format passes lines through that are JSON already, and
CloudWatch makes metrics of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools.metrics import EphemeralMetrics

from alos_mosaic.messages import TileRequest, Transfer
from alos_mosaic.metric_names import DIMENSIONS, STAGES, UNITS, Metric, stage_metric
from alos_mosaic.processing.measuring import Peak, peak_memory_bytes
from alos_mosaic.products import product_of
from alos_mosaic.results import TRANSFERRING, TileResult


@dataclass(frozen=True)
class Invocation:
    """What an invocation was asked for and how it ended."""

    request: TileRequest
    ended: TileResult | Transfer
    seconds: float
    """It took so long."""
    peak: Peak | None = None
    """What watched its work folder; None if it did not come to that."""
    announced: bool = True
    """False if SNS did not take the message of the item that it published."""

    @property
    def outcome(self) -> str:
        """One of a tile's states, or ``transferring``."""
        return TRANSFERRING if isinstance(self.ended, Transfer) else self.ended.state.value

    @property
    def measured(self) -> dict[str, float]:
        """What was measured, by metric; what did not happen is left out."""
        values: dict[str, float] = {
            Metric.TILES: 1,
            Metric.INVOCATION_SECONDS: round(self.seconds, 3),
            Metric.PEAK_MEMORY_BYTES: peak_memory_bytes(),
            Metric.PEAK_DISK_BYTES: 0 if self.peak is None else self.peak.disk_bytes,
            Metric.NOTIFICATIONS_FAILED: 0 if self.announced else 1,
            **(self._of_transfer(self.ended) if isinstance(self.ended, Transfer) else self._of_tile(self.ended)),
        }
        return {name: value for name, value in values.items() if value}

    def _of_transfer(self, transfer: Transfer) -> dict[str, float]:
        return self._received(transfer.received_bytes, self.seconds)

    def _of_tile(self, result: TileResult) -> dict[str, float]:
        return {
            **{stage_metric(name): result.seconds[name] for name in STAGES if name in result.seconds},
            Metric.OUTPUT_BYTES: result.output_bytes,
            **self._received(result.archive.get("size", 0), result.seconds.get("transfer", 0)),
        }

    def _received(self, bytes_so_far: int, seconds: float) -> dict[str, float]:
        received = max(0, bytes_so_far - self.request.transfer.received_bytes)
        rate: dict[str, float] = {Metric.TRANSFER_RATE: received / seconds} if seconds else {}
        return {Metric.ARCHIVE_BYTES: received, **rate}


def emit_metrics(namespace: str | None, invocation: Invocation) -> None:
    """Write the line; without a namespace there is none. Run, tile, year and attempt stand in it to be searched for."""
    if namespace is None:
        return
    request = invocation.request
    year, tile = request.tile_year.year, request.tile_year.tile
    line = EphemeralMetrics(namespace=namespace)
    for name, value in invocation.measured.items():
        line.add_metric(name, UNITS[name], value)
    values = (product_of(year, request.product).name, invocation.outcome)
    line.add_dimensions(**dict(zip(DIMENSIONS, values, strict=True)))
    facts = {"run": request.run, "tile": tile.name, "year": year, "attempt": request.attempt}
    error = invocation.ended.error if isinstance(invocation.ended, TileResult) else None
    for key, fact in {**facts, "error": error}.items():
        if fact is not None:
            line.add_metadata(key, fact)
    line.flush_metrics()
