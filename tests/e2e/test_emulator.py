"""What the local emulator promises, checked against the pinned MiniStack."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator import AssemblyError, Cloud, DeploymentError, patches, running_cloud

FIXTURES = Path(__file__).parent / "fixtures_emulator"
ROOT = Path(__file__).parents[2]
INVOKE = "arn:aws:states:::lambda:invoke"

numbers = itertools.count()


class Probe:
    """The deployed stack of fixtures_emulator, and ways to try a definition on it."""

    def __init__(self, cloud: Cloud, outputs: dict[str, str]) -> None:
        self.cloud = cloud
        self.outputs = outputs

    def invoke(self, event: dict[str, Any], function: str | None = None) -> Any:
        response = self.cloud.client("lambda").invoke(
            FunctionName=function or self.outputs["Zip"], Payload=json.dumps(event)
        )
        return json.loads(response["Payload"].read())

    def task(self, **fields: Any) -> dict[str, Any]:
        parameters = {"FunctionName": self.outputs["Zip"], "Payload.$": "$"}
        return {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "OutputPath": "$.Payload"} | fields

    def run(self, states: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        """Run the states, beginning with the first, and return the ended execution."""
        name = f"test-{next(numbers)}"
        machine = self.cloud.client("stepfunctions").create_state_machine(
            name=name,
            roleArn=self.outputs["Role"],
            definition=json.dumps({"StartAt": next(iter(states)), "States": states}),
        )
        return self.cloud.run_execution(machine["stateMachineArn"], name, value, 30)

    def output(self, states: dict[str, Any], value: dict[str, Any]) -> Any:
        execution = self.run(states, value)
        assert execution["status"] == "SUCCEEDED", execution
        return json.loads(execution["output"])

    def map_over(self, items: list[Any], processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A Distributed Map over a JSON manifest in S3 that holds the items."""
        key = f"manifests/{next(numbers)}.json"
        self.cloud.client("s3").put_object(Bucket=self.outputs["Bucket"], Key=key, Body=json.dumps(items))
        return {
            "Type": "Map",
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {"Bucket": self.outputs["Bucket"], "Key": key},
            },
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": next(iter(processor)),
                "States": processor,
            },
            "End": True,
        } | fields


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_PARENT", "must not be seen")
        folder = tmp_path_factory.mktemp("cloud")
        with running_cloud(folder, FIXTURES / "repo", wait_scale=0) as cloud:
            yield Probe(cloud, cloud.deploy(FIXTURES / "assembly", "Probe"))


def caught(probe: Probe, event: dict[str, Any], error: str) -> Any:
    """The output of a Catch that names just this error."""
    states = {
        "Try": probe.task(
            Catch=[
                {"ErrorEquals": ["SomethingElseError"], "Next": "Wrong"},
                {"ErrorEquals": [error], "Next": "Caught"},
            ],
            End=True,
        ),
        "Wrong": {"Type": "Fail"},
        "Caught": {"Type": "Pass", "End": True},
    }
    return probe.output(states, event)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return status != "Z"  # a dead process whose adoptive parent didn't collect it


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {list(filter(is_running, pids))}"
        time.sleep(0.02)


# Lambda


def test_zip_function_runs_the_shipped_code_with_its_layer(probe: Probe) -> None:
    result = probe.invoke({})
    code_folder = probe.cloud.folder / "code"
    assert result["layer"] == "from the layer"
    assert Path(result["cwd"]).parent == code_folder
    assert (Path(result["cwd"]) / "probe.py").read_text() == (FIXTURES / "assembly/asset.code/probe.py").read_text()
    assert 1000 < result["remaining_ms"] <= 2000


