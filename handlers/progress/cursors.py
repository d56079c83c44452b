"""Where a page of a list ends: the `next_cursor` of an answer, and the `cursor` of a request."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from handlers.errors import InvalidRequestError
from handlers.progress.times import EARLIEST

# Newer than any job.
BEFORE_THE_FIRST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")
# For a job without created_at: such jobs come last.
_NEVER = "-infinity"


def encode(row: Mapping[str, Any], *, state: str, real_time: bool) -> str:
    """Return the cursor behind a job, for the same list only."""
    created_at = _NEVER if row["created_at"] in {None, EARLIEST} else row["created_at"].isoformat()
    text = f"{created_at} {row['job_id']} {state} {_kind(real_time=real_time)}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, *, state: str, real_time: bool) -> tuple[str, str]:
    """Return time and id of the job that a page begins after.

    Raises:
        InvalidRequestError: it is not a `next_cursor`, or that of another list.

    """
    try:
        created_at, job_id, *kind = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        if created_at != _NEVER:
            # In UTC, because Python knows offsets that PostgreSQL does not.
            created_at = datetime.fromisoformat(created_at).astimezone(UTC).isoformat()
        place = created_at, str(UUID(job_id))
    except (ValueError, OverflowError):
        message = f"cursor {cursor!r} is not one of ours; pass the next_cursor of the page before"
        raise InvalidRequestError("invalid_cursor", message) from None
    if kind != [state, _kind(real_time=real_time)]:
        asked = f"state={state}&real_time={str(real_time).lower()}"
        message = f"cursor {cursor!r} is of another list than {asked}; pass state and real_time as on the page before"
        raise InvalidRequestError("invalid_cursor", message)
    return place


def _kind(*, real_time: bool) -> str:
    return "real_time" if real_time else "cached"
