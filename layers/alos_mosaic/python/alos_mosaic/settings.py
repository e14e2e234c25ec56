"""Typed settings of the Lambdas and the command; the only place that reads the environment.

The CDK app writes a function's environment with :meth:`Settings.to_env`, the function reads it with
:meth:`Settings.from_env`: one dataclass, no name written twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self, get_type_hints

from alos_mosaic.errors import InvalidRequestError

_PREFIX: Final = "ALOS_MOSAIC_"

DEFAULT_SOURCE_URI: Final = "ftp://ftp.eorc.jaxa.jp"
DEFAULT_REGION: Final = "global"
DEFAULT_MAX_CONCURRENCY: Final = 2
MAX_CONCURRENCY_CEILING: Final = 8
"""The source is one FTP server; public clients of it found 2 connections at once to be polite."""
MAX_TILES_CEILING: Final = 25_000
"""Hard cap of one run: every listed year of the whole mesh fits (10 x 2088 tiles)."""
FAILURE_LIMIT_PERCENT: Final = 0.0


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
        return kind(text) if kind in (int, float) else text
    except ValueError as error:
        raise InvalidRequestError(f"{key} is {text!r}, which is not a number") from error


@dataclass(frozen=True)
class SeedSettings(Settings):
    """Settings of the Lambda that lists the tiles."""

    runs_bucket: str
    default_region: str = DEFAULT_REGION
    default_max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    max_concurrency_ceiling: int = MAX_CONCURRENCY_CEILING
    max_tiles_ceiling: int = MAX_TILES_CEILING


@dataclass(frozen=True)
class TileSettings(Settings):
    """Settings of the Lambda that processes a tile."""

    output_uri: str
    """``s3://bucket`` or ``s3://bucket/prefix``."""
    runs_bucket: str
    source_uri: str = DEFAULT_SOURCE_URI
    source_secret_name: str | None = None
    """Secrets Manager secret with ``{"username": ..., "password": ...}``; without one the source is anonymous."""
    source_timeout_seconds: float = 60.0
    cell_pixels: int = 4500
    extra_layouts: str | None = None
    """Rows tried ahead of the layout table's: JSON, read by :func:`alos_mosaic.extra_layouts.layouts_from_json`."""


@dataclass(frozen=True)
class SummarySettings(Settings):
    """Settings of the Lambda that ends a run."""

    runs_bucket: str
    failure_limit_percent: float = FAILURE_LIMIT_PERCENT
    """A run with more failed tiles than this ends as failed. 0: any failed tile is said aloud."""


@dataclass(frozen=True)
class SourceSettings(Settings):
    """What the command needs to know of the source; credentials never as arguments, which a process list shows."""

    source_username: str | None = None
    source_password: str | None = None
    extra_layouts: str | None = None
    """As in :class:`TileSettings`."""
