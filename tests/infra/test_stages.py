"""Stages: a file each, overridden by context; what is wrong is said in a sentence that names file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra import config_document
from infra.config import StackConfig
from infra.fields import ConfigError, fields_of
from infra.stages import LOCAL, read_deployment, read_stage, stages

KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def _read(folder: Path, text: str, **context: Any) -> StackConfig:
    (folder / "trial.toml").write_text(text)
    given = {f"alos-mosaic:{name}": value for name, value in context.items()}
    deployment = read_deployment(given, "trial", folder)
    assert (deployment.stage, deployment.stack_name) == ("trial", "AlosMosaic-trial")
    return deployment.config


@pytest.mark.parametrize("stage", stages())
def test_each_stage_of_the_repository_is_good(stage: str) -> None:
    assert read_deployment({}, stage).config == StackConfig(**read_stage(stage))


def test_the_local_stage_is_the_defaults() -> None:
    assert read_deployment({}, LOCAL).config == StackConfig()


def test_context_wins_over_the_file_and_that_over_the_defaults(tmp_path: Path) -> None:
    text = 'memory_mib = 4096\nfailure_limit_percent = 1\nalarm_emails = ["a@b.org"]\ntags = { a = "1" }'
    config = _read(tmp_path, text, memory_mib="8192")
    assert (config.memory_mib, config.failure_limit_percent, config.codec) == (8192, 1.0, "deflate")
    assert (config.alarm_emails, config.tags) == (("a@b.org",), {"a": "1"})


def test_lists_and_tables_come_from_the_command_line_too(tmp_path: Path) -> None:
    config = _read(tmp_path, 'account = "123456789012"', alarm_emails="a@b.org, c@d.org", tags='{"x": "y"}', account="")
    assert (config.alarm_emails, config.tags, config.account) == (("a@b.org", "c@d.org"), {"x": "y"}, None)
    assert _read(tmp_path, 'alarm_emails = ["a@b.org"]', alarm_emails="").alarm_emails == ()


def test_the_context_names_the_stage(tmp_path: Path) -> None:
    (tmp_path / "prod.toml").write_text("memory_mib = 1024")
    assert read_deployment({"alos-mosaic:stage": "prod"}, "dev", tmp_path).config.memory_mib == 1024
    with pytest.raises(ConfigError, match=r"there is no stage 'nowhere'; known are .*, prod.* \(in infra/stages/"):
        read_deployment({"alos-mosaic:stage": "nowhere"}, "dev")
    (tmp_path / "My_Stage.toml").write_text("")
    with pytest.raises(ConfigError, match="no stage 'My_Stage'"):
        read_deployment({}, "My_Stage", tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("memory = 1", "unknown settings memory; known are account"),
        ("memory_mib = ", "this is not TOML: Invalid value"),
        ('memory_mib = "2048"', "memory_mib is '2048'; expected is a whole number"),
        ("memory_mib = 2048.0", "memory_mib is 2048.0; expected is a whole number"),
        ("output_versioning = 1", "output_versioning is 1; expected is true or false"),
        ("failure_limit_percent = true", "failure_limit_percent is True; expected is a number"),
        ('alarm_emails = "a@b.org"', "alarm_emails is 'a@b.org'; expected is a list of texts"),
        ('alarm_emails = ["a@b.org", "b"]', "alarm_emails is 'b'; expected is an e-mail address"),
        ("tags = { a = 1 }", "tags is {'a': 1}; expected is a table of texts"),
        ('tags = { "aws:x" = "1" }', "tags is {'aws:x': '1'}; expected is a table of at most 40 tags"),
        ('account = "123"', "account is '123'; expected is the 12 digits of an AWS account"),
        ('region = "Ohio"', "region is 'Ohio'; expected is a region like eu-west-1"),
        ('kms_key = "alias/x"', "kms_key is 'alias/x'; expected is none, new or the ARN of a KMS key"),
        ('permissions_boundary = "arn:aws:iam::1:role/x"', "permissions_boundary is 'arn:aws:iam::1:role/x'"),
        (f'kms_key = "{KEY}"\nregion = "eu-west-1"', "kms_key is a key of 123456789012 in us-west-2"),
        ('vpc_id = "vpc-12345678"', "vpc_id and vpc_subnet_ids are only good together"),
        ('vpc_subnet_ids = ["subnet-12345678"]', "vpc_id and vpc_subnet_ids are only good together"),
        ('vpc_security_group_ids = ["sg-12345678"]', "vpc_security_group_ids is set, but vpc_id is not"),
        ("output_versions_expiry_days = 1", "output_versions_expiry_days is set, but output_versioning is not"),
        ('output_bucket_name = "mine"\noutput_versioning = true', "output_versioning is for a bucket that the stack"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, text)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(f"(in {tmp_path / 'trial.toml'})")
    assert "\n" not in str(caught.value)


def test_what_only_the_two_together_make_wrong_names_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"default_max_concurrency is 4, above .*trial\.toml and context\)"):
        _read(tmp_path, "max_concurrency_ceiling = 3", default_max_concurrency="4")
    with pytest.raises(ConfigError, match=r"alarm_emails is 'b'; .* \(in CDK context\)"):
        _read(tmp_path, "", alarm_emails="b")


def test_the_document_is_up_to_date() -> None:
    text = config_document.DOCUMENT.read_text(encoding="utf-8")
    assert config_document.written(text) == text, "make docs"


def test_the_document_tells_every_setting() -> None:
    described = config_document.settings()
    assert [entry.setting.name for entry in described] == list(fields_of(StackConfig))
    assert not [entry for entry in described if len(entry.text) < 20]
    text = config_document.DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| `{entry.setting.name}` |" in text for entry in described)
    changed = text.replace("| `memory_mib` |", "| `memory` |")
    assert config_document.written(changed) == text
