"""Finding a deployment: by its stack's name, profile and region, as the AWS CLI finds things.

``AWS_ENDPOINT_URL`` leads to an emulator as it leads every other tool there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from alos_mosaic.cli.options import with_options
from alos_mosaic.commands import command_line
from alos_mosaic.costs import TYPICAL_BYTES_PER_SECOND, Architecture, Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.run_records import RunRecords
from alos_mosaic.settings import SeedSettings, TileSettings

if TYPE_CHECKING:
    import boto3

OUTPUTS: Final = frozenset(
    {"StateMachineArn", "OutputBucketName", "RunsBucketName", "DeadLetterQueueUrl", "ProcessTileFunctionName"}
)
"""What a stack of ours says of itself."""

StackOption = Annotated[
    str | None,
    typer.Option("--stack", envvar="ALOS_MOSAIC_STACK", help="The stack's name; not needed where there is only one."),
]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="A profile of the AWS CLI.")]
AwsRegionOption = Annotated[
    str | None,
    typer.Option(
        "--aws-region",
        envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
        help="The stack's AWS region; by default the profile's.",
    ),
]
OPTIONS: Final[Mapping[str, tuple[Any, Any]]] = {
    "stack": (StackOption, None),
    "profile": (ProfileOption, None),
    "aws_region": (AwsRegionOption, None),
}
"""What finds a deployment, as :func:`alos_mosaic.cli.options.with_options` takes it."""


@dataclass(frozen=True)
class Deployment:
    """A deployed stack, and how to reach its parts."""

    stack: str
    outputs: Mapping[str, str]
    session: boto3.Session
    options: Mapping[str, str] = field(default_factory=dict)
    """What found it, as :func:`options_said` has it."""
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def command(self, *words: str) -> str:
        """Return a command of ours to copy, which finds this deployment as it was found here."""
        return command_line(*words, options=self.options)

    def client(self, service: str) -> Any:
        """Return a client of one AWS service, the same one each time, with room for many requests at once."""
        if service not in self._clients:
            self._clients[service] = _client(self.session, service)
        return self._clients[service]

    @functools.cached_property
    def records(self) -> RunRecords:
        """What the deployment's runs have left behind."""
        return RunRecords(self.client("s3"), self.runs_bucket)

    @property
    def state_machine_arn(self) -> str:
        """The state machine that runs are executions of."""
        return self.outputs["StateMachineArn"]

    @property
    def runs_bucket(self) -> str:
        """The bucket of what runs leave behind."""
        return self.outputs["RunsBucketName"]

    @functools.cached_property
    def seed_settings(self) -> SeedSettings:
        """What the deployment's runs default to and are limited by."""
        return SeedSettings.from_env(self._configuration("SeedTilesFunctionName")["Environment"]["Variables"])

    @functools.cached_property
    def tile_settings(self) -> TileSettings:
        """What the deployment's tiles are made with."""
        return TileSettings.from_env(self.tile_function["Environment"]["Variables"])

    @functools.cached_property
    def tile_function(self) -> dict[str, Any]:
        """The tile Lambda's configuration, as Lambda tells it."""
        return self._configuration("ProcessTileFunctionName")

    @property
    def ephemeral_storage_mib(self) -> int:
        """Size of the tile Lambda's /tmp."""
        return int(self.tile_function.get("EphemeralStorage", {}).get("Size", 512))

    @functools.cached_property
    def worker(self) -> Worker:
        """The tile Lambda, as the cost model has it."""
        memory = self.tile_function["MemorySize"]
        return Worker(TYPICAL_BYTES_PER_SECOND, memory, self.architecture, self.ephemeral_storage_mib)

    @property
    def architecture(self) -> Architecture:
        """The tile Lambda's processor."""
        return Architecture(self.tile_function.get("Architectures", [Architecture.X86_64])[0])

    def _configuration(self, output: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client("lambda").get_function_configuration(FunctionName=self.outputs[output])
        return answer


def find(stack: str | None, profile: str | None, aws_region: str | None) -> Deployment:
    """Return the stack of that name or, without one, the only stack of ours that there is.

    :class:`InvalidRequestError` if there is none, or no telling which.
    """
    session = _session(profile, aws_region)
    options = options_said(stack, profile, aws_region)
    pages = session.client("cloudformation").get_paginator("describe_stacks").paginate()
    all_outputs = {
        each["StackName"]: {output["OutputKey"]: output["OutputValue"] for output in each.get("Outputs", ())}
        for page in pages
        for each in page["Stacks"]
    }
    found = {name: outputs for name, outputs in all_outputs.items() if set(outputs) >= OUTPUTS}
    where = session.region_name or "this region"
    if stack is not None:
        if stack not in found:
            others = f"; there is {', '.join(sorted(found))}" if found else ""
            raise InvalidRequestError(f"no stack of alos-mosaic is called {stack} in {where}{others}")
        return Deployment(stack, found[stack], session, options)
    if not found:
        raise InvalidRequestError(
            f"no stack of alos-mosaic is deployed in {where}; name another region (--aws-region) or deploy one "
            "(docs/deploy.md)"
        )
    if len(found) > 1:
        raise InvalidRequestError(
            f"several stacks are deployed in {where}, say which: --stack {' or '.join(sorted(found))}"
        )
    ((name, outputs),) = found.items()
    return Deployment(name, outputs, session, options)


def options_said(stack: str | None, profile: str | None, aws_region: str | None) -> dict[str, str]:
    """Return the options that the next command needs, too, to find the same deployment: not those of the environment.

    >>> options_said("Trial", None, None)
    {'stack': 'Trial'}
    """
    given = {"stack": stack, "profile": profile, "aws_region": aws_region}
    told = {"stack": ["ALOS_MOSAIC_STACK"], "aws_region": ["AWS_REGION", "AWS_DEFAULT_REGION"]}
    in_environment = {
        name: next((os.environ[each] for each in names if os.environ.get(each)), None) for name, names in told.items()
    }
    return {name: value for name, value in given.items() if value is not None and value != in_environment.get(name)}


def client_without_stack(service: str, profile: str | None, aws_region: str | None) -> Any:
    """Return a client of one AWS service, with the credentials and region that find a deployment elsewhere."""
    return _client(_session(profile, aws_region), service)


def _client(session: boto3.Session, service: str) -> Any:
    """Return a client of one AWS service, with room for many requests at once."""
    from botocore.config import Config  # noqa: PLC0415 - it takes a third of a second

    return session.client(service, config=Config(max_pool_connections=32))  # type: ignore[call-overload]


def _session(profile: str | None, aws_region: str | None) -> boto3.Session:
    """Return a session whose clients read times quickly: botocore's way takes half the time of listing a bucket."""
    import boto3  # noqa: PLC0415 - it takes a third of a second, which --help need not wait for
    from botocore.session import Session  # noqa: PLC0415
    from botocore.utils import parse_timestamp  # noqa: PLC0415

    def time_of(value: Any) -> datetime:
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return parse_timestamp(value)

    core = Session(profile=profile)
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=time_of)
    return boto3.Session(region_name=aws_region, botocore_session=core)


def on_deployment(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find a deployment, and hand it what they find as ``deployment``."""
    return with_options(command, "deployment", OPTIONS, find)
