"""What the emulator needs to know about a Lambda function, read from MiniStack's record of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Function:
    """One version of a Lambda function."""

    arn: str
    """As the function was invoked, with its version or alias if it had one."""
    name: str
    version: str
    """``$LATEST`` or the number of a published version."""
    revision: str
    """Changes with every change of the code or the configuration."""
    handler: str
    """Dotted path of the handler: of an image, the first word of its command."""
    runtime: str
    """``python3.13`` and the like, empty for an image."""
    timeout_seconds: int
    memory_mib: int
    environment: Mapping[str, str]
    code_zip: bytes | None
    """None for an image, whose code is the repository itself."""
    layer_zips: tuple[bytes, ...]
    """In the order of the function's configuration: of two equal files, the later layer's counts."""
    log_format: str
    """``Text`` or ``JSON``."""
    log_level: str
    """Empty for the runtime's default."""
    credentials: Mapping[str, str]
    """Environment variables with which it signs its calls: where IAM is enforced, those of its role."""

    @property
    def region(self) -> str:
        """The region that the function's ARN names."""
        return self.arn.split(":")[3]

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        layer_zip: Callable[[Any], bytes | None],
        credentials: Callable[[Mapping[str, Any]], Mapping[str, str]],
    ) -> "Function":
        """Read MiniStack's record; ``layer_zip`` gives a layer's content, ``credentials`` those of a configuration."""
        config = record.get("config") or record
        is_image = config.get("PackageType") == "Image"
        logging_config = config.get("LoggingConfig") or {}
        layers = [] if is_image else [layer_zip(layer) for layer in config.get("Layers") or []]
        return cls(
            arn=config["FunctionArn"],
            name=config["FunctionName"],
            version=config.get("Version", "$LATEST"),
            revision=config.get("RevisionId", ""),
            handler=_image_handler(config) if is_image else config["Handler"],
            runtime="" if is_image else config.get("Runtime", ""),
            timeout_seconds=int(config.get("Timeout", 3)),
            memory_mib=int(config.get("MemorySize", 128)),
            environment={
                name: str(value) for name, value in ((config.get("Environment") or {}).get("Variables") or {}).items()
            },
            code_zip=None if is_image else record.get("code_zip") or b"",
            layer_zips=tuple(layer for layer in layers if layer),
            log_format=logging_config.get("LogFormat", "Text"),
            log_level=logging_config.get("ApplicationLogLevel", ""),
            credentials=credentials(config),
        )


def _image_handler(config: Mapping[str, Any]) -> str:
    """The handler of an image function: there is no image here whose own CMD could say it."""
    settings = (config.get("ImageConfigResponse") or {}).get("ImageConfig") or config.get("ImageConfig") or {}
    words = settings.get("Command") or [""]
    return str(words[0])
