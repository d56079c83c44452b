"""Values for people: times, sizes, and statements without what users wrote into them."""

import re
from collections.abc import Mapping
from typing import Any

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
_MIB = 1024**2
_GIB = 1024**3
_TIB = 1024**4
STATEMENT_LENGTH = 80

# Comments, quoted strings (also one that was cut off), dollar quotes, and numbers that stand alone.
_LITERAL = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|(?P<text>[eEbBxXnN]?'(?:''|\\.|[^'])*(?:'|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|(?<![\w$.])\d[\d.]*\b)",
    re.DOTALL,
)


def duration(seconds: float) -> str:
    """Return a duration in its natural unit, such as `20 ms`, `75 s`, `12 min`, `3 h`, `2 days`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - one figure is enough from here on
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.0f} h"
    return f"{seconds / _DAY_S:,.0f} days"


def size(count: float) -> str:
    """Return bytes as MiB, GiB or TiB."""
    if count >= _TIB:
        return f"{count / _TIB:,.1f} TiB"
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB else f"{count / _MIB:,.1f} MiB"


def plural(count: float, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,.0f} {noun}{'' if count == 1 else 's'}"


def statement(sql: str) -> str:
    """Return the beginning of a statement with a question mark for each literal and no comment.

    Values and comments may be data of users. What is left, names and keywords, is what tells an on-call which statement
    it is; it is no more than the database's own log and pg_stat_statements show.
    """
    plain = _LITERAL.sub(lambda match: "?" if match["text"] else " ", sql)
    line = " ".join(plain.split())
    return line if len(line) <= STATEMENT_LENGTH else f"{line[: STATEMENT_LENGTH - 3]}..."


def session(row: Mapping[str, Any]) -> str:
    """Return who a session is."""
    name = f", {row['application_name']}" if row["application_name"] else ""
    return f"pid {row['pid']} ({row['usename']}{name})"
