"""What tiles cost on AWS, before a run: how long a worker takes for one, and what AWS bills for that.

A worker takes as long as its archive takes to come, and to work on it: meanwhile where that is possible, afterwards
for a zip, whose directory stands at its end. Then it writes and uploads what is left, and each invocation has its
start. Lambda bills that time with the memory it is given, used or not: a slow source makes a large worker an expensive
place to wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from alos_mosaic.invocations import TRANSFER_LIMIT_SECONDS

_MIB_PER_GB: Final = 1024
"""Lambda's GB-second counts 1024 MiB."""
_FREE_TMP_MIB: Final = 512
"""Lambda charges for the part of /tmp above this."""
_MIB_PER_VCPU: Final = 1769
_MOST_VCPUS: Final = 6
"""A function has one vCPU per 1769 MiB, six at most (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html)."""
TMP_MIB: Final = 10_240
"""Of /tmp that a worker has unless it is given less: all that Lambda has."""
_TRANSITIONS: Final = 5
"""Per tile: the start of its child execution, its worker, the choice behind it, its end, and some for retries."""
_TRANSITIONS_AGAIN: Final = 3
"""Per further invocation: the way back, the worker, and the choice behind it."""
_PART_BYTES: Final = 64 << 20
"""Large files go to S3 in parts of this size."""
_OTHER_PUTS: Final = 25
"""Per tile: begin and end of five multipart uploads and their last parts, small files, the result and its
key in short, listings."""
_MEMORY_MARGIN: Final = 1.5
"""How much more than what was measured a worker is given: archives whose masks come late make 512 MiB wait, and Lambda
ends a worker that takes more than it has."""
_OTHER_GETS: Final = 10


class Architecture(StrEnum):
    """What processor a Lambda function runs on, as Lambda spells it."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


@dataclass(frozen=True)
class Prices:
    """What a region's services cost, in US dollars, without free tiers; storage and logs are not in here."""

    region: str
    date: str
    origin: str
    gb_second: Mapping[Architecture, float]
    """Lambda's memory."""
    tmp_gb_second: float
    """Lambda's /tmp above 512 MiB."""
    lambda_request: float
    transition: float
    """Step Functions, standard workflows."""
    s3_put: float
    """Also of listings."""
    s3_get: float
    sqs_request: float


US_EAST_1: Final = Prices(
    region="us-east-1",
    date="2026-11",
    origin="AWS's price pages of Lambda, Step Functions, S3 (standard) and SQS (standard)",
    gb_second=MappingProxyType({Architecture.X86_64: 0.0000166667, Architecture.ARM64: 0.0000133334}),
    tmp_gb_second=0.0000000309,
    lambda_request=0.20 / 1e6,
    transition=0.025 / 1e3,
    s3_put=0.005 / 1e3,
    s3_get=0.0004 / 1e3,
    sqs_request=0.40 / 1e6,
)
"""The only prices in the project; others are given in their place."""


@dataclass(frozen=True)
class Engine:
    """What the engine needs for a cell of 4500 x 4500 pixels: figures of docs/performance.md, measured at 25 cells.

    One of the two cores that they were measured on is taken as one vCPU.
    """

    streams: bool
    """Whether the archive is worked on while it comes."""

    cpu_seconds: float
    """Work on members, behind the transfer where the archive streams."""
    archive_bytes: int
    """Of a cell in an archive, where bytes come down to 55 %; smooth cells have fewer."""
    memory_mib: int
    """The most that a full tile took."""
    start_seconds: float = 3.0
    """Of an invocation that finds no warm environment: an assumption, for there was no AWS to measure it on."""
    serial_seconds: float = 0.45
    """The part of it that no second core shortens: decompressing the archive."""
    trailing_cpu_seconds: float = 0.15
    """Work when the last byte is there: overviews of the last blocks, COGs, documents."""
    output_bytes: int = 94_000_000
    """Of a cell in the COGs, overviews included."""
    arm64_factor: float = 1.0
    """How much longer arm64 takes: an estimate, there was none to measure it on."""


