"""Compares documents in a plan, such as policies, metric queries and dashboards, line by line."""

import difflib
import json
from typing import Any

from scannerdb.review.values import SECRET, UNKNOWN, is_secret

# Attributes that hold a document, and nothing that AWS keeps secret.
DOCUMENTS = frozenset(
    {
        *("alarm_rule", "assume_role_policy", "dashboard_body", "event_pattern", "inline_policy", "metric_query"),
        *("metric_transformation", "pattern", "policy", "query_string"),
    }
)
_CONTEXT_LINES = 2


def compare(name: str, before: Any, after: Any, unknown: Any) -> tuple[str, ...]:
    """Return the lines of a diff of an attribute that is a document; none for others, and for one that is not there.

    Args:
        name: of the attribute.
        before: its value; JSON in a text counts as what it says.
        after: its value after the apply, without what is known only then.
        unknown: marks what is known only then.

    """
    if name not in DOCUMENTS or not before or not after:
        return ()
    old, new = _parsed(before), _filled(_parsed(after), unknown)
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=_CONTEXT_LINES)
    # The first two lines name files.
    return tuple(lines)[2:]


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _filled(value: Any, unknown: Any) -> Any:
    """Return a value with a placeholder for each part that is known after the apply."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and isinstance(value, dict):
        return {key: _filled(value.get(key), unknown.get(key)) for key in {**value, **unknown}}
    if isinstance(unknown, list) and isinstance(value, list):
        padded = [*unknown, *([None] * len(value))]
        return [_filled(part, mark) for part, mark in zip(value, padded, strict=False)]
    return value


def _lines(value: Any) -> list[str]:
    """Return a document as lines: JSON with sorted keys and without empty parts, or the text's own lines."""
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(_told(value), indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        told = {key: SECRET if is_secret(key) and isinstance(part, str) else _told(part) for key, part in value.items()}
        # Terraform writes each argument of a block that is not set.
        return {key: part for key, part in told.items() if part not in (None, "", [], {})}
    return [_told(part) for part in value] if isinstance(value, list) else value
