"""Answers errors in the form of each protocol, as the SDKs read them."""

import json
from http import HTTPStatus
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from lab.emulator.contract.constraints import Violation
from lab.emulator.contract.requests import Call

# Where the model of a service names an error of its own for what breaks its constraints; else that of its protocol.
# Source for `query`: "Common errors" in the API references of IAM, RDS, STS and CloudWatch.
CODES = {"apigatewayv2": "BadRequestException", "logs": "InvalidParameterException", "s3": "InvalidArgument"}
CODES_BY_PROTOCOL = {"query": "ValidationError", "rest-xml": "ValidationError"}
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
EC2_CODES = {"required": "MissingParameter", "unknown": "UnknownParameter"}

XML = {
    "ec2": "<Response><Errors><Error>{error}</Error></Errors><RequestID>contract</RequestID></Response>",
    "query": "<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>contract</RequestId></ErrorResponse>",
    "rest-xml": "<Error>{error}<RequestId>contract</RequestId></Error>",
}


def error_response(protocol: str, *, code: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    """Return an error as a service of this protocol answers it.

    Args:
        protocol: `json`, `rest-json`, `query`, `ec2` or `rest-xml`.
        code: such as `AccessDenied`; the SDKs make it the name of the exception.
        message: for people.
        status: of HTTP; the SDKs retry from 500 on.

    """
    if protocol in XML:
        error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        return Response(XML[protocol].format(error=error), status, content_type="text/xml")
    # Both protocols accept either place of the code.
    body = json.dumps({"__type": code, "message": message})
    return Response(body, status, headers={"x-amzn-ErrorType": code}, content_type="application/x-amz-json-1.1")


def refusal(call: Call, violations: list[Violation]) -> tuple[str, str]:
    """Return the code and the message with which the service refuses a call."""
    said = "; ".join(str(each) for each in violations)
    message = f"{len(violations)} validation error{'s' * (len(violations) > 1)} detected: {said}"
    if call.protocol == "ec2":
        return EC2_CODES.get(violations[0].kind, "InvalidParameterValue"), message
    return CODES.get(call.service) or CODES_BY_PROTOCOL.get(call.protocol, "ValidationException"), message


def guess_protocol(environ: dict[str, str]) -> str:
    """Return the protocol of a request for a service without a model."""
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    return "query" if "form-urlencoded" in environ.get("CONTENT_TYPE", "") else "rest-json"