def test_function_sees_lambdas_environment_and_nothing_of_ours(probe: Probe) -> None:
    environment = probe.invoke({})["environment"]
    expected = {
        "GREETING": "hello",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": probe.cloud.endpoint_url,
        "AWS_LAMBDA_FUNCTION_NAME": "zip-probe",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_ACCESS_KEY_ID": "test",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert "SECRET_OF_THE_PARENT" not in environment
    assert Path(environment["TMPDIR"]).is_relative_to(probe.cloud.folder)
    assert Path(environment["TMPDIR"]).is_dir()


def test_image_function_runs_its_command_from_the_repository(probe: Probe) -> None:
    result = probe.invoke({"bucket": probe.outputs["Bucket"]}, "image-probe")
    assert result == {"name": "image-probe", "cwd": str(FIXTURES / "repo"), "greeting": "hello"}
    assert (probe.cloud.bucket_folder(probe.outputs["Bucket"]) / "a/b.txt").read_bytes() == b"from the image"


def test_warm_worker_is_used_again(probe: Probe) -> None:
    assert probe.invoke({})["pid"] == probe.invoke({})["pid"]


def test_published_version_keeps_its_configuration(probe: Probe) -> None:
    client = probe.cloud.client("lambda")
    variables = probe.invoke({}, "zip-probe")["environment"] | {"GREETING": "changed"}
    client.update_function_configuration(
        FunctionName="zip-probe", Environment={"Variables": {"GREETING": variables["GREETING"]}}
    )
    latest = probe.invoke({}, "zip-probe")
    version = probe.invoke({})
    assert (latest["environment"]["GREETING"], version["environment"]["GREETING"]) == ("changed", "hello")
    assert version["arn"] == probe.outputs["Zip"]
    assert version["arn"].endswith(":function:zip-probe:1")
    assert latest["pid"] != version["pid"]


def test_output_goes_to_a_file_and_to_cloudwatch(probe: Probe) -> None:
    probe.invoke({"mark": "look for this"})
    assert "look for this" in probe.cloud.function_log("zip-probe").read_text()
    events = probe.cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/zip-probe")["events"]
    assert any("look for this" in event["message"] for event in events)


def test_handler_that_cannot_be_imported_is_named(probe: Probe) -> None:
    probe.cloud.client("lambda").create_function(
        FunctionName="no-handler",
        PackageType="Image",
        Role=probe.outputs["Role"],
        Code={"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/none:none"},
        ImageConfig={"Command": ["no_such_module.handler"]},
    )
    assert probe.invoke({}, "no-handler")["errorType"] == "Runtime.ImportModuleError"


# Errors, as a state machine sees them


def test_catch_by_the_bare_class_name(probe: Probe) -> None:
    result = caught(probe, {"error": "CorruptArchiveError"}, "CorruptArchiveError")
    assert result["Error"] == "CorruptArchiveError"
    cause = json.loads(result["Cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("CorruptArchiveError", "as asked for")


def test_retry_by_name_tells_the_attempt(probe: Probe) -> None:
    payload = {"fails_until.$": "$.fails_until", "attempt.$": "$$.State.RetryCount"}
    task = probe.task(
        Parameters={"FunctionName": probe.outputs["Zip"], "Payload": payload},
        Retry=[
            {"ErrorEquals": ["CorruptArchiveError"], "MaxAttempts": 9},
            {"ErrorEquals": ["SourceUnavailableError"], "MaxAttempts": 3, "IntervalSeconds": 600},
        ],
        End=True,
    )
    assert probe.output({"Try": task}, {"fails_until": 3})["event"]["attempt"] == 3
    execution = probe.run({"Try": task}, {"fails_until": 4})
    assert (execution["status"], execution["error"]) == ("FAILED", "SourceUnavailableError")


def test_time_out_is_named_and_kills_the_worker(probe: Probe, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = caught(probe, {"sleep_seconds": 60, "pid_file": str(pid_file)}, "Sandbox.Timedout")
    assert "Task timed out after 2.00 seconds" in json.loads(result["Cause"])["errorMessage"]
    wait_until_gone(int(pid_file.read_text()))
    assert probe.invoke({})["layer"] == "from the layer"


def test_worker_that_dies_is_an_exit_error(probe: Probe) -> None:
    result = caught(probe, {"exit": 3}, "Runtime.ExitError")
    assert json.loads(result["Cause"])["errorMessage"].endswith("Runtime exited with error: exit status 3")


def test_throttled_invocation_is_named(probe: Probe) -> None:
    client = probe.cloud.client("lambda")
    client.put_function_concurrency(FunctionName="zip-probe", ReservedConcurrentExecutions=0)
    try:
        task = probe.task(Parameters={"FunctionName": "zip-probe", "Payload": {}}, End=True)
        assert probe.run({"Try": task}, {})["error"] == "Lambda.TooManyRequestsException"
    finally:
        client.delete_function_concurrency(FunctionName="zip-probe")


def test_task_timeout_is_states_timeout(probe: Probe) -> None:
    assert (
        probe.run({"Try": probe.task(TimeoutSeconds=1, End=True)}, {"sleep_seconds": 1.5})["error"] == "States.Timeout"
    )


# Step Functions


def test_fail_takes_error_and_cause_from_its_input(probe: Probe) -> None:
    execution = probe.run(
        {"Stop": {"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"}}, {"Error": "E", "Cause": "c"}
    )
    assert (execution["status"], execution["error"], execution["cause"]) == ("FAILED", "E", "c")


@pytest.mark.parametrize(("count", "expected"), [(3, "over"), (2, "within")])
def test_choice_compares_two_paths(probe: Probe, count: int, expected: str) -> None:
    states = {
        "Guard": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.count", "NumericGreaterThanPath": "$.limit", "Next": "Over"}],
            "Default": "Within",
        },
        "Over": {"Type": "Pass", "Result": "over", "End": True},
        "Within": {"Type": "Pass", "Result": "within", "End": True},
    }
    assert probe.output(states, {"count": count, "limit": 2}) == expected


def test_caught_error_goes_to_the_queue(probe: Probe) -> None:
    body = {"tile.$": "$.tile", "error.$": "$.failure.Error"}
    states = {
        "Try": probe.task(Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Send"}], End=True),
        "Send": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl": probe.outputs["QueueUrl"], "MessageBody": body},
            "ResultPath": None,
            "End": True,
        },
    }
    probe.output(states, {"tile": "N10E010", "error": "CorruptArchiveError"})
    messages = probe.cloud.client("sqs").receive_message(QueueUrl=probe.outputs["QueueUrl"])["Messages"]
    assert [json.loads(message["Body"]) for message in messages] == [
        {"tile": "N10E010", "error": "CorruptArchiveError"}
    ]


def test_distributed_map_honours_max_concurrency_path(probe: Probe) -> None:
    over = probe.map_over([{"sleep_seconds": 0.1}] * 8, {"Try": probe.task(End=True)}, MaxConcurrencyPath="$.most")
    results = probe.output({"Map": over}, {"most": 2})
    changes = sorted([(r["started"], 1) for r in results] + [(r["ended"], -1) for r in results])
    assert max(itertools.accumulate(change for _, change in changes)) == 2
    workers = {result["pid"] for result in results}
    assert len(workers) == 2
    assert all(map(is_running, workers)), "the end of the map's threads must not kill the workers they asked for"


def test_distributed_map_refuses_a_concurrency_that_is_no_number(probe: Probe) -> None:
    over = probe.map_over([{}], {"Try": probe.task(End=True)}, MaxConcurrencyPath="$.most")
    assert probe.run({"Map": over}, {"most": "two"})["error"] == "States.Runtime"


def test_distributed_map_selects_from_item_and_input(probe: Probe) -> None:
    over = probe.map_over(
        ["N10E010", "N10E015"],
        {"Keep": {"Type": "Pass", "End": True}},
        ItemSelector={"tile.$": "$$.Map.Item.Value", "year.$": "$.year"},
    )
    assert probe.output({"Map": over}, {"year": 2020}) == [
        {"tile": "N10E010", "year": 2020},
        {"tile": "N10E015", "year": 2020},
    ]


def test_distributed_map_goes_on_after_tolerated_failures(probe: Probe) -> None:
    items = [{"error": "CorruptArchiveError"}, {}, {"error": "CorruptArchiveError"}]
    tolerant = probe.map_over(items, {"Try": probe.task(End=True)}, ToleratedFailurePercentage=100)
    results = probe.output({"Map": tolerant}, {})
    assert [result and result["layer"] for result in results] == [None, "from the layer", None]
    strict = probe.map_over(items, {"Try": probe.task(End=True)}, ToleratedFailureCount=1)
    assert probe.run({"Map": strict}, {})["error"] == "States.ExceedToleratedFailureThreshold"


def test_child_of_a_distributed_map_is_an_execution_of_its_own(probe: Probe) -> None:
    names = {"run.$": "$.run", "child.$": "$$.Execution.Name"}
    over = probe.map_over(
        [{}, {}],
        {"Tell": {"Type": "Pass", "Parameters": names, "End": True}},
        ItemSelector={"run.$": "$$.Execution.Name"},
    )
    execution = probe.run({"Map": over}, {})
    first, second = json.loads(execution["output"])
    assert first["run"] == second["run"] == execution["name"]
    assert len({execution["name"], first["child"], second["child"]}) == 3


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Parameters": {"x.$": "$.missing"}, "End": True},
        {
            "Type": "Choice",
            "Choices": [{"Variable": "$.missing", "BooleanEquals": True, "Next": "End"}],
            "Default": "End",
        },
        {
            "Type": "Choice",
            "Choices": [{"Variable": "$.one", "NumericGreaterThanPath": "$.missing", "Next": "End"}],
            "Default": "End",
        },
    ],
)
def test_path_that_points_at_nothing_fails_the_execution(probe: Probe, state: dict[str, Any]) -> None:
    execution = probe.run({"Try": state, "End": {"Type": "Succeed"}}, {"one": 1})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")


def test_choice_may_ask_whether_a_path_is_there(probe: Probe) -> None:
    present = {"Variable": "$.missing", "IsPresent": True}
    equal = {"Variable": "$.missing", "BooleanEquals": True}
    choice = {"Type": "Choice", "Choices": [{"And": [present, equal], "Next": "Wrong"}], "Default": "End"}
    assert probe.output({"Try": choice, "Wrong": {"Type": "Fail"}, "End": {"Type": "Succeed"}}, {}) == {}


def test_results_of_a_map_above_256_kib_end_the_execution(probe: Probe) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    processor = {"Big": {"Type": "Pass", "Result": "x" * 1000, "End": True}}
    states = {
        "Map": probe.map_over([{}] * 300, processor, ResultPath=None, Catch=catch),
        "Caught": {"Type": "Succeed"},
    }
    assert probe.run(states, {})["error"] == "States.DataLimitExceeded"
    states["Map"]["ResultWriter"] = {"Resource": "arn:aws:states:::s3:putObject"}
    assert probe.run(states, {})["status"] == "SUCCEEDED"


# Deployment


def test_deployed_state_machine_runs_the_published_version(probe: Probe) -> None:
    execution = probe.cloud.run_execution(probe.outputs["Machine"], "deployed", {}, 30)
    assert json.loads(execution["output"])["arn"] == probe.outputs["Zip"]


def test_objects_are_plain_files(probe: Probe) -> None:
    bucket = probe.outputs["Bucket"]
    probe.cloud.client("s3").put_object(Bucket=bucket, Key="some/where.tif", Body=b"bytes")
    assert (probe.cloud.bucket_folder(bucket) / "some/where.tif").read_bytes() == b"bytes"


def test_second_deployment_updates_the_stack(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "cloud", FIXTURES / "repo") as cloud:
        first = cloud.deploy(FIXTURES / "assembly", "Probe")
        again = cloud.deploy(FIXTURES / "assembly", "probe")
        changed = cloud.deploy(FIXTURES / "assembly", "Probe", {"Greeting": "good evening"})
        assert first == again
        assert changed["Greeting"] == "good evening"
        assert changed["Bucket"] == first["Bucket"]
        result = Probe(cloud, changed).invoke({"bucket": changed["Bucket"]}, "image-probe")
        assert result["greeting"] == "good evening"


def test_failed_deployment_tells_why_and_can_be_repeated(probe: Probe, tmp_path: Path) -> None:
    broken = tmp_path / "assembly"
    shutil.copytree(FIXTURES / "assembly", broken)
    for path in broken.glob("*.json"):
        path.write_text(path.read_text().replace('"probe"', '"broken"').replace("-probe", "-broken"))
    good = (broken / "Probe.template.json").read_text()
    (broken / "Probe.template.json").write_text(good.replace("AWS::SQS::Queue", "AWS::No::Such"))
    with pytest.raises(DeploymentError, match="AWS::No::Such"):
        probe.cloud.deploy(broken, "broken")
    (broken / "Probe.template.json").write_text(good)
    assert probe.cloud.deploy(broken, "broken")["Greeting"] == "hello"


def test_assembly_of_another_account_is_refused(probe: Probe) -> None:
    with pytest.raises(AssemblyError, match="eu-central-1"):
        probe.cloud.deploy(FIXTURES / "assembly", "Elsewhere")
    with pytest.raises(AssemblyError, match="no stack"):
        probe.cloud.deploy(FIXTURES / "assembly", "Nowhere")


# Processes and the pin


def test_all_processes_are_gone_after_close(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "cloud", FIXTURES / "repo") as cloud:
        probe = Probe(cloud, cloud.deploy(FIXTURES / "assembly", "Probe"))
        idle = probe.invoke({})
        cloud.client("lambda").update_function_configuration(FunctionName="zip-probe", Timeout=60)
        pid_file = tmp_path / "pid"
        cloud.client("lambda").invoke(
            FunctionName="zip-probe",
            InvocationType="Event",
            Payload=json.dumps({"sleep_seconds": 60, "pid_file": str(pid_file)}),
        )
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.02)
    wait_until_gone(idle["pid"], idle["parent_pid"], int(pid_file.read_text()))


