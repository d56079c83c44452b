"""Lists of jobs by state: what the objects and the executions say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from handlers.errors import InvalidRequestError
from handlers.progress import reads
from handlers.progress.job_state import STATES
from tests.support.reader import Reader
from tests.support.step_functions import EXECUTION, StepFunctions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase

# Objects of the job, what Step Functions says ("none": there is no execution, "?": it does not say), and the status.
CASES = {
    "counting": ({"queued": 1, "succeeded": 1}, "none", "processing"),
    "done": ({"succeeded": 1, "failed": 1}, "none", "completed"),
    "empty": ({}, "none", "completed"),
    "listing": ({"queued": 1}, "RUNNING", "listing"),
    "caught up": ({"succeeded": 2}, "RUNNING", "listing"),
    "listing nothing yet": ({}, "RUNNING", "listing"),
    "listed": ({"processing": 1}, "SUCCEEDED", "processing"),
    "listed and done": ({"succeeded": 1}, "SUCCEEDED", "completed"),
    "nothing listed": ({}, "SUCCEEDED", "completed"),
    "failed": ({"queued": 1}, "FAILED", "failed"),
    "failed at once": ({}, "TIMED_OUT", "failed"),
    "aborted": ({"succeeded": 1}, "ABORTED", "aborted"),
    "unknown": ({"succeeded": 1}, "?", "listing"),
    "unknown and empty": ({}, "?", "listing"),
}


@pytest.fixture
def step_functions(monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    return StepFunctions(monkeypatch)


@pytest.fixture
def reader(database: TestDatabase) -> Iterator[Reader]:
    with Reader(database) as opened:
        yield opened


@pytest.fixture
def every_case(database: TestDatabase, step_functions: StepFunctions) -> dict[str, str]:
    """A job of each case; returns the case of each id."""
    names = {}
    for name, (objects, execution, _) in CASES.items():
        job_id = database.add_job(objects)
        names[job_id] = name
        if execution != "none":
            database.query("UPDATE jobs SET execution_arn = %s WHERE job_id = %s", (EXECUTION + name, job_id))
        if execution not in {"none", "?"}:
            step_functions.states[EXECUTION + name] = execution
    return names


def pages(reader: Reader, state: str, *, limit: int = 100, real_time: bool) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = reads.list_jobs(reader, state=state, limit=limit, cursor=cursor, real_time=real_time)
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("real_time", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_a_list_has_the_jobs_whose_status_its_state_stands_for(
    reader: Reader, database: TestDatabase, every_case: dict[str, str], *, state: str, real_time: bool, limit: int
) -> None:
    # SUCCEEDED was a day ago, so the counts are younger, also those of the refresh.
    database.query("SELECT refresh_job_progress()")
    found = [page["jobs"] for page in pages(reader, state, limit=limit, real_time=real_time)]
    assert max(map(len, found)) <= limit
    jobs = [job for page in found for job in page]
    wanted = {
        name: status for name, (_, _, status) in CASES.items() if (only := STATES[state]) is None or status in only
    }
    assert {every_case[job["job_id"]]: job["status"] for job in jobs} == wanted
    assert len(jobs) == len(wanted)


def test_a_job_is_in_the_state_of_the_list_that_its_own_answer_says(reader: Reader, every_case: dict[str, str]) -> None:
    (page,) = pages(reader, "all", real_time=True)
    said = {job["job_id"]: reads.job_status(reader, job["job_id"], real_time=True)["status"] for job in page["jobs"]}
    assert said == {job["job_id"]: job["status"] for job in page["jobs"]}


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_a_list_says_how_many_executions_are_unknown(reader: Reader, every_case: dict[str, str], state: str) -> None:
    found = list(pages(reader, state, limit=2, real_time=True))
    assert sum(page["unknown_executions"] for page in found) == 2


def test_an_execution_that_succeeded_is_asked_for_once(
    reader: Reader, every_case: dict[str, str], step_functions: StepFunctions
) -> None:
    for _ in range(2):
        list(pages(reader, "all", real_time=True))
    counts = {name: step_functions.asked.count(EXECUTION + name) for name in ("listed and done", "failed", "listing")}
    assert counts == {"listed and done": 1, "failed": 2, "listing": 2}


@pytest.mark.parametrize(("state", "real_time"), [("all", False), ("completed", False), ("active", True)])
def test_a_cursor_of_another_list_is_refused_with_the_parameters_that_differ(
    reader: Reader, database: TestDatabase, every_case: dict[str, str], *, state: str, real_time: bool
) -> None:
    database.query("SELECT refresh_job_progress()")
    cursor = reads.list_jobs(reader, state="active", limit=1, cursor=None, real_time=False)["next_cursor"]
    with pytest.raises(InvalidRequestError, match=f"another list than state={state}&real_time=") as refused:
        reads.list_jobs(reader, state=state, limit=1, cursor=cursor, real_time=real_time)
    assert refused.value.code == "invalid_cursor"


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_listed_after_a_rollback_to_direct_counts(database: TestDatabase, state: str) -> None:
    from tests.support.migrating import roll_back_to

    database.add_job({"queued": 1})
    roll_back_to(database, 2)
    with Reader(database) as reader:
        for real_time in (False, True):
            page = reads.list_jobs(reader, state=state, limit=10, cursor=None, real_time=real_time)
            assert len(page["jobs"]) == (1 if real_time and state in {"active", "all"} else 0)
