"""`scannerdb refresh` as a line of a crontab: silent, or one line; its exit code tells the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.command_line import dsn, scannerdb

if TYPE_CHECKING:
    import pytest

    from tests.support.database import TestDatabase


def test_a_quiet_refresh_says_nothing(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    database.add_job({"queued": 1})
    scannerdb("refresh", "--quiet", "--dsn", dsn(database))
    assert capsys.readouterr() == ("", "")
    assert database.query("SELECT total_objects FROM job_progress") == [(1,)]


def test_a_quiet_refresh_beside_another_ends_with_1_and_no_mail(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    other = database.connect("progress_refresher")
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress()")
    scannerdb("refresh", "-q", "--dsn", dsn(database), code=1)
    other.close()
    assert capsys.readouterr() == ("", "")


def test_an_error_is_one_line_on_standard_error(
    empty_database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    scannerdb("refresh", "--quiet", "--dsn", dsn(empty_database), code=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("scannerdb: not refreshed: function public.refresh_job_progress() does not exist")
    scannerdb("refresh", "--quiet", "--dsn", "host=127.0.0.1 port=1", code=1)
    assert len(capsys.readouterr().err.splitlines()) == 1
