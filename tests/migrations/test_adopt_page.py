"""docs/adopt.md shows what its commands print, and its way back ends where its adoption began."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stacks import ROOT
from tests.support.command_line import dsn
from tests.support.old_deployment import OLD_DEPLOYMENT, create_analyst
from tests.support.schema import schema

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

PAGE = ROOT / "docs" / "adopt.md"
# Ten jobs, as on the page, with fewer objects.
ROWS = """
INSERT INTO jobs (bucket) SELECT 'customer-data-0' || n FROM generate_series(0, 9) AS n;
INSERT INTO job_objects (job_id, bucket, key, etag, status)
SELECT job_id, bucket, n::text, 'e', CASE WHEN n % 4 = 0 THEN 'queued' ELSE 'succeeded' END
FROM jobs, generate_series(1, 20) AS n;
ANALYZE jobs, job_objects, findings;
SELECT refresh_job_progress();
REFRESH MATERIALIZED VIEW team_snapshot;
"""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d[\d,.]*( (kB|bytes|ms|s)\b)?")


def blocks(language: str) -> list[str]:
    """Return the page's blocks of code in a language; that of sessions is empty."""
    return [text for name, text in _BLOCK.findall(PAGE.read_text()) if name == language]


def sessions() -> list[tuple[str, str]]:
    """Return each command that the page runs, with what it shows."""
    text = "".join(block for block in blocks("") if block.startswith("$ "))
    return [tuple(part.partition("\n")[::2]) for part in re.split(r"^\$ ", text, flags=re.MULTILINE) if part]


def words(text: str) -> str:
    """Return text without what differs from run to run: numbers, their units, and where a line is broken."""
    return " ".join(_NUMBER.sub("#", text).split())


def missing(shown: str, printed: str) -> list[str]:
    """Return the parts of the page between `...` that the command did not print, or not in this order."""
    rest, absent = words(printed), []
    for part in filter(None, map(words, re.split(r"^\.\.\.$", shown, flags=re.MULTILINE))):
        _, found, after = rest.partition(part)
        if found:
            rest = after
        else:
            absent.append(part)
    return absent


@pytest.fixture
def deployed(empty_database: TestDatabase) -> TestDatabase:
    """An older deployment that was refreshed."""
    create_analyst(empty_database)
    # As RDS lets the master user; here only a superuser may.
    empty_database.query("CREATE EXTENSION pg_stat_statements", user="postgres")
    empty_database.query(OLD_DEPLOYMENT)
    empty_database.query(ROWS)
    return empty_database


@pytest.mark.slow
def test_the_page_shows_what_its_commands_print_and_its_way_back_ends_where_it_began(deployed: TestDatabase) -> None:
    before = schema(deployed)
    variables = {**os.environ, "SCANNERDB_DSN": dsn(deployed)}
    names = []
    for command, shown in sessions():
        program, *arguments = command.split()
        if program == "export":
            variables |= dict(each.split("=") for each in arguments)
            continue
        assert program == "scannerdb"
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert missing(shown, done.stdout) == [], f"scannerdb {' '.join(arguments)} printed:\n{done.stdout}"
        names.append(arguments[0])
    assert names == ["plan", "migrate", "plan", "verify", "refresh", "doctor", *["rollback"] * 4]
    for sql in blocks("sql"):
        deployed.query(sql.replace("scanner_db", deployed.name))
    assert schema(deployed) == before
