"""Everything that is changed inside MiniStack, in one place.

All names below are private to MiniStack 1.5.33: the version is pinned exactly, ``apply`` refuses any other and checks
the parameters of what it replaces, and tests/e2e/test_emulator.py shows that each patch does what it is for.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from local.emulator.environment import CREDENTIALS
from local.emulator.executor import Executor
from local.emulator.function import Function

MINISTACK_VERSION = "1.5.33"

_MAP_PATHS = {
    "MaxConcurrencyPath": "MaxConcurrency",
    "ToleratedFailureCountPath": "ToleratedFailureCount",
    "ToleratedFailurePercentagePath": "ToleratedFailurePercentage",
}

_PASSED_OVER = ("AWS::Logs::QueryDefinition",)
"""Types of resources that MiniStack does not know, and that nothing here depends on."""

_REQUEST = ("service", "method", "path", "headers", "body")
"""Parameters of what MiniStack's IAM asks about a request."""

_PLAIN_PATH = re.compile(r"\$\$?(\.[A-Za-z_]\w*)+")
_RESULT_LIMIT_BYTES = 256 * 1024
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_FATAL = ("States.Runtime", "States.DataLimitExceeded")


class MiniStackMismatchError(RuntimeError):
    """The installed MiniStack is not the one that the patches were made for."""


def apply(executor: Executor, *, enforces_iam: bool = False) -> None:
    """Patch MiniStack in this process; where it enforces IAM, functions act as their roles.

    Raises:
        MiniStackMismatchError: its version or the names to patch differ.
    """
    installed = version("ministack")
    if installed != MINISTACK_VERSION:
        raise MiniStackMismatchError(f"made for ministack {MINISTACK_VERSION}, found {installed}")
    # They read their environment when they are imported.
    from ministack import app  # noqa: PLC0415
    from ministack.core import iam_actions, lambda_runtime  # noqa: PLC0415
    from ministack.services import ecr, lambda_svc, s3, stepfunctions  # noqa: PLC0415
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415

    _replace_executors(lambda_svc, lambda_runtime, executor, enforces_iam=enforces_iam)
    _name_throttling(lambda_svc)
    _resolve_map_paths(stepfunctions)
    _name_child_executions(stepfunctions)
    _stop_with_the_parent(stepfunctions)
    _refuse_missing_paths(stepfunctions)
    _limit_results(stepfunctions)
    _keep_fatal_errors_uncaught(stepfunctions)
    _put_objects(stepfunctions, app)
    _authorize_batches(iam_actions)
    _pass_over_types(provisioners)
    _keep_full_buckets(provisioners, s3)
    _miss_images(ecr)


def _original(module: Any, name: str, *parameters: str) -> Callable[..., Any]:
    """The function to patch, if it looks as expected."""
    function = getattr(module, name, None)
    if not callable(function) or tuple(inspect.signature(function).parameters) != parameters:
        raise MiniStackMismatchError(f"{module.__name__}.{name} is not the function of {parameters} to be patched")
    checked: Callable[..., Any] = function
    return checked


def _replace_executors(lambda_svc: Any, lambda_runtime: Any, executor: Executor, *, enforces_iam: bool) -> None:
    """Run functions in awslambdaric.

    MiniStack's own worker calls every exception ``Runtime.HandlerError``, so Retry and Catch by name never match, and
    image functions need Docker. Both executors return ``{"body", "log", "error"?}``.
    """
    layer_zip = _original(lambda_svc, "_resolve_layer_zip", "attachment")
    of_role = _original(lambda_runtime, "execution_credentials", "config")

    def credentials(config: Mapping[str, Any]) -> Mapping[str, str]:
        return of_role(config) if enforces_iam else CREDENTIALS

    def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        return executor.execute(Function.from_record(func, layer_zip, credentials), event, request_id)

    for name in ("_execute_function_docker", "_execute_function_warm"):
        _original(lambda_svc, name, "func", "event", "request_id")
        setattr(lambda_svc, name, execute)


def _name_throttling(lambda_svc: Any) -> None:
    """Give a throttled invocation the name that a Catch sees on AWS; MiniStack leaves it ``Lambda.Unknown``."""
    throttle = _original(lambda_svc, "_throttle_response", "reason_code", "msg", "retry_after")

    def throttle_by_name(*args: Any, **kwargs: Any) -> dict[str, Any]:
        response: dict[str, Any] = throttle(*args, **kwargs)
        response["body"] |= {
            "errorType": "Lambda.TooManyRequestsException",
            "errorMessage": response["body"]["message"],
        }
        return response

    lambda_svc._throttle_response = throttle_by_name


