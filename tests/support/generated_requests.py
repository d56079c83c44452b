"""Hooks of schemathesis: signs each generated request, and makes cursors that are valid where all else is.

Imported by the process of schemathesis (SCHEMATHESIS_HOOKS), which runs beside the tests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.auth import AuthBase

from handlers.progress import cursors
from lab.emulator.server import CREDENTIALS
from tests.support.openapi import REGION

if TYPE_CHECKING:
    from requests import PreparedRequest

LAST_JOB = {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "job_id": UUID(int=1)}


class Signature(AuthBase):
    """Signature Version 4, as API Gateway checks it."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers."""
        keys = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"")
        SigV4Auth(keys, "execute-api", REGION).add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


schemathesis.auth.set_from_requests(Signature())


@schemathesis.hook
def before_call(_context: Any, case: Any, _arguments: Any) -> None:
    """Put a cursor of the list that a right request asks for in the place of a text without meaning."""
    query = case.query or {}
    if case.meta and case.meta.generation.mode.is_positive and "cursor" in query:
        real_time = str(query.get("real_time", "false")).lower() == "true"
        query["cursor"] = cursors.encode(LAST_JOB, state=query["state"], real_time=real_time)