def test_emulator_and_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = f"""
import json, time
from pathlib import Path
from local.emulator import running_cloud
with running_cloud(Path({str(tmp_path / "cloud")!r}), Path({str(FIXTURES / "repo")!r})) as cloud:
    cloud.deploy(Path({str(FIXTURES / "assembly")!r}), "Probe")
    result = json.loads(cloud.client("lambda").invoke(FunctionName="zip-probe", Payload="{{}}")["Payload"].read())
    print(result["pid"], result["parent_pid"], flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(*pids)


def test_other_version_of_ministack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "version", lambda _: "1.5.34")
    with pytest.raises(patches.MiniStackMismatchError, match=r"1\.5\.34"):
        patches.apply(executor=None)  # type: ignore[arg-type]


def test_changed_function_of_ministack_is_refused() -> None:
    with pytest.raises(patches.MiniStackMismatchError, match=r"itertools\.count"):
        patches._original(itertools, "count", "func", "event", "request_id")


def test_types_that_are_passed_over_deploy_and_go(probe: Probe) -> None:
    stacks = probe.cloud.client("cloudformation")
    search = {"Name": "a search", "QueryString": "fields @message"}
    template = {"Resources": {"Search": {"Type": "AWS::Logs::QueryDefinition", "Properties": search}}}
    stacks.create_stack(StackName="searches", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="searches", WaiterConfig={"Delay": 0.1})
    stacks.delete_stack(StackName="searches")
    stacks.get_waiter("stack_delete_complete").wait(StackName="searches", WaiterConfig={"Delay": 0.1})
