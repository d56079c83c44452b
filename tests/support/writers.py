"""Writers that know the rows they have written, and a watch on how long they wait."""

from __future__ import annotations

import io
import itertools
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import psycopg2
import psycopg2.errors
import psycopg2.extensions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.database import TestDatabase

STATUSES = ("queued", "processing", "succeeded", "failed")


class WaitWatch:
    """Looks 50 times a second what writers wait for: a lock, which may be our doing, or the disk of a busy machine.

    Attributes:
        longest_lock_s: the longest wait for a lock, by the server's own clock.
        longest_busy_s: the longest statement, less the time in which it was seen to read or write files.

    """

    QUERY = """
        SELECT pid, query_start::text, extract(epoch FROM clock_timestamp() - query_start)::float8,
               wait_event_type = 'IO', extract(epoch FROM clock_timestamp() - waitstart)::float8
        FROM pg_stat_activity LEFT JOIN (SELECT pid, waitstart FROM pg_locks WHERE NOT granted) AS lock USING (pid)
        WHERE usename = 'scanner_app' AND state = 'active'
    """

    def __init__(self, database: TestDatabase) -> None:
        self.longest_lock_s = self.longest_busy_s = 0.0
        self._connection = database.connect()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        on_disk: dict[tuple[int, str], float] = {}
        looked_at = time.monotonic()
        with self._connection.cursor() as cursor:
            while not self._ended.wait(0.02):
                cursor.execute(self.QUERY)
                since_s, looked_at = time.monotonic() - looked_at, time.monotonic()
                seen = cursor.fetchall()
                on_disk = {
                    (pid, start): on_disk.get((pid, start), 0.0) + (since_s if reads else 0.0)
                    for pid, start, _, reads, _ in seen
                }
                for pid, start, took_s, _, lock_s in seen:
                    self.longest_lock_s = max(self.longest_lock_s, lock_s or 0.0)
                    self.longest_busy_s = max(self.longest_busy_s, took_s - on_disk[pid, start])


