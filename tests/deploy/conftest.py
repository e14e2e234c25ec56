"""An empty account, JAXA's look-alike, and the commands that a person has: the CDK's and AWS's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alos_mosaic.grid import Grid, Tile
from infra.assets import REPOSITORY
from local.archives import place_archive
from local.emulator import Cloud, running_cloud
from local.emulator.environment import CREDENTIALS
from local.jaxa_server import JaxaServer

STACK = "AlosMosaic-dev"
GRID = Grid(cell_pixels=30)
RUN_LIMIT_SECONDS = 120
YEAR, TILE = 2020, Tile.from_name("N10E010")
SMOKED = Tile.from_name("N25W165")
"""What the smoke run asks for unless told."""
STAND_IN = Path(__file__).parent / "docker"


@dataclass(frozen=True)
class Desk:
    """What a person has who deploys: a shell with credentials, the repository, and Docker, which is a stand-in."""

    cloud: Cloud
    folder: Path
    source: JaxaServer

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the person at the keyboard but HOME, where the CDK keeps its unpacked packages."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        nowhere = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
        place = {"AWS_REGION": self.cloud.region, "AWS_DEFAULT_REGION": self.cloud.region}
        docker = {"CDK_DOCKER": str(STAND_IN), "DOCKER_LOG": str(self.folder / "docker.log")}
        return {
            **kept, **nowhere, **place, **docker, **CREDENTIALS, "AWS_ENDPOINT_URL": self.cloud.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def run(self, *command: str | Path, given: str = "") -> str:
        """Run a command in the repository and return what it wrote; fail with that unless it ends well."""
        done = subprocess.run(
            command, check=False, cwd=REPOSITORY, env=self.environment, input=given, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def synth(self, stage: str, **settings: object) -> Path:
        """Synthesize a stage with some settings overridden, and return the assembly."""
        assembly = self.folder / stage
        context = [f"--context=alos-mosaic:{name}={value}" for name, value in {"stage": stage, **settings}.items()]
        self.run("deploy/cdk", "synth", "--quiet", *context, f"--output={assembly}")
        return assembly

    def cdk(self, assembly: Path, *arguments: str) -> str:
        """Run the pinned CDK command on what was synthesized, which else it would do each time."""
        return self.run("deploy/cdk", *arguments, f"--app={assembly}")

    def shell(self, commands: str) -> str:
        """Run lines of shell, as a document has them, with the AWS CLI at hand, and return what they print."""
        tool = REPOSITORY / ".venv-deploy/bin/aws"
        assert tool.exists(), "`make test-deploy` installs the AWS CLI"
        done = subprocess.run(
            ["bash", "-euc", commands], check=False, cwd=REPOSITORY, capture_output=True, text=True,
            env={**self.environment, "PATH": f"{tool.parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stderr}"
        return done.stdout

    def docker_asked(self) -> list[str]:
        """What docker was asked, since this was last asked."""
        log = self.folder / "docker.log"
        asked = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return asked

    def stack_status(self, name: str) -> str:
        """A stack's status, also of one that is gone."""
        stacks = self.cloud.client("cloudformation").describe_stacks()["Stacks"]
        return next((stack["StackStatus"] for stack in stacks if stack["StackName"] == name), "GONE")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("deploy")
    for tile in (TILE, SMOKED):
        place_archive(folder / "mirror", tile, YEAR, GRID, cells=tile.cells[6:9])
    with JaxaServer(folder / "mirror") as source, running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud:
        yield Desk(cloud, folder, source)


@pytest.fixture(scope="session")
def assembly(desk: Desk) -> Path:
    """The stage dev, synthesized by the CDK's command; of a continent's tiles the source has one."""
    settings = {"source_uri": desk.source.url, "cell_pixels": GRID.cell_pixels, "absent_limit_percent": 100}
    return desk.synth("dev", **settings)


@pytest.fixture(scope="session")
def bootstrapped(desk: Desk, assembly: Path) -> str:
    """What the CDK said."""
    return desk.cdk(assembly, "bootstrap")


@dataclass(frozen=True)
class Deployed:
    """A stack that was just deployed, and what the deployment asked of docker."""

    outputs: dict[str, str]
    docker_asked: list[str]


@pytest.fixture(scope="session")
def deployed(desk: Desk, assembly: Path, bootstrapped: str) -> Deployed:
    """The stage dev, with the image built by the CDK."""
    outputs = desk.folder / "outputs.json"
    desk.cdk(assembly, "deploy", "--all", "--require-approval=never", f"--outputs-file={outputs}")
    return Deployed(json.loads(outputs.read_text())[STACK], desk.docker_asked())


@pytest.fixture(scope="session")
def run(desk: Desk, deployed: Deployed) -> dict[str, Any]:
    """A run that was started as the README says, ended."""
    fence = re.search(r"^(aws stepfunctions start-execution .*?)\n```", _section("Run"), re.M | re.S)
    assert fence, "the README starts an execution with the AWS CLI"
    command = fence[1].replace("<StateMachineArn>", deployed.outputs["StateMachineArn"])
    return desk.cloud.await_end(json.loads(desk.shell(command))["executionArn"], RUN_LIMIT_SECONDS)


def _section(heading: str) -> str:
    text = (REPOSITORY / "README.md").read_text()
    return re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.M)[0]
