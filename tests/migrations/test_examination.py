"""A database is examined before the first change: what would break a writer or stop half way is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from handlers.errors import UnfitDatabaseError
from handlers.migrator.examination import checks, statuses
from handlers.migrator.runner import run
from handlers.migrator.steps import migration_plan
from tests.support.database import MIGRATIONS, build_release
from tests.support.migrating import migrate

if TYPE_CHECKING:
    from handlers.migrator.examination import ExaminationFinding
    from tests.support.database import TestDatabase

pytestmark = pytest.mark.slow

# The tables as an application may have made them by itself: no constraint and no index that a migration does not need.
TABLES = """
CREATE TABLE jobs (job_id uuid PRIMARY KEY, bucket text, prefix text, execution_arn text,
                   created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE job_objects (job_id uuid NOT NULL, bucket text, key text, etag text, status text,
                          updated_at timestamptz DEFAULT now());
CREATE TABLE findings (id bigserial, job_id uuid NOT NULL, bucket text, key text, etag text, detector text)
"""
# One job with one object.
WRITE = """
INSERT INTO jobs (job_id, bucket) VALUES ('6f2c4a50-0000-4000-8000-000000000001', 'b');
INSERT INTO job_objects (job_id, bucket, status) VALUES ('6f2c4a50-0000-4000-8000-000000000001', 'b', 'queued')
"""
# As a build that died leaves an index.
INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{}'::regclass"
PARTITIONED = (
    "DROP TABLE job_objects; "
    "CREATE TABLE job_objects (job_id uuid NOT NULL, bucket text, key text, etag text, status text NOT NULL, "
    "updated_at timestamptz) PARTITION BY LIST (status); CREATE TABLE rest PARTITION OF job_objects DEFAULT"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Makes a database, what is told about it, and the way out as an operator would run it."""

    make: str
    told: str
    way_out: str = ""


@pytest.fixture
def tables(empty_database: TestDatabase) -> TestDatabase:
    """A database with the tables of an application."""
    empty_database.query(TABLES)
    return empty_database


def examine(database: TestDatabase) -> tuple[ExaminationFinding, ...]:
    """Return what `plan` finds."""
    return migration_plan(build_release(MIGRATIONS), database.connect).findings


def objects(database: TestDatabase) -> list[tuple[object, ...]]:
    """Return everything in the database that a run could change or make, but for roles, which databases share."""
    return database.query(
        "SELECT 'relation', oid, relname::text FROM pg_class WHERE relnamespace >= 16384 OR relnamespace = 2200 "
        "UNION ALL SELECT 'function', oid, proname FROM pg_proc WHERE pronamespace = 2200 "
        "UNION ALL SELECT 'trigger', oid, tgname FROM pg_trigger ORDER BY 1, 2"
    )


REFUSED = {
    "a job_id of text": Case(
        make="ALTER TABLE findings ALTER job_id TYPE text",
        told="public.findings.job_id: text. Triggers count jobs by uuid",
        way_out="ALTER TABLE public.findings ALTER COLUMN job_id TYPE uuid USING job_id::text::uuid",
    ),
    "a job_id of bigint": Case(
        make="ALTER TABLE job_objects DROP job_id, ADD job_id bigint NOT NULL",
        told="public.job_objects.job_id: bigint",
        way_out="ALTER TABLE public.job_objects ALTER COLUMN job_id TYPE uuid "
        "USING lpad(to_hex(job_id), 32, '0')::uuid",
    ),
    "a job_id of bigserial": Case(
        make="ALTER TABLE jobs DROP job_id, ADD job_id bigserial PRIMARY KEY",
        told="ALTER TABLE public.jobs ALTER COLUMN job_id DROP DEFAULT, ALTER COLUMN job_id TYPE uuid",
        way_out="ALTER TABLE public.jobs ALTER COLUMN job_id DROP DEFAULT, ALTER COLUMN job_id TYPE uuid "
        "USING lpad(to_hex(job_id), 32, '0')::uuid",
    ),
    "jobs by text": Case(
        make="ALTER TABLE jobs ALTER job_id TYPE text",
        told="public.jobs.job_id: text",
        way_out="ALTER TABLE jobs ALTER job_id TYPE uuid USING job_id::text::uuid",
    ),
    "a job_id that may be NULL": Case(
        make="ALTER TABLE findings ALTER job_id DROP NOT NULL; INSERT INTO findings (detector) VALUES ('card')",
        told="public.findings.job_id: may be NULL.",
        way_out="DELETE FROM public.findings WHERE job_id IS NULL; "
        "ALTER TABLE public.findings ALTER COLUMN job_id SET NOT NULL",
    ),
    "a job that may occur twice": Case(
        make="ALTER TABLE jobs DROP CONSTRAINT jobs_pkey; ALTER TABLE jobs ALTER job_id SET NOT NULL",
        told="public.jobs.job_id: not unique.",
        way_out="CREATE UNIQUE INDEX CONCURRENTLY ON public.jobs (job_id)",
    ),
    "a job that is unique among some, and with its bucket": Case(
        make="ALTER TABLE jobs DROP CONSTRAINT jobs_pkey; ALTER TABLE jobs ALTER job_id SET NOT NULL; "
        "CREATE UNIQUE INDEX ON jobs (job_id) WHERE bucket = 'b'; CREATE UNIQUE INDEX ON jobs (job_id, bucket)",
        told="public.jobs.job_id: not unique.",
        way_out="CREATE UNIQUE INDEX CONCURRENTLY ON public.jobs (job_id)",
    ),
    "a job_id of a domain over bigint": Case(
        make="CREATE DOMAIN number AS bigint; ALTER TABLE findings DROP job_id, ADD job_id number NOT NULL",
        told="public.findings.job_id: public.number. Triggers count jobs by uuid: after their creation every write to "
        "the table would fail. Next: Numbers can become UUIDs",
        way_out="ALTER TABLE public.findings ALTER COLUMN job_id TYPE uuid USING lpad(to_hex(job_id), 32, '0')::uuid",
    ),
    "no execution_arn": Case(
        make="ALTER TABLE jobs DROP execution_arn",
        told="public.jobs.execution_arn: missing.",
        way_out="ALTER TABLE public.jobs ADD COLUMN execution_arn text",
    ),
    "a typed table without a column": Case(
        make="DROP TABLE jobs; CREATE TYPE job AS (job_id uuid, bucket text, prefix text, created_at timestamptz, "
        "updated_at timestamptz); CREATE TABLE jobs OF job (PRIMARY KEY (job_id))",
        told="public.jobs.execution_arn: missing.",
        way_out="ALTER TYPE job ADD ATTRIBUTE execution_arn text CASCADE",
    ),
    "a table of another application": Case(
        make="ALTER TABLE jobs DROP job_id, ADD id bigint PRIMARY KEY",
        told="public.jobs.job_id: missing.",
        way_out="ALTER TABLE public.jobs RENAME TO queue_jobs",
    ),
    "a time without zone that refreshes read": Case(
        make="ALTER TABLE job_objects ALTER updated_at TYPE timestamp",
        told="public.job_objects.updated_at: timestamp without time zone.",
        way_out="ALTER TABLE public.job_objects ALTER COLUMN updated_at TYPE timestamptz",
    ),
    "seconds since 1970": Case(
        make="ALTER TABLE jobs DROP created_at, ADD created_at bigint",
        told="public.jobs.created_at: bigint.",
        way_out="ALTER TABLE jobs DROP created_at, ADD created_at timestamptz",
    ),
    "a view in the place of a table": Case(
        make="ALTER TABLE findings RENAME TO f; CREATE VIEW findings AS SELECT * FROM f",
        told="public.findings: view. A migration makes or changes a table of this name.",
        way_out="DROP VIEW findings; ALTER TABLE f RENAME TO findings",
    ),
    "a sequence under the name of a view": Case(
        make="CREATE SEQUENCE job_progress_live",
        told="public.job_progress_live: sequence. A migration makes or changes a view of this name.",
        way_out="ALTER SEQUENCE public.job_progress_live RENAME TO mine",
    ),
    "tables in another schema": Case(
        make="CREATE SCHEMA app; ALTER TABLE jobs SET SCHEMA app; ALTER TABLE job_objects SET SCHEMA app; "
        "ALTER TABLE findings SET SCHEMA app",
        told="app.job_objects: public has no table job_objects.",
        way_out="ALTER TABLE app.jobs SET SCHEMA public; ALTER TABLE app.job_objects SET SCHEMA public; "
        "ALTER TABLE app.findings SET SCHEMA public",
    ),
    "a table that inherits": Case(
        make="CREATE TABLE old_objects () INHERITS (job_objects)",
        told="public.old_objects: inherits from public.job_objects.",
        way_out="ALTER TABLE public.old_objects NO INHERIT public.job_objects",
    ),
    "row security that holds for the owner": Case(
        make="ALTER TABLE job_objects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        told="public.job_objects: row security holds for scanner_admin.",
        way_out="ALTER TABLE public.job_objects NO FORCE ROW LEVEL SECURITY",
    ),
    "a trigger under one of our names": Case(
        make="CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER track_findings_insert AFTER INSERT ON findings FOR EACH STATEMENT EXECUTE FUNCTION audit()",
        told="public.findings, trigger track_findings_insert: calls public.audit().",
        way_out="ALTER TRIGGER track_findings_insert ON public.findings RENAME TO audited",
    ),
    "a function under one of our names": Case(
        make="CREATE FUNCTION track_findings() RETURNS void LANGUAGE sql AS ''",
        told="public.track_findings(): returns void.",
        way_out="ALTER ROUTINE public.track_findings() RENAME TO mine",
    ),
    "a procedure under one of our names": Case(
        make="CREATE PROCEDURE refresh_job_progress() LANGUAGE sql AS ''",
        told="public.refresh_job_progress(): a procedure.",
        way_out="ALTER ROUTINE public.refresh_job_progress() RENAME TO mine",
    ),
    "a partitioned table without an index that cannot be built there": Case(
        make=PARTITIONED,
        told="public.job_objects: partitioned, and without the index idx_job_objects_job_status.",
        way_out="CREATE INDEX idx_job_objects_job_status ON public.job_objects USING btree (job_id, status);"
        "CREATE INDEX idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);"
        "CREATE INDEX idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id)",
    ),
    "another index under the name of one": Case(
        make="CREATE INDEX idx_findings_job_detector ON findings (job_id)",
        told="public.idx_findings_job_detector: CREATE INDEX idx_findings_job_detector ON public.findings USING btree "
        "(job_id). A migration builds the index of this name on findings USING btree (job_id, detector).",
        way_out="ALTER INDEX public.idx_findings_job_detector RENAME TO mine",
    ),
    "a unique index under the name of one": Case(
        make="CREATE UNIQUE INDEX idx_findings_job_detector ON findings (job_id, detector)",
        told="A migration builds the index of this name on findings USING btree (job_id, detector).",
        way_out="DROP INDEX CONCURRENTLY public.idx_findings_job_detector",
    ),
    "a table under the name of an index": Case(
        make="CREATE TABLE idx_findings_job_detector (a int)",
        told="public.idx_findings_job_detector: no index.",
        way_out="ALTER TABLE public.idx_findings_job_detector RENAME TO mine",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_break_a_writer_or_stop_half_way_is_refused_before_the_first_change(
    tables: TestDatabase, case: str
) -> None:
    make, told, way_out = REFUSED[case].make, REFUSED[case].told, REFUSED[case].way_out
    tables.query(make)
    before = objects(tables)
    # WHEN it is planned and migrated
    refusing = [str(finding) for finding in examine(tables) if finding.refuses]
    with pytest.raises(UnfitDatabaseError) as refused:
        migrate(tables)
    # THEN both tell it, and nothing was made
    assert told in "\n".join(refusing)
    assert [f"- {each}" for each in refusing] == str(refused.value).splitlines()[1:]
    assert objects(tables) == before
    # AND what is to be done is all that was in the way
    tables.query(way_out)
    migrate(tables)
    tables.query(WRITE)
    assert tables.query("SELECT total_objects FROM job_progress_live") == [(1,)]


def test_each_finding_is_told_at_once(tables: TestDatabase) -> None:
    tables.query("ALTER TABLE jobs DROP prefix, DROP execution_arn; ALTER TABLE findings ALTER job_id TYPE text")
    with pytest.raises(UnfitDatabaseError) as refused:
        migrate(tables)
    assert len(str(refused.value).splitlines()) == 4


NOTED = {
    "a domain over uuid": Case(make="CREATE DOMAIN id AS uuid; ALTER TABLE findings ALTER job_id TYPE id", told=""),
    "an identity column": Case(
        make="ALTER TABLE findings DROP id; ALTER TABLE findings ADD findings_id bigint GENERATED ALWAYS AS IDENTITY; "
        "CREATE SEQUENCE findings_id_seq",
        told="",
    ),
    "a job's time without zone": Case(
        make="ALTER TABLE jobs ALTER created_at TYPE timestamp",
        told="public.jobs.created_at: timestamp without time zone. Each session reads it in its own time zone",
    ),
    "a partitioned table with its indexes": Case(
        make=f"{PARTITIONED}; CREATE INDEX idx_job_objects_job_status ON job_objects (job_id, status);"
        "CREATE INDEX idx_job_objects_job_updated ON job_objects (job_id, updated_at DESC);"
        "CREATE INDEX idx_job_objects_bucket_key_composite ON job_objects (bucket, key, job_id)",
        told="public.job_objects: partitioned LIST (status). A write that names a partition",
    ),
    "a table that is part of another": Case(
        make="CREATE TABLE everything (job_id uuid); ALTER TABLE job_objects INHERIT everything",
        told="public.job_objects: inherits from public.everything. A write that names the parent",
    ),
    "a partition of another table": Case(
        make="DROP TABLE job_objects; CREATE TABLE everything (job_id uuid NOT NULL, bucket text, key text, etag text, "
        "status text, updated_at timestamptz) PARTITION BY HASH (job_id); "
        "CREATE TABLE job_objects PARTITION OF everything FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        told="public.job_objects: is a partition of public.everything. A write that names the parent",
    ),
    "an unlogged table": Case(
        make="ALTER TABLE job_objects SET UNLOGGED",
        told="public.job_objects: unlogged. A crash of the server empties it, but not its counts.",
    ),
    "a rule": Case(
        make="CREATE RULE r AS ON INSERT TO findings WHERE new.key = 'x' DO INSTEAD NOTHING",
        told="public.findings: rule r. Only rows that reach the table are counted.",
    ),
    "row security for others": Case(
        make="ALTER TABLE findings ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON findings USING (true)",
        told="public.findings: row security is enabled, with 1 policies. Policies hold for scanner_app",
    ),
    "a table of another schema beside ours": Case(
        make="CREATE SCHEMA copy; CREATE TABLE copy.job_objects (job_id uuid)", told=""
    ),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_does_no_harm_or_must_only_be_known_is_told_and_migrated(tables: TestDatabase, case: str) -> None:
    make, told = NOTED[case].make, NOTED[case].told
    tables.query(make)
    findings = [str(finding) for finding in examine(tables)]
    reports: list[str] = []
    run(tables.connect, build_release(MIGRATIONS), report=lambda message, **_: reports.append(message))
    assert [each for each in reports if each.startswith("found ")] == [f"found {each}" for each in findings]
    if told:
        assert told in "\n".join(findings)
    else:
        assert findings == []
    tables.query(WRITE)
    assert tables.query("SELECT total_objects FROM job_progress_live") == [(1,)]


def test_a_new_and_a_migrated_database_have_nothing_to_tell(
    empty_database: TestDatabase, database: TestDatabase
) -> None:
    assert examine(empty_database) == ()
    assert examine(database) == ()


STATUSES = {
    "text without a constraint": Case(make="", told="'skipped', NULL occur"),
    "a number of characters": Case(
        make="ALTER TABLE job_objects ALTER status TYPE varchar(20)", told="'skipped', NULL occur"
    ),
    "an index": Case(make="CREATE INDEX ON job_objects (status)", told="'skipped', NULL occur"),
    "an enum": Case(
        make="CREATE TYPE status AS ENUM ('succeeded', 'skipped', 'queued'); "
        "ALTER TABLE job_objects ALTER status TYPE status USING status::status; CREATE INDEX ON job_objects (status)",
        told="'skipped', NULL occur",
    ),
    "a domain": Case(
        make="CREATE DOMAIN status AS text; ALTER TABLE job_objects ALTER status TYPE status",
        told="'skipped', NULL occur",
    ),
    "a constraint that holds for new rows only": Case(
        make="ALTER TABLE job_objects ADD CHECK (status IN ('queued')) NOT VALID",
        told="'skipped', NULL occur",
    ),
    "a constraint that allows one more": Case(
        make="DELETE FROM job_objects WHERE status IS NULL; ALTER TABLE job_objects ALTER status SET NOT NULL, "
        "ADD CHECK (status IN ('queued', 'skipped'))",
        told="'skipped' occurs",
    ),
    "a constraint on the four that NULL passes": Case(
        make="DELETE FROM job_objects WHERE status = 'skipped'; "
        "ALTER TABLE job_objects ADD CHECK (status IN ('queued', 'processing', 'succeeded', 'failed'))",
        told="NULL occurs",
    ),
}


@pytest.fixture
def skipping(tables: TestDatabase) -> TestDatabase:
    """A database with four objects, of which one was skipped and one has no status."""
    tables.query(
        "INSERT INTO job_objects (job_id, status) SELECT gen_random_uuid(), status "
        "FROM unnest(ARRAY['queued', 'skipped', 'queued', NULL]) AS status"
    )
    return tables


@pytest.mark.parametrize("case", STATUSES)
def test_statuses_beside_the_four_are_named(skipping: TestDatabase, case: str) -> None:
    skipping.query(f"SELECT; {STATUSES[case].make}")
    (finding,) = (finding for finding in examine(skipping) if finding.check == "statuses")
    assert (finding.value, finding.refuses) == (STATUSES[case].told, False)
    assert "counts in the total and is not done" in finding.why


@pytest.mark.parametrize("type_", ["text", "varchar", "varchar(20)"])
def test_a_constraint_on_the_four_is_believed_without_a_look_at_the_rows(
    tables: TestDatabase, monkeypatch: pytest.MonkeyPatch, type_: str
) -> None:
    monkeypatch.setattr(statuses, "_SMALL_BYTES", -1)
    tables.query(
        f"ALTER TABLE job_objects ALTER status TYPE {type_}, ALTER status SET NOT NULL, "
        "ADD CHECK (status IN ('queued', 'processing', 'succeeded', 'failed'))"
    )
    assert examine(tables) == ()


def test_upper_case_is_another_status_also_where_the_type_compares_without_case(tables: TestDatabase) -> None:
    tables.query("CREATE EXTENSION citext", user="postgres")
    tables.query(
        "ALTER TABLE job_objects ALTER status TYPE citext, ALTER status SET NOT NULL, "
        "ADD CHECK (status IN ('queued', 'processing', 'succeeded', 'failed')); CREATE INDEX ON job_objects (status);"
        "INSERT INTO job_objects (job_id, status) VALUES (gen_random_uuid(), 'queued'), (gen_random_uuid(), 'QUEUED')"
    )
    assert [finding.value for finding in examine(tables)] == ["'QUEUED' occurs"]


def test_a_large_table_is_not_read_for_its_statuses(skipping: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "_SMALL_BYTES", -1)
    (finding,) = examine(skipping)
    assert finding.value == "not looked at: no index begins with it, and the table was never analyzed"
    assert finding.way_out.startswith("ANALYZE public.job_objects")
    skipping.query("ANALYZE job_objects")
    (finding,) = examine(skipping)
    assert finding.value == "NULL occurs, as the last ANALYZE found; others may occur rarely"


@pytest.mark.parametrize(
    "index",
    [
        "CREATE INDEX i ON job_objects (status) WHERE status = 'queued'",
        "CREATE INDEX i ON job_objects USING hash (status)",
        "CREATE INDEX i ON job_objects (key, status)",
        f"CREATE INDEX i ON job_objects (status); {INVALID.format('i')}",
    ],
)
def test_an_index_that_does_not_find_each_status_is_not_asked(
    skipping: TestDatabase, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setattr(statuses, "_SMALL_BYTES", -1)
    skipping.query(index, user="postgres")
    (finding,) = examine(skipping)
    assert finding.value == "not looked at: no index begins with it, and the table was never analyzed"


def test_a_lock_of_another_session_ends_a_check_and_not_the_plan(tables: TestDatabase) -> None:
    holder = tables.connect()
    with holder.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE job_objects")
        (finding,) = examine(tables)
    holder.close()
    assert (finding.check, finding.refuses) == ("statuses", False)
    assert finding.value == "not made: canceling statement due to lock timeout"


def test_a_check_that_takes_too_long_ends_itself_and_not_the_plan(
    tables: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_long = ("standby", "SELECT pg_sleep(10)", checks.CHECKS[0][2])
    monkeypatch.setattr(checks, "CHECKS", [look_long, *checks.CHECKS[1:]])
    (finding,) = examine(tables)
    assert (finding.check, finding.refuses) == ("standby", True)  # what is not known does not pass
    assert finding.value == "not made: canceling statement due to statement timeout"


def test_indexes_that_another_serves_as_well_are_named_with_their_size(old: TestDatabase) -> None:
    # GIVEN an older deployment, with one index as its constraint's and three that begin like a longer one
    first_of = {
        "idx_job_objects_job_id": "job_objects_pkey",
        "idx_job_objects_bucket_key": "idx_job_objects_bucket_key_composite",
        "idx_findings_job_id": "idx_findings_job_detector",
    }
    findings = {finding.subject: finding for finding in examine(old)}
    assert {subject: finding.value for subject, finding in findings.items()} == {
        "public.idx_findings_dedup": "16 kB, equal to public.findings_bucket_key_etag_detector_byte_offset_key",
        **{f"public.{spare}": f"16 kB, its columns are the first of public.{kept}" for spare, kept in first_of.items()},
    }
    assert findings["public.idx_findings_dedup"].way_out == "DROP INDEX CONCURRENTLY public.idx_findings_dedup"
    assert not any(finding.refuses for finding in findings.values())


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX mine ON job_objects (job_id)",
        "CREATE INDEX mine ON job_objects (job_id DESC)",
        "CREATE INDEX mine ON job_objects (job_id) WHERE status = 'failed'",
        "CREATE INDEX mine ON job_objects (job_id) INCLUDE (last_error)",
        "CREATE INDEX mine ON job_objects USING hash (job_id)",
        'CREATE INDEX mine ON job_objects (bucket COLLATE "C")',
        "CREATE INDEX mine ON job_objects (bucket text_pattern_ops)",
        "CREATE INDEX mine ON job_objects (lower(bucket))",
        "CREATE INDEX mine ON job_objects (updated_at)",
        "CREATE UNIQUE INDEX mine ON jobs (bucket); CREATE UNIQUE INDEX more ON jobs (bucket, prefix)",
        "CREATE UNIQUE INDEX mine ON jobs (bucket) NULLS NOT DISTINCT; CREATE UNIQUE INDEX other ON jobs (bucket)",
        "CREATE UNIQUE INDEX mine ON jobs (bucket); ALTER TABLE jobs ADD CONSTRAINT c UNIQUE (bucket) DEFERRABLE",
        f"CREATE INDEX mine ON jobs (bucket); CREATE INDEX other ON jobs (bucket, prefix); {INVALID.format('other')}",
        f"CREATE INDEX mine ON jobs (bucket, prefix); CREATE INDEX other ON jobs (bucket); {INVALID.format('other')}",
    ],
)
def test_an_index_that_serves_what_no_other_does_is_not_named(database: TestDatabase, index: str) -> None:
    database.query(index, user="postgres")
    assert examine(database) == ()


def test_of_two_equal_indexes_one_is_named_and_never_one_of_ours(database: TestDatabase) -> None:
    database.query(
        "CREATE INDEX mine ON job_objects (job_id, status); CREATE INDEX one ON jobs (bucket); "
        "CREATE INDEX two ON jobs (bucket)"
    )
    assert {finding.subject for finding in examine(database)} == {"public.mine", "public.two"}
