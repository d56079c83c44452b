"""Replays the stored response when an SDK retries a request.

The SDKs retry when the connection breaks before the response, which happens on a busy machine. Executed twice, a
request that creates would fail because the resource exists, and one that revokes because it is gone.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

# The SDK sends the same invocation id with each try:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
INVOCATION_ID, TRY = "HTTP_AMZ_SDK_INVOCATION_ID", "HTTP_AMZ_SDK_REQUEST"
REMEMBERED = 1000


@dataclass
class _Invocation:
    # Held while a try is executed: the next one may arrive before it ends.
    lock: threading.Lock = field(default_factory=threading.Lock)
    response: Response | None = None

    @property
    def succeeded(self) -> bool:
        return self.response is not None and self.response.status_code < HTTPStatus.BAD_REQUEST


class RetryReplay:
    """A WSGI application that executes each SDK invocation once, unless it failed.

    Args:
        application: executes the requests.

    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._invocations: OrderedDict[str, _Invocation] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        # GET is safe to repeat, and its responses may be too large to store.
        if INVOCATION_ID not in environ or environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        invocation = self._invocation(environ[INVOCATION_ID])
        with invocation.lock:
            if invocation.succeeded:
                print(f"replayed: {environ.get(TRY)}", file=sys.stderr, flush=True)
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
