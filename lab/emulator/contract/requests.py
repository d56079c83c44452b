"""Turns a request to AWS into its service, operation and parameters, by AWS's newest published service models.

Three steps: the signature's scope names the service, moto's router finds the operation in the model, moto's parser
reads the parameters. Where the wire says more than the parser reads, `unread` has it.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound

from lab.emulator.contract.services import find_service, service_router
from lab.emulator.contract.unknown_members import unknown_members

SCOPE = re.compile(r"(?P<access_key>[^/\s=]+)/\d{8}/(?P<region>[^/]+)/(?P<signing_name>[^/]+)/aws4_request")

# What a query carries beside the operation's parameters; SDKs send `x-id` to S3, for its logs.
NOT_PARAMETERS = {"Action", "Version", "x-id"}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who signed a request, where, and for which service: the scope of its signature, which is not verified here.

    Source: "Elements of an AWS API request signature" in the IAM user guide.
    """

    access_key: str
    region: str
    # Such as `monitoring` for CloudWatch and `states` for Step Functions.
    signing_name: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as AWS's model of the service reads it.

    Attributes:
        service: the service's name in botocore, such as `stepfunctions`.
        operation: its model; `operation.name` is such as `DescribeExecution`.
        parameters: by the model's names; blobs are bytes, timestamps naive datetimes in UTC.
        protocol: `json`, `rest-json`, `query`, `ec2` or `rest-xml`.
        caller: who signed it.
        unread: names of parameters that the model does not know, as the wire has them.

    """

    service: str
    operation: OperationModel
    parameters: Mapping[str, Any]
    protocol: str
    caller: Caller
    unread: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The operation's name, such as `CreateDBInstance`."""
        return str(self.operation.name)


class RequestError(Exception):
    """A request that names no operation, or whose parameters cannot be read; the message says which and why."""


class UnsignedRequestError(RequestError):
    """No signature names a caller and a service."""


class UnmappedServiceError(RequestError):
    """The request is for a service that `SERVICES` does not map."""


class UnknownOperationError(RequestError):
    """The service's model has no such operation."""


class UnreadableRequestError(RequestError):
    """The parameters cannot be read: no JSON, no XML, or no number where the model has one."""


def parse(environ: dict[str, Any]) -> Call:
    """Return what a WSGI request asks of AWS; the application behind can still read its body.

    Raises:
        RequestError: one of its subclasses.

    """
    request = _request(environ)
    caller = find_caller(request)
    service = find_service(caller.signing_name, request.path)
    if service is None:
        raise UnmappedServiceError(
            f"the emulator checks each request against AWS's model of the service, and '{caller.signing_name}' "
            f"({request.method} {request.path}) is not mapped; add it to SERVICES in lab/emulator/contract/services.py"
        )
    try:
        operation, uri_parameters = service_router(service).match(request)
        protocol = determine_request_protocol(operation.service_model, request.content_type)
    except (NotFound, NotImplementedError) as error:
        raise UnknownOperationError(f"{service} has no operation for {_said(request)}") from error
    try:
        parameters, unread = _read(request, operation, protocol, uri_parameters)
    except (ET.ParseError, RequestParserError, ValueError, TypeError, AttributeError) as error:
        raise UnreadableRequestError(f"{service} {operation.name} cannot be read: {error}") from error
    return Call(
        service=service, operation=operation, parameters=parameters, protocol=protocol, caller=caller, unread=unread
    )


def _read(
    request: Request, operation: OperationModel, protocol: str, uri_parameters: dict[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters of a request, and the names of those that the model does not know."""
    values = _ReadValues(request.values)
    parameters = PROTOCOL_PARSERS[protocol](operation, map_type=dict).parse(
        {
            "method": request.method,
            "values": values,
            "headers": request.headers,
            "body": request.get_data(),
            "url_path": request.path,
            "url_params": uri_parameters,
        }
    )
    if protocol in {"ec2", "query"}:
        return parameters, tuple(sorted(values.keys() - values.read - NOT_PARAMETERS))
    in_query = request.args.keys() - values.read - operation.http_trait.query_args.keys() - NOT_PARAMETERS
    in_body = unknown_members(request.get_data(), operation.input_shape, protocol)
    # A presigned request carries its signature there.
    return parameters, (*sorted(name for name in in_query if not name.startswith("X-Amz-")), *in_body)


def find_caller(request: Request) -> Caller:
    """Return the scope of a request's signature, from its header or, when it is presigned, from its query.

    Raises:
        UnsignedRequestError: it has none.

    """
    said = request.headers.get("Authorization", "") or request.args.get("X-Amz-Credential", "")
    match = SCOPE.search(said)
    if match is None:
        raise UnsignedRequestError(f"{_said(request)} carries no signature of version 4")
    return Caller(**match.groupdict())


def _request(environ: dict[str, Any]) -> Request:
    """Read a request's body and put it back."""
    request = Request(dict(environ), populate_request=False)
    body = request.get_data(cache=True)
    environ["wsgi.input"] = io.BytesIO(body)
    return request


def _said(request: Request) -> str:
    operation = request.headers.get("X-Amz-Target") or request.values.get("Action")
    return f"{operation} ({request.method} {request.path})" if operation else f"{request.method} {request.path}"


class _ReadValues(MultiDict[str, str]):
    """Values of a form or a query that remember which of them were read."""

    def __init__(self, values: MultiDict[str, str]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.read.add(key)
        return super().get(key, *args, **kwargs)

    def getlist(self, key: str, *args: Any, **kwargs: Any) -> list[Any]:
        self.read.add(key)
        return super().getlist(key, *args, **kwargs)
