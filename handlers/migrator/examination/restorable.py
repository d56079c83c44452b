"""What a run builds again: objects that are missing, or that an older deployment's script has made since."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from handlers.contract.release import SqlStatement
from handlers.migrator.examination.checks import Check
from handlers.queries import load_queries

# The statement of 002 that replaces an older deployment's views.
ADOPTION = "SELECT adopt_older_views()"
RESTORE_CHECK = Check(
    why="It is not what the migrations made.", way_out="scannerdb migrate builds it again", refuses=False
)
_QUERIES = load_queries(Path(__file__).with_name("restorable.sql"))


def restorable(fetch: Callable[[str], list[dict[str, Any]]], to_run: Iterable[SqlStatement]) -> list[dict[str, Any]]:
    """Return one row for each, with a subject and a value; none before the adoption, which has steps of its own.

    Args:
        fetch: runs a query and returns its rows.
        to_run: the statements that are pending.

    """
    if any(statement.sql == ADOPTION for statement in to_run) or not fetch(_QUERIES["is_known"])[0]["is_known"]:
        return []
    return fetch(_QUERIES["objects"])
