"""Row security, publications, subscriptions and views: what makes refreshes fail or count wrong numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from handlers.diagnosis import job_progress
from tests.support.diagnosis import INVOKE_MIGRATE, INVOKE_REFRESH, carry_out, diagnose, only

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def test_row_security_that_is_forced_is_found_and_the_next_command_ends_it(well: TestDatabase) -> None:
    assert only(diagnose(well, "row-security"))[0] == "ok"
    well.query("ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY")
    well.query("CREATE POLICY all_rows ON job_objects TO scanner_app, scanner_doctor USING (true)")
    well.query("ALTER TABLE job_objects FORCE ROW LEVEL SECURITY")
    forced, _doctor = diagnose(well, "row-security")
    assert (forced.state, forced.value) == (
        "critical",
        "row-level security is forced on public.job_objects: it hides rows from its owner, scanner_admin",
    )
    carry_out(forced.next, well)
    well.query("SELECT refresh_job_progress()")
    (doctor,) = diagnose(well, "row-security")
    assert (doctor.state, doctor.value) == (
        "warning",
        "row-level security of public.job_objects hides rows from scanner_doctor",
    )
    # No command that the owner may run ends that.
    assert doctor.next == ""
    assert doctor.why.endswith(" As the owner of the tables, the doctor sees every row.")
    assert "ALTER ROLE scanner_doctor BYPASSRLS" in doctor.why
    try:
        well.query("ALTER ROLE scanner_doctor BYPASSRLS", user="postgres")
        assert only(diagnose(well, "row-security"))[0] == "ok"
    finally:
        well.query("ALTER ROLE scanner_doctor NOBYPASSRLS", user="postgres")


@pytest.mark.parametrize("user", ["scanner_doctor", "scanner_admin"])
def test_rows_that_a_policy_hides_are_no_drift(well: TestDatabase, user: str) -> None:
    well.query("ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY; ALTER TABLE job_objects FORCE ROW LEVEL SECURITY")
    (finding,) = diagnose(well, "progress-drift", user=user)
    assert (finding.state, finding.next) == ("unknown", "")
    assert "row-security" in finding.why


def test_rows_that_a_policy_hides_from_the_doctor_are_no_drift_of_a_sample(
    well: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "VERIFIED_OBJECTS", -1)
    assert only(diagnose(well, "progress-drift"))[0] == "ok"
    well.query("ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY")
    (finding,) = diagnose(well, "progress-drift")
    assert (finding.state, finding.next) == ("unknown", "")


@pytest.mark.parametrize(
    "published", ["FOR ALL TABLES", "FOR TABLES IN SCHEMA public", "FOR TABLE job_progress_deltas"]
)
def test_a_published_table_without_a_replica_identity_is_found_and_mended(well: TestDatabase, published: str) -> None:
    well.query("ALTER TABLE job_progress_deltas REPLICA IDENTITY DEFAULT")
    well.query(f"CREATE PUBLICATION others {published}", user="postgres")
    (found,) = [finding for finding in diagnose(well, "replication") if "deltas" in finding.value]
    assert (found.state, found.value) == (
        "critical",
        "others publishes public.job_progress_deltas, which has no replica identity: each DELETE is refused",
    )
    carry_out(found.next, well)
    assert only(diagnose(well, "replication"))[0] == "ok"


def test_a_publication_of_some_columns_that_refuses_updates_is_found_and_ended(well: TestDatabase) -> None:
    well.query("CREATE PUBLICATION others FOR TABLE jobs, job_objects (job_id, status)", user="postgres")
    state, value, next_ = only(diagnose(well, "replication"))
    assert (state, value) == (
        "critical",
        "others publishes only some columns of public.job_objects, without all that identify a row",
    )
    carry_out(next_, well, user="postgres")
    assert only(diagnose(well, "replication"))[0] == "ok"


def test_a_publication_of_the_three_tables_is_no_fault(well: TestDatabase) -> None:
    well.query("CREATE PUBLICATION others FOR TABLE jobs, job_objects, findings", user="postgres")
    assert only(diagnose(well, "replication"))[0] == "ok"


@pytest.mark.parametrize(
    ("tables", "state", "next_"),
    [
        ("jobs, job_objects", "warning", INVOKE_REFRESH % "rebuild"),
        ("jobs, job_progress_counts", "critical", ""),
        ("jobs, job_progress_bounds", "critical", ""),
    ],
)
def test_a_subscription_that_writes_our_tables_is_told(well: TestDatabase, tables: str, state: str, next_: str) -> None:
    names = [f"'{name}'::regclass" for name in tables.split(", ")]
    well.query(
        "CREATE SUBSCRIPTION others CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)", user="postgres"
    )
    try:
        for name in names:  # as ALTER SUBSCRIPTION ... REFRESH PUBLICATION finds them
            well.query(
                f"INSERT INTO pg_subscription_rel SELECT oid, {name}, 'r', NULL FROM pg_subscription",
                user="postgres",
            )
    except psycopg2.errors.InsufficientPrivilege:
        pytest.skip("the catalog cannot be written")
    else:
        found = only(diagnose(well, "replication"))
        assert (found[0], found[2]) == (state, next_)
        assert found[1].startswith(f"the subscription others writes {', '.join(sorted(tables.split(', ')))}")
    finally:
        well.query("ALTER SUBSCRIPTION others SET (slot_name = NONE)", user="postgres")
        well.query("DROP SUBSCRIPTION others", user="postgres")


def test_a_view_that_another_script_made_anew_is_found(well: TestDatabase) -> None:
    assert only(diagnose(well, "views"))[0] == "ok"
    well.query("DROP MATERIALIZED VIEW job_progress CASCADE")
    well.query("CREATE MATERIALIZED VIEW job_progress AS SELECT job_id, bucket FROM jobs")
    found = {(finding.state, finding.value, finding.next) for finding in diagnose(well, "views")}
    assert found == {
        ("critical", "job_progress does not read job_progress_source: it was replaced", INVOKE_MIGRATE),
        ("critical", "active_jobs_progress does not exist", INVOKE_MIGRATE),
        ("critical", "job_statistics does not exist", INVOKE_MIGRATE),
    }
    carry_out(INVOKE_MIGRATE, well)
    assert {finding.state for finding in diagnose(well, "views", "grants")} == {"ok"}


def test_a_function_of_an_older_deployment_in_the_place_of_ours_is_found_and_replaced(well: TestDatabase) -> None:
    well.query("DROP FUNCTION refresh_job_progress()")
    well.query("CREATE FUNCTION refresh_job_progress() RETURNS void LANGUAGE sql AS 'SELECT'")
    state, value, next_ = only(diagnose(well, "views"))
    assert (state, value) == ("critical", "refresh_job_progress() was replaced by that of an older deployment")
    carry_out(next_, well)
    assert {finding.state for finding in diagnose(well, "views", "grants")} == {"ok"}


def test_a_view_that_reads_a_table_that_was_renamed_is_found(well: TestDatabase) -> None:
    well.query("ALTER TABLE findings RENAME TO former_findings; CREATE TABLE findings (LIKE former_findings)")
    found = {finding.value for finding in diagnose(well, "views")}
    assert found == {"job_progress_direct does not read findings: it was replaced"}
