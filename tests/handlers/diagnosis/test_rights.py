"""Rights that went missing and migrations that are not what the release says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import rollback
from tests.support.database import MIGRATIONS, build_release
from tests.support.diagnosis import COMMANDS, INVOKE_MIGRATE, Session, carry_out, diagnose, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

    Sessions = Callable[..., Session]

RELEASE = build_release(MIGRATIONS)
NEWEST = RELEASE.migrations[-1].file.removesuffix(".sql")


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        (
            "REVOKE INSERT, DELETE ON findings FROM scanner_app",
            "scanner_app lacks DELETE, INSERT on TABLE public.findings",
        ),
        (
            "REVOKE USAGE ON SEQUENCE findings_id_seq FROM scanner_app",
            "scanner_app lacks USAGE on SEQUENCE public.findings_id_seq",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION measure_sessions() FROM progress_refresher",
            "progress_refresher lacks EXECUTE on FUNCTION public.measure_sessions()",
        ),
        (
            "REVOKE SELECT ON job_progress_live FROM progress_reader",
            "progress_reader lacks SELECT on TABLE public.job_progress_live",
        ),
        (
            "REVOKE SELECT (status) ON job_objects FROM scanner_doctor",
            "scanner_doctor lacks SELECT (status) on TABLE public.job_objects",
        ),
        (
            "GRANT EXECUTE ON FUNCTION rebuild_job_progress() TO public",
            "every role has EXECUTE on FUNCTION public.rebuild_job_progress()",
        ),
    ],
)
def test_a_right_that_differs_from_the_list_is_named_and_mended(well: TestDatabase, fault: str, value: str) -> None:
    assert only(diagnose(well, "grants"))[0] == "ok"
    well.query(fault)
    assert only(diagnose(well, "grants")) == ("critical", value, INVOKE_MIGRATE)
    carry_out(INVOKE_MIGRATE, well)
    assert only(diagnose(well, "grants"))[0] == "ok"


def test_a_right_that_a_role_has_through_another_is_no_fault(well: TestDatabase) -> None:
    well.query("REVOKE SELECT ON job_progress FROM progress_reader; GRANT SELECT ON job_progress TO public")
    assert only(diagnose(well, "grants"))[0] == "ok"


def test_a_doctor_without_any_right_of_its_own_says_so(well: TestDatabase) -> None:
    well.query("DROP OWNED BY scanner_doctor", user="postgres")
    findings = diagnose(well, "grants")
    assert {finding.next for finding in findings} == {INVOKE_MIGRATE}
    assert findings[-1].value.startswith(
        "scanner_doctor lacks EXECUTE on FUNCTION public.measure_sessions(), and so on "
    )
    carry_out(INVOKE_MIGRATE, well)
    assert only(diagnose(well, "grants"))[0] == "ok"


def test_without_the_list_of_rights_the_doctor_says_what_brings_it(well: TestDatabase) -> None:
    well.query("DROP FUNCTION expected_rights()")
    state, value, next_ = only(diagnose(well, "grants"))
    assert (state, value) == ("unknown", "no list of rights: roles.sql of this release has not run")
    carry_out(next_, well)
    assert only(diagnose(well, "grants"))[0] == "ok"


@pytest.mark.parametrize(
    ("fault", "value", "next_"),
    [
        ("REVOKE rds_iam FROM progress_reader", "progress_reader is not in rds_iam", INVOKE_MIGRATE),
        (
            "ALTER ROLE progress_reader NOLOGIN",
            "progress_reader may not log in",
            COMMANDS.repair("grants", "ALTER ROLE progress_reader LOGIN"),
        ),
        (
            "REVOKE CONNECT ON DATABASE {name} FROM public, progress_reader",
            "progress_reader may not connect",
            INVOKE_MIGRATE,
        ),
    ],
)
def test_a_role_that_may_not_sign_in_is_named_and_let_in(
    well: TestDatabase, fault: str, value: str, next_: str
) -> None:
    carry_out(INVOKE_MIGRATE, well)
    well.query(fault.format(name=well.name))
    try:
        assert only(diagnose(well, "grants")) == ("critical", value, next_)
        carry_out(next_, well)
        assert only(diagnose(well, "grants"))[0] == "ok"
    finally:
        well.query("ALTER ROLE progress_reader LOGIN")


def test_a_doctor_that_may_not_connect_says_so(well: TestDatabase) -> None:
    well.query(f"REVOKE CONNECT ON DATABASE {well.name} FROM public")
    refused, _ = diagnose(well, "grants")
    assert refused.value.startswith("the login is refused: ")
    carry_out(refused.next, well)
    assert only(diagnose(well, "grants"))[0] == "ok"


def test_a_migration_that_is_pending_is_named_and_applied(well: TestDatabase) -> None:
    rollback(well.connect, RELEASE)
    assert only(diagnose(well, "migrations", user="scanner_admin")) == (
        "warning",
        f"pending: {NEWEST}.sql",
        INVOKE_MIGRATE,
    )
    carry_out(INVOKE_MIGRATE, well)
    state, value, _ = only(diagnose(well, "migrations"))
    assert (state, value) == ("ok", f"all {len(RELEASE.migrations)} applied, the newest is {NEWEST}")


def test_the_ledger_of_public_is_read_also_where_another_schema_is_first_on_the_search_path(well: TestDatabase) -> None:
    well.query("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.schema_migrations (version int)")
    well.query("GRANT USAGE ON SCHEMA elsewhere TO scanner_doctor")
    well.query(f"ALTER DATABASE {well.name} SET search_path = elsewhere, public")
    assert only(diagnose(well, "migrations"))[0] == "ok"


def test_a_migration_that_was_changed_after_it_was_applied_is_told_and_not_deployed_again(well: TestDatabase) -> None:
    well.query("UPDATE schema_migrations SET checksum = 'other' WHERE version = 2")
    state, value, next_ = only(diagnose(well, "migrations"))
    assert (state, next_) == ("critical", "")
    assert "002_optimize_for_scale.sql was changed after it was applied" in value
    assert value.endswith("restore it and add a new migration instead")


def test_a_migration_that_stopped_part_way_is_told_and_finished(well: TestDatabase) -> None:
    well.query(
        "UPDATE schema_migrations SET applied_at = NULL, applied_statements = applied_statements[:4] WHERE version = 3"
    )
    state, value, next_ = only(diagnose(well, "migrations"))
    assert (state, value) == ("warning", "003_count_what_changes stopped after 4 statements")
    carry_out(next_, well)
    assert only(diagnose(well, "migrations"))[0] == "ok"


def test_a_migration_that_is_at_work_is_told_with_what_it_does(well: TestDatabase, sessions: Sessions) -> None:
    deployer = sessions("scanner_admin")
    deployer.execute("SET application_name = 'migrate 0123'")
    deployer.execute("SELECT pg_try_advisory_lock(hashtextextended('schema_migrations', 0))")
    deployer.start("SELECT pg_sleep(3)")
    state, value, _ = only(diagnose(well, "migrations"))
    assert state == "ok"
    assert value.startswith(f"migrate 0123 (pid {deployer.pid}) is at work")
    assert value.endswith(f"; the newest is {NEWEST}")
