"""The runbook, docs/operations.md: where in it an alarm or an error has its section."""

from __future__ import annotations

import re
from typing import Final

DEFAULT_URL: Final = "docs/operations.md"
"""In the repository; a deployment that serves it elsewhere says so in its settings."""


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and GitLab make it.

    >>> anchor("dead-letters"), anchor("Lambda.Unknown"), anchor("What to do")
    ('dead-letters', 'lambdaunknown', 'what-to-do')
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def section(heading: str, url: str = DEFAULT_URL) -> str:
    """Return the link to a section.

    >>> section("SourceUnavailableError")
    'docs/operations.md#sourceunavailableerror'
    """
    return f"{url}#{anchor(heading)}"
