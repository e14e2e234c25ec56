"""Typed settings of the Lambdas and the command; the only place that reads the environment.

The CDK app writes a function's environment with :meth:`Settings.to_env`, the function reads it with
:meth:`Settings.from_env`: one dataclass, no name written twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self, get_args, get_type_hints
from urllib.parse import urlsplit

from alos_mosaic.bands import BACKSCATTER_OVERVIEWS
from alos_mosaic.costs import (
    ASSUMED_MEGABYTES_PER_SECOND,
    MEMORIES_MIB,
    TMP_MIB,
    Architecture,
)
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.invocations import TRANSFER_LIMIT_SECONDS
from alos_mosaic.runbook import DEFAULT_URL

_PREFIX: Final = "ALOS_MOSAIC_"

_TRUTH: Final = {"true": True, "false": False}
_PLAIN_SCHEMES: Final = ("ftp", "http")
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

CODECS: Final = ("deflate", "zstd")
"""How COGs may be compressed: what every reader of TIFF knows, first, and what writes a little less."""
WATCH_ACTIONS: Final = ("notify", "refresh")
"""What becomes of news from the source: people are told, or a run is started as well."""
DEFAULT_SOURCE_URI: Final = "ftp://ftp.eorc.jaxa.jp"
DEFAULT_REGION: Final = "global"
DEFAULT_MAX_CONCURRENCY: Final = 2
MAX_CONCURRENCY_CEILING: Final = 8
"""The source is one FTP server; public clients of it found 2 connections at once to be polite."""
MAX_TILES_CEILING: Final = 25_000
"""Hard cap of one run: twice the ten years of the globe that are listed (11,372 tiles)."""
FAILURE_LIMIT_PERCENT: Final = 0.0
MAX_USD_CEILING: Final = 1000.0
"""US dollars that one run may be estimated at: the ten years of the globe that are listed come to some 690 with the
default memory and the slowest source."""
SOURCE_TIMEOUT_SECONDS: Final = 60.0
ABSENT_LIMIT_PERCENT: Final = 5.0
"""A re-issue may lack a few tiles; where many are gone, JAXA may have moved its folders, as it has before."""


@dataclass(frozen=True)
class Settings:
    """What all settings share: they travel through environment variables, one a field."""

    def to_env(self) -> dict[str, str]:
        """Return the environment variables that :meth:`from_env` reads; fields that are None are left out."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {_PREFIX + name.upper(): str(value) for name, value in pairs if value is not None}

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the settings; :class:`InvalidRequestError` names a variable that is missing or no number."""
        env = os.environ if env is None else env
        hints = get_type_hints(cls)
        present = {field.name: _PREFIX + field.name.upper() for field in fields(cls)}
        values = {name: _parse(key, env[key], hints[name]) for name, key in present.items() if key in env}
        try:
            return cls(**values)
        except TypeError as error:
            missing = sorted(set(present.values()) - set(env))
            raise InvalidRequestError(f"the environment lacks one of {', '.join(missing)}") from error


def _parse(key: str, text: str, kind: object) -> object:
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        number = next((each for each in (int, float) if each in (kind, *get_args(kind))), None)
        return text if number is None else number(text)
    except KeyError as error:
        raise InvalidRequestError(f"{key} is {text!r}, which is neither true nor false") from error
    except ValueError as error:
        raise InvalidRequestError(f"{key} is {text!r}, which is not a number") from error


def check_plain_login(source_uri: str, has_login: bool, is_allowed: bool) -> None:
    """Raise :class:`InvalidRequestError` if a user and password would travel readable for everyone on the way.

    >>> check_plain_login("ftps://host", has_login=True, is_allowed=False)
    """
    scheme = source_uri.partition("://")[0].lower()
    if has_login and scheme in _PLAIN_SCHEMES and not is_allowed:
        raise InvalidRequestError(
            f"over {scheme}:// the source's password would travel unencrypted; use {scheme}s:// if the server has it, "
            "or allow it: --allow-plain-login, in a deployment allow_plain_login"
        )


def check_plain_http(source_uri: str) -> None:
    """Raise :class:`InvalidRequestError` for a web server of another machine that is asked without encryption.

    >>> check_plain_http("https://host"), check_plain_http("http://127.0.0.1:8000")
    (None, None)
    """
    parts = urlsplit(source_uri)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise InvalidRequestError(
            f"http://{parts.hostname} could be read and changed on the way; use https:// (http:// is for servers on "
            "this machine)"
        )


@dataclass(frozen=True, kw_only=True)
class PriceSettings(Settings):
    """What the price of a run depends on."""

    memory_mib: int = MEMORIES_MIB[0]
    """Of the tile Lambda, as are the next two."""
    architecture: str = Architecture.X86_64.value
    ephemeral_storage_mib: int = TMP_MIB
    assumed_megabytes_per_second: float = ASSUMED_MEGABYTES_PER_SECOND
    """What a run is priced with as the rate of one connection to the source."""


WORKER_FACTS: Final = tuple(PriceSettings.__dataclass_fields__)
"""What a summary tells of the tile Lambda."""


@dataclass(frozen=True, kw_only=True)
class RunLimits(PriceSettings):
    """How much a run may take at once, and in all, and what has to be known to price and begin it."""

    source_uri: str = DEFAULT_SOURCE_URI
    """Asked before a run begins whether it is there, without a login, as are the next two."""
    source_timeout_seconds: float = SOURCE_TIMEOUT_SECONDS
    requester_pays: bool = False
    default_max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    max_concurrency_ceiling: int = MAX_CONCURRENCY_CEILING
    max_tiles_ceiling: int = MAX_TILES_CEILING
    max_usd_ceiling: float = MAX_USD_CEILING


@dataclass(frozen=True, kw_only=True)
class SeedSettings(RunLimits):
    """Settings of the Lambda that lists the tiles."""

    runs_bucket: str
    output_uri: str
    """As in :class:`TileSettings`."""
    default_region: str = DEFAULT_REGION


@dataclass(frozen=True, kw_only=True)
class RedriveSettings(RunLimits):
    """Settings of the Lambda that takes failed tiles out of the dead-letter queue."""

    runs_bucket: str
    output_uri: str
    """As in :class:`TileSettings`."""
    dead_letter_queue_url: str


@dataclass(frozen=True)
class TileSettings(Settings):
    """Settings of the Lambda that processes a tile."""

    output_uri: str
    """``s3://bucket`` or ``s3://bucket/prefix``."""
    runs_bucket: str
    source_uri: str = DEFAULT_SOURCE_URI
    source_secret_name: str | None = None
    """Secrets Manager secret with ``{"username": ..., "password": ...}``; without one the source is anonymous."""
    source_timeout_seconds: float = SOURCE_TIMEOUT_SECONDS
    allow_plain_login: bool = False
    """Whether the source's password may travel unencrypted, as it does over ``ftp://``."""
    requester_pays: bool = False
    """Whether we pay for what we read from an ``s3://`` source."""
    transfer_limit_seconds: float = TRANSFER_LIMIT_SECONDS
    """How long an invocation's transfer may take before it goes on in the next one."""
    cell_pixels: int = 4500
    codec: str = CODECS[0]
    """One of :data:`CODECS`."""
    backscatter_overviews: str = BACKSCATTER_OVERVIEWS[0]
    """One of :data:`alos_mosaic.bands.BACKSCATTER_OVERVIEWS`."""
    extra_layouts: str | None = None
    """Rows tried ahead of the layout table's: JSON, read by :func:`alos_mosaic.extra_layouts.layouts_from_json`."""
    metrics_namespace: str | None = None
    """Where in CloudWatch the worker's metrics stand; without one it emits none."""
    items_topic_arn: str | None = None
    """SNS topic that is told of each published item; none by default."""
    keep_archives_in: str | None = None
    """``s3://bucket`` or ``s3://bucket/folder`` where archives are kept as they came; without one they are not."""


