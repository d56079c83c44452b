"""A request that is sent again because its answer was lost gets the answer that was lost.

AWS's SDKs send a request again when the connection breaks before the answer, which on a busy machine happens at times.
What creates or revokes something would fail the second time, because the thing is there already, or gone.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

# The same for each try of a request, where the SDK sends it:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
INVOCATION_ID, TRY = "HTTP_AMZ_SDK_INVOCATION_ID", "HTTP_AMZ_SDK_REQUEST"
REMEMBERED = 1000


@dataclass
class _Invocation:
    # The first try may be at work still when the second one comes.
    lock: threading.Lock = field(default_factory=threading.Lock)
    response: Response | None = None

    @property
    def succeeded(self) -> bool:
        return self.response is not None and self.response.status_code < HTTPStatus.BAD_REQUEST


class AnswerAgain:
    """A WSGI application that executes each invocation once, unless it failed.

    Args:
        application: executes the requests.

    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._invocations: OrderedDict[str, _Invocation] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        # What is read with GET may be large, and may be executed twice.
        if INVOCATION_ID not in environ or environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        invocation = self._invocation(environ[INVOCATION_ID])
        with invocation.lock:
            if invocation.succeeded:
                print(f"answered again: {environ.get(TRY)}", file=sys.stderr, flush=True)
            else:
                invocation.response = Response.from_app(self._application, environ, buffered=True)
            assert invocation.response is not None
            return invocation.response(environ, start_response)

    def _invocation(self, identifier: str) -> _Invocation:
        with self._lock:
            invocation = self._invocations.setdefault(identifier, _Invocation())
            if len(self._invocations) > REMEMBERED:
                self._invocations.popitem(last=False)
            return invocation
