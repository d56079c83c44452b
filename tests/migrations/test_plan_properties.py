"""Any sequence of edits to the folder either plans correctly or is refused with a named error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import DriftError
from handlers.migrator.plan import plan
from stacks.assets.migration_files import MigrationError
from tests.support.database import build_release
from tests.support.migrating import ledger

NUMBERS = st.integers(1, 6)
STATEMENTS = st.sampled_from(
    ["SELECT 1", "SELECT 2", "VACUUM", "CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE TABEL t", "-- nothing", "BEGIN"]
)
NAMES = st.sampled_from(["a", "b"])
EDITS = st.one_of(
    st.tuples(st.just("write"), NUMBERS, NAMES, STATEMENTS),
    st.tuples(st.just("append"), NUMBERS, NAMES, STATEMENTS),
    st.tuples(st.just("delete"), NUMBERS, NAMES, st.just("")),
    st.tuples(st.just("roll back file"), NUMBERS, NAMES, STATEMENTS),
    st.tuples(st.just("misname"), NUMBERS, NAMES, st.just("SELECT 1")),
)

pytestmark = pytest.mark.slow


def edit(files: dict[str, str], kind: str, number: int, name: str, sql: str) -> None:
    """Change the folder as a person might."""
    file = f"{number:03}_{name}.sql"
    if kind == "write":
        files[file] = sql
    elif kind == "append" and file in files:
        files[file] += f";\n{sql}"
    elif kind == "delete":
        files.pop(file, None)
    elif kind == "roll back file":
        files[f"{number:03}_{name}.down.sql"] = sql
    elif kind == "misname":
        files[f"{number}-{name}.sql"] = sql


@settings(max_examples=500, deadline=None)
@given(count=st.integers(1, 4), applied=st.integers(0, 4), edits=st.lists(EDITS, max_size=5))
def test_a_plan_runs_just_what_was_not_applied_or_is_refused(
    count: int, applied: int, edits: list[tuple[str, int, str, str]]
) -> None:
    before = {f"{number:03}_a.sql": f"SELECT {number}" for number in range(1, count + 1)}
    after = dict(before)
    for kind, number, name, sql in edits:
        edit(after, kind, number, name, sql)
    with tempfile.TemporaryDirectory() as folder:

        def release_of(files: dict[str, str]) -> object:
            for path in Path(folder).iterdir():
                path.unlink()
            for file, sql in files.items():
                Path(folder, file).write_text(sql)
            return build_release(Path(folder))

        history = ledger(release_of(before), applied)
        done = sorted(before)[:applied]
        try:
            pending = plan(release_of(after), history)
        except (MigrationError, DriftError):
            return
    files = sorted(file for file in after if ".down." not in file)
    assert [item.migration.file for item in pending] == files[len(done) :]
    assert all(item.first_statement == 0 for item in pending)
    # Nothing that was applied is missing or differs, and nothing slipped in before it.
    assert files[: len(done)] == done
    assert all(after[file] == before[file] for file in done)