TAR: Final = Engine(streams=True, cpu_seconds=1.45, archive_bytes=85_000_000, memory_mib=1030)
"""A tar.gz of ENVI members: what JAXA served up to 2022."""
ZIP: Final = Engine(streams=False, cpu_seconds=2.3, archive_bytes=88_500_000, memory_mib=1240)
"""A zip of GeoTIFFs: what JAXA has served since, for more and more years."""


DESCRIPTION: Final = Engine(
    streams=False,
    cpu_seconds=0.72,
    serial_seconds=0.72,
    trailing_cpu_seconds=0.0,
    archive_bytes=94_000_000,
    output_bytes=0,
    memory_mib=135,
)
"""A tile that is described again: its COGs come from S3 and are counted on one core, and no pixel is written.

A full tile whose 2.35 GB of COGs lay in a folder took 18.1 CPU seconds and 138 MB of memory, twice the same.
"""


@dataclass(frozen=True)
class Worker:
    """A way to run the tile Lambda."""

    source_bytes_per_second: float
    """What one connection to the source gives."""
    memory_mib: int
    architecture: Architecture = Architecture.X86_64
    ephemeral_storage_mib: int = TMP_MIB
    upload_bytes_per_second: float = 75e6
    """To S3. An assumption: a Lambda's network is commonly measured at some 600 Mbit/s."""
    failed_share: float = 0.01
    """Of tiles that end in the dead-letter queue."""
    engine: Engine = ZIP
    prices: Prices = US_EAST_1

    @property
    def vcpus(self) -> float:
        """Processors that come with the memory.

        >>> Worker(5e6, 1769).vcpus, Worker(5e6, 10_240).vcpus
        (1.0, 5.788581119276427)
        """
        return min(self.memory_mib / _MIB_PER_VCPU, _MOST_VCPUS)

    def describing(self) -> Worker:
        """Return this worker at tiles that it only describes again: out of S3, at the rate of its network there."""
        return replace(self, engine=DESCRIPTION, source_bytes_per_second=self.upload_bytes_per_second)

    def times(self, cells: int) -> TileTimes:
        """Return how long a tile of so many cells takes."""
        engine = self.engine
        slower = engine.arm64_factor if self.architecture is Architecture.ARM64 else 1.0
        transfer = cells * engine.archive_bytes / self.source_bytes_per_second
        # A core below one vCPU's share is no whole core, for what runs on one only, either.
        serial = engine.serial_seconds / min(self.vcpus, 1)
        compute = slower * cells * max(engine.cpu_seconds / self.vcpus, serial)
        write = slower * cells * engine.trailing_cpu_seconds / self.vcpus
        trailing = max(write, cells * engine.output_bytes / self.upload_bytes_per_second)
        invocations = max(1, math.ceil(transfer / TRANSFER_LIMIT_SECONDS))
        work = max(transfer, compute) if engine.streams else transfer + compute
        total = work + trailing + invocations * engine.start_seconds
        return TileTimes(transfer, compute, trailing, invocations, total)

    def cost(self, cells: int) -> Cost:
        """Return what a tile of so many cells costs."""
        times, prices = self.times(cells), self.prices
        gb_seconds = times.total_seconds * self.memory_mib / _MIB_PER_GB
        tmp_gb_seconds = times.total_seconds * max(0, self.ephemeral_storage_mib - _FREE_TMP_MIB) / _MIB_PER_GB
        parts = math.ceil(cells * self.engine.output_bytes / _PART_BYTES)
        return Cost(
            lambda_memory=gb_seconds * prices.gb_second[self.architecture],
            lambda_tmp=tmp_gb_seconds * prices.tmp_gb_second,
            lambda_requests=times.invocations * prices.lambda_request,
            transitions=(_TRANSITIONS + (times.invocations - 1) * _TRANSITIONS_AGAIN) * prices.transition,
            s3=(parts + _OTHER_PUTS) * prices.s3_put + _OTHER_GETS * prices.s3_get,
            sqs=self.failed_share * prices.sqs_request,
        )

    def spent(self, seconds: float, tiles: int, output_bytes: int) -> Cost:
        """Return what AWS billed for so many tiles whose workers took so many seconds and put out so many bytes in all.

        As if each tile had taken one invocation: what is not recorded of earlier ones is not in here.
        """
        prices, gb_seconds = self.prices, seconds * self.memory_mib / _MIB_PER_GB
        tmp_gb_seconds = seconds * max(0, self.ephemeral_storage_mib - _FREE_TMP_MIB) / _MIB_PER_GB
        puts, gets = math.ceil(output_bytes / _PART_BYTES) + tiles * _OTHER_PUTS, tiles * _OTHER_GETS
        return Cost(
            lambda_memory=gb_seconds * prices.gb_second[self.architecture],
            lambda_tmp=tmp_gb_seconds * prices.tmp_gb_second,
            lambda_requests=tiles * prices.lambda_request,
            transitions=tiles * _TRANSITIONS * prices.transition,
            s3=puts * prices.s3_put + gets * prices.s3_get,
        )

    def cost_of(self, cells_by_tile: Iterable[int]) -> Cost:
        """Return what a run over tiles of so many cells each costs; listing and summing up cost less than a cent."""
        total = Cost()
        for cells in cells_by_tile:
            total += self.cost(cells)
        return total


