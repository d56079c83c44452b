"""What a deployment needs to be allowed, and what must be refused: by functions, engineers and services of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.emulator.access.calls import code_use
from lab.emulator.access.control import REFUSALS
from lab.emulator.access.decisions import Use, check_use
from lab.emulator.access.logins import Connection, check_connection, connections_of
from lab.emulator.access.services import ATTACH_ACTIONS, assume, service_uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.emulator.access.account import Account, Function

# What the functions' own code calls: the acceptance tests compare it with what a real deployment called.
CODE_CALLS = {
    ("doctor", "s3:GetObject"),
    ("migrate", "s3:GetObject"),
    ("migrate", "secretsmanager:GetSecretValue"),
    ("status", "states:DescribeExecution"),
}
ANOTHER_ACCOUNT = "999999999999"
STRANGER = f"arn:aws:iam::{ANOTHER_ACCOUNT}:role/stranger"
EVERYTHING = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'


def short_name(name: str) -> str:
    """Return the last word of a resource's name, such as `migrate`."""
    return name.rpartition("-")[2]


def needed(account: Account, environment: str) -> list[Use | Connection]:
    """Return everything that must be allowed."""
    return [
        *(code_call(account, environment, by, action) for by, action in sorted(CODE_CALLS)),
        *(connection for function in account.functions for connection in connections_of(function)),
        *_tunnels(account),
        *service_uses(account),
    ]


def forbidden(account: Account, environment: str) -> list[Use]:
    """Return what must be refused: each is allowed once a condition or a Deny is taken away."""
    return [
        *_code_that_attaches(account),
        *_from_outside(account, environment),
        *_other_account(account, environment),
        *_other_deployment(account),
    ]


def is_allowed(account: Account, use: Use | Connection) -> bool:
    """Return whether AWS would allow it."""
    try:
        if isinstance(use, Connection):
            check_connection(account, use)
        else:
            check_use(account, use)
    except REFUSALS:
        return False
    return True


def code_call(account: Account, environment: str, by: str, action: str) -> Use:
    function = function_named(account, by)
    doctor = function_named(account, "doctor").variables
    resources = {
        "s3:GetObject": f"arn:aws:s3:::{doctor['RELEASE_BUCKET']}/{doctor['RELEASE_KEY']}",
        "secretsmanager:GetSecretValue": function_named(account, "migrate").variables["MASTER_SECRET_ARN"],
        "states:DescribeExecution": account.arn("states", f"execution:scanner-{environment}-lister:0"),
    }
    return code_use(function, action, resources[action])


def function_named(account: Account, name: str) -> Function:
    (function,) = [each for each in account.functions if short_name(each.name) == name]
    return function


def _tunnels(account: Account) -> Iterator[Connection]:
    """Yield the connections of an engineer through the bastion, with a login of their own."""
    (bastion,), (instance,), (proxy,) = account.machines, account.instances, account.proxies
    for host in (instance.host, proxy.host):
        yield Connection(by=bastion.name, role=None, place=bastion.place, host=host, port=instance.port, user=None)


def _code_that_attaches(account: Account) -> Iterator[Use]:
    """Yield what Lambda may do in a function's role, done by the function's own code."""
    for function in account.functions:
        for action in ATTACH_ACTIONS:
            resource = account.arn("ec2", "network-interface/*")
            yield Use(
                by=f"code of {function.name}",
                action=action,
                resource="*" if ":Describe" in action else resource,
                role=function.role,
                context={"lambda:SourceFunctionArn": function.arn},
            )


def _from_outside(account: Account, environment: str) -> Iterator[Use]:
    migrate, (bastion,) = function_named(account, "migrate"), account.machines
    release = code_call(account, environment, "migrate", "s3:GetObject").resource
    yield Use(
        by="plain HTTP",
        action="s3:GetObject",
        resource=release,
        role=migrate.role,
        context={"aws:SecureTransport": "false"},
    )
    yield Use(
        by="bastion's credentials elsewhere", action="ssmmessages:OpenDataChannel", resource="*", role=bastion.role
    )
    for proxy in account.proxies:
        if proxy.secret_arns:
            key = account.keys[proxy.secret_arns[0]]
            yield Use(by="proxy without the secret", action="kms:Decrypt", resource=key, role=proxy.role)


def _other_account(account: Account, environment: str) -> Iterator[Use]:
    (key,) = {*account.keys.values()}
    logs = f"arn:aws:logs:{account.region}:{ANOTHER_ACCOUNT}:log-group:theirs"
    services = {
        f"logs.{account.region}.amazonaws.com": {"kms:EncryptionContext:aws:logs:arn": logs},
        "cloudwatch.amazonaws.com": {"aws:SourceAccount": ANOTHER_ACCOUNT},
        "events.amazonaws.com": {"kms:EncryptionContext:aws:sns:topicArn": account.arn("sns", "theirs")},
    }
    for service, context in services.items():
        yield Use(by="another account", action="kms:Decrypt", resource=key, service=service, context=context)
    for role, service in (
        *((role, "scheduler.amazonaws.com") for role, _ in account.schedules.values()),
        *((role, "vpc-flow-logs.amazonaws.com") for role in account.flow_logs),
        *((str(each.monitoring_role), "monitoring.rds.amazonaws.com") for each in account.instances),
    ):
        yield Use(
            by="another account",
            action=assume(account, role, service).action,
            resource=role,
            service=service,
            context={"aws:SourceAccount": ANOTHER_ACCOUNT},
        )
    place = function_named(account, "migrate").place
    (bastion,) = account.machines
    for action in (*(action for _, action in sorted(CODE_CALLS)), "ssm:PutParameter", "ssmmessages:OpenDataChannel"):
        resource = f"arn:aws:any:{account.region}:{ANOTHER_ACCOUNT}:theirs"
        if action == "s3:GetObject":
            resource = code_call(account, environment, "migrate", action).resource
        yield Use(
            by="another account's credentials",
            action=action,
            resource=resource,
            role=STRANGER,
            account_id=ANOTHER_ACCOUNT,
            place=bastion.place if action.startswith("ssm") else place,
        )


def _other_deployment(account: Account) -> Iterator[Use]:
    for topic in {topic for topics in account.alarms.values() for topic in topics}:
        yield Use(
            by="another deployment's alarm",
            action="sns:Publish",
            resource=topic,
            service="cloudwatch.amazonaws.com",
            context={"aws:SourceArn": account.arn("cloudwatch", "alarm:theirs"), "aws:SourceAccount": account.id},
        )
    for route, function_arn in account.api_routes.items():
        yield Use(
            by="another API",
            action="lambda:InvokeFunction",
            resource=function_arn,
            service="apigateway.amazonaws.com",
            context={"aws:SourceArn": account.arn("execute-api", f"theirs/{route.partition('/')[2]}")},
        )
