"""`scannerdb refresh`, `verify` and `rebuild` do by hand what the function does."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import psycopg2
import pytest

from scannerdb.options import Session
from tests.support.command_line import dsn, scannerdb
from tests.support.old_deployment import run_old_002

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


def test_a_refresh_by_hand_folds_and_says_what_it_did(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 2, "failed": 1})  # three deltas, a row each
    scannerdb("refresh", "--dsn", dsn(database))
    assert capsys.readouterr().out.startswith("Refreshed 1 job with 3 objects, 3 changes folded, in ")
    assert database.query("SELECT total_objects FROM job_progress") == [(3,)]
    scannerdb("refresh", "--dsn", dsn(database), "--json")
    assert json.loads(capsys.readouterr().out)["folded_rows"] == 0


def test_a_refresh_beside_another_ends_with_1(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    other = database.connect("progress_refresher")
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress()")
    scannerdb("refresh", "--dsn", dsn(database), code=1)
    other.rollback()
    other.close()
    assert capsys.readouterr().out == "Another refresh is running; this one did nothing.\n"


def test_a_drift_is_listed_with_exit_code_2_and_mended_by_a_rebuild(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = database.add_job({"queued": 3}, findings=1)
    scannerdb("verify", "--dsn", dsn(database))
    assert capsys.readouterr().out == "Exact: every job is what a full count says.\n"
    for table, fault in (
        ("job_objects", "DELETE FROM job_objects WHERE key = 'queued1'"),
        (
            "findings",
            "INSERT INTO findings (job_id, bucket, key, etag, detector) SELECT job_id, '', '', '', '' FROM jobs",
        ),
    ):
        for sql in (f"ALTER TABLE {table} DISABLE TRIGGER USER", fault, f"ALTER TABLE {table} ENABLE TRIGGER USER"):
            database.query(sql)
    scannerdb("verify", "--dsn", dsn(database), code=2)
    job, last = capsys.readouterr().out.splitlines()
    assert job == f"{job_id}: queued +1, findings -1"
    said, _, following = last.partition(" Next: ")
    assert said == "1 job drifted (known minus counted)."
    # It names the same database, without the password.
    program, name, option, address = shlex.split(following)
    assert (program, name, option) == ("scannerdb", "rebuild", "--dsn")
    assert psycopg2.extensions.parse_dsn(address).items() < psycopg2.extensions.parse_dsn(dsn(database)).items()
    assert "password" not in address
    scannerdb("verify", "--dsn", dsn(database), "--json", code=2)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["drifted_jobs"], answer["jobs"][0]["queued_drift"]) == (1, 1)
    scannerdb("rebuild", "--dsn", dsn(database))
    assert capsys.readouterr().out == "Mended 1 job.\n"
    scannerdb("verify", "--dsn", dsn(database))


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_command_is_read_committed_also_where_the_database_has_another_default(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], isolation: str
) -> None:
    default = f"ALTER DATABASE {database.name} SET default_transaction_isolation = '{isolation}'"
    database.query(default, user="postgres")
    assert Session(dsn(database)).fetch_all("SHOW transaction_isolation") == [
        {"transaction_isolation": "read committed"}
    ]
    scannerdb("rebuild", "--dsn", dsn(database))
    assert capsys.readouterr().out == "Mended 0 jobs.\n"


def test_what_a_script_of_an_older_deployment_replaced_is_told_until_a_migrate_restores_it(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.add_job({"queued": 1})
    run_old_002(database)
    database.query("DROP VIEW job_statistics")
    for command in ("verify", "refresh"):
        scannerdb(command, "--dsn", dsn(database))
        assert capsys.readouterr().err == (
            "scannerdb: missing: job_statistics; replaced by an older deployment's script: active_jobs_progress, "
            "job_progress; `scannerdb migrate` restores what the release has\n"
        )
    scannerdb("migrate", "--dsn", dsn(database))
    capsys.readouterr()
    for command in ("verify", "refresh"):
        scannerdb(command, "--dsn", dsn(database))
        assert capsys.readouterr().err == ""
