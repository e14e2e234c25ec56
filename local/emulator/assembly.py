"""Read a CDK cloud assembly (``cdk.out``): a stack's template, its assets and where they go."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNKNOWN = ("unknown-account", "unknown-region")


class AssemblyError(Exception):
    """The assembly lacks the stack, or was synthesized for another account or region."""


@dataclass(frozen=True)
class Placeholders:
    """What CDK leaves open until it deploys."""

    account: str
    region: str

    def fill(self, text: str) -> str:
        """Resolve ``${AWS::AccountId}``, ``${AWS::Region}`` and ``${AWS::Partition}``."""
        values = {"AccountId": self.account, "Region": self.region, "Partition": "aws"}
        for name, value in values.items():
            text = text.replace(f"${{AWS::{name}}}", value)
        return text


@dataclass(frozen=True)
class FileAsset:
    """A file or a folder to upload."""

    source: Path
    zipped: bool
    """Whether the folder ``source`` goes up as one zip."""
    bucket: str
    key: str

    def read(self) -> bytes:
        """The bytes to upload; of a folder, a zip that is the same each time."""
        return _zip_folder(self.source) if self.zipped else self.source.read_bytes()


@dataclass(frozen=True)
class Stack:
    """A stack of an assembly, ready to deploy. Images are not here: the emulator runs their code as it lies."""

    name: str
    template_bucket: str
    template_key: str
    parameters: dict[str, str]
    bootstrap_version_parameter: str
    """Name of the SSM parameter that the template asks for the bootstrap's version."""
    files: tuple[FileAsset, ...]


def read_stack(assembly: Path, name: str, placeholders: Placeholders) -> Stack:
    """Read the stack called ``name`` (its artifact's or its own name).

    Raises:
        AssemblyError: there is none, or it belongs to another account or region.
    """
    artifacts: dict[str, Any] = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    stack = _find_stack(artifacts, name)
    _check_environment(stack["environment"], placeholders)
    properties = stack["properties"]
    files = tuple(
        asset
        for dependency in stack.get("dependencies", [])
        if artifacts[dependency]["type"] == "cdk:asset-manifest"
        for asset in _file_assets(assembly, artifacts[dependency]["properties"]["file"], placeholders)
    )
    bucket, _, key = placeholders.fill(properties["stackTemplateAssetObjectUrl"]).removeprefix("s3://").partition("/")
    return Stack(
        name=properties.get("stackName", name),
        template_bucket=bucket,
        template_key=key,
        parameters=properties.get("parameters", {}),
        bootstrap_version_parameter=properties.get(
            "bootstrapStackVersionSsmParameter", "/cdk-bootstrap/hnb659fds/version"
        ),
        files=files,
    )


def _find_stack(artifacts: dict[str, Any], name: str) -> dict[str, Any]:
    for artifact_id, artifact in artifacts.items():
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        if name in (artifact_id, artifact["properties"].get("stackName")):
            found: dict[str, Any] = artifact
            return found
    raise AssemblyError(f"no stack {name} in this assembly")


def _check_environment(environment: str, placeholders: Placeholders) -> None:
    """Refuse ``aws://account/region`` of somewhere else."""
    account, _, region = environment.removeprefix("aws://").partition("/")
    if account not in (placeholders.account, *_UNKNOWN) or region not in (placeholders.region, *_UNKNOWN):
        raise AssemblyError(f"synthesized for {environment}, not for {placeholders.account}/{placeholders.region}")


def _file_assets(assembly: Path, manifest: str, placeholders: Placeholders) -> Iterator[FileAsset]:
    for asset in json.loads((assembly / manifest).read_text()).get("files", {}).values():
        for destination in asset["destinations"].values():
            yield FileAsset(
                source=assembly / asset["source"]["path"],
                zipped=asset["source"].get("packaging") == "zip",
                bucket=placeholders.fill(destination["bucketName"]),
                key=placeholders.fill(destination["objectKey"]),
            )


def _zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = (path.stat().st_mode & 0o777) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
