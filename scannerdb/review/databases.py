"""Which databases a plan makes, and what is in them."""

from collections.abc import Iterable

from scannerdb.review.changes import Action, Change

DATABASES = frozenset({"aws_db_instance", "aws_rds_cluster"})
# Where a database comes from, when it is not made empty.
_SOURCES = ("snapshot_identifier", "restore_to_point_in_time", "replicate_source_db", "s3_import")


def makes_empty_database(changes: Iterable[Change]) -> bool:
    """Return whether a plan makes a database with nothing in it."""
    return any(
        change.type in DATABASES
        and change.action in {Action.CREATE, Action.REPLACE}
        and not any(change.after.get(source) for source in _SOURCES)
        for change in changes
    )
