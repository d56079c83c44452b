"""A broken migration fails the deploy with its cause, leaves the database as it was, and can be mended."""

import pytest

from lab.deployment import DeploymentError
from tests.acceptance.conftest import Deployed

# Every table, view, index and function, and what the ledger says was applied.
CONTENT = """
SELECT format('%s %s', relkind, oid::regclass)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT oid::regprocedure::text
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT to_jsonb(applied)::text
FROM schema_migrations AS applied
ORDER BY 1
"""
DOWN = "DROP TABLE IF EXISTS scan_notes;\n"
MENDED = "CREATE TABLE scan_notes (job_id uuid PRIMARY KEY, note text NOT NULL);\n"
SYNTAX_ERROR = "CREATE TABEL scan_notes (job_id uuid PRIMARY KEY);\n"
# PostgreSQL's grammar takes it; only a database can tell that it is wrong. The first statement must not stay.
WRONG_COLUMN = "CREATE TABLE scan_notes (job_id uuid PRIMARY KEY);\n\nUPDATE jobs SET colour = 'red';\n"


def test_a_broken_migration_fails_the_deploy_and_the_mended_file_deploys(deployed: Deployed) -> None:
    before = deployed.query(CONTENT)
    number = max(int(file.name[:3]) for file in deployed.migrations.glob("[0-9][0-9][0-9]_*.sql")) + 1
    migration = deployed.migrations / f"{number:03}_add_scan_notes.sql"
    migration.with_suffix(".down.sql").write_text(DOWN)

    migration.write_text(SYNTAX_ERROR)
    with pytest.raises(DeploymentError) as refused:
        deployed.deployment.deploy(deployed.provider)
    for part in (migration.name, "CREATE TABEL scan_notes", 'syntax error at or near "TABEL"', "deploy.log"):
        assert part in str(refused.value)
    assert deployed.query(CONTENT) == before

    migration.write_text(WRONG_COLUMN)
    with pytest.raises(DeploymentError) as failed:
        deployed.deployment.deploy(deployed.provider)
    for part in (
        "scanner-database-local-migrate failed: MigrationFailedError",
        f"migrations/{migration.name}, line 3",
        'column "colour" of relation "jobs" does not exist',
        "UPDATE jobs SET colour = 'red'",
    ):
        assert part in str(failed.value)
    assert "Traceback" not in str(failed.value)
    assert deployed.query(CONTENT) == before

    migration.write_text(MENDED)
    deployed.deployment.deploy(deployed.provider)
    assert deployed.query("SELECT count(*) FROM scan_notes") == [(0,)]
    assert deployed.get(f"/jobs/{deployed.jobs[0].job_id}").status_code == 200
