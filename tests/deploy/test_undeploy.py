"""Last of all, by its name: the stage is destroyed, and what it has published stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from infra.assets import REPOSITORY
from tests.deploy.conftest import STACK, TILE, YEAR, Deployed, Desk


def test_destroyed_the_outputs_remain(desk: Desk, assembly: Path, deployed: Deployed, run: dict[str, Any]) -> None:
    """Last of all: the other stage and the bootstrap stay as they are."""
    s3, bucket = desk.cloud.client("s3"), deployed.outputs["OutputBucketName"]
    before = [(entry["Key"], entry["ETag"]) for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert f"alos_palsar_mosaic/{YEAR}/{TILE}/{TILE}_20.stac-item.json" in dict(before)
    desk.run(".venv/bin/alos-mosaic", "destroy", "--stack", STACK, "--yes")
    desk.cdk(assembly, "destroy", "--all", "--force")
    assert desk.stack_status(STACK) == "GONE"
    after = [(entry["Key"], entry["ETag"]) for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert after == before
    mine = [entry["Name"] for entry in s3.list_buckets()["Buckets"] if entry["Name"].startswith("alosmosaic-dev")]
    assert mine == [bucket]
    assert desk.stack_status("CDKToolkit") == "CREATE_COMPLETE"


def test_the_bootstrap_is_cleared_as_the_document_says(desk: Desk, bootstrapped: str) -> None:
    text = (REPOSITORY / "docs/deploy.md").read_text()
    (commands,) = (block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "--stack-name CDKToolkit" in block)
    desk.shell(commands)
    assert desk.stack_status("CDKToolkit") == "GONE"
    assets = f"cdk-hnb659fds-assets-{desk.cloud.account}-{desk.cloud.region}"
    assert assets not in [bucket["Name"] for bucket in desk.cloud.client("s3").list_buckets()["Buckets"]]
    left = desk.cloud.client("ecr").describe_repositories()["repositories"]
    assert [
        repository["repositoryName"] for repository in left if repository["repositoryName"].startswith("cdk-")
    ] == []
