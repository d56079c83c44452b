"""Runs the checks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg2

from handlers.contract.parameters import ExpectedParameters
from handlers.contract.release import Index, Release, SqlStatement
from handlers.contract.roles import IAM_ROLES
from handlers.migrator import indexes
from handlers.migrator.examination import checks
from handlers.migrator.examination.finding import ExaminationFinding
from handlers.migrator.examination.other_indexes import OTHER_INDEX_CHECK, other_indexes
from handlers.migrator.examination.parameters import (
    NEEDED_CHECK,
    PARAMETER_CHECK,
    needed_parameters,
    other_parameters,
)
from handlers.migrator.examination.restorable import RESTORE_CHECK, restorable
from handlers.migrator.examination.statuses import STATUS_CHECK, unknown_statuses
from handlers.migrator.plan import PendingMigration

Fetch = Callable[[str], list[dict[str, Any]]]
# In front of each query, in one message and so in one transaction. A lock that another session holds, or a table that
# is large, must not keep a deploy waiting.
_BOUNDS = (
    "SET TRANSACTION READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; "
    "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s';\n"
)
_NOT_MADE = (
    psycopg2.errors.QueryCanceled,
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.InsufficientPrivilege,
)


def examine_database(
    cursor: Any,
    release: Release,
    pending: Sequence[PendingMigration],
    *,
    expected: ExpectedParameters | None = None,
) -> list[ExaminationFinding]:
    """Return what was found, those that refuse first. Changes nothing, and takes no lock that a writer waits for.

    Args:
        cursor: of a connection in autocommit mode.
        release: what would be run.
        pending: what of it would be run.
        expected: what a deployment expects of the server's parameters.

    """
    parameters = _parameters(release, pending)

    def fetch(query: str, parameters: Mapping[str, Any] = parameters) -> list[dict[str, Any]]:
        cursor.execute(_BOUNDS + query, parameters)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    findings: list[ExaminationFinding] = []
    for name, query, check in checks.CHECKS:
        findings += _checked(name, check, partial(fetch, query))
    to_build = _to_build(pending)
    findings += _checked("other_indexes", OTHER_INDEX_CHECK, lambda: list(other_indexes(fetch, to_build)))
    findings += _checked("restorable", RESTORE_CHECK, lambda: restorable(fetch, _to_run(pending)))
    findings += _checked("statuses", STATUS_CHECK, lambda: unknown_statuses(fetch))
    findings += _checked("needed_parameters", NEEDED_CHECK, lambda: needed_parameters(fetch, expected))
    findings += _checked("parameters", PARAMETER_CHECK, lambda: other_parameters(fetch, expected))
    return sorted(findings, key=lambda finding: not finding.refuses)


def _checked(
    name: str, check: checks.Check, look: Callable[[], Sequence[Mapping[str, Any]]]
) -> Iterator[ExaminationFinding]:
    try:
        rows = look()
    except _NOT_MADE as error:
        # What was not looked at is not known to be well.
        yield ExaminationFinding(
            check=name,
            subject=f"the check {name}",
            value=f"not made: {error.diag.message_primary}",
            why="What it looks at is not known.",
            way_out="scannerdb plan, when that is mended",
            refuses=check.refuses,
        )
        return
    for row in rows:
        yield ExaminationFinding(
            check=name,
            subject=row["subject"],
            value=row["value"],
            why=check.why.format_map(row),
            way_out=check.way_out.format_map(row),
            refuses=check.refuses,
        )


def _parameters(release: Release, pending: Sequence[PendingMigration]) -> dict[str, Any]:
    """Return the parameters of all queries."""
    statements = [statement for migration in release.migrations for statement in migration.statements]
    to_build = _to_build(pending)
    return {
        "tables": list(checks.TABLES),
        "counted": list(checks.COUNTED),
        "relations": list(checks.RELATIONS),
        "kinds": list(checks.RELATIONS.values()),
        "roles": list(IAM_ROLES) if release.roles.statements else [],
        "progress_columns": list(checks.PROGRESS_COLUMNS),
        "statistics_columns": list(checks.STATISTICS_COLUMNS),
        "functions": [
            *("refresh_job_progress", "should_refresh_progress"),  # created by other functions
            *(statement.name for statement in statements if statement.kind == "CREATE FUNCTION"),
        ],
        "indexes": [statement.index.name for statement in statements if statement.index],
        **indexes.wanted(to_build),
        "wanted_definitions": [index.definition for index in to_build],
    }


def _to_run(pending: Sequence[PendingMigration]) -> list[SqlStatement]:
    return [statement for item in pending for statement in item.migration.statements[item.first_statement :]]


def _to_build(pending: Sequence[PendingMigration]) -> list[Index]:
    return [statement.index for statement in _to_run(pending) if statement.index]
