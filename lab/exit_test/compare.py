"""Terraform JSON of two syntheses, compared."""

import difflib
import json
from pathlib import Path
from typing import Any

LONGEST_DIFFERENCE = 60


def read_stack(file: Path, root: Path) -> dict[str, Any]:
    """Return a stack's JSON without the version that wrote it, and with paths relative to the code's folder."""
    stack: dict[str, Any] = json.loads(file.read_text().replace(f"{root}/", ""))
    stack["//"]["metadata"].pop("version")
    return stack


def difference(one: dict[str, Any], other: dict[str, Any], *, names: tuple[str, str]) -> list[str]:
    """Return the lines that differ, with some around them; none when both say the same in any order."""
    if one == other:
        return []
    before, after = (json.dumps(stack, indent=2, sort_keys=True).splitlines() for stack in (one, other))
    lines = list(difflib.unified_diff(before, after, *names, lineterm=""))
    left = len(lines) - LONGEST_DIFFERENCE
    return lines if left <= 0 else [*lines[:LONGEST_DIFFERENCE], f"... and {left} lines more"]
