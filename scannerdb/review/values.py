"""Decides how much of an attribute's value is shown: no secrets, no long texts."""

import json
import re
from typing import Any

UNKNOWN = "(known after apply)"
SECRET = "(sensitive)"  # noqa: S105 - a placeholder
NONE = "(none)"
LONGEST_SHOWN = 80
# Providers do not mark every secret, so names decide too.
_CALLED_LIKE_A_SECRET = re.compile(r"passw|secret|token|private_key|credential|user_data|auth_key", re.IGNORECASE)


def is_marked(mark: Any) -> bool:
    """Return whether a mark of the plan (`after_unknown`, `after_sensitive`, ...) is set anywhere in an attribute."""
    if isinstance(mark, dict):
        return any(is_marked(value) for value in mark.values())
    if isinstance(mark, list):
        return any(is_marked(value) for value in mark)
    return mark is True


def is_secret(name: str, *marks: Any) -> bool:
    """Return whether an attribute with this name and these marks is a secret."""
    return any(is_marked(mark) for mark in marks) or bool(_CALLED_LIKE_A_SECRET.search(name))


def show(value: Any, unknown: Any = None) -> str:
    """Return a value that is no secret as one line; `unknown` is its mark `after_unknown`."""
    nothing = value is None or value == ""
    if unknown is True or (nothing and is_marked(unknown)):
        return UNKNOWN
    if nothing:
        return NONE
    text = _line(value)
    return f"{text} and more {UNKNOWN}" if is_marked(unknown) else text


def _line(value: Any) -> str:
    if isinstance(value, dict | list):
        parts = list(value.values()) if isinstance(value, dict) else value
        # A nested name may be that of a secret, as in a function's environment.
        nested = any(isinstance(part, dict | list) for part in parts) or any(map(is_secret, map(str, value)))
        text = json.dumps(value, sort_keys=True)
        return text if len(text) <= LONGEST_SHOWN and not nested else f"({len(parts)} entries)"
    text = value if isinstance(value, str) else json.dumps(value)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= LONGEST_SHOWN else f"({len(text):,} characters)"
