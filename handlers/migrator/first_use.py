"""The first minute of a new deployment, in which AWS may still refuse what it was told to allow.

A new policy of IAM holds everywhere within seconds, not at once:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
That the rules of a new security group and the name of a new instance take such a while too is believed, not documented.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

from handlers.contract.timeouts import FIRST_USE_S
from handlers.errors import DatabaseUnavailableError

T = TypeVar("T")

_POLL_INTERVAL_S = 3
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
# How libpq begins what the server itself answered. Only a server that starts answers otherwise a little later.
_ANSWERED, _STARTING = "FATAL:", "starting up"


class FirstUse:
    """Repeats calls that fail in the first `FIRST_USE_S` seconds after it was made.

    Args:
        report: called with a sentence for people, and fields for programs.

    """

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report
        self._ends_at = time.monotonic() + FIRST_USE_S

    def call(self, work: Callable[[], T]) -> T:
        """Return what the work returns.

        Raises:
            Exception: what it raised, at once where waiting mends nothing, or last when the time was over.

        """
        while True:
            try:
                return work()
            except (ClientError, DatabaseUnavailableError) as error:
                if time.monotonic() >= self._ends_at or not _may_pass(error):
                    raise
                self._report("refused or not reached; trying again for up to a minute", reason=str(error).strip())
            time.sleep(_POLL_INTERVAL_S)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") in _DENIED
    return _ANSWERED not in str(error) or _STARTING in str(error)
