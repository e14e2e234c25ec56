"""Is the source there? Asked of real servers, without a login."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import InvalidRequestError, SourceUnavailableError
from alos_mosaic.probing import probe_source
from alos_mosaic.settings import RunLimits
from local.certificates import write_certificate
from local.jaxa_server import Account, JaxaServer
from local.web_server import Answer, WebServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        yield boto3.client("s3")


def probe(url: str, s3: S3Client) -> None:
    probe_source(RunLimits(source_uri=url, source_timeout_seconds=5.0), s3)


def test_an_ftp_server_that_greets_is_there_and_is_asked_for_nothing(tmp_path: Path, s3: S3Client) -> None:
    with JaxaServer(tmp_path, account=Account("me", "s3cret")) as server:
        probe(server.url, s3)
        probe(f"{server.url}/pub", s3)
        url = server.url
    assert set(server.names()) <= {"QUIT"}, "no login"
    with pytest.raises(SourceUnavailableError, match=f"{url} does not answer"):
        probe(url, s3)


def test_a_busy_ftp_server_is_not_there(tmp_path: Path, s3: S3Client) -> None:
    with JaxaServer(tmp_path, max_connections=1) as server:
        place = (server.host, server.port)
        with socket.create_connection(place), pytest.raises(SourceUnavailableError, match="421"):
            probe(server.url, s3)


def test_an_ftps_server_proves_who_it_is(tmp_path: Path, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path / "server.pem")
    with JaxaServer(tmp_path, certificate=certificate) as server:
        with pytest.raises(SourceUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            probe(server.url, s3)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        probe(server.url, s3)
    with JaxaServer(tmp_path) as plain, pytest.raises(SourceUnavailableError):
        probe(plain.url.replace("ftp:", "ftps:"), s3)


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (401, True), (404, True), (500, False), (503, False)])
def test_a_web_server_that_answers_is_there(tmp_path: Path, s3: S3Client, status: int, is_there: bool) -> None:
    with WebServer(tmp_path) as server:
        server.answers["/data"] = Answer(status)
        if is_there:
            probe(f"{server.url}/data", s3)
        else:
            with pytest.raises(SourceUnavailableError, match=str(status)):
                probe(f"{server.url}/data", s3)
        assert [(request.method, "Authorization" in request.headers) for request in server.requests] == [
            ("HEAD", False)
        ]
        url = server.url
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        probe(url, s3)


def test_what_is_no_source_is_refused(s3: S3Client) -> None:
    with pytest.raises(InvalidRequestError, match="gopher://host is no source"):
        probe("gopher://host", s3)


def test_a_bucket_and_a_folder_are_there_or_not(tmp_path: Path, s3: S3Client) -> None:
    s3.create_bucket(Bucket="mirror")
    probe("s3://mirror", s3)
    probe("s3://mirror/jaxa/", s3)
    probe(tmp_path.as_uri(), s3)
    for url in ("s3://nowhere/jaxa", f"{tmp_path.as_uri()}/nowhere"):
        with pytest.raises(SourceUnavailableError, match="does not answer"):
            probe(url, s3)
