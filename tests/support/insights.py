"""What of a query of CloudWatch Logs Insights can be tried here: its fields, and what its parse command finds.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import json
import re
from typing import Any

COMMANDS = frozenset({"display", "fields", "filter", "limit", "parse", "sort", "stats"})
WORDS = frozenset({"and", "or", "not", "in", "like", "as", "by", "asc", "desc", "ispresent", "count", "latest"})
# CloudWatch adds these to every event.
GIVEN = frozenset({"@log", "@message", "@timestamp"})
PARSE = re.compile(r"^parse @message /(.*)/$", re.MULTILINE)


def commands(query: str) -> list[str]:
    """Return the first word of each command."""
    return [part.split()[0] for part in re.split(r"^\| ", query, flags=re.MULTILINE)]


def fields(query: str) -> set[str]:
    """Return the fields that must be in the events: not those that CloudWatch adds, nor those that the query makes."""
    bare = re.sub(r"/(?:\\.|[^/\n])+/|\"[^\"]*\"", " ", query)
    made = set(re.findall(r"\bas (\w+)", bare)) | set(re.findall(r"\(\?<(\w+)>", query))
    named = set(re.findall(r"@?[A-Za-z_][\w.]*", bare))
    return named - made - COMMANDS - WORDS - GIVEN


def keys(line: str) -> set[str]:
    """Return the fields that CloudWatch finds in a JSON line; those of an object within have a dot."""

    def flat(value: dict[str, Any], prefix: str = "") -> set[str]:
        inner = [flat(item, f"{prefix}{name}.") for name, item in value.items() if isinstance(item, dict)]
        return {f"{prefix}{name}" for name in value}.union(*inner)

    return flat(json.loads(line))


def parsed(query: str, message: str) -> dict[str, str] | None:
    """Return what the parse command finds in an event, or nothing."""
    expression = PARSE.search(query)
    assert expression
    found = re.search(expression[1].replace("(?<", "(?P<"), message)
    return None if found is None else {name: value or "" for name, value in found.groupdict().items()}