def _resolve_map_paths(stepfunctions: Any) -> None:
    """Replace the ``...Path`` fields of a Map by the numbers they point at: MiniStack knows only literals."""
    run_map_items = _original(stepfunctions, "_run_map_items", "state_def", "raw_input", "execution", "ctx")
    input_path = _original(stepfunctions, "_apply_input_path", "state_def", "data", "ctx")
    resolve = _original(stepfunctions, "_resolve_path_or_ctx", "path", "data", "ctx")

    def run_resolved(state_def: dict[str, Any], raw_input: Any, execution: Any, ctx: Any) -> Any:
        paths = {literal: state_def[path] for path, literal in _MAP_PATHS.items() if path in state_def}
        effective = input_path(state_def, raw_input, ctx) if paths else None
        literals = {literal: resolve(path, effective, ctx) for literal, path in paths.items()}
        for literal, value in literals.items():
            if not isinstance(value, int | float) or value < 0:
                raise stepfunctions._ExecutionError("States.Runtime", f"{literal}Path must point at a number: {value}")
        return run_map_items({**state_def, **literals}, raw_input, execution, ctx)

    stepfunctions._run_map_items = run_resolved


def _name_child_executions(stepfunctions: Any) -> None:
    """Let ``$$.Execution`` of a Distributed Map's child be the child; in MiniStack it is the parent."""
    run = _original(stepfunctions, "_run_sub_machine", "states", "start_at", "input_data", "execution", "ctx")

    def run_as_child(states: Any, start_at: str, input_data: Any, execution: dict[str, Any], ctx: Any) -> Any:
        if "mapRunArn" in execution:
            child = {"Id": execution["executionArn"], "Name": execution["name"], "StartTime": execution["startDate"]}
            ctx["Execution"] = child | {"Input": json.loads(execution["input"])}
        return run(states, start_at, input_data, execution, ctx)

    stepfunctions._run_sub_machine = run_as_child


def _stop_with_the_parent(stepfunctions: Any) -> None:
    """Begin no child of a Distributed Map whose execution was stopped; MiniStack runs them all.

    Those that are under way run on to their end: on AWS only their invocation does.
    """
    run = _original(stepfunctions, "_run_sub_machine", "states", "start_at", "input_data", "execution", "ctx")

    def run_unless_stopped(states: Any, start_at: str, input_data: Any, execution: dict[str, Any], ctx: Any) -> Any:
        if "mapRunArn" in execution:
            parent = stepfunctions._map_runs[execution["mapRunArn"]]["executionArn"]
            if stepfunctions._executions[parent]["status"] != "RUNNING":
                raise stepfunctions._ExecutionError("States.Aborted", "the execution was stopped")
        return run(states, start_at, input_data, execution, ctx)

    stepfunctions._run_sub_machine = run_unless_stopped


def _refuse_missing_paths(stepfunctions: Any) -> None:
    """Fail a state whose parameters, selectors or choices point at nothing; MiniStack takes null and goes on."""
    resolve_template = _original(stepfunctions, "_resolve_params_obj", "template", "data", "ctx")
    evaluate = _original(stepfunctions, "_evaluate_rule", "rule", "data", "ctx")

    def demand(path: Any, data: Any, ctx: Any) -> None:
        if isinstance(path, str) and _PLAIN_PATH.fullmatch(path) and not _points_at_something(path, data, ctx):
            raise stepfunctions._ExecutionError("States.Runtime", f"The JSONPath '{path}' could not be found")

    def resolve_existing(template: Any, data: Any, ctx: Any = None) -> Any:
        for key, path in template.items() if isinstance(template, dict) else ():
            if key.endswith(".$"):
                demand(path, data, ctx)
        return resolve_template(template, data, ctx)

    def evaluate_existing(rule: dict[str, Any], data: Any, ctx: Any = None) -> Any:
        for key, path in rule.items():
            if key.endswith("Path") or (key == "Variable" and "IsPresent" not in rule):
                demand(path, data, ctx)
        return evaluate(rule, data, ctx)

    stepfunctions._resolve_params_obj = resolve_existing
    stepfunctions._evaluate_rule = evaluate_existing


def _points_at_something(path: str, data: Any, ctx: Any) -> bool:
    """Whether a path of plain fields, ``$.a.b`` or ``$$.a.b``, leads anywhere; null counts as something."""
    here = ctx if path.startswith("$$") else data
    for field in path.lstrip("$").split(".")[1:]:
        if not isinstance(here, dict) or field not in here:
            return False
        here = here[field]
    return True


