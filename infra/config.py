"""What a deployment can choose: typed, checked, each with a default that is safe to deploy.

A setting is given as CDK context under our namespace, in cdk.json or on the command line:
``cdk deploy -c alos-mosaic:output_bucket_name=my-bucket -c alos-mosaic:max_concurrency_ceiling=4``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, get_type_hints

from alos_mosaic import settings
from alos_mosaic.bands import BACKSCATTER_OVERVIEWS
from alos_mosaic.costs import TRANSFER_LIMIT_SECONDS, Architecture, cheapest
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import CELLS_PER_TILE, tiles_of_region

NAMESPACE: Final = "alos-mosaic:"

STATE_LIMIT_BYTES: Final = 256 * 1024
"""Step Functions' limit for what passes between states (https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html)."""

CHILD_OUTPUT: Final = "{},"
"""What one tile adds to the Distributed Map's output; the hard cap times this must stay below the limit."""

LOG_RETENTIONS: Final = {30: "ONE_MONTH", 90: "THREE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR"}
"""Days and what the CDK calls them."""
OWN_BUCKET: Final = "own"
"""Stands for a bucket of the stack's in place of an existing one's URI."""
_CHEAPEST: Final = cheapest(CELLS_PER_TILE)
"""What makes a full tile for the least money (docs/cost.md)."""


class ConfigError(ValueError):
    """A setting of the deployment makes no sense; the text is a sentence for the person who deploys."""


