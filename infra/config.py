"""What a deployment can choose: typed, checked, each with a default that is safe to deploy.

A setting is a field of :class:`StackConfig`: its type, its rule and its docstring are all there is to say about it.
``infra/stages.py`` reads them from a stage's file and from CDK context; ``docs/configuration.md`` is made from here,
with the comments between the fields as its headings (``make docs``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from alos_mosaic import settings
from alos_mosaic.bands import BACKSCATTER_OVERVIEWS
from alos_mosaic.costs import ASSUMED_MEGABYTES_PER_SECOND, Architecture, cheapest
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import CELLS_PER_TILE, tiles_of_region
from alos_mosaic.invocations import TRANSFER_LIMIT_SECONDS, longest_silence_seconds
from alos_mosaic.messages import parse_year
from alos_mosaic.probing import SCHEMES
from alos_mosaic.runbook import DEFAULT_URL
from infra.fields import ConfigError, fields_of
from infra.rules import BUCKET, Between, Matching, OneOf, Passing
from infra.schedules import is_schedule

STATE_LIMIT_BYTES: Final = 256 * 1024
"""Step Functions' limit for what passes between states (https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html)."""

CHILD_OUTPUT: Final = "{},"
"""What one tile adds to the Distributed Map's output; the hard cap times this must stay below the limit."""

LOG_RETENTIONS: Final = {30: "ONE_MONTH", 90: "THREE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR"}
"""Days and what the CDK calls them."""
OWN_BUCKET: Final = "own"
"""Stands for a bucket of the stack's in place of an existing one's URI."""

ECR_IMAGE: Final = (
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[a-z0-9][a-z0-9._/-]*)"
    r"(:(?P<tag>\w[\w.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
)
"""An image in ECR, which is where Lambda takes images from."""

NO_KEY: Final = "none"
NEW_KEY: Final = "new"

_CHEAPEST: Final = cheapest(CELLS_PER_TILE)
"""What makes a full tile for the least money (docs/cost.md)."""
_MOST_BUDGET_ADDRESSES: Final = 10
"""AWS takes no more for a budget's notification."""
_MOST_TAGS: Final = 40
"""AWS allows 50 on a resource; CloudFormation and the CDK add some."""


_SCHEMES: Final = sorted(SCHEMES - {"file"})
"""What a source may be asked by from the cloud, where no disk holds archives."""
_SOURCE: Final = (
    rf"s3://{BUCKET}(/[^\s@?#]*)?|({'|'.join(each for each in _SCHEMES if each != 's3')})://[^\s@?#/][^\s@?#]*"
)


def _is_region(name: str) -> bool:
    try:
        return bool(tiles_of_region(name))
    except InvalidRequestError:
        return False


def _are_tags(tags: Mapping[str, str]) -> bool:
    return len(tags) <= _MOST_TAGS and all(
        re.fullmatch(r"(?!aws:)[\w\s.:/=+@-]{1,128}", key) and re.fullmatch(r"[\w\s.:/=+@-]{0,256}", value)
        for key, value in tags.items()
    )


