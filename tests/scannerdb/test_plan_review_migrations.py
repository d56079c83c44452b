"""The review tells which migrations a deployment would run, and is red where they lose data or block writers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from handlers.migrator.plan import LedgerEntry
from handlers.migrator.release import read_release
from scannerdb.review.ledger import Ledger, UnknownLedgerError, ask_migrate
from scannerdb.review.releases import fetch_built
from scannerdb.review.render import markdown
from scannerdb.review.statements import LARGE_BYTES
from stacks import ROOT
from stacks.assets.package import build_release
from stacks.settings import load_settings
from tests.support.deployed import PREFIX
from tests.support.migrating import ledger
from tests.support.terraform_plans import DATABASE, REPLACE, TODAY, judge, resource
from tests.support.tiny_functions import package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.emulator.server import Emulator
    from scannerdb.review.review import Review

INVOCATION = "aws_lambda_invocation.release_invocation"
FIRST = {"001_a.sql": "CREATE TABLE a (i int);", "001_a.down.sql": "DROP TABLE a;"}
SECOND = FIRST | {"002_b.sql": "CREATE INDEX CONCURRENTLY a_i ON a (i);", "003_c.sql": "ALTER TABLE a ADD j int;"}


class Releases:
    """Releases that are built, and the ledger of a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(self, files: Mapping[str, str]) -> dict[str, str]:
        """Build a release; return what an invocation of `migrate` says of it."""
        migrations = self.folder / f"migrations{len(list(self.folder.iterdir()))}"
        migrations.mkdir()
        for name, sql in files.items():
            (migrations / name).write_text(sql)
        sha256 = build_release(migrations, folder=self.folder).sha256
        return {"release_bucket": "b", "release_key": f"{sha256}.zip", "release_sha256": sha256}

    def fetch(self, named: Mapping[str, str]) -> bytes | None:
        """Return the bytes of a release."""
        path = self.folder / named["release_key"]
        return path.read_bytes() if path.exists() else None

    def applied(self, named: Mapping[str, str], count: int) -> list[LedgerEntry]:
        """Return the ledger after the first files of a release."""
        archive = self.fetch(named)
        assert archive is not None
        return ledger(read_release(archive, expected_sha256=named["release_sha256"]), count)

    def review(
        self,
        sql: str | dict[str, str],
        *,
        table_bytes: dict[str, int] | None = None,
        allowed: dict[str, Any] | None = None,
        count: int = 1,
    ) -> Review:
        """Review the deployment of a release with one more file, or more, after the first is applied."""
        files = FIRST | (sql if isinstance(sql, dict) else {"002_b.sql": sql, "002_b.down.sql": "SELECT 1"})
        new = self.build(files)
        found = Ledger(entries=tuple(self.applied(new, count)), table_bytes=table_bytes or {"a": LARGE_BYTES})
        return judge(
            migrating(self.build(FIRST), new), fetch=self.fetch, read_ledger=lambda: found, allowed=allowed or {}
        )


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def migrating(before: dict[str, str] | None, after: dict[str, str], **arguments: Any) -> dict[str, Any]:
    actions = arguments.pop("actions", REPLACE if before else ("create",))
    return resource(
        INVOCATION,
        actions,
        before={"input": json.dumps(before)} if before else None,
        after={"input": json.dumps(after)},
        **arguments,
    )


def section(review: Review, title: str = "Migrations") -> str:
    return markdown(review).partition(f"{title}\n\n")[2].partition("\n\n")[0]


