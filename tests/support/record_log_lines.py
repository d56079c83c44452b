"""Write down what a real PostgreSQL 17 logs, with RDS's prefix and our parameters.

Run `python -m tests.support.record_log_lines`; nothing in the lines is changed but a path.

The server logs twice: as RDS does, and as JSON, whose fields nothing in a name or statement can imitate. The JSON says
which entries measure a statement; the pattern of the metric filter is then tested on the text alone.
"""

import json
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from psycopg2 import sql

from lab.embedded_postgres import DATABASE, EmbeddedPostgres
from stacks import ROOT
from stacks.alarms.log_lines import CORPUS, Entry
from stacks.database.parameters import parameters
from stacks.settings import load_settings
from tests.support.log_scenarios import NAMES, SCENARIOS, SET_UP

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.overview.parameter-groups.html
RDS_DEFAULTS = {"log_line_prefix": "%t:%r:%u@%d:[%p]:", "log_checkpoints": "1", "log_timezone": "UTC"}
THRESHOLD_MS = "10"
# So that everything is logged, soon, and in both forms.
RECORDING = {
    "log_min_duration_statement": THRESHOLD_MS,
    "auto_explain.log_min_duration": THRESHOLD_MS,
    "log_autovacuum_min_duration": "0",
    "log_temp_files": "0",
    "deadlock_timeout": "20ms",
    "autovacuum_naptime": "1s",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql.log",
    "log_destination": "stderr,jsonlog",
}
# An entry begins with its time; the lines that go on are indented by a tab.
ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC:.*\n(?:\t.*\n)*", re.MULTILINE)
MEASURED = re.compile(r"duration: (?P<milliseconds>\d+\.\d{3}) ms(?:  (?!plan:)|$)")


def measured_ms(record: dict[str, Any]) -> float | None:
    """Return the milliseconds of the statement that a JSON entry measures.

    A line written by a function has a context, and so has what auto_explain writes from within one.
    """
    found = MEASURED.match(record["message"])
    return (
        float(found["milliseconds"])
        if found and record["error_severity"] == "LOG" and "context" not in record
        else None
    )


def _texts(record: dict[str, Any]) -> Iterator[tuple[str, float | None, str | None]]:
    """Yield what the server writes as text for one JSON entry, each with the milliseconds and the SQLSTATE it tells."""
    place = f" at character {record['cursor_position']}" if "cursor_position" in record else ""
    sqlstate = record["state_code"] if record["error_severity"] == "ERROR" else None
    yield f"{record['error_severity']}:  {record['message']}{place}", measured_ms(record), sqlstate
    for label, name in {"DETAIL": "detail", "HINT": "hint", "QUERY": "internal_query", "CONTEXT": "context"}.items():
        if name in record:
            yield f"{label}:  {record[name]}", None, None
    if "statement" in record:
        yield f"STATEMENT:  {record['statement']}", None, None


class Log:
    """Both logs of a running server, read on from where they were read to."""

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / "postgresql.log", folder / "postgresql.json")
        self._starts = [0, 0]

    def until(self, mark: str) -> list[str]:
        """Return what text and JSON hold once both have the mark, which the caller had the server write.

        A session that ended may be written down after the mark, so each that began in these lines must end in them;
        before the first scenario the session of the caller begins.
        """
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            new = [path.read_text()[start:] for path, start in zip(self._paths, self._starts, strict=True)]
            if all(mark in text and text.endswith("\n") and self._all_ended(text) for text in new):
                self._starts = [start + len(text) for start, text in zip(self._starts, new, strict=True)]
                return new
            time.sleep(0.02)
        raise TimeoutError(f"the log does not show {mark!r} after 10 s")

    def _all_ended(self, text: str) -> bool:
        begun, ended = text.count("connection received: "), text.count("disconnection: session time: ")
        return self._starts == [0, 0] or begun == ended


def _entries(scenario: str, text: str, records: str, *, without_pid: int) -> Iterator[Entry]:
    """Pair text and JSON; any difference in number or content ends the recording."""
    lines = ENTRY.findall(text)
    assert "".join(lines) == text, f"{scenario}: not every line belongs to an entry"
    parsed = [json.loads(line) for line in records.splitlines()]
    expected = [(record["pid"], *pair) for record in parsed for pair in _texts(record)]
    assert len(lines) == len(expected), f"{scenario}: {len(lines)} entries as text, {len(expected)} as JSON"
    for line in lines:
        # Two processes may be written in one order as text and in another as JSON.
        found = next(entry for entry in expected if line.endswith(_as_text(*entry[:2])))
        expected.remove(found)
        pid, _, milliseconds, sqlstate = found
        if pid != without_pid:
            # The file that decides who may connect lies here on RDS.
            yield Entry(scenario, milliseconds, sqlstate, re.sub(r"\(/\S+/", "(/rdsdbdata/config/", line))


def _as_text(pid: int, content: str) -> str:
    return f":[{pid}]:{content}\n".replace("\n", "\n\t").removesuffix("\t")


def record(server: EmbeddedPostgres) -> Iterator[Entry]:
    """Run every scenario against a started server and yield what it logged."""
    quiet = "-c log_min_duration_statement=-1 -c log_statement=none"
    with server.connect(user="postgres", options=quiet) as connection, connection.cursor() as cursor:
        for statement in filter(str.strip, SET_UP.split(";\n")):
            cursor.execute(statement)
        for user, database in NAMES.values():
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(user)))
            if database != DATABASE:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        pid = connection.info.backend_pid
        log = Log(server.data / "log")

        def read_on(mark: str) -> list[str]:
            # The io workers of PostgreSQL 18 live as long as the server.
            others = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type ~ 'client|worker' AND backend_type <> 'io worker' AND pid <> %s"
            )
            cursor.execute(others, (pid,))
            while cursor.fetchall() != [(0,)]:
                time.sleep(0.02)
                cursor.execute(others, (pid,))
            cursor.execute(f"DO $$ BEGIN RAISE LOG 'end of: {mark}'; END $$")
            return log.until(f"end of: {mark}")

        read_on("set up")
        for scenario, run in SCENARIOS.items():
            run(server)
            yield from _entries(scenario, *read_on(scenario), without_pid=pid)


def main() -> None:
    """Record anew and replace the corpus."""
    ours = {item.name: item.value for item in parameters(load_settings(ROOT / "environments" / "prod.toml").database)}
    settings = {name: value for name, value in ours.items() if not name.startswith("rds.")}
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder), parameters=settings | RDS_DEFAULTS | RECORDING, durable=False)
        try:
            server.start()
            entries = list(record(server))
        finally:
            server.discard()
    CORPUS.write_text("".join(json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries))
    measured = sum(entry.milliseconds is not None for entry in entries)
    print(f"{CORPUS.name}: {len(entries)} entries of {len(SCENARIOS)} scenarios; {measured} measure a statement")


if __name__ == "__main__":
    main()