@dataclass(frozen=True)
class StackConfig:
    """The settings of one deployment."""

    # Account
    account: Annotated[str | None, Matching("[0-9]{12}", "the 12 digits of an AWS account")] = None
    """The account to deploy into; without one it is the account of whoever deploys. Deploying elsewhere is refused."""
    region: Annotated[str | None, Matching("[a-z]{2}(-[a-z]+)+-[0-9]", "a region like eu-west-1")] = None
    """The region to deploy into; without one it is the region of whoever deploys."""
    tags: Annotated[
        Mapping[str, str], Passing(_are_tags, f"a table of at most {_MOST_TAGS} tags as AWS allows them, none aws:")
    ] = field(default_factory=dict)
    """Tags of everything that can have tags."""
    permissions_boundary: Annotated[
        str | None,
        Matching(r"[\w+=,.@-]{1,128}|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+", "a managed policy's name or ARN"),
    ] = None
    """Managed policy that bounds what every role of the stack can do, whatever its own policies say."""

    # Output
    output_bucket_name: Annotated[str | None, Matching(BUCKET, "the name of an S3 bucket")] = None
    """An existing bucket to publish into; without one the stack creates a bucket, which outlives the stack."""
    output_prefix: Annotated[
        str, Matching("|[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", "a folder without slash at its ends")
    ] = ""
    """Folder in the output bucket below which the products lie; none by default."""
    output_versioning: bool = False
    """Whether the bucket that the stack creates keeps what is replaced or removed."""
    output_versions_expiry_days: Annotated[int | None, Between(1, 3650)] = None
    """With `output_versioning`: what was replaced or removed is deleted after so many days; without it never."""
    kms_key: Annotated[
        str,
        Matching(
            f"{NO_KEY}|{NEW_KEY}|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{{12}}:key/[A-Za-z0-9-]+",
            f"{NO_KEY}, {NEW_KEY} or the ARN of a KMS key (not of an alias)",
        ),
    ] = NO_KEY
    """What encrypts buckets, queue and topic: `none` (keys that S3 and SQS manage), `new` (the stack creates a key
    that is rotated every year and always outlives it), or the ARN of a key of yours, which must be that of
    `output_bucket_name` if that bucket has one."""

    # Source
    source_uri: Annotated[
        str, Matching(_SOURCE, f"a URI like ftp://host, without user and password, by {', '.join(_SCHEMES)}")
    ] = settings.DEFAULT_SOURCE_URI
    """Where archives come from."""
    source_secret_name: Annotated[
        str | None, Matching("[A-Za-z0-9/_+=.@-]{1,512}", "the name of a secret, not its ARN")
    ] = None
    """Name of a Secrets Manager secret with the source's username and password; without one access is anonymous. The
    secret's key is AWS's own for secrets, or `kms_key`."""
    allow_plain_login: bool = False
    """Whether that password may travel unencrypted, as it does over ftp://."""
    requester_pays: bool = False
    """Whether this account pays for what is read from an s3:// source."""
    keep_archives_in: Annotated[
        str | None,
        Matching(
            rf"{OWN_BUCKET}|s3://{BUCKET}(/[A-Za-z0-9._-]+)*",
            f"{OWN_BUCKET} or a URI like s3://bucket/folder",
        ),
    ] = None
    """Where raw archives are kept as a mirror that source_uri can name: s3://bucket/folder of an existing bucket, or
    `own` for a bucket that the stack makes and that outlives it; they are not kept by default."""
    extra_layouts: str | None = None
    """Rows tried ahead of the layout table's, as JSON, for archives that JAXA has moved or renamed."""

    # Tile Lambda
    memory_mib: Annotated[int, Between(128, 10_240)] = _CHEAPEST.memory_mib
    """Memory of the tile Lambda, with one vCPU per 1769 MiB; more only pays where the source is very fast."""
    architecture: Annotated[str, OneOf(tuple(map(str, Architecture)))] = _CHEAPEST.architecture.value
    """The tile Lambda's processor: x86_64 or arm64, which is a fifth cheaper and whose image takes an arm64 builder."""
    image_uri: Annotated[
        str | None,
        Matching(
            ECR_IMAGE, "an image in ECR by tag or digest, like 123456789012.dkr.ecr.eu-west-1.amazonaws.com/name:tag"
        ),
    ] = None
    """The tile Lambda's image, built elsewhere for that architecture, in ECR in the region of the stack; without one
    the CDK builds it from the Dockerfile. A digest stays what it is: that a tag moves no deployment notices."""
    image_repository: bool = False
    """Whether the image lies in an ECR repository of the deployment's own, a stack beside it, that scans what is
    pushed: `make push-image` builds and pushes. Otherwise the CDK pushes to its bootstrap repository."""
    ephemeral_storage_mib: Annotated[int, Between(512, 10_240)] = 10_240
    """Size of the tile Lambda's /tmp: an archive, its members and the COGs lie there together."""
    source_timeout_seconds: Annotated[float, Between(1, 300)] = 60.0
    """No byte from the source for so long is SourceUnavailableError. It has to fit in behind `transfer_limit_seconds`,
    twice."""
    transfer_limit_seconds: Annotated[float, Between(1, int(TRANSFER_LIMIT_SECONDS))] = TRANSFER_LIMIT_SECONDS
    """How long an archive's transfer may take in one invocation of 900 seconds before it goes on in the next one: the
    rest is for the work on what came."""
    cell_pixels: Annotated[int, Between(1, 4500)] = 4500
    """Pixels along a 1-degree cell: 4500 is JAXA's 25 m grid; smaller only for trials with synthetic archives."""
    codec: Annotated[str, OneOf(settings.CODECS)] = settings.CODECS[0]
    """How COGs are compressed: deflate, which all readers of TIFF know, or zstd: a little less, and more memory."""
    backscatter_overviews: Annotated[str, OneOf(BACKSCATTER_OVERVIEWS)] = BACKSCATTER_OVERVIEWS[0]
    """How overviews of HH and HV are made: rms (mean of backscatter) or average (the ancestors' mean of amplitudes)."""

    # Network
    vpc_id: Annotated[str | None, Matching("vpc-[0-9a-f]{8,17}", "the id of a VPC")] = None
    """An existing VPC for the tile Lambda and whatever else asks the source; without one they reach the source and AWS
    through Lambda's own network."""
    vpc_subnet_ids: Annotated[tuple[str, ...], Matching("subnet-[0-9a-f]{8,17}", "the id of a subnet")] = ()
    """Private subnets of that VPC, with a route to the source (FTP and HTTPS need a NAT) and to AWS."""
    vpc_security_group_ids: Annotated[tuple[str, ...], Matching("sg-[0-9a-f]{8,17}", "the id of a security group")] = ()
    """Security groups of these functions there; without any the stack makes one: everything out, nothing in."""

    # Runs and their bounds
    default_region: Annotated[str, Passing(_is_region, "a region that the grid knows")] = settings.DEFAULT_REGION
    """What a run covers whose input names no place."""
    default_max_concurrency: Annotated[int, Between(1, 1000)] = settings.DEFAULT_MAX_CONCURRENCY
    """Tiles processed at once where a run's input does not say."""
    max_concurrency_ceiling: Annotated[int, Between(1, 1000)] = settings.MAX_CONCURRENCY_CEILING
    """Tiles processed at once that no run's input can exceed."""
    max_tiles_ceiling: Annotated[int, Between(1, STATE_LIMIT_BYTES // len(CHILD_OUTPUT) - 1)] = (
        settings.MAX_TILES_CEILING
    )
    """Tiles of one run that no run's input can exceed."""
    max_usd_ceiling: Annotated[float, Between(0.01, 1e6)] = settings.MAX_USD_CEILING
    """US dollars that no run may be estimated at above, whatever its input says; docs/cost.md has the formula."""
    assumed_megabytes_per_second: Annotated[float, Between(0.1, 1000)] = ASSUMED_MEGABYTES_PER_SECOND
    """What the estimate takes one connection to the source to give: the slowest of docs/cost.md, so that it is high;
    `alos-mosaic doctor` measures yours."""
    source_failures_tolerated: Annotated[int, Between(0, 25_000)] = 10
    """A run is stopped once the source was down for more tiles than this, each through all its retries, half an hour or
    more. Tiles whose archives alone can't be had (listed and not served, a re-issue under way) do not count."""
    reserved_concurrency: Annotated[int | None, Between(1, 1000)] = None
    """Invocations of the tile Lambda at once that Lambda keeps free for it, and lets it have at most, whoever asks.
    None by default: runs are bounded by `max_concurrency_ceiling`, and what is reserved is taken from the account's
    other functions, for which 100 must remain; a new account often has no more than 10 in all."""
    budget_usd_per_month: Annotated[float | None, Between(1, 1e6)] = None
    """An AWS Budget of so many US dollars a month, which tells `alarm_emails` at 80 % and 100 %, and when 100 % is in
    sight. None by default: it counts what carries the tag `alos-mosaic-stack`, and counts nothing, without a word,
    until whoever pays for the account has activated that tag for cost allocation."""
    failure_limit_percent: Annotated[float, Between(0, 100)] = settings.FAILURE_LIMIT_PERCENT
    """A run with more failed tiles than this ends as failed."""
    absent_limit_percent: Annotated[float, Between(0, 100)] = settings.ABSENT_LIMIT_PERCENT
    """A run ends as failed if more of the tiles that JAXA is known to publish are absent: have its folders moved?"""

    # Watching
    alarm_emails: Annotated[
        tuple[str, ...],
        Matching(
            r"[A-Za-z0-9_.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
            "an e-mail address like ops@example.org",
        ),
    ] = ()
    """Who is told of alarms and of the end of each run; AWS asks each address once whether it wants to be."""
    publish_notifications: bool = False
    """Whether each published item is announced by a message on an SNS topic of its own."""
    tracing: bool = True
    """Whether state machine and functions send traces to X-Ray."""
    runbook_url: Annotated[str, Matching(r"[^\s#]+", "a path or a URL without #")] = DEFAULT_URL
    """Where docs/operations.md can be read: alarms and digests link to its sections."""

    # Schedule
    watch_schedule: Annotated[
        str | None, Passing(is_schedule, "a schedule like rate(7 days) or cron(0 6 ? * MON *)")
    ] = None
    """How often to look for new years and re-issued archives at the source, as EventBridge Scheduler spells it. Never
    by default: each look asks the one server that serves the world."""
    watch_years: Annotated[tuple[str, ...], Matching("[0-9]{4}", "a year like 2020")] = ()
    """Years whose published tiles are compared with the source; without any only new years are looked for."""
    watch_action: Annotated[str, OneOf(settings.WATCH_ACTIONS)] = settings.WATCH_ACTIONS[0]
    """What becomes of news: `notify` tells people, each time until it is published; `refresh` also starts a run over
    what was found first, within the deployment's caps."""

    # Lifecycle
    runs_expiry_days: Annotated[int, Between(15, 3650)] = 90
    """Manifests, results and summaries of runs are deleted after so many days."""
    staging_expiry_days: Annotated[int, Between(1, 3650)] = 7
    """What workers that died left unfinished, and what came of the archives of tiles that failed, is deleted after so
    many days."""
    log_retention_days: Annotated[int, OneOf(tuple(LOG_RETENTIONS))] = 90
    """Logs, also those of access to the buckets, are deleted after so many days; above the 14 that a dead letter lives,
    so that its log can be read."""
    removal: Annotated[str, OneOf(("destroy", "retain"))] = "destroy"
    """What becomes of the buckets of run records and access logs with the stack: destroy or retain. The output bucket,
    that of archives and a key of the stack's own always stay, function logs and dead letters always go."""
    termination_protection: bool = False
    """Whether CloudFormation refuses to delete the stack."""

    def __post_init__(self) -> None:
        """Check every value, and those that depend on one another."""
        for name, setting in fields_of(type(self)).items():
            setting.check(getattr(self, name))
        if self.default_max_concurrency > self.max_concurrency_ceiling:
            raise ConfigError(
                f"default_max_concurrency is {self.default_max_concurrency}, "
                f"above max_concurrency_ceiling, which is {self.max_concurrency_ceiling}"
            )
        if self.staging_expiry_days > self.runs_expiry_days:
            raise ConfigError(
                f"staging_expiry_days is {self.staging_expiry_days}, "
                f"above runs_expiry_days, which is {self.runs_expiry_days} and deletes staging, too"
            )
        if self.requester_pays and not self.source_uri.startswith("s3://"):
            raise ConfigError(f"requester_pays is for a source in s3://, but source_uri is {self.source_uri!r}")
        if self.keep_archives_in is not None and self.keep_archives_in == self.source_uri.rstrip("/"):
            raise ConfigError(
                f"keep_archives_in and source_uri are both {self.keep_archives_in}: nothing is to be kept"
            )
        self._check_bounds()
        self._check_silence()
        self._check_image()
        self._check_output()
        self._check_network()
        try:
            settings.check_plain_http(self.source_uri)
            settings.check_plain_login(self.source_uri, self.source_secret_name is not None, self.allow_plain_login)
            layouts_from_json(self.extra_layouts)
            for year in self.watch_years:
                parse_year(year)
        except InvalidRequestError as error:
            raise ConfigError(str(error)) from error

    def _check_bounds(self) -> None:
        reserved = self.reserved_concurrency
        if reserved is not None and reserved < self.max_concurrency_ceiling:
            raise ConfigError(
                f"reserved_concurrency is {reserved}, below max_concurrency_ceiling, which is "
                f"{self.max_concurrency_ceiling}: a run could ask for more than Lambda lets it have"
            )
        if self.budget_usd_per_month is not None and not 1 <= len(self.alarm_emails) <= _MOST_BUDGET_ADDRESSES:
            raise ConfigError(
                f"budget_usd_per_month is set, so alarm_emails must name who is told: 1 to {_MOST_BUDGET_ADDRESSES}"
            )

    def _check_silence(self) -> None:
        longest = longest_silence_seconds(self.transfer_limit_seconds)
        if self.source_timeout_seconds > longest:
            raise ConfigError(
                f"source_timeout_seconds is {self.source_timeout_seconds:g}, above {longest:g}: with "
                f"transfer_limit_seconds at {self.transfer_limit_seconds:g}, a silence could outlast the worker's "
                "time, and what had come would be lost"
            )

    def _check_image(self) -> None:
        if self.image_uri is None:
            return
        if self.image_repository:
            raise ConfigError("image_uri and image_repository exclude each other; both are set")
        match = re.fullmatch(ECR_IMAGE, self.image_uri)
        if match and self.region not in (None, match["region"]):
            raise ConfigError(
                f"image_uri is an image in {match['region']}, but Lambda takes it from {self.region} only"
            )

    def _check_output(self) -> None:
        if self.output_versioning and self.output_bucket_name:
            raise ConfigError("output_versioning is for a bucket that the stack creates, but output_bucket_name is set")
        if self.output_versions_expiry_days is not None and not self.output_versioning:
            raise ConfigError("output_versions_expiry_days is set, but output_versioning is not")
        if self.kms_key.startswith("arn:") and self.region not in (None, self.kms_key.split(":")[3]):
            raise ConfigError(f"kms_key is {self.kms_key!r}, which is not in region, {self.region}")

    def _check_network(self) -> None:
        if bool(self.vpc_id) is not bool(self.vpc_subnet_ids):
            raise ConfigError("vpc_id and vpc_subnet_ids are only good together; one of them is not set")
        if self.vpc_security_group_ids and not self.vpc_id:
            raise ConfigError("vpc_security_group_ids is set, but vpc_id is not")
