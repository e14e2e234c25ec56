"""The emulator's process: ``python -m local.emulator.server --folder build/aws --repo .``.

Serves the AWS API on 127.0.0.1 and keeps everything below the folder:
``endpoint`` (its URL), ``s3/`` (objects as plain files), ``code/`` (unpacked zips), ``workers/`` and ``logs/``.
"""

import argparse
import asyncio
import os
import signal
import socket
from pathlib import Path

from local.certificates import write_certificate
from local.emulator import patches
from local.emulator.environment import ACCOUNT, CREDENTIALS, Service, certificate_of
from local.emulator.executor import Executor

HOST = "127.0.0.1"


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="An AWS on this machine.")
    parser.add_argument("--folder", type=Path, required=True, help="where everything it writes goes")
    parser.add_argument("--repo", type=Path, required=True, help="the code of image functions")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--wait-scale", type=float, default=1.0, help="0 skips the delays of Wait and Retry")
    parser.add_argument("--hooks", type=Path, help="a folder that workers import from first of all")
    parser.add_argument("--enforce", action="store_true", help="enforce the policies of IAM, over TLS")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server((HOST, options.port)) as listener:  # bound before anyone hears of the port: no race
        service = _service(folder, listener.getsockname()[1], with_tls=options.enforce)
        _configure_ministack(folder, service, options.region, options.wait_scale)
        executor = Executor(folder, options.repo.resolve(), service, options.hooks)
        patches.apply(executor, enforces_iam=options.enforce)
        asyncio.run(_serve(listener, executor, folder / "endpoint", service))


def _service(folder: Path, port: int, *, with_tls: bool) -> Service:
    """Say where clients find the server; for TLS, make a certificate first."""
    if not with_tls:
        return Service(f"http://{HOST}:{port}")
    return Service(f"https://{HOST}:{port}", write_certificate(certificate_of(folder), HOST))


def _configure_ministack(folder: Path, service: Service, region: str, wait_scale: float) -> None:
    """Set what MiniStack's modules read when they are imported."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    os.environ |= {
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": service.endpoint_url.rsplit(":", 1)[-1],
        "MINISTACK_REGION": region,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LOG_LEVEL": "WARNING",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(temporary),
        "SFN_WAIT_SCALE": str(wait_scale),
        "LAMBDA_ACCOUNT_CONCURRENCY": "1000",  # as on AWS; the default depends on this machine's memory
        "DOCKER_HOST": f"unix://{temporary}/no-docker.sock",  # never talk to a Docker that happens to be here
        "IOT_MTLS_ENABLED": "0",  # no further ports
        "SFTP_ENABLED": "0",
    }
    if service.certificate is not None:
        # Where it calls itself, it trusts the certificate as others do.
        trust = {"AWS_CA_BUNDLE": str(service.certificate), "SSL_CERT_FILE": str(service.certificate)}
        os.environ |= {"AUTH": "true", "USE_SSL": "1", **CREDENTIALS, **trust}


async def _serve(listener: socket.socket, executor: Executor, endpoint_file: Path, service: Service) -> None:
    """Serve on the bound socket and write the endpoint's URL for those who wait for it."""
    from hypercorn.asyncio import serve  # noqa: PLC0415 - after the environment is set
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack.app import app  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _end, executor)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    if service.certificate is not None:
        config.certfile = config.keyfile = str(service.certificate)
    _write_whole(endpoint_file, service.endpoint_url)
    await serve(app, config, shutdown_trigger=asyncio.Event().wait)


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def _end(executor: Executor) -> None:
    """Kill the workers and go at once: objects are on disk already, and threads of executions would hold us up."""
    executor.close()
    os._exit(0)


if __name__ == "__main__":
    main()
