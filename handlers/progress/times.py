"""Times of PostgreSQL that Python does not know: infinity, and years before 1 or after 9999."""

from datetime import UTC, datetime

import psycopg2.extensions

# What an answer says for such a time: PostgreSQL has it, Python and JSON's readers do not.
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def parse_time(value: datetime | str | None) -> datetime | None:
    """Return a time, also one that PostgreSQL wrote as text."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return EARLIEST if value.startswith(("-", "0001")) or value.endswith("BC") else LATEST


def _time_of_row(value: str | bytes | None, _cursor: object) -> datetime | None:
    return parse_time(value.decode() if isinstance(value, bytes) else value)


# A time that Python does not know, in the row of one job, would be an error for the whole list.
psycopg2.extensions.register_type(
    psycopg2.extensions.new_type(psycopg2.extensions.PYDATETIMETZ.values, "TIMESTAMPTZ", _time_of_row)
)
