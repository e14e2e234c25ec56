"""What tests of handlers share."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from alos_mosaic import log_lines


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the function's log gets, as Lambda spells it."""
    monkeypatch.setattr(log_lines, "_secrets", [])
    stream, root = io.StringIO(), logging.getLogger()
    added = logging.StreamHandler(stream)
    added.terminator = ""
    added.setFormatter(JsonFormatter())
    before, level = root.handlers[:], root.level
    root.handlers[:] = [added]
    root.setLevel(logging.DEBUG)  # as loud as it gets
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