class TimedCursor(psycopg2.extensions.cursor):
    """Remembers how long each statement took, and when it ended."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waits: list[tuple[float, float, str]] = []

    def execute(self, sql: Any, values: Any = None) -> None:
        self._time(lambda: super(TimedCursor, self).execute(sql, values), sql)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        self._time(lambda: super(TimedCursor, self).copy_expert(sql, file, size), sql)

    def _time(self, send: Callable[[], None], sql: str) -> None:
        started = time.monotonic()
        try:
            send()
        finally:
            ended = time.monotonic()
            self.waits.append((ended - started, ended, sql[:50]))


class _NoCursor:
    """Does nothing: what a writer would know after a statement, without the statement."""

    def execute(self, *_: Any) -> None:
        pass

    def copy_expert(self, *_: Any) -> None:
        pass


class KnowingWriters:
    """Writers of every kind of statement, each of which knows the rows that it has written and finds them again.

    Each has three jobs of its own, so that what it knows is exact, and updates rows of a job that all share.

    Args:
        database: where; they write as `scanner_app`.
        shared: the job whose rows `1` to `objects` all of them update.
        objects: how many these are.
        writers: how many.
        pause_s: how long each rests after a statement.
        survive: connect again after a lost connection. The statement that it cut off did everything or nothing; the
            writer finds out which, and anything else is an error.

    """

    def __init__(
        self,
        database: TestDatabase,
        shared: str,
        objects: int,
        *,
        writers: int = 4,
        pause_s: float = 0.001,
        survive: bool = False,
    ) -> None:
        # The longest statements: seconds, when they ended (monotonic), and how they begin.
        self.longest: list[tuple[float, float, str]] = []
        self.errors: list[BaseException] = []
        self.done: Counter[str] = Counter()
        self.retries = self.refused = 0
        self.deaths = 0
        self._database, self._shared, self._objects, self._pause_s = database, shared, objects, pause_s
        self._survive = survive
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._known: list[dict[tuple[str, str], str]] = [{} for _ in range(writers)]
        self.jobs = [[str(uuid4()) for _ in range(3)] for _ in range(writers)]
        for job in itertools.chain(*self.jobs):
            database.query("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job,))
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(writers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def longest_wait_s(self) -> float:
        """How long the longest statement took, with its wait."""
        return self.longest[0][0]

    def lost_or_doubled(self) -> list[Any]:
        """Return what is not as its writer knows it."""
        found = Counter(
            self._database.query(
                "SELECT job_id::text, key, status FROM job_objects WHERE job_id = ANY (%s::uuid[])",
                (list(itertools.chain(*self.jobs)),),
            )
        )
        known = Counter((*key, status) for rows in self._known for key, status in rows.items())
        return [*(known - found), *(found - known)]

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        known, jobs = self._known[number], self.jobs[number]
        connection = self._database.connect("scanner_app")
        kinds: list[Callable[..., None]] = [
            self._update_shared,
            self._update_shared,
            self._upsert,
            self._copy,
            self._update,
            self._rename,
            self._move,
            self._delete,
            self._merge,
            self._serializable,
            self._delete_job,
            self._find,
            self._discard_findings,
        ]
        try:
            cursor = connection.cursor(cursor_factory=TimedCursor)
            while not self._ended.is_set():
                kind, state = chance.choice(kinds), chance.getstate()
                try:
                    kind(cursor, chance, known, jobs)
                except (psycopg2.OperationalError, psycopg2.InterfaceError):
                    # A transaction that PostgreSQL ended on a living connection is an OperationalError too.
                    if not self._survive or not connection.closed:
                        raise
                    chance.setstate(state)
                    connection = self._recover(kind, chance, known, jobs)
                    cursor = connection.cursor(cursor_factory=TimedCursor)
                with self._lock:
                    self.done[kind.__name__] += 1
                    self.longest = sorted([*self.longest, *cursor.waits], reverse=True)[:8]
                cursor.waits.clear()
                time.sleep(self._pause_s)
        except BaseException as error:  # noqa: BLE001 - the test reads it
            self.errors.append(error)
        finally:
            connection.close()

    def _recover(
        self, kind: Callable[..., None], chance: random.Random, known: Any, jobs: Any
    ) -> psycopg2.extensions.connection:
        """Connect again, and learn whether the statement that was cut off did everything or nothing.

        Raises:
            AssertionError: it did a part.

        """
        with self._lock:
            self.deaths += 1
        after = dict(known)
        kind(_NoCursor(), chance, after, jobs)
        patient_until = time.monotonic() + 60
        while True:
            try:
                found = {
                    (job, key): status
                    for job, key, status in self._database.query(
                        "SELECT job_id::text, key, status FROM job_objects WHERE job_id = ANY (%s::uuid[])", (jobs,)
                    )
                }
                # The cut may have come after the deletion of a job, and before it was inserted again.
                self._database.query(
                    "INSERT INTO jobs (job_id, bucket) SELECT unnest(%s::uuid[]), 'b' ON CONFLICT DO NOTHING", (jobs,)
                )
                connection = self._database.connect("scanner_app")
                break
            except psycopg2.OperationalError:
                if time.monotonic() > patient_until:
                    raise
                time.sleep(0.1)
        assert found in (known, after), f"{kind.__name__} did a part of its work before its connection was lost"
        known.clear()
        known.update(found)
        return connection

    def _update_shared(self, cursor: Any, chance: random.Random, _known: Any, _jobs: Any) -> None:
        cursor.execute(
            "UPDATE job_objects SET status = %s, updated_at = clock_timestamp() "
            "WHERE job_id = %s AND bucket = 'b' AND key = %s AND etag = 'e'",
            (chance.choice(STATUSES), self._shared, str(chance.randint(1, self._objects))),
        )

    def _upsert(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job, status, keys = chance.choice(jobs), chance.choice(STATUSES), _keys(chance)
        cursor.execute(
            "INSERT INTO job_objects (job_id, bucket, key, etag, status) SELECT %s, 'b', key, 'e', %s "
            "FROM unnest(%s) AS key ON CONFLICT (job_id, bucket, key, etag) DO UPDATE SET status = excluded.status",
            (job, status, keys),
        )
        known.update({(job, key): status for key in keys})

    def _copy(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job = chance.choice(jobs)
        keys = [key for key in _keys(chance) if (job, key) not in known]
        lines = "".join(f"{job}\tb\t{key}\te\tqueued\n" for key in keys)
        cursor.copy_expert("COPY job_objects (job_id, bucket, key, etag, status) FROM STDIN", io.StringIO(lines))
        known.update({(job, key): "queued" for key in keys})

    def _update(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job, status = chance.choice(jobs), chance.choice(STATUSES)
        cursor.execute("UPDATE job_objects SET status = %s WHERE job_id = %s", (status, job))
        known.update({key: status for key in known if key[0] == job})

    def _rename(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job = chance.choice(jobs)
        free = next(name for name in (f"r{number}" for number in itertools.count()) if (job, name) not in known)
        for key in [key for key in known if key[0] == job][:1]:
            cursor.execute("UPDATE job_objects SET key = %s WHERE job_id = %s AND key = %s", (free, *key))
            known[job, free] = known.pop(key)

    def _move(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        source, target = chance.sample(jobs, 2)
        movable = [key for job, key in known if job == source and (target, key) not in known][:3]
        cursor.execute(
            "UPDATE job_objects SET job_id = %s, status = 'failed' WHERE job_id = %s AND key = ANY (%s)",
            (target, source, movable),
        )
        for key in movable:
            del known[source, key]
            known[target, key] = "failed"

    def _delete(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job, keys = chance.choice(jobs), _keys(chance)
        cursor.execute("DELETE FROM job_objects WHERE job_id = %s AND key = ANY (%s)", (job, keys))
        for key in keys:
            known.pop((job, key), None)

    def _merge(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job, keys = chance.choice(jobs), _keys(chance)
        sql = (
            "MERGE INTO job_objects AS object USING unnest(%s) AS key ON object.job_id = %s AND object.key = key.key "
            "WHEN MATCHED AND object.status = 'failed' THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET status = 'failed' "
            "WHEN NOT MATCHED THEN INSERT (job_id, bucket, key, etag, status) VALUES (%s, 'b', key.key, 'e', 'queued')"
        )
        try:
            cursor.execute(sql, (keys, job, job))
        except psycopg2.errors.FeatureNotSupported:
            self.refused += 1
            return
        for key in keys:
            status = known.pop((job, key), None)
            if status != "failed":
                known[job, key] = "failed" if status else "queued"

    def _serializable(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        """Delete and update in one REPEATABLE READ transaction, and try again where PostgreSQL says so."""
        job, keys = chance.choice(jobs), _keys(chance)
        while True:
            try:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("DELETE FROM job_objects WHERE job_id = %s AND key = %s", (job, keys[0]))
                cursor.execute(
                    "UPDATE job_objects SET status = 'succeeded' WHERE job_id = %s AND key = ANY (%s)", (job, keys)
                )
                cursor.execute("COMMIT")
            except psycopg2.errors.SerializationFailure:
                cursor.execute("ROLLBACK")
                self.retries += 1
            else:
                break
        known.pop((job, keys[0]), None)
        known.update({(job, key): "succeeded" for key in keys if (job, key) in known})

    def _delete_job(self, cursor: Any, chance: random.Random, known: Any, jobs: Any) -> None:
        job = chance.choice(jobs)
        cursor.execute("DELETE FROM jobs WHERE job_id = %s", (job,))
        for key in [key for key in known if key[0] == job]:
            del known[key]
        cursor.execute("INSERT INTO jobs (job_id, bucket) VALUES (%s, 'b')", (job,))

    def _find(self, cursor: Any, chance: random.Random, _known: Any, jobs: Any) -> None:
        cursor.execute(
            "INSERT INTO findings (job_id, bucket, key, etag, detector, byte_offset) "
            "SELECT %s, 'b', key, 'e', %s, 1 FROM unnest(%s) AS key ON CONFLICT DO NOTHING",
            (chance.choice(jobs), jobs[0], _keys(chance)),
        )

    def _discard_findings(self, cursor: Any, chance: random.Random, _known: Any, jobs: Any) -> None:
        job, keys = chance.choice(jobs), _keys(chance)
        cursor.execute("DELETE FROM findings WHERE job_id = %s AND key = ANY (%s)", (job, keys))


def _keys(chance: random.Random) -> list[str]:
    """Return some keys, each once; there are few, so that they meet."""
    return [f"k%{number}" for number in chance.sample(range(60), chance.randint(1, 20))]
