"""The environment variables of a Lambda worker: what Lambda sets, what the function asks for, and nothing else.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

import os
from dataclasses import dataclass
from pathlib import Path

from local.emulator.function import Function
from local.emulator.packages import CodeLocation

ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""Those of the account's root user, who may do anything also where IAM is enforced."""

_INHERITED = ("PATH", "LANG", "LC_ALL")


def inherited_environment() -> dict[str, str]:
    """The few variables of this process that a child needs to run at all."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


@dataclass(frozen=True)
class Service:
    """Where the emulator listens."""

    endpoint_url: str
    certificate: Path | None = None
    """Of a TLS endpoint, the self-signed certificate that its clients trust."""


def certificate_of(folder: Path) -> Path:
    """Where the emulator whose files lie in ``folder`` keeps its certificate and key, if it serves TLS."""
    return folder / "tls.pem"


def worker_environment(
    function: Function, code: CodeLocation, folder: Path, service: Service, hooks: Path | None = None
) -> dict[str, str]:
    """All variables of a worker whose own folder is ``folder``; from ``hooks`` it imports first of all."""
    temporary = folder / "tmp"
    lambda_variables = {
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mib),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": folder.name,
        "LAMBDA_TASK_ROOT": str(code.task_root),
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "_HANDLER": function.handler,
    }
    if function.runtime:
        lambda_variables["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    if function.log_level:
        lambda_variables["AWS_LAMBDA_LOG_LEVEL"] = function.log_level
    stand_ins = {
        "AWS_ENDPOINT_URL": service.endpoint_url,
        **({} if service.certificate is None else {"AWS_CA_BUNDLE": str(service.certificate)}),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(temporary),  # no ~/.aws of the person at the keyboard
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join(map(str, ([] if hooks is None else [hooks]) + [*code.import_folders])),
    }
    asked_for = {"TZ": ":UTC", **function.environment}
    return {**inherited_environment(), **asked_for, **function.credentials, **lambda_variables, **stand_ins}
