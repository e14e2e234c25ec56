"""The buckets: what is published, what runs leave behind, who looked at either."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from alos_mosaic import naming
from alos_mosaic.layouts import Layout, tree_roots
from alos_mosaic.products import PRODUCTS
from infra.config import LOG_RETENTIONS, OWN_BUCKET, StackConfig
from infra.encryption import Encryption


class Storage(Construct):
    """The output bucket (created or given), the bucket of run records and the one of access logs."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig, encryption: Encryption) -> None:
        """Create the buckets; the output bucket outlives the stack, whatever the settings say."""
        super().__init__(scope, construct_id)
        self._key = encryption.key
        removal = cdk.RemovalPolicy.RETAIN if config.removal == "retain" else cdk.RemovalPolicy.DESTROY
        self._prefix = f"{config.output_prefix}/" if config.output_prefix else ""
        self._access_logs = self._bucket("AccessLogs", removal, expires_after_days=config.log_retention_days)
        self.runs = self._bucket("Runs", removal, expires_after_days=config.runs_expiry_days)
        self.runs.add_lifecycle_rule(
            prefix=naming.STAGING_FOLDER, expiration=cdk.Duration.days(config.staging_expiry_days)
        )
        self.output = self._output_bucket(config)
        self._archives_bucket, self._archives_folder = self._archives(config.keep_archives_in)

    @property
    def output_uri(self) -> str:
        """Where the products' folders lie, as ``s3://bucket`` or ``s3://bucket/prefix``."""
        return f"s3://{self.output.bucket_name}/{self._prefix}".rstrip("/")

    @property
    def product_patterns(self) -> list[str]:
        """Patterns of the keys that may be published: each product's folder, nothing beside them."""
        return [f"{self._prefix}{product}/*" for product in sorted(PRODUCTS)]

    @property
    def archives(self) -> s3.IBucket | None:
        """Where raw archives are kept; None where they are not."""
        return self._archives_bucket

    @property
    def archives_uri(self) -> str | None:
        """The same as ``s3://bucket`` or ``s3://bucket/folder``."""
        if self._archives_bucket is None:
            return None
        return f"s3://{self._archives_bucket.bucket_name}/{self._archives_folder}".rstrip("/")

    def archive_patterns(self, layouts: Iterable[Layout]) -> list[str]:
        """Return patterns of the keys that archives may have by these layouts: the server's tree, nothing beside it."""
        return [f"{self._archives_folder}{root}/*" for root in tree_roots(layouts)]

    def _archives(self, kept_in: str | None) -> tuple[s3.IBucket | None, str]:
        """Return the bucket in which archives are kept, and the folder in it with its closing slash."""
        if kept_in is None:
            return None, ""
        if kept_in == OWN_BUCKET:
            return self._bucket("Archives", cdk.RemovalPolicy.RETAIN), ""
        name, _, folder = kept_in.removeprefix("s3://").partition("/")
        return s3.Bucket.from_bucket_name(self, "Archives", name), f"{folder}/" if folder else ""

    def _output_bucket(self, config: StackConfig) -> s3.IBucket:
        if config.output_bucket_name:
            return s3.Bucket.from_bucket_name(self, "Output", config.output_bucket_name)
        bucket = self._bucket("Output", cdk.RemovalPolicy.RETAIN, versioned=config.output_versioning)
        if config.output_versions_expiry_days is not None:
            bucket.add_lifecycle_rule(
                noncurrent_version_expiration=cdk.Duration.days(config.output_versions_expiry_days),
                expired_object_delete_marker=True,
            )
        return bucket

    def _bucket(
        self,
        name: str,
        removal: cdk.RemovalPolicy,
        *,
        expires_after_days: int | None = None,
        versioned: bool = False,
    ) -> s3.Bucket:
        """Return a private, encrypted bucket; an upload that was broken off is gone after a day.

        Its policy, by which it is only read over TLS, goes or stays with it.
        """
        rule = s3.LifecycleRule(
            abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
            expiration=cdk.Duration.days(expires_after_days) if expires_after_days else None,
        )
        is_log = name == "AccessLogs"
        # S3 delivers access logs only into buckets that it encrypts with keys of its own.
        key = None if is_log else self._key
        bucket = s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,  # asks KMS once a while, not once an object
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[rule],
            versioned=versioned or None,
            removal_policy=removal,
            server_access_logs_bucket=None if is_log else self._access_logs,
            server_access_logs_prefix=None if is_log else f"{name.lower()}/",
        )
        if bucket.policy is not None:
            bucket.policy.apply_removal_policy(removal)
        return bucket


def log_retention(config: StackConfig) -> cdk.aws_logs.RetentionDays:
    """Return how long log groups keep their lines, as the CDK spells it."""
    return cdk.aws_logs.RetentionDays[LOG_RETENTIONS[config.log_retention_days]]
