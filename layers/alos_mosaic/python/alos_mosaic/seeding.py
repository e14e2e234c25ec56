"""Seeding: from a run's request to its manifest, the list of tiles the state machine fans out over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import ArchiveKind, known_years, tiles_of_any_year, tiles_of_year
from alos_mosaic.manifests import is_within_caps, manifest_of, seeded, write_manifest
from alos_mosaic.messages import Mode, ResumeRequest, RunRequest, TileRequest, TileYear
from alos_mosaic.parallel import refuse_second_run
from alos_mosaic.probing import probe_source
from alos_mosaic.publication import Publications
from alos_mosaic.settings import SeedSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient


def tiles_to_seed(request: RunRequest) -> tuple[TileYear, ...]:
    """Return the tiles of a run, as :func:`tiles_to_try` does; :class:`InvalidRequestError` if there is none."""
    tiles = tiles_to_try(request)
    if not tiles:
        raise InvalidRequestError(f"{none_of(request)}; name them (tiles, --tiles) to have them tried all the same")
    return tiles


def tiles_to_try(request: RunRequest) -> tuple[TileYear, ...]:
    """Return the tiles of a selection that JAXA may have, years first, each once; there may be none.

    Of a region or a box those that the inventory knows for the year; of a year that it does not know, all that exist
    in any year. Tiles that were named are tried as asked: what JAXA lacks comes out absent.
    """
    return tuple(
        TileYear(year, tile)
        for year in request.years
        for tile in request.tiles
        if request.are_named or tile in _published(year, ArchiveKind.of_product(request.product))
    )


def none_of(request: RunRequest) -> str:
    """Say that there is no tile to try of a selection."""
    years = ", ".join(map(str, request.years))
    return f"JAXA publishes none of the selected tiles ({len(request.tiles):,}) in {years}, as far as its listings tell"


def _published(year: int, kind: ArchiveKind) -> frozenset[Tile]:
    return tiles_of_year(year, kind) if year in known_years(kind) else tiles_of_any_year(kind)


def seed_run(event: dict[str, Any], settings: SeedSettings, s3: S3Client, states: SFNClient) -> dict[str, Any]:
    """Write the manifest of a run and return where it lies and how it is to be worked off.

    ``event`` holds the run's name, its execution and state machine, and the execution's input as it came;
    :class:`InvalidRequestError` if the input makes no sense or selects nothing that JAXA publishes,
    :class:`~alos_mosaic.errors.RunGoingOnError` if another run is going on,
    :class:`~alos_mosaic.errors.SourceUnavailableError` if the source does not answer, which only a run needs that
    fetches archives. A run above its caps writes nothing. Only pointers and numbers are returned: lists travel through
    S3.
    """
    run, given, bucket = event["run"], event["input"], settings.runs_bucket
    request: RunRequest | ResumeRequest
    if isinstance(given, dict) and "resume" in given:
        request = ResumeRequest.from_input(given)
        requests, first_runs = _resumed(request, settings, s3)
    else:
        request = RunRequest.from_input(given, settings.default_region)
        requests, first_runs = request.requests(tiles_to_seed(request)), {}
    seed = seeded(run, bucket, requests, settings, request)
    if is_within_caps(seed):
        if not request.allow_parallel:
            refuse_second_run(s3, states, bucket, event["state_machine"], event["execution"])
        if any(each.mode is not Mode.METADATA_ONLY for each in requests):
            probe_source(settings, s3)
        write_manifest(s3, bucket, run, requests, first_runs=first_runs)
    return seed


def _resumed(
    request: ResumeRequest, settings: SeedSettings, s3: S3Client
) -> tuple[tuple[TileRequest, ...], dict[TileRequest, str]]:
    """Return the tiles of an earlier run that were not published since it was seeded."""
    manifest = manifest_of(s3, settings.runs_bucket, request.run)
    requests = (
        replace(each, since=each.since or manifest.written, staged_in=each.staged_in or request.run)
        for each in manifest.requests
    )
    missing = Publications(s3, settings.output_uri).missing(requests)
    return missing, dict.fromkeys(missing, request.run)
