"""`pg_upgrade`, which RDS runs for a new major version, keeps progress exact and the ledger as it is.

The embedded servers come without it. Two variables name folders with the programs of the old and the new version, which
any user can read: PG_UPGRADE_OLD_BIN=/usr/lib/postgresql/17/bin and PG_UPGRADE_NEW_BIN=/usr/lib/postgresql/18/bin.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from handlers.migrator.runner import run
from lab.embedded_postgres import DATABASE, EmbeddedPostgres
from tests.support.database import MIGRATIONS, TestDatabase, build_release
from tests.support.progress import DIFFERENCES, REFRESHED_DIFFERENCES

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = (os.environ.get(f"PG_UPGRADE_{which}_BIN", "") for which in ("OLD", "NEW"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (OLD and NEW), reason="PG_UPGRADE_OLD_BIN and PG_UPGRADE_NEW_BIN name no programs"),
]

JOBS = "SELECT to_jsonb(progress) FROM job_progress_live AS progress ORDER BY job_id"
LEDGER = "SELECT to_jsonb(applied) FROM schema_migrations AS applied ORDER BY 1"
CHANGE = "UPDATE job_objects SET status = %s WHERE key = 'queued1'"
REFRESH = "SELECT refresh_job_progress()"
COMPACT = "SELECT compact_job_progress_deltas(ARRAY(SELECT job_id FROM jobs))"
TRUST = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


def version_of(programs: str) -> int:
    said = subprocess.run([f"{programs}/postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", said)[0])


def upgrade(old: EmbeddedPostgres, new: EmbeddedPostgres, folder: Path) -> None:
    """Upgrade the data of a stopped server into another version's new and empty folder."""
    new.directory.mkdir(exist_ok=True)
    new._make_readable_for_owner()
    new._initialise(new.data)
    for server in (old, new):
        # pg_upgrade starts both servers itself, without the options that name another file.
        (server.data / "pg_hba.conf").write_text(TRUST)
    subprocess.run([f"{NEW}/pg_checksums", "--disable", "-D", str(new.data)], check=False, **old._as_owner())
    command = [f"{NEW}/pg_upgrade", "--old-bindir", OLD, "--new-bindir", NEW, "--socketdir", str(folder)]
    command += ["--old-datadir", str(old.data), "--new-datadir", str(new.data), "--username", "postgres"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        text=True,
        capture_output=True,
        check=False,
        **old._as_owner(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (new.data.parent / "password").write_text((old.data.parent / "password").read_text())


def test_progress_is_exact_and_nothing_is_pending_after_a_new_major_version(tmp_path: Path) -> None:
    old = EmbeddedPostgres(tmp_path / "old", durable=False, version=version_of(OLD))
    new = EmbeddedPostgres(tmp_path / "new", durable=False, version=version_of(NEW))
    try:
        old.start()
        database = TestDatabase(old, DATABASE)
        run(database.connect, build_release(MIGRATIONS))
        # Its library is not among the programs; on RDS it is.
        database.query("DROP EXTENSION pg_stat_statements", user="postgres")
        for _ in range(3):
            database.add_job({"queued": 50, "succeeded": 20}, findings=7)
        database.query(REFRESH)
        database.query(CHANGE, ("processing",))
        database.query(COMPACT)
        database.query(CHANGE, ("failed",))
        before, ledger = database.query(JOBS), database.query(LEDGER)
        database.close()
        old.stop()
        upgrade(old, new, old.data.parent)
        new.start()
        database = TestDatabase(new, DATABASE)
        assert (database.query(JOBS), database.query(LEDGER)) == (before, ledger)
        for maintain in (COMPACT, REFRESH, COMPACT):
            database.query(CHANGE, ("queued",))
            database.query(maintain)
            assert database.query(DIFFERENCES) == []
        database.query(REFRESH)
        assert database.query(REFRESHED_DIFFERENCES) == []
        assert run(database.connect, build_release(MIGRATIONS)).applied == ()
        database.close()
    finally:
        for server in (old, new):
            server.discard()
