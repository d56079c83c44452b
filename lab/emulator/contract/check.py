"""The check in front of the emulator: what AWS's service models refuse never reaches it.

Each refusal is a line on standard error, for people and tests; Terraform prints the answer.
"""

import sys
import threading
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from lab.emulator.contract import requests
from lab.emulator.contract.answers import error_response, guess_protocol, refusal
from lab.emulator.contract.constraints import find_violations

# Begins the line of each refusal in the emulator's log.
REFUSED = "contract: refused"
ERRORS = {
    requests.UnsignedRequestError: ("MissingAuthenticationToken", HTTPStatus.FORBIDDEN),
    requests.UnmappedServiceError: ("UnmappedService", HTTPStatus.BAD_REQUEST),
    requests.UnknownOperationError: ("UnknownOperationException", HTTPStatus.BAD_REQUEST),
    requests.UnreadableRequestError: ("SerializationException", HTTPStatus.BAD_REQUEST),
}


class ContractCheck:
    """A WSGI application that holds each request against its service's model before another executes it.

    Args:
        application: executes the requests that hold.

    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.checked = 0
        self.refused = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._check(environ)
        with self._lock:
            self.checked += 1
            self.refused += answer is not None
        return (answer or self._application)(environ, start_response)

    def _check(self, environ: dict[str, Any]) -> Response | None:
        """Return the refusal of a request, or `None` when it holds."""
        try:
            call = requests.parse(environ)
        except requests.RequestError as error:
            code, status = ERRORS[type(error)]
            _log(str(error))
            return error_response(guess_protocol(environ), code=code, message=str(error), status=status)
        violations = find_violations(call)
        if not violations:
            return None
        code, message = refusal(call, violations)
        _log(f"{call.service} {call.name}: {message}")
        return error_response(call.protocol, code=code, message=message)


def _log(message: str) -> None:
    print(f"{REFUSED}: {message}", file=sys.stderr, flush=True)
