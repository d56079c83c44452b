"""Writes that are not counted, or that the triggers fail, are found, and the command that is named mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from tests.support.diagnosis import INVOKE_REFRESH, carry_out, diagnose, only, sql_of

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

WRITE = (
    "INSERT INTO {table} (job_id, bucket, key, etag, status) SELECT job_id, 'b', 'new', 'e', 'queued' FROM jobs LIMIT 1"
)


def test_triggers_that_are_off_are_named_and_switched_on(well: TestDatabase) -> None:
    assert only(diagnose(well, "triggers"))[:2] == ("ok", "all 8 fire")
    well.query("ALTER TABLE findings DISABLE TRIGGER track_findings_insert")
    # A replica's trigger does not fire for the scanner either.
    well.query("ALTER TABLE job_objects ENABLE REPLICA TRIGGER track_job_objects_delete")
    well.query("ALTER TABLE job_objects DISABLE TRIGGER track_job_objects_update")
    objects, findings = diagnose(well, "triggers")
    assert objects.value == "disabled on job_objects: track_job_objects_update, track_job_objects_delete"
    assert sql_of(findings.next) == "ALTER TABLE public.findings ENABLE TRIGGER track_findings_insert"
    for finding in (objects, findings):
        assert finding.state == "critical"
        carry_out(finding.next, well)
    assert only(diagnose(well, "triggers"))[0] == "ok"


def test_each_trigger_that_is_missing_is_made_as_the_migration_makes_it(well: TestDatabase) -> None:
    definitions = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE 'track_%' ORDER BY 1"
    before = well.query(definitions)
    for name, table in well.query("SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'track_%'"):
        well.query(f"DROP TRIGGER {name} ON {table}")
    findings = diagnose(well, "triggers")
    assert {finding.state for finding in findings} == {"critical"}
    for finding in findings:
        carry_out(finding.next, well)
    assert well.query(definitions) == before


@pytest.mark.parametrize(
    "changed",
    [
        # A trigger of our name that counts only some updates, or counts them one row at a time.
        "UPDATE OF status ON job_objects FOR EACH ROW EXECUTE FUNCTION track_job_objects()",
        "UPDATE ON job_objects FOR EACH STATEMENT EXECUTE FUNCTION others()",
    ],
)
def test_a_trigger_that_was_made_anew_in_another_way_is_made_as_the_migration_makes_it(
    well: TestDatabase, changed: str
) -> None:
    well.query("CREATE FUNCTION others() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    well.query("DROP TRIGGER track_job_objects_update ON job_objects")
    well.query(f"CREATE TRIGGER track_job_objects_update AFTER {changed}")
    state, value, next_ = only(diagnose(well, "triggers"))
    assert (state, value) == ("critical", "not as the migration made it on job_objects: track_job_objects_update")
    carry_out(next_, well)
    assert only(diagnose(well, "triggers"))[0] == "ok"


def test_a_table_that_was_renamed_and_made_anew_has_no_triggers(well: TestDatabase) -> None:
    well.query("ALTER TABLE job_objects RENAME TO former_objects")
    well.query("CREATE TABLE job_objects (LIKE former_objects INCLUDING ALL)")
    found = {finding.value: finding for finding in diagnose(well, "triggers")}
    (missing,) = found.values()
    assert missing.value.startswith("missing on job_objects: track_job_objects_insert, track_job_objects_update")
    assert missing.value.endswith("; public.former_objects has triggers of this name: was the table renamed?")
    views = {finding.value for finding in diagnose(well, "views")}
    assert "job_progress_live does not read job_objects: it was replaced" in views
    carry_out(missing.next, well)
    assert only(diagnose(well, "triggers"))[0] == "ok"


def test_a_column_that_was_renamed_fails_every_write_until_the_next_command(well: TestDatabase) -> None:
    well.query("ALTER TABLE job_objects RENAME COLUMN status TO state")
    write = WRITE.format(table="job_objects").replace("status", "state")
    with pytest.raises(psycopg2.errors.UndefinedColumn):
        well.query(write, user="scanner_app")
    (broken,) = diagnose(well, "triggers")
    assert (broken.state, broken.value) == (
        "critical",
        "the triggers fail every write: job_objects has no column status",
    )
    carry_out(broken.next, well)
    well.query(write, user="scanner_app")
    well.query("ALTER TABLE job_objects RENAME COLUMN state TO status")
    carry_out(only(diagnose(well, "triggers"))[2], well)
    carry_out(INVOKE_REFRESH % "rebuild", well)
    assert {finding.state for finding in diagnose(well, "triggers", "progress-drift")} == {"ok"}


@pytest.mark.parametrize(
    "fault",
    [
        (
            "CREATE OR REPLACE FUNCTION track_findings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN RETURN NULL; END'"
        ),
        "ALTER FUNCTION track_findings() SECURITY INVOKER",
    ],
)
def test_a_function_that_was_replaced_is_found_and_the_statement_of_its_migration_runs_again(
    well: TestDatabase, fault: str
) -> None:
    well.query(fault)
    (changed,) = diagnose(well, "triggers")
    assert changed.state == "critical"
    assert changed.value.startswith(
        "the function track_findings() is not that of migrations/003_count_what_changes.sql"
    )
    carry_out(changed.next, well)
    assert only(diagnose(well, "triggers"))[0] == "ok"


@pytest.mark.parametrize(
    ("fault", "sessions"),
    [
        ("ALTER ROLE scanner_app SET session_replication_role = replica", "scanner_app"),
        ("ALTER ROLE scanner_app IN DATABASE {name} SET session_replication_role = replica", "scanner_app in {name}"),
        ("ALTER DATABASE {name} SET session_replication_role = replica", "every role in {name}"),
    ],
)
def test_sessions_in_which_no_trigger_fires_are_found(well: TestDatabase, fault: str, sessions: str) -> None:
    well.query(fault.format(name=well.name), user="postgres")
    try:
        (found,) = diagnose(well, "triggers")
        assert found.state == "critical"
        assert found.value.startswith(
            f"session_replication_role = replica is set for {sessions.format(name=well.name)}: no trigger fires"
        )
        carry_out(found.next, well, user="postgres")  # on RDS the master user may
    finally:
        well.query("ALTER ROLE scanner_app RESET session_replication_role", user="postgres")
    assert only(diagnose(well, "triggers"))[0] == "ok"


def test_a_table_that_inherits_is_counted_once_it_has_triggers_of_its_own(well: TestDatabase) -> None:
    well.query("CREATE TABLE archived_objects () INHERITS (job_objects)")
    (found,) = diagnose(well, "triggers")
    assert found.value == (
        "public.archived_objects inherits from job_objects: "
        "a statement on public.archived_objects itself is not counted"
    )
    carry_out(found.next, well)
    assert only(diagnose(well, "triggers"))[0] == "ok"
    well.query(WRITE.format(table="archived_objects"))
    well.query("UPDATE job_objects SET status = 'failed'")
    well.query("DELETE FROM archived_objects")
    assert only(diagnose(well, "progress-drift"))[0] == "ok"


def test_a_rule_that_writes_elsewhere_is_told(well: TestDatabase) -> None:
    well.query("CREATE RULE elsewhere AS ON INSERT TO findings WHERE new.detector = 'x' DO INSTEAD NOTHING")
    state, value, _ = only(diagnose(well, "triggers"))
    assert (state, value) == ("warning", "the rule elsewhere replaces statements on public.findings")