@pytest.mark.parametrize(
    ("sql", "harm"),
    [
        ("DROP TABLE a", "loses the rows of a"),
        ("TRUNCATE a", "loses the rows of a"),
        ("ALTER TABLE a\n  DROP COLUMN i", "loses the column i of a"),
        ("DELETE FROM a -- old\nWHERE i < 7", "loses rows of a, without a batch"),
        ("UPDATE a SET i = 0", "loses values of i in a, without a batch"),
        ("ALTER TABLE a ALTER i TYPE smallint", "loses what does not fit smallint in i of a (now integer)"),
        ("DROP SCHEMA s CASCADE", "loses the schema s with its tables"),
        ("DROP VIEW v CASCADE", "loses what depends on v (CASCADE)"),
        ("CREATE INDEX a_i ON a (i)", "writers of a (16.0 MiB) are blocked for the whole build"),
        ("REINDEX TABLE a", "writers of a (16.0 MiB) are blocked for the whole build"),
        ("ALTER TABLE a ADD CHECK (i > 0)", "writers of a (16.0 MiB) are blocked while it reads or writes each row"),
    ],
)
def test_a_statement_that_loses_data_or_blocks_a_large_table_is_red_and_told_whole(
    releases: Releases, sql: str, harm: str
) -> None:
    review = releases.review(sql)
    (problem,) = review.problems
    whole = " ".join(sql.replace("-- old", "").split())
    assert problem.startswith(f"migrations/002_b.sql, line 1: {whole}: ")
    assert harm in problem
    assert f"`{whole}`" in markdown(review)
    assert "nothing is lost" not in markdown(review)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE a ADD j int",
        "CREATE INDEX CONCURRENTLY a_i ON a (i)",
        "DELETE FROM a WHERE i = ANY (ARRAY (SELECT i FROM a LIMIT 100))",
        "CREATE TABLE b (i int); CREATE INDEX b_i ON b (i)",
        "CREATE INDEX small_i ON public.small (i)",
    ],
)
def test_what_loses_nothing_and_blocks_writers_for_a_moment_is_green(releases: Releases, sql: str) -> None:
    review = releases.review(sql, table_bytes={"a": 10**9, "small": LARGE_BYTES - 1})
    assert review.problems == []
    assert "## 🟢 prod: nothing is lost" in markdown(review)


AGREED = {"file": "002_b.sql", "sql": " ALTER TABLE a\n DROP COLUMN i; ", "reason": "nothing reads it any more"}


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ({}, 0),
        ({"expires": TODAY.replace(day=TODAY.day - 1)}, 1),
        ({"file": "003_b.sql"}, 1),
        ({"sql": "ALTER TABLE a DROP COLUMN j"}, 1),
    ],
    ids=["agreed", "expired", "another file", "another clause"],
)
def test_a_statement_is_agreed_to_by_its_file_and_its_whole_clause(
    releases: Releases, entry: dict[str, Any], problems: int
) -> None:
    allowed = {"statement": [AGREED | {"expires": TODAY} | entry]}
    review = releases.review("ALTER TABLE a DROP COLUMN i", allowed=allowed)
    assert (len(review.problems), len(review.notes)) == (problems, problems)
    if not problems:
        assert markdown(review).splitlines()[1] == "## 🟡 prod: what would be lost was agreed to"
        assert "allowed until 2026-11-24: nothing reads it any more" in markdown(review)


def test_a_statement_of_a_file_of_each_run_and_of_a_block_is_judged_too(releases: Releases) -> None:
    review = releases.review({"roles.sql": "DO $$ BEGIN DELETE FROM a; END $$", "restore.sql": "TRUNCATE a"})
    assert [problem.partition(": loses")[0] for problem in review.problems] == [
        "migrations/roles.sql, line 1: DELETE FROM a",
        "migrations/restore.sql, line 1: TRUNCATE a",
    ]


def test_a_file_that_no_rollback_takes_back_is_told(releases: Releases) -> None:
    told = section(releases.review({"002_b.sql": "SELECT 1", "003_c.sql": "SELECT 1", "003_c.down.sql": "SELECT 1"}))
    assert "no `002_b.down.sql`: no rollback takes it back" in told
    assert "003_c.down.sql" not in told


