"""Finds a statement in the migrations that should be applied, to compare with it or to run it again."""

import re

from handlers.contract.release import SqlStatement
from handlers.diagnosis.model import Context


def find_statement(context: Context, pattern: str) -> tuple[str, SqlStatement] | None:
    """Return the last statement in which a pattern occurs, and its file; `None` without a release that can be read."""
    if context.read_release is None:
        return None
    try:
        release = context.read_release()
    except Exception:  # noqa: BLE001 - the check `migrations` tells why it cannot be read
        return None
    found = [
        (migration.file, statement)
        for migration in release.migrations
        for statement in migration.statements
        if re.search(pattern, statement.sql)
    ]
    return found[-1] if found else None
