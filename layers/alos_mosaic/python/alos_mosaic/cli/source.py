"""How the command opens a source: its options, with user, password and further layouts from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alos_mosaic.cli.deployment import client_without_stack
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.layouts import Layout
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from alos_mosaic.settings import SourceSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SourceOption = Annotated[
    str,
    typer.Option(help="Where archives come from: ftp://, ftps://, https:// or s3:// with host or bucket, or file:///."),
]
AllowPlainLoginOption = Annotated[
    bool, typer.Option("--allow-plain-login", help="Let the source's password travel unencrypted (ftp://).")
]
RequesterPaysOption = Annotated[
    bool, typer.Option("--requester-pays", help="Pay for what is read from an s3:// source.")
]


def s3_client(uri: str, profile: str | None = None, aws_region: str | None = None) -> S3Client | None:
    """Return a client for an ``s3://`` URI, None for any other, which needs none."""
    if not uri.startswith("s3:"):
        return None
    client: S3Client = client_without_stack("s3", profile, aws_region)
    return client


def source_access(source: str, allow_plain_login: bool = False, requester_pays: bool = False) -> SourceAccess:
    """Return what it takes to open a source; its password never comes from an argument, which a process list shows."""
    return SourceAccess(
        credentials=_credentials(),
        allow_plain_login=allow_plain_login,
        requester_pays=requester_pays,
        s3=s3_client(source),
    )


def extra_layouts() -> tuple[Layout, ...]:
    """Return the layouts that the environment adds ahead of the table's."""
    return layouts_from_json(SourceSettings.from_env().extra_layouts)


def _credentials() -> Credentials | None:
    settings = SourceSettings.from_env()
    if settings.source_username is None and settings.source_password is None:
        return None
    if settings.source_username is None or settings.source_password is None:
        raise InvalidRequestError("of ALOS_MOSAIC_SOURCE_USERNAME and ALOS_MOSAIC_SOURCE_PASSWORD only one is set")
    return Credentials(settings.source_username, settings.source_password)
