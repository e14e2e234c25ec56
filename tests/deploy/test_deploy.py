"""From an empty account to a published tile and back, by the commands that the documents give; only AWS is emulated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.images import TO_PUSH
from tests.deploy.conftest import STACK, Deployed, Desk

OWN = "AlosMosaic-prod"


def test_bootstrap_makes_the_asset_bucket_and_the_roles(desk: Desk, bootstrapped: str) -> None:
    assert "bootstrapped" in bootstrapped
    assert desk.stack_status("CDKToolkit") == "CREATE_COMPLETE"


def test_deploy_makes_every_resource_of_the_template(desk: Desk, assembly: Path, deployed: Deployed) -> None:
    assert desk.stack_status(STACK) == "CREATE_COMPLETE"
    template = json.loads((assembly / f"{STACK}.template.json").read_text())
    pages = desk.cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    made = {entry["LogicalResourceId"]: entry for page in pages for entry in page["StackResourceSummaries"]}
    assert made.keys() == template["Resources"].keys()
    assert {entry["ResourceStatus"] for entry in made.values()} == {"CREATE_COMPLETE"}


def test_the_cdk_builds_the_image_and_pushes_it_to_its_own_repository(desk: Desk, deployed: Deployed) -> None:
    build = next(line for line in deployed.docker_asked if line.startswith("build "))
    assert "--platform linux/amd64" in build
    assert "--file lambdas/process_tile/Dockerfile" in build
    pushed = next(line for line in deployed.docker_asked if line.startswith("push "))
    worker = desk.cloud.client("lambda").get_function(FunctionName=deployed.outputs["ProcessTileFunctionName"])
    assert pushed.removeprefix("push ") == worker["Code"]["ImageUri"]


def test_a_second_look_finds_nothing_to_change(desk: Desk, assembly: Path, deployed: Deployed) -> None:
    assert "There were no differences" in desk.cdk(assembly, "diff", "--fail")


def test_a_run_is_started_with_the_aws_cli_as_the_readme_says(desk: Desk, run: dict[str, Any]) -> None:
    assert run["status"] == "SUCCEEDED", run.get("cause")
    assert run["name"] == "africa-2020"
    sentence = json.loads(run["output"])["summary"]["sentence"]
    assert sentence == "1 published, 0 skipped, 177 absent, 0 failed of 178 seeded"


@dataclass(frozen=True)
class Pushed:
    """A stage with a repository of its own, deployed, and what pushing its image asked of docker."""

    assembly: Path
    docker_asked: list[str]


@pytest.fixture(scope="module")
def prod(desk: Desk, bootstrapped: str) -> Iterator[Pushed]:
    """The stage prod, for arm64."""
    assembly = desk.synth("prod", image_repository=True, architecture="arm64", termination_protection=False)
    desk.docker_asked()
    desk.cdk(assembly, "deploy", f"{OWN}-image", "--require-approval=never")
    said = desk.run(".venv/bin/python", "-m", "scripts.push_image", OWN, f"--assembly={assembly}")
    assert "is pushed" in said
    asked = desk.docker_asked()
    desk.cdk(assembly, "deploy", "--all", "--require-approval=never")
    assert desk.docker_asked() == [], "the CDK has no image to build here"
    yield Pushed(assembly, asked)
    desk.cdk(assembly, "destroy", "--all", "--force")
    assert (desk.stack_status(OWN), desk.stack_status(f"{OWN}-image")) == ("GONE", "GONE")


def test_an_image_is_pushed_to_the_repository_of_the_stage(desk: Desk, prod: Pushed) -> None:
    template = json.loads((prod.assembly / f"{OWN}.template.json").read_text())
    image = template["Metadata"][TO_PUSH]
    uri = f"{desk.cloud.account}.dkr.ecr.{desk.cloud.region}.amazonaws.com/alosmosaic-prod:{image['tag']}"
    build, login, push = prod.docker_asked
    folder = prod.assembly / image["folder"]
    assert build == f"build --platform=linux/arm64 --file={folder / image['dockerfile']} --tag={uri} {folder}"
    assert login.startswith("login --username=AWS --password-stdin https://")
    assert push == f"push {uri}"
    functions = desk.cloud.client("lambda").list_functions()["Functions"]
    (worker,) = (f for f in functions if f["PackageType"] == "Image" and f["FunctionName"].startswith(OWN))
    assert worker["Architectures"] == ["arm64"]
    found = desk.cloud.client("lambda").get_function(FunctionName=worker["FunctionName"])
    assert found["Code"]["ImageUri"] == uri