def _limit_results(stepfunctions: Any) -> None:
    """End a state whose result passes 256 KiB, even if its ResultPath is null; a ResultWriter keeps it in S3."""
    select = _original(stepfunctions, "_apply_result_selector", "state_def", "data")

    def select_limited(state_def: dict[str, Any], data: Any) -> Any:
        if "ResultWriter" not in state_def and len(json.dumps(data, ensure_ascii=False).encode()) > _RESULT_LIMIT_BYTES:
            cause = "The state's result exceeded the maximum number of bytes service limit"
            raise stepfunctions._ExecutionError("States.DataLimitExceeded", cause)
        return select(state_def, data)

    stepfunctions._apply_result_selector = select_limited


def _keep_fatal_errors_uncaught(stepfunctions: Any) -> None:
    """Let ``States.ALL`` and ``States.TaskFailed`` pass over errors that end an execution on AWS."""
    matches = _original(stepfunctions, "_error_matches", "error_equals", "error")

    def matches_unless_fatal(error_equals: list[str], error: str) -> bool:
        return False if error in _FATAL else bool(matches(error_equals, error))

    stepfunctions._error_matches = matches_unless_fatal


def _put_objects(stepfunctions: Any, app: Any) -> None:
    """Let a state put an object into S3, its body as JSON; of S3's operations MiniStack lacks those with a body."""
    dispatch = _original(
        stepfunctions, "_dispatch_aws_sdk_rest_xml", "service_info", "service_name", "action", "input_data"
    )

    def dispatch_put(service_info: Any, service_name: str, action: str, input_data: dict[str, Any]) -> Any:
        if (service_name, action) != ("s3", "putObject"):
            return dispatch(service_info, service_name, action, input_data)
        body = json.dumps(input_data["Body"]).encode()
        headers = {
            "host": "s3.amazonaws.com",
            "authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{stepfunctions.REGION}/s3/aws4_request",
            "content-type": input_data.get("ContentType", "binary/octet-stream"),
            "content-length": str(len(body)),
        }
        path = f"/{input_data['Bucket']}/{input_data['Key']}"
        status, answered, said = app.call_service_handler_sync(
            app.SERVICE_HANDLERS["s3"], "PUT", path, headers, body, {}
        )
        if status != HTTPStatus.OK:
            raise stepfunctions._ExecutionError("S3.S3Exception", bytes(said).decode())
        return {"ETag": {name.lower(): value for name, value in answered.items()}.get("etag")}

    stepfunctions._dispatch_aws_sdk_rest_xml = dispatch_put


def _authorize_batches(iam_actions: Any) -> None:
    """Ask for ``sqs:SendMessage`` where a batch is sent, and likewise: SQS has no actions for batches.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """
    name = _original(iam_actions, "extract_iam_action", *_REQUEST, "query_params")

    def name_single(*args: Any, **kwargs: Any) -> str | None:
        action: str | None = name(*args, **kwargs)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    iam_actions.extract_iam_action = name_single


def _pass_over_types(provisioners: Any) -> None:
    """Take resources for made that MiniStack does not know; it would refuse the whole template."""

    def create(logical_id: str, _props: Any, _stack_name: str) -> tuple[str, dict[str, str]]:
        return logical_id, {}

    def delete(_physical_id: str, _props: Any) -> None:
        """There is nothing to remove."""

    for name in _PASSED_OVER:
        provisioners._RESOURCE_HANDLERS.setdefault(name, {"create": create, "delete": delete})


def _keep_full_buckets(provisioners: Any, s3: Any) -> None:
    """Fail the deletion of a stack's bucket that is not empty; MiniStack lets it go with all that is in it."""
    delete = _original(provisioners, "_s3_delete", "physical_id", "props")
    has_versions = _original(s3, "_bucket_has_versions", "name")

    def delete_empty(physical_id: str, props: Any) -> None:
        if s3._buckets.get(physical_id, {}).get("objects") or has_versions(physical_id):
            raise ValueError("The bucket you tried to delete is not empty (Service: S3, Status Code: 409)")
        delete(physical_id, props)

    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = delete_empty


def _miss_images(ecr: Any) -> None:
    """Answer ImageNotFoundException for an image that is not there; MiniStack's empty list means pushed to the CDK."""
    describe = _original(ecr, "_describe_images", "data")
    find = _original(ecr, "_find_image", "repo_name", "image_id")

    def describe_existing(data: dict[str, Any]) -> Any:
        name = data.get("repositoryName", "")
        missing = [image for image in data.get("imageIds") or () if name in ecr._repositories and not find(name, image)]
        if missing:
            message = f"The image with imageId {missing[0]} does not exist within the repository with name '{name}'"
            return ecr.error_response_json("ImageNotFoundException", message, 400)
        return describe(data)

    ecr._describe_images = describe_existing
