"""URIs that people give: of sources and targets. What might be a secret in one is never shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from alos_mosaic.errors import InvalidRequestError, shown

_MAY_HIDE_A_SECRET: Final = re.compile("[@?#]")


def split_uri(uri: str) -> SplitResult:
    """Return a URI's parts.

    :class:`InvalidRequestError` for one that can't be read, that holds credentials (URIs are logged and recorded), or
    whose end would be lost.

    >>> split_uri("ftp://ftp.eorc.jaxa.jp/pub").hostname
    'ftp.eorc.jaxa.jp'
    """
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - parsed only now
    except ValueError:
        # Its text may quote what stands before the host; nor may it go out as the cause.
        raise InvalidRequestError(f"{shown_uri(uri)} is no URI: host or port make no sense") from None
    if "@" in parts.netloc:
        raise InvalidRequestError("credentials don't belong into a URI, where logs would show them")
    if parts.query or parts.fragment or "%00" in uri:
        raise InvalidRequestError(f"{shown_uri(uri)} has a ?, # or %00 in it; write %3F or %23 for those in a name")
    return parts


def shown_uri(uri: str) -> str:
    """Return a URI as an error's text may show it: as it is only where it can hold neither password nor token.

    >>> shown_uri("gopher://host"), shown_uri("ftp//me:s3cret@host")
    ("'gopher://host'", 'the URI')
    """
    return "the URI" if _MAY_HIDE_A_SECRET.search(uri) else shown(uri)