def test_the_pending_files_are_those_that_the_ledger_lacks_after_a_failed_deploy(releases: Releases) -> None:
    # GIVEN a deploy that applied two files and failed in the third, so that the state has no invocation
    new = releases.build(SECOND)
    applied = Ledger(entries=tuple(releases.applied(new, 2)), table_bytes={})
    told = section(judge(migrating(None, new), fetch=releases.fetch, read_ledger=lambda: applied))
    # THEN that file is pending, and no other
    assert "003_c.sql" in told
    assert "001_a.sql" not in told
    assert "002_b.sql" not in told
    assert "not known" not in told


def test_the_pending_files_are_those_that_the_ledger_lacks_after_a_rollback(releases: Releases) -> None:
    # GIVEN a release that was deployed, and whose newest two files were rolled back
    old, new = releases.build(SECOND), releases.build(SECOND | {"004_d.sql": "SELECT 1"})
    applied = Ledger(entries=tuple(releases.applied(new, 1)), table_bytes={})
    told = section(judge(migrating(old, new), fetch=releases.fetch, read_ledger=lambda: applied))
    assert all(f"`{file}`" in told for file in ("002_b.sql", "003_c.sql", "004_d.sql"))
    # WHEN the same release is planned again, THEN it is told that this deployment will not apply them
    same = migrating(old, old, actions=("no-op",))
    again = judge(same, fetch=releases.fetch, read_ledger=lambda: applied)
    assert again.problems == []
    assert "2 statements not applied" in section(again)
    assert "does not invoke migrate" in section(again)


def test_a_file_that_stopped_part_way_is_judged_by_what_is_left_of_it(releases: Releases) -> None:
    new = releases.build({"001_a.sql": "DROP TABLE x; VACUUM; DROP TABLE y"})
    (done,) = releases.applied(new, 1)
    part = LedgerEntry(
        version=1, name="a", checksum="", applied_statements=done.applied_statements[:2], applied_at=None
    )
    found = Ledger(entries=(part,), table_bytes={})
    (problem,) = judge(migrating(None, new), fetch=releases.fetch, read_ledger=lambda: found).problems
    assert "DROP TABLE y" in problem


def test_without_the_ledger_it_is_said_not_to_be_known_and_what_is_new_is_listed(releases: Releases) -> None:
    old, new = releases.build(FIRST), releases.build(SECOND)
    told = section(judge(migrating(old, new), fetch=releases.fetch))
    assert "It is not known which files are applied; listed is what the deployed release" in told
    assert "The ledger was not read: no credentials" in told
    assert judge(migrating(old, new), fetch=releases.fetch).problems == []
    heading = markdown(judge(migrating(old, new), fetch=releases.fetch)).splitlines()[1]
    assert heading == "## 🟢 prod: nothing is lost, as far as is known without the ledger"
    assert "001_a.sql" not in told
    assert "line 1: SHARE UPDATE EXCLUSIVE on `a`, its writers go on: `CREATE INDEX CONCURRENTLY a_i`" in told
    assert "line 1: ACCESS EXCLUSIVE on `a`, its writers WAIT: `ALTER TABLE a`" in told


@pytest.mark.parametrize("failed", [None, "replace_because_tainted"], ids=["no release", "a release that failed"])
def test_without_the_ledger_and_a_deployed_release_every_file_is_listed(releases: Releases, failed: str | None) -> None:
    new = releases.build(SECOND)
    arguments = {"action_reason": failed} if failed else {}
    told = section(judge(migrating(new if failed else None, new, **arguments), fetch=releases.fetch))
    assert "It is not known which files are applied; every file of the release is listed" in told
    assert "`001_a.sql`" in told


def test_without_the_ledger_a_table_may_be_large(releases: Releases) -> None:
    old = releases.build(FIRST)
    new = releases.build(
        FIRST
        | {"002_b.sql": "CREATE TABLE b (i int); CREATE INDEX b_i ON b (i)", "003_c.sql": "CREATE INDEX a_i ON a (i)"}
    )
    (problem,) = judge(migrating(old, new), fetch=releases.fetch).problems
    assert problem.startswith("migrations/003_c.sql, line 1: CREATE INDEX a_i ON a (i): ")
    assert "writers of a (of a size that is not known) are blocked for the whole build" in problem


