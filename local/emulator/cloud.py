"""The emulated cloud as tests, the demo and benchmarks see it."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.emulator import lifeline
from local.emulator.assembly import Placeholders, Stack, read_stack
from local.emulator.environment import ACCOUNT, CREDENTIALS, certificate_of, inherited_environment
from local.emulator.stacks import deploy_stack

_START_LIMIT_SECONDS = 60.0
_END_LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.02


class CloudError(Exception):
    """The emulator did not start, or an execution did not end in time."""


class Cloud:
    """A running emulator."""

    account = ACCOUNT
    region = "us-east-1"

    def __init__(self, endpoint_url: str, folder: Path) -> None:
        """Talk to the emulator at ``endpoint_url`` that keeps its files in ``folder``."""
        self.endpoint_url = endpoint_url
        self.folder = folder
        self._session = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
        )
        self._clients: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What has AWS' tools, and `alos-mosaic`, talk to it: variables to export."""
        return {"AWS_ENDPOINT_URL": self.endpoint_url, "AWS_REGION": self.region, **CREDENTIALS}

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator, the same one each time: ``cloud.client("s3")``."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                cast("Any", service),
                endpoint_url=self.endpoint_url,
                verify=str(certificate_of(self.folder)) if self.endpoint_url.startswith("https:") else None,
                config=Config(
                    s3={"addressing_style": "path"},
                    retries={"total_max_attempts": 1},
                    read_timeout=900,  # an invocation may take as long as Lambda lets it
                    max_pool_connections=64,
                ),
            )
        return self._clients[service]

    def deploy(self, assembly: Path, stack_name: str, parameters: Mapping[str, str] | None = None) -> dict[str, str]:
        """Do what ``cdk deploy`` does with a synthesized ``cdk.out``, and return the stack's outputs.

        Deploying a name again updates its stack. Images are not built: their functions run the repository's code.

        Raises:
            AssemblyError: no such stack in the assembly, or it is meant for another account or region.
            DeploymentError: the stack failed, with its events' reasons.
        """
        stack = read_stack(assembly, stack_name, Placeholders(self.account, self.region))
        self._bootstrap(stack)
        for asset in stack.files:
            self.client("s3").put_object(Bucket=asset.bucket, Key=asset.key, Body=asset.read())
        template = {"TemplateURL": f"{self.endpoint_url}/{stack.template_bucket}/{stack.template_key}"}
        return deploy_stack(
            self.client("cloudformation"), stack.name, template, {**stack.parameters, **(parameters or {})}
        )

    def run_execution(
        self, state_machine_arn: str, name: str, execution_input: Mapping[str, Any], timeout_seconds: float
    ) -> dict[str, Any]:
        """Start an execution, wait for its end and return what ``describe_execution`` says.

        Raises:
            CloudError: it still runs after ``timeout_seconds``.
        """
        states = self.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(execution_input))
        return self.await_end(arn["executionArn"], timeout_seconds)

    def await_end(self, execution_arn: str, timeout_seconds: float) -> dict[str, Any]:
        """Wait for the end of an execution that somebody started, and return what ``describe_execution`` says.

        Raises:
            CloudError: it still runs after ``timeout_seconds``.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            execution: dict[str, Any] = self.client("stepfunctions").describe_execution(executionArn=execution_arn)
            if execution["status"] != "RUNNING":
                return execution
            time.sleep(_POLL_SECONDS)
        raise CloudError(f"{execution_arn} still runs after {timeout_seconds} s")

    def bucket_folder(self, bucket: str) -> Path:
        """The folder that holds a bucket's objects as plain files, each with a ``.meta.json`` beside it."""
        return self.folder / "s3" / self.account / bucket

    def function_log(self, function_name: str) -> Path:
        """What the function's workers wrote, all invocations in the order in which they ended."""
        return self.folder / "logs" / f"{function_name}.log"

    def close(self) -> None:
        """Close the clients' connections."""
        for client in self._clients.values():
            client.close()

    def _bootstrap(self, stack: Stack) -> None:
        """Make what ``cdk bootstrap`` leaves in an account: the asset bucket and its version's parameter."""
        for bucket in {asset.bucket for asset in stack.files}:
            with suppress(self.client("s3").exceptions.BucketAlreadyOwnedByYou):
                self.client("s3").create_bucket(Bucket=bucket)
        with suppress(ClientError):  # it is there already
            self.client("ssm").put_parameter(Name=stack.bootstrap_version_parameter, Value="30", Type="String")


@contextmanager
def running_cloud(
    folder: Path, repo: Path, wait_scale: float = 1.0, hooks: Path | None = None, *, enforce: bool = False
) -> Iterator[Cloud]:
    """Run the emulator in a process of its own for as long as the context lasts.

    Args:
        folder: where all it writes goes; ``emulator.log`` in it is its log.
        repo: the repository, whose code the image functions run.
        wait_scale: factor for the delays of Wait and Retry in state machines; 0 skips them.
        hooks: a folder that workers import from first of all: a ``sitecustomize`` in it can make things go wrong.
        enforce: whether policies of IAM, queues, buckets and topics are enforced; functions then have their roles'
            credentials, and all talk TLS. The clients here are the account's root user.

    Raises:
        CloudError: it did not start.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    server = _start_server(folder, repo.resolve(), wait_scale, hooks, enforce=enforce)
    try:
        cloud = Cloud(_await_endpoint(server, folder), folder)
        try:
            yield cloud
        finally:
            cloud.close()
    finally:
        _end(server)


def _start_server(
    folder: Path, repo: Path, wait_scale: float, hooks: Path | None, *, enforce: bool
) -> "subprocess.Popen[bytes]":
    (folder / "endpoint").unlink(missing_ok=True)
    options = ["--folder", str(folder), "--repo", str(repo), "--wait-scale", str(wait_scale), "--region", Cloud.region]
    options += [] if hooks is None else ["--hooks", str(hooks.resolve())]
    options += ["--enforce"] if enforce else []
    with (folder / "emulator.log").open("ab") as log:
        return subprocess.Popen(
            lifeline.command("-m", "local.emulator.server", *options),
            cwd=Path(__file__).resolve().parents[2],
            env={**inherited_environment(), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for whoever started us; it closes us in turn
        )


def _await_endpoint(server: "subprocess.Popen[bytes]", folder: Path) -> str:
    """Wait for the server to say where it listens; connections then wait in its socket until it is ready."""
    deadline = time.monotonic() + _START_LIMIT_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if (folder / "endpoint").exists():
            return (folder / "endpoint").read_text()
        time.sleep(_POLL_SECONDS)
    raise CloudError(
        f"the emulator did not start; the end of its log:\n{(folder / 'emulator.log').read_text()[-2000:]}"
    )


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_END_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
