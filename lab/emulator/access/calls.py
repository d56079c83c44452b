"""Which action and which resource a request to AWS is for.

Source: "Actions, resources, and condition keys" of each service in the Service Authorization Reference.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lab.emulator.access.account import Account, Function
from lab.emulator.access.decisions import Use

# Service and operation of botocore -> action, and what names the resource among the parameters.
CALLS: Mapping[tuple[str, str], tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    ("s3", "GetObject"): ("s3:GetObject", lambda said: f"arn:aws:s3:::{said['Bucket']}/{said['Key']}"),
    ("secretsmanager", "GetSecretValue"): ("secretsmanager:GetSecretValue", lambda said: str(said["SecretId"])),
    ("stepfunctions", "DescribeExecution"): ("states:DescribeExecution", lambda said: str(said["executionArn"])),
}


class UnknownCallError(NotImplementedError):
    """No entry of `CALLS` says which action a request needs; add it before a function makes the call."""


def use_of(account: Account, function: Function, service: str, operation: str, parameters: Mapping[str, Any]) -> Use:
    """Return the use that a function's own code makes of AWS by a request.

    Raises:
        UnknownCallError: the operation is not known here.

    """
    if (service, operation) not in CALLS:
        raise UnknownCallError(f"{function.name} calls {service} {operation}; add it to CALLS in {__name__}")
    action, resource = CALLS[service, operation]
    return code_use(function, action, resource(parameters).replace("arn:aws:", f"arn:{account.partition}:", 1))


def code_use(function: Function, action: str, resource: str) -> Use:
    """Return the use of an action by a function's own code; Lambda adds the function to the request's context.

    https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
    """
    return Use(
        by=function.name,
        action=action,
        resource=resource,
        role=function.role,
        place=function.place,
        context={"lambda:SourceFunctionArn": function.arn},
    )
