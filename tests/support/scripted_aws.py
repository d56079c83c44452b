"""AWS by a script: a table answers each call, and botocore's Stubber holds the answer to the service's model."""

from __future__ import annotations

import functools
import io
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.response import StreamingBody
from botocore.stub import Stubber

from scannerdb.checks.clients import Clients

if TYPE_CHECKING:
    from stacks.settings import Settings

ACCOUNT = "123456789012"


class Refusal:
    """An error that AWS answers with."""

    def __init__(self, code: str, message: str = "said by AWS", *, status: int = 400) -> None:
        self.parsed = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.status = status


DENIED = Refusal("AccessDenied", "User is not authorized, because no identity-based policy allows it", status=403)


@functools.cache
def _session(region: str) -> boto3.Session:
    """Return one session for all tests: each reads the descriptions of the services anew."""
    return boto3.Session("test", "test", region_name=region)


class ScriptedAws:
    """Makes clients whose calls are answered by `script`: `service.operation` to an answer, or to a function of the
    call's arguments."""

    def __init__(self, script: Any) -> None:
        self.script = dict(script)
        self.calls: list[str] = []
        self._arguments: dict[str, Any] = {}

    def clients(self, settings: Settings) -> Clients:
        return Clients(settings, self.make)

    def make(self, settings: Settings, service: str, **_: Any) -> Any:
        client = _session(settings.region).client(service)
        client.meta.events.register_last("before-parameter-build", self._remember)
        client.meta.events.register("before-call", functools.partial(self._answer, client, service))
        return client

    def _remember(self, params: dict[str, Any], **_: Any) -> None:
        self._arguments = dict(params)

    def _answer(self, client: Any, service: str, *, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        name = f"{service}.{xform_name(model.name)}"
        self.calls.append(name)
        answer = self.script[name]
        if callable(answer):
            answer = answer(self._arguments)
        if isinstance(answer, Refusal):
            return AWSResponse(None, answer.status, {}, None), answer.parsed
        # It raises an error for a field that the service's model does not have.
        Stubber(client).add_response(xform_name(model.name), answer)
        return AWSResponse(None, 200, {}, None), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def payload(result: Any, *, error: bool = False) -> dict[str, Any]:
    """Return the answer of `lambda.invoke`."""
    body = json.dumps(result).encode()
    failed = {"FunctionError": "Unhandled"} if error else {}
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body)), **failed}