@dataclass(frozen=True)
class StackConfig:
    """The settings of one deployment."""

    output_bucket_name: str | None = None
    """An existing bucket to publish into; without one the stack creates a bucket and keeps it when it is destroyed."""
    output_prefix: str = ""
    """Folder in the output bucket below which the products lie; none by default."""
    output_versioning: bool = False
    """Whether the bucket that the stack creates keeps what is replaced or removed, until a rule of yours deletes it."""
    source_uri: str = settings.DEFAULT_SOURCE_URI
    """Where archives come from."""
    source_secret_name: str | None = None
    """Name of a Secrets Manager secret with the source's username and password; without one access is anonymous."""
    allow_plain_login: bool = False
    """Whether that password may travel unencrypted, as it does over ftp://."""
    requester_pays: bool = False
    """Whether this account pays for what is read from an s3:// source."""
    keep_archives_in: str | None = None
    """Where raw archives are kept as a mirror that source_uri can name: s3://bucket/folder of an existing bucket, or
    "own" for a bucket that the stack makes and that outlives it; they are not kept by default."""
    memory_mib: int = _CHEAPEST.memory_mib
    """Memory of the tile Lambda, with one vCPU per 1769 MiB; more only pays where the source is very fast."""
    architecture: str = _CHEAPEST.architecture.value
    """The tile Lambda's processor: x86_64 or arm64, which is a fifth cheaper and whose image takes an arm64 builder."""
    ephemeral_storage_mib: int = 10_240
    """Size of the tile Lambda's /tmp: an archive, its members and the COGs lie there together."""
    source_timeout_seconds: float = 60.0
    """No byte from the source for so long is SourceUnavailableError."""
    transfer_limit_seconds: float = TRANSFER_LIMIT_SECONDS
    """How long an archive's transfer may take in one invocation of 900 seconds before it goes on in the next one."""
    cell_pixels: int = 4500
    """Pixels along a 1-degree cell: 4500 is JAXA's 25 m grid; smaller only for trials with synthetic archives."""
    codec: str = settings.CODECS[0]
    """How COGs are compressed: deflate, which all readers of TIFF know, or zstd: a little less, and more memory."""
    backscatter_overviews: str = BACKSCATTER_OVERVIEWS[0]
    """How overviews of HH and HV are made: rms (mean of backscatter) or average (the ancestors' mean of amplitudes)."""
    extra_layouts: str | None = None
    """Rows tried ahead of the layout table's, as JSON, for archives that JAXA has moved or renamed."""
    default_region: str = settings.DEFAULT_REGION
    """What a run covers whose input names no place."""
    default_max_concurrency: int = settings.DEFAULT_MAX_CONCURRENCY
    """Tiles processed at once where a run's input does not say."""
    max_concurrency_ceiling: int = settings.MAX_CONCURRENCY_CEILING
    """Tiles processed at once that no run's input can exceed."""
    max_tiles_ceiling: int = settings.MAX_TILES_CEILING
    """Tiles of one run that no run's input can exceed."""
    failure_limit_percent: float = settings.FAILURE_LIMIT_PERCENT
    """A run with more failed tiles than this ends as failed."""
    absent_limit_percent: float = settings.ABSENT_LIMIT_PERCENT
    """A run ends as failed if more of the tiles that JAXA is known to publish are absent: have its folders moved?"""
    runs_expiry_days: int = 90
    """Manifests, results and summaries of runs are deleted after so many days."""
    staging_expiry_days: int = 7
    """What workers that died left unfinished is deleted after so many days."""
    log_retention_days: int = 90
    """Logs are deleted after so many days; above the 14 that a dead letter lives, so that its log can be read."""
    removal: str = "destroy"
    """What becomes of logs and run records with the stack: destroy or retain. The output bucket always stays."""

    def __post_init__(self) -> None:
        """Check every value, and those that depend on one another."""
        for name, check in _CHECKS.items():
            _check(name, getattr(self, name), check)
        if self.default_max_concurrency > self.max_concurrency_ceiling:
            raise ConfigError(
                f"default_max_concurrency is {self.default_max_concurrency}, "
                f"above max_concurrency_ceiling, which is {self.max_concurrency_ceiling}"
            )
        if self.keep_archives_in is not None and self.keep_archives_in == self.source_uri.rstrip("/"):
            raise ConfigError(
                f"keep_archives_in and source_uri are both {self.keep_archives_in}: nothing is to be kept"
            )
        try:
            settings.check_plain_login(self.source_uri, self.source_secret_name is not None, self.allow_plain_login)
            layouts_from_json(self.extra_layouts)
        except InvalidRequestError as error:
            raise ConfigError(str(error)) from error

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the keys of our namespace; :class:`ConfigError` names an unknown key or a bad value."""
        given = {key.removeprefix(NAMESPACE): value for key, value in context.items() if key.startswith(NAMESPACE)}
        known = get_type_hints(cls)
        unknown = sorted(set(given) - set(known))
        if unknown:
            keys = ", ".join(NAMESPACE + key for key in unknown)
            raise ConfigError(f"unknown settings {keys}; known are {', '.join(known)}")
        return cls(**{name: _parse(name, value, known[name]) for name, value in given.items()})


def _parse(name: str, value: object, kind: object) -> Any:
    """Read a value that came as JSON from cdk.json or as text from the command line."""
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ConfigError(f"{name} is {value!r}; expected is true or false")
        return str(value).lower() == "true"
    if kind in (int, float):
        try:
            return kind(str(value))
        except ValueError as error:
            words = "whole number" if kind is int else "number"
            raise ConfigError(f"{name} is {value!r}; expected is a {words}") from error
    if value in (None, "") and kind is not str:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}; expected is text")
    return value


def _check(name: str, value: Any, check: tuple[Callable[[Any], bool], str]) -> None:
    is_good, expected = check
    if not is_good(value):
        raise ConfigError(f"{name} is {value!r}; expected is {expected}")


def _between(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    return lambda value: low <= value <= high, f"a number from {low} to {high}"


def _matches(pattern: str, expected: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value is None or re.fullmatch(pattern, value) is not None, expected


def _is_region(name: str) -> bool:
    try:
        return bool(tiles_of_region(name))
    except InvalidRequestError:
        return False


_CHECKS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "output_bucket_name": _matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket"),
    "output_prefix": _matches(r"|[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", "a folder without slash at its ends"),
    "source_uri": _matches(r"[a-z][a-z0-9]*://[^\s@?#]+", "a URI like ftp://host, without user and password"),
    "keep_archives_in": _matches(
        rf"{OWN_BUCKET}|s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[A-Za-z0-9._-]+)*",
        f"{OWN_BUCKET} or a URI like s3://bucket/folder",
    ),
    "source_secret_name": _matches(r"[A-Za-z0-9/_+=.@-]{1,512}", "the name of a secret, not its ARN"),
    "memory_mib": _between(128, 10_240),
    "architecture": (lambda name: name in tuple(Architecture), " or ".join(Architecture)),
    "ephemeral_storage_mib": _between(512, 10_240),
    "source_timeout_seconds": _between(1, 300),
    "transfer_limit_seconds": _between(1, 800),
    "cell_pixels": _between(1, 4500),
    "codec": (lambda name: name in settings.CODECS, " or ".join(settings.CODECS)),
    "backscatter_overviews": (
        lambda name: name in BACKSCATTER_OVERVIEWS,
        " or ".join(BACKSCATTER_OVERVIEWS),
    ),
    "default_region": (_is_region, "a region that the grid knows"),
    "default_max_concurrency": _between(1, 1000),
    "max_concurrency_ceiling": _between(1, 1000),
    "max_tiles_ceiling": _between(1, STATE_LIMIT_BYTES // len(CHILD_OUTPUT) - 1),
    "failure_limit_percent": _between(0, 100),
    "absent_limit_percent": _between(0, 100),
    "runs_expiry_days": _between(15, 3650),
    "staging_expiry_days": _between(1, 3650),
    "log_retention_days": (lambda days: days in LOG_RETENTIONS, "30, 90, 180 or 365, which CloudWatch Logs offers"),
    "removal": (lambda word: word in ("destroy", "retain"), "destroy or retain"),
}
