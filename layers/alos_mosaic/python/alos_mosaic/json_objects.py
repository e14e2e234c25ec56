"""JSON objects in what may be anything: logs, causes, files of others."""

from __future__ import annotations

import json
from typing import Any


def json_object(content: object) -> dict[str, Any] | None:
    """Return the object that a text, or bytes, spell as JSON; None if they spell none, or it is neither.

    >>> json_object('{"tile": "N10E010"}'), json_object(b"[1]"), json_object("no JSON"), json_object(None)
    ({'tile': 'N10E010'}, None, None, None)
    """
    try:
        read = json.loads(content) if isinstance(content, str | bytes) else None
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