@dataclass(frozen=True)
class TileTimes:
    """How long a worker takes for a tile, in seconds."""

    transfer_seconds: float
    compute_seconds: float
    """What happens during the transfer of a tar.gz, after that of a zip."""
    trailing_seconds: float
    """What happens at the end."""
    invocations: int
    total_seconds: float


@dataclass(frozen=True)
class Cost:
    """US dollars, by what they are paid for."""

    lambda_memory: float = 0.0
    lambda_tmp: float = 0.0
    lambda_requests: float = 0.0
    transitions: float = 0.0
    s3: float = 0.0
    sqs: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.lambda_memory + self.lambda_tmp + self.lambda_requests + self.transitions + self.s3 + self.sqs

    def __add__(self, other: Self) -> Cost:
        """Return the sum of each part."""
        return Cost(
            self.lambda_memory + other.lambda_memory,
            self.lambda_tmp + other.lambda_tmp,
            self.lambda_requests + other.lambda_requests,
            self.transitions + other.transitions,
            self.s3 + other.s3,
            self.sqs + other.sqs,
        )


MEMORIES_MIB: Final = (2048, 3072, 4096, 6144, 8192, 10_240)
"""What is weighed."""
TYPICAL_BYTES_PER_SECOND: Final = 5e6
"""Of one connection to JAXA's server from another continent: an assumption until ``doctor`` has measured yours."""
ASSUMED_MEGABYTES_PER_SECOND: Final = 1.0
"""What a run is priced with before it starts: the slowest source of docs/cost.md, where a tile costs the most."""
MEASURED_ARCHITECTURES: Final = (Architecture.X86_64,)
"""arm64 is a fifth cheaper a second; how long it takes, and that its image builds, has to be seen first."""


def cheapest(
    cells: int,
    source_bytes_per_second: float = TYPICAL_BYTES_PER_SECOND,
    memories_mib: Iterable[int] = MEMORIES_MIB,
    architectures: Iterable[Architecture] = MEASURED_ARCHITECTURES,
) -> Worker:
    """Return the worker that makes a tile of so many cells for the least money, among those whose memory holds it.

    >>> cheapest(25).memory_mib, cheapest(25, source_bytes_per_second=200e6).memory_mib
    (2048, 2048)
    """
    architectures = tuple(architectures)
    needed = _MEMORY_MARGIN * max(TAR.memory_mib, ZIP.memory_mib)
    workers = [
        Worker(source_bytes_per_second, memory, architecture)
        for memory in memories_mib
        for architecture in architectures
        if memory >= needed
    ]
    return min(workers, key=lambda worker: worker.cost(cells).total)
