"""`completed` is said only where no more objects can come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from handlers.progress import reads
from handlers.progress.job_state import status_message
from tests.support.reader import Reader
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from tests.support.database import TestDatabase


@pytest.fixture
def step_functions(monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    return StepFunctions(monkeypatch)


def row(total: int, done: int, arn: str | None) -> dict[str, Any]:
    return {"total_objects": total, "succeeded_count": done, "failed_count": 0, "execution_arn": arn}


@pytest.mark.parametrize(
    ("execution", "total", "done", "expected"),
    [
        ("none", 0, 0, "completed"),
        ("none", 4, 1, "processing"),
        ("none", 4, 4, "completed"),
        ("RUNNING", 4, 4, "listing"),
        ("PENDING_REDRIVE", 4, 4, "listing"),
        ("SUCCEEDED", 4, 1, "processing"),
        ("SUCCEEDED", 4, 4, "completed"),
        ("SUCCEEDED", 0, 0, "completed"),
        ("FAILED", 4, 4, "failed"),
        ("TIMED_OUT", 4, 1, "failed"),
        ("ABORTED", 4, 4, "aborted"),
        # Step Functions did not answer, or with a state that is newer than this code.
        (None, 0, 0, "listing"),
        (None, 4, 1, "processing"),
        (None, 4, 4, "listing"),
        ("PAUSED", 4, 4, "listing"),
    ],
)
def test_the_status_follows_the_execution_and_the_counts(
    execution: str | None, total: int, done: int, expected: str
) -> None:
    arn = None if execution == "none" else EXECUTION
    status, _ = status_message(row(total, done, arn), None if arn is None else execution, counted_after_end=True)
    assert status == expected


def test_an_execution_of_unknown_state_is_named_where_all_found_objects_are_done() -> None:
    _, message = status_message(row(4, 4, EXECUTION), None, counted_after_end=False)
    assert message == "Step Functions does not say whether more objects are listed; all 4 found so far are done"


def test_counts_from_before_the_end_of_the_listing_do_not_complete_a_job() -> None:
    status, message = status_message(row(4, 4, EXECUTION), "SUCCEEDED", counted_after_end=False)
    assert (status, message) == ("processing", "Listing has ended; all 4 objects of the last count are done")


@pytest.fixture
def listed(database: TestDatabase, step_functions: StepFunctions) -> str:
    """An old job of an execution; all its objects of the last refresh are done, and one was listed since."""
    job_id = database.add_job({"succeeded": 2})
    database.query("UPDATE jobs SET execution_arn = %s, created_at = now() - INTERVAL '1 day'", (EXECUTION,))
    database.query("SELECT refresh_job_progress()")
    database.query("INSERT INTO job_objects VALUES (%s, 'b', 'late', 'e', 'queued')", (job_id,))
    step_functions.states[EXECUTION] = ("SUCCEEDED", datetime.now(UTC))
    return job_id


def test_a_listing_that_ended_after_the_last_refresh_has_its_job_counted_again(
    database: TestDatabase, listed: str
) -> None:
    with Reader(database) as reader:
        answer = reads.job_status(reader, listed, real_time=False)
        assert (answer["status"], answer["data_source"], answer["total"]) == ("processing", "real_time", 3)
        database.query("UPDATE job_objects SET status = 'succeeded'")
        assert reads.job_status(reader, listed, real_time=False)["status"] == "completed"


def test_a_listing_that_ended_before_the_last_refresh_is_answered_from_the_view(
    database: TestDatabase, step_functions: StepFunctions
) -> None:
    job_id = database.add_job({"succeeded": 2})
    database.query("UPDATE jobs SET execution_arn = %s, created_at = now() - INTERVAL '1 day'", (EXECUTION,))
    database.query("SELECT refresh_job_progress()")
    step_functions.states[EXECUTION] = "SUCCEEDED"
    with Reader(database) as reader:
        answer = reads.job_status(reader, job_id, real_time=False)
    assert (answer["status"], answer["data_source"]) == ("completed", "cached")


def test_a_list_of_the_view_does_not_call_a_job_completed_whose_listing_ended_since(
    database: TestDatabase, listed: str
) -> None:
    with Reader(database) as reader:
        for state, status in (("completed", None), ("active", "processing")):
            page = reads.list_jobs(reader, state=state, limit=10, cursor=None, real_time=False)
            assert [job["status"] for job in page["jobs"]] == ([status] if status else [])
