"""Patches moto to refuse, as AWS does, a function or a log group that could not work with the policies given."""

from collections.abc import Callable
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.logs.exceptions import LogsClientError
from moto.logs.models import LogsBackend

from lab.emulator.access.control import AccessControl, is_unchecked
from lab.emulator.access.moto_account import function_of
from lab.emulator.access.services import lambda_uses, log_group_uses
from lab.emulator.patching import before


def patch_access(control: AccessControl, region: str) -> None:
    """Check roles of functions and keys of log groups when they are created."""
    before(LambdaBackend, "create_function", _check_role(control, region))
    before(LogsBackend, "create_log_group", _check_key(control))


def _check_role(control: AccessControl, region: str) -> Callable[[Any, Any], None]:
    def check(_: Any, arguments: Any) -> None:
        function = function_of(arguments["spec"], region=region)
        if is_unchecked(function):
            return
        uses = lambda_uses(control.account(), function)
        for use, _reason in control.refusals(use for use in uses if use.action.startswith(("sts:", "ec2:"))):
            action = use.action.partition(":")[2]
            raise LambdaClientError(
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda."
                if action == "AssumeRole"
                else f"The provided execution role does not have permissions to call {action} on EC2",
            )

    return check


def _check_key(control: AccessControl) -> Callable[[Any, Any], None]:
    def check(_: Any, arguments: Any) -> None:
        key = arguments.get("kwargs", {}).get("kmsKeyId")
        if key is None:
            return
        account = control.account()
        arn = account.arn("logs", f"log-group:{arguments['log_group_name']}")
        if control.refusals(log_group_uses(account, arn, key)):
            raise LogsClientError(
                "AccessDeniedException",
                f"The specified KMS key does not exist or is not allowed to be used with Arn '{arn}'",
            )

    return check
