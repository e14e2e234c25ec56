"""The Lambda functions: each with a role, a log group and a published version of its own."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from alos_mosaic import naming
from alos_mosaic.costs import Architecture
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.invocations import LAMBDA_SECONDS
from alos_mosaic.layouts import LAYOUTS
from alos_mosaic.settings import (
    DigestSettings,
    RedriveSettings,
    SeedSettings,
    SummarySettings,
    TileSettings,
    WatchSettings,
)
from infra import assets
from infra.config import StackConfig
from infra.encryption import Encryption
from infra.images import tile_image
from infra.network import Network
from infra.notices import Notices
from infra.permissions import accept, accept_wildcards, allow, allow_asking_for_runs
from infra.queues import Queues
from infra.storage import Storage, log_retention

TILE_TIMEOUT: Final = cdk.Duration.seconds(LAMBDA_SECONDS)

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
        notices: Notices,
    ) -> None:
        """Create the layer and the functions."""
        super().__init__(scope, construct_id)
        self._config, self._storage, self._queues = config, storage, queues
        self._encryption, self._network, self._notices = encryption, network, notices
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
        self.send_digest = self._send_digest()

    def _seed_tiles(self) -> lambda_.Function:
        settings = SeedSettings(
            runs_bucket=self._storage.runs.bucket_name,
            output_uri=self._storage.output_uri,
            default_region=self._config.default_region,
            **self._limits(),
        )
        role = self._role("SeedTiles")
        self._allow_listing_tiles(role)
        self._allow_probing(role)
        return self._zip_function(
            "SeedTiles",
            "seed_tiles",
            role=role,
            description="Checks a run's input and lists its tiles in a manifest",
            environment=settings.to_env(),
            **self._network.function_properties,
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
        self._allow_probing(role)
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        allow(role, actions, [self._queues.dead_letters.queue_arn])
        self._encryption.allow_reading(role, "sqs")
        return self._zip_function(
            "RedriveTiles",
            "redrive_tiles",
            role=role,
            description="Takes failed tiles out of the dead-letter queue and lists them in a manifest",
            environment=settings.to_env(),
            **self._network.function_properties,
        )

    def allow_following_runs(self, state_machine: sfn.StateMachine) -> None:
        """Let the functions that begin a run see whether another one is going on."""
        allow_asking_for_runs(self, "BeginRuns", (self.seed_tiles, self.redrive_tiles), state_machine)

    def _price(self) -> dict[str, Any]:
        config = self._config
        return {
            "memory_mib": config.memory_mib,
            "architecture": config.architecture,
            "ephemeral_storage_mib": config.ephemeral_storage_mib,
            "assumed_megabytes_per_second": config.assumed_megabytes_per_second,
        }

    def _place(self) -> dict[str, Any]:
        stack = cdk.Stack.of(self)
        return {"stack_name": stack.stack_name, "aws_region": stack.region}

    def _limits(self) -> dict[str, Any]:
        config = self._config
        return {
            **self._price(),
            "source_uri": config.source_uri,
            "source_timeout_seconds": config.source_timeout_seconds,
            "requester_pays": config.requester_pays,
            "max_usd_ceiling": config.max_usd_ceiling,
            "default_max_concurrency": config.default_max_concurrency,
            "max_concurrency_ceiling": config.max_concurrency_ceiling,
            "max_tiles_ceiling": config.max_tiles_ceiling,
        }

    def _allow_listing_tiles(self, role: iam.Role) -> None:
        """Let a function write manifests, read earlier ones, and see when a tile was published."""
        runs = self._storage.runs
        manifests = naming.manifest_key("*")
        self._encryption.allow_writing(role, "s3")
        allow(
            role,
            ["s3:PutObject", "s3:GetObject"],
            [runs.arn_for_objects(manifests)],
            because="One manifest a run; runs are named when they start.",
        )
        # A conditional write that compares what is there reads it, too.
        allow(role, ["s3:PutObject", "s3:GetObject"], [runs.arn_for_objects(naming.RUN_LOCK_KEY)])
        # Without leave to list, S3 answers 403 for what is missing, too.
        allow(role, ["s3:ListBucket"], [runs.bucket_arn], conditions={"StringLike": {"s3:prefix": [manifests]}})
        self._allow_reading_items(role)

    def _allow_reading_items(self, role: iam.Role) -> None:
        output, patterns = self._storage.output, self._storage.product_patterns
        allow(
            role,
            ["s3:GetObject"],
            [output.arn_for_objects(f"{pattern}{naming.ITEM_ENDING}") for pattern in patterns],
            because="The item of any tile of any year tells since when it is published.",
        )
        allow(role, ["s3:ListBucket"], [output.bucket_arn], conditions={"StringLike": {"s3:prefix": patterns}})

    def _allow_probing(self, role: iam.Role) -> None:
        """Let a function see whether the source is there, from the worker's network; the secret is not for it."""
        self._network.allow_joining(role)
        if self._config.source_uri.startswith("s3://"):
            self._allow_listing_mirror(role)

    def _source(self) -> dict[str, Any]:
        """Return the settings of whoever opens the source."""
        config = self._config
        return {
            "source_uri": config.source_uri,
            "source_secret_name": config.source_secret_name,
            "source_timeout_seconds": config.source_timeout_seconds,
            "allow_plain_login": config.allow_plain_login,
            "requester_pays": config.requester_pays,
            "extra_layouts": config.extra_layouts,
        }

    def _process_tile(self) -> lambda_.Function:
        config, storage = self._config, self._storage
        settings = TileSettings(
            output_uri=storage.output_uri,
            runs_bucket=storage.runs.bucket_name,
            transfer_limit_seconds=config.transfer_limit_seconds,
            cell_pixels=config.cell_pixels,
            codec=config.codec,
            backscatter_overviews=config.backscatter_overviews,
            metrics_namespace=cdk.Stack.of(self).stack_name,
            items_topic_arn=None if self._notices.items is None else self._notices.items.topic_arn,
            keep_archives_in=storage.archives_uri,
            **self._source(),
        )
        architecture = Architecture(config.architecture)
        role = self._role("ProcessTile")
        self._allow_publishing(role)
        self._network.allow_joining(role)
        if self._notices.items is not None:
            self._notices.allow_publishing(role, self._notices.items)
        if config.source_uri.startswith("s3://"):
            self._allow_reading_mirror(role)
        if storage.archives is not None:
            self._allow_keeping_archives(role, storage.archives)
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
            reserved_concurrent_executions=config.reserved_concurrency,
            description="Turns one tile of one year into COGs and a published STAC item",
            environment=settings.to_env(),
            **self._network.function_properties,
            **self._common("ProcessTile", role),
        )

    def watch_source(self, state_machine: sfn.StateMachine) -> lambda_.Function:
        """Return the function that looks for news at the source, tells people of it, and starts runs if told to.

        It runs the worker's image: it asks the source with the worker's code, and where the source has a login, is the
        only other function that reads the secret.
        """
        config = self._config
        settings = WatchSettings(
            output_uri=self._storage.output_uri,
            topic_arn=self._notices.people.topic_arn,
            state_machine_arn=state_machine.state_machine_arn,
            action=config.watch_action,
            years=",".join(config.watch_years),
            **self._source(),
        )
        architecture = Architecture(config.architecture)
        role = self._role("WatchSource")
        self._allow_reading_items(role)
        self._network.allow_joining(role)
        if config.source_uri.startswith("s3://"):
            self._allow_reading_mirror(role)
        self._encryption.allow_reading(role, "s3")
        self._notices.allow_publishing(role, self._notices.people)
        if config.watch_action == "refresh":
            allow(role, ["states:StartExecution"], [state_machine.state_machine_arn])
        if config.source_secret_name:
            self._allow_reading_secret(role, config.source_secret_name)
        return lambda_.DockerImageFunction(
            self,
            "WatchSource",
            code=tile_image(self, config, "watch_source"),
            architecture=_ARCHITECTURES[architecture],
            memory_size=512,
            timeout=cdk.Duration.minutes(15),
            description="Looks for new years and re-issued archives at the source",
            environment=settings.to_env(),
            **self._network.function_properties,
            **self._common("WatchSource", role),
        )

    def _allow_reading_runs(self, role: iam.Role, *, because: str) -> None:
        runs, everything = self._storage.runs, naming.run_prefix("*") + "*"
        allow(role, ["s3:GetObject"], [runs.arn_for_objects(everything)], because=because)
        allow(role, ["s3:ListBucket"], [runs.bucket_arn], conditions={"StringLike": {"s3:prefix": [everything]}})

    def _summarise_run(self) -> lambda_.Function:
        config, runs = self._config, self._storage.runs
        settings = SummarySettings(
            runs_bucket=runs.bucket_name,
            failure_limit_percent=config.failure_limit_percent,
            absent_limit_percent=config.absent_limit_percent,
            dead_letter_queue_url=self._queues.dead_letters.queue_url,
            **self._place(),
            **self._price(),
        )
        role = self._role("SummariseRun")
        allow(role, ["sqs:SendMessage"], [self._queues.dead_letters.queue_arn])
        self._encryption.allow_writing(role, "sqs")
        self._encryption.allow_writing(role, "s3")
        reason = "The summary reads the manifest and every result of whichever run has ended."
        self._allow_reading_runs(role, because=reason)
        allow(
            role,
            ["s3:PutObject"],
            [runs.arn_for_objects(naming.summary_key("*")), runs.arn_for_objects(naming.report_key("*"))],
            because="One summary and one report a run; runs are named when they start.",
        )
        return self._zip_function(
            "SummariseRun",
            "summarise_run",
            role=role,
            description="Compares a run's results with its manifest and writes its summary and its report",
            environment=settings.to_env(),
        )

    def _send_digest(self) -> lambda_.Function:
        config, runs = self._config, self._storage.runs
        settings = DigestSettings(
            runs_bucket=runs.bucket_name,
            topic_arn=self._notices.people.topic_arn,
            runbook_url=config.runbook_url,
            source_uri=config.source_uri,
            **self._place(),
            **self._price(),
        )
        role = self._role("SendDigest")
        self._notices.allow_publishing(role, self._notices.people)
        self._encryption.allow_writing(role, "s3")
        reason = "The digest is made of the summary, or of manifest and results, of whichever run has ended."
        self._allow_reading_runs(role, because=reason)
        allow(
            role,
            ["s3:PutObject"],
            [runs.arn_for_objects(naming.digest_key("*"))],
            because="One record a run that its digest is sent; runs are named when they start.",
        )
        return self._zip_function(
            "SendDigest",
            "send_digest",
            role=role,
            description="Tells people how a run ended, once",
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
            [
                runs.arn_for_objects(f"{prefix}*")
                for prefix in (naming.outcomes_prefix("*"), naming.results_prefix("*"))
            ],
            because="One result a tile of a run, and a key that tells it in short; runs are named when they start.",
        )

    def _allow_reading_mirror(self, role: iam.Role) -> None:
        arn, pattern = self._mirror()
        allow(role, ["s3:GetObject"], [f"{arn}/{pattern}"], because="The mirror holds every archive of every year.")
        self._allow_listing_mirror(role)

    def _allow_listing_mirror(self, role: iam.Role) -> None:
        arn, pattern = self._mirror()
        allow(role, ["s3:ListBucket"], [arn], conditions={"StringLike": {"s3:prefix": [pattern]}})

    def _mirror(self) -> tuple[str, str]:
        """Return the ARN of the source's bucket and a pattern of the keys in it."""
        bucket, _, prefix = self._config.source_uri.removeprefix("s3://").strip("/").partition("/")
        arn = cdk.Stack.of(self).format_arn(service="s3", region="", account="", resource=bucket)
        return arn, f"{prefix}/*" if prefix else "*"

    def _allow_keeping_archives(self, role: iam.Role, bucket: s3.IBucket) -> None:
        """Let the worker see what the mirror has, and put archives there; it never deletes one."""
        patterns = self._storage.archive_patterns((*LAYOUTS, *layouts_from_json(self._config.extra_layouts)))
        allow(
            role,
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            [bucket.arn_for_objects(pattern) for pattern in patterns],
            because="Archives of any year are kept in the server's own tree.",
        )
        allow(role, ["s3:ListBucket"], [bucket.bucket_arn], conditions={"StringLike": {"s3:prefix": patterns}})

    def _allow_reading_secret(self, role: iam.Role, name: str) -> None:
        # Secrets Manager appends a hyphen and six characters of its own to a secret's name.
        secret = cdk.Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{name}-??????",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        allow(role, ["secretsmanager:GetSecretValue"], [secret])
        self._encryption.allow_reading(role, "secretsmanager")

    def _zip_function(
        self, name: str, folder: str, *, role: iam.Role, description: str, environment: dict[str, str], **network: Any
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
            **network,
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
        if self._config.tracing:
            accept_wildcards(role, ["*"], because="X-Ray knows no resources to limit its actions to.")
        return {
            "role": role,
            "log_group": log_group,
            "logging_format": lambda_.LoggingFormat.JSON,
            "tracing": lambda_.Tracing.ACTIVE if self._config.tracing else lambda_.Tracing.DISABLED,
            # A run that is under way goes on with the version it started with, also when the next one is deployed.
            "current_version_options": lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN),
        }
