"""A Step Functions that knows the executions that a test gives it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from handlers import executions

if TYPE_CHECKING:
    import pytest

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:list:"
LONG_AGO = timedelta(days=1)


class StepFunctions:
    """Takes the place of boto3's client.

    Attributes:
        states: the status of each execution and when it ended; a status alone ended a day ago.
        asked: the ARNs that were asked for.

    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: dict[str, str | tuple[str, datetime]] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(executions, "_client", lambda: self)
        monkeypatch.setattr(executions, "_succeeded", {})

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 - the name of AWS
        """Answer as the service does."""
        self.asked.append(executionArn)
        state = self.states.get(executionArn)
        if state is None:
            raise LookupError(f"ExecutionDoesNotExist: {executionArn}")
        status, stopped_at = state if isinstance(state, tuple) else (state, datetime.now(UTC) - LONG_AGO)
        ended = {} if status in {"RUNNING", "PENDING_REDRIVE"} else {"stopDate": stopped_at}
        return {"status": status, **ended}
