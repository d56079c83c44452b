"""What exists under the name of an index that is to be built, and is another one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from handlers.contract.release import Index
from handlers.migrator import indexes
from handlers.migrator.examination.checks import Check
from handlers.migrator.ledger import QUERIES

OTHER_INDEX_CHECK = Check(
    why="A migration builds the index of this name {wanted}.", way_out="{statement}", refuses=True
)


def other_indexes(fetch: Callable[[str], list[dict[str, Any]]], to_build: Sequence[Index]) -> Iterator[dict[str, str]]:
    """Yield one row for each, with a subject, a value, the index that is wanted and a statement as the way out.

    Args:
        fetch: runs a query and returns its rows.
        to_build: the indexes that are to be built; `fetch` has them as parameters.

    """
    for row in fetch(QUERIES["index_states"]):
        index, subject = to_build[row["position"]], row["subject"]
        if not row["is_index"]:
            way_out = f"ALTER TABLE {subject} RENAME TO ..."
        elif not row["same_table"] or (row["valid"] and not indexes.is_wanted(row, index)):
            way_out = f"ALTER INDEX {subject} RENAME TO ..., or DROP INDEX CONCURRENTLY {subject}"
        else:  # it is right, or a build left it INVALID and the run drops it
            continue
        yield {
            "subject": subject,
            "value": row["definition"] or "no index",
            "wanted": indexes.description(index),
            "statement": way_out,
        }
