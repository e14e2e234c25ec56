"""Write the cloud assembly: ``python app.py`` by hand, or the CDK CLI by way of cdk.json."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.application import synthesize
from infra.fields import ConfigError
from infra.stages import DEV


def main() -> None:
    """Synthesize the stack; settings that make no sense end it with one sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("cdk.out"), help="folder to write (default: %(default)s)")
    parser.add_argument("--stage", default=DEV, help="where CDK context names none (default: %(default)s)")
    given = parser.parse_args()
    try:
        synthesize(given.output, stage=given.stage)
    except ConfigError as error:
        raise SystemExit(f"alos-mosaic: {error}") from error


if __name__ == "__main__":
    main()
