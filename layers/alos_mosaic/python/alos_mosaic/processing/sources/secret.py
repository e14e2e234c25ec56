"""The source's login, out of Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.log_lines import conceal
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from alos_mosaic.settings import TileSettings, WatchSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient


def read_credentials(secrets: SecretsManagerClient, secret_name: str) -> Credentials:
    """Read the source's user and password, anew each time, since they may be rotated.

    No error text may carry what the secret holds, and no line of a log does from here on.
    """
    try:
        answer = secrets.get_secret_value(SecretId=secret_name)
    except (BotoCoreError, ClientError) as error:
        raise SourceUnavailableError(f"the secret {secret_name} can't be read: {error}") from error
    try:
        secret = json.loads(answer["SecretString"])
        pair = secret["username"], secret["password"]
    except (ValueError, KeyError, TypeError):
        pair = None
    if pair is not None and all(isinstance(text, str) for text in pair):
        conceal(*pair)
        return Credentials(*pair)
    raise SourceUnavailableError(f"the secret {secret_name} is not of the form {{username, password}}")


def access_of(
    settings: TileSettings | WatchSettings, secrets: Callable[[], SecretsManagerClient], s3: S3Client
) -> SourceAccess:
    """Return what it takes to open a function's source; ``secrets`` makes a client, where a secret is to be read."""
    name = settings.source_secret_name
    return SourceAccess(
        credentials=None if name is None else read_credentials(secrets(), name),
        allow_plain_login=settings.allow_plain_login,
        timeout_seconds=settings.source_timeout_seconds,
        requester_pays=settings.requester_pays,
        s3=s3,
    )
