"""Whether the functions log in, each as its role: the functions' own credentials, network and certificates.

They connect with sslmode verify-full only, so a login shows that the server's certificate is trusted and has its name.
`status` logs in for each request of the API (`api.py`), the scanner's role through the tunnel (`tunnel.py`).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from handlers.contract.events import MigrateAction, RefreshAction, RefreshEvent
from handlers.contract.names import DOCTOR, MIGRATE, REFRESH, function_name
from handlers.contract.roles import DOCTOR as DOCTOR_ROLE
from handlers.contract.roles import OWNER, REFRESHER
from handlers.contract.timeouts import DOCTOR as DOCTOR_LIMITS
from handlers.contract.timeouts import REFRESH as REFRESH_LIMITS
from scannerdb.checks.model import Answer, Check, Context, State, ok, refused, warning
from scannerdb.errors import OperatorError

# Its checks are the connections alone.
ALARM = "proxy-unavailable"
# What Lambda adds to the time of a function: its start, and the answer's way.
START_S = 15
# `migrate` only reads for a plan; a run may take the whole of its time.
PLAN_S = 60
WAYS = {"connection": "direct", "proxy": "proxy"}
STATES: Mapping[str, State] = {"ok": "ok", "critical": "refused"}
VERIFIED = "verify-full"


class _FunctionError(Exception):
    """The message of an error that a function raised."""


def _invoke(context: Context, function: str, event: Mapping[str, object], *, timeout_s: float) -> Any:
    """Invoke a function once and return its result.

    Raises:
        _FunctionError: it raised an error.

    """
    answer = context.aws("lambda", read_timeout_s=timeout_s + START_S).invoke(
        FunctionName=function_name(context.settings.prefix, function), Payload=json.dumps(event).encode()
    )
    body = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        raise _FunctionError(f"{body.get('errorType')}: {body.get('errorMessage')}")
    return body


def _logs(context: Context, function: str) -> str:
    return f"scannerdb logs {function} -e {context.settings.environment} --since 15m"


def _doctor(context: Context) -> Iterator[Answer]:
    """Have the doctor log in on both ways."""
    try:
        result = _invoke(context, DOCTOR, {"alarm": ALARM}, timeout_s=DOCTOR_LIMITS.function_s)
    except _FunctionError as error:
        yield refused(f"{DOCTOR} raised {error}", next=_logs(context, DOCTOR))
        return
    for finding in result["findings"]:
        if finding["check"] in WAYS:
            is_well = finding["state"] == "ok"
            yield Answer(
                state=STATES.get(finding["state"], "warning"),
                seen=f"{finding['value']}, {VERIFIED}" if is_well else finding["value"],
                next="" if is_well else finding["next"] or _logs(context, DOCTOR),
                asked=f"login: {DOCTOR_ROLE}, {WAYS[finding['check']]}",
            )


def _refresh(context: Context) -> Iterator[Answer]:
    """Have one more refresh done: it is what the schedule does."""
    event = RefreshEvent(source="accept", action=RefreshAction.REFRESH)
    try:
        result = _invoke(context, REFRESH, event, timeout_s=REFRESH_LIMITS.function_s)
    except _FunctionError as error:
        yield refused(f"{REFRESH} raised {error}", next=_logs(context, REFRESH))
        return
    done = f"refreshed {result['jobs']} jobs" if result["refreshed"] else "another refresh is running"
    yield ok(f"{done}, {VERIFIED}")


def _migrate(context: Context) -> Iterator[Answer]:
    """Have the deployed release planned: the owner logs in with the master secret, and only reads."""
    try:
        event = {**_release(context), "action": MigrateAction.PLAN}
        result = _invoke(context, MIGRATE, event, timeout_s=PLAN_S)
    except _FunctionError as error:
        yield refused(f"{MIGRATE} raised {error}", next=_logs(context, MIGRATE))
        return
    if refusing := [each for each in result["findings"] if each["refuses"]]:
        first = refusing[0]
        yield warning(f"logs in; migrate would refuse {first['subject']}: {first['value']}", next=first["way_out"])
    elif result["steps"]:
        yield warning(
            f"logs in; {len(result['steps'])} statements of the deployed release are pending",
            next=f"node_modules/.bin/cdktf deploy {context.settings.environment}",
        )
    else:
        yield ok(f"nothing of the deployed release is pending, {VERIFIED}")


def _release(context: Context) -> dict[str, Any]:
    """Return the event that the deploy invoked `migrate` with, from the state."""
    name = function_name(context.settings.prefix, MIGRATE)
    for invocation in context.managed("aws_lambda_invocation"):
        if invocation["function_name"] == name:
            event: dict[str, Any] = json.loads(invocation["input"])
            return event
    raise OperatorError(f"the state holds no invocation of {name}; the deploy did not get so far")


FUNCTIONS = (
    Check(name="login-doctor", asked=f"login: {DOCTOR_ROLE}", ask=_doctor),
    Check(name="login-refresh", asked=f"login: {REFRESHER}, proxy", ask=_refresh),
    Check(name="login-migrate", asked=f"login: {OWNER}, direct", ask=_migrate),
)
