"""The Lambda functions: each with a role, a log group and a published version of its own."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from alos_mosaic import naming
from alos_mosaic.costs import Architecture
from alos_mosaic.settings import RedriveSettings, SeedSettings, SummarySettings, TileSettings
from infra import assets
from infra.config import StackConfig
from infra.encryption import Encryption
from infra.images import tile_image
from infra.network import Network
from infra.permissions import accept, allow
from infra.queues import Queues
from infra.storage import Storage, log_retention

TILE_TIMEOUT: Final = cdk.Duration.minutes(15)
"""Lambda's longest."""

_RUNTIME: Final = lambda_.Runtime.PYTHON_3_13
_ARCHITECTURES: Final = {
    Architecture.X86_64: lambda_.Architecture.X86_64,
    Architecture.ARM64: lambda_.Architecture.ARM_64,
}
_RUNTIME_REASON: Final = (
    "One Python for all functions: 3.13 is the base of the tile image, which its pinned wheels were checked for. "
    "A newer one is a change of the Dockerfile, the pins and this line together."
)


class Functions(Construct):
    """The functions of the workflow, each allowed to do only what it does."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        storage: Storage,
        queues: Queues,
        encryption: Encryption,
        network: Network,
    ) -> None:
        """Create the layer and the functions."""
        super().__init__(scope, construct_id)
        self._config, self._storage, self._queues = config, storage, queues
        self._encryption, self._network = encryption, network
        self._layer = lambda_.LayerVersion(
            self,
            "Package",
            code=assets.layer_code(),
            compatible_runtimes=[_RUNTIME],
            description="alos_mosaic without its raster processing",
        )
        self.seed_tiles = self._seed_tiles()
        self.redrive_tiles = self._redrive_tiles()
        self.process_tile = self._process_tile()
        self.summarise_run = self._summarise_run()

    def _seed_tiles(self) -> lambda_.Function:
        settings = SeedSettings(
            runs_bucket=self._storage.runs.bucket_name,
            output_uri=self._storage.output_uri,
            default_region=self._config.default_region,
            **self._limits(),
        )
        role = self._role("SeedTiles")
        self._allow_listing_tiles(role)
        return self._zip_function(
            "SeedTiles",
            "seed_tiles",
            role=role,
            description="Checks a run's input and lists its tiles in a manifest",
            environment=settings.to_env(),
        )

    def _redrive_tiles(self) -> lambda_.Function:
        settings = RedriveSettings(
            runs_bucket=self._storage.runs.bucket_name,
            output_uri=self._storage.output_uri,
            dead_letter_queue_url=self._queues.dead_letters.queue_url,
            **self._limits(),
        )
        role = self._role("RedriveTiles")
        self._allow_listing_tiles(role)
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        allow(role, actions, [self._queues.dead_letters.queue_arn])
        self._encryption.allow_reading(role, "sqs")
        return self._zip_function(
            "RedriveTiles",
            "redrive_tiles",
            role=role,
            description="Takes failed tiles out of the dead-letter queue and lists them in a manifest",
            environment=settings.to_env(),
        )

    def allow_listing_runs(self, state_machine: sfn.StateMachine) -> None:
        """Let the functions that begin a run see whether another one is going on.

        A policy of its own: the state machine is created after its functions, so their roles can't name it.
        """
        roles = [function.role for function in (self.seed_tiles, self.redrive_tiles) if function.role is not None]
        policy = iam.Policy(self, "ListRuns", roles=roles)
        policy.add_statements(
            iam.PolicyStatement(actions=["states:ListExecutions"], resources=[state_machine.state_machine_arn])
        )

    def _limits(self) -> dict[str, int]:
        config = self._config
        return {
            "default_max_concurrency": config.default_max_concurrency,
            "max_concurrency_ceiling": config.max_concurrency_ceiling,
            "max_tiles_ceiling": config.max_tiles_ceiling,
        }

    def _allow_listing_tiles(self, role: iam.Role) -> None:
        """Let a function write manifests, read earlier ones, and see when a tile was published."""
        runs, output = self._storage.runs, self._storage.output
        manifests = naming.manifest_key("*")
        self._encryption.allow_writing(role, "s3")
        allow(
            role,
            ["s3:PutObject", "s3:GetObject"],
            [runs.arn_for_objects(manifests)],
            because="One manifest a run; runs are named when they start.",
        )
        # Without leave to list, S3 answers 403 for what is missing, too.
        allow(role, ["s3:ListBucket"], [runs.bucket_arn], conditions={"StringLike": {"s3:prefix": [manifests]}})
        patterns = self._storage.product_patterns
        allow(
            role,
            ["s3:GetObject"],
            [output.arn_for_objects(f"{pattern}{naming.ITEM_ENDING}") for pattern in patterns],
            because="The item of any tile of any year tells since when it is published.",
        )
        allow(role, ["s3:ListBucket"], [output.bucket_arn], conditions={"StringLike": {"s3:prefix": patterns}})

    def _process_tile(self) -> lambda_.Function:
        config, storage = self._config, self._storage
        settings = TileSettings(
            output_uri=storage.output_uri,
            runs_bucket=storage.runs.bucket_name,
            source_uri=config.source_uri,
            source_secret_name=config.source_secret_name,
            source_timeout_seconds=config.source_timeout_seconds,
            transfer_limit_seconds=config.transfer_limit_seconds,
            cell_pixels=config.cell_pixels,
            codec=config.codec,
            backscatter_overviews=config.backscatter_overviews,
            extra_layouts=config.extra_layouts,
            allow_plain_login=config.allow_plain_login,
            requester_pays=config.requester_pays,
        )
        architecture = Architecture(config.architecture)
        role = self._role("ProcessTile")
        self._allow_publishing(role)
        self._network.allow_joining(role)
        if config.source_uri.startswith("s3://"):
            self._allow_reading_mirror(role, config.source_uri)
        if config.source_secret_name:
            self._allow_reading_secret(role, config.source_secret_name)
        return lambda_.DockerImageFunction(
            self,
            "ProcessTile",
            code=tile_image(self, config),
            architecture=_ARCHITECTURES[architecture],
            memory_size=config.memory_mib,
            ephemeral_storage_size=cdk.Size.mebibytes(config.ephemeral_storage_mib),
            timeout=TILE_TIMEOUT,
            description="Turns one tile of one year into COGs and a published STAC item",
            environment=settings.to_env(),
            **self._network.function_properties,
            **self._common("ProcessTile", role),
        )

    def _summarise_run(self) -> lambda_.Function:
        config, runs = self._config, self._storage.runs
        settings = SummarySettings(
            runs_bucket=runs.bucket_name,
            failure_limit_percent=config.failure_limit_percent,
            absent_limit_percent=config.absent_limit_percent,
            dead_letter_queue_url=self._queues.dead_letters.queue_url,
        )
        role = self._role("SummariseRun")
        allow(role, ["sqs:SendMessage"], [self._queues.dead_letters.queue_arn])
        self._encryption.allow_writing(role, "sqs")
        self._encryption.allow_writing(role, "s3")
        everything = naming.run_prefix("*") + "*"
        allow(
            role,
            ["s3:GetObject"],
            [runs.arn_for_objects(everything)],
            because="The summary reads the manifest and every result of whichever run has ended.",
        )
        allow(role, ["s3:ListBucket"], [runs.bucket_arn], conditions={"StringLike": {"s3:prefix": [everything]}})
        allow(
            role,
            ["s3:PutObject"],
            [runs.arn_for_objects(naming.summary_key("*"))],
            because="One summary a run; runs are named when they start.",
        )
        return self._zip_function(
            "SummariseRun",
            "summarise_run",
            role=role,
            description="Compares a run's results with its manifest and writes its summary",
            environment=settings.to_env(),
        )

    def _allow_publishing(self, role: iam.Role) -> None:
        """Let the worker read and write products, stage them, and leave its result; nothing else."""
        output, patterns = self._storage.output, self._storage.product_patterns
        runs, staging = self._storage.runs, naming.staging_prefix("*") + "*"
        self._encryption.allow_writing(role, "s3")
        allow(
            role,
            # It deletes what only the item named that it has replaced.
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [output.arn_for_objects(pattern) for pattern in patterns],
            because="The worker publishes any tile of any year below its products' folders.",
        )
        # The worker lists a tile's folder to know what is there: asked for a missing key, S3 may answer 403.
        allow(role, ["s3:ListBucket"], [output.bucket_arn], conditions={"StringLike": {"s3:prefix": patterns}})
        allow(
            role,
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [runs.arn_for_objects(staging)],
            because="What is not finished waits below the run's prefix; runs are named when they start.",
        )
        allow(role, ["s3:ListBucket"], [runs.bucket_arn], conditions={"StringLike": {"s3:prefix": [staging]}})
        allow(
            role,
            ["s3:PutObject"],
            [runs.arn_for_objects(naming.results_prefix("*") + "*")],
            because="One result a tile of a run; runs are named when they start.",
        )

    def _allow_reading_mirror(self, role: iam.Role, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").strip("/").partition("/")
        arn = cdk.Stack.of(self).format_arn(service="s3", region="", account="", resource=bucket)
        pattern = f"{prefix}/*" if prefix else "*"
        allow(role, ["s3:GetObject"], [f"{arn}/{pattern}"], because="The mirror holds every archive of every year.")
        allow(role, ["s3:ListBucket"], [arn], conditions={"StringLike": {"s3:prefix": [pattern]}})

    def _allow_reading_secret(self, role: iam.Role, name: str) -> None:
        # Secrets Manager appends a hyphen and six characters of its own to a secret's name.
        secret = cdk.Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{name}-??????",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        allow(role, ["secretsmanager:GetSecretValue"], [secret])

    def _zip_function(
        self, name: str, folder: str, *, role: iam.Role, description: str, environment: dict[str, str]
    ) -> lambda_.Function:
        function = lambda_.Function(
            self,
            name,
            runtime=_RUNTIME,
            architecture=lambda_.Architecture.X86_64,
            handler=assets.handler(folder),
            code=assets.zip_code(folder),
            layers=[self._layer],
            # Memory buys CPU and network, too; the largest run's results are 25,000 small objects.
            memory_size=1024,
            timeout=cdk.Duration.minutes(15),
            description=description,
            environment=environment,
            **self._common(name, role),
        )
        accept(function, "AwsSolutions-L1", because=_RUNTIME_REASON)
        return function

    def _role(self, name: str) -> iam.Role:
        return iam.Role(
            self,
            f"{name}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What the function {name} may do",
        )

    def _common(self, name: str, role: iam.Role) -> dict[str, Any]:
        """Return what every function has: its role, a log group that only it writes, versions that stay."""
        log_group = logs.LogGroup(
            self,
            f"{name}Log",
            log_group_name=f"/aws/lambda/{cdk.Stack.of(self).stack_name}-{name}",
            retention=log_retention(self._config),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        allow(role, ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn])
        return {
            "role": role,
            "log_group": log_group,
            # A run that is under way goes on with the version it started with, also when the next one is deployed.
            "current_version_options": lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN),
        }