@dataclass(frozen=True, kw_only=True)
class PlaceSettings(Settings):
    """Where the deployment is, for whoever writes commands that find it again."""

    stack_name: str | None = None
    aws_region: str | None = None

    @property
    def deployment(self) -> dict[str, str]:
        """What finds the deployment, as the options of a command are called; nothing where that is not known."""
        names = {"stack": self.stack_name, "aws_region": self.aws_region}
        return {name: value for name, value in names.items() if value is not None}


@dataclass(frozen=True)
class SummarySettings(PlaceSettings):
    """Settings of the Lambda that ends a run."""

    runs_bucket: str
    failure_limit_percent: float = FAILURE_LIMIT_PERCENT
    """A run with more failed tiles than this ends as failed. 0: any failed tile is said aloud."""
    absent_limit_percent: float = ABSENT_LIMIT_PERCENT
    """A run in which more of the tiles that the inventory knows come out absent ends as failed."""
    dead_letter_queue_url: str | None = None
    """Where tiles go that left no result; without one the summary only counts them."""
    memory_mib: int | None = None
    """Of the tile Lambda, whose work the report prices, as are the next two; without them it is not priced."""
    ephemeral_storage_mib: int | None = None
    architecture: str | None = None
    assumed_megabytes_per_second: float | None = None
    """What runs are priced with before they begin."""

    @property
    def worker(self) -> dict[str, Any]:
        """What the tile Lambda is, as the summary tells it; nothing where that is not known."""
        if not self.memory_mib:
            return {}
        return {name: getattr(self, name) for name in WORKER_FACTS if getattr(self, name) is not None}


@dataclass(frozen=True, kw_only=True)
class DigestSettings(PlaceSettings, PriceSettings):
    """Settings of the Lambda that sends a run's digest."""

    runs_bucket: str
    topic_arn: str
    runbook_url: str = DEFAULT_URL
    """Where the runbook can be read."""
    source_uri: str = DEFAULT_SOURCE_URI
    """What to question where tiles are absent that should be there."""


@dataclass(frozen=True)
class WatchSettings(Settings):
    """Settings of the Lambda that looks for what is new at the source."""

    output_uri: str
    """As in :class:`TileSettings`, as is all about the source."""
    topic_arn: str
    """SNS topic that is told of what is new."""
    state_machine_arn: str
    action: str = WATCH_ACTIONS[0]
    """One of :data:`WATCH_ACTIONS`."""
    years: str = ""
    """Years whose published tiles are compared with the source, with commas between."""
    source_uri: str = DEFAULT_SOURCE_URI
    source_secret_name: str | None = None
    source_timeout_seconds: float = SOURCE_TIMEOUT_SECONDS
    allow_plain_login: bool = False
    requester_pays: bool = False
    extra_layouts: str | None = None


@dataclass(frozen=True)
class SourceSettings(Settings):
    """What the command needs to know of the source; credentials never as arguments, which a process list shows."""

    source_username: str | None = None
    source_password: str | None = field(default=None, repr=False)
    extra_layouts: str | None = None
    """As in :class:`TileSettings`."""
