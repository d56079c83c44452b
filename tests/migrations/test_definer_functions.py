"""A function with its owner's rights runs nothing that its caller could have put in its way."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2.errors
import pytest

from tests.support.progress import JOBS, compact_often

if TYPE_CHECKING:
    from tests.support.database import TestDatabase

# Each takes part in every write, and names whatever it uses with its schema.
WITHOUT_SEARCH_PATH = ["track_findings()", "track_job_objects()"]
FINDING = "INSERT INTO findings (job_id, bucket, key, etag, detector)"
# They use no operator of the search_path themselves.
WRITES = {
    "one object": "INSERT INTO job_objects VALUES (%(job)s, 'b', 'k', 'e', 'failed')",
    "objects": """
        INSERT INTO job_objects SELECT %(job)s, 'b', key, 'e', 'failed'
        FROM unnest(ARRAY['k1', 'k2', 'k3', 'k4']) AS key""",
    "update one": "UPDATE job_objects SET status = 'failed'",
    "update": """
        INSERT INTO job_objects VALUES (%(job)s, 'b', 'k', 'e', 'queued');
        UPDATE job_objects SET status = 'failed'""",
    "move": "UPDATE job_objects SET job_id = %(other)s",
    "delete": "DELETE FROM job_objects",
    "delete jobs": "DELETE FROM jobs",
    "one finding": f"{FINDING} VALUES (%(job)s, 'b', 'k', 'e', 'd')",
    "findings": f"{FINDING} SELECT %(job)s, 'b', key, 'e', 'd' FROM unnest(ARRAY['k1', 'k2', 'k3', 'k4']) AS key",
    "move findings": "UPDATE findings SET job_id = %(other)s",
    "delete findings": "DELETE FROM findings",
    "truncate": "TRUNCATE findings, job_objects",
}

# What PostgreSQL would find by the search_path: each operator and function of the types that the triggers use.
HIJACK = """
CREATE SCHEMA hijacked;
GRANT USAGE ON SCHEMA hijacked TO public;
CREATE FUNCTION hijacked.run() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
DO $$
DECLARE
    each record;
    types CONSTANT regtype[] := '{text, int, bigint, numeric, double precision, boolean, uuid}';
BEGIN
    FOR each IN SELECT DISTINCT oprname, oprleft::regtype AS lefttype, oprright::regtype AS righttype
                FROM pg_operator
                WHERE oprname IN ('=', '<>', '<', '-', '*', '+')
                  AND oprright::regtype = ANY (types)
                  AND (oprleft = 0 OR oprleft::regtype = ANY (types)) LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION hijacked.run(%s) RETURNS boolean LANGUAGE sql AS $f$ SELECT '
                       'hijacked.run()::boolean $f$',
                       concat_ws(', ', nullif(each.lefttype::text, '-'), each.righttype::text));
        EXECUTE format('CREATE OPERATOR hijacked.%s (FUNCTION = hijacked.run, %s RIGHTARG = %s)', each.oprname,
                       'LEFTARG = ' || nullif(each.lefttype::text, '-') || ',', each.righttype);
    END LOOP;
    FOR each IN SELECT DISTINCT proname, pg_get_function_identity_arguments(oid) AS arguments
                FROM pg_proc
                WHERE pronamespace = 'pg_catalog'::regnamespace
                  AND proname IN ('random', 'upper', 'current_setting', 'sum', 'count')
                  AND 0 = ALL (SELECT 1 FROM unnest(proargtypes) AS type WHERE type <> ALL (types)) LOOP
        EXECUTE format('CREATE FUNCTION hijacked.%I(%s) RETURNS text LANGUAGE sql AS $f$ SELECT hijacked.run() $f$',
                       each.proname, each.arguments);
    END LOOP;
END
$$;
"""


def test_each_sets_its_search_path_but_those_that_name_every_schema(database: TestDatabase) -> None:
    free = database.query(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
        "AND NOT coalesce(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}', false) ORDER BY 1"
    )
    assert [name for (name,) in free] == WITHOUT_SEARCH_PATH


@pytest.mark.parametrize("sql", WRITES.values(), ids=WRITES)
def test_a_writers_search_path_puts_nothing_into_the_triggers(database: TestDatabase, sql: str) -> None:
    compact_often(database, 1)
    database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b'), (%s, 'b')", JOBS[:2])
    database.query("INSERT INTO job_objects VALUES (%s, 'b', 'old', 'e', 'queued')", (JOBS[0],))
    database.query(f"{FINDING} VALUES (%s, 'b', 'old', 'e', 'd')", (JOBS[0],))
    database.query(HIJACK)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET search_path = hijacked, pg_catalog, public")
        cursor.execute(sql, {"job": JOBS[0], "other": JOBS[1]})
        with pytest.raises(psycopg2.errors.RaiseException, match="hijacked"):
            cursor.execute("SELECT 1 = 1")
    assert database.query("SELECT * FROM verify_job_progress()") == []
