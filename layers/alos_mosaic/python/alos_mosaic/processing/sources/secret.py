"""The source's login, out of Secrets Manager."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.log_lines import conceal
from alos_mosaic.processing.sources.protocol import Credentials

if TYPE_CHECKING:
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