@pytest.mark.parametrize(
    ("after", "known"), [({}, True), ({"snapshot_identifier": "rds:prod"}, False)], ids=["empty", "from a snapshot"]
)
def test_a_database_that_the_plan_makes_has_nothing_applied(
    releases: Releases, after: dict[str, str], *, known: bool
) -> None:
    database = resource(DATABASE, ("create",), after=after)
    review = judge(database, migrating(None, releases.build(SECOND)), fetch=releases.fetch)
    assert ("not known" not in section(review)) is known
    assert "`001_a.sql`" in section(review)


def test_a_release_that_migrate_will_refuse_is_red(releases: Releases) -> None:
    old, new = releases.build(SECOND), releases.build(SECOND | {"002_b.sql": "SELECT 1;"})
    (problem,) = judge(migrating(old, new), fetch=releases.fetch).problems
    assert problem.startswith("migrate will refuse the release: ")
    assert "002_b.sql was changed after" in problem


def test_a_release_that_is_not_at_hand_is_not_said_to_lose_nothing(releases: Releases) -> None:
    review = judge(migrating(releases.build(FIRST), releases.build(SECOND)), fetch=fetch_built)
    (problem,) = review.problems
    assert problem.startswith("it is not known what the migrations lose: the release ")
    assert "was not built on this machine" in section(review)


def test_other_invocations_and_unchanged_releases_run_no_migrations() -> None:
    refresh = resource("aws_lambda_invocation.first_refresh", ("create",), after={"input": '{"source": "deploy"}'})
    unknown = resource("aws_lambda_invocation.it", ("create",), after={}, unknown={"input": True})
    same = migrating({"release_sha256": "a"}, {"release_sha256": "a"}, actions=("no-op",))
    assert judge(refresh, unknown, same).migrations is None


MIGRATE = """
def handler(event, context):
    if event != {"action": "ledger"}:
        raise KeyError("release_bucket")
    row = {"version": 1, "name": "a", "checksum": "00", "applied_statements": ["11"]}
    row["applied_at"] = "2026-11-24T08:00:00+00:00"
    return {"applied": [row], "table_bytes": {"jobs": 8192}}
"""
UNKNOWN = "def handler(event, context):\n    return {'unknown': 'the server is silent'}\n"
OLDER = "def handler(event, context):\n    raise KeyError('release_bucket')\n"


@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        (MIGRATE, ""),
        (UNKNOWN, "the server is silent"),
        (OLDER, "raised KeyError, because it is older than this command"),
    ],
    ids=["known", "not known", "an older function"],
)
def test_the_deployed_function_is_asked_for_the_ledger(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, code: str, unknown: str
) -> None:
    monkeypatch.setenv("SCANNER__AWS__ENDPOINT", aws.aws_url)
    settings = load_settings(ROOT / "environments" / "local.toml")
    trust = {"Version": "2012-10-17", "Statement": []}
    role = aws.client("iam").create_role(
        Path="/unchecked/", RoleName=f"review{len(unknown)}", AssumeRolePolicyDocument=json.dumps(trust)
    )
    name = f"{PREFIX}-migrate"
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": package(code)},
    )
    try:
        if unknown:
            with pytest.raises(UnknownLedgerError, match=unknown):
                ask_migrate(settings)
        else:
            found = ask_migrate(settings)
            (entry,) = found.entries
            assert (entry.version, entry.name, entry.applied_statements) == (1, "a", ("11",))
            assert found.table_bytes == {"jobs": 8192}
    finally:
        aws.client("lambda").delete_function(FunctionName=name)
    with pytest.raises(UnknownLedgerError, match=f"the function {name}: is it deployed"):
        ask_migrate(settings)
